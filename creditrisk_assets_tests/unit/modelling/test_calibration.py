"""The served calibrator: rising over every double, equal to its formulas, fitted as scikit-learn would, and its fallbacks."""

import json
import math
import sys
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from creditrisk_assets.modelling.calibration import (
    KNEE,
    LARGEST_SLOPE,
    RESOLUTION,
    SMALLEST_SLOPE,
    TAIL_RESOLUTION,
    CalibrationError,
    Calibrator,
    prior_shift,
    probability,
)
from creditrisk_assets.modelling.calibration_fitting import CalibrationFit, fit_calibrator

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]

LARGEST = sys.float_info.max
SLOPES = st.floats(SMALLEST_SLOPE, LARGEST_SLOPE)
SHIFTS = st.floats(-50, 50)
CALIBRATORS = st.builds(Calibrator, st.just("beta"), SLOPES, SLOPES, SHIFTS, SHIFTS)
EXTREMES = [Calibrator("beta", a, b, c) for a in (2**-4, 16.0) for b in (2**-4, 16.0) for c in (-50.0, 0.0, 50.0)]
# Every double, and as many where models live and where the tails begin.
MARGINS = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-50, 50) | st.floats(-1, 1)
STEPS = st.integers(0, 40).map(lambda power: 2**power)


def after(margin: float, steps: int) -> float:
    """The double so many doubles above."""
    bits = np.array([margin + 0.0]).view(np.int64)[0]  # −0.0 becomes 0.0
    place = int(bits) if bits >= 0 else -int(bits & np.int64(2**63 - 1))
    place = min(place + steps, int(np.array([LARGEST]).view(np.int64)[0]))
    value = float(np.array([abs(place)], dtype=np.int64).view(np.float64)[0])
    return value if place >= 0 else -value


@settings(max_examples=300)
@given(CALIBRATORS, MARGINS, STEPS)
@example(Calibrator("sigmoid", 1, 1, 0), 0.0, 1)
@example(Calibrator("sigmoid", 1, 1, 0), 16.0, 1)
def test_no_higher_margin_has_a_lower_pd_not_even_the_next_double(
    calibrator: Calibrator, low: float, steps: int
) -> None:
    assert calibrator.pd(low) <= calibrator.pd(after(low, steps))


