"""Whether the process that a run runs in still lives.

What belongs here: the name of a process in a run's tags, and whether it is alive. What does not: what is done about a dead one (the run
launcher's health check, `running.close_dead_runs`).
"""

import os
import socket
from collections.abc import Mapping

import psutil

PROCESS_TAG = "creditrisk/process"


def own_tags() -> dict[str, str]:
    """Return the tag that names this process: machine, process id, and when it began."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"}


def is_dead(tags: Mapping[str, str]) -> bool:
    """Tell whether the process in a run's tags has ended; False where it cannot be known, as of a process of another machine."""
    if PROCESS_TAG not in tags:
        return False
    host, pid, began = tags[PROCESS_TAG].rsplit(":", 2) if tags[PROCESS_TAG].count(":") > 1 else ("", "0", "0")
    return host == socket.gethostname() and has_ended(int(pid), float(began))


def has_ended(pid: int, seen: float) -> bool:
    """Tell whether the process that bore an id at a time (seconds since 1970) has ended; a younger one only bears its id."""
    try:
        process = psutil.Process(pid)
        return process.create_time() > seen + 0.1 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
