"""Files tracked by DVC in a repository, read from its cache or its remote by DVC's Python API.

What belongs here: opening the repository, describing and reading what it tracks, and what each refusal means. What does not: files that
only git holds, trying again, resuming, verifying (`fetch`).
"""

import atexit
import contextlib
import functools
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Self

import aiohttp
from dulwich.errors import NotGitRepository
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.repo.open_repo import clean_repos
from dvc.scm import GitAuthError, RevError, SCMError
from dvc_data.index import StorageKeyError
from dvc_objects.fs.errors import AuthError
from scmrepo.exceptions import CloneError

from creditrisk_assets.ingestion.configuration import DvcConnection
from creditrisk_assets.ingestion.connector import (
    ChangedError,
    FileStat,
    IngestionError,
    MissingExtraError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.connectors.retry_after import retry_after_seconds
from creditrisk_assets.ingestion.disk import BLOCK_BYTES

_MISSING = (404, 410)
_REFUSED = (401, 403)
_MAY_PASS = (408, 429)

atexit.register(
    clean_repos
)  # DVC keeps its clones of remote repositories in the directory for temporary files, and leaves them there


class DvcConnector:
    """Reads what a repository tracks. The version of a file is the hash DVC recorded, its pin a git revision.

    The repository is opened anew each time, so that a commit (or, without a revision, a change of the working tree) is seen.

    Parameters
    ----------
    repository
        Path or URL of the git repository.
    revision
        Branch, tag or commit; None: the working tree of a path, the default branch of a URL.
    remote
        Name of the DVC remote; None: the repository's default.
    directory
        Directory in the repository that files are named below.
    """

    kind = "dvc"

    def __init__(self, repository: str, revision: str | None, remote: str | None, directory: str) -> None:
        self._repository = repository
        self._revision = revision
        self._remote = remote
        self._directory = PurePosixPath(directory.strip("/"))
        self._shown = re.sub(r"//[^/@]*@", "//", repository)  # a token may stand in a URL

    @classmethod
    def from_connection(cls, connection: DvcConnection) -> Self:
        """Make the connector of a configured connection; the repository is not opened yet."""
        return cls(connection.repository, connection.revision, connection.remote, connection.directory)

    def address(self, file: RemoteFile) -> str:
        """Name a file for people and logs, without credentials."""
        return f"dvc://{self._shown}/{self._directory / file.path}"

    def find(self, names: Sequence[str]) -> str | None:
        """Return the first of these names that DVC tracks in the directory, whatever its case.

        Raises
        ------
        SourceError, TransientError
        """
        with self._refusals(f"dvc://{self._shown}"), self._tracked(None) as index:
            try:
                keys = list(index.ls(self._directory.parts, detail=False))
            except KeyError:
                keys = []
        present = {key[-1].lower(): key[-1] for key in keys}
        return next((present[name.lower()] for name in names if name.lower() in present), None)

    def stat(self, file: RemoteFile) -> FileStat:
        """Describe a file as DVC recorded it; when it changed is not recorded.

        Raises
        ------
        MissingFileError, SourceError, TransientError
        """
        with self._refusals(self.address(file)), self._tracked(file.pin) as index:
            entry = self._entry(index, file)
            return FileStat(_version(entry), entry.meta.size, None)

    def read(self, file: RemoteFile, stat: FileStat, offset: int) -> Iterator[bytes]:
        """Stream a file from a position.

        Raises
        ------
        io.UnsupportedOperation
            The remote cannot start in the middle.
        ChangedError
            The file is not the one that `stat` describes.
        MissingFileError, SourceError, TransientError
        """
        place = self.address(file)
        with self._refusals(place), self._tracked(file.pin) as index:
            entry = self._entry(index, file)
            if _version(entry) != stat.version:
                raise ChangedError(f"{place} was changed since it was looked at")
            with self._opened(index, entry, place) as stream:
                try:
                    stream.seek(offset)
                    block = stream.read(BLOCK_BYTES)
                except ValueError as error:
                    if not offset:
                        raise
                    raise io.UnsupportedOperation(f"{place}: the remote cannot start at byte {offset}") from error
                while block:
                    yield block
                    block = stream.read(BLOCK_BYTES)

    def in_place(self, file: RemoteFile) -> None:
        """Return None: the file of the working tree may not be the one that is tracked."""

    @contextlib.contextmanager
    def _tracked(self, pin: str | None) -> Iterator[Any]:
        """Open the repository; what it tracks is read anew."""
        _keep_tidy()
        with Repo.open(self._repository, rev=pin or self._revision, remote=self._remote) as repo:
            yield repo.index.data["repo"]

    def _entry(self, index: Any, file: RemoteFile) -> Any:
        place = self.address(file)
        try:
            found = index.info((self._directory / file.path).parts)
        except KeyError:
            raise MissingFileError(
                f"{place} is not tracked by DVC; check location and revision, or run dvc add, dvc push and git commit"
            ) from None
        if found["type"] != "file":
            raise SourceError(f"{place} is a directory; name a file in it")
        return found["entry"]

    @staticmethod
    def _opened(index: Any, entry: Any, place: str) -> Any:
        """Open a file's content from the cache of a repository on this machine or, where it is not there, from the remote."""
        with contextlib.suppress(StorageKeyError, ValueError):
            cache, path = index.storage_map.get_cache(entry)
            if cache.exists(path):
                return cache.open(path, "rb")
        try:
            remote, path = index.storage_map.get_remote(entry)
        except (StorageKeyError, ValueError):
            raise SourceError(
                f"{place}: the repository has no default remote; set `remote`, or run dvc remote add -d"
            ) from None
        return remote.open(path, "rb")

    @contextlib.contextmanager
    def _refusals(self, place: str) -> Iterator[None]:
        """Say in words what the repository, its remote, or the way to them refused inside the block; DVC's own texts may show a token."""
        try:
            yield
        except (IngestionError, io.UnsupportedOperation):
            raise
        except RevError:
            raise SourceError(f"{place}: there is no such git revision; check `revision` and `pin`") from None
        except GitAuthError:
            raise SourceError(f"{place}: git is refused; give this machine a key or token for the repository") from None
        except (NotDvcRepoError, SCMError) as error:
            if isinstance(error.__cause__, CloneError):
                shutil.rmtree(error.__cause__.path, ignore_errors=True)  # DVC leaves it, one at each attempt
            if isinstance(error, NotDvcRepoError) or _is_no_repository(error):
                raise SourceError(
                    f"{place}: this is no DVC repository; check `repository`, or run dvc init in it"
                ) from None
            raise TransientError(f"{place}: the repository cannot be fetched at the moment") from None
        except ImportError as error:
            raise MissingExtraError(f"{place}: {error}; install it with pip") from error
        except DvcException as error:
            raise SourceError(f"{place}: {error}") from error
        except Exception as error:  # a remote is read by one of a dozen libraries, with errors of its own
            raise _refusal(place, error) from error


@functools.cache
def _keep_tidy() -> None:
    """Have DVC's clones and indexes deleted when the process ends; it would leave them in the directories for temporary files."""
    if "DVC_SITE_CACHE_DIR" not in os.environ:
        os.environ["DVC_SITE_CACHE_DIR"] = directory = tempfile.mkdtemp("creditrisk-dvc")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(clean_repos)


def _is_no_repository(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, NotGitRepository) or _is_no_repository(error.__cause__))


