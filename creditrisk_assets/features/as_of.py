"""The past as it was known: input views cut at a point before the application and re-based to it, and the scan for records after it.

What belongs here: what a date's declared dating (`contracts.fields`) means for a view, as text that DuckDB and Spark both run. What does
not: running it (`engine`, `spark`), the declarations (`contracts.sources`), what is made of the views (`sql/`).

`as_of` = k looks k whole months back: months shift by k, days by `days_of(k)`. In the view a family reads,

- a row stays if its own date had come; a monthly row if its month was over (the month that the point lies in was not yet known);
- any other date that had not come, and what is known only from it on, is NULL, or the code for "has not come" where there is one;
- of the parts that settle one thing (the payments of an instalment) those to come are one open row, or none where another part is there;
- what was planned stays, re-based: it may lie ahead; codes among dates stay as they are;
- what is known only on the application day is NULL, and so is every feature made of it (`known_before`).

`as_of` = 0 is the table itself: everything delivered was known.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import ColumnSpec
from creditrisk_assets.features.families import Family
from creditrisk_assets.features.lineage import Origins, lineage
from creditrisk_assets.features.statement import KEY, family_select, literal, portable, quoted

ONLY_LATER = frozenset({"snapshot", "outcome"})
SAMPLES = 20


class AsOfError(ValueError):
    """A point in time that is not before the application; the message says what to give."""


def days_of(months: int) -> int:
    """Return the days that a number of months stands for: 30.4375 each (365.25 / 12), the sum rounded half up.

    >>> [days_of(months) for months in (0, 1, 2, 12, 24, 48)]
    [0, 30, 61, 365, 731, 1461]
    """
    return (487 * months + 8) // 16


def view(contract: SourceContract, columns: Iterable[ColumnSpec], source: str, as_of: int) -> str:
    """Write the select that shows a raw table as it was known some months before each application.

    Parameters
    ----------
    contract
        The raw table.
    columns
        Which of its columns to show.
    source
        The table as SQL text, for example `read_parquet('…')`.
    as_of
        Whole months before the application, at least 1.

    Raises
    ------
    AsOfError
        `as_of` is below 1.
    """
    if as_of < 1:
        raise AsOfError(f"as_of is {as_of}: give whole months before the application, 1 or more")
    columns = tuple(columns)
    shown = ", ".join(f"{_shown(contract, column, as_of)} as {quoted(column.name)}" for column in columns)
    where = f" where {_has_come(contract.column(contract.dated_by), as_of)}" if contract.dated_by else ""
    if not contract.settles:
        return f"select {shown} from {source}{where}"  # noqa: S608 - columns come from the contract, the source is quoted
    (settled_by,) = {column.known_from for column in contract.columns if column.known_from}
    to_come = f"{quoted(settled_by)} > {-_shift(contract.column(settled_by), as_of)}"
    parts = f"partition by {', '.join(quoted(name) for name in contract.settles)}"
    order = ", ".join(
        quoted(column.name)
        for column in columns
        if column.name not in (*contract.settles, settled_by) and column.known_from != settled_by
    )
    names = ", ".join(quoted(column.name) for column in columns)
    return (
        f"select {names} from (select {shown}, case when {to_come} then 1 else 0 end as is_to_come, "  # noqa: S608 - as above
        f"sum(case when {to_come} then 0 else 1 end) over ({parts}) as parts_come, "
        f"row_number() over ({parts} order by {order}) as place from {source}{where}) as parts "
        "where is_to_come = 0 or (parts_come = 0 and place = 1)"
    )


def statement(family: Family, as_of: int) -> str:
    """Return the statement that computes a family from views of the past: a feature that was not yet known is NULL.

    Parameters
    ----------
    family
        What to compute.
    as_of
        Whole months before the application, at least 1.
    """
    known = known_before(lineage(family))
    shown = ",\n    ".join(
        name if name in known else f"cast(null as {portable(kind)}) as {name}" for name, kind in family.columns
    )
    return f"select\n    {KEY},\n    {shown}\nfrom (\n{family_select(family.sql, family.columns)}\n) as known"


def known_before(origins: Mapping[str, Origins]) -> frozenset[str]:
    """Name the features that have a value before the application day: none of their origins is known only on it."""
    return frozenset(
        name
        for name, columns in origins.items()
        if not any(SOURCES[table].column(column).dating in ONLY_LATER for table, column in columns)
    )


@dataclass(frozen=True)
class FutureRecords:
    """Records of one table whose date in one column lies after the application."""

    table: str
    column: str
    records: int
    latest: float  # days or months after the application
    sample_keys: tuple[str, ...]  # at most 20


def future_records(
    con: duckdb.DuckDBPyConnection, tables: Collection[str], paths: Mapping[str, Path]
) -> tuple[FutureRecords, ...]:
    """Find the events that are dated after the application day, in one pass over the dates of some raw tables.

    Parameters
    ----------
    con
        A DuckDB connection.
    tables
        Raw tables to look through; those not given are left out.
    paths
        Raw table name to its Parquet file.

    Returns
    -------
    tuple
        One entry per column that holds such a record; empty when there is none.
    """
    scans = [
        _future(SOURCES[table], column, parquet(paths[table]))
        for table in tables
        if table in paths
        for column in SOURCES[table].columns
        if column.clock and column.dating == "event"
    ]
    rows = con.execute("\nunion all\n".join(scans)).fetchall() if scans else []
    found = [FutureRecords(table, column, count, latest, tuple(keys)) for table, column, count, latest, keys in rows]
    return tuple(sorted((each for each in found if each.records), key=lambda each: (each.table, each.column)))


def _future(contract: SourceContract, column: ColumnSpec, source: str) -> str:
    """Write the search for one date after the application; the bare comparison lets Parquet skip row groups by their bounds."""
    date = quoted(column.name)
    key = " || ', ' || ".join(f"'{name}=' || {quoted(name)}" for name in contract.locator)
    return (
        f"select {literal(contract.table)}, {literal(column.name)}, count(*), coalesce(max({date}), 0)::double, "  # noqa: S608 - as above
        f"coalesce(min({key}, {SAMPLES}), []) from {source} where {date} > 0{_no_code(column)}"
    )


def _shift(date: ColumnSpec, as_of: int) -> int:
    return as_of if date.clock == "months" else days_of(as_of)


def _has_come(date: ColumnSpec, as_of: int) -> str:
    """Write that an event's date is not after the point in time; a month counts once it is over."""
    return f"{quoted(date.name)} {'<' if date.clock == 'months' else '<='} {-_shift(date, as_of)}"


def _shown(contract: SourceContract, column: ColumnSpec, as_of: int) -> str:
    """Write what a column showed at the point in time."""
    name, kind = quoted(column.name), portable(column.sql_type)
    if column.dating in ONLY_LATER:
        return f"cast(null as {kind})"
    if column.known_from:
        return f"case when {_has_come(contract.column(column.known_from), as_of)} then {name} end"
    if not column.clock:
        return name
    moved = f"{name} + {_shift(column, as_of)}"
    if column.dating == "plan":
        codes = "".join(f"when {name} = {code} then {name} " for code in column.sentinels)
        return f"cast(case {codes}else {moved} end as {kind})" if codes else f"cast({moved} as {kind})"
    later = f" when {name} is not null then {column.pending}" if column.pending is not None else ""
    return f"cast(case when {_has_come(column, as_of)} then {moved}{later} end as {kind})"


def _no_code(column: ColumnSpec) -> str:
    return "".join(f" and {quoted(column.name)} <> {code}" for code in column.sentinels)
