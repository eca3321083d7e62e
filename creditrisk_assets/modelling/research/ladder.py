"""The ablation ladder: what each family of features adds, on the same applicants and folds.

What belongs here: the rungs, their margins out of fold, what each gains over the rung below. What does not: fitting (`training`), learned
features (`learned`), pictures (`ladder_plot`), which version it is made from (`defs.ladder`).

A rung has all inputs of the rungs below and some more. The rungs of learned features do not stand on each other: each has one kind of them
on top of every feature of the store.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.contracts.features import GRIDS
from creditrisk_assets.contracts.features.grid import ALL
from creditrisk_assets.features.families import PRESENCE
from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.calibration_fitting import cross_fitted_pds, fit_calibrator
from creditrisk_assets.modelling.comparison import Comparison, compare_auc
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.folds import FoldError, make_folds
from creditrisk_assets.modelling.inputs import Lineage, ModelInput
from creditrisk_assets.modelling.research.budgets import ResearchConfig
from creditrisk_assets.modelling.research.results import Results
from creditrisk_assets.modelling.training import TrainingError, checked_target, fit_model

if TYPE_CHECKING:
    from creditrisk_assets.modelling.research.learned.kinds import Material

EXTERNAL, RECENCY, CONTROL = "external_scores", "recency", "control"
FAMILY_WORDS = {
    "application": "the rest of the application: amounts, affordability, person, building",
    "bureau": "credits at other lenders",
    "previous_application": "earlier applications here",
    "installments": "instalments paid and missed",
    "credit_card": "credit cards held here",
    "pos_cash": "point-of-sale and cash loans held here",
}


class LadderError(ValueError):
    """The ladder cannot be climbed with these features or applicants; the message says why."""


@dataclass(frozen=True)
class Rung:
    """Inputs to fit with, and the rung it is compared with."""

    name: str
    words: str  # what it adds
    inputs: tuple[ModelInput, ...]
    below: str | None = None  # None: the lowest
    learned: str | None = None  # a kind of learned features on top


@dataclass(frozen=True)
class Climbed:
    """A rung's margins out of fold, and what they cost."""

    margins: NDArray[np.float64]  # of each applicant, the mean over the repeats
    inputs: int  # with learned ones
    seconds: float  # of processor time, all threads together

    def kept(self) -> dict[str, Any]:
        """Render as JSON values."""
        return {**asdict(self), "margins": self.margins.tolist()}


def make_rungs(inputs: Sequence[ModelInput], lineage: Lineage) -> tuple[Rung, ...]:
    """Order the inputs into rungs.

    The lowest has what is made of the external scores alone, by lineage. Then come the families in the order of the store, each with
    the flag that says whether there is such a history. Features over a window of days or months or over the last few rows, by the
    families' grids, come after all families, as one rung. Then each kind of learned features.

    Parameters
    ----------
    inputs
        Inputs allowed.
    lineage
        Of every one of them.

    Returns
    -------
    tuple
        Families of which no input is allowed have no rung.

    Raises
    ------
    LadderError
        An input belongs to no family.
    """
    from creditrisk_assets.modelling.research.learned.kinds import KINDS  # noqa: PLC0415 - imports scikit-learn

    windowed = _windowed()
    places = {item.name: _place(item, lineage, windowed) for item in inputs}
    words = {EXTERNAL: "the external scores alone"} | FAMILY_WORDS | {RECENCY: "windows, last few, their quotients"}
    if strangers := sorted({place for place in places.values() if place not in words}):
        raise LadderError(
            f"the families {', '.join(strangers)} are on no rung; add them to modelling/research/ladder.py"
        )
    rungs: list[Rung] = []
    reached: set[str] = set()
    for name, said in words.items():
        if name in places.values():
            reached.add(name)
            some = tuple(item for item in inputs if places[item.name] in reached)
            rungs.append(Rung(name, said, some, rungs[-1].name if rungs else None))
    top = rungs[-1]
    return (*rungs, *(Rung(name, kind.words, top.inputs, top.name, name) for name, kind in KINDS.items()))


