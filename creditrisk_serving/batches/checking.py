"""Which applicants of a batch can be scored, and why the others cannot, as `POST /predict` tells them apart.

What belongs here: laying each broken rule at an applicant's door, rules between rows, the table of rejected rows. What does not: rules of
single columns (`rules`), reading files (`inputs`), features (`features`).

A history row of nobody in the batch is left out and counted: histories are usually those of a whole portfolio. A row whose owner cannot be
read refuses the batch: scoring around it might score somebody without a row that was meant for them.
"""

# ruff: noqa: S608 -- names of the plan, quoted paths and literals; DuckDB binds no identifiers

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.contracts.quarantine import SEPARATOR
from creditrisk_assets.contracts.render.sql import identifier, literal, parquet
from creditrisk_assets.ingestion.quarantine import ReadPart, typed_rows
from creditrisk_assets.ingestion.table_file import placed, places
from creditrisk_serving.batches.inputs import APPLICANT, APPLICATION, CREDIT, BatchInputError
from creditrisk_serving.batches.rules import violations

Parts = Mapping[str, Sequence[ReadPart]]
REJECTED = "tbl varchar, file varchar, row_number bigint, id bigint, col varchar, rule varchar"
HISTORY_INVALID, DUPLICATE, DUPLICATE_KEY = "history_invalid", "duplicate_applicant", "duplicate_key"
NOT_COMPUTABLE = "not_computable"


@dataclass(frozen=True)
class Checked:
    """What a batch leaves standing.

    Parameters
    ----------
    applications
        Rows of applications in the input.
    others
        History table -> its rows of nobody in the batch, which were left out.
    """

    applications: int
    others: Mapping[str, int]


def check_rows(
    con: duckdb.DuckDBPyConnection, plan: Mapping[str, Any], parts: Parts, *, accepted: Path, rejected: Path
) -> Checked:
    """Tell the applicants of a batch apart.

    Parameters
    ----------
    con
        Connection with the memory limit and threads to keep to; what is made in it is dropped again.
    plan
        The content of plan.json: the rules.
    parts
        Table -> its files, read.
    accepted
        Parquet file to write: `id`, whether histories were sent (`sent`), and where the application is, by id.
    rejected
        Parquet file to write: table, file, row (its line in a CSV, from 1 in Parquet), sk_id_curr, column, rule; by place.

    Raises
    ------
    BatchInputError
        There is no application, or a history row's owner cannot be read.
    """
    con.execute(f"create or replace table broken ({REJECTED})")
    con.execute("create or replace table named (file varchar, row_number bigint, id bigint)")
    con.execute("create or replace table sent (id bigint)")
    try:
        for part in parts[APPLICATION]:
            con.execute(
                f"insert into named select {literal(part.file.address)}, row_number, id from {_ids(part, APPLICANT)}"
            )
            _find_broken(con, plan, APPLICATION, part)
        applications = _one(con, "select count(*) from named")
        if not applications:
            raise BatchInputError(f"{parts[APPLICATION][0].file.address} has no row; nobody is to be scored")
        con.execute(
            f"insert into broken select {literal(APPLICATION)}, file, row_number, id, {literal(APPLICANT)}, {literal(DUPLICATE)} "
            "from named where id in (select id from named group by id having count(*) > 1)"
        )
        others = {
            table: _check_history(con, plan, table, parts[table], parts.get("bureau", ()))
            for table in parts
            if table != APPLICATION
        }
        con.execute(
            f"insert into broken select distinct {literal(APPLICATION)}, n.file, n.row_number, n.id, null, {literal(HISTORY_INVALID)} "
            f"from named n semi join (select id from broken where tbl <> {literal(APPLICATION)}) using (id)"
        )
        con.execute(
            "copy (select id, id in (select id from sent) as sent, file, row_number from named "
            f"where id is not null and id not in (select id from broken where id is not null) order by id) "
            f"to {literal(str(accepted))} (format parquet, row_group_size 122880)"
        )
        _write_rejected(con, parts, rejected)
        return Checked(applications, others)
    finally:
        for table in ("broken", "named", "sent"):
            con.execute(f"drop table if exists {table}")


def _ids(part: ReadPart, column: str) -> str:
    """Write the relation of a part's rows by number and id, rows of a wrong type too as far as their id can be read."""
    rows = f"select row_number, {identifier(column)} as id from {typed_rows(part)}"
    if part.read.rejected:
        rows += f" union all select row_number, {_key(column)} as id from {parquet(part.rejects)}"
    return f"({rows})"


def _key(column: str) -> str:
    """Write the id in what the reader says of a row it set aside."""
    pattern = literal(rf"{column}=(-?\d+)")
    return f"try_cast(regexp_extract(key, {pattern}, 1) as bigint)"


def _find_broken(
    con: duckdb.DuckDBPyConnection, plan: Mapping[str, Any], table: str, part: ReadPart, owner: str = "t.id"
) -> None:
    """Note the rows of a part that break a rule of a column; `owner` writes whose they are from `t.id`, NULL: nobody's here."""
    column = _owner_column(plan, table)
    rules = violations(plan["tables"][table]["columns"])
    labels = ", ".join(
        f"case when {condition} then {{'col': {literal(name)}, 'rule': {literal(rule)}}} end"
        for (name, rule), condition in rules.items()
    )
    where = " or ".join(rules.values())
    found = [
        f"select row_number, {identifier(column)} as id, unnest(list_filter([{labels}], lambda x: x is not null)) as why "
        f"from {typed_rows(part)} where {where}"
    ]
    if part.read.rejected:
        found.append(
            f"select row_number, {_key(column)} as id, {{'col': split_part(label, ':', 2), 'rule': 'type'}} as why from "
            f"(select row_number, key, unnest(string_split(rule, {literal(SEPARATOR)})) as label from {parquet(part.rejects)})"
        )
    kept = "" if table == APPLICATION else "where owner is not null"
    con.execute(
        f"insert into broken select {literal(table)}, {literal(part.file.address)}, row_number, owner, why.col, why.rule "
        f"from (select t.*, {owner} as owner from ({' union all '.join(found)}) as t) {kept}"
    )


