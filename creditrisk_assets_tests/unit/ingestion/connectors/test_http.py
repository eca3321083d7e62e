"""HTTP: what each answer of a server, good or bad, becomes."""

import io
import logging
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from creditrisk_assets.ingestion.connector import (
    ChangedError,
    IngestionError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.connectors.http import HttpConnector
from creditrisk_assets.ingestion.fetch import Fetched, RetryPolicy, fetch, look
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer, FileServer, Served, serving

FILE = RemoteFile("bureau.csv")
PATH = "/feeds/bureau.csv"
CONTENT = b"SK_ID_CURR,SK_ID_BUREAU\n" + b"".join(b"%d,%d\n" % (n, n + 7) for n in range(300_000))  # 3.9 MB
OTHER = CONTENT.replace(b"7\n", b"9\n")
HASTY = RetryPolicy(attempts=3, first_seconds=0.02, longest_seconds=0.05)
TOKEN = "tok-52a1"


def connector(server: FileServer, token: str | None = None) -> HttpConnector:
    return HttpConnector(f"{server.url}/feeds/", SecretStr(token) if token else None, timeout_seconds=5)


def fetched(server: FileServer, target: Path) -> Fetched:
    http = connector(server)
    return fetch(http, FILE, look(http, FILE, policy=HASTY), target, policy=HASTY)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, SourceError, r"access refused \(HTTP 401\); set CREDITRISK_HTTP_TOKENS"),
        (403, SourceError, r"access refused \(HTTP 403\); set CREDITRISK_HTTP_TOKENS"),
        (404, MissingFileError, r"does not exist \(HTTP 404\); check base_url and location"),
        (410, MissingFileError, r"does not exist \(HTTP 410\)"),
        (400, SourceError, "answers HTTP 400; check base_url"),
        (408, TransientError, "answers HTTP 408"),
        (429, TransientError, "answers HTTP 429"),
        (500, TransientError, "answers HTTP 500"),
        (503, TransientError, "answers HTTP 503"),
    ],
)
def test_each_status_has_its_meaning(
    server: FileServer, status: int, error: type[IngestionError], message: str
) -> None:
    server.files[PATH] = Served(CONTENT)
    http = connector(server)
    stat = http.stat(FILE)
    server.instead = [Answer(status)]
    with pytest.raises(error, match=message) as raised:
        list(http.read(FILE, stat, 0))
    assert f"{server.url}{PATH}" in str(raised.value)


def test_a_server_that_recovers_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    server.files[PATH] = Served(CONTENT)
    server.instead = [Answer(500), Answer(502)]
    stat = look(connector(server), FILE, policy=HASTY)
    server.instead = [Answer(500), Answer(503)]
    assert fetch(connector(server), FILE, stat, tmp_path / "b", policy=HASTY).path.read_bytes() == CONTENT


def test_a_server_that_does_not_recover_is_given_up(server: FileServer) -> None:
    server.instead = [Answer(500)] * 3
    with pytest.raises(IngestionError, match="answers HTTP 500; given up after 3 attempts, run again later"):
        look(connector(server), FILE, policy=HASTY)


def test_the_wait_a_server_asks_for_is_kept(server: FileServer) -> None:
    server.files[PATH] = Served(CONTENT)
    server.instead = [Answer(429, {"Retry-After": "1"})]
    before = datetime.now(UTC)
    look(connector(server), FILE, policy=HASTY)
    assert datetime.now(UTC) - before >= timedelta(seconds=1)


