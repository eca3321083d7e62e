"""The Dagster UI with its daemon, started by the command users start it with, and a real browser to look at it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph, graph

__all__ = ["graph"]  # the fixture
START_SECONDS = 300
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass(frozen=True)
class Ui:
    """A running UI."""

    url: str
    home: Path
    log: Path

    def query(self, text: str, **variables: Any) -> Mapping[str, Any]:
        """Ask the UI's GraphQL, as its pages do."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def look(self, page: str, picture: Path) -> str:
        """Open a page in a browser, keep a picture, return the page's text."""
        assert CHROMIUM
        common = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
            "--disable-component-update", "--disable-sync", f"--user-data-dir={picture.with_suffix('.profile')}",
            "--window-size=1600,1000", "--virtual-time-budget=30000",
        ]  # fmt: skip
        shot = [*common, f"--screenshot={picture}", "--dump-dom", f"{self.url}{page}"]
        seen = subprocess.run(shot, check=True, capture_output=True, timeout=120)
        return seen.stdout.decode()


@pytest.fixture(scope="module")
def ui(graph: Graph, tmp_path_factory: pytest.TempPathFactory, portfolio: Path) -> Iterator[Ui]:
    """Start `creditrisk ui`, as `make ui` does, on a home with a lake and a champion, of which this Dagster knows nothing yet."""
    home = tmp_path_factory.mktemp("ui") / "home"
    shutil.copytree(graph.settings.root, home, symlinks=True, ignore=shutil.ignore_patterns("dagster"))
    with started(home, portfolio) as running:
        yield running


@contextmanager
def started(home: Path, source: Path, **settings: str) -> Iterator[Ui]:
    """Start `creditrisk ui` on a home, as `make ui` does."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("CREDITRISK_", "DAGSTER_"))
    }
    environment |= {"CREDITRISK_HOME": str(home), **settings}
    remember_source(Settings(home=home), source)
    port, log = _free_port(), home.with_name("ui.log")
    command = [str(Path(sys.executable).with_name("creditrisk")), "ui", "--port", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink, start_new_session=True)
        try:
            running = Ui(f"http://127.0.0.1:{port}", home, log)
            _wait_until_up(running, process)
            yield running
        finally:
            _stop(process)


def _wait_until_up(ui: Ui, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, ui.log.read_text()
        try:
            with urllib.request.urlopen(f"{ui.url}/server_info", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1)
    raise AssertionError(f"the UI did not come up in {START_SECONDS} s:\n{ui.log.read_text()}")


def _stop(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
