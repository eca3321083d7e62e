"""What a row of the online store holds: every family an applicant has, packed into one value.

What belongs here: the layout of a snapshot and decoding its rows. What does not: encoding (`build`), where rows are kept (`store`). The
standard library only: the running service imports this.

A row is packed, little-endian:

    crc32 of the rest, seeded with the key      4 bytes
    which families it has, a bit each           2 bytes
    how many of its values are NULL             2 bytes
    their places                                2 bytes each
    the values of its families' columns, those of one code after those of another, each in its code

One value per applicant, not a column per feature: a row of several hundred columns takes SQLite and the driver ten times as long. Columns
of one code stand together, so that a row is read in as many steps as there are codes (`matrix`).
"""

import operator
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

FORMAT = 2  # in 1 columns stood in the order of their families
HEAD = struct.Struct("<IHH")
CODES = "dqihb?"  # of `struct`; a category is an `h`, the place of its name in the layout's list
CATEGORY = "h"
MOST_FAMILIES = 16

Values = tuple[Any, ...]


class RowDamagedError(ValueError):
    """A stored row is not what was written."""


class LayoutError(ValueError):
    """A snapshot is of a format that this release does not read."""


@dataclass(frozen=True)
class StoredFamily:
    """One family in a snapshot: (name, code) of its columns, the lake's version of it and what it means."""

    name: str
    version: str
    definition: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Layout:
    """How the rows of one snapshot are packed."""

    families: tuple[StoredFamily, ...]
    categories: Mapping[str, tuple[str, ...]]  # column -> the names its numbers stand for

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return {
            "format": FORMAT,
            "families": [
                {
                    "name": f.name,
                    "version": f.version,
                    "definition": f.definition,
                    "columns": [list(c) for c in f.columns],
                }
                for f in self.families
            ],
            "categories": {name: list(values) for name, values in self.categories.items()},
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Layout":
        """Read what `to_dict` rendered.

        Raises
        ------
        LayoutError
            It is of another format.
        """
        if found.get("format") != FORMAT:
            raise LayoutError(f"the online store is of format {found.get('format')}; this release reads {FORMAT}")
        families = tuple(
            StoredFamily(f["name"], f["version"], f["definition"], tuple((name, code) for name, code in f["columns"]))
            for f in found["families"]
        )
        return cls(families, {name: tuple(values) for name, values in found["categories"].items()})


class _Shape(NamedTuple):
    """How rows with the same families are read."""

    values: struct.Struct
    families: tuple[tuple[str, Callable[[list[Any]], Values]], ...]
    categories: tuple[tuple[int, tuple[str, ...]], ...]


class Decoder:
    """Reads features out of packed rows as they were written: the proof of a snapshot. Safe to share between threads.

    Parameters
    ----------
    layout
        The snapshot's.
    wanted
        Family -> names of the features to give, in the order they are given.

    Raises
    ------
    KeyError
        A family or a feature is not in the snapshot.
    """

    def __init__(self, layout: Layout, wanted: Mapping[str, Sequence[str]]) -> None:
        self._layout = layout
        self._wanted = {name: tuple(columns) for name, columns in wanted.items()}
        self._shapes: dict[int, _Shape] = {}
        self._places: dict[int, struct.Struct] = {}
        self._shape((1 << len(layout.families)) - 1)

    def decode(self, key: int, packed: bytes) -> dict[str, Values]:
        """Return the wanted features of each family the applicant has, None for NULL; a family that is absent has no history.

        Raises
        ------
        RowDamagedError
            The row's checksum does not hold.
        """
        try:
            checksum, mask, nulls = HEAD.unpack_from(packed)
            if checksum != zlib.crc32(memoryview(packed)[4:], key & 0xFFFFFFFF):
                raise RowDamagedError("a row of the online store fails its checksum")
            shape = self._shapes.get(mask) or self._shape(mask)
            values = list(shape.values.unpack_from(packed, HEAD.size + 2 * nulls))
            for place in self._null_places(nulls).unpack_from(packed, HEAD.size):
                values[place] = None
        except (struct.error, IndexError) as error:
            raise RowDamagedError("a row of the online store is cut short") from error
        for place, names in shape.categories:
            if values[place] is not None:
                values[place] = names[values[place]]
        return {name: take(values) for name, take in shape.families}

    def _null_places(self, count: int) -> struct.Struct:
        if (found := self._places.get(count)) is None:
            found = self._places[count] = struct.Struct(f"<{count}H")
        return found

    def _shape(self, mask: int) -> _Shape:
        present = families_of(self._layout, mask)
        columns = columns_of(present)
        places = {name: place for place, (name, _) in enumerate(columns)}
        shape = _Shape(
            struct.Struct("<" + "".join(code for _, code in columns)),
            tuple(
                (family.name, _taker([places[name] for name in self._wanted[family.name]]))
                for family in present
                if family.name in self._wanted
            ),
            tuple((places[name], known) for name, known in self._layout.categories.items() if name in places),
        )
        self._shapes[mask] = shape
        return shape


def families_of(layout: Layout, mask: int) -> list[StoredFamily]:
    """Return the families whose bit is set."""
    return [family for number, family in enumerate(layout.families) if mask >> number & 1]


def columns_of(families: Sequence[StoredFamily]) -> list[tuple[str, str]]:
    """Return (name, code) of the columns of rows that have these families, in the order of a row."""
    return sorted(
        (column for family in families for column in family.columns), key=lambda column: CODES.index(column[1])
    )


def _taker(places: Sequence[int]) -> Callable[[list[Any]], Values]:
    """Take values by their places; one run of neighbours, as when all are wanted, is a slice."""
    if not places:
        return lambda _: ()
    if list(places) == list(range(places[0], places[-1] + 1)):
        cut = slice(places[0], places[-1] + 1)
        return lambda values: tuple(values[cut])
    take = operator.itemgetter(*places)
    return take if len(places) > 1 else lambda values: (take(values),)
