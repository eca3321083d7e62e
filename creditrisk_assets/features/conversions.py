"""Where a family makes a double a whole number or a decimal without having rounded it: engines do that differently.

What belongs here: following values through a family's program, by type. What does not: rules that the text alone tells (`lint`).

DuckDB's cast rounds where Spark's cuts, and of a half in the fourth decimal each keeps another side, since neither is exact in a double.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from creditrisk_assets.features.program import BOOLEAN, DOUBLE, INTEGERS

SCALED = re.compile(r"DECIMAL\(\d+,\s?[1-9]\d*\)")
PASSED_ON = frozenset({"neg", "abs", "least", "greatest", "coalesce", "case"})
OF_WHOLES = PASSED_ON | {"add", "sub", "mul"}


def unrounded(program: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Find conversions whose result depends on the engine.

    Parameters
    ----------
    program
        What `program.render_program` wrote.

    Yields
    ------
    tuple
        The raw columns the value comes from, and the type it is made.
    """
    values = _Values(program)
    for step in values.steps:
        for kind, of, arguments, _ in step.get("nodes", ()):
            if kind == "cast" and not values.is_alike(step, of, arguments[0]):
                yield ", ".join(sorted(values.raw(step, arguments[0]))), of


class _Values:
    """What is known of the values of a program's nodes."""

    def __init__(self, program: Mapping[str, Any]) -> None:
        self.tables = list(program["tables"].values())
        self.steps = program["steps"]

    def is_alike(self, step: Mapping[str, Any], of: str, place: int) -> bool:
        """Whether every engine converts the value to the type alike."""
        was = step["nodes"][place][1]
        if of in INTEGERS and (was == DOUBLE or SCALED.fullmatch(was)):
            return self._holds(step, place, OF_WHOLES, self._is_whole)
        if of.startswith("DECIMAL") and was == DOUBLE:
            return self._holds(step, place, PASSED_ON, self._is_settled)
        return True

    def _holds(
        self,
        step: Mapping[str, Any],
        place: int,
        through: frozenset[str],
        found: Callable[[Mapping[str, Any], int], bool],
    ) -> bool:
        """Whether a node is of a kind, or is made of nothing but such nodes."""
        kind, _, arguments, _ = step["nodes"][place]
        if found(step, place):
            return True
        if kind == "case":
            arguments = [*arguments[1::2], arguments[-1]]
        return kind in through and all(self._holds(step, argument, through, found) for argument in arguments)

    def _is_whole(self, step: Mapping[str, Any], place: int) -> bool:
        kind, of, arguments, constant = step["nodes"][place]
        match kind:
            case "literal":
                return constant is None or float(constant).is_integer()
            case "round":
                return bool(constant == 0)
            case "floor" | "ceil":
                return True
            case "cast":
                return step["nodes"][arguments[0]][1] in (*INTEGERS, BOOLEAN)
            case "column":
                return of in INTEGERS or self._column_is_whole(*self._origin(step, constant))
        return of in INTEGERS

    def _is_settled(self, step: Mapping[str, Any], place: int) -> bool:
        """Whether a value is whole, or a whole number divided by a constant: the double nearest to a decimal."""
        kind, _, arguments, _ = step["nodes"][place]
        if kind == "div" and step["nodes"][arguments[1]][0] == "literal":
            return self._holds(step, arguments[0], OF_WHOLES, self._is_whole)
        return self._holds(step, place, OF_WHOLES, self._is_whole)

    def _column_is_whole(self, relation: int, column: int) -> bool:
        if relation < len(self.tables):
            return self.tables[relation][column][1] in INTEGERS
        step = self.steps[relation - len(self.tables)]
        if step["kind"] == "map":
            return self._holds(step, step["outputs"][column], OF_WHOLES, self._is_whole)
        source = self._within(step, column)
        return source is None or self._column_is_whole(step["from"], source)

    def _within(self, step: Mapping[str, Any], column: int) -> int | None:
        """Return the column of its source that a column of a group or a window is made of; None: it counts rows."""
        passed = step["keys"] if step["kind"] == "group" else range(self._width(step["from"]))
        if column < len(passed):
            return int(passed[column])
        made = (step["aggregates"] if step["kind"] == "group" else step["windows"])[column - len(passed)]
        return None if made[0] in ("rows", "count", "row_number") else made[1]

    def _width(self, relation: int) -> int:
        if relation < len(self.tables):
            return len(self.tables[relation])
        step = self.steps[relation - len(self.tables)]
        match step["kind"]:
            case "map":
                return len(step["outputs"])
            case "group":
                return len(step["keys"]) + len(step["aggregates"])
        return self._width(step["from"]) + len(step["windows"])

    def _origin(self, step: Mapping[str, Any], column: int) -> tuple[int, int]:
        """Return the relation a map's column is of, and its place there: joined relations stand side by side."""
        for relation in (step["from"], *(join["to"] for join in step["joins"])):
            if column < self._width(relation):
                return relation, column
            column -= self._width(relation)
        raise ValueError(f"a step reads column {column} beyond its relations: this is a defect")

    def raw(self, step: Mapping[str, Any], place: int) -> set[str]:
        """Name the raw columns a node is made of."""
        kind, _, arguments, constant = step["nodes"][place]
        if kind != "column":
            return {name for argument in arguments for name in self.raw(step, argument)}
        return self._raw_of(*self._origin(step, constant))

    def _raw_of(self, relation: int, column: int) -> set[str]:
        if relation < len(self.tables):
            return {self.tables[relation][column][0]}
        step = self.steps[relation - len(self.tables)]
        if step["kind"] == "map":
            return self.raw(step, step["outputs"][column])
        source = self._within(step, column)
        return set() if source is None else self._raw_of(step["from"], source)
