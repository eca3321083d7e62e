"""scikit-learn's histogram gradient boosting: the same idea as the default model by other hands.

What belongs here: its fit. What does not: the default model (`default`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.folds import assign_folds
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.research.budgets import HistogramBudget
from creditrisk_assets.modelling.research.challengers.protocol import Encoded, encode
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import checked_target


@dataclass(frozen=True)
class Histogram:
    """A fitted ensemble."""

    encoded: Encoded = field(repr=False)
    model: Any = field(repr=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs it was fitted with."""
        return self.encoded.names

    @property
    def account(self) -> Mapping[str, Any]:
        """The number of trees."""
        return {"trees": int(self.model.n_iter_)}

    def pds(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Compute PDs."""
        found: NDArray[np.float64] = self.model.predict_proba(self.encoded.of(frame))[:, 1]
        return found


def fit(
    part: Part, inputs: Sequence[ModelInput], config: ModelConfig, seed: int, *, budget: HistogramBudget
) -> Histogram:
    """Fit with the default model's sizes and monotone constraints, stopped early on an inner fold.

    The inner fold is ours: the one scikit-learn would draw may leave a column without any value, on which its binning fails.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - for research alone

    inner = assign_folds(part.ids, checked_target(part), config.validation.inner_folds, f"histogram/{seed}")
    fitted, watched = part.take(np.flatnonzero(inner != 0)), part.take(np.flatnonzero(inner == 0))
    encoded = encode(fitted, inputs)
    sizes = config.lightgbm
    model = HistGradientBoostingClassifier(
        max_iter=budget.trees,
        learning_rate=budget.learning_rate,
        max_leaf_nodes=sizes.num_leaves,
        min_samples_leaf=sizes.min_child_samples,
        l2_regularization=sizes.lambda_l2,
        max_features=sizes.feature_fraction,
        max_bins=sizes.max_bin,
        monotonic_cst=[i.monotone for i in encoded.inputs],
        categorical_features=None,
        early_stopping=True,
        n_iter_no_change=budget.stop_after,
        random_state=seed,
    )
    model.fit(encoded.matrix, encoded.labels, X_val=encoded.of(watched.frame), y_val=watched.labels)
    return Histogram(encoded, model)
