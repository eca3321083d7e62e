"""Reading a body that holds every rule in one pass: typed structures compiled from the plan.

What belongs here: accepting at once what the rules accept. What does not: saying what is wrong with a body (`rules`, which is asked when
this reads nothing), which applicants a request leaves standing (`parsing`).

It accepts nothing that `rules` refuses, and reads what it accepts to the same values; it may leave to `rules` what they accept (5.0 for 5).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import msgspec

from creditrisk_serving.scoring.rules import (
    APPLICANT,
    APPLICANT_IDS,
    APPLICATIONS,
    TEXT_LENGTH,
    application_table,
    sentinels,
    whole_bounds,
    within,
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Read:
    """The rows of a body that holds all rules of single columns; every column is there, null where it was left out."""

    applications: list[Row]
    applicant_ids: list[int]
    histories: dict[str, list[Row]]  # every table, empty where it was not sent


class Reader:
    """Reads bodies by the rules of one plan. Safe to share between threads.

    Parameters
    ----------
    plan
        The content of plan.json.
    """

    def __init__(self, plan: Mapping[str, Any]) -> None:
        application = application_table(plan)
        rows = {name: _struct(name, table["columns"]) for name, table in plan["tables"].items()}
        self._gaps = {name: _gaps(table["columns"]) for name, table in plan["tables"].items()}
        self._gaps[APPLICATIONS] = self._gaps.pop(application)
        self._histories = tuple(name for name in rows if name != application)
        histories = msgspec.defstruct(
            "Histories", [_rows_of(name, rows[name]) for name in self._histories], forbid_unknown_fields=True
        )
        key = next(column for column in plan["tables"][application]["columns"] if column["name"] == APPLICANT)
        body = msgspec.defstruct(
            "Body",
            [
                _rows_of(APPLICATIONS, rows[application]),
                _rows_of(APPLICANT_IDS, _kind(key)),
                ("histories", histories, msgspec.field(default_factory=histories)),
            ],
            forbid_unknown_fields=True,
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)

    def read(self, body: bytes) -> Read | None:
        """Read a body; None: it may break a rule."""
        try:
            sent = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        applications = self._rows(APPLICATIONS, sent.applications)
        histories = {name: self._rows(name, getattr(sent.histories, name)) for name in self._histories}
        if applications is None or None in histories.values():
            return None
        return Read(applications, sent.applicant_ids, {name: rows or [] for name, rows in histories.items()})

    def _rows(self, table: str, rows: list[Any]) -> list[Row] | None:
        found = [msgspec.structs.asdict(row) for row in rows]
        for row in found:
            for column, allowed in self._gaps[table]:
                value = row[column]
                if value is not None and not allowed(value):
                    return None
        return found


def _rows_of(name: str, item: Any) -> tuple[str, Any, Any]:
    """Declare a list that may be left out."""
    return name, list[item], msgspec.field(default_factory=list)


def _struct(name: str, columns: list[Mapping[str, Any]]) -> type[msgspec.Struct]:
    fields: list[Any] = [
        (column["name"], _kind(column) | None, None) if column["nullable"] else (column["name"], _kind(column))
        for column in columns
    ]
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _kind(column: Mapping[str, Any]) -> Any:
    """Render one column; what a type cannot say is in its gaps."""
    if column["type"] == "str":
        if categories := column["categories"]:
            return Literal[tuple(dict.fromkeys([*categories, *sentinels(column)]))]
        return Annotated[str, msgspec.Meta(max_length=TEXT_LENGTH)]
    if column["type"] == "int":
        if categories := column["categories"]:
            return Literal[tuple(dict.fromkeys(int(value) for value in categories))]
        low, high = whole_bounds(column)
        known = sentinels(column)
        return Annotated[int, msgspec.Meta(ge=min([low, *known]), le=max([high, *known]))]
    if column["categories"]:
        return float
    low, high = column["minimum"], column["maximum"]
    lowest = None if low is None else float(min([low, *sentinels(column)]))
    highest = None if high is None else float(max([high, *sentinels(column)]))
    return Annotated[float, msgspec.Meta(ge=lowest, le=highest)]


def _gaps(columns: list[Mapping[str, Any]]) -> list[tuple[str, Callable[[float], bool]]]:
    """List the columns whose type takes values that their rules do not, with what they allow."""
    found: list[tuple[str, Callable[[float], bool]]] = []
    for column in columns:
        if column["type"] == "float" and column["categories"]:
            found.append((column["name"], frozenset(map(float, column["categories"])).__contains__))
        elif column["type"] != "str" and not column["categories"]:
            low, high = whole_bounds(column) if column["type"] == "int" else (column["minimum"], column["maximum"])
            if outside := frozenset(value for value in sentinels(column) if not within(value, low, high)):
                found.append((column["name"], partial(_allowed, low=low, high=high, outside=outside)))
    return found


def _allowed(value: float, low: float | None, high: float | None, outside: frozenset[float]) -> bool:
    return value in outside or within(value, low, high)
