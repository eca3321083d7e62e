"""Typing a raw table's file once: CSV or Parquet to the lake's Parquet.

What belongs here: types of columns as read, and setting aside rows with a value that is not of its type. What does not: which columns a
file has (`table_file`, `schema_change`), whether values are plausible (the contract of the table), what becomes of rows set aside
(`quarantine`).

Every column is read with its declared type. NaN becomes NULL. A clean file is read in one strict scan. Only when that meets a value that
is not of its type (or when rows of the file were corrected) the file is read again as text: the rows of the right types become the table,
byte for byte as if the others had not been in the file; the others are set aside with their place and their text. A file that is damaged
(truncated, not UTF-8, a quote left open) is refused as a whole. Errors name the line and the column, never the value.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb

from creditrisk_assets.contracts.quarantine import SEPARATOR
from creditrisk_assets.contracts.render import sql
from creditrisk_assets.contracts.table import ColumnSpec
from creditrisk_assets.ingestion.connector import IngestionError
from creditrisk_assets.ingestion.table_file import Schema, TableFile, numbered, places, wrong_encoding
from creditrisk_assets.lake import sha256_file

# ruff: noqa: S608 -- names of the contract, quoted paths and literals; DuckDB binds no identifiers

ROW_GROUP_ROWS = 122_880
EXACT_BELOW = 1 << 53  # from here on a DOUBLE no longer tells neighbouring whole numbers apart
INTEGERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT")
WRONG_TYPE = "column_type"
_WRONG_VALUE = ("not whole: ", "not exact: ")
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_COLUMN = re.compile(r'Error when converting column "([^"]+)"')
_WIDTH = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")


class Declared(Protocol):
    """What reading a table takes of its contract: a raw table's, or a table of a model's plan."""

    @property
    def columns(self) -> tuple[ColumnSpec, ...]:
        """Every column, with its type."""

    @property
    def locator(self) -> tuple[str, ...]:
        """Columns that point a person to a row."""


@dataclass(frozen=True)
class ReadResult:
    """What was read of one file.

    Parameters
    ----------
    rows
        Rows with every value of its type: those in the table.
    rejected
        Rows with a value that is not: those set aside. 0: no file of them was written.
    sha256
        Of the file's content, unpacked.
    source_bytes
        Its size, unpacked.
    corrected
        Rows in whose place a correction was read.
    """

    rows: int
    rejected: int
    sha256: str
    source_bytes: int
    corrected: int = 0


def read_table(
    con: duckdb.DuckDBPyConnection,
    file: TableFile,
    schema: Schema,
    contract: Declared,
    *,
    out: Path,
    rejects: Path,
    corrections: Sequence[Path] = (),
) -> ReadResult:
    """Read one file of a raw table into a zstd Parquet file, in the source's row order.

    Parameters
    ----------
    con
        Connection with the memory limit and threads to keep to.
    file, schema
        The file, and its columns as `table_file.delivered_schema` found them; `schema_change.classify` did not call them breaking.
    contract
        Declares the columns and their types.
    out
        Parquet file to write: the declared columns.
    rejects
        Parquet file to write when a row has a value that is not of its type: `row_number` (from 0), and `rule`, `key` and `row` as in
        the contract of the quarantine.
    corrections
        Corrected rows of this very content, as `corrections.corrections_of` lists them; they are read in place of the rows at their
        positions.

    Raises
    ------
    IngestionError
        The file is damaged, or not UTF-8, or the disk is full.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        digest = pool.submit(sha256_file, file.path)
        rejected = corrected = 0
        try:
            rows = None if corrections else _read_strictly(con, file, schema, contract, out)
            if rows is None:
                rows, rejected, corrected = _read_as_text(con, file, schema, contract, out, rejects, corrections)
        except duckdb.Error as error:
            raise explain(file, error) from None  # DuckDB's text quotes the line
    return ReadResult(rows, rejected, digest.result(), file.path.stat().st_size, corrected)


def _read_strictly(
    con: duckdb.DuckDBPyConnection, file: TableFile, schema: Schema, contract: Declared, out: Path
) -> int | None:
    """Read a file in one scan; None when it holds a value that is not of its type."""
    # integers are read as DOUBLE and proven whole in `_typed`: DuckDB would round "2.7" to 3 without a word
    types = {spec.name: "DOUBLE" if spec.sql_type in INTEGERS else spec.sql_type for spec in contract.columns}
    scan = csv_scan(file.path, schema, types) if file.layout == "csv" else sql.parquet(file.path)
    try:
        return copy(con, f"SELECT {', '.join(_typed(spec) for spec in contract.columns)} FROM {scan}", out)
    except (duckdb.ConversionException, duckdb.InvalidInputException) as error:
        text = str(error)
        if (
            isinstance(error, duckdb.ConversionException)
            or _COLUMN.search(text)
            or any(w in text for w in _WRONG_VALUE)
        ):
            return None
        raise


