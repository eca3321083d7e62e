"""DuckDB and Spark compute the same features from the same text, and check the same contracts with the same report."""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pandera.ibis as pa
import pytest
import yaml

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.render import spark as spark_sql
from creditrisk_assets.contracts.render import sql
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.spark import SparkTables
from creditrisk_assets.contracts.table import TableContract
from creditrisk_assets.features import engine, spark
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.files import FeatureError
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.lake import sha256_file
from creditrisk_assets_tests.contract.tables import put, valid_rows
from creditrisk_assets_tests.contract.test_oracle import KINDS, NAN
from creditrisk_assets_tests.features import tables as given_expect
from creditrisk_assets_tests.features.tables import typed, write
from creditrisk_assets_tests.property.histories import recent_tables
from creditrisk_assets_tests.serving.portfolio import draw_portfolio, write_raw
from creditrisk_serving.batches import features

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.skipif(spark.missing() is not None, reason=f"Spark: {spark.missing()}")

TOLERANCE = "1e-9"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    with spark.session("local[2]", memory="1GB", directory=tmp_path_factory.mktemp("spill")) as found:
        yield found


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


@pytest.fixture(scope="module")
def raw(con: duckdb.DuckDBPyConnection, portfolio: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return typed(con, portfolio, tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def few(
    con: duckdb.DuckDBPyConnection, raw: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The tables of one applicant in four."""
    directory = tmp_path_factory.mktemp("few")
    applicants = "SK_ID_CURR % 4 = 0"
    of_them = f"SK_ID_BUREAU in (select SK_ID_BUREAU from '{raw['bureau']}' where {applicants})"
    for name, path in raw.items():
        chosen = of_them if name == "bureau_balance" else applicants
        con.execute(f"copy (from '{path}' where {chosen}) to '{directory / path.name}' (format parquet)")
    return {name: directory / path.name for name, path in raw.items()}


@cache
def edges(name: str) -> dict[str, list[Row]]:
    """The edge rows of a family's given/expect file, each scenario with keys of its own, and drawn rows with ties and NULLs.

    Keys are large and fall while the rows go on, so that the order of the result is not that of the input.
    """
    scenarios = yaml.safe_load((Path(given_expect.__file__).parent / f"{name}.yaml").read_text("utf-8")).values()
    drawn = recent_tables(name, random.Random(11), applicants=100, rows=1000)
    parts = [*(scenario["given"] for scenario in scenarios), drawn]
    made: dict[str, list[Row]] = {table: [] for table in FAMILIES[name].inputs}
    for place, tables in enumerate(parts):
        shift = 9_000_000_000 - 1_000_000 * place
        for table, rows in tables.items():
            keys = ("SK_ID_CURR", "SK_ID_PREV", "SK_ID_BUREAU")
            moved = [row | {key: row[key] + shift for key in keys if key in row} for row in rows]
            made["application_test" if table == "application" else table] += moved
    return made


def assert_same(con: duckdb.DuckDBPyConnection, one: Path, other: Path) -> None:
    """Same columns of the same types, same keys in the same order, same values but for the last digits; NaN equals NaN."""
    columns = con.execute(f"describe from '{one}'").fetchall()
    assert columns == con.execute(f"describe from '{other}'").fetchall()
    keys = [con.execute(f"select sk_id_curr from '{path}'").fetchall() for path in (one, other)]
    assert keys[0] == keys[1]
    different = []
    for column, kind, *_ in columns:
        near = f"abs(a.{column} - b.{column}) <= {TOLERANCE} * greatest(abs(a.{column}), abs(b.{column}))"
        same = f"a.{column} is not distinct from b.{column}"
        different.append(f"count(*) filter (not coalesce({same}{f' or {near}' if kind == 'DOUBLE' else ''}, false))")
    counts = con.execute(
        f"select {', '.join(different)} from '{one}' as a join '{other}' as b using (sk_id_curr)"
    ).fetchone()
    assert {column[0]: count for column, count in zip(columns, counts, strict=True) if count} == {}


def with_edges(con: duckdb.DuckDBPyConnection, name: str, raw: Mapping[str, Path], directory: Path) -> dict[str, Path]:
    """A portfolio's tables of a family with the edge rows among them: a build of both takes Spark half the time of two."""
    edge = write(con, edges(name), directory)
    paths = {}
    for table in FAMILIES[name].inputs:
        paths[table] = directory / f"with_{table}.parquet"
        both = ", ".join(f"'{path}'" for path in (raw[table], edge.get(table)) if path is not None)
        con.execute(f"copy (from read_parquet([{both}], union_by_name = true)) to '{paths[table]}' (format parquet)")
    return paths


@pytest.mark.parametrize("name", list(FAMILIES))
def test_the_sample_portfolio_and_edge_cases_are_equal_and_two_builds_are_one_hash(
    name: str, session: "SparkSession", con: duckdb.DuckDBPyConnection, few: dict[str, Path], tmp_path: Path
) -> None:
    tables = with_edges(con, name, few, tmp_path)
    made = tmp_path / "made"
    made.mkdir()
    paths = {which: made / f"{which}.parquet" for which in ("duckdb", "spark", "again")}
    rows = engine.build_family(con, FAMILIES[name], tables, paths["duckdb"])
    assert rows > 200
    assert con.execute(f"select count(*) > 50 from '{paths['duckdb']}' where sk_id_curr > 1e9").fetchone() == (True,)
    assert spark.build_family(session, con, FAMILIES[name], tables, paths["spark"]) == rows
    assert_same(con, paths["duckdb"], paths["spark"])
    con.execute(
        f"copy (from '{paths['spark']}' where sk_id_curr < 1e9) to '{tmp_path / 'few.parquet'}' (format parquet)"
    )
    by_duckdb, by_spark = reports_of(con, session, tmp_path / "few.parquet", FAMILIES[name].contract)
    assert by_duckdb == by_spark
    assert by_spark["passed"]
    session.conf.set("spark.sql.shuffle.partitions", 3)  # rows arrive in another order
    try:
        spark.build_family(session, con, FAMILIES[name], tables, paths["again"])
    finally:
        session.conf.set("spark.sql.shuffle.partitions", 2)
    assert sha256_file(paths["spark"]) == sha256_file(paths["again"])
    assert {path.name for path in made.iterdir()} == {"duckdb.parquet", "spark.parquet", "again.parquet"}


@pytest.mark.parametrize("name", list(FAMILIES))
def test_the_past_is_equal(name: str, session: "SparkSession", con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    tables = write(con, edges(name), tmp_path)
    rows = engine.build_family(con, FAMILIES[name], tables, tmp_path / "duckdb.parquet", as_of=6)
    assert rows > 50
    assert spark.build_family(session, con, FAMILIES[name], tables, tmp_path / "spark.parquet", as_of=6) == rows
    assert_same(con, tmp_path / "duckdb.parquet", tmp_path / "spark.parquet")


@pytest.mark.parametrize("name", ["bureau", "pos_cash"])
def test_an_empty_history_is_no_row(
    name: str, session: "SparkSession", con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    tables = write(con, {table: [] for table in FAMILIES[name].inputs}, tmp_path)
    assert spark.build_family(session, con, FAMILIES[name], tables, tmp_path / "spark.parquet") == 0
    engine.build_family(con, FAMILIES[name], tables, tmp_path / "duckdb.parquet")
    assert_same(con, tmp_path / "duckdb.parquet", tmp_path / "spark.parquet")


def test_a_missing_table_is_named_and_nothing_stays_behind(
    session: "SparkSession", con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    tables = write(con, {"bureau": []}, tmp_path)
    with pytest.raises(FeatureError, match="features/bureau reads raw table bureau_balance"):
        spark.build_family(session, con, FAMILIES["bureau"], tables, tmp_path / "out.parquet")
    assert session.catalog.listTables() == []


def reports_of(
    con: duckdb.DuckDBPyConnection,
    session: "SparkSession",
    path: Path,
    contract: TableContract,
    parents: Mapping[str, Path] | None = None,
) -> tuple[Row, Row]:
    """What the two engines report of one table."""
    given = dict(parents or {})
    by_duckdb = check(con, sql.parquet(path), contract, parents={t: sql.parquet(p) for t, p in given.items()})
    by_spark = check(
        SparkTables(session),
        spark_sql.parquet(path),
        contract,
        parents={t: spark_sql.parquet(p) for t, p in given.items()},
    )
    assert by_spark.results == by_duckdb.results
    return by_duckdb.to_dict(), by_spark.to_dict()


@pytest.mark.parametrize("table", SOURCES)
def test_contracts_of_the_sample_portfolio_are_checked_alike(
    table: str, session: "SparkSession", con: duckdb.DuckDBPyConnection, raw: dict[str, Path]
) -> None:
    by_duckdb, by_spark = reports_of(con, session, raw[table], SOURCES[table], raw)
    assert by_duckdb == by_spark
    assert by_spark["passed"]


def stored(con: duckdb.DuckDBPyConnection, contract: TableContract, rows: Sequence[Row], path: Path) -> Path:
    put(con, contract, rows)
    con.execute(f"copy subject to '{path}' (format parquet)")
    return path


@pytest.mark.parametrize("is_broken", [False, True])
def test_every_kind_of_rule_is_decided_alike(
    is_broken: bool, session: "SparkSession", con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    columns = {f"X{place}": kind for place, kind in enumerate(KINDS.values())}
    body: Row = {"__annotations__": {"ID": int} | {name: kind.dtype for name, kind in columns.items()}}
    body |= {"ID": f.key("key")} | {name: kind.field() for name, kind in columns.items()}
    body["Config"] = type("Config", (), {"strict": True, "unique": ("ID",)})
    contract = TableContract(table="subject", model=type(pa.DataFrameModel)("Subject", (pa.DataFrameModel,), body))
    rows = [
        {"ID": number} | {name: kind.good[number % len(kind.good)] for name, kind in columns.items()}
        for number in range(6)
    ]
    if is_broken:
        rows += [{"ID": 6 + number} | {name: kind.bad for name, kind in columns.items()} for number in range(25)]
    by_duckdb, by_spark = reports_of(con, session, stored(con, contract, rows, tmp_path / "t.parquet"), contract)
    assert by_duckdb == by_spark
    found = {result["column"] for result in by_spark["results"] if result["failed"]}
    assert found == (set(columns) if is_broken else set())


def test_broken_tables_are_reported_alike(
    session: "SparkSession", con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    contract = SOURCES["bureau"]
    rows = valid_rows(contract, 60)
    rows[3] |= {"AMT_CREDIT_SUM": NAN, "DAYS_CREDIT": 9, "CREDIT_TYPE": "it's new"}
    rows[4] |= {"CREDIT_ACTIVE": None, "SK_ID_CURR": None}
    parents = {
        table: stored(con, SOURCES[table], valid_rows(SOURCES[table], count), tmp_path / f"{table}.parquet")
        for table, count in (("application_train", 20), ("application_test", 30))
    }
    doubled = stored(con, contract, [*rows, *rows[:30], rows[0]], tmp_path / "doubled.parquet")
    by_duckdb, by_spark = reports_of(con, session, doubled, contract, parents)
    assert by_duckdb == by_spark
    broken = {result["rule"] for result in by_spark["results"] if result["failed"]}
    assert broken == {"unique_key", "finite", "maximum", "vocabulary", "not_null", "orphans"}

    put(con, contract, rows)
    con.execute("alter table subject drop column AMT_ANNUITY")
    con.execute("alter table subject alter column CREDIT_DAY_OVERDUE type varchar")
    con.execute("alter table subject add column EXTRA date")
    con.execute(f"copy subject to '{tmp_path / 'altered.parquet'}' (format parquet)")
    by_duckdb, by_spark = reports_of(con, session, tmp_path / "altered.parquet", contract)
    assert by_duckdb == by_spark
    assert {"missing_column", "column_type", "unknown_column"} <= {r["rule"] for r in by_spark["results"]}

    empty = stored(con, SOURCES["application_train"], [], tmp_path / "empty.parquet")
    by_duckdb, by_spark = reports_of(con, session, empty, SOURCES["application_train"], parents)
    assert by_duckdb == by_spark

    both = stored(con, SOURCES["application_test"], valid_rows(SOURCES["application_test"], 30), tmp_path / "b.parquet")
    by_duckdb, by_spark = reports_of(con, session, both, SOURCES["application_test"], parents)
    assert by_duckdb == by_spark
    assert "exclusion" in {result["rule"] for result in by_spark["results"] if result["failed"]}


def test_a_family_of_a_batch_is_the_same_file(
    session: "SparkSession", con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    family = FAMILIES["pos_cash"]
    plan = render_plan({"pos_cash": family})
    bundle: Any = SimpleNamespace(plan=plan, needed_names=[name for name, _ in family.columns])
    typed = {"pos_cash_balance": [write_raw(draw_portfolio(seed=8), tmp_path)["pos_cash_balance"]]}
    accepted, paths = tmp_path / "accepted.parquet", [tmp_path / "duckdb.parquet", tmp_path / "spark.parquet"]
    con.execute(f"copy (select unnest(range(100001, 100061)) as id, true as sent) to '{accepted}'")
    for path, by in zip(paths, (None, session), strict=True):
        assert features.compute_family(con, bundle, "pos_cash", typed, accepted, path, by) == []
    assert con.execute(f"select count(*), max(sk_id_curr) from '{paths[0]}'").fetchone() == (45, 100059)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_value_that_spark_refuses_is_laid_at_its_applicants_door(
    session: "SparkSession", con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    columns = [{"name": "SK_ID_CURR", "sql_type": "BIGINT"}, {"name": "AMT_CREDIT", "sql_type": "DOUBLE"}]
    sql = "select sk_id_curr, cast(round(amt_credit) as integer) as application__credit_amt from application"
    family = {"inputs": ["application"], "sql": sql, "columns": [["application__credit_amt", "BIGINT"]]}
    bundle: Any = SimpleNamespace(
        plan={"families": {"application": family}, "tables": {"application": {"columns": columns}}},
        needed_names=["application__credit_amt"],
    )
    paths = {name: tmp_path / f"{name}.parquet" for name in ("rows", "accepted", "one", "other")}
    values = "(values (1::bigint, 10.4), (2, 1e12), (3, 2.5), (4, 9)) as t (k, v)"
    con.execute(f"copy (select k as SK_ID_CURR, v::double as AMT_CREDIT from {values}) to '{paths['rows']}'")
    con.execute(f"copy (select k as id, true as sent from {values} where k < 4) to '{paths['accepted']}'")
    typed = {"application": [paths["rows"]]}
    lost = features.compute_family(con, bundle, "application", typed, paths["accepted"], paths["one"], session)
    assert lost == [2]
    assert con.execute(f"from '{paths['one']}'").fetchall() == [(1, 10), (3, 3)]

    con.execute(f"copy (from '{paths['accepted']}' where id <> 2) to '{paths['accepted']}'")
    assert features.compute_family(con, bundle, "application", typed, paths["accepted"], paths["other"], session) == []
    assert paths["one"].read_bytes() == paths["other"].read_bytes()


def test_what_else_fails_in_spark_is_no_applicants_fault_and_quotes_nothing(session: "SparkSession") -> None:
    with pytest.raises(spark.SparkFailedError, match=r"^Spark could not go on \(\w+\)$"), spark.in_words():
        session.sql("select raise_error('a value of somebody')").collect()
    with pytest.raises(spark.ValueRefusedError), spark.in_words():
        session.sql("select cast(id * 1e12 as int) from range(1, 3)").collect()
