"""The evidence for and against rebalancing: what each method does to ranking and to PDs, before and after what takes it back.

What belongs here: fitting the default model under every method on the same folds, and the figures. What does not: the methods (`pipeline`),
which one is in use (`model.yaml`), pictures (`plots`).

Each method is looked at in three stages: the margins as they are; after the prior shift, which takes back what rebalancing did to the
odds; after the calibrator, fitted on the other folds as it is for the model in use.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.modelling import booster, pipeline, training
from creditrisk_assets.modelling import folds as folds_module
from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.calibration import CalibrationError, prior_shift, uncalibrated
from creditrisk_assets.modelling.calibration_fitting import cross_fitted_pds, fit_calibrator
from creditrisk_assets.modelling.calibration_tests import calibration_figures, holm
from creditrisk_assets.modelling.comparison import BRIER, LOG_LOSS, Comparison, compare, compare_auc
from creditrisk_assets.modelling.configuration import ModelConfig, Resampling
from creditrisk_assets.modelling.folds import Fold
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.pipeline import ENCODER, resampled_rate
from creditrisk_assets.modelling.research.budgets import research_folds
from creditrisk_assets.modelling.research.results import Results
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError, fit_model

METHODS: tuple[str, ...] = get_args(Resampling.model_fields["method"].annotation)
RAW, PRIOR_CORRECTED, CALIBRATED = "raw", "prior corrected", "calibrated"
CODE = (training, pipeline, ENCODER, folds_module, booster)

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """One method: PDs out of fold in every stage, and what the fits cost."""

    name: str
    target: Outcomes
    stages: dict[str, Numbers]  # stage -> PDs, in the order of the part
    trees: tuple[int, ...]
    fit_seconds: float  # of the processor, all folds together

    def rows(self) -> list[dict[str, Any]]:
        """Measure each stage: the rows of the table."""
        return [_row(self.name, stage, self.target, pds) for stage, pds in self.stages.items()]


@dataclass(frozen=True)
class Beside:
    """A method beside the one in use, both calibrated, on the same applicants."""

    method: str
    auc: Comparison
    brier: Comparison

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return {"method": self.method, "auc": self.auc.to_dict(), "calibrated_brier": self.brier.to_dict()}


def measure_methods(
    part: Part,
    inputs: Sequence[ModelInput],
    config: ModelConfig,
    results: Results,
    *,
    threads: int,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Method, ...]:
    """Cross-validate the default model under every method.

    Parameters
    ----------
    part, inputs, config, threads
        As in `cross_validation.cross_validate`; of the repeats only the first is run. The method in `config` is ignored, its shares
        are used.
    results
        Where each fit's margins are kept, so that a killed run goes on.
    say
        Told of every method and fold.

    Raises
    ------
    TrainingError
        Too few applicants of one outcome for the folds, or a fit fails: the message names the method.
    """
    folds = research_folds(part, config)
    methods = []
    for name in METHODS:
        chosen = config.resampling.model_copy(update={"method": name})
        rebalanced = config.model_copy(update={"resampling": chosen})
        methods.append(_measure(part, inputs, rebalanced, folds, results, threads=threads, say=say))
    return tuple(methods)


def beside_the_one_in_use(methods: Iterable[Method], in_use: str, *, seed: int) -> tuple[Beside, ...]:
    """Compare every other method with the one in use: AUC and Brier score of calibrated PDs, paired."""
    methods = tuple(methods)
    ours = next(method for method in methods if method.name == in_use)
    found = []
    for method in methods:
        if method.name != in_use:
            pds, rival = method.stages[CALIBRATED], ours.stages[CALIBRATED]
            (brier,) = compare(method.target, pds, rival, (BRIER,), seed=seed)
            found.append(Beside(method.name, compare_auc(method.target, pds, rival), brier))
    return tuple(found)


def clearly_better(beside: Sequence[Beside], significance: float = 0.05) -> tuple[str, ...]:
    """Name the methods whose calibrated PDs have a better Brier score than those in use by more than chance (Holm-adjusted)."""
    adjusted = holm([one.brier.p_value for one in beside]).tolist()
    return tuple(
        one.method
        for one, p_value in zip(beside, adjusted, strict=True)
        if p_value < significance and one.brier.verdict == "better"
    )


def _measure(
    part: Part,
    inputs: Sequence[ModelInput],
    config: ModelConfig,
    folds: Sequence[Fold],
    results: Results,
    *,
    threads: int,
    say: Callable[[str], None],
) -> Method:
    name, target = config.resampling.method, part.labels
    margins, number = np.empty(len(part)), np.empty(len(part), dtype=np.int64)
    trees, seconds, code = [], 0.0, code_version(*CODE)
    for fold in folds:
        depends_on = {
            "configuration": config.model_dump(mode="json"),
            "code": code,
            "inputs": [[i.name, i.kind, i.monotone] for i in inputs],
        }
        make = partial(_fit_and_score, part, inputs, config, fold, threads)
        answer, made = results.once(f"{name}-{fold.number}", depends_on, make)
        say(f"{name}: fold {fold.number + 1} of {len(folds)} {'fitted' if made else 'found from before'}")
        margins[fold.held_out], number[fold.held_out] = answer["margins"], fold.number
        trees.append(int(answer["trees"]))
        seconds += float(answer["fit_seconds"])
    rate = float(target.mean())
    shift = prior_shift(rate, resampled_rate(rate, config))
    try:
        kind = fit_calibrator(target, margins, number, prior_shift=shift).calibrator.kind
    except CalibrationError as error:
        raise TrainingError(f"{name}: margins out of fold cannot be calibrated: {error}") from error
    stages = {
        RAW: uncalibrated().pds(margins),
        PRIOR_CORRECTED: uncalibrated(shift).pds(margins),
        CALIBRATED: cross_fitted_pds(kind, target, margins, number, prior_shift=shift),
    }
    return Method(name, target, stages, tuple(trees), seconds)


def _fit_and_score(
    part: Part, inputs: Sequence[ModelInput], config: ModelConfig, fold: Fold, threads: int
) -> dict[str, Any]:
    started = time.process_time()
    try:
        model = fit_model(part.take(fold.fitted), inputs, config, threads=threads, fold=fold)
    except TrainingError as error:
        raise TrainingError(f"{config.resampling.method} cannot be fitted: {error}") from error
    seconds = time.process_time() - started
    margins = model.margins(part.take(fold.held_out).frame)
    return {"margins": margins.tolist(), "trees": model.search.trees, "fit_seconds": seconds}


def _row(method: str, stage: str, target: Outcomes, pds: Numbers) -> dict[str, Any]:
    measured = calibration_figures(target, pds)
    return {
        "method": method,
        "stage": stage,
        "applicants": measured.applicants,
        "defaults": measured.defaults,
        "auc": auc_interval(target, pds).value,
        "mean_pd": measured.mean_pd,
        "brier": measured.brier,
        "log_loss": LOG_LOSS.measure(target, pds),
        "expected_calibration_error": measured.expected_calibration_error,
        "calibration_slope": measured.slope.value if measured.slope else None,
        "calibration_intercept": measured.intercept.value if measured.intercept else None,
    }
