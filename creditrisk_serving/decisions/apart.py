"""A process beside a worker that takes its decisions into the database, so that no request waits for Python's lock meanwhile.

What belongs here: starting it, what is said between the two, its end. What does not: what is taken when (`drain`), how (`database`).

It is started when there is something to take, ends with its worker, and may die at any time: what it was taking is taken by the next
one, and the database knows what was committed.
"""

import logging.config
import signal
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection, Pipe

import msgspec

from creditrisk_serving.decisions.database import FAILURES, Database, NotTakenError
from creditrisk_serving.observability import log_config, surprise

END_SECONDS = 10.0
_DECODER = msgspec.msgpack.Decoder(tuple[str, int, list[list[bytes]]])


class Apart:
    """Takes entries as `Database.take` does, in a process of its own.

    Parameters
    ----------
    url
        SQLAlchemy URL of the database. It may hold a password, so the process is told it through the pipe.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def take(self, writer: str, first: int, frames: Sequence[Sequence[bytes]]) -> None:
        """Take frames of a writer's journal that were not taken yet: all of them, or none.

        Raises
        ------
        NotTakenError
            They were not, or whether they were is not known; taking them again does no harm.
        """
        message = msgspec.msgpack.encode((writer, first, frames))
        try:
            try:
                problem = self._ask(message)
            except (OSError, EOFError):  # it was killed
                self.close()
                problem = self._ask(message)
        except (OSError, EOFError) as error:
            self.close()
            raise NotTakenError(
                f"the process that takes decisions into the database cannot be run ({type(error).__name__});"
                " check memory and limits of this machine"
            ) from error
        if problem:
            raise NotTakenError(problem)

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

    def _ask(self, message: bytes) -> str:
        pipe = self._opened()
        pipe.send_bytes(message)
        return pipe.recv_bytes().decode()

    def _opened(self) -> Connection:
        if self._pipe is None:
            self._pipe, theirs = Pipe()
            with theirs:
                command = [sys.executable, "-m", __name__, str(theirs.fileno())]
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])  # noqa: S603 # our own
            self._pipe.send_bytes(self._url.encode())
        return self._pipe


def serve(pipe: Connection) -> None:
    """Take what comes through a pipe until its other end is closed."""
    database = Database(pipe.recv_bytes().decode())
    while True:
        try:
            asked = pipe.recv_bytes()
        except EOFError:
            return
        pipe.send_bytes(_take(database, asked).encode())


def _take(database: Database, asked: bytes) -> str:
    """Take frames and say what stood in the way; nothing: they are committed."""
    try:
        database.take(*_DECODER.decode(asked))
    except FAILURES as error:
        return database.failed(error)
    except Exception as error:  # its words may hold an applicant's values
        return surprise(error)
    return ""


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
