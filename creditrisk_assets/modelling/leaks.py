"""Leak tests: what tells the outcome that no honest feature, identifier or order of rows could tell.

What belongs here: the AUC of each feature alone, of ids and of the order of rows, of a learner whose TARGET was shuffled,
and the judgement on each. What does not: the limits (`configuration`), records dated after the application
(`features.as_of`), who is in which part (`split`), how good the model is (`evaluation`).

Every AUC is read without direction, as the larger of AUC and 1 − AUC, and held against a limit that leaves chance its
share: a level plus z standard errors, z from the rate of false alarms, the error by Hanley and McNeil. At the level 0.5
theirs is the exact error of a score that has nothing to do with the outcome.

References
----------
Hanley, McNeil (1982), Radiology 143. Kaufman, Rosset, Perlich, Stitelman (2012), Leakage in data mining, ACM TKDD 6.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy
from numpy.typing import NDArray

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.statement import KEY
from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.configuration import LeakLimits, ModelConfig
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import Allowance
from creditrisk_assets.modelling.split import TARGET
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import MINIMUM_DEFAULTS, TreeSearch, fit_model, stop_early

SEED = 20250101  # fixed: the same table gets the same answer
COLUMNS_AT_ONCE = 16  # bounds the memory: 31 MB for 246,000 applicants
BANDS = 32
BAND_SAMPLE = 20_000  # known values that the bands' edges are taken from
SMOOTHING = 20.0  # applicants at the portfolio's default rate, added to every band
SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
LEAVES = 32
SMALLEST_LEAF, SMALLEST_LEAF_SHARE = 20, 0.005
SHOWN = 20
NAMED_IN_WORDS = 5

Labels = NDArray[np.int64]


class LeakError(ValueError):
    """A table cannot be tested for leaks; the message says why."""


@dataclass(frozen=True)
class Reading:
    """How well one thing, read in one way, tells defaults from the others."""

    name: str  # a feature, an identifier, an order of rows, a part
    by: str  # what is read of it
    auc: float  # without direction: 0.5 to 1
    limit: float  # above it the outcome is told
    defaults: int  # among the applicants read


@dataclass(frozen=True)
class LeakResult:
    """What a leak test found: a claim, whether it holds, and what was read, what comes closest to its limit first."""

    claim: str
    passed: bool
    blocks: bool  # not passed, and not allowed by name either
    words: str
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class Order:
    """Who the training applicants are, what happened, and where their rows lie, applicant by applicant."""

    ids: Labels
    target: Labels
    positions: Mapping[str, Labels]  # table -> place of the row in it, from 0


@dataclass(frozen=True)
class Lesson:
    """What a learner made of a part: scores of applicants it was not given to learn from, higher is riskier."""

    scores: NDArray[np.float64]
    validation_auc: float | None  # as early stopping saw it inside the part; None: it did not look
    validation_share: float  # of the part


Learner = Callable[[Part, Part], Lesson]  # (to learn from, held out): an honest one looks at no label of the second


def standard_error(auc: float, defaults: int, others: int) -> float:
    """Compute the standard error of an AUC measured on so many applicants of each class, by Hanley and McNeil.

    Examples
    --------
    >>> round(standard_error(0.5, 100, 900), 5) == round(((100 + 900 + 1) / (12 * 100 * 900)) ** 0.5, 5)
    True
    """
    both_bad, both_good = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    excess = (defaults - 1) * (both_bad - auc**2) + (others - 1) * (both_good - auc**2)
    return float(((auc * (1 - auc) + excess) / (defaults * others)) ** 0.5)


def limit_by_chance(level: float, defaults: int, others: int, false_alarm_rate: float) -> float:
    """Compute what a measured AUC exceeds at this rate only, where the true one is the level; 1: too few applicants to tell."""
    return min(1.0, level + float(scipy.stats.norm.isf(false_alarm_rate / 2)) * standard_error(level, defaults, others))


def single_feature_readings(table: Path, limits: LeakLimits, *, threads: int) -> tuple[Reading, ...]:
    """Read every feature alone, column by column.

    A number is read by its value (exact ranks, among the applicants who have one), by its being NULL, and by bands of its
    values with NULL as one of them, which also finds what is neither rising nor falling. A category is read as such, NULL
    being one, and by its being NULL. Bands and categories are scored honestly: each half of the applicants by the
    smoothed default rates of the other, so that a category of one applicant says nothing.

    Parameters
    ----------
    table
        Parquet with `sk_id_curr`, `target` and the features.
    limits
        A feature may reach the ceiling, or what chance gives the strongest honest feature where few defaults are known.
    threads
        Columns read at the same time.

    Returns
    -------
    tuple of Reading
        Up to three of each feature, in the table's order; none of a feature without a value.

    Raises
    ------
    LeakError
        A column is neither a number nor text.
    """
    file = pq.ParquetFile(table)
    target = file.read(columns=[TARGET]).column(0).to_numpy().astype(np.int64)
    halves = _Halves.of(target)
    names = [name for name in file.schema_arrow.names if name not in {KEY, TARGET}]
    found: list[Reading] = []
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(names), COLUMNS_AT_ONCE):
            block = file.read(columns=names[start : start + COLUMNS_AT_ONCE])
            pairs = zip(block.column_names, block.columns, strict=True)
            jobs = [pool.submit(_feature, name, column, halves, limits) for name, column in pairs]
            found += [reading for job in jobs for reading in job.result()]
    return tuple(found)


def no_single_feature_tells_the_outcome(readings: Iterable[Reading], limits: LeakLimits, today: date) -> LeakResult:
    """Claim: no feature alone, by its value, its absence or its category, separates better than an honest one can."""
    strongest: dict[str, Reading] = {}
    for reading in sorted(readings, key=_slack):
        strongest.setdefault(reading.name, reading)
    return _judge("no_single_feature_tells_the_outcome", strongest.values(), limits.allowed(today))


def read_order(con: duckdb.DuckDBPyConnection, train: Path, application_train: Path) -> Order:
    """Read ids, TARGET and row positions: in the training part, and in the applications as they were delivered.

    Parameters
    ----------
    con
        A DuckDB connection.
    train, application_train
        Parquet of `training/split_train` and of `raw/application_train`.
    """
    query = f"""
        select part.{KEY}, part.{TARGET}, part.file_row_number as place, given.file_row_number as delivered
        from {parquet(train, rows=True)} as part
        join {parquet(application_train, rows=True)} as given on given.SK_ID_CURR = part.{KEY}
        order by part.{KEY}, place, delivered
        """  # noqa: S608 - quoted paths only
    columns = con.execute(query).fetchnumpy().values()
    ids, target, place, delivered = (np.asarray(column, dtype=np.int64) for column in columns)
    return Order(ids, target, {"split_train": place, "application_train": delivered})


def ids_tell_nothing(order: Order, limits: LeakLimits, today: date) -> LeakResult:
    """Claim: an applicant's id, in its order or cut by a tree with its last digits, says nothing about the outcome."""
    return _judge("ids_tell_nothing", _order_readings({KEY: order.ids}, order.target, limits), limits.allowed(today))


