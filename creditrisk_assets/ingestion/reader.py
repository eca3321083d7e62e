"""Typing a raw table once: CSV or Parquet to the lake's Parquet.

What belongs here: names and types of columns as read. What does not: whether values are plausible (the contract of the table).

Every column is read with its declared type. NaN becomes NULL. A value that is not of its type fails the table, and the error names the
line and the column, never the value.
"""

import csv
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb

from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.table import ColumnSpec
from creditrisk_assets.ingestion.files import IngestionError, SourceFile
from creditrisk_assets.lake import sha256_file

ROW_GROUP_ROWS = 122_880
EXACT_BELOW = 1 << 53  # from here on a DOUBLE no longer tells neighbouring whole numbers apart
INTEGERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT")
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_COLUMN = re.compile(r'Error when converting column "([^"]+)"')
_WIDTH = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")


@dataclass(frozen=True)
class ReadResult:
    """What was read."""

    rows: int
    sha256: str  # of the source content, unpacked
    source_bytes: int


def read_table(
    con: duckdb.DuckDBPyConnection, file: SourceFile, plain: Path, contract: SourceContract, out: Path
) -> ReadResult:
    """Read a raw table into one zstd Parquet file, in the source's row order.

    Parameters
    ----------
    con
        Connection with the memory limit and threads to keep to.
    file, plain
        The source file (named in errors) and the unpacked file to read (the same when it was not compressed).
    contract
        Declares the columns and their types.
    out
        Parquet file to write.

    Raises
    ------
    IngestionError
        A column is missing or unknown, a value has the wrong type, or the file is damaged, empty or in another encoding.
    """
    names = _column_names(con, file, plain)
    specs = _match_columns(file, names, contract)
    scan = _csv_scan(plain, names, specs) if file.layout == "csv" else f"read_parquet({_text(plain)})"
    select = ", ".join(_typed(spec) for spec in contract.columns)
    with ThreadPoolExecutor(max_workers=1) as pool:
        digest = pool.submit(sha256_file, plain)
        try:
            rows = con.execute(
                f"COPY (SELECT {select} FROM {scan}) TO {_text(out)} "  # noqa: S608 -- names of the contract, quoted paths
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
            ).fetchone()
        except duckdb.Error as error:
            raise _explain(con, file, plain, names, contract, error) from None  # DuckDB's text quotes the line
    return ReadResult(rows=int(rows[0]) if rows else 0, sha256=digest.result(), source_bytes=plain.stat().st_size)


def _column_names(con: duckdb.DuckDBPyConnection, file: SourceFile, plain: Path) -> list[str]:
    try:
        if file.layout == "parquet":
            described = con.execute(f"DESCRIBE FROM read_parquet({_text(plain)})")
            return [row[0] for row in described.fetchall()]
        with plain.open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline(1 << 20)
    except UnicodeDecodeError:
        raise _wrong_encoding(file, 1) from None
    except OSError as error:
        raise IngestionError(
            f"{file.table}: {file.path} cannot be read ({error.strerror}); check its permissions"
        ) from error
    except duckdb.Error:
        raise IngestionError(f"{file.table}: {file.path} is not a readable Parquet file; fetch it again") from None
    if not line.strip():
        raise IngestionError(f"{file.table}: {file.path} is empty; expected a header line and rows")
    return next(csv.reader([line]))


def _match_columns(file: SourceFile, names: Sequence[str], contract: SourceContract) -> dict[str, ColumnSpec]:
    declared = {spec.name: spec for spec in contract.columns}
    problems = []
    if missing := [name for name in declared if name not in names]:
        problems.append(f"missing column {', '.join(missing)}")
    if unknown := [name for name in names if name not in declared]:
        problems.append(f"unknown column {', '.join(_printable(name) for name in unknown)}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"repeated column {', '.join(repeated)}")
    if problems:
        raise IngestionError(
            f"{file.table}: {'; '.join(problems)} in {file.path}; the contract declares {len(declared)} columns "
            f"(docs/data-dictionary.md)"
        )
    return declared


def _csv_scan(plain: Path, names: Sequence[str], specs: dict[str, ColumnSpec]) -> str:
    # integers are read as DOUBLE and proven whole in `_typed`: DuckDB would round "2.7" to 3 without a word
    types = ", ".join(
        f"{_text(name)}: '{'DOUBLE' if specs[name].sql_type in INTEGERS else specs[name].sql_type}'" for name in names
    )
    return (
        f"read_csv({_text(plain)}, columns = {{{types}}}, header = true, auto_detect = false, "
        "delim = ',', quote = '\"', escape = '\"', nullstr = '')"
    )


def _typed(spec: ColumnSpec) -> str:
    name = f'"{spec.name}"'
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


def _explain(
    con: duckdb.DuckDBPyConnection,
    file: SourceFile,
    plain: Path,
    names: Sequence[str],
    contract: SourceContract,
    error: duckdb.Error,
) -> IngestionError:
    """Turn DuckDB's error, which quotes the offending line, into one without applicant data."""
    text = str(error)
    where = f"{file.table}: {file.path}"
    line = int(found.group(1)) if (found := _LINE.search(text)) else None
    types = {spec.name: spec.sql_type for spec in contract.columns}
    if "not utf-8" in text:
        return _wrong_encoding(file, line)
    if "No space left" in text:
        return IngestionError(
            f"{where}: the disk is full; free space or set CREDITRISK_HOME to a larger disk, then run again"
        )
    if "Out of Memory" in text:
        return IngestionError(f"{where}: does not fit CREDITRISK_MEMORY_LIMIT; raise it")
    if found := re.search(r"not whole: (\w+)", text):
        column = found.group(1)
        at = _first_line_not_whole(con, plain, names, column) if file.layout == "csv" else "a row"
        return IngestionError(
            f"{where}, {at}, column {column}: not a whole number; the contract declares {types[column]}"
        )
    if found := re.search(r"not exact: (\w+)", text):
        return IngestionError(
            f"{where}, column {found.group(1)}: a number of 2^53 or more, which is not an id or a count; correct it"
        )
    if found := _COLUMN.search(text):
        column = found.group(1)
        return IngestionError(
            f"{where}, line {line}, column {column}: not a {types.get(column, 'value of its type')}; correct the row"
        )
    if found := _WIDTH.search(text):
        return IngestionError(
            f"{where}, line {line}: {found.group(2)} columns instead of {found.group(1)}; truncated or damaged file"
        )
    if "unterminated quote" in text:
        return IngestionError(f"{where}, line {line}: a quoted text does not end; truncated or damaged file")
    if isinstance(error, duckdb.ConversionException):
        return IngestionError(
            f"{where}: a column is not of its declared type and cannot be converted; correct the file"
        )
    place = f", line {line}" if line else ""
    return IngestionError(
        f"{where}{place}: cannot be parsed ({type(error).__name__}); check that it is a comma-separated table"
    )


def _first_line_not_whole(con: duckdb.DuckDBPyConnection, plain: Path, names: Sequence[str], column: str) -> str:
    types = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in names)
    found = con.execute(
        f'SELECT min(n) FROM (SELECT row_number() OVER () + 1 AS n, TRY_CAST("{column}" AS DOUBLE) AS x FROM '  # noqa: S608
        f"read_csv({_text(plain)}, columns = {{{types}}}, header = true, auto_detect = false, nullstr = '')) "
        "WHERE x <> floor(x)"  # names of the contract, quoted paths
    ).fetchone()
    return f"line {found[0]}" if found and found[0] else "a row"


def _wrong_encoding(file: SourceFile, line: int | None) -> IngestionError:
    place = f", line {line}" if line else ""
    return IngestionError(
        f"{file.table}: {file.path}{place}: not UTF-8; convert the file (for example with iconv) and run again"
    )


def _printable(name: str) -> str:
    return name if name.isprintable() and len(name) <= 64 else "(unprintable name)"


def _text(value: object) -> str:
    """Quote a text as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"
