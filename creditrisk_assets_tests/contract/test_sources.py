"""The contracts of the raw tables accept the published data whole, and refuse errors of unit, sign and code."""

import csv
from pathlib import Path
from typing import Any, get_args

import duckdb
import ibis
import pytest

from creditrisk_assets.contracts.check import check, parquet_relation
from creditrisk_assets.contracts.fields import Clock, Dating
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets_tests.contract.tables import put, valid_rows

# Extremes of the reference portfolio's full files: (table, column, values that must be accepted)
PUBLISHED: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("application_train", "AMT_INCOME_TOTAL", (25650.0, 117_000_000.0)),
    ("application_train", "AMT_CREDIT", (45000.0, 4_050_000.0)),
    ("application_train", "AMT_ANNUITY", (1615.5, 258025.5, None)),
    ("application_train", "AMT_GOODS_PRICE", (None,)),
    ("application_train", "CNT_CHILDREN", (0, 19)),
    ("application_test", "CNT_CHILDREN", (20,)),
    ("application_train", "CODE_GENDER", ("XNA",)),
    ("application_train", "NAME_FAMILY_STATUS", ("Unknown",)),
    ("application_train", "NAME_TYPE_SUITE", (None,)),
    ("application_train", "CNT_FAM_MEMBERS", (1.0, 20.0, None)),
    ("application_test", "CNT_FAM_MEMBERS", (21.0,)),
    ("application_train", "DAYS_BIRTH", (-25229, -7489)),
    ("application_test", "DAYS_BIRTH", (-25195, -7338)),
    ("application_train", "DAYS_EMPLOYED", (-17912, 0, 365243)),
    ("application_train", "DAYS_REGISTRATION", (-24672.0, 0.0, -3648.0)),
    ("application_train", "DAYS_ID_PUBLISH", (-7197, 0)),
    ("application_train", "DAYS_LAST_PHONE_CHANGE", (-4361.0, 0.0, None)),
    ("application_train", "OWN_CAR_AGE", (0.0, 91.0, None)),
    ("application_test", "REGION_RATING_CLIENT_W_CITY", (-1, 1, 3)),
    ("application_train", "ORGANIZATION_TYPE", ("XNA", "Trade: type 4", "Industry: type 13", "Transport: type 1")),
    ("application_train", "OCCUPATION_TYPE", ("IT staff", "HR staff", "Low-skill Laborers", None)),
    ("application_train", "OBS_30_CNT_SOCIAL_CIRCLE", (348.0, 354.0, None)),
    ("application_train", "DEF_30_CNT_SOCIAL_CIRCLE", (34.0,)),
    ("application_train", "AMT_REQ_CREDIT_BUREAU_QRT", (0.0, 261.0, None)),
    ("application_train", "AMT_REQ_CREDIT_BUREAU_MON", (27.0,)),
    ("application_train", "APARTMENTS_MEDI", (0.0, 1.0, None)),
    ("application_train", "FLAG_DOCUMENT_12", (0, 1)),
    ("bureau", "CREDIT_ACTIVE", ("Active", "Closed", "Sold", "Bad debt")),
    ("bureau", "CREDIT_CURRENCY", ("currency 1", "currency 4")),
    ("bureau", "CREDIT_TYPE", ("Interbank credit", "Mobile operator loan", "Real estate loan")),
    ("bureau", "CREDIT_TYPE", ("Loan for purchase of shares (margin lending)", "Cash loan (non-earmarked)")),
    ("bureau", "DAYS_CREDIT", (-2922, 0)),
    ("bureau", "CREDIT_DAY_OVERDUE", (0, 2792)),
    ("bureau", "DAYS_CREDIT_ENDDATE", (-42060.0, 31199.0, None)),
    ("bureau", "DAYS_ENDDATE_FACT", (-42023.0, 0.0, None)),
    ("bureau", "DAYS_CREDIT_UPDATE", (-41947, 372)),
    ("bureau", "AMT_CREDIT_SUM", (0.0, 585_000_000.0, None)),
    ("bureau", "AMT_CREDIT_SUM_DEBT", (-4_705_600.32, 170_100_000.0, None)),
    ("bureau", "AMT_CREDIT_SUM_LIMIT", (-586_406.11, 4_705_600.32, None)),
    ("bureau", "AMT_CREDIT_MAX_OVERDUE", (0.0, 115_987_185.0, None)),
    ("bureau", "AMT_CREDIT_SUM_OVERDUE", (0.0, 3_756_681.0)),
    ("bureau", "CNT_CREDIT_PROLONG", (0, 9)),
    ("bureau", "AMT_ANNUITY", (0.0, 118_453_423.5, None)),
    ("bureau_balance", "STATUS", ("C", "X", "0", "5")),
    ("bureau_balance", "MONTHS_BALANCE", (-96, 0)),
    ("previous_application", "NAME_CONTRACT_TYPE", ("XNA",)),
    ("previous_application", "AMT_APPLICATION", (0.0, 6_905_160.0)),
    ("previous_application", "AMT_CREDIT", (6_905_160.0, None)),
    ("previous_application", "AMT_DOWN_PAYMENT", (-0.9, 3_060_045.0, None)),
    ("previous_application", "RATE_DOWN_PAYMENT", (-1.5e-05, 1.0, None)),
    ("previous_application", "RATE_INTEREST_PRIVILEGED", (0.37, 1.0)),
    ("previous_application", "SELLERPLACE_AREA", (-1, 4_000_000)),
    ("previous_application", "CNT_PAYMENT", (0.0, 84.0, None)),
    ("previous_application", "DAYS_DECISION", (-2922, -1)),
    ("previous_application", "DAYS_FIRST_DRAWING", (-2922.0, 365243.0, None)),
    ("previous_application", "DAYS_LAST_DUE_1ST_VERSION", (-2801.0, 2389.0, 365243.0)),
    ("previous_application", "DAYS_TERMINATION", (-2874.0, -2.0, 365243.0)),
    (
        "previous_application",
        "NAME_CASH_LOAN_PURPOSE",
        ("Refusal to name the goal", "Money for a third person", "Hobby"),
    ),
    ("previous_application", "NAME_CASH_LOAN_PURPOSE", ("Gasification / water supply", "Buying a holiday home / land")),
    ("previous_application", "NAME_GOODS_CATEGORY", ("Animals", "House Construction", "Weapon", "XNA")),
    ("previous_application", "PRODUCT_COMBINATION", ("POS others without interest", None)),
    ("pos_cash_balance", "NAME_CONTRACT_STATUS", ("XNA", "Approved", "Canceled", "Demand", "Returned to the store")),
    ("pos_cash_balance", "CNT_INSTALMENT", (1.0, 92.0, None)),
    ("pos_cash_balance", "CNT_INSTALMENT_FUTURE", (0.0, 85.0, None)),
    ("pos_cash_balance", "SK_DPD", (4231,)),
    ("pos_cash_balance", "SK_DPD_DEF", (3595,)),
    ("installments_payments", "NUM_INSTALMENT_VERSION", (0.0, 178.0)),
    ("installments_payments", "NUM_INSTALMENT_NUMBER", (1, 277)),
    ("installments_payments", "DAYS_INSTALMENT", (-2922.0, -1.0)),
    ("installments_payments", "DAYS_ENTRY_PAYMENT", (-4921.0, -1.0, None)),
    ("installments_payments", "AMT_INSTALMENT", (0.0, 3_771_487.845)),
    ("installments_payments", "AMT_PAYMENT", (0.0, 3_771_487.845, None)),
    ("credit_card_balance", "AMT_BALANCE", (-420_250.185, 1_505_902.185)),
    ("credit_card_balance", "AMT_DRAWINGS_ATM_CURRENT", (-6_827.31, 2_115_000.0, None)),
    ("credit_card_balance", "AMT_DRAWINGS_CURRENT", (-6_211.62, 2_287_098.315)),
    ("credit_card_balance", "AMT_PAYMENT_CURRENT", (0.0, 4_289_207.445, None)),
    ("credit_card_balance", "AMT_RECEIVABLE_PRINCIPAL", (-423_305.82, 1_472_316.795)),
    ("credit_card_balance", "AMT_CREDIT_LIMIT_ACTUAL", (0, 1_350_000)),
    ("credit_card_balance", "CNT_DRAWINGS_CURRENT", (165,)),
    ("credit_card_balance", "CNT_INSTALMENT_MATURE_CUM", (120.0, None)),
    ("credit_card_balance", "NAME_CONTRACT_STATUS", ("Demand", "Approved", "Refused", "Sent proposal")),
    ("credit_card_balance", "SK_DPD", (3260,)),
)

