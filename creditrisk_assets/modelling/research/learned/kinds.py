"""Which learned features there are: what each kind looks at, and the columns it adds to a fit.

What belongs here: the choice of columns by lineage and policy, putting learned columns beside the features. What does not: how a kind
learns (the modules beside this one), what its columns are worth (`ladder`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import FLOAT32_LIMIT
from creditrisk_assets.modelling.inputs import Lineage, ModelInput
from creditrisk_assets.modelling.research.budgets import LearnedBudget
from creditrisk_assets.modelling.research.learned.control import Copies
from creditrisk_assets.modelling.research.learned.crossfit import CrossFitted, LearnedError
from creditrisk_assets.modelling.research.learned.encoding import ExcessRate
from creditrisk_assets.modelling.research.learned.groups import GroupRelative
from creditrisk_assets.modelling.research.learned.history import History, HistoryModel
from creditrisk_assets.modelling.research.learned.neighbours import NeighbourRate
from creditrisk_assets.modelling.research.learned.scores import PredictedScores
from creditrisk_assets.modelling.tables import Part

FAMILY = "learned"
SCORES = {
    "application__ext_1_score": "EXT_SOURCE_1",
    "application__ext_2_score": "EXT_SOURCE_2",
    "application__ext_3_score": "EXT_SOURCE_3",
}
NEAR_BY = (*SCORES, "application__credit_annuity_ratio")
# Widest first. Age and sex, which would come to mind, are prohibited attributes.
GROUPS = (
    ("application__education_category", "application__occupation_category"),
    ("application__income_type_category", "application__contract_type_category"),
    ("application__organization_category",),
)
COMPARED = (
    "application__income_amt",
    "application__credit_amt",
    "application__annuity_amt",
    "application__credit_income_ratio",
    "application__annuity_income_ratio",
    "application__employed_days",
    "application__ext_score_mean",
)
ENCODED = (
    *GROUPS,
    ("previous_application__product_category_last",),
    ("previous_application__goods_category_last",),
    ("bureau__type_category_last_1",),
)
PREDICTED_FROM = "application"  # the family: its features are known for every applicant


@dataclass(frozen=True)
class Material:
    """Some applicants, with everything that features are learned from."""

    part: Part  # with the allowed inputs alone
    inputs: tuple[ModelInput, ...]
    lineage: Lineage
    histories: Mapping[str, History]  # raw table -> the rows of these applicants, in their order

    def take(self, rows: NDArray[np.int64]) -> "Material":
        """Return some of the applicants, in the order given."""
        histories = {table: history.take(rows) for table, history in self.histories.items()}
        return Material(self.part.take(rows), self.inputs, self.lineage, histories)

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """Return features, every one of them an allowed input.

        Raises
        ------
        LearnedError
            One is not: the policy prohibits what it is made of, or no family makes it.
        """
        if strangers := sorted(set(names) - {item.name for item in self.inputs}):
            raise LearnedError(
                f"{', '.join(strangers)} is no allowed input of the model, so nothing may be learned from it; choose another column"
                " in modelling/learned/kinds.py, or mend the policy file"
            )
        return self.part.frame[list(names)]


@dataclass(frozen=True)
class Learner:
    """A transformer, and what it looks at."""

    transformer: Any
    look: Callable[[Material], Any]
    prefix: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of learned features.

    Attributes
    ----------
    words
        What it is.
    learners
        Makes its transformers, given the applicants (for their columns alone), the budget and the seed.
    exports
        Whether it can be written as a table that a service looks up without scikit-learn.
    """

    words: str
    learners: Callable[[Material, LearnedBudget, int], tuple[Learner, ...]]
    exports: bool


