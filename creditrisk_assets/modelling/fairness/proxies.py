"""What stands for an attribute that no decision may rest on: how well groups of the model's inputs tell it.

What belongs here: predicting an attribute from one group of inputs, cross-validated. What does not: leaving inputs out and what that costs
(`alternatives`), which inputs reach the attribute by lineage (`modelling.inputs`).

A group of inputs that tells the attribute well can stand for it though nobody meant it to. Small LightGBM models, three folds,
each applicant predicted by a model that has not seen them; the AUC has DeLong's interval.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.explanation.reasons import group_features
from creditrisk_assets.modelling.fairness.groups import Grouping
from creditrisk_assets.modelling.inputs import ModelInput

APPLICANTS = 6_000  # drawn from the training part: an AUC is known to about a hundredth
GROUPS = 30  # of largest gain, looked at one by one, beside whole families and everything together
FOLDS, TREES, LEAVES = 3, 20, 8
SEEN_BY_A_TREE = 100  # inputs of a large group that one tree looks at
EVERYTHING = "all inputs"
COLUMNS = (
    "attribute",
    "told",
    "input_group",
    "kind",
    "inputs",
    "gain_share",
    "applicants",
    "auc",
    "auc_low",
    "auc_high",
    "strong",
)

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class InputGroup:
    """Some inputs of the model that are looked at together."""

    name: str
    kind: str  # group, family, or everything
    members: tuple[str, ...]
    gain_share: float


@dataclass(frozen=True)
class Target:
    """What is to be told of an applicant: whether they are in these groups of an attribute."""

    attribute: str
    told: str
    labels: NDArray[np.int64]  # (n,): 1, 0, or -1 where it is not known


def targets_of(groupings: Sequence[Grouping]) -> tuple[Target, ...]:
    """Make what is to be told: not in the reference, or in a judged group where there is no reference; crossed ones are left out."""
    found = []
    for grouping in groupings:
        if " × " in grouping.attribute:
            continue
        named = [grouping.reference] if grouping.reference else list(grouping.judged)
        inside = np.isin(grouping.values.astype(str), named)
        known = np.array([value is not None for value in grouping.values.tolist()], dtype=np.bool_)
        labels = np.where(known, inside != bool(grouping.reference), -1).astype(np.int64)
        told = f"not {grouping.reference}" if grouping.reference else " or ".join(named)
        if named:
            found.append(Target(grouping.attribute, told, labels))
    return tuple(found)


def input_groups(
    inputs: Sequence[ModelInput], importance: Mapping[str, float], most: int = GROUPS
) -> tuple[InputGroup, ...]:
    """Group the inputs: by quantity (those of largest gain), by family, and all together.

    Parameters
    ----------
    inputs
        Of the model.
    importance
        Input -> share of gain.
    most
        Groups by quantity.
    """
    quantity = group_features([item.name for item in inputs])
    by_quantity: dict[str, list[str]] = defaultdict(list)
    by_family: dict[str, list[str]] = defaultdict(list)
    for item in inputs:
        by_quantity[quantity[item.name]].append(item.name)
        by_family[f"every input of {item.family}"].append(item.name)

    def made(name: str, kind: str, members: Sequence[str]) -> InputGroup:
        return InputGroup(name, kind, tuple(members), sum(importance.get(member, 0.0) for member in members))

    single = sorted((made(name, "group", m) for name, m in by_quantity.items()), key=lambda g: (-g.gain_share, g.name))
    families = [made(name, "family", m) for name, m in sorted(by_family.items())]
    return (*single[:most], *families, made(EVERYTHING, "everything", [item.name for item in inputs]))


def scan(
    matrix: Matrix,
    names: Sequence[str],
    groups: Sequence[InputGroup],
    targets: Sequence[Target],
    *,
    strong: float,
    minimum: int,
    seed: int,
    threads: int,
) -> pd.DataFrame:
    """Measure how well every group of inputs tells every attribute.

    Parameters
    ----------
    matrix : (n, inputs)
        Inputs as numbers, NaN where missing.
    names
        Of the columns.
    groups, targets
        What tells, and what is told.
    strong
        AUC from which a single group is a strong proxy.
    minimum
        Applicants in and outside the target from which it is measured.
    seed, threads
        Of folds and trees; of LightGBM.

    Returns
    -------
    DataFrame
        One row per attribute and group of inputs, strongest first.
    """
    place = {name: i for i, name in enumerate(names)}
    rows = []
    for group in groups:
        learner = _Learner(matrix[:, [place[name] for name in group.members]], seed=seed, threads=threads)
        for target in targets:
            known = np.flatnonzero(target.labels >= 0)
            labels = target.labels[known]
            if min(labels.sum(), len(labels) - labels.sum()) < minimum:
                continue
            auc = auc_interval(labels, learner.out_of_fold(known, labels))
            rows.append(
                {
                    "attribute": target.attribute,
                    "told": target.told,
                    "input_group": group.name,
                    "kind": group.kind,
                    "inputs": len(group.members),
                    "gain_share": min(1.0, group.gain_share),
                    "applicants": len(labels),
                    "auc": auc.value,
                    "auc_low": auc.low,
                    "auc_high": auc.high,
                    "strong": group.kind == "group" and auc.low > strong,
                }
            )
    kinds = {"attribute": "string", "told": "string", "input_group": "string", "kind": "string", "inputs": "int64"}
    kinds |= {
        "applicants": "int64",
        "strong": "bool",
        **dict.fromkeys(("gain_share", "auc", "auc_low", "auc_high"), "float64"),
    }
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds)
    return table.sort_values(["auc", "attribute", "input_group"], ascending=[False, True, True], ignore_index=True)


class _Learner:
    """Small models on one group of inputs, whose bins are made once for every attribute and fold (they never look at a label)."""

    def __init__(self, matrix: Matrix, *, seed: int, threads: int) -> None:
        import lightgbm as lgb  # noqa: PLC0415 - slow to import

        self._matrix, self._seed, self._threads, self._lightgbm = matrix, seed, threads, lgb
        self._parameters = {
            "objective": "binary", "num_leaves": LEAVES, "learning_rate": 0.15, "min_data_in_leaf": 20, "max_bin": 63,
            "verbosity": -1, "num_threads": threads, "seed": seed, "deterministic": True, "force_col_wise": True,
            "feature_pre_filter": False, "feature_fraction": min(1.0, SEEN_BY_A_TREE / matrix.shape[1]),
        }  # fmt: skip
        self._data = lgb.Dataset(np.ascontiguousarray(matrix), params=self._parameters, free_raw_data=False).construct()

    def out_of_fold(self, known: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Predict each applicant by a model fitted on the other folds."""
        folds = np.random.default_rng(self._seed).permutation(len(labels)) % FOLDS
        scores = np.empty(len(labels))
        for fold in range(FOLDS):
            held_out = folds == fold
            data = self._data.subset(known[~held_out], params=self._parameters).construct()
            data.set_label(labels[~held_out])  # before it is constructed, LightGBM would forget it
            model = self._lightgbm.train(self._parameters, data, num_boost_round=TREES)
            scores[held_out] = model.predict(self._matrix[known[held_out]], num_threads=self._threads)
        return _centred(scores, folds)


def _centred(scores: NDArray[np.float64], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rank within each fold: the models of two folds need not agree on a level."""
    ranked = np.empty(len(scores))
    for fold in range(FOLDS):
        inside = folds == fold
        ranked[inside] = pd.Series(scores[inside]).rank(pct=True).to_numpy()
    return ranked
