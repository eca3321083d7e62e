"""A candidate beside the champion on production months: what blocks it, what is told, what is counted."""

import numpy as np
import pytest

from creditrisk_assets.modelling.policy import CanaryLimits, load_policy
from creditrisk_assets.registry.comparison import Side
from creditrisk_assets.registry.comparison_plots import draw_months
from creditrisk_assets.registry.months_compared import NONE_YET, ComparedMonth, compare_month, judge_months

POLICY = load_policy()
assert POLICY.canary is not None
LIMITS: CanaryLimits = POLICY.canary.model_copy(update={"resamples": 200})
APPLICANTS = 3000


def draw(seed: int, *, noise: float = 0.0, shift: float = 0.0, known: float = 1.0) -> ComparedMonth:
    """Draw a month whose champion knows the true risk, and a candidate that knows less of it, or answers higher."""
    random = np.random.default_rng(seed)
    risk = random.normal(-2.6, 1.0, APPLICANTS)
    told = (random.random(APPLICANTS) < 1 / (1 + np.exp(-risk))).astype(float)
    told[random.random(APPLICANTS) >= known] = np.nan
    answered = risk + random.normal(0, noise, APPLICANTS) + shift
    sides = (Side(name * 16, POLICY, 1 / (1 + np.exp(-margins))) for name, margins in (("b", answered), ("a", risk)))
    return compare_month(f"2025-{seed:02}", "matured" if known else "pending", *sides, told, LIMITS)


def test_a_candidate_surely_worse_in_one_month_is_stopped_by_its_name_and_figure() -> None:
    found = judge_months([draw(1), draw(2, noise=1.5), draw(3)], {}, LIMITS)
    assert found.compared[1].auc is not None
    worst = f"AUC is {found.compared[1].auc.candidate:.4f} against {found.compared[1].auc.champion:.4f}: at least"
    named = [words for words in found.problems if "on the applicants of" in words]
    assert any("2025-02" in words and worst in words and "margin 0.01" in words for words in named)
    assert any("Brier score" in words and "margin 0.001" in words for words in named)
    assert not any("2025-01" in words or "2025-03" in words for words in named)
    assert [month.to_row(LIMITS)["verdict"] for month in found.compared] == ["not worse", "worse", "not worse"]
    assert found.words == "compared on 3 production months, 2025-01 to 2025-03; 3 with outcomes, worse on them"


def test_a_candidate_like_the_champion_passes() -> None:
    found = judge_months([draw(1), draw(2)], {}, LIMITS)
    assert (found.problems, found.warnings) == ((), ())
    assert found.together["auc"].value == 0
    assert found.words.endswith("2 with outcomes")


def test_a_loss_no_month_shows_alone_is_shown_by_all_together() -> None:
    months = [draw(seed, noise=0.4) for seed in range(1, 13)]
    alone = [words for month in months for words in judge_months([month], {}, LIMITS).problems]
    assert not any("AUC" in words for words in alone), "the test shows nothing"
    assert any(
        words.startswith("over 2025-01 to 2025-12 its AUC is at least")
        for words in judge_months(months, {}, LIMITS).problems
    )


def test_all_together_is_as_certain_as_outcomes_of_one_large_month() -> None:
    found = judge_months([draw(1, noise=0.5), draw(2, noise=0.5)], {}, LIMITS)
    reaches = [month.auc.difference.high - month.auc.difference.low for month in found.compared if month.auc]
    assert found.together["auc"].high - found.together["auc"].low == pytest.approx(
        np.mean(reaches) / np.sqrt(2), rel=0.05
    )


def test_without_months_nothing_is_missing_and_it_is_said() -> None:
    found = judge_months([], {}, LIMITS)
    assert (found.problems, found.warnings, found.words) == ((), (), NONE_YET)


@pytest.mark.parametrize("known", [0.0, 0.05])
def test_a_month_with_too_few_outcomes_shows_shifts_alone(known: float) -> None:
    month = draw(1, noise=1.5, known=known)
    assert (month.auc, month.brier, judge_months([month], {}, LIMITS).problems) == (None, None, ())
    row = month.to_row(LIMITS)
    assert (row["verdict"], row["auc_difference"]) == ("no outcomes", None)
    assert row["approval_rate_low"] < row["approval_rate_difference"] < row["approval_rate_high"]


def test_a_shift_past_a_limit_is_told_and_blocks_nobody() -> None:
    found = judge_months([draw(1, shift=0.6, known=0.0)], {}, LIMITS)
    assert found.problems == ()
    assert any(
        words.startswith("on the applicants of 2025-01 the approval rate moves by -") for words in found.warnings
    )
    assert any("the mean PD moves by +" in words for words in found.warnings)


def test_a_month_that_cannot_be_compared_is_said() -> None:
    found = judge_months([draw(1)], {"2025-02": "it lacks 3 inputs of the candidate"}, LIMITS)
    assert found.problems == ()
    assert found.warnings == ("2025-02 could not be compared: it lacks 3 inputs of the candidate",)
    assert found.words.endswith("1 could not be compared")
    assert found.to_dict(LIMITS)["months_left_out"] == {"2025-02": "it lacks 3 inputs of the candidate"}


def test_who_is_swapped_is_counted_with_the_bad_rate_of_known_outcomes() -> None:
    low, high = POLICY.decisions.approve_below - 0.01, POLICY.decisions.decline_from
    one, other = (
        Side(name, POLICY, np.array(pds))
        for name, pds in (("b", [low, low, high, high]), ("a", [high, high, low, low]))
    )
    month = compare_month("2025-01", "matured", one, other, np.array([1, np.nan, 0, 1]), LIMITS)
    assert (month.gained.applicants, month.gained.known, month.gained.bad_rate) == (2, 1, 1)
    assert (month.lost.applicants, month.lost.known, month.lost.bad_rate) == (2, 2, 0.5)


def test_months_are_drawn_with_and_without_outcomes() -> None:
    rows = [draw(1, noise=0.3).to_row(LIMITS), draw(2, known=0.0).to_row(LIMITS)]
    assert draw_months(rows, LIMITS).startswith(b"\x89PNG")
    assert draw_months(rows[1:], LIMITS).startswith(b"\x89PNG")