def _check_history(
    con: duckdb.DuckDBPyConnection,
    plan: Mapping[str, Any],
    table: str,
    parts: Sequence[ReadPart],
    bureau: Sequence[ReadPart],
) -> int:
    """Check a history table, note who has rows in it, and count the rows of nobody in the batch."""
    column = _owner_column(plan, table)
    others = 0
    for part in parts:
        if unread := _one(con, f"select count(*) from {_ids(part, column)} where id is null"):
            raise BatchInputError(
                f"{part.file.address}: {column} of {unread} rows is empty or no whole number, so whose they are is not known "
                "and nobody was scored; correct these rows, or take them away"
            )
        con.execute(f"create or replace table owners as {_owners(column, bureau)}")
        _find_broken(con, plan, table, part, "(select any_value(o.id) from owners o where o.key = t.id)")
        mine = f"{_ids(part, column)} as t join owners as o on o.key = t.id"
        con.execute(f"insert into sent select distinct o.id from {mine}")
        others += part.read.rows + part.read.rejected - _one(con, f"select count(*) from {mine}")
        if key := plan["tables"][table]["key"]:
            names = ", ".join(identifier(name) for name in key)
            rows = f"{typed_rows(part)} as t join owners as o on o.key = t.{identifier(column)}"
            con.execute(
                f"insert into broken select {literal(table)}, {literal(part.file.address)}, row_number, id, {literal(key[0])}, "
                f"{literal(DUPLICATE_KEY)} from {rows} where ({names}) in "
                f"(select ({names}) from {rows} group by {names} having count(*) > 1)"
            )
        con.execute("drop table owners")
    return others


def _owners(column: str, bureau: Sequence[ReadPart]) -> str:
    """Write the query of what names an owner in the batch (`key`), and who that is (`id`)."""
    if column == APPLICANT:
        return "select distinct id as key, id from named where id is not null"
    pairs = " union all ".join(
        f"select {identifier(CREDIT)} as key, {identifier(APPLICANT)} as id from {typed_rows(part)}" for part in bureau
    )
    if not pairs:
        return "select null::bigint as key, null::bigint as id where false"
    return f"select key, min(id) as id from ({pairs}) semi join named using (id) where key is not null group by key"


def _owner_column(plan: Mapping[str, Any], table: str) -> str:
    """Return the column by which a table's rows are somebody's."""
    return APPLICANT if any(c["name"] == APPLICANT for c in plan["tables"][table]["columns"]) else CREDIT


def reject_uncomputable(
    con: duckdb.DuckDBPyConnection, parts: Parts, lost: Sequence[int], *, accepted: Path, rejected: Path, out: Path
) -> None:
    """Write the rejected rows anew with applicants of whom a feature could not be computed.

    Parameters
    ----------
    con
        Any connection.
    parts
        Table -> its files, read.
    lost
        The applicants, of those in `accepted`.
    accepted, rejected
        As `check_rows` wrote them.
    out
        Parquet file to write.
    """
    con.execute(f"create or replace table broken ({REJECTED})")
    con.execute(
        f"insert into broken select {literal(APPLICATION)}, file, row_number, id, null, {literal(NOT_COMPUTABLE)} "
        f"from {parquet(accepted)} where id in (select unnest(?::bigint[]))",
        [list(lost)],
    )
    new = out.with_name(f"new-{out.name}")
    _write_rejected(con, parts, new)
    con.execute(f"copy (from {parquet(rejected, new)} order by all) to {literal(str(out))} (format parquet)")
    new.unlink()
    con.execute("drop table broken")


def rejected_rules(con: duckdb.DuckDBPyConnection, rejected: Path) -> dict[str, int]:
    """Count rejected rows by `table.column rule`; a row that breaks two counts in both."""
    named = """ "table" || coalesce('.' || "column", '') || ' ' || rule as named """
    return dict(
        con.execute(f"select {named}, count(*) from {parquet(rejected)} group by named order by named").fetchall()
    )


def rejected_applications(con: duckdb.DuckDBPyConnection, rejected: Path) -> int:
    """Count the applications among rejected rows."""
    mine = f'select distinct file, "row" from {parquet(rejected)} where "table" = {literal(APPLICATION)}'
    return _one(con, f"select count(*) from ({mine})")


def _write_rejected(con: duckdb.DuckDBPyConnection, parts: Parts, out: Path) -> None:
    """Write the rejected rows with their places in the files."""
    placed_rows = [*_placed(con, parts)]
    rows = " union all ".join(placed_rows) or "select *, null::bigint as position from broken where false"
    con.execute(
        'copy (select tbl as "table", file, position as "row", id as sk_id_curr, col as "column", rule '
        f"from ({rows}) order by all) to {literal(str(out))} (format parquet)"
    )


def _placed(con: duckdb.DuckDBPyConnection, parts: Parts) -> Iterator[str]:
    for number, part in enumerate(part for table in parts.values() for part in table):
        mine = f"select * from broken where file = {literal(part.file.address)} and tbl = {literal(part.file.table)}"
        if _one(con, f"select count(*) from ({mine})"):
            shifts = places(part.file, part.read.rows + part.read.rejected)
            con.execute(f"create or replace table placed_{number} as {placed(con, shifts, mine)}")
            yield f"select tbl, file, row_number, id, col, rule, position from placed_{number}"


def _one(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(query).fetchall()[0][0])