def test_a_server_that_asks_to_come_back_much_later_is_given_up_at_once(server: FileServer) -> None:
    server.instead = [Answer(503, {"Retry-After": "7200"})]
    with pytest.raises(
        IngestionError, match="asks to wait 7200 s, more than the 300 s that are waited; run again later"
    ):
        look(connector(server), FILE, policy=HASTY)


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=5), timedelta(days=-400)])
def test_a_retry_date_is_read_by_the_clock_of_the_server(server: FileServer, ahead: timedelta) -> None:
    server.clock_ahead = ahead
    until = format_datetime(datetime.now(UTC) + ahead + timedelta(seconds=20), usegmt=True)
    server.instead = [Answer(429, {"Retry-After": until})]
    with pytest.raises(TransientError) as raised:
        connector(server).stat(FILE)
    assert raised.value.retry_after_seconds == pytest.approx(20, abs=2)


@pytest.mark.parametrize("asked", ["soon", "-5", "Thu, 99 Foo 2026", ""])
def test_a_wait_that_cannot_be_read_is_none(server: FileServer, asked: str) -> None:
    server.instead = [Answer(429, {"Retry-After": asked})]
    with pytest.raises(TransientError) as raised:
        connector(server).stat(FILE)
    assert raised.value.retry_after_seconds is None


def test_a_download_that_breaks_again_and_again_is_continued_while_it_gains(server: FileServer, tmp_path: Path) -> None:
    server.files[PATH] = Served(CONTENT)
    server.cuts = [1_000_000, 0, 900_000, 0, 800_000, 0, 0, 700_000]  # never three in a row without a byte
    result = fetch(
        connector(server), FILE, connector(server).stat(FILE), tmp_path / "b", policy=replace(HASTY, attempts=4)
    )
    assert result.path.read_bytes() == CONTENT
    assert server.bytes_served == len(CONTENT)


def test_a_file_that_changes_during_the_download_is_fetched_anew(server: FileServer, tmp_path: Path) -> None:
    server.files[PATH] = Served(CONTENT)
    server.cuts = [2_000_000]

    def change(path: str, sent: int) -> None:
        if sent > 1_000_000:
            server.files[PATH] = Served(OTHER, etag='"v2"')

    server.before_block = change
    result = fetched(server, tmp_path / "b")
    assert result.path.read_bytes() == OTHER
    assert result.stat.version == '"v2"'


def test_a_file_that_never_rests_is_given_up(server: FileServer, tmp_path: Path) -> None:
    revision = 0

    def change(path: str, sent: int) -> None:
        nonlocal revision
        revision += 1
        server.files[PATH] = Served(CONTENT, etag=f'"{revision}"')

    server.files[PATH] = Served(CONTENT)
    server.before_block = change
    server.cuts = [10_000] * 20
    with pytest.raises(IngestionError, match=r"changed 4 times while it was fetched; run again when it is at rest"):
        fetched(server, tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("etag", ['"strong"', 'W/"weak"', None])
def test_a_part_is_continued_by_whatever_tells_versions_apart(
    server: FileServer, tmp_path: Path, etag: str | None
) -> None:
    server.files[PATH] = Served(CONTENT, etag=etag)
    server.cuts = [3_000_000]
    assert fetched(server, tmp_path / "b").path.read_bytes() == CONTENT
    assert server.bytes_served == len(CONTENT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"etag": '"1"'}, {"etag": '"2"'}),
        ({"etag": 'W/"1"'}, {"etag": 'W/"2"'}),
        ({"etag": None}, {"etag": None, "modified": datetime(2026, 5, 2, tzinfo=UTC)}),
    ],
    ids=["strong", "weak", "modified"],
)
@pytest.mark.parametrize("offset", [0, 1_000_000])
def test_a_change_is_seen_by_whatever_tells_versions_apart(
    server: FileServer, before: dict, after: dict, offset: int
) -> None:
    server.files[PATH] = Served(CONTENT, **before)
    http = connector(server)
    stat = http.stat(FILE)
    server.files[PATH] = Served(OTHER, **after)
    with pytest.raises(ChangedError, match="was changed since it was looked at"):
        next(http.read(FILE, stat, offset))


