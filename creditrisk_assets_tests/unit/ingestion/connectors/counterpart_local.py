"""A directory of this machine."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from creditrisk_assets.ingestion.connectors.local import LocalConnector
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Failure


class LocalCounterpart:
    seeks = True
    lists = True
    failures: frozenset[Failure] = frozenset()
    secret = None

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.ticks = itertools.count(1_700_000_000)

    def connector(self) -> LocalConnector:
        return LocalConnector(self.directory, copy_files=True)

    def put(self, name: str, content: bytes) -> bytes:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        tick = next(self.ticks)
        os.utime(path, (tick, tick))
        return content

    def delete(self, name: str) -> None:
        (self.directory / name).unlink()

    def bytes_served(self) -> None:
        return None

    def fail_next(self, failure: Failure, *, after_bytes: int = 0) -> None:
        raise NotImplementedError


@contextmanager
def serve(directory: Path) -> Iterator[Callable[[], LocalCounterpart]]:
    numbers = itertools.count()
    yield lambda: LocalCounterpart(directory / str(next(numbers)))
