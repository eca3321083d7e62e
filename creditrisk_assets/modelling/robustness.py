"""What becomes of scores and decisions when data are missing, shocked or new.

What belongs here: what is done to applicants (scenarios), how their features are computed again, what it does to ranking, PDs, decisions
and grades. What does not: which applicants (the asset: a seeded sample of the training part, each scored by the model of the fold that
held them out), pictures (`evaluation_plots`).

Raw columns are shocked, not features: an application is computed again by the path a request takes, so every ratio made of an income
moves with it. Histories are not computed again; where a family is missing, all of its features are NULL and its flag says no.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import paired_aucs
from creditrisk_assets.modelling.bundle import EncodingError
from creditrisk_assets.modelling.bundle_writer import UNSEEN
from creditrisk_assets.modelling.policy import Outcome, Policy

Kind = Literal["baseline", "family missing", "score missing", "shock", "unseen categories"]
Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
RawRows = Sequence[Mapping[str, Any]]
Compute = Callable[[RawRows], Columns]  # raw applications -> the application family's features, row by row
Score = Callable[[Columns], NDArray[np.float64]]  # features of everybody in the sample -> PDs

BASELINE = "as they are"
APPLICATION = "application"
SHOCKS = (0.5, 0.8, 1.25, 2.0)
INCOME = ("AMT_INCOME_TOTAL",)
CREDIT = ("AMT_CREDIT", "AMT_ANNUITY", "AMT_GOODS_PRICE")  # a larger loan: more to repay each month, for dearer goods
SCORES = ("EXT_SOURCE_1", "EXT_SOURCE_2", "EXT_SOURCE_3")


@dataclass(frozen=True)
class Scenario:
    """One thing done to every applicant: raw columns changed, or whole families taken away."""

    name: str
    kind: Kind
    raw: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)  # raw column -> its new value
    without: str | None = None  # a family


@dataclass(frozen=True)
class Sample:
    """The applicants it is done to, row by row."""

    target: NDArray[np.int64]  # 1 for a default, 0 otherwise
    applications: RawRows
    features: Columns  # every feature, as they are


@dataclass(frozen=True)
class Families:
    """What a scenario needs to know of the feature families."""

    features: Mapping[str, Sequence[str]]  # family -> its features
    flags: Mapping[str, str]  # family -> the flag that says whether an applicant has any of it
    compute: Compute


@dataclass(frozen=True)
class Drill:
    """What every scenario did."""

    table: pd.DataFrame = field(repr=False, compare=False)
    migration: pd.DataFrame = field(repr=False, compare=False)


def scenarios(families: Iterable[str], categories: Sequence[str]) -> tuple[Scenario, ...]:
    """List what is done.

    Parameters
    ----------
    families
        Names of the feature families.
    categories
        Raw columns of an application that hold categories.
    """
    found = [Scenario(f"no {family}", "family missing", without=family) for family in families]
    found += [Scenario(f"no {name}", "score missing", {name: _nothing}) for name in SCORES]
    found.append(Scenario("no external score", "score missing", dict.fromkeys(SCORES, _nothing)))
    for words, columns in (("incomes", INCOME), ("credit amounts", CREDIT)):
        found += [Scenario(f"{words} × {by:g}", "shock", dict.fromkeys(columns, _times(by))) for by in SHOCKS]
    found.append(Scenario("every category new", "unseen categories", dict.fromkeys(categories, _new)))
    return tuple(found)


def drill(sample: Sample, families: Families, todo: Iterable[Scenario], score: Score, policy: Policy) -> Drill:
    """Do every scenario to the same applicants and measure what it does.

    Parameters
    ----------
    sample
        The applicants; both outcomes must occur.
    families
        Which features go with a family, and how those of an application are computed.
    todo
        The scenarios.
    score
        How PDs are computed.
    policy
        Cut-offs and grades.

    Raises
    ------
    ValueError
        Outcomes and applications differ in number, one class only, or a PD is none.
    EncodingError
        A scenario's features cannot be scored; the message names the scenario.
    """
    target = sample.target
    if len(target) != len(sample.applications):
        raise ValueError(f"{len(target)} outcomes and {len(sample.applications)} applications do not match")
    before = _Outcome.of(score(sample.features), policy)
    rows, moved = [_row(BASELINE, "baseline", target, before, before)], [_migration(BASELINE, before, before)]
    for scenario in todo:
        changed = _changed(scenario, sample, families)
        try:
            after = _Outcome.of(score(changed), policy)
        except EncodingError as error:
            raise EncodingError(f"scenario `{scenario.name}`: {error}") from error
        rows.append(_row(scenario.name, scenario.kind, target, before, after))
        moved.append(_migration(scenario.name, before, after))
    names = np.array([band.name for band in policy.bands], dtype=object)
    migration = pd.concat(moved, ignore_index=True)
    migration[["grade_before", "grade_after"]] = names[migration[["grade_before", "grade_after"]].to_numpy()]
    return Drill(pd.DataFrame(rows), migration)


@dataclass(frozen=True)
class _Outcome:
    """PDs and what the policy says of them: places of decisions (approve, refer, decline) and of grades, best first."""

    pds: NDArray[np.float64]
    decisions: NDArray[np.int64]
    grades: NDArray[np.int64]

    @classmethod
    def of(cls, pds: NDArray[np.float64], policy: Policy) -> "_Outcome":
        places = {name: place for place, name in enumerate(get_args(Outcome))}
        grades = {band.name: place for place, band in enumerate(policy.bands)}
        found = [policy.decide(pd) for pd in pds.tolist()]
        return cls(pds, np.array([places[f.decision] for f in found]), np.array([grades[f.band] for f in found]))


def _changed(scenario: Scenario, sample: Sample, families: Families) -> Columns:
    people = len(sample.applications)
    if scenario.without is not None:
        gone: dict[str, Sequence[Any]] = dict.fromkeys(families.features[scenario.without], [None] * people)
        if scenario.without in families.flags:
            gone[families.flags[scenario.without]] = [False] * people
        return {**sample.features, **gone}
    rows = [
        {**row, **{name: change(row.get(name)) for name, change in scenario.raw.items()}} for row in sample.applications
    ]
    return {**sample.features, **families.compute(rows)}


def _row(name: str, kind: Kind, target: NDArray[np.int64], before: _Outcome, after: _Outcome) -> dict[str, Any]:
    aucs = paired_aucs(target, after.pds, before.pds)
    change = aucs.difference()
    approved, approved_before = after.decisions == 0, before.decisions == 0
    return {
        "scenario": name,
        "kind": kind,
        "applicants": len(target),
        "auc": aucs.first,
        "auc_change": change.value,
        "auc_change_low": change.low,
        "auc_change_high": change.high,
        "mean_pd": float(after.pds.mean()),
        "mean_pd_change": float(after.pds.mean() - before.pds.mean()),
        "approval_rate": float(approved.mean()),
        "approval_rate_change": float(approved.mean() - approved_before.mean()),
        "decisions_flipped": float((after.decisions != before.decisions).mean()),
        "approved_to_declined": float((approved_before & (after.decisions == 2)).mean()),
        "grade_worse": float((after.grades > before.grades).mean()),
        "grade_better": float((after.grades < before.grades).mean()),
    }


def _migration(name: str, before: _Outcome, after: _Outcome) -> pd.DataFrame:
    pairs = pd.DataFrame({"grade_before": before.grades, "grade_after": after.grades})
    counts = pairs.value_counts().rename("applicants").reset_index().sort_values(["grade_before", "grade_after"])
    counts.insert(0, "scenario", name)
    return counts


def _nothing(_value: Any) -> None:
    return None


def _new(_value: Any) -> str:
    return UNSEEN


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda value: None if value is None else value * factor