def test_a_size_that_the_server_does_not_tell_is_no_change(server: FileServer, tmp_path: Path) -> None:
    server.files[PATH] = Served(CONTENT, etag=None)
    unknown = {"Last-Modified": format_datetime(datetime(2026, 5, 1, 12, tzinfo=UTC), usegmt=True)}
    server.instead = [Answer(200, {**unknown, "Content-Length": ""})]
    http = connector(server)
    stat = http.stat(FILE)
    assert stat.size is None
    server.cuts = [1_000_000]
    assert fetch(http, FILE, stat, tmp_path / "b", policy=HASTY).path.read_bytes() == CONTENT
    assert server.bytes_served == len(CONTENT)


def test_a_file_whose_changes_could_not_be_seen_is_refused(server: FileServer) -> None:
    server.files[PATH] = Served(CONTENT, etag=None, modified=None)
    with pytest.raises(SourceError, match="neither ETag nor Last-Modified, so a change could not be seen"):
        connector(server).stat(FILE)


def test_without_ranges_a_broken_download_starts_anew(server: FileServer, tmp_path: Path) -> None:
    server.files[PATH] = Served(CONTENT)
    server.ranges = False
    server.cuts = [3_000_000]
    assert fetched(server, tmp_path / "b").path.read_bytes() == CONTENT
    assert [asked.headers.get("Range") for asked in server.asked] == [None, None, "bytes=3000000-", None]


def test_without_ranges_a_download_that_always_breaks_at_the_same_place_ends(
    server: FileServer, tmp_path: Path
) -> None:
    server.files[PATH] = Served(CONTENT)
    server.ranges = False
    server.cuts = [3_000_000] * 100
    with pytest.raises(IngestionError, match="given up after 3 attempts"):
        fetched(server, tmp_path / "b")
    assert len(server.cuts) > 90


def test_a_range_that_starts_elsewhere_is_not_appended(server: FileServer) -> None:
    server.files[PATH] = Served(CONTENT)
    http = connector(server)
    stat = http.stat(FILE)
    server.instead = [Answer(206, {"Content-Range": f"bytes 0-9/{len(CONTENT)}", "ETag": '"v1"'}, CONTENT[:10])]
    with pytest.raises(io.UnsupportedOperation):
        next(http.read(FILE, stat, 1000))


def test_nothing_is_left_to_read_behind_the_last_byte(server: FileServer) -> None:
    server.files[PATH] = Served(CONTENT)
    http = connector(server)
    assert list(http.read(FILE, http.stat(FILE), len(CONTENT))) == []


def test_a_file_that_became_shorter_has_changed(server: FileServer) -> None:
    server.files[PATH] = Served(CONTENT)
    http = connector(server)
    stat = http.stat(FILE)
    server.files[PATH] = Served(b"short")
    with pytest.raises(ChangedError):
        list(http.read(FILE, stat, len(CONTENT) - 1))


