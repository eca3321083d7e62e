"""Rows that break a rule on rows are set aside and accounted for; the rest is published, or nothing is."""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.quarantine import CONTRACT
from creditrisk_assets.contracts.relaxations import Relaxation, Relaxations
from creditrisk_assets.contracts.report import ContractReport, Profile
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.ingestion.quarantine import Accounting, AccountingError
from creditrisk_assets_tests.contract.tables import valid_rows
from creditrisk_assets_tests.unit.ingestion.quarantined import PAYMENT, Taken, payments, take, write_csv

TODAY = datetime.date(2026, 1, 15)
BALANCE = SOURCES["bureau_balance"]
SECRET = "-98765.25"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


def taken(
    con: duckdb.DuckDBPyConnection, directory: Path, changes: dict[int, dict[str, str]], **given: object
) -> Taken:
    path = write_csv(directory / "installments_payments.csv", payments(10, changes))
    return take(con, directory / "work", {"base": path}, **given)


def without(con: duckdb.DuckDBPyConnection, directory: Path, *numbers: int) -> bytes:
    """The bytes of the table whose file never held some of the ten rows."""
    rows = [row for number, row in enumerate(payments(10)) if number not in numbers]
    clean = take(con, directory / "clean", {"base": write_csv(directory / "clean.csv", rows)})
    assert clean.set_aside == []
    return clean.published.read_bytes()


def warned(report: ContractReport) -> list[tuple[str, str | None, int]]:
    return [(result.rule, result.column, result.failed) for result in report.warnings if result.row_level]


