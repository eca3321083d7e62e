"""A candidate beside the champion on the same applicants, as pure functions.

What belongs here: what changes when the one takes the other's place, and whether that is within the policy's limits. What does not: the
statistics of two models (`modelling.comparison`), reading applicants and bundles (`defs.canary`), whether there is evidence (`evidence`),
who approves (`approvals`).

Each version decides by the policy inside its own bundle, so a changed cut-off is compared too.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.comparison import BRIER, Comparison, compare, compare_auc
from creditrisk_assets.modelling.policy import CanaryLimits, Policy

EVERYBODY = "everybody"
SWAP_COLUMNS = ("segment", "value", "champion", "candidate", "applicants", "share", "defaults", "bad_rate")
OUTCOMES = ("approve", "refer", "decline")


@dataclass(frozen=True)
class Side:
    """One version on the reference applicants."""

    model_version: str
    policy: Policy
    pds: NDArray[np.float64]  # (n,)
    main_reasons: Sequence[str] = ()  # of those it declines; empty: it explains nothing

    @property
    def decisions(self) -> NDArray[Any]:
        """What it decides by the PD, (n,)."""
        return np.array([self.policy.decide(pd_).decision for pd_ in self.pds.tolist()], dtype=object)

    @property
    def grades(self) -> NDArray[np.int64]:
        """The place of each applicant's grade on its scale, (n,)."""
        limits = [band.below for band in self.policy.bands if band.below is not None]
        return np.searchsorted(limits, self.pds, side="right").astype(np.int64)


