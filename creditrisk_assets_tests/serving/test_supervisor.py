"""Workers that die are replaced at once, whatever they were doing."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.test_drills import workers
from creditrisk_assets_tests.serving.test_light import ask, serving, wait_until_answering

PATIENCE = 10  # seconds; a supervisor that waits for a dead worker's answer takes 30


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Keep a process from answering anything."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_worker_killed_while_it_is_asked_whether_it_lives_is_replaced_by_one_that_answers(
    published: Published,
) -> None:
    with serving(published.home, "--workers", "2") as (process, port, _said):
        wait_until_answering(port)
        killed, other = workers(process.pid)
        with stopped(killed):
            time.sleep(2)  # the supervisor asks every half second, and now waits for the answer
            os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while not (new := set(workers(process.pid)) - {killed, other}):
            assert time.monotonic() < deadline, "nobody noticed"
            time.sleep(0.1)
        with stopped(other):  # so that the new one must answer
            wait_until_answering(port)
        assert new <= set(workers(process.pid))
        assert ask(port, "GET", "/health")[0] == 200
