"""A connection per test."""

from collections.abc import Iterator

import duckdb
import pytest


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty DuckDB with one thread."""
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection
