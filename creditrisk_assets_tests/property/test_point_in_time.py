"""What happened after a point in time changes no feature as of that point, and the past is computed as the present was then.

The oracle below says by hand, table by table, what a source would have delivered at the point; the views say it from the contracts.
"""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from creditrisk_assets.features.as_of import days_of, known_before
from creditrisk_assets.features.engine import build_family
from creditrisk_assets.features.families import FAMILIES, Family
from creditrisk_assets.features.lineage import lineage
from creditrisk_assets_tests.features.tables import records, write
from creditrisk_assets_tests.property.histories import Made, recent_tables

PROPERTY = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
MONTHS_BACK = (1, 2, 6, 12, 24)
INFINITY = 365243
Row = dict[str, Any]

OWN_DATE = {
    "bureau": "DAYS_CREDIT",
    "bureau_balance": "MONTHS_BALANCE",
    "previous_application": "DAYS_DECISION",
    "pos_cash_balance": "MONTHS_BALANCE",
    "installments_payments": "DAYS_INSTALMENT",
    "credit_card_balance": "MONTHS_BALANCE",
}
# dates of events that may follow the row's own, with what the source holds before they come
FOLLOWING = {
    "application_test": {
        "DAYS_BIRTH": None,
        "DAYS_EMPLOYED": None,
        "DAYS_REGISTRATION": None,
        "DAYS_ID_PUBLISH": None,
        "DAYS_LAST_PHONE_CHANGE": None,
    },
    "bureau": {"DAYS_ENDDATE_FACT": None},
    "previous_application": {
        "DAYS_FIRST_DRAWING": INFINITY,
        "DAYS_FIRST_DUE": INFINITY,
        "DAYS_LAST_DUE": INFINITY,
        "DAYS_TERMINATION": INFINITY,
    },
    "installments_payments": {"DAYS_ENTRY_PAYMENT": None},
}
PLANNED = {"bureau": ("DAYS_CREDIT_ENDDATE",), "previous_application": ("DAYS_LAST_DUE_1ST_VERSION",)}
INSTALMENT = ("SK_ID_CURR", "SK_ID_PREV", "NUM_INSTALMENT_VERSION", "NUM_INSTALMENT_NUMBER")


def raw(view: str) -> str:
    return "application_test" if view == "application" else view


@st.composite
def histories(draw: st.DrawFn, name: str) -> Made:
    """Rows of a family's inputs for a few applicants."""
    return recent_tables(name, random.Random(draw(st.integers(0, 2**32))), applicants=8, rows=60)


def delivered(view: str, rows: list[Row], k: int) -> list[Row]:
    """The rows without anything that happened after the point, as the source would have written them then."""
    kept = []
    for row in rows:
        own = OWN_DATE.get(view)
        if own == "MONTHS_BALANCE" and row[own] > -k - 1:  # the month of the point is not over
            continue
        if own and own != "MONTHS_BALANCE" and row[own] > -days_of(k):
            continue
        before = FOLLOWING.get(raw(view), {})
        late = {name for name in before if row[name] is not None and row[name] > -days_of(k)}
        changed = {name: before[name] for name in late}
        if "DAYS_ENTRY_PAYMENT" in late:
            changed["AMT_PAYMENT"] = None
        kept.append((row | changed, "DAYS_ENTRY_PAYMENT" in late))
    if view == "installments_payments":  # payments to come are no rows; what is due is one row until a part is paid
        paid = {instalment(row) for row, is_to_come in kept if not is_to_come}
        still_open = {}
        for row, is_to_come in sorted(kept, key=lambda each: (each[0]["DAYS_INSTALMENT"], each[0]["AMT_INSTALMENT"])):
            if is_to_come and instalment(row) not in paid:
                still_open.setdefault(instalment(row), row)
        return [row for row, is_to_come in kept if not is_to_come] + list(still_open.values())
    return [row for row, _ in kept]


def instalment(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in INSTALMENT)


def rebased(view: str, rows: list[Row], k: int) -> list[Row]:
    """The same rows counted from the point instead of from the application."""
    moved = []
    for row in rows:
        names = [OWN_DATE.get(view), *FOLLOWING.get(raw(view), ()), *PLANNED.get(view, ())]
        shift = k if OWN_DATE.get(view) == "MONTHS_BALANCE" else days_of(k)
        dates = {name: row[name] + shift for name in names if name and row[name] not in (None, INFINITY)}
        moved.append(row | dates)
    return moved


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def build(con: duckdb.DuckDBPyConnection, family: Family, made: Made, k: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "features.parquet"
        build_family(con, family, write(con, {raw(view): rows for view, rows in made.items()}, Path(directory)), out, k)
        return records(con, out)


@pytest.mark.parametrize("name", list(FAMILIES))
@PROPERTY
@given(data=st.data())
def test_events_after_the_point_change_nothing(name: str, data: st.DataObject, con: duckdb.DuckDBPyConnection) -> None:
    family = FAMILIES[name]
    made, k = data.draw(histories(name)), data.draw(st.sampled_from(MONTHS_BACK))
    then = {view: delivered(view, rows, k) for view, rows in made.items()}
    as_of = build(con, family, made, k)
    assert as_of == build(con, family, then, k)
    known = known_before(lineage(family))
    present = build(con, family, {view: rebased(view, rows, k) for view, rows in then.items()}, 0)
    assert [row["sk_id_curr"] for row in as_of] == [row["sk_id_curr"] for row in present]
    for row, expected in zip(as_of, present, strict=True):
        assert row == {n: value if n in known or n == "sk_id_curr" else None for n, value in expected.items()}


@pytest.mark.parametrize("name", list(FAMILIES))
@PROPERTY
@given(data=st.data())
def test_as_of_the_application_day_everything_delivered_counts(
    name: str, data: st.DataObject, con: duckdb.DuckDBPyConnection
) -> None:
    """The points above divide what is drawn: seen from the application day the same rows give other features."""
    family = FAMILIES[name]
    made = data.draw(histories(name))
    assert build(con, family, made, 0) != build(con, family, made, 24)
