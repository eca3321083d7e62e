"""What each stage costs: rows per second and true peak memory, beside the floor (a bare CSV to Parquet conversion by DuckDB).

Run by `make bench SCALE=…`. Every figure comes from one run of the graph in a fresh home directory, in a process of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from creditrisk_assets.ingestion.sources import sample_directory
from creditrisk_assets.settings import Settings
from creditrisk_assets.terminal import write_sample

console = Console(highlight=False)
DATA_STAGES = ("raw/", "features/", "training/")
FLOOR = """
import json, resource, sys, time
from pathlib import Path
import duckdb
started, rows = time.perf_counter(), 0
con = duckdb.connect(config={"threads": int(sys.argv[3]), "memory_limit": sys.argv[4]})
for path in sorted(Path(sys.argv[1]).glob("*.csv")):
    target = f"{sys.argv[2]}/{path.stem}.parquet"
    rows += con.execute(f"COPY (FROM read_csv('{path}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)").fetchone()[0]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": rows, "seconds": time.perf_counter() - started, "peak_memory_mb": peak}))
"""


def main(scale: Annotated[float, typer.Option(help="Scale of the sample portfolio.")] = 0.05) -> None:
    """Print the cost of every asset at one scale."""
    settings = Settings()
    source = sample_directory(settings, scale)
    write_sample(source, scale=scale, seed=42, scenario="baseline", quiet=False)
    with tempfile.TemporaryDirectory(dir=settings.root) as home, tempfile.TemporaryDirectory(dir=settings.root) as bare:
        floor = _json_of([sys.executable, "-c", FLOOR, str(source), bare, str(settings.threads), settings.memory_limit])
        graph = _json_of(
            [sys.executable, "-m", "creditrisk_assets.cli", "run", "--source", str(source), "--json"],
            CREDITRISK_HOME=home,
        )
    _print(scale, graph, floor)


def _json_of(command: list[str], **environment: str) -> Mapping[str, Any]:
    done = subprocess.run(command, env=os.environ | environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def _print(scale: float, graph: Mapping[str, Any], floor: Mapping[str, Any]) -> None:
    table = Table("asset", "rows", "seconds", "rows/s", "peak MB", title=f"scale {scale:g}", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in _rows(graph, floor):
        table.add_row(*row)
    console.print(table)
    data = [asset for asset in graph["assets"] if asset["key"].startswith(DATA_STAGES)]
    raw = sum(asset["seconds"] for asset in data if asset["key"].startswith("raw/"))
    console.print(
        f"\ndata stages {sum(asset['seconds'] for asset in data):.1f} s, peak {max(asset['peak_memory_mb'] for asset in data):,.0f} MB; "
        f"whole graph {graph['seconds']:.1f} s\n"
        f"raw tables with types, hashes and contracts: {raw / floor['seconds']:.2f} x the bare conversion ({floor['seconds']:.1f} s)"
    )


def _rows(graph: Mapping[str, Any], floor: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for asset in [*graph["assets"], {"key": "floor: bare CSV to Parquet", **floor}]:
        rows = asset["rows"]
        pace = f"{rows / asset['seconds']:,.0f}" if rows and asset["seconds"] else ""
        yield (
            asset["key"],
            f"{rows:,}" if rows else "",
            f"{asset['seconds']:.2f}",
            pace,
            f"{asset['peak_memory_mb']:,.0f}",
        )


if __name__ == "__main__":
    typer.run(main)
