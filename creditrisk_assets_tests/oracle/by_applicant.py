"""Statistics of a series of rows that has the applicant as its index: one value for each.

What belongs here: what bureau and previous_application say in the same words. What does not: rows, windows and names (the families).
"""

import pandas as pd

from creditrisk_assets_tests.oracle.statistics import quotient


def count(hits: pd.Series) -> pd.Series:
    """Count the rows that are true."""
    return hits.groupby(level=0).sum()


def share(hits: pd.Series, among: pd.Series) -> pd.Series:
    """Take the part of rows that are true among others that are."""
    return quotient(count(hits & among), count(among))


def total(values: pd.Series) -> pd.Series:
    """Sum to the thousandth that amounts have at most; unknown when nothing is known."""
    return values.groupby(level=0).sum(min_count=1).round(3)


def mean(values: pd.Series) -> pd.Series:
    """Take the mean of the known values."""
    return total(values) / values.groupby(level=0).count()


def weighted_mean(values: pd.Series, weights: pd.Series) -> pd.Series:
    """Take the mean of the known values, weighted."""
    return quotient(total(values * weights), total(weights[values.notna()]))


def least(values: pd.Series) -> pd.Series:
    """Take the smallest known value."""
    return values.groupby(level=0).min()


def most(values: pd.Series) -> pd.Series:
    """Take the largest known value."""
    return values.groupby(level=0).max()
