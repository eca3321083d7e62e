"""Folds: who is held out follows from the id, the outcome and the seed alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from creditrisk_assets.modelling.folds import (
    FEWEST_PER_FOLD,
    FoldError,
    FoldPlan,
    assign_folds,
    inner_folds,
    make_folds,
)

PLAN = FoldPlan(folds=5, repeats=3, inner_folds=4, seed=11)
Drawn = tuple[NDArray[np.int64], NDArray[np.int64]]


def draw(rows: int = 1000, defaults: int = 83, seed: int = 0) -> Drawn:
    random = np.random.default_rng(seed)
    target = np.zeros(rows, dtype=np.int64)
    target[random.permutation(rows)[:defaults]] = 1
    return random.permutation(rows) + 100_000, target


def test_everybody_is_held_out_once_in_each_repeat() -> None:
    ids, target = draw()
    folds = list(make_folds(ids, target, PLAN))
    assert [(fold.repeat, fold.number) for fold in folds] == [(r, n) for r in range(3) for n in range(5)]
    for repeat in range(3):
        held_out = np.concatenate([fold.held_out for fold in folds if fold.repeat == repeat])
        assert sorted(held_out) == list(range(1000))
    for fold in folds:
        assert sorted([*fold.fitted, *fold.held_out]) == list(range(1000))


def test_every_fold_has_its_share_of_each_outcome() -> None:
    ids, target = draw()
    for fold in make_folds(ids, target, PLAN):
        assert int(target[fold.held_out].sum()) in (16, 17)
        assert len(fold.held_out) in range(199, 203)
        for inner in inner_folds(fold, ids, target, PLAN):
            assert abs(target[inner.held_out].sum() - target[fold.fitted].sum() / 4) < 1


def test_nobody_held_out_stops_the_training() -> None:
    ids, target = draw()
    for fold in make_folds(ids, target, PLAN):
        inner = list(inner_folds(fold, ids, target, PLAN))
        assert sorted(np.concatenate([each.held_out for each in inner])) == fold.fitted.tolist()
        for each in inner:
            assert not set(each.held_out) & {*fold.held_out, *each.fitted}
            assert sorted([*each.fitted, *each.held_out]) == fold.fitted.tolist()


@settings(max_examples=25)
@given(st.randoms())
def test_the_order_of_rows_changes_no_fold(random) -> None:  # type: ignore[no-untyped-def]  # Hypothesis
    ids, target = draw(300, 60)
    places = list(range(300))
    random.shuffle(places)
    plan = PLAN.model_copy(update={"repeats": 1})
    pairs = zip(make_folds(ids, target, plan), make_folds(ids[places], target[places], plan), strict=True)
    for one, other in pairs:
        assert set(ids[one.held_out]) == set(ids[places][other.held_out])
        first = next(inner_folds(one, ids, target, plan))
        second = next(inner_folds(other, ids[places], target[places], plan))
        assert set(ids[first.held_out]) == set(ids[places][second.held_out])


def test_folds_are_the_same_on_every_machine_and_for_ever() -> None:
    ids, target = np.arange(100_001, 100_017), np.array([0] * 10 + [1] * 6)
    assert assign_folds(ids, target, 3, "11/0").tolist() == [0, 1, 2, 0, 0, 2, 2, 1, 0, 1, 0, 1, 0, 1, 2, 2]


def test_new_applicants_move_few_others() -> None:
    ids, target = draw(2000, 400)
    whole = assign_folds(ids, target, 5, "1")
    before = assign_folds(ids[:1980], target[:1980], 5, "1")
    assert np.mean(whole[:1980] != before) < 0.03


def test_repeats_seeds_and_inner_folds_divide_differently() -> None:
    """Two independent divisions by five put a fifth of the applicants into the same fold."""
    ids, target = draw(5000, 1000)
    first = assign_folds(ids, target, 5, "11/0")
    for seed in ("11/1", "12/0", "11/0/0"):
        assert np.mean(assign_folds(ids, target, 5, seed) == first) == pytest.approx(0.2, abs=0.025)


def test_repeats_and_inner_folds_of_a_plan_are_independent_of_its_folds() -> None:
    ids, target = draw(5000, 1000)
    folds = list(make_folds(ids, target, PLAN))
    inner = [set(next(inner_folds(fold, ids, target, PLAN)).held_out) for fold in folds[:2]]
    for other in folds[5:10]:  # of the second repeat
        assert len(set(folds[0].held_out) & set(other.held_out)) == pytest.approx(200, abs=60)
    for other in folds[1:5]:  # a quarter of each of the four that are fitted
        assert len(inner[0] & set(other.held_out)) == pytest.approx(250, abs=60)
    assert len(inner[0] & inner[1]) == pytest.approx(5000 * 0.6 / 16, abs=60)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(2, 8), st.integers(0, 100))
def test_the_documented_minimum_is_enough_and_one_fewer_is_refused(folds: int, inner: int, seed: int) -> None:
    plan = FoldPlan(folds=folds, repeats=1, inner_folds=inner, seed=seed)
    fewest = plan.fewest_per_outcome
    ids, target = draw(3 * fewest, fewest, seed)
    for fold in make_folds(ids, target, plan):
        for part in (fold, *inner_folds(fold, ids, target, plan)):
            assert np.bincount(target[part.held_out], minlength=2).min() >= FEWEST_PER_FOLD
    target[np.flatnonzero(target)[0]] = 0
    with pytest.raises(FoldError, match=f"{fewest - 1} defaults .* it takes {fewest};"):
        list(make_folds(ids, target, plan))


@pytest.mark.parametrize(
    ("rows", "defaults", "words"),
    [
        (50, 4, "4 defaults among 50 applicants are too few for 5 folds .* larger source or fewer folds"),
        (1000, 5, "5 defaults among 1000 applicants"),
        (1000, 0, "0 defaults"),
        (1000, 1000, "0 applicants who repaid"),
        (0, 0, "0 defaults among 0 applicants"),
    ],
)
def test_too_few_of_an_outcome_are_refused_with_the_number_it_takes(rows: int, defaults: int, words: str) -> None:
    with pytest.raises(FoldError, match=words):
        next(make_folds(*draw(rows, defaults), PLAN))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ids, target: (np.where(ids == ids[0], ids[1], ids), target), "1 rows are a second row"),
        (lambda ids, target: (ids, target * 2), "neither 0 nor 1"),
        (lambda ids, target: (ids[1:], target), "999 ids and 1000 outcomes"),
    ],
)
def test_rows_that_are_no_applicants_are_refused(change, words: str) -> None:  # type: ignore[no-untyped-def]  # a table of lambdas
    with pytest.raises(FoldError, match=words):
        next(make_folds(*change(*draw()), PLAN))


@pytest.mark.parametrize("field", ["folds", "inner_folds", "repeats", "seed", "luck"])
def test_a_plan_that_divides_nothing_is_refused(field: str) -> None:
    values = {"folds": 5, "repeats": 1, "inner_folds": 5, "seed": 1, field: -1}
    with pytest.raises(ValidationError, match=field):
        FoldPlan.model_validate(values)
