"""What is usual in a group, and how far an applicant lies from it.

What belongs here: learning medians of groups. What does not: looking them up (`lookup`), which values and groups (`kinds`).
"""

# ruff: noqa: N803

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from creditrisk_assets.modelling.research.learned.crossfit import LearnedError, Numbers, numbers_of
from creditrisk_assets.modelling.research.learned.lookup import Level, Lookup, apply_lookups, keys_of, parents, to_table


class GroupRelative(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Give values less the median of the applicant's group, and divided by it.

    Medians are of the rows fitted and look at no outcome, so nothing is cross-fitted. A group with fewer known values than `smallest`,
    or one that no row fitted is in, has the median of the group one category wider, in the end of everybody; a value that no row has
    leaves NaN.

    Parameters
    ----------
    values
        Columns of numbers.
    groups
        Categories that name a group, widest first; columns are made for each.
    smallest
        Known values it takes to have a median.

    Attributes
    ----------
    lookups_ : tuple
        The medians.
    """

    def __init__(
        self, values: Sequence[str] = (), groups: Sequence[tuple[str, ...]] = (), *, smallest: int = 100
    ) -> None:
        self.values = values
        self.groups = groups
        self.smallest = smallest

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Learn the medians.

        Parameters
        ----------
        X : (n, columns)
            The values and the categories.
        y
            Ignored.

        Raises
        ------
        LearnedError
            There is no row, or a value is infinite.
        """
        if not len(X):
            raise LearnedError("there are no rows to learn medians of groups from")
        numbers = numbers_of(X[list(self.values)])
        columns = columns_of(X, self.groups)
        lookups = []
        for by in self.groups:
            for value, column in zip(self.values, numbers.T, strict=True):
                levels = tuple(_level(columns, level, column, self.smallest if level else 1) for level in parents(by))
                stem = f"{_short(value)}_of_{'_'.join(map(_short, by))}"
                lookups.append(Lookup(f"{stem}_difference", levels, "difference", value))
                lookups.append(Lookup(f"{stem}_ratio", levels, "ratio", value))
        self.lookups_ = tuple(lookups)
        return self

    def transform(self, X: pd.DataFrame) -> Numbers:
        """Compare rows with their groups.

        Returns
        -------
        ndarray
            (n, 2 × values × groups), NaN where a value is missing, or the median to divide by is 0.
        """
        check_is_fitted(self, "lookups_")
        numbers = numbers_of(X[list(self.values)])
        columns = columns_of(X, self.groups) | dict(zip(self.values, numbers.T, strict=True))
        return np.column_stack(list(apply_lookups(self.lookups_, columns).values()))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns."""
        check_is_fitted(self, "lookups_")
        return np.array([lookup.name for lookup in self.lookups_], dtype=object)

    def to_table(self) -> dict[str, Any]:
        """Write what was learned as JSON values, which `lookup.apply_table` reads."""
        check_is_fitted(self, "lookups_")
        return to_table(self.lookups_)


def columns_of(frame: pd.DataFrame, groups: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """Return the categories that name groups, as lists."""
    return {name: frame[name].astype(object).tolist() for by in groups for name in by}


def _level(columns: dict[str, Any], by: tuple[str, ...], values: Numbers, smallest: int) -> Level:
    members: dict[Any, list[float]] = {}
    for key, value in zip(keys_of(columns, by, len(values)), values.tolist(), strict=True):
        if value == value:  # noqa: PLR0124 - NaN alone differs from itself
            members.setdefault(key, []).append(value)
    return Level(by, {key: float(np.median(some)) for key, some in members.items() if len(some) >= smallest})


def _short(feature: str) -> str:
    return feature.partition("__")[2] or feature
