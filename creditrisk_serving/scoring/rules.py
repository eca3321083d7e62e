"""The rules of a request, compiled from the bundle's plan when the bundle is loaded.

What belongs here: turning the plan's table schemas into typed row models, and the names of broken rules. What does
not: reading a whole request and deciding which applicants it leaves standing (`parsing`), the bounds themselves (the
contracts, rendered into the plan).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model
from pydantic_core import ErrorDetails, PydanticCustomError

from creditrisk_serving.errors import FieldError
from creditrisk_serving.scoring.examples import PREDICT_EXAMPLES

APPLICATIONS, APPLICANT_IDS, REQUEST = "applications", "applicant_ids", "request"
APPLICANT, BUREAU_CREDIT = "SK_ID_CURR", "SK_ID_BUREAU"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
TEXT_LENGTH = 256
INTEGER_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}
STRICT = ConfigDict(extra="forbid", strict=True)

# pydantic's error type -> the rule callers see
RULES = {
    "missing": "required",
    "extra_forbidden": "unknown_column",
    "finite_number": "finite",
    "greater_than_equal": "minimum",
    "less_than_equal": "maximum",
    "literal_error": "category",
    "minimum": "minimum",
    "maximum": "maximum",
    "category": "category",
}
MESSAGES = {
    "required": "this column is required and must not be null",
    "unknown_column": "the contract has no such column; GET /schema lists them",
    "type": "the value has the wrong type; GET /schema lists the types",
    "finite": "NaN and infinity are not numbers here; leave the column out or send null where it is nullable",
    "category": "not one of the contract's categories; GET /schema lists them",
}


@dataclass(frozen=True)
class TableRules:
    """One table of the request."""

    name: str
    model: type[BaseModel]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """All tables of the request and the model of the whole body."""

    applications: TableRules
    histories: Mapping[str, TableRules]
    body: type[BaseModel]


def compile_rules(plan: Mapping[str, Any]) -> Rules:
    """Compile a bundle's plan.

    Parameters
    ----------
    plan
        The content of plan.json: the families' inputs and the tables' columns.
    """
    tables = plan["tables"]
    application = application_table(plan)
    applications = _table(application, tables[application])
    histories = {name: _table(name, tables[name]) for name in tables if name != application}
    history_fields: dict[str, Any] = {name: _rows_of(rules.model) for name, rules in histories.items()}
    sent_histories = create_model("Histories", __config__=STRICT, **history_fields)
    identifier = _column(next(c for c in tables[application]["columns"] if c["name"] == APPLICANT))[0]
    body_fields: dict[str, Any] = {
        APPLICATIONS: _rows_of(applications.model),
        "histories": (sent_histories, Field(default_factory=sent_histories)),
        APPLICANT_IDS: _rows_of(identifier),
    }
    return Rules(applications, histories, create_model("ScoringRequest", __config__=STRICT, **body_fields))


def _rows_of(item: Any) -> Any:
    """Declare a list that may be left out."""
    return GenericAlias(list, (item,)), Field(default_factory=list)


def application_table(plan: Mapping[str, Any]) -> str:
    """Name the table that the application family reads."""
    (name,) = plan["families"]["application"]["inputs"]
    return str(name)


def describe(error: ErrorDetails, table: str, row: int | None, column: str | None) -> FieldError:
    """Name a broken rule in the service's words, without the value."""
    rule = "required" if error["input"] is None else RULES.get(error["type"], "type")
    context = error.get("ctx", {})
    if rule == "minimum":
        message = f"must be at least {context.get('ge', context.get('limit'))}"
    elif rule == "maximum":
        limit = context.get("le", context.get("limit"))
        message = f"must be at most {limit}"
        if column is not None and column.startswith("DAYS_") and limit is not None and limit <= 0:
            message += " (days are counted back from the application: negative numbers)"
    else:
        message = MESSAGES[rule]
    return FieldError(table=table, rule=rule, message=message, row=row, column=printable(column))


def printable(name: str | None) -> str | None:
    """Repeat a name the caller sent only when it can be a column's name: anything else might be data."""
    if name is None or NAME.fullmatch(name):
        return name
    return "(not a column name)"


def _table(name: str, table: Mapping[str, Any]) -> TableRules:
    fields: dict[str, Any] = {column["name"]: _column(column) for column in table["columns"]}
    return TableRules(name, create_model(name, __config__=STRICT, **fields), tuple(table["key"]))


def _column(column: Mapping[str, Any]) -> tuple[Any, Any]:
    """Render one column as a pydantic field: its annotation and its default."""
    build = {"int": _integer, "float": _number, "str": _text}[column["type"]]
    annotation = build(column)
    told: dict[str, Any] = {
        "description": column.get("description"),
        "examples": column.get("known_categories"),  # any other text is taken too
        "json_schema_extra": _explained(column),
    }
    if column["nullable"]:
        return annotation | None, Field(default=None, **told)
    return annotation, Field(**told)


