"""What one feature is made of: its place in a grid, and the SQL expressions it comes from, step by step.

What belongs here: reading a definition off the contract and the SQL, for a person who asks. What does not: which raw columns it comes
from (`lineage`), the catalogue of all features (`catalogue`), its values (`profile`).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope

from creditrisk_assets.contracts.features import GRIDS
from creditrisk_assets.contracts.features.grid import ALL, Grid
from creditrisk_assets.features.families import FAMILIES, PRESENCE, FeatureSpec
from creditrisk_assets.features.statement import KEY


@dataclass(frozen=True)
class Expression:
    """One step of the way from raw columns to a feature: a column of a CTE, or of the final select."""

    relation: str  # the CTE; empty: the final select
    column: str
    sql: str


@dataclass(frozen=True)
class Place:
    """Where a feature stands in its family's grid."""

    quantity: str
    part: str  # of the rows, in words; empty: every row
    condition: str  # the part in SQL; empty: every row
    rows: str  # the CTE that is summed over
    windows: tuple[str, ...]  # conditions in SQL, empty: all rows; two where one window is divided by the other
    aggregate: str  # over the rows of the part and window

    @property
    def words(self) -> str:
        """The place in one sentence."""
        windows = " against ".join(window or "all" for window in self.windows)
        part = f" where {self.condition}" if self.condition else ""
        return f"{self.quantity}: {self.aggregate} over the rows of `{self.rows}`{part}, window {windows}"


def place(feature: FeatureSpec) -> Place | None:
    """Return where a feature stands in the grid of its family; None when it follows no grid."""
    grid = GRIDS.get(feature.family)
    for measure in grid.measures if grid else ():
        for part in measure.parts:
            for cell in Grid(feature.family, (replace(measure, parts=(part,)),)).cells():
                if cell.name == feature.name:
                    span, moments = measure.span, measure.formula.moments
                    return Place(
                        quantity=measure.description,
                        part=part.phrase,
                        condition=part.condition,
                        rows=span.rows,
                        windows=tuple("" if window is ALL else f"{span.by} <= {window}" for window in cell.windows),
                        aggregate=measure.formula.over({m.name: f"{m.aggregate}({m.of})" for m in moments}).text,
                    )
    return None


def expressions(feature: FeatureSpec) -> tuple[Expression, ...]:
    """Return the expressions a feature comes from: the final one first, then those of the columns it reads, down to raw columns.

    A column that a CTE passes on under its name is no step. Conditions on rows (WHERE, JOIN) are not among them: see the family's SQL.
    """
    if feature.name in PRESENCE:
        return (Expression("", feature.name, f"{PRESENCE[feature.name]}.{KEY} IS NOT NULL"),)
    scope = build_scope(sqlglot.parse_one(FAMILIES[feature.family].sql, read="duckdb"))
    found: list[Expression] = []
    waiting: deque[tuple[str, Scope, str]] = deque([("", scope, feature.name)])
    seen: set[tuple[int, str]] = set()
    while waiting:
        relation, at, column = waiting.popleft()
        if (id(at), column) in seen:
            continue
        seen.add((id(at), column))
        place_of = at.expression.named_selects.index(column)
        if at.set_operation_scopes:
            waiting += [(relation, part, part.expression.named_selects[place_of]) for part in at.set_operation_scopes]
            continue
        item = at.expression.selects[place_of].unalias()
        if not relation or not isinstance(item, exp.Column) or item.name != column:
            found.append(Expression(relation, column, item.sql(dialect="duckdb", comments=False)))
        waiting += _read(at, item)
    return tuple(found)


def _read(select: Scope, item: exp.Expression) -> Iterator[tuple[str, Scope, str]]:
    """Yield the columns of CTEs and subqueries that an expression reads: name, scope, column. Those of raw tables are the end."""
    for column in item.find_all(exp.Column, bfs=False):
        for alias, (node, source) in select.selected_sources.items():
            if not isinstance(source, Scope) or column.table not in ("", alias):
                continue
            if column.name in source.expression.named_selects:
                yield node.name if isinstance(node, exp.Table) else alias, source, column.name
                break
