"""Contributions of one applicant's features to the margin, at the time of the request.

What belongs here: the compiled explainer, its arrays, the formula. What does not: compiling it of trees and reference
applicants (`compile`), who these are (`reference_set`), words for people (reason codes). The scoring service imports
this module, so it depends on numpy alone.

The contributions are interventional Shapley values of the sum of trees: with v(S) the mean margin over the reference
applicants when the features in S are the applicant's and the others the reference applicant's, a feature gets the mean
over all orders in which features join S of what v gains as it joins. They add up to the applicant's margin less the
mean margin of the reference applicants.

A leaf looks at few features, and only at which of these satisfy its conditions: the *pattern*. For an applicant who
satisfies all but b of them and a reference applicant who satisfies all but a, where none fails both, the leaf's value
is shared out as 1 / (a C(a + b, a)) to each feature that only the applicant satisfies, and as -1 / (b C(a + b, b)) to
each that only the reference applicant satisfies; where one fails both, the leaf gives nothing. Reference applicants are
known beforehand, so for every pattern the sum over all of them is a row of a table, and a request looks rows up.
Neighbouring leaves share one table (a *block*). A leaf of very many features has none; its sum is made at the request.

References
----------
Lundberg et al. (2020), From local explanations to global understanding with explainable AI for trees, Nature Machine
Intelligence 2 (interventional feature perturbation, algorithm 3).
"""

import io
import math
import zipfile
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-6  # of a margin: rounding of the tables to float32, and no more
COLUMNS = 16  # bits of a pattern
ZERO = np.float32(1e-35)  # LightGBM takes what is not above it, of either sign, for 0

Bits = NDArray[np.bool_]
Places = NDArray[np.intp]
NEVER = np.zeros(1, dtype=np.bool_)


class ExplanationError(ValueError):
    """Contributions cannot be computed, or do not add up; the message says why, never an applicant's value."""


@dataclass(frozen=True)
class Nodes:
    """The splits of all trees, those first that send a missing value to the left."""

    slots: Places  # place of the value in a row followed by the same row with 0 for NaN
    thresholds: NDArray[np.float32]  # the largest float32 not above the split's: for float32 values the same
    missing_left: int  # how many come first

    def outcomes(self, row: NDArray[np.float32]) -> Bits:
        """Tell which nodes send a row of the model's matrix to the left: (nodes,)."""
        zeroed = np.where(np.abs(row) > ZERO, row, np.float32(0))
        values = np.concatenate((np.where(np.isnan(row), row, zeroed), zeroed))[self.slots]
        out = np.empty(len(values), dtype=np.bool_)
        first = self.missing_left
        np.logical_not(values[:first] > self.thresholds[:first], out=out[:first])
        np.less_equal(values[first:], self.thresholds[first:], out=out[first:])
        return out


@dataclass(frozen=True)
class DeepLeaf:
    """A leaf of so many features that a table of all patterns would be too large."""

    conditions: Places  # which
    features: Places  # the feature of each
    references: Bits  # (patterns, conditions): which of them reference applicants satisfy
    weights: NDArray[np.float64]  # (patterns,): how many do, times value, by the number of all