def _explained(column: Mapping[str, Any]) -> dict[str, Any]:
    """Say what JSON Schema has no word for: the unit, and values with a meaning of their own."""
    meanings = {str(sentinel["value"]): sentinel["meaning"] for sentinel in column["sentinels"]}
    return {"x-unit": column.get("unit")} | ({"x-meanings": meanings} if meanings else {})


def _integer(column: Mapping[str, Any]) -> Any:
    return Annotated[_bounded(int, column, *whole_bounds(column)), BeforeValidator(_whole)]


def _number(column: Mapping[str, Any]) -> Any:
    return _bounded(float, column, column["minimum"], column["maximum"])


def _text(column: Mapping[str, Any]) -> Any:
    if categories := column["categories"]:
        return Literal[tuple(dict.fromkeys([*categories, *sentinels(column)]))]
    return Annotated[str, Field(strict=True, max_length=TEXT_LENGTH)]


def _bounded(kind: type[int] | type[float], column: Mapping[str, Any], low: float | None, high: float | None) -> Any:
    """Render a number's bounds; values outside them on purpose (sentinels) and listed numbers need their own rule."""
    plain = (
        Annotated[kind, Field(strict=True, allow_inf_nan=False)]
        if kind is float
        else Annotated[kind, Field(strict=True)]
    )
    if column["categories"]:
        values = [kind(value) for value in column["categories"]]
        listed: dict[str, Any] = {"type": _json_type(kind), "enum": values}
        return Annotated[plain, AfterValidator(_one_of(frozenset(values))), WithJsonSchema(listed)]
    outside = [value for value in sentinels(column) if not within(value, low, high)]
    if outside:
        schema: dict[str, Any] = {"type": _json_type(kind), "anyOf": [_json_bounds(low, high), {"enum": outside}]}
        return Annotated[plain, AfterValidator(_between(low, high, frozenset(outside))), WithJsonSchema(schema)]
    return Annotated[plain, Field(ge=low, le=high)]


def whole_bounds(column: Mapping[str, Any]) -> tuple[int, int]:
    """Return the bounds of a column of whole numbers: the contract's within its type's."""
    limit = 2 ** (INTEGER_BITS.get(column["sql_type"], 64) - 1)
    low, high = column["minimum"], column["maximum"]
    return (
        -limit if low is None else max(math.ceil(low), -limit),
        limit - 1 if high is None else min(math.floor(high), limit - 1),
    )


def sentinels(column: Mapping[str, Any]) -> list[Any]:
    """List the values that have a meaning of their own."""
    kind = {"int": int, "float": float, "str": str}[column["type"]]
    return [kind(sentinel["value"]) for sentinel in column["sentinels"]]


def within(value: float, low: float | None, high: float | None) -> bool:
    """Tell whether a value holds its bounds."""
    return (low is None or value >= low) and (high is None or value <= high)


def _json_type(kind: type) -> str:
    return "integer" if kind is int else "number"


def _json_bounds(low: float | None, high: float | None) -> dict[str, float]:
    return {name: value for name, value in (("minimum", low), ("maximum", high)) if value is not None}


def _whole(value: Any) -> Any:
    """Take 5.0 for 5: JSON has one kind of number, and columns with NULLs are often exported with a decimal point."""
    if type(value) is not float:
        return value
    if not math.isfinite(value):
        raise PydanticCustomError("finite_number", "not a finite number")
    return int(value) if value.is_integer() else value


def _one_of(values: frozenset[float]) -> Callable[[float], float]:
    def check(value: float) -> float:
        if value not in values:
            raise PydanticCustomError("category", "not a category")
        return value

    return check


def _between(low: float | None, high: float | None, outside: frozenset[float]) -> Callable[[float], float]:
    def check(value: float) -> float:
        if value in outside or within(value, low, high):
            return value
        if low is not None and value < low:
            raise PydanticCustomError("minimum", "too small", {"limit": low})
        raise PydanticCustomError("maximum", "too large", {"limit": high})

    return check


def json_schema(rules: Rules) -> dict[str, Any]:
    """Render the whole request as JSON Schema (2020-12), with an example that can be sent."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **rules.body.model_json_schema(),
        "examples": [PREDICT_EXAMPLES["application"]["value"]],
    }


def location(loc: Sequence[int | str]) -> tuple[str, int | None, str | None]:
    """Split the place of an error into table, row and column."""
    parts = list(loc)
    if parts and parts[0] == "histories":
        parts = parts[1:] or ["histories"]
    table = str(parts[0]) if parts else REQUEST
    row = parts[1] if len(parts) > 1 and isinstance(parts[1], int) else None
    column = next((part for part in parts[2:] if isinstance(part, str)), None)
    return table, row, column
