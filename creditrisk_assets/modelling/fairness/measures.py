"""What is measured of a group of applicants, with intervals; too small a group is insufficient, and no number is told of it.

What belongs here: what counts as favourable, rates, ratios and differences with their intervals. What does not: who is in a group
(`groups`), limits (`judging`).

Rates of a group are fairlearn's, counted on outcomes coded as it takes them: 1 is good for the applicant, so a "positive" is a loan
repaid, a "selection" an approval. Intervals: Wilson for rates, DeLong for AUCs, Jeffreys for defaults, Katz for ratios of rates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import LEVEL, Interval, auc_interval
from creditrisk_assets.modelling.calibration_tests import rate_test
from creditrisk_assets.modelling.evaluation import wilson
from creditrisk_assets.modelling.fairness.groups import Grouping
from creditrisk_assets.modelling.policy import FairnessLimits, Outcome, Policy

FAVOURABLE: Outcome = "approve"  # the one place that says so: being referred to a person is not yet a loan
DRAWS = 2_000

MEASURES = (
    "approval_rate", "approved_of_repaid", "approved_of_defaulted", "auc", "observed_expected", "mean_pd", "impact_ratio",
    "opportunity_gap", "mean_difference",
)  # fmt: skip
COLUMNS = (
    "attribute", "group", "compared_with", "status", "judged", "applicants", "defaults",
    *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
)  # fmt: skip

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """Applicants with what became of them and what the model says; all (n,)."""

    target: Outcomes  # 1: defaulted
    pds: Numbers
    favoured: Rows  # whose decision by the PD is favourable


def scored(target: Outcomes, pds: Numbers, policy: Policy) -> Scored:
    """Decide by the PDs alone, as everywhere models are measured."""
    favoured = np.array([policy.decide(pd).decision == FAVOURABLE for pd in pds.tolist()], dtype=np.bool_)
    return Scored(target, pds, favoured)


def group_table(applicants: Scored, groupings: Sequence[Grouping], limits: FairnessLimits) -> pd.DataFrame:
    """Measure every group.

    Returns
    -------
    DataFrame
        One row per group; `status` is `measured` or `insufficient`. Of an insufficient group every number is missing; measures that need
        defaults and others are missing where there are too few of either.
    """
    rows = [row for grouping in groupings for row in _rows(applicants, grouping, limits)]
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    floats = {f"{name}{end}": "float64" for name in MEASURES for end in ("", "_low", "_high")}
    texts = dict.fromkeys(("attribute", "group", "compared_with", "status"), "string")
    return table.astype({**floats, **texts, "judged": "bool", "applicants": "Int64", "defaults": "Int64"})


def _rows(applicants: Scored, grouping: Grouping, limits: FairnessLimits) -> list[dict[str, Any]]:
    rates = _rates(applicants, grouping)
    return [
        {
            "attribute": grouping.attribute,
            "group": name,
            "compared_with": grouping.reference or "everybody else",
            "judged": name in grouping.judged,
            **_measure(applicants, grouping, name, rates.get(name, {}), limits),
        }
        for name in grouping.names
    ]


def _rates(applicants: Scored, grouping: Grouping) -> dict[str, Mapping[str, float]]:
    """Count rates by group with fairlearn."""
    from fairlearn.metrics import (  # noqa: PLC0415 - slow to import
        MetricFrame,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )

    known = np.array([value is not None for value in grouping.values.tolist()], dtype=np.bool_)
    if not known.any():
        return {}
    frame = MetricFrame(
        metrics={
            "approval_rate": selection_rate,
            "approved_of_repaid": true_positive_rate,
            "approved_of_defaulted": false_positive_rate,
        },
        y_true=1 - applicants.target[known],
        y_pred=applicants.favoured[known].astype(np.int64),
        sensitive_features=grouping.values[known].astype(str),
    )
    return {str(name): row.to_dict() for name, row in frame.by_group.iterrows()}


def _measure(
    applicants: Scored, grouping: Grouping, name: str, rates: Mapping[str, float], limits: FairnessLimits
) -> dict[str, Any]:
    inside = grouping.of(name)
    n = int(inside.sum())
    if n < limits.minimum_applicants:
        return {"status": "insufficient"}
    target, pds, favoured = applicants.target[inside], applicants.pds[inside], applicants.favoured[inside]
    defaults, approved = int(target.sum()), int(favoured.sum())
    found: dict[str, Any] = {"status": "measured", "applicants": n, "defaults": defaults}
    found |= _named("approval_rate", Interval(rates["approval_rate"], *wilson(approved, n)))
    spread = _z() * float(pds.std(ddof=1)) / n**0.5
    mean = float(pds.mean())
    found |= _named("mean_pd", Interval(mean, max(0.0, mean - spread), min(1.0, mean + spread)))
    enough = min(defaults, n - defaults) >= limits.minimum_outcomes
    if enough:
        good, bad = int(favoured[target == 0].sum()), int(favoured[target == 1].sum())
        found |= _named("approved_of_repaid", Interval(rates["approved_of_repaid"], *wilson(good, n - defaults)))
        found |= _named("approved_of_defaulted", Interval(rates["approved_of_defaulted"], *wilson(bad, defaults)))
        found |= _named("auc", auc_interval(target, pds))
        found |= _named("observed_expected", observed_expected(target, pds))
    other = grouping.compared_with(name) & ~inside
    if int(other.sum()) < limits.minimum_applicants:
        return found
    found |= _named("impact_ratio", impact_ratio(favoured, applicants.favoured[other]))
    found |= _named("mean_difference", mean_difference(pds, applicants.pds[other]))
    repaid = applicants.favoured[other & (applicants.target == 0)]
    if enough and len(repaid) >= limits.minimum_outcomes:
        found |= _named("opportunity_gap", rate_difference(favoured[target == 0], repaid))
    return found


def _named(name: str, found: Interval) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def impact_ratio(group: Rows, reference: Rows) -> Interval:
    """Estimate the approval rate of a group over that of the reference, with Katz's interval.

    Half an approval is added to each side of the interval where one has none, so that it is finite.

    Examples
    --------
    >>> impact_ratio(np.array([True, False]), np.array([True, True])).value
    0.5
    """
    hits, others = int(group.sum()), int(reference.sum())
    value = (hits / len(group)) / (others / len(reference)) if others else math.nan
    a, n = (hits, len(group)) if hits else (0.5, len(group) + 1)
    b, m = (others, len(reference)) if others else (0.5, len(reference) + 1)
    reach = _z() * (1 / a - 1 / n + 1 / b - 1 / m) ** 0.5
    middle = math.log((a / n) / (b / m))
    return Interval(value, math.exp(middle - reach) if hits else 0.0, math.exp(middle + reach))


def rate_difference(group: Rows, reference: Rows) -> Interval:
    """Estimate the rate of a group less that of the reference, with Newcombe's interval (of two Wilson intervals)."""
    p, q = float(group.mean()), float(reference.mean())
    (low, high), (down, up) = wilson(int(group.sum()), len(group)), wilson(int(reference.sum()), len(reference))
    return Interval(
        p - q,
        p - q - ((p - low) ** 2 + (up - q) ** 2) ** 0.5,
        p - q + ((high - p) ** 2 + (q - down) ** 2) ** 0.5,
    )


