"""A portfolio that keeps the contracts and nothing else: bounds, extremes of real files, NULL, ties, gaps, repeated rows, strangers.

What belongs here: rows that are allowed and unlikely. What does not: rows that look like a lender's (`creditrisk_assets.simulation`), rows
that break a contract, single edges with the values to be expected (`features/<family>.yaml`).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import ColumnSpec

APPLICANTS = 300
STRANGERS = 12  # applicants of histories alone
WHOLE = ("days", "months", "years", "count", "hour", "code", "flag")
DAY_EDGES = (0, 1, 7, 29, 30, 31, 60, 61, 90, 91, 180, 181, 365, 366, 720, 721, 1460, 1500, 1501, 2922, 2941)
MONTH_EDGES = (0, 1, 2, 3, 4, 6, 7, 12, 13, 24, 25, 60, 61, 96, 97)
LATE_DAYS = (-400, -31, -7, -1, 0, 0, 0, 1, 7, 8, 30, 31, 400)

# Ends of the scale in the Home Credit files, and values around which features change their mind.
EXTREMES: dict[str, Sequence[float]] = {
    "AMT_BALANCE": (-48170.2, -0.005, 966619.3),
    "AMT_CREDIT_LIMIT_ACTUAL": (0, 0, 45, 112500, 1350000),
    "AMT_CREDIT_SUM_DEBT": (-4705600.32, 0.045, 170100000),
    "AMT_DRAWINGS_ATM_CURRENT": (-6827.31, 2115000),
    "AMT_DRAWINGS_CURRENT": (-6211.62, 2287098.315),
    "AMT_INSTALMENT": (0, 0.045, 8981.82, 2243650.005),
    "AMT_PAYMENT": (0, 0.045, 8981.82, 2243650.005),
    "AMT_INCOME_TOTAL": (25650, 117000000),
    "CNT_INSTALMENT": (1, 6, 12, 24, 72, 92),
    "CNT_INSTALMENT_FUTURE": (0, 1, 6, 12, 24, 85),
    "CNT_PAYMENT": (0, 6, 12, 60, 84),
    "EXT_SOURCE_1": (0.0145681, 0.96269),
    "NUM_INSTALMENT_VERSION": (0, 1, 2, 178),
    "RATE_DOWN_PAYMENT": (-1.4979e-05, 1),
    "SK_DPD": (0, 0, 0, 1, 30, 31, 4231),
    "SK_DPD_DEF": (0, 0, 0, 1, 30, 31, 3595),
}


def write(directory: Path, *, seed: int) -> None:
    """Write the eight raw tables as the source's CSV files."""
    for table, frame in tables(seed=seed).items():
        frame.to_csv(directory / f"{SOURCES[table].stem}.csv", index=False)


