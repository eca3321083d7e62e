"""Features of the applicants of a batch: computed from the histories in the input, taken from the lake otherwise.

What belongs here: which family of which applicant comes from where, over whole tables. What does not: the SQL (in the bundle's plan), the
same question for one request (`scoring.features`), scores (`scoring.batch`).
"""

# ruff: noqa: S608 -- names of the plan, quoted paths and literals; DuckDB binds no identifiers

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from creditrisk_assets.contracts.render import spark as spark_sql
from creditrisk_assets.contracts.render.sql import literal, parquet
from creditrisk_assets.features import spark
from creditrisk_assets.features.files import write
from creditrisk_assets.features.statement import KEY, family_select, portable, quoted
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_serving.batches.inputs import APPLICANT, APPLICATION, CREDIT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Sources:
    """Where the features of a batch are.

    Parameters
    ----------
    scorable
        The applicants: `id`, and whether histories were sent (`sent`), by id.
    computed
        Family -> its file, computed from the input, by key.
    published
        Family -> its file in the lake, by key; only where somebody's features are looked up.
    """

    scorable: Path
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
    session: SparkSession | None = None,
) -> list[int]:
    """Compute one family for all applicants of a batch by the plan's SQL.

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
    session
        The Spark that computes; none: DuckDB does. Where Spark refuses a value, DuckDB computes the family and finds whose it is.

    Returns
    -------
    list of int
        Applicants whose values the SQL cannot take, though each is within its bounds; they are not in the file.
    """
    select = _family(bundle, name)
    inputs = bundle.plan["families"][name]["inputs"]
    if session is not None:
        views = {table: _view(bundle.plan, table, typed, _of_spark(accepted), _of_spark) for table in inputs}
        try:
            with spark.in_words():
                spark.write_rows(session, con, views, select, out)
        except spark.ValueRefusedError:
            out.unlink(missing_ok=True)
        else:
            return []

    def over(who: str, run: Callable[[duckdb.DuckDBPyConnection], object]) -> bool:
        """Run something over the family's inputs, cut to some applicants; false where the SQL cannot take a value."""
        with closing(con.cursor()) as cursor:
            for table in inputs:
                view = _view(bundle.plan, table, typed, who)
                cursor.execute(f"create or replace temp view {quoted(table)} as {view}")
            try:
                run(cursor)
            except (duckdb.DataError, duckdb.ProgrammingError):  # its words quote the value
                return False
            return True

    def try_out(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(f"create temp table tried as {select}")

    def refused(first: int, last: int) -> Iterator[int]:
        """Halve a range of ids down to the applicants that are refused."""
        between = f"(select id from {parquet(accepted)} where id between {first} and {last})"
        if over(between, try_out):
            return
        if first == last:
            yield first
            return
        middle = f"select quantile_disc(id, 0.5) from {between}"
        ((below, above),) = con.execute(
            f"select max(id) filter (where id <= ({middle})), min(id) filter (where id > ({middle})) from {between}"
        ).fetchall()
        yield from refused(first, below)
        yield from refused(above, last)

    def write_all(cursor: duckdb.DuckDBPyConnection) -> None:
        write(cursor, select, out)

    if over(parquet(accepted), write_all):
        return []
    lost = [*refused(*con.execute(f"select min(id), max(id) from {parquet(accepted)}").fetchall()[0])]
    if not over(_but(accepted, lost), write_all):
        raise RuntimeError(
            f"features/{name} cannot be computed for applicants that can be computed apart: this is a defect"
        )
    return lost


def _family(bundle: Bundle, name: str) -> str:
    """Write the statement of the features of a family that a decision takes."""
    family = bundle.plan["families"][name]
    select = family_select(family["sql"], [(column, kind) for column, kind in family["columns"]])
    return f"select {', '.join([KEY, *needed(bundle)[name]])} from ({select}) as whole"


def _but(accepted: Path, lost: Sequence[int]) -> str:
    return f"(select * from {parquet(accepted)} where id not in (select unnest({list(lost)}::bigint[])))"


def _of_spark(*paths: Path) -> str:
    """Write the relation of Parquet files in Spark's words."""
    return f"({' union all '.join(f'select * from {spark_sql.parquet(path)}' for path in paths)})"


def _view(
    plan: Mapping[str, Any],
    table: str,
    typed: Mapping[str, Sequence[Path]],
    who: str,
    relation: Callable[..., str] = parquet,
) -> str:
    """Write the rows of a table that are these applicants'."""
    declared = plan["tables"][table]["columns"]
    names = [column["name"] for column in declared]
    if not typed.get(table):
        empty = ", ".join(
            f"cast(null as {portable(column['sql_type'])}) as {quoted(column['name'])}" for column in declared
        )
        return f"select {empty} where false"
    rows = f"select {', '.join(map(quoted, names))} from {relation(*typed[table])}"
    if APPLICANT in names:
        return f"{rows} where {APPLICANT} in (select id from {who})"
    return f"{rows} where {CREDIT} in (select {CREDIT} from ({_view(plan, 'bureau', typed, who, relation)}))"


def write_scorable(con: duckdb.DuckDBPyConnection, accepted: Path, lost: Sequence[int], out: Path) -> None:
    """Write the applicants whose features could be computed, in the order of `accepted`."""
    con.execute(f"copy (from {_but(accepted, lost)} order by id) to {literal(str(out))} (format parquet)")


def infinite(con: duckdb.DuckDBPyConnection, bundle: Bundle, rows: str) -> list[int]:
    """List the applicants of a relation of features for whom an input of the model is infinite."""
    numbers = [quoted(feature.name) for feature in bundle.features if feature.kind != "category"]
    wrong = " or ".join(f"isinf({name}::double)" for name in numbers)
    return [row[0] for row in con.execute(f"select {KEY} from {rows} where {wrong}").fetchall()]


def relation(bundle: Bundle, sources: Sources, first: int, last: int) -> str:
    """Write the features of the scorable applicants from one id to another, one row each, by id; what `score_features` takes."""
    between = f"between {first} and {last}"
    columns, joins = [], []
    for name, wanted in needed(bundle).items():
        columns += [f"{quoted(name)}.{quoted(column)}" for column in wanted]
        select = f"select {', '.join(map(quoted, [KEY, *wanted]))} from"
        rows = f"{select} {parquet(sources.computed[name])} where {KEY} {between}"
        if name in sources.published:
            looked_up = f"select id from {parquet(sources.scorable)} where id {between} and not sent"
            rows += f" union all {select} {parquet(sources.published[name])} where {KEY} {between} and {KEY} in ({looked_up})"
        joins.append(f"left join ({rows}) as {quoted(name)} on {quoted(name)}.{KEY} = a.id")
    columns += [
        f"{quoted(family)}.{KEY} is not null as {quoted(flag)}"
        for flag, family in bundle.plan["presence"].items()
        if flag in bundle.needed_names
    ]
    applicants = f"(select id from {parquet(sources.scorable)} where id {between}) as a"
    return f"(select a.id as {KEY}, {', '.join(columns)} from {applicants} {' '.join(joins)} order by a.id)"


def without(rows: str, lost: Sequence[int]) -> str:
    """Write a relation of features without some applicants."""
    return f"(select * from {rows} where {KEY} not in (select unnest({list(lost)}::bigint[])) order by {KEY})"


def ranges(con: duckdb.DuckDBPyConnection, scorable: Path, size: int) -> list[tuple[int, int]]:
    """Cut the scorable applicants into ranges of ids, each of at most so many."""
    numbered = f"select id, (row_number() over (order by id) - 1) // {size} as part from {parquet(scorable)}"
    found = con.execute(f"select min(id), max(id) from ({numbered}) group by part order by part").fetchall()
    return [(int(first), int(last)) for first, last in found]


def looks_up(family: str) -> bool:
    """Tell whether a family is looked up for applicants without histories; the application itself is always in the input."""
    return family != APPLICATION
