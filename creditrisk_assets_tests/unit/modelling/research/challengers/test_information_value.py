"""Information value: what it counts, and what the choice refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.research.challengers.information_value import (
    choose,
    information_value,
    weights_of_evidence,
)
from creditrisk_assets.modelling.research.challengers.protocol import Encoded, encode
from creditrisk_assets.modelling.tables import Part

counts = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=8)


def encoded(**columns: np.ndarray) -> Encoded:
    random = np.random.default_rng(0)
    rows = len(next(iter(columns.values())))
    first = next(iter(columns.values()))
    target = (random.random(rows) < 1 / (1 + np.exp(1.5 - first))).astype(np.int64)
    frame = pd.DataFrame({name: values.astype(np.float32) for name, values in columns.items()})
    return encode(Part(np.arange(rows), target, frame), [ModelInput(name, "f", "numeric") for name in columns])


@pytest.fixture
def drawn() -> Encoded:
    random = np.random.default_rng(1)
    signal = random.normal(size=4000)
    return encoded(signal=signal, copy=-3 * signal, noise=random.normal(size=4000))


@given(counts)
def test_an_information_value_is_never_negative_and_equal_shares_have_none(bins: list[tuple[int, int]]) -> None:
    good, bad = np.array(bins, dtype=float).T
    assert information_value(good, bad) >= 0
    assert information_value(good, good) == pytest.approx(0)


@given(counts)
def test_swapping_good_and_bad_turns_the_evidence_around(bins: list[tuple[int, int]]) -> None:
    good, bad = np.array(bins, dtype=float).T
    assert weights_of_evidence(good, bad) == pytest.approx(-weights_of_evidence(bad, good))


def test_the_strongest_comes_first_and_what_repeats_it_or_says_nothing_is_not_chosen(drawn: Encoded) -> None:
    found = choose(drawn, count=3, smallest=0.02, largest_correlation=0.9)
    assert [drawn.names[place] for place in found.places] in (["signal"], ["copy"])
    assert found.values[0] > 0.5


def test_repeats_are_chosen_where_they_may_be(drawn: Encoded) -> None:
    found = choose(drawn, count=3, smallest=0.02, largest_correlation=1.0)
    assert {drawn.names[place] for place in found.places} == {"signal", "copy"}
    assert len(choose(drawn, count=1, smallest=0.0, largest_correlation=1.0).places) == 1


def test_a_value_that_is_missing_for_the_risky_is_evidence() -> None:
    random = np.random.default_rng(2)
    signal = random.normal(size=4000)
    holes = np.where(signal > 1, np.nan, random.normal(size=4000))
    found = choose(encoded(signal=signal, holes=holes), count=2, smallest=0.02, largest_correlation=1.0)
    assert found.places == (0, 1)


def test_rare_categories_are_one_bin() -> None:
    """A category of its own for everybody would have a large information value by chance."""
    rows = 4000
    names = pd.Categorical([f"k{number % 800}" for number in range(rows)])
    target = np.random.default_rng(3).integers(0, 2, rows)
    part = Part(np.arange(rows), target, pd.DataFrame({"f__kind": names}))
    found = choose(
        encode(part, [ModelInput("f__kind", "f", "category")]), count=1, smallest=0.05, largest_correlation=1
    )
    assert found.places == ()
