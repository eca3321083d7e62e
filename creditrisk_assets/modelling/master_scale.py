"""The master scale: whether the policy's grades order risk, and grades proposed from PDs.

What belongs here: sizes, PDs and default rates of grades, what is wrong with them, a proposal of limits. What does not:
the grades in force (`policy`, which an officer signs), whether their PDs are true (`calibration_tests`), points
(`score_points`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import NormalDist
from string import ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.policy import Band, ScaleRules

SIGNIFICANT_DIGITS = 2  # of proposed limits: people read and sign them
OUTER_SHARE = 0.01  # of applicants beyond the first and the last limit tried

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]


class ScaleError(ValueError):
    """These applicants cannot be graded; the message says why."""


@dataclass(frozen=True)
class Grade:
    """One grade on the applicants given: PDs from `pd_from` up to `pd_to`, that value excluded."""

    name: str
    pd_from: float
    pd_to: float
    applicants: int
    share: float
    defaults: int
    mean_pd: float | None  # the grade's PD; None: nobody is in it
    default_rate: float | None


@dataclass(frozen=True)
class MasterScale:
    """Grades from best to worst, and what is wrong with them (nothing: an empty tuple)."""

    grades: tuple[Grade, ...]
    concentration: float  # Herfindahl index of the shares: 1 / grades if all are equal, 1 if one holds everybody
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return asdict(self)


def master_scale(target: Outcomes, pds: Numbers, bands: Sequence[Band], rules: ScaleRules) -> MasterScale:
    """Measure the policy's grades on applicants and look for what is wrong.

    Parameters
    ----------
    target : (n,)
        1 for a default, 0 otherwise.
    pds : (n,)
        Calibrated PDs in [0, 1].
    bands
        Grades in force, best first.
    rules
        What they must be.

    Returns
    -------
    MasterScale
        Mean PDs rise from grade to grade by construction (`Policy` sees to it that limits do); what may fail is shares,
        and that default rates rise with them.

    Raises
    ------
    ScaleError
        Lengths differ, nobody is there, or a PD is none.
    """
    _check(target, pds)
    limits = np.array([band.below for band in bands if band.below is not None], dtype=np.float64)
    place = np.searchsorted(limits, pds, side="right")
    ends = [0.0, *limits.tolist(), 1.0]
    grades = []
    for number, band in enumerate(bands):
        inside = place == number
        count, defaults = int(inside.sum()), int(target[inside].sum())
        grades.append(
            Grade(
                name=band.name,
                pd_from=ends[number],
                pd_to=ends[number + 1],
                applicants=count,
                share=count / len(pds),
                defaults=defaults,
                mean_pd=float(pds[inside].mean()) if count else None,
                default_rate=defaults / count if count else None,
            )
        )
    concentration = sum(grade.share**2 for grade in grades)
    return MasterScale(tuple(grades), concentration, tuple(_problems(grades, rules)))


def propose_bands(target: Outcomes, pds: Numbers, rules: ScaleRules) -> tuple[Band, ...]:
    """Propose grades for the policy.

    Limits start evenly spaced in log-odds, each grade so many times riskier than the one before, rounded to figures
    people can remember. Then grades too small, and neighbours whose default rates are not told apart, are merged, the
    worst case first, until none is left.

    Parameters
    ----------
    target, pds : (n,)
        As in `master_scale`; take out-of-fold PDs of the training part, not the lockbox.
    rules
        What they must be (`maximum_share` is not enforced: merging cannot).

    Returns
    -------
    tuple of Band
        From A, the best; the last has no limit.

    Raises
    ------
    ScaleError
        As `master_scale`, or not even two grades can be told apart.
    """
    _check(target, pds)
    limits = _first_limits(pds, rules.most_grades)
    while limits:
        counts, defaults = _tally(target, pds, limits)
        worst = _worst_limit(counts, defaults, rules)
        if worst is None:
            ends: list[float | None] = [*limits, None]
            return tuple(Band(name=name, below=end) for name, end in zip(ascii_uppercase, ends, strict=False))
        limits.pop(worst)
    raise ScaleError(
        f"not even two grades of {rules.minimum_share:.1%} of the {len(pds)} applicants have default rates that can be"
        " told apart; give more applicants or a model that ranks"
    )


def _first_limits(pds: Numbers, most: int) -> list[float]:
    low, high = np.quantile(pds, [OUTER_SHARE, 1 - OUTER_SHARE])
    low, high = max(float(low), 1e-6), min(float(high), 1 - 1e-6)
    if low >= high:
        return []
    odds = np.geomspace(low / (1 - low), high / (1 - high), most + 1)[1:-1]
    return sorted({float(f"{pd:.{SIGNIFICANT_DIGITS}g}") for pd in (odds / (1 + odds)).tolist()})


def _tally(target: Outcomes, pds: Numbers, limits: Sequence[float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    place = np.searchsorted(np.array(limits), pds, side="right")
    size = len(limits) + 1
    return np.bincount(place, minlength=size), np.bincount(place[target == 1], minlength=size)


def _worst_limit(counts: NDArray[np.int64], defaults: NDArray[np.int64], rules: ScaleRules) -> int | None:
    """Choose the limit to drop: beside the smallest grade that is too small, else between the pair least told apart."""
    p_values = [_not_riskier(counts, defaults, place) for place in range(len(counts) - 1)]
    smallest = int(np.argmin(counts))
    if counts[smallest] < rules.minimum_share * counts.sum():
        beside = [place for place in (smallest - 1, smallest) if 0 <= place < len(p_values)]
        return max(beside, key=lambda place: p_values[place])
    least = int(np.argmax(p_values))
    return least if p_values[least] > rules.significance else None


def _not_riskier(counts: NDArray[np.int64], defaults: NDArray[np.int64], place: int) -> float:
    """Test that the grade after a limit is no riskier than the one before (two proportions, pooled variance)."""
    n, m = int(counts[place]), int(counts[place + 1])
    if not n or not m:
        return 1.0
    before, after = int(defaults[place]) / n, int(defaults[place + 1]) / m
    pooled = int(defaults[place] + defaults[place + 1]) / (n + m)
    variance = pooled * (1 - pooled) * (1 / n + 1 / m)
    return 1 - NormalDist().cdf((after - before) / variance**0.5) if variance else 1.0


def _problems(grades: Sequence[Grade], rules: ScaleRules) -> Iterator[str]:
    for grade in grades:
        if grade.share < rules.minimum_share:
            yield f"grade {grade.name} holds {grade.share:.2%} of the applicants, below {rules.minimum_share:.2%}"
        if grade.share > rules.maximum_share:
            yield f"grade {grade.name} holds {grade.share:.2%} of the applicants, above {rules.maximum_share:.2%}"
    held = [grade for grade in grades if grade.applicants]
    for better, worse in pairwise(held):
        pair = np.array([better.applicants, worse.applicants]), np.array([better.defaults, worse.defaults])
        rates = f"default rates {better.defaults / better.applicants:.2%} and {worse.defaults / worse.applicants:.2%}"
        if (p_value := _not_riskier(*pair, 0)) > rules.significance:
            yield f"grade {worse.name} is not shown to be riskier than {better.name}: {rates} (p = {p_value:.2g})"


def _check(target: Outcomes, pds: Numbers) -> None:
    if target.shape != pds.shape or target.ndim != 1 or not len(pds):
        raise ScaleError(f"{len(target)} outcomes and {len(pds)} PDs do not match, or nobody is there")
    if not ((pds >= 0) & (pds <= 1)).all():
        raise ScaleError("a PD is NaN or outside [0, 1]; the model is broken")
