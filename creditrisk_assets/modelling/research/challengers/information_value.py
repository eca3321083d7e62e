"""Choosing few inputs of many by information value, from the rows of one fit.

What belongs here: a coarse binning of every input, its information value, and the choice. What does not: the bins of the scorecard
(`scorecard`).

The information value of bins is Σ (share of the good − share of the bad) · ln(share of the good / share of the bad); half an
applicant is added to every count, so empty bins have one. Bins are few, or it would rise with their number by chance.

References
----------
Siddiqi (2006), Credit Risk Scorecards, ch. 6.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.research.challengers.protocol import Encoded

BINS = 10

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """The inputs chosen, as places in the matrix, with their information values, largest first."""

    places: tuple[int, ...]
    values: tuple[float, ...]


def weights_of_evidence(good: Numbers, bad: Numbers) -> Numbers:
    """Compute ln(share of the good / share of the bad) of each bin: higher is safer.

    Examples
    --------
    >>> weights_of_evidence(np.array([10.0, 10.0]), np.array([5.0, 5.0])).tolist()
    [0.0, 0.0]
    """
    found: Numbers = np.log((good + 0.5) / (good + 0.5).sum()) - np.log((bad + 0.5) / (bad + 0.5).sum())
    return found


def information_value(good: Numbers, bad: Numbers) -> float:
    """Compute the information value of bins, never negative."""
    shares = (good + 0.5) / (good + 0.5).sum() - (bad + 0.5) / (bad + 0.5).sum()
    return float(np.sum(shares * weights_of_evidence(good, bad)))


def choose(encoded: Encoded, *, count: int, smallest: float, largest_correlation: float) -> Chosen:
    """Choose the inputs of largest information value that do not repeat one another.

    Parameters
    ----------
    encoded
        The rows of the fit.
    count
        At most so many.
    smallest
        Information values below are noise.
    largest_correlation
        Of the weights of evidence of two chosen inputs, in absolute value; one that repeats a stronger one is passed over.

    Returns
    -------
    Chosen
        Ties go to the earlier column. Nothing may be chosen.
    """
    found = [_coarse(encoded, place) for place in range(len(encoded.inputs))]
    order = sorted(range(len(found)), key=lambda place: (-found[place][0], place))
    places: list[int] = []
    kept: list[Numbers] = []
    for place in order:
        value, evidence = found[place]
        if len(places) == count or value < smallest:
            break
        scaled = evidence - evidence.mean()
        scaled /= np.sqrt(np.sum(scaled**2)) or 1.0
        if all(abs(float(np.sum(scaled * other))) <= largest_correlation for other in kept):
            places.append(place)
            kept.append(scaled)
    return Chosen(tuple(places), tuple(found[place][0] for place in places))


def _coarse(encoded: Encoded, place: int) -> tuple[float, Numbers]:
    """Return the information value of a column in a few bins, and each applicant's weight of evidence."""
    column = encoded.matrix[:, place].astype(np.float64)
    known = ~np.isnan(column)
    if encoded.inputs[place].kind == "category":  # codes go by frequency: the rare categories are one bin
        bins = np.minimum(np.where(known, column, 0), BINS - 1).astype(np.int64)
    else:
        edges = np.unique(np.quantile(column[known], np.arange(1, BINS) / BINS))
        bins = np.searchsorted(edges, np.where(known, column, 0), side="right")
    bins = np.where(known, bins, BINS)
    bad = np.bincount(bins, encoded.labels, BINS + 1).astype(np.float64)
    good = np.bincount(bins, 1 - encoded.labels, BINS + 1).astype(np.float64)
    used = good + bad > 0
    evidence = np.zeros(BINS + 1)
    evidence[used] = weights_of_evidence(good[used], bad[used])
    return information_value(good[used], bad[used]), evidence[bins]
