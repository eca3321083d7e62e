"""Default rates of categories: target encoding, smoothed towards the wider group, cross-fitted.

What belongs here: learning rates of groups. What does not: looking them up (`lookup`), cross-fitting (`crossfit`), which categories
(`kinds`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from creditrisk_assets.modelling.research.learned.crossfit import CrossFitted, Numbers, Outcomes
from creditrisk_assets.modelling.research.learned.groups import columns_of
from creditrisk_assets.modelling.research.learned.lookup import (
    Key,
    Level,
    Lookup,
    apply_lookups,
    keys_of,
    parents,
    to_table,
)


class ExcessRate(CrossFitted):
    """Give the default rate of the applicant's group, less the default rate of all.

    A group of n applicants has (Σ (y − r) + m·s) / (n + m), with r the rate of all, m the smoothing and s the number of the group one
    category wider (0 for everybody). So a small group says little, and one that no row fitted is in what its parent says.

    Parameters
    ----------
    groups
        Categories that name a group, widest first; a column for each.
    smoothing
        m, in applicants.
    folds, seed
        Of cross-fitting.

    References
    ----------
    Micci-Barreca (2001), SIGKDD Explorations 3(1).
    """

    def __init__(
        self, groups: Sequence[tuple[str, ...]] = (), *, smoothing: float = 100.0, folds: int = 5, seed: int = 0
    ) -> None:
        self.groups = groups
        self.smoothing = smoothing
        self.folds = folds
        self.seed = seed

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return one name for each group."""
        names = ["_".join(name.partition("__")[2] or name for name in by) for by in self.groups]
        return np.array([f"{name}_excess_rate" for name in names], dtype=object)

    def to_table(self) -> dict[str, Any]:
        """Write the map learned from all rows as JSON values, which `lookup.apply_table` reads."""
        check_is_fitted(self, "learned_")
        return to_table(self.learned_)

    def _learn(self, rows: pd.DataFrame, target: Outcomes) -> tuple[Lookup, ...]:
        columns, excess = columns_of(rows, self.groups), (target - target.mean()).tolist()
        return tuple(
            Lookup(name, self._levels(columns, by, excess))
            for name, by in zip(self.get_feature_names_out(), self.groups, strict=True)
        )

    def _apply(self, learned: tuple[Lookup, ...], rows: pd.DataFrame) -> Numbers:
        return np.column_stack(list(apply_lookups(learned, columns_of(rows, self.groups)).values()))

    def _levels(self, columns: dict[str, Any], by: tuple[str, ...], excess: list[float]) -> tuple[Level, ...]:
        wider: dict[Key, float] = {(): 0.0}
        levels = [Level((), wider)]
        for level in reversed(parents(by)[:-1]):
            count: dict[Key, int] = {}
            total: dict[Key, float] = {}
            for key, value in zip(keys_of(columns, level, len(excess)), excess, strict=True):
                count[key] = count.get(key, 0) + 1
                total[key] = total.get(key, 0.0) + value
            numbers = {
                key: (total[key] + self.smoothing * wider[key[:-1]]) / (count[key] + self.smoothing) for key in count
            }
            levels.append(Level(level, numbers))
            wider = numbers
        return tuple(reversed(levels))
