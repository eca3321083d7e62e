"""Blobs of an Azure storage container.

What belongs here: describing and reading blobs, and what each refusal means. What does not: trying again, resuming, verifying (`fetch`).
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Self

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobPrefix, BlobServiceClient, ContainerClient
from pydantic import SecretStr

from creditrisk_assets.ingestion.configuration import AzureConnection
from creditrisk_assets.ingestion.connector import (
    ChangedError,
    FileStat,
    IngestionError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.connectors.retry_after import retry_after_seconds

CHUNK_BYTES = 4 << 20  # Azure reads a blob in ranges: one request each, held in memory whole
_CLIENT: dict[str, Any] = {
    "retry_total": 0,  # `fetch` tries again, with its own patience
    "connection_timeout": 10,
    "read_timeout": 60,
    "max_single_get_size": CHUNK_BYTES,
    "max_chunk_get_size": CHUNK_BYTES,
}
_MAY_PASS = (408, 429)
_CHANGED = (412, 416)
_VARIABLE = "CREDITRISK_AZURE_CONNECTION_STRING"
_REMEDIES = {
    "AuthenticationFailed": f"the key or signature in {_VARIABLE} is wrong or has expired, or the clock of this machine is",
    "AuthorizationFailure": "the credentials are wrong, or may not read it from here; check them, the account's network rules and the "
    "role Storage Blob Data Reader",
    "AuthorizationPermissionMismatch": "the credentials may not read it; have them be granted Storage Blob Data Reader",
    "BlobArchived": "it is archived; restore it first",
    "ContainerNotFound": f"there is no such container; check `container`, and `account_url` or {_VARIABLE}",
    "NoAuthenticationInformation": f"no credentials were sent; set {_VARIABLE} or sign in (az login)",
    "PublicAccessNotPermitted": f"it is not public; set {_VARIABLE} or sign in (az login)",
}


class AzureConnector:
    """Reads below a prefix of a container. The version of a blob is its ETag, its pin a version id.

    Parameters
    ----------
    container
        Client of the container; it should not try again by itself, since `fetch` does.
    prefix
        Where in it the blobs are.
    """

    kind = "azure"

    def __init__(self, container: ContainerClient, prefix: str = "") -> None:
        self._container = container
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @classmethod
    def from_connection(cls, connection: AzureConnection, connection_string: SecretStr | None) -> Self:
        """Make the connector of a configured connection; nothing is asked of the store yet.

        Parameters
        ----------
        connection
            Where the blobs are.
        connection_string
            Of the account; None: `DefaultAzureCredential` (environment, workload identity, managed identity, `az login`).

        Raises
        ------
        SourceError
            The connection string is not one, or there is neither it nor an https account address without a signature.
        """
        if connection_string is not None:
            try:
                service = BlobServiceClient.from_connection_string(connection_string.get_secret_value(), **_CLIENT)
            except ValueError:
                raise SourceError(
                    f"{_VARIABLE} is no connection string; copy it anew from the account's access keys"
                ) from None
        else:
            service = BlobServiceClient(_account(connection), credential=_credential(), **_CLIENT)
        return cls(service.get_container_client(connection.container), connection.prefix)

    def address(self, file: RemoteFile) -> str:
        """Name a blob for people and logs, without credentials."""
        return self._place(file.path)

    def find(self, names: Sequence[str]) -> str | None:
        """Return the first of these names that lies directly below the prefix, whatever its case.

        Raises
        ------
        SourceError, TransientError
        """
        with _refusals(self._place("")):
            blobs = self._container.walk_blobs(name_starts_with=self._prefix, delimiter="/")
            found = [blob.name.removeprefix(self._prefix) for blob in blobs if not isinstance(blob, BlobPrefix)]
        present = {name.lower(): name for name in found}
        return next((present[name.lower()] for name in names if name.lower() in present), None)

    def stat(self, file: RemoteFile) -> FileStat:
        """Describe a blob without downloading it.

        Raises
        ------
        MissingFileError, SourceError, TransientError
        """
        with _refusals(self.address(file)):
            found = self._blob(file).get_blob_properties(**_version(file))
        if file.pin not in (None, found.version_id):  # it was ignored
            raise SourceError(f"{self.address(file)}: this account keeps no versions; remove the `pin`")
        return FileStat(found.etag, found.size, found.last_modified)

    def read(self, file: RemoteFile, stat: FileStat, offset: int) -> Iterator[bytes]:
        """Stream a blob from a position.

        Raises
        ------
        ChangedError
            The blob is not the one that `stat` describes.
        MissingFileError, SourceError, TransientError
        """
        with _refusals(self.address(file)):
            yield from (
                self._blob(file)
                .download_blob(
                    offset=offset or None,  # an empty blob has no byte 0
                    etag=stat.version,
                    match_condition=MatchConditions.IfNotModified,
                    decompress=False,
                    **_version(file),
                )
                .chunks()
            )

    def in_place(self, file: RemoteFile) -> None:
        """Return None: a blob is never on this machine."""

    def _blob(self, file: RemoteFile) -> Any:
        return self._container.get_blob_client(f"{self._prefix}{file.path}")

    def _place(self, path: str) -> str:
        return f"azure://{self._container.container_name}/{self._prefix}{path}"


def _version(file: RemoteFile) -> dict[str, str]:
    return {} if file.pin is None else {"version_id": file.pin}


def _account(connection: AzureConnection) -> str:
    url = connection.account_url or ""
    if not url.startswith("https://"):
        raise SourceError(
            f"azure://{connection.container}: give `account_url` (https://ACCOUNT.blob.core.windows.net) or set {_VARIABLE}; "
            "Azure's own credentials are sent by https only"
        )
    if "?" in url:
        raise SourceError(
            f"azure://{connection.container}: `account_url` holds a signature, which is a secret; set {_VARIABLE} to "
            "BlobEndpoint=…;SharedAccessSignature=… instead"
        )
    return url


def _credential() -> Any:
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 -- slow, and not needed with a connection string

    return DefaultAzureCredential()


@contextlib.contextmanager
def _refusals(place: str) -> Iterator[None]:
    """Say in words what the store, or the way to it, refused inside the block."""
    try:
        yield
    except ResourceNotFoundError as error:
        if (code := _code(error)) == "ContainerNotFound":
            raise _refusal(place, error) from error
        raise MissingFileError(f"{place} does not exist ({code}); check prefix, location and pin") from error
    except HttpResponseError as error:
        raise _refusal(place, error) from error
    except AzureError as error:
        raise TransientError(f"{place} cannot be read at the moment ({error.message})") from error
    except ValueError as error:
        raise SourceError(
            f"{place}: the answer is not Azure Blob's ({error}); check `account_url` and proxies"
        ) from error


def _refusal(place: str, error: HttpResponseError) -> IngestionError:
    status, code = error.status_code, _code(error)
    if isinstance(error, ClientAuthenticationError) and status is None:
        return SourceError(f"{place}: no Azure credentials were found; set {_VARIABLE} or sign in (az login)")
    if status in _CHANGED:
        return ChangedError(f"{place} was changed since it was looked at")
    if status is None or status < 400:  # the answer began well and was cut off
        return TransientError(f"{place} cannot be read at the moment ({error.message})")
    if status in _MAY_PASS or status >= 500:
        headers: Any = getattr(error.response, "headers", {})
        return TransientError(f"{place}: {code} (HTTP {status})", retry_after_seconds(headers))
    remedy = _REMEDIES.get(code, f"check `account_url` or {_VARIABLE}, and the credentials")
    return SourceError(f"{place}: {code} (HTTP {status}): {remedy}")


def _code(error: HttpResponseError) -> str:
    """Return the store's own word for a refusal, or the reason of the HTTP status when it gave none."""
    code = getattr(error, "error_code", None) or error.reason
    return str(getattr(code, "value", code))
