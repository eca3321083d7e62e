"""A disk that is full while the training is logged: said in words, nothing published, and the next run goes on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from creditrisk_assets import running
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """A home whose directory of MLflow's artefacts is a disk of 200 kB."""
    settings = Settings()
    settings.mlflow_artifacts.mkdir(parents=True)
    small = str(settings.mlflow_artifacts)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", small], check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: run as root")
    try:
        yield settings
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.drill
def test_a_disk_full_while_logging_registers_nothing_and_is_made_good(settings: Settings, portfolio: Path) -> None:
    remember_source(settings, portfolio)
    wanted = '+key:"registry/version"'
    full = running.materialize(settings, wanted)
    assert not full.succeeded
    assert any("model/pd: the disk is full; free space" in words for words in full.failures), full.failures
    lake = Lake(settings.lake)
    assert lake.current("model/pd") is None
    assert lake.current("registry/version") is None
    assert not list((settings.lake / "model" / "pd").glob("versions/*"))

    larger = ["mount", "-o", "remount,size=100m", str(settings.mlflow_artifacts)]
    subprocess.run(larger, check=True)
    assert running.materialize(settings, wanted).succeeded
    assert lake.current("registry/version") is not None
