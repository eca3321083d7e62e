"""Slices: the direction of a feature in each, and which features contradict themselves."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from creditrisk_assets.modelling.research.slice_stability import Effect, contradiction, effects

N = 4000
RANDOM = np.random.default_rng(11)
KIND = np.where(np.arange(N) % 2 == 0, "cash", "revolving")
SCORE = RANDOM.normal(size=N).astype(np.float32)


def outcomes(log_odds: np.ndarray) -> np.ndarray:
    drawn = np.random.default_rng(3).random(N) < 1 / (1 + np.exp(1.5 - log_odds))
    return drawn.astype(np.int64)


def judged(column: np.ndarray, target: np.ndarray) -> str | None:
    return contradiction(effects(column, target, {"kind": KIND.tolist()}, 50), significance=0.001, rest_share=0.25)


def test_an_effect_is_the_auc_among_the_known_of_a_slice() -> None:
    column = np.where(np.arange(N) % 10 == 0, np.nan, SCORE.round(1)).astype(np.float32)
    target = outcomes(SCORE)
    for one in effects(column, target, {"kind": KIND.tolist()}, 50):
        rows = (one.value == KIND) & ~np.isnan(column)
        assert one.effect == pytest.approx(roc_auc_score(target[rows], column[rows]) - 0.5)


def test_a_slice_of_few_and_a_missing_value_are_no_slices() -> None:
    values = ["rare"] * 30 + [None] * 500 + [float("nan")] * 500 + ["usual"] * (N - 1030)
    found = effects(SCORE, outcomes(SCORE), {"kind": values}, 50)
    assert [one.value for one in found] == ["usual"]


def test_a_feature_that_means_the_same_everywhere_passes() -> None:
    assert judged(SCORE, outcomes(SCORE)) is None


def test_noise_does_not_contradict_itself() -> None:
    assert judged(SCORE, outcomes(np.zeros(N))) is None


def test_a_direction_that_turns_is_named_with_its_slices() -> None:
    words = judged(SCORE, outcomes(np.where(KIND == "cash", SCORE, -SCORE)))
    assert words is not None
    assert words.startswith("its direction turns")
    assert "kind is cash" in words
    assert "kind is revolving" in words


def test_a_feature_carried_by_one_slice_is_named() -> None:
    words = judged(SCORE, outcomes(np.where(KIND == "cash", 1.5 * SCORE, 0)))
    assert words is not None
    assert words.startswith("carried by one slice")
    assert "kind is cash" in words


def test_a_slice_too_small_to_tell_convicts_nobody() -> None:
    """The rest may be as strong as the strongest: nothing is certain."""
    found = [Effect("kind", "cash", 0.1, 0.01), Effect("kind", "other", 0.0, 0.05)]
    assert contradiction(found, significance=0.001, rest_share=0.25) is None


def test_one_slice_alone_has_nothing_to_contradict() -> None:
    assert contradiction([Effect("kind", "cash", 0.1, 0.01)], significance=0.05, rest_share=0.25) is None
