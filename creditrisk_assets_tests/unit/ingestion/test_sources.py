"""Where the raw tables come from: the setting, then the last choice, then the sample."""

import json
from pathlib import Path

import pytest

from creditrisk_assets.ingestion import sources
from creditrisk_assets.settings import Settings
from creditrisk_assets.simulation import portfolio


def test_without_a_choice_the_sample_is_the_source() -> None:
    settings = Settings()
    assert sources.source_directory(settings) == sources.sample_directory(settings)


def test_a_choice_is_remembered_and_a_setting_goes_before_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sources.remember_source(Settings(), tmp_path / "chosen")
    assert sources.source_directory(Settings()) == tmp_path / "chosen"
    monkeypatch.setenv("CREDITRISK_SOURCE", str(tmp_path / "set"))
    assert sources.source_directory(Settings()) == tmp_path / "set"


def test_the_sample_is_known_by_what_the_simulator_leaves(tmp_path: Path) -> None:
    assert sources.SAMPLE_MARK == portfolio.DESCRIPTION
    assert not sources.is_sample(tmp_path)
    assert sources.source_identity(tmp_path) == str(tmp_path)
    identities = set()
    for version in ("g1", "g2", "g2"):
        (tmp_path / sources.SAMPLE_MARK).write_text(json.dumps({"generator_version": version, "seed": 1}))
        assert sources.is_sample(tmp_path)
        identities.add(sources.source_identity(tmp_path))
    assert len(identities) == 2, "a sample drawn by another generator is another source"
