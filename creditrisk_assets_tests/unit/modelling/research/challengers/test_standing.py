"""What holds of every standing challenger, whoever made it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.configuration import ModelConfig, load_configuration
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.research.budgets import ChallengerBudgets, load_research
from creditrisk_assets.modelling.research.challengers import ancestor
from creditrisk_assets.modelling.research.challengers.protocol import Challenger, Scorer
from creditrisk_assets.modelling.research.challengers.standing import default_model, standing_challengers
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part

NAMES = ("default", "histogram", "scorecard", "glass_box", "ancestor", "ancestor_as_drawn")
SCORE, KIND = "application__score", "application__kind_category"


def small_budgets() -> ChallengerBudgets:
    """The shipped budgets, cut to what a test may take."""
    shipped = load_research().challengers
    return shipped.model_copy(
        update={
            "histogram": shipped.histogram.model_copy(update={"trees": 25}),
            "glass_box": shipped.glass_box.model_copy(update={"bags": 1}),
            "ancestor": shipped.ancestor.model_copy(update={"trees": 30, "depth": 3}),
        }
    )


def small_configuration() -> ModelConfig:
    shipped = load_configuration()
    sizes = {"min_child_samples": 20, "feature_fraction": 1.0}
    return shipped.model_copy(
        update={
            "trees": shipped.trees.model_copy(update={"maximum": 40, "stop_after": 10}),
            "lightgbm": shipped.lightgbm.model_copy(update=sizes),
        }
    )


CONFIG = small_configuration()


@pytest.fixture(autouse=True)
def _features_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's features are those of the store; here they are those of the drawn applicants."""
    monkeypatch.setattr(ancestor, "FEATURES", tuple(i.name for i in INPUTS))


@pytest.fixture(params=NAMES)
def challenger(request: pytest.FixtureRequest) -> Challenger:
    scale = load_policy().score
    every = (default_model(CONFIG, threads=1), *standing_challengers(small_budgets(), CONFIG, scale))
    return {one.name: one for one in every}[request.param]


@pytest.fixture(scope="module")
def fitted() -> Part:
    return draw_part(1500, seed=1)


@pytest.fixture(scope="module")
def held_out() -> Part:
    return draw_part(1500, seed=2)


def fit(challenger: Challenger, part: Part, inputs: tuple[ModelInput, ...] = INPUTS) -> Scorer:
    return challenger.fit(part, inputs, CONFIG, 1)


def fit_or_refusal(challenger: Challenger, part: Part) -> Scorer | str:
    try:
        return fit(challenger, part)
    except TrainingError as error:
        return str(error)


def auc(scorer: Scorer, part: Part) -> float:
    return auc_interval(part.labels, scorer.pds(part.frame)).value


def test_it_ranks_applicants_it_has_not_seen_and_a_second_fit_is_the_same(
    challenger: Challenger, fitted: Part, held_out: Part
) -> None:
    scorer, again = fit(challenger, fitted), fit(challenger, fitted)
    pds = scorer.pds(held_out.frame)
    assert ((pds > 0) & (pds < 1)).all()
    assert auc(scorer, held_out) > 0.66
    assert pds.tolist() == again.pds(held_out.frame).tolist()
    assert scorer.account == again.account


def test_a_random_target_teaches_it_nothing(challenger: Challenger, fitted: Part, held_out: Part) -> None:
    random = np.random.default_rng(3)
    shuffled, others = (replace(part, target=random.permutation(part.labels)) for part in (fitted, held_out))
    found = fit_or_refusal(challenger, shuffled)
    if isinstance(found, str):
        assert "no input tells" in found  # the scorecard and the glass box may find nothing to learn from: as well
    else:
        assert 0.43 < auc(found, others) < 0.57


def test_what_says_nothing_is_no_input_and_what_is_new_counts_as_missing(
    challenger: Challenger, fitted: Part, held_out: Part
) -> None:
    scorer = fit(challenger, fitted)
    assert set(scorer.inputs) <= {i.name for i in INPUTS} - {"application__constant", "application__empty"}
    kinds = held_out.frame[KIND].astype(object)
    unseen = held_out.frame.assign(**{KIND: pd.Categorical(["Leasing"] * len(held_out))})
    unknown = held_out.frame.assign(**{KIND: pd.Categorical([None] * len(held_out), categories=kinds.unique())})
    assert scorer.pds(unseen).tolist() == scorer.pds(unknown).tolist()


def test_infinity_is_refused_by_the_name_of_its_feature(challenger: Challenger, fitted: Part) -> None:
    values = fitted.frame[SCORE].to_numpy().copy()
    values[3] = np.inf
    with pytest.raises(TrainingError, match=f"{SCORE} holds infinity"):
        fit(challenger, replace(fitted, frame=fitted.frame.assign(**{SCORE: values})))


@pytest.mark.parametrize("outcome", [0, 1])
def test_one_class_is_refused_with_the_counts(challenger: Challenger, fitted: Part, outcome: int) -> None:
    with pytest.raises(TrainingError, match=f"has {outcome * 1500} defaults among 1500"):
        fit(challenger, replace(fitted, target=np.full(1500, outcome, dtype=np.int64)))


def test_five_defaults_are_fitted_or_refused_in_words(challenger: Challenger, fitted: Part, held_out: Part) -> None:
    target = np.zeros(1500, dtype=np.int64)
    target[[5, 300, 700, 1000, 1400]] = 1
    found = fit_or_refusal(challenger, replace(fitted, target=target))
    if isinstance(found, str):
        assert "no input tells" in found
    else:
        assert np.isfinite(found.pds(held_out.frame)).all()


def test_settings_and_code_decide_what_may_be_used_again() -> None:
    config, scale, budgets = CONFIG, load_policy().score, small_budgets()
    before = {one.name: one.depends_on for one in standing_challengers(budgets, config, scale)}
    cheaper = budgets.model_copy(update={"scorecard": budgets.scorecard.model_copy(update={"inputs": 3})})
    after = {one.name: one.depends_on for one in standing_challengers(cheaper, config, scale)}
    assert {name for name in before if before[name] != after[name]} == {"scorecard"}
    assert before["ancestor"] != before["ancestor_as_drawn"]
