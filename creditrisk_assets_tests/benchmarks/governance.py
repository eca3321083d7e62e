"""What fairness and the governance file cost at the size of the full portfolio, in processor time.

    CREDITRISK_HOME=.creditrisk python -m creditrisk_assets_tests.benchmarks.governance

Reads a home in which the graph was materialized, and writes nothing into it. Its applicants are repeated under other
ids until there are as many as in the full portfolio, every number moved by up to a thousandth of itself; model, policy
and code are the home's own. The champion's part is that of a rival of the same size: all test applicants scored again.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
from rich.console import Console
from rich.table import Table

from creditrisk_assets.contracts.render.sql import identifier, literal, parquet
from creditrisk_assets.defs.artefact import Artefact, Made, Work
from creditrisk_assets.defs.evaluation import EVALUATION, PREDICTIONS
from creditrisk_assets.defs.fairness import APPLICATIONS, FAIRNESS_ARTEFACT
from creditrisk_assets.defs.governance_file import BILL_OF_MATERIALS, DOCUMENTS, THE_FILE
from creditrisk_assets.defs.split import SPLIT_TEST, SPLIT_TRAIN
from creditrisk_assets.defs.training import BUNDLE, MODEL, OUT_OF_FOLD
from creditrisk_assets.lake import DATA, Draft, Lake, LakeError, Version, sha256_file
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.part_scores import score_part
from creditrisk_assets.modelling.tables import read_part
from creditrisk_assets.settings import Settings

TRAIN_ROWS, TEST_ROWS = 246_009, 61_502
NEXT_COPY = 10_000_000  # between the ids of one copy and the next
ENLARGED = {  # artefact -> its file and the size of the full portfolio
    SPLIT_TRAIN: (DATA, TRAIN_ROWS),
    OUT_OF_FOLD: (DATA, TRAIN_ROWS),
    SPLIT_TEST: (DATA, TEST_ROWS),
    EVALUATION: (PREDICTIONS, TEST_ROWS),
}


@dataclass(frozen=True)
class _Work(Work):
    """Work outside of a run."""

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a DuckDB connection of one thread."""
        with closing(duckdb.connect(config={"threads": 1})) as con:
            yield con


def main() -> None:
    """Print the table."""
    settings = Settings()
    lake = Lake(settings.lake)
    table = Table(title=f"{TRAIN_ROWS:,} training and {TEST_ROWS:,} test applicants: processor time")
    table.add_column("what")
    table.add_column("s", justify="right")
    with tempfile.TemporaryDirectory() as place:
        versions = _at_full_size(_published(lake), Path(place))
        total = 0.0
        for artefact in (FAIRNESS_ARTEFACT, *DOCUMENTS, BILL_OF_MATERIALS, THE_FILE):
            seconds, versions[artefact.key] = _made(artefact, settings, lake, versions, Path(place))
            total += seconds
            table.add_row(artefact.key, f"{seconds:.1f}")
        rival = _seconds(lambda: _score_again(settings, versions))
        table.add_row("a champion's scores of the test part", f"{rival:.1f}")
        table.add_row("together", f"{total + rival:.1f}")
    Console().print(table)


def _published(lake: Lake) -> dict[str, Version]:
    """Find every artefact that fairness, documents and file are made from."""
    artefacts = (FAIRNESS_ARTEFACT, *DOCUMENTS, BILL_OF_MATERIALS, THE_FILE)
    keys = {key for artefact in artefacts for key in (*artefact.deps, *artefact.uses)}
    found = {}
    for key in sorted(keys):
        try:
            version = lake.current(key)
        except LakeError:
            version = None
        if version is not None:
            found[key] = version
    if missing := {*ENLARGED, MODEL, APPLICATIONS} - found.keys():
        raise SystemExit(f"{', '.join(sorted(missing))} is not published in this home; run `creditrisk run` first")
    return found


def _at_full_size(versions: Mapping[str, Version], place: Path) -> dict[str, Version]:
    """Repeat the tables of applicants; everything else stays what it is."""
    enlarged = dict(versions)
    with closing(duckdb.connect(config={"threads": 1})) as con:
        copies = 0
        for key, (file, rows) in ENLARGED.items():
            old = versions[key]
            ids = f"select count(distinct sk_id_curr) from {parquet(old.path / file)}"
            ((applicants,),) = con.execute(ids).fetchall()
            needed = -(-rows // applicants)
            copies = max(copies, needed)
            enlarged[key] = _repeated(
                con, old, file, place, "sk_id_curr", needed, rows if file == PREDICTIONS else None
            )
        enlarged[APPLICATIONS] = _repeated(con, versions[APPLICATIONS], DATA, place, "SK_ID_CURR", copies, None)
    return enlarged


def _repeated(
    con: duckdb.DuckDBPyConnection, old: Version, file: str, place: Path, key: str, copies: int, most: int | None
) -> Version:
    """Write a version whose table is repeated under other ids, with its new hash."""
    path = place / old.manifest.key
    path.mkdir(parents=True)
    for other in old.manifest.files:
        if other != file:
            (path / other).parent.mkdir(parents=True, exist_ok=True)
            (path / other).symlink_to((old.path / other).resolve())
    source = parquet(old.path / file)
    described = con.execute(f"describe select * from {source}").fetchall()
    columns = ", ".join(_moved(name, kind, key) for name, kind, *_ in described)
    limit = f"limit {most}" if most else ""
    con.execute("select setseed(0.5)")
    con.execute(
        f"copy (select {columns} from {source}, range({copies}) as c(copy) order by {identifier(key)} {limit})"
        f" to {literal(str(path / file))} (format parquet)"
    )
    files = {**old.manifest.files, file: sha256_file(path / file)}
    return Version(path, replace(old.manifest, files=files))


def _moved(name: str, kind: str, key: str) -> str:
    quoted = identifier(name)
    if name == key:
        return f"{quoted} + {NEXT_COPY} * copy as {quoted}"
    if kind == "DOUBLE":
        return f"{quoted} * (1 - 0.001 * random()) as {quoted}"
    return quoted


def _made(
    artefact: Artefact, settings: Settings, lake: Lake, versions: Mapping[str, Version], place: Path
) -> tuple[float, Version]:
    """Make an artefact from the enlarged tables; return what it took, and it."""
    path = place / "made" / artefact.key
    path.mkdir(parents=True)
    inputs = {key: versions[key] for key in (*artefact.deps, *artefact.uses) if key in versions}
    context: Any = dg.build_asset_context()
    work = _Work(context, settings, lake, inputs, Draft(artefact.key, path))
    made: list[Made] = []
    seconds = _seconds(lambda: made.append(artefact.make(work)))
    files = {str(file.relative_to(path)): sha256_file(file) for file in path.rglob("*") if file.is_file()}
    manifest = replace(
        lake.require(artefact.key).manifest,
        files=files,
        inputs={key: version.version for key, version in inputs.items()},
        metadata={"facts": dict(made[0].facts)},
    )
    return seconds, Version(path, manifest)


def _score_again(settings: Settings, versions: Mapping[str, Version]) -> pd.Series:  # type: ignore[type-arg]
    bundle = Bundle.load(versions[MODEL].path / BUNDLE, read_public_key(settings.keys))
    inputs = [ModelInput(feature.name, feature.family, feature.kind) for feature in bundle.features]
    part = read_part(versions[SPLIT_TEST].data, inputs)
    return pd.Series(score_part(bundle, part), index=part.ids)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
