"""SQL rendered from the contracts: literals, conditions, and the queries of a check.

What belongs here: text. What does not: which rules a table has (`rules`), running the text and judging the answer
(`check`).

Every condition is true for a row that breaks the rule; NULL never breaks one, because `not_null` is a rule of its own.
"""

# ruff: noqa: S608 -- every name is a declared column or a path written by `identifier` and `literal`; DuckDB binds no identifiers
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def identifier(name: str) -> str:
    """Quote a column or table name."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """Write a value as SQL. Floats get an exponent, so that both engines read a double, not a decimal."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            text = repr(value)
            return text if "e" in text else f"{text}e0"
        case dt.datetime():
            return f"timestamp '{value.isoformat(sep=' ')}'"
        case dt.date():
            return f"date '{value.isoformat()}'"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be written as a SQL literal")


def _among(column: str, items: Iterable[object]) -> str:
    """Write that a value is one of a list.

    `list_contains` and not `in`: DuckDB decides it once per entry of a column's dictionary instead of once per row and list entry
    (four texts with 70 listed values in 1.7 million rows: 0.04 s against 0.87 s).
    """
    return f"list_contains([{', '.join(sorted(literal(item) for item in items))}], {column})"


def parquet(*paths: Path, rows: bool = False) -> str:
    """Write the relation of Parquet files, in this order; with `rows`, numbered from 0 within each (`file_row_number`)."""
    files = [literal(str(path)) for path in paths]
    numbered = ", file_row_number = true" if rows else ""
    return f"read_parquet({files[0] if len(files) == 1 else '[' + ', '.join(files) + ']'}{numbered})"


def key_text(parts: Mapping[str, str]) -> str:
    """Write a key for people from its columns' expressions; a part that is NULL becomes `?`."""
    shown = [f"{literal(f'{name}=')} || coalesce({part}::varchar, '?')" for name, part in parts.items()]
    return f"concat_ws(', ', {', '.join(shown)})" if shown else "''"


def row_text(parts: Mapping[str, str]) -> str:
    """Write a row as JSON, column to text (NULL stays null), from its columns' expressions."""
    return f"to_json({{{', '.join(f'{literal(name)}: {part}::varchar' for name, part in parts.items())}}})::varchar"


def labels_where(conditions: Mapping[str, str], separator: str) -> str:
    """Write the list, as one text, of the labels whose conditions hold; no text at all where none does."""
    cases = [f"case when {condition} then {literal(label)} end" for label, condition in conditions.items()]
    return f"nullif(concat_ws({literal(separator)}, {', '.join(cases)}), '')"


def _in_range(column: str, given: Mapping[str, Any]) -> str:
    low = "<" if given.get("include_min", True) else "<="
    high = ">" if given.get("include_max", True) else ">="
    return f"({column} {low} {literal(given['min_value'])} or {column} {high} {literal(given['max_value'])})"


def _range_or_sentinel(column: str, given: Mapping[str, Any]) -> str:
    low, high = literal(given["minimum"]), literal(given["maximum"])
    codes = "".join(f" and {column} <> {literal(code)}" for code in given["sentinels"])
    return f"(not {column} between {low} and {high}{codes})"


def _length(column: str, given: Mapping[str, Any]) -> str:
    if given.get("exact_value") is not None:
        return f"length({column}) <> {literal(given['exact_value'])}"
    bounds = ((given.get("min_value"), "<"), (given.get("max_value"), ">"))
    return "(" + " or ".join(f"length({column}) {sign} {literal(at)}" for at, sign in bounds if at is not None) + ")"


def _matches(column: str, given: Mapping[str, Any]) -> str:
    pattern = getattr(given["pattern"], "pattern", given["pattern"])
    return f"not regexp_matches({column}, {literal(pattern if pattern.startswith('^') else '^' + pattern)})"


def _contains(column: str, given: Mapping[str, Any]) -> str:
    return f"not regexp_matches({column}, {literal(getattr(given['pattern'], 'pattern', given['pattern']))})"


_VIOLATIONS: dict[str, Callable[[str, Mapping[str, Any]], str]] = {
    "greater_than_or_equal_to": lambda column, given: f"{column} < {literal(given['min_value'])}",
    "greater_than": lambda column, given: f"{column} <= {literal(given['min_value'])}",
    "less_than_or_equal_to": lambda column, given: f"{column} > {literal(given['max_value'])}",
    "less_than": lambda column, given: f"{column} >= {literal(given['max_value'])}",
    "in_range": _in_range,
    "range_or_sentinel": _range_or_sentinel,
    "isin": lambda column, given: f"not {_among(column, given['allowed_values'])}",
    "vocabulary": lambda column, given: f"not {_among(column, given['known'])}",
    "notin": lambda column, given: _among(column, given["forbidden_values"]),
    "equal_to": lambda column, given: f"{column} <> {literal(given['value'])}",
    "not_equal_to": lambda column, given: f"{column} = {literal(given['value'])}",
    "str_matches": _matches,
    "str_contains": _contains,
    "str_startswith": lambda column, given: f"not starts_with({column}, {literal(given['string'])})",
    "str_endswith": lambda column, given: f"not ends_with({column}, {literal(given['string'])})",
    "str_length": _length,
}

