"""A logistic scorecard: a few dozen inputs in bins, each bin worth points that anybody can add up.

What belongs here: bins, weights of evidence, the regression, the table of points. What does not: the scale of the points (the policy's
`score`), which inputs are candidates (`information_value`).

Inputs are binned by optbinning (bins monotone where the policy says which way the PD may move), each bin has its weight of evidence, and a
logistic regression weighs the inputs. An input whose weight would turn its evidence around, as happens beside others that tell the same, is
left out: a bin of higher risk never earns points. Missing values are a bin of their own; a category nobody fitted had counts as missing.

References
----------
Siddiqi (2006), Credit Risk Scorecards, ch. 6; Navas-Palencia (2020), Optimal binning: mathematical programming formulation.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.pipeline import new_encoder
from creditrisk_assets.modelling.research.budgets import ScorecardBudget
from creditrisk_assets.modelling.research.challengers.information_value import (
    choose,
    information_value,
    weights_of_evidence,
)
from creditrisk_assets.modelling.research.challengers.protocol import Encoded, encode
from creditrisk_assets.modelling.score_points import ScorePoints
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError

if TYPE_CHECKING:
    from creditrisk_assets.modelling.encoder import ApplicantEncoder


MISSING = "missing"
TREND = {-1: "descending", 0: "auto", 1: "ascending"}  # of the default rate; optbinning's words for the policy's signs
POINT_DIGITS = 2

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """One line of the table of points."""

    input: str
    values: str  # the bin in words
    applicants: int
    defaults: int
    evidence: float  # its weight of evidence
    points: float


@dataclass(frozen=True)
class Binning:
    """The bins of one input: numbers by edges, codes of categories by group; the last bin is that of missing values."""

    input: ModelInput
    edges: tuple[float, ...]  # of numbers: a bin holds its lower edge
    groups: tuple[tuple[int, ...], ...]  # of codes; empty for numbers
    words: tuple[str, ...]
    good: tuple[int, ...]
    bad: tuple[int, ...]

    @property
    def evidence(self) -> Numbers:
        """Weight of evidence of each bin; that of a missing bin nobody fell into says nothing."""
        good, bad = np.array(self.good, dtype=np.float64), np.array(self.bad, dtype=np.float64)
        used = good + bad > 0
        found = np.zeros(len(good))
        found[used] = weights_of_evidence(good[used], bad[used])
        return found

    def place(self, column: Numbers) -> NDArray[np.int64]:
        """Return the bin of each value."""
        missing = len(self.words) - 1
        known = ~np.isnan(column)
        if not self.groups:
            places = np.searchsorted(np.array(self.edges), np.where(known, column, 0), side="right")
            return np.where(known, places, missing)
        bin_of = {code: place for place, codes in enumerate(self.groups) for code in codes}
        return np.array([bin_of.get(int(c), missing) if k else missing for c, k in zip(column, known, strict=True)])


@dataclass(frozen=True)
class Scorecard:
    """A fitted scorecard: points = base + the points of every input's bin; a PD follows from points by the policy's scale."""

    binnings: tuple[Binning, ...]
    encoder: "ApplicantEncoder" = field(repr=False)
    intercept: float
    weights: tuple[float, ...]  # log-odds of a default per unit of evidence, all below 0
    scale: ScorePoints
    turned: tuple[str, ...]  # inputs left out because their weight would turn their evidence around

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs on the card."""
        return tuple(binning.input.name for binning in self.binnings)

    @property
    def base_points(self) -> float:
        """Points everybody starts with."""
        return round(self.scale.offset - self.scale.factor * self.intercept, POINT_DIGITS)

    @property
    def table(self) -> tuple[Bin, ...]:
        """Every bin with its points, input by input."""
        return tuple(self._table())

    @property
    def account(self) -> Mapping[str, Any]:
        """The card as JSON values."""
        return {
            "base_points": self.base_points,
            "bins": [asdict(one) for one in self.table],
            "left_out": list(self.turned),
        }

    def to_json(self) -> str:
        """Render the card for people and other programs: base points, and points by input and bin."""
        return json.dumps(self.account, indent=1)

    def log_odds(self, frame: pd.DataFrame) -> Numbers:
        """Compute log-odds of a default, (n,)."""
        matrix = self.encoder.transform(frame[list(self.inputs)]).astype(np.float64)
        found = np.full(len(matrix), self.intercept)
        for column, (binning, weight) in enumerate(zip(self.binnings, self.weights, strict=True)):
            found += weight * binning.evidence[binning.place(matrix[:, column])]
        return found

    def pds(self, frame: pd.DataFrame) -> Numbers:
        """Compute PDs."""
        return np.asarray(scipy.special.expit(self.log_odds(frame)), dtype=np.float64)

    def points(self, frame: pd.DataFrame) -> Numbers:
        """Add up the points of each applicant, as a person would from the table."""
        matrix = self.encoder.transform(frame[list(self.inputs)]).astype(np.float64)
        found = np.full(len(matrix), self.base_points)
        for column, binning in enumerate(self.binnings):
            worth = np.array([one.points for one in self.table if one.input == binning.input.name])
            found += worth[binning.place(matrix[:, column])]
        return found

    def _table(self) -> Iterator[Bin]:
        for binning, weight in zip(self.binnings, self.weights, strict=True):
            rows = zip(binning.words, binning.good, binning.bad, binning.evidence.tolist(), strict=True)
            for words, good, bad, evidence in rows:
                points = round(-self.scale.factor * weight * evidence, POINT_DIGITS)
                yield Bin(binning.input.name, words, good + bad, bad, evidence, points)


