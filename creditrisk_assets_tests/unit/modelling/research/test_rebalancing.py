"""Rebalancing: what it does to PDs, and what takes it back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from creditrisk_assets.modelling.calibration import prior_shift
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.folds import make_folds
from creditrisk_assets.modelling.pipeline import build_pipeline, resampled_rate
from creditrisk_assets.modelling.research import rebalancing
from creditrisk_assets.modelling.research.rebalancing import (
    CALIBRATED,
    METHODS,
    PRIOR_CORRECTED,
    RAW,
    Method,
    beside_the_one_in_use,
    clearly_better,
    measure_methods,
)
from creditrisk_assets.modelling.research.results import Results
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError, fit_model
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part


def with_method(config: ModelConfig, method: str) -> ModelConfig:
    shares = {"method": method, "smote_share": 0.4, "minority_share": 0.5}
    return config.model_copy(update={"resampling": config.resampling.model_copy(update=shares)})


@pytest.fixture(scope="module")
def small(config: ModelConfig) -> ModelConfig:
    sizes = config.lightgbm.model_copy(update={"feature_fraction": 1.0, "min_child_samples": 50})
    shared = {"lightgbm": sizes, "trees": config.trees.model_copy(update={"maximum": 25, "fallback": 25})}
    return with_method(config.model_copy(update=shared), "none")


@pytest.fixture(scope="module")
def drawn() -> Part:
    return draw_part(1500, seed=3)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def methods(drawn: Part, small: ModelConfig, directory: Path) -> tuple[Method, ...]:
    return measure_methods(drawn, INPUTS, small, Results(directory, {}), threads=1)


def test_every_method_of_the_configuration_is_measured_in_every_stage(methods: tuple[Method, ...]) -> None:
    assert METHODS == ("none", "weighted", "undersample", "smote", "smote_undersample")
    rows = [(row["method"], row["stage"]) for method in methods for row in method.rows()]
    assert rows == [(name, stage) for name in METHODS for stage in (RAW, PRIOR_CORRECTED, CALIBRATED)]


def test_without_rebalancing_there_is_nothing_to_take_back(methods: tuple[Method, ...]) -> None:
    none = methods[0]
    assert none.stages[RAW].tolist() == none.stages[PRIOR_CORRECTED].tolist()


def test_a_fold_is_scored_by_the_model_fitted_on_the_others(
    methods: tuple[Method, ...], drawn: Part, small: ModelConfig
) -> None:
    fold = list(make_folds(drawn.ids, drawn.labels, small.validation))[2]
    config = with_method(small, "weighted")
    model = fit_model(drawn.take(fold.fitted), INPUTS, config, threads=1, fold=fold)
    margins = model.margins(drawn.frame.iloc[fold.held_out])
    raw = methods[1].stages[RAW][fold.held_out]
    assert raw == pytest.approx(1 / (1 + np.exp(-margins)), abs=1e-9)
    assert methods[1].trees[2] == model.search.trees


def test_rebalanced_pds_are_too_high_and_the_corrections_take_it_back(methods: tuple[Method, ...], drawn: Part) -> None:
    rate = float(drawn.labels.mean())
    for method in methods[1:]:
        raw, corrected, calibrated = method.rows()
        assert raw["mean_pd"] > rate + 0.05
        assert raw["calibration_intercept"] < -0.3
        assert raw["brier"] > calibrated["brier"] + 0.005
        assert abs(corrected["mean_pd"] - rate) < abs(raw["mean_pd"] - rate) / 2
        assert calibrated["mean_pd"] == pytest.approx(rate, abs=0.01)
        assert raw["auc"] == pytest.approx(corrected["auc"])


def test_what_is_finished_is_not_fitted_again(
    methods: tuple[Method, ...], drawn: Part, small: ModelConfig, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("fitted again")

    monkeypatch.setattr(rebalancing, "fit_model", refuse)
    again = measure_methods(drawn, INPUTS, small, Results(directory, {}), threads=1)
    assert [method.rows() for method in again] == [method.rows() for method in methods]
    changed = small.model_copy(update={"seed": 1})
    with pytest.raises(AssertionError, match="fitted again"):
        measure_methods(drawn, INPUTS, changed, Results(directory, {}), threads=1)


def test_a_method_is_called_better_only_when_its_calibrated_pds_are(methods: tuple[Method, ...], drawn: Part) -> None:
    beside = beside_the_one_in_use(methods, "none", seed=1)
    assert [one.method for one in beside] == list(METHODS[1:])
    assert all(one.brier.second == methods[0].rows()[2]["brier"] for one in beside)
    knowing = np.clip(0.8 * methods[1].stages[CALIBRATED] + 0.2 * drawn.labels, 0, 1)
    cheat = Method("weighted", drawn.labels, {CALIBRATED: knowing}, (), 0.0)
    found = beside_the_one_in_use((methods[0], cheat), "none", seed=1)
    assert clearly_better(found) == ("weighted",)
    assert clearly_better(beside_the_one_in_use((cheat, methods[0]), "weighted", seed=1)) == ()


def test_class_weights_make_both_outcomes_weigh_the_same(drawn: Part, small: ModelConfig) -> None:
    weighted = with_method(small, "weighted")
    assert resampled_rate(0.08, weighted) == 0.5
    assert list(build_pipeline(weighted, trees=1, threads=1).named_steps) == ["encode", "classify"]
    model = fit_model(drawn, INPUTS, weighted, threads=1)
    rate = float(drawn.labels.mean())
    assert model.calibrator.prior_shift == pytest.approx(prior_shift(rate, 0.5))
    odds = np.exp(model.margins(drawn.frame))
    assert np.mean(odds / (1 + odds)) == pytest.approx(0.5, abs=0.06)
    assert model.predict(drawn.frame).mean() == pytest.approx(rate, abs=0.04)


def test_early_stopping_looks_at_what_is_left_after_the_prior_shift(
    drawn: Part, small: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightgbm import LGBMClassifier

    seen, fit = [], LGBMClassifier.fit

    def watch(self: Any, *arguments: Any, **named: Any) -> Any:
        seen.append(named.get("eval_init_score"))
        return fit(self, *arguments, **named)

    monkeypatch.setattr(LGBMClassifier, "fit", watch)
    fold = next(make_folds(drawn.ids, drawn.labels, small.validation))
    for method in ("none", "undersample"):
        fit_model(drawn.take(fold.fitted), INPUTS, with_method(small, method), threads=1, fold=fold)
    unshifted, (shifts,) = seen
    assert unshifted is None
    assert shifts == pytest.approx(prior_shift(float(drawn.labels.mean()), 0.5), abs=0.01)


def test_a_method_that_cannot_be_fitted_is_named(small: ModelConfig, tmp_path: Path) -> None:
    part = draw_part(300).of(["application__constant", "application__empty"])
    inputs = [i for i in INPUTS if i.name in part.frame]
    with pytest.raises(TrainingError, match="none cannot be fitted: every input is constant"):
        measure_methods(part, inputs, small, Results(tmp_path, {}), threads=1)
