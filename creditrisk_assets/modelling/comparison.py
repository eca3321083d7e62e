"""Whether one model beats another on the same applicants: differences of figures with paired intervals.

What belongs here: the difference of two sets of PDs in AUC (DeLong) and in any other figure (bootstrap). What does not:
the AUC itself (`auc`), the figures of one model (`evaluation`), how large a difference must be to count (the policy).

Both models are measured on every resample, so what is easy or hard about the applicants drawn cancels. Resampling is
within each outcome, so an interval speaks of other applicants with the same default rate; and of the two models as they
are, not of another training.

References
----------
Efron, Tibshirani (1993), An Introduction to the Bootstrap, ch. 13 (percentile interval), 15–16 (tests); DeLong: `auc`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import LEVEL, Interval, paired_aucs
from creditrisk_assets.modelling.calibration_tests import SMALLEST_PD

RESAMPLES = 1000
CELLS = 2_000_000  # of a chunk of resamples: 16 MB, whatever the number of applicants

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Measure = Callable[[Numbers], Numbers]  # (resamples, n) how often each applicant was drawn -> (resamples,) the figure


@dataclass(frozen=True)
class Metric:
    """A figure of PDs against outcomes, prepared once and then measured on many resamples."""

    name: str
    higher_is_better: bool
    prepare: Callable[[Outcomes, Numbers], Measure]

    def measure(self, target: Outcomes, pds: Numbers) -> float:
        """Measure the applicants as they are, each counted once."""
        return float(self.prepare(target, pds)(np.ones((1, len(target))))[0])


@dataclass(frozen=True)
class Comparison:
    """One figure of two models on the same applicants."""

    metric: str
    first: float
    second: float
    difference: Interval  # the first minus the second
    p_value: float  # two-sided, of no difference
    higher_is_better: bool
    method: Literal["delong", "bootstrap"]
    applicants: int
    defaults: int
    resamples: int | None = None  # None: not resampled

    @property
    def verdict(self) -> Literal["better", "worse", "undecided"]:
        """What the interval says of the first model."""
        if self.difference.low <= 0 <= self.difference.high:
            return "undecided"
        return "better" if (self.difference.value > 0) == self.higher_is_better else "worse"

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return {**asdict(self), "verdict": self.verdict}


def mean_of(name: str, value: Callable[[Outcomes, Numbers], Numbers], *, higher_is_better: bool) -> Metric:
    """Make a metric that is a mean over applicants, such as a loss or a profit.

    Parameters
    ----------
    name
        How the figure is called.
    value
        Outcomes and PDs -> the value of each applicant, (n,).
    higher_is_better
        False for a loss.
    """

    def prepare(target: Outcomes, pds: Numbers) -> Measure:
        values = np.asarray(value(target, pds), dtype=np.float64)
        # Not a matrix product: BLAS adds up in an order that depends on its threads.
        return lambda drawn: np.asarray((drawn * values).sum(axis=1) / len(values))

    return Metric(name, higher_is_better, prepare)


def any_metric(name: str, measure: Callable[[Outcomes, Numbers], float], *, higher_is_better: bool) -> Metric:
    """Make a metric of a function of outcomes and PDs, called once for each resample and model, in order of the PDs.

    Slower than the metrics of this module, which sort once: a thousand resamples call it two thousand times.

    Examples
    --------
    >>> from sklearn.metrics import ndcg_score
    >>> ndcg = any_metric("ndcg", lambda y, pds: ndcg_score(y[None], pds[None]), higher_is_better=True)
    >>> ndcg.measure(np.array([0, 1, 1]), np.array([0.1, 0.3, 0.2]))
    1.0
    """

    def prepare(target: Outcomes, pds: Numbers) -> Measure:
        places = np.argsort(pds, kind="stable")  # most figures sort, and what is sorted already sorts fast

        def measured(drawn: Numbers) -> Numbers:
            rows = (np.repeat(places, counts) for counts in drawn[:, places].astype(np.int64))
            return np.array([measure(target[row], pds[row]) for row in rows], dtype=np.float64)

        return measured

    return Metric(name, higher_is_better, prepare)


def _squared_error(target: Outcomes, pds: Numbers) -> Numbers:
    return np.asarray((pds - target) ** 2)


def _log_loss(target: Outcomes, pds: Numbers) -> Numbers:
    safe = np.clip(pds, SMALLEST_PD, 1 - SMALLEST_PD)
    return np.asarray(-np.where(target == 1, np.log(safe), np.log1p(-safe)))


def _ks(target: Outcomes, pds: Numbers) -> Measure:
    """Sort once: a resample changes how often each applicant counts, and not their order."""
    order = np.argsort(pds, kind="stable")
    ranked, scores = target[order], pds[order]
    last_of_tie = np.append(scores[1:] != scores[:-1], True)
    # Each default counts +1/defaults and each other −1/others, so that one running sum is the gap of the distributions.
    step = np.where(ranked == 1, 1 / ranked.sum(), -1 / (1 - ranked).sum())
    return lambda drawn: np.abs(np.cumsum(drawn.take(order, axis=1) * step, axis=1)[:, last_of_tie]).max(axis=1)


def _average_precision(target: Outcomes, pds: Numbers) -> Measure:
    """Sum precision over the steps of recall, as `evaluation` does; equal PDs are one step."""
    order = np.argsort(-pds, kind="stable")
    ranked, scores = target[order], pds[order]
    last_of_tie = np.append(scores[1:] != scores[:-1], True)

    def measured(drawn: Numbers) -> Numbers:
        ordered = drawn.take(order, axis=1)
        taken = np.cumsum(ordered, axis=1)[:, last_of_tie]
        found = np.cumsum(ordered * ranked, axis=1)[:, last_of_tie]
        precision = found / np.maximum(taken, 1)  # nobody taken: nobody found
        return np.asarray((np.diff(found, axis=1, prepend=0) * precision).sum(axis=1) / ranked.sum())

    return measured


BRIER = mean_of("brier", _squared_error, higher_is_better=False)
LOG_LOSS = mean_of("log_loss", _log_loss, higher_is_better=False)
KS = Metric("ks", True, _ks)
PR_AUC = Metric("pr_auc", True, _average_precision)


def compare_auc(target: Outcomes, first: Numbers, second: Numbers, *, level: float = LEVEL) -> Comparison:
    """Compare two models by AUC with DeLong's paired test; scores of any kind, higher riskier.

    Raises
    ------
    ValueError
        Lengths differ, an outcome is neither 0 nor 1, one class only, or a score is NaN.
    """
    _check(target, first, second)
    found = paired_aucs(target, first, second)
    return Comparison(
        metric="auc",
        first=found.first,
        second=found.second,
        difference=found.difference(level),
        p_value=found.p_value,
        higher_is_better=True,
        method="delong",
        applicants=len(target),
        defaults=int(target.sum()),
    )


def compare(
    target: Outcomes,
    first: Numbers,
    second: Numbers,
    metrics: Sequence[Metric] = (BRIER, LOG_LOSS, KS),
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[Comparison, ...]:
    """Compare two models by any figures with a paired, stratified bootstrap.

    Parameters
    ----------
    target : (n,)
        1 for a default, 0 otherwise; both must occur.
    first, second : (n,)
        PDs in [0, 1] of the same applicants, in the same order.
    metrics
        What to measure; all of them on the same resamples.
    seed
        Equal seeds draw equal resamples.
    resamples
        At least 100; the ends of a 95 % interval need a thousand.
    level
        Of the percentile interval.

    Returns
    -------
    tuple
        One comparison for each metric, in their order. The p-value is twice the share of resamples on the rarer side
        of 0, never below 2 / (resamples + 1).

    Raises
    ------
    ValueError
        Lengths differ, an outcome is neither 0 nor 1, one class only, a PD is NaN or outside [0, 1], or fewer than 100
        resamples.
    """
    _check(target, first, second)
    for pds in (first, second):
        if not ((pds >= 0) & (pds <= 1)).all():
            raise ValueError("a PD is NaN or outside [0, 1]; give PDs, not margins, or mend the model")
    if resamples < 100:
        raise ValueError(f"{resamples} resamples tell nothing of an interval's ends; draw 100 at least")
    pairs = [(metric.prepare(target, first), metric.prepare(target, second)) for metric in metrics]
    chunks = [[one(drawn) - other(drawn) for one, other in pairs] for drawn in _resamples(target, resamples, seed)]
    found = []
    for place, metric in enumerate(metrics):
        differences = np.concatenate([chunk[place] for chunk in chunks])
        one, other = metric.measure(target, first), metric.measure(target, second)
        low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
        rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
        found.append(
            Comparison(
                metric=metric.name,
                first=one,
                second=other,
                difference=Interval(one - other, float(low), float(high)),
                p_value=min(1.0, 2 * (rarer + 1) / (resamples + 1)),
                higher_is_better=metric.higher_is_better,
                method="bootstrap",
                applicants=len(target),
                defaults=int(target.sum()),
                resamples=resamples,
            )
        )
    return tuple(found)


def _resamples(target: Outcomes, resamples: int, seed: int) -> Iterator[Numbers]:
    """Draw how often each applicant occurs, (chunk, n); within each outcome as many are drawn as there are."""
    random = np.random.default_rng(seed)
    classes = [np.flatnonzero(target == outcome) for outcome in (0, 1)]
    size = max(1, CELLS // len(target))
    for start in range(0, resamples, size):
        drawn = np.empty((min(size, resamples - start), len(target)))
        for row in drawn:
            for rows in classes:
                row[rows] = np.bincount(random.integers(len(rows), size=len(rows)), minlength=len(rows))
        yield drawn


def _check(target: Outcomes, first: Numbers, second: Numbers) -> None:
    if target.ndim != 1 or not len(target) == len(first) == len(second):
        raise ValueError(
            f"{len(target)} outcomes, {len(first)} scores of the first model and {len(second)} of the second do not"
            " match; compare both on the same applicants"
        )
    if not np.isin(target, (0, 1)).all():
        raise ValueError("an outcome is neither 0 nor 1")
    if len(np.unique(target)) < 2:
        raise ValueError("a comparison needs defaults and non-defaults; these applicants have one class")
