"""Building a snapshot of the online store from the families' Parquet files, in bounded memory.

What belongs here: the layout of new rows and packing them. What does not: reading rows (`layout`), where they are kept (`store`). Arrow
and numpy do the work; the running service never imports this.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.features.statement import KEY
from creditrisk_serving.online.layout import CATEGORY, CODES, HEAD, MOST_FAMILIES, Layout, StoredFamily
from creditrisk_serving.online.matrix import NUMPY

BATCH_ROWS = 4096
MOST_CATEGORIES = 2**15 - 1
WHOLE = (("b", 7), ("h", 15), ("i", 31))  # codes of whole numbers and their bits


class BuildError(ValueError):
    """A family's file is not what the store takes; the message names it."""


@dataclass(frozen=True)
class FamilyFile:
    """One published family: its name, version, definition and Parquet file, ordered by key."""

    name: str
    version: str
    definition: str
    path: Path


class Packer:
    """Packs families into rows. The first family decides who has a row.

    Parameters
    ----------
    files
        The families; the first is the one every applicant has.

    Raises
    ------
    BuildError
        A file is unreadable or holds a type that the store has no code for.
    """

    def __init__(self, files: Sequence[FamilyFile]) -> None:
        if len(files) > MOST_FAMILIES:
            raise BuildError(f"{len(files)} families; a row of the online store tells {MOST_FAMILIES} apart")
        self._files = files
        self._families = tuple(_family(file) for file in files)
        self._names: dict[str, dict[str, int]] = {}  # category column -> name -> its number, in order of appearance

    @property
    def layout(self) -> Layout:
        """The layout; complete once all rows were packed."""
        return Layout(self._families, {column: tuple(names) for column, names in self._names.items()})

    def rows(self) -> Iterator[tuple[int, bytes]]:
        """Pack every applicant's row, ordered by key.

        Raises
        ------
        BuildError
            A file is not ordered by key.
        """
        first, *others = (_Rows(file) for file in self._files)
        while (keys := first.upcoming()) is not None:
            parts = [rows.take(keys) for rows in (first, *others)]
            yield from self._pack(keys, parts)

    def _pack(
        self, keys: NDArray[np.int64], parts: Sequence[tuple[NDArray[np.intp], pa.Table]]
    ) -> Iterator[tuple[int, bytes]]:
        """Pack a batch: rows with the same families at a time, each in the place of its key."""
        masks = np.zeros(len(keys), dtype=np.uint16)
        for number, (where, _) in enumerate(parts):
            masks[where] |= 1 << number
        columns = [self._columns(family, table) for family, (_, table) in zip(self._families, parts, strict=True)]
        packed: list[bytes] = [b""] * len(keys)
        for mask in np.unique(masks):
            chosen = np.flatnonzero(masks == mask)
            arrays: list[tuple[str, NDArray[Any], NDArray[np.bool_]]] = []
            for number, (where, _) in enumerate(parts):
                if mask >> number & 1:
                    rows = np.searchsorted(where, chosen)
                    arrays += [(code, values[rows], nulls[rows]) for code, values, nulls in columns[number]]
            arrays.sort(key=lambda array: CODES.index(array[0]))  # as `columns_of` has them
            for place, row in zip(chosen, _packed(int(mask), keys[chosen], arrays), strict=True):
                packed[place] = row
        yield from zip(keys.tolist(), packed, strict=True)

    def _columns(self, family: StoredFamily, table: pa.Table) -> list[tuple[str, NDArray[Any], NDArray[np.bool_]]]:
        """Return (code, values, which are NULL) of each column."""
        found = []
        for name, code in family.columns:
            column = table.column(name)
            if pa.types.is_string(column.type):
                column = self._numbered(name, column)
            nulls = column.is_null(nan_is_null=code == "d").to_numpy()
            values = column.fill_null(False if code == "?" else 0).to_numpy()
            found.append((code, values.astype(NUMPY[code]), nulls))
        return found

    def _numbered(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Replace category names by their numbers."""
        numbers = self._names.setdefault(name, {})
        for value in pc.unique(column).to_pylist():
            if value is not None:
                numbers.setdefault(value, len(numbers))
        if len(numbers) > MOST_CATEGORIES:
            raise BuildError(f"{name} has {len(numbers)} categories; the online store tells {MOST_CATEGORIES} apart")
        return pc.index_in(column, value_set=pa.array(list(numbers), pa.string()))


class _Rows:
    """One family's rows, read on as far as they are asked for."""

    def __init__(self, file: FamilyFile) -> None:
        self._file = file
        parquet = _open(file)
        self._batches = parquet.iter_batches(batch_size=BATCH_ROWS)
        self._left: pa.Table = parquet.schema_arrow.empty_table()
        self._last = -1

    def upcoming(self) -> NDArray[np.int64] | None:
        """Return the keys of the rows at hand, reading on when there are none; None at the end."""
        return self._keys() if self._left.num_rows or self._read() else None

    def take(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.intp], pa.Table]:
        """Take the rows up to the last of these keys; give the places of their keys among them, and the rows."""
        while (self._left.num_rows == 0 or self._keys()[-1] < keys[-1]) and self._read():
            pass
        mine = self._keys()
        count = int(np.searchsorted(mine, keys[-1], side="right"))
        rows, self._left = self._left.slice(0, count), self._left.slice(count)
        where = np.searchsorted(keys, mine[:count])
        known = keys[np.minimum(where, len(keys) - 1)] == mine[:count]  # an applicant without an application has no row
        return where[known], rows.filter(pa.array(known))

    def _read(self) -> bool:
        try:
            batch = next(self._batches, None)
        except (OSError, pa.ArrowInvalid) as error:
            raise BuildError(f"features/{self._file.name}: {self._file.path.name} cannot be read to its end") from error
        if batch is None:
            return False
        table = pa.Table.from_batches([batch])
        keys = table.column(KEY).to_numpy()
        if keys[0] <= self._last or (np.diff(keys) <= 0).any():
            raise BuildError(f"features/{self._file.name} is not ordered by {KEY}, or has an applicant twice")
        self._last = int(keys[-1])
        self._left = pa.concat_tables([self._left, table])
        return True

    def _keys(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = self._left.column(KEY).to_numpy()
        return found


def _packed(
    mask: int, keys: NDArray[np.int64], arrays: Sequence[tuple[str, NDArray[Any], NDArray[np.bool_]]]
) -> Iterator[bytes]:
    """Pack rows that have the same families."""
    record = np.empty(len(keys), dtype=[(f"c{place}", NUMPY[code]) for place, (code, _, _) in enumerate(arrays)])
    nulls = np.empty((len(keys), len(arrays)), dtype=bool)
    for place, (_, column, missing) in enumerate(arrays):
        record[f"c{place}"] = column
        nulls[:, place] = missing
    places = np.nonzero(nulls)[1].astype("<u2").tobytes()
    counts = nulls.sum(axis=1).tolist()
    values, width, start = record.tobytes(), record.dtype.itemsize, 0
    for row, (key, count) in enumerate(zip(keys.tolist(), counts, strict=True)):
        end = start + 2 * count
        body = HEAD.pack(0, mask, count)[4:] + places[start:end] + values[row * width : (row + 1) * width]
        start = end
        yield zlib.crc32(body, key & 0xFFFFFFFF).to_bytes(4, "little") + body


def _open(file: FamilyFile) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file.path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BuildError(f"features/{file.name}: {file.path.name} cannot be read; run `creditrisk run`") from error


def _family(file: FamilyFile) -> StoredFamily:
    """Choose the code of each column."""
    with _open(file) as parquet:
        ranges = _ranges(parquet.metadata)
        columns = tuple(
            (field.name, _code(file.name, field, ranges.get(field.name)))
            for field in parquet.schema_arrow
            if field.name != KEY
        )
    return StoredFamily(file.name, file.version, file.definition, columns)


def _code(family: str, field: pa.Field, limits: tuple[int, int] | None) -> str:
    if pa.types.is_floating(field.type):
        return "d"
    if pa.types.is_boolean(field.type):
        return "?"
    if pa.types.is_string(field.type):
        return CATEGORY
    if not pa.types.is_integer(field.type):
        raise BuildError(
            f"features/{family}: {field.name} is of type {field.type}, which the online store has no code for"
        )
    if limits is None:
        return "q"
    low, high = limits
    return next((code for code, bits in WHOLE if -(2**bits) <= low and high < 2**bits), "q")


def _ranges(metadata: pq.FileMetaData) -> Mapping[str, tuple[int, int]]:
    """Return the range of each whole-number column whose row groups all tell theirs."""
    found: dict[str, tuple[int, int]] = {}
    untold: set[str] = set()
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            name, statistics = column.path_in_schema, column.statistics
            if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, int):
                if statistics is None or statistics.null_count != column.num_values:
                    untold.add(name)
                continue
            low, high = found.get(name, (0, 0))
            found[name] = min(low, statistics.min), max(high, statistics.max)
    return {name: limits for name, limits in found.items() if name not in untold}
