"""How far counts lie from a reference: effect sizes, what chance alone would make of them, and the evidence.

What belongs here: figures of one column. What does not: which figure matters (the policy), what a report says of many (`report`).

PSI, Jensen–Shannon distance and evidence are computed over one set of bins: the tenths of the reference, NULL as a bin of its own, bins
of less than a hundredth of the reference joined to a neighbour, categories the training never saw together. The Wasserstein distance
is that between the two distributions as their counts at the knots draw them, straight between knots.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.reference import HIGH, LOW, CategoryReference, Distribution, NumberReference
from creditrisk_assets.monitoring.drift.counting import CategoryCounts, Counts, NumberCounts, knots

SMALLEST_BIN = 0.01  # of the reference
HALF = 0.5  # an applicant, added to every bin, so that an empty one stays finite

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """What is between a column and its reference.

    Attributes
    ----------
    psi
        Population stability index: sum of (share now − share before) × log(share now / share before).
    expected_psi
        What it would be on average without any drift, by the numbers of applicants and bins alone.
    jensen_shannon
        Jensen–Shannon distance with logarithms of base 2: 0 alike, 1 without overlap.
    wasserstein
        In standard deviations of the reference; NaN for categories, and where there is no spread or no value.
    p_value
        Of the two-sample chi-square test.
    """

    psi: float
    expected_psi: float
    jensen_shannon: float
    wasserstein: float
    p_value: float
    missing_reference: float
    missing_current: float


def compare(reference: Distribution, counts: Counts) -> Effect:
    """Compare counts with their reference."""
    before, after = bins(reference, counts)
    n, m = before.sum(), after.sum()
    missing = (reference.missing / n if n else 0.0, counts.missing / m if m else 0.0)
    if not (n and m):
        return Effect(0.0, 0.0, 0.0, math.nan, 1.0, *missing)
    expected = (len(before) - 1) * (1 / n + 1 / m)
    distance = math.nan
    if isinstance(reference, NumberReference) and isinstance(counts, NumberCounts):
        distance = wasserstein(reference, counts)
    return Effect(
        stability_index(before, after),
        expected,
        jensen_shannon(before, after),
        distance,
        chi_square(before, after),
        *missing,
    )


def bins(reference: Distribution, counts: Counts) -> tuple[Numbers, Numbers]:
    """Return the applicants of the reference and those counted, bin by bin; a bin that is empty on both sides is left out."""
    if isinstance(reference, NumberReference) and isinstance(counts, NumberCounts):
        before, after = _number_bins(reference, counts)
    elif isinstance(reference, CategoryReference) and isinstance(counts, CategoryCounts):
        before, after = _category_bins(reference, counts)
    else:
        raise TypeError("a number's counts were compared with a category's reference, or the other way round")
    sides = np.array([[*before, reference.missing], [*after, counts.missing]], dtype=np.float64)
    used = sides[:, sides.sum(axis=0) > 0]
    return used[0], used[1]


def stability_index(before: Numbers, after: Numbers) -> float:
    """Compute the PSI of two rows of counts.

    Examples
    --------
    >>> round(stability_index(np.array([8000.0, 2000.0]), np.array([5000.0, 5000.0])), 3)
    0.416
    """
    p, q = (before + HALF) / (before + HALF).sum(), (after + HALF) / (after + HALF).sum()
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon(before: Numbers, after: Numbers) -> float:
    """Compute the Jensen–Shannon distance of two rows of counts, base 2."""
    from scipy.spatial.distance import jensenshannon  # noqa: PLC0415 - slow to import, for drift alone

    return float(np.clip(np.nan_to_num(jensenshannon(before, after, base=2)), 0, 1))


def chi_square(before: Numbers, after: Numbers) -> float:
    """Return the p-value of the two-sample chi-square test.

    Notes
    -----
    Where fewer than one applicant is expected in a bin, one is: a single applicant of a new category is no evidence.
    """
    from scipy.stats import chi2  # noqa: PLC0415 - slow to import, for drift alone

    if len(before) < 2:
        return 1.0
    n, m = before.sum(), after.sum()
    pooled = (before + after) / (n + m)
    statistic = sum(
        (side - size * pooled) ** 2 @ (1 / np.maximum(size * pooled, 1)) for side, size in ((before, n), (after, m))
    )
    return float(chi2.sf(statistic, len(before) - 1))


def wasserstein(reference: NumberReference, counts: NumberCounts) -> float:
    """Compute the Wasserstein distance in standard deviations of the reference.

    Notes
    -----
    Both distribution functions are known at the knots and drawn straight between them; what lies beyond the ends of the
    reference counts with its exact distance from them.
    """
    at, (rising, reached) = knots(reference), _reference_shares(reference)
    known = counts.rows - counts.missing
    if len(at) < 2 or not known:
        return math.nan
    spread = _spread(at, rising, reached)
    if not spread > 0:
        return math.nan
    starting, ending = counts.upto / known, counts.below / known
    if reached[0] == 0:  # the reference does not tell its least value apart from what follows
        starting[0] = ending[0]
    if rising[-1] == 1:  # nor its greatest from what comes before
        ending[-1] = starting[-1]
    inside = float(np.sum(_area(reached[:-1] - starting[:-1], rising[1:] - ending[1:]) * np.diff(at)))
    return (inside + sum(counts.beyond) / known) / spread


def _number_bins(reference: NumberReference, counts: NumberCounts) -> tuple[list[float], list[float]]:
    if not reference.counts:
        return [0.0], [float(counts.rows - counts.missing)]
    at = knots(reference)
    places = np.searchsorted(at, reference.edges)
    known = counts.rows - counts.missing
    cumulative = np.stack([counts.below[places], counts.upto[places]], axis=1).ravel()
    after = np.diff(np.concatenate([[0], cumulative, [known]]))
    return _joined(
        np.array(reference.counts, dtype=np.float64), after.astype(np.float64), SMALLEST_BIN * reference.rows
    )


def _joined(before: Numbers, after: Numbers, least: float) -> tuple[list[float], list[float]]:
    """Join bins from below until each holds enough of the reference."""
    joined: list[list[float]] = [[0.0], [0.0]]
    for one, other in zip(before.tolist(), after.tolist(), strict=True):
        if joined[0][-1] >= least and one >= least:
            joined[0].append(0.0)
            joined[1].append(0.0)
        joined[0][-1] += one
        joined[1][-1] += other
    return joined[0], joined[1]


def _category_bins(reference: CategoryReference, counts: CategoryCounts) -> tuple[list[float], list[float]]:
    least = SMALLEST_BIN * reference.rows
    common = [name for name, count in reference.counts.items() if count >= least]
    rare = [name for name in reference.counts if name not in set(common)]
    unseen = sum(count for name, count in counts.counts.items() if name not in reference.counts)
    before = [*(reference.counts[name] for name in common), sum(reference.counts[name] for name in rare), 0]
    after = [*(counts.counts.get(name, 0) for name in common), sum(counts.counts.get(name, 0) for name in rare), unseen]
    return [float(count) for count in before], [float(count) for count in after]


def _reference_shares(reference: NumberReference) -> tuple[Numbers, Numbers]:
    """Return the share of the reference below each knot, and at it or below."""
    at, known = knots(reference), sum(reference.counts)
    if not known:
        return np.empty(0), np.empty(0)
    cumulative = np.cumsum(reference.counts) / known
    shares = {edge: (cumulative[2 * place], cumulative[2 * place + 1]) for place, edge in enumerate(reference.edges)}
    ends = [(reference.minimum, 0.0), (reference.maximum, 1.0), (reference.low, LOW), (reference.high, HIGH)]
    for end, share in ends:
        if end is not None and end not in shares:
            shares[end] = (share, share)
    pairs = np.array([shares[knot] for knot in at.tolist()], dtype=np.float64)
    return pairs[:, 0], pairs[:, 1]


def _area(start: Numbers, end: Numbers) -> Numbers:
    """Return the mean of |a line from start to end| over each interval."""
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = (start**2 + end**2) / (2 * (np.abs(start) + np.abs(end)))
    return np.where(start * end < 0, np.nan_to_num(crossing), (np.abs(start) + np.abs(end)) / 2)


def _spread(at: Numbers, rising: Numbers, reached: Numbers) -> float:
    """Return the standard deviation of the reference as its shares draw it."""
    masses = np.concatenate([reached - rising, rising[1:] - reached[:-1]])
    low, high = np.concatenate([at, at[:-1]]), np.concatenate([at, at[1:]])
    masses = masses / masses.sum()
    mean = float(masses @ (low + high)) / 2
    return math.sqrt(max(float(masses @ (low**2 + low * high + high**2)) / 3 - mean**2, 0.0))
