"""How much a figure out of fold flatters a model whose features were selected on the same applicants.

    CREDITRISK_HOME=… python -m creditrisk_assets_tests.benchmarks.selection_optimism 2000

Selects within each fold, on the applicants it is fitted on, and once on everybody; then fits and scores the same folds both ways. Written
to standard output: AUC out of fold with all inputs, selected within, selected outside, and the paired differences.
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console

from creditrisk_assets.defs.evaluation import segments_of
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import choose
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.comparison import compare_auc
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.folds import Fold, make_folds
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.research import load_research, research_part
from creditrisk_assets.modelling.selection import select
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.modelling.training import fit_model
from creditrisk_assets.settings import Settings

SHUFFLES, TREES, THREADS = 20, 60, 1
console = Console(highlight=False)


def main(applicants: int) -> None:
    """Measure on some of the training applicants."""
    settings, policy, config, research = Settings(), load_policy(), load_configuration(), load_research()
    choice = choose(settings)
    part = read_part(Lake(settings.lake).require(SPLIT_TRAIN).data, choice.all)
    part = research_part(part, research.model_copy(update={"applicants": applicants}))
    rules = research.selection.model_copy(update={"shuffles": SHUFFLES, "trees": TREES, "minimum_defaults": 50})

    def selected(some: Part) -> list[ModelInput]:
        slices = segments_of(some, policy)
        found = select(some, choice.allowed, slices, config, rules, None, seed=research.seed, threads=THREADS)
        listed = set(found.features)
        return [i for i in choice.allowed if i.name in listed]

    folds = list(make_folds(part.ids, part.labels, config.validation))

    def out_of_fold(inputs: Callable[[Fold], Sequence[ModelInput]]) -> np.ndarray:
        pds = np.empty(len(part))
        for fold in folds:
            model = fit_model(part.take(fold.fitted), inputs(fold), config, threads=THREADS, fold=fold)
            pds[fold.held_out] = model.predict(part.take(fold.held_out).frame)
        return pds

    once = selected(part)
    within: list[int] = []

    def inside(fold: Fold) -> Sequence[ModelInput]:
        inputs = selected(part.take(fold.fitted))
        within.append(len(inputs))
        return inputs

    outside, unflattered = out_of_fold(lambda _: once), out_of_fold(inside)
    everything = out_of_fold(lambda _: choice.allowed)
    console.print(f"{len(part)} applicants, {int(part.labels.sum())} defaults, {len(choice.allowed)} inputs")
    console.print(f"selected outside the folds: {len(once)}; within: {within}")
    for name, first, second in (
        ("outside - within (optimism)", outside, unflattered),
        ("within - all inputs (gain)", unflattered, everything),
    ):
        found = compare_auc(part.labels, first, second)
        low, high = found.difference.low, found.difference.high
        console.print(
            f"{name}: {found.first:.4f} - {found.second:.4f} = {found.difference.value:+.4f} ({low:+.4f} to {high:+.4f})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
