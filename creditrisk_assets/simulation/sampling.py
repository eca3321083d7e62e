"""Ways to draw columns: from a measured quantile function, from measured shares, with a given correlation to a latent factor.

What belongs here: drawing and rounding, for whole columns at once. What does not: which values a column has (the table's module).

Conventions of the whole package: a float column's null is NaN, a category's null is code -1, an integer column has no null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MONTH_DAYS = 30.4375


@dataclass(frozen=True)
class Category:
    """A column of text as codes into its names; -1 is null."""

    names: tuple[str, ...]
    codes: IntArray

    def take(self, rows: IntArray | BoolArray) -> "Category":
        """Return the chosen rows."""
        return Category(self.names, self.codes[rows])

    def null_where(self, rows: BoolArray) -> "Category":
        """Return the column with nulls in the given rows."""
        return Category(self.names, np.where(rows, -1, self.codes))

    def is_any(self, *names: str) -> BoolArray:
        """Tell for each row whether it holds one of the names."""
        wanted = [self.names.index(name) for name in names]
        return np.isin(self.codes, wanted)


Column = IntArray | FloatArray | Category
Table = dict[str, Column]
Columns = Mapping[str, Column]  # a table to read from
Numbers = dict[str, IntArray | FloatArray]  # a table without text


class Shares:
    """A categorical marginal: names and their shares.

    Parameters
    ----------
    shares
        Name to share; normalised, so that rounded percentages may be given.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        self.names = tuple(shares)
        weights = np.array(list(shares.values()), dtype=np.float64)
        self._edges = np.cumsum(weights / weights.sum())[:-1]

    def at(self, uniform: FloatArray) -> Category:
        """Return the names at the given cumulative shares."""
        return Category(self.names, np.searchsorted(self._edges, uniform, side="right"))

    def pick(self, rng: np.random.Generator, size: int) -> Category:
        """Draw independent names."""
        return self.at(rng.random(size))


class Marginal:
    """A numeric marginal: a quantile function, linear between the measured points.

    Parameters
    ----------
    quantiles
        Cumulative share (from 0 to 1) to value, ascending in both.
    """

    def __init__(self, quantiles: Mapping[float, float]) -> None:
        self._shares = np.array(list(quantiles), dtype=np.float64)
        self._values = np.array(list(quantiles.values()), dtype=np.float64)

    def at_share(self, uniform: FloatArray) -> FloatArray:
        """Return the quantiles at the given cumulative shares."""
        return np.interp(uniform, self._shares, self._values)

    def at(self, normal: FloatArray) -> FloatArray:
        """Return the quantiles at the given standard normal scores (a Gaussian copula's margin)."""
        return self.at_share(scipy.special.ndtr(normal))


def mix(rng: np.random.Generator, *parts: tuple[float, FloatArray]) -> FloatArray:
    """Draw standard normal scores that load on the given standard normal factors and are otherwise independent.

    Parameters
    ----------
    parts
        Pairs of loading and factor; the squared loadings sum to at most 1.
    """
    rest = max(0.0, 1.0 - sum(loading**2 for loading, _ in parts))
    scores = rng.standard_normal(len(parts[0][1])) * float(np.sqrt(rest))
    for loading, factor in parts:
        scores += loading * factor
    return scores


def chance(rng: np.random.Generator, share: float | FloatArray, size: int) -> BoolArray:
    """Draw independent events of the given probability."""
    return np.asarray(rng.random(size) < share, dtype=np.bool_)


def logistic(log_odds: FloatArray) -> FloatArray:
    """Turn log-odds into probabilities."""
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), dtype=np.float64)


def points(category: Category, table: Mapping[str, float]) -> FloatArray:
    """Look up the log-odds points of each row's category; 0 where the table names none."""
    by_code = np.array([table.get(name, 0.0) for name in category.names] + [table.get("", 0.0)])
    return np.asarray(by_code[category.codes], dtype=np.float64)


def amount(values: FloatArray, unit: float | FloatArray = 0.045) -> FloatArray:
    """Round money to a grid; the source's amounts are whole cents times 4.5, hence steps of 0.045 (or 4.5, 4500)."""
    return np.asarray(np.round(np.rint(values / unit) * unit, 3) + 0.0, dtype=np.float64)


def whole(values: FloatArray) -> FloatArray:
    """Round to whole numbers kept as floats (columns whose nulls made them floats), without negative zeros."""
    return np.rint(values) + 0.0


def days(values: FloatArray) -> IntArray:
    """Round to whole days."""
    return np.rint(values).astype(np.int64)


def with_nulls(values: FloatArray | IntArray, rows: BoolArray) -> FloatArray:
    """Return the column with nulls in the given rows."""
    return np.where(rows, np.nan, values)


def blank(rng: np.random.Generator, values: FloatArray | IntArray, share: float) -> FloatArray:
    """Return the column with nulls in a random share of its rows."""
    return with_nulls(values, chance(rng, share, len(values)))


def flags(rows: BoolArray) -> IntArray:
    """Return 1 for true and 0 for false."""
    return rows.astype(np.int64)


def position_in_group(sizes: IntArray) -> IntArray:
    """Count 0, 1, 2, … within each of consecutive groups of the given sizes."""
    starts = np.cumsum(sizes) - sizes
    return np.arange(int(sizes.sum()), dtype=np.int64) - np.repeat(starts, sizes)


def take(table: Columns, rows: IntArray | BoolArray) -> Table:
    """Return the chosen rows of a table."""
    return {name: column.take(rows) if isinstance(column, Category) else column[rows] for name, column in table.items()}


def ordered(table: Columns, columns: Sequence[str]) -> Table:
    """Return the table with its columns in the file's order; every column must be there."""
    return {name: table[name] for name in columns}
