"""What every test may use: a clean environment and one tiny portfolio."""

import os
from pathlib import Path

import pytest

from creditrisk_assets.simulation.portfolio import write_portfolio


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run each test as a newcomer would: no setting from outside, and nothing written outside its own directory."""
    for name in list(os.environ):
        if name.startswith(("CREDITRISK_", "DAGSTER_HOME", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def portfolio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the eight raw tables for about 1,200 labelled and 200 unlabelled applicants; read only."""
    directory = tmp_path_factory.mktemp("portfolio")
    write_portfolio(directory, scale=0.004, seed=7)
    return directory
