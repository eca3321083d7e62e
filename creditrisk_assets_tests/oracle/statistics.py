"""Statistics of grouped rows that pandas does not have, as the monthly and the instalment families need them.

What belongs here: what several families say in the same words. What does not: rows and windows (the families).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from pandas.core.groupby import DataFrameGroupBy

Value = Callable[[DataFrameGroupBy], pd.Series]


def quotient(over: pd.Series, under: pd.Series) -> pd.Series:
    """Divide; unknown where the second is zero."""
    return over / under.where(under != 0)


def per(over: str, under: str) -> Value:
    """Divide the sums of two columns."""
    return lambda rows: quotient(rows[over].sum(min_count=1), rows[under].sum(min_count=1))


def rounded(over: pd.Series, under: pd.Series, places: int = 4) -> pd.Series:
    """Divide and round, half away from zero."""
    steps = quotient(10**places * over, under)
    return np.sign(steps) * np.floor(steps.abs() + 0.5) / 10**places


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


def slope(of: str, age: str, units: int, *, steps: int = 1) -> Value:
    """Fit a line over time by least squares, and take its change in so many units of age; unknown for fewer than two ages.

    Values are whole numbers of steps (10,000 in one of a ratio), so that a line without a trend has none.
    """

    def value(rows: DataFrameGroupBy) -> pd.Series:
        known = rows.obj[rows.obj[of].notna()]
        x, t = (known[of] * steps).round(), known[age].astype(float)
        sums = pd.DataFrame({"n": 1.0, "x": x, "t": t, "tt": t * t, "tx": t * x}).groupby(known["sk_id_curr"]).sum()
        spread = sums["n"] * sums["tt"] - sums["t"] ** 2
        return -units / steps * quotient(sums["n"] * sums["tx"] - sums["t"] * sums["x"], spread)

    return value