_WORDS: dict[str, str] = {
    "greater_than_or_equal_to": "is at least {min_value}",
    "greater_than": "is above {min_value}",
    "less_than_or_equal_to": "is at most {max_value}",
    "less_than": "is below {max_value}",
    "in_range": "lies between {min_value} and {max_value}",
    "range_or_sentinel": "lies between {minimum} and {maximum} or is one of {sentinels}",
    "isin": "is one of {allowed_values}",
    "vocabulary": "is one of {known}; an unknown value warns, more than a share of {unknown_share_limit} fails",
    "notin": "is none of {forbidden_values}",
    "equal_to": "is {value}",
    "not_equal_to": "is not {value}",
    "str_matches": "has the form {pattern}",
    "str_contains": "contains {pattern}",
    "str_startswith": "starts with {string}",
    "str_endswith": "ends with {string}",
    "str_length": "has the declared length",
    "unique_values_eq": "has each of the values {values}",
}


def violation(kind: str, column: str, statistics: Mapping[str, Any]) -> str:
    """Write the condition that is true where a Pandera check of a kind fails; `column` is already quoted."""
    return _VIOLATIONS[kind](column, statistics)


def not_finite(column: str) -> str:
    """Write that a number is NaN or infinite."""
    return f"not isfinite({column})"


def describe(kind: str, statistics: Mapping[str, Any]) -> str:
    """Say in words what a Pandera check of a kind asks for."""
    shown = {name: _shown(value) for name, value in statistics.items()}
    return _WORDS[kind].format(**shown)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(str(item) for item in value)) if len(value) <= 12 else f"{len(value)} listed values"
    return f"{value:,.15g}" if isinstance(value, float) else str(value)


def count_where(condition: str) -> str:
    """Write the aggregate that counts rows; `count_if` alone is NULL where every row, or no row, leaves it undecided."""
    return f"coalesce(count_if({condition}), 0)"


def absent_values(column: str, expected: Iterable[object]) -> str:
    """Write the aggregate that counts which of the expected values do not occur."""
    quoted = identifier(column)
    terms = [
        f"({count_where(f'{quoted} = {text}')} = 0)::integer" for text in sorted(literal(item) for item in expected)
    ]
    return " + ".join(terms)


def describe_columns(relation: str) -> str:
    """Write the question which columns of which type a relation has."""
    return f"describe select * from {relation}"


def one_pass(relation: str, aggregates: Sequence[str]) -> str:
    """Write the single scan that decides every rule: `count(*)`, then one aggregate each."""
    return f"select {', '.join(['count(*)', *aggregates])} from {relation}"


def sample(relation: str, locator: Sequence[str], violations: Sequence[str], limit: int) -> str:
    """Write one scan that fetches, for each condition, the keys of the first rows (in key order) that meet it."""
    row = f"row({', '.join(identifier(name) for name in locator)})"
    return f"select {', '.join(f'min({row}, {limit}) filter (where {each})' for each in violations)} from {relation}"


def distinct_packed(relation: str, ranges: Mapping[str, tuple[int, int]]) -> str:
    """Write the exact count of distinct whole-number keys, by one bit for each possible key.

    27 million (credit, month) pairs need 22 MB and half a second this way; hashing them needs 1.7 GB and six seconds.
    """
    packed, size = "0", 1
    for name, (low, high) in ranges.items():
        width = high - low + 1
        packed = f"({packed} * {width} + ({identifier(name)}::bigint - {literal(low)}))"
        size *= width
    return f"select bit_count(bitstring_agg({packed}, 0, {size - 1})) from {relation} where {_known(ranges)}"


def duplicates(relation: str, key: Sequence[str], part: int, parts: int) -> str:
    """Write the search for keys that occur more than once, in one of several slices of the key space."""
    names = ", ".join(identifier(name) for name in key)
    where = f"{_known(key)} and hash({names}) % {parts} = {part}"
    return f"select {names}, count(*) from {relation} where {where} group by {names} having count(*) > 1"


def surplus(relation: str, key: Sequence[str], part: int, parts: int) -> str:
    """Write the count of rows that repeat the key of another, in one of several slices of the key space."""
    names = ", ".join(identifier(name) for name in key)
    query = duplicates(relation, key, part, parts)
    return f"select coalesce(sum(n - 1), 0)::bigint from ({query}) as d({names}, n)"


def first_duplicates(relation: str, key: Sequence[str], part: int, parts: int, *, limit: int) -> str:
    """Write the search for the first keys, in order, that occur more than once in a slice of the key space."""
    names = ", ".join(identifier(name) for name in key)
    return f"{duplicates(relation, key, part, parts)} order by {names} limit {limit}"


def _known(names: Iterable[str]) -> str:
    return " and ".join(f"{identifier(name)} is not null" for name in names)


def _matching(child: str, column: str, parents: Sequence[tuple[str, str]]) -> tuple[str, str]:
    name = identifier(column)
    keys = f"keys as materialized (select distinct {name} as k from {child} where {name} is not null)"
    found = " union all ".join(f"select {identifier(other)} from {relation}" for relation, other in parents)
    return keys, found


def matches(child: str, column: str, parents: Sequence[tuple[str, str]]) -> str:
    """Write the count of a column's distinct values, and of those found in a parent, and whether a parent has a row."""
    keys, found = _matching(child, column, parents)
    some = " or ".join(f"exists (select 1 from {relation})" for relation, _ in parents)
    return f"with {keys} select (select count(*) from keys), (select count(*) from keys where k in ({found})), {some}"


def matching_keys(child: str, column: str, parents: Sequence[tuple[str, str]], *, orphans: bool, limit: int) -> str:
    """Write the search for values that lack a parent, or that have one."""
    keys, found = _matching(child, column, parents)
    join = "anti" if orphans else "semi"
    return f"with {keys} select k from keys {join} join ({found}) as p(k) using (k) order by k limit {limit}"
