"""Adoption: a result of research is used while every condition it was found under holds, and otherwise the account says which not."""

import pytest

from creditrisk_assets.modelling.adoption import (
    NONE,
    Adopted,
    FoundParameters,
    FrozenSelection,
    adopt,
    search_conditions,
)
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets_tests.unit.modelling.conftest import CHOICE, INPUTS

NOW = {"prohibited": "p", "monotone": "m", "definition of bureau": "b"}
LISTED = (INPUTS[2].name, INPUTS[0].name)
SELECTION = ("s1", FrozenSelection(features=LISTED, conditions=NOW))
ALL = tuple(i.name for i in INPUTS)


def found(*, better: bool = True, selection: str = "s1", configuration: str = "c") -> tuple[str, FoundParameters]:
    conditions = search_conditions(NOW, configuration, selection)
    return "q1", FoundParameters(parameters={"num_leaves": 7}, better=better, words="so", conditions=conditions)


def test_without_research_a_model_is_made_of_what_the_policy_allows_as_model_yaml_says() -> None:
    adopted = adopt(CHOICE, NOW, "c", None, None)
    assert (adopted.features, adopted.parameters) == (ALL, {})
    assert adopted.versions == {"selection": NONE, "search": NONE}
    assert adopted.choice(CHOICE) == CHOICE
    config = load_configuration()
    assert adopted.configuration(config) is config


def test_a_selection_that_holds_leaves_its_features_in_the_order_of_the_store() -> None:
    adopted = adopt(CHOICE, NOW, "c", SELECTION, None)
    assert adopted.features == (INPUTS[0].name, INPUTS[2].name)
    assert adopted.selection == "s1"
    choice = adopted.choice(CHOICE)
    assert [i.name for i in choice.allowed] == list(adopted.features)
    assert choice.prohibited == CHOICE.prohibited


@pytest.mark.parametrize("name", NOW)
def test_a_condition_that_changed_lets_go_of_the_selection_and_is_named(name: str) -> None:
    adopted = adopt(CHOICE, {**NOW, name: "other"}, "c", SELECTION, found())
    assert adopted.features == ALL
    assert adopted.versions == {"selection": NONE, "search": NONE}
    assert name in adopted.selection_words
    assert name in adopted.search_words


def test_a_new_family_lets_go_of_the_selection() -> None:
    adopted = adopt(CHOICE, {**NOW, "definition of new": "n"}, "c", SELECTION, None)
    assert "definition of new" in adopted.selection_words


def test_a_feature_that_is_no_input_any_more_lets_go_of_the_selection() -> None:
    gone = ("s1", FrozenSelection(features=(*LISTED, "bureau__gone"), conditions=NOW))
    adopted = adopt(CHOICE, NOW, "c", gone, None)
    assert adopted.features == ALL
    assert "1 of its features" in adopted.selection_words


def test_parameters_that_are_better_are_taken_over_and_nothing_else_of_the_configuration_changes() -> None:
    config = load_configuration()
    adopted = adopt(CHOICE, NOW, "c", SELECTION, found())
    assert adopted.search == "q1"
    changed = adopted.configuration(config)
    assert changed.lightgbm.num_leaves == 7
    assert changed.digest != config.digest
    assert changed.with_lightgbm(config.lightgbm.model_dump()).digest == config.digest


@pytest.mark.parametrize(
    ("search", "word"),
    [
        (found(better=False), "so"),
        (found(selection="s0"), "selection"),
        (found(configuration="other"), "configuration"),
    ],
)
def test_parameters_are_left_that_are_not_better_or_were_found_for_another_model(search, word: str) -> None:
    adopted = adopt(CHOICE, NOW, "c", SELECTION, search)
    assert (adopted.parameters, adopted.search) == ({}, NONE)
    assert word in adopted.search_words


def test_what_was_adopted_is_read_as_written() -> None:
    adopted = adopt(CHOICE, NOW, "c", SELECTION, found())
    assert Adopted.from_json(adopted.to_json()) == adopted
