"""The batch engine: runs a family's SQL over whole tables with DuckDB and writes ordered, byte-deterministic Parquet.

What belongs here: input views, the order and the file format of outputs. What does not: what a feature means (`sql/`), where versions
are kept (`lake`), one applicant at a time (`request`), how a table looked before the application (`as_of`), a few applicants among the
others (`incremental`), tables past one machine (`spark`); these take their views from here and have their rows written here.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import duckdb

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features import as_of as past
from creditrisk_assets.features.families import APPLICATION_TABLES, APPLICATION_VIEW, Family
from creditrisk_assets.features.files import FeatureError, write
from creditrisk_assets.features.statement import family_select, quoted

LABEL = "TARGET"


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
    with closing(con.cursor()) as cursor:
        create_views(cursor, input_views(family, tables, parquet, as_of))
        return write(cursor, statement(family, as_of), out)


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


def create_views(cursor: duckdb.DuckDBPyConnection, views: Mapping[str, str]) -> None:
    """Make a family's inputs views of a cursor, named as its SQL names them; they vanish with it."""
    for name, select in views.items():
        cursor.execute(f"create or replace temp view {quoted(name)} as {select}")


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
