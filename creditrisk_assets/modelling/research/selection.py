"""Which features the model needs: each one's evidence, and a list that is frozen.

What belongs here: null importance, redundancy, stability over slices and the serving budget, put together to one verdict on each
feature. What does not: correlations (`redundancy`), slices (`slices`), what the policy forbids (`inputs`), whether the list is used
(`adoption`).

A gain says little alone: trees find something to split on in any noise. So the same trees learn shuffled outcomes too, and a feature
must gain more from the real ones than from a stated quantile of the shuffles. The histogram bins do not look at the outcome, so one
binning serves every fit.

References
----------
Altmann, Toloşi, Sander, Lengauer (2010), Permutation importance: a corrected feature importance measure, Bioinformatics 26.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.lake import write_atomically
from creditrisk_assets.modelling.booster import wait_passively
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.pipeline import new_encoder
from creditrisk_assets.modelling.policy import ServingBudget
from creditrisk_assets.modelling.research.budgets import SelectionRules
from creditrisk_assets.modelling.research.redundancy import rank_correlations
from creditrisk_assets.modelling.research.slice_stability import contradiction, effects
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import checked_target, uninformative

KEPT, CONSTANT, NULL_IMPORTANCE = "kept", "constant", "null_importance"
UNSTABLE, REDUNDANT, OVER_BUDGET = "unstable", "redundant", "over_budget"
REASONS = (KEPT, CONSTANT, NULL_IMPORTANCE, UNSTABLE, REDUNDANT, OVER_BUDGET)

Gains = NDArray[np.float64]
Matrix = NDArray[np.float32]


class SelectionError(ValueError):
    """Nothing can be selected on these applicants; the message says why and what to do."""


@dataclass(frozen=True)
class Verdict:
    """What became of one feature, and the figures it rests on."""

    feature: str
    family: str
    protected: bool  # constrained by the policy: dropped for redundancy alone
    gain: float  # median over the fits to the real outcomes
    gain_spread: float  # standard deviation over them
    null_gain: float  # the stated quantile of the shuffles
    shuffles_beaten: float  # share of the shuffles in which it gained less
    reason: str = KEPT
    words: str = ""
    twin: str | None = None  # the kept feature it is redundant to
    correlation: float | None = None  # of ranks, with the twin


@dataclass(frozen=True)
class Selection:
    """The verdict on every feature, largest gain first."""

    verdicts: tuple[Verdict, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """The frozen list, largest gain first."""
        return tuple(verdict.feature for verdict in self.verdicts if verdict.reason == KEPT)

    @property
    def counts(self) -> dict[str, int]:
        """How many features each reason has."""
        return {reason: sum(v.reason == reason for v in self.verdicts) for reason in REASONS}

    @property
    def table(self) -> pd.DataFrame:
        """One row per feature, as the contract has it."""
        rows = pd.DataFrame([vars(verdict) for verdict in self.verdicts])
        rows.insert(0, "rank", np.arange(1, len(rows) + 1, dtype=np.int64))
        return rows.astype({"twin": "string", "correlation": "float64"})


def select(
    part: Part,
    inputs: Sequence[ModelInput],
    slices: Mapping[str, Sequence[Any]],
    config: ModelConfig,
    rules: SelectionRules,
    budget: ServingBudget | None,
    *,
    seed: int,
    threads: int,
    checkpoints: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Selection:
    """Judge every feature on some applicants.

    Parameters
    ----------
    part
        The applicants with their outcomes and every input; the order of the rows changes nothing.
    inputs
        The features to choose among. Those with a monotone constraint are dropped for redundancy alone: the policy wants them.
    slices
        Segment -> the value of each applicant.
    config
        LightGBM's parameters; resampling is left out, it would shift every gain alike.
    rules
        Limits.
    budget
        The most features; None: as many as there are.
    seed, threads
        Of the fits and shuffles; gains do not depend on the threads.
    checkpoints
        Directory that keeps each fit's gains; what is there is not fitted again, so it must belong to these arguments alone.
    progress
        Told of each step.

    Returns
    -------
    Selection
        A verdict on every input.

    Raises
    ------
    TrainingError
        One outcome only.
    SelectionError
        Too few defaults for evidence, no feature beats its shuffles, or the constrained features alone pass the budget.
    """
    target = _enough(part, rules)
    order = np.argsort(part.ids, kind="stable")
    part, target = part.take(order), target[order]
    slices = {segment: [values[row] for row in order] for segment, values in slices.items()}
    constant = uninformative(part.frame, [i.name for i in inputs])
    used = [i for i in inputs if i.name not in constant]
    if not used:
        raise SelectionError("every feature is constant or empty; nothing can be selected, so check the features")
    matrix = new_encoder().fit_transform(part.of([i.name for i in used]).frame)
    running: dict[str, Any] = {"seed": seed, "threads": threads, "checkpoints": checkpoints, "progress": progress}
    real, null = _gains(matrix, target, used, config, rules, **running)
    progress("comparing ranks and slices")
    verdicts = _ranked(used, real, null, rules)
    if not any(verdict.gain > verdict.null_gain for verdict in verdicts):
        raise SelectionError(
            f"no feature gains more from the outcomes of {len(part):,} applicants than from shuffled ones; nothing is selected, and"
            " everyday runs go on without a selection. Give a larger source, or look at the outcome"
        )
    columns = {i.name: matrix[:, place] for place, i in enumerate(used)}
    verdicts = _stable(verdicts, columns, target, slices, rules)
    verdicts = _distinct(verdicts, {i.name: i.kind for i in used}, columns, rules)
    verdicts = _affordable(verdicts, budget)
    rest = [Verdict(i.name, i.family, bool(i.monotone), 0.0, 0.0, 0.0, 0.0) for i in inputs if i.name in constant]
    dropped = [v if v.protected else replace(v, reason=CONSTANT, words=constant[v.feature]) for v in rest]
    return Selection((*verdicts, *dropped))


def _enough(part: Part, rules: SelectionRules) -> NDArray[np.int64]:
    target = checked_target(part)
    if (defaults := int(target.sum())) < rules.minimum_defaults:
        raise SelectionError(
            f"{defaults} defaults among {len(part):,} applicants are too few to tell a feature from luck (limit"
            f" {rules.minimum_defaults}); give a larger source. Everyday runs go on without a selection"
        )
    return target


def _gains(
    matrix: Matrix,
    target: NDArray[np.int64],
    inputs: Sequence[ModelInput],
    config: ModelConfig,
    rules: SelectionRules,
    *,
    seed: int,
    threads: int,
    checkpoints: Path | None,
    progress: Callable[[str], None],
) -> tuple[Gains, Gains]:
    """Fit real and shuffled outcomes: (seeds, p) and (shuffles, p) gains."""
    import lightgbm  # noqa: PLC0415 - seconds of imports, for training alone

    wait_passively()
    parameters = {
        **config.lightgbm.model_dump(),
        "objective": "binary",
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": threads,
        "verbosity": -1,
        "monotone_constraints": [i.monotone for i in inputs],
    }
    data = lightgbm.Dataset(matrix, label=target, params=parameters, free_raw_data=False)

    def fit(outcomes: NDArray[np.int64], number: int) -> Gains:
        seeds = {"bagging_seed": seed + number, "feature_fraction_seed": seed + number}
        data.construct().set_label(outcomes)
        booster = lightgbm.train({**parameters, **seeds}, data, num_boost_round=rules.trees)
        return np.asarray(booster.feature_importance("gain"), dtype=np.float64)

    real, null = [], []
    for number in range(rules.seeds):
        progress(f"fit {number + 1} of {rules.seeds} to the outcomes")
        real.append(_kept(checkpoints, f"real-{number}", len(inputs), partial(fit, target, number)))
    for number in range(rules.shuffles):
        progress(f"shuffle {number + 1} of {rules.shuffles}")
        shuffled = np.random.default_rng([seed, number]).permutation(target)
        null.append(_kept(checkpoints, f"shuffle-{number}", len(inputs), partial(fit, shuffled, number)))
    return np.vstack(real), np.vstack(null)


def _kept(directory: Path | None, name: str, size: int, compute: Callable[[], Gains]) -> Gains:
    """Return what an earlier, interrupted run found, or compute it and keep it; a damaged file is computed anew."""
    if directory is None:
        return compute()
    path = directory / f"{name}.json"
    try:
        gains = np.array(json.loads(path.read_text("utf-8")), dtype=np.float64)
    except (FileNotFoundError, ValueError, TypeError):
        gains = np.empty(0)
    if gains.shape != (size,):
        gains = compute()
        write_atomically(path, json.dumps(gains.tolist()))
    return gains


def _ranked(inputs: Sequence[ModelInput], real: Gains, null: Gains, rules: SelectionRules) -> list[Verdict]:
    """Hold each feature's gain against its shuffles; largest gain first, ties by name."""
    # the median: a mean would let one lucky fit in five pass a feature that is seldom split on, whose quantile is 0
    gain, limit = np.median(real, axis=0), np.quantile(null, rules.null_quantile, axis=0)
    verdicts = []
    for place, item in enumerate(inputs):
        verdict = Verdict(
            feature=item.name,
            family=item.family,
            protected=bool(item.monotone),
            gain=float(gain[place]),
            gain_spread=float(real[:, place].std()),
            null_gain=float(limit[place]),
            shuffles_beaten=float((null[:, place] < gain[place]).mean()),
        )
        if verdict.gain <= verdict.null_gain and not verdict.protected:
            words = (
                f"gains {verdict.gain:.4g}, and {verdict.null_gain:.4g} at the {rules.null_quantile:.0%} quantile of"
                f" {len(null)} shuffled outcomes"
            )
            verdict = replace(verdict, reason=NULL_IMPORTANCE, words=words)
        verdicts.append(verdict)
    return sorted(verdicts, key=lambda one: (-one.gain, one.feature))


