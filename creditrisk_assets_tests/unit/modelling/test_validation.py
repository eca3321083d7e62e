"""Each gate passes and fails on made evidence; what cannot be judged says why; an override is in force, or it is not."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from creditrisk_assets.modelling.auc import Interval, auc_interval
from creditrisk_assets.modelling.booster import leaf_counts
from creditrisk_assets.modelling.bundle import BundleFeature
from creditrisk_assets.modelling.calibration_tests import calibration_report
from creditrisk_assets.modelling.comparison import compare_auc
from creditrisk_assets.modelling.evaluation import evaluate
from creditrisk_assets.modelling.gates import BY_CODE, GATES
from creditrisk_assets.modelling.master_scale import master_scale
from creditrisk_assets.modelling.policy import Override, Policy, load_policy
from creditrisk_assets.modelling.validation import Evidence, Validation, judge, steps_against

POLICY, TODAY = load_policy(), date(2026, 5, 3)
NOBODY = {"compared": False, "reason": "no other champion is published"}


def draw(rows: int = 4000, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Draw true PDs like those of the sample portfolio, and what happened."""
    random = np.random.default_rng(seed)
    pds = expit(random.normal(-2.9, 1.1, rows))
    return (random.random(rows) < pds).astype(np.int64), pds


def evaluated(target: np.ndarray, pds: np.ndarray) -> dict:
    """Evaluate as `model/evaluation` does."""
    grades = [POLICY.decide(pd).band for pd in pds.tolist()]
    content = {
        **evaluate(target, pds, POLICY).to_dict(),
        "calibration_report": calibration_report(target, pds, grades).to_dict(),
        "master_scale": master_scale(target, pds, POLICY.bands, POLICY.master_scale).to_dict(),
        "champion": NOBODY,
    }
    return json.loads(json.dumps(content))


TARGET, PDS = draw()
AUC = auc_interval(TARGET, PDS)
GOOD = Evidence(
    model_version="v1",
    evaluation=evaluated(TARGET, PDS),
    target=TARGET,
    pds=PDS,
    out_of_fold_auc=AUC.value,
    folds=(AUC,) * 5,
    defaults_per_fold=200.0,
    leak_tests={"ids_tell_nothing": True, "a_shuffled_target_teaches_nothing": True},
    no_prohibited_input=True,
    steps_against={"application__ext_1_score": 0.0, "bureau__debt_credit_ratio": 0.0},
    openings=1,
    parity_difference=0.0,
    leaves=7000,
    features=950,
)


def with_pds(pds: np.ndarray, **changes: object) -> Evidence:
    """Take other PDs for the same applicants; stability is about those PDs, so it moves with them."""
    auc = auc_interval(TARGET, pds)
    same = {"out_of_fold_auc": auc.value, "folds": (auc,) * 5}
    return replace(GOOD, evaluation=evaluated(TARGET, pds), pds=pds, **{**same, **changes})


def with_figures(**figures: object) -> Evidence:
    return replace(GOOD, evaluation={**GOOD.evaluation, **figures})


def in_grade(name: str, factor: float) -> np.ndarray:
    """Multiply the PDs of one grade, which keeps them in it."""
    inside = np.array([POLICY.decide(pd).band == name for pd in PDS.tolist()])
    return np.where(inside, PDS * factor, PDS)


def beside(loss: float) -> dict:
    """Make the evaluation's comparison with a champion whose AUC is so much higher."""
    auc = asdict(compare_auc(TARGET, PDS, PDS))
    return {"compared": True, "version": "v0", "figures": [{**auc, "first": AUC.value, "second": AUC.value + loss}]}


def swapped_grades() -> Evidence:
    """Make the grade D default less than C."""
    content = json.loads(json.dumps(GOOD.evaluation))
    rates = {"C": 0.15, "D": 0.05}
    for grade in content["master_scale"]["grades"]:
        grade["defaults"] = round(rates.get(grade["name"], grade["default_rate"]) * grade["applicants"])
    return replace(GOOD, evaluation=content)


