"""Compiling an explainer: all that depends on trees and reference applicants alone, computed once per model version.

What belongs here: cutting trees into blocks, the tables of each. What does not: reading the model's text (`trees`), the
formula and what a request does (`explainer`), who the reference applicants are (`reference_set`).

Sums over reference applicants are sums of whole numbers and everything else is done number by number in a fixed order, so
equal models and equal reference applicants give equal bytes on every machine.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.booster import Booster
from creditrisk_assets.modelling.explanation.explainer import (
    COLUMNS,
    Bits,
    DeepLeaf,
    Explainer,
    ExplanationError,
    Nodes,
    attribute,
)
from creditrisk_assets.modelling.explanation.trees import Branch, Tree, read_trees

BLOCK_NODES = 10  # of a block: its table has at most 1024 rows
DEEP = 15  # conditions of a leaf from which its table would have more than 16,384 rows


@dataclass(frozen=True)
class _Block:
    """Leaves that are looked up together: what they look at, and their table."""

    bits: Sequence[int]  # of the explainer: bit k of a pattern
    features: Sequence[int]
    table: NDArray[np.float32]  # (2^bits, features)


@dataclass
class _Conditions:
    """The conditions of long branches: each all outcomes on one feature."""

    nodes: list[int] = field(default_factory=list)
    wanted: list[bool] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def add(self, outcomes: Branch) -> int:
        """Take a condition up and return its number."""
        self.starts.append(len(self.nodes))
        self.nodes += [node for node, _ in outcomes]
        self.wanted += [left for _, left in outcomes]
        return len(self.starts) - 1


def compile_explainer(
    model_text: str, applicants: NDArray[np.float32], *, block_nodes: int = BLOCK_NODES, deep: int = DEEP
) -> Explainer:
    """Compile the explainer of a model against reference applicants.

    Parameters
    ----------
    model_text
        LightGBM's text.
    applicants
        (n, inputs) rows of the model's matrix.
    block_nodes, deep
        From how many nodes a block is cut further, and from how many conditions a leaf is computed at the request. The
        contributions do not depend on them.

    Raises
    ------
    ExplanationError
        The model cannot be explained, or there is no applicant.
    """
    if not len(applicants):
        raise ExplanationError("there is no reference applicant to compare with")
    trees, rows = read_trees(model_text), np.ascontiguousarray(applicants, dtype=np.float32)
    nodes, places = _nodes(trees, rows.shape[1])
    outcomes = np.array([nodes.outcomes(row) for row in rows])
    cutter = _Cutter(outcomes, min(block_nodes, COLUMNS), min(deep, COLUMNS + 1))
    blocks = [block for tree, place in zip(trees, places, strict=True) for block in cutter.cut(tree, place)]
    base = math.fsum(Booster(model_text).margins(rows.astype(np.float64)).tolist()) / len(rows)
    return _assembled(rows.shape[1], base, nodes, cutter, blocks)


class _Cutter:
    """Cuts trees into blocks, and keeps what does not belong to one of them."""

    def __init__(self, outcomes: Bits, block_nodes: int, deep: int) -> None:
        self.conditions = _Conditions()
        self.deep_leaves: list[DeepLeaf] = []
        self._outcomes = outcomes
        self._block_nodes = block_nodes
        self._deep = deep

    def cut(self, tree: Tree, places: NDArray[np.intp], root: int = 0, branch: Branch = ()) -> Iterator[_Block]:
        """Cut a tree into the largest blocks allowed, from a node down."""
        looked_at = [*(node for node, _ in branch), *tree.nodes(root)]
        if len(looked_at) <= self._block_nodes:
            yield self._block(tree, places, looked_at, list(tree.leaves(root, branch)))
        elif root < 0:
            yield from self._leaf(tree, places, ~root, branch)
        else:
            for child, longer in tree.children(root, branch):
                yield from self.cut(tree, places, child, longer)

    def _block(
        self, tree: Tree, places: NDArray[np.intp], nodes: Sequence[int], leaves: Sequence[tuple[int, Branch]]
    ) -> _Block:
        """Compute the table of a few nodes."""
        features = sorted({int(tree.features[node]) for node in nodes})
        patterns, theirs = _patterns(len(nodes)), self._outcomes[:, places[nodes]]
        columns = {node: column for column, node in enumerate(nodes)}
        table = np.zeros((len(patterns), len(features)))
        for leaf, branch in leaves:
            asked = _by_feature(tree, branch, columns)
            given = self._shared(_all_met(patterns, asked.values()), _all_met(theirs, asked.values()))
            table[:, [features.index(feature) for feature in asked]] += tree.leaf_values[leaf] * given
        return _Block(places[nodes].tolist(), features, table.astype(np.float32))

    def _leaf(self, tree: Tree, places: NDArray[np.intp], leaf: int, branch: Branch) -> Iterator[_Block]:
        """Compute the table of one leaf at the end of a long branch, or leave it to the request."""
        asked = _by_feature(tree, branch, places.tolist())
        numbers, features = [self.conditions.add(outcomes) for outcomes in asked.values()], list(asked)
        theirs, value = _all_met(self._outcomes, asked.values()), tree.leaf_values[leaf]
        if len(numbers) >= self._deep:
            unique, counts = np.unique(theirs, axis=0, return_counts=True)
            weights = (counts * (value / len(theirs))).astype(np.float64)
            self.deep_leaves.append(DeepLeaf(np.array(numbers), np.array(features), unique, weights))
            return
        table = value * self._shared(_patterns(len(numbers)), theirs)
        yield _Block([self._outcomes.shape[1] + number for number in numbers], features, table.astype(np.float32))

    @staticmethod
    def _shared(met: Bits, references: Bits) -> NDArray[np.float64]:
        """Average what a leaf of value 1 gives, over reference applicants; equal patterns are computed once."""
        some, place = np.unique(_numbered(met), return_inverse=True)
        theirs, counts = np.unique(_numbered(references), return_counts=True)
        every = _patterns(met.shape[1])
        return attribute(every[some], every[theirs], counts)[place] / len(references)


def _assembled(inputs: int, base: float, nodes: Nodes, cutter: _Cutter, blocks: Sequence[_Block]) -> Explainer:
    conditions = cutter.conditions
    never = len(nodes.slots) + len(conditions.starts)
    bits = np.full((len(blocks), COLUMNS), never, dtype=np.intp)
    table: list[NDArray[np.float32]] = []
    rows: list[NDArray[np.int64]] = []
    size = 0
    for block, row in zip(blocks, bits, strict=True):
        row[: len(block.bits)] = block.bits
        # Of a long branch most patterns give nothing: equal rows are kept once.
        unique, place = np.unique(block.table, axis=0, return_inverse=True)
        rows.append(size + place.ravel() * unique.shape[1])
        table.append(unique.ravel())
        size += unique.size
    widths = np.array([len(block.features) for block in blocks], dtype=np.intp)
    return Explainer(
        inputs=inputs,
        base=base,
        nodes=nodes,
        condition_nodes=np.array(conditions.nodes, dtype=np.intp),
        condition_wanted=np.array(conditions.wanted, dtype=np.bool_),
        condition_starts=np.array(conditions.starts, dtype=np.intp),
        block_bits=bits,
        block_rows=_starts([len(found) for found in rows]),
        rows=np.concatenate(rows).astype(np.int32) if rows else np.empty(0, dtype=np.int32),
        entry_blocks=np.repeat(np.arange(len(blocks)), widths),
        entry_places=np.arange(int(widths.sum())) - np.repeat(_starts(widths.tolist()), widths),
        entry_features=np.array(list(chain.from_iterable(block.features for block in blocks)), dtype=np.intp),
        table=np.concatenate(table) if table else np.empty(0, dtype=np.float32),
        deep=tuple(cutter.deep_leaves),
    )


def _nodes(trees: Sequence[Tree], inputs: int) -> tuple[Nodes, list[NDArray[np.intp]]]:
    """Put the nodes of all trees in their order; return with them where each tree's nodes are."""
    if not trees:
        return Nodes(np.empty(0, dtype=np.intp), np.empty(0, dtype=np.float32), 0), []
    missing_left = np.concatenate([tree.default_left for tree in trees])
    slots = np.concatenate([tree.features + np.where(tree.nan_is_missing, 0, inputs) for tree in trees])
    order = np.argsort(~missing_left, kind="stable")
    thresholds = _not_above(np.concatenate([tree.thresholds for tree in trees]))
    places = np.empty(len(order), dtype=np.intp)
    places[order] = np.arange(len(order))
    ends = np.cumsum([len(tree.features) for tree in trees])
    return Nodes(slots[order], thresholds[order], int(missing_left.sum())), np.split(places, ends[:-1])


