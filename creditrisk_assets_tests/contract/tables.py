"""Small tables that obey a contract, to be broken on purpose."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from creditrisk_assets.contracts.render import sql
from creditrisk_assets.contracts.table import ColumnSpec, TableContract


def valid_value(spec: ColumnSpec, number: int) -> Any:
    """A value that obeys the column's contract; key columns differ from row to row."""
    if spec.categories is not None:
        return spec.categories[number % len(spec.categories)]
    if spec.known_categories is not None:
        return spec.known_categories[number % len(spec.known_categories)]
    if spec.type == "bool":
        return bool(number % 2)
    if spec.type == "str":
        return f"text {number}"
    if spec.dating == "key" or spec.unit == "id":
        return (spec.minimum or 0) + number + 1
    low = spec.minimum if spec.minimum is not None else (spec.maximum or 0) - 100
    high = spec.maximum if spec.maximum is not None else low + 100
    value = low + (high - low) * ((number % 7) / 7)
    return int(value) if spec.type == "int" else float(value)


def valid_rows(contract: TableContract, count: int = 4) -> list[dict[str, Any]]:
    """Rows that obey a contract."""
    return [{spec.name: valid_value(spec, number) for spec in contract.columns} for number in range(count)]


def put(
    con: duckdb.DuckDBPyConnection,
    contract: TableContract,
    rows: Sequence[Mapping[str, Any]],
    *,
    name: str = "subject",
    types: Mapping[str, str] | None = None,
) -> str:
    """Create a table of these rows with the declared types and return its name."""
    columns = {spec.name: spec.sql_type for spec in contract.columns} | dict(types or {})
    declared = ", ".join(f"{sql.identifier(column)} {kind}" for column, kind in columns.items())
    con.execute(f"create or replace table {name} ({declared})")
    if rows:
        row_marks = f"({', '.join('?' for _ in columns)})"
        marks = ", ".join([row_marks] * len(rows))
        con.execute(f"insert into {name} values {marks}", [row.get(column) for row in rows for column in columns])
    return name
