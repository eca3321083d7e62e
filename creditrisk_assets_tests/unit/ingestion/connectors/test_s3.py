"""What only S3 can do, and every way it refuses."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from creditrisk_assets.ingestion.configuration import S3Connection
from creditrisk_assets.ingestion.connector import (
    ChangedError,
    IngestionError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.connectors.s3 import S3Connector
from creditrisk_assets.resources.s3 import s3_client
from creditrisk_assets_tests.unit.ingestion.connectors.counterpart_s3 import KEY, SECRET, S3Counterpart, client_of
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Counterpart
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer, FileServer, Served, serving

FILE = RemoteFile("bureau.csv")
CLOSE = {"Connection": "close"}  # boto3 keeps connections, and the server waits for them when it stops


@pytest.fixture
def s3(counterpart_of: Callable[[str], Counterpart]) -> S3Counterpart:
    found = counterpart_of("s3")
    assert isinstance(found, S3Counterpart)
    return found


@pytest.fixture
def versioned(s3: S3Counterpart) -> S3Counterpart:
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    return s3


@pytest.fixture
def store() -> Iterator[tuple[FileServer, S3Connector]]:
    """Answer as a store would that no emulator plays: with any refusal."""
    with serving() as server:
        server.files["/lender/bureau.csv"] = Served(b"SK_ID_CURR\n1\n", headers=CLOSE)
        client = client_of(S3Connection(kind="s3", bucket="lender", endpoint_url=server.url, region="us-east-1"))
        yield server, S3Connector(client, "lender")


def refusal(code: str, status: int, **headers: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    return Answer(status, {"Content-Type": "application/xml", **CLOSE, **headers}, body)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be on a machine that has no AWS credentials of any kind."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("nobody")
def test_without_credentials_it_says_where_to_put_them(s3: S3Counterpart) -> None:
    connector = S3Connector(s3_client(s3.connection), s3.bucket)
    for action in (lambda: connector.stat(FILE), lambda: connector.find(["bureau.csv"])):
        with pytest.raises(SourceError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a `profile`"):
            action()


@pytest.mark.usefixtures("nobody")
def test_a_profile_that_does_not_exist_is_named(s3: S3Counterpart) -> None:
    with pytest.raises(SourceError, match=r"analysts.*check `profile`"):
        s3_client(s3.connection.model_copy(update={"profile": "analysts"}))


@pytest.mark.usefixtures("nobody")
def test_a_profile_is_signed_in_with(s3: S3Counterpart, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(f"[analysts]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    s3.put("bureau.csv", b"SK_ID_CURR\n")
    client = s3_client(s3.connection.model_copy(update={"profile": "analysts"}))
    assert S3Connector(client, s3.bucket, "feeds").stat(FILE).size == 11


def test_a_wrong_bucket_is_no_missing_file(s3: S3Counterpart) -> None:
    connector = S3Connector(client_of(s3.connection), "no-such-bucket")
    for action in (lambda: connector.stat(FILE), lambda: connector.find(["bureau.csv"])):
        with pytest.raises(SourceError, match=r"s3://no-such-bucket/.*check `bucket`") as refused:
            action()
        assert not isinstance(refused.value, MissingFileError)


def test_a_name_that_no_bucket_can_have_is_refused(s3: S3Counterpart) -> None:
    with pytest.raises(SourceError, match="not a valid bucket"):
        S3Connector(client_of(s3.connection), "no bucket").stat(FILE)


def test_only_what_lies_directly_below_the_prefix_is_found(s3: S3Counterpart) -> None:
    s3.put("2026-05/bureau.csv", b"SK_ID_CURR\n")
    assert s3.connector().find(["bureau.csv"]) is None
    assert s3.connector().stat(RemoteFile("2026-05/bureau.csv")).size == 11


def test_an_empty_object_is_read(s3: S3Counterpart) -> None:
    s3.put("bureau.csv", b"")
    connector = s3.connector()
    assert b"".join(connector.read(FILE, connector.stat(FILE), 0)) == b""


def test_the_version_is_the_version_id_where_the_bucket_keeps_versions(versioned: S3Counterpart) -> None:
    versioned.put("bureau.csv", b"first")
    kept = versioned.client.head_object(Bucket=versioned.bucket, Key="feeds/bureau.csv")["VersionId"]
    assert versioned.connector().stat(FILE).version == kept


def test_an_object_from_before_versioning_has_its_etag_as_version(s3: S3Counterpart) -> None:
    s3.put("bureau.csv", b"first")
    before = s3.connector().stat(FILE)
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    connector = s3.connector()
    assert connector.stat(FILE).version == before.version
    assert b"".join(connector.read(FILE, before, 1)) == b"irst"


def test_a_pin_reads_the_version_it_names(versioned: S3Counterpart) -> None:
    versioned.put("bureau.csv", b"first")
    connector = versioned.connector()
    pinned = RemoteFile("bureau.csv", connector.stat(FILE).version)
    versioned.put("bureau.csv", b"second and longer")
    stat = connector.stat(pinned)
    assert (stat.version, stat.size) == (pinned.pin, 5)
    assert b"".join(connector.read(pinned, stat, 2)) == b"rst"


def test_a_new_version_is_a_changed_file(versioned: S3Counterpart) -> None:
    versioned.put("bureau.csv", b"first")
    connector = versioned.connector()
    stat = connector.stat(FILE)
    versioned.put("bureau.csv", b"first")
    with pytest.raises(ChangedError):
        list(connector.read(FILE, stat, 0))


def test_a_pinned_version_that_was_deleted_is_missing(versioned: S3Counterpart) -> None:
    versioned.put("bureau.csv", b"first")
    pinned = RemoteFile("bureau.csv", versioned.connector().stat(FILE).version)
    stat = versioned.connector().stat(pinned)
    versioned.put("bureau.csv", b"second")
    versioned.client.delete_object(Bucket=versioned.bucket, Key="feeds/bureau.csv", VersionId=pinned.pin)
    for action in (
        lambda: versioned.connector().stat(pinned),
        lambda: list(versioned.connector().read(pinned, stat, 0)),
    ):
        with pytest.raises(MissingFileError, match="pin"):
            action()


def test_a_pin_to_a_deletion_is_missing(versioned: S3Counterpart) -> None:
    versioned.put("bureau.csv", b"first")
    marker = versioned.client.delete_object(Bucket=versioned.bucket, Key="feeds/bureau.csv")["VersionId"]
    with pytest.raises(MissingFileError, match="deletion"):
        versioned.connector().stat(RemoteFile("bureau.csv", marker))


def test_a_pin_that_the_store_ignores_is_refused(store: tuple[FileServer, S3Connector]) -> None:
    _, connector = store
    with pytest.raises(SourceError, match="keeps no versions; remove the `pin`"):
        connector.stat(RemoteFile("bureau.csv", "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"))


@pytest.mark.parametrize(
    ("code", "status", "remedy"),
    [
        ("AccessDenied", 403, "s3:GetObject and s3:ListBucket"),
        ("ExpiredToken", 400, "have expired; sign in again"),
        ("InvalidAccessKeyId", 403, "AWS_ACCESS_KEY_ID"),
        ("InvalidObjectState", 403, "archived; restore it"),
        ("RequestTimeTooSkewed", 403, "the clock of this machine is wrong"),
        ("SignatureDoesNotMatch", 403, "AWS_SECRET_ACCESS_KEY"),
        ("SomethingNew", 409, "SomethingNew .HTTP 409.*check the connection"),
    ],
)
def test_a_refusal_says_what_to_do(store: tuple[FileServer, S3Connector], code: str, status: int, remedy: str) -> None:
    server, connector = store
    stat = connector.stat(FILE)
    server.instead.append(refusal(code, status))
    with pytest.raises(SourceError, match=remedy):
        list(connector.read(FILE, stat, 0))


def test_the_reason_that_an_answer_to_head_cannot_give_is_asked_for(store: tuple[FileServer, S3Connector]) -> None:
    server, connector = store
    server.instead += [refusal("ExpiredToken", 403)] * 2
    with pytest.raises(SourceError, match="have expired"):
        connector.stat(FILE)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_store_is_asked_once_and_waited_for_as_it_says(
    store: tuple[FileServer, S3Connector], status: int
) -> None:
    server, connector = store
    server.instead.append(refusal("SlowDown", status, **{"Retry-After": "7"}))
    with pytest.raises(TransientError) as refused:
        connector.stat(FILE)
    assert refused.value.retry_after_seconds == 7
    assert len(server.asked) == 1


def test_a_store_that_cannot_start_in_the_middle_says_so(store: tuple[FileServer, S3Connector]) -> None:
    server, connector = store
    server.ranges = False
    with pytest.raises(io.UnsupportedOperation):
        list(connector.read(FILE, connector.stat(FILE), 3))


def test_a_store_that_is_not_there_may_come_back() -> None:
    with serving() as server:
        url = server.url
    connector = S3Connector(client_of(S3Connection(kind="s3", bucket="lender", endpoint_url=url)), "lender")
    with pytest.raises(TransientError, match=r"s3://lender/bureau\.csv"):
        connector.stat(FILE)


def test_a_cause_is_kept(store: tuple[FileServer, S3Connector]) -> None:
    server, connector = store
    server.instead += [refusal("AccessDenied", 403)] * 2
    with pytest.raises(IngestionError) as refused:
        connector.stat(FILE)
    assert isinstance(refused.value.__cause__, ClientError)