# Errors of unit, sign, shift or code: (table, column, value, the rule that must say so)
ERRORS: tuple[tuple[str, str, Any, str], ...] = (
    ("application_train", "DAYS_BIRTH", 12000, "maximum"),
    ("application_train", "DAYS_BIRTH", -35, "maximum"),  # years
    ("application_train", "DAYS_EMPLOYED", 5, "range_or_sentinel"),
    ("application_train", "DAYS_EMPLOYED", 365242, "range_or_sentinel"),
    ("application_train", "EXT_SOURCE_2", 56.0, "maximum"),  # per cent
    ("application_train", "EXT_SOURCE_2", -0.1, "minimum"),
    ("application_train", "EXT_SOURCE_3", float("nan"), "finite"),
    ("application_train", "AMT_INCOME_TOTAL", float("inf"), "finite"),
    ("application_train", "AMT_INCOME_TOTAL", -1.0, "minimum"),
    ("application_train", "AMT_CREDIT", None, "not_null"),
    ("application_train", "TARGET", 2, "category"),
    ("application_train", "TARGET", None, "not_null"),
    ("application_train", "CODE_GENDER", "female", "category"),
    ("application_train", "HOUR_APPR_PROCESS_START", 24, "maximum"),
    ("application_train", "FLAG_DOCUMENT_3", 2, "category"),
    ("application_train", "COMMONAREA_MODE", 1.5, "maximum"),
    ("bureau", "DAYS_CREDIT", 10, "maximum"),
    ("bureau", "AMT_CREDIT_SUM", -1.0, "minimum"),
    ("bureau", "CREDIT_ACTIVE", "Open", "category"),
    ("bureau_balance", "STATUS", "6", "category"),
    ("bureau_balance", "STATUS", "c", "category"),
    ("bureau_balance", "MONTHS_BALANCE", 3, "maximum"),
    ("previous_application", "DAYS_DECISION", 100, "maximum"),
    ("previous_application", "DAYS_TERMINATION", 365242.0, "range_or_sentinel"),
    ("previous_application", "NAME_CONTRACT_STATUS", "APPROVED", "category"),
    ("pos_cash_balance", "SK_DPD", -1, "minimum"),
    ("installments_payments", "DAYS_ENTRY_PAYMENT", 12.0, "maximum"),
    ("installments_payments", "AMT_PAYMENT", -5.0, "minimum"),
    ("credit_card_balance", "CNT_DRAWINGS_CURRENT", -1, "minimum"),
)


