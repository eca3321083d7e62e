"""What one running app is made of, and how endpoints reach it.

What belongs here: the container, the bounded thread pool. What does not: construction (`app`), any logic of requests.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from fastapi import Request

from creditrisk_serving.access import Caller, Throttle
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.errors import OverloadedError
from creditrisk_serving.observability import Metrics
from creditrisk_serving.scoring.champion import Follower
from creditrisk_serving.scoring.service import Scoring
from creditrisk_serving.settings import ServingSettings

P = ParamSpec("P")
T = TypeVar("T")


class Keys(Protocol):
    """Whatever knows API keys."""

    def caller(self, secret: str | None) -> Caller | None:
        """Find whose key this is."""


class Pool:
    """Threads for work that takes time, so that the event loop never waits; bounded, so that it cannot pile up.

    Parameters
    ----------
    threads
        How many run at once.
    waiting
        How many more may wait for one.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="scoring")
        self._places = threading.BoundedSemaphore(threads + waiting)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work on a thread.

        Raises
        ------
        OverloadedError
            All threads are busy and the queue is full.
        """
        if not self._places.acquire(blocking=False):
            raise OverloadedError("all scoring threads are busy and the queue is full; try again in a second")
        future = self._executor.submit(work, *args, **kwargs)
        # Released when the work ends, not when its caller stops waiting: a caller that hangs up does not make room.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finish what runs and take no more."""
        self._executor.shutdown(wait=True)


@dataclass(frozen=True)
class Service:
    """The parts of one running app."""

    settings: ServingSettings
    keys: Keys
    throttle: Throttle
    metrics: Metrics
    log: DecisionLog
    follower: Follower
    scoring: Scoring
    pool: Pool


def service_of(request: Request) -> Service:
    """Return the running app's parts."""
    service: Service = request.app.state.service
    return service