@dataclass(frozen=True)
class Canary:
    """What a candidate is beside the champion."""

    candidate: str
    champion: str | None  # None: there was none to compare with
    problems: tuple[str, ...]  # limits that do not hold; they block
    warnings: tuple[str, ...]
    figures: Mapping[str, Any]
    swap_set: pd.DataFrame  # SWAP_COLUMNS
    limits: CanaryLimits

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values, but for the latency the same for the same versions and applicants."""
        return {
            "candidate": self.candidate,
            "champion": self.champion,
            "passed": not self.problems,
            "problems": list(self.problems),
            "warnings": list(self.warnings),
            **self.figures,
            "swap_set": self.swap_set.to_dict("records"),
            "limits": self.limits.model_dump(mode="json"),
        }


def evidence_hash(report: Mapping[str, Any]) -> str:
    """Hash what a report says, but for what a clock measured."""
    kept = {name: value for name, value in report.items() if name not in {"latency", "warnings"}}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def compare_versions(
    candidate: Side,
    champion: Side,
    target: NDArray[np.int64],
    segments: Mapping[str, Sequence[Any]],
    attributes: Mapping[str, Sequence[Any]],
    limits: CanaryLimits,
    *,
    latency: float | None = None,
) -> Canary:
    """Compare two versions and hold the difference to the limits.

    Parameters
    ----------
    candidate, champion
        PDs of the same applicants in the same order.
    target : (n,)
        1 for a default, 0 otherwise; both must occur.
    segments
        The policy's segmentations: name -> the value of each applicant.
    attributes
        Prohibited attributes: name -> the group of each applicant, None where unknown.
    limits
        Of the policy.
    latency
        Time of the candidate over that of the champion, as `latency_ratio` gives it.
    """
    auc = compare_auc(target, candidate.pds, champion.pds)
    (brier,) = compare(target, candidate.pds, champion.pds, (BRIER,), seed=limits.seed, resamples=limits.resamples)
    before, after = champion.decisions, candidate.decisions
    swaps = swap_set(before, after, target, segments)
    swapped = float(((before == "approve") != (after == "approve")).mean())
    rates = {"champion": float((before == "approve").mean()), "candidate": float((after == "approve").mean())}
    means = {"champion": float(champion.pds.mean()), "candidate": float(candidate.pds.mean())}
    jumps = float((np.abs(candidate.grades - champion.grades) >= 2).mean())
    fairness = {
        name: row
        for name, groups in attributes.items()
        if (row := selection_ratios(before, after, groups, limits.minimum_group)) is not None
    }
    problems = [
        *_inferior(auc, brier, limits),
        *_beyond("approval rate", rates["candidate"] - rates["champion"], limits.maximum_approval_rate_shift),
        *_beyond("mean PD", means["candidate"] - means["champion"], limits.maximum_mean_pd_shift),
    ]
    if not swapped <= limits.maximum_swap_share:
        problems.append(
            f"{swapped:.1%} of the applicants are approved by one and not by the other (limit {limits.maximum_swap_share:.1%})"
        )
    if not jumps <= limits.maximum_grade_jump_share:
        problems.append(
            f"{jumps:.1%} of the applicants move two grades or more (limit {limits.maximum_grade_jump_share:.1%})"
        )
    for name, row in fairness.items():
        if not row["shift"] >= -limits.maximum_selection_ratio_loss:
            problems.append(
                f"by {name} the lowest approval rate falls from {row['champion']:.3f} to {row['candidate']:.3f} of the highest"
                f" (limit {limits.maximum_selection_ratio_loss})"
            )
    warnings = []
    if latency is not None and latency > limits.maximum_latency_ratio:
        warnings.append(f"it takes {latency:.2f} times as long as the champion (limit {limits.maximum_latency_ratio})")
    figures = {
        "applicants": len(target),
        "defaults": int(target.sum()),
        "auc": auc.to_dict(),
        "brier": brier.to_dict(),
        "approval_rate": rates,
        "mean_pd": means,
        "swapped_share": swapped,
        "grade_jump_share": jumps,
        "grade_migration": grade_migration(candidate, champion),
        "fairness": fairness,
        "reasons_mix": reasons_mix(candidate.main_reasons, champion.main_reasons),
        "latency": {"ratio": latency},
    }
    return Canary(
        candidate.model_version, champion.model_version, tuple(problems), tuple(warnings), figures, swaps, limits
    )


def not_compared(candidate: str, champion: str | None, limits: CanaryLimits, warnings: Sequence[str] = ()) -> Canary:
    """Make the report of a version that finds no champion, or one that cannot be measured on these applicants."""
    empty = pd.DataFrame({name: pd.Series(dtype=_TYPES[name]) for name in SWAP_COLUMNS})
    return Canary(candidate, champion, (), tuple(warnings), {}, empty, limits)


def swap_set(
    before: NDArray[Any], after: NDArray[Any], target: NDArray[np.int64], segments: Mapping[str, Sequence[Any]]
) -> pd.DataFrame:
    """Count who is decided on how by each version, for everybody and by segment.

    Returns
    -------
    DataFrame
        One row for each segment, value and pair of decisions that occurs; `share` is of the applicants of the segment's value, `bad_rate`
        the share of defaults among those of the row.
    """
    frame = pd.DataFrame({"champion": before, "candidate": after, "target": target})
    parts = []
    for name, values in {EVERYBODY: ["all"] * len(frame), **segments}.items():
        known = [str(value) if value is not None and value == value else "unknown" for value in values]  # noqa: PLR0124
        grouped = frame.assign(value=known)
        rows = grouped.groupby(["value", "champion", "candidate"], as_index=False, observed=True)["target"].agg(
            ["size", "sum"]
        )
        rows["share"] = rows["size"] / rows.groupby("value")["size"].transform("sum")
        parts.append(rows.assign(segment=name, bad_rate=rows["sum"] / rows["size"]))
    table = pd.concat(parts, ignore_index=True).rename(columns={"size": "applicants", "sum": "defaults"})
    return table[list(SWAP_COLUMNS)].astype(_TYPES)


_TYPES = {
    "segment": "string", "value": "string", "champion": "string", "candidate": "string",
    "applicants": "int64", "share": "float64", "defaults": "int64", "bad_rate": "float64",
}  # fmt: skip


def grade_migration(candidate: Side, champion: Side) -> dict[str, Any]:
    """Count applicants by the champion's grade (rows) and the candidate's (columns)."""
    rows, columns = ([band.name for band in side.policy.bands] for side in (champion, candidate))
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    np.add.at(counts, (champion.grades, candidate.grades), 1)
    return {"champion": rows, "candidate": columns, "applicants": counts.tolist()}


def selection_ratios(
    before: NDArray[Any], after: NDArray[Any], groups: Sequence[Any], minimum: int
) -> dict[str, float] | None:
    """Compare the lowest approval rate of a group with the highest, under each version; None: fewer than two groups are large enough."""
    frame = pd.DataFrame({"group": groups, "champion": before == "approve", "candidate": after == "approve"})
    frame = frame.dropna(subset=["group"])
    sizes = frame.groupby("group", observed=True).size()
    rates = frame.groupby("group", observed=True)[["champion", "candidate"]].mean()[sizes >= minimum]
    if len(rates) < 2:
        return None
    ratios = {name: _lowest_to_highest(rates[name]) for name in ("champion", "candidate")}
    return {**ratios, "shift": ratios["candidate"] - ratios["champion"], "groups": len(rates)}


def _lowest_to_highest(rates: "pd.Series[float]") -> float:
    highest = float(rates.max())
    return float(rates.min()) / highest if highest else 1.0


def reasons_mix(candidate: Sequence[str], champion: Sequence[str]) -> list[dict[str, Any]]:
    """Compare what mainly speaks against those each version declines: shares of the reasons, the most shifted first."""
    if not candidate or not champion:
        return []
    one, other = (Counter(reasons) for reasons in (candidate, champion))
    rows = [
        {"reason": name, "champion": other[name] / len(champion), "candidate": one[name] / len(candidate)}
        for name in sorted(one.keys() | other.keys())
    ]
    return sorted(rows, key=lambda row: -abs(row["candidate"] - row["champion"]))


def latency_ratio(candidate: Callable[[int], object], champion: Callable[[int], object], rounds: int) -> float:
    """Time two scorers in turn, so that what else the machine does falls on both; return the median of the first over the second's."""
    taken: tuple[list[int], list[int]] = ([], [])
    for number in range(rounds):
        for scorer, times in zip((candidate, champion), taken, strict=True):
            started = time.perf_counter_ns()
            scorer(number)
            times.append(time.perf_counter_ns() - started)
    return median(taken[0]) / max(1, median(taken[1]))


def _inferior(auc: Comparison, brier: Comparison, limits: CanaryLimits) -> list[str]:
    """Say where non-inferiority is not shown; a NaN shows nothing."""
    problems = []
    if not auc.difference.low > -limits.auc_margin:
        problems.append(
            f"AUC {auc.first:.4f} against {auc.second:.4f}: it may be {-auc.difference.low:.4f} worse (95 % interval; margin"
            f" {limits.auc_margin})"
        )
    if not brier.difference.high < limits.brier_margin:
        problems.append(
            f"Brier score {brier.first:.5f} against {brier.second:.5f}: it may be {brier.difference.high:.5f} worse (95 % interval;"
            f" margin {limits.brier_margin})"
        )
    return problems


def _beyond(name: str, shift: float, limit: float) -> list[str]:
    return [] if abs(shift) <= limit else [f"the {name} moves by {shift:+.2%} (limit {limit:.2%} either way)"]