RANDOM = np.random.default_rng(0).permutation(PDS)
FAILING: dict[str, Callable[[], Evidence]] = {
    "CR-M01": lambda: with_pds(RANDOM),
    "CR-M02": lambda: with_pds(RANDOM),
    "CR-M03": lambda: with_pds(RANDOM),
    "CR-M04": lambda: with_pds(RANDOM),
    "CR-M05": lambda: with_pds(expit(2.0 * logit(PDS) + 2.9)),
    "CR-M06": lambda: with_pds(expit(logit(PDS) + 0.5)),
    "CR-M07": lambda: with_pds(in_grade("C", 0.6)),
    "CR-M08": swapped_grades,
    "CR-M09": lambda: replace(GOOD, out_of_fold_auc=AUC.value + 0.08),
    "CR-M10": lambda: replace(GOOD, folds=(*(AUC,) * 4, Interval(0.6, 0.57, 0.63))),
    "CR-M11": lambda: with_pds(PDS * 0.3),
    "CR-M12": lambda: with_figures(champion=beside(0.006)),
    "CR-M13": lambda: replace(GOOD, leak_tests={**GOOD.leak_tests, "row_order_tells_nothing": False}),
    "CR-M14": lambda: replace(GOOD, no_prohibited_input=False),
    "CR-M15": lambda: replace(GOOD, steps_against={**GOOD.steps_against, "pos_cash__x": 1e-9}),
    "CR-M16": lambda: replace(GOOD, openings=4),
    "CR-M17": lambda: replace(GOOD, parity_difference=2e-9),
    "CR-M18": lambda: replace(GOOD, leaves=24_001),
    "CR-M19": lambda: replace(GOOD, features=1_001),
    "CR-M20": lambda: with_figures(defaults=49),
}


def status(evidence: Evidence, code: str, policy: Policy = POLICY, today: date = TODAY) -> str:
    return next(result.status for result in judge(evidence, policy, today).results if result.gate.code == code)


def failing(found: Validation) -> set[str]:
    return {result.gate.code for result in found.with_status("fail")}


def test_a_good_model_passes_every_gate_that_can_be_judged() -> None:
    found = judge(replace(GOOD, evaluation={**GOOD.evaluation, "champion": beside(0.004)}), POLICY, TODAY)
    assert found.passed
    assert [result.gate.code for result in found.with_status("pass")] == list(BY_CODE)


@pytest.mark.parametrize("code", list(BY_CODE))
def test_each_gate_fails_on_evidence_against_it(code: str) -> None:
    evidence = FAILING[code]()
    found = judge(evidence, POLICY, TODAY)
    assert status(evidence, code) == "fail"
    assert found.passed is (BY_CODE[code].stops == "promotion")


@pytest.mark.parametrize("code", ["CR-M09", "CR-M10", "CR-M15", "CR-M16", "CR-M17", "CR-M18", "CR-M19"])
def test_a_gate_of_one_thing_fails_alone(code: str) -> None:
    assert failing(judge(FAILING[code](), POLICY, TODAY)) == {code}


@pytest.mark.parametrize(
    ("code", "evidence"),
    [
        ("CR-M01", with_figures(auc={"value": float("nan"), "low": float("nan"), "high": float("nan")})),
        ("CR-M02", with_figures(gini=float("nan"))),
        ("CR-M03", with_figures(ks=float("nan"))),
        ("CR-M04", with_figures(brier_to_constant=float("nan"))),
        ("CR-M09", replace(GOOD, out_of_fold_auc=float("nan"))),
        ("CR-M15", replace(GOOD, steps_against={"x": float("nan")})),
        ("CR-M17", replace(GOOD, parity_difference=float("nan"))),
    ],
)
def test_a_figure_that_is_nan_passes_nothing(code: str, evidence: Evidence) -> None:
    assert status(evidence, code) == "fail"


@pytest.mark.parametrize("scale", [0.2, 5.0], ids=["too timid", "too extreme"])
def test_both_sides_of_the_slope_are_limits(scale: float) -> None:
    assert status(with_pds(expit(scale * (logit(PDS) + 2.9) - 2.9)), "CR-M05") == "fail"