@dataclass(frozen=True)
class Explainer:
    """Computes contributions. Immutable, safe to share between threads.

    A bit is the outcome of a node, a condition (all of some outcomes), or, last, never true. Each block reads up to 16 bits
    as a number, its pattern.
    """

    inputs: int  # columns of the model's matrix
    base: float  # mean margin of the reference applicants
    nodes: Nodes
    condition_nodes: Places  # nodes of all conditions, one condition after another
    condition_wanted: Bits  # the outcome wanted of each
    condition_starts: Places  # where each begins
    block_bits: Places  # (blocks, 16)
    block_rows: Places  # where each block's patterns begin in `rows`
    rows: NDArray[np.int32]  # where the row of each pattern begins in the table
    entry_blocks: Places  # block of each entry of the table's rows that are looked up
    entry_places: Places  # its place in the row
    entry_features: Places  # its feature
    table: NDArray[np.float32]
    deep: tuple[DeepLeaf, ...] = ()

    def contributions(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """Compute the contribution of each feature to an applicant's margin.

        Parameters
        ----------
        row
            (inputs,) one row as the model sees it (`bundle.to_float32`), NaN where unknown.

        Returns
        -------
        ndarray
            (inputs,) in log-odds before calibration; above 0 the feature raises the PD, compared with the reference applicants.
            With `base` they add up to the margin.

        Raises
        ------
        ExplanationError
            The row has another number of columns than the model.
        """
        if row.shape != (self.inputs,):
            raise ExplanationError(f"the model takes {self.inputs} columns; the row has shape {row.shape}")
        bits = self._bits(self.nodes.outcomes(row))
        patterns = np.packbits(bits[self.block_bits].ravel(), bitorder="little").view("<u2")
        starts = self.rows[self.block_rows + patterns]
        shares = self.table[starts[self.entry_blocks] + self.entry_places]
        found = np.bincount(self.entry_features, shares, self.inputs).astype(
            np.float64
        )  # of no entries they are integers
        for leaf in self.deep:
            met = bits[len(self.nodes.slots) + leaf.conditions]
            found[leaf.features] += attribute_one(met, leaf.references, leaf.weights)
        return found

    def all_contributions(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the contributions of each row of an encoded matrix: (rows, inputs); raises as `contributions`."""
        rows = [self.contributions(row) for row in np.ascontiguousarray(matrix, dtype=np.float32)]
        return np.array(rows).reshape(len(rows), self.inputs)

    def check(self, contributions: NDArray[np.float64], margin: float) -> None:
        """Prove that contributions explain a margin, the whole of it and nothing else.

        Raises
        ------
        ExplanationError
            They do not add up to it: no reason may be given of them.
        """
        gap = abs(float(contributions.sum()) + self.base - margin)
        if not gap <= TOLERANCE:
            raise ExplanationError(
                f"contributions add up to {gap:.3g} beside the margin they explain; the bundle's explanation is not of its model,"
                " so publish the version again"
            )

    def _bits(self, outcomes: Bits) -> Bits:
        """Put the bits in their order: nodes, conditions, never."""
        conditions = np.empty(0, dtype=np.bool_)
        if len(self.condition_starts):
            met = outcomes[self.condition_nodes] == self.condition_wanted
            conditions = np.logical_and.reduceat(met, self.condition_starts)
        return np.concatenate((outcomes, conditions, NEVER))

    def layout(self) -> bytes:
        """Render all but the table as a file of numpy arrays, without Python objects."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("nodes", "table", "deep")}
        deep = {
            f"deep_{place}_{name}": part for place, leaf in enumerate(self.deep) for name, part in vars(leaf).items()
        }
        deep["deep_leaves"] = np.array(len(self.deep))
        out = io.BytesIO()
        np.savez(out, allow_pickle=False, **plain, **vars(self.nodes), **deep)
        return out.getvalue()

    @classmethod
    def read(cls, layout: bytes, table: NDArray[np.float32]) -> "Explainer":
        """Read what `layout` wrote, with a table that may be a read-only map of a file.

        Raises
        ------
        ExplanationError
            It is not that, or refers to places outside itself.
        """
        try:
            with np.load(io.BytesIO(layout), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            nodes = Nodes(arrays.pop("slots"), arrays.pop("thresholds"), int(arrays.pop("missing_left")))
            deep = tuple(
                DeepLeaf(*(arrays.pop(f"deep_{place}_{f.name}") for f in fields(DeepLeaf)))
                for place in range(int(arrays.pop("deep_leaves")))
            )
            inputs, base = int(arrays.pop("inputs")), float(arrays.pop("base"))
            return cls(inputs=inputs, base=base, nodes=nodes, deep=deep, table=table, **arrays)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ExplanationError(f"this is not an explanation's layout: {error}") from error


def attribute(met: Bits, references: Bits, weights: NDArray[Any]) -> NDArray[np.float64]:
    """Share out what a leaf of value 1 adds for applicants, against weighted reference applicants.

    Parameters
    ----------
    met : (n, conditions)
        Which conditions of the leaf each applicant satisfies.
    references : (m, conditions)
        Which the reference applicants satisfy, pattern by pattern.
    weights : (m,)
        The weight of each pattern. Whole numbers give the same bits on every machine.

    Returns
    -------
    ndarray
        (n, conditions), summed over the patterns.

    Examples
    --------
    One condition, which the applicant satisfies and one of two reference applicants does not:

    >>> attribute(np.array([[True]]), np.array([[True], [False]]), np.array([1, 1])).tolist()
    [[1.0]]
    """
    shares = _shares(met.shape[1])
    lacking, theirs = (~met).astype(np.float64), (~references).astype(np.float64)
    b, a = (~met).sum(axis=1), (~references).sum(axis=1)
    found = np.zeros(met.shape)
    for size in np.unique(a):
        some = a == size
        reached = weights[some] * (lacking @ theirs[some].T == 0)
        found += shares[size, b, None] * (reached @ theirs[some])
        found -= shares[b, size, None] * reached.sum(axis=1, keepdims=True) * lacking
    return found


def attribute_one(met: Bits, references: Bits, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share out as `attribute` does, for one applicant: (conditions,)."""
    theirs, lacking = ~references, ~met
    b, a = int(lacking.sum()), theirs.sum(axis=1)
    shares, reached = _shares(len(met)), weights * ~theirs[:, lacking].any(axis=1)
    given: NDArray[np.float64] = (reached * shares[a, b]) @ theirs - float(reached @ shares[b, a]) * lacking
    return given


@cache
def _shares(size: int) -> NDArray[np.float64]:
    """Tabulate 1 / (a C(a + b, a)), 0 where a is 0, for a and b up to a size."""
    return np.array([[1 / (a * math.comb(a + b, a)) if a else 0.0 for b in range(size + 1)] for a in range(size + 1)])
