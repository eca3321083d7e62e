"""Whether groups are treated alike enough: the policy's limits, absolute and against the champion.

What belongs here: one verdict per limit, in words. What does not: what is measured (`measures`), how a verdict is shown (the asset).

A limit is missed only where the whole 95 % interval lies beyond it, so few applicants reject what is plainly wrong, and many reject more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from creditrisk_assets.modelling.auc import Interval
from creditrisk_assets.modelling.fairness.groups import Grouping
from creditrisk_assets.modelling.fairness.measures import Scored, ratio_change
from creditrisk_assets.modelling.policy import FairnessLimits

Status = Literal["pass", "fail", "insufficient", "not applicable"]


@dataclass(frozen=True)
class Limit:
    """One limit of the policy."""

    check: str
    title: str
    remedy: str
    measure: str  # column of the table of groups
    limit: Callable[[FairnessLimits], str]
    missed: Callable[[Interval, FairnessLimits], bool]


@dataclass(frozen=True)
class Verdict:
    """What became of one limit."""

    check: str
    title: str
    status: Status
    limit: str
    words: str
    remedy: str

    def to_dict(self) -> Mapping[str, Any]:
        """Render as JSON values."""
        return asdict(self)


LIMITS = (
    Limit(
        "approved_alike",
        "No judged group is approved much more seldom than the group it is compared with",
        "look at the frontier of alternatives and at the strongest proxies; a model that treats the group better may cost little",
        "impact_ratio",
        lambda limits: f"impact ratio at least {limits.minimum_impact_ratio}",
        lambda found, limits: found.high < limits.minimum_impact_ratio,
    ),
    Limit(
        "repayers_approved_alike",
        "Of those who repay, a judged group is approved about as often as the group it is compared with",
        "the model ranks good applicants of this group lower than others: look at its AUC and at the features that say less of it",
        "opportunity_gap",
        lambda limits: f"gap at least -{limits.maximum_opportunity_gap}",
        lambda found, limits: found.high < -limits.maximum_opportunity_gap,
    ),
    Limit(
        "pds_true_in_every_group",
        "In every judged group about as many default as the PDs say",
        "a group with fewer defaults than expected pays for others: look at its slices; more defaults mean PDs that are too low",
        "observed_expected",
        lambda limits: (
            f"defaults over expected {limits.minimum_observed_expected} to {limits.maximum_observed_expected}"
        ),
        lambda found, limits: (
            found.high < limits.minimum_observed_expected or found.low > limits.maximum_observed_expected
        ),
    ),
    Limit(
        "mean_pds_alike",
        "The mean PD of a judged group is not much higher than that of the group it is compared with",
        "compare with the default rates: a difference that is true is no error, and still wants a reason in the file",
        "mean_difference",
        lambda limits: f"at most {limits.maximum_mean_difference} standard deviations",
        lambda found, limits: found.low > limits.maximum_mean_difference,
    ),
)
CHAMPION_CHECK = "no_less_fair_than_champion"


def judge(table: pd.DataFrame, limits: FairnessLimits) -> tuple[Verdict, ...]:
    """Judge the table of groups by every absolute limit."""
    judged = table[table["judged"]]
    return tuple(_judge(one, judged, limits) for one in LIMITS)


def _judge(one: Limit, judged: pd.DataFrame, limits: FairnessLimits) -> Verdict:
    words = []
    missed = False
    for row in judged[judged[one.measure].notna()].to_dict("records"):
        found = Interval(*(float(row[f"{one.measure}{end}"]) for end in ("", "_low", "_high")))
        beyond = one.missed(found, limits)
        missed = missed or beyond
        words.append(f"{'! ' if beyond else ''}{row['group']} {found.value:.3f} ({found.low:.3f} to {found.high:.3f})")
    status: Status = "fail" if missed else "pass" if words else "insufficient"
    told = (
        "; ".join(sorted(words, key=lambda text: not text.startswith("!"))) or "no judged group has enough applicants"
    )
    return Verdict(one.check, one.title, status, one.limit(limits), told, one.remedy)


def judge_beside_champion(
    new: Scored, old: Scored | None, reason: str, groupings: Sequence[Grouping], limits: FairnessLimits, *, seed: int
) -> Verdict:
    """Judge whether a judged group is approved more seldom, against its reference, than by the champion.

    Parameters
    ----------
    new, old
        The same applicants by this version and by the champion; None: it cannot be compared.
    reason
        Why it cannot.
    groupings, limits, seed
        As for `measures`.
    """
    limit = f"impact ratio at most {limits.maximum_ratio_loss} below that of the champion"
    title = "Against the champion on the same applicants, no judged group is approved much more seldom"
    remedy = "the champion treats the group better: find out which new inputs or cut-offs made the difference before promoting"
    if old is None:
        return Verdict(CHAMPION_CHECK, title, "not applicable", limit, reason, remedy)
    words = []
    missed = False
    for grouping in groupings:
        for name in grouping.judged:
            inside = grouping.of(name)
            other = grouping.compared_with(name) & ~inside
            if min(inside.sum(), other.sum()) < limits.minimum_applicants:
                continue
            found = ratio_change(new.favoured, old.favoured, inside, other, seed=seed)
            beyond = found.high < -limits.maximum_ratio_loss
            missed = missed or beyond
            words.append(f"{'! ' if beyond else ''}{name} {found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})")
    status: Status = "fail" if missed else "pass" if words else "insufficient"
    told = (
        "; ".join(sorted(words, key=lambda text: not text.startswith("!"))) or "no judged group has enough applicants"
    )
    return Verdict(CHAMPION_CHECK, title, status, limit, told, remedy)
