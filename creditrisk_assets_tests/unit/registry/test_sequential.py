"""The sequential test of a shadow: wrong no more often than stated however often one looks, and quick where a shadow is bad."""

from dataclasses import replace

import numpy as np
import pytest

from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.registry.sequential import (
    APPROVAL,
    BRIER,
    DRAWN,
    MEAN_PD,
    Pairs,
    confidence_sequence,
    draw,
    judge,
    rows_of,
)

LIMITS = load_policy().shadow
assert LIMITS is not None


def portfolio(seed: int, rows: int, shift: float = 0.0, approve_below: float = 0.1, outcomes: int = 0) -> Pairs:
    """Draw what both score: the shadow's PD is the champion's with noise and a shift; the champion's is true."""
    random = np.random.default_rng(seed)
    pd = random.beta(1.2, 12, rows)
    shadow = np.clip(pd * random.normal(1, 0.1, rows) + shift, 0, 1)
    decided = np.arange(outcomes)
    return Pairs(
        pd, shadow, pd < approve_below, shadow < approve_below, (random.random(outcomes) < pd[:outcomes]).astype(float), decided
    )  # fmt: skip


@pytest.mark.parametrize("mean", [0.0, 0.03, -0.5])
def test_all_bounds_hold_at_once_as_often_as_stated(mean: float) -> None:
    random = np.random.default_rng(1)
    share = (1 + mean) / 2
    values = np.where(random.random((400, 1500)) < share, 1.0, -1.0)
    _, lower, upper = confidence_sequence(values, 0.1)
    ever_wrong = ((lower > mean) | (upper < mean)).any(axis=1).mean()
    assert ever_wrong <= 0.1
    at_once = np.abs(np.cumsum(values, axis=1) / np.arange(1, 1501) - mean)[:, 50:] > 1.645 * np.sqrt(
        (1 - mean**2) / np.arange(51, 1501)
    )
    assert at_once.any(axis=1).mean() > 0.3, "an interval for one moment is missed by whoever looks at all of them"


def test_a_sequence_narrows_and_depends_on_nothing_later() -> None:
    values = np.random.default_rng(2).normal(0, 0.02, 4000).clip(-1, 1)
    mean, lower, upper = confidence_sequence(values, 0.05)
    half = confidence_sequence(values[:2000], 0.05)
    for whole, part in zip((mean, lower, upper), half, strict=True):
        assert np.array_equal(whole[:2000], part)
    assert upper[-1] - lower[-1] < 0.01 < upper[100] - lower[100]
    assert np.all(lower <= mean)
    assert np.all(mean <= upper)


def test_the_sequence_is_that_of_the_paper() -> None:
    values = np.array([0.4, -0.2, 0.9])
    odds, total, weight, spread = np.log(2 / 0.05), 0.0, 0.0, 0.0
    seen: list[float] = []
    squares = 0.25
    for time, value in enumerate((values + 1) / 2, start=1):
        before = (0.5 + sum(seen)) / time
        variance = squares / time
        bet = min(np.sqrt(2 * odds / (variance * time * np.log(time + 1))), 0.5)
        seen.append(value)
        squares += (value - (0.5 + sum(seen)) / (time + 1)) ** 2
        spread += 4 * (value - before) ** 2 * (-np.log(1 - bet) - bet) / 4
        total, weight = total + bet * value, weight + bet
    mean, lower, upper = confidence_sequence(values, 0.05)
    assert mean[-1] == pytest.approx(2 * total / weight - 1)
    width = (odds + spread) / weight
    assert (lower[-1], upper[-1]) == pytest.approx(
        (max(2 * (total / weight - width) - 1, -1), min(2 * (total / weight + width) - 1, 1))
    )


def test_a_shadow_at_the_limit_is_seldom_stopped_however_often_one_looks() -> None:
    shift = LIMITS.maximum_mean_pd_shift
    stopped = 0
    for seed in range(60):
        pairs = portfolio(seed, 3000, shift, outcomes=500)
        alike = replace(pairs, shadow_approves=pairs.champion_approves)
        stopped += judge(alike, LIMITS).word == "stop"
    assert stopped / 60 <= LIMITS.error_rate


def test_a_bad_shadow_is_stopped_early_and_a_good_one_is_enough() -> None:
    bad = judge(portfolio(3, 20_000, 0.05), LIMITS)
    assert bad.word == "stop"
    stopped = {line.figure: line.left_at for line in bad.lines}
    assert (stopped[MEAN_PD] or 20_000) < 1500
    assert (stopped[APPROVAL] or 20_000) < 1500
    assert "mean pd +" in bad.why
    assert judge(portfolio(4, 20_000), LIMITS).word == "enough"
    assert judge(portfolio(4, 300), LIMITS).word == "continue"
    assert judge(portfolio(4, 0), LIMITS).word == "continue"
    few = judge(portfolio(4, 20_000), LIMITS.model_copy(update={"minimum_pairs": 30_000}))
    assert few.word == "continue"


def test_what_was_stopped_stays_stopped_though_it_gets_better() -> None:
    bad, good = portfolio(5, 300, 0.2), portfolio(6, 60_000)
    together = {
        name: np.concatenate([getattr(bad, name), getattr(good, name)])
        for name in ("champion_pd", "shadow_pd", "champion_approves", "shadow_approves")
    }
    verdict = judge(replace(good, **together), LIMITS)
    assert verdict.word == "stop"
    assert any(line.holds and line.left_at for line in verdict.lines)


def test_outcomes_stop_a_shadow_whose_decisions_look_alike() -> None:
    pairs = portfolio(7, 20_000, outcomes=20_000)
    turned = replace(pairs, shadow_pd=np.random.default_rng(8).permutation(pairs.shadow_pd))  # as many, of other people
    turned = replace(turned, shadow_approves=turned.shadow_pd < 0.1)
    assert judge(pairs, LIMITS).word == "enough"
    verdict = judge(turned, LIMITS)
    assert verdict.word == "stop"
    assert [line.figure for line in verdict.lines if line.left_at] == [BRIER]


def test_a_better_shadow_is_not_stopped_by_its_outcomes() -> None:
    pairs = portfolio(9, 20_000, outcomes=20_000)
    worse = np.random.default_rng(8).permutation(pairs.champion_pd)
    verdict = judge(replace(pairs, champion_pd=worse, champion_approves=worse < 0.1), LIMITS)
    assert verdict.word == "enough"


def test_what_is_drawn_ends_where_the_pairs_end() -> None:
    verdict = judge(portfolio(4, 5000, outcomes=30), LIMITS)
    rows = rows_of(verdict)
    assert {row["figure"]: row["pairs"] for row in rows} == {APPROVAL: 5000, MEAN_PD: 5000, BRIER: 30}
    assert len(rows) == 2 * DRAWN + 30
    assert draw(verdict).startswith(b"\x89PNG")
    nothing = judge(portfolio(4, 0), LIMITS)
    assert rows_of(nothing) == []
    assert draw(nothing).startswith(b"\x89PNG")
