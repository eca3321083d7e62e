"""Whether a model may be registered: each gate measured on the evidence, and judged by the policy.

What belongs here: reading figures out of the evidence, comparing them with the limits, overrides in force. What does not:
what a gate is for (`gates`), the limits (the policy), where the evidence comes from (`defs.validation`), whether a
registered version becomes champion (`registry.promotion`).

Two kinds of limits on figures of applicants. A floor or a ceiling is compared with the figure itself, since its limit lies
well below what is expected. Calibration and stability are claims of equality, which no sample meets exactly: they fail
where the whole 95 % interval lies outside the limits, so few defaults reject only what is plainly wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import LEVEL, Interval
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.gates import GATES, Gate
from creditrisk_assets.modelling.policy import Override, Policy

Status = Literal["pass", "fail", "not applicable", "overridden"]
Numbers = NDArray[np.float64]

PROBED_APPLICANTS = 100  # whose features are moved against the policy's directions
PROBED_VALUES = 12  # quantiles of a feature's known values, besides one below and one above them all


@dataclass(frozen=True)
class Evidence:
    """What the gates look at: everything was measured or published before."""

    model_version: str
    evaluation: Mapping[str, Any]  # evaluation.json: the evaluation of this version
    target: NDArray[np.int64]  # (n,) of the test part
    pds: Numbers  # (n,) of the same applicants, as evaluated
    out_of_fold_auc: float
    folds: tuple[Interval, ...]  # the AUC of each fold's applicants by models that have not seen them
    defaults_per_fold: float
    leak_tests: Mapping[str, bool]  # name -> passed, or allowed by name; one that was not made is false
    no_prohibited_input: bool
    steps_against: Mapping[str, float]  # constrained feature -> the largest step of a PD against its direction
    openings: int  # of the test part, to evaluate this version
    parity_difference: float  # the largest, between PDs of the bundle and of the model MLflow logged
    leaves: int  # of all trees
    features: int


@dataclass(frozen=True)
class Finding:
    """One gate's figure against its limit. `passed` None: there is nothing to judge, and the words say why."""

    value: float | None
    limit: str
    passed: bool | None
    words: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class GateResult:
    """What became of one gate."""

    gate: Gate
    status: Status
    finding: Finding
    words: str
    override: Override | None = None

    @property
    def blocks(self) -> bool:
        """Whether the version may not be registered."""
        return self.status == "fail" and self.gate.stops == "registration"

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return {
            "code": self.gate.code,
            "title": self.gate.title,
            "status": self.status,
            "measured": self.finding.value,
            "low": self.finding.low,
            "high": self.finding.high,
            "limit": self.finding.limit,
            "words": self.words,
            "owner": self.gate.owner,
            "stops": self.gate.stops,
            "rationale": self.gate.rationale,
            "override": self.override.model_dump(mode="json") if self.override else None,
        }


