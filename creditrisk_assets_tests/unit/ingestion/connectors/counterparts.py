"""What a connector's real counterpart offers the tests that every connector must pass.

What belongs here: the protocol, finding the counterparts, the proxy that counts and cuts what they send. What does not: any one
counterpart (`counterpart_<kind>.py`), the claims (`test_every_connector.py`).

A connector joins the suite by a module `counterpart_<kind>.py` in this directory that defines

    @contextmanager
    def serve(directory: Path) -> Iterator[Callable[[], Counterpart]]

It is entered once per session (start the server here; `pytest.skip` with the command that installs it when it is not to be had) and yields
a function that is called for each test and returns an empty counterpart: a new bucket, container, directory, repository, competition.
"""

import contextlib
import importlib
import pkgutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, Protocol

from creditrisk_assets.ingestion.connector import Connector

Failure = Literal["reset", "unavailable"]
ON_THIS_MACHINE = ("dvc", "local", "sample")  # no connection to break
MADE_ANEW = ("sample",)  # nothing can be deleted


class Counterpart(Protocol):
    """A place a connector reads from, seen from its other side.

    Attributes
    ----------
    seeks
        The connector can start in the middle of a file.
    lists
        The store is listed, so that names are found whatever their case.
    failures
        What `fail_next` can do; empty where there is no connection to break (such kinds are listed in `ON_THIS_MACHINE`).
    secret
        A text of the credentials in use, which nothing printed may hold; None: there are none.
    """

    seeks: bool
    lists: bool
    failures: frozenset[Failure]
    secret: str | None

    def connector(self) -> Connector:
        """Return a new connector to this place."""

    def put(self, name: str, content: bytes) -> bytes:
        """Make a file hold this content, replacing what was there, and return what it holds (the sample draws its own)."""

    def delete(self, name: str) -> None:
        """Take a file away."""

    def bytes_served(self) -> int | None:
        """Count what was sent to connectors so far (headers may be counted too); None: it cannot be counted."""

    def fail_next(self, failure: Failure, *, after_bytes: int = 0) -> None:
        """Fail once: reset the connection after so many more bytes, or answer the next request with 503."""


def kinds(*, but: Sequence[str] = ()) -> list[str]:
    """List the counterparts there are, but for some."""
    prefix = "counterpart_"
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    found = sorted(module.name.removeprefix(prefix) for module in modules if module.name.startswith(prefix))
    return [kind for kind in found if kind not in but]


def serve(kind: str, directory: Path) -> AbstractContextManager[Callable[[], Counterpart]]:
    """Start what a kind needs; see the module's docstring."""
    return importlib.import_module(f"{__package__}.counterpart_{kind}").serve(directory)


class Proxy:
    """Forwards to a server on this machine, counts what the server sends, and cuts connections when told to.

    Parameters
    ----------
    port
        Where the server listens on the loopback interface.
    """

    failures: frozenset[Failure] = frozenset({"reset", "unavailable"})

    def __init__(self, port: int) -> None:
        self.target = port
        self.bytes_served = 0
        self._cut_at: int | None = None
        self._refusals = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """Where connectors reach the server through this proxy."""
        return int(self._listener.getsockname()[1])

    def fail_next(self, failure: Failure, *, after_bytes: int = 0) -> None:
        """Reset the connection after so many more bytes of the server, or answer the next connection with 503."""
        with self._lock:
            if failure == "reset":
                self._cut_at = self.bytes_served + after_bytes
            else:
                self._refusals += 1
                for end in self._open:  # a connection kept alive would carry the next request past the refusal
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Forward until the block ends."""
        accepting = threading.Thread(target=self._accept)
        accepting.start()
        try:
            yield self
        finally:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            with self._lock:
                for end in self._open:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in self._threads:
                thread.join()
            self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            refused = self._refusals > 0
            self._refusals -= refused
        with client, contextlib.suppress(OSError):
            if refused:
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                with self._lock:
                    self._open |= {client, server}
                try:
                    upward = threading.Thread(target=self._copy, args=(client, server))
                    upward.start()
                    self._count(server, client)
                    upward.join()
                finally:
                    with self._lock:
                        self._open -= {client, server}

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65_536):
                sink.sendall(block)
        for end, how in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                end.shutdown(how)

    def _count(self, server: socket.socket, client: socket.socket) -> None:
        """Pass on what the server sends; a cut is a real reset (RST), not an orderly end."""
        with contextlib.suppress(OSError):
            while block := server.recv(65_536):
                with self._lock:
                    cut = self._cut_at is not None and self.bytes_served + len(block) > self._cut_at
                    if cut:
                        block = block[: max(0, (self._cut_at or 0) - self.bytes_served)]
                        self._cut_at = None
                    self.bytes_served += len(block)
                client.sendall(block)
                if cut:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.shutdown(socket.SHUT_RD)
                    client.close()
                    break
        for end in (server, client):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
