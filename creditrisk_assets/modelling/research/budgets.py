"""What the research job tries: the frozen form of `research.yaml`, the applicants it looks at and their folds.

What belongs here: budgets, and who is looked at. What does not: the model in use (`configuration`), what is tried (a module for each).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from creditrisk_assets.modelling.configuration import ModelConfig, load_configuration, read_yaml
from creditrisk_assets.modelling.folds import Fold, FoldError, assign_folds, make_folds
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError, checked_target

DEFAULT_PATH = Path(__file__).with_name("research.yaml")

Count = Annotated[int, Field(ge=1)]
Correlation = Annotated[float, Field(gt=0, le=1)]
InformationValue = Annotated[float, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LearnedBudget(_Frozen):
    """What features that are fitted may spend (`modelling.learned`)."""

    folds: Annotated[int, Field(ge=2, le=20)]
    neighbours: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    smallest_group: Annotated[int, Field(ge=1)]
    smoothing: Annotated[float, Field(gt=0)]
    trees: Annotated[int, Field(ge=1)]
    leaves: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0)]
    rows_per_leaf: Annotated[int, Field(ge=1)]
    history_rows: Annotated[int, Field(ge=1000)]


class LadderBudget(_Frozen):
    """How the models of the ablation ladder are fitted (`modelling.ladder`)."""

    learning_rate: Annotated[float, Field(gt=0)]
    maximum_trees: Annotated[int, Field(ge=1)]
    stop_after: Annotated[int, Field(ge=1)]
    learned: LearnedBudget


class HistogramBudget(_Frozen):
    """Of scikit-learn's histogram gradient boosting; sizes are the default model's."""

    trees: Count
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    stop_after: Count


class ScorecardBudget(_Frozen):
    """Of the scorecard: which inputs may be on it, and how finely they are binned."""

    inputs: Count
    smallest_information_value: InformationValue
    largest_correlation: Correlation
    bins: Annotated[int, Field(ge=2, le=20)]
    smallest_bin_share: Annotated[float, Field(gt=0, lt=0.5)]
    seconds_per_input: Count


class GlassBoxBudget(_Frozen):
    """Of the explainable boosting machine."""

    applicants: Annotated[int, Field(ge=1000)]
    inputs: Annotated[int, Field(ge=1, le=40)]
    smallest_information_value: InformationValue
    largest_correlation: Correlation
    bins: Annotated[int, Field(ge=8, le=1024)]
    bags: Count
    interactions: Annotated[int, Field(ge=0)]


class AncestorBudget(_Frozen):
    """Of the ancestor's recipe: exact splits of every row make it slow."""

    applicants: Annotated[int, Field(ge=1000)]
    trees: Count
    depth: Count


class ChallengerBudgets(_Frozen):
    """What each standing challenger may spend."""

    histogram: HistogramBudget
    scorecard: ScorecardBudget
    glass_box: GlassBoxBudget
    ancestor: AncestorBudget


class SelectionRules(_Frozen):
    """From when a feature is not worth its place; `selection` measures it."""

    shuffles: Annotated[int, Field(ge=20)]
    seeds: Annotated[int, Field(ge=1)]
    trees: Annotated[int, Field(ge=1)]
    null_quantile: Annotated[float, Field(ge=0.5, lt=1)]
    redundant_correlation: Annotated[float, Field(gt=0.5, le=1)]
    slice_minimum: Annotated[int, Field(ge=10)]
    slice_significance: Annotated[float, Field(gt=0, lt=0.5)]
    slice_rest_share: Annotated[float, Field(ge=0, lt=1)]
    minimum_defaults: Annotated[int, Field(ge=2)]
    maximum_auc_loss: Annotated[float, Field(ge=0, lt=0.5)]


class Range(_Frozen):
    """Where one parameter is looked for; whole numbers where both ends are."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low must lie below high")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic range begins above 0")
        return self

    def holds(self, value: float) -> bool:
        """Tell whether a value lies in it."""
        return self.low <= value <= self.high


class SearchPlan(_Frozen):
    """Which of LightGBM's parameters are looked for where, and how much that may cost."""

    trials: Annotated[int, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0)]
    startup_trials: Annotated[int, Field(ge=1)]
    space: Annotated[Mapping[str, Range], Field(min_length=1)]

    @field_validator("space")
    @classmethod
    def _lightgbm_takes_both_ends(cls, space: Mapping[str, Range]) -> Mapping[str, Range]:
        known = load_configuration().lightgbm
        for end in ("low", "high"):
            known.with_values({name: getattr(interval, end) for name, interval in space.items()})
        return space


class ResearchConfig(_Frozen):
    """The budgets as one value."""

    version: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    applicants: Annotated[int, Field(ge=1000)]
    selection: SelectionRules
    search: SearchPlan
    challengers: ChallengerBudgets
    ladder: LadderBudget


def load_research(path: Path | None = None) -> ResearchConfig:
    """Read the research budgets; None: those beside this module.

    Raises
    ------
    ConfigurationError
        The file cannot be read or a field is wrong.
    """
    return read_yaml(path or DEFAULT_PATH, ResearchConfig, "the file of research budgets")


def research_part(part: Part, config: ResearchConfig) -> Part:
    """Return the applicants research looks at: the part, or as many of it as the budget allows, with its default rate.

    Parameters
    ----------
    part
        The training part, with TARGET.
    config
        The budget. Another seed draws others.
    """
    if len(part) <= config.applicants:
        return part
    pieces = 1000
    piece = assign_folds(part.ids, part.labels, pieces, f"research/{config.seed}")
    return part.take(np.flatnonzero(piece < round(pieces * config.applicants / len(part))))


def research_folds(part: Part, config: ModelConfig) -> list[Fold]:
    """Return the folds everything in research is compared on: the first repeat of those the model is cross-validated by.

    Raises
    ------
    TrainingError
        No applicants, or too few of one outcome for the folds.
    """
    target = checked_target(part)
    try:
        return list(make_folds(part.ids, target, config.validation.model_copy(update={"repeats": 1})))
    except FoldError as error:
        raise TrainingError(f"the applicants cannot be cross-validated: {error}") from error