@settings(max_examples=200)
@given(CALIBRATORS, MARGINS, MARGINS)
def test_any_two_margins_keep_their_order(calibrator: Calibrator, one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert calibrator.pd(low) <= calibrator.pd(high)
    assert calibrator.log_odds(low) <= calibrator.log_odds(high)


@pytest.mark.parametrize("calibrator", EXTREMES, ids=lambda c: f"{c.low_slope}-{c.high_slope}-{c.intercept}")
@pytest.mark.parametrize("centre", [0.0, 1.0, -2.5, 37.0, 40.0, -800.0, 2.0**14, -(2.0**14), 1e17])
def test_neighbouring_doubles_by_the_thousand_keep_their_order(calibrator: Calibrator, centre: float) -> None:
    margins = [after(centre, steps) for steps in range(-1000, 1000)]
    assert margins == sorted(margins)
    assert (np.diff(calibrator.pds(margins)) >= 0).all()


@settings(max_examples=200)
@given(CALIBRATORS, st.floats(-300, 300), st.floats(RESOLUTION, 1))
def test_margins_a_resolution_apart_have_different_pds(calibrator: Calibrator, low: float, gap: float) -> None:
    high = low + gap
    if abs(calibrator.log_odds(low)) < KNEE and abs(calibrator.log_odds(high)) < KNEE and high - low >= RESOLUTION:
        assert calibrator.pd(low) < calibrator.pd(high)


@settings(max_examples=200)
@given(CALIBRATORS, MARGINS, st.floats(1, 100))
@example(Calibrator("sigmoid", 16.0, 16.0, 50.0), LARGEST, 1.0)
@example(Calibrator("beta", 16.0, 0.0625, -50.0, -50.0), -LARGEST, 1.0)
def test_saturated_margins_still_have_different_pds(calibrator: Calibrator, one: float, times: float) -> None:
    gap = 1.001 * TAIL_RESOLUTION * times * max(1.0, abs(one))
    other = one - math.copysign(gap, one)  # towards 0, so that nothing overflows
    low, high = sorted([one, other])
    assert calibrator.pd(low) < calibrator.pd(high)


@given(CALIBRATORS, MARGINS)
@example(Calibrator("sigmoid", 16.0, 16.0, 50.0, 50.0), LARGEST)
@example(Calibrator("sigmoid", 16.0, 16.0, -50.0, -50.0), -LARGEST)
def test_no_pd_is_0_or_1(calibrator: Calibrator, margin: float) -> None:
    assert 5e-9 < calibrator.pd(margin) < 1 - 5e-9


@given(CALIBRATORS, st.lists(MARGINS, max_size=20))
def test_one_margin_and_many_give_the_same_bits(calibrator: Calibrator, margins: list[float]) -> None:
    many = calibrator.pds(np.array(margins))
    assert many.tobytes() == np.array([calibrator.pd(margin) for margin in margins], dtype=np.float64).tobytes()


@given(SLOPES, SLOPES, st.floats(-5, 5), st.floats(-5, 5), st.floats(-40, 40))
def test_the_map_is_beta_calibration(a: float, b: float, c: float, shift: float, margin: float) -> None:
    """As Kull et al. write it: odds of q^a / (1 − q)^b · e^c."""
    expected = a * log_expit(margin + shift) - b * log_expit(-(margin + shift)) + c
    found = Calibrator("beta", a, b, c, shift).log_odds(margin)
    if abs(expected) < KNEE - 1e-6:
        assert found == pytest.approx(expected, abs=1e-9)
        assert Calibrator("beta", a, b, c, shift).pd(margin) == pytest.approx(expit(expected), rel=1e-8)
    else:
        assert abs(found) >= KNEE - 1e-5


@given(SLOPES, st.floats(-5, 5), st.floats(-3, 3))
def test_equal_slopes_are_a_sigmoid(slope: float, intercept: float, margin: float) -> None:
    expected = slope * margin + intercept
    if abs(expected) < KNEE:
        assert Calibrator("sigmoid", slope, slope, intercept).log_odds(margin) == pytest.approx(expected, abs=1e-9)


@given(st.integers(-(2**41), 2**41))
def test_slope_1_changes_no_margin_of_the_grid(place: int) -> None:
    margin = place / 2**38
    assert Calibrator("intercept", 1, 1, 0).log_odds(margin) == margin


@given(CALIBRATORS, MARGINS)
def test_a_calibrator_survives_its_json_to_the_last_bit(calibrator: Calibrator, margin: float) -> None:
    read = Calibrator.from_json(calibrator.to_json())
    assert read == calibrator
    assert read.pd(margin) == calibrator.pd(margin)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low_slope": 0.0}, "low_slope"),
        ({"high_slope": -1.0}, "high_slope"),
        ({"high_slope": 17.0}, "high_slope"),
        ({"high_slope": float("nan")}, "high_slope"),
        ({"intercept": float("nan")}, "intercept"),
        ({"intercept": 51.0}, "intercept"),
        ({"prior_shift": float("inf")}, "prior_shift"),
        ({"kind": "isotonic"}, "isotonic"),
        ({"kind": "sigmoid"}, "not those of kind sigmoid"),
        ({"kind": "intercept", "high_slope": 0.5}, "not those of kind intercept"),
        ({"luck": 1.0}, "luck"),
        ({"intercept": "much"}, "much"),
        ({"intercept": None}, "not a calibrator"),
    ],
)
def test_a_calibrator_that_would_not_rise_is_refused(change: dict[str, object], words: str) -> None:
    content = {**asdict(Calibrator("beta", 0.5, 1.0, 0.0)), **change}
    with pytest.raises(CalibrationError, match=words):
        Calibrator.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "1"])
def test_what_is_no_calibrator_is_refused(text: str) -> None:
    with pytest.raises(CalibrationError, match="not a calibrator"):
        Calibrator.from_json(text)


@pytest.mark.parametrize("margin", [float("nan"), float("inf"), float("-inf")])
def test_a_broken_margin_gets_no_pd(margin: float) -> None:
    with pytest.raises(CalibrationError, match="NaN or infinite"):
        Calibrator("sigmoid", 1, 1, 0).pds([0.0, margin])


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_the_prior_shift_undoes_a_rebalancing(pd: float, before: float, fitted: float) -> None:
    """Bayes: keep shares of the outcomes that turn one default rate into the other, and shift back."""
    kept_bad, kept_good = fitted / before, (1 - fitted) / (1 - before)
    seen = pd * kept_bad / (pd * kept_bad + (1 - pd) * kept_good)
    assert expit(logit(seen) + prior_shift(before, fitted)) == pytest.approx(pd, rel=1e-9)


def test_a_model_of_half_the_others_is_right_again_after_the_shift() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(40_000, 1))
    target = (random.random(40_000) < expit(-2.5 + x[:, 0])).astype(int)
    kept = (target == 1) | (random.random(40_000) < 0.2)
    model = LogisticRegression(C=np.inf).fit(x[kept], target[kept])
    shift = prior_shift(target.mean(), target[kept].mean())
    calibrator = Calibrator("intercept", 1.0, 1.0, 0.0, shift)
    assert model.predict_proba(x)[:, 1].mean() > 2 * target.mean()
    assert calibrator.pds(model.decision_function(x)).mean() == pytest.approx(target.mean(), rel=0.03)


