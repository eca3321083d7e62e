"""However raw rows change, a family built from its last version is, byte for byte, the family built whole."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features.engine import build_family
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.incremental import Last, update_family
from creditrisk_assets_tests.features.tables import write
from creditrisk_assets_tests.property.histories import KEYS, recent, recent_tables

APPLICANTS, ROWS = 8, 40


def edited(table: str, rows: list[dict[str, Any]], further: list[dict[str, Any]], source: random.Random) -> list[dict]:
    """Lose some rows, change a cell in some, take some further ones in; keys stay unique, the order does not stay."""
    columns = [column for column in SOURCES[table].columns if column.name not in (*KEYS, *SOURCES[table].key)]
    kept = [dict(row) for row in rows if source.random() < 0.95]
    for row in kept:
        if source.random() < 0.05:
            column = source.choice(columns)
            row[column.name] = recent(column, source)
    key = SOURCES[table].key
    taken = {tuple(row[name] for name in key) for row in kept}
    appended = [row for row in further if source.random() < 0.05]
    kept += [row for row in appended if not key or tuple(row[name] for name in key) not in taken]
    source.shuffle(kept)
    return kept


@pytest.mark.parametrize("name", list(FAMILIES))
@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
@example(seed=0)
def test_incremental_bytes_are_those_of_a_whole_build(name: str, tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    family = replace(FAMILIES[name], most_touched=1e9)
    before, further = (recent_tables(name, source, applicants=APPLICANTS, rows=ROWS) for _ in range(2))
    tables: dict[str, dict[str, list]] = {"before": {}, "now": {}}
    for view, rows in before.items():
        table = "application_test" if view == "application" else view
        tables["before"][table] = rows
        tables["now"][table] = edited(table, rows, further[view], source)
    with duckdb.connect(config={"threads": 1}) as con:
        paths = {}
        for state, rows_of in tables.items():
            (tmp_path / state).mkdir(exist_ok=True)
            paths[state] = write(con, rows_of, tmp_path / state)
        files = {kind: tmp_path / f"{kind}.parquet" for kind in ("last", "incremental", "whole")}
        build_family(con, family, paths["before"], files["last"])
        build_family(con, family, paths["now"], files["whole"])
        update = update_family(con, family, Last(files["last"], paths["before"]), paths["now"], files["incremental"])
    assert files["incremental"].read_bytes() == files["whole"].read_bytes(), str(update)
