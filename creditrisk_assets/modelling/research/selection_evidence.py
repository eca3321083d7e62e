"""What a selection is worth: measured on applicants whose outcomes it has not seen.

What belongs here: selecting anew within each fold, and three models' PDs on the same folds. What does not: selecting (`selection`).

A list selected on some applicants flatters a model that is then cross-validated on the same ones: a feature that was lucky with those
held out was kept for it. So features are selected again within each fold, on the applicants it is fitted on, and that is what is compared
with all inputs. What the list itself would show on the same folds, less that, is its optimism.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.comparison import LOG_LOSS, Comparison, compare, compare_auc
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.folds import Fold, make_folds
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import checked_target, fit_model


@dataclass(frozen=True)
class Evidence:
    """A selection beside all inputs, out of fold."""

    kept: tuple[int, ...]  # features selected within each fold
    worth: tuple[Comparison, ...]  # selected within each fold against all inputs: AUC, log loss
    optimism: Comparison  # AUC of the list selected on everybody against that of those selected within folds


def gather(
    part: Part,
    inputs: Sequence[ModelInput],
    listed: Sequence[ModelInput],
    select_within: Callable[[Fold], Sequence[ModelInput]],
    config: ModelConfig,
    *,
    threads: int,
) -> Evidence:
    """Fit and score every fold of the first repeat three times: with all inputs, the list, and what is selected within it.

    Parameters
    ----------
    part
        The applicants, with their outcomes.
    inputs, listed
        All inputs; those selected on everybody.
    select_within
        Selects on the fitted rows of a fold alone.
    config, threads
        Of the fits.

    Raises
    ------
    FoldError, TrainingError, SelectionError
        As the folds, the fits and the selections.
    """
    target, size = checked_target(part), len(part)
    everything, outside, within = (np.empty(size, dtype=np.float64) for _ in range(3))
    plan, kept = config.validation.model_copy(update={"repeats": 1}), []
    for fold in make_folds(part.ids, target, plan):
        some = list(select_within(fold))
        kept.append(len(some))
        for pds, used in ((everything, inputs), (outside, listed), (within, some)):
            pds[fold.held_out] = _held_out(part, used, fold, config, threads)
    (log_loss,) = compare(target, within, everything, (LOG_LOSS,), seed=config.seed)
    worth = (compare_auc(target, within, everything), log_loss)
    return Evidence(tuple(kept), worth, compare_auc(target, outside, within))


def _held_out(
    part: Part, inputs: Sequence[ModelInput], fold: Fold, config: ModelConfig, threads: int
) -> NDArray[np.float64]:
    model = fit_model(part.take(fold.fitted), inputs, config, threads=threads, fold=fold)
    return model.predict(part.take(fold.held_out).frame)
