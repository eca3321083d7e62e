"""A plan's statements, prepared in an in-memory database of their own.

What belongs here: running families' SQL on rows. What does not: when DuckDB is asked rather than compiled functions (`request`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from creditrisk_assets.features.statement import family_select, literal, quoted

SENT = "sent_json"  # rows as they are handed to DuckDB: bound, never written into a statement
FEW_ROWS = 4  # up to here binding values is faster than unpacking JSON (one application: 2.5 ms against 15 ms)

Row = Mapping[str, Any]
Values = tuple[Any, ...]


class RequestError(ValueError):
    """Features cannot be computed from what was sent; the message names the table and the column, never a value."""


class Worker:
    """One in-memory database with the plan's tables and prepared statements."""

    def __init__(self, plan: Mapping[str, Any], threads: int) -> None:
        self._connection = duckdb.connect(":memory:", config={"threads": threads})
        # A statement prepared over an empty table is planned from the table's statistics, as one that never yields a row, and would
        # go on yielding none once rows are there. Without this optimizer the plan is independent of the rows.
        self._connection.execute("set disabled_optimizers = 'statistics_propagation'")
        self._connection.execute(f"create table {SENT} (rows varchar)")
        self._columns: dict[str, tuple[str, ...]] = {}
        self._inputs = {name: tuple(family["inputs"]) for name, family in plan["families"].items()}
        for table, schema in plan["tables"].items():
            self._prepare_table(table, [(column["name"], column["sql_type"]) for column in schema["columns"]])
        for name, family in plan["families"].items():
            columns = [(column, kind) for column, kind in family["columns"]]
            self._connection.execute(f"prepare family_{name} as {family_select(family['sql'], columns)}")

    def _prepare_table(self, table: str, columns: Sequence[tuple[str, str]]) -> None:
        self._columns[table] = tuple(name for name, _ in columns)
        declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns)
        structure = literal(json.dumps([dict(columns)]))
        self._connection.execute(f"create table {quoted(table)} ({declared})")
        self._connection.execute(
            f"prepare {quoted('insert_' + table)} as insert into {quoted(table)} "  # noqa: S608 - names of the plan
            f"select unnest(from_json_strict(rows::json, {structure}), recursive := true) from {SENT}"
        )

    def run(self, rows: Mapping[str, Sequence[Row]], families: Sequence[str]) -> dict[str, dict[int, Values]]:
        """Return, per family, key to feature values in the plan's order."""
        self._connection.execute("begin")
        try:
            for table, sent in rows.items():
                self._insert(table, sent)
            return {
                name: self._family(name) if any(rows.get(table) for table in self._inputs[name]) else {}
                for name in families
            }
        finally:
            self._connection.execute("rollback")

    def close(self) -> None:
        """Drop the database."""
        self._connection.close()

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        columns = self._columns[table]
        cells = [[_known(table, name, row.get(name)) for name in columns] for row in rows]
        try:
            if len(rows) <= FEW_ROWS:
                places = ", ".join(f"({', '.join('?' * len(columns))})" for _ in rows)
                values = [value for row in cells for value in row]
                self._connection.execute(f"insert into {quoted(table)} values {places}", values)  # noqa: S608 - from the plan
            else:
                sent = json.dumps([dict(zip(columns, row, strict=True)) for row in cells])
                self._connection.execute(f"insert into {SENT} values (?)", [sent])  # noqa: S608 - a constant name
                self._connection.execute(f"execute {quoted('insert_' + table)}")
                self._connection.execute(f"delete from {SENT}")  # noqa: S608 - a constant name
        except (duckdb.Error, TypeError):
            # DuckDB's message quotes the value, which must not reach a log or a caller.
            message = f"{table}: a value is not of its column's type; check the rows against the schema"
            raise RequestError(message) from None

    def _family(self, name: str) -> dict[int, Values]:
        found = self._connection.execute(f"execute family_{name}").fetchall()
        return {row[0]: row[1:] for row in found}


def _known(table: str, column: str, value: Any) -> Any:
    """Return a value that JSON and SQL can carry: NaN is unknown, hence None."""
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return None
        raise RequestError(f"{table}.{column} is infinite; send null for an unknown value")
    return value
