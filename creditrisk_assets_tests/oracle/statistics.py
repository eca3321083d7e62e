"""What the instalment and the monthly families say in the same words: windows, and statistics that pandas does not have.

What belongs here: that. Ratios are whole steps and amounts whole thousandths wherever they may cancel out, so that sums are exact.
What does not: rows, windows and names (the families).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.core.groupby import DataFrameGroupBy

ALL = None  # the window that leaves nothing out
Window = int | None
Value = Callable[[DataFrameGroupBy], pd.Series]


class Found:
    """The features found so far, by name without the family."""

    def __init__(self, applicants: pd.Index) -> None:
        self.applicants = applicants
        self.columns: dict[str, pd.Series] = {}

    def add(
        self,
        name: str,
        value: Value,
        groups: Mapping[Window, DataFrameGroupBy],
        suffix: str,
        windows: Sequence[Window],
        *,
        ratios: Sequence[tuple[int, int]] = (),
        is_count: bool = False,
    ) -> None:
        """Add one feature per window and per pair of windows; no row is a count of 0, and otherwise unknown."""
        values = {window: value(groups[window]) for window in {*windows, *(end for pair in ratios for end in pair)}}
        for window in windows:
            column = values[window].reindex(self.applicants, fill_value=0 if is_count else None)
            self.columns[name if window is ALL else name + suffix.format(window)] = column
        for short, long in ratios:
            ratio = quotient(values[short], values[long]).reindex(self.applicants)
            self.columns[f"{name}_ratio{suffix.format(short)}{suffix.format(long)}"] = ratio

    def table(self, family: str) -> pd.DataFrame:
        """Return them under their full names."""
        return pd.DataFrame(self.columns, index=self.applicants).add_prefix(f"{family}__")


def quotient(over: pd.Series, under: pd.Series) -> pd.Series:
    """Divide; unknown where the second is zero."""
    return over / under.where(under != 0)


def per(over: str, under: str) -> Value:
    """Divide the sums of two columns."""
    return lambda rows: quotient(rows[over].sum(min_count=1), rows[under].sum(min_count=1))


def whole(values: pd.Series) -> pd.Series:
    """Round to whole numbers, halves away from zero."""
    return np.sign(values) * np.floor(values.abs() + 0.5)


def steps(over: pd.Series, under: pd.Series, size: int = 10_000) -> pd.Series:
    """Divide into whole steps, of which there are so many in one."""
    return whole(quotient(size * over, under))


def fading(age: pd.Series, half_life: int, last: int | None = None) -> pd.Series:
    """Weigh half for each half-life that has gone by, in 2^-19; nothing after the last age, if there is one."""
    weights = (0.5 ** (age / half_life) * 2**19).round()
    return weights if last is None else weights.where(age <= last, 0)


def weighted_mean(of: str, weight: str) -> Value:
    """Take the mean of the known values, weighted."""

    def value(rows: DataFrameGroupBy) -> pd.Series:
        known = rows.obj[rows.obj[of].notna()]
        sums = pd.DataFrame({"wx": known[weight] * known[of], "w": known[weight]}).groupby(known["sk_id_curr"]).sum()
        return quotient(sums["wx"], sums["w"])

    return value


def slope(of: str, age: str, units: int) -> Value:
    """Fit a line over time by least squares, and take its change in so many units of age; unknown for fewer than two ages."""

    def value(rows: DataFrameGroupBy) -> pd.Series:
        known = rows.obj[rows.obj[of].notna()]
        x, t = known[of].astype(float), known[age].astype(float)
        sums = pd.DataFrame({"n": 1.0, "x": x, "t": t, "tt": t * t, "tx": t * x}).groupby(known["sk_id_curr"]).sum()
        spread = sums["n"] * sums["tt"] - sums["t"] ** 2
        return -units * quotient(sums["n"] * sums["tx"] - sums["t"] * sums["x"], spread)

    return value


def scaled(value: Value, size: int = 10_000) -> Value:
    """Put whole steps back into ones."""
    return lambda rows: value(rows) / size
