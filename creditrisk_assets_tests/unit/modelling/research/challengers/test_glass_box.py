"""The glass box: few inputs, curves that follow the policy."""

import numpy as np

from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.research.budgets import load_research
from creditrisk_assets.modelling.research.challengers import glass_box
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part

BUDGET = load_research().challengers.glass_box.model_copy(update={"bags": 1})


def test_it_reads_no_more_inputs_than_its_budget_and_names_its_terms() -> None:
    part = draw_part(1500)
    found = glass_box.fit(part, INPUTS, load_configuration(), 1, budget=BUDGET.model_copy(update={"inputs": 1}))
    assert found.inputs == ("application__score",)
    assert [term["term"] for term in found.account["terms"]] == ["application__score"]


def test_no_pd_falls_where_the_policy_says_it_rises() -> None:
    part = draw_part(1500)
    inputs = (ModelInput("application__score", "application", "numeric", 1), *INPUTS[1:])
    found = glass_box.fit(part, inputs, load_configuration(), 1, budget=BUDGET)
    one = part.frame.iloc[[0] * 200].reset_index(drop=True)
    pds = found.pds(one.assign(application__score=np.linspace(-3, 3, 200).astype(np.float32)))
    assert (np.diff(pds) >= -1e-12).all()
    assert pds[-1] > pds[0]
