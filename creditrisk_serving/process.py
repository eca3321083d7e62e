"""The application as a server process of its own runs it.

What belongs here: what only a dedicated process may do. What does not: the application (`app`), the command that starts it (`cli`).
"""

import gc
import logging
import sys
from typing import Any

from fastapi import FastAPI

from creditrisk_serving.app import create_app

# A bundle is half a million objects that live long, and a request leaves no cycles: looking for some all the time is in vain.
OBJECTS_BEFORE_COLLECTION = 50_000
# How long a thread in the background, the drain above all, may keep a request waiting that has work to do; Python's 5 ms are many requests.
LOCK_SECONDS = 0.001


def create() -> FastAPI:
    """Build the application for a server process."""
    forget_pandas()
    sys.setswitchinterval(LOCK_SECONDS)
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, 20, 100)
    log_only_what_is_printed()
    return create_app(apart=True)


def log_only_what_is_printed() -> None:
    """Have the logging module leave out what the log's lines do not hold: threads, processes, places in the code."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # the documented way (logging HOWTO, "Optimization")


def forget_pandas() -> None:
    """Make pandas impossible to import: DuckDB would import it, where it is installed, to look at every bound value (160 MB)."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("pandas", None)
