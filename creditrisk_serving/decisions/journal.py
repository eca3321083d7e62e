"""The journal: what this process has decided and the database may not hold yet, in append-only files.

What belongs here: frames, segments, and the directory of one writer. What does not: what an entry means (`entries`), taking entries
into the database (`drain`), when an answer may leave (`log`).

A frame is the length and CRC-32 of its payload, the CRC-32 of both, and the payload, written by one call to the operating system, so
that a killed process loses nothing that it has answered. A payload is the entries of one request, each after its length: all of them
count, or none. A writer owns a directory, locked as long as its process lives; the segments in it are numbered by their first frame.
The directory of a dead writer is taken over by whoever gets its lock.
"""

import errno
import fcntl
import mmap
import os
import secrets
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from creditrisk_serving.observability import LOG

LENGTH, SUMS, HEADER = struct.Struct("<I"), struct.Struct("<II"), struct.Struct("<III")
SEGMENT_BYTES = 4 * 1024 * 1024
GATHER_SECONDS = 0.03  # writes gathered into one flush; with the flush itself, well within 50 ms on a healthy disk
PRIVATE = 0o700
SUFFIX = ".log"


class JournalError(RuntimeError):
    """The journal takes no entry; the message says why and what to do, and holds nothing of an entry."""


class NotFlushedError(JournalError):
    """The entries were written, and may or may not be on disk."""


class Frame(NamedTuple):
    """The entries of one request, and where the frame after it begins."""

    entries: list[bytes]
    end: int


