"""How often applicants like this one default: the default rate of the nearest neighbours.

What belongs here: distance and rate. What does not: which features say who is near (`kinds`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from creditrisk_assets.modelling.research.learned.crossfit import (
    CrossFitted,
    LearnedError,
    Numbers,
    Outcomes,
    numbers_of,
)

CELLS_AT_ONCE = 1_000_000  # neighbours found at a time: 16 MB, whatever the number of applicants


@dataclass(frozen=True)
class Neighbourhood:
    """Applicants with known outcomes, in the space in which they are near or far."""

    median: Numbers
    spread: Numbers  # infinite for a column that tells nobody apart: it adds nothing to a distance
    tree: Any  # scipy's k-d tree
    outcomes: Numbers

    def place(self, values: Numbers) -> Numbers:
        """Put rows into the space: in standard deviations from the median, which also stands for what is missing."""
        return np.asarray(np.nan_to_num((values - self.median) / self.spread, nan=0.0))


class NeighbourRate(CrossFitted):
    """Give the default rate of the k nearest applicants, less the default rate of all.

    Near is the Euclidean distance of standardised columns; a missing value lies at the median. A column without a value, or with one
    value, adds nothing. Of neighbours equally far the tree takes those it meets first, by the order of the ids it was built in: the
    same ones each time. With fewer applicants than k all of them are taken, and the difference is 0.

    Parameters
    ----------
    neighbours
        A column for each k.
    folds, seed
        Of cross-fitting.
    """

    def __init__(self, neighbours: Sequence[int] = (500,), *, folds: int = 5, seed: int = 0) -> None:
        self.neighbours = neighbours
        self.folds = folds
        self.seed = seed

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return one name for each k."""
        return np.array([f"nearest_{k}_excess_rate" for k in self.neighbours], dtype=object)

    def _learn(self, rows: pd.DataFrame, target: Outcomes) -> Neighbourhood:
        values = numbers_of(rows)
        median, spread = np.zeros(values.shape[1]), np.full(values.shape[1], np.inf)
        for place, column in enumerate(values.T):
            known = column[~np.isnan(column)]
            if len(known) and known.min() < known.max():
                median[place], spread[place] = np.median(known), known.std()
        if not (spread > 0).all():
            raise LearnedError(
                f"feature {rows.columns[int(np.argmin(spread))]} varies too little to be standardised; leave it out"
            )
        empty = Neighbourhood(median, spread, None, target.astype(np.float64))
        return Neighbourhood(median, spread, scipy.spatial.cKDTree(empty.place(values)), empty.outcomes)

    def _apply(self, learned: Neighbourhood, rows: pd.DataFrame) -> Numbers:
        points, outcomes = learned.place(numbers_of(rows)), learned.outcomes
        counts = [min(k, len(outcomes)) for k in self.neighbours]
        found = np.empty((len(points), len(counts)))
        size = max(1, CELLS_AT_ONCE // max(counts))
        for start in range(0, len(points), size):
            _, nearest = learned.tree.query(points[start : start + size], k=np.arange(1, max(counts) + 1))
            defaults = np.cumsum(outcomes[nearest], axis=1)
            found[start : start + size] = defaults[:, [k - 1 for k in counts]] / counts
        return np.asarray(found - outcomes.mean())
