"""A real HTTP server of files, as good or as bad as a test asks: ranges, validators, counted bytes, and every way to fail."""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

BLOCK = 65_536


@dataclass(frozen=True)
class Served:
    """A file as it is served."""

    content: bytes | Path
    etag: str | None = '"v1"'
    modified: datetime | None = datetime(2026, 5, 1, 12, tzinfo=UTC)
    content_type: str = "text/csv"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)

    def blocks(self, start: int) -> Iterator[bytes]:
        if isinstance(self.content, bytes):
            for at in range(start, len(self.content), BLOCK):
                yield self.content[at : at + BLOCK]
            return
        with self.content.open("rb") as stream:
            stream.seek(start)
            while block := stream.read(1 << 20):
                yield block


@dataclass(frozen=True)
class Answer:
    """An answer given once instead of the file."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]


class FileServer(ThreadingHTTPServer):
    """Serves `files` by path; the other attributes may be set while it runs."""

    daemon_threads = False
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.authorization: str | None = None
        self.ranges = True
        self.head_status: int | None = None  # what HEAD is answered with instead
        self.instead: list[Answer] = []  # answers to the next requests
        self.cuts: list[int] = []  # after how many body bytes the next downloads end
        self.resets = False  # they end by a reset instead of an orderly end
        self.throttle_seconds = 0.0  # pause after each block
        self.clock_ahead = timedelta(0)
        self.before_block: Callable[[str, int], None] = lambda path, sent: None
        self.asked: list[Asked] = []
        self.bytes_served = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away: that is what the tests do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) + self.server.clock_ahead, usegmt=True)

    def log_message(self, *_: object) -> None:
        return

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(Asked(self.command, path, dict(self.headers)))
        if self.server.instead:
            self._say(self.server.instead.pop(0), with_body)
        elif self.server.authorization and self.headers.get("Authorization") != self.server.authorization:
            self._say(Answer(401), with_body)
        elif not with_body and self.server.head_status:
            self._say(Answer(self.server.head_status), with_body)
        elif (served := self.server.files.get(path)) is None:
            self._say(Answer(404), with_body)
        else:
            self._hand_over(path, served, with_body)

    def _say(self, answer: Answer, with_body: bool) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)

    def _hand_over(self, path: str, served: Served, with_body: bool) -> None:
        modified = format_datetime(served.modified, usegmt=True) if served.modified else None
        start, status, last = 0, 200, served.size - 1
        asked = self.headers.get("Range", "")
        if self.server.ranges and asked and self.headers.get("If-Range") in (None, served.etag, modified):
            first, _, until = asked.removeprefix("bytes=").partition("-")
            start, status = int(first), 206
            last = min(int(until), last) if until else last
            if start >= served.size:
                self._say(Answer(416, {"Content-Range": f"bytes */{served.size}"}), with_body)
                return
        self.send_response(status)
        headers = {
            "Content-Type": served.content_type,
            "Content-Length": str(last + 1 - start),
            **({"Accept-Ranges": "bytes"} if self.server.ranges else {}),
            **({"ETag": served.etag} if served.etag else {}),
            **({"Last-Modified": modified} if modified else {}),
            **({"Content-Range": f"bytes {start}-{last}/{served.size}"} if status == 206 else {}),
            **served.headers,
        }
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if with_body:
            self._send(path, served, start, last)

    def _send(self, path: str, served: Served, start: int, last: int) -> None:
        cut = self.server.cuts.pop(0) if self.server.cuts else None
        left, sent = last + 1 - start, 0
        for block in served.blocks(start):
            self.server.before_block(path, sent)
            part = block[: min(left, len(block), cut - sent if cut is not None else len(block))]
            left, sent = left - len(part), sent + len(part)
            self.server.bytes_served += len(part)
            self.wfile.write(part)
            if sent == cut:
                self._end()
                return
            if left <= 0:
                break
            if self.server.throttle_seconds:
                time.sleep(self.server.throttle_seconds)

    def _end(self) -> None:
        self.close_connection = True
        if self.server.resets:
            time.sleep(0.05)  # a reset takes with it what the other side has not read yet
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())


@contextmanager
def serving() -> Iterator[FileServer]:
    """Run a server until the block ends."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                server.shutdown()
            thread.join()