@pytest.mark.parametrize("rates", [(0.0, 0.5), (1.0, 0.5), (0.1, 0.0), (0.1, float("nan"))])
def test_a_shift_from_a_rate_of_one_class_is_refused(rates: tuple[float, float]) -> None:
    with pytest.raises(CalibrationError, match="strictly between"):
        prior_shift(*rates)


@given(st.floats(-700, 800))
def test_the_probability_is_that_of_scipy(log_odds: float) -> None:
    assert probability(log_odds) == pytest.approx(expit(log_odds), rel=1e-14, abs=0)


def draw(
    rows: int = 20_000, seed: int = 0, true: Calibrator | None = None
) -> tuple[Outcomes, Numbers, NDArray[np.int64]]:
    """Draw margins, outcomes that follow a map of them, and folds."""
    random = np.random.default_rng(seed)
    margins = random.normal(-2, 1.5, rows)
    pds = (true or Calibrator("sigmoid", 0.7, 0.7, -0.4)).pds(margins)
    return (random.random(rows) < pds).astype(np.int64), margins, random.integers(0, 5, rows)


def platt(target: Outcomes, columns: Numbers) -> tuple[Numbers, float]:
    """Fit Platt's smoothed outcomes with scikit-learn: each applicant is both outcomes, in parts."""
    defaults, others = target.sum(), (1 - target).sum()
    smooth = np.where(target == 1, (defaults + 1) / (defaults + 2), 1 / (others + 2))
    doubled = np.vstack([columns, columns])
    outcomes = np.repeat([1, 0], len(target))
    model = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky", max_iter=200)
    model.fit(doubled, outcomes, sample_weight=np.concatenate([smooth, 1 - smooth]))
    return model.coef_[0], float(model.intercept_[0])


def test_the_sigmoid_is_the_one_scikit_learn_fits() -> None:
    target, margins, fold = draw(400)
    slope, intercept = platt(target, margins[:, None])
    found = fit_calibrator(target, margins, fold, prior_shift=0.0).calibrator
    assert found.kind == "sigmoid"
    assert found.low_slope == pytest.approx(slope[0], rel=1e-4)
    assert found.intercept == pytest.approx(intercept, abs=1e-4)


BENT = Calibrator("beta", 0.4, 1.6, -0.3)


def test_a_bent_map_is_found_to_be_beta_and_is_the_one_scikit_learn_fits() -> None:
    target, margins, fold = draw(true=BENT)
    found = fit_calibrator(target, margins, fold)
    slopes, intercept = platt(target, np.column_stack([log_expit(margins), -log_expit(-margins)]))
    assert found.calibrator.kind == "beta"
    assert found.brier["beta"] < found.brier["sigmoid"]
    assert found.calibrator.low_slope == pytest.approx(slopes[0], rel=1e-3)
    assert found.calibrator.high_slope == pytest.approx(slopes[1], rel=1e-3)
    assert found.calibrator.intercept == pytest.approx(intercept, abs=1e-3)
    assert slopes == pytest.approx([BENT.low_slope, BENT.high_slope], abs=0.15)


def test_each_brier_score_is_of_a_map_the_applicant_had_no_part_in() -> None:
    target, margins, fold = draw(1500)
    found = fit_calibrator(target, margins, fold)
    sigmoid, isotonic = np.empty(1500), np.empty(1500)
    for number in range(5):
        rest, held = fold != number, fold == number
        slope, intercept = platt(target[rest], margins[rest, None])
        sigmoid[held] = expit(slope[0] * margins[held] + intercept)
        isotonic[held] = (
            IsotonicRegression(out_of_bounds="clip").fit(margins[rest], target[rest]).predict(margins[held])
        )
    assert found.brier["sigmoid"] == pytest.approx(np.mean((sigmoid - target) ** 2), abs=1e-7)
    assert found.brier_isotonic == pytest.approx(np.mean((isotonic - target) ** 2), abs=1e-9)
    assert found.brier_uncalibrated == pytest.approx(np.mean((expit(margins) - target) ** 2), abs=1e-12)
    assert found.isotonic_levels < 100  # plateaus: the reason it is not served


