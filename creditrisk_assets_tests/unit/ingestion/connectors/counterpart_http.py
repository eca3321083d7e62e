"""A web server that asks for a bearer token."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from creditrisk_assets.ingestion.connectors.http import HttpConnector
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Failure
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer, FileServer, Served, serving

TOKEN = "tok-7f31c0ffee"


class HttpCounterpart:
    seeks = True
    lists = False
    failures: frozenset[Failure] = frozenset({"reset", "unavailable"})
    secret = TOKEN

    def __init__(self, server: FileServer, root: str) -> None:
        self.server = server
        self.root = root
        self.revisions = itertools.count(1)

    def connector(self) -> HttpConnector:
        return HttpConnector(f"{self.server.url}{self.root}", SecretStr(TOKEN))

    def put(self, name: str, content: bytes) -> bytes:
        self.server.files[f"{self.root}/{name}"] = Served(content, etag=f'"{next(self.revisions)}"')
        return content

    def delete(self, name: str) -> None:
        del self.server.files[f"{self.root}/{name}"]

    def bytes_served(self) -> int:
        return self.server.bytes_served

    def fail_next(self, failure: Failure, *, after_bytes: int = 0) -> None:
        if failure == "reset":
            self.server.cuts.append(after_bytes)
        else:
            self.server.instead.append(Answer(503))


@contextmanager
def serve(directory: Path) -> Iterator[Callable[[], HttpCounterpart]]:
    numbers = itertools.count()
    with serving() as server:
        server.resets = True
        server.authorization = f"Bearer {TOKEN}"
        yield lambda: HttpCounterpart(server, f"/{next(numbers)}")
