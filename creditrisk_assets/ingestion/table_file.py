"""A table's file as it lies on this machine, unpacked: its columns, and which place each row has for a person who opens it.

What belongs here: looking at a plain file without typing it. What does not: how it came here (`landing`), typing its rows (`reader`),
judging its columns (`schema_change`).

A row's place is what a person needs to find it: in a CSV the line it starts on (the header is line 1; blank lines and line breaks inside
quoted values count, as in an editor), in Parquet the number of the row from 1.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import duckdb
import pyarrow as pa

from creditrisk_assets.contracts.render import sql
from creditrisk_assets.ingestion.connector import IngestionError
from creditrisk_assets.settings import PATTERN_SIGNS

HEADER_BYTES = 1 << 20
COUNT_BYTES = 4 << 20
_LINE_END = re.compile(rb"[\r\n]")

# ruff: noqa: S608 -- queries of this package around numbers; DuckDB binds no identifiers


@dataclass(frozen=True)
class TableFile:
    """One file of a table.

    Parameters
    ----------
    table
        The raw table.
    address
        Where it came from, for people, without credentials.
    path
        The plain (unpacked) file on this machine.
    layout
        What it is.
    batch_id
        `base`, or the batch that was appended.
    """

    table: str
    address: str
    path: Path
    layout: Literal["csv", "parquet"]
    batch_id: str = "base"

    def place(self, position: int) -> str:
        """Name a row for people."""
        return f"{self.address.rsplit('/', 1)[-1]}, {'line' if self.layout == 'csv' else 'row'} {position}"


@dataclass(frozen=True)
class Schema:
    """The columns of a file, in order.

    Parameters
    ----------
    columns
        Name and type; the type is None where the file does not say (CSV, or a Parquet column without any value).
    """

    columns: tuple[tuple[str, str | None], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(name for name, _ in self.columns)

    def to_json(self) -> list[list[str | None]]:
        """Return it as JSON values, to be kept in the facts of the version that was made from it."""
        return [list(column) for column in self.columns]

    @classmethod
    def from_json(cls, values: Iterable[Sequence[str | None]]) -> Self:
        """Read what `to_json` wrote."""
        return cls(tuple((str(name), kind) for name, kind in values))


def delivered_schema(con: duckdb.DuckDBPyConnection, file: TableFile) -> Schema:
    """Read which columns a file holds, without reading its rows.

    Parameters
    ----------
    con
        Any connection.
    file
        The file.

    Raises
    ------
    IngestionError
        The file cannot be read, is empty, is not UTF-8, has no header, is no Parquet file, or has a name that would be read as a pattern
        of other names.
    """
    if signs := sorted(set(str(file.path)) & set(PATTERN_SIGNS)):
        raise IngestionError(
            f"{file.table}: {file.address} holds {' '.join(signs)}, which readers take for a pattern of other files' names; rename it"
        )
    try:
        if file.layout == "parquet":
            return _parquet_schema(con, file.path)
        with file.path.open("rb") as stream:
            head = stream.readline(
                HEADER_BYTES
            )  # bytes: decoding reads ahead, and would blame this line for a later one
            more = bool(stream.read(1))
        line = _LINE_END.split(head, maxsplit=1)[0].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise wrong_encoding(file, 1) from None
    except OSError as error:
        raise IngestionError(
            f"{file.table}: {file.address} cannot be read ({error.strerror}); check its permissions"
        ) from error
    except duckdb.Error:
        raise IngestionError(f"{file.table}: {file.address} is not a readable Parquet file; fetch it again") from None
    if not line.strip():
        what = "begins with a blank line" if more else "is empty"
        raise IngestionError(f"{file.table}: {file.address} {what}; expected a header line and rows")
    try:
        return Schema(tuple((name, None) for name in next(csv.reader([line]))))
    except csv.Error:  # longer than any name is
        raise IngestionError(
            f"{file.table}: {file.address}: its first line cannot be read as names of columns; expected a comma-separated header"
        ) from None


def _parquet_schema(con: duckdb.DuckDBPyConnection, path: Path) -> Schema:
    """Read names and types; a column of NULL alone, which writers give any type, has none."""
    types = con.execute(sql.describe_columns(sql.parquet(path))).fetchall()
    kinds = con.execute("select name, logical_type from parquet_schema(?)", [str(path)]).fetchall()
    untyped = {name for name, logical in kinds if logical == "NullType()"}
    return Schema(tuple((name, None if name in untyped else kind) for name, kind, *_ in types))


def wrong_encoding(file: TableFile, line: int | None) -> IngestionError:
    """Return the error of a file that is not UTF-8."""
    place = f", line {line}" if line else ""
    return IngestionError(
        f"{file.table}: {file.address}{place}: not UTF-8; convert the file (for example with iconv) and run again"
    )


def places(file: TableFile, rows: int) -> list[tuple[int, int]]:
    """Return how a row's number (from 0) becomes its place: from `first_row` on, the place is the number plus `shift`.

    Parameters
    ----------
    file
        The file, still on this machine.
    rows
        How many rows it holds, by which the lines of a CSV are told to be its rows without looking at each.

    Returns
    -------
    list of (first_row, shift)
        Ascending; one entry for a file of one line per row. Where lines and rows cannot be reconciled (line ends of another kind), each
        row counts as one line.
    """
    if file.layout == "parquet":
        return [(0, 1)]
    if _count_lines(file.path) == rows + 1:
        return [(0, 2)]
    return list(_shifts(file.path, rows)) or [(0, 2)]


def placed(con: duckdb.DuckDBPyConnection, shifts: Sequence[tuple[int, int]], rows: str) -> str:
    """Write a query that adds its place (`position`) to each row that has a `row_number`."""
    if len(shifts) == 1:
        return f"SELECT row_number + {shifts[0][1]} AS position, * FROM ({rows})"
    _register(con, shifts)
    return (
        f"SELECT r.row_number + s.shift AS position, r.* FROM ({rows}) AS r "
        "ASOF JOIN shifts AS s ON r.row_number >= s.first_row"
    )


def numbered(con: duckdb.DuckDBPyConnection, shifts: Sequence[tuple[int, int]], rows: str) -> str:
    """Write a query that adds its number (`row_number`) to each row that has a place: the reverse of `placed`."""
    if len(shifts) == 1:
        return f"SELECT position - {shifts[0][1]} AS row_number, * FROM ({rows})"
    _register(con, shifts)
    return (
        f"SELECT r.position - s.shift AS row_number, r.* FROM ({rows}) AS r "
        "ASOF JOIN (SELECT first_row + shift AS place, shift FROM shifts) AS s ON r.position >= s.place"
    )


def _register(con: duckdb.DuckDBPyConnection, shifts: Sequence[tuple[int, int]]) -> None:
    first, shift = zip(*shifts, strict=True)
    con.register("shifts", pa.table({"first_row": pa.array(first, pa.int64()), "shift": pa.array(shift, pa.int64())}))


def _count_lines(path: Path) -> int:
    """Count lines; the last one may lack its end."""
    lines, last = 0, b"\n"
    with path.open("rb") as stream:
        while block := stream.read(COUNT_BYTES):
            lines, last = lines + block.count(b"\n"), block[-1:]
    return lines + (last != b"\n")


def _shifts(path: Path, rows: int) -> Iterator[tuple[int, int]]:
    """Yield where the distance between line and row number changes; nothing when another number of rows is found."""
    found: list[tuple[int, int]] = []
    number = -1  # the header
    for line in _row_starts(path):
        if number >= 0 and (not found or found[-1][1] != line - number):
            found.append((number, line - number))
        number += 1
    if number == rows:
        yield from found


def _row_starts(path: Path) -> Iterator[int]:
    """Yield the line on which each row starts, the header first: a quote left open carries it on, a blank line is none."""
    start, quotes = 1, 0
    with path.open("rb") as stream:
        for line, text in enumerate(stream, 1):
            if quotes % 2 == 0:
                start = line
            quotes += text.count(b'"')
            if quotes % 2 == 0 and (text.strip(b"\r\n") or start != line):
                yield start
