"""Settings: local and embedded with none set; a misspelt one is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from creditrisk_assets.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("CREDITRISK_"):
            monkeypatch.delenv(name)


def test_with_nothing_set_everything_lies_below_one_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    home = tmp_path / ".creditrisk"
    places = [settings.lake, settings.spill, settings.dagster_home, settings.bundles, settings.keys, settings.reports]
    assert all(place.is_relative_to(home) for place in places)
    assert settings.tracking_uri == f"sqlite:///{home}/mlflow.db"
    assert not home.exists()


def test_a_misspelt_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_HOMEE", "/tmp/x")
    with pytest.raises(ValidationError, match="no setting is named CREDITRISK_HOMEE"):
        Settings()


def test_the_services_variables_are_the_services_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_SERVING_PORT", "8000")
    Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THREADS", "0"),
        ("THREADS", "two"),
        ("MEMORY_LIMIT", "lots"),
        ("MLFLOW_EXPERIMENT", ""),
        ("ENGINE", "pandas"),
        ("SPARK_MASTER", ""),
    ],
)
def test_an_impossible_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"CREDITRISK_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_ALERT_WEBHOOK", "https://example.invalid/very-secret")
    assert "very-secret" not in repr(Settings())


@pytest.mark.parametrize(("name", "path"), [("HOME", "/tmp/a[1]"), ("HOME", "/tmp/50%"), ("HOME", "/tmp/a#b")])
def test_a_directory_that_reads_as_a_pattern_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, path: str) -> None:
    monkeypatch.setenv(f"CREDITRISK_{name}", path)
    with pytest.raises(ValidationError, match="take for a pattern; rename it"):
        Settings()
