"""The application as a server process of its own runs it.

What belongs here: what only a dedicated process may do. What does not: the application (`app`), the command that starts it (`cli`).
"""

import ctypes
import gc
import logging
import sys
from typing import Any

from fastapi import FastAPI

# A bundle is half a million objects that live long, and a request leaves no cycles: looking for some all the time is in vain.
OBJECTS_BEFORE_COLLECTION = 50_000
# How long a thread in the background, the drain above all, may keep a request waiting that has work to do; Python's 5 ms are many requests.
LOCK_SECONDS = 0.001
# glibc's mallopt, `man 3 mallopt`: its numbers of what is set.
MMAP_THRESHOLD, ARENA_MAX = -3, -8
MAPPED_BYTES = 256 * 1024


def create() -> FastAPI:
    """Build the application for a server process."""
    forget_pandas()
    forget_old_pydantic()
    give_memory_back()
    sys.setswitchinterval(LOCK_SECONDS)
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, 20, 100)
    log_only_what_is_printed()
    from creditrisk_serving.app import create_app  # noqa: PLC0415 # its imports come after what is forgotten

    return create_app(apart=True)


def log_only_what_is_printed() -> None:
    """Have the logging module leave out what the log's lines do not hold: threads, processes, places in the code."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # the documented way (logging HOWTO, "Optimization")


def give_memory_back() -> None:
    """Have glibc return what a large request took: it would keep a heap for each thread, and what lies between longer-lived objects."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(ARENA_MAX, 1)
        mallopt(MMAP_THRESHOLD, MAPPED_BYTES)


def forget_pandas() -> None:
    """Make pandas impossible to import: DuckDB would import it, where it is installed, to look at every bound value (160 MB)."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("pandas", None)


def forget_old_pydantic() -> None:
    """Make pydantic's first version impossible to import: FastAPI would import it to ask of every model whether it is one of its own."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("pydantic.v1", None)
