"""What every kind of learned features must hold: no applicant's own outcome in its value, no order of rows, no company of other rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.research.learned.crossfit import CrossFitted, LearnedError, numbers_of
from creditrisk_assets.modelling.research.learned.encoding import ExcessRate
from creditrisk_assets.modelling.research.learned.groups import GroupRelative
from creditrisk_assets.modelling.research.learned.history import History, HistoryModel
from creditrisk_assets.modelling.research.learned.neighbours import NeighbourRate
from creditrisk_assets.modelling.research.learned.scores import PredictedScores

SMALL = {"trees": 3, "leaves": 6, "learning_rate": 0.3, "rows_per_leaf": 5}
SURE = 0.9999  # one column in ten thousand of a fair kind would leave this interval


def draw_frame(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    score = random.random(rows)
    return pd.DataFrame(
        {
            "a__score": np.where(random.random(rows) < 0.3, np.nan, score).astype(np.float32),
            "a__term": random.lognormal(3, 0.4, rows).astype(np.float32),
            "a__income": (random.lognormal(10, 0.5, rows) * (1 + score)).astype(np.float32),
            "a__kind": pd.Categorical(random.choice(["x", "y", "z"], rows, p=[0.7, 0.2, 0.1])),
            "a__town": pd.Categorical(
                np.where(random.random(rows) < 0.05, None, random.integers(0, 30, rows).astype(str))
            ),
        }
    )


def draw_history(rows: int, seed: int) -> History:
    random = np.random.default_rng(seed)
    counts = random.integers(0, 5, rows)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return History(("x", "y", "z"), starts, random.normal(size=(starts[-1], 3)).astype(np.float32))


@dataclass(frozen=True)
class Case:
    make: Callable[[], Any]
    draw: Callable[[int, int], Any]

    def fit_transform(self, rows: Any, target: np.ndarray, ids: np.ndarray) -> np.ndarray:
        transformer = self.make()
        return transformer.fit_transform(rows, target, **given_ids(transformer, ids))

    def fit(self, rows: Any, target: np.ndarray, ids: np.ndarray) -> Any:
        transformer = self.make()
        return transformer.fit(rows, target, **given_ids(transformer, ids))


def given_ids(transformer: Any, ids: np.ndarray) -> dict[str, np.ndarray]:
    return {"ids": ids} if isinstance(transformer, CrossFitted) else {}


def near(rows: int, seed: int) -> pd.DataFrame:
    return draw_frame(rows, seed)[["a__score", "a__term", "a__income"]]


CASES = {
    "neighbours": Case(lambda: NeighbourRate((1, 20)), near),
    "group_relative": Case(
        lambda: GroupRelative(["a__income", "a__score"], [("a__kind", "a__town"), ("a__town",)], smallest=10),
        draw_frame,
    ),
    "target_encoding": Case(lambda: ExcessRate([("a__kind", "a__town"), ("a__town",)], smoothing=5), draw_frame),
    "predicted_scores": Case(lambda: PredictedScores({"a__score": ("a__income", "a__kind")}, **SMALL), draw_frame),
    "history_models": Case(lambda: HistoryModel(**SMALL), draw_history),
}
SUPERVISED = ("neighbours", "target_encoding", "history_models")
every_kind = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def draw_target(rows: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed + 1).random(rows) < 0.2).astype(np.int64)


@every_kind
@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_target_gives_values_that_rank_nobody(case: Case, seed: int) -> None:
    rows, target = case.draw(4000, seed), draw_target(4000, seed)
    values = np.nan_to_num(case.fit_transform(rows, target, np.arange(4000)))
    for column in values.T:
        found = auc_interval(target, column, SURE)
        assert found.low <= 0.5 <= found.high


@pytest.mark.parametrize("kind", SUPERVISED)
def test_without_cross_fitting_the_same_values_would_rank(kind: str) -> None:
    """Else the test above would pass whatever leaked."""
    case = CASES[kind]
    rows, target, ids = case.draw(4000, 1), draw_target(4000, 1), np.arange(4000)
    values = np.nan_to_num(case.fit(rows, target, ids).transform(rows))
    assert auc_interval(target, values[:, 0], SURE).low > 0.5


@every_kind
@settings(max_examples=4, deadline=None)
@given(st.integers(0, 499), st.integers(0, 1000))
def test_an_applicants_own_target_never_changes_its_value(case: Case, applicant: int, seed: int) -> None:
    rows, target, ids = case.draw(500, seed), draw_target(500, seed), np.arange(500) * 7 + 100_000
    other = target.copy()
    other[applicant] = 1 - other[applicant]
    one, two = case.fit_transform(rows, target, ids), case.fit_transform(rows, other, ids)
    assert np.array_equal(one[applicant], two[applicant], equal_nan=True)


@pytest.mark.parametrize("kind", SUPERVISED)
def test_the_targets_of_others_do_change_it(kind: str) -> None:
    """Else nothing would be learned."""
    case = CASES[kind]
    rows, target, ids = case.draw(500, 3), draw_target(500, 3), np.arange(500)
    one, two = case.fit_transform(rows, target, ids), case.fit_transform(rows, target[::-1].copy(), ids)
    assert not np.array_equal(one, two, equal_nan=True)


@every_kind
@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000))
def test_the_order_of_rows_permutes_the_values_and_changes_none(case: Case, seed: int) -> None:
    rows, target, ids = case.draw(400, seed), draw_target(400, seed), np.arange(400) * 3 + 100_000
    order = np.random.default_rng(seed).permutation(400)
    straight = case.fit_transform(rows, target, ids)
    assert np.array_equal(
        case.fit_transform(rows.take(order), target[order], ids[order]), straight[order], equal_nan=True
    )
    fitted, shuffled = case.fit(rows, target, ids), case.fit(rows.take(order), target[order], ids[order])
    new = case.draw(50, seed + 1)
    assert np.array_equal(fitted.transform(new), shuffled.transform(new), equal_nan=True)


@every_kind
@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(0, 59), min_size=1, max_size=20, unique=True))
def test_new_rows_have_their_values_whatever_the_company(case: Case, some: list[int]) -> None:
    fitted = case.fit(case.draw(300, 5), draw_target(300, 5), np.arange(300))
    new, rows = case.draw(60, 6), np.array(some)
    assert np.array_equal(fitted.transform(new.take(rows)), fitted.transform(new)[rows], equal_nan=True)


@every_kind
def test_names_and_columns_agree(case: Case) -> None:
    rows, target, ids = case.draw(300, 5), draw_target(300, 5), np.arange(300)
    fitted = case.fit(rows, target, ids)
    names = list(fitted.get_feature_names_out())
    assert len(set(names)) == len(names)
    assert fitted.transform(rows).shape == case.fit_transform(rows, target, ids).shape == (300, len(names))


@pytest.mark.parametrize(
    ("target", "ids", "words"),
    [
        (np.zeros(100, np.int64), np.arange(100), "all .* applicants have TARGET 0"),
        (np.arange(100) == 5, np.arange(100), "all .* applicants have TARGET 0"),
        (np.arange(100) % 3, np.arange(100), "neither 0 nor 1"),
        (np.arange(100) % 2, np.arange(100) // 2, "two rows"),
        (np.arange(99) % 2, np.arange(100), "do not match"),
    ],
    ids=["one class", "one default", "no label", "twice", "lengths"],
)
@pytest.mark.parametrize("kind", SUPERVISED)
def test_what_cannot_be_learned_from_is_refused(kind: str, target: np.ndarray, ids: np.ndarray, words: str) -> None:
    case = CASES[kind]
    with pytest.raises(LearnedError, match=words):
        case.fit(case.draw(100, 0), target.astype(np.int64), ids)


def test_fewer_applicants_than_folds_are_refused() -> None:
    case = CASES["predicted_scores"]
    with pytest.raises(LearnedError, match="4 applicants are too few for 5 folds"):
        case.fit(case.draw(4, 0), np.array([0, 1, 0, 1]), np.arange(4))


def test_infinity_is_refused_and_named_without_a_value_of_anybody() -> None:
    with pytest.raises(LearnedError, match="feature a__income is infinite in 2 rows"):
        numbers_of(pd.DataFrame({"a__income": [1.0, np.inf, -np.inf]}))
    with pytest.raises(LearnedError, match="feature a__kind takes numbers") as raised:
        numbers_of(pd.DataFrame({"a__kind": ["secret"]}))
    assert "secret" not in str(raised.value)


def test_a_category_that_everybody_has_tells_no_fold_from_another() -> None:
    """As rates and not differences, values would be lowest in the fold with most defaults, and rank by it."""
    frame = pd.DataFrame({"a__kind": ["x"] * 1000})
    values = ExcessRate([("a__kind",)]).fit_transform(frame, draw_target(1000, 0), ids=np.arange(1000))
    assert values == pytest.approx(np.zeros((1000, 1)), abs=1e-12)
