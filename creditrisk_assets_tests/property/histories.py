"""Raw tables drawn from their contracts, for the property and parity tests of features."""

import random
from typing import Any

from hypothesis import strategies as st

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import ColumnSpec
from creditrisk_assets.features.families import FAMILIES

KEYS = {"SK_ID_CURR", "SK_ID_PREV", "SK_ID_BUREAU"}
WHOLE = ("days", "months", "count")  # units of columns that hold whole numbers, though some are delivered as doubles
Made = dict[str, list[dict[str, Any]]]


def declared(column: ColumnSpec, source: random.Random) -> Any:
    """A value the contract allows: NULL, sentinels, both bounds and halves of the last digit that is kept come often."""
    if column.nullable and source.random() < 0.3:
        return None
    codes = [code for code in column.sentinels if column.type != "str"]
    if codes and source.random() < 0.3:
        return source.choice(codes)
    if listed := column.categories or column.known_categories:
        return source.choice(listed)
    low = column.minimum if column.minimum is not None else 0
    high = min(column.maximum if column.maximum is not None else 1000, 1e7)
    if source.random() < 0.2:
        return type(low)(source.choice([low, high])) if column.type == "float" else int(source.choice([low, high]))
    if column.type == "int":
        return source.randint(int(low), int(high))
    parts = (1 if column.unit in WHOLE else 1000) * source.choice((1, 1, 1, 2))
    return source.randint(int(low * parts), int(high * parts)) / parts


@st.composite
def tables(draw: st.DrawFn, name: str) -> Made:
    """Rows of a family's inputs for three applicants."""
    source = random.Random(draw(st.integers(0, 2**32)))
    made: Made = {}
    for table in FAMILIES[name].views:
        contract = SOURCES["application_test" if table == "application" else table]
        size = 3 if table == "application" else draw(st.integers(1, 12))
        made[table] = []
        for place in range(size):
            row = {c.name: declared(c, source) for c in contract.columns if c.name not in KEYS}
            identifiers = {
                "SK_ID_CURR": place + 1 if table == "application" else source.randint(1, 3),
                "SK_ID_PREV": place if table == "previous_application" else source.randint(1, 3),
                "SK_ID_BUREAU": place if table == "bureau" else source.randint(0, 3),
            }
            row.update({key: value for key, value in identifiers.items() if key in {c.name for c in contract.columns}})
            made[table].append(row)
    return made


def recent(column: ColumnSpec, source: random.Random) -> Any:
    """A value the contract allows; dates lie within three years of the application, so that windows divide them and ties are common."""
    value = declared(column, source)
    if value is None or value in column.sentinels or column.clock is None:
        return value
    latest = 400 if column.dating == "plan" else 0
    back = 36 if column.clock == "months" else 1100
    if column.type == "int":
        return source.randint(-back, latest)
    parts = source.choice((1, 1, 1, 2))
    return source.randint(-back * parts, latest * parts) / parts


def recent_tables(name: str, source: random.Random, *, applicants: int, rows: int) -> Made:
    """Rows of a family's inputs for some applicants, by view; keys are unique where the contract says so."""
    made: Made = {}
    for view in FAMILIES[name].views:
        contract = SOURCES["application_test" if view == "application" else view]
        found: dict[Any, dict[str, Any]] = {}
        for place in range(applicants if view == "application" else rows):
            row = {column.name: recent(column, source) for column in contract.columns}
            credit = source.randint(1, applicants * 3 // 2)
            row |= {
                "SK_ID_CURR": place + 1 if view == "application" else 1 + credit % applicants,
                "SK_ID_PREV": place if view == "previous_application" else credit,
                "SK_ID_BUREAU": place if view == "bureau" else source.randint(0, rows // 3),
                "NUM_INSTALMENT_VERSION": float(source.randint(0, 1)),
                "NUM_INSTALMENT_NUMBER": source.randint(1, 2),
            }
            if row.get("DAYS_ENTRY_PAYMENT") is None:  # an instalment that was not paid has no amount paid
                row["AMT_PAYMENT"] = None
            row = {column.name: row[column.name] for column in contract.columns}
            found.setdefault(tuple(row[key] for key in contract.key) or place, row)
        made[view] = list(found.values())
    return made