def _read_as_text(
    con: duckdb.DuckDBPyConnection,
    file: TableFile,
    schema: Schema,
    contract: Declared,
    out: Path,
    rejects: Path,
    corrections: Sequence[Path],
) -> tuple[int, int, int]:
    """Read a file as text and tell the rows apart: how many are typed, set aside, and of all of them corrected."""
    scratch = out.with_name(f"{out.name}.text")
    try:
        text = _text_of(con, file, schema, contract, scratch)
        total = int(_one(con, f"SELECT count(*) FROM {text}"))
        corrected = 0
        if corrections:
            corrected = _take_in(con, file, total, contract, corrections)
            names = ", ".join(
                sql.identifier(name) for name in ("row_number", *(spec.name for spec in contract.columns))
            )
            text = (
                f"(SELECT {names} FROM {text} WHERE row_number NOT IN (SELECT row_number FROM corrected) "
                f"UNION ALL SELECT {names} FROM corrected)"
            )
        wrong = {spec.name: test for spec in contract.columns if (test := _wrong(spec))}
        any_wrong = " OR ".join(wrong.values()) or "false"
        typed = {spec.name: _typed_text(spec) for spec in contract.columns}
        select = ", ".join(f"{expression} AS {sql.identifier(name)}" for name, expression in typed.items())
        rows = copy(con, f"SELECT {select} FROM {text} WHERE NOT ({any_wrong}) ORDER BY row_number", out)
        rejected = total - rows
        if rejected:
            labels = {f"{WRONG_TYPE}:{name}": test for name, test in wrong.items()}
            key = {
                name: f"CASE WHEN NOT {wrong.get(name, 'false')} THEN {typed[name]} END" for name in contract.locator
            }
            row = {spec.name: sql.identifier(spec.name) for spec in contract.columns}
            set_aside = (
                f"SELECT row_number, {sql.labels_where(labels, SEPARATOR)} AS rule, "
                f"{sql.key_text(key)} AS key, {sql.row_text(row)} AS row "
                f"FROM {text} WHERE {any_wrong}"
            )
            found = copy(con, set_aside, rejects)
            if found != rejected:
                raise RuntimeError(
                    f"{file.table}: {total} rows read, {rows} typed and {found} set aside: this is a defect"
                )
        return rows, rejected, corrected
    finally:
        scratch.unlink(missing_ok=True)
        con.execute("DROP TABLE IF EXISTS corrected")


def _text_of(con: duckdb.DuckDBPyConnection, file: TableFile, schema: Schema, contract: Declared, scratch: Path) -> str:
    """Return the relation of a file's declared columns as text, with the number of each row."""
    names = [spec.name for spec in contract.columns]
    if file.layout == "csv":
        columns = ", ".join(sql.identifier(name) for name in names)
        scan = csv_scan(file.path, schema, dict.fromkeys(names, "VARCHAR"))
        copy(con, f"SELECT {columns} FROM {scan}", scratch, compression="lz4_raw")
        return f"(SELECT file_row_number AS row_number, {columns} FROM {sql.parquet(scratch, rows=True)})"
    types = dict(schema.columns)
    columns = ", ".join(f"{_number_text(name, types[name])}::VARCHAR AS {sql.identifier(name)}" for name in names)
    return f"(SELECT file_row_number AS row_number, {columns} FROM {sql.parquet(file.path, rows=True)})"


def _number_text(name: str, kind: str | None) -> str:
    """Write a column so that its text is the number the strict scan reads: a 32-bit 0.1 is not the 64-bit one."""
    column = sql.identifier(name)
    return f"{column}::DOUBLE" if kind and kind.startswith(("FLOAT", "DECIMAL")) else column


def _take_in(
    con: duckdb.DuckDBPyConnection, file: TableFile, rows: int, contract: Declared, corrections: Sequence[Path]
) -> int:
    """Keep the corrected rows, numbered as the file's are; of several corrections of a row the last file's counts."""
    names = ", ".join(sql.identifier(spec.name) for spec in contract.columns)
    latest = (
        f"SELECT position, {names} FROM read_parquet([{', '.join(sql.literal(str(path)) for path in corrections)}], "
        "filename = true) QUALIFY row_number() OVER (PARTITION BY position ORDER BY filename DESC) = 1"
    )
    con.execute(f"CREATE TEMP TABLE corrected AS {numbered(con, places(file, rows), latest)}")
    return int(_one(con, "SELECT count(*) FROM corrected"))


def _one(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(query).fetchall()[0][0])


