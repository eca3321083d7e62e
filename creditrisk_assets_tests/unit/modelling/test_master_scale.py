"""Grades that order risk, limits proposed from PDs, and points."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import expit
from scipy.stats import norm

from creditrisk_assets.modelling.evaluation import band_table
from creditrisk_assets.modelling.master_scale import ScaleError, master_scale, propose_bands
from creditrisk_assets.modelling.policy import Band, ScaleRules, load_policy, parse_policy
from creditrisk_assets.modelling.score_points import ScorePoints

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]

POLICY = load_policy()
RULES = ScaleRules(most_grades=10, minimum_share=0.02, maximum_share=0.4, significance=0.05)
POINTS = ScorePoints(reference_points=600, reference_odds=50, points_to_double=20)
PDS = st.floats(1e-9, 1 - 1e-9)


def draw(rows: int = 20_000, seed: int = 0) -> tuple[Outcomes, Numbers]:
    random = np.random.default_rng(seed)
    pds = expit(random.normal(-2.8, 1.1, rows))
    return (random.random(rows) < pds).astype(np.int64), pds


def test_grades_are_those_of_the_policy_and_account_for_everybody() -> None:
    target, pds = draw()
    scale = master_scale(target, pds, POLICY.bands, RULES)
    assert sum(grade.applicants for grade in scale.grades) == 20_000
    assert sum(grade.defaults for grade in scale.grades) == target.sum()
    assert sum(grade.share for grade in scale.grades) == pytest.approx(1)
    for grade, row in zip(scale.grades, band_table(target, pds, POLICY).itertuples(), strict=True):
        assert (grade.name, grade.applicants, grade.mean_pd) == (row.band, row.applicants, row.mean_pd)
    assert scale.concentration == pytest.approx(sum(grade.share**2 for grade in scale.grades))
    assert scale.problems == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.lists(st.floats(0.01, 0.99), max_size=6, unique=True))
def test_mean_pds_rise_from_grade_to_grade_and_lie_within_their_limits(pds: list[float], limits: list[float]) -> None:
    ends = [*sorted(limits), None]
    bands = [Band(name=str(number), below=end) for number, end in enumerate(ends)]
    scale = master_scale(np.zeros(len(pds), dtype=np.int64), np.array(pds), bands, RULES)
    held = [grade for grade in scale.grades if grade.mean_pd is not None]
    means = [grade.mean_pd for grade in held]
    assert means == sorted(means)
    for grade in held:
        assert grade.pd_from - 1e-12 <= grade.mean_pd <= grade.pd_to + 1e-12
    assert [grade.pd_to for grade in scale.grades][:-1] == [grade.pd_from for grade in scale.grades][1:]


def test_what_is_wrong_with_a_scale_is_said() -> None:
    """A and B swap their default rates, C holds hardly anybody, D holds nearly everybody."""
    pds = np.repeat([0.01, 0.02, 0.03, 0.04], [1000, 1000, 10, 6000])
    target = np.zeros(len(pds), dtype=np.int64)
    target[:50], target[1000:1020], target[2010:2400] = 1, 1, 1
    bands = [Band(name=n, below=b) for n, b in zip("ABCD", [0.015, 0.025, 0.035, None], strict=True)]
    problems = master_scale(target, pds, bands, RULES).problems
    assert problems[:2] == (
        "grade C holds 0.12% of the applicants, below 2.00%",
        "grade D holds 74.91% of the applicants, above 40.00%",
    )
    assert problems[2].startswith("grade B is not shown to be riskier than A: default rates 5.00% and 2.00% (p = 1)")
    assert [problem.split(":")[0] for problem in problems[3:]] == [
        "grade C is not shown to be riskier than B",
        "grade D is not shown to be riskier than C",
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [3000, 40_000])
def test_proposed_grades_keep_the_rules(rows: int, seed: int) -> None:
    target, pds = draw(rows, seed)
    bands = propose_bands(target, pds, RULES)
    scale = master_scale(target, pds, bands, RULES.model_copy(update={"maximum_share": 1.0}))
    assert 2 <= len(bands) <= RULES.most_grades
    assert scale.problems == ()
    for better, worse in zip(scale.grades, scale.grades[1:], strict=False):
        n, m = better.applicants, worse.applicants
        pooled = (better.defaults + worse.defaults) / (n + m)
        gap = worse.defaults / m - better.defaults / n
        assert norm.sf(gap / math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))) <= RULES.significance


def test_proposed_grades_are_a_policy() -> None:
    bands = propose_bands(*draw(), RULES)
    content = {**POLICY.model_dump(mode="json"), "bands": [band.model_dump() for band in bands]}
    assert parse_policy(content, where="proposal").bands == bands
    assert all(float(f"{band.below:.2g}") == band.below for band in bands if band.below is not None)


def test_more_applicants_carry_more_grades() -> None:
    assert len(propose_bands(*draw(1000), RULES)) < len(propose_bands(*draw(60_000), RULES))


@pytest.mark.parametrize("pds", [draw()[1], np.full(20_000, 0.08)], ids=["no skill", "one PD"])
def test_no_grades_are_proposed_where_none_are_told_apart(pds: Numbers) -> None:
    target = (np.random.default_rng(9).random(20_000) < 0.08).astype(np.int64)
    with pytest.raises(ScaleError, match="not even two grades"):
        propose_bands(target, pds, RULES.model_copy(update={"significance": 0.0001}))


@pytest.mark.parametrize(
    ("target", "pds", "words"),
    [([], [], "nobody"), ([0, 1], [0.1], "do not match"), ([0, 1], [0.1, float("nan")], "NaN or outside")],
)
def test_what_cannot_be_graded_is_refused(target: list[int], pds: list[float], words: str) -> None:
    for grade in (
        lambda y, p: master_scale(y, p, POLICY.bands, RULES),
        lambda y, p: propose_bands(y, p, RULES),
    ):
        with pytest.raises(ScaleError, match=words):
            grade(np.array(target, dtype=np.int64), np.array(pds))


def test_rules_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="minimum_share must lie below"):
        ScaleRules(most_grades=5, minimum_share=0.3, maximum_share=0.2, significance=0.05)


def test_a_scale_is_json() -> None:
    pds = np.full(20_000, 0.01)
    scale = master_scale(draw()[0], pds, POLICY.bands, RULES)
    read = json.loads(json.dumps(scale.to_dict(), allow_nan=False))
    assert [grade["mean_pd"] for grade in read["grades"]][1:] == [None] * 4


@pytest.mark.parametrize(("odds", "points"), [(50, 600), (100, 620), (25, 580), (400, 660), (1, 487)])
def test_points_rise_by_their_step_where_the_odds_double(odds: float, points: int) -> None:
    assert POINTS.points(1 / (1 + odds)) == points


@given(PDS, PDS)
def test_a_higher_pd_never_has_more_points(one: float, other: float) -> None:
    better, worse = sorted([one, other])
    assert POINTS.points(better) >= POINTS.points(worse)


@given(PDS)
def test_points_are_offset_and_factor_times_log_odds(pd: float) -> None:
    exact = POINTS.offset + POINTS.factor * math.log((1 - pd) / pd)
    assert abs(POINTS.points(pd) - exact) <= 0.5 + 1e-4  # 1 − pd is rounded in the formula, not in the code


@pytest.mark.parametrize("pd", [0.0, 1.0, -0.1, float("nan"), float("inf")])
def test_a_pd_without_odds_has_no_points(pd: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        POINTS.points(pd)
