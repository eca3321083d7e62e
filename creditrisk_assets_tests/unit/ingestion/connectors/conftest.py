"""Counterparts started once per session and emptied for each test."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import (
    MADE_ANEW,
    ON_THIS_MACHINE,
    Counterpart,
    kinds,
    serve,
)
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import FileServer, serving


@pytest.fixture(scope="session")
def counterpart_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Counterpart]]:
    """Return a function from a kind to an empty counterpart of it."""
    started: dict[str, Callable[[], Counterpart]] = {}
    with contextlib.ExitStack() as stack:

        def of(kind: str) -> Counterpart:
            if kind not in started:
                started[kind] = stack.enter_context(serve(kind, tmp_path_factory.mktemp(kind)))
            return started[kind]()

        yield of


@pytest.fixture(params=kinds())
def counterpart(request: pytest.FixtureRequest, counterpart_of: Callable[[str], Counterpart]) -> Counterpart:
    """Return an empty counterpart, one of each kind in turn."""
    return counterpart_of(request.param)


@pytest.fixture(params=kinds(but=ON_THIS_MACHINE))
def networked(request: pytest.FixtureRequest, counterpart_of: Callable[[str], Counterpart]) -> Counterpart:
    """Return an empty counterpart behind a connection, one of each kind in turn."""
    return counterpart_of(request.param)


@pytest.fixture(params=kinds(but=MADE_ANEW))
def deletable(request: pytest.FixtureRequest, counterpart_of: Callable[[str], Counterpart]) -> Counterpart:
    """Return an empty counterpart whose files can be deleted, one of each kind in turn."""
    return counterpart_of(request.param)


@pytest.fixture
def server() -> Iterator[FileServer]:
    """Run a web server that fails as told."""
    with serving() as running:
        yield running
