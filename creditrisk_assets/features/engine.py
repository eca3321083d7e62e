"""The batch engine: runs a family's SQL over whole tables with DuckDB and writes ordered, byte-deterministic Parquet.

What belongs here: input views, the order and the file format of outputs. What does not: what a feature means (`sql/`), where versions
are kept (`lake`), one applicant at a time (`request`), how a table looked before the application (`as_of`), tables past one machine
(`spark`, which takes its views from here and has its rows written here).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from creditrisk_assets.contracts.features import APPLICANT
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features import as_of as past
from creditrisk_assets.features.families import APPLICATION_TABLES, APPLICATION_VIEW, PRESENCE, Family
from creditrisk_assets.features.statement import KEY, family_select, literal, quoted

# Fixed, so that a file's bytes do not depend on the release's defaults. Dictionaries serve categories and small counts; building them
# for amounts and ratios, which hardly repeat, took half of the time of the join.
FORMAT = "format parquet, compression zstd, compression_level 1, row_group_size 122880, dictionary_size_limit 1000"
LABEL = "TARGET"


class FeatureError(ValueError):
    """Features cannot be built from what was given; the message names the family, the table and what to do."""


def build_family(
    con: duckdb.DuckDBPyConnection, family: Family, tables: Mapping[str, Path], out: Path, as_of: int = 0
) -> int:
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
    as_of
        Whole months before the application: features as they would have been computed then (see `as_of`).

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    FeatureError
        A table the family reads was not given.
    """
    with _inputs(con, input_views(family, tables, _parquet, as_of)) as cursor:
        return write(cursor, statement(family, as_of), out)


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
    with closing(con.cursor()) as cursor:
        return write(cursor, applicant_select(families, _parquet), out)


def applicant_select(families: Mapping[str, Path], relation: Callable[[Path], str]) -> str:
    """Write the statement that joins the families to one row per application.

    Parameters
    ----------
    families
        Family name to its Parquet file.
    relation
        Writes a Parquet file as the engine's relation.
    """
    if missing := sorted({APPLICATION_VIEW, *PRESENCE.values()} - set(families)):
        raise FeatureError(f"features/applicant: family {', '.join(missing)} was not built; build it first")
    columns = [f"application.{KEY} as {KEY}"]
    for column in APPLICANT.columns:
        if column.name in PRESENCE:
            columns.append(f"{PRESENCE[column.name]}.{KEY} is not null as {column.name}")
        elif column.name != KEY:
            columns.append(column.name)
    joins = "\n".join(
        f"left join {relation(families[name])} as {name} on application.{KEY} = {name}.{KEY}"
        for name in PRESENCE.values()
    )
    return f"select {', '.join(columns)}\nfrom {relation(families[APPLICATION_VIEW])} as application\n{joins}"


def statement(family: Family, as_of: int = 0) -> str:
    """Return what either engine runs over the input views; for the application day it is the family's SQL, typed."""
    return past.statement(family, as_of) if as_of else family_select(family.sql, family.columns)


def input_views(
    family: Family, tables: Mapping[str, Path], relation: Callable[[Path], str], as_of: int = 0
) -> dict[str, str]:
    """Write the views a family's SQL reads: their names, and the select of each.

    Parameters
    ----------
    family
        What is computed.
    tables
        Raw table name to its Parquet file. Of the two application files one is enough.
    relation
        Writes a Parquet file as the engine's relation.
    as_of
        Whole months before the application.

    Raises
    ------
    FeatureError
        A table the family reads was not given.
    """
    views = {}
    for view in family.views:
        names = _applications(family, tables) if view == APPLICATION_VIEW else (_given(family, view, tables),)
        views[view] = "\nunion all\n".join(_view(name, relation(tables[name]), as_of) for name in names)
    return views


@contextmanager
def _inputs(con: duckdb.DuckDBPyConnection, views: Mapping[str, str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a cursor on which the family's inputs are views named as its SQL names them; they vanish with it."""
    with closing(con.cursor()) as cursor:
        for name, select in views.items():
            cursor.execute(f"create or replace temp view {quoted(name)} as {select}")
        yield cursor


def _given(family: Family, table: str, tables: Mapping[str, Path]) -> str:
    if table not in tables:
        raise FeatureError(
            f"features/{family.name} reads raw table {table}, which was not given; ingest it first "
            f"(given: {', '.join(sorted(tables)) or 'none'})"
        )
    return table


def _applications(family: Family, tables: Mapping[str, Path]) -> tuple[str, ...]:
    given = tuple(table for table in APPLICATION_TABLES if table in tables)
    if not given:
        raise FeatureError(f"features/{family.name} reads {' or '.join(APPLICATION_TABLES)}; neither was given")
    return given


def _view(table: str, source: str, as_of: int) -> str:
    """See a raw table without the label, so that both application files are one."""
    columns = [column for column in SOURCES[table].columns if column.name != LABEL]
    if as_of:
        return past.view(SOURCES[table], columns, source, as_of)
    return f"select {', '.join(quoted(c.name) for c in columns)} from {source}"  # noqa: S608 - columns come from the contract


def _parquet(path: Path) -> str:
    return f"read_parquet({literal(str(path))})"


def write(cursor: duckdb.DuckDBPyConnection, select: str, out: Path) -> int:
    """Write the rows of a statement as the lake keeps features, ordered by key, and return how many there are."""
    cursor.execute(f"copy (\n{select}\norder by {KEY}\n) to {literal(str(out))} ({FORMAT})")
    row = cursor.fetchone()
    if row is None:
        raise FeatureError(f"{out.name}: DuckDB did not say how many rows it wrote")
    return int(row[0])
