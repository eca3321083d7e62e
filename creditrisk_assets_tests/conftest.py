"""What every test may use: a clean environment and one tiny portfolio."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from creditrisk_assets.simulation.portfolio import write_portfolio

LONG = {"integration", "parity", "ui"}
OURS = ("CREDITRISK_", "DAGSTER_HOME", "MLFLOW_")


def pytest_configure() -> None:
    """Run the tests as a newcomer would: no setting from outside."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that run the graph or a daemon: one that came last would be waited for by the other process."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path) -> Iterator[None]:
    """Write nothing outside the test's own directory, and leave no setting (a command sets some) to the next test."""
    before = dict(os.environ)
    os.environ["CREDITRISK_HOME"] = str(tmp_path / "home")
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def portfolio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the eight raw tables for about 1,200 labelled and 200 unlabelled applicants; read only."""
    directory = tmp_path_factory.mktemp("portfolio")
    write_portfolio(directory, scale=0.004, seed=7)
    return directory


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict], list[int]]]:
    """Receive alerts for real: the address, the messages so far, and the status to answer with."""
    received: list[dict] = []
    statuses = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/token-of-the-team", received, statuses
    server.shutdown()
    thread.join()
    server.server_close()
