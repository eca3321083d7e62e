"""The rules of a request as SQL: what `POST /predict` refuses of a row, asked of a whole table at once.

What belongs here: conditions on single columns, rendered from a bundle's plan. What does not: values that are not of their column's type
(`creditrisk_assets.ingestion.reader` finds those), rules between rows (`checking`), the same rules for one request (`scoring.rules`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from creditrisk_assets.contracts.render.sql import identifier, literal
from creditrisk_serving.scoring.rules import TEXT_LENGTH, sentinels, whole_bounds

Column = Mapping[str, Any]


def violations(columns: Sequence[Column]) -> dict[tuple[str, str], str]:
    """Return (column, rule) -> the condition that is true for a row that breaks the rule; the rules are named as in answers."""
    return {(column["name"], rule): condition for column in columns for rule, condition in _violations(column)}


def _violations(column: Column) -> Iterator[tuple[str, str]]:
    name = identifier(column["name"])
    if not column["nullable"]:
        yield "required", f"{name} is null"
    if column["type"] == "str":
        yield _text(name, column)
        return
    if column["categories"]:
        yield "category", _none_of(name, column["categories"])
        return
    number, (low, high) = "true", whole_bounds(column) if column["type"] == "int" else _bounds(column)
    if column["type"] == "float":
        number = f"isfinite({name})"
        yield "finite", f"coalesce(not {number}, false)"
    if codes := sentinels(column):
        number += f" and {_none_of(name, codes)}"
    if low is not None:
        yield "minimum", f"coalesce({name} < {literal(low)} and {number}, false)"
    if high is not None:
        yield "maximum", f"coalesce({name} > {literal(high)} and {number}, false)"


def _bounds(column: Column) -> tuple[float | None, float | None]:
    return column["minimum"], column["maximum"]


def _text(name: str, column: Column) -> tuple[str, str]:
    if column["categories"]:
        return "category", _none_of(name, [*column["categories"], *sentinels(column)])
    return "type", f"coalesce(length({name}) > {TEXT_LENGTH}, false)"


def _none_of(name: str, values: Sequence[Any]) -> str:
    return f"coalesce({name} not in ({', '.join(map(literal, values))}), false)"
