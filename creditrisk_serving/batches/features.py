"""Features of the applicants of a batch: computed from the histories in the input, taken from the lake otherwise.

What belongs here: which family of which applicant comes from where, over whole tables. What does not: the SQL (in the bundle's plan), the
same question for one request (`scoring.features`), scores (`scoring.batch`).
"""

# ruff: noqa: S608 -- names of the plan, quoted paths and literals; DuckDB binds no identifiers

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.files import write
from creditrisk_assets.features.statement import KEY, family_select, quoted
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_serving.batches.inputs import APPLICANT, APPLICATION, CREDIT


@dataclass(frozen=True)
class Sources:
    """Where the features of a batch are.

    Parameters
    ----------
    accepted
        The applicants: `id`, and whether histories were sent (`sent`), by id.
    computed
        Family -> its file, computed from the input, by key.
    published
        Family -> its file in the lake, by key; only where somebody's features are looked up.
    """

    accepted: Path
    computed: Mapping[str, Path]
    published: Mapping[str, Path]


def needed(bundle: Bundle) -> dict[str, tuple[str, ...]]:
    """Return the features a decision takes, by family."""
    wanted = set(bundle.needed_names)
    return {
        name: tuple(column for column, _ in family["columns"] if column in wanted)
        for name, family in bundle.plan["families"].items()
    }


def compute_family(
    con: duckdb.DuckDBPyConnection,
    bundle: Bundle,
    name: str,
    typed: Mapping[str, Sequence[Path]],
    accepted: Path,
    out: Path,
) -> int:
    """Compute one family for all applicants of a batch by the plan's SQL, and count its rows.

    Parameters
    ----------
    con
        Connection with the memory limit and threads to keep to.
    bundle
        The model; only features it takes are computed.
    name
        The family.
    typed
        Table -> its typed files; a table that is not there is empty.
    accepted
        The applicants.
    out
        Parquet file to write, by key.
    """
    family = bundle.plan["families"][name]
    columns = ", ".join([KEY, *needed(bundle)[name]])
    with closing(con.cursor()) as cursor:
        for table in family["inputs"]:
            cursor.execute(
                f"create or replace temp view {quoted(table)} as {_view(bundle.plan, table, typed, accepted)}"
            )
        select = family_select(family["sql"], [(column, kind) for column, kind in family["columns"]])
        return write(cursor, f"select {columns} from ({select}) as whole", out)


def _view(plan: Mapping[str, Any], table: str, typed: Mapping[str, Sequence[Path]], accepted: Path) -> str:
    """Write the rows of a table that are an accepted applicant's."""
    declared = plan["tables"][table]["columns"]
    names = [column["name"] for column in declared]
    if not typed.get(table):
        empty = ", ".join(f"null::{column['sql_type']} as {quoted(column['name'])}" for column in declared)
        return f"select {empty} where false"
    rows = f"select {', '.join(map(quoted, names))} from {parquet(*typed[table])}"
    if APPLICANT in names:
        return f"{rows} where {APPLICANT} in (select id from {parquet(accepted)})"
    credits_ = _view(plan, "bureau", typed, accepted)
    return f"{rows} where {CREDIT} in (select {CREDIT} from ({credits_}))"


def relation(bundle: Bundle, sources: Sources, first: int, last: int) -> str:
    """Write the features of the accepted applicants from one id to another, one row each, by id; what `score_features` takes."""
    between = f"between {first} and {last}"
    columns, joins = [], []
    for name, wanted in needed(bundle).items():
        columns += [f"{quoted(name)}.{quoted(column)}" for column in wanted]
        select = f"select {', '.join(map(quoted, [KEY, *wanted]))} from"
        rows = f"{select} {parquet(sources.computed[name])} where {KEY} {between}"
        if name in sources.published:
            looked_up = f"select id from {parquet(sources.accepted)} where id {between} and not sent"
            rows += f" union all {select} {parquet(sources.published[name])} where {KEY} {between} and {KEY} in ({looked_up})"
        joins.append(f"left join ({rows}) as {quoted(name)} on {quoted(name)}.{KEY} = a.id")
    columns += [
        f"{quoted(family)}.{KEY} is not null as {quoted(flag)}"
        for flag, family in bundle.plan["presence"].items()
        if flag in bundle.needed_names
    ]
    applicants = f"(select id from {parquet(sources.accepted)} where id {between}) as a"
    return f"(select a.id as {KEY}, {', '.join(columns)} from {applicants} {' '.join(joins)} order by a.id)"


def ranges(con: duckdb.DuckDBPyConnection, accepted: Path, size: int) -> list[tuple[int, int]]:
    """Cut the accepted applicants into ranges of ids, each of at most so many."""
    numbered = f"select id, (row_number() over (order by id) - 1) // {size} as part from {parquet(accepted)}"
    found = con.execute(f"select min(id), max(id) from ({numbered}) group by part order by part").fetchall()
    return [(int(first), int(last)) for first, last in found]


def looks_up(family: str) -> bool:
    """Tell whether a family is looked up for applicants without histories; the application itself is always in the input."""
    return family != APPLICATION
