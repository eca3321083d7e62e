"""What one asset cost: seconds and the true peak of resident memory.

On Linux the kernel's own high-water mark is reset when the asset starts, so that a heavy asset does not lend its peak to the ones after
it in the same process. Elsewhere the resident size is sampled.
"""

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
SAMPLE_SECONDS = 0.02


@dataclass
class Usage:
    """Filled when the measured block ends."""

    seconds: float = 0.0
    peak_memory_bytes: int = 0


@contextmanager
def measured() -> Iterator[Usage]:
    """Measure the block: wall-clock seconds and peak resident memory of the process while it ran."""
    usage = Usage()
    _return_free_memory()
    started = time.perf_counter()
    with _kernel_peak(usage) if _reset_kernel_peak() else _sampled_peak(usage):
        yield usage
    usage.seconds = time.perf_counter() - started


def _return_free_memory() -> None:
    """Give back what earlier assets freed, so that it is not counted for this one."""
    gc.collect()
    gc.freeze()  # what lives between two assets (modules, Dagster's state) is no garbage: to look through it takes half a second each time
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def _reset_kernel_peak() -> bool:
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


@contextmanager
def _kernel_peak(usage: Usage) -> Iterator[None]:
    try:
        yield
    finally:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        usage.peak_memory_bytes = int(line.split()[1]) * 1024


@contextmanager
def _sampled_peak(usage: Usage) -> Iterator[None]:
    process, done = psutil.Process(), threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            usage.peak_memory_bytes = max(usage.peak_memory_bytes, process.memory_info().rss)

    usage.peak_memory_bytes = process.memory_info().rss
    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
