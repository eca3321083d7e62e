"""Columns that say nothing new: the control beside which learned features are judged.

What belongs here: copies. What does not: what is copied (`kinds`). A tree looks at a share of the inputs (`feature_fraction`), so a second
column of something strong makes it seen more often; a learned feature must be worth more than that.
"""

# ruff: noqa: N803

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from creditrisk_assets.modelling.research.learned.crossfit import Numbers, numbers_of


class Copies(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Give every column again, some times over; nothing is learned.

    Parameters
    ----------
    times
        Copies of each column.
    """

    def __init__(self, times: int = 2) -> None:
        self.times = times

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Remember the names."""
        self.names_ = [str(name).partition("__")[2] or str(name) for name in X]
        return self

    def transform(self, X: pd.DataFrame) -> Numbers:
        """Return the copies, (n, times × columns).

        Raises
        ------
        LearnedError
            A column holds infinity or something else than numbers.
        """
        return np.repeat(numbers_of(X), self.times, axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the copies."""
        check_is_fitted(self, "names_")
        return np.array([f"{name}_copy_{copy}" for name in self.names_ for copy in range(self.times)], dtype=object)