@dataclass
class Segment:
    """One file of frames that is open; a segment deleted under its writer can still be read."""

    path: Path
    descriptor: int
    first: int  # number of its first frame
    size: int = 0
    flushed: bool = False  # nothing is written to it any more, and all of it was put on disk

    @classmethod
    def create(cls, directory: Path, first: int) -> "Segment":
        """Begin a segment, its name on disk."""
        path = directory / f"{first:016d}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        _sync_directory(directory)
        return cls(path, descriptor, first)

    @classmethod
    def read(cls, path: Path) -> "Segment":
        """Open a segment that is there."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return cls(path, descriptor, int(path.stem), os.fstat(descriptor).st_size)

    def frames(self, offset: int = 0) -> Iterator[Frame]:
        """Give the whole frames from an offset on, up to a tail that was not written to its end.

        Raises
        ------
        JournalError
            Something is damaged that no killed writer leaves behind.
        """
        while (rest := self.size - offset) >= HEADER.size:
            length, checksum, sums = HEADER.unpack(os.pread(self.descriptor, HEADER.size, offset))
            end = offset + HEADER.size + length
            if zlib.crc32(SUMS.pack(length, checksum)) != sums:
                if any(os.pread(self.descriptor, rest, offset)):
                    raise self._damaged(offset)
                return  # zeros: the power failed before the bytes came to the disk
            if end > self.size:
                return
            payload = os.pread(self.descriptor, length, offset + HEADER.size)
            if zlib.crc32(payload) != checksum:
                if end < self.size:
                    raise self._damaged(offset)
                return
            yield Frame(_entries(payload), end)
            offset = end

    def _damaged(self, offset: int) -> JournalError:
        return JournalError(f"{self.path.parent.name}/{self.path.name} is damaged at byte {offset}")

    def mentioning(self, text: bytes) -> Iterator[Frame]:
        """Give the frames that hold a text."""
        if not self.size:
            return
        with mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ) as content:
            if content.find(text) < 0:
                return
        with suppress(JournalError):
            yield from (frame for frame in self.frames() if any(text in entry for entry in frame.entries))

    def close(self) -> None:
        """Close the file; it stays."""
        os.close(self.descriptor)


class Journal:
    """The journal of one process: appended to by any thread.

    Parameters
    ----------
    root
        Where the writers' directories are.
    strict
        Whether an append returns only when its bytes are on disk; appends that wait share a flush.
    room
        Bytes that may wait to be taken into the database.
    """

    def __init__(self, root: Path, *, strict: bool, room: int) -> None:
        self.writer = f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}"
        self.frames = 0
        self.waiting = 0  # bytes
        self._root, self._directory = root, root / self.writer
        self._strict, self._room = strict, room
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._segments: deque[Segment] = deque()
        self._active: Segment | None = None
        self._owner: int | None = None  # the locked directory
        self._flushed, self._flush_failed = 0, 0  # numbers of frames
        self._flush_done = threading.Condition()
        self._dirty, self._stopped = threading.Event(), threading.Event()
        self._flusher = threading.Thread(target=self._flush_often, name="journal-flush", daemon=True)
        self._flusher.start()

    def append(self, entries: Sequence[bytes]) -> int:
        """Append the entries of one request and return the number of their frame.

        Raises
        ------
        JournalError
            They were not written, or, when strict, are not known to be on disk; no answer may rest on them.
        """
        payload = b"".join(part for entry in entries for part in (LENGTH.pack(len(entry)), entry))
        sums = SUMS.pack(len(payload), zlib.crc32(payload))
        frame = b"".join((sums, zlib.crc32(sums).to_bytes(4, "little"), payload))
        with self._lock:
            if self._stopped.is_set():
                raise JournalError("the decision log was closed")
            if self.waiting + len(frame) > self._room:
                raise JournalError(
                    f"the journal of decisions is full ({self._room} bytes wait for the database);"
                    " bring the database back, or raise CREDITRISK_SERVING_JOURNAL_BYTES"
                )
            try:
                self._write(frame)
            except OSError as error:
                raise JournalError(
                    f"the journal of decisions cannot be written ({error.strerror}); check disk and permissions of {self._root}"
                ) from error
            self.waiting += len(frame)
            self.frames = number = self.frames + 1
        if not self._dirty.is_set():
            self._dirty.set()
        if self._strict:
            self._wait_for_disk(number)
        return number

    def segments(self) -> list[Segment]:
        """Return the segments that may hold entries the database does not."""
        with self._lock:
            return list(self._segments)

    def taken(self, segment: Segment, bytes_taken: int, *, whole: bool) -> None:
        """Note what the database has committed, and remove a segment of which it has everything.

        Parameters
        ----------
        segment
            The oldest segment.
        bytes_taken
            How much of it was committed now.
        whole
            Whether that was the last of it, so that it is removed.
        """
        with self._flushing, self._lock:
            self.waiting -= bytes_taken
            if whole:
                self._segments.remove(segment)
                segment.close()
                segment.path.unlink(missing_ok=True)

    def problem(self) -> str | None:
        """Say why an append would fail, by writing beside the segments."""
        if self.waiting >= self._room:
            return (
                "the journal of decisions is full; bring the database back, or raise CREDITRISK_SERVING_JOURNAL_BYTES"
            )
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
            probe = self._root / f".probe-{self.writer}"
            probe.write_bytes(bytes(64 * 1024))
            probe.unlink()
        except OSError as error:
            return f"the decision log cannot be written ({error.strerror}); check disk and permissions of {self._root}"
        return None

    def room_left(self) -> float:
        """Return the share of the room that is free."""
        return max(0.0, 1 - self.waiting / self._room)

    def close(self) -> None:
        """Flush, and let go of the directory; it is removed if nothing waits in it."""
        with self._lock:
            self._stopped.set()
        self._dirty.set()
        self._flusher.join()
        self._flush()
        for segment in self._segments:
            segment.close()
            if not self.waiting:
                segment.path.unlink(missing_ok=True)
        self._segments.clear()
        if self._owner is not None:
            with suppress(OSError):
                self._directory.rmdir()
            os.close(self._owner)

    def _write(self, frame: bytes) -> None:
        segment = self._active
        if segment is None or segment.size >= SEGMENT_BYTES or not os.fstat(segment.descriptor).st_nlink:
            segment = self._rotate()
        try:
            if os.write(segment.descriptor, frame) != len(frame):
                os.ftruncate(segment.descriptor, segment.size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._active = None  # whatever its tail is now, nothing follows it
            if not segment.size:
                self._segments.remove(segment)
                segment.close()
            raise
        segment.size += len(frame)

    def _rotate(self) -> Segment:
        """Begin the next segment; a directory deleted under the service is made anew."""
        if self._active is not None and not os.fstat(self._active.descriptor).st_nlink:
            LOG.error("journal_deleted")
        if self._owner is None or not self._directory.is_dir():
            self._own_directory()
        self._active = Segment.create(self._directory, self.frames + 1)
        self._segments.append(self._active)
        return self._active

    def _own_directory(self) -> None:
        """Make this writer's directory, locked before others can see it."""
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None
        self._root.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
        hidden = self._root / f".{self.writer}"
        hidden.mkdir(mode=PRIVATE, exist_ok=True)
        self._owner = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        hidden.rename(self._directory)
        _sync_directory(self._root)

    def _flush_often(self) -> None:
        while not self._stopped.is_set():
            self._dirty.wait()
            if not self._strict:
                self._stopped.wait(GATHER_SECONDS)
            self._dirty.clear()
            self._flush()

    def _flush(self) -> None:
        """Put everything appended so far on disk."""
        failed = False
        with self._flushing:
            with self._lock:
                number = self.frames
                open_ones = [
                    (segment, segment is not self._active) for segment in self._segments if not segment.flushed
                ]
            for segment, complete in open_ones:
                try:
                    os.fdatasync(segment.descriptor)
                    segment.flushed = complete
                except OSError as error:
                    failed = True
                    LOG.error("journal_not_flushed", extra={"fields": {"reason": error.strerror}})
                    self._distrust(segment)
        with self._flush_done:
            if failed:
                self._flush_failed = number
            else:
                self._flushed = number
            self._flush_done.notify_all()

    def _distrust(self, segment: Segment) -> None:
        """Write nothing more to a segment whose pages may be lost, whatever a later flush says."""
        with self._lock:
            segment.flushed = True
            if self._active is segment:
                self._active = None

    def _wait_for_disk(self, number: int) -> None:
        with self._flush_done:
            self._flush_done.wait_for(lambda: self._flushed >= number or self._flush_failed >= number)
            if self._flush_failed >= number:
                raise NotFlushedError(
                    f"the journal of decisions cannot be put on disk; check the disk of {self._root} for errors"
                )


