"""The graph, materialized once for the tests that only look at it."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from creditrisk_assets import running
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.running import RunResult
from creditrisk_assets.settings import Settings


@dataclass(frozen=True)
class Graph:
    """A home directory in which the whole graph was materialized."""

    settings: Settings
    lake: Lake
    result: RunResult


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory, portfolio: Path) -> Graph:
    """Materialize everything from the tiny portfolio."""
    home = tmp_path_factory.mktemp("graph") / "home"
    before = dict(os.environ)
    os.environ["CREDITRISK_HOME"] = str(home)
    try:
        settings = Settings()
        remember_source(settings, portfolio)
        result = running.materialize(settings)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Graph(settings, Lake(settings.lake), result)


@pytest.fixture
def in_graph(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """Point the environment of one test to the materialized home."""
    monkeypatch.setenv("CREDITRISK_HOME", str(graph.settings.root))
    return graph
