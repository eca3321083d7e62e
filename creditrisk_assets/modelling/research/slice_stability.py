"""What a feature says of risk within slices of the applicants, and whether that is one thing.

What belongs here: the direction and strength of each feature alone, slice by slice, and which features contradict themselves. What does
not: which slices there are (the policy's segments), how good a model is in a slice (`calibration_tests`).

A feature that points to more risk for one kind of applicant and to less for another says different things in the reasons of two
declined applicants, and on average says whatever the mix of applicants makes of it: as the mix moves, so does the model. A feature all
of whose strength comes from one slice stands for the slice.

References
----------
Mann, Whitney (1947): the variance of the AUC of a score that says nothing, (m + n + 1) / (12 m n).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import LEVEL


@dataclass(frozen=True)
class Effect:
    """One feature in one slice."""

    segment: str
    value: str
    effect: float  # the AUC of the feature alone, less 0.5: above 0 risk rises with it
    error: float  # standard error, of a feature that says nothing

    @property
    def z(self) -> float:
        """The effect in standard errors."""
        return self.effect / self.error

    def __str__(self) -> str:
        return f"{self.effect:+.3f} where {self.segment} is {self.value}"


def effects(
    column: NDArray[np.float32], target: NDArray[np.int64], slices: Mapping[str, Sequence[Any]], fewest: int
) -> tuple[Effect, ...]:
    """Measure one feature in every slice.

    Parameters
    ----------
    column : (n,)
        NaN where it is missing: such applicants say nothing of its direction.
    target : (n,)
        1 for a default, 0 otherwise.
    slices
        Segment -> the value of each applicant; a missing one is no slice.
    fewest
        Known applicants of each outcome a slice needs; one with fewer is left out.
    """
    found, known = [], ~np.isnan(column)
    for segment, values in slices.items():
        of_segment = np.array([None if pd.isna(value) else str(value) for value in values], dtype=object)
        for value in sorted({value for value in of_segment.tolist() if value is not None}):
            rows = known & (of_segment == value)
            bad = int(target[rows].sum())
            good = int(rows.sum()) - bad
            if min(bad, good) < fewest:
                continue
            ranks = scipy.stats.rankdata(column[rows])
            auc = (float(ranks[target[rows] == 1].sum()) - bad * (bad + 1) / 2) / (bad * good)
            found.append(Effect(segment, value, auc - 0.5, float(np.sqrt((bad + good + 1) / (12 * bad * good)))))
    return tuple(found)


def contradiction(found: Sequence[Effect], *, significance: float, rest_share: float) -> str | None:
    """Say how a feature contradicts itself between the slices of one segment; None: it does not.

    Parameters
    ----------
    found
        Of one feature.
    significance
        Two-sided, of one effect; divide by the number of effects looked at.
    rest_share
        A feature is carried by one slice if the strength in all others together is certainly (95 %) below this share of its.

    Returns
    -------
    str or None
        The slices and figures.
    """
    limit = float(scipy.stats.norm.isf(significance / 2))
    for segment in dict.fromkeys(one.segment for one in found):
        within = [one for one in found if one.segment == segment]
        if len(within) < 2:
            continue
        highest, lowest = max(within, key=lambda one: one.z), min(within, key=lambda one: one.z)
        if highest.z >= limit and lowest.z <= -limit:
            return f"its direction turns: {highest}, {lowest}"
        strongest = max(within, key=lambda one: abs(one.z))
        rest, error = _together([one for one in within if one is not strongest])
        reach = abs(rest) + float(scipy.stats.norm.ppf(0.5 + LEVEL / 2)) * error
        if abs(strongest.z) >= limit and reach < rest_share * abs(strongest.effect):
            return f"carried by one slice: {strongest}, {rest:+.3f} elsewhere"
    return None


def _together(some: Sequence[Effect]) -> tuple[float, float]:
    """Return the mean effect, weighted by precision, and its standard error."""
    weights = np.array([one.error**-2 for one in some])
    values = np.array([one.effect for one in some])
    return float((weights * values).sum() / weights.sum()), float(weights.sum() ** -0.5)
