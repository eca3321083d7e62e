"""What the feature store costs on each engine: seconds, processor seconds and peak memory of all its processes.

    python -m creditrisk_assets_tests.benchmarks.engines --scale 0.1
    python -m creditrisk_assets_tests.benchmarks.engines --scale 3 --engine duckdb

prints one row per engine of the table in docs/engines.md. The raw tables of a sample portfolio are typed once and lie on local disk;
each engine computes every family and the join in a process of its own, held to CREDITRISK_MEMORY_LIMIT and CREDITRISK_THREADS (Spark:
the driver's heap and CREDITRISK_SPARK_MASTER). Processor seconds are what a busy machine distorts least.
"""

import json
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer
from rich.console import Console

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features import engine as duck
from creditrisk_assets.features import spark
from creditrisk_assets.features.families import FAMILIES, applicant_features
from creditrisk_assets.features.files import join_applicant
from creditrisk_assets.ingestion.sources import sample_directory
from creditrisk_assets.resources.duckdb import limit
from creditrisk_assets.settings import Settings
from creditrisk_assets.terminal import write_sample
from creditrisk_assets_tests.benchmarks.process import measured
from creditrisk_assets_tests.features.tables import typed

console = Console(highlight=False)
ENGINES = ["duckdb", "spark"]


def main(
    scale: Annotated[float, typer.Option(help="Scale of the sample portfolio.")] = 0.1,
    engine: Annotated[list[str], typer.Option(help="Engine to measure; may be given twice.")] = ENGINES,
    raw: Annotated[
        Path | None, typer.Option(help="Raw tables to build from in this very process.", hidden=True)
    ] = None,
) -> None:
    """Print the cost of the feature store on each engine at one scale."""
    if raw is not None:
        print(json.dumps(build(engine[0], raw)))  # noqa: T201 - read by the process that measures
        return
    settings = Settings()
    source = sample_directory(settings, scale)
    write_sample(source, scale=scale, seed=42, scenario="baseline", quiet=False)
    with tempfile.TemporaryDirectory(dir=settings.root) as directory:
        with duckdb.connect() as con:
            limit(con, settings)
            paths = typed(con, source, Path(directory))
            counts = [con.execute(f"select count(*) from '{path}'").fetchone() for path in paths.values()]
        rows = sum(count[0] for count in counts if count)
        console.print(f"{rows:,} raw rows, {len(applicant_features())} features")
        console.print("| scale | engine | seconds | processor seconds | peak memory | slowest family |")
        console.print("|---|---|---|---|---|---|")
        for name in engine:
            cost, seconds = measured(__spec__.name, "--engine", name, "--raw", directory)
            slowest = max(seconds, key=lambda family: seconds[family])
            console.print(
                f"| {scale:g} | {name} | {cost.seconds:.1f} | {cost.processor_seconds:.0f} | {cost.peak_memory_bytes / 2**20:,.0f} MiB "
                f"| {slowest} {seconds[slowest]:.1f} s |"
            )


def build(name: str, raw: Path) -> dict[str, float]:
    """Compute every family and the join with one engine; return the seconds of each."""
    settings = Settings()
    tables = {table: raw / f"{table}.parquet" for table in SOURCES}
    out = raw / name
    out.mkdir(exist_ok=True)
    files = {family: out / f"{family}.parquet" for family in FAMILIES}
    seconds = {}
    with duckdb.connect() as con, _session(name, settings) as session:
        limit(con, settings)
        for family in FAMILIES.values():
            started = time.perf_counter()
            if session is None:
                duck.build_family(con, family, tables, files[family.name])
            else:
                spark.build_family(session, con, family, tables, files[family.name])
            seconds[family.name] = time.perf_counter() - started
        started = time.perf_counter()
        join_applicant(files, out / "applicant.parquet")
        return seconds | {"join": time.perf_counter() - started}


def _session(name: str, settings: Settings) -> AbstractContextManager[Any]:
    if name == "duckdb":
        return nullcontext()
    return spark.session(settings.spark_master, memory=settings.memory_limit, directory=settings.spill)


if __name__ == "__main__":
    typer.run(main)
