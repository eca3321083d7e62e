"""Fetching one file: resumed, retried, verified, and published whole or not at all.

What belongs here: everything that is the same for every connector. What does not: talking to a source (`connectors`), where fetched files
lie (`landing`), unpacking (`archives`).

Beside a target `bureau.csv` lie, while it is fetched, `bureau.csv.part` (its length is where a resumed fetch goes on), and always
`bureau.csv.fetch.json` (which version the part or the target is of) and `bureau.csv.lock`. The part of another version is never
continued: the record is written before its first byte and after the last byte of the part before it was deleted.
"""

import hashlib
import io
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from creditrisk_assets.ingestion.configuration import Checksum
from creditrisk_assets.ingestion.connector import (
    ChangedError,
    Connector,
    FileStat,
    IngestionError,
    RemoteFile,
    SourceError,
    TransientError,
    UnreachableError,
)
from creditrisk_assets.ingestion.disk import disk_errors, only_writer, publish, require_free_space, write_all
from creditrisk_assets.lake import write_atomically

Progress = Callable[[int, int | None], None]  # bytes done, of how many (None: the source does not say)
Answer = TypeVar("Answer")
_PAGES = (b"<!doctype html", b"<html", b"<?xml")  # an error page's first bytes; no table begins so


@dataclass(frozen=True)
class RetryPolicy:
    """How patient to be with a source.

    Parameters
    ----------
    attempts
        Failures in a row, without a byte gained between them, until it is given up.
    restarts
        How often a file that changes under the download is begun anew.
    first_seconds, longest_seconds
        Pause after the first failure, doubled after each further one up to the longest; each is drawn between half and all of it.
    longest_wait_seconds
        The most a source may ask to wait (Retry-After); if it asks for more, it is given up at once.
    """

    attempts: int = 6
    restarts: int = 3
    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    longest_wait_seconds: float = 300.0

    def pause_seconds(self, failures: int, asked_seconds: float | None) -> float:
        """Return how long to wait after so many failures in a row; never less than the source asked for."""
        pause = min(self.longest_seconds, self.first_seconds * 2.0 ** (failures - 1))
        return max(asked_seconds or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311 -- spreads load, guards nothing


PATIENT = RetryPolicy()


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched.

    Parameters
    ----------
    path
        Where it is.
    stat
        What it is: newer than the one asked for when the file changed while it was fetched.
    bytes
        Its size.
    downloaded_bytes
        What this call read of the source: less than the size when a part or all of it was here already.
    seconds
        How long that took.
    """

    path: Path
    stat: FileStat
    bytes: int
    downloaded_bytes: int
    seconds: float


def look(connector: Connector, file: RemoteFile, *, policy: RetryPolicy = PATIENT) -> FileStat:
    """Describe a file without downloading it, trying again when the source fails in a way that may pass.

    Raises
    ------
    IngestionError
        The file is missing, the source refuses, or it kept failing.
    """
    return _patiently(lambda: connector.stat(file), policy)


def locate(connector: Connector, names: Sequence[str], *, policy: RetryPolicy = PATIENT) -> str | None:
    """Return the first of these names that exists, as the source spells it, with the same patience.

    Raises
    ------
    IngestionError
        The source refuses, or it kept failing.
    """
    return _patiently(lambda: connector.find(names), policy)


def fetch(
    connector: Connector,
    file: RemoteFile,
    stat: FileStat,
    target: Path,
    *,
    checksum: Checksum | None = None,
    progress: Progress = lambda done, total: None,
    policy: RetryPolicy = PATIENT,
) -> Fetched:
    """Bring a file to this machine.

    A fetch that was killed at any byte is continued by the next one, unless the file has changed since. Nothing is readable at the target
    before all of it is there and verified. Two processes fetching the same target take turns, and the second finds it fetched.

    Parameters
    ----------
    connector, file, stat
        What to fetch, and the description of it that `look` gave.
    target
        Where to put it; the directory is made if need be.
    checksum
        Expected hash of the file as delivered.
    progress
        Called with bytes done and bytes in all after every block.
    policy
        How patient to be.

    Raises
    ------
    SourceError
        The source refuses, or hands over an error page instead of a table.
    IngestionError
        It kept failing or changing, the checksum differs (the message names expected and actual; what was fetched is deleted), or the disk
        is full (what was fetched is kept).
    """
    with only_writer(target):
        return _Download(connector, file, target, checksum, progress, policy).run(stat)


def verify(path: Path, expected: Checksum, what: str) -> None:
    """Compare a file's hash with the one declared.

    Raises
    ------
    IngestionError
        They differ; the message names both.
    """
    if (actual := _digest(path, expected)) != expected.digest:
        raise IngestionError(
            f"{what} has {expected.algorithm} {actual}, expected {expected.digest}; nothing was published. "
            "Fetch it again, or correct the checksum in the sources file if the change is meant"
        )


@dataclass
class _Patience:
    """Counts failures in a row, and waits between them."""

    policy: RetryPolicy
    failures: int = 0

    def spend(self, error: TransientError) -> None:
        self.failures += 1
        asked = error.retry_after_seconds
        if asked is not None and asked > self.policy.longest_wait_seconds:
            raise UnreachableError(
                f"{error}; it asks to wait {asked:.0f} s, more than the {self.policy.longest_wait_seconds:.0f} s that are waited; "
                "run again later"
            ) from error
        if self.failures >= self.policy.attempts:
            often = "1 attempt" if self.failures == 1 else f"{self.failures} attempts"
            raise UnreachableError(f"{error}; given up after {often}, run again later") from error
        time.sleep(self.policy.pause_seconds(self.failures, asked))


def _patiently(action: Callable[[], Answer], policy: RetryPolicy) -> Answer:
    patience = _Patience(policy)
    while True:
        try:
            return action()
        except TransientError as error:
            patience.spend(error)


@dataclass
class _Download:
    """One call of `fetch`, alone at its target."""

    connector: Connector
    file: RemoteFile
    target: Path
    checksum: Checksum | None
    progress: Progress
    policy: RetryPolicy
    downloaded: int = 0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.place = self.connector.address(self.file)
        self.part = self.target.with_name(f"{self.target.name}.part")
        self.record = self.target.with_name(f"{self.target.name}.fetch.json")

    def run(self, stat: FileStat) -> Fetched:
        if self._is_fetched(stat):
            return self._fetched(stat)
        restarts = 0
        while True:
            try:
                continued = self._prepare(stat)
                self._complete(stat)
                refuse_page(self.part, self.place)
                if self._is_right(continued):
                    return self._publish(stat)
            except ChangedError as error:
                restarts += 1
                if restarts > self.policy.restarts:
                    raise IngestionError(
                        f"{error}; it changed {restarts} times while it was fetched; run again when it is at rest"
                    ) from error
                self.part.unlink(missing_ok=True)
                stat = look(self.connector, self.file, policy=self.policy)

    def _is_fetched(self, stat: FileStat) -> bool:
        """Tell whether another process, or an earlier run, has put this version at the target already."""
        if self._recorded() != self._identity(stat, complete=True) or not self.target.is_file():
            return False
        if stat.size is not None and self.target.stat().st_size != stat.size:
            return False
        return self.checksum is None or _digest(self.target, self.checksum) == self.checksum.digest

    def _prepare(self, stat: FileStat) -> bool:
        """Keep what can be continued and delete what cannot; return whether there is something to continue."""
        begun = self._begun_bytes()
        plausible = begun and (stat.size is None or begun <= stat.size)
        if plausible and self._recorded() == self._identity(stat, complete=False):
            return True
        with self._disk():
            self.part.unlink(missing_ok=True)
            write_atomically(self.record, json.dumps(self._identity(stat, complete=False)))
        return False

    def _complete(self, stat: FileStat) -> None:
        """Read until the part is whole; a failure that may pass is forgiven when bytes were gained since the last one."""
        patience, furthest = _Patience(self.policy), self._begun_bytes()
        require_free_space(self.target.parent, (stat.size or 0) - furthest, f"fetching {self.place}")
        while True:
            try:
                self._read_on(stat)
                return
            except io.UnsupportedOperation:
                if not self._begun_bytes():
                    raise
                self.part.unlink()
            except TransientError as error:
                if (reached := self._begun_bytes()) > furthest:
                    patience.failures, furthest = 0, reached
                patience.spend(error)

    def _read_on(self, stat: FileStat) -> None:
        done = self._begun_bytes()
        self.progress(done, stat.size)
        if done and done == stat.size:
            return
        with self._disk():
            sink = self.part.open("ab", buffering=0)
        with sink:
            for block in self.connector.read(self.file, stat, done):
                done += len(block)
                if stat.size is not None and done > stat.size:
                    raise ChangedError(f"{self.place} is longer than the {stat.size} bytes the source named")
                with self._disk():
                    write_all(sink, block)
                self.downloaded += len(block)
                self.progress(done, stat.size)
        if stat.size is not None and done < stat.size:
            refuse_page(self.part, self.place)
            raise TransientError(f"{self.place} ended after {done} of {stat.size} bytes")

    def _is_right(self, continued: bool) -> bool:
        """Compare the checksum; a continued part that is wrong may have been damaged on this disk, so it is fetched whole once more."""
        if self.checksum is None:
            return True
        try:
            verify(self.part, self.checksum, self.place)
        except IngestionError:
            self.part.unlink()
            if continued:
                return False
            raise
        return True

    def _publish(self, stat: FileStat) -> Fetched:
        with self._disk():
            publish(self.part, self.target)
            write_atomically(self.record, json.dumps(self._identity(stat, complete=True)))
        return self._fetched(stat)

    def _fetched(self, stat: FileStat) -> Fetched:
        return Fetched(
            self.target, stat, self.target.stat().st_size, self.downloaded, round(time.monotonic() - self.started, 3)
        )

    def _disk(self) -> AbstractContextManager[None]:
        return disk_errors(self.part, f"fetching {self.place}", "what was fetched is kept and continued")

    def _begun_bytes(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _identity(self, stat: FileStat, *, complete: bool) -> dict[str, Any]:
        return {
            "address": self.place,
            "pin": self.file.pin,
            "version": stat.version,
            "size": stat.size,
            "complete": complete,
        }

    def _recorded(self) -> object:
        try:
            return json.loads(self.record.read_text("utf-8"))
        except (OSError, ValueError):
            return None


def refuse_page(path: Path, place: str) -> None:
    """Refuse a web page where a table is expected: what a proxy, a login or a failing store answers instead of a file.

    Raises
    ------
    SourceError
        The file begins as a page.
    """
    with path.open("rb") as stream:
        head = stream.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith(_PAGES):
        path.unlink()
        raise SourceError(
            f"{place} is a web page, not a table: an error or a login page; open the address and check path and credentials"
        )


def _digest(path: Path, checksum: Checksum) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, checksum.algorithm).hexdigest()
