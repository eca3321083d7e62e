"""Raw tables from a few named cells, and families computed from them by either engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features.engine import build_family
from creditrisk_assets.features.families import APPLICATION_TABLES, Family
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets_tests.contract.tables import put

Rows = Sequence[Mapping[str, Any]]
Tables = Mapping[str, Rows]


def write(con: duckdb.DuckDBPyConnection, tables: Tables, directory: Path) -> dict[str, Path]:
    """Write each table as the lake keeps it; cells that are not named are NULL."""
    paths = {}
    for table, rows in tables.items():
        paths[table] = directory / f"{table}.parquet"
        put(con, SOURCES[table], rows)
        con.execute(f"copy subject to '{paths[table]}' (format parquet)")
    return paths


def in_batch(con: duckdb.DuckDBPyConnection, family: Family, tables: Tables, directory: Path) -> list[dict[str, Any]]:
    """The family's rows as the batch engine writes them; tables that are not named are empty."""
    complete = {**{table: [] for table in family.inputs}, **tables}
    out = directory / f"features_{family.name}.parquet"
    build_family(con, family, write(con, complete, directory), out)
    return records(con, out)


def records(con: duckdb.DuckDBPyConnection, path: Path) -> list[dict[str, Any]]:
    """A table's rows, in file order."""
    cursor = con.execute(f"select * from read_parquet('{path}')")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def on_request(requests: RequestFeatures, family: Family, tables: Tables) -> list[dict[str, Any]]:
    """The family's rows as the request path computes them, for the applicants it has rows for, by key."""
    applications = [row for table in APPLICATION_TABLES for row in tables.get(table, ())]
    known = {row["SK_ID_CURR"] for rows in tables.values() for row in rows if "SK_ID_CURR" in row}
    applications += [{"SK_ID_CURR": key} for key in known - {row["SK_ID_CURR"] for row in applications}]
    histories = {table: rows for table, rows in tables.items() if table not in APPLICATION_TABLES}
    columns = requests.compute(applications, histories)
    names = ["sk_id_curr", *(feature.name for feature in family.features)]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*(columns[name] for name in names), strict=True)]
    present = columns.get(f"applicant__has_{family.name}", [True] * len(rows))
    return sorted((row for row, there in zip(rows, present, strict=True) if there), key=lambda row: row["sk_id_curr"])


def typed(con: duckdb.DuckDBPyConnection, portfolio: Path, directory: Path) -> dict[str, Path]:
    """A portfolio's CSV files as the lake keeps them: declared types, empty cells NULL."""
    paths = {}
    for table, contract in SOURCES.items():
        columns = ", ".join(f"'{column.name}': '{column.sql_type}'" for column in contract.columns)
        paths[table] = directory / f"{table}.parquet"
        con.execute(
            f"copy (select * from read_csv('{portfolio / contract.stem}.csv', header = true, columns = {{{columns}}})) "
            f"to '{paths[table]}' (format parquet)"
        )
    return paths