def _stable(
    verdicts: Sequence[Verdict],
    columns: Mapping[str, Matrix],
    target: NDArray[np.int64],
    slices: Mapping[str, Sequence[Any]],
    rules: SelectionRules,
) -> list[Verdict]:
    """Drop what contradicts itself between slices; the significance is shared by every effect looked at (Bonferroni)."""
    judged = [v.feature for v in verdicts if v.reason == KEPT and not v.protected]
    found = {name: effects(columns[name], target, slices, rules.slice_minimum) for name in judged}
    looks = max(1, sum(len(some) for some in found.values()))
    significance = rules.slice_significance / looks
    words = {
        name: contradiction(some, significance=significance, rest_share=rules.slice_rest_share)
        for name, some in found.items()
    }
    return [replace(v, reason=UNSTABLE, words=said) if (said := words.get(v.feature)) else v for v in verdicts]


def _distinct(
    verdicts: Sequence[Verdict], kinds: Mapping[str, str], columns: Mapping[str, Matrix], rules: SelectionRules
) -> list[Verdict]:
    """Keep one of those that rank applicants alike: a constrained one before others, then the one of larger gain.

    A twin without the constraint would carry what the policy constrains. Codes of categories are no ranks and are not compared.
    """
    compared = [v for v in verdicts if v.reason == KEPT and kinds[v.feature] != "category"]
    compared.sort(key=lambda v: not v.protected)  # stable: by gain within
    if not compared:
        return list(verdicts)
    alike = np.abs(rank_correlations(np.column_stack([columns[v.feature] for v in compared])))
    kept: list[int] = []
    twins: dict[str, tuple[str, float]] = {}
    for place, verdict in enumerate(compared):
        nearest = max(kept, key=lambda other: alike[place, other], default=None)
        if nearest is not None and alike[place, nearest] >= rules.redundant_correlation:
            twins[verdict.feature] = (compared[nearest].feature, float(alike[place, nearest]))
        else:
            kept.append(place)
    return [_redundant(v, *twins[v.feature]) if v.feature in twins else v for v in verdicts]


def _redundant(verdict: Verdict, twin: str, correlation: float) -> Verdict:
    words = f"ranks applicants as {twin} does (correlation {correlation:.3f})"
    return replace(verdict, reason=REDUNDANT, words=words, twin=twin, correlation=correlation)


def _affordable(verdicts: Sequence[Verdict], budget: ServingBudget | None) -> list[Verdict]:
    """Cut the list to the budget by rank, after those the policy constrains."""
    kept = sorted((v for v in verdicts if v.reason == KEPT), key=lambda v: not v.protected)
    if budget is None or len(kept) <= budget.maximum_features:
        return list(verdicts)
    constrained = sum(v.protected for v in kept)
    if constrained > budget.maximum_features:
        raise SelectionError(
            f"the policy constrains {constrained} features that are to be kept, and its serving budget has room for"
            f" {budget.maximum_features}; raise `serving_budget.maximum_features` or take names out of `monotone`"
        )
    over = {v.feature for v in kept[budget.maximum_features :]}
    words = f"rank beyond the {budget.maximum_features} features of the policy's serving budget"
    return [replace(v, reason=OVER_BUDGET, words=words) if v.feature in over else v for v in verdicts]
