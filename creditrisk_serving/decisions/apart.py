"""A process beside a worker that takes its decisions into the database, so that no request waits for Python's lock meanwhile.

What belongs here: starting it, what is said between the two, its end. What does not: what is taken when (`drain`), what at once
(`taking`), how (`database`).

It is given open files, and reads the journal itself: a segment deleted under its worker can still be taken. It is started when there is
something to take, ends with its worker, and may die at any time: what it was taking is taken by the next one, and the database knows
what was committed.
"""

import logging.config
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import NamedTuple

import msgspec

from creditrisk_serving.decisions.database import FAILURES, Database, NotTakenError
from creditrisk_serving.decisions.journal import JournalError, Segment
from creditrisk_serving.decisions.taking import Taken, Within
from creditrisk_serving.observability import log_config, surprise

END_SECONDS = 10.0


class Asked(NamedTuple):
    """Which frames to take; the file itself follows the message."""

    writer: str
    path: str
    size: int
    begins: int  # number of the segment's first frame
    first: int
    offset: int


class Told(NamedTuple):
    """What was taken, or what stood in the way."""

    frames: int
    end: int
    problem: str = ""
    damaged: bool = False  # the problem is the journal's


_ASKED, _TOLD = msgspec.msgpack.Decoder(Asked), msgspec.msgpack.Decoder(Told)


class Apart:
    """Takes a journal into the database in a process of its own.

    Parameters
    ----------
    url
        SQLAlchemy URL of the database. It may hold a password, so the process is told it through the pipe.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def take(self, writer: str, segment: Segment, first: int, offset: int) -> Taken:
        """Take the next frames of a segment; see `taking.Taker`."""
        asked = Asked(writer, str(segment.path), segment.size, segment.first, first, offset)
        try:
            try:
                told = self._ask(asked, segment.descriptor)
            except (OSError, EOFError):  # it was killed
                self.close()
                told = self._ask(asked, segment.descriptor)
        except (OSError, EOFError) as error:
            self.close()
            raise NotTakenError(
                f"the process that takes decisions into the database cannot be run ({type(error).__name__});"
                " check memory and limits of this machine"
            ) from error
        if told.problem:
            raise (JournalError if told.damaged else NotTakenError)(told.problem)
        return Taken(told.frames, told.end)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:  # it waits for a database that does not answer
                self._process.kill()
                self._process.wait()
            self._process = None

    def _ask(self, asked: Asked, descriptor: int) -> Told:
        pipe = self._opened()
        pipe.send_bytes(msgspec.msgpack.encode(asked))
        send_handle(pipe, descriptor, None)
        return _TOLD.decode(pipe.recv_bytes())

    def _opened(self) -> Connection:
        if self._pipe is None:
            self._pipe, theirs = Pipe()
            with theirs:
                command = [sys.executable, "-m", __name__, str(theirs.fileno())]
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])  # noqa: S603 # our own
            self._pipe.send_bytes(self._url.encode())
        return self._pipe


def serve(pipe: Connection) -> None:
    """Take what is asked for through a pipe until its other end is closed."""
    database = Database(pipe.recv_bytes().decode())
    while True:
        try:
            asked = _ASKED.decode(pipe.recv_bytes())
            descriptor = recv_handle(pipe)
        except EOFError:
            return
        try:
            told = _take(database, asked, descriptor)
        finally:
            os.close(descriptor)
        pipe.send_bytes(msgspec.msgpack.encode(told))


def _take(database: Database, asked: Asked, descriptor: int) -> Told:
    """Take frames, or say what stood in the way; nothing: they are committed."""
    segment = Segment(Path(asked.path), descriptor, asked.begins, asked.size)
    try:
        return Told(*Within(database).take(asked.writer, segment, asked.first, asked.offset))
    except FAILURES as error:
        problem, damaged = database.failed(error), False
    except JournalError as error:
        problem, damaged = str(error), True
    except Exception as error:  # its words may hold an applicant's values
        problem, damaged = surprise(error), False
    return Told(0, asked.offset, problem, damaged)


def main() -> None:
    """Serve the worker that started this process."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # sent to a whole group; the worker says when there is nothing more to take
        signal.signal(number, signal.SIG_IGN)
    logging.config.dictConfig(log_config())
    with Connection(int(sys.argv[1])) as pipe:
        serve(pipe)


if __name__ == "__main__":
    main()
