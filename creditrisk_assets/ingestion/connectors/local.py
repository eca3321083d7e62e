"""Files in a directory of this machine, a mounted file share too.

What belongs here: finding, describing and reading local files. What does not: copying them (`fetch`), what they hold (`reader`).
"""

import errno
import os
import stat as modes
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from creditrisk_assets.ingestion.connector import (
    ChangedError,
    FileStat,
    IngestionError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.disk import BLOCK_BYTES

_MAY_PASS = (
    errno.ESTALE,
    errno.EIO,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.ENOTCONN,
)  # a share that is away for a moment


class LocalConnector:
    """Reads below a directory.

    The version of a file is its size, its time of change and its inode, so that a file replaced by another of the same size and time
    (`cp -p`, `mv`) is another version.

    Parameters
    ----------
    directory
        Where the files are. A link in it is followed.
    copy_files
        Have files copied before they are read (for shares that may vanish); otherwise they are read where they are.
    """

    kind = "local"

    def __init__(self, directory: Path, *, copy_files: bool = False) -> None:
        self.directory = directory.expanduser()
        self.copy_files = copy_files

    def address(self, file: RemoteFile) -> str:
        """Name a file for people and logs."""
        return str(self._path(file))

    def find(self, names: Sequence[str]) -> str | None:
        """Return the first of these names that the directory holds, whatever its case.

        Raises
        ------
        SourceError, TransientError
            The directory cannot be read.
        """
        try:
            present = {entry.name.lower(): entry.name for entry in sorted(self.directory.iterdir())}
        except OSError as error:
            raise _refused(f"the source directory {self.directory}", error) from error
        return next((present[name.lower()] for name in names if name.lower() in present), None)

    def stat(self, file: RemoteFile) -> FileStat:
        """Describe a file without reading it.

        Raises
        ------
        MissingFileError
            There is no such file, or a link leads nowhere.
        SourceError, TransientError
            It is no regular file, or it cannot be read.
        """
        path = self._path(file)
        file.require_unpinned(str(path))
        try:
            found = path.stat()
            if modes.S_ISREG(found.st_mode):
                path.open("rb").close()
        except FileNotFoundError as error:
            what = "is a link that leads nowhere" if path.is_symlink() else "does not exist"
            raise MissingFileError(f"{path} {what}; check the source directory and the location") from error
        except OSError as error:
            raise _refused(path, error) from error
        if not modes.S_ISREG(found.st_mode):
            raise SourceError(f"{path} is {_word(found.st_mode)}, no file that can be read; check what it is")
        return _describe(found)

    def read(self, file: RemoteFile, stat: FileStat, offset: int) -> Iterator[bytes]:
        """Stream a file from a position.

        Raises
        ------
        ChangedError
            It is not the one that `stat` describes, or was written to while it was read.
        MissingFileError, SourceError, TransientError
        """
        path = self._path(file)
        self._require_unchanged(path, self.stat(file), stat)
        try:
            with path.open("rb", buffering=0) as stream:
                stream.seek(offset)
                while block := stream.read(BLOCK_BYTES):
                    yield block
                # of the file that was opened: one that was renamed over it meanwhile did not touch what was read
                self._require_unchanged(path, _describe(os.fstat(stream.fileno())), stat)
        except OSError as error:
            raise _refused(path, error) from error

    def in_place(self, file: RemoteFile) -> Path | None:
        """Return the file's path, unless files are to be copied."""
        return None if self.copy_files else self._path(file)

    def _path(self, file: RemoteFile) -> Path:
        return self.directory / file.path

    @staticmethod
    def _require_unchanged(path: Path, now: FileStat, stat: FileStat) -> None:
        if now.version != stat.version:
            raise ChangedError(f"{path} was changed while it was read")


def _describe(found: os.stat_result) -> FileStat:
    version = f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"
    return FileStat(version, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def _refused(what: object, error: OSError) -> IngestionError:
    if error.errno in _MAY_PASS:
        return TransientError(f"{what} cannot be read at the moment ({error.strerror})")
    return SourceError(f"{what} cannot be read ({error.strerror}); check the path and its permissions")


def _word(mode: int) -> str:
    kinds = {
        modes.S_ISDIR: "a directory",
        modes.S_ISFIFO: "a pipe",
        modes.S_ISSOCK: "a socket",
        modes.S_ISCHR: "a device",
        modes.S_ISBLK: "a device",
    }
    return next((word for is_kind, word in kinds.items() if is_kind(mode)), "something else")
