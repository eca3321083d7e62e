"""Settings of the service."""

import pytest
from pydantic import ValidationError

from creditrisk_serving.settings import ServingSettings


def test_the_defaults_are_local_and_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServingSettings()
    assert settings.host == "127.0.0.1"
    assert settings.decision_log_url == f"sqlite:///{settings.platform.root / 'decisions.db'}"
    assert settings.api_keys_file == settings.platform.keys / "api_keys.json"


def test_a_misspelt_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_SERVING_PROT", "1")
    with pytest.raises(ValidationError, match="CREDITRISK_SERVING_PROT"):
        ServingSettings()


def test_a_password_in_the_log_url_is_not_shown() -> None:
    settings = ServingSettings(decisions_url="postgresql://u:secret@h/d")  # type: ignore[arg-type] # parsed by pydantic
    assert "secret" not in repr(settings)
