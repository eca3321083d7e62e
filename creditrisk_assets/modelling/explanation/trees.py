"""The trees of a LightGBM model, read from its text.

What belongs here: the text's fields, and which models they are refused of. What does not: what is computed of the trees
(`compile`), scoring (`modelling.booster`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.explanation.explainer import ExplanationError

# Bits of `decision_type`
CATEGORICAL: Final = 1
DEFAULT_LEFT: Final = 2
MISSING_TYPE: Final = 3 << 2
ZERO_IS_MISSING: Final = 1 << 2
NAN_IS_MISSING: Final = 2 << 2

Branch = tuple[tuple[int, bool], ...]  # from the root: node, and whether it is left behind to the left


@dataclass(frozen=True)
class Tree:
    """One tree. A child below 0 is a leaf: ~child is its place."""

    features: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    default_left: NDArray[np.bool_]  # where a missing value goes
    nan_is_missing: NDArray[np.bool_]  # otherwise NaN counts as 0
    left: tuple[int, ...]
    right: tuple[int, ...]
    leaf_values: tuple[float, ...]

    def children(self, node: int, branch: Branch) -> tuple[tuple[int, Branch], tuple[int, Branch]]:
        """Return the two children of a node, each with the branch that leads to it."""
        return (self.left[node], (*branch, (node, True))), (self.right[node], (*branch, (node, False)))

    def nodes(self, root: int) -> list[int]:
        """List the nodes from one down; of a leaf there are none."""
        return [] if root < 0 else [root, *self.nodes(self.left[root]), *self.nodes(self.right[root])]

    def leaves(self, root: int, branch: Branch) -> Iterator[tuple[int, Branch]]:
        """Yield each leaf from a node down, with its branch from the tree's root."""
        if root < 0:
            yield ~root, branch
            return
        for child, longer in self.children(root, branch):
            yield from self.leaves(child, longer)


def read_trees(text: str) -> tuple[Tree, ...]:
    """Read the trees of a model file that have a split at all.

    Parameters
    ----------
    text
        LightGBM's text, version 4.

    Raises
    ------
    ExplanationError
        The model is not a sum of trees of numeric splits, or it takes zeros for missing values.
    """
    header, *bodies = re.split(r"\nTree=\d+\n", text.partition("\nend of trees")[0])
    if "num_tree_per_iteration=1\n" not in header or "\naverage_output" in header:
        raise ExplanationError(
            "only a model whose margin is the sum of its trees can be explained; train a boosted one"
        )
    fields = [dict(line.split("=", 1) for line in body.splitlines() if "=" in line) for body in bodies]
    return tuple(_tree(place, found) for place, found in enumerate(fields) if found["num_leaves"] != "1")


def _tree(place: int, fields: dict[str, str]) -> Tree:
    kinds = np.array(_whole(fields, "decision_type"))
    if (kinds & CATEGORICAL).any():
        raise ExplanationError(f"tree {place} splits on categories natively; encode them as numbers (`pipeline`)")
    if (kinds & MISSING_TYPE == ZERO_IS_MISSING).any():
        raise ExplanationError(f"tree {place} takes zeros for missing values; train without `zero_as_missing`")
    if fields.get("is_linear", "0") != "0":
        raise ExplanationError(f"tree {place} has linear leaves; train without `linear_tree`")
    return Tree(
        features=np.array(_whole(fields, "split_feature")),
        thresholds=np.array(_real(fields, "threshold")),
        default_left=(kinds & DEFAULT_LEFT) > 0,
        nan_is_missing=(kinds & MISSING_TYPE) == NAN_IS_MISSING,
        left=_whole(fields, "left_child"),
        right=_whole(fields, "right_child"),
        leaf_values=_real(fields, "leaf_value"),
    )


def _whole(fields: dict[str, str], name: str) -> tuple[int, ...]:
    return tuple(map(int, fields[name].split()))


def _real(fields: dict[str, str], name: str) -> tuple[float, ...]:
    return tuple(map(float, fields[name].split()))