def _version(entry: Any) -> str:
    return f"{entry.hash_info.name}:{entry.hash_info.value}"


def _refusal(place: str, error: BaseException) -> IngestionError:
    """Say in words what a remote refused."""
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, aiohttp.ClientError):
        error = error.__cause__  # fsspec says of every answer it did not expect that there is no file
    answer = error if isinstance(error, aiohttp.ClientResponseError) else None
    status = answer.status if answer else 0
    if isinstance(error, FileNotFoundError) or status in _MISSING:
        return MissingFileError(
            f"{place} is tracked, but its content is neither in the cache nor in the remote; check `remote`, or run dvc push"
        )
    if answer and (status in _MAY_PASS or status >= 500):
        return TransientError(f"{place}: the remote answers HTTP {status}", retry_after_seconds(answer.headers or {}))
    if isinstance(error, (PermissionError, AuthError)) or status in _REFUSED:
        return SourceError(f"{place}: the remote refuses access ({_words(error)}); check its credentials")
    if isinstance(error, (OSError, aiohttp.ClientError)) and not answer:
        return TransientError(f"{place} cannot be read at the moment ({_words(error)})")
    return SourceError(f"{place}: the remote cannot be read ({_words(error)}); check its address and credentials")


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status}"
    return f"{type(error).__name__}: {error}"
