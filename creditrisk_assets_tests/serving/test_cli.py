"""The serving commands, and the one-applicant score other commands use."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_serving.cli import app, score_applicant


def test_an_applicant_is_scored_by_the_service_and_logged_like_any_other(shared: Client) -> None:
    found = score_applicant(shared.settings.platform, FIRST_ID)
    record = shared.get(f"/decisions/{found['decision_id']}").json()
    served = shared.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["decisions"][0]
    assert record["caller"] == "command-line"
    assert record["request_id"] == found["request_id"]
    assert found["pd"] == record["pd"] == served["pd"]


def test_an_unknown_applicant_is_refused_with_the_reason(published: Published) -> None:
    with pytest.raises(RuntimeError, match="no published features have this id"):
        score_applicant(Settings(home=published.home), 999_999)


def test_without_a_model_the_reason_says_what_to_run(published: Published) -> None:
    shutil.rmtree(published.home / "bundles")
    with pytest.raises(RuntimeError, match="creditrisk run"):
        score_applicant(Settings(home=published.home), FIRST_ID)


def test_the_applicant_command_prints_text_and_json(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    runner = CliRunner()
    text = runner.invoke(app, ["applicant", str(FIRST_ID)])
    assert text.exit_code == 0
    assert f"applicant {FIRST_ID}" in text.output
    machine = runner.invoke(app, ["applicant", str(FIRST_ID), "--json"])
    assert json.loads(machine.output)["applicant_id"] == FIRST_ID


@pytest.mark.parametrize("command", ["serve", "applicant"])
def test_every_command_has_help(command: str) -> None:
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
