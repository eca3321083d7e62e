"""Fits by one thread, as a contest makes them: several threads that wait for one another on a busy machine take a hundred times as long."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield
