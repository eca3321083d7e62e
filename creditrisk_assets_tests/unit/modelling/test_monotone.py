"""Monotone constraints: the policy says which way a PD may move, and no applicant's PD moves the other way."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml

from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.inputs import InputError, ModelInput, choose_inputs
from creditrisk_assets.modelling.policy import DEFAULT_PATH, Policy, PolicyError, load_policy, parse_policy
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainedModel, fit_model
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS
from creditrisk_assets_tests.unit.modelling.test_inputs import INCOME, LINEAGE, TODAY

CONSTRAINED = tuple(
    replace(item, monotone={"application__score": 1, "application__income_amt": -1}.get(item.name, 0))
    for item in INPUTS
)


def steps(model: TrainedModel, part: Part, name: str) -> np.ndarray:
    """Move one feature of 150 applicants up a grid; return the steps of each one's PD."""
    known = part.frame[name].dropna()
    grid = np.unique(np.concatenate([known.quantile(np.linspace(0, 1, 40)), [known.min() - 1, known.max() + 1]]))
    rows = part.frame.iloc[:150]
    pds = [model.predict(rows.assign(**{name: np.full(len(rows), value, np.float32)})) for value in grid]
    return np.diff(pds, axis=0)


def test_no_pd_moves_against_the_policy(part: Part, config: ModelConfig) -> None:
    model = fit_model(part, CONSTRAINED, config, threads=1)
    up, down = (steps(model, part, name) for name in ("application__score", "application__income_amt"))
    assert (up >= 0).all()
    assert up.max() > 0
    assert (down <= 0).all()
    assert model.features[0].monotone == 1


def test_without_a_constraint_noise_moves_pds_both_ways(part: Part, config: ModelConfig) -> None:
    moved = steps(fit_model(part, INPUTS, config, threads=1), part, "application__income_amt")
    assert moved.min() < 0 < moved.max()


def constrained(*entries: dict[str, str]) -> Policy:
    content: dict[str, Any] = yaml.safe_load(DEFAULT_PATH.read_text())
    return parse_policy({**content, "monotone": list(entries), "eligibility": []}, where="policy.yaml")


INCOME_FALLS = {"feature": INCOME.name, "pd": "falls", "rationale": "more money is no risk"}


def test_a_constraint_follows_its_feature_by_name() -> None:
    choice = choose_inputs([INCOME], LINEAGE, constrained(INCOME_FALLS), TODAY)
    assert choice.allowed == (replace(INCOME, monotone=-1),)


def test_a_constraint_on_a_feature_nobody_makes_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="application__incom_amt, which no family makes"):
        choose_inputs([INCOME], LINEAGE, constrained(INCOME_FALLS | {"feature": "application__incom_amt"}), TODAY)


def test_a_constraint_on_categories_is_refused_by_name() -> None:
    category = ModelInput(INCOME.name, "application", "category")
    with pytest.raises(InputError, match="application__income_amt, whose categories have no order"):
        choose_inputs([category], LINEAGE, constrained(INCOME_FALLS), TODAY)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([INCOME_FALLS | {"pd": "wobbles"}], r"monotone\.0\.pd"),
        ([INCOME_FALLS | {"rationale": " "}], r"monotone\.0\.rationale"),
        ([INCOME_FALLS, INCOME_FALLS | {"pd": "rises"}], "application__income_amt is there twice"),
    ],
)
def test_a_wrong_constraint_is_refused_by_its_field(entries: list[dict[str, str]], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        constrained(*entries)


def test_the_shipped_constraints_name_inputs_of_the_model() -> None:
    from creditrisk_assets.features.families import applicant_features
    from creditrisk_assets.features.lineage import applicant_lineage

    inputs = [ModelInput(feature.name, feature.family, feature.kind) for feature in applicant_features()]
    choice = choose_inputs(inputs, applicant_lineage(), load_policy(), TODAY)
    held = {item.name for item in choice.allowed if item.monotone}
    assert held == set(load_policy().directions)
    assert len(held) >= 20
