"""A family built from its last version: applicants whose raw rows changed are computed anew, the others taken over.

What belongs here: finding the applicants that a change of raw tables touches, computing them, putting them among the others. What does
not: whether there is a last version to start from (`lake`, `defs.features`), what a whole build is (`engine`: the same views, SQL and
writer, so that the bytes are the same), Spark, which always builds whole.

An applicant is touched when its rows in one of the family's inputs are not the same multiset as before. Rows are compared by 64-bit hashes
of all their columns, summed per applicant without loss (docs/decisions/0012-only-touched-applicants-are-computed.md has the odds).
"""

import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import Relation
from creditrisk_assets.features.engine import create_views, input_views, statement
from creditrisk_assets.features.families import APPLICATION_VIEW, Family
from creditrisk_assets.features.files import write
from creditrisk_assets.features.statement import KEY, quoted

# ruff: noqa: S608 -- names of the contracts and quoted paths; DuckDB binds no identifiers

APPLICANT = "SK_ID_CURR"
TOUCHED = "touched_applicants"
FLOATS = ("DOUBLE", "FLOAT")


class IncrementalError(ValueError):
    """A family cannot be built from its last version, or it does not pay; the message says why. Build it whole."""


@dataclass(frozen=True)
class Last:
    """The last version of a family.

    Parameters
    ----------
    data
        Its Parquet file.
    tables
        Raw table name to the Parquet file it was built from.
    """

    data: Path
    tables: Mapping[str, Path]


@dataclass(frozen=True)
class Update:
    """What building from the last version came to.

    Parameters
    ----------
    rows
        Rows written.
    touched
        Applicants computed anew, or gone.
    of
        Applicants of the last version.
    by
        Inputs in which their rows changed.
    """

    rows: int
    touched: int
    of: int
    by: tuple[str, ...]

    def __str__(self) -> str:
        by = f"touched by {', '.join(self.by)}" if self.by else "no row that is read changed"
        return f"{self.touched:,} of {self.of:,} applicants, {by}"


def update_family(
    con: duckdb.DuckDBPyConnection, family: Family, last: Last, tables: Mapping[str, Path], out: Path
) -> Update:
    """Compute the applicants of one family that are touched and write them among the others, taken from the last version.

    Parameters
    ----------
    con
        A DuckDB connection; its threads and memory limit are used as they are, and it is left without views.
    family
        What to compute; the last version was built by this very definition.
    last
        What to start from.
    tables
        Raw table name to its Parquet file, as they are now.
    out
        File to write: byte for byte what `engine.build_family` writes.

    Raises
    ------
    IncrementalError
        More applicants are touched than the family allows, or a raw table had other columns.
    FeatureError
        A table the family reads was not given.
    """
    with closing(con.cursor()) as cursor:
        by = find_touched(cursor, family, last.tables, tables)
        ((touched,),) = _run(cursor, f"select count(distinct {KEY}) from {TOUCHED}")
        ((of,),) = _run(cursor, f"select count(*) from {parquet(last.data)}")
        if touched > family.most_touched * of:
            raise IncrementalError(f"{touched:,} of {of:,} applicants are touched, more than {family.most_touched:.0%}")
        if not touched:
            shutil.copyfile(last.data, out)
            return Update(of, touched, of, by)
        now = input_views(family, tables, parquet)
        create_views(
            cursor, {view: f"select * from ({select}) where {_is_touched(view)}" for view, select in now.items()}
        )
        others = f"select * from {parquet(last.data)} where {KEY} not in (select {KEY} from {TOUCHED})"
        return Update(write(cursor, f"{statement(family)}\nunion all\n{others}", out), touched, of, by)


def find_touched(
    cursor: duckdb.DuckDBPyConnection, family: Family, before: Mapping[str, Path], now: Mapping[str, Path]
) -> tuple[str, ...]:
    """Find the applicants whose rows differ between two versions of a family's inputs: added, removed or changed.

    Parameters
    ----------
    cursor
        Where the temporary table `TOUCHED` is made: an applicant per row, once for each input that touches it.
    family
        Whose inputs.
    before, now
        Raw table name to its Parquet file.

    Returns
    -------
    tuple
        The inputs that touch an applicant, as the family's SQL names them.

    Raises
    ------
    IncrementalError
        A raw table had other columns.
    FeatureError
        A table the family reads was not given.
    """
    old, new = input_views(family, before, parquet), input_views(family, now, parquet)
    _run(cursor, f"create or replace temp table {TOUCHED} ({KEY} bigint)")
    by = []
    for view in family.views:
        if old[view] != new[view]:
            owner = _owner(view)
            columns = _columns(cursor, view, old[view], new[view])
            changed = _changed(owner.column if owner else APPLICANT, columns, old[view], new[view])
            if owner is not None:  # as it is now: a parent that is gone, or another applicant's, touches both by itself
                ((parent, key),) = owner.parents
                changed = (
                    f"select distinct {APPLICANT} from ({new[parent]}) as parent where {quoted(key)} in ({changed})"
                )
            ((rows,),) = _run(cursor, f"insert into {TOUCHED} {changed}")
            by += [view] if rows else []
    return tuple(by)


def _changed(key: str, columns: Mapping[str, str], old: str, new: str) -> str:
    """Write the select of the ids in a column whose rows are not the same multiset in two selects.

    Each row counts +1 on the new side and -1 on the old one, itself and its hash, so that equal multisets leave nothing. The hash is
    taken twice: that of several columns ends in an exclusive or, by which rows that swap their last values could sum to the same. The
    sign tells -0.0 from 0.0: equal values, but other bytes.
    """
    parts = [*map(quoted, columns), *(f"signbit({quoted(name)})" for name, kind in columns.items() if kind in FLOATS)]
    content = f"cast(hash(hash({', '.join(parts)})) as hugeint)"
    return (
        f"select id from (select {quoted(key)} as id, 1 as side, {content} as content from ({new}) "
        f"union all select {quoted(key)}, -1, -{content} from ({old})) group by id having sum(side) <> 0 or sum(content) <> 0"
    )


def _columns(cursor: duckdb.DuckDBPyConnection, view: str, old: str, new: str) -> dict[str, str]:
    """Return name and type of an input's columns, which must not have changed."""

    def described(select: str) -> dict[str, str]:
        return {name: kind for name, kind, *_ in _run(cursor, f"describe {select}")}

    columns = described(new)
    try:
        same = described(old) == columns
    except duckdb.BinderException:  # one was not there
        same = False
    if not same:
        raise IncrementalError(f"{view} had other columns")
    return columns


def _owner(view: str) -> Relation | None:
    """Return the tie that leads from rows without an applicant's id to the rows they belong to; None where rows have it."""
    if view == APPLICATION_VIEW or any(column.name == APPLICANT for column in SOURCES[view].columns):
        return None
    (tie,) = (tie for tie in SOURCES[view].relations if isinstance(tie, Relation))
    return tie


def _is_touched(view: str) -> str:
    """Write the condition that keeps the rows of touched applicants; the parent's view is cut before its children's."""
    if (owner := _owner(view)) is None:
        return f"{APPLICANT} in (select {KEY} from {TOUCHED})"
    ((parent, key),) = owner.parents
    return f"{quoted(owner.column)} in (select {quoted(key)} from {quoted(parent)})"


def _run(cursor: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return cursor.execute(query).fetchall()
