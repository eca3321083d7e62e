"""Rows of the online store as numbers of a model's matrix, without a Python value each.

What belongs here: laying packed rows into a matrix. What does not: their layout (`layout`), where a feature stands in the matrix
(`scoring.slots`).
"""

import zlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from creditrisk_serving.online.layout import CATEGORY, HEAD, Layout, RowDamagedError, columns_of, families_of

NUMPY = {"d": "<f8", "q": "<i8", "i": "<i4", "h": "<i2", "b": "<i1", "?": "?"}
UNKNOWN = float("nan")
CONSTANTS = (0.0, 1.0, UNKNOWN)
NO, YES, NOWHERE = range(len(CONSTANTS))
TOGETHER = 64  # rows laid at once: their numbers stay in the processor's cache
UNSEEN = -1.0  # in the place of a category that the model's training did not see; its own are numbered from 0


class _Block(NamedTuple):
    """The columns of one code in a row."""

    kind: np.dtype[Any]
    length: int
    offset: int
    first: int
    last: int


class _Shape(NamedTuple):
    """How rows with the same families are read."""

    families: tuple[str, ...]
    size: int
    columns: int
    blocks: tuple[_Block, ...]
    sources: NDArray[np.intp]  # place in the matrix -> place among the columns; after these NO, YES and UNKNOWN stand
    categories: NDArray[np.intp]  # places among the columns
    first_names: NDArray[np.intp]  # where the names of each begin in `codes`
    codes: NDArray[np.float64]


class MatrixReader:
    """Lays packed rows into rows of numbers. Safe to share between threads.

    Parameters
    ----------
    layout
        The snapshot's.
    names
        The columns of the matrix.
    flags
        Those that tell whether an applicant has rows in a family -> the family.
    codes
        Category column -> name -> its number.

    Raises
    ------
    KeyError
        A category has no numbers.
    """

    def __init__(
        self,
        layout: Layout,
        names: Sequence[str],
        flags: Mapping[str, str],
        codes: Mapping[str, Mapping[str, float]],
    ) -> None:
        self._layout, self._names, self._flags, self._codes = layout, names, flags, codes
        self._shapes: dict[int, _Shape] = {}
        self._shape((1 << len(layout.families)) - 1)

    def lay(self, key: int, packed: bytes, row: NDArray[np.float64]) -> tuple[str, ...]:
        """Lay what is stored of an applicant into its row, NaN for what is not, and name the families it has.

        Raises
        ------
        RowDamagedError
            The stored row is not what was written.
        """
        shape, nulls = self._checked(key, packed)
        start = HEAD.size + 2 * nulls
        values = np.empty(shape.columns + len(CONSTANTS))
        values[shape.columns :] = CONSTANTS
        for kind, length, offset, first, last in shape.blocks:
            values[first:last] = np.frombuffer(packed, kind, length, start + offset)
        if shape.categories.size:
            values[shape.categories] = shape.codes[shape.first_names + values[shape.categories].astype(np.intp)]
        if nulls:
            values[np.frombuffer(packed, "<u2", nulls, HEAD.size)] = UNKNOWN
        values.take(shape.sources, out=row, mode="clip")
        return shape.families

    def lay_many(
        self, keys: Sequence[int], packed: Sequence[bytes], matrix: NDArray[np.float64]
    ) -> list[tuple[str, ...]]:
        """Lay what is stored of applicants into their rows as `lay` does, those with the same families together."""
        checked = [self._checked(key, one) for key, one in zip(keys, packed, strict=True)]
        alike: dict[tuple[str, ...], list[int]] = {}
        for place, (shape, _) in enumerate(checked):
            alike.setdefault(shape.families, []).append(place)
        for every in alike.values():
            for start in range(0, len(every), TOGETHER):
                places = every[start : start + TOGETHER]
                nulls = [checked[place][1] for place in places]
                matrix[places] = _laid(checked[places[0]][0], [packed[place] for place in places], nulls)
        return [shape.families for shape, _ in checked]

    def _checked(self, key: int, packed: bytes) -> tuple[_Shape, int]:
        """Return how a row is read and how many of its columns are NULL.

        Raises
        ------
        RowDamagedError
            It is not what was written.
        """
        if len(packed) < HEAD.size:
            raise RowDamagedError("a row of the online store is cut short")
        checksum, mask, nulls = HEAD.unpack_from(packed)
        if checksum != zlib.crc32(memoryview(packed)[4:], key & 0xFFFFFFFF):
            raise RowDamagedError("a row of the online store fails its checksum")
        shape = self._shapes.get(mask) or self._shape(mask)
        if len(packed) != HEAD.size + 2 * nulls + shape.size:
            raise RowDamagedError("a row of the online store is cut short")
        return shape, nulls

    def _shape(self, mask: int) -> _Shape:
        present = families_of(self._layout, mask)
        columns = columns_of(present)
        places = {name: place for place, (name, _) in enumerate(columns)}
        known = {family.name for family in present}
        constants = {flag: len(columns) + (YES if family in known else NO) for flag, family in self._flags.items()}
        sources = [constants.get(name, places.get(name, len(columns) + NOWHERE)) for name in self._names]
        blocks, first, offset = [], 0, 0
        for code, found in groupby(columns, key=lambda column: column[1]):
            length, kind = len(list(found)), np.dtype(NUMPY[code])
            blocks.append(_Block(kind, length, offset, first, first + length))
            first, offset = first + length, offset + length * kind.itemsize
        wanted = set(self._names)
        categories = [
            name for name, code in columns if code == CATEGORY and name in self._layout.categories and name in wanted
        ]
        numbers = [
            [self._codes[name].get(known, UNSEEN) for known in self._layout.categories[name]] for name in categories
        ]
        starts = np.cumsum([0, *(len(one) for one in numbers)])[:-1]
        shape = self._shapes[mask] = _Shape(
            families=tuple(family.name for family in present),
            size=offset,
            columns=len(columns),
            blocks=tuple(blocks),
            sources=np.array(sources, dtype=np.intp),
            categories=np.array([places[name] for name in categories], dtype=np.intp),
            first_names=starts.astype(np.intp),
            # One more: the number of a NULL is 0, also in a column without a name.
            codes=np.array([code for one in numbers for code in one] + [UNSEEN], dtype=np.float64),
        )
        return shape


def _laid(shape: _Shape, packed: Sequence[bytes], nulls: Sequence[int]) -> NDArray[np.float64]:
    """Read rows with the same families: (n, columns of the matrix)."""
    count = len(packed)
    starts = [HEAD.size + 2 * of_row for of_row in nulls]
    joined = b"".join([one[start:] for one, start in zip(packed, starts, strict=True)])
    stored = np.frombuffer(joined, np.uint8).reshape(count, shape.size)
    values = np.empty((count, shape.columns + len(CONSTANTS)))
    values[:, shape.columns :] = CONSTANTS
    for kind, length, offset, first, last in shape.blocks:
        values[:, first:last] = stored[:, offset : offset + length * kind.itemsize].view(kind)
    if shape.categories.size:
        named = values[:, shape.categories].astype(np.intp)
        values[:, shape.categories] = shape.codes[shape.first_names + named]
    columns = np.frombuffer(b"".join([one[HEAD.size : at] for one, at in zip(packed, starts, strict=True)]), "<u2")
    values[np.repeat(np.arange(count), nulls), columns] = UNKNOWN
    return values.take(shape.sources, axis=1, mode="clip")
