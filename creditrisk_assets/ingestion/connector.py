"""The one protocol every connector speaks: look at a file without reading it, and stream it from a position.

What belongs here: the protocol, what `stat` answers, the errors connectors raise. What does not: any one connector (`connectors`),
resuming, retrying and verifying (`fetch`), which file belongs to which table (`sources`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


class IngestionError(RuntimeError):
    """A raw table cannot be read; the message names table, path, column or row and the remedy, never a value."""


class SourceError(IngestionError):
    """A source refuses or is not what was configured; trying again does not help. The message says what to change."""


class MissingFileError(SourceError):
    """The source was reached and does not hold the file."""


class TransientError(IngestionError):
    """A source failed in a way that may pass (reset, time-out, 429, 5xx); `fetch` and `look` try again.

    Parameters
    ----------
    message
        What failed, where.
    retry_after_seconds
        What the source asked to wait, if it said.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnreachableError(IngestionError):
    """A source kept failing in a way that may pass; it was given up for now."""


class ChangedError(IngestionError):
    """The file is no longer the one `stat` described; what was read of it so far is of no use."""


class MissingExtraError(SourceError):
    """A connector's optional library is not installed; the message names the extra."""


@dataclass(frozen=True)
class RemoteFile:
    """A file as a connector names it.

    Parameters
    ----------
    path
        Relative to what the connector is configured for (directory, base URL, prefix, competition, repository).
    pin
        One version of it, where the store keeps versions (S3 version id, Kaggle dataset version); None: the newest.

    Raises
    ------
    SourceError
        The path leads out of what the connector is configured for.
    """

    path: str
    pin: str | None = None

    def __post_init__(self) -> None:
        if not self.path or self.path.startswith("/") or ".." in self.path.replace("\\", "/").split("/"):
            raise SourceError(
                f"the location {self.path!r} is not a path below its source; write it without a leading / and without .."
            )

    def require_unpinned(self, address: str) -> None:
        """Refuse a pin where the store keeps no versions, since ignoring it would read another version than was asked for.

        Raises
        ------
        SourceError
            There is a pin.
        """
        if self.pin is not None:
            raise SourceError(f"{address}: this source keeps no versions of a file; remove its `pin`")


@dataclass(frozen=True)
class FileStat:
    """What a source says of a file without handing it over.

    Parameters
    ----------
    version
        A text that differs whenever the content may differ (ETag, version id, MD5, size with time).
    size
        Bytes; None when the source does not say.
    modified_at
        When it last changed, with time zone; None when the source does not say.
    """

    version: str
    size: int | None
    modified_at: datetime | None


class Connector(Protocol):
    """Where files come from."""

    kind: str

    def address(self, file: RemoteFile) -> str:
        """Name a file for people and logs, without credentials (`s3://bucket/prefix/bureau.csv`)."""

    def find(self, names: Sequence[str]) -> str | None:
        """Return the first of these names (compared without case where the store is listed) that exists, as the source spells it."""

    def stat(self, file: RemoteFile) -> FileStat:
        """Describe a file without downloading it.

        Raises
        ------
        MissingFileError, SourceError, TransientError
        """

    def read(self, file: RemoteFile, stat: FileStat, offset: int) -> Iterator[bytes]:
        """Stream a file from a position, in blocks of bounded size.

        A connector that cannot start in the middle raises `io.UnsupportedOperation` for an offset above 0.

        Raises
        ------
        ChangedError
            The file is not the one that `stat` describes.
        MissingFileError, SourceError, TransientError
        """

    def in_place(self, file: RemoteFile) -> Path | None:
        """Return the path of a file that is on this machine already and need not be copied."""
