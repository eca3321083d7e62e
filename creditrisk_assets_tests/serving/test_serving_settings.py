"""Settings of the service."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from creditrisk_serving.access import Scope
from creditrisk_serving.settings import ServingSettings

DOCS = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8").splitlines()


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


@pytest.mark.parametrize("name", [name for name in ServingSettings.model_fields if name != "platform"])
def test_the_docs_tell_each_setting_as_it_is_declared(name: str) -> None:
    field = ServingSettings.model_fields[name]
    default = field.get_default(call_default_factory=True)
    told = "none" if default is None else default
    assert f"| `{name.upper()}` | `{told}` | {field.description} |" in DOCS


@pytest.mark.parametrize("scope", Scope)
def test_the_docs_tell_each_scope(scope: Scope) -> None:
    assert any(line.startswith(f"| `{scope}` |") for line in DOCS)


@pytest.mark.parametrize("rate", ["", "0/s", "100", "1.5/s", "many"])
def test_a_rate_that_is_none_is_refused_at_start(rate: str) -> None:
    with pytest.raises(ValidationError, match="rate_limit"):
        ServingSettings(rate_limit=rate)
