"""Views of the past stop at the point to the day, and a record dated after the application is found whatever its column."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import ColumnSpec
from creditrisk_assets.features.as_of import AsOfError, FutureRecords, days_of, future_records, known_before, view
from creditrisk_assets.features.engine import build_family, input_views, statement
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.lineage import lineage
from creditrisk_assets.features.statement import family_select
from creditrisk_assets_tests.contract.tables import put, valid_rows
from creditrisk_assets_tests.features.tables import records, write

EVENT_DATES = [
    (table, column)
    for table, contract in SOURCES.items()
    for column in contract.columns
    if column.clock and column.dating == "event"
]


def seen(con: duckdb.DuckDBPyConnection, table: str, row: dict[str, Any], as_of: int) -> list[dict[str, Any]]:
    contract = SOURCES[table]
    put(con, contract, [row])
    cursor = con.execute(view(contract, contract.columns, "subject", as_of))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def test_a_month_is_30_4375_days_and_sums_are_rounded_half_up() -> None:
    assert [days_of(months) for months in range(9)] == [0, 30, 61, 91, 122, 152, 183, 213, 244]  # 8 months: 243.5
    assert [days_of(months) for months in (12, 24, 96)] == [365, 731, 2922]


@pytest.mark.parametrize(
    ("table", "row", "there"),
    [
        ("bureau", {"DAYS_CREDIT": -183}, True),
        ("bureau", {"DAYS_CREDIT": -182}, False),
        ("previous_application", {"DAYS_DECISION": -183}, True),
        ("previous_application", {"DAYS_DECISION": -182}, False),
        ("installments_payments", {"DAYS_INSTALMENT": -183}, True),
        ("installments_payments", {"DAYS_INSTALMENT": -182}, False),
        ("bureau_balance", {"MONTHS_BALANCE": -7}, True),
        ("bureau_balance", {"MONTHS_BALANCE": -6}, False),  # the month of the point itself is not over
        ("pos_cash_balance", {"MONTHS_BALANCE": -6}, False),
        ("credit_card_balance", {"MONTHS_BALANCE": -7}, True),
        ("application_test", {"DAYS_BIRTH": -10}, True),  # an applicant is there at any time
    ],
)
def test_a_row_stays_if_its_own_date_had_come(
    table: str, row: dict[str, Any], there: bool, con: duckdb.DuckDBPyConnection
) -> None:
    assert bool(seen(con, table, row, 6)) is there


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        ("bureau", {"DAYS_CREDIT": -183}, "DAYS_CREDIT", 0),
        ("bureau", {"DAYS_CREDIT": -400, "DAYS_ENDDATE_FACT": -183.0}, "DAYS_ENDDATE_FACT", 0),
        ("bureau", {"DAYS_CREDIT": -400, "DAYS_ENDDATE_FACT": -182.0}, "DAYS_ENDDATE_FACT", None),
        ("bureau", {"DAYS_CREDIT": -400, "DAYS_CREDIT_ENDDATE": -10.0}, "DAYS_CREDIT_ENDDATE", 173),
        ("bureau", {"DAYS_CREDIT": -400, "CREDIT_ACTIVE": "Closed"}, "CREDIT_ACTIVE", None),
        ("bureau", {"DAYS_CREDIT": -400, "DAYS_CREDIT_UPDATE": -390}, "DAYS_CREDIT_UPDATE", None),
        ("bureau", {"DAYS_CREDIT": -400, "CREDIT_TYPE": "Mortgage"}, "CREDIT_TYPE", "Mortgage"),
        ("bureau_balance", {"MONTHS_BALANCE": -7}, "MONTHS_BALANCE", -1),
        ("previous_application", {"DAYS_DECISION": -400, "DAYS_TERMINATION": -200.0}, "DAYS_TERMINATION", -17),
        ("previous_application", {"DAYS_DECISION": -400, "DAYS_TERMINATION": -100.0}, "DAYS_TERMINATION", 365243),
        ("previous_application", {"DAYS_DECISION": -400, "DAYS_TERMINATION": 365243.0}, "DAYS_TERMINATION", 365243),
        ("previous_application", {"DAYS_DECISION": -400, "DAYS_TERMINATION": None}, "DAYS_TERMINATION", None),
        ("previous_application", {"DAYS_DECISION": -400, "DAYS_LAST_DUE_1ST_VERSION": 10.0},
         "DAYS_LAST_DUE_1ST_VERSION", 193),
        ("previous_application", {"DAYS_DECISION": -400, "DAYS_LAST_DUE_1ST_VERSION": 365243.0},
         "DAYS_LAST_DUE_1ST_VERSION", 365243),
        ("previous_application", {"DAYS_DECISION": -400, "FLAG_LAST_APPL_PER_CONTRACT": "N"},
         "FLAG_LAST_APPL_PER_CONTRACT", None),
        ("installments_payments", {"DAYS_INSTALMENT": -200, "DAYS_ENTRY_PAYMENT": -183.0, "AMT_PAYMENT": 5.0},
         "AMT_PAYMENT", 5.0),
        ("installments_payments", {"DAYS_INSTALMENT": -200, "DAYS_ENTRY_PAYMENT": -182.0, "AMT_PAYMENT": 5.0},
         "AMT_PAYMENT", None),
        ("pos_cash_balance", {"MONTHS_BALANCE": -8, "CNT_INSTALMENT_FUTURE": 5.0}, "CNT_INSTALMENT_FUTURE", 5.0),
        ("application_test", {"DAYS_BIRTH": -10000}, "DAYS_BIRTH", -9817),
        ("application_test", {"DAYS_EMPLOYED": -100}, "DAYS_EMPLOYED", None),
        ("application_test", {"DAYS_EMPLOYED": 365243}, "DAYS_EMPLOYED", None),  # a state of the application day
        ("application_test", {"AMT_CREDIT": 5.0}, "AMT_CREDIT", None),
        ("application_train", {"TARGET": 1}, "TARGET", None),
    ],
)  # fmt: skip
def test_a_cell_shows_what_was_known(
    table: str, row: dict[str, Any], column: str, value: Any, con: duckdb.DuckDBPyConnection
) -> None:
    (found,) = seen(con, table, row, 6)
    assert found[column] == value


@pytest.mark.parametrize("table", SOURCES)
def test_a_view_has_the_tables_columns_and_types(table: str, con: duckdb.DuckDBPyConnection) -> None:
    contract = SOURCES[table]
    put(con, contract, [])
    described = con.execute(f"describe {view(contract, contract.columns, 'subject', 3)}").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == [(c.name, c.sql_type) for c in contract.columns]


@pytest.mark.parametrize("months", [0, -1])
def test_a_point_that_is_not_before_the_application_is_refused(months: int) -> None:
    with pytest.raises(AsOfError, match="give whole months before the application"):
        view(SOURCES["bureau"], SOURCES["bureau"].columns, "subject", months)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_as_of_the_application_day_nothing_stands_between_the_table_and_the_sql(name: str) -> None:
    family = FAMILIES[name]
    assert statement(family) == family_select(family.sql, family.columns)
    for select in input_views(family, {table: Path(table) for table in family.inputs}, str).values():
        assert " case " not in select
        assert " where " not in select


def test_a_feature_of_a_snapshot_is_unknown_before_the_application(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    tables = {"bureau": [{"SK_ID_CURR": 1, "SK_ID_BUREAU": 1, "DAYS_CREDIT": -900, "CREDIT_ACTIVE": "Active"}],
              "bureau_balance": []}  # fmt: skip
    family = FAMILIES["bureau"]
    build_family(con, family, write(con, tables, tmp_path), tmp_path / "out.parquet", as_of=6)
    (row,) = records(con, tmp_path / "out.parquet")
    assert row["bureau__credits_count"] == 1
    assert row["bureau__opened_days_min"] == 717
    assert row["bureau__active_credits_count"] is None  # a naive view would give 0


def test_features_made_of_dates_alone_are_known_before() -> None:
    known = {name for family in FAMILIES.values() for name in known_before(lineage(family))}
    assert {"application__age_days", "bureau__credits_count", "installments__instalments_count"} <= known
    assert not {"application__credit_amt", "bureau__debt_amt_sum", "bureau__active_credits_count"} & known


@pytest.mark.parametrize(("table", "column"), EVENT_DATES, ids=[f"{t}-{c.name}" for t, c in EVENT_DATES])
def test_one_record_dated_after_the_application_is_found(
    table: str, column: ColumnSpec, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = valid_rows(SOURCES[table], 5)
    paths = write(con, {table: rows}, tmp_path)
    assert future_records(con, [table], paths) == ()
    rows[3][column.name] = 1
    ((found),) = future_records(con, [table], write(con, {table: rows}, tmp_path))
    assert (found.table, found.column, found.records, found.latest) == (table, column.name, 1, 1.0)
    assert len(found.sample_keys) == 1


def test_codes_and_plans_may_lie_ahead_and_a_table_that_is_not_given_is_left_out(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    row = {"SK_ID_PREV": 1, "DAYS_TERMINATION": 365243.0, "DAYS_LAST_DUE_1ST_VERSION": 900.0}
    paths = write(con, {"previous_application": [row], "bureau": [{"DAYS_CREDIT_ENDDATE": 31000.0}]}, tmp_path)
    assert future_records(con, ["previous_application", "bureau", "bureau_balance"], paths) == ()
    assert future_records(con, [], {}) == ()


def test_keys_of_records_after_the_application_are_at_most_twenty(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = [{"SK_ID_BUREAU": number, "DAYS_CREDIT": number % 2} for number in range(100, 160)]
    (found,) = future_records(con, ["bureau"], write(con, {"bureau": rows}, tmp_path))
    assert found == FutureRecords(
        "bureau", "DAYS_CREDIT", 30, 1.0, tuple(f"SK_ID_BUREAU={number}" for number in range(101, 141, 2))
    )
