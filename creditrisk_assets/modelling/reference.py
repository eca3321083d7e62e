"""Reference distributions: what each input, the margins and the PDs looked like when the model was trained.

What belongs here: counting values into bins, the frozen counts a bundle carries, reading them back. What does not: how far other
applicants lie from them (`monitoring.drift`), which inputs a model has (`inputs`). The scoring service reads these, so this needs
numpy and the policy alone.

A number's bins are the tenths of the training applicants, and each edge is a bin of its own: a value many applicants share is not split
by rounding, and a distance needs no assumption about it. The counts hold groups of applicants; only the ends (minimum, maximum) are
single values.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.policy import Policy

BINS = 10
LOW, HIGH = 0.01, 0.99  # between them lies what training saw enough of
FLAGS = ("false", "true")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class NumberReference:
    """The distribution of a number. Without any value (all missing): no edges, no counts, no range."""

    missing: int
    edges: tuple[float, ...]  # ascending
    counts: tuple[int, ...]  # 2 × edges + 1: below the first edge, on it, between it and the next, …, above the last
    minimum: float | None
    low: float | None  # 1st percentile
    high: float | None  # 99th percentile
    maximum: float | None

    def __post_init__(self) -> None:
        if len(self.counts) != (2 * len(self.edges) + 1 if self.counts else 0):
            raise ValueError(f"{len(self.edges)} edges and {len(self.counts)} counts do not match")
        if any(high <= low for low, high in pairwise(self.edges)):
            raise ValueError("the edges do not ascend")

    @property
    def rows(self) -> int:
        """Applicants counted, missing ones too."""
        return self.missing + sum(self.counts)


@dataclass(frozen=True)
class CategoryReference:
    """How often each category, or each state of a flag (`false`, `true`), occurred."""

    missing: int
    counts: Mapping[str, int]  # by name

    @property
    def rows(self) -> int:
        """Applicants counted, missing ones too."""
        return self.missing + sum(self.counts.values())


Distribution = NumberReference | CategoryReference


@dataclass(frozen=True)
class ScoreReference:
    """What came out for applicants by models that had not seen them."""

    margins: NumberReference
    pds: NumberReference
    grades: CategoryReference
    decisions: CategoryReference


@dataclass(frozen=True)
class Reference:
    """Distributions of the training applicants. `scores` None: the model was not cross-validated, so it is not served."""

    applicants: int
    inputs: Mapping[str, Distribution]
    scores: ScoreReference | None

    def __post_init__(self) -> None:
        scores = vars(self.scores).values() if self.scores else ()
        if any(found.rows != self.applicants for found in (*self.inputs.values(), *scores)):
            raise ValueError(f"a distribution does not count the {self.applicants} applicants")

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Reference":
        """Read what `to_dict` made.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is none, or its counts contradict each other.
        """
        scores = content["scores"]
        return cls(
            applicants=content["applicants"],
            inputs={name: _distribution(found) for name, found in content["inputs"].items()},
            scores=None
            if scores is None
            else ScoreReference(
                margins=_number(scores["margins"]),
                pds=_number(scores["pds"]),
                grades=CategoryReference(**scores["grades"]),
                decisions=CategoryReference(**scores["decisions"]),
            ),
        )


def reference_of(kinds: Mapping[str, str], columns: Mapping[str, Any], scores: ScoreReference | None) -> Reference:
    """Count every input of a model, column by column.

    Parameters
    ----------
    kinds
        Input -> `numeric`, `boolean` or `category`; one at least.
    columns
        Input -> one value per training applicant; None or NaN where missing. Others are ignored.
    scores
        What came out for them.

    Raises
    ------
    ValueError
        A value is infinite (the message names the input), or scores and columns are of different numbers of applicants.
    """
    inputs = {name: _named(name, kind, columns[name]) for name, kind in kinds.items()}
    return Reference(len(columns[next(iter(kinds))]), inputs, scores)


def score_reference(margins: Numbers, pds: Numbers, policy: Policy) -> ScoreReference:
    """Count margins, PDs, and what the policy says of them.

    Parameters
    ----------
    margins, pds : (n,)
        Of one repeat of the cross-validation: averages over repeats would lie closer together than what one model gives.
    policy
        Its grades and cut-offs.
    """
    outcomes = [policy.decide(pd) for pd in pds.tolist()]
    return ScoreReference(
        number_reference(margins),
        number_reference(pds),
        category_reference([outcome.band for outcome in outcomes]),
        category_reference([outcome.decision for outcome in outcomes]),
    )


def tenths(known: Numbers) -> Numbers:
    """Find the edges between the tenths of some numbers, in order; fewer where values repeat, none of nothing.

    Parameters
    ----------
    known : (n,)
        Numbers, none of them missing.
    """
    if not len(known):
        return np.empty(0)
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))


def count_between(edges: Numbers, known: Numbers) -> NDArray[np.int64]:
    """Count numbers below the first edge, on it, between it and the next, …, above the last: 2 × edges + 1 counts.

    Examples
    --------
    >>> count_between(np.array([0.0, 1.0]), np.array([0.0, 0.0, 0.5, 7.0])).tolist()
    [0, 2, 1, 0, 1]
    """
    places = np.searchsorted(edges, known, "left") + np.searchsorted(edges, known, "right")
    return np.bincount(places, minlength=2 * len(edges) + 1)


def number_reference(values: Any) -> NumberReference:
    """Count the values of one number.

    Parameters
    ----------
    values : (n,)
        Numbers; None or NaN where missing.

    Raises
    ------
    ValueError
        A value is infinite.
    """
    column = np.asarray(values, dtype=np.float64)
    known = np.sort(column[~np.isnan(column)])
    if not len(known):
        return NumberReference(len(column), (), (), None, None, None, None)
    if np.isinf(known[[0, -1]]).any():
        raise ValueError("a reference cannot hold infinity; mend the SQL that made it (a division by zero?)")
    edges = tenths(known)
    low, high = np.quantile(known, [LOW, HIGH]).tolist()
    counts = count_between(edges, known)
    ends = (float(known[0]), low, high, float(known[-1]))
    return NumberReference(len(column) - len(known), tuple(edges.tolist()), tuple(counts.tolist()), *ends)


def category_reference(values: Sequence[Any]) -> CategoryReference:
    """Count names; None or NaN where missing."""
    counts = Counter(values)
    missing = sum(counts.pop(value) for value in list(counts) if not isinstance(value, str))
    return CategoryReference(missing, dict(sorted(counts.items())))


def input_reference(kind: str, values: Any) -> Distribution:
    """Count the values of one input.

    Parameters
    ----------
    kind
        `numeric`, `boolean` or `category`, as in the bundle's encoder.
    values : (n,)
        Its values; None or NaN where missing.

    Raises
    ------
    ValueError
        A value is infinite.
    """
    if kind == "category":
        return category_reference(list(values))
    if kind == "numeric":
        return number_reference(values)
    flags = np.asarray(values, dtype=np.float64)
    return CategoryReference(
        int(np.isnan(flags).sum()), {name: int((flags == state).sum()) for state, name in enumerate(FLAGS)}
    )


def _named(name: str, kind: str, values: Any) -> Distribution:
    try:
        return input_reference(kind, values)
    except ValueError as error:
        raise ValueError(f"feature {name}: {error}") from error


def _distribution(content: Mapping[str, Any]) -> Distribution:
    return _number(content) if "edges" in content else CategoryReference(**content)


def _number(content: Mapping[str, Any]) -> NumberReference:
    return NumberReference(**{**content, "edges": tuple(content["edges"]), "counts": tuple(content["counts"])})
