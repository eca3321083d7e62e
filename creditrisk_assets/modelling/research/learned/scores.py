"""What the external scores of an applicant should be, and how far they are from it.

What belongs here: the regressions. What does not: what may predict which score (`kinds`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.encoder import ApplicantEncoder
from creditrisk_assets.modelling.research.learned.crossfit import CrossFitted, Numbers, Outcomes, numbers_of


class PredictedScores(CrossFitted):
    """Predict each score from other features by LightGBM; give the prediction, and the score less it.

    It is cross-fitted too, though it looks at no outcome: a residual of a fitted row is smaller than one of a new row. A score known for
    fewer rows than two leaves take is not predicted: both columns are NaN.

    Parameters
    ----------
    scores
        Score -> the features it is predicted from; none of them may be made of it.
    trees, leaves, learning_rate, rows_per_leaf
        Of LightGBM.
    folds, seed
        Of cross-fitting; the seed is LightGBM's too.
    """

    learns_from_target: ClassVar[bool] = False

    def __init__(
        self,
        scores: Mapping[str, Sequence[str]] | None = None,
        *,
        trees: int = 60,
        leaves: int = 12,
        learning_rate: float = 0.08,
        rows_per_leaf: int = 200,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.scores = scores
        self.trees = trees
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.rows_per_leaf = rows_per_leaf
        self.folds = folds
        self.seed = seed

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return two names for each score."""
        stems = [name.partition("__")[2] or name for name in self.scores or {}]
        return np.array([f"{stem}_{what}" for stem in stems for what in ("predicted", "residual")], dtype=object)

    def _learn(self, rows: pd.DataFrame, target: Outcomes) -> list[tuple[ApplicantEncoder, Any] | None]:
        from lightgbm import LGBMRegressor  # noqa: PLC0415 - seconds of imports, for training alone

        found: list[tuple[ApplicantEncoder, Any] | None] = []
        for score, features in (self.scores or {}).items():
            scores = numbers_of(rows[[score]])[:, 0]
            known = np.flatnonzero(~np.isnan(scores))
            if len(known) < 2 * self.rows_per_leaf:
                found.append(None)
                continue
            encoder = ApplicantEncoder()
            matrix = encoder.fit_transform(rows[list(features)].take(known))
            model = LGBMRegressor(**lightgbm_settings(self)).fit(matrix, scores[known])
            found.append((encoder, model.booster_))
        return found

    def _apply(self, learned: list[tuple[ApplicantEncoder, Any] | None], rows: pd.DataFrame) -> Numbers:
        columns = np.full((len(rows), 2 * len(learned)), np.nan)
        for place, ((score, features), fitted) in enumerate(zip((self.scores or {}).items(), learned, strict=True)):
            if fitted is not None:
                encoder, booster = fitted
                predicted = booster.predict(encoder.transform(rows[list(features)]), num_threads=1)
                columns[:, 2 * place] = predicted
                columns[:, 2 * place + 1] = numbers_of(rows[[score]])[:, 0] - predicted
        return columns


def lightgbm_settings(of: Any) -> dict[str, Any]:
    """Return LightGBM's parameters of a small model, fixed so that two fits give one model; one thread, for it takes a second at most."""
    return {
        "n_estimators": of.trees,
        "num_leaves": of.leaves,
        "learning_rate": of.learning_rate,
        "min_child_samples": of.rows_per_leaf,
        "colsample_bytree": 0.5,
        "random_state": of.seed,
        "n_jobs": 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
