"""The graph, materialized once for the tests that only look at it, and copies of it for those that go on from there."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from creditrisk_assets import running
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.running import AssetResult, RunResult
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.conftest import made_once

RESULT = "result.json"


@dataclass(frozen=True)
class Graph:
    """A home directory in which the whole graph was materialized."""

    settings: Settings
    lake: Lake
    result: RunResult


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory, portfolio: Path) -> Graph:
    """Return a copy, for this process, of a home in which everything was materialized from the tiny portfolio."""

    def materialize(place: Path) -> None:
        with home(place / "home") as settings:
            remember_source(settings, portfolio)
            result = running.materialize(settings)
        (place / RESULT).write_text(json.dumps(asdict(result)))

    made = made_once(tmp_path_factory, "graph", materialize)
    content = json.loads((made / RESULT).read_text())
    result = RunResult(**content | {"assets": [AssetResult(**asset) for asset in content["assets"]]})
    with copied(made / "home", tmp_path_factory.mktemp("graph") / "home") as settings:
        return Graph(settings, Lake(settings.lake), result)


@contextmanager
def home(path: Path) -> Iterator[Settings]:
    """Point the environment to a home for a while, and leave none of what a run sets."""
    before = dict(os.environ)
    os.environ["CREDITRISK_HOME"] = str(path)
    try:
        yield Settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def copied(source: Path, path: Path) -> Iterator[Settings]:
    """Copy a home, and point the environment to the copy for a while."""
    shutil.copytree(source, path, symlinks=True)
    with home(path) as settings:
        yield settings


@pytest.fixture
def in_graph(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """Point the environment of one test to the materialized home."""
    monkeypatch.setenv("CREDITRISK_HOME", str(graph.settings.root))
    return graph