@dataclass(frozen=True)
class Validation:
    """All gates of one version, in their order."""

    model_version: str
    results: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """Whether the version may be registered."""
        return not any(result.blocks for result in self.results)

    def with_status(self, status: Status) -> tuple[GateResult, ...]:
        """Choose the gates of one status."""
        return tuple(result for result in self.results if result.status == status)

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values: `reports/validation.json`."""
        return {
            "model_version": self.model_version,
            "passed": self.passed,
            "gates": [result.to_dict() for result in self.results],
        }


def judge(evidence: Evidence, policy: Policy, today: date) -> Validation:
    """Judge a version by every gate.

    Parameters
    ----------
    evidence
        Of one version.
    policy
        Limits and overrides.
    today
        The day overrides must be in force on.

    Returns
    -------
    Validation
        A figure that is NaN passes nothing. A gate on figures of applicants is not applicable with fewer test defaults
        than `minimum_test_defaults`; the figure is given all the same.
    """
    in_force = policy.overridden(today)
    return Validation(
        evidence.model_version,
        tuple(_result(gate, evidence, policy, in_force.get(gate.code)) for gate in GATES),
    )


def _result(gate: Gate, evidence: Evidence, policy: Policy, override: Override | None) -> GateResult:
    finding = MEASURES[gate.code](evidence, policy)
    defaults, enough = int(evidence.evaluation["defaults"]), policy.gates.minimum_test_defaults
    if finding.passed is None:
        return GateResult(gate, "not applicable", finding, finding.words)
    if gate.statistical and defaults < enough:
        words = f"{finding.words}; not judged: {defaults} test defaults tell too little (limit {enough})"
        return GateResult(gate, "not applicable", finding, words)
    if finding.passed:
        return GateResult(gate, "pass", finding, finding.words)
    if override is not None:
        words = f"{finding.words}; overridden by {override.approver} until {override.expires}: {override.reason}"
        return GateResult(gate, "overridden", finding, words, override)
    return GateResult(gate, "fail", finding, finding.words)


def _floor(name: str, value: float, limit: float) -> Finding:
    return Finding(value, f"at least {limit:g}", value >= limit, f"{name} {value:.4g}")


def _ceiling(name: str, value: float, limit: float) -> Finding:
    return Finding(value, f"at most {limit:g}", value <= limit, f"{name} {value:.4g}")


def _band(name: str, found: Interval, low: float, high: float) -> Finding:
    return Finding(
        found.value,
        f"{low:g} to {high:g}",
        found.low <= high and found.high >= low,
        f"{name} {found.value:.4g} ({found.low:.4g} to {found.high:.4g})",
        found.low,
        found.high,
    )


def _auc(evidence: Evidence, policy: Policy) -> Finding:
    return _floor("AUC", evidence.evaluation["auc"]["value"], policy.gates.minimum_auc)


def _gini(evidence: Evidence, policy: Policy) -> Finding:
    return _floor("Gini", evidence.evaluation["gini"], policy.gates.minimum_gini)


def _ks(evidence: Evidence, policy: Policy) -> Finding:
    return _floor("KS", evidence.evaluation["ks"], policy.gates.minimum_ks)


def _brier(evidence: Evidence, policy: Policy) -> Finding:
    name = "Brier score over that of the constant"
    return _ceiling(name, evidence.evaluation["brier_to_constant"], policy.gates.maximum_brier_to_constant)


def _estimate(found: Mapping[str, float]) -> Interval:
    reach = float(scipy.stats.norm.ppf(0.5 + LEVEL / 2)) * found["standard_error"]
    return Interval(found["value"], found["value"] - reach, found["value"] + reach)


def _calibration_slope(evidence: Evidence, policy: Policy) -> Finding:
    low, high = policy.gates.minimum_calibration_slope, policy.gates.maximum_calibration_slope
    found = evidence.evaluation["calibration_report"]["figures"][0]["slope"]
    if found is None:
        return Finding(
            None, f"{low:g} to {high:g}", False, "no slope can be fitted: PDs are equal or part the outcomes"
        )
    return _band("calibration slope", _estimate(found), low, high)


def _calibration_shift(evidence: Evidence, policy: Policy) -> Finding:
    reach = policy.gates.maximum_calibration_shift
    found = evidence.evaluation["calibration_report"]["figures"][0]
    rates = f"mean PD {found['mean_pd']:.4g}, default rate {found['default_rate']:.4g}; shift of log-odds"
    return _band(rates, _estimate(found["intercept"]), -reach, reach)


def _grades_true(evidence: Evidence, policy: Policy) -> Finding:
    tests = [test for test in evidence.evaluation["calibration_report"]["tests"] if test["segment"] is None]
    worst = min(tests, key=lambda test: float(test["binomial_adjusted"]))
    name = (
        f"grade {worst['grade']}: mean PD {worst['mean_pd']:.4g}, default rate {worst['default_rate']:.4g}, adjusted p"
    )
    return _floor(name, worst["binomial_adjusted"], policy.gates.minimum_grade_p)


def _grades_order(evidence: Evidence, policy: Policy) -> Finding:
    limit = policy.gates.minimum_grade_p
    held = [grade for grade in evidence.evaluation["master_scale"]["grades"] if grade["applicants"]]
    if len(held) < 2:
        return Finding(None, f"at least {limit:g}", None, "one grade holds everybody, so there is no order")
    p_values = {(better["name"], worse["name"]): _reversed_p(better, worse) for better, worse in pairwise(held)}
    pair = min(p_values, key=lambda names: p_values[names])
    return _floor(f"grades {pair[0]} and {pair[1]}: p of no reversed order", p_values[pair], limit)


def _reversed_p(better: Mapping[str, Any], worse: Mapping[str, Any]) -> float:
    """Test exactly, one-sided, that the better grade does not default more than the worse."""
    counts = [[grade["defaults"], grade["applicants"] - grade["defaults"]] for grade in (better, worse)]
    return float(scipy.stats.fisher_exact(counts, alternative="greater").pvalue)


def _auc_gap(evidence: Evidence, policy: Policy) -> Finding:
    reach, base = policy.gates.maximum_auc_gap, evidence.out_of_fold_auc
    auc = Interval(**evidence.evaluation["auc"])
    gap = Interval(auc.value - base, auc.low - base, auc.high - base)
    return _band(f"AUC {auc.value:.4g} on the test part, {base:.4g} out of fold; difference", gap, -reach, reach)


def _fold_gap(evidence: Evidence, policy: Policy) -> Finding:
    reach, enough = policy.gates.maximum_fold_auc_gap, policy.gates.minimum_test_defaults
    mean = float(np.mean([fold.value for fold in evidence.folds]))
    gaps = [Interval(fold.value - mean, fold.low - mean, fold.high - mean) for fold in evidence.folds]
    number, worst = max(enumerate(gaps), key=lambda item: max(item[1].low, -item[1].high))
    found = _band(f"fold {number} of {len(gaps)}, mean AUC {mean:.4g}; difference", worst, -reach, reach)
    if evidence.defaults_per_fold < enough:
        words = f"{found.words}; not judged: {evidence.defaults_per_fold:.0f} defaults a fold (limit {enough})"
        return Finding(found.value, found.limit, None, words, found.low, found.high)
    return found


def _recall(evidence: Evidence, policy: Policy) -> Finding:
    cut_off = policy.decisions.approve_below
    recall = float(np.mean(evidence.pds[evidence.target == 1] >= cut_off))
    return _floor(f"of the defaults, share with a PD of {cut_off:g} or more", recall, policy.gates.minimum_recall)


def _champion_loss(evidence: Evidence, policy: Policy) -> Finding:
    limit, beside = policy.gates.maximum_auc_loss, evidence.evaluation["champion"]
    if not beside["compared"]:
        return Finding(None, f"at most {limit:g}", None, f"not compared with a champion: {beside['reason']}")
    auc = next(figure for figure in beside["figures"] if figure["metric"] == "auc")
    words = f"AUC {auc['first']:.4g}, the champion's ({beside['version']}) {auc['second']:.4g}; loss"
    return _ceiling(words, auc["second"] - auc["first"], limit)


def _leaks(evidence: Evidence, _: Policy) -> Finding:
    wrong = [name for name, passed in evidence.leak_tests.items() if not passed]
    words = f"not passed: {', '.join(wrong)}" if wrong else f"{len(evidence.leak_tests)} leak tests passed"
    return Finding(float(len(wrong)), "none that did not pass", bool(evidence.leak_tests) and not wrong, words)


def _prohibited(evidence: Evidence, _: Policy) -> Finding:
    passed = evidence.no_prohibited_input
    return Finding(None, "none", passed, f"{'no' if passed else 'an'} input reaches a prohibited attribute")


def _directions(evidence: Evidence, _: Policy) -> Finding:
    if not evidence.steps_against:
        return Finding(None, "none against", None, "no input of the model has a direction in the policy")
    wrong = sorted(name for name, step in evidence.steps_against.items() if not step <= 0)
    words = f"moves against: {', '.join(wrong)}" if wrong else "no PD moves against any"
    count = f"{len(evidence.steps_against)} constrained inputs"
    return Finding(max(evidence.steps_against.values()), "none against", not wrong, f"{count}; {words}")


def _openings(evidence: Evidence, policy: Policy) -> Finding:
    return _ceiling(
        "openings of the test part for this version:", evidence.openings, policy.gates.maximum_lockbox_openings
    )


def _parity(evidence: Evidence, policy: Policy) -> Finding:
    limit = policy.gates.maximum_parity_difference
    return _ceiling("largest difference of PDs between bundle and logged model", evidence.parity_difference, limit)


_NO_BUDGET = Finding(None, "none", None, "the policy sets no serving budget")


def _leaves(evidence: Evidence, policy: Policy) -> Finding:
    budget = policy.serving_budget
    return _NO_BUDGET if budget is None else _ceiling("leaves of all trees:", evidence.leaves, budget.maximum_leaves)


def _features(evidence: Evidence, policy: Policy) -> Finding:
    budget = policy.serving_budget
    return _NO_BUDGET if budget is None else _ceiling("inputs:", evidence.features, budget.maximum_features)


def _enough(evidence: Evidence, policy: Policy) -> Finding:
    return _floor("defaults in the test part:", evidence.evaluation["defaults"], policy.gates.minimum_test_defaults)


MEASURES: Mapping[str, Callable[[Evidence, Policy], Finding]] = {
    "CR-M01": _auc,
    "CR-M02": _gini,
    "CR-M03": _ks,
    "CR-M04": _brier,
    "CR-M05": _calibration_slope,
    "CR-M06": _calibration_shift,
    "CR-M07": _grades_true,
    "CR-M08": _grades_order,
    "CR-M09": _auc_gap,
    "CR-M10": _fold_gap,
    "CR-M11": _recall,
    "CR-M12": _champion_loss,
    "CR-M13": _leaks,
    "CR-M14": _prohibited,
    "CR-M15": _directions,
    "CR-M16": _openings,
    "CR-M17": _parity,
    "CR-M18": _leaves,
    "CR-M19": _features,
    "CR-M20": _enough,
}


def steps_against(bundle: Bundle, matrix: Numbers) -> dict[str, float]:
    """Move every constrained feature through its values and look for PDs that move against its direction.

    Parameters
    ----------
    bundle
        The served model.
    matrix : (n, features)
        Encoded applicants; a hundred of them, spread over the rows, are moved.

    Returns
    -------
    dict
        Constrained feature -> the largest step of a PD against its direction, 0 where none does. A feature that nobody
        has a value of is left out.
    """
    rows = matrix[:: max(1, len(matrix) // PROBED_APPLICANTS)][:PROBED_APPLICANTS]
    found = {}
    for place, feature in enumerate(bundle.features):
        known = matrix[~np.isnan(matrix[:, place]), place]
        if not feature.monotone or not len(known):
            continue
        quantiles = np.quantile(known, np.linspace(0, 1, PROBED_VALUES), method="nearest")
        grid = np.unique([known.min() - 1, *quantiles, known.max() + 1])
        moved = np.repeat(rows[None], len(grid), axis=0)
        moved[:, :, place] = grid[:, None]
        pds = bundle.score(moved.reshape(-1, rows.shape[1])).reshape(len(grid), len(rows))
        found[feature.name] = max(0.0, float((-feature.monotone * np.diff(pds, axis=0)).max()))
    return found
