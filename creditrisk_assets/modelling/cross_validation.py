"""Repeated stratified cross-validation of the training part: margins of applicants the model has not seen.

What belongs here: fitting on every fold, what becomes of the margins held out (number of trees, calibrator, PDs out of
fold). What does not: who is in which fold (`folds`), one fit (`training`), the maps (`calibration_fitting`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import Interval, auc_interval
from creditrisk_assets.modelling.calibration import CalibrationError, prior_shift
from creditrisk_assets.modelling.calibration_fitting import CalibrationFit, cross_fitted_pds, fit_calibrator
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.fold_models import FoldModel
from creditrisk_assets.modelling.folds import Fold, FoldError, make_folds
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.pipeline import resampled_rate
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError, TreeSearch, checked_target, fit_model


@dataclass(frozen=True)
class FoldAccount:
    """One fold: what was fitted and how it did on those held out."""

    repeat: int
    fold: int
    fitted: int
    held_out: int
    trees: int  # of the fold's model
    trees_reason: str
    validation_auc: float | None  # at the best iteration, on the inner fold
    auc: float  # on those held out


@dataclass(frozen=True)
class OutOfFold:
    """Margins and PDs of applicants by models that have not seen them, and what was made of them."""

    table: (
        pd.DataFrame
    )  # sk_id_curr, target, repeat, fold, margin, margin_spread, pd: by repeat, in the order of the part
    folds: tuple[FoldAccount, ...]
    search: TreeSearch  # for the model on all rows
    calibration: CalibrationFit
    aucs: tuple[Interval, ...]  # of the PDs, for each repeat
    models: tuple[FoldModel, ...]  # of the first repeat

    @property
    def auc(self) -> float:
        """Mean AUC over the repeats."""
        return float(np.mean([auc.value for auc in self.aucs]))

    @property
    def disagreement(self) -> dict[str, float] | None:
        """How far the averaged models are apart: middle and 95th percentile of `margin_spread`; None where one is alone."""
        spread = self.table["margin_spread"]
        if spread.isna().all():
            return None
        return {"median": float(spread.median()), "percentile_95": float(spread.quantile(0.95))}

    def facts(self) -> dict[str, Any]:
        """Render all but the table as JSON values."""
        return {
            "folds": [asdict(fold) for fold in self.folds],
            "search": asdict(self.search),
            "calibration": self.calibration.to_dict(),
            "aucs": [asdict(auc) for auc in self.aucs],
            "auc": self.auc,
            "disagreement": self.disagreement,
        }


def cross_validate(part: Part, inputs: Sequence[ModelInput], config: ModelConfig, *, threads: int) -> OutOfFold:
    """Fit the pipeline on every fold and score those it holds out.

    Nothing is shared between folds: categories, bins of the histogram, resampling and the number of trees are learned
    from the rows of the fold alone.

    Parameters
    ----------
    part
        The training part.
    inputs
        Inputs allowed.
    config
        Hyper-parameters; `validation` says how often and into how many.
    threads
        Threads of LightGBM; margins do not depend on them.

    Raises
    ------
    TrainingError
        As `training.fit_model`, too few applicants of one outcome for the folds, or margins that cannot be calibrated.
    """
    target = checked_target(part)
    accounts, tables, models = [], [], []
    try:
        for fold in make_folds(part.ids, target, config.validation):
            model = fit_model(part.take(fold.fitted), inputs, config, threads=threads, fold=fold)
            held_out = part.take(fold.held_out).frame
            margins = model.margins(held_out)
            accounts.append(
                FoldAccount(
                    repeat=fold.repeat,
                    fold=fold.number,
                    fitted=len(fold.fitted),
                    held_out=len(fold.held_out),
                    trees=model.search.trees,
                    trees_reason=model.search.reason,
                    validation_auc=model.search.validation_auc,
                    auc=auc_interval(target[fold.held_out], margins).value,
                )
            )
            if fold.repeat == 0:
                models.append(FoldModel(fold.number, model.features, model.model_text))
            tables.append(_held_out(part, fold, margins, model.disagreement(held_out)))
    except FoldError as error:
        raise TrainingError(f"the training part cannot be cross-validated: {error}") from error
    table = pd.concat(tables).sort_values(["repeat", "row"], kind="stable", ignore_index=True).drop(columns="row")
    rate = float(target.mean())
    calibration, pds = _calibrated(table, prior_shift(rate, resampled_rate(rate, config)))
    table["pd"] = pds
    aucs = [auc_interval(some["target"].to_numpy(), some["pd"].to_numpy()) for _, some in table.groupby("repeat")]
    return OutOfFold(table, tuple(accounts), search_of(accounts, config), calibration, tuple(aucs), tuple(models))


def search_of(folds: Iterable[FoldAccount], config: ModelConfig) -> TreeSearch:
    """Choose the number of trees of the model on all rows: the mean of the folds', and a little more for more rows."""
    folds = list(folds)
    mean = float(np.mean([fold.trees for fold in folds]))
    found = [fold.validation_auc for fold in folds if fold.validation_auc is not None]
    if not found:
        return TreeSearch(round(mean), f"in every fold {folds[0].trees_reason}", None)
    trees = min(config.trees.maximum, round(mean * config.trees.refit_factor))
    counts = ", ".join(str(fold.trees) for fold in folds)
    reason = f"early stopping in every fold ({counts} trees), their mean × {config.trees.refit_factor}"
    return TreeSearch(trees, reason, float(np.mean(found)))


def _held_out(part: Part, fold: Fold, margins: NDArray[np.float64], disagreement: NDArray[np.float64]) -> pd.DataFrame:
    columns: Mapping[str, Any] = {
        "row": fold.held_out,
        "sk_id_curr": part.ids[fold.held_out],
        "target": part.labels[fold.held_out].astype(np.int32),
        "repeat": np.int32(fold.repeat),
        "fold": np.int32(fold.number),
        "margin": margins,
        "margin_spread": disagreement,
    }
    return pd.DataFrame(columns)


def _calibrated(table: pd.DataFrame, shift: float) -> tuple[CalibrationFit, NDArray[np.float64]]:
    """Fit the calibrator on all margins, and give each applicant the PD of the map fitted on the other folds.

    With several repeats the map is fitted on the margins of all of them, for it will be applied to those of one model, not
    to averages; an applicant stays in the fold of the first repeat, so no map meets the outcome of anybody it is measured on.
    """
    first = table.loc[table["repeat"] == 0].set_index("sk_id_curr")["fold"]
    fold = first.loc[table["sk_id_curr"]].to_numpy().astype(np.int64)
    target, margins = table["target"].to_numpy().astype(np.int64), table["margin"].to_numpy()
    try:
        fit = fit_calibrator(target, margins, fold, prior_shift=shift)
    except CalibrationError as error:
        raise TrainingError(f"margins out of fold cannot be calibrated: {error}") from error
    return fit, cross_fitted_pds(fit.calibrator.kind, target, margins, fold, prior_shift=shift)
