"""Reference distributions: every applicant counted once, the same bytes for any order, small, honest about what is missing."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditrisk_assets.modelling.bundle_writer import _compact
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.reference import (
    CategoryReference,
    NumberReference,
    Reference,
    input_reference,
    number_reference,
    reference_of,
    score_reference,
)

VALUES = st.lists(st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=60)


@given(VALUES)
def test_every_value_is_counted_once_and_the_range_holds_all(values: list[float | None]) -> None:
    found = number_reference(values)
    known = [value for value in values if value is not None]
    assert found.rows == len(values)
    assert found.missing == values.count(None)
    if known:
        assert (found.minimum, found.maximum) == (min(known), max(known))
        assert found.minimum <= found.low <= found.high <= found.maximum
    else:
        assert (found.edges, found.counts, found.minimum, found.low) == ((), (), None, None)


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_applicants_changes_no_byte(values: list[float | None], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(values)
    random.shuffle(shuffled)
    assert number_reference(values) == number_reference(shuffled)


def test_a_value_many_applicants_share_has_a_bin_of_its_own() -> None:
    found = number_reference([0.0] * 80 + [float(value) for value in range(1, 21)])
    on_zero = found.edges.index(0.0)
    assert found.counts[2 * on_zero + 1] == 80


def test_what_a_category_and_a_flag_are_counted_as() -> None:
    assert input_reference("category", ["b", None, "a", "b", float("nan")]) == CategoryReference(2, {"a": 1, "b": 2})
    assert input_reference("boolean", [True, None, False, True]) == CategoryReference(1, {"false": 1, "true": 2})
    assert input_reference("category", [None, None]) == CategoryReference(2, {})


def test_infinity_is_refused_by_the_input_s_name() -> None:
    with pytest.raises(ValueError, match="feature debt: a reference cannot hold infinity"):
        reference_of({"debt": "numeric"}, {"debt": [1.0, float("-inf")]}, None)


def test_scores_are_counted_with_what_the_policy_says_of_them() -> None:
    policy = load_policy()
    pds = np.array([0.01, 0.05, 0.2, 0.9])
    found = score_reference(np.log(pds / (1 - pds)), pds, policy)
    assert found.grades.counts == {"A": 1, "B": 1, "D": 1, "E": 1}
    assert found.decisions.counts == {"approve": 2, "decline": 1, "refer": 1}
    assert found.pds.maximum == 0.9


def test_scores_of_other_applicants_are_refused() -> None:
    scores = score_reference(np.zeros(3), np.full(3, 0.1), load_policy())
    with pytest.raises(ValueError, match="does not count the 2 applicants"):
        reference_of({"debt": "numeric"}, {"debt": [1.0, 2.0]}, scores)


def test_it_is_read_back_from_json_as_it_was() -> None:
    random = np.random.default_rng(0)
    columns = {"n": random.normal(size=50), "c": random.choice(["x", "y"], 50).tolist(), "e": [None] * 50}
    scores = score_reference(random.normal(size=50), random.random(50), load_policy())
    made = reference_of({"n": "numeric", "c": "category", "e": "numeric"}, columns, scores)
    assert Reference.from_dict(json.loads(_compact(made.to_dict()))) == made


@pytest.mark.parametrize(
    ("edges", "counts", "words"), [((1.0,), (1, 2), "do not match"), ((2.0, 1.0), (0, 0, 0, 0, 0), "do not ascend")]
)
def test_counts_that_contradict_their_edges_are_refused(
    edges: tuple[float, ...], counts: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        NumberReference(0, edges, counts, 0.0, 0.0, 0.0, 0.0)


def test_a_thousand_inputs_take_less_than_a_megabyte() -> None:
    values = np.random.default_rng(1).lognormal(12, 1, 20_000).astype(np.float32)
    one = number_reference(values)
    whole = Reference(len(values), {f"previous_application__credit_amt_mean_{n}d": one for n in range(1000)}, None)
    assert len(_compact(whole.to_dict())) < 1_000_000
