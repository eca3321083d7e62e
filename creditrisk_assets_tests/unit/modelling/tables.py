"""Whether a table keeps its contract, as the graph checks it: from a Parquet file, by DuckDB."""

from pathlib import Path

import duckdb
import pandas as pd

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.table import TableContract


def broken_rules(table: pd.DataFrame, contract: TableContract, directory: Path) -> list[str]:
    """Write a table, check it, and name the rules it breaks."""
    path = directory / f"{contract.table}.parquet"
    table.to_parquet(path, index=False)
    with duckdb.connect() as con:
        return [f"{result.rule} {result.column}" for result in check(con, parquet(path), contract).failures]
