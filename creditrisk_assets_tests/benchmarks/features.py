"""What the feature store costs, from the lake to the checked table of all features: beside a floor, and beside pandas.

    python -m creditrisk_assets_tests.benchmarks.features --scale 1

Every figure of a run comes from processes of their own, one after the other. The floor of a family is one pass of DuckDB that reads the
columns the family reads and groups them by applicant. Pandas computes the same features (`creditrisk_assets_tests.oracle`, which the tests
hold equal) for a tenth of the applicants, chosen by id.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from rich.console import Console
from rich.table import Table

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.features import APPLICANT
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features import engine, lineage
from creditrisk_assets.features.families import FAMILIES, PRESENCE, applicant_features
from creditrisk_assets.features.files import join_applicant
from creditrisk_assets.features.statement import KEY
from creditrisk_assets.ingestion.sources import sample_directory
from creditrisk_assets.resources.duckdb import limit
from creditrisk_assets.settings import Settings
from creditrisk_assets.terminal import write_sample
from creditrisk_assets_tests import oracle
from creditrisk_assets_tests.benchmarks.process import Cost, measured
from creditrisk_assets_tests.features.tables import typed

console = Console(highlight=False)
ANCESTOR = {"features": 92, "seconds": 66.0, "gigabytes": 8.2}  # as measured on a machine of two cores at full size
ONE_IN = 10
JOIN = "join"


def main(
    scale: Annotated[float, typer.Option(help="Scale of the sample portfolio.")] = 0.1,
    part: Annotated[str, typer.Option(help="What to do in this very process.", hidden=True)] = "",
    raw: Annotated[Path | None, typer.Option(help="Raw tables as Parquet.", hidden=True)] = None,
) -> None:
    """Print the cost of every family, of the join, and of pandas."""
    if raw is not None:
        print(json.dumps(PARTS[part](raw)))  # noqa: T201 - read by the process that measures
        return
    settings = Settings()
    source = sample_directory(settings, scale)
    write_sample(source, scale=scale, seed=42, scenario="baseline", quiet=False)
    with tempfile.TemporaryDirectory(dir=settings.root) as directory:
        with duckdb.connect() as con:
            limit(con, settings)
            typed(con, source, Path(directory))
        found = {name: measured(__spec__.name, "--part", name, "--raw", directory) for name in PARTS}
    _print(scale, found)


def build(raw: Path) -> dict[str, float]:
    """Compute, write and check every family and the join; return the seconds of each."""
    files = {name: raw / f"family-{name}.parquet" for name in FAMILIES}
    seconds = {}
    with duckdb.connect() as con:
        limit(con, Settings())
        for name, family in FAMILIES.items():
            started = time.perf_counter()
            engine.build_family(con, family, _tables(raw), files[name])
            _require(check(con, parquet(files[name]), family.contract).passed, name)
            seconds[name] = time.perf_counter() - started
        started = time.perf_counter()
        join_applicant(files, raw / "applicant.parquet")
        own = {KEY, *PRESENCE}  # the families' values were checked where they were computed
        _require(check(con, parquet(raw / "applicant.parquet"), APPLICANT, values_of=own).passed, JOIN)
    return seconds | {JOIN: time.perf_counter() - started}


def floor(raw: Path) -> dict[str, float]:
    """Read what each family reads and group it by applicant; return the seconds of each."""
    seconds = {}
    with duckdb.connect() as con:
        limit(con, Settings())
        for name, family in FAMILIES.items():
            started = time.perf_counter()
            for table, columns in _read_by(name).items():
                key = "SK_ID_BUREAU" if table == "bureau_balance" else "SK_ID_CURR"
                values = ", ".join(f'max("{column}")' for column in columns if column != key)
                relation = parquet(raw / f"{table}.parquet")
                con.execute(f"create or replace temp table t as select {key}, {values} from {relation} group by {key}")
            seconds[family.name] = time.perf_counter() - started
    return seconds


def pandas(raw: Path) -> dict[str, float]:
    """Compute the same features with pandas for one applicant in ten; return the seconds of each family."""
    tables = {}
    with duckdb.connect() as con:
        for table in SOURCES:
            chosen = f"SK_ID_CURR % {ONE_IN} = 0"
            if table == "bureau_balance":
                chosen = f"SK_ID_BUREAU in (select SK_ID_BUREAU from {parquet(raw / 'bureau.parquet')} where {chosen})"
            tables[table] = con.execute(f"select * from {parquet(raw / f'{table}.parquet')} where {chosen}").df()
    seconds = {}
    for name, features in oracle.families().items():
        started = time.perf_counter()
        features(tables)
        seconds[name] = time.perf_counter() - started
    return seconds


PARTS = {"build": build, "floor": floor, "pandas": pandas}


def _tables(raw: Path) -> Mapping[str, Path]:
    return {table: raw / f"{table}.parquet" for table in SOURCES}


def _read_by(family: str) -> Mapping[str, list[str]]:
    """Return the raw columns that a family's features are made of, by table."""
    origins = {origin for found in lineage.lineage(FAMILIES[family]).values() for origin in found}
    return {
        table: sorted(column for origin, column in origins if origin == table)
        for table in sorted({t for t, _ in origins})
    }


def _require(passed: bool, name: str) -> None:
    if not passed:
        raise SystemExit(f"{name}: the contract is broken; a figure of a wrong table is none")


def _print(scale: float, found: Mapping[str, tuple[Cost, Mapping[str, float]]]) -> None:
    (cost, built), (_, bare), (pandas_cost, slow) = (found[name] for name in ("build", "floor", "pandas"))
    table = Table(
        "family", "features", "seconds", "floor", "x floor", "pandas, a tenth", title=f"scale {scale:g}", box=None
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for row in _rows(built, bare, slow):
        table.add_row(*row)
    console.print(table)
    seconds, features = sum(built.values()), len(applicant_features())
    ours, theirs = seconds / features, ANCESTOR["seconds"] / ANCESTOR["features"] * scale
    tenth, peaks = sum(slow.values()), [each.peak_memory_bytes / 2**30 for each in (cost, pandas_cost)]
    console.print(
        f"\n{features} features in {seconds:.1f} s ({cost.processor_seconds:.0f} s of processor), peak {peaks[0]:.2f} GiB; "
        f"{seconds / sum(bare.values()):.1f} x the floor\n"
        f"per feature {theirs / ours:.1f} x as fast as the ancestor's {ANCESTOR['features']} features "
        f"({ANCESTOR['seconds']:g} s and {ANCESTOR['gigabytes']} GB at full size)\n"
        f"pandas: {tenth:.1f} s for a tenth of the applicants, {ONE_IN * tenth / seconds:.1f} x the time per applicant, "
        f"peak {peaks[1]:.2f} GiB"
    )


def _rows(
    built: Mapping[str, float], bare: Mapping[str, float], slow: Mapping[str, float]
) -> Iterator[tuple[str, ...]]:
    for name, seconds in built.items():
        if name == JOIN:
            yield "all, joined", str(len(applicant_features())), f"{seconds:.1f}", "", "", ""
            continue
        times = f"{seconds / bare[name]:.1f}"
        yield (
            name,
            str(len(FAMILIES[name].features)),
            f"{seconds:.1f}",
            f"{bare[name]:.2f}",
            times,
            f"{slow[name]:.1f}",
        )


if __name__ == "__main__":
    typer.run(main)
