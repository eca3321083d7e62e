"""The scorecard: points anybody can add up, bins that never reward risk."""

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.research.budgets import load_research
from creditrisk_assets.modelling.research.challengers import scorecard
from creditrisk_assets.modelling.research.challengers.scorecard import MISSING, Scorecard
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part

BUDGET, SCALE = load_research().challengers.scorecard, load_policy().score


def fitted(part: Part, inputs: tuple[ModelInput, ...] = INPUTS) -> Scorecard:
    return scorecard.fit(part, inputs, load_configuration(), 1, budget=BUDGET, scale=SCALE)


@cache
def card() -> Scorecard:
    return fitted(draw_part(3000))


def test_the_points_of_the_table_add_up_to_the_points_of_the_pd() -> None:
    frame = draw_part(500, seed=4).frame
    added, pds = card().points(frame), card().pds(frame)
    expected = [SCALE.points(pd) for pd in pds.tolist()]
    assert np.abs(added - expected).max() <= 0.5 + 0.01 * len(card().inputs)


def test_a_bin_of_higher_risk_never_has_more_points() -> None:
    for name in card().inputs:
        bins = [one for one in card().table if one.input == name and one.applicants]
        ordered = sorted(bins, key=lambda one: one.evidence)
        assert [one.points for one in ordered] == sorted(one.points for one in bins)


def test_every_fitted_applicant_is_in_one_bin_of_every_input_and_missing_is_a_bin() -> None:
    part = draw_part(3000)
    for name in card().inputs:
        bins = [one for one in card().table if one.input == name]
        assert sum(one.applicants for one in bins) == len(part)
        assert sum(one.defaults for one in bins) == part.labels.sum()
        assert bins[-1].values == MISSING
        assert bins[-1].applicants == part.frame[name].isna().sum()


def test_the_table_counts_what_its_words_say() -> None:
    part = draw_part(3000)
    first, second = [one for one in card().table if one.input == "application__score"][:2]
    edge = float(first.values.removeprefix("below "))
    values = part.frame["application__score"]
    assert first.applicants == pytest.approx((values < edge).sum(), abs=1)  # the words have six digits
    assert second.values.startswith(f"{edge:g} to below")
    kinds = {one.values: one.applicants for one in card().table if one.input == "application__kind_category"}
    assert kinds["Other"] == (part.frame["application__kind_category"] == "Other").sum()


def test_an_edge_belongs_to_the_bin_above_it() -> None:
    binning = next(one for one in card().binnings if one.edges)
    edges = np.array(binning.edges)
    assert binning.place(edges).tolist() == list(range(1, len(edges) + 1))
    assert binning.place(np.nextafter(edges, -np.inf)).tolist() == list(range(len(edges)))
    assert binning.place(np.array([np.nan])).tolist() == [len(binning.words) - 1]


@pytest.mark.parametrize("sign", [-1, 1])
def test_bins_follow_the_policys_sign(sign: int) -> None:
    """The drawn risk rises with the score: bound to fall, the input has nothing left to say."""
    inputs = (ModelInput("application__score", "application", "numeric", sign), *INPUTS[1:])
    found = fitted(draw_part(3000), inputs)
    bins = [one for one in found.table if one.input == "application__score" and one.values != MISSING]
    rates = [one.defaults / one.applicants for one in bins]
    assert rates == sorted(rates, reverse=sign < 0)
    assert bool(bins) == (sign > 0)


def test_an_input_whose_weight_turns_its_evidence_around_is_left_out() -> None:
    """The sum is what counts: beside it, each part alone looks risky and its weight turns."""
    random = np.random.default_rng(0)
    rows = 20_000
    common, own = random.normal(size=rows), random.normal(size=rows)
    risk = 1.5 * common - 0.5 * own
    frame = pd.DataFrame({"f__a": common.astype(np.float32), "f__b": (common * 1.2 + own).astype(np.float32)})
    target = (random.random(rows) < 1 / (1 + np.exp(2 - risk))).astype(np.int64)
    inputs = (ModelInput("f__a", "f", "numeric"), ModelInput("f__b", "f", "numeric"))
    budget = BUDGET.model_copy(update={"largest_correlation": 1.0})
    found = scorecard.fit(
        Part(np.arange(rows), target, frame), inputs, load_configuration(), 1, budget=budget, scale=SCALE
    )
    assert found.inputs == ("f__a",)
    assert found.turned == ("f__b",)
    assert found.account["left_out"] == ["f__b"]


def test_the_card_as_json_is_the_table() -> None:
    content = json.loads(card().to_json())
    assert content["base_points"] == card().base_points
    assert [row["points"] for row in content["bins"]] == [one.points for one in card().table]


def test_nothing_to_learn_is_said_with_what_to_do() -> None:
    strict = BUDGET.model_copy(update={"smallest_information_value": 2.0})
    with pytest.raises(TrainingError, match="lower `smallest_information_value`"):
        scorecard.fit(draw_part(500), INPUTS, load_configuration(), 1, budget=strict, scale=SCALE)