class Abandoned:
    """The directory of a writer that is gone, held by this process.

    Parameters
    ----------
    directory
        The directory.
    owner
        Descriptor that holds its lock.
    """

    def __init__(self, directory: Path, owner: int) -> None:
        self.writer = directory.name
        self._directory, self._owner = directory, owner

    def segments(self) -> list[Segment]:
        """Open its segments, oldest first."""
        return [Segment.read(path) for path in sorted(self._directory.glob(f"*{SUFFIX}"))]

    def remove(self, segment: Segment, *, damaged: bool = False) -> None:
        """Remove a segment the database holds; one that is damaged is kept under another name."""
        segment.close()
        if damaged:
            segment.path.rename(self._directory.parent / f"{self.writer}-{segment.path.stem}.damaged")
        else:
            segment.path.unlink()

    def truncate(self, segment: Segment, size: int) -> None:
        """Cut off a tail that was being written when the writer died, and say so."""
        LOG.warning("journal_tail_truncated", extra={"fields": {"writer": self.writer, "bytes": segment.size - size}})
        os.ftruncate(segment.descriptor, size)
        segment.size = size

    def close(self) -> None:
        """Remove the directory if it is empty, and let go of it."""
        with suppress(OSError):
            self._directory.rmdir()
        os.close(self._owner)


def abandoned(root: Path) -> Iterator[Abandoned]:
    """Take over the directories of writers that are gone, one after the other."""
    for directory in _directories(root):
        try:
            owner = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # its writer lives
            os.close(owner)
            continue
        yield Abandoned(directory, owner)


def mentioning(root: Path, text: bytes) -> Iterator[Frame]:
    """Give the frames of all writers below a root that hold a text, the living and the dead."""
    for directory in _directories(root):
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            try:
                segment = Segment.read(path)
            except FileNotFoundError:  # taken into the database meanwhile
                continue
            try:
                yield from segment.mentioning(text)
            finally:
                segment.close()


def damaged(root: Path) -> list[str]:
    """Name the segments that were set aside."""
    return sorted(path.name for path in root.glob("*.damaged"))


def _entries(payload: bytes) -> list[bytes]:
    found, place = [], 0
    while place < len(payload):
        (length,) = LENGTH.unpack_from(payload, place)
        place += LENGTH.size + length
        found.append(payload[place - length : place])
    return found


def _directories(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except FileNotFoundError:
        return []


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
