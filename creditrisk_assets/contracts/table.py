"""What a table contract is: a Pandera model with what a model cannot hold (its name, its ties to other tables).

What belongs here: reading columns, keys and bounds off a model, for every renderer and for the check. What does not:
the models (`sources`, `features`, …), checking data (`check`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from creditrisk_assets.contracts.model import DataFrameModel

LogicalType = Literal["int", "float", "str", "bool", "date", "timestamp"]

_TYPES: dict[str, tuple[LogicalType, str]] = {
    "int8": ("int", "TINYINT"),
    "int16": ("int", "SMALLINT"),
    "int32": ("int", "INTEGER"),
    "int64": ("int", "BIGINT"),
    "float32": ("float", "FLOAT"),
    "float64": ("float", "DOUBLE"),
    "string": ("str", "VARCHAR"),
    "boolean": ("bool", "BOOLEAN"),
    "date": ("date", "DATE"),
    "timestamp": ("timestamp", "TIMESTAMP"),
    "timestamp(6)": ("timestamp", "TIMESTAMP"),
    "timestamp('UTC')": ("timestamp", "TIMESTAMP WITH TIME ZONE"),
    "timestamp('UTC', 6)": ("timestamp", "TIMESTAMP WITH TIME ZONE"),
}


class ContractError(ValueError):
    """A contract is declared so that it cannot be checked; the message names table, column and what to change."""


@dataclass(frozen=True)
class ColumnSpec:
    """One column, as every renderer needs it."""

    name: str
    type: LogicalType
    sql_type: str
    nullable: bool
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[Any, ...] | None = None  # closed list: any other value is an error
    known_categories: tuple[str, ...] | None = None  # open list: any other value is worth a warning
    sentinels: Mapping[Any, str] = field(default_factory=dict)  # value -> meaning
    unit: str = ""
    description: str = ""
    dating: str = ""
    clock: str | None = None  # what a date is counted in; None: it is not a date
    pending: int | None = None  # the code of an event that has not come yet
    known_from: str | None = None  # the date of the row from which on it is known, if not the row's own
    protected: bool = False
    metadata: Mapping[str, Any] = field(
        default_factory=dict
    )  # all of it, for what only some tables carry (known_at, …)


@dataclass(frozen=True)
class Relation:
    """A column whose values are found in a parent table (or in one of several).

    Parameters
    ----------
    column
        Column of the child.
    parents
        (table, column) pairs; a value found in any of them has a parent.
    max_orphan_share
        Share of the distinct values that may lack one (0–1). More is a warning: people load subsets. Nothing found at
        all, or a share that rose by more than a tenth since the last good version, is an error.
    """

    column: str
    parents: tuple[tuple[str, str], ...]
    max_orphan_share: float

    @property
    def name(self) -> str:
        """Its name in a profile."""
        return f"{self.column} -> {' or '.join(table for table, _ in self.parents)}"


@dataclass(frozen=True)
class Exclusion:
    """A column whose values must not occur in another table (an application is in one file only)."""

    column: str
    other: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class TableContract:
    """A table's name, its Pandera model (Ibis backend) and what lies between tables.

    Parameters
    ----------
    table
        Name in the lake, lower case.
    model
        The declaration of its columns; `Config.unique` is its key.
    relations
        Ties to other tables.
    may_be_empty
        Whether no row at all is a valid table.
    layer
        First part of its key in the lake; a raw table and a family may share a name.
    """

    table: str
    model: type[DataFrameModel]
    relations: tuple[Relation | Exclusion, ...] = ()
    may_be_empty: bool = False
    layer: str = "features"

    @property
    def lake_key(self) -> str:
        """Its key in the lake, which no other table has."""
        return f"{self.layer}/{self.table}"

    @cached_property
    def schema(self) -> Any:
        """The model as a Pandera schema."""
        return self.model.to_schema()

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Columns that together name a row; empty when the table has no key."""
        unique = self.schema.unique or ()
        return (unique,) if isinstance(unique, str) else tuple(unique)

    @cached_property
    def columns(self) -> tuple[ColumnSpec, ...]:
        """Every column, in file order."""
        return tuple(_column(self.table, name, column) for name, column in self.schema.columns.items())

    @property
    def locator(self) -> tuple[str, ...]:
        """Columns that point a person to a row: the key, or the identifiers when there is none."""
        return self.key or tuple(column.name for column in self.columns if column.dating == "key")

    def column(self, name: str) -> ColumnSpec:
        """Return one column by name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ContractError(f"{self.table} has no column {name}; it has {', '.join(c.name for c in self.columns)}")

    @property
    def parents(self) -> tuple[str, ...]:
        """Tables its relations need, each once."""
        tables = [
            table
            for tie in self.relations
            for table, _ in ((tie.other,) if isinstance(tie, Exclusion) else tie.parents)
        ]
        return tuple(dict.fromkeys(tables))

    @property
    def description(self) -> str:
        """What the table is: the model's docstring in one line."""
        return " ".join((self.model.__doc__ or "").split())

    @property
    def grain(self) -> str:
        """What one row is: the sentence after `Grain:` in the model's docstring."""
        found = re.search(r"Grain: (.*?)\.(?: |$)", self.description)
        return found[1] if found else ""


def _column(table: str, name: str, column: Any) -> ColumnSpec:
    dtype = str(column.dtype)
    if dtype not in _TYPES:
        raise ContractError(
            f"{table}.{name}: type {dtype} is not one of {', '.join(_TYPES)}; extend contracts/table.py"
        )
    if column.unique:
        raise ContractError(
            f"{table}.{name}: Field(unique=True) is silently ignored by Pandera's Ibis backend; "
            f'declare `unique = ["{name}"]` in the model\'s Config'
        )
    logical, sql = _TYPES[dtype]
    metadata = dict(column.metadata or {})
    facts = _bounds(column.checks)
    return ColumnSpec(
        name=name,
        type=logical,
        sql_type=sql,
        nullable=column.nullable,
        minimum=facts.get("minimum"),
        maximum=facts.get("maximum"),
        categories=facts.get("categories"),
        known_categories=facts.get("known"),
        sentinels=metadata.get("sentinels") or {},
        unit=metadata.get("unit", ""),
        description=column.description or "",
        dating=metadata.get("dating", ""),
        clock=metadata.get("clock"),
        pending=metadata.get("pending"),
        known_from=metadata.get("known_from"),
        protected=bool(metadata.get("protected", False)),
        metadata=metadata,
    )


def _bounds(checks: Any) -> dict[str, Any]:
    """Read the bounds and lists off a column's checks."""
    facts: dict[str, Any] = {}
    for check in checks:
        given = check.statistics or {}
        match check.name:
            case "greater_than_or_equal_to" | "greater_than":
                facts["minimum"] = given["min_value"]
            case "less_than_or_equal_to" | "less_than":
                facts["maximum"] = given["max_value"]
            case "in_range":
                facts["minimum"], facts["maximum"] = given["min_value"], given["max_value"]
            case "range_or_sentinel":
                facts["minimum"], facts["maximum"] = given["minimum"], given["maximum"]
            case "isin":
                facts["categories"] = tuple(given["allowed_values"])
            case "vocabulary":
                facts["known"] = tuple(given["known"])
    return facts
