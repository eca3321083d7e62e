"""Contracts checked by Spark: a connection, as `check` asks for one, over a Spark session.

What belongs here: running a check's text. What does not: the text (`render.spark`), the rules, starting a session (`features.spark`).

    check(SparkTables(session), render.spark.parquet(path), contract)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from creditrisk_assets.contracts.render import spark

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


class SparkTables:
    """A connection over a Spark session: it runs a statement and gives its rows, with types named as the contracts name them."""

    dialect = spark

    def __init__(self, session: SparkSession) -> None:
        self.session = session

    def execute(self, query: str, /) -> _Answer:
        """Run one statement."""
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ResourceWarning
            )  # pyspark leaves the closing of an answer's socket to its destructor
            rows = self.session.sql(query).collect()
        return _Answer(rows, is_description=query.startswith("describe "))


class _Answer:
    def __init__(self, rows: list[Row], *, is_description: bool) -> None:
        self.rows, self.is_description = rows, is_description

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        return list(self._described() if self.is_description else self.rows)

    def _described(self) -> Iterator[tuple[str, str]]:
        for row in self.rows:
            yield row["col_name"], spark.TYPES.get(row["data_type"], row["data_type"])
