"""What drift of a wide table costs: every column of it counted, beside Evidently on the largest sample it does in that time.

    python -m creditrisk_assets_tests.benchmarks.drift --rows 3000000 --columns 1000 [--folder DIR]

The table is made here: nine numbers in ten, the rest flags and categories, a tenth of the values missing, one row group drawn and
repeated; about 2 bytes of disk per value, as in a real feature table. Each measurement is a process of its own; processor seconds are
what to compare on a busy machine.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track
from rich.table import Table

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.statement import quoted
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.reference import Distribution, input_reference
from creditrisk_assets.monitoring.drift.counting import count_table
from creditrisk_assets.monitoring.drift.effects import compare
from creditrisk_assets.monitoring.drift.report import Column, drift_table
from creditrisk_assets_tests.benchmarks.process import measured

MODULE = "creditrisk_assets_tests.benchmarks.drift"
GROUP_ROWS = 122_880
REFERENCE_ROWS = 50_000
FIRST_SAMPLE = 500
FILTERED = 40  # columns that are counted by FILTER
KINDS = ("numeric",) * 18 + ("boolean", "category")


def kind_of(place: int) -> str:
    """Tell a column's kind from its place."""
    return KINDS[place % len(KINDS)]


def draw(place: int, rows: int, random: np.random.Generator) -> pa.Array:
    """Draw a column."""
    missing = random.random(rows, dtype=np.float32) < 0.1
    if kind_of(place) == "boolean":
        return pa.array(random.random(rows, dtype=np.float32) < 0.3, mask=missing)
    if kind_of(place) == "category":
        codes = pa.array(random.integers(0, 12, rows, dtype=np.int32), mask=missing)
        return pa.DictionaryArray.from_arrays(codes, [f"category {code}" for code in range(12)]).cast(pa.string())
    values = random.standard_normal(rows, dtype=np.float32).astype(np.float64)
    values = np.round(np.exp(values), 2) if place % 3 == 0 else np.round(values * (3 if place % 3 == 1 else 100))
    return pa.array(values, mask=missing)


def write_table(path: Path, rows: int, columns: int) -> None:
    """Write the table, one row group after another."""
    random = np.random.default_rng(0)
    group = pa.table({f"c{place}": draw(place, GROUP_ROWS, random) for place in range(columns)})
    with pq.ParquetWriter(path, group.schema, compression="zstd", compression_level=1) as writer:
        for start in track(range(0, rows, GROUP_ROWS), description=f"writing {rows:,} rows of {columns:,} columns"):
            writer.write_table(group.slice(0, min(GROUP_ROWS, rows - start)))


def references(path: Path, columns: int) -> dict[str, Distribution]:
    """Count the first rows as the bundle counts the training applicants."""
    found: dict[str, Distribution] = {}
    file = pq.ParquetFile(path)
    for place in range(columns):
        column = file.read_row_group(0, columns=[f"c{place}"]).column(0).slice(0, REFERENCE_ROWS)
        kind = kind_of(place)
        values = column.to_pylist() if kind == "category" else column.cast(pa.float64()).to_numpy().astype(np.float32)
        found[f"c{place}"] = input_reference(kind, values)
    return found


def ours(path: Path, columns: int) -> None:
    """Count and compare every column; print what it took."""
    known = references(path, columns)
    started, processor = time.perf_counter(), time.process_time()
    counted = count_table(path, known, threads=2)
    table = drift_table(
        [
            Column(name, "f", reference.rows, counted[name].rows, compare(reference, counted[name]), 0.0)
            for name, reference in known.items()
        ],
        load_policy().drift,
    )
    _say(started, processor, drifted=int(table["drifted"].sum()), largest_psi=float(table["statistic"].max()))


