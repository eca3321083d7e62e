"""Files below an http(s) address.

What belongs here: describing and reading by HEAD, ranged GET and validators, and what each status means. What does not: trying again,
resuming, verifying (`fetch`).
"""

import io
import re
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from creditrisk_assets.ingestion.connector import (
    ChangedError,
    FileStat,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.connectors.retry_after import retry_after_seconds

_HEAD_REFUSED = (403, 405, 501)  # servers, and addresses signed for GET, that answer no HEAD
_RANGE_REFUSED = 416
_MAY_PASS = (408, 425, 429)
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class HttpConnector:
    """Reads below a base address.

    The version of a file is its ETag or, where the server gives none, its time of change with its size. The server is asked for the bytes
    as they are, so a compressed file stays what its name says.

    Parameters
    ----------
    base_url
        Address that locations are relative to. A user and password in it are sent, and never shown.
    token
        Sent as a bearer token to the host of `base_url`, and to no other host that it redirects to. `Basic USER:PASSWORD` is sent as a
        login instead.
    timeout_seconds
        Longest silence of the server.

    Raises
    ------
    SourceError
        The address or the token cannot be used.
    """

    kind = "http"

    def __init__(self, base_url: str, token: SecretStr | None = None, *, timeout_seconds: float = 60.0) -> None:
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL:
            raise SourceError("the base_url of an http source is not a valid address; correct it") from None
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
            raise SourceError(
                "the base_url of an http source is http(s)://host/path without ? and #; give a token by CREDITRISK_HTTP_TOKENS"
            )
        self._base = url.copy_with(userinfo=b"")  # httpx logs the addresses it asks for
        headers = {"Accept-Encoding": "identity"}
        login = (url.username, url.password) if url.userinfo else _login(token)
        if token is not None and login is None:
            if not _TOKEN.fullmatch(token.get_secret_value()):
                raise SourceError("CREDITRISK_HTTP_TOKENS holds white space or signs no header can carry; set it anew")
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        timeout = httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, 10.0))
        self._client = httpx.Client(
            headers=headers, auth=login, timeout=timeout, follow_redirects=True, max_redirects=5
        )
        weakref.finalize(self, self._client.close)

    def address(self, file: RemoteFile) -> str:
        """Name a file for people and logs, without credentials."""
        return str(self._url(file))

    def find(self, names: Sequence[str]) -> str | None:
        """Return the first of these names that the server has, spelt exactly so: an address cannot be listed.

        Raises
        ------
        SourceError, TransientError
        """
        for name in names:
            try:
                self.stat(RemoteFile(name))
            except MissingFileError:
                continue
            return name
        return None

    def stat(self, file: RemoteFile) -> FileStat:
        """Describe a file without downloading it: by HEAD, or by its first byte where HEAD is not allowed.

        Raises
        ------
        MissingFileError, SourceError, TransientError
        """
        file.require_unpinned(self.address(file))
        with self._answer("HEAD", file, {}, also=_HEAD_REFUSED) as response:
            if response.is_success:
                return self._described(response, file)
        with self._answer("GET", file, {"Range": "bytes=0-0"}) as response:
            return self._described(response, file)

    def read(self, file: RemoteFile, stat: FileStat, offset: int) -> Iterator[bytes]:
        """Stream a file from a position.

        Raises
        ------
        io.UnsupportedOperation
            The server cannot start in the middle.
        ChangedError
            The file is not the one that `stat` describes.
        MissingFileError, SourceError, TransientError
        """
        headers = {"Range": f"bytes={offset}-", **_only_if_unchanged(stat)} if offset else {}
        with self._answer("GET", file, headers, also=(_RANGE_REFUSED,) if offset else ()) as response:
            start, size = _extent(response)
            same_version = _version(response, stat.size) in (None, stat.version)
            if not same_version or (size is not None and stat.size is not None and size != stat.size):
                raise ChangedError(f"{self.address(file)} was changed since it was looked at")
            if response.status_code == _RANGE_REFUSED:
                if size == offset:
                    return
                raise ChangedError(f"{self.address(file)} has no byte {offset} any more")
            if start != offset:
                raise io.UnsupportedOperation(f"{self.address(file)}: the server cannot start at byte {offset}")
            yield from response.iter_raw()  # as it arrives: gathering larger blocks would lose them to a reset

    def in_place(self, file: RemoteFile) -> None:
        """Return None: a file behind an address is never on this machine."""

    def _url(self, file: RemoteFile) -> httpx.URL:
        directory = self._base.raw_path.rstrip(b"/")
        return self._base.copy_with(raw_path=directory + b"/" + quote(file.path).encode())

    @contextmanager
    def _answer(
        self, method: str, file: RemoteFile, headers: dict[str, str], also: Sequence[int] = ()
    ) -> Iterator[httpx.Response]:
        """Ask, and let through what is an answer: success, or a status that the caller understands."""
        place = self.address(file)
        try:
            with self._client.stream(method, self._url(file), headers=headers) as response:
                if response.status_code not in also:
                    _refuse(response, file, place)
                yield response
        except httpx.TooManyRedirects:
            raise SourceError(f"{place} redirects in a circle; correct the address") from None
        except httpx.UnsupportedProtocol:
            raise SourceError(f"{place} redirects to something else than http(s); refused") from None
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise SourceError(
                    f"{place}: the server's certificate is not trusted; add its authority to the file named by SSL_CERT_FILE"
                ) from error
            raise TransientError(
                f"{place} cannot be read at the moment ({str(error) or type(error).__name__})"
            ) from error

    def _described(self, response: httpx.Response, file: RemoteFile) -> FileStat:
        _, size = _extent(response)
        if (version := _version(response, size)) is None:
            raise SourceError(
                f"{self.address(file)}: the server gives neither ETag nor Last-Modified, so a change could not be seen; "
                "have it send one, or fetch the files into a directory and use a local source"
            )
        return FileStat(version, size, _date(response.headers.get("Last-Modified")))


