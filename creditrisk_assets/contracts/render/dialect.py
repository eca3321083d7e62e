"""What a check asks of an engine: a connection that runs text, and the text in that engine's words.

What belongs here: the two protocols, and which dialect a connection speaks. What does not: the text itself (`render.sql` for DuckDB,
`render.spark` for Spark), connecting.
"""

# ruff: noqa: D102 -- the methods are described where they are written
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from creditrisk_assets.contracts.render import sql


class Rows(Protocol):
    """The answer to a question."""

    def fetchall(self) -> list[Any]:
        """Return all rows."""


class Connection(Protocol):
    """What a table is checked by: a DuckDB connection, or Spark behind `contracts.spark.SparkTables`."""

    def execute(self, query: str, /) -> Rows:
        """Run one statement."""


class Dialect(Protocol):
    """The texts a check is made of, each described in `render.sql`."""

    def identifier(self, name: str) -> str: ...
    def violation(self, kind: str, column: str, statistics: Mapping[str, Any]) -> str: ...
    def not_finite(self, column: str) -> str: ...
    def count_where(self, condition: str) -> str: ...
    def absent_values(self, column: str, expected: Iterable[object]) -> str: ...
    def describe_columns(self, relation: str) -> str: ...
    def one_pass(self, relation: str, aggregates: Sequence[str]) -> str: ...
    def sample(self, relation: str, locator: Sequence[str], violations: Sequence[str], limit: int) -> str: ...
    def distinct_packed(self, relation: str, ranges: Mapping[str, tuple[int, int]]) -> str: ...
    def surplus(self, relation: str, key: Sequence[str], part: int, parts: int) -> str: ...
    def first_duplicates(self, relation: str, key: Sequence[str], part: int, parts: int, *, limit: int) -> str: ...
    def matches(self, child: str, column: str, parents: Sequence[tuple[str, str]]) -> str: ...
    def matching_keys(
        self, child: str, column: str, parents: Sequence[tuple[str, str]], *, orphans: bool, limit: int
    ) -> str: ...


def dialect_of(con: Connection) -> Dialect:
    """Return the dialect a connection speaks: its own, or DuckDB's."""
    return cast(Dialect, getattr(con, "dialect", sql))
