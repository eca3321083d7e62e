"""Who is near, and what is said where nothing is known."""

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.modelling.research.learned.neighbours import NeighbourRate


def fit(frame: pd.DataFrame, target: np.ndarray, neighbours: tuple[int, ...]) -> NeighbourRate:
    return NeighbourRate(neighbours).fit(frame, target, ids=np.arange(len(frame)))


def test_the_rate_is_that_of_the_nearest_less_that_of_all() -> None:
    frame = pd.DataFrame({"x": np.arange(20.0)})
    target = (np.arange(20) >= 15).astype(np.int64)
    found = fit(frame, target, (3, 10)).transform(pd.DataFrame({"x": [0.0, 18.0, 14.4]}))
    assert found == pytest.approx(np.array([[0.0, 0.0], [1.0, 0.5], [1 / 3, 0.5]]) - 0.25)


def test_columns_weigh_alike_whatever_their_unit() -> None:
    """The rate follows x; a column in millions would drown it without standardising."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.random(2000), "money": random.random(2000) * 1e7})
    target = (frame["x"] > 0.8).to_numpy().astype(np.int64)
    found = fit(frame, target, (20,)).transform(pd.DataFrame({"x": [0.95, 0.1], "money": [5e6, 5e6]}))
    assert found[0, 0] > 0.6
    assert found[1, 0] < -0.15


def test_a_missing_value_lies_at_the_median() -> None:
    frame = pd.DataFrame({"x": np.arange(21.0)})
    target = (np.abs(np.arange(21) - 10) <= 1).astype(np.int64)
    fitted = fit(frame, target, (3,))
    found = fitted.transform(pd.DataFrame({"x": [np.nan, 10.0]}))
    assert found[0, 0] == found[1, 0] == pytest.approx(1 - 3 / 21)


def test_a_column_that_tells_nobody_apart_adds_no_distance() -> None:
    frame = pd.DataFrame({"x": np.arange(20.0)})
    target = (np.arange(20) % 4 == 0).astype(np.int64)
    wider = frame.assign(constant=3.0, empty=np.nan)
    new = pd.DataFrame({"x": [2.2, 11.7]})
    expected = fit(frame, target, (5,)).transform(new)
    assert np.array_equal(fit(wider, target, (5,)).transform(new.assign(constant=-9.0, empty=1.0)), expected)


def test_with_fewer_applicants_than_k_all_are_near() -> None:
    frame, target = pd.DataFrame({"x": np.arange(20.0)}), (np.arange(20) % 4 == 0).astype(np.int64)
    assert np.array_equal(fit(frame, target, (500,)).transform(frame), np.zeros((20, 1)))


def test_equal_applicants_are_drawn_alike_each_time() -> None:
    frame, target = pd.DataFrame({"x": np.repeat([1.0, 2.0], 200)}), (np.arange(400) % 7 == 0).astype(np.int64)
    once, again = (NeighbourRate((50,)).fit_transform(frame, target, ids=np.arange(400)) for _ in range(2))
    assert np.array_equal(once, again)
