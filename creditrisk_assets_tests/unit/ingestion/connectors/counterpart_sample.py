"""The built-in portfolio: it cannot be given content, so another seed is what another content is elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from creditrisk_assets.ingestion.configuration import SampleConnection
from creditrisk_assets.ingestion.connector import RemoteFile
from creditrisk_assets.ingestion.connectors.sample import SampleConnector
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Failure


class SampleCounterpart:
    seeks = True
    lists = True
    failures: frozenset[Failure] = frozenset()
    secret = None

    def __init__(self, root: Path) -> None:
        self.root = root
        self.drawn: dict[bytes, int] = {}
        self.seed = 1

    def connector(self) -> SampleConnector:
        return SampleConnector(SampleConnection(kind="sample", scale=0.001, seed=self.seed), self.root)

    def put(self, name: str, content: bytes) -> bytes:
        self.seed = self.drawn.setdefault(content, 1 + len(self.drawn))
        return self.connector().in_place(RemoteFile(name)).read_bytes()

    def delete(self, name: str) -> None:
        raise NotImplementedError

    def bytes_served(self) -> None:
        return None

    def fail_next(self, failure: Failure, *, after_bytes: int = 0) -> None:
        raise NotImplementedError


@contextmanager
def serve(directory: Path) -> Iterator[Callable[[], SampleCounterpart]]:
    yield lambda: SampleCounterpart(directory)  # portfolios are shared: the same seed is the same bytes