def mean_difference(group: Numbers, reference: Numbers) -> Interval:
    """Estimate the mean PD of a group less that of the reference, in pooled standard deviations; positive is adverse."""
    n, m = len(group), len(reference)
    pooled = ((n - 1) * group.var(ddof=1) + (m - 1) * reference.var(ddof=1)) / (n + m - 2)
    if pooled <= 0:
        return Interval(0.0, 0.0, 0.0)
    value = float((group.mean() - reference.mean()) / pooled**0.5)
    reach = _z() * ((n + m) / (n * m) + value**2 / (2 * (n + m))) ** 0.5
    return Interval(value, value - reach, value + reach)


def observed_expected(target: Outcomes, pds: Numbers) -> Interval:
    """Estimate the defaults over the sum of PDs, with the Jeffreys interval of the default rate."""
    rate, mean = rate_test(target, pds), float(pds.mean())
    return Interval(rate.default_rate / mean, rate.default_rate_low / mean, rate.default_rate_high / mean)


def ratio_change(new: Rows, old: Rows, inside: Rows, reference: Rows, *, seed: int) -> Interval:
    """Estimate by how much the impact ratio changes from one model to another on the same applicants.

    Approvals by both models are drawn again within the group and the reference (2,000 times, by counts of who is approved by both, one,
    none), so that what both models have in common does not count as chance.

    Parameters
    ----------
    new, old : (n,)
        Who is approved by each model.
    inside, reference : (n,)
        Who is in the group, and whom it is compared with.
    seed
        Of the draws.

    Returns
    -------
    Interval
        Ratio of the new model less that of the old.
    """
    generator = np.random.default_rng(seed)

    def drawn(rows: Rows) -> tuple[Numbers, Numbers]:
        counts = np.bincount(2 * new[rows] + old[rows].astype(np.int64), minlength=4)
        again = np.vstack([counts, generator.multinomial(counts.sum(), counts / counts.sum(), size=DRAWS)])
        return (again[:, 2] + again[:, 3]) / counts.sum(), (again[:, 1] + again[:, 3]) / counts.sum()

    (new_group, old_group), (new_other, old_other) = drawn(inside), drawn(reference)
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = new_group / new_other - old_group / old_other
    low, high = np.nanquantile(changes[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(changes[0]), float(low), float(high))


def _z() -> float:
    return float(scipy.stats.norm.ppf(0.5 + LEVEL / 2))