def learned_columns(
    kind: Kind, fitted: Material, others: Material, budget: LearnedBudget, seed: int
) -> tuple[Part, Part, tuple[ModelInput, ...]]:
    """Learn from the rows of a fit, and put the columns beside the features.

    Parameters
    ----------
    kind
        One of `KINDS`.
    fitted
        Applicants of the fit; their values are cross-fitted, where the kind looks at outcomes.
    others
        Applicants held out: no column of theirs takes part in what is learned.
    budget, seed
        What it may spend.

    Returns
    -------
    tuple
        Both parts with the new columns, and the new columns as inputs.

    Raises
    ------
    LearnedError
        As the transformers raise it.
    """
    inside, outside = _columns(fitted.part), _columns(others.part)
    inputs = []
    for learner in kind.learners(fitted, budget, seed):
        transformer, rows = learner.transformer, learner.look(fitted)
        given = {"ids": fitted.part.ids} if isinstance(transformer, CrossFitted) else {}
        columns = transformer.fit_transform(rows, fitted.part.labels, **given)
        new = transformer.transform(learner.look(others))
        for place, name in enumerate(transformer.get_feature_names_out()):
            item = ModelInput(f"{FAMILY}__{learner.prefix}{name}", FAMILY, "numeric")
            inside[item.name], outside[item.name] = _float32(columns[:, place]), _float32(new[:, place])
            inputs.append(item)
    return _with(fitted.part, inside), _with(others.part, outside), tuple(inputs)


def _columns(part: Part) -> dict[str, Any]:
    return {str(name): part.frame[name].array for name in part.frame}


def _with(part: Part, columns: Mapping[str, Any]) -> Part:
    return Part(part.ids, part.target, pd.DataFrame(columns, index=pd.RangeIndex(len(part)), copy=False))


def _float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    rounded: NDArray[np.float32] = np.clip(values, -FLOAT32_LIMIT, FLOAT32_LIMIT).astype(np.float32)
    return rounded


def _control(_: Material, _budget: LearnedBudget, _seed: int) -> tuple[Learner, ...]:
    return (Learner(Copies(2), lambda material: material.frame(list(SCORES))),)


def _neighbours(_: Material, budget: LearnedBudget, seed: int) -> tuple[Learner, ...]:
    transformer = NeighbourRate(budget.neighbours, folds=budget.folds, seed=seed)
    return (Learner(transformer, lambda material: material.frame(NEAR_BY)),)


def _group_relative(_: Material, budget: LearnedBudget, _seed: int) -> tuple[Learner, ...]:
    names = [*COMPARED, *_names(GROUPS)]
    transformer = GroupRelative(COMPARED, GROUPS, smallest=budget.smallest_group)
    return (Learner(transformer, lambda material: material.frame(names)),)


def _target_encoding(_: Material, budget: LearnedBudget, seed: int) -> tuple[Learner, ...]:
    transformer = ExcessRate(ENCODED, smoothing=budget.smoothing, folds=budget.folds, seed=seed)
    return (Learner(transformer, lambda material: material.frame(_names(ENCODED))),)


def _predicted_scores(material: Material, budget: LearnedBudget, seed: int) -> tuple[Learner, ...]:
    scores = {score: predictors(material, column) for score, column in SCORES.items()}
    names = list(dict.fromkeys([*scores, *(name for features in scores.values() for name in features)]))
    return (Learner(PredictedScores(scores, **_small_model(budget, seed)), lambda some: some.frame(names)),)


def _history_models(material: Material, budget: LearnedBudget, seed: int) -> tuple[Learner, ...]:
    return tuple(
        Learner(HistoryModel(**_small_model(budget, seed)), _rows_of(table), f"{table}_")
        for table in material.histories
    )


def predictors(material: Material, column: str) -> tuple[str, ...]:
    """Return the application's features that are not made of a raw column: what may predict it."""
    return tuple(
        item.name
        for item in material.inputs
        if item.family == PREDICTED_FROM and column not in {raw for _, raw in material.lineage[item.name]}
    )


def _rows_of(table: str) -> Callable[[Material], History]:
    return lambda material: material.histories[table]


def _names(groups: Sequence[tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(name for by in groups for name in by))


def _small_model(budget: LearnedBudget, seed: int) -> dict[str, Any]:
    chosen = budget.model_dump(include={"trees", "leaves", "learning_rate", "rows_per_leaf", "folds"})
    return {**chosen, "seed": seed}


KINDS: dict[str, Kind] = {
    "control": Kind("nothing new: the external scores twice more", _control, exports=False),
    "neighbours": Kind("default rate of the nearest by external scores and term", _neighbours, exports=False),
    "group_relative": Kind("amounts and scores against the median of the group", _group_relative, exports=True),
    "target_encoding": Kind("default rates of categories, smoothed", _target_encoding, exports=True),
    "predicted_scores": Kind("external scores as predicted, and their residuals", _predicted_scores, exports=False),
    "history_models": Kind("models of single rows of the history tables", _history_models, exports=False),
}
