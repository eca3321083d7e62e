"""Same inputs, same bytes: two builds in two homes, one thread and two, give the same versions."""

from pathlib import Path

import pytest

from creditrisk_assets import running
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling.bundle import follow
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph

MADE = ("training/split_train", "training/split_test", "model/out_of_fold", "model/pd")
TABLES = " or ".join(['group:"ingestion"', 'group:"features"', *(f'key:"{key}"' for key in MADE)])


def files(version: Version) -> dict[str, str]:
    """Hash of each file, but for what says when and with which home's key a bundle was signed."""
    own = ("manifest.json", "signature.json")
    return {name: digest for name, digest in version.manifest.files.items() if not name.endswith(own)}


def test_one_thread_and_two_give_the_same_bytes(graph: Graph, portfolio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_THREADS", "1" if graph.settings.threads > 1 else "2")
    settings = Settings()
    remember_source(settings, portfolio)
    result = running.materialize(settings, TABLES)
    assert result.failures == []
    lake = Lake(settings.lake)
    for asset in result.assets:
        assert files(lake.require(asset.key)) == files(graph.lake.require(asset.key)), asset.key
    assert lake.require("model/pd").version == graph.lake.require("model/pd").version


def test_the_published_bundle_is_the_model_of_the_lake(graph: Graph) -> None:
    published = follow(graph.settings.bundles)
    assert published is not None
    assert published.name == graph.lake.require("model/pd").version
