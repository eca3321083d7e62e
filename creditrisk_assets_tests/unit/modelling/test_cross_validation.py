"""Cross-validation: nobody is scored by a model that has seen them, and what is made of the margins is true."""

import re
from dataclasses import replace

import numpy as np
import pytest

from creditrisk_assets.modelling.calibration import prior_shift
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.cross_validation import OutOfFold, cross_validate
from creditrisk_assets.modelling.folds import make_folds
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError, fit_model
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part


@pytest.fixture(scope="module")
def twice(config: ModelConfig) -> ModelConfig:
    plan = config.validation.model_copy(update={"folds": 3, "repeats": 2})
    return config.model_copy(update={"validation": plan})


@pytest.fixture(scope="module")
def out_of_fold(part: Part, twice: ModelConfig) -> OutOfFold:
    return cross_validate(part, INPUTS, twice, threads=1)


def test_each_applicant_is_held_out_once_in_each_repeat(out_of_fold: OutOfFold, part: Part) -> None:
    for repeat in (0, 1):
        some = out_of_fold.table[out_of_fold.table["repeat"] == repeat]
        assert some["sk_id_curr"].tolist() == part.ids.tolist()
        assert some["target"].tolist() == part.labels.tolist()
    folds = out_of_fold.table.pivot(index="sk_id_curr", columns="repeat", values="fold")
    assert (folds[0] != folds[1]).mean() > 0.5


def test_a_fold_is_scored_by_the_pipeline_fitted_on_the_others(
    out_of_fold: OutOfFold, part: Part, twice: ModelConfig
) -> None:
    fold = list(make_folds(part.ids, part.labels, twice.validation))[4]
    model = fit_model(part.take(fold.fitted), INPUTS, twice, threads=1, fold=fold)
    table = out_of_fold.table
    held_out = table[(table["repeat"] == fold.repeat) & (table["fold"] == fold.number)]
    assert held_out["margin"].tolist() == model.margins(part.frame.iloc[fold.held_out]).tolist()
    assert out_of_fold.folds[4].trees == model.search.trees


def test_labels_held_out_change_no_margin_of_their_fold(part: Part, twice: ModelConfig) -> None:
    """The fit is asked, and not the folds: these follow the outcomes."""
    fold = next(iter(make_folds(part.ids, part.labels, twice.validation)))
    swapped = part.labels.copy()
    swapped[fold.held_out] = 1 - swapped[fold.held_out]
    before = fit_model(part.take(fold.fitted), INPUTS, twice, threads=1, fold=fold)
    after = fit_model(replace(part, target=swapped).take(fold.fitted), INPUTS, twice, threads=1, fold=fold)
    assert before.model_hash == after.model_hash


def test_the_order_of_rows_changes_no_fold(out_of_fold: OutOfFold, part: Part, twice: ModelConfig) -> None:
    turned = part.take(np.arange(len(part))[::-1].copy())
    again = cross_validate(turned, INPUTS, twice, threads=1).table
    keys = ["sk_id_curr", "repeat"]
    both = out_of_fold.table.merge(again, on=keys, suffixes=("", "_again"))
    assert len(both) == len(out_of_fold.table)
    assert (both["fold"] == both["fold_again"]).all()


def test_pds_agree_with_what_happened(out_of_fold: OutOfFold, part: Part) -> None:
    assert out_of_fold.table["pd"].mean() == pytest.approx(part.labels.mean(), abs=0.01)
    assert out_of_fold.table["pd"].between(0, 1, inclusive="neither").all()
    assert out_of_fold.calibration.calibrator.kind in {"sigmoid", "beta"}
    assert 0.65 < out_of_fold.auc < 0.75


@pytest.mark.parametrize("method", ["weighted", "undersample", "smote", "smote_undersample"])
def test_rebalancing_leaves_pds_that_agree_with_what_happened(part: Part, config: ModelConfig, method: str) -> None:
    shares = {"method": method, "smote_share": 0.4, "minority_share": 0.5}
    resampled = config.model_copy(update={"resampling": config.resampling.model_copy(update=shares)})
    found = cross_validate(part, INPUTS, resampled, threads=1)
    rate = float(part.labels.mean())
    sigmoid = 1 / (1 + np.exp(-found.table["margin"]))
    assert sigmoid.mean() > 1.2 * rate
    assert found.table["pd"].mean() == pytest.approx(rate, abs=0.01)
    share = {"smote": 0.4}.get(method, 0.5)
    assert found.calibration.calibrator.prior_shift == pytest.approx(prior_shift(rate, share))


def test_the_final_number_of_trees_is_the_mean_of_the_folds_and_a_little_more(
    out_of_fold: OutOfFold, twice: ModelConfig
) -> None:
    counts = [fold.trees for fold in out_of_fold.folds]
    expected = min(twice.trees.maximum, round(float(np.mean(counts)) * twice.trees.refit_factor))
    assert out_of_fold.search.trees == expected
    assert re.findall(r"\d+", out_of_fold.search.reason)[: len(counts)] == [str(count) for count in counts]


def test_too_few_defaults_for_the_folds_train_nothing_and_say_how_many_it_takes(config: ModelConfig) -> None:
    small = draw_part(50)
    assert small.labels.sum() < config.validation.fewest_per_outcome
    with pytest.raises(TrainingError, match=f"it takes {config.validation.fewest_per_outcome}"):
        cross_validate(small, INPUTS, config, threads=1)


def test_few_defaults_in_the_inner_folds_fix_the_trees_and_say_so(config: ModelConfig) -> None:
    found = cross_validate(draw_part(400), INPUTS, config, threads=1)
    assert found.search.trees == config.trees.fallback
    assert found.search.validation_auc is None
    assert "too few to stop on" in found.search.reason
