"""CSV files as the source writes them, in parts that are joined in order.

What belongs here: text formats (floats print as 202500.0, null as nothing, text with a comma is quoted), parts and headers. What does
not: what the tables hold (`chunks`), when a portfolio counts as written (`portfolio`).
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from creditrisk_assets.simulation.sampling import Category, Column, Columns

_COPY_BUFFER = 4 << 20


@dataclass(frozen=True)
class Part:
    """What one chunk adds to one table."""

    path: Path
    header: tuple[str, ...]
    rows: int


def write_parts(tables: Mapping[str, Columns], directory: Path) -> dict[str, Part]:
    """Write each table's rows, without a header, to its own file in a directory.

    DuckDB's writer is used because it prints a double as the shortest text that keeps its point (202500.0), as the source does, and
    fast; one thread keeps the rows in order.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parts = {}
    with duckdb.connect(config={"threads": 1}) as connection:
        for name, table in tables.items():
            path = directory / f"{name}.csv"
            arrow = arrow_table(table)
            connection.register("part", arrow)
            connection.execute("copy (from part) to ? (format csv, header false)", [str(path)])
            connection.unregister("part")
            parts[name] = Part(path, tuple(table), arrow.num_rows)
    return parts


def arrow_table(table: Columns) -> pa.Table:
    """Return a table's rows as Arrow, nulls as nulls."""
    return pa.table({column: _arrow(values) for column, values in table.items()})


def append_part(part: Part, target: Path) -> None:
    """Append a part to its table's file, starting the file with the header, and remove the part."""
    with target.open("ab") as out:
        if out.tell() == 0:
            out.write((",".join(part.header) + "\n").encode("ascii"))
        with part.path.open("rb") as source:
            shutil.copyfileobj(source, out, _COPY_BUFFER)
    part.path.unlink()


def _arrow(values: Column) -> pa.Array:
    if isinstance(values, Category):
        codes = pa.array(values.codes.astype(np.int32), mask=values.codes < 0)
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.names, pa.string()))
    return pa.array(values, from_pandas=True)
