"""Calibration figures and tests: equal to statsmodels and to their definitions, and wrong no oftener than they say."""

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import binom, chi2

from creditrisk_assets.modelling.calibration_tests import (
    CalibrationReport,
    calibration_figures,
    calibration_report,
    expected_calibration_error,
    holm,
    rate_test,
)

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]
LIMITS = [0.03, 0.06, 0.12, 0.25]


def draw(rows: int = 4000, seed: int = 0, shift: float = 0.0) -> tuple[Outcomes, Numbers, NDArray[np.str_]]:
    """Draw PDs, outcomes that follow them (or PDs shifted), and grades."""
    random = np.random.default_rng(seed)
    log_odds = random.normal(-2.6, 1.1, rows)
    target = (random.random(rows) < expit(log_odds + shift)).astype(np.int64)
    return target, expit(log_odds), np.array(list("ABCDE"))[np.searchsorted(LIMITS, expit(log_odds), side="right")]


def test_slope_and_intercept_with_their_errors_are_those_of_statsmodels() -> None:
    glm = pytest.importorskip("statsmodels.genmod.generalized_linear_model")
    families = pytest.importorskip("statsmodels.genmod.families")
    target, pds, _ = draw(1500, shift=0.2)
    x = logit(pds)
    full = glm.GLM(target, np.column_stack([np.ones(1500), x]), family=families.Binomial()).fit(tol=1e-12)
    level = glm.GLM(target, np.ones(1500), offset=x, family=families.Binomial()).fit(tol=1e-12)
    found = calibration_figures(target, pds)
    assert found.slope is not None
    assert found.intercept is not None
    assert (found.slope.value, found.slope.standard_error) == pytest.approx((full.params[1], full.bse[1]), rel=1e-6)
    assert (found.intercept.value, found.intercept.standard_error) == pytest.approx(
        (level.params[0], level.bse[0]), rel=1e-6
    )
    unchanged = float(np.sum(target * x - np.logaddexp(0, x)))
    assert found.recalibration_p == pytest.approx(chi2.sf(2 * (full.llf - unchanged), 2), rel=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_bonferroni_test(p_values: list[float]) -> None:
    """A test is rejected if every group of tests it belongs to is, each by its smallest p-value times its size."""
    places = range(len(p_values))
    groups = [group for size in places for group in combinations(places, size + 1)]
    bonferroni = {group: len(group) * min(p_values[place] for place in group) for group in groups}
    expected = [min(1.0, max(bonferroni[group] for group in groups if place in group)) for place in places]
    assert holm(p_values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("applicants", "defaults", "pd"), [(40, 6, 0.08), (40, 0, 0.08), (25, 25, 0.7), (300, 31, 0.09)]
)
def test_rate_tests_are_their_definitions(applicants: int, defaults: int, pd: float) -> None:
    target = (np.arange(applicants) < defaults).astype(np.int64)
    found = rate_test(target, np.full(applicants, pd))
    chances = [binom.pmf(k, applicants, pd) for k in range(applicants + 1)]
    as_rare = sum(chance for chance in chances if chance <= chances[defaults] * (1 + 1e-9))
    assert found.binomial_p == pytest.approx(as_rare, rel=1e-6)
    odds = [  # of a posterior proportional to x^(d − 1/2) (1 − x)^(n − d − 1/2), below and above the PD
        quad(lambda x: x ** (defaults - 0.5) * (1 - x) ** (applicants - defaults - 0.5), *ends, limit=500)[0]
        for ends in ((0, pd), (pd, 1))
    ]
    assert found.jeffreys_p == pytest.approx(odds[0] / sum(odds), rel=1e-4)
    assert found.default_rate_low <= defaults / applicants <= found.default_rate_high


def test_jeffreys_speaks_of_pds_that_are_too_low_alone() -> None:
    target = (np.arange(1000) < 100).astype(np.int64)
    assert rate_test(target, np.full(1000, 0.05)).jeffreys_p < 0.001
    assert rate_test(target, np.full(1000, 0.15)).jeffreys_p > 0.999
    assert rate_test(target, np.full(1000, 0.15)).binomial_p < 0.001


def test_the_calibration_error_is_its_definition() -> None:
    target, pds, _ = draw(1003)
    order = np.argsort(pds)
    expected = sum(abs(pds[p].mean() - target[p].mean()) * len(p) for p in np.array_split(order, 20)) / 1003
    assert expected_calibration_error(target, pds) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=60), st.randoms())
def test_the_order_of_applicants_changes_no_calibration_error(rows: list[tuple[int, int]], random) -> None:  # type: ignore[no-untyped-def]  # Hypothesis
    shuffled = list(rows)
    random.shuffle(shuffled)
    found = [
        expected_calibration_error(np.array([y for y, _ in part]), np.array([pd / 5 for _, pd in part]))
        for part in (rows, shuffled)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-12)
    assert 0 <= found[0] <= 1


def test_true_pds_are_rejected_no_oftener_than_the_level_says() -> None:
    rejected = [len(calibration_report(*draw(2000, seed)).rejected()) > 0 for seed in range(100)]
    assert np.mean(rejected) <= 0.07