@pytest.mark.parametrize("table", SOURCES)
def test_published_extremes_are_accepted(table: str, con: duckdb.DuckDBPyConnection) -> None:
    contract = SOURCES[table]
    cases = [(column, value) for name, column, values in PUBLISHED if name == table for value in values]
    rows = valid_rows(contract, len(cases))
    for row, (column, value) in zip(rows, cases, strict=True):
        row[column] = value
    put(con, contract, rows)
    report = check(con, "subject", contract)
    assert (report.failures, report.warnings) == ((), ()), report.summary()


@pytest.mark.parametrize(("table", "column", "value", "rule"), ERRORS)
def test_errors_of_unit_sign_and_code_are_refused(
    table: str, column: str, value: Any, rule: str, con: duckdb.DuckDBPyConnection
) -> None:
    contract = SOURCES[table]
    rows = valid_rows(contract)
    rows[1][column] = value
    put(con, contract, rows)
    report = check(con, "subject", contract)
    assert (rule, column) in {(result.rule, result.column) for result in report.failures}, report.summary()
    assert {result.column for result in report.failures} == {column}


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("application_train", 122),
        ("application_test", 121),
        ("bureau", 17),
        ("bureau_balance", 3),
        ("previous_application", 37),
        ("pos_cash_balance", 8),
        ("installments_payments", 8),
        ("credit_card_balance", 23),
    ],
)
def test_columns_are_those_of_the_file_in_its_order(table: str, columns: int, portfolio: Path) -> None:
    contract = SOURCES[table]
    with (portfolio / f"{contract.stem}.csv").open(newline="") as stream:
        header = next(csv.reader(stream))
    assert [column.name for column in contract.columns] == header
    assert len(header) == columns