def test_a_file_shorter_than_announced_is_never_published(server: FileServer, tmp_path: Path) -> None:
    server.files[PATH] = Served(CONTENT, headers={"Content-Length": str(len(CONTENT) + 5000)})
    server.cuts = [len(CONTENT)] * 20
    with pytest.raises(IngestionError, match=r"bureau\.csv"):
        fetched(server, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_page_instead_of_a_table_is_refused_by_its_type(server: FileServer) -> None:
    server.files[PATH] = Served(b"<p>Sign in", content_type="text/html; charset=utf-8")
    with pytest.raises(SourceError, match=r"is a web page \(text/html\), not a table"):
        connector(server).stat(FILE)


@pytest.mark.parametrize(
    "page", [b"\xef\xbb\xbf\n <!DOCTYPE html><title>Sign in", b"<HTML>", b"<?xml version='1.0'?><Error>"]
)
def test_a_page_that_poses_as_a_table_is_refused_by_its_first_bytes(
    server: FileServer, tmp_path: Path, page: bytes
) -> None:
    server.files[PATH] = Served(page)
    with pytest.raises(SourceError, match="is a web page, not a table: an error or a login page"):
        fetched(server, tmp_path / "b")
    assert not list(tmp_path.glob("b")) + list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("status", [403, 405, 501])
@pytest.mark.parametrize("ranges", [True, False])
def test_where_head_is_not_allowed_a_file_is_described_by_its_first_byte(
    server: FileServer, tmp_path: Path, status: int, ranges: bool
) -> None:
    server.files[PATH] = Served(CONTENT)
    server.head_status, server.ranges = status, ranges
    stat = connector(server).stat(FILE)
    assert (stat.version, stat.size) == ('"v1"', len(CONTENT))
    assert server.asked[-1].headers["Range"] == "bytes=0-0"
    assert fetched(server, tmp_path / "b").path.read_bytes() == CONTENT


def test_an_empty_file_is_fetched_as_such(server: FileServer, tmp_path: Path) -> None:
    server.files[PATH] = Served(b"")
    assert fetched(server, tmp_path / "b").path.read_bytes() == b""


def test_a_reset_connection_is_no_error(server: FileServer, tmp_path: Path) -> None:
    server.files[PATH] = Served(CONTENT)
    server.resets, server.cuts = True, [len(CONTENT) * 9 // 10]
    assert fetched(server, tmp_path / "b").path.read_bytes() == CONTENT


def test_what_a_server_knows_is_passed_on(server: FileServer) -> None:
    server.files[PATH] = Served(CONTENT, modified=datetime(2026, 4, 30, 23, 59, 1, tzinfo=UTC))
    stat = connector(server).stat(FILE)
    assert (stat.size, stat.modified_at) == (len(CONTENT), datetime(2026, 4, 30, 23, 59, 1, tzinfo=UTC))


def test_a_time_that_cannot_be_read_is_unknown(server: FileServer) -> None:
    server.files[PATH] = Served(CONTENT, modified=None, headers={"Last-Modified": "yesterday"})
    assert connector(server).stat(FILE).modified_at is None


def test_a_file_compressed_on_the_way_is_refused(server: FileServer) -> None:
    server.files[PATH] = Served(CONTENT, headers={"Content-Encoding": "gzip"})
    with pytest.raises(SourceError, match="is sent as gzip, though it was asked for as it is"):
        connector(server).stat(FILE)


def test_a_gz_file_declared_as_encoded_stays_packed(server: FileServer) -> None:
    server.files[f"{PATH}.gz"] = Served(b"\x1f\x8bpacked", headers={"Content-Encoding": "gzip"})
    http, packed = connector(server), RemoteFile("bureau.csv.gz")
    assert b"".join(http.read(packed, http.stat(packed), 0)) == b"\x1f\x8bpacked"


def test_names_are_quoted(server: FileServer) -> None:
    name = "mai 2026/bureau é?#%.csv"
    server.files[f"/feeds/{name}"] = Served(b"content")
    http = connector(server)
    assert b"".join(http.read(RemoteFile(name), http.stat(RemoteFile(name)), 0)) == b"content"


@pytest.mark.parametrize("path", ["../secrets.csv", "/etc/passwd", "a/../../b", "a\\..\\..\\b", ""])
def test_a_location_that_leads_out_of_its_source_is_refused(path: str) -> None:
    with pytest.raises(SourceError, match="is not a path below its source"):
        RemoteFile(path)


def test_a_pin_is_refused_where_no_versions_are_kept(server: FileServer) -> None:
    with pytest.raises(SourceError, match="keeps no versions of a file; remove its `pin`"):
        connector(server).stat(RemoteFile("bureau.csv", pin="3"))


# --- who is told what


@pytest.fixture
def elsewhere() -> Iterator[FileServer]:
    with serving() as running:
        yield running


def test_the_token_goes_to_the_configured_host_and_to_no_other(server: FileServer, elsewhere: FileServer) -> None:
    elsewhere.files["/moved.csv"] = Served(CONTENT)
    server.instead = [Answer(302, {"Location": f"{elsewhere.url}/moved.csv"})]
    assert connector(server, TOKEN).stat(FILE).size == len(CONTENT)
    assert [asked.headers.get("Authorization") for asked in server.asked] == [f"Bearer {TOKEN}"]
    assert [asked.headers.get("Authorization") for asked in elsewhere.asked] == [None]


def test_the_token_stays_with_a_redirect_on_the_same_host(server: FileServer) -> None:
    server.authorization = f"Bearer {TOKEN}"
    server.files["/moved.csv"] = Served(CONTENT)
    server.instead = [Answer(307, {"Location": "/moved.csv"})]
    assert connector(server, TOKEN).stat(FILE).size == len(CONTENT)


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/bureau.csv", "file:///etc/passwd"])
def test_a_redirect_to_another_protocol_is_refused(server: FileServer, location: str) -> None:
    server.instead = [Answer(302, {"Location": location})]
    with pytest.raises(SourceError, match=r"redirects to something else than http\(s\); refused"):
        connector(server).stat(FILE)


def test_a_redirect_in_a_circle_is_refused(server: FileServer) -> None:
    server.instead = [Answer(302, {"Location": PATH})] * 20
    with pytest.raises(SourceError, match="redirects in a circle"):
        connector(server).stat(FILE)


def test_a_password_in_the_address_is_sent_and_never_shown(
    server: FileServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    server.authorization = "Basic cmlzazpodW50ZXIy"  # risk:hunter2
    server.files[PATH] = Served(CONTENT)
    http = HttpConnector(f"{server.url.replace('//', '//risk:hunter2@')}/feeds")
    with caplog.at_level(logging.DEBUG):
        fetch(http, FILE, look(http, FILE), tmp_path / "b")
    with pytest.raises(MissingFileError) as raised:
        http.stat(RemoteFile("nothing.csv"))
    told = [caplog.text, str(raised.value), http.address(FILE), (tmp_path / "b.fetch.json").read_text()]
    assert http.address(FILE) == f"{server.url}{PATH}"
    assert "bureau.csv" in caplog.text
    assert not [text for text in told if "hunter2" in text or "risk:" in text]


def test_a_login_may_stand_in_the_place_of_a_token(server: FileServer) -> None:
    server.authorization = "Basic cmlzazpodW50ZXIgMg=="  # risk:hunter 2
    server.files[PATH] = Served(CONTENT)
    assert connector(server, "Basic risk:hunter 2").stat(FILE).size == len(CONTENT)


@pytest.mark.parametrize("token", ["two words", "Basic cmlzazp4", "line\nbreak", "münze", ""])
def test_a_token_no_header_can_carry_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(SourceError, match="CREDITRISK_HTTP_TOKENS holds white space or signs") as raised:
        HttpConnector("https://feeds.example", SecretStr(token))
    assert not token or token not in str(raised.value)


@pytest.mark.parametrize("url", ["ftp://host/x", "https://", "https://h/x?sig=s3cret", "https://h/#s3cret"])
def test_an_address_that_cannot_be_used_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SourceError, match="base_url of an http source") as raised:
        HttpConnector(url)
    assert "s3cret" not in str(raised.value)


# --- no server at all


def test_a_server_that_is_not_there_is_asked_again_and_then_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    http = HttpConnector(f"http://127.0.0.1:{port}")
    with pytest.raises(IngestionError, match=r"cannot be read at the moment \(.*refused\); given up after 3 attempts"):
        look(http, FILE, policy=HASTY)


def test_a_silent_server_is_given_up(server: FileServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        http = HttpConnector(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
        with pytest.raises(TransientError, match="cannot be read at the moment"):
            http.stat(FILE)


def test_a_certificate_nobody_vouches_for_is_refused_at_once(server: FileServer, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with pytest.raises(SourceError, match="the server's certificate is not trusted; add its authority"):
        HttpConnector(server.url.replace("http:", "https:")).stat(FILE)
