"""A family's program compiled: its steps one after the other over the rows of a request.

What belongs here: reading tables once, grouping, windows, the order of steps. What does not: expressions (`compiled`), SQL (`program`),
requests (`request`). The standard library only: the scoring service imports this.

A request brings some hundred rows. An engine for columns sets up vectors of two thousand for each of a family's thousands of
expressions before it sees the first; a function per step, over tuples, is done by then.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Any

from creditrisk_assets.features.compiled import (
    EXACT,
    WHOLE,
    CompileError,
    Known,
    Odd,
    Rows,
    Values,
    compile_map,
    compile_row,
    compile_scan,
)

MOST_ROWS = 2**17  # of one relation; more are faster in DuckDB, and sums are proven not to overflow up to here
Row = tuple[Any, ...]
Run = Callable[[Sequence[Rows]], Rows]  # relations so far -> a step's rows


@dataclass(frozen=True)
class CompiledFamily:
    """A family's functions.

    Attributes
    ----------
    values
        Of a family that maps one row of one table to one row: `values(row.get)` gives its key and features.
    """

    tables: tuple[str, ...]
    scans: tuple[Callable[[Iterable[Mapping[str, Any]]], Rows], ...]
    steps: tuple[Run, ...]
    values: Values | None

    def rows(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Rows:
        """Compute the family: key and features of every applicant it has rows for.

        Raises
        ------
        Odd, ArithmeticError, ValueError, TypeError
            DuckDB must decide.
        """
        relations: list[Rows] = []
        for name, scan in zip(self.tables, self.scans, strict=True):
            sent = tables.get(name, ())
            if len(sent) > MOST_ROWS:
                raise Odd
            relations.append(scan(sent))
        for step in self.steps:
            found = step(relations)
            if len(found) > MOST_ROWS:
                raise Odd
            relations.append(found)
        return relations[-1]


def compile_family(program: Mapping[str, Any]) -> CompiledFamily:
    """Compile a program.

    Parameters
    ----------
    program
        What `program.render_program` wrote.

    Raises
    ------
    CompileError
        A step or a node is of an unknown kind or type, or malformed.
    """
    try:
        return _compile(program)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, CompileError):
            raise
        raise CompileError(f"the program is malformed ({type(error).__name__})") from error


def _compile(program: Mapping[str, Any]) -> CompiledFamily:
    tables, steps = program["tables"], program["steps"]
    scans, known = [], []
    for columns in tables.values():
        scan, columns_known = compile_scan(columns)
        scans.append(scan)
        known.append(columns_known)
    runs: list[Run] = []
    for step in steps:
        writer = {"map": _map, "group": _group, "window": _window}.get(step["kind"])
        if writer is None:
            raise CompileError(
                f"step kind {step['kind']!r} is not known to this release; the family is computed by DuckDB"
            )
        run, columns_known = writer(step, known)
        runs.append(run)
        known.append(columns_known)
    values = None
    if (
        len(tables) == len(steps) == 1
        and steps[0]["kind"] == "map"
        and not steps[0]["joins"]
        and steps[0]["where"] is None
    ):
        values, _ = compile_row(next(iter(tables.values())), steps[0])
    return CompiledFamily(tuple(tables), tuple(scans), tuple(runs), values)


def _map(step: Mapping[str, Any], known: Sequence[Sequence[Known]]) -> tuple[Run, list[Known]]:
    numbers = [_number(number, known) for number in (step["from"], *(join["to"] for join in step["joins"]))]
    function, columns = compile_map(step, [known[number] for number in numbers])
    if len(numbers) == 1:
        (source,) = numbers
        return (lambda relations: function(relations[source])), columns
    return (lambda relations: function(*(relations[number] for number in numbers))), columns


def _number(number: Any, known: Sequence[Any]) -> int:
    if type(number) is not int or not 0 <= number < len(known):
        raise CompileError("a step reads a relation that is not there")
    return number


# ---- grouping


def _sum_of_doubles(values: Sequence[float]) -> float | None:
    """Add whole numbers, which is exact in any order; the sum of others depends on it."""
    if not values:
        return None
    if sum(map(abs, values)) > EXACT or not all(map(float.is_integer, values)):
        raise Odd
    return math.fsum(values)


AGGREGATES: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "count": len,
    "count_distinct": lambda values: len(set(values)),
    "sum": lambda values: sum(values) if values else None,
    "sum_of_doubles": _sum_of_doubles,
    "min": lambda values: min(values) if values else None,
    "max": lambda values: max(values) if values else None,
}


def _group(step: Mapping[str, Any], known: Sequence[Sequence[Known]]) -> tuple[Run, list[Known]]:
    source = _number(step["from"], known)
    columns = known[source]
    keys = [int(place) for place in step["keys"]]
    if any(columns[place].nan for place in keys):
        raise CompileError("a group by values that may be NaN is not known to this release")
    aggregates = [
        ("sum_of_doubles" if function == "sum" and of == "DOUBLE" else str(function), place)
        for function, place, of in step["aggregates"]
    ]
    found = [columns[place] for place in keys]
    found += [
        _aggregated(function, None if place is None else columns[place], of)
        for function, place, of in step["aggregates"]
    ]
    take = _taker(keys)
    places = sorted({place for _, place in aggregates if place is not None})
    index = {place: number for number, place in enumerate(places)}
    plan = [(None, 0) if place is None else (AGGREGATES[function], index[place]) for function, place in aggregates]
    pick = _taker(places)

    def run(relations: Sequence[Rows]) -> Rows:
        groups: dict[Row, list[Row]] = {}
        for row in relations[source]:
            groups.setdefault(take(row), []).append(pick(row))
        out = []
        for key, members in groups.items():
            values = [[value for value in column if value is not None] for column in zip(*members, strict=True)]
            count = len(members)
            out.append((*key, *[count if function is None else function(values[place]) for function, place in plan]))
        return out

    return run, found


def _aggregated(function: str, column: Known | None, of: str) -> Known:
    """Tell what is known of an aggregate."""
    if function == "rows" and column is None:
        return Known(of, 1.0, float(MOST_ROWS), nullable=False)
    if function not in AGGREGATES or column is None:
        raise CompileError(f"aggregate {function!r} is not known to this release")
    if column.nan:
        raise CompileError(f"{function} of values that may be NaN is not known to this release")
    if function in ("count", "count_distinct"):
        return Known(of, 0.0, float(MOST_ROWS), nullable=False)
    if function in ("min", "max"):
        return column
    return _summed(column, of)


def _summed(column: Known, of: str) -> Known:
    if of == "DOUBLE":
        return Known(of, float(-EXACT), float(EXACT), nullable=column.nullable)
    low, high = min(column.low * MOST_ROWS, column.low), max(column.high * MOST_ROWS, column.high)
    limit = WHOLE.get(of, 10**38)
    if not (-limit < low and high < limit):
        raise CompileError(f"a sum of {column.of} that may leave {of} is not known to this release")
    return Known(of, low, high, nullable=column.nullable)


# ---- windows


def _window(step: Mapping[str, Any], known: Sequence[Sequence[Known]]) -> tuple[Run, list[Known]]:
    source = _number(step["from"], known)
    columns = known[source]
    windows = [_one_window(columns, *window) for window in step["windows"]]

    def run(relations: Sequence[Rows]) -> Rows:
        rows = relations[source]
        found = [window(rows) for window, _ in windows]
        return [(*row, *values) for row, *values in zip(rows, *found, strict=True)]

    return run, [*columns, *(column for _, column in windows)]


def _one_window(
    columns: Sequence[Known], function: str, place: int | None, offset: int, partition: Sequence[int],
    order: Sequence[Sequence[Any]], of: str,
) -> tuple[Callable[[Rows], list[Any]], Known]:  # fmt: skip
    argument = None if place is None else columns[place]
    if function == "row_number":
        column = Known(of, 1.0, float(MOST_ROWS), nullable=False)
    elif function in ("lead", "lag") and argument is not None and type(offset) is int and offset >= 0:
        column = argument._replace(nullable=True)
    elif function == "sum" and argument is not None and of != "DOUBLE":
        column = _summed(argument, of)
    else:
        raise CompileError(f"window {function!r} is not known to this release")
    for key, descending in order:
        if columns[key].nan or (descending and columns[key].of in ("VARCHAR", "BOOLEAN")):
            raise CompileError(
                "a window in an order of text downwards, or of values that may be NaN, is not known to this release"
            )
    take = _taker([int(key) for key in partition])
    step = -offset if function == "lag" else offset

    def run(rows: Rows) -> list[Any]:
        parts: dict[Row, list[int]] = {}
        for number, row in enumerate(rows):
            parts.setdefault(take(row), []).append(number)
        found: list[Any] = [None] * len(rows)
        for numbers in parts.values():
            ordered = _in_order(rows, numbers, order)
            if place is None:
                for rank, number in enumerate(ordered, 1):
                    found[number] = rank
            elif function == "sum":
                total = None
                for number in ordered:
                    if (value := rows[number][place]) is not None:
                        total = value if total is None else total + value
                    found[number] = total
            else:
                for rank, number in enumerate(ordered):
                    if 0 <= rank + step < len(ordered):
                        found[number] = rows[ordered[rank + step]][place]
        return found

    return run, column


def _in_order(rows: Rows, numbers: Sequence[int], order: Sequence[Sequence[Any]]) -> list[int]:
    """Order rows, NULL last; where two are equal the order is not total, and DuckDB's is its own."""
    keys = {
        number: tuple(
            (value is None, 0 if value is None else -value if descending else value)
            for value, descending in ((rows[number][place], descending) for place, descending in order)
        )
        for number in numbers
    }
    ordered = sorted(numbers, key=keys.__getitem__)
    if any(keys[one] == keys[other] for one, other in pairwise(ordered)):
        raise Odd
    return ordered


def _taker(places: Sequence[int]) -> Callable[[Row], Row]:
    """Return a function that takes values of a row by their places."""
    if len(places) > 1:
        return itemgetter(*places)
    if not places:
        return lambda _: ()
    (only,) = places
    return lambda row: (row[only],)
