"""Writing large files: enough space, one writer, and a full disk said in words.

What belongs here: what every writer of the ingestion needs of the file system. What does not: what is written (`fetch`, `archives`).
"""

import contextlib
import errno
import fcntl
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from creditrisk_assets.ingestion.connector import IngestionError

BLOCK_BYTES = 1 << 20  # the unit of copying: bounds the memory of a download
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def require_free_space(directory: Path, needed_bytes: int, purpose: str) -> None:
    """Refuse to start what cannot finish.

    Raises
    ------
    IngestionError
        Less than the needed space is free.
    """
    if (free := shutil.disk_usage(directory).free) < needed_bytes:
        raise IngestionError(
            f"{purpose} needs about {_size(needed_bytes)} below {directory}, {_size(free)} are free; "
            "free space or set CREDITRISK_HOME to a larger disk"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


@contextlib.contextmanager
def disk_errors(path: Path, purpose: str, remedy: str) -> Iterator[None]:
    """Turn what the file system refuses inside the block into an error for people; `remedy` says what happens to the work done.

    Raises
    ------
    IngestionError
        The disk is full, or the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise IngestionError(
                f"{purpose}: the disk of {path.parent} is full ({error.strerror}); free space or set CREDITRISK_HOME to a larger "
                f"disk, then run again; {remedy}"
            ) from error
        raise IngestionError(
            f"{purpose}: {path} cannot be written ({error.strerror or error}); check the directory and its permissions"
        ) from error


@contextlib.contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Wait until no other process makes a file, and keep others waiting; the lock dies with the process.

    Raises
    ------
    IngestionError
        The directory cannot be made or written to.
    """
    path = target.with_name(f"{target.name}.lock")
    with disk_errors(path, "making a file", "nothing was lost"):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_all(sink: io.FileIO, block: bytes) -> None:
    """Write all of a block, unbuffered: it is on its way to the disk whenever the process is killed."""
    rest = memoryview(block)
    while rest:
        rest = rest[sink.write(rest) :]


def publish(finished: Path, target: Path) -> None:
    """Put a finished file at its place so that a reader sees all of it or none, after a power cut too."""
    with finished.open("rb") as stream:
        os.fsync(stream.fileno())
    finished.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
