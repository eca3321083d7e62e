"""The package starts the service as SageMaker does: unpacked to one directory it never writes to, called with its routes and headers."""

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_assets_tests.serving.test_light import wait_until_answering
from creditrisk_serving.access import Scope, create_key
from creditrisk_serving.deployment.sagemaker import ENVIRONMENT, MODEL, package
from creditrisk_serving.settings import ServingSettings
from creditrisk_serving.trust import trusted_key


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def settings_of(published: Published) -> ServingSettings:
    return ServingSettings(platform=Settings(home=published.home))


def test_the_container_contract(published: Published, tmp_path: Path) -> None:
    key = create_key(published.home / "keys" / "api_keys.json", "endpoint", scopes=(Scope.SCORE,))
    settings = settings_of(published)
    packed = package(settings, trusted_key(settings), tmp_path / "out")
    again = package(settings, trusted_key(settings), tmp_path / "again")
    assert packed.read_bytes() == again.read_bytes()
    model = tmp_path / "model"
    with tarfile.open(packed) as tar:
        assert all(member.isfile() for member in tar.getmembers())
        tar.extractall(model, filter="data")
    assert not list(model.rglob("*.pem")), "no private key leaves"
    before = digests(model)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value.replace(MODEL, str(model)) for name, value in ENVIRONMENT.items()}
    environment |= {
        "CREDITRISK_SERVING_HOST": "127.0.0.1",
        "CREDITRISK_SERVING_PORT": str(port),
        "CREDITRISK_SERVING_JOURNAL": str(tmp_path / "journal"),
        "CREDITRISK_SERVING_DECISIONS_URL": f"sqlite:///{tmp_path / 'decisions.db'}",
    }
    command = [sys.executable, "-c", "from creditrisk_serving.cli import app; app(['serve'])"]
    with subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL) as service:
        try:
            wait_until_answering(port)
            deadline = time.monotonic() + 60
            while ask(port, "GET", "/ping")[0] != 200:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Custom-Attributes": f"X-API-Key={key}"}
            status, body = ask(port, "POST", "/invocations", f"SK_ID_CURR\n{FIRST_ID}\n", headers)
            assert status == 200, body
            assert json.loads(body)["model_version"] == published.champion
        finally:
            service.terminate()
            service.wait(timeout=30)
    assert digests(model) == before


def ask(
    port: int, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_what_nobody_could_call_or_prove_is_not_packaged(published: Published, tmp_path: Path) -> None:
    settings = settings_of(published)
    trusted = trusted_key(settings)
    settings.api_keys_file.unlink(missing_ok=True)
    with pytest.raises(RuntimeError, match="creditrisk keys create"):
        package(settings, trusted, tmp_path)
    (published.home / "bundles" / published.champion / "model.txt").write_text("another model")
    with pytest.raises(RuntimeError, match=r"model\.txt"):
        package(settings, trusted, tmp_path)
    assert not list(tmp_path.glob("*.gz"))
