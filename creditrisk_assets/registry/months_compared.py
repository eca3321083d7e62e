"""A candidate beside the champion on production months, as pure functions.

What belongs here: what both versions say of a month's applicants, by month and of all together, and what of it speaks against the
candidate. What does not: which months there are and scoring them (`defs.canary_months`), the reference applicants (`comparison`), the
statistics of two models (`modelling.comparison`).

Outcomes are of loans the version in use then granted. What it refused is missing, and that costs the version that refused more of its AUC
than the other one, so the figures flatter a candidate: one that is worse all the same is worse. So a month speaks against a candidate, and
never for one in the place of the reference applicants.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import LEVEL, Interval
from creditrisk_assets.modelling.comparison import BRIER, Comparison, compare, compare_auc
from creditrisk_assets.modelling.policy import CanaryLimits
from creditrisk_assets.registry.comparison import Side

TOGETHER = "together"
NONE_YET = "no production month is published yet: compared on the reference applicants alone"
REACH = NormalDist().inv_cdf(0.5 + LEVEL / 2)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A figure of both versions, and the candidate's minus the champion's with its 95 % interval."""

    candidate: float
    champion: float
    difference: Interval

    @classmethod
    def of(cls, found: Comparison) -> "Difference":
        """Take a comparison of the candidate with the champion."""
        return cls(found.first, found.second, found.difference)


@dataclass(frozen=True)
class Swapped:
    """Who is approved by one version alone; `known` of their outcomes are known."""

    applicants: int
    known: int
    defaults: int

    @property
    def bad_rate(self) -> float | None:
        """The share of defaults among those known; None: nothing is."""
        return self.defaults / self.known if self.known else None


@dataclass(frozen=True)
class ComparedMonth:
    """What a candidate is beside the champion on the applicants of a month."""

    month: str
    state: str  # how far its outcomes are known
    applicants: int
    outcomes: int
    defaults: int
    approval_rate: Difference
    mean_pd: Difference
    gained: Swapped  # approved by the candidate alone
    lost: Swapped  # by the champion alone
    auc: Difference | None  # None: too few outcomes
    brier: Difference | None

    def to_row(self, limits: CanaryLimits) -> dict[str, Any]:
        """Render as one flat row of JSON values."""
        row: dict[str, Any] = {
            "month": self.month,
            "state": self.state,
            "applicants": self.applicants,
            "outcomes": self.outcomes,
            "defaults": self.defaults,
        }
        for name in ("approval_rate", "mean_pd", "auc", "brier"):
            found: Difference | None = getattr(self, name)
            flat = asdict(found.difference) if found else dict.fromkeys(("value", "low", "high"))
            row[f"champion_{name}"] = found.champion if found else None
            row[f"candidate_{name}"] = found.candidate if found else None
            row |= {f"{name}_{'difference' if end == 'value' else end}": number for end, number in flat.items()}
        for name in ("gained", "lost"):
            swapped: Swapped = getattr(self, name)
            row |= {
                name: swapped.applicants,
                f"{name}_outcomes": swapped.known,
                f"{name}_bad_rate": swapped.bad_rate,
            }
        return row | {"verdict": verdict(self.auc, self.brier, limits)}


@dataclass(frozen=True)
class Months:
    """All months, what could not be compared, and what speaks against the candidate."""

    compared: tuple[ComparedMonth, ...]
    left_out: Mapping[str, str]  # month -> why
    together: Mapping[str, Interval]  # figure -> the difference over all months with outcomes; empty: fewer than two
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    words: str

    def to_dict(self, limits: CanaryLimits) -> dict[str, Any]:
        """Render as JSON values."""
        return {
            "months": [month.to_row(limits) for month in self.compared],
            "months_together": {name: asdict(found) for name, found in self.together.items()},
            "months_left_out": dict(self.left_out),
            "months_words": self.words,
        }


def compare_month(
    month: str, state: str, candidate: Side, champion: Side, outcomes: Numbers, limits: CanaryLimits
) -> ComparedMonth:
    """Compare two versions on the applicants of a month.

    Parameters
    ----------
    month, state
        As 2026-05, and how far its outcomes are known.
    candidate, champion
        PDs of the same applicants in the same order.
    outcomes : (n,)
        1 for a default, 0 otherwise, NaN where not known.
    limits
        Of the policy.
    """
    known = ~np.isnan(outcomes)
    target = outcomes[known].astype(np.int64)
    after, before = candidate.decisions == "approve", champion.decisions == "approve"
    auc = brier = None
    rule, defaults = limits.months, int(target.sum())
    if (
        len(target) >= rule.minimum_outcomes
        and rule.minimum_defaults <= defaults <= len(target) - rule.minimum_defaults
    ):
        one, other = candidate.pds[known], champion.pds[known]
        auc = Difference.of(compare_auc(target, one, other))
        (found,) = compare(target, one, other, (BRIER,), seed=limits.seed, resamples=limits.resamples)
        brier = Difference.of(found)
    return ComparedMonth(
        month,
        state,
        len(outcomes),
        len(target),
        defaults,
        _shift(after.astype(np.float64), before.astype(np.float64)),
        _shift(candidate.pds, champion.pds),
        _swapped(after & ~before, outcomes),
        _swapped(before & ~after, outcomes),
        auc,
        brier,
    )


def judge_months(compared: Sequence[ComparedMonth], left_out: Mapping[str, str], limits: CanaryLimits) -> Months:
    """Hold months to the margins of the reference comparison: what is surely worse blocks, what is not shown is told.

    Parameters
    ----------
    compared
        In their order.
    left_out
        Month -> why it could not be compared.
    limits
        Of the policy.
    """
    together = {
        name: _together([(month.outcomes, found.difference) for month in compared if (found := getattr(month, name))])
        for name in ("auc", "brier")
        if sum(getattr(month, name) is not None for month in compared) > 1
    }
    problems = [words for month in compared for words in _worse(month, limits)]
    if together and (span := _span([month for month in compared if month.auc])):
        problems += _worse_together(span, together, limits)
    shifts = [words for month in compared for words in _shifted(month, limits)]
    missing = [f"{month} could not be compared: {why}" for month, why in left_out.items()]
    return Months(
        tuple(compared), left_out, together, tuple(problems), (*shifts, *missing), _words(compared, left_out, problems)
    )


def verdict(auc: Difference | None, brier: Difference | None, limits: CanaryLimits) -> str:
    """Name what outcomes say of the candidate, by the margins of non-inferiority."""
    if auc is None or brier is None:
        return "no outcomes"
    ends = (
        (auc.difference.low, auc.difference.high, limits.auc_margin),
        (-brier.difference.high, -brier.difference.low, limits.brier_margin),
    )  # as losses below 0
    if any(high < -margin for _, high, margin in ends):
        return "worse"
    return "not worse" if all(low > -margin for low, _, margin in ends) else "undecided"


def _shift(candidate: Numbers, champion: Numbers) -> Difference:
    """Compare means of the same applicants."""
    each = candidate - champion
    value = float(each.mean())
    reach = REACH * float(each.std()) / float(np.sqrt(len(each)))
    return Difference(float(candidate.mean()), float(champion.mean()), Interval(value, value - reach, value + reach))


def _swapped(who: NDArray[np.bool_], outcomes: Numbers) -> Swapped:
    told = outcomes[who]
    return Swapped(int(who.sum()), int((~np.isnan(told)).sum()), int(np.nansum(told)))


def _together(found: Sequence[tuple[int, Interval]]) -> Interval:
    """Return the mean of independent differences, weighted by the outcomes they rest on."""
    weights = np.array([count for count, _ in found], dtype=np.float64)
    weights /= weights.sum()
    value = float(weights @ [each.value for _, each in found])
    below = np.array([each.value - each.low for _, each in found])
    above = np.array([each.high - each.value for _, each in found])
    low, high = (float(np.sqrt(weights**2 @ reach**2)) for reach in (below, above))
    return Interval(value, value - low, value + high)


def _worse(month: ComparedMonth, limits: CanaryLimits) -> Iterator[str]:
    beside = f"{month.outcomes} outcomes, 95 % interval"
    if month.auc is not None and month.auc.difference.high < -limits.auc_margin:
        yield (
            f"on the applicants of {month.month} its AUC is {month.auc.candidate:.4f} against {month.auc.champion:.4f}: at least"
            f" {-month.auc.difference.high:.4f} worse ({beside}; margin {limits.auc_margin})"
        )
    if month.brier is not None and month.brier.difference.low > limits.brier_margin:
        yield (
            f"on the applicants of {month.month} its Brier score is {month.brier.candidate:.5f} against"
            f" {month.brier.champion:.5f}: at least {month.brier.difference.low:.5f} worse ({beside}; margin {limits.brier_margin})"
        )


def _worse_together(span: str, together: Mapping[str, Interval], limits: CanaryLimits) -> Iterator[str]:
    if together["auc"].high < -limits.auc_margin:
        yield (
            f"over {span} its AUC is at least {-together['auc'].high:.4f} worse (95 % interval; margin {limits.auc_margin})"
        )
    if together["brier"].low > limits.brier_margin:
        yield (
            f"over {span} its Brier score is at least {together['brier'].low:.5f} worse (95 % interval; margin"
            f" {limits.brier_margin})"
        )


def _shifted(month: ComparedMonth, limits: CanaryLimits) -> Iterator[str]:
    for name, found, limit in (
        ("approval rate", month.approval_rate, limits.maximum_approval_rate_shift),
        ("mean PD", month.mean_pd, limits.maximum_mean_pd_shift),
    ):
        if found.difference.low > limit or found.difference.high < -limit:
            yield f"on the applicants of {month.month} the {name} moves by {found.difference.value:+.2%} (limit {limit:.2%} either way)"


def _span(months: Sequence[ComparedMonth]) -> str:
    return f"{months[0].month} to {months[-1].month}"


def _words(compared: Sequence[ComparedMonth], left_out: Mapping[str, str], problems: Sequence[str]) -> str:
    """Say in a line what months came to."""
    if not compared and not left_out:
        return NONE_YET
    told = [month for month in compared if month.auc is not None]
    parts = [f"compared on {len(compared)} production months" + (f", {_span(compared)}" if compared else "")]
    parts.append(f"{len(told)} with outcomes" + (", worse on them" if problems else ""))
    if left_out:
        parts.append(f"{len(left_out)} could not be compared")
    return "; ".join(parts)
