"""Requests generated from the OpenAPI document against the running service: no answer the document does not declare, and no 5xx."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.test_light import ask, serving
from creditrisk_serving.access import Scope, create_key

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


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
def test_ten_thousand_generated_requests_are_answered_as_the_document_says(
    published: Published, tmp_path: Path
) -> None:
    phases = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "900", "--no-shrink")
    assert fuzz(published.home, tmp_path, *phases) >= 10_000
