"""DuckDB connections that keep to the deployment's memory, threads and spill directory.

Tables are Parquet in the lake and every connection is its own in-memory database, so no two processes fight over a file.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
from dagster_duckdb import DuckDBResource

from creditrisk_assets.resources.limits import limits
from creditrisk_assets.settings import Settings


class EmbeddedDuckDB(DuckDBResource):
    """dagster-duckdb's resource, limited by `CREDITRISK_MEMORY_LIMIT` and `CREDITRISK_THREADS`."""

    database: str = ":memory:"

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a connection; it spills below the home directory, and its spill file goes with it."""
        settings = Settings()
        settings.spill.mkdir(parents=True, exist_ok=True)
        with super().get_connection() as con, con:
            limit(con, settings)
            yield con


def limit(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Hold a connection to the deployment's memory, threads and spill directory."""
    for name, value in limits(settings).items():
        con.execute(f"SET {name} = ?", [value])
    con.execute("SET enable_progress_bar = false")