def climb(rung: Rung, material: "Material", config: ModelConfig, research: ResearchConfig, *, threads: int) -> Climbed:
    """Cross-validate one rung.

    Learned features are learned anew in every fold, from its fitted rows; the number of trees is found by early stopping on one inner
    fold of them. That fold's outcomes do take part in the values of the other fitted rows, so a rung of learned features may stop a
    little late; those held out are not touched by it.

    Parameters
    ----------
    rung
        What to fit with.
    material
        The applicants, with all inputs.
    config
        The model in use; the ladder's budget takes the place of its trees and learning rate.
    research
        The budget.
    threads
        Threads of LightGBM; margins do not depend on them.

    Raises
    ------
    LadderError
        There are too few applicants for the folds, or nothing can be fitted or learned.
    """
    from creditrisk_assets.modelling.research.learned.crossfit import LearnedError  # noqa: PLC0415 - imports scikit-learn
    from creditrisk_assets.modelling.research.learned.kinds import KINDS, learned_columns  # noqa: PLC0415

    budget, begin = research.ladder, time.process_time()
    quick = {"learning_rate": budget.learning_rate}
    trees = {"maximum": budget.maximum_trees, "stop_after": budget.stop_after}
    config = config.model_copy(
        update={
            "lightgbm": config.lightgbm.model_copy(update=quick),
            "trees": config.trees.model_copy(update=trees),
        }
    )
    names = [item.name for item in rung.inputs]
    margins, inputs = np.zeros(len(material.part)), rung.inputs
    try:
        for fold in make_folds(material.part.ids, checked_target(material.part), config.validation):
            fitted, held_out = material.part.take(fold.fitted).of(names), material.part.take(fold.held_out).of(names)
            if rung.learned is not None:
                kind = KINDS[rung.learned]
                sides = material.take(fold.fitted), material.take(fold.held_out)
                fitted, held_out, new = learned_columns(kind, *sides, budget.learned, research.seed)
                inputs = (*rung.inputs, *new)
            model = fit_model(fitted, inputs, config, threads=threads, fold=fold)
            margins[fold.held_out] += model.margins(held_out.frame)
    except (FoldError, LearnedError, TrainingError) as error:
        raise LadderError(f"rung {rung.name} cannot be climbed: {error}") from error
    return Climbed(margins / config.validation.repeats, len(inputs), time.process_time() - begin)


def climb_all(
    rungs: Sequence[Rung],
    material: "Material",
    config: ModelConfig,
    research: ResearchConfig,
    *,
    threads: int,
    shelf: Path,
    made_from: Mapping[str, str],
    log: Callable[[str], None] = lambda _: None,
) -> dict[str, Climbed]:
    """Cross-validate every rung, but for those that an earlier run has done: a run that is killed goes on where it was.

    Parameters
    ----------
    rungs, material, config, research, threads
        As in `climb`.
    shelf
        Directory of finished rungs, one small file each. Files of rungs that are not asked for any more are deleted in the end.
    made_from
        Versions of the tables and of the code: a rung made from others is climbed anew. So is one whose file is damaged.
    log
        Told of each rung.

    Returns
    -------
    dict
        Rung -> what it came to, in order.
    """
    results, found = Results(shelf, made_from), {}
    for rung in rungs:
        log(f"rung {rung.name}: {len(rung.inputs)} inputs")
        kept, new = results.once(
            rung.name,
            _depends_on(rung, config, research),
            partial(_climb_to_keep, rung, material, config, research, threads),
            complete=partial(_whole, applicants=len(material.part)),
        )
        if not new:
            log(f"rung {rung.name} was done by an earlier run")
        found[rung.name] = Climbed(np.array(kept["margins"], dtype=np.float64), kept["inputs"], kept["seconds"])
    results.sweep()
    return found


def _climb_to_keep(
    rung: Rung, material: "Material", config: ModelConfig, research: ResearchConfig, threads: int
) -> dict[str, Any]:
    return climb(rung, material, config, research, threads=threads).kept()


def _whole(part: Mapping[str, Any], applicants: int) -> bool:
    """Tell whether a rung that was kept has a margin for every applicant."""
    margins = np.array(part.get("margins", ()), dtype=np.float64)
    return {"inputs", "seconds"} <= part.keys() and margins.shape == (applicants,) and bool(np.isfinite(margins).all())


def tabulate(
    rungs: Sequence[Rung], climbed: Mapping[str, Climbed], material: "Material", config: ModelConfig
) -> pd.DataFrame:
    """Measure every rung, and what it gains over the one it is compared with.

    Returns
    -------
    DataFrame
        One row per rung, as `contracts.ladder` declares it. Intervals are DeLong's (95 %), those of gains paired; the Brier score is of PDs
        calibrated out of fold.
    """
    return pd.DataFrame(list(_rows(rungs, climbed, material, config)))


def beside_control(
    rungs: Sequence[Rung], climbed: Mapping[str, Climbed], material: "Material"
) -> dict[str, Comparison]:
    """Compare each kind of learned features with the control, which has more columns and says nothing new.

    Returns
    -------
    dict
        Rung -> the comparison of AUCs, paired. A gain over the rung below that is none over the control is the columns' and not the kind's.
    """
    target, control = material.part.labels, climbed[CONTROL].margins
    kinds = [rung.name for rung in rungs if rung.learned is not None and rung.learned != CONTROL]
    return {name: compare_auc(target, climbed[name].margins, control) for name in kinds}


def _rows(
    rungs: Sequence[Rung], climbed: Mapping[str, Climbed], material: "Material", config: ModelConfig
) -> Iterator[dict[str, Any]]:
    target = material.part.labels
    folds = [fold for fold in make_folds(material.part.ids, target, config.validation) if fold.repeat == 0]
    number = np.empty(len(target), dtype=np.int64)
    for fold in folds:
        number[fold.held_out] = fold.number
    for place, rung in enumerate(rungs):
        margins = climbed[rung.name].margins
        auc = auc_interval(target, margins)
        kind = fit_calibrator(target, margins, number).calibrator.kind
        pds = cross_fitted_pds(kind, target, margins, number)
        row = {
            "rung": rung.name,
            "place": place,
            "adds": rung.words,
            "against": rung.below,
            "inputs_count": climbed[rung.name].inputs,
            "auc": auc.value,
            "auc_low": auc.low,
            "auc_high": auc.high,
            "gain": None,
            "gain_low": None,
            "gain_high": None,
            "p_value": None,
            "verdict": None,
            "brier": float(np.mean((pds - target) ** 2)),
        }
        if rung.below is not None:
            against = compare_auc(target, margins, climbed[rung.below].margins)
            gain = against.difference
            row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
            row |= {"p_value": against.p_value, "verdict": against.verdict}
        yield row


def _place(item: ModelInput, lineage: Lineage, windowed: frozenset[str]) -> str:
    from creditrisk_assets.modelling.research.learned.kinds import SCORES  # noqa: PLC0415 - imports scikit-learn

    if {column for _, column in lineage[item.name]} <= set(SCORES.values()):
        return EXTERNAL
    if item.name in windowed:
        return RECENCY
    return PRESENCE.get(item.name, item.family)


def _windowed() -> frozenset[str]:
    """Return the features over a window, a number of rows, or a quotient of two."""
    return frozenset(
        cell.name
        for grid in GRIDS.values()
        for cell in grid.cells()
        if any(window is not ALL for window in cell.windows)
    )


def _depends_on(rung: Rung, config: ModelConfig, research: ResearchConfig) -> dict[str, Any]:
    """Name all that a rung depends on besides what it is made from."""
    return {
        "inputs": [f"{item.name}:{item.kind}:{item.monotone}" for item in rung.inputs],
        "learned": rung.learned,
        "configuration": config.digest,
        "budget": research.model_dump(mode="json", include={"seed", "applicants", "ladder"}),
    }
