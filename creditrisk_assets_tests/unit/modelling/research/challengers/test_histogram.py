"""scikit-learn's gradient boosting: stopped on an inner fold, bound by the policy, whole where a column is nearly empty."""

from dataclasses import replace

import numpy as np

from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.research.budgets import load_research
from creditrisk_assets.modelling.research.challengers import histogram
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part
from creditrisk_assets_tests.unit.modelling.research.challengers.test_standing import CONFIG

BUDGET = load_research().challengers.histogram.model_copy(update={"trees": 30, "stop_after": 3})


def test_the_number_of_trees_comes_from_rows_not_fitted() -> None:
    """On outcomes that nothing tells, every tree makes the watched rows worse."""
    part = draw_part(1500)
    noise = replace(part, target=np.random.default_rng(1).permutation(part.labels))
    assert histogram.fit(part, INPUTS, CONFIG, 1, budget=BUDGET).account["trees"] == BUDGET.trees
    assert histogram.fit(noise, INPUTS, CONFIG, 1, budget=BUDGET).account["trees"] < BUDGET.trees


def test_a_column_with_values_among_the_watched_rows_alone_is_no_input() -> None:
    """scikit-learn's own split would fail on it."""
    part = draw_part(1000)
    values = np.full(1000, np.nan, dtype=np.float32)
    inner = histogram.assign_folds(part.ids, part.labels, CONFIG.validation.inner_folds, "histogram/1")
    values[np.flatnonzero(inner == 0)[:3]] = [1, 2, 3]
    part.frame["application__empty"] = values
    assert "application__empty" not in histogram.fit(part, INPUTS, CONFIG, 1, budget=BUDGET).inputs


def test_no_pd_falls_where_the_policy_says_it_rises() -> None:
    part = draw_part(1500)
    inputs = (ModelInput("application__score", "application", "numeric", 1), *INPUTS[1:])
    found = histogram.fit(part, inputs, CONFIG, 1, budget=BUDGET)
    one = part.frame.iloc[[0] * 200].reset_index(drop=True)
    pds = found.pds(one.assign(application__score=np.linspace(-3, 3, 200).astype(np.float32)))
    assert (np.diff(pds) >= 0).all()
    assert pds[-1] > pds[0]