def row_order_tells_nothing(order: Order, limits: LeakLimits, today: date) -> LeakResult:
    """Claim: where an applicant's row lies in a table says nothing about the outcome."""
    named = {f"row_of_{table}": places for table, places in order.positions.items()}
    return _judge("row_order_tells_nothing", _order_readings(named, order.target, limits), limits.allowed(today))


def a_shuffled_target_teaches_nothing(part: Part, learner: Learner, limits: LeakLimits) -> LeakResult:
    """Claim: a learner given a shuffled TARGET scores applicants it has not seen no better than chance.

    A learner that does has seen their labels: an encoding fitted before the rows were parted, resampling before the
    parting, a join by label. Nothing allows that. The applicants are a sample of the configured size; half are learned
    from, half are held out.

    Parameters
    ----------
    part
        Applicants with TARGET, which is shuffled here.
    learner
        Learns from one part and scores another (`configured_learner`).
    """
    claim = "a_shuffled_target_teaches_nothing"
    random = np.random.default_rng(SEED)
    drawn = random.permutation(len(part))[: limits.shuffled_applicants]
    labels = random.permutation(part.labels[drawn])
    if min(_classes(labels)) < 2 * MINIMUM_DEFAULTS:
        words = (
            f"not applicable: {int(labels.sum())} defaults among {len(labels)} applicants are too few for two halves"
        )
        return LeakResult(claim, True, False, words, ())
    held = _halves(labels) == 1
    lesson = learner(_take(part, drawn[~held], labels[~held]), _take(part, drawn[held], labels[held]))
    readings = [_chance("held-out applicants", "the model's score", labels[held], lesson.scores, limits)]
    if lesson.validation_auc is not None:
        defaults, others = (max(1, int(count * lesson.validation_share)) for count in _classes(labels[~held]))
        limit = limit_by_chance(0.5, defaults, others, limits.false_alarm_rate)
        auc = _without_direction(lesson.validation_auc)
        readings.append(Reading("validation applicants", "early stopping", auc, limit, defaults))
    return _judge(claim, readings, {})


