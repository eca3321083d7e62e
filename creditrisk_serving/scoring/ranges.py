"""Which inputs of an applicant lie outside what the model was trained on.

What belongs here: comparing one applicant with the training applicants. What does not: how the training's distributions were counted
(`modelling.reference`), how many applicants have moved (`monitoring.drift`).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

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
        self._categories = [(place, f.codes) for place, f in enumerate(features) if f.kind == "category"]

    def outside(self, row: Sequence[Any], packed: bytes) -> list[str]:
        """Name the inputs beyond the least and the greatest value, or of a category, that the training saw.

        Parameters
        ----------
        row
            The applicant's features in the model's order, NaN where unknown: nothing can be said of those.
        packed
            The same as `Encoder.pack` gives it.
        """
        numbers = np.frombuffer(packed, np.float32)
        beyond = np.flatnonzero((numbers < self._low) | (numbers > self._high)).tolist()
        unseen = [place for place, codes in self._categories if isinstance(row[place], str) and row[place] not in codes]
        return [self._names[place] for place in sorted([*beyond, *unseen])]


def _range(found: Distribution) -> tuple[float, float]:
    """Return the least and the greatest value; of none, a range that holds nothing."""
    if isinstance(found, CategoryReference):
        seen = [state for state, name in enumerate(FLAGS) if found.counts.get(name)]
        return min(seen, default=math.inf), max(seen, default=-math.inf)
    if found.minimum is None or found.maximum is None:
        return math.inf, -math.inf
    return found.minimum, found.maximum