@pytest.mark.parametrize("true", [None, BENT], ids=["sigmoid", "beta"])
def test_calibrated_pds_are_true_for_other_applicants(true: Calibrator | None) -> None:
    found = fit_calibrator(*draw(true=true)).calibrator
    target, margins, _ = draw(40_000, seed=1, true=true)
    pds = found.pds(margins)
    for part in np.array_split(np.argsort(margins), 10):
        assert pds[part].mean() == pytest.approx(target[part].mean(), rel=0.15, abs=0.005)


def test_the_shift_is_part_of_the_map_and_changes_no_pd_of_a_sigmoid() -> None:
    target, margins, fold = draw(400)
    plain, shifted = (fit_calibrator(target, margins, fold, prior_shift=s).calibrator for s in (0.0, -2.0))
    assert shifted.prior_shift == -2
    assert shifted.pds(margins) == pytest.approx(plain.pds(margins), rel=1e-3)


def test_the_order_of_applicants_changes_nothing_that_matters() -> None:
    target, margins, fold = draw(3000)
    one, other = fit_calibrator(target, margins, fold), fit_calibrator(target[::-1], margins[::-1], fold[::-1])
    assert one.calibrator.pds(margins) == pytest.approx(other.calibrator.pds(margins), rel=1e-6)


def five_defaults() -> tuple[Outcomes, Numbers, NDArray[np.int64]]:
    target = np.zeros(500, dtype=np.int64)
    target[:5] = 1
    return target, np.random.default_rng(0).normal(-1, 1, 500) + target, np.arange(500) % 5


def test_five_defaults_move_the_level_and_leave_the_spread() -> None:
    target, margins, fold = five_defaults()
    found = fit_calibrator(target, margins, fold)
    assert found.calibrator.kind == "intercept"
    assert found.calibrator.low_slope == found.calibrator.high_slope == 1
    smoothed = (5 * 6 / 7 + 495 / 497) / 500
    assert found.calibrator.pds(margins).mean() == pytest.approx(smoothed, rel=1e-5)
    assert "4 applicants of the rarer outcome in the smallest fitted part are too few for more (20)" in found.reason


def test_a_few_dozen_defaults_are_enough_for_a_sigmoid_alone() -> None:
    target, margins, fold = draw(250)
    found = fit_calibrator(target, margins, fold)
    assert list(found.brier) == ["sigmoid"]
    assert "too few for more (60)" in found.reason


def test_perfect_separation_has_a_finite_map() -> None:
    margins = np.linspace(-3, 3, 600)
    target = (margins > 0).astype(np.int64)
    found = fit_calibrator(target, margins, np.arange(600) % 5)
    assert found.calibrator.pds([-3, 3]) == pytest.approx([0, 1], abs=0.01)
    tiny = fit_calibrator(target, margins / 1000, np.arange(600) % 5)
    assert tiny.calibrator.high_slope == pytest.approx(LARGEST_SLOPE)
    assert "separate the outcomes almost perfectly" in tiny.reason


@pytest.mark.parametrize("sign", [-1, 0])
def test_margins_that_do_not_rank_are_flattened_and_the_reason_says_so(sign: int) -> None:
    target, margins, fold = draw(2000)
    random = np.random.default_rng(1)
    useless = sign * margins if sign else random.permutation(margins)
    found = fit_calibrator(target, useless, fold)
    assert found.calibrator.low_slope <= 2 * SMALLEST_SLOPE
    assert found.calibrator.pds(useless).mean() == pytest.approx(target.mean(), rel=0.02)
    assert "higher margins do not mean more defaults" in found.reason


def broken(**changes: object) -> tuple[Outcomes, Numbers, NDArray[np.int64]]:
    target, margins, fold = draw(200)
    parts = {"target": target, "margins": margins, "fold": fold} | changes
    return tuple(parts.values())  # type: ignore[return-value]  # in order


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (broken(margins=np.full(200, -2.0)), "all margins are equal"),
        (broken(margins=np.full(200, np.nan)), "NaN or infinite"),
        (broken(margins=np.zeros(199)), "200 outcomes, 199 margins and 200 folds"),
        (broken(target=np.zeros(200, dtype=np.int64)), "0 applicants of the rarer outcome are left; .* larger source"),
        (broken(target=np.full(200, 2)), "neither 0 nor 1"),
        (broken(target=np.eye(1, 200, dtype=np.int64)[0]), "0 applicants of the rarer outcome"),
        (broken(fold=np.zeros(200, dtype=np.int64)), "two folds at least"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(parts: tuple[Outcomes, Numbers, NDArray[np.int64]], words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        fit_calibrator(*parts)


def test_the_choice_is_json() -> None:
    found: CalibrationFit = fit_calibrator(*draw(400))
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Calibrator(**read["calibrator"]) == found.calibrator
    assert read["brier"] == found.brier
