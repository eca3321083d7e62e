"""What the service decided, as a month of monitoring: each applicant once, with exactly what the model saw."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest
import sqlalchemy

from creditrisk_assets.defs.artefact import asset_of
from creditrisk_assets.defs.months import DECIDED_APPLICATIONS, MONTH_APPLICATIONS
from creditrisk_assets.defs.training import BUNDLE, MODEL
from creditrisk_assets.defs.vocabulary import partition_of
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets.modelling.part_scores import score_table
from creditrisk_assets.monitoring.skew import measure_skew
from creditrisk_assets.resources.duckdb import EmbeddedDuckDB
from creditrisk_assets.resources.platform import Platform
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_serving.decisions.database import DecisionLogError, reading
from creditrisk_serving.decisions.month import DECISIONS, FEATURES, INPUTS, Exported, write_month


def test_a_month_holds_each_applicants_last_decision_and_what_the_model_saw(
    published: Published, tmp_path: Path
) -> None:
    ids = published.portfolio.applicants[:6]
    with Client(published.home) as client:
        for asked in (ids[:4], ids[2:], ids[:1]):
            answer = client.post("/predict", {"applicant_ids": asked}).json()["decisions"]
    month = datetime.now(UTC).strftime("%Y-%m")
    key = read_public_key(published.home / "keys")
    bundles: dict[str, Bundle] = {}

    def load(version: str) -> Bundle:
        return bundles.setdefault(version, Bundle.load(published.home / "bundles" / version, key))

    with reading(f"sqlite:///{published.home / 'decisions.db'}") as database:
        with database.begin() as connection:
            connection.execute(sqlalchemy.text("delete from subject_keys where applicant_id = :id"), {"id": ids[5]})
        found = write_month(database, month, tmp_path, load, progress=lambda _: None)
        with pytest.raises(DecisionLogError, match="no decision of 1999-01"):
            write_month(database, "1999-01", tmp_path, load, progress=lambda _: None)
    assert found == Exported(month, decisions=9, applicants=5, erased=1, other_models=0, sampled=0)
    decided = pd.read_parquet(tmp_path / f"{month}.{DECISIONS}.parquet").set_index("sk_id_curr")
    assert sorted(decided.index) == sorted(ids[:5])
    assert decided.loc[ids[0], "pd"] == answer[0]["pd"]
    assert decided["decided_at"].idxmax() == ids[0]
    (bundle,) = bundles.values()
    scored, pds = score_table(bundle, tmp_path / f"{month}.{FEATURES}.parquet")
    assert decided.loc[scored, "pd"].tolist() == pds.tolist(), (
        "what is measured is what was decided on, to the last bit"
    )
    assert decided["points"].tolist() == [bundle.policy.score.points(each) for each in decided["pd"]]


def test_what_the_service_saw_is_what_the_batch_code_computes(published: Published, tmp_path: Path) -> None:
    """Applications alone, with their histories, and ids; then a value that the log is changed to hold."""
    portfolio, month = published.portfolio, datetime.now(UTC).strftime("%Y-%m")
    alone, whole, looked_up = portfolio.applicants[:6], portfolio.applicants[6:18], portfolio.applicants[18:20]
    histories = [portfolio.histories(each) for each in whole]
    asked = [
        {"applications": [portfolio.application(each) for each in alone]},
        {
            "applications": [portfolio.application(each) for each in whole],
            "histories": {table: [row for one in histories for row in one[table]] for table in histories[0]},
        },
        {"applicant_ids": looked_up},
    ]
    with Client(published.home) as client:
        for body in asked:
            answer = client.post("/predict", body)
            assert answer.status == 200, answer.json()
    key = read_public_key(published.home / "keys")
    bundle = Bundle.load(published.home / "bundles" / published.champion, key)
    with reading(f"sqlite:///{published.home / 'decisions.db'}") as database:
        found = write_month(database, month, tmp_path, lambda _: bundle, progress=lambda _: None)
    assert (found.applicants, found.sampled) == (20, 18)
    inputs, saw = (tmp_path / f"{month}.{name}.parquet" for name in (INPUTS, FEATURES))
    with duckdb.connect() as con:
        report = measure_skew(con, bundle, inputs, saw)
        assert report.skewed == (), report.words
        assert report.decisions == 18
        ours = sum(feature.family == "application" for feature in bundle.features)
        all_of_it = sum(any(one.values()) for one in histories)  # without a row of history, that part is looked up
        assert report.values == all_of_it * len(bundle.features) + (18 - all_of_it) * ours

        feature = next(each.name for each in bundle.features if each.kind == "numeric" and each.family == "bureau")
        changed = pd.read_parquet(saw)
        told = changed[feature].notna() & changed["sk_id_curr"].isin(whole)
        changed.loc[told, feature] += 1.0
        changed.to_parquet(saw, index=False)
        planted = measure_skew(con, bundle, inputs, saw)
    (skewed,) = planted.skewed
    assert (skewed.feature, skewed.decisions) == (feature, int(told.sum()))
    assert skewed.largest_difference == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_asset_tells_skew_and_publishes_the_month_all_the_same(
    published: Published, monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    lake, month = Lake(published.home / "lake"), datetime.now(UTC).strftime("%Y-%m")
    with lake.draft(MODEL) as draft:
        shutil.copytree(published.home / "bundles" / published.champion, draft.path / BUNDLE)
        lake.publish(draft, code_version="test", inputs={}, version=published.champion)
    files = Settings().month_files
    files.mkdir(parents=True)
    with Client(published.home) as client:
        client.post("/predict", {"applications": [published.portfolio.application(published.portfolio.applicants[0])]})
    bundle = Bundle.load(published.home / "bundles" / published.champion, read_public_key(published.home / "keys"))
    with reading(f"sqlite:///{published.home / 'decisions.db'}") as database:
        write_month(database, month, files, lambda _: bundle, progress=lambda _: None)
    saw = files / f"{month}.{FEATURES}.parquet"
    feature = "application__income_amt"
    pd.read_parquet(saw).assign(**{feature: lambda rows: rows[feature] + shift}).to_parquet(saw, index=False)
    with dg.instance_for_test() as instance:
        result = dg.materialize(
            [asset_of(DECIDED_APPLICATIONS)],
            resources={"platform": Platform(), "duckdb": EmbeddedDuckDB()},
            partition_key=partition_of(month),
            instance=instance,
        )
    (check,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "as_sent"]
    assert result.success
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert (check.passed, feature in str(check.description)) == (not shift, bool(shift))
    assert lake.parts(MONTH_APPLICATIONS) == (month,)
