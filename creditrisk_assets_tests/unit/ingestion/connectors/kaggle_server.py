"""A real HTTP server that speaks what Kaggle's official client asks: lists, downloads by redirect to a signed address, and refusals."""

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer, FileServer, Served, serving

TOKEN = "KGAT_a-token-of-the-tests"
LOGIN = ("analyst", "a-key-of-the-tests")
CREDENTIALS = {f"Bearer {TOKEN}", f"Basic {base64.b64encode(':'.join(LOGIN).encode()).decode()}"}
SIGNATURE = "X-Goog-Signature-4f8a"
PAGE_FILES = 2  # the service lists in pages; small ones here, so that the client turns them


@dataclass(frozen=True)
class Listed:
    """A file as it is listed, and where the storage has it."""

    name: str
    content: bytes
    created: datetime
    stored_at: str

    @property
    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "totalBytes": len(self.content),
            "creationDate": f"{self.created:%Y-%m-%dT%H:%M:%S.%f}0Z",
        }


@dataclass
class Place:
    """A competition, or one version of a dataset."""

    files: dict[str, Listed] = field(default_factory=dict)
    refused: tuple[int, str] | None = None


class KaggleServer(ThreadingHTTPServer):
    """Answers for `places`; files lie in `storage`, another server, as they do at Kaggle."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, storage: FileServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.storage = storage
        self.places: dict[str, Place] = {}
        self.instead: list[Answer] = []
        self.bytes_served = 0
        self.asked: list[str] = []
        self._revisions = count(1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(
        self, place: str, name: str, content: bytes, packed: Callable[[bytes], bytes] = lambda plain: plain
    ) -> None:
        """Make a place hold a file; `packed` is how it is delivered."""
        revision = next(self._revisions)
        stored_at = f"/{SIGNATURE}/{place}/{revision}/{name}"
        self.storage.files[stored_at] = Served(packed(content), etag=f'"{revision}"')
        created = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(milliseconds=revision)
        self.places.setdefault(place, Place()).files[name] = Listed(name, content, created, stored_at)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away: that is what the tests do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KaggleServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = self.path.rpartition("/")[2]
        self.server.asked.append(method)
        if self.server.instead:
            answer = self.server.instead.pop(0)
            self._say(answer.status, answer.body, dict(answer.headers))
        elif self.headers.get("Authorization") not in CREDENTIALS:
            self._refuse(401, "Unauthenticated")
        elif (place := self.server.places.get(_name(asked))) is None:
            self._refuse(404, "Not found")
        elif place.refused:
            self._refuse(*place.refused)
        elif self.path == "/v1/competitions.CompetitionApiService/ListDataFiles":
            self._list(place, asked, "files")
        elif self.path == "/v1/datasets.DatasetApiService/ListDatasetFiles":
            self._list(place, asked, "datasetFiles")
        elif self.path in (
            "/v1/competitions.CompetitionApiService/DownloadDataFile",
            "/v1/datasets.DatasetApiService/DownloadDataset",
        ):
            self._redirect(place, asked)
        else:
            self._refuse(404, f"no method {self.path}")

    def log_message(self, *_: object) -> None:
        return

    def _list(self, place: Place, asked: dict[str, Any], key: str) -> None:
        start = int(asked.get("pageToken", "0"))
        names = sorted(place.files)
        answer = {key: [place.files[name].as_json for name in names[start : start + PAGE_FILES]]}
        if start + PAGE_FILES < len(names):
            answer["nextPageToken"] = str(start + PAGE_FILES)
        self._say_json(200, answer)

    def _redirect(self, place: Place, asked: dict[str, Any]) -> None:
        if (listed := place.files.get(asked["fileName"])) is None:
            self._refuse(404, "Not found")
        else:
            self._say(302, b"", {"Location": f"{self.server.storage.url}{listed.stored_at}"})

    def _refuse(self, status: int, message: str) -> None:
        self._say_json(status, {"code": status, "message": message})

    def _say_json(self, status: int, content: dict[str, Any]) -> None:
        self._say(status, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"})

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.server.bytes_served += len(body)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _name(asked: dict[str, Any]) -> str:
    """Name the place that is asked for; a dataset's newest version has no number."""
    if "competitionName" in asked:
        return str(asked["competitionName"])
    version = f"@{asked['datasetVersionNumber']}" if "datasetVersionNumber" in asked else ""
    return f"{asked['ownerSlug']}/{asked['datasetSlug']}{version}"


@contextmanager
def serving_kaggle() -> Iterator[KaggleServer]:
    """Run the service and its storage until the block ends."""
    with serving() as storage, KaggleServer(storage) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                server.shutdown()
            thread.join()