def _login(token: SecretStr | None) -> tuple[str, str] | None:
    """Return user and password of a login written in the place of a bearer token."""
    scheme, _, login = token.get_secret_value().partition(" ") if token is not None else ("", "", "")
    user, colon, password = login.partition(":")
    return (user, password) if scheme == "Basic" and colon else None


def _refuse(response: httpx.Response, file: RemoteFile, place: str) -> None:
    """Raise what an answer means, unless it is the file or a part of it."""
    status = response.status_code
    if response.is_success:
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise SourceError(
                f"{place} is a web page (text/html), not a table: an error or a login page; check path and credentials"
            )
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity" and not (encoding in ("gzip", "x-gzip") and file.path.lower().endswith(".gz")):
            raise SourceError(
                f"{place} is sent as {encoding}, though it was asked for as it is; switch compression off there"
            )
        return
    if status in (404, 410):
        raise MissingFileError(f"{place} does not exist (HTTP {status}); check base_url and location")
    if status in (401, 403):
        raise SourceError(
            f"{place}: access refused (HTTP {status}); set CREDITRISK_HTTP_TOKENS, or have its owner be granted the right to read"
        )
    if status in _MAY_PASS or status >= 500:
        raise TransientError(f"{place} answers HTTP {status}", retry_after_seconds(response.headers))
    raise SourceError(f"{place} answers HTTP {status}; check base_url and location")


def _extent(response: httpx.Response) -> tuple[int | None, int | None]:
    """Return at which byte an answer starts and the size of the whole file, as far as it says."""
    if found := _RANGE.fullmatch(response.headers.get("Content-Range", "").strip()):
        start, size = found.groups()
        return (None if start is None else int(start)), (None if size == "*" else int(size))
    if response.status_code in (206, _RANGE_REFUSED):
        return None, None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _version(response: httpx.Response, size: int | None) -> str | None:
    if etag := response.headers.get("ETag"):
        return str(etag)
    if modified := response.headers.get("Last-Modified"):
        return f"{modified}, {size} bytes"
    return None


def _only_if_unchanged(stat: FileStat) -> dict[str, str]:
    """Return the condition under which a part is of use; a weak ETag cannot be one (RFC 9110, 13.1.5) and is compared afterwards."""
    if stat.version.startswith("W/"):
        return {}
    return {"If-Range": stat.version if stat.version.startswith('"') else stat.version.rpartition(",")[0]}


def _date(value: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
