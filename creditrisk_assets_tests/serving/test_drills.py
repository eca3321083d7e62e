"""Fault drills of the running service: `make drill`."""

import contextlib
import http.client
import json
import os
import re
import signal
import sqlite3
import threading
import time
from pathlib import Path

import psutil
import pytest

from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_assets_tests.serving.test_light import ask, serving

KILLS, SECONDS = 4, 240  # how often, and how long that may take: a worker that starts takes its time on a busy machine


def stored(home: Path) -> list[str]:
    with sqlite3.connect(home / "decisions.db", timeout=30) as connection:
        found = [row[0] for row in connection.execute("select decision_id from decisions")]
    connection.close()
    return found


def workers(server: int) -> list[int]:
    """Find the worker processes that live; one that was killed stays as a zombie until the server looks."""
    found = []
    for child in psutil.Process(server).children():
        with contextlib.suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


@pytest.mark.drill
def test_every_decision_answered_by_workers_that_are_killed_is_in_the_log_once(published: Published) -> None:
    answered: list[str] = []
    statuses: set[int] = set()
    over = threading.Event()
    body = json.dumps({"applicant_ids": [FIRST_ID]})

    def load(port: int, key: str) -> None:
        while not over.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):  # its worker was killed: no answer
                status, reply = ask(port, "POST", "/predict", key, body)
                statuses.add(status)
                if status == 200:
                    answered.append(json.loads(reply)["decisions"][0]["decision_id"])

    with serving(published.home, "--workers", "2") as (process, port, said):
        (key,) = re.findall(r"crk_\S+", said)
        threads = [threading.Thread(target=load, args=(port, key)) for _ in range(8)]
        for thread in threads:
            thread.start()
        deadline, killed = time.monotonic() + SECONDS, 0
        while killed < KILLS and time.monotonic() < deadline:
            time.sleep(5)
            alive = workers(process.pid)
            if len(alive) == 2:
                os.kill(alive[killed % 2], signal.SIGKILL)
                killed += 1
        over.set()
        for thread in threads:
            thread.join()
        assert killed == KILLS
        assert len(answered) > 100
        assert statuses <= {200, 503}  # a worker that has just started has no model yet
        assert ask(port, "GET", f"/decisions/{answered[-1]}", key)[0] == 200
    with serving(published.home) as (_, port, _said):
        until = time.monotonic() + 60
        while any(path.is_dir() and list(path.glob("*.log")) for path in (published.home / "journal").iterdir()):
            assert time.monotonic() < until
            time.sleep(0.1)
    found = stored(published.home)
    assert len(set(answered)) == len(answered)
    assert set(answered) <= set(found)
    assert len(set(found)) == len(found)
