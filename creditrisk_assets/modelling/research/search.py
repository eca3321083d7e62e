"""The search for LightGBM's parameters: trials that can be interrupted, and whether the best of them is worth a change.

What belongs here: one trial, the order of trials, the comparison with the parameters in use. What does not: the space and the budget
(`research`), whether a model is made with what was found (`adoption`).

A trial is measured by the mean log loss of applicants held out: PDs are priced with, so their truth counts and not their order alone,
and the log loss moves smoothly where the AUC of a few hundred defaults jumps. A trial worse than the median of those before at the same
fold is given up.

Each trial is drawn by a sampler seeded anew with its number, from the trials that ended before. So a search that was killed and goes on
ends where it would have ended, and loses the trial it was at.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from creditrisk_assets.modelling.comparison import LOG_LOSS, Comparison, compare, compare_auc
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.cross_validation import cross_validate
from creditrisk_assets.modelling.folds import Fold, make_folds
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import ServingBudget
from creditrisk_assets.modelling.research.budgets import Range, SearchPlan
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import checked_target, fit_model

STUDY = "search"
COMPLETE, PRUNED, OVER_BUDGET = "complete", "pruned", "over_budget"
FEWEST_FOR_IMPORTANCE = 4  # complete trials

Parameters = dict[str, float]


class SearchError(ValueError):
    """The search cannot begin, go on or end; the message says why and what to do."""


@dataclass(frozen=True)
class Trial:
    """One choice of parameters, measured."""

    outcome: str
    parameters: Mapping[str, float]  # those looked for
    folds: int
    log_loss: float  # mean over the folds measured
    trees: int | None  # of a model on all rows; None: not all folds were fitted


@dataclass(frozen=True)
class Found:
    """The trials that ended, and what matters among the parameters."""

    trials: tuple[Trial, ...]
    importance: Mapping[str, float]  # parameter -> share; empty with too few trials to tell
    ended: str

    @property
    def best(self) -> Trial:
        """The complete trial of the smallest log loss, the earlier of equals.

        Raises
        ------
        SearchError
            No trial was complete within the serving budget.
        """
        complete = [trial for trial in self.trials if trial.outcome == COMPLETE]
        if not complete:
            raise SearchError(
                f"none of {len(self.trials)} trials fits the policy's serving budget; widen `serving_budget.maximum_leaves`,"
                " or narrow `search.space` of research.yaml"
            )
        return min(complete, key=lambda trial: trial.log_loss)

    def table(self, config: ModelConfig) -> pd.DataFrame:
        """One row per trial, as the contract has it; a parameter that was not looked for has the value of the configuration."""
        rows = []
        for number, trial in enumerate(self.trials):
            tried = {n: float(v) for n, v in config.lightgbm.with_values(trial.parameters).model_dump().items()}
            measured = {"outcome": trial.outcome, "folds": trial.folds, "log_loss": trial.log_loss}
            rows.append({"trial": number, **measured, "trees": trial.trees, **tried})
        return pd.DataFrame(rows).astype({"trees": "Int64"})


def search(
    part: Part,
    inputs: Sequence[ModelInput],
    config: ModelConfig,
    plan: SearchPlan,
    budget: ServingBudget | None,
    *,
    seed: int,
    threads: int,
    storage: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> Found:
    """Try parameters until the budget is spent, or go on where an earlier call was interrupted.

    Parameters
    ----------
    part, inputs
        The applicants, with their outcomes, and the inputs.
    config
        The parameters in use, which are the first trial where they lie in the space; folds.
    plan
        Space and budget. Seconds are counted over all calls, and end the search between trials, so only a search that ends by the
        number of its trials is the same again.
    budget
        A trial whose model would have more leaves is passed over; None: of any size.
    seed, threads
        Of the sampler; of LightGBM.
    storage
        The file that keeps the trials (SQLite): it must belong to these arguments alone.
    progress
        Told of each trial.

    Raises
    ------
    FoldError, TrainingError
        Too few applicants of an outcome.
    SearchError
        The storage cannot be read or written.
    """
    import optuna  # noqa: PLC0415 - seconds of imports, for the search alone
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folds = list(make_folds(part.ids, checked_target(part), config.validation))
    try:
        study = _study(storage, optuna)
        while True:
            ended = _ended(study)
            spent = sum((trial.datetime_complete - trial.datetime_start).total_seconds() for trial in ended)
            if len(ended) >= plan.trials or (ended and spent >= plan.seconds):
                break
            progress(f"trial {len(ended) + 1} of {plan.trials}")
            study.sampler = optuna.samplers.TPESampler(seed=seed + len(ended), n_startup_trials=plan.startup_trials)
            study.pruner = optuna.pruners.MedianPruner(n_startup_trials=plan.startup_trials)
            trial = _ask(study, config, plan.space, first=not ended)
            tried = config.with_lightgbm(trial.params)
            _measure(study, trial, tried, budget, _fits(part, inputs, tried, folds, threads=threads))
        importance = _importance(study, optuna)
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        raise SearchError(
            f"the trials in {storage} cannot be read or written ({cause}); free disk space if it is full, delete the file if it is"
            " damaged, then run again"
        ) from error
    words = f"{len(ended)} trials" if len(ended) >= plan.trials else f"{len(ended)} trials in {spent:.1f} seconds"
    return Found(tuple(_trial(trial) for trial in ended), importance, words)


def judge(
    part: Part, inputs: Sequence[ModelInput], config: ModelConfig, found: Mapping[str, float], *, threads: int
) -> tuple[Comparison, ...]:
    """Compare parameters found with those in use, out of fold on the same applicants: AUC (DeLong) and log loss (bootstrap).

    On other folds than the search was measured on: the best of many trials is also the one that was luckiest with those.
    """
    other = config.validation.model_copy(update={"seed": config.validation.seed + 1, "repeats": 1})
    config = config.model_copy(update={"validation": other})
    both = (config.with_lightgbm(found), config)
    first, second = (
        cross_validate(part, inputs, one, threads=threads).table["pd"].to_numpy(dtype=np.float64) for one in both
    )
    target = part.labels
    (log_loss,) = compare(target, first, second, (LOG_LOSS,), seed=config.seed)
    return compare_auc(target, first, second), log_loss


def worth_a_change(comparisons: Sequence[Comparison]) -> tuple[bool, str]:
    """Tell whether the parameters found are better in log loss, and certainly worse in nothing.

    Returns
    -------
    tuple
        Whether they are taken over, and why in words.
    """
    by_name = {one.metric: one for one in comparisons}
    loss = by_name["log_loss"].difference
    figures = "; ".join(
        f"{one.metric} {one.first:.5f} against {one.second:.5f} ({one.difference.low:+.5f} to {one.difference.high:+.5f})"
        for one in comparisons
    )
    if loss.value >= 0 or any(one.verdict == "worse" for one in comparisons):
        return False, f"keep model.yaml: {figures}"
    return True, f"better than model.yaml: {figures}"


def _study(storage: Path, optuna: Any) -> Any:
    """Open the study; a trial that was running when its process was killed counts as failed and is not looked at again."""
    storage.parent.mkdir(parents=True, exist_ok=True)
    kept = optuna.storages.RDBStorage(f"sqlite:///{storage}")
    study = optuna.create_study(storage=kept, study_name=STUDY, direction="minimize", load_if_exists=True)
    for trial in study.get_trials(deepcopy=False, states=(_state("RUNNING"),)):
        study.tell(trial.number, state=_state("FAIL"))
    return study


def _ended(study: Any) -> list[Any]:
    return [trial for trial in study.get_trials() if trial.state.name in {"COMPLETE", "PRUNED"}]


def _ask(study: Any, config: ModelConfig, space: Mapping[str, Range], *, first: bool) -> Any:
    """Draw a trial; the first is the parameters in use."""
    in_use = {name: getattr(config.lightgbm, name) for name in space}
    if first and all(interval.holds(in_use[name]) for name, interval in space.items()):
        study.enqueue_trial(in_use)
    trial = study.ask()
    for name, interval in space.items():
        if isinstance(interval.low, int) and isinstance(interval.high, int):
            trial.suggest_int(name, interval.low, interval.high, log=interval.log)
        else:
            trial.suggest_float(name, interval.low, interval.high, log=interval.log)
    return trial


def _fits(
    part: Part, inputs: Sequence[ModelInput], config: ModelConfig, folds: Sequence[Fold], *, threads: int
) -> Iterator[tuple[float, int, bool]]:
    """Fit fold after fold: the log loss of those held out, the number of trees, and whether it was the last."""
    target = part.labels
    for number, fold in enumerate(folds):
        model = fit_model(part.take(fold.fitted), inputs, config, threads=threads, fold=fold)
        pds = model.predict(part.take(fold.held_out).frame)
        yield LOG_LOSS.measure(target[fold.held_out], pds), model.search.trees, number + 1 == len(folds)


def _measure(
    study: Any,
    trial: Any,
    config: ModelConfig,
    budget: ServingBudget | None,
    fits: Iterable[tuple[float, int, bool]],
) -> None:
    """Tell the study how a trial goes, fold after fold, until it ends or is given up."""
    losses, trees = [], []
    for loss, count, last in fits:
        losses.append(loss)
        trees.append(count)
        trial.report(float(np.mean(losses)), len(losses) - 1)
        if not last and trial.should_prune():
            study.tell(trial, state=_state("PRUNED"))
            return
    size = min(config.trees.maximum, round(float(np.mean(trees)) * config.trees.refit_factor))
    trial.set_user_attr("trees", size)
    if budget is not None and size * config.lightgbm.num_leaves > budget.maximum_leaves:
        trial.set_user_attr(OVER_BUDGET, True)
        study.tell(trial, state=_state("PRUNED"))
        return
    study.tell(trial, float(np.mean(losses)))


def _state(name: str) -> Any:
    from optuna.trial import TrialState  # noqa: PLC0415 - seconds of imports, for the search alone

    return TrialState[name]


def _trial(trial: Any) -> Trial:
    outcome = COMPLETE if trial.state.name == "COMPLETE" else PRUNED
    if trial.user_attrs.get(OVER_BUDGET):
        outcome = OVER_BUDGET
    folds = len(trial.intermediate_values)
    last = float(trial.intermediate_values[folds - 1])
    return Trial(outcome, dict(trial.params), folds, last, trial.user_attrs.get("trees"))


def _importance(study: Any, optuna: Any) -> dict[str, float]:
    """Share of each parameter in what tells good trials from the others (PED-ANOVA)."""
    complete = study.get_trials(deepcopy=False, states=(_state("COMPLETE"),))
    if len(complete) < FEWEST_FOR_IMPORTANCE:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}