def test_a_clean_table_is_only_checked_once_and_moved(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    clean = taken(con, tmp_path, {}, budget=0.0)
    assert clean.settled.accounting == Accounting(10, 10, 0, 0.0, {})
    assert len(clean.judged) == 1
    assert clean.report.passed
    assert clean.set_aside == []
    assert check(con, f"read_parquet('{clean.quarantined}')", CONTRACT).passed
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["data.parquet", "quarantine.parquet"]


def test_rows_that_break_rules_are_set_aside_and_the_rest_is_as_if_they_had_not_been_there(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    bad = taken(con, tmp_path, {2: {"AMT_PAYMENT": SECRET}, 7: {"AMT_PAYMENT": "-1", "DAYS_INSTALMENT": "5"}})
    assert bad.settled.accounting == Accounting(10, 8, 2, 0.5, {"maximum:DAYS_INSTALMENT": 1, "minimum:AMT_PAYMENT": 2})
    assert bad.set_aside == [
        ("base", 4, "minimum:AMT_PAYMENT"),
        ("base", 9, "maximum:DAYS_INSTALMENT, minimum:AMT_PAYMENT"),
    ]
    assert bad.published.read_bytes() == without(con, tmp_path, 2, 7)


def test_a_quarantined_row_carries_file_content_key_and_text(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    bad = taken(con, tmp_path, {2: {"AMT_PAYMENT": SECRET, "DAYS_ENTRY_PAYMENT": ""}})
    file, sha, key, row = bad.rows(bad.quarantined, "source_file, source_sha256, key, row")[0]
    assert file == "s3://feeds/installments_payments.csv"
    assert len(sha) == 64
    assert key == "SK_ID_PREV=3, SK_ID_CURR=2, NUM_INSTALMENT_VERSION=1.0, NUM_INSTALMENT_NUMBER=6"
    expected = {**PAYMENT, "SK_ID_PREV": "3", "AMT_PAYMENT": SECRET, "DAYS_ENTRY_PAYMENT": None}
    assert json.loads(row) == expected
    assert check(con, f"read_parquet('{bad.quarantined}')", CONTRACT).passed


def test_the_report_is_of_the_rows_that_remain_and_warns_of_the_others(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    bad = taken(con, tmp_path, {2: {"AMT_PAYMENT": SECRET}, 5: {"SK_ID_CURR": "who"}})
    assert bad.report.passed
    assert (bad.report.rows, bad.report.profile.rows) == (8, 8)
    assert warned(bad.report) == [("minimum", "AMT_PAYMENT", 1), ("column_type", "SK_ID_CURR", 1)]
    text = bad.report.summary()
    assert "SK_ID_PREV=3, SK_ID_CURR=2" in text
    assert "for example installments_payments.csv, line 7" in text
    assert "in quarantine/installments_payments, the rest is published" in text
    assert SECRET not in json.dumps(bad.report.to_dict())
    assert ContractReport.from_dict(json.loads(json.dumps(bad.report.to_dict()))).warnings == bad.report.warnings


def test_lines_count_rows_of_wrong_types_before_them(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    wrong, negative = {"SK_ID_CURR": "who"}, {"AMT_PAYMENT": "-1"}
    bad = taken(con, tmp_path, {0: wrong, 1: negative, 2: wrong, 3: wrong, 4: negative, 9: negative}, budget=0.9)
    assert bad.set_aside == [
        ("base", 2, "column_type:SK_ID_CURR"),
        ("base", 3, "minimum:AMT_PAYMENT"),
        ("base", 4, "column_type:SK_ID_CURR"),
        ("base", 5, "column_type:SK_ID_CURR"),
        ("base", 6, "minimum:AMT_PAYMENT"),
        ("base", 11, "minimum:AMT_PAYMENT"),
    ]
    assert bad.published.read_bytes() == without(con, tmp_path, 0, 1, 2, 3, 4, 9)


def test_lines_are_counted_as_in_an_editor(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    changes = {0: {"SK_ID_CURR": "who"}, 2: {"AMT_PAYMENT": "-1"}, 3: {"SK_ID_CURR": "who"}, 5: {"AMT_PAYMENT": "-1"}}
    rows = [{**row, "NOTE": 'two\nlines, "quoted"'} for row in payments(6, changes)]
    path = write_csv(tmp_path / "payments.csv", rows, list(rows[0]))
    path.write_text(path.read_text().replace("\n4,", "\n\n\n4,"))
    bad = take(con, tmp_path / "work", {"base": path}, budget=0.9)
    assert [position for _, position, _ in bad.set_aside] == [2, 6, 10, 14]


def test_over_the_budget_nothing_is_published_and_the_quarantine_is_there_to_look_at(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    bad = taken(con, tmp_path, {1: {"AMT_PAYMENT": SECRET}, 2: {"SK_ID_CURR": "who"}}, budget=0.19)
    assert not bad.report.passed
    assert not bad.published.exists()
    assert len(bad.set_aside) == 2
    assert not bad.settled.accounting.within_budget
    assert (bad.settled.accounting.published, bad.settled.accounting.share) == (8, 0.2)
    first = bad.report.summary(limit=1).splitlines()[0]
    assert first.startswith("installments_payments: quarantine_budget: 2 of 10 (20.00%) rows break a rule (")
    assert "column_type:SK_ID_CURR 1, minimum:AMT_PAYMENT 1), more than the budget of 19%" in first
    assert "`creditrisk quarantine list installments_payments`" in first
    assert "--corrected FILE.csv" in first
    assert {result.label for result in bad.report.failures} == {
        "quarantine_budget",
        "minimum:AMT_PAYMENT",
        "column_type:SK_ID_CURR",
    }
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["quarantine.parquet"]


@pytest.mark.parametrize(("budget", "published"), [(0.0, False), (0.0999, False), (0.1, True), (0.2, True)])
def test_the_budget_is_the_share_that_may_be_set_aside(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, budget: float, published: bool
) -> None:
    bad = taken(con, tmp_path, {1: {"AMT_PAYMENT": "-1"}}, budget=budget)
    assert (bad.published.exists(), bad.report.passed) == (published, published)


@pytest.mark.parametrize(
    ("value", "rule"), [("", "not_null:SK_ID_PREV"), ("-5", "minimum:SK_ID_PREV"), ("5x", "column_type:SK_ID_PREV")]
)
def test_a_key_that_is_unknown_negative_or_no_number_is_set_aside(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, value: str, rule: str
) -> None:
    bad = taken(con, tmp_path, {4: {"SK_ID_PREV": value}})
    assert bad.report.passed
    assert bad.set_aside == [("base", 6, rule)]
    assert bad.published.read_bytes() == without(con, tmp_path, 4)


def test_an_infinite_amount_is_set_aside_and_its_text_is_valid_json(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    bad = taken(con, tmp_path, {4: {"AMT_PAYMENT": "inf"}})
    assert bad.set_aside == [("base", 6, "finite:AMT_PAYMENT, maximum:AMT_PAYMENT")]
    assert json.loads(bad.rows(bad.quarantined, "row")[0][0])["AMT_PAYMENT"] == "inf"


def relaxed(days: int) -> Relaxations:
    expires = TODAY + datetime.timedelta(days=days)
    reason, owner = "reversals, agreed with the lender", "team:data"
    entry = Relaxation(
        table="raw/installments_payments",
        rule="minimum",
        column="AMT_PAYMENT",
        reason=reason,
        owner=owner,
        expires=expires,
    )
    return Relaxations(entries=(entry,))


def test_a_relaxed_rule_sets_nothing_aside(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    bad = taken(con, tmp_path, {4: {"AMT_PAYMENT": "-1"}}, relaxations=relaxed(1), today=TODAY)
    assert bad.set_aside == []
    assert bad.report.passed
    assert len(bad.rows(bad.published)) == 10


def test_an_expired_relaxation_does_not_hold_rows_in(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    bad = taken(con, tmp_path, {4: {"AMT_PAYMENT": "-1"}}, relaxations=relaxed(-1), today=TODAY)
    assert bad.set_aside == [("base", 6, "minimum:AMT_PAYMENT")]
    assert "its relaxation by team:data expired" in bad.report.summary()


def balances(directory: Path, changes: dict[int, dict[str, object]], extra: tuple[int, ...] = ()) -> dict[str, Path]:
    rows = [{**row, **changes.get(number, {})} for number, row in enumerate(valid_rows(BALANCE, 40))]
    rows += [rows[number] | {"STATUS": "X"} for number in extra]
    text = [{name: str(value) for name, value in row.items()} for row in rows]
    return {"base": write_csv(directory / "bureau_balance.csv", text, list(rows[0]))}


def test_repeated_keys_block_whatever_the_budget(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    bad = take(con, tmp_path / "work", balances(tmp_path, {}, (3, 4)), contract=BALANCE, budget=0.9)
    assert [result.rule for result in bad.report.failures] == ["unique_key"]
    assert bad.set_aside == []


def test_rules_on_the_table_are_judged_on_the_rows_that_remain(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    files = balances(tmp_path, {3: {"STATUS": "?"}}, (3,))
    bad = take(con, tmp_path / "work", files, contract=BALANCE, budget=0.9)
    assert bad.report.passed  # one of the two rows of the key was set aside
    assert bad.set_aside == [("base", 5, "category:STATUS")]


def test_a_table_of_which_half_is_set_aside_is_not_in_its_band(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    bad = taken(con, tmp_path, {number: {"AMT_PAYMENT": "-1"} for number in range(6)}, budget=0.9, baseline=Profile(10))
    assert [result.rule for result in bad.report.failures] == ["volume_in_band"]


def test_a_table_of_which_nothing_remains_is_empty(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    bad = taken(con, tmp_path, {number: {"SK_ID_CURR": "who"} for number in range(10)}, budget=1.0)
    assert [result.rule for result in bad.report.failures] == ["not_empty"]
    assert bad.settled.accounting.quarantined == 10


def test_an_unknown_value_of_an_open_list_is_no_reason_to_set_a_row_aside(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    contract = SOURCES["bureau"]
    rows = [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in valid_rows(contract, 40)
    ]
    rows[3]["CREDIT_TYPE"] = "Loan on a whim"
    path = write_csv(tmp_path / "bureau.csv", rows, list(rows[0]))
    few = take(con, tmp_path / "work", {"base": path}, contract=contract)
    assert (few.set_aside, few.report.passed) == ([], True)
    assert [result.rule for result in few.report.warnings] == ["vocabulary"]
    for row in rows[:20]:
        row["CREDIT_TYPE"] = "Loan on a whim"
    many = take(con, tmp_path / "more", {"base": write_csv(path, rows, list(rows[0]))}, contract=contract, budget=0.9)
    assert (many.set_aside, [result.rule for result in many.report.failures]) == ([], ["vocabulary"])


def test_batches_are_joined_in_order_and_their_rows_keep_their_own_places(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    files = {
        "base": write_csv(tmp_path / "base.csv", payments(5, {1: {"AMT_PAYMENT": "-1"}})),
        "2026-05": write_csv(tmp_path / "may.csv", payments(5, {0: {"SK_ID_CURR": "who"}, 3: {"AMT_PAYMENT": "-2"}})),
        "2026-06": write_csv(tmp_path / "june.csv", payments(2)),
    }
    bad = take(con, tmp_path / "work", files)
    assert bad.set_aside == [
        ("base", 3, "minimum:AMT_PAYMENT"),
        ("2026-05", 2, "column_type:SK_ID_CURR"),
        ("2026-05", 5, "minimum:AMT_PAYMENT"),
    ]
    assert [row[0] for row in bad.rows(bad.published)] == [1, 3, 4, 5, 2, 3, 5, 1, 2]
    assert bad.settled.accounting.rules == {"column_type:SK_ID_CURR": 1, "minimum:AMT_PAYMENT": 2}
    assert "for example may.csv, line 2" in bad.report.summary()
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["data.parquet", "quarantine.parquet"]


def test_clean_batches_are_joined(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    files = {name: write_csv(tmp_path / f"{name}.csv", payments(3)) for name in ("base", "more")}
    clean = take(con, tmp_path / "work", files)
    assert [row[0] for row in clean.rows(clean.published)] == [1, 2, 3, 1, 2, 3]
    assert clean.settled.accounting.published == 6


def test_rows_of_a_parquet_file_are_placed_by_their_number(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    columns = {name: [float(value)] * 4 for name, value in PAYMENT.items()}
    columns["AMT_PAYMENT"] = [1.0, -1.0, 1.0, 1.0]
    columns["SK_ID_CURR"] = [0.5, 1.0, 1.0, 1.0]
    pq.write_table(pa.table(columns), tmp_path / "installments_payments.parquet")
    bad = take(con, tmp_path / "work", {"base": tmp_path / "installments_payments.parquet"})
    assert bad.set_aside == [("base", 1, "column_type:SK_ID_CURR"), ("base", 2, "minimum:AMT_PAYMENT")]
    assert "installments_payments.parquet, row 1" in bad.report.summary()


def test_rows_that_got_lost_are_a_defect_and_not_published() -> None:
    with pytest.raises(AccountingError, match="10 rows read, but 8 to publish and 1 in quarantine"):
        Accounting(10, 8, 1, 0.1, {})


def test_an_accounting_survives_json_among_other_facts() -> None:
    accounting = Accounting(10, 8, 2, 0.1, {"minimum:AMT_PAYMENT": 2})
    assert Accounting.from_dict(json.loads(json.dumps({"rows": 2, **accounting.to_dict()}))) == accounting
