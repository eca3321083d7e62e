"""Batch and request compute the same features for the applicants of the sample portfolio, and a difference is found and named."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pytest

from creditrisk_assets.features.engine import build_family
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.files import join_applicant
from creditrisk_assets.features.parity import compare
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets_tests.features.tables import records, typed

Built = tuple[Mapping[str, Path], Path]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


@pytest.fixture(scope="module")
def built(con: duckdb.DuckDBPyConnection, portfolio: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Raw tables and the joined table made of them."""
    directory = tmp_path_factory.mktemp("parity")
    raw = typed(con, portfolio, directory)
    files = {name: directory / f"family_{name}.parquet" for name in FAMILIES}
    for name, family in FAMILIES.items():
        build_family(con, family, raw, files[name])
    join_applicant(files, directory / "applicant.parquet")
    return raw, directory / "applicant.parquet"


def test_batch_equals_request(con: duckdb.DuckDBPyConnection, built: Built) -> None:
    raw, joined = built
    found = compare(con, render_plan(), raw, joined, applicants=10_000)
    assert found.differences == ()
    assert found.applicants == con.execute(f"select count(*) from '{joined}'").fetchone()[0]
    assert found.features == len(con.execute(f"describe select * from '{joined}'").fetchall()) - 1


def test_the_application_family_is_compiled_and_settles_every_application_itself(
    con: duckdb.DuckDBPyConnection, built: Built
) -> None:
    raw, joined = built
    requests = RequestFeatures(render_plan())
    assert requests.interpreted == {}
    values = requests._compiled["application"].values
    assert values is not None
    names = ["sk_id_curr", *(name for name, _ in requests._plan["families"]["application"]["columns"])]
    batch = {row["sk_id_curr"]: row for row in records(con, joined)}
    for row in [*records(con, raw["application_train"]), *records(con, raw["application_test"])]:
        found = dict(zip(names, values(row.get), strict=True))  # would raise where DuckDB had to be asked
        expected = {name: batch[row["SK_ID_CURR"]][name] for name in names}
        assert found == expected
        assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


def test_one_applicant_a_request_and_many_are_the_same(con: duckdb.DuckDBPyConnection, built: Built) -> None:
    raw, _ = built
    applications = records(con, raw["application_test"])[:40]
    requests = RequestFeatures(render_plan())
    keys = [row["SK_ID_CURR"] for row in applications]
    histories = {
        table: [row for row in records(con, path) if row["SK_ID_CURR"] in keys]
        for table, path in raw.items()
        if table not in ("application_train", "application_test", "bureau_balance")
    }
    together = requests.compute(applications, histories)
    for place, (key, application) in enumerate(zip(keys, applications, strict=True)):
        mine = {table: [row for row in rows if row["SK_ID_CURR"] == key] for table, rows in histories.items()}
        alone = requests.compute([application], mine)
        assert {name: values[place] for name, values in together.items()} == {n: v for n, (v,) in alone.items()}


def test_a_difference_is_found_and_named_without_values(
    con: duckdb.DuckDBPyConnection, built: Built, tmp_path: Path
) -> None:
    raw, joined = built
    con.execute(
        f"""copy (select * replace (
            application__credit_amt * (1 + 1e-6) as application__credit_amt,
            bureau__credits_count + case when sk_id_curr % 2 = 0 then 1 else 0 end as bureau__credits_count,
            application__goods_price_amt * (1 + 1e-12) as application__goods_price_amt,
            not applicant__has_bureau as applicant__has_bureau)
        from '{joined}') to '{tmp_path / "harmed.parquet"}' (format parquet)"""
    )
    found = compare(con, render_plan(), raw, tmp_path / "harmed.parquet", applicants=300, seed="x")
    assert not found.holds
    by_name = {difference.feature: difference for difference in found.differences}
    assert set(by_name) == {"application__credit_amt", "bureau__credits_count", "applicant__has_bureau"}
    assert by_name["application__credit_amt"].worst == pytest.approx(1e-6, rel=1e-3)
    assert by_name["application__credit_amt"].applicants == 300
    assert 50 < by_name["bureau__credits_count"].applicants < 250


def test_the_same_applicants_are_drawn_for_the_same_seed(
    con: duckdb.DuckDBPyConnection, built: Built, tmp_path: Path
) -> None:
    raw, joined = built
    harmed = tmp_path / "harmed.parquet"
    con.execute(
        f"copy (select * replace (cast(sk_id_curr as double) as application__annuity_amt) from '{joined}') to '{harmed}' (format parquet)"
    )
    first, again, other = (
        compare(con, render_plan(), raw, harmed, applicants=30, seed=seed) for seed in ("a", "a", "b")
    )
    assert first == again
    assert first != other


def test_nothing_compared_is_no_proof(con: duckdb.DuckDBPyConnection, built: Built, tmp_path: Path) -> None:
    raw, joined = built
    con.execute(f"copy (from '{joined}' limit 0) to '{tmp_path / 'none.parquet'}' (format parquet)")
    assert not compare(con, render_plan(), raw, tmp_path / "none.parquet", applicants=30).holds


@pytest.mark.parametrize("name", list(FAMILIES))
def test_plan_runs_the_committed_text(name: str) -> None:
    assert render_plan()["families"][name]["sql"] == FAMILIES[name].sql