def configured_learner(inputs: Sequence[ModelInput], config: ModelConfig, *, threads: int) -> Learner:
    """Make the learner that `training` is, with the few trees that the leak test may cost.

    The model has all of these trees, so that whatever can be learned is; early stopping is run beside it, for the AUC it
    sees on the rows it stops on.
    """
    trees = config.leaks.shuffled_trees
    few = config.trees.model_copy(update={"maximum": trees, "fallback": trees})
    small = config.model_copy(update={"trees": few, "seeds": 1})

    def learn(known: Part, held_out: Part) -> Lesson:
        fixed = TreeSearch(trees, "fixed: the leak test's", None)
        model = fit_model(known, inputs, small, threads=threads, search=fixed)
        search, _ = stop_early(known, model.inputs, small, threads=threads)
        return Lesson(model.margins(held_out.frame), search.validation_auc, 1 / config.validation.inner_folds)

    return learn


@dataclass(frozen=True)
class _Halves:
    """Two halves of the applicants with equal default rates, and how a column is sorted into them."""

    half: NDArray[np.int64]
    target: Labels
    order: NDArray[np.intp]  # rows of the first half's others, its defaults, the second half's others, its defaults
    cuts: NDArray[np.intp]

    @classmethod
    def of(cls, target: Labels) -> Self:
        half = _halves(target)
        place = 2 * half + target
        return cls(half, target, np.argsort(place, kind="stable"), np.cumsum(np.bincount(place, minlength=4))[:-1])

    def parts(self, column: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Cut a column into first others, first defaults, second others, second defaults."""
        return np.split(column[self.order], self.cuts)


def _halves(target: Labels) -> NDArray[np.int64]:
    """Deal the applicants, shuffled and then by class, to the halves 0 and 1 in turn."""
    dealt = np.random.default_rng(SEED).permutation(len(target))
    dealt = dealt[np.argsort(target[dealt], kind="stable")]
    half = np.zeros(len(target), dtype=np.int64)
    half[dealt[1::2]] = 1
    return half


def _feature(name: str, column: pa.ChunkedArray, halves: _Halves, limits: LeakLimits) -> list[Reading]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        counts, readings = _category_counts(column, halves), list[Reading]()
        by = "its category"
    else:
        try:
            values = column.cast(pa.float64()).to_numpy()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise LeakError(
                f"{name} is {column.type}, neither a number nor text; declare it in its contract"
            ) from error
        counts, readings = _number(name, values, halves, limits)
        by = "bands of its values"
    known = counts[..., :-1].sum(axis=(0, 2))
    total = counts.sum(axis=(0, 2))
    if known.any() and (known < total).any():
        others, defaults = 1 - known / np.maximum(total, 1)
        readings.append(_reading(name, "being NULL", 0.5 + abs(defaults - others) / 2, total, limits))
    if np.count_nonzero(counts.sum(axis=(0, 1))) > 1:
        readings.append(_reading(name, by, _auc_by_other_half(counts), total, limits))
    return readings


def _number(
    name: str, values: NDArray[np.float64], halves: _Halves, limits: LeakLimits
) -> tuple[NDArray[np.int64], list[Reading]]:
    """Count applicants by half, class and band (the last one: NULL), and read the values by their ranks."""
    parts = [np.sort(part) for part in halves.parts(values)]
    known = [part[: np.searchsorted(part, np.nan)] for part in parts]  # NaN sorts last
    edges = _edges(values)
    counts = np.array(
        [
            [*np.diff(np.searchsorted(some, edges), prepend=0, append=len(some)), len(every) - len(some)]
            for some, every in zip(known, parts, strict=True)
        ]
    ).reshape(2, 2, -1)
    defaults, others = ([part for part in known[kind::2] if len(part)] for kind in (1, 0))
    ends = {end for part in (*defaults, *others) for end in (part[0], part[-1])}
    if not (defaults and others) or len(ends) < 2:
        return counts, []
    sizes = sum(map(len, others)), sum(map(len, defaults))
    # Twice the pairs in which the default has the larger value, ties counted once: halves apart, for sorting them together would cost
    # as much again as sorting each.
    pairs = sum(int(np.searchsorted(good, bad, side).sum()) for bad in defaults for good in others for side in SIDES)
    return counts, [_reading(name, "its value", _without_direction(pairs / (2 * sizes[0] * sizes[1])), sizes, limits)]


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = values[~np.isnan(values)]
    some = np.sort(known[:: max(1, len(known) // BAND_SAMPLE)])
    return np.unique(some[np.arange(1, BANDS) * len(some) // BANDS]) if len(some) else some


def _category_counts(column: pa.ChunkedArray, halves: _Halves) -> NDArray[np.int64]:
    """Count applicants by half, class and category; the last one is NULL."""
    coded = column.combine_chunks().dictionary_encode()
    levels = len(coded.dictionary) + 1
    codes = coded.indices.fill_null(levels - 1).to_numpy()
    cells = np.bincount((2 * halves.half + halves.target) * levels + codes, minlength=4 * levels)
    return cells.reshape(2, 2, levels)


def _auc_by_other_half(counts: NDArray[np.int64]) -> float:
    """Score each half's bands by the smoothed default rates of the other; return the mean AUC of the halves."""
    aucs = []
    for here, there in (counts, counts[::-1]):
        others, defaults = here.sum(axis=1)
        if not (others and defaults):
            continue
        rate = there[1].sum() / there.sum()
        _, rank = np.unique((there[1] + SMOOTHING * rate) / (there.sum(axis=0) + SMOOTHING), return_inverse=True)
        good, bad = (np.bincount(rank, weights=row) for row in here)
        aucs.append(float(bad @ (np.cumsum(good) - good / 2)) / (others * defaults))
    return _without_direction(float(np.mean(aucs))) if aucs else 0.5


def _reading(name: str, by: str, auc: float, classes: Iterable[int], limits: LeakLimits) -> Reading:
    others, defaults = (int(count) for count in classes)
    if not (others and defaults):
        return Reading(name, by, 0.5, limits.ceiling, defaults)
    chance = limit_by_chance(limits.honest_auc, defaults, others, limits.false_alarm_rate)
    return Reading(name, by, float(auc), max(limits.ceiling, chance), defaults)


def _order_readings(columns: Mapping[str, Labels], target: Labels, limits: LeakLimits) -> Iterator[Reading]:
    """Read whole numbers that should say nothing: by their order, and by a tree that each half grows for the other."""
    if min(_classes(target)) < MINIMUM_DEFAULTS:
        return
    half = _halves(target)
    for name, column in columns.items():
        yield _chance(name, "its order", target, column.astype(np.float64), limits)
        yield _chance(
            name, "a tree over it and its last digits", target, _tree_scores(column, target, half), limits, half
        )


def _tree_scores(column: Labels, target: Labels, half: NDArray[np.int64]) -> NDArray[np.float64]:
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 - seconds of imports, for this alone

    table = np.column_stack([column, column % 10, column % 100])
    smallest = max(SMALLEST_LEAF, int(SMALLEST_LEAF_SHARE * len(target)))
    scores = np.empty(len(target))
    for side in (0, 1):
        tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=smallest, random_state=SEED)
        tree.fit(table[half != side], target[half != side])
        scores[half == side] = tree.predict_proba(table[half == side])[:, 1]
    return scores


