"""The batch engine: same bytes for any number of threads, every application kept, clear words when a table is missing."""

from pathlib import Path

import duckdb
import pytest

from creditrisk_assets.contracts.check import check, parquet_relation
from creditrisk_assets.contracts.features import APPLICANT, FEATURES
from creditrisk_assets.features.engine import build_family
from creditrisk_assets.features.families import FAMILIES, PRESENCE, Family, applicant_features
from creditrisk_assets.features.files import FeatureError, join_applicant
from creditrisk_assets.lake import sha256_file
from creditrisk_assets_tests.features.tables import in_batch, records, typed, write

BUREAU_ROW = {"SK_ID_CURR": 1, "SK_ID_BUREAU": 10, "CREDIT_ACTIVE": "Active", "DAYS_CREDIT": -5}


def build_all(tables: dict[str, Path], directory: Path, threads: int) -> dict[str, Path]:
    directory.mkdir()
    with duckdb.connect(config={"threads": threads}) as con:
        files = {name: directory / f"{name}.parquet" for name in FAMILIES}
        for name, family in FAMILIES.items():
            build_family(con, family, tables, files[name])
        files["applicant"] = directory / "applicant.parquet"
        join_applicant(files, files["applicant"])
    return files


@pytest.fixture(scope="module")
def raw(portfolio: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    with duckdb.connect() as con:
        return typed(con, portfolio, tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def built(raw: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build_all(raw, tmp_path_factory.mktemp("built") / "one", threads=1)


def test_one_and_two_threads_write_the_same_bytes(raw: dict[str, Path], built: dict[str, Path], tmp_path: Path) -> None:
    again = build_all(raw, tmp_path / "two", threads=2)
    assert {name: sha256_file(path) for name, path in again.items()} == {
        name: sha256_file(path) for name, path in built.items()
    }


@pytest.mark.parametrize("name", [*FEATURES, "applicant"])
def test_every_table_of_the_sample_portfolio_keeps_its_contract(
    name: str, built: dict[str, Path], con: duckdb.DuckDBPyConnection
) -> None:
    contract = APPLICANT if name == "applicant" else FEATURES[name]
    report = check(con, parquet_relation(built[name]), contract)
    assert report.rows > 0
    assert [(failure.rule, failure.column, failure.failed) for failure in report.failures] == []


def test_joined_table_has_one_row_per_application_in_order(
    raw: dict[str, Path], built: dict[str, Path], con: duckdb.DuckDBPyConnection
) -> None:
    keys = [row["sk_id_curr"] for row in records(con, built["applicant"])]
    files = ", ".join(f"'{raw[table]}'" for table in ("application_train", "application_test"))
    wanted = con.execute(f"select SK_ID_CURR from read_parquet([{files}]) order by 1").fetchall()
    assert keys == [key for (key,) in wanted]


def test_joined_columns_are_every_feature_in_contract_order(
    built: dict[str, Path], con: duckdb.DuckDBPyConnection
) -> None:
    described = con.execute(f"describe select * from read_parquet('{built['applicant']}')").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == [
        ("sk_id_curr", "BIGINT"),
        *((feature.name, feature.sql_type) for feature in applicant_features()),
    ]


def test_no_history_is_null_and_said_so(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    given = {
        "application_train": [{"SK_ID_CURR": 1, "TARGET": 0}, {"SK_ID_CURR": 2, "TARGET": 1}],
        "bureau": [BUREAU_ROW],
    }
    paths = write(con, {**{table: [] for family in FAMILIES.values() for table in family.inputs}, **given}, tmp_path)
    files = {name: tmp_path / f"family_{name}.parquet" for name in FAMILIES}
    for name, family in FAMILIES.items():
        build_family(con, family, paths, files[name])
    assert join_applicant(files, tmp_path / "applicant.parquet") == 2
    first, second = records(con, tmp_path / "applicant.parquet")
    assert first["applicant__has_bureau"] is True
    assert first["bureau__credits_count"] == 1
    assert [second[flag] for flag in PRESENCE] == [False] * len(PRESENCE)
    assert second["bureau__credits_count"] is None


def test_histories_of_unknown_applications_are_left_out_of_the_join_only(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert len(in_batch(con, FAMILIES["bureau"], {"bureau": [BUREAU_ROW]}, tmp_path)) == 1


@pytest.mark.parametrize("given", ["application_train", "application_test"])
def test_one_application_file_is_enough(given: str, con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    paths = write(con, {given: [{"SK_ID_CURR": 4}]}, tmp_path)
    assert build_family(con, FAMILIES["application"], paths, tmp_path / "out.parquet") == 1


def test_label_is_not_among_the_inputs(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    family = FAMILIES["application"]
    planted = Family(family.name, family.inputs, family.contract)
    planted.__dict__["sql"] = family.sql.replace("cast(amt_credit as double) as credit", "target as credit")
    paths = write(con, {"application_train": [{"SK_ID_CURR": 4, "TARGET": 1}]}, tmp_path)
    with pytest.raises(duckdb.BinderException, match="target"):
        build_family(con, planted, paths, tmp_path / "out.parquet")


def test_missing_table_is_named(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    paths = write(con, {"bureau": []}, tmp_path)
    with pytest.raises(FeatureError, match=r"features/bureau reads raw table bureau_balance.*given: bureau"):
        build_family(con, FAMILIES["bureau"], paths, tmp_path / "out.parquet")
    with pytest.raises(FeatureError, match="neither was given"):
        build_family(con, FAMILIES["application"], paths, tmp_path / "out.parquet")


def test_missing_family_is_named(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="pos_cash"):
        join_applicant({name: tmp_path for name in FAMILIES if name != "pos_cash"}, tmp_path / "out.parquet")


def test_views_do_not_outlive_the_build(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    in_batch(con, FAMILIES["pos_cash"], {}, tmp_path)
    assert con.execute("select count(*) from duckdb_views() where not internal").fetchone() == (0,)
