"""Whether a model can tell current applicants from those of the reference, and by what.

What belongs here: the domain classifier. What does not: single inputs (`effects`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.monitoring.drift.report import Domain

FOLDS, ROUNDS = 3, 40
SHOWN = 10
PARAMETERS = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.1,
    "feature_fraction": 0.3,
    "min_data_in_leaf": 20,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def tell_apart(
    before: NDArray[np.float64], now: NDArray[np.float64], names: Sequence[str], *, seed: int, threads: int = 1
) -> Domain | None:
    """Train a small model to tell two samples apart, and measure it on rows it did not see.

    Parameters
    ----------
    before, now : (n, inputs)
        Encoded rows. The longer side is cut to the length of the other, so that the sides weigh alike.
    names
        The inputs.
    seed
        Of the folds and the model.
    threads
        LightGBM's.

    Returns
    -------
    Domain or None
        None with fewer than ten rows a fold.
    """
    import lightgbm as lgb  # noqa: PLC0415 - slow to import, for drift alone

    random = np.random.default_rng(seed)
    rows = min(len(before), len(now))
    if rows < 10 * FOLDS:
        return None
    sides = [side[random.permutation(len(side))[:rows]] for side in (before, now)]
    matrix, target = np.vstack(sides), np.repeat([0, 1], rows)
    folds = np.tile(np.arange(rows) % FOLDS, 2)
    scores, gains = np.empty(2 * rows), np.zeros(len(names))
    parameters = {**PARAMETERS, "seed": seed, "num_threads": threads}
    for fold in range(FOLDS):
        held = folds == fold
        model = lgb.train(parameters, lgb.Dataset(matrix[~held], target[~held]), num_boost_round=ROUNDS)
        scores[held] = model.predict(matrix[held], num_threads=threads)
        gains += model.feature_importance("gain")
    order = np.argsort(-gains, kind="stable")[:SHOWN]
    shares = gains / gains.sum() if gains.sum() else gains
    contributors = {names[place]: float(shares[place]) for place in order if shares[place] > 0}
    return Domain(2 * rows, auc_interval(target.astype(np.int64), scores), contributors)
