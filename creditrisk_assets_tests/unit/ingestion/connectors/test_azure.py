"""What only Azure Blob can do, and every way it refuses."""

import gzip
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContentSettings
from pydantic import SecretStr

from creditrisk_assets.ingestion.configuration import AzureConnection
from creditrisk_assets.ingestion.connector import (
    ChangedError,
    MissingExtraError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.connectors import Credentials, connect
from creditrisk_assets.ingestion.connectors.azure import CHUNK_BYTES, AzureConnector
from creditrisk_assets_tests.unit.ingestion.connectors.counterpart_azure import (
    ACCOUNT,
    KEY,
    AzureCounterpart,
    connection_string,
)
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Counterpart
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer, FileServer, Served, serving

FILE = RemoteFile("bureau.csv")
CLOSE = {"Connection": "close"}  # the client keeps connections, and the server waits for them when it stops
LENDER = AzureConnection(kind="azure", container="lender")


@pytest.fixture
def azure(counterpart_of: Callable[[str], Counterpart]) -> AzureCounterpart:
    found = counterpart_of("azure")
    assert isinstance(found, AzureCounterpart)
    return found


@pytest.fixture
def store() -> Iterator[tuple[FileServer, AzureConnector]]:
    """Answer as a store would that no emulator plays: with any refusal."""
    with serving() as server:
        server.files[f"/{ACCOUNT}/lender/bureau.csv"] = Served(b"SK_ID_CURR\n1\n", headers=CLOSE)
        yield server, AzureConnector.from_connection(LENDER, SecretStr(connection_string(server.server_port)))


def refusal(code: str, status: int, **headers: str) -> Answer:
    return Answer(status, {"x-ms-error-code": code, **CLOSE, **headers})


def test_a_wrong_container_is_no_missing_file(azure: AzureCounterpart) -> None:
    azure.connection = azure.connection.model_copy(update={"container": "no-such-container"})
    connector = azure.connector()
    for action in (lambda: connector.stat(FILE), lambda: connector.find(["bureau.csv"])):
        with pytest.raises(SourceError, match=r"azure://no-such-container/feeds/.*check `container`") as refused:
            action()
        assert not isinstance(refused.value, MissingFileError)


def test_a_wrong_key_is_refused_and_not_shown(azure: AzureCounterpart) -> None:
    azure.put("bureau.csv", b"SK_ID_CURR\n")
    wrong = f"{'A' * 86}=="
    with pytest.raises(SourceError, match="the credentials are wrong") as refused:
        azure.connector(wrong).stat(FILE)
    assert wrong not in str(refused.value)


def test_what_is_no_connection_string_is_refused_and_not_shown() -> None:
    with pytest.raises(SourceError, match="CREDITRISK_AZURE_CONNECTION_STRING is no connection string") as refused:
        AzureConnector.from_connection(LENDER, SecretStr("AccountKey-of-the-lender"))
    assert "of-the-lender" not in str(refused.value)


@pytest.mark.parametrize("account_url", [None, "http://lender.blob.core.windows.net"])
def test_own_credentials_are_never_sent_without_encryption(account_url: str | None) -> None:
    with pytest.raises(SourceError, match=r"give `account_url`.*or set CREDITRISK_AZURE_CONNECTION_STRING"):
        AzureConnector.from_connection(LENDER.model_copy(update={"account_url": account_url}), None)


def test_a_signature_in_the_sources_file_is_refused_and_not_shown() -> None:
    url = "https://lender.blob.core.windows.net/?sv=2024-11-04&sig=abcdef"
    with pytest.raises(SourceError, match="holds a signature, which is a secret") as refused:
        AzureConnector.from_connection(LENDER.model_copy(update={"account_url": url}), None)
    assert "abcdef" not in str(refused.value)


def test_without_credentials_it_says_where_to_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")  # the chain's first link alone: no network
    url = "https://lender.blob.core.windows.net"
    connector = AzureConnector.from_connection(LENDER.model_copy(update={"account_url": url}), None)
    for action in (lambda: connector.stat(FILE), lambda: connector.find(["bureau.csv"])):
        with pytest.raises(SourceError, match="set CREDITRISK_AZURE_CONNECTION_STRING or sign in"):
            action()


def test_without_the_library_that_signs_in_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    connection = LENDER.model_copy(update={"account_url": "https://lender.blob.core.windows.net"})
    with pytest.raises(MissingExtraError, match=r"pip install 'creditrisk\[azure\]'"):
        connect(connection, Credentials(tmp_path))


def test_only_what_lies_directly_below_the_prefix_is_found(azure: AzureCounterpart) -> None:
    azure.put("2026-05/bureau.csv", b"SK_ID_CURR\n")
    assert azure.connector().find(["bureau.csv"]) is None
    assert azure.connector().stat(RemoteFile("2026-05/bureau.csv")).size == 11


def test_an_empty_blob_is_read(azure: AzureCounterpart) -> None:
    azure.put("bureau.csv", b"")
    connector = azure.connector()
    assert b"".join(connector.read(FILE, connector.stat(FILE), 0)) == b""


def test_a_blob_is_read_as_it_is_stored_whatever_its_content_encoding(azure: AzureCounterpart) -> None:
    packed = gzip.compress(b"SK_ID_CURR\n1\n")
    encoding = ContentSettings(content_encoding="gzip")
    azure.container.upload_blob("feeds/bureau.csv.gz", packed, content_settings=encoding)
    connector, file = azure.connector(), RemoteFile("bureau.csv.gz")
    assert b"".join(connector.read(file, connector.stat(file), 0)) == packed
    assert b"".join(connector.read(file, connector.stat(file), 5)) == packed[5:]


def test_a_blob_that_changes_between_two_ranges_is_not_mixed(azure: AzureCounterpart) -> None:
    azure.put("bureau.csv", b"a" * (2 * CHUNK_BYTES))
    connector = azure.connector()
    blocks = connector.read(FILE, connector.stat(FILE), 0)
    assert next(blocks) == b"a" * CHUNK_BYTES
    azure.put("bureau.csv", b"b" * (2 * CHUNK_BYTES))
    with pytest.raises(ChangedError, match=r"azure://.*/feeds/bureau\.csv was changed"):
        next(blocks)


def test_a_blob_that_became_shorter_was_changed(azure: AzureCounterpart) -> None:
    azure.put("bureau.csv", b"first and longer")
    connector = azure.connector()
    stat = connector.stat(FILE)
    azure.put("bureau.csv", b"second")
    with pytest.raises(ChangedError):
        list(connector.read(FILE, stat, 10))


def test_a_pin_that_the_store_ignores_is_refused(azure: AzureCounterpart) -> None:
    azure.put("bureau.csv", b"SK_ID_CURR\n")
    with pytest.raises(SourceError, match="keeps no versions; remove the `pin`"):
        azure.connector().stat(RemoteFile("bureau.csv", "2026-05-01T00:00:00.0000000Z"))


def test_a_pin_that_the_store_confirms_is_described(store: tuple[FileServer, AzureConnector]) -> None:
    server, connector = store
    pinned = RemoteFile("bureau.csv", "2026-05-01T00:00:00.0000000Z")
    path = f"/{ACCOUNT}/lender/bureau.csv"
    server.files[path] = Served(b"SK_ID_CURR\n", headers={**CLOSE, "x-ms-version-id": str(pinned.pin)})
    assert connector.stat(pinned).size == 11


def test_a_server_that_does_not_answer_as_azure_does_is_refused(store: tuple[FileServer, AzureConnector]) -> None:
    _, connector = store  # it knows `Range`, and not Azure's own `x-ms-range`
    with pytest.raises(SourceError, match="not Azure Blob's"):
        list(connector.read(FILE, connector.stat(FILE), 3))


@pytest.mark.parametrize(
    ("code", "status", "remedy"),
    [
        ("AuthenticationFailed", 403, "wrong or has expired, or the clock"),
        ("AuthorizationPermissionMismatch", 403, "Storage Blob Data Reader"),
        ("BlobArchived", 409, "archived; restore it"),
        ("NoAuthenticationInformation", 401, "no credentials were sent"),
        ("SomethingNew", 400, r"SomethingNew \(HTTP 400\): check"),
    ],
)
def test_a_refusal_says_what_to_do(
    store: tuple[FileServer, AzureConnector], code: str, status: int, remedy: str
) -> None:
    server, connector = store
    server.instead.append(refusal(code, status))
    with pytest.raises(SourceError, match=remedy) as refused:
        connector.stat(FILE)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_store_is_asked_once_and_waited_for_as_it_says(
    store: tuple[FileServer, AzureConnector], status: int
) -> None:
    server, connector = store
    server.instead.append(refusal("ServerBusy", status, **{"Retry-After": "7"}))
    with pytest.raises(TransientError, match="ServerBusy") as refused:
        connector.stat(FILE)
    assert refused.value.retry_after_seconds == 7
    assert len(server.asked) == 1


def test_a_store_that_is_not_there_may_come_back() -> None:
    with serving() as server:
        port = server.server_port
    connector = AzureConnector.from_connection(LENDER, SecretStr(connection_string(port)))
    with pytest.raises(TransientError, match=r"azure://lender/bureau\.csv"):
        connector.stat(FILE)
