"""Batch against request: applicants' features computed anew by the request path, compared with the joined table.

What belongs here: drawing applicants, reading their raw rows, comparing. What does not: computing (`engine`, `request`), when it is
done (`defs.parity`, the tests). Results name features and counts, never an applicant or a value.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.families import APPLICATION_TABLES, APPLICATION_VIEW
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.features.statement import KEY, quoted

TOLERANCE = 1e-9
PER_REQUEST = 50
LABEL = "TARGET"
APPLICANT, CREDIT = "SK_ID_CURR", "SK_ID_BUREAU"

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Difference:
    """How one feature differs: in how many applicants, and by how much at most relative to its size.

    The difference is infinite where one side is NULL, or of another text or truth.
    """

    feature: str
    applicants: int
    worst: float


@dataclass(frozen=True)
class Parity:
    """What comparing came to."""

    applicants: int
    features: int
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Whether batch and request are equal."""
        return self.applicants > 0 and not self.differences


def compare(
    con: duckdb.DuckDBPyConnection,
    plan: Mapping[str, Any],
    tables: Mapping[str, Path],
    joined: Path,
    *,
    applicants: int,
    seed: str = "",
) -> Parity:
    """Compute applicants by the request path and compare every feature with the joined table.

    Parameters
    ----------
    con
        A DuckDB connection; raw rows of the drawn applicants are copied into it for the time of the call.
    plan
        What the request path runs (`plan.render_plan`).
    tables
        Raw table name to its Parquet file.
    joined
        Parquet of `features/applicant`.
    applicants
        How many, or all when there are fewer. The same are drawn for the same seed.

    Returns
    -------
    Parity
        The features that differ by more than 1e-9 relative to the larger of 1 and their size, the worst first.
    """
    requests = RequestFeatures(plan)
    found: dict[str, tuple[int, float]] = {}
    count = features = 0
    with closing(con.cursor()) as cursor:
        _draw(cursor, tables, joined, applicants, seed)
        for expected, applications, histories in _requests(cursor, plan):
            columns = requests.compute(applications, histories)
            features = len(columns) - 1
            for place, key in enumerate(columns[KEY]):
                row = expected[key]
                for name, values in columns.items():
                    if (gap := _gap(values[place], row.get(name))) > TOLERANCE:
                        times, worst = found.get(name, (0, 0.0))
                        found[name] = times + 1, max(worst, gap)
            count += len(applications)
    differences = [Difference(name, times, worst) for name, (times, worst) in found.items()]
    return Parity(count, features, tuple(sorted(differences, key=lambda d: (-d.worst, -d.applicants, d.feature))))


def _draw(cursor: duckdb.DuckDBPyConnection, tables: Mapping[str, Path], joined: Path, count: int, seed: str) -> None:
    """Copy the drawn applicants' rows of every table, each with its request's number, beside their joined row."""
    cursor.execute(
        "create or replace temp table drawn as select key, (row_number() over (order by key) - 1) // ? as request from ("  # noqa: S608
        f"select {KEY} as key from {parquet(joined)} order by md5(cast({KEY} as varchar) || ?), {KEY} limit ?)",
        [PER_REQUEST, seed, count],
    )
    of_applicant = f"join drawn on t.{APPLICANT} = drawn.key"
    copies = {"joined": f"select t.*, request from {parquet(joined)} t join drawn on t.{KEY} = drawn.key"}  # noqa: S608
    applications = [parquet(tables[name]) for name in APPLICATION_TABLES if name in tables]
    copies[APPLICATION_VIEW] = " union all by name ".join(
        f"select t.*, request from {source} t {of_applicant}"  # noqa: S608 - names of the contracts, quoted paths
        for source in applications
    )
    for name, path in tables.items():
        if name not in (*APPLICATION_TABLES, "bureau_balance"):
            copies[name] = f"select t.*, request from {parquet(path)} t {of_applicant}"  # noqa: S608 - names of the contracts, quoted paths
    if "bureau_balance" in tables:
        copies["bureau_balance"] = (
            f"select t.*, request from {parquet(tables['bureau_balance'])} t "  # noqa: S608 - names of the contracts, quoted paths
            f"join (select {CREDIT}, min(request) as request from bureau_copy group by {CREDIT}) using ({CREDIT})"
        )
    for name, select in copies.items():
        cursor.execute(f"create or replace temp table {quoted(f'{name}_copy')} as {select} order by request")


def _requests(
    cursor: duckdb.DuckDBPyConnection, plan: Mapping[str, Any]
) -> Iterator[tuple[dict[int, dict[str, Any]], Rows, dict[str, Rows]]]:
    """Yield, per request, the joined rows by key, the applications and the histories."""
    (last,) = cursor.execute("select coalesce(max(request), -1) from drawn").fetchone() or (-1,)
    histories = [table for table in plan["tables"] if table != APPLICATION_VIEW]
    for request in range(last + 1):
        expected = {row[KEY]: row for row in _rows(cursor, "joined", request)}
        applications = [
            {name: value for name, value in row.items() if name != LABEL}
            for row in _rows(cursor, APPLICATION_VIEW, request)
        ]
        yield expected, applications, {table: _rows(cursor, table, request) for table in histories}


def _rows(cursor: duckdb.DuckDBPyConnection, table: str, request: int) -> Rows:
    found = cursor.execute(f"select * exclude (request) from {quoted(f'{table}_copy')} where request = {request}")  # noqa: S608
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _gap(mine: Any, other: Any) -> float:
    """Return by how much two values differ, relative to the larger of 1 and their size."""
    if mine is None and other is None:
        return 0.0
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (mine, other))
    if not numbers:
        return 0.0 if mine == other and type(mine) is type(other) else math.inf
    if mine == other or (mine != mine and other != other):  # noqa: PLR0124 - NaN
        return 0.0
    gap = abs(mine - other) / max(1.0, abs(mine), abs(other))
    return gap if gap == gap else math.inf  # noqa: PLR0124
