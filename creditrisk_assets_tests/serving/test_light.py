"""The running service as a process: light, started and stopped by its command."""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from creditrisk_assets_tests.serving.client import LENDER
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_serving.access import read_keys

HEAVY = (
    "pandas",
    "pandera",
    "sklearn",
    "mlflow",
    "lightgbm",
    "dagster",
    "pyarrow",
    "ibis",
    "scipy",
    "matplotlib",
    "pydantic.v1",
)
SCORE = """
import asyncio, json, sys
from creditrisk_serving.process import forget_old_pydantic, forget_pandas, give_memory_back
forget_pandas()
forget_old_pydantic()
give_memory_back()
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from creditrisk_assets.settings import Settings
from creditrisk_serving.access import Key, Keyring, hash_key
from creditrisk_serving.app import create_app
from creditrisk_serving.inprocess import call, running
from creditrisk_serving.settings import ServingSettings

async def main(home, applicant, body):
    app = create_app(ServingSettings(platform=Settings(home=home)), keys=Keyring([Key("t", hash_key("k"))]))
    async with running(app):
        for content in ({"applicant_ids": [applicant]}, body):
            reply = await call(app, "POST", "/predict", body=json.dumps(content).encode(), headers={"x-api-key": "k"})
            assert reply.status == 200, reply.body
        assert (await call(app, "GET", "/schema", headers={"x-api-key": "k"})).status == 200
        assert (await call(app, "GET", "/metrics", headers={"x-api-key": "k"})).status == 200

provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(spans := InMemorySpanExporter()))
trace.set_tracer_provider(provider)
asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])))
assert not spans.get_finished_spans(), "FastAPI made spans of its own"
print(json.dumps(sorted(name for name, module in sys.modules.items() if module is not None)))
"""


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "CREDITRISK_HOME": str(home), "CREDITRISK_SERVING_NOTICE": str(LENDER)}


def test_the_service_imports_nothing_heavy(published: Published) -> None:
    body = {
        "applications": [published.portfolio.application(FIRST_ID)],
        "histories": published.portfolio.histories(FIRST_ID),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCORE, str(published.home), str(FIRST_ID), json.dumps(body)],
        env=environment(published.home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & set(HEAVY)


@contextmanager
def serving(home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    """Run the command; give the process, its port, and what it said before it listened."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = f"from creditrisk_serving.cli import app; app(['serve', '--port', '{port}', *{options!r}])"
    with (
        tempfile.NamedTemporaryFile("w") as log,  # a pipe that nobody empties would stop the service when it is full
        subprocess.Popen([sys.executable, "-c", command], env=environment(home), stdout=log, stderr=log) as process,
    ):
        while "scoring API on" not in (said := Path(log.name).read_text()):
            assert process.poll() is None, said
            time.sleep(0.05)
        try:
            wait_until_answering(port)
            yield process, port, said
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def wait_until_answering(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            assert ask(port, "GET", "/health")[0] == 200
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def ask(port: int, method: str, path: str, key: str = "", body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"X-API-Key": key, "Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_serve_shows_a_key_once_and_loses_nothing_when_stopped_or_killed(published: Published) -> None:
    predict = json.dumps({"applicant_ids": [FIRST_ID]})
    with serving(published.home) as (process, port, said):
        (key,) = re.findall(r"crk_\S+", said)
        assert "127.0.0.1" in said
        assert ask(port, "GET", "/ready")[0] == 200
        assert ask(port, "POST", "/predict", "", predict)[0] == 401
        status, body = ask(port, "POST", "/predict", key, predict)
        assert status == 200
        decision = json.loads(body)["decisions"][0]["decision_id"]
    assert process.returncode in (0, -signal.SIGTERM)
    assert [key.id for key in read_keys(published.home / "keys" / "api_keys.json")] == ["development"]
    with serving(published.home) as (process, port, said):
        assert "crk_" not in said
        assert ask(port, "GET", f"/decisions/{decision}", key)[0] == 200
        answered = [json.loads(ask(port, "POST", "/predict", key, predict)[1]) for _ in range(5)]
        process.kill()
        process.wait()
    with serving(published.home) as (_, port, _said):
        assert all(
            ask(port, "GET", f"/decisions/{one['decisions'][0]['decision_id']}", key)[0] == 200 for one in answered
        )
    with sqlite3.connect(published.home / "decisions.db") as connection:
        stored = {row[0] for row in connection.execute("select decision_id from decisions")}
    connection.close()
    assert stored == {decision, *(answer["decisions"][0]["decision_id"] for answer in answered)}


def test_two_workers_put_their_metrics_together(published: Published) -> None:
    with serving(published.home, "--workers", "2") as (_, port, said):
        (key,) = re.findall(r"crk_\S+", said)
        for _ in range(12):
            assert ask(port, "POST", "/predict", key, json.dumps({"applicant_ids": [FIRST_ID]}))[0] == 200
        text = ask(port, "GET", "/metrics", key)[1].decode()
        assert "creditrisk_pd_count 12.0" in text
        assert f'model_version="{published.champion}"' in text