def test_a_slope_that_cannot_be_fitted_fails() -> None:
    content = json.loads(json.dumps(GOOD.evaluation))
    content["calibration_report"]["figures"][0]["slope"] = None
    assert status(replace(GOOD, evaluation=content), "CR-M05") == "fail"


def test_calibration_outside_the_limits_by_no_more_than_chance_passes() -> None:
    content = json.loads(json.dumps(GOOD.evaluation))
    content["calibration_report"]["figures"][0]["slope"] = {"value": 1.4, "standard_error": 0.1}
    assert status(replace(GOOD, evaluation=content), "CR-M05") == "pass"
    content["calibration_report"]["figures"][0]["slope"] = {"value": 1.4, "standard_error": 0.05}
    assert status(replace(GOOD, evaluation=content), "CR-M05") == "fail"


@pytest.mark.parametrize("code", [gate.code for gate in GATES if gate.statistical])
def test_with_too_few_defaults_a_figure_of_applicants_is_given_and_not_judged(code: str) -> None:
    bad = FAILING[code]()
    few = replace(bad, evaluation={**bad.evaluation, "defaults": 12})
    result = next(one for one in judge(few, POLICY, TODAY).results if one.gate.code == code)
    assert result.status == "not applicable"
    assert "12 test defaults tell too little (limit 50)" in result.words
    assert result.finding.value is not None


@pytest.mark.parametrize("code", [gate.code for gate in GATES if not gate.statistical and gate.code != "CR-M20"])
def test_with_too_few_defaults_what_is_no_matter_of_chance_is_judged(code: str) -> None:
    bad = FAILING[code]()
    assert status(replace(bad, evaluation={**bad.evaluation, "defaults": 12}), code) == "fail"


def test_too_few_defaults_keep_nothing_out_of_the_registry() -> None:
    found = judge(replace(with_pds(RANDOM), evaluation={**evaluated(TARGET, RANDOM), "defaults": 12}), POLICY, TODAY)
    assert found.passed
    assert failing(found) == {"CR-M20"}


@pytest.mark.parametrize(
    ("code", "evidence", "words"),
    [
        ("CR-M10", replace(FAILING["CR-M10"](), defaults_per_fold=20.0), "20 defaults a fold (limit 50)"),
        ("CR-M12", GOOD, "no other champion is published"),
        ("CR-M15", replace(GOOD, steps_against={}), "no input of the model has a direction"),
    ],
)
def test_what_cannot_be_judged_says_why(code: str, evidence: Evidence, words: str) -> None:
    result = next(one for one in judge(evidence, POLICY, TODAY).results if one.gate.code == code)
    assert (result.status, words in result.words) == ("not applicable", True)


def test_grades_of_which_one_holds_everybody_have_no_order() -> None:
    pds = np.full_like(PDS, 0.08) + PDS * 1e-4
    assert status(with_pds(pds), "CR-M08") == "not applicable"


def test_no_leak_test_at_all_is_no_pass() -> None:
    assert status(replace(GOOD, leak_tests={}), "CR-M13") == "fail"


def overridden(code: str, expires: date) -> Policy:
    given = Override(gate=code, reason="few branches report", approver="Ada Officer", expires=expires)
    return POLICY.model_copy(update={"overrides": (given,)})


def test_an_override_in_force_lets_a_version_through_and_says_who_why_and_until_when() -> None:
    policy = overridden("CR-M16", date(2026, 5, 4))
    found = judge(FAILING["CR-M16"](), policy, TODAY)
    (result,) = found.with_status("overridden")
    assert found.passed
    assert result.words.endswith("overridden by Ada Officer until 2026-05-04: few branches report")
    assert result.to_dict()["override"]["approver"] == "Ada Officer"


def test_without_a_serving_budget_a_model_may_be_of_any_size() -> None:
    policy = POLICY.model_copy(update={"serving_budget": None})
    assert {status(replace(GOOD, leaves=10**6, features=10**4), code, policy) for code in ("CR-M18", "CR-M19")} == {
        "not applicable"
    }


def test_an_override_ends_with_its_day() -> None:
    found = judge(FAILING["CR-M16"](), overridden("CR-M16", TODAY), TODAY)
    assert not found.passed
    assert failing(found) == {"CR-M16"}


def test_an_override_is_for_its_gate_alone_and_only_where_it_fails() -> None:
    policy = overridden("CR-M16", date(2027, 1, 1))
    assert not judge(FAILING["CR-M18"](), policy, TODAY).passed
    assert status(GOOD, "CR-M16", policy) == "pass"


# One fact each, so that any number of them fail together.
FACTS: dict[str, dict[str, object]] = {
    "CR-M13": {"leak_tests": {"ids_tell_nothing": False}},
    "CR-M14": {"no_prohibited_input": False},
    "CR-M15": {"steps_against": {"x": 0.1}},
    "CR-M16": {"openings": 9},
    "CR-M17": {"parity_difference": 0.1},
    "CR-M18": {"leaves": 10**6},
    "CR-M19": {"features": 10**4},
}
MAY_BE_OVERRIDDEN = [gate.code for gate in GATES if not gate.never_overridden]


@given(wrong=st.sets(st.sampled_from(sorted(FACTS))), allowed=st.sets(st.sampled_from(MAY_BE_OVERRIDDEN)))
@settings(max_examples=40, deadline=None)
def test_a_version_passes_exactly_where_every_failing_gate_is_overridden(wrong: set[str], allowed: set[str]) -> None:
    changes = {name: value for code in wrong for name, value in FACTS[code].items()}
    given_ = [Override(gate=code, reason="r", approver="a", expires=date(2027, 1, 1)) for code in sorted(allowed)]
    found = judge(replace(GOOD, **changes), POLICY.model_copy(update={"overrides": tuple(given_)}), TODAY)
    assert failing(found) == wrong - allowed
    assert {result.gate.code for result in found.with_status("overridden")} == wrong & allowed
    assert found.passed is not bool(wrong - allowed)


def test_the_report_is_json_with_every_gate() -> None:
    report = json.loads(json.dumps(judge(FAILING["CR-M19"](), POLICY, TODAY).to_dict()))
    assert (report["model_version"], report["passed"]) == ("v1", False)
    assert [gate["code"] for gate in report["gates"]] == list(BY_CODE)
    wrong = report["gates"][18]
    assert (wrong["status"], wrong["measured"], wrong["limit"]) == ("fail", 1001, "at most 1000")
    assert (wrong["owner"], wrong["rationale"]) == (BY_CODE["CR-M19"].owner, BY_CODE["CR-M19"].rationale)


def made(signs: dict[str, int], coefficients: list[float]) -> SimpleNamespace:
    """Make a model whose PDs are a sigmoid, with directions as declared."""
    features = tuple(BundleFeature(name, "application", "numeric", monotone=sign) for name, sign in signs.items())
    return SimpleNamespace(
        features=features, score=lambda matrix: expit(np.nan_to_num(matrix) @ np.array(coefficients))
    )


def test_a_step_against_its_direction_is_found_and_measured() -> None:
    matrix = np.random.default_rng(1).normal(size=(300, 3))
    signs = {"rises": 1, "falls": -1, "free": 0}
    assert steps_against(made(signs, [1.0, -1.0, 3.0]), matrix) == {"rises": 0.0, "falls": 0.0}
    found = steps_against(made(signs, [-1.0, -1.0, 3.0]), matrix)
    assert found["rises"] > 0.01
    assert found["falls"] == 0


def test_a_constrained_feature_nobody_has_is_left_out() -> None:
    matrix = np.column_stack([np.full(50, np.nan), np.linspace(0, 1, 50)])
    assert steps_against(made({"unknown": 1, "known": 1}, [1.0, 1.0]), matrix) == {"known": 0.0}


def test_leaves_are_counted_over_all_trees() -> None:
    text = "tree\nTree=0\nnum_leaves=16\nnum_cat=0\n\nTree=1\nnum_leaves=1\nend of trees\nnum_leaves: 9"
    assert leaf_counts(text) == [16, 1]
