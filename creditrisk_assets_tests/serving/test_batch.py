"""Batch scoring: the same code, the same PDs, whatever the batch size."""

from pathlib import Path

import duckdb
import pytest

from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_serving.scoring.batch import BatchError, score_features


@pytest.fixture(scope="session")
def bundle(template: Published) -> Bundle:
    return Bundle.load(template.home / "bundles" / template.champion, read_public_key(template.home / "keys"))


def codes(reasons: list[dict[str, str]] | None) -> list[str | None]:
    return ([one["code"] for one in reasons or ()] + [None] * 4)[:4]


def read(path: Path) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(f"select * from read_parquet('{path}')").fetchall()


@pytest.mark.parametrize("batch_rows", [7, 2048])
def test_a_batch_scores_as_the_service_does(
    shared: Client, template: Published, bundle: Bundle, tmp_path: Path, batch_rows: int
) -> None:
    out = tmp_path / "scores.parquet"
    rows = score_features(bundle, f"read_parquet('{template.joined}')", out, batch_rows=batch_rows)
    answer = shared.post("/predict", {"applicant_ids": template.portfolio.applicants}).json()
    told = ("applicant_id", "pd", "decision", "band", "rule", "points")
    used = ("model_version", "policy_version")
    expected = [(*(d[n] for n in told), *codes(d["reasons"]), *(d[n] for n in used)) for d in answer["decisions"]]
    assert rows == len(expected)
    assert read(out) == expected
    assert any(decision["reasons"] for decision in answer["decisions"])
    assert {decision["rule"] for decision in answer["decisions"]} >= {None, "annuity_above_income"}


def test_an_empty_relation_gives_an_empty_table(template: Published, bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    assert score_features(bundle, f"(select * from read_parquet('{template.joined}') where false)", out) == 0
    assert read(out) == []


def test_the_callers_connection_is_used_and_left_open(template: Published, bundle: Bundle, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"create table joined as select * from read_parquet('{template.joined}') limit 5")
        assert score_features(bundle, "joined", tmp_path / "scores.parquet", connection=connection) == 5
        assert connection.execute("select count(*) from joined").fetchall() == [(5,)]


def test_a_missing_feature_is_named(template: Published, bundle: Bundle, tmp_path: Path) -> None:
    name = bundle.feature_names[3]
    relation = f"(select * exclude ({name}) from read_parquet('{template.joined}'))"
    with pytest.raises(BatchError, match=name):
        score_features(bundle, relation, tmp_path / "scores.parquet")
