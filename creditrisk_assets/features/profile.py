"""How the values of one feature are distributed in a published table, told without any applicant.

What belongs here: counts, quantiles and shares of a column. What does not: what the feature means (`families`, `definition`), whether its
distribution has moved (`monitoring.drift`), how it is shown (`exploring`).

A value is named only when at least `FEWEST` applicants share it, a quantile only when as many lie beyond it, and nothing at all is told of
fewer than `FEWEST` known values. Smallest and largest value are the one exception: bounds cannot be judged without them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.families import FeatureSpec
from creditrisk_assets.features.statement import quoted

FEWEST = 10
BINS = 12
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MOST_VALUES = 30  # named, of a category


@dataclass(frozen=True)
class Bar:
    """A value, or the values from one bound up to another, and its share of the known values."""

    label: str
    share: float


@dataclass(frozen=True)
class Profile:
    """The distribution of one feature.

    Parameters
    ----------
    rows, known
        Applicants, and those whose value is not NULL.
    minimum, maximum, mean, quantiles
        Of the known values of a number; None where it is no number, or fewer than `FEWEST` are known.
    bars
        Values and their shares where few are different, the most frequent first (numbers in their order); otherwise bins of equal width
        between the 1st and the 99th percentile, the outer ones open, upper bounds included.
    unnamed_share
        Share of the known values in no bar: shared by fewer than `FEWEST` applicants, or past the first `MOST_VALUES`.
    """

    rows: int
    known: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    quantiles: tuple[tuple[float, float], ...] = ()  # (share of the values below, value)
    bars: tuple[Bar, ...] = ()
    unnamed_share: float = 0.0

    @property
    def null_share(self) -> float:
        """Share of the applicants whose value is NULL."""
        return 1 - self.known / self.rows if self.rows else 0.0


def profile(con: duckdb.DuckDBPyConnection, table: Path, feature: FeatureSpec) -> Profile:
    """Describe how a feature is distributed.

    Parameters
    ----------
    con
        A DuckDB connection.
    table
        Parquet that has the feature as a column.
    feature
        Which one.

    Raises
    ------
    duckdb.Error
        The table has no such column, or is damaged.
    """
    column, relation = quoted(feature.name), parquet(table)
    counted = f"select count(*), count({column}), count(distinct {column}) from {relation}"  # noqa: S608 - quoted name and path
    rows, known, different = _row(con, counted)
    if known < FEWEST:
        return Profile(rows, known)
    if feature.kind != "numeric":
        bars = _values(con, relation, column, "count(*) desc, value", known)
        return Profile(rows, known, bars=bars, unnamed_share=_rest(bars))
    value = f"{column}::double"
    figures = f"min({value}), max({value}), avg({value}), quantile_cont({value}, {list(QUANTILES)})"
    low, high, mean, cuts = _row(con, f"select {figures} from {relation}")  # noqa: S608 - as above
    if different <= BINS:
        bars = _values(con, relation, column, "value", known)
    else:
        kind, ends = "double", (cuts[0], cuts[-1])
        if feature.sql_type == "BIGINT":
            kind, ends = "bigint", (math.floor(cuts[0]), math.ceil(cuts[-1]))
        bars = _bins(con, relation, f"{column}::{kind}", known, [f"{end!r}::{kind}" for end in ends])
    told = tuple((q, cut) for q, cut in zip(QUANTILES, cuts, strict=True) if min(q, 1 - q) * known >= FEWEST)
    return Profile(rows, known, low, high, mean, told, bars, _rest(bars))


def shown(value: object) -> str:
    """Write a value for a person: four digits of a number, thousands apart."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value + 0.0:.4g}"  # + 0.0: no minus before zero
    return str(value)


def _values(con: duckdb.DuckDBPyConnection, relation: str, column: str, order: str, known: int) -> tuple[Bar, ...]:
    query = (
        f"select {column} as value, count(*) from {relation} where {column} is not null "  # noqa: S608 - quoted name and path
        f"group by value having count(*) >= {FEWEST} order by {order} limit {MOST_VALUES}"
    )
    return tuple(Bar(shown(value), count / known) for value, count in con.execute(query).fetchall())


def _bins(
    con: duckdb.DuckDBPyConnection, relation: str, value: str, known: int, ends: Sequence[str]
) -> tuple[Bar, ...]:
    """Count by bins between two ends; the outer ones are open, so that a far value does not squeeze all others into one."""
    edges = f"equi_width_bins({', '.join(ends)}, {BINS}, true)"
    bounds, counts = _row(con, f"select {edges}, histogram({value}, {edges}) from {relation}")  # noqa: S608 - as above
    beyond = sum(count for bound, count in counts.items() if bound not in bounds)
    texts = [shown(bound) for bound in bounds]
    labels = [f"up to {texts[0]}", *(f"{low} … {high}" for low, high in pairwise(texts)), f"above {texts[-1]}"]
    sizes = [*(counts.get(bound, 0) for bound in bounds), beyond]
    return tuple(Bar(label, size / known) for label, size in zip(labels, sizes, strict=True) if size >= FEWEST)


def _rest(bars: tuple[Bar, ...]) -> float:
    return max(0.0, round(1 - sum(bar.share for bar in bars), 12))


def _row(con: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    found = con.execute(query).fetchone()
    assert found is not None  # noqa: S101 -- an aggregate has one row
    return found
