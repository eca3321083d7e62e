"""A competition on a server that speaks what Kaggle's client asks."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from creditrisk_assets.ingestion.configuration import KaggleCompetitionConnection, KaggleDatasetConnection
from creditrisk_assets.ingestion.connectors.kaggle import KaggleConnector
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Failure
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer
from creditrisk_assets_tests.unit.ingestion.connectors.kaggle_server import TOKEN, KaggleServer, Place, serving_kaggle


class KaggleCounterpart:
    """A competition; the dataset's counterpart is one too, but for its connection."""

    seeks = True
    lists = True
    failures: frozenset[Failure] = frozenset({"reset", "unavailable"})
    secret = TOKEN

    def __init__(self, server: KaggleServer, name: str, home: Path) -> None:
        self.server = server
        self.name = name
        self.home = home
        self.server.places[name] = Place()

    def connection(self) -> KaggleCompetitionConnection | KaggleDatasetConnection:
        return KaggleCompetitionConnection(kind="kaggle_competition", competition=self.name, endpoint=self.server.url)

    def connector(self, **credentials: str) -> KaggleConnector:
        """Sign in as a deployment would, by the environment, on a machine without other credentials."""
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("HOME", str(self.home))
            for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
                environment.delenv(name, raising=False)
            for name, value in (credentials or {"KAGGLE_API_TOKEN": TOKEN}).items():
                environment.setenv(name, value)
            return KaggleConnector.from_connection(self.connection())

    def put(self, name: str, content: bytes) -> bytes:
        self.server.put(self.name, name, content)
        return content

    def delete(self, name: str) -> None:
        del self.server.places[self.name].files[name]

    def bytes_served(self) -> int:
        return self.server.bytes_served + self.server.storage.bytes_served

    def fail_next(self, failure: Failure, *, after_bytes: int = 0) -> None:
        if failure == "reset":
            self.server.storage.cuts.append(after_bytes)
        else:
            self.server.instead.append(Answer(503))


@contextmanager
def serve(directory: Path) -> Iterator[Callable[[], KaggleCounterpart]]:
    numbers = itertools.count()
    with serving_kaggle() as server:
        yield lambda: KaggleCounterpart(server, f"default-risk-{next(numbers)}", directory)