def test_slopes_and_intercepts_cover_the_truth_about_as_often_as_they_say() -> None:
    found = [calibration_figures(*draw(800, seed)[:2]) for seed in range(200)]
    slopes = [abs(f.slope.value - 1) <= 1.96 * f.slope.standard_error for f in found if f.slope]
    levels = [abs(f.intercept.value) <= 1.96 * f.intercept.standard_error for f in found if f.intercept]
    assert len(slopes) == len(levels) == 200
    assert 0.9 <= np.mean(slopes) <= 0.99
    assert 0.9 <= np.mean(levels) <= 0.99
    assert 0.01 <= np.mean([f.recalibration_p < 0.05 for f in found if f.recalibration_p is not None]) <= 0.1


def test_pds_that_are_too_low_are_found_in_every_grade() -> None:
    report = calibration_report(*draw(40_000, shift=0.5))
    assert [test.grade for test in report.rejected()] == list("ABCDE")
    assert all(test.jeffreys_adjusted < 0.001 for test in report.tests)
    (figures,) = report.figures
    assert figures.intercept is not None
    assert figures.intercept.value == pytest.approx(0.5, abs=0.06)


@pytest.fixture(scope="module")
def report() -> CalibrationReport:
    target, pds, grades = draw()
    kinds = np.random.default_rng(1).choice(np.array(["cash", "revolving", None], dtype=object), len(target))
    ages = np.where(pds > 0.1, np.nan, 1.0)
    return calibration_report(target, pds, grades, {"kind": kinds, "age": ages})


def test_a_report_accounts_for_everybody_in_every_segmentation(report: CalibrationReport) -> None:
    whole = report.figures[0]
    assert (whole.segment, whole.applicants) == (None, 4000)
    for segment, values in (("kind", {"cash", "revolving", "unknown"}), ("age", {"1.0", "unknown"})):
        figures = [each for each in report.figures if each.segment == segment]
        assert {each.value for each in figures} == values
        assert sum(each.applicants for each in figures) == 4000
        assert sum(each.defaults for each in figures) == whole.defaults
        for by_grade in (True, False):
            tests = [t for t in report.tests if t.segment == segment and (t.grade is not None) == by_grade]
            assert sum(t.applicants for t in tests) == 4000
    grades = [test for test in report.tests if test.segment is None]
    assert [test.grade for test in grades] == list("ABCDE")
    assert sum(test.defaults for test in grades) == whole.defaults


def test_each_family_of_tests_is_adjusted_on_its_own(report: CalibrationReport) -> None:
    families = {
        "grades": [t for t in report.tests if t.segment is None],
        "segments": [t for t in report.tests if t.segment is not None and t.grade is None],
        "both": [t for t in report.tests if t.segment is not None and t.grade is not None],
    }
    assert [len(family) for family in families.values()][:2] == [5, 5]
    assert sum(map(len, families.values())) == len(report.tests)
    for family in families.values():
        assert [t.binomial_adjusted for t in family] == holm([t.binomial_p for t in family]).tolist()
        assert [t.jeffreys_adjusted for t in family] == holm([t.jeffreys_p for t in family]).tolist()
        assert min(t.binomial_adjusted for t in family) == min(1, len(family) * min(t.binomial_p for t in family))


def test_a_report_is_json(report: CalibrationReport) -> None:
    read = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert len(read["tests"]) == len(report.tests)
    assert read["figures"][0]["slope"]["value"] == report.figures[0].slope.value  # type: ignore[union-attr]  # both outcomes are there


@pytest.mark.parametrize(
    ("target", "pds", "slope", "intercept"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3], False, False),
        ([1, 1, 1], [0.1, 0.2, 0.3], False, False),
        ([0, 1, 0], [0.1, 0.1, 0.1], False, True),
        ([0, 0, 1], [0.1, 0.2, 0.3], False, True),
        ([1, 0, 0], [0.1, 0.2, 0.3], False, True),
        ([0, 1, 1, 0], [0.0, 1.0, 0.0, 1.0], True, True),
        ([0], [0.0], False, False),
    ],
)
def test_what_is_not_defined_is_none_and_not_an_error(
    target: list[int], pds: list[float], slope: bool, intercept: bool
) -> None:
    report = calibration_report(np.array(target), np.array(pds), ["A"] * len(target))
    found = report.figures[0]
    assert (found.slope is not None, found.intercept is not None) == (slope, intercept)
    assert (found.recalibration_p is not None) == slope
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("target", "pds", "grades", "words"),
    [
        ([], [], [], "no applicants"),
        ([0, 1], [0.1], ["A", "A"], "2 outcomes and 1 PDs"),
        ([0, 1], [0.1, 0.2], ["A"], "2 outcomes and 1 grades"),
        ([0, 2], [0.1, 0.2], ["A", "A"], "neither 0 nor 1"),
        ([0, 1], [0.1, 1.2], ["A", "A"], "NaN or outside"),
        ([0, 1], [0.1, float("nan")], ["A", "A"], "NaN or outside"),
    ],
)
def test_what_cannot_be_measured_is_refused(target: list[int], pds: list[float], grades: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        calibration_report(np.array(target, dtype=np.int64), np.array(pds), grades)
