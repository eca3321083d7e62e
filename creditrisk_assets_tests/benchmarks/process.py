"""Measuring a process and its children: seconds, processor seconds, peak memory."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import psutil

SAMPLE_SECONDS = 0.2


@dataclass
class Cost:
    """What a process and its children came to."""

    seconds: float = 0.0
    processor_seconds: float = 0.0
    peak_memory_bytes: int = 0


def measured(module: str, *arguments: str) -> tuple[Cost, Any]:
    """Run a module in a process of its own; return its cost and what its last line says, as JSON."""
    cost, started = Cost(), time.perf_counter()
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, cost, done))
        watch.start()
        out, error = process.communicate()
        done.set()
        watch.join()
    if process.returncode:
        raise SystemExit(out + error)
    cost.seconds = time.perf_counter() - started
    return cost, json.loads(out.splitlines()[-1])


def _watch(pid: int, cost: Cost, done: threading.Event) -> None:
    """Add up a process and its children, a Java machine among them, until they end."""
    while not done.wait(SAMPLE_SECONDS):
        memory, processor = 0, 0.0
        try:
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                memory += each.memory_info().rss
                processor += sum(each.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
        cost.peak_memory_bytes = max(cost.peak_memory_bytes, memory)
        cost.processor_seconds = max(cost.processor_seconds, processor)
