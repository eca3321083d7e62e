"""Applicants counted in the bins of a reference, out of core.

What belongs here: one pass over a Parquet file, column by column. What does not: the bins (`modelling.reference`), what the counts say
(`effects`).

A column is compared with the edges of its reference, one edge after another: some twenty comparisons of a block that fits the
processor's cache cost a sixth of a binary search per value. Row groups and blocks of columns are shared out to threads, so memory is
bounded by `CELLS_AT_ONCE` per thread, whatever the table holds.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.features.statement import KEY
from creditrisk_assets.modelling.bundle import FLOAT32_LIMIT, EncodingError
from creditrisk_assets.modelling.reference import FLAGS, CategoryReference, Distribution, NumberReference

CELLS_AT_ONCE = 4_000_000  # of a task: 32 MB as doubles
BLOCK = 65_536  # values that stay in the cache while every edge is compared

LIMIT = np.float32(FLOAT32_LIMIT)

Integers = NDArray[np.int64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class NumberCounts:
    """A number counted at the knots of its reference.

    Attributes
    ----------
    rows, missing
        Values, and how many of them are missing.
    below, upto : (knots,)
        How many lie below each knot; and at it or below.
    beyond
        Sums of how far values lie below the least and above the greatest value of the reference.
    """

    rows: int
    missing: int
    below: Integers
    upto: Integers
    beyond: tuple[float, float]

    def __add__(self, other: "NumberCounts") -> "NumberCounts":
        return NumberCounts(
            self.rows + other.rows,
            self.missing + other.missing,
            self.below + other.below,
            self.upto + other.upto,
            (self.beyond[0] + other.beyond[0], self.beyond[1] + other.beyond[1]),
        )


@dataclass(frozen=True)
class CategoryCounts:
    """Categories, or the states of a flag, counted by name."""

    rows: int
    missing: int
    counts: Mapping[str, int]

    def __add__(self, other: "CategoryCounts") -> "CategoryCounts":
        counts = dict(Counter(self.counts) + Counter(other.counts))
        return CategoryCounts(self.rows + other.rows, self.missing + other.missing, counts)


Counts = NumberCounts | CategoryCounts


def knots(reference: NumberReference) -> NDArray[np.float64]:
    """Return where a number is counted: the ends of its reference, the percentiles 1 and 99, the edges of its bins."""
    ends = (reference.minimum, reference.low, *reference.edges, reference.high, reference.maximum)
    return np.unique(np.array([end for end in ends if end is not None], dtype=np.float64))


def count_numbers(reference: NumberReference, values: Float32) -> NumberCounts:
    """Count numbers, NaN where missing.

    Examples
    --------
    >>> from creditrisk_assets.modelling.reference import number_reference
    >>> found = count_numbers(number_reference([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 3.0, np.nan], dtype=np.float32))
    >>> found.below.tolist(), found.upto.tolist(), found.missing, found.beyond
    ([0, 1], [1, 2], 1, (0.0, 2.0))
    """
    at = knots(reference)
    under, over = _float32_at(at)
    below, upto = np.zeros(len(at), dtype=np.int64), np.zeros(len(at), dtype=np.int64)
    missing, shortfall, excess = 0, 0.0, 0.0
    room = np.empty(min(BLOCK, len(values)), dtype=np.bool_)
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        found = room[: len(block)]
        missing += int(np.count_nonzero(np.isnan(block, out=found)))
        for place, (least, most) in enumerate(zip(under, over, strict=True)):
            below[place] += np.count_nonzero(np.less(block, least, out=found))
            upto[place] += np.count_nonzero(np.less_equal(block, most, out=found))
    known = len(values) - missing
    if len(at) and below[0]:
        shortfall = float(np.sum(at[0] - values[values < under[0]], dtype=np.float64))
    if len(at) and upto[-1] < known:
        excess = float(np.sum(values[values > over[-1]] - at[-1], dtype=np.float64))
    return NumberCounts(len(values), missing, below, upto, (shortfall, excess))


def count_categories(column: pa.ChunkedArray) -> CategoryCounts:
    """Count names, None where missing."""
    pairs = {item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()}
    missing = pairs.pop(None, 0)
    return CategoryCounts(len(column), missing, {str(name): int(count) for name, count in pairs.items()})


def count_flags(values: Float32) -> CategoryCounts:
    """Count the states of a flag: 0, 1, NaN where missing."""
    counts = {name: int(np.count_nonzero(values == state)) for state, name in enumerate(FLAGS)}
    return CategoryCounts(len(values), int(np.count_nonzero(np.isnan(values))), counts)


def count_table(
    table: Path, references: Mapping[str, Distribution], *, among: Integers | None = None, threads: int = 1
) -> dict[str, Counts]:
    """Count every column of a table in the bins of its reference.

    Parameters
    ----------
    table
        Parquet with the columns named; other columns are not read.
    references
        Column -> its reference.
    among
        Ids in ascending order: only these applicants are counted. None: all.
    threads
        How many tasks run at a time.

    Raises
    ------
    EncodingError
        A column is missing or is no number where the reference is one.
    """
    metadata = pq.read_metadata(table)
    present = set(metadata.schema.to_arrow_schema().names)
    if missing := [name for name in references if name not in present]:
        raise EncodingError(f"{table} lacks {len(missing)} columns, among them {', '.join(missing[:5])}")
    chosen = (
        None if among is None else [_chosen(table, metadata, group, among) for group in range(metadata.num_row_groups)]
    )
    tasks = list(_tasks(metadata, list(references)))

    def count(task: tuple[int, Sequence[str]]) -> dict[str, Counts]:
        group, names = task
        file = pq.ParquetFile(table, metadata=metadata, memory_map=True, pre_buffer=False)
        rows = file.read_row_group(group, columns=list(names), use_threads=False)
        if chosen is not None:
            rows = rows.take(chosen[group])
        return {name: count_column(name, references[name], rows.column(name)) for name in names}

    found: dict[str, Counts] = {name: _nothing(reference) for name, reference in references.items()}
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for counted in pool.map(count, tasks):
            for name, counts in counted.items():
                found[name] = found[name] + counts  # type: ignore[operator]  # both of the kind of one reference
    return found


def _tasks(metadata: pq.FileMetaData, names: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    for group in range(metadata.num_row_groups):
        at_once = max(1, CELLS_AT_ONCE // max(1, metadata.row_group(group).num_rows))
        for start in range(0, len(names), at_once):
            yield group, names[start : start + at_once]


def _chosen(table: Path, metadata: pq.FileMetaData, group: int, among: Integers) -> Integers:
    ids = pq.ParquetFile(table, metadata=metadata).read_row_group(group, columns=[KEY]).column(KEY).to_numpy()
    return np.flatnonzero(np.isin(ids, among))


def count_column(name: str, reference: Distribution, column: pa.ChunkedArray) -> Counts:
    """Count one column in the bins of its reference.

    Raises
    ------
    EncodingError
        It is no number where the reference is one.
    """
    if isinstance(reference, NumberReference):
        return count_numbers(reference, to_numbers(name, column))
    text = (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_dictionary(column.type)
    )
    return count_categories(column) if text else count_flags(to_numbers(name, column))


def _nothing(reference: Distribution) -> Counts:
    if isinstance(reference, CategoryReference):
        return CategoryCounts(0, 0, {})
    return count_numbers(reference, np.empty(0, dtype=np.float32))


def to_numbers(name: str, column: pa.ChunkedArray) -> Float32:
    """Return a column as the model sees it: float32, NaN where missing."""
    try:
        values = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise EncodingError(f"feature {name} is declared a number; its column is {column.type}") from error
    with np.errstate(over="ignore"):
        rounded: Float32 = values.astype(np.float32)
    np.clip(rounded, -LIMIT, LIMIT, out=rounded)
    return rounded


def _float32_at(at: NDArray[np.float64]) -> tuple[list[np.float32], list[np.float32]]:
    """Return, for each knot, the float32 that all values below it lie below, and the one that all up to it lie at or below."""
    nearest = at.astype(np.float32)
    over = np.where(nearest.astype(np.float64) > at, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    under = np.where(over.astype(np.float64) < at, np.nextafter(over, np.float32(np.inf)), over)
    return list(under), list(over)
