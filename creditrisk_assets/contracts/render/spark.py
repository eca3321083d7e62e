"""The check's SQL in Spark's words, where they differ from DuckDB's.

What belongs here: text; each function answers exactly what its namesake in `render.sql` does. What does not: which rules a table has
(`rules`), running the text (`contracts.spark`).

It is read by a session whose identifiers stand in double quotes (`features.spark.session`).
"""

# ruff: noqa: S608 -- every name is a declared column or a path written by `identifier` and `parquet`
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from creditrisk_assets.contracts.render import sql
from creditrisk_assets.contracts.render.sql import count_where, identifier, one_pass

__all__ = [
    "absent_values", "count_where", "describe_columns", "distinct_packed", "first_duplicates", "identifier", "matches",
    "matching_keys", "not_finite", "one_pass", "parquet", "sample", "surplus", "violation",
]  # fmt: skip

TYPES = {
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "date": "DATE",
    "timestamp_ntz": "TIMESTAMP",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
}


def literal(value: object) -> str:
    """Write a value as SQL. In a text a backslash begins an escape, and two quotes in a row join two texts."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return sql.literal(value)


def parquet(path: Path) -> str:
    """Write the relation of one Parquet file, or of a directory of them."""
    return f"parquet.`file://{str(path).replace('`', '``')}`"


def violation(kind: str, column: str, statistics: Mapping[str, Any]) -> str:
    """Write the condition that is true where a Pandera check of a kind fails."""
    match kind:
        case "isin":
            return f"not {_among(column, statistics['allowed_values'])}"
        case "vocabulary":
            return f"not {_among(column, statistics['known'])}"
        case "notin":
            return _among(column, statistics["forbidden_values"])
        case "equal_to" | "not_equal_to":
            return f"{column} {'<>' if kind == 'equal_to' else '='} {literal(statistics['value'])}"
        case "str_matches" | "str_contains":
            pattern = getattr(statistics["pattern"], "pattern", statistics["pattern"])
            at_start = kind == "str_matches" and not pattern.startswith("^")
            return f"not regexp_like({column}, {literal('^' + pattern if at_start else pattern)})"
        case "str_startswith":
            return f"not startswith({column}, {literal(statistics['string'])})"
        case "str_endswith":
            return f"not endswith({column}, {literal(statistics['string'])})"
        case _:
            return sql.violation(kind, column, statistics)


def _among(column: str, items: Iterable[object]) -> str:
    return f"({column} in ({', '.join(sorted(literal(item) for item in items))}))"


def not_finite(column: str) -> str:
    """Write that a number is NaN or infinite."""
    return f"(isnan({column}) or abs({column}) = double('infinity'))"


def absent_values(column: str, expected: Iterable[object]) -> str:
    """Write the aggregate that counts which of the expected values do not occur."""
    quoted = identifier(column)
    terms = [
        f"cast({count_where(f'{quoted} = {text}')} = 0 as int)" for text in sorted(literal(item) for item in expected)
    ]
    return " + ".join(terms)


def describe_columns(relation: str) -> str:
    """Write the question which columns of which type a relation has."""
    return f"describe query select * from {relation}"


def sample(relation: str, locator: Sequence[str], violations: Sequence[str], limit: int) -> str:
    """Write the search, for each condition, for the keys of the first rows (in key order) that meet it.

    One bounded search each: Spark's aggregates have no smallest few, and collecting every failing row could fill the memory.
    """
    row = f"struct({', '.join(identifier(name) for name in locator)})"
    return f"select {', '.join(_first(relation, row, each, limit) for each in violations)}"


def _first(relation: str, row: str, condition: str, limit: int) -> str:
    rows = f"select {row} as k from {relation} where {condition} order by k limit {limit}"
    return f"(select array_sort(collect_list(k)) from ({rows}))"


def distinct_packed(relation: str, ranges: Mapping[str, tuple[int, int]]) -> str:
    """Write the exact count of distinct keys; Spark spills what it hashes, so nothing is packed."""
    return f"select count(distinct {', '.join(identifier(name) for name in ranges)}) from {relation} where {_known(ranges)}"


def duplicates(relation: str, key: Sequence[str], part: int, parts: int) -> str:
    """Write the search for keys that occur more than once, in one of several slices of the key space."""
    names = ", ".join(identifier(name) for name in key)
    where = f"{_known(key)} and pmod(hash({names}), {parts}) = {part}"
    return f"select {names}, count(*) as n from {relation} where {where} group by {names} having count(*) > 1"


def surplus(relation: str, key: Sequence[str], part: int, parts: int) -> str:
    """Write the count of rows that repeat the key of another, in one of several slices of the key space."""
    return f"select coalesce(sum(n - 1), 0) from ({duplicates(relation, key, part, parts)})"


def first_duplicates(relation: str, key: Sequence[str], part: int, parts: int, *, limit: int) -> str:
    """Write the search for the first keys, in order, that occur more than once in a slice of the key space."""
    names = ", ".join(identifier(name) for name in key)
    return f"{duplicates(relation, key, part, parts)} order by {names} limit {limit}"


def _known(names: Iterable[str]) -> str:
    return " and ".join(f"{identifier(name)} is not null" for name in names)


def _matching(child: str, column: str, parents: Sequence[tuple[str, str]]) -> tuple[str, str]:
    name = identifier(column)
    keys = f"(select distinct {name} as k from {child} where {name} is not null)"
    found = " union ".join(f"select {identifier(other)} as p from {relation}" for relation, other in parents)
    return keys, f"({found})"


def matches(child: str, column: str, parents: Sequence[tuple[str, str]]) -> str:
    """Write the count of a column's distinct values, and of those found in a parent, and whether a parent has a row."""
    keys, found = _matching(child, column, parents)
    some = " or ".join(f"(select count(*) from (select 1 from {relation} limit 1)) > 0" for relation, _ in parents)
    return f"select count(*), count(p), {some} from {keys} left join {found} on k = p"


def matching_keys(child: str, column: str, parents: Sequence[tuple[str, str]], *, orphans: bool, limit: int) -> str:
    """Write the search for values that lack a parent, or that have one."""
    keys, found = _matching(child, column, parents)
    join = "left anti join" if orphans else "left semi join"
    return f"select k from {keys} {join} {found} on k = p order by k limit {limit}"
