"""Which inputs of an applicant lie outside what the model was trained on.

What belongs here: comparing applicants with the training applicants. What does not: how the training's distributions were counted
(`modelling.reference`), how many applicants have moved (`monitoring.drift`).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import BundleFeature
from creditrisk_assets.modelling.reference import FLAGS, CategoryReference, Distribution, Reference


class TrainingRange:
    """The range of each input among the training applicants. Safe to share between threads.

    Parameters
    ----------
    features
        The model's inputs, in the order of a row.
    reference
        Their distributions.
    """

    def __init__(self, features: Sequence[BundleFeature], reference: Reference) -> None:
        self._names = tuple(feature.name for feature in features)
        ranges = [
            (-math.inf, math.inf) if feature.kind == "category" else _range(reference.inputs[feature.name])
            for feature in features
        ]
        self._low, self._high = np.array(ranges, dtype=np.float32).T
        self._categories = np.array([place for place, f in enumerate(features) if f.kind == "category"], dtype=np.intp)

    def outside(self, numbers: NDArray[np.float32], unseen: NDArray[np.bool_]) -> list[list[str]]:
        """Name, by row, the inputs beyond the least and the greatest value, or of a category, that the training saw.

        Parameters
        ----------
        numbers
            (n, inputs) as the model sees them, NaN where unknown: nothing can be said of those.
        unseen
            (n, categories) which were not seen, `Slots.unseen`.
        """
        beyond = numbers < self._low
        beyond |= numbers > self._high
        if np.count_nonzero(unseen):
            beyond[:, self._categories] = unseen
        found: list[list[str]] = [[] for _ in range(len(numbers))]
        if np.count_nonzero(beyond):
            for row, place in zip(*(places.tolist() for places in np.nonzero(beyond)), strict=True):
                found[row].append(self._names[place])
        return found


def _range(found: Distribution) -> tuple[float, float]:
    """Return the least and the greatest value; of none, a range that holds nothing."""
    if isinstance(found, CategoryReference):
        seen = [state for state, name in enumerate(FLAGS) if found.counts.get(name)]
        return min(seen, default=math.inf), max(seen, default=-math.inf)
    if found.minimum is None or found.maximum is None:
        return math.inf, -math.inf
    return found.minimum, found.maximum
