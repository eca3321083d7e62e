"""The ancestor's recipe: what it imputes, what it resamples, and that its features exist."""

import numpy as np
import pytest

from creditrisk_assets.features.families import applicant_features
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.research.budgets import load_research
from creditrisk_assets.modelling.research.challengers import ancestor
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part

BUDGET = load_research().challengers.ancestor.model_copy(update={"trees": 20, "depth": 2})


@pytest.fixture
def _own_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ancestor, "FEATURES", tuple(i.name for i in INPUTS))


def fitted(part: Part, *, resample: bool = False) -> ancestor.Ancestor:
    return ancestor.fit(part, INPUTS, load_configuration(), 1, budget=BUDGET, resample=resample)


def test_every_feature_of_the_recipe_is_one_of_the_store() -> None:
    known = {feature.name for feature in applicant_features()}
    assert set(ancestor.FEATURES) <= known
    assert len(set(ancestor.FEATURES)) == len(ancestor.FEATURES)
    assert "application__ext_1_score" not in ancestor.FEATURES


@pytest.mark.usefixtures("_own_features")
def test_a_missing_number_is_taken_for_the_median_of_the_fitted_rows() -> None:
    part = draw_part(1000)
    model = fitted(part)
    median = np.float32(np.nanmedian(part.frame["application__score"].to_numpy().astype(np.float64)))
    other = draw_part(200, seed=5).frame
    filled = other.assign(application__score=other["application__score"].fillna(median))
    assert other["application__score"].isna().any()
    assert model.pds(other).tolist() == model.pds(filled).tolist()


@pytest.mark.usefixtures("_own_features")
def test_its_pds_after_resampling_are_no_probabilities() -> None:
    part = draw_part(2000)
    assert fitted(part).pds(part.frame).mean() == pytest.approx(part.labels.mean(), abs=0.02)
    assert fitted(part, resample=True).pds(part.frame).mean() > part.labels.mean() + 0.1


@pytest.mark.usefixtures("_own_features")
def test_categories_are_columns() -> None:
    assert fitted(draw_part(1000)).account["columns"] == 3 + 3  # score, income, owner; three kinds


def test_without_any_of_its_features_it_says_so() -> None:
    with pytest.raises(TrainingError, match="none of the features"):
        ancestor.fit(draw_part(200), INPUTS[:1], load_configuration(), 1, budget=BUDGET, resample=True)
