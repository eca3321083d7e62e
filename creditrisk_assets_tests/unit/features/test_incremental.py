"""Building a family from its last version: who is touched by a change of raw rows, and when it is built whole."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features.engine import build_family
from creditrisk_assets.features.families import FAMILIES, Family
from creditrisk_assets.features.incremental import TOUCHED, IncrementalError, Last, find_touched, update_family
from creditrisk_assets_tests.contract.tables import valid_rows
from creditrisk_assets_tests.features.tables import records, write

Rows = list[dict[str, Any]]
Edit = Callable[[Rows], Rows]
FAMILY_OF = {table: family for family in FAMILIES.values() for table in family.inputs}
BUREAU = FAMILIES["bureau"]
CREDITS = [{"SK_ID_CURR": each % 3, "SK_ID_BUREAU": each, "DAYS_CREDIT": -each} for each in range(1, 7)]
BALANCES = [{"SK_ID_BUREAU": each, "MONTHS_BALANCE": -1, "STATUS": "C"} for each in range(1, 7)]


def rows_of(table: str) -> Rows:
    """Six rows that obey the contract, of the applicants (or credits) 1 to 6; the test file's own are 11 to 16."""
    rows = valid_rows(SOURCES[table], 6)
    if table == "application_test":
        rows = [row | {"SK_ID_CURR": row["SK_ID_CURR"] + 10} for row in rows]
    return rows


def last_column(table: str) -> str:
    """A column that is no key and may be NULL."""
    return next(spec.name for spec in reversed(SOURCES[table].columns) if spec.nullable)


def other(value: Any) -> Any:
    return f"{value}!" if isinstance(value, str) else (value or 0) + 1


@pytest.fixture
def touched(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> Callable[[Family, Mapping[str, Rows], Mapping[str, Rows]], tuple[set[int], tuple[str, ...]]]:
    """Write a family's inputs as they were and as they are, and find whom the change touches, and by which input."""

    def find(family: Family, before: Mapping[str, Rows], now: Mapping[str, Rows]) -> tuple[set[int], tuple[str, ...]]:
        paths = {}
        for state, tables in (("before", before), ("now", now)):
            (tmp_path / state).mkdir()
            paths[state] = write(con, {table: [] for table in family.inputs} | dict(tables), tmp_path / state)
        by = find_touched(con, family, paths["before"], paths["now"])
        return {row[0] for row in con.execute(f"select * from {TOUCHED}").fetchall()}, by

    return find


@pytest.mark.parametrize("table", [table for table in SOURCES if table != "bureau_balance"])
@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda rows, _: [*rows, rows[2] | {"SK_ID_CURR": 99}], {99}),
        (lambda rows, _: rows[1:], {1}),
        (lambda rows, column: [rows[0], rows[1] | {column: other(rows[1][column])}, *rows[2:]], {2}),
        (lambda rows, column: [rows[0] | {column: None}, *rows[1:]], {1}),
        (lambda rows, _: [*rows, rows[3]], {4}),
        (lambda rows, _: [*rows[:3], rows[3] | {"SK_ID_CURR": 5}, *rows[4:]], {4, 5}),
        (lambda rows, _: [], {1, 2, 3, 4, 5, 6}),
        (lambda rows, _: rows[::-1], set()),
        (lambda rows, _: rows, set()),
    ],
    ids=["added", "removed", "changed", "now NULL", "doubled", "moved", "emptied", "in another order", "empty batch"],
)
def test_whoever_has_other_rows_than_before_is_touched(
    table: str, edit: Callable[[Rows, str], Rows], expected: set[int], touched: Callable
) -> None:
    family, rows = FAMILY_OF[table], [row | {"SK_ID_CURR": place + 1} for place, row in enumerate(rows_of(table))]
    found, by = touched(family, {table: rows}, {table: edit(rows, last_column(table))})
    assert found == expected
    (view,) = [view for view in family.views if view == table or table.startswith(view)][:1]
    assert by == ((view,) if expected else ())


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda rows: [*rows, {"SK_ID_BUREAU": 4, "MONTHS_BALANCE": -2, "STATUS": "0"}], {1}),
        (lambda rows: rows[:-1], {0}),
        (lambda rows: [rows[0] | {"STATUS": "X"}, rows[1] | {"STATUS": None}, *rows[2:]], {1, 2}),
        (lambda rows: [*rows, {"SK_ID_BUREAU": 77, "MONTHS_BALANCE": -2, "STATUS": "0"}], set()),
    ],
    ids=["added", "removed", "changed", "of a credit nobody has"],
)
def test_a_monthly_state_touches_the_applicant_of_its_credit(edit: Edit, expected: set[int], touched: Callable) -> None:
    before = {"bureau": CREDITS, "bureau_balance": BALANCES}
    found, by = touched(BUREAU, before, before | {"bureau_balance": edit(BALANCES)})
    assert found == expected
    assert by == (("bureau_balance",) if expected else ())


def test_states_of_a_credit_that_is_gone_or_new_find_their_applicant_then_and_now(touched: Callable) -> None:
    before = {"bureau": CREDITS, "bureau_balance": BALANCES}
    now = {
        "bureau": [*CREDITS[1:], {"SK_ID_CURR": 8, "SK_ID_BUREAU": 70}],
        "bureau_balance": [*BALANCES[1:], {"SK_ID_BUREAU": 70, "MONTHS_BALANCE": 0, "STATUS": "0"}],
    }
    assert touched(BUREAU, before, now) == ({1, 8}, ("bureau", "bureau_balance"))


