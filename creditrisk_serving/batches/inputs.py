"""The files of a batch: which there are, whether their columns are the contract's, and their rows typed.

What belongs here: from paths a person names to typed Parquet. What does not: reading one file (`creditrisk_assets.ingestion.reader`),
whether rows hold the rules (`checking`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.contracts.table import ColumnSpec
from creditrisk_assets.ingestion.quarantine import ReadPart
from creditrisk_assets.ingestion.reader import read_table
from creditrisk_assets.ingestion.table_file import TableFile, delivered_schema

APPLICATION, APPLICANT, CREDIT = "application", "SK_ID_CURR", "SK_ID_BUREAU"
APPLICATION_FILES = ("application", "application_train", "application_test")
LABEL = "TARGET"  # what training files have more than a request
LAYOUTS: Mapping[str, Any] = {".csv": "csv", ".parquet": "parquet"}
SHOWN = 5


class BatchInputError(RuntimeError):
    """A batch cannot be read; the message names the file, what is wrong with it and what to do, never a value."""


@dataclass(frozen=True)
class PlannedTable:
    """A table as a bundle's plan declares it, for the reader."""

    name: str
    columns: tuple[ColumnSpec, ...]
    locator: tuple[str, ...]  # whose a row is


def planned(plan: Mapping[str, Any]) -> dict[str, PlannedTable]:
    """Read the tables of a plan."""
    found = {}
    for name, table in plan["tables"].items():
        columns = tuple(ColumnSpec(c["name"], c["type"], c["sql_type"], c["nullable"]) for c in table["columns"])
        owner = APPLICANT if any(column.name == APPLICANT for column in columns) else CREDIT
        found[name] = PlannedTable(name, columns, (owner,))
    return found


def find_files(source: Path, histories: Path | None, tables: Sequence[str]) -> dict[str, tuple[TableFile, ...]]:
    """Find the files of a batch.

    Parameters
    ----------
    source
        A file of applications, or a directory with one file per table, named as the tables are, whatever their case; the applications
        are `application`, `application_train` and `application_test`, those that are there.
    histories
        A directory to take the histories from; none: those of `source`, if it is a directory.
    tables
        Names of the plan's tables.

    Raises
    ------
    BatchInputError
        There is no file of applications, two files are of one table, or a file is neither CSV nor Parquet.
    """
    if not source.exists():
        raise BatchInputError(f"{source} does not exist; name a CSV or Parquet file of applications, or a directory")
    if source.is_dir():
        found = _in_directory(source)
        applications = tuple(_file(APPLICATION, found[name]) for name in APPLICATION_FILES if name in found)
    elif source.suffix.lower() in LAYOUTS:
        found, applications = {}, (_file(APPLICATION, source),)
    else:
        raise BatchInputError(f"{source} is neither .csv nor .parquet; convert it, or name a directory")
    if not applications:
        raise BatchInputError(f"{source} holds no application_*.csv or application_*.parquet; nobody is to be scored")
    if histories is not None:
        if not histories.is_dir():
            raise BatchInputError(f"{histories} is no directory; histories are files of one, named as their tables are")
        found = _in_directory(histories)
    return {APPLICATION: applications} | {
        name: (_file(name, found[name]),) for name in tables if name != APPLICATION and name in found
    }


def _in_directory(directory: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(path for path in directory.iterdir() if path.suffix.lower() in LAYOUTS and path.is_file()):
        if (other := found.setdefault(path.stem.lower(), path)) != path:
            raise BatchInputError(f"{other} and {path} are of one table; take one of them away")
    return found


def _file(table: str, path: Path) -> TableFile:
    return TableFile(table, str(path), path, LAYOUTS[path.suffix.lower()])


def read_file(
    con: duckdb.DuckDBPyConnection, file: TableFile, table: PlannedTable, typed: Path, rejects: Path
) -> ReadPart:
    """Read one file of a batch.

    Parameters
    ----------
    con
        Connection with the memory limit and threads to keep to.
    file
        The file.
    table
        What it must hold.
    typed, rejects
        Parquet files to write: rows with every value of its type, and the others.

    Raises
    ------
    BatchInputError
        A column is missing, unknown or there twice.
    IngestionError
        The file is empty, damaged, or not UTF-8.
    """
    schema = delivered_schema(con, file)
    names, wanted = list(schema.names), [column.name for column in table.columns]
    given = [name for name in names if not (file.table == APPLICATION and name == LABEL)]
    for what, columns, remedy in (
        ("lacks the columns", [name for name in wanted if name not in given], "add them, empty where unknown"),
        ("has columns twice", sorted({name for name in names if names.count(name) > 1}), "take one of each away"),
        (
            "has unknown columns",
            [name for name in given if name not in wanted],
            "take them away, or correct their names",
        ),
    ):
        if columns:
            more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
            shown = ", ".join(name[:64] for name in columns[:SHOWN])
            raise BatchInputError(f"{file.address} {what} {shown}{more}; {remedy} (GET /schema lists the columns)")
    return ReadPart(file, read_table(con, file, schema, table, out=typed, rejects=rejects), typed, rejects)
