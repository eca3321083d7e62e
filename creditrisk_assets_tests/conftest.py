"""What every test may use: a clean environment and one tiny portfolio."""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from alembic.util import pyfiles
from filelock import FileLock
from sqlalchemy import Engine, event

from creditrisk_assets.simulation.portfolio import write_portfolio

# What takes minutes. Of two processes one takes the first, the other the second: one makes the graph of `integration`, and the other, which
# needs none, asks for it only when it is made.
LONG = (
    "test_graph",
    "test_engines",
    "test_both_platforms",
    "test_ui",
    "test_alerts_with_daemon",
    "test_bad_input",
    "test_every_source",
    "test_subsets",
    "test_determinism",
)
FOLDERS = {"integration", "parity"}  # of the other files, these run the graph or Spark
# A session of minutes: code is compiled once, and quickly. The cache of compiled code is then of 48 MB, and a session that fills it hangs.
JAVA = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC"
OURS = ("CREDITRISK_", "DAGSTER_HOME", "MLFLOW_")


def pytest_configure() -> None:
    """Run the tests as a newcomer would: no setting from outside."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]
    os.environ["JAVA_TOOL_OPTIONS"] = JAVA
    pyfiles.load_module_py = _revisions_read_once(pyfiles.load_module_py)


def _revisions_read_once(load: Callable[[str, str], ModuleType]) -> Callable[[str, str], ModuleType]:
    """Keep what Dagster reads anew, some ninety files, whenever it opens one of its databases: a seventh of the smallest run."""
    kept = cache(load)
    return lambda name, path: (kept if Path(path).parent.name == "versions" else load)(name, str(path))


@event.listens_for(Engine, "connect")
def _do_not_wait_for_the_disk(connection: object, _record: object) -> None:
    """Leave out of SQLite what protects against a power cut alone: Dagster and MLflow commit thousands of times."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("pragma synchronous = off")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a directory that the first process of the session that asks fills, and the others wait for."""
    base = factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    finished = place.with_suffix(".finished")
    with FileLock(place.with_suffix(".lock")):
        if not finished.exists():
            place.mkdir()
            make(place)
            finished.touch()
    return place


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: a file of minutes that came last would be waited for by the other process."""
    items.sort(key=lambda item: (_place(item.path.stem), item.path.parent.name not in FOLDERS))


def _place(name: str) -> int:
    return LONG.index(name) if name in LONG else len(LONG)


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
    return made_once(tmp_path_factory, "portfolio", lambda place: write_portfolio(place, scale=0.004, seed=7))


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
