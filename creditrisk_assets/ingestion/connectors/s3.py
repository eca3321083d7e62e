"""Objects of an S3 bucket, or of a store that speaks S3.

What belongs here: describing and reading objects, and what each refusal means. What does not: making the client (`resources.s3`), trying
again, resuming, verifying (`fetch`).
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

from botocore import exceptions as botocore

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
from creditrisk_assets.ingestion.disk import BLOCK_BYTES

_UNEXPLAINED = ("400", "403", "404")  # an answer to HEAD has no body, so it says no reason; one to GET does
_MISSING = ("NoSuchKey", "NoSuchVersion", "404")
_CHANGED = ("PreconditionFailed", "InvalidRange")
_MAY_PASS = (408, 429)
_REMEDIES = {
    "301": "the bucket is in another region; set `region`",
    "AccessDenied": "the credentials may not read it, or it does not exist (without s3:ListBucket the store says the same of both); "
    "have them be granted s3:GetObject and s3:ListBucket",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set `region`",
    "ExpiredToken": "the session credentials have expired; sign in again (aws sso login) or renew AWS_SESSION_TOKEN",
    "IllegalLocationConstraintException": "the bucket is in another region; set `region`",
    "InvalidAccessKeyId": "the access key is not known; check AWS_ACCESS_KEY_ID or the profile",
    "InvalidObjectState": "it is archived; restore it first",
    "InvalidToken": "the session token is not valid; renew AWS_SESSION_TOKEN",
    "NoSuchBucket": "there is no such bucket; check `bucket` and `endpoint_url`",
    "PermanentRedirect": "the bucket is in another region; set `region`",
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it (chrony, ntpd)",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY or the profile",
    "TokenRefreshRequired": "the session credentials have expired; sign in again (aws sso login) or renew AWS_SESSION_TOKEN",
}
_NO_CREDENTIALS = "no usable AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a `profile` or a role"
_CREDENTIAL_ERRORS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
)


class S3Connector:
    """Reads below a prefix of a bucket.

    The version of an object is its version id where the bucket keeps versions, otherwise its ETag.

    Parameters
    ----------
    client
        A boto3 S3 client; it should not try again by itself, since `fetch` does.
    bucket, prefix
        Where the objects are.
    """

    kind = "s3"

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def address(self, file: RemoteFile) -> str:
        """Name an object for people and logs."""
        return f"s3://{self._bucket}/{self._key(file)}"

    def find(self, names: Sequence[str]) -> str | None:
        """Return the first of these names that lies directly below the prefix, whatever its case.

        Raises
        ------
        SourceError, TransientError
        """
        with _refusals(f"s3://{self._bucket}/{self._prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"
            )
            keys = [found["Key"].removeprefix(self._prefix) for page in pages for found in page.get("Contents", ())]
        present = {key.lower(): key for key in keys}
        return next((present[name.lower()] for name in names if name.lower() in present), None)

    def stat(self, file: RemoteFile) -> FileStat:
        """Describe an object without downloading it.

        Raises
        ------
        MissingFileError, SourceError, TransientError
        """
        asked = self._asked(file)
        with _refusals(self.address(file)):
            try:
                found = self._client.head_object(**asked)
            except botocore.ClientError as error:
                if error.response["Error"]["Code"] in _UNEXPLAINED:
                    self._client.get_object(**asked, Range="bytes=0-0")["Body"].close()
                raise
        if file.pin not in (None, found.get("VersionId")):  # it was ignored
            raise SourceError(f"{self.address(file)}: this store keeps no versions; remove the `pin`")
        return FileStat(_version(found), found["ContentLength"], found["LastModified"])

    def read(self, file: RemoteFile, stat: FileStat, offset: int) -> Iterator[bytes]:
        """Stream an object from a position.

        Raises
        ------
        io.UnsupportedOperation
            The store cannot start in the middle.
        ChangedError
            The object is not the one that `stat` describes.
        MissingFileError, SourceError, TransientError
        """
        asked = self._asked(file)
        if stat.version.startswith('"'):
            asked["IfMatch"] = stat.version
        if offset:
            asked["Range"] = f"bytes={offset}-"
        place = self.address(file)
        with _refusals(place):
            found = self._client.get_object(**asked)
            with contextlib.closing(found["Body"]) as body:
                if _version(found) != stat.version:
                    raise ChangedError(f"{place} was changed since it was looked at")
                if offset and "ContentRange" not in found:
                    raise io.UnsupportedOperation(f"{place}: the store cannot start at byte {offset}")
                yield from body.iter_chunks(BLOCK_BYTES)

    def in_place(self, file: RemoteFile) -> None:
        """Return None: an object is never on this machine."""

    def _key(self, file: RemoteFile) -> str:
        return f"{self._prefix}{file.path}"

    def _asked(self, file: RemoteFile) -> dict[str, str]:
        version = {} if file.pin is None else {"VersionId": file.pin}
        return {"Bucket": self._bucket, "Key": self._key(file), **version}


def _version(found: dict[str, Any]) -> str:
    """Return the version id, or the ETag (in quotes) of an object that has none; "null" names those from before versioning."""
    version = found.get("VersionId", "null")
    return str(found["ETag"] if version == "null" else version)


@contextlib.contextmanager
def _refusals(place: str) -> Iterator[None]:
    """Say in words what the store, or the way to it, refused inside the block."""
    try:
        yield
    except botocore.ClientError as error:
        raise _refusal(place, error) from error
    except botocore.ParamValidationError as error:
        raise SourceError(f"{place} is not a valid bucket, prefix or version; correct the sources file") from error
    except _CREDENTIAL_ERRORS as error:
        raise SourceError(f"{place}: {_NO_CREDENTIALS} ({error})") from error
    except botocore.SSLError as error:
        raise SourceError(
            f"{place}: no trusted connection; check `endpoint_url`, or add the server's authority to the file named by AWS_CA_BUNDLE"
        ) from error
    except (botocore.ConnectionError, botocore.HTTPClientError, botocore.IncompleteReadError) as error:
        raise TransientError(f"{place} cannot be read at the moment ({error})") from error
    except botocore.BotoCoreError as error:
        raise SourceError(f"{place} cannot be read ({error}); check the connection in the sources file") from error


def _refusal(place: str, error: botocore.ClientError) -> IngestionError:
    answer = error.response.get("ResponseMetadata", {})
    code, status = error.response["Error"]["Code"], answer.get("HTTPStatusCode", 0)
    if code in _MISSING:
        return MissingFileError(f"{place} does not exist ({code}); check bucket, prefix, location and pin")
    if status == 405:
        return MissingFileError(f"{place}: this version is a deletion; pin another or none")
    if code in _CHANGED:
        return ChangedError(f"{place} was changed since it was looked at")
    if status in _MAY_PASS or status >= 500 or code in ("SlowDown", "RequestTimeout", "Throttling"):
        return TransientError(f"{place}: {code} (HTTP {status})", retry_after_seconds(answer.get("HTTPHeaders", {})))
    remedy = _REMEDIES.get(code, "check the connection in the sources file and the credentials")
    return SourceError(f"{place}: {code} (HTTP {status}): {remedy}")