def test_a_withdrawn_application_is_touched_and_an_outcome_that_became_known_is_not(touched: Callable) -> None:
    train, test = rows_of("application_train"), rows_of("application_test")
    now = {
        "application_train": [row | {"TARGET": 1 - row["TARGET"]} for row in train[:5]] + [test[0] | {"TARGET": 0}],
        "application_test": test[1:],
    }
    found, by = touched(FAMILIES["application"], {"application_train": train, "application_test": test}, now)
    assert found == {train[5]["SK_ID_CURR"]}
    assert by == ("application",)


def test_rows_that_swap_values_are_seen(touched: Callable) -> None:
    column = last_column("credit_card_balance")
    rows = [row | {"SK_ID_CURR": 1, column: place} for place, row in enumerate(rows_of("credit_card_balance"))]
    swapped = [rows[0] | {column: 1}, rows[1] | {column: 0}, *rows[2:]]
    assert touched(FAMILIES["credit_card"], {"credit_card_balance": rows}, {"credit_card_balance": swapped})[0] == {1}


def test_pairs_of_equal_rows_do_not_cancel_out(touched: Callable) -> None:
    one, another = (row | {"SK_ID_CURR": 1} for row in rows_of("pos_cash_balance")[:2])
    before, now = {"pos_cash_balance": [one, one]}, {"pos_cash_balance": [another, another]}
    assert touched(FAMILIES["pos_cash"], before, now)[0] == {1}


def test_a_zero_that_lost_its_sign_is_seen(touched: Callable) -> None:
    (row, *_) = rows_of("installments_payments")
    before, now = ({"installments_payments": [row | {"AMT_PAYMENT": zero}]} for zero in (0.0, -0.0))
    assert touched(FAMILIES["installments"], before, now)[0] == {1}


@pytest.fixture
def last(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Last:
    """The bureau family as it was built last, of the applicants 0, 1 and 2."""
    (tmp_path / "before").mkdir()
    tables = write(con, {"bureau": CREDITS, "bureau_balance": BALANCES}, tmp_path / "before")
    build_family(con, BUREAU, tables, tmp_path / "last.parquet")
    return Last(tmp_path / "last.parquet", tables)


def test_the_touched_are_computed_the_gone_left_out_and_the_others_taken_over(
    con: duckdb.DuckDBPyConnection, last: Last, tmp_path: Path
) -> None:
    left = [row for row in CREDITS if row["SK_ID_CURR"] != 0] + [{"SK_ID_CURR": 7, "SK_ID_BUREAU": 70}]
    now = write(con, {"bureau": left, "bureau_balance": BALANCES}, tmp_path)
    family = replace(BUREAU, most_touched=0.7)
    update = update_family(con, family, last, now, tmp_path / "now.parquet")
    assert str(update) == "2 of 3 applicants, touched by bureau"
    assert update.rows == build_family(con, family, now, tmp_path / "whole.parquet") == 3
    assert (tmp_path / "now.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert [row["sk_id_curr"] for row in records(con, tmp_path / "now.parquet")] == [1, 2, 7]
    assert con.execute("select count(*) from duckdb_views() where not internal").fetchone() == (0,)


def test_others_are_taken_over_and_not_computed(con: duckdb.DuckDBPyConnection, last: Last, tmp_path: Path) -> None:
    marked = tmp_path / "marked.parquet"
    con.execute(
        f"copy (select * replace (12345 as bureau__credits_count) from '{last.data}') to '{marked}' (format parquet)"
    )
    now = write(con, {"bureau": CREDITS[1:], "bureau_balance": BALANCES}, tmp_path)
    update_family(con, replace(BUREAU, most_touched=0.5), replace(last, data=marked), now, tmp_path / "now.parquet")
    found = {row["sk_id_curr"]: row["bureau__credits_count"] for row in records(con, tmp_path / "now.parquet")}
    assert found == {0: 12345, 1: 1, 2: 12345}


@pytest.mark.parametrize("most", [0, 0.3])
def test_more_touched_applicants_than_the_family_allows_are_refused(
    con: duckdb.DuckDBPyConnection, last: Last, tmp_path: Path, most: float
) -> None:
    now = write(con, {"bureau": CREDITS[1:], "bureau_balance": BALANCES}, tmp_path)
    with pytest.raises(IncrementalError, match=f"1 of 3 applicants are touched, more than {most:.0%}"):
        update_family(con, replace(BUREAU, most_touched=most), last, now, tmp_path / "now.parquet")
    assert not (tmp_path / "now.parquet").exists()


def test_a_family_that_allows_none_is_taken_over_when_no_row_changed(
    con: duckdb.DuckDBPyConnection, last: Last, tmp_path: Path
) -> None:
    now = write(con, {"bureau": CREDITS[::-1], "bureau_balance": BALANCES}, tmp_path)
    update = update_family(con, replace(BUREAU, most_touched=0), last, now, tmp_path / "now.parquet")
    assert str(update) == "0 of 3 applicants, no row that is read changed"
    assert (tmp_path / "now.parquet").read_bytes() == last.data.read_bytes()


@pytest.mark.parametrize("change", ["drop column CREDIT_TYPE", "alter column CNT_CREDIT_PROLONG type double"])
def test_a_table_that_had_other_columns_is_refused(
    con: duckdb.DuckDBPyConnection, last: Last, tmp_path: Path, change: str
) -> None:
    con.execute(f"create table old as from '{last.tables['bureau']}'")
    con.execute(f"alter table old {change}")
    con.execute(f"copy old to '{last.tables['bureau']}' (format parquet)")
    now = write(con, {"bureau": CREDITS, "bureau_balance": BALANCES}, tmp_path)
    with pytest.raises(IncrementalError, match="bureau had other columns"):
        update_family(con, BUREAU, last, now, tmp_path / "now.parquet")