def test_both_application_files_share_one_declaration_but_the_label() -> None:
    train, test = SOURCES["application_train"].columns, SOURCES["application_test"].columns
    assert train[1].name == "TARGET"
    assert (train[0], *train[2:]) == test


@pytest.mark.parametrize("table", SOURCES)
def test_every_column_says_what_it_is(table: str) -> None:
    contract = SOURCES[table]
    for column in contract.columns:
        assert len(column.description) > 3, column.name
        assert column.unit, column.name
        assert column.dating in get_args(Dating), column.name
        assert (column.dating == "outcome") is (column.name == "TARGET")
        assert column.type != "str" or column.categories or column.known_categories, column.name
        assert column.type == "str" or column.categories or column.minimum is not None, column.name
    assert contract.grain.startswith("one row per")
    assert contract.title
    assert contract.schema.strict is True


def test_protected_characteristics_are_marked() -> None:
    marked = {
        (table, column.name) for table, contract in SOURCES.items() for column in contract.columns if column.protected
    }
    protected = {"CODE_GENDER", "NAME_FAMILY_STATUS", "DAYS_BIRTH"}
    assert marked == {(table, column) for table in ("application_train", "application_test") for column in protected}


def test_parents_are_ingested_before_their_children() -> None:
    order = list(SOURCES)
    for position, contract in enumerate(SOURCES.values()):
        assert all(order.index(parent) < position for parent in contract.parents), contract.table


@pytest.mark.filterwarnings(
    "ignore:fetch_(arrow_table|record_batch).. is deprecated:DeprecationWarning"
)  # ibis 12 on DuckDB 1.5
def test_the_sample_portfolio_obeys_every_contract_and_pandera_agrees(
    portfolio: Path, tmp_path: Path, con: duckdb.DuckDBPyConnection
) -> None:
    relations = {}
    for table, contract in SOURCES.items():
        types = {column.name: column.sql_type for column in contract.columns}
        source, out = portfolio / f"{contract.stem}.csv", tmp_path / f"{table}.parquet"
        con.execute(f"copy (from read_csv('{source}', header=true, columns={types})) to '{out}' (format parquet)")
        relations[table] = parquet_relation(out)
    for table, contract in SOURCES.items():
        report = check(con, relations[table], contract, parents=relations)
        assert report.passed, report.summary()
    small = ibis.duckdb.from_connection(con)
    for table in ("bureau", "bureau_balance", "pos_cash_balance", "installments_payments"):
        SOURCES[table].model.validate(small.read_parquet(tmp_path / f"{table}.parquet"))


def test_every_history_says_which_date_is_the_rows_own() -> None:
    for table, contract in SOURCES.items():
        if table.startswith("application_"):
            assert contract.dated_by is None
            continue
        assert contract.dated_by is not None, table
        own = contract.column(contract.dated_by)
        assert (own.dating, own.nullable) == ("event", False), table
        assert own.clock in get_args(Clock), table


@pytest.mark.parametrize("table", SOURCES)
def test_dates_are_told_from_spans_of_time(table: str) -> None:
    contract = SOURCES[table]
    for column in contract.columns:
        is_date = column.name.startswith(("DAYS_", "MONTHS_"))
        assert (column.clock is not None) is is_date, column.name
        assert column.clock is None or (column.clock == column.unit and column.dating != "key"), column.name
        assert column.pending is None or (column.dating == "event" and column.pending in column.sentinels), column.name
        assert column.known_from is None or contract.column(column.known_from).dating == "event", column.name
        if column.dating == "event" and column.clock:  # an event lies in the past, or has its code
            assert column.maximum is not None
            assert column.maximum <= 0, column.name
    assert set(contract.settles) <= {column.name for column in contract.columns if column.dating == "key"}
