"""Column lineage: from which raw columns each feature is made, read off the families' SQL.

What belongs here: walking parsed SQL. What does not: what may follow from a column (the policy's prohibited attributes, in
`modelling.policy`), how lineage is shown (`catalogue`, `defs`).

A feature's origins are the raw columns in its expression and, because they decide which rows it is made of, the columns in every
condition on the way: WHERE, HAVING, QUALIFY, JOIN … ON, GROUP BY, CASE, window order. Identifiers in conditions, groups and window
partitions are left out: they say whose row it is, not what it holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features.families import APPLICATION_TABLES, APPLICATION_VIEW, FAMILIES, PRESENCE, Family
from creditrisk_assets.features.statement import KEY

Origins = frozenset[tuple[str, str]]

NOTHING: Origins = frozenset()
IDENTIFIERS = frozenset({"sk_id_curr", "sk_id_prev", "sk_id_bureau"})
LABEL = "TARGET"


class LineageError(ValueError):
    """The SQL holds something whose lineage cannot be told; the message names it."""


@dataclass(frozen=True)
class _Relation:
    """What is known of a table, a CTE or a subquery."""

    columns: Mapping[str, Origins]
    rows: Origins  # what decides which rows it has
    keys: Origins  # the identifiers of its base tables: the origin of a bare count


def lineage(family: Family) -> dict[str, Origins]:
    """Return the origins of each of a family's features: (raw table, raw column) pairs, the source's spelling.

    Raises
    ------
    LineageError
        The SQL reads an unknown table or column, or a construct that is not understood.
    """
    return dict(trace(family.sql, family.views))


def applicant_lineage() -> dict[str, Origins]:
    """Return the origins of every feature of the joined table."""
    found = {name: origins for family in FAMILIES.values() for name, origins in lineage(family).items()}
    for flag, name in PRESENCE.items():
        found[flag] = frozenset(
            (table, column.name)
            for table in FAMILIES[name].inputs
            for column in SOURCES[table].columns
            if column.name.lower() == KEY
        )
    return found


@lru_cache(maxsize=64)
def trace(sql: str, views: tuple[str, ...]) -> Mapping[str, Origins]:
    """Return the origins of each output column of a statement over the given input views, its key left out."""
    statement = sqlglot.parse_one(sql, read="duckdb")
    known = {view: _base(view) for view in views}
    columns = _query(statement, known).columns
    return {name: origins for name, origins in columns.items() if name != KEY}


def _base(view: str) -> _Relation:
    tables = APPLICATION_TABLES if view == APPLICATION_VIEW else (view,)
    columns: dict[str, Origins] = {}
    for table in tables:
        for column in SOURCES[table].columns:
            if column.name != LABEL:
                name = column.name.lower()
                columns[name] = columns.get(name, NOTHING) | {(table, column.name)}
    keys = _union(columns[name] for name in IDENTIFIERS & set(columns))
    return _Relation(columns, NOTHING, keys)


def _query(query: exp.Expression, known: Mapping[str, _Relation]) -> _Relation:
    """Return what a query yields; CTEs see those before them."""
    scope = dict(known)
    if (clause := query.args.get("with_") or query.args.get("with")) is not None:
        for cte in clause.expressions:
            scope[cte.alias.lower()] = _query(cte.this, scope)
    if isinstance(query, exp.Subquery):
        return _query(query.this, scope)
    if isinstance(query, exp.SetOperation):
        left, right = _query(query.left, scope), _query(query.right, scope)
        paired = zip(left.columns.items(), right.columns.values(), strict=True)
        return _Relation(
            {name: mine | other for (name, mine), other in paired}, left.rows | right.rows, left.keys | right.keys
        )
    if isinstance(query, exp.Select):
        return _select(query, scope)
    raise LineageError(f"a {type(query).__name__} cannot be traced; write it as SELECT or UNION ALL")


def _select(select: exp.Select, known: Mapping[str, _Relation]) -> _Relation:
    sources = dict(_sources(select, known))
    keys = _union(source.keys for source in sources.values())
    rows = _union(source.rows for source in sources.values())
    for condition in _conditions(select):
        rows |= _origins(condition, sources, known, identifiers=False)
    columns: dict[str, Origins] = {}
    for item in select.expressions:
        if item.find(exp.Star) and not item.find(exp.Count):
            raise LineageError("`*` hides columns; list them")
        columns[item.alias_or_name.lower()] = _origins(item, sources, known) | rows or keys
    if select.args.get("distinct"):
        rows |= _union(columns.values())
    return _Relation(columns, rows, keys)


def _sources(select: exp.Select, known: Mapping[str, _Relation]) -> Iterator[tuple[str, _Relation]]:
    """Yield (alias, relation) of what stands in FROM and JOIN."""
    clause = select.args.get("from_") or select.args.get("from")
    parts = [clause.this] if clause is not None else []
    parts += [join.this for join in select.args.get("joins") or []]
    for part in parts:
        if isinstance(part, exp.Table):
            if part.name.lower() not in known:
                raise LineageError(f"{part.name} is neither an input of the family nor a CTE above")
            yield part.alias_or_name.lower(), known[part.name.lower()]
        elif isinstance(part, exp.Subquery):
            yield part.alias_or_name.lower(), _query(part.this, known)
        else:
            raise LineageError(f"a {type(part).__name__} in FROM cannot be traced; read a table, a CTE or a subquery")


def _conditions(select: exp.Select) -> Iterator[exp.Expression]:
    """Yield every expression that decides which rows a query has."""
    for name in ("where", "having", "qualify", "group"):
        if (clause := select.args.get(name)) is not None:
            yield clause
    for join in select.args.get("joins") or []:
        if (on := join.args.get("on")) is not None:
            yield on
        yield from join.args.get("using") or []


def _origins(
    expression: exp.Expression,
    sources: Mapping[str, _Relation],
    known: Mapping[str, _Relation],
    *,
    identifiers: bool = True,
) -> Origins:
    """Return the origins of all columns in an expression, subqueries included."""
    if isinstance(expression, exp.Query):
        inner = _query(expression, known)
        return _union(inner.columns.values()) | inner.rows
    if isinstance(expression, exp.Column):
        if not identifiers and expression.name.lower() in IDENTIFIERS:
            return NOTHING
        return _resolve(expression, sources)
    found = NOTHING
    for argument, value in expression.args.items():
        whose_row = isinstance(expression, exp.Window) and argument in ("partition_by", "order")
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, exp.Expression):
                found |= _origins(child, sources, known, identifiers=identifiers and not whose_row)
    return found


def _resolve(column: exp.Column, sources: Mapping[str, _Relation]) -> Origins:
    name, table = column.name.lower(), column.table.lower()
    owners = [alias for alias, source in sources.items() if name in source.columns and table in ("", alias)]
    if len(owners) != 1:
        problem = "is in no input" if not owners else f"is in {' and '.join(owners)}; qualify it"
        raise LineageError(f"column {column.sql()} {problem}")
    return sources[owners[0]].columns[name]


def _union(parts: Iterable[Origins]) -> Origins:
    return frozenset().union(*parts)