def tables(*, seed: int) -> dict[str, pd.DataFrame]:
    """Draw the raw tables, by the lake's names."""
    rng = np.random.default_rng(seed)
    known = 100_001 + np.arange(APPLICANTS)
    everyone = np.append(known[: -APPLICANTS // 6], 900_000 + np.arange(STRANGERS))  # a sixth has no history
    previous = pd.DataFrame({"SK_ID_CURR": everyone.repeat(rng.choice([0, 1, 1, 2, 5, 14], len(everyone)))})
    previous.insert(0, "SK_ID_PREV", 1_000_000 + np.arange(len(previous)))
    bureau = pd.DataFrame({"SK_ID_CURR": everyone.repeat(rng.choice([0, 1, 1, 2, 5, 14], len(everyone)))})
    bureau["SK_ID_BUREAU"] = 5_000_000 + np.arange(len(bureau))
    shared = previous.sample(20, random_state=seed).assign(SK_ID_CURR=known[:20])  # one credit, two applicants
    orphans = pd.DataFrame({"SK_ID_PREV": 2_900_000 + np.arange(40), "SK_ID_CURR": rng.choice(everyone, 40)})
    lent = pd.concat([previous, shared, orphans], ignore_index=True)
    reported = pd.concat([bureau[["SK_ID_BUREAU"]], pd.DataFrame({"SK_ID_BUREAU": 5_900_000 + np.arange(40)})])
    found = {
        "application_train": _drawn("application_train", pd.DataFrame({"SK_ID_CURR": known[::2]}), rng),
        "application_test": _drawn("application_test", pd.DataFrame({"SK_ID_CURR": known[1::2]}), rng),
        "bureau": _drawn("bureau", bureau, rng),
        "bureau_balance": _monthly("bureau_balance", reported.sample(frac=0.6, random_state=seed), rng),
        "previous_application": _drawn("previous_application", previous, rng),
        "pos_cash_balance": _monthly("pos_cash_balance", lent.sample(frac=0.7, random_state=seed), rng),
        "credit_card_balance": _monthly("credit_card_balance", lent.sample(frac=0.4, random_state=seed + 1), rng),
        "installments_payments": _instalments(lent.sample(frac=0.7, random_state=seed + 2), rng),
    }
    return {table: frame.sample(frac=1, random_state=seed) for table, frame in found.items()}


def _monthly(table: str, lent: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Draw months of credits: some have one, some have gaps, two months of a credit are never the same."""
    rows = lent.loc[lent.index.repeat(rng.choice([1, 1, 2, 5, 15, 40], len(lent)))].reset_index(drop=True)
    reach = rng.choice([3, 14, 40, 97], len(rows))
    edge = -rng.choice([*MONTH_EDGES * 5, 1200], len(rows))
    rows["MONTHS_BALANCE"] = np.where(rng.random(len(rows)) < 0.2, edge, -rng.integers(0, reach))
    return _drawn(table, rows.drop_duplicates([*SOURCES[table].key]), rng)


def _instalments(lent: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Draw instalments, paid not at all, once or in parts, in time or not; some rows twice, some calendars at odds with themselves."""
    due = lent.loc[lent.index.repeat(rng.choice([1, 1, 2, 5, 15, 40], len(lent)))].reset_index(drop=True)
    due["NUM_INSTALMENT_VERSION"] = rng.choice([0, 1, 1, 1, 2, 178], len(due)).astype(float)
    due["NUM_INSTALMENT_NUMBER"] = rng.choice([0, 1, 2, 3, 4, 5, 6, 9, 40, 217], len(due))
    odd = _drawn("installments_payments", due.iloc[::25], rng)
    due = _drawn("installments_payments", due.drop_duplicates(), rng)
    paid = due.loc[due.index.repeat(rng.choice([1, 1, 1, 2, 3], len(due)))].reset_index(drop=True)
    day = (paid["DAYS_INSTALMENT"] + rng.choice(LATE_DAYS, len(paid))).clip(-36525, 0)
    part = (paid["AMT_INSTALMENT"] * rng.choice([0.1, 0.5, 1, 1, 1, 1.3, 40], len(paid))).clip(upper=1e9).round(3)
    paid["DAYS_ENTRY_PAYMENT"] = day.mask(rng.random(len(paid)) < 0.1)
    paid["AMT_PAYMENT"] = part.where(rng.random(len(paid)) < 0.8, paid["AMT_PAYMENT"]).where(
        paid["DAYS_ENTRY_PAYMENT"].notna()
    )
    return pd.concat([paid, odd, paid.sample(frac=0.1, random_state=1)], ignore_index=True)


def _drawn(table: str, keys: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the other columns of a table."""
    columns = SOURCES[table].columns
    values = {
        column.name: keys[column.name].to_numpy() if column.name in keys else _values(column, len(keys), rng)
        for column in columns
    }
    return pd.DataFrame(values).astype({column.name: "Int64" for column in columns if column.type == "int"})


def _values(column: ColumnSpec, size: int, rng: np.random.Generator) -> pd.Series:
    """Draw values the contract allows; half of them from a few, so that ties are common."""
    if listed := column.categories or column.known_categories:
        values = pd.Series(rng.choice(np.array(listed, dtype=object), size))
    else:
        few = _few(column)
        values = pd.Series(np.where(rng.random(size) < 0.5, rng.choice(few, size), _scattered(column, size, rng)))
        codes = [code for code in column.sentinels if column.type != "str"]
        if codes:
            values = values.where(rng.random(size) > 0.2, rng.choice(codes, size))
    if column.nullable:
        values = values.mask(rng.random(size) < rng.choice([0.05, 0.3]))
    return values


def _few(column: ColumnSpec) -> np.ndarray:
    """Zero, the ends of real files, the edges of windows; seldom the bounds, beside which nothing else would count."""
    edges = {"days": DAY_EDGES, "months": MONTH_EDGES}.get(column.clock or "", ())
    named = [
        *EXTREMES.get(column.name, ()),
        *edges,
        *(-edge for edge in edges),
        *((0, 0, 1, 2, 30, 31) if not edges else ()),
    ]
    low, high = _bounds(column)
    allowed = [value for value in named if low <= value <= high]
    return np.array([*allowed * 6, low, high], dtype=float)


def _scattered(column: ColumnSpec, size: int, rng: np.random.Generator) -> np.ndarray:
    low, high = _bounds(column)
    if column.clock:
        high = min(high, {"days": 1500, "months": 60}[column.clock])
        low = max(low, high - {"days": 3000, "months": 96}[column.clock])
    elif column.unit in ("count", "days"):
        high = min(high, 60)
    elif column.unit == "currency":
        low, high = max(low, -20_000), min(high, 300_000)
    values = rng.uniform(low, high, size)
    return np.round(values, 0 if column.type == "int" or column.unit in WHOLE else 3)


def _bounds(column: ColumnSpec) -> tuple[float, float]:
    low = column.minimum if column.minimum is not None else 0
    return low, column.maximum if column.maximum is not None else max(low, 1000)