def _not_above(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round down to float32: whether a float32 number exceeds them stays the same."""
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > thresholds, below, rounded)


def _by_feature(tree: Tree, branch: Branch, columns: Mapping[int, int] | Sequence[int]) -> dict[int, Branch]:
    """Group the outcomes a branch asks for by the feature they look at, the nodes named by their columns."""
    found: dict[int, Branch] = {}
    for node, left in branch:
        feature = int(tree.features[node])
        found[feature] = (*found.get(feature, ()), (columns[node], left))
    return found


def _all_met(outcomes: Bits, asked: Iterable[Branch]) -> Bits:
    """Tell of each row which conditions it satisfies, each of them some outcomes: (rows, conditions)."""
    return np.stack([np.all([outcomes[:, column] == left for column, left in each], axis=0) for each in asked], axis=1)


@cache
def _patterns(size: int) -> Bits:
    """List all patterns of some bits: row k holds the bits of k, the lowest first."""
    return (np.arange(2**size)[:, None] >> np.arange(size) & 1).astype(np.bool_)


def _numbered(patterns: Bits) -> NDArray[np.int64]:
    """Read each pattern as a number, the lowest bit first."""
    return patterns @ (1 << np.arange(patterns.shape[1]))


def _starts(lengths: Sequence[int]) -> NDArray[np.intp]:
    """Find where each of some pieces begins that follow one another."""
    return np.cumsum([0, *lengths], dtype=np.intp)[:-1]
