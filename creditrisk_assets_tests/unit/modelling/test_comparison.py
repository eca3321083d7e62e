"""Comparisons: equal to their definitions, intervals that cover, one resample for both models."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm
from sklearn import metrics

from creditrisk_assets.modelling import comparison
from creditrisk_assets.modelling.auc import paired_aucs
from creditrisk_assets.modelling.comparison import (
    BRIER,
    KS,
    LOG_LOSS,
    PR_AUC,
    any_metric,
    compare,
    compare_auc,
    mean_of,
)

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]
# Two scores of one applicant: a latent risk, seen through two noises.
NOISE = (0.8, 1.1)


def draw(rows: int, seed: int, defaults: int | None = None) -> tuple[Outcomes, Numbers, Numbers]:
    """Draw two correlated scores of applicants of whom a fixed number defaults."""
    random = np.random.default_rng(seed)
    target = np.zeros(rows, dtype=np.int64)
    target[: defaults or rows // 5] = 1
    risk = target + random.normal(size=rows)
    one, other = (risk + noise * random.normal(size=rows) for noise in NOISE)
    return target, np.round(expit(one - 2), 3), np.round(expit(other - 2), 3)


def ks(target: Outcomes, pds: Numbers) -> float:
    false, true, _ = metrics.roc_curve(target, pds, drop_intermediate=False)
    return float(np.abs(true - false).max())


def log_loss(target: Outcomes, pds: Numbers) -> float:
    return float(metrics.log_loss(target, np.clip(pds, 1e-9, 1 - 1e-9), labels=[0, 1]))


ORACLES = {
    BRIER: lambda target, pds: float(metrics.brier_score_loss(target, pds)),
    LOG_LOSS: log_loss,
    KS: ks,
    PR_AUC: lambda target, pds: float(metrics.average_precision_score(target, pds)),
}


def test_delong_equals_its_definition_over_all_pairs() -> None:
    target, *scores = draw(150, 3)
    wins = []
    for score in scores:
        bad, good = score[target == 1], score[target == 0]
        wins.append((bad[:, None] > good[None, :]) + 0.5 * (bad[:, None] == good[None, :]))
    gap = wins[0] - wins[1]
    error = (gap.mean(axis=1).var(ddof=1) / gap.shape[0] + gap.mean(axis=0).var(ddof=1) / gap.shape[1]) ** 0.5
    found = compare_auc(target, *scores)
    assert found.difference.value == pytest.approx(gap.mean(), abs=1e-12)
    assert found.difference.high - found.difference.low == pytest.approx(2 * norm.ppf(0.975) * error, rel=1e-9)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(gap.mean()) / error), rel=1e-6)
    assert (found.first, found.second) == tuple(pytest.approx(metrics.roc_auc_score(target, s)) for s in scores)


def test_delong_intervals_of_a_difference_cover_it_about_as_often_as_they_say() -> None:
    true = np.subtract(*[norm.cdf(1 / (2 * (1 + noise**2)) ** 0.5) for noise in NOISE])
    found = [compare_auc(*draw(300, seed)).difference for seed in range(300)]
    assert 0.91 <= np.mean([each.low <= true <= each.high for each in found]) <= 0.985


def test_delong_rejects_equals_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    target = (np.arange(300) < 60).astype(np.int64)
    risks = [target + random.normal(size=300) for _ in range(400)]
    p_values = [paired_aucs(target, *(r + random.normal(size=300) for _ in range(2))).p_value for r in risks]
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.08


@pytest.mark.parametrize("metric", ORACLES, ids=lambda metric: metric.name)
def test_figures_equal_those_of_scikit_learn(metric: comparison.Metric) -> None:
    target, pds, _ = draw(500, 1)
    assert metric.measure(target, pds) == pytest.approx(ORACLES[metric](target, pds), abs=1e-12)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=25))
def test_a_figure_of_counts_is_that_of_the_rows_repeated(rows: list[tuple[int, int, int]]) -> None:
    """What `prepare` sorted or summed once holds for every resample that keeps the number of each outcome."""
    target = np.array([0, 1, *(row[0] for row in rows)])
    pds = np.array([3, 3, *(row[1] for row in rows)]) / 6
    counts = np.array([0, 0, *(row[2] for row in rows)])
    for outcome in (0, 1):  # the first of each outcome is drawn for whatever is missing
        missing = int((target == outcome).sum() - counts[target == outcome].sum())
        if missing < 0:
            counts[target == outcome] = 1
        else:
            counts[outcome] = missing
    for metric, oracle in ORACLES.items():
        drawn = np.repeat(np.arange(len(target)), counts)
        measured = metric.prepare(target, pds)(counts[None, :].astype(np.float64))
        anyhow = any_metric("same", oracle, higher_is_better=True).prepare(target, pds)(counts[None, :])
        assert measured[0] == pytest.approx(oracle(target[drawn], pds[drawn]), abs=1e-9)
        assert measured[0] == pytest.approx(anyhow[0], abs=1e-9)


def test_resamples_keep_the_number_of_each_outcome_and_change_the_rest() -> None:
    target, _, _ = draw(200, 0, defaults=7)
    drawn = np.vstack(list(comparison._resamples(target, 100, seed=5)))
    assert (drawn[:, target == 1].sum(axis=1) == 7).all()
    assert (drawn.sum(axis=1) == 200).all()
    assert len(np.unique(drawn, axis=0)) == 100
    assert drawn.mean(axis=0) == pytest.approx(np.ones(200), abs=0.5)


@pytest.mark.parametrize("metric", [BRIER, KS], ids=lambda metric: metric.name)
def test_bootstrap_intervals_cover_the_difference_about_as_often_as_they_say(metric: comparison.Metric) -> None:
    target, one, other = draw(400_000, 999)
    true = metric.measure(target, one) - metric.measure(target, other)
    found = [compare(*draw(300, seed), [metric], seed=seed, resamples=200)[0].difference for seed in range(150)]
    assert 0.88 <= np.mean([each.low <= true <= each.high for each in found]) <= 0.99


def test_bootstrap_intervals_of_a_mean_agree_with_the_normal_ones() -> None:
    target, one, other = draw(2000, 4)
    gap = (one - target) ** 2 - (other - target) ** 2
    within = sum(gap[target == y].var() * (target == y).mean() for y in (0, 1))
    found = compare(target, one, other, [BRIER], seed=1)[0].difference
    assert found.value == pytest.approx(gap.mean(), abs=1e-12)
    assert found.high - found.low == pytest.approx(2 * 1.96 * (within / 2000) ** 0.5, rel=0.1)


def test_a_profit_is_compared_like_any_mean() -> None:
    target, pds, _ = draw(1000, 5)
    everybody = np.full(1000, 0.1)
    made = np.where(target == 1, -5.0, 1.0)
    profit = mean_of("profit", lambda y, scores: made * (scores < 0.3), higher_is_better=True)
    found = compare(target, pds, everybody, [profit], seed=1, resamples=200)[0]
    assert found.first == pytest.approx(made[pds < 0.3].sum() / 1000)
    assert found.second == pytest.approx(0.8 - 0.2 * 5)
    assert found.verdict == "better"
    assert found.p_value < 0.05


def test_the_better_model_is_called_better_by_gains_and_by_losses() -> None:
    target, one, other = draw(5000, 6)
    for found in (compare_auc(target, one, other), *compare(target, one, other, seed=1, resamples=200)):
        assert found.verdict == "better", found.metric
    assert {found.verdict for found in compare(target, other, one, seed=1, resamples=200)} == {"worse"}


def test_turning_the_models_round_turns_the_difference_round() -> None:
    target, one, other = draw(500, 7)
    for there, back in zip(compare(target, one, other, seed=1), compare(target, other, one, seed=1), strict=True):
        assert there.difference.value == -back.difference.value
        assert there.difference.low == pytest.approx(-back.difference.high, abs=1e-12)
        assert there.p_value == back.p_value


def test_a_model_against_itself_is_undecided() -> None:
    target, one, _ = draw(500, 8)
    for found in (compare_auc(target, one, one), *compare(target, one, one, seed=1, resamples=100)):
        assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
        assert (found.p_value, found.verdict) == (1, "undecided")


def test_the_seed_decides_and_the_size_of_chunks_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    target, one, other = draw(300, 9)
    before = compare(target, one, other, seed=1, resamples=100)
    monkeypatch.setattr(comparison, "CELLS", 1000)
    assert compare(target, one, other, seed=1, resamples=100) == before
    assert compare(target, one, other, seed=2, resamples=100) != before


def test_a_comparison_is_json() -> None:
    found = compare(*draw(200, 10), seed=1, resamples=100)[0]
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["difference"]["value"] == found.difference.value
    assert read["verdict"] == found.verdict


@pytest.mark.parametrize(
    ("target", "first", "words"),
    [
        ([0, 1], [0.1, 0.2, 0.3], "do not match"),
        ([0, 0, 0], [0.1, 0.2, 0.3], "one class"),
        ([0, 1, 2], [0.1, 0.2, 0.3], "neither 0 nor 1"),
        ([0, 1, 0], [0.1, float("nan"), 0.3], "NaN"),
        ([0, 1, 0], [0.1, -3.0, 0.3], "not margins"),
    ],
)
def test_what_cannot_be_compared_is_refused(target: list[int], first: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compare(np.array(target), np.array(first), np.array([0.3, 0.2, 0.1]), seed=1)


def test_margins_are_compared_by_auc_but_no_nan_is() -> None:
    target, margins = np.array([0, 1, 0, 1]), np.array([-3.0, 2.0, -1.0, 0.5])
    assert compare_auc(target, margins, -margins).difference.value == 1
    with pytest.raises(ValueError, match="NaN"):
        compare_auc(target, margins * np.nan, margins)


def test_too_few_resamples_are_refused() -> None:
    with pytest.raises(ValueError, match="100 at least"):
        compare(*draw(100, 1), seed=1, resamples=99)
