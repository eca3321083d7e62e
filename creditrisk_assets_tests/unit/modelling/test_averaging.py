"""Several seeds: one model whose margin is the mean of theirs, and how far they disagree about each applicant."""

import numpy as np
import pytest
from pydantic import ValidationError

from creditrisk_assets.modelling.booster import Booster, BoosterError
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.cross_validation import OutOfFold, cross_validate
from creditrisk_assets.modelling.fold_models import HeldOut
from creditrisk_assets.modelling.folds import make_folds
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainedModel, TreeSearch, fit_model
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS

SEARCH = TreeSearch(12, "given", None)


@pytest.fixture(scope="module")
def three(config: ModelConfig) -> ModelConfig:
    return config.model_copy(update={"seeds": 3})


@pytest.fixture(scope="module")
def alone(part: Part, three: ModelConfig) -> list[TrainedModel]:
    return [fit_model(part, INPUTS, three.alone(number), threads=1, search=SEARCH) for number in range(3)]


@pytest.fixture(scope="module")
def averaged(part: Part, three: ModelConfig) -> TrainedModel:
    return fit_model(part, INPUTS, three, threads=1, search=SEARCH)


@pytest.fixture(scope="module")
def out_of_fold(part: Part, three: ModelConfig) -> OutOfFold:
    return cross_validate(part, INPUTS, three, threads=1)


def test_the_margin_is_the_mean_of_the_seeds(averaged: TrainedModel, alone: list[TrainedModel], part: Part) -> None:
    margins = np.array([model.margins(part.frame) for model in alone])
    assert np.ptp(margins, axis=0).max() > 0.01
    np.testing.assert_allclose(averaged.margins(part.frame), margins.mean(axis=0), rtol=0, atol=1e-12)
    assert averaged.search.trees == 12


def test_disagreement_is_the_standard_deviation_of_their_margins(
    averaged: TrainedModel, alone: list[TrainedModel], part: Part
) -> None:
    expected = np.std([model.margins(part.frame) for model in alone], axis=0, ddof=1)
    np.testing.assert_allclose(averaged.disagreement(part.frame), expected, rtol=0, atol=1e-12)
    assert np.isnan(alone[0].disagreement(part.frame)).all()


def test_the_text_holds_every_tree_of_every_seed_in_order(averaged: TrainedModel, alone: list[TrainedModel]) -> None:
    assert averaged.members == tuple(Booster(model.model_text).iterations for model in alone)
    assert Booster(averaged.model_text).iterations == sum(averaged.members)
    first = alone[0].model_text.split("Tree=0\n")[1].split("leaf_value=")[0]
    assert averaged.model_text.split("Tree=0\n")[1].split("leaf_value=")[0] == first


def test_averaging_again_gives_the_same_bits(averaged: TrainedModel, part: Part, three: ModelConfig) -> None:
    assert fit_model(part, INPUTS, three, threads=1, search=SEARCH).model_hash == averaged.model_hash


def test_members_stopped_at_different_trees_are_averaged_alike(part: Part, three: ModelConfig) -> None:
    fold = next(make_folds(part.ids, part.labels, three.validation))
    fitted, held_out = part.take(fold.fitted), part.take(fold.held_out).frame
    model = fit_model(fitted, INPUTS, three, threads=1, fold=fold)
    alone = [fit_model(fitted, INPUTS, three.alone(number), threads=1, fold=fold) for number in range(3)]
    assert model.members == tuple(Booster(one.model_text).iterations for one in alone)
    assert len(set(model.members)) > 1
    margins = np.array([one.margins(held_out) for one in alone])
    np.testing.assert_allclose(model.margins(held_out), margins.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.disagreement(held_out), margins.std(axis=0, ddof=1), rtol=0, atol=1e-12)


def test_cross_validation_exports_how_far_the_seeds_disagree(
    out_of_fold: OutOfFold, part: Part, config: ModelConfig
) -> None:
    spread = out_of_fold.table["margin_spread"]
    assert (spread > 0).all()
    assert out_of_fold.disagreement == {"median": spread.median(), "percentile_95": spread.quantile(0.95)}
    single = cross_validate(part, INPUTS, config, threads=1)
    assert single.table["margin_spread"].isna().all()
    assert single.facts()["disagreement"] is None


def test_kept_models_of_folds_score_as_the_averages_did(out_of_fold: OutOfFold, part: Part) -> None:
    kept = HeldOut(out_of_fold.models, out_of_fold.table["fold"].to_numpy(np.int64))
    columns = {name: part.frame[name].astype(object).where(part.frame[name].notna(), None) for name in part.frame}
    np.testing.assert_allclose(kept.margins(columns), out_of_fold.table["margin"], rtol=0, atol=1e-12)


def test_no_model_and_a_broken_one_are_refused(averaged: TrainedModel) -> None:
    with pytest.raises(BoosterError, match="no model to average"):
        Booster.average([])
    with pytest.raises(BoosterError, match="not a whole LightGBM model"):
        Booster.average([averaged.model_text, averaged.model_text[:500]])


@pytest.mark.parametrize("seeds", [0, 21])
def test_a_number_of_seeds_nobody_would_serve_is_refused(config: ModelConfig, seeds: int) -> None:
    with pytest.raises(ValidationError, match="seeds"):
        ModelConfig.model_validate({**config.model_dump(), "seeds": seeds})