def copy(con: duckdb.DuckDBPyConnection, query: str, out: Path, *, compression: str = "zstd") -> int:
    """Write a query's rows, in their order, and count them.

    A query that leaves out or adds rows needs an ORDER BY: without one the sizes of the row groups, and so the file's bytes, depend on
    the number of threads and on which rows were left out.
    """
    written = con.execute(
        f"COPY ({query}) TO {sql.literal(str(out))} "
        f"(FORMAT parquet, COMPRESSION {compression}, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
    ).fetchone()
    return int(written[0]) if written else 0


def csv_scan(path: Path, schema: Schema, types: Mapping[str, str]) -> str:
    """Write the scan of a CSV; a column that is not declared gets a name no column has, and is not read."""
    columns = ", ".join(
        f"{sql.literal(name if name in types else f'undeclared column {number}')}: {sql.literal(types.get(name, 'VARCHAR'))}"
        for number, name in enumerate(schema.names, 1)
    )
    return (
        f"read_csv({sql.literal(str(path))}, columns = {{{columns}}}, header = true, auto_detect = false, "
        "delim = ',', quote = '\"', escape = '\"', nullstr = '')"
    )


def _typed(spec: ColumnSpec) -> str:
    """Write a column of the strict scan; the scan ends at a value that is not of the type."""
    name = sql.identifier(spec.name)
    if spec.sql_type in INTEGERS:
        cases = (
            f"WHEN isnan({name}) THEN NULL "
            f"WHEN abs({name}) >= {EXACT_BELOW} THEN error('not exact: {spec.name}') "
            f"WHEN {name} = floor({name}) THEN CAST({name} AS {spec.sql_type}) "
            f"WHEN {name} IS NOT NULL THEN error('not whole: {spec.name}')"
        )
        return f"CASE {cases} END AS {name}"
    if spec.sql_type == "DOUBLE":
        return f"CASE WHEN isnan(CAST({name} AS DOUBLE)) THEN NULL ELSE CAST({name} AS DOUBLE) END AS {name}"
    return f"CAST({name} AS {spec.sql_type}) AS {name}"


def _typed_text(spec: ColumnSpec) -> str:
    """Write a column of text in its type, as `_typed` does; NULL where it is not of the type."""
    name = sql.identifier(spec.name)
    number = f"TRY_CAST({name} AS DOUBLE)"
    if spec.sql_type in INTEGERS:
        return f"CASE WHEN NOT isnan({number}) THEN TRY_CAST({number} AS {spec.sql_type}) END"
    if spec.sql_type == "DOUBLE":
        return f"CASE WHEN NOT isnan({number}) THEN {number} END"
    return f"TRY_CAST({name} AS {spec.sql_type})"


def _wrong(spec: ColumnSpec) -> str:
    """Write the test that is true for a text that is not of its column's type; nothing for a type that takes any text."""
    name = sql.identifier(spec.name)
    number = f"TRY_CAST({name} AS DOUBLE)"
    if spec.sql_type == "VARCHAR":
        return ""
    if spec.sql_type in INTEGERS:
        return (
            f"({name} IS NOT NULL AND ({number} IS NULL OR (NOT isnan({number}) AND (abs({number}) >= {EXACT_BELOW} "
            f"OR {number} <> floor({number}) OR TRY_CAST({number} AS {spec.sql_type}) IS NULL))))"
        )
    return f"({name} IS NOT NULL AND TRY_CAST({name} AS {spec.sql_type}) IS NULL)"


def explain(file: TableFile, error: duckdb.Error) -> IngestionError:
    """Turn DuckDB's error, which quotes the offending line, into one without applicant data."""
    text = str(error)
    where = f"{file.table}: {file.address}"
    line = int(found.group(1)) if (found := _LINE.search(text)) else None
    if "not utf-8" in text:
        return wrong_encoding(file, line)
    if "No space left" in text:
        return IngestionError(
            f"{where}: the disk is full; free space or set CREDITRISK_HOME to a larger disk, then run again"
        )
    if "Out of Memory" in text:
        return IngestionError(f"{where}: does not fit CREDITRISK_MEMORY_LIMIT; raise it")
    if found := _WIDTH.search(text):
        return IngestionError(
            f"{where}, line {line}: {found.group(2)} columns instead of {found.group(1)}; truncated or damaged file"
        )
    if "unterminated quote" in text:
        return IngestionError(f"{where}, line {line}: a quoted text does not end; truncated or damaged file")
    if file.layout == "parquet":
        return IngestionError(f"{where} is a damaged Parquet file ({type(error).__name__}); fetch it again")
    place = f", line {line}" if line else ""
    return IngestionError(
        f"{where}{place}: cannot be parsed ({type(error).__name__}); check that it is a comma-separated table"
    )