def _chance(
    name: str,
    by: str,
    target: Labels,
    scores: NDArray[np.float64],
    limits: LeakLimits,
    half: NDArray[np.int64] | None = None,
) -> Reading:
    """Hold an AUC against chance; of halves that scored each other, the mean, with the error of one (theirs are not independent)."""
    sides = [np.ones(len(target), dtype=bool)] if half is None else [half == 0, half == 1]
    auc = float(np.mean([auc_interval(target[side], scores[side]).value for side in sides]))
    others, defaults = _classes(target)
    limit = limit_by_chance(0.5, defaults // len(sides), others // len(sides), limits.false_alarm_rate)
    return Reading(name, by, _without_direction(auc), limit, defaults)


def _judge(claim: str, readings: Iterable[Reading], allowed: Mapping[str, Allowance]) -> LeakResult:
    ranked = tuple(sorted(readings, key=_slack))
    if not ranked:
        return LeakResult(claim, True, False, "not applicable: nothing to read, or too few applicants of one class", ())
    over = [r for r in ranked if r.auc > r.limit]
    shown = over[:NAMED_IN_WORDS] or ranked[:1]
    words = "; ".join(_words(r, allowed.get(r.name)) for r in shown)
    more = f"; and {len(over) - len(shown)} more" if len(over) > len(shown) else ""
    lead = "the outcome is told: " if over else "closest to its limit: "
    return LeakResult(claim, not over, any(r.name not in allowed for r in over), lead + words + more, ranked)


def _slack(reading: Reading) -> tuple[float, str, str]:
    return reading.limit - reading.auc, reading.name, reading.by


def _words(reading: Reading, allowance: Allowance | None) -> str:
    words = f"{reading.name} reaches AUC {reading.auc:.3f} by {reading.by} (limit {reading.limit:.3f})"
    if allowance is not None:
        words += f", allowed before {allowance.expires} by {allowance.approver}: {allowance.reason}"
    return words


def _without_direction(auc: float) -> float:
    return max(auc, 1 - auc)


def _classes(target: Labels) -> tuple[int, int]:
    """Count the others and the defaults."""
    return len(target) - int(target.sum()), int(target.sum())


def _take(part: Part, rows: NDArray[np.int64], labels: Labels) -> Part:
    return replace(part.take(rows), target=labels)
