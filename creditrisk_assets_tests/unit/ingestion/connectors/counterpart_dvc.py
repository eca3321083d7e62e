"""A git repository with DVC in it, and a DVC remote in another directory."""

import itertools
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dvc.repo import Repo

from creditrisk_assets.ingestion.configuration import DvcConnection
from creditrisk_assets.ingestion.connectors.dvc import DvcConnector
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Failure


def git(repository: Path, *arguments: str) -> str:
    """Run git in a repository, whatever the tester's own configuration says."""
    who = ("-c", "user.name=Lender", "-c", "user.email=lender@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class DvcCounterpart:
    seeks = True
    lists = True
    failures: frozenset[Failure] = frozenset()
    secret = None

    def __init__(self, directory: Path) -> None:
        self.remote = directory / "remote"
        self.repository = directory / "repository"
        self.repository.mkdir(parents=True)
        git(self.repository, "init", "--quiet")
        with Repo.init(str(self.repository)) as repo, repo.config.edit() as config:
            config["core"] = {"remote": "store", "analytics": False}
            config["remote"] = {"store": {"url": str(self.remote)}}
        self._commit()

    def connection(self) -> DvcConnection:
        return DvcConnection(kind="dvc", repository=str(self.repository), directory="feeds")

    def connector(self) -> DvcConnector:
        return DvcConnector.from_connection(self.connection())

    def put(self, name: str, content: bytes) -> bytes:
        """Track a file and push it, and leave nothing of it but in the remote."""
        path = self.repository / "feeds" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with warnings.catch_warnings(), Repo(str(self.repository)) as repo:
            warnings.simplefilter("ignore", DeprecationWarning)  # dvc add uses what pygtrie is about to drop
            repo.add(str(path))
            repo.push()
        path.unlink()
        shutil.rmtree(self.repository / ".dvc" / "cache")
        self._commit()
        return content

    def delete(self, name: str) -> None:
        (self.repository / "feeds" / f"{name}.dvc").unlink()
        self._commit()

    def bytes_served(self) -> None:
        return None

    def fail_next(self, failure: Failure, *, after_bytes: int = 0) -> None:
        raise NotImplementedError

    def _commit(self) -> None:
        git(self.repository, "add", "--all")
        git(self.repository, "commit", "--quiet", "--message", "Another delivery")


@contextmanager
def serve(directory: Path) -> Iterator[Callable[[], DvcCounterpart]]:
    numbers = itertools.count()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DVC_SITE_CACHE_DIR", str(directory / "site"))
        yield lambda: DvcCounterpart(directory / str(next(numbers)))
