"""Requests generated from the OpenAPI document against the running service: no answer the document does not declare, and no 5xx."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.test_light import ask, serving
from creditrisk_serving.access import Scope, create_key

EXAMPLES = 600  # of each route, of requests that hold the document, and again of requests that do not
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(autouse=True)
def _a_ledger(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the service know a ledger: without one it rightly answers approvals with 503."""
    database = Settings(home=published.home).registry_url.get_secret_value()
    monkeypatch.setenv("CREDITRISK_SERVING_APPROVALS_DATABASE", database)


def fuzz(home: Path, directory: Path, *options: str) -> int:
    """Send generated requests and return how many there were."""
    key = create_key(home / "keys" / "api_keys.json", "fuzz", scopes=(Scope.ADMIN,))
    with serving(home) as (_, port, _said):
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
            *("run", f"http://127.0.0.1:{port}/openapi.json", "-H", f"X-API-Key: {key}"),
            *("--no-color", "--report", "ndjson", "--report-dir", str(directory), *options),
        ]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert ask(port, "GET", "/ready", key)[0] == 200
    found = re.search(r"([\d,]+) generated", done.stdout)
    assert found, done.stdout
    return int(found[1].replace(",", ""))


def test_some_hundred_generated_requests_are_answered_as_the_document_says(
    published: Published, tmp_path: Path
) -> None:
    phases = ("--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--generation-deterministic")
    assert fuzz(published.home, tmp_path, *phases) >= 200


@pytest.mark.drill
def test_ten_thousand_generated_requests_are_answered_as_the_document_says(published: Published) -> None:
    key, sent = create_key(published.home / "keys" / "api_keys.json", "fuzz", scopes=(Scope.ADMIN,)), 0
    with serving(published.home) as (_, port, _said):
        configuration = SchemathesisConfig.from_path(CONFIGURATION)
        document = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json", config=configuration)
        for found in document.get_all_operations():
            operation = found.ok()
            given_something = operation.body or operation.path_parameters or operation.headers
            for mode in GenerationMode if given_something else (GenerationMode.POSITIVE,):
                sent += answered_as_declared(operation, mode, key)
        assert ask(port, "GET", "/ready", key)[0] == 200
    assert sent >= 10_000


def answered_as_declared(operation: Any, mode: GenerationMode, key: str) -> int:
    """Send generated requests to one route and return how many there were."""
    sent = 0

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(  # generated only: shrinking and aiming take most of the time
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def send(case: schemathesis.Case) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(headers={"X-API-Key": key})

    send()
    return sent
