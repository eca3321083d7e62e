"""The batch engine: runs a family's SQL over whole tables with DuckDB and writes ordered, byte-deterministic Parquet.

What belongs here: input views, the order and the file format of outputs. What does not: what a feature means (`sql/`), where versions
are kept (`lake`), one applicant at a time (`request`).
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from creditrisk_assets.contracts.features import APPLICANT
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features.families import APPLICATION_TABLES, APPLICATION_VIEW, PRESENCE, Family
from creditrisk_assets.features.statement import KEY, family_select, literal, quoted

# Fixed, so that a file's bytes do not depend on the release's defaults. Dictionaries serve categories and small counts; building them
# for amounts and ratios, which hardly repeat, took half of the time of the join.
FORMAT = "format parquet, compression zstd, compression_level 1, row_group_size 122880, dictionary_size_limit 1000"
LABEL = "TARGET"


class FeatureError(ValueError):
    """Features cannot be built from what was given; the message names the family, the table and what to do."""


def build_family(con: duckdb.DuckDBPyConnection, family: Family, tables: Mapping[str, Path], out: Path) -> int:
    """Compute one family for every applicant its tables know and write it as Parquet.

    Parameters
    ----------
    con
        A DuckDB connection; its threads and memory limit are used as they are, and it is left without views.
    family
        What to compute.
    tables
        Raw table name to its Parquet file. Of the two application files one is enough.
    out
        File to write: the key and the family's features, ordered by key. Equal inputs give equal bytes, whatever the threads.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    FeatureError
        A table the family reads was not given.
    """
    with _inputs(con, family, tables) as cursor:
        return _write(cursor, family_select(family.sql, family.columns), out)


def join_applicant(con: duckdb.DuckDBPyConnection, families: Mapping[str, Path], out: Path) -> int:
    """Join the families to one row per application, and write it as Parquet.

    Every application stays; an applicant without rows in a history has NULL in its features and false in its `applicant__has_…`.

    Parameters
    ----------
    con
        A DuckDB connection.
    families
        Family name to its Parquet file.
    out
        File to write: the columns of the applicant contract, ordered by key.

    Returns
    -------
    int
        Rows written.
    """
    if missing := sorted({APPLICATION_VIEW, *PRESENCE.values()} - set(families)):
        raise FeatureError(f"features/applicant: family {', '.join(missing)} was not built; build it first")
    columns = [f"application.{KEY}"]
    for column in APPLICANT.columns:
        if column.name in PRESENCE:
            columns.append(f"{PRESENCE[column.name]}.{KEY} is not null as {column.name}")
        elif column.name != KEY:
            columns.append(column.name)
    joins = "\n".join(
        f"left join {_parquet(families[name])} as {name} on application.{KEY} = {name}.{KEY}"
        for name in PRESENCE.values()
    )
    select = f"select {', '.join(columns)}\nfrom {_parquet(families[APPLICATION_VIEW])} as application\n{joins}"
    with closing(con.cursor()) as cursor:
        return _write(cursor, select, out, key=f"application.{KEY}")


@contextmanager
def _inputs(
    con: duckdb.DuckDBPyConnection, family: Family, tables: Mapping[str, Path]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a cursor on which the family's inputs are views named as its SQL names them; they vanish with it."""
    with closing(con.cursor()) as cursor:
        for view in family.views:
            source = _application(family, tables) if view == APPLICATION_VIEW else _table(family, view, tables)
            cursor.execute(f"create or replace temp view {quoted(view)} as {source}")
        yield cursor


def _table(family: Family, table: str, tables: Mapping[str, Path]) -> str:
    if table not in tables:
        raise FeatureError(
            f"features/{family.name} reads raw table {table}, which was not given; ingest it first "
            f"(given: {', '.join(sorted(tables)) or 'none'})"
        )
    columns = ", ".join(quoted(column.name) for column in SOURCES[table].columns)
    return _select(columns, tables[table])


def _application(family: Family, tables: Mapping[str, Path]) -> str:
    """See both application files as one table without the label."""
    given = [table for table in APPLICATION_TABLES if table in tables]
    if not given:
        raise FeatureError(f"features/{family.name} reads {' or '.join(APPLICATION_TABLES)}; neither was given")
    columns = ", ".join(quoted(c.name) for c in SOURCES[given[0]].columns if c.name != LABEL)
    return "\nunion all\n".join(_select(columns, tables[table]) for table in given)


def _select(columns: str, path: Path) -> str:
    return f"select {columns} from {_parquet(path)}"  # noqa: S608 - columns come from the contract, the path is quoted


def _parquet(path: Path) -> str:
    return f"read_parquet({literal(str(path))})"


def _write(cursor: duckdb.DuckDBPyConnection, select: str, out: Path, *, key: str = KEY) -> int:
    cursor.execute(f"copy (\n{select}\norder by {key}\n) to {literal(str(out))} ({FORMAT})")
    row = cursor.fetchone()
    if row is None:
        raise FeatureError(f"{out.name}: DuckDB did not say how many rows it wrote")
    return int(row[0])