def filters(path: Path, columns: int) -> None:
    """Count the numbers by one FILTER per bin in DuckDB, for comparison; print what it took."""
    known = {name: found for name, found in references(path, columns).items() if name in numbers(columns)}
    started, processor = time.perf_counter(), time.process_time()
    with duckdb.connect(config={"threads": 2, "memory_limit": "3GB"}) as con:
        names = list(known)
        for first in range(0, len(names), 50):
            bins = [part for name in names[first : first + 50] for part in _bins(name, known[name])]
            con.execute(f"select {', '.join(bins)} from {parquet(path)}").fetchall()
    _say(started, processor)


def _say(started: float, processor: float, **more: float) -> None:
    took = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - processor}
    print(json.dumps({**took, **more}))  # noqa: T201 - read by the process that measures


def _bins(name: str, reference: Distribution) -> Iterator[str]:
    for edge in reference.edges:  # type: ignore[union-attr]  # of numbers alone
        yield f"count(*) filter ({quoted(name)} < {edge!r}), count(*) filter ({quoted(name)} <= {edge!r})"


def numbers(columns: int) -> set[str]:
    """Name the numeric columns."""
    return {f"c{place}" for place in range(columns) if kind_of(place) == "numeric"}


def evidently(path: Path, columns: int, rows: int) -> None:
    """Run Evidently's drift preset on the first rows against the next; print what it took."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    wanted = [f"c{place}" for place in range(columns)]
    frame = pq.ParquetFile(path).read_row_group(0, columns=wanted).slice(0, 2 * rows).to_pandas()
    names = numbers(columns)
    frame = frame.astype({name: object for name in frame if name not in names})
    definition = DataDefinition(
        numerical_columns=[name for name in frame if name in names],
        categorical_columns=[name for name in frame if name not in names],
    )
    started, processor = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        preset = DataDriftPreset(num_method="psi", cat_method="psi")
        sides = (Dataset.from_pandas(frame.iloc[:rows], definition), Dataset.from_pandas(frame.iloc[rows:], definition))
        Report([preset]).run(*sides).dict()
    _say(started, processor)


def main() -> None:
    """Make the table, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where the table is made; it is deleted afterwards")
    parser.add_argument("--part", choices=("ours", "filters", "evidently"), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part == "evidently":
        evidently(chosen.path, chosen.columns, chosen.rows)
    elif chosen.part is not None:
        {"ours": ours, "filters": filters}[chosen.part](chosen.path, chosen.columns)
    else:
        if chosen.folder is not None:
            chosen.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            _compare(Path(folder) / "wide.parquet", chosen.rows, chosen.columns)


def _compare(path: Path, rows: int, columns: int) -> None:
    write_table(path, rows, columns)
    title = f"drift of {columns:,} columns, {path.stat().st_size / 1e9:.1f} GB"
    table = Table("", "rows", "columns", "seconds", "processor s", "ns a value", "peak MB", title=title)

    def measure(name: str, part: str, size: int, wide: int = columns) -> float:
        arguments = ("--path", str(path), "--columns", str(wide), "--rows", str(size))
        cost, said = measured(MODULE, "--part", part, *arguments)
        each = said["processor_seconds"] / (size * wide) * 1e9
        figures = (f"{said['seconds']:.1f}", f"{said['processor_seconds']:.1f}", f"{each:.1f}")
        Console().log(f"{name}: {size:,} rows, {wide:,} columns, {said['processor_seconds']:.1f} s of processor")
        table.add_row(name, f"{size:,}", f"{wide:,}", *figures, f"{cost.peak_memory_bytes / 1e6:,.0f}")
        return float(said["processor_seconds"])

    limit = measure("counted and compared", "ours", rows)
    measure("one FILTER per bin in DuckDB (numbers alone)", "filters", rows, min(columns, FILTERED))
    size = FIRST_SAMPLE
    while measure("Evidently", "evidently", size) < limit and 4 * size <= min(rows, GROUP_ROWS) // 2:
        size *= 4
    Console().print(table)


if __name__ == "__main__":
    main()
