"""Principal reasons: groups ranked by their sums, told of by what contributed most, never what a model does not look at."""

from dataclasses import replace

import numpy as np
import pytest

from creditrisk_assets.modelling.explanation.principal import BookError, ReasonBook, Telling, state_of
from creditrisk_assets.modelling.explanation.reasons import WORDS

NAMES = ["a__x", "a__y", "b__z", "c__kind_category", "d__is_flag", "e__v", "f__w"]
BOOK = ReasonBook(
    (
        Telling("a__x", "a", "numeric", "A: x", "amount", 10.0, 12.0),
        Telling("a__y", "a", "numeric", "A: y", None, 0.0, 0.5),
        Telling("b__z", "b", "numeric", "B: z", "days", 5.0, 5.0),
        Telling("c__kind_category", "c", "category", "C: kind", "category"),
        Telling("d__is_flag", "d", "boolean", "D: flag", None),
        Telling("e__v", "e", "numeric", "E: v", "share"),
        Telling("f__w", "f", "numeric", "F: w", "count", 1.0, 2.0),
    ),
    {name: f"CODE-{name}" for name in "abcdef"},
    WORDS,
)
CATEGORIES = {"c__kind_category": ["car", "house"]}
ROW = np.array([1234.5, 0, np.nan, 1, 0, 0.25, 2], np.float32)


def test_groups_are_ranked_by_their_sums_and_told_of_by_the_feature_that_contributed_most() -> None:
    told = BOOK.principal(np.array([0.2, 0.3, 0.4, -0.1, 0.05, 0.0, 0.06]), ROW, CATEGORIES)
    assert [(one.code, one.feature, one.contribution) for one in told] == [
        ("CODE-a", "a__y", 0.5),
        ("CODE-b", "b__z", 0.4),
        ("CODE-f", "f__w", 0.06),
        ("CODE-d", "d__is_flag", 0.05),
    ]
    assert told[0].text == "A: y – lower than for applicants just approved"
    assert [one.value for one in told] == [None, None, "2", None]


def test_a_group_whose_sum_does_not_raise_the_pd_is_no_reason_though_a_feature_of_it_does() -> None:
    assert BOOK.principal(np.array([0.9, -0.9, 0, 0, 0, 0, 0.0]), ROW, CATEGORIES) == []


def test_no_more_are_told_than_asked_for() -> None:
    assert len(BOOK.principal(np.full(7, 0.1), ROW, CATEGORIES)) == 4
    assert [one.group for one in BOOK.principal(np.full(7, 0.1), ROW, CATEGORIES, 2)] == ["a", "b"]


def test_sums_over_groups_are_all_of_the_contributions() -> None:
    found = np.random.default_rng(1).normal(size=7)
    assert BOOK.sums(found).sum() == pytest.approx(found.sum(), abs=1e-12)


@pytest.mark.parametrize(
    ("place", "value", "state"),
    [
        (0, 11.0, "above"),
        (0, 9.0, "below"),
        (0, 10.0, "below"),  # as many of the reference applicants, and less than their mean
        (2, 5.0, "level"),
        (5, 0.2, "alone"),  # none of the reference applicants has one
        (0, np.nan, "missing"),
        (3, 0.0, "stated"),
        (3, np.nan, "missing"),
        (4, 1.0, "yes"),
        (4, 0.0, "no"),
    ],
)
def test_a_text_says_what_the_value_is(place: int, value: float, state: str) -> None:
    assert state_of(BOOK.tellings[place], value) == state


@pytest.mark.parametrize(("monotone", "state"), [(-1, "below"), (1, "above"), (0, "above")])
def test_a_monotone_constraint_says_which_side_raised_the_pd(monotone: int, state: str) -> None:
    telling = replace(BOOK.tellings[0], monotone=monotone)
    assert state_of(telling, 11.0) == state
    assert state_of(telling, np.nan) == "missing"


@pytest.mark.parametrize(
    ("place", "value", "written"),
    [
        (0, 1234.5, "1,234"),
        (0, np.nan, None),
        (1, 3.0, None),
        (2, 400.0, "400 days"),
        (3, 1.0, "house"),
        (4, 1.0, None),
        (5, 0.256, "26%"),
        (6, 3.0, "3"),
        (6, 2.5, "2.5"),
    ],
)
def test_a_value_is_written_as_a_person_reads_it(place: int, value: float, written: str | None) -> None:
    row, contributions = np.zeros(7, np.float32), np.zeros(7)
    row[place], contributions[place] = value, 1.0
    (told,) = BOOK.principal(contributions, row, CATEGORIES)
    assert told.value == written


def test_a_book_is_read_as_it_was_written() -> None:
    assert ReasonBook.from_json(BOOK.to_json()) == BOOK


def _of(**changes: object) -> ReasonBook:
    first, *others = BOOK.tellings
    return replace(BOOK, tellings=(replace(first, **changes), *others))


@pytest.mark.parametrize(
    ("book", "names", "words"),
    [
        (BOOK, [*NAMES, "g__new"], "1 inputs of the model have no reason, among them g__new"),
        (BOOK, NAMES[1:], "of other inputs"),
        (BOOK, NAMES[::-1], "another order"),
        (_of(said="A: y"), NAMES, "a__x and a__y would be told of by one text"),
        (_of(said=" "), NAMES, "none and a__x"),
        (_of(kind="word"), NAMES, "a__x is of kind word"),
        (_of(value="secret"), NAMES, "written as secret"),
        (_of(group="g"), NAMES, "groups and codes"),
        (replace(BOOK, words={"above": "higher"}), NAMES, "for which there are no words"),
        (replace(BOOK, codes={**BOOK.codes, "a": "CODE-b"}), NAMES, "groups and codes"),
    ],
)
def test_a_book_that_could_not_tell_of_an_input_is_refused(book: ReasonBook, names: list[str], words: str) -> None:
    with pytest.raises(BookError, match=words):
        book.require(names)


def test_too_large_a_group_is_refused() -> None:
    names = [f"a__{number}" for number in range(16)]
    many = tuple(Telling(name, "a", "numeric", name, None) for name in names)
    with pytest.raises(BookError, match="groups of more than 15 features: a"):
        ReasonBook(many, {"a": "A"}, WORDS).require(names)