def fit(
    part: Part,
    inputs: Sequence[ModelInput],
    _config: ModelConfig,
    _seed: int,
    *,
    budget: ScorecardBudget,
    scale: ScorePoints,
) -> Scorecard:
    """Fit a scorecard; bins, choice and weights are learned from the part alone.

    Raises
    ------
    TrainingError
        As `protocol.encode`, or no input tells enough to be on a card.
    """
    encoded = encode(part, inputs)
    chosen = choose(
        encoded,
        count=budget.inputs,
        smallest=budget.smallest_information_value,
        largest_correlation=budget.largest_correlation,
    )
    binned = [_bin(encoded, place, budget) for place in chosen.places]
    binnings = [one for one in binned if one is not None and _value(one) >= budget.smallest_information_value]
    matrix = {one.input.name: encoded.matrix[:, encoded.names.index(one.input.name)] for one in binnings}
    evidence = {one.input.name: one.evidence[one.place(matrix[one.input.name].astype(np.float64))] for one in binnings}
    kept, intercept, weights, turned = _regress(binnings, evidence, encoded.labels)
    if not kept:
        raise TrainingError(
            "no input tells enough to be on a scorecard; lower `smallest_information_value` in the research budgets or"
            " give more applicants"
        )
    names = [one.input.name for one in kept]
    encoder = new_encoder().fit(part.of(names).frame)
    return Scorecard(tuple(kept), encoder, intercept, weights, scale, turned)


def _regress(
    binnings: Sequence[Binning], evidence: Mapping[str, Numbers], target: NDArray[np.int64]
) -> tuple[list[Binning], float, tuple[float, ...], tuple[str, ...]]:
    """Weigh the inputs, and leave out those whose weight turns their evidence around until none does."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - for research alone

    kept, turned = list(binnings), list[str]()
    while kept:
        columns = np.column_stack([evidence[one.input.name] for one in kept])
        fitted = LogisticRegression(solver="newton-cholesky", tol=1e-8, max_iter=200).fit(columns, target)
        weights = fitted.coef_[0].tolist()
        wrong = {one.input.name for one, weight in zip(kept, weights, strict=True) if weight >= 0}
        if not wrong:
            return kept, float(fitted.intercept_[0]), tuple(weights), tuple(turned)
        turned += sorted(wrong)
        kept = [one for one in kept if one.input.name not in wrong]
    return [], 0.0, (), tuple(turned)


def _bin(encoded: Encoded, place: int, budget: ScorecardBudget) -> Binning | None:
    """Bin one input; None: no two bins can be told apart."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CVXPY, which optbinning imports, tells of solvers that are not there
        from optbinning import OptimalBinning  # noqa: PLC0415 - seconds of imports, for research alone

    item, column = encoded.inputs[place], encoded.matrix[:, place].astype(np.float64)
    known = ~np.isnan(column)
    category = item.kind == "category"
    solver = OptimalBinning(
        dtype="categorical" if category else "numerical",
        max_n_bins=budget.bins,
        min_bin_size=budget.smallest_bin_share,
        min_bin_n_event=1,
        min_bin_n_nonevent=1,
        monotonic_trend=TREND[item.monotone],
        cat_cutoff=budget.smallest_bin_share if category else None,
        time_limit=budget.seconds_per_input,
    )
    values = np.array([str(int(code)) for code in column[known]], dtype=object) if category else column[known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optbinning calls what its dependencies are about to rename
        solver.fit(values, encoded.labels[known])
    if solver.status not in {"OPTIMAL", "FEASIBLE"} or len(solver.splits) < (2 if category else 1):
        return None
    if category:
        groups = tuple(tuple(sorted(int(code) for code in group)) for group in solver.splits)
        names = encoded.encoder.categories_[item.name]
        words = [", ".join(names[code] for code in group) for group in groups]
        edges: tuple[float, ...] = ()
    else:
        groups, edges = (), tuple(float(edge) for edge in solver.splits)
        words = _intervals(edges)
    empty = Binning(item, edges, groups, (*words, MISSING), (), ())
    places = empty.place(column)
    bad = np.bincount(places, encoded.labels, len(empty.words)).astype(np.int64)
    good = np.bincount(places, 1 - encoded.labels, len(empty.words)).astype(np.int64)
    return Binning(item, edges, groups, empty.words, tuple(good.tolist()), tuple(bad.tolist()))


def _intervals(edges: Sequence[float]) -> list[str]:
    """Say which values a bin holds; an edge belongs to the bin above it."""
    inner = [f"{low:.6g} to below {high:.6g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:.6g}", *inner, f"{edges[-1]:.6g} and above"]


def _value(binning: Binning) -> float:
    good, bad = np.array(binning.good, dtype=np.float64), np.array(binning.bad, dtype=np.float64)
    used = good + bad > 0
    return information_value(good[used], bad[used])
