"""Files of a Kaggle competition or dataset, through Kaggle's official client.

What belongs here: signing in, listing, downloading, and what each refusal means. What does not: trying again, resuming and verifying
(`fetch`), unpacking (`archives`).

Kaggle hands over a large `bureau.csv` inside a zip archive, though it lists it plain, so its size as delivered is not known before.

The client is `kagglesdk`, the part of the package `kaggle` that speaks to the service. The package itself is not imported: it signs in over
the network, prints, and may end the process when it is.
"""

import contextlib
import functools
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

import requests
from kagglesdk.competitions.services.competition_api_service import CompetitionApiClient
from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFileRequest, ApiListDataFilesRequest
from kagglesdk.datasets.services.dataset_api_service import DatasetApiClient
from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest, ApiListDatasetFilesRequest
from kagglesdk.kaggle_env import KaggleEnv
from kagglesdk.kaggle_http_client import KaggleHttpClient

from creditrisk_assets.ingestion.configuration import KaggleCompetitionConnection, KaggleDatasetConnection
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

PAGE_FILES = 200  # the most the service lists at once
TIMEOUT_SECONDS = (10.0, 60.0)  # to connect; of silence
_MAY_PASS = (408, 429)
_SIGN_IN = (
    "put an API token (https://www.kaggle.com/settings) into KAGGLE_API_TOKEN or ~/.kaggle/access_token, "
    "or a key into KAGGLE_USERNAME and KAGGLE_KEY or ~/.kaggle/kaggle.json"
)


class KaggleConnector(ABC):
    """Reads the files of a competition or a dataset.

    The version of a file is the size and the time of creation that Kaggle lists.

    Parameters
    ----------
    page
        Where a person opens the competition or the dataset.
    endpoint
        Base address of the API; None: Kaggle's.

    Raises
    ------
    SourceError
        There are no credentials.
    """

    kind: str
    _permission: str  # what a person must do where access is refused

    def __init__(self, page: str, endpoint: str | None) -> None:
        self._page = page
        self._client = KaggleHttpClient(
            KaggleEnv.PROD,
            # every other credential the client finds by itself; of these two only the package knows, which is not imported
            username=os.environ.get("KAGGLE_USERNAME"),
            password=os.environ.get("KAGGLE_KEY"),
        ).__enter__()
        if endpoint is not None:
            self._client._endpoint = endpoint.rstrip("/")  # there is no argument for it, only an environment variable
        self._session = self._client._session
        if self._session.auth is None:
            raise SourceError(f"{page}: no Kaggle credentials were found; {_SIGN_IN}")
        # looks are minutes apart: a connection that was kept would be dead by then
        self._session.headers.update({"Accept-Encoding": "identity", "Connection": "close"})
        self._session.send = functools.partial(self._session.send, timeout=TIMEOUT_SECONDS)  # the client has none
        self._validators: dict[RemoteFile, str] = {}  # of the files as delivered, which may be packed anew

    @staticmethod
    def from_connection(connection: KaggleCompetitionConnection | KaggleDatasetConnection) -> "KaggleConnector":
        """Make the connector of a configured connection; nothing is asked of Kaggle yet.

        Raises
        ------
        SourceError
            There are no credentials.
        """
        if isinstance(connection, KaggleCompetitionConnection):
            return _Competition(connection)
        return _Dataset(connection)

    def address(self, file: RemoteFile) -> str:
        """Name a file for people and logs."""
        return f"{self._page}/{file.path}"

    def find(self, names: Sequence[str]) -> str | None:
        """Return the first of these names that is listed, whatever its case.

        Raises
        ------
        SourceError, TransientError
        """
        present = {listed.name.lower(): listed.name for listed in self._listed(None)}
        return next((present[name.lower()] for name in names if name.lower() in present), None)

    def stat(self, file: RemoteFile) -> FileStat:
        """Describe a file as Kaggle lists it.

        Raises
        ------
        MissingFileError, SourceError, TransientError
        """
        for listed in self._listed(file.pin):
            if listed.name == file.path:
                created = listed.creation_date.replace(tzinfo=UTC)
                return FileStat(f"{listed.total_bytes} bytes, {created.isoformat()}", None, created)
        raise MissingFileError(f"{self.address(file)} does not exist; check location and pin")

    def read(self, file: RemoteFile, stat: FileStat, offset: int) -> Iterator[bytes]:
        """Stream a file from a position, as Kaggle delivers it: plain or inside a zip archive.

        Raises
        ------
        io.UnsupportedOperation
            It cannot be started in the middle.
        ChangedError
            The file is not the one that `stat` describes.
        MissingFileError, SourceError, TransientError
        """
        place = self.address(file)
        if self.stat(file).version != stat.version:
            raise ChangedError(f"{place} was changed since it was looked at")
        with self._refusals(place, missing=MissingFileError), contextlib.closing(self._opened(file, offset)) as answer:
            validator = answer.headers.get("ETag", "")
            begun = self._validators.setdefault(file, validator) if offset else validator
            self._validators[file] = validator
            if begun != validator:
                raise ChangedError(f"{place} was packed anew since its first part was read")
            if offset and answer.status_code != requests.codes.partial_content:
                raise io.UnsupportedOperation(f"{place}: it cannot be started at byte {offset}")
            yield from answer.iter_content(BLOCK_BYTES)

    def in_place(self, file: RemoteFile) -> None:  # noqa: B027 -- not meant to be overridden
        """Return None: a file of Kaggle's is never on this machine."""

    def _opened(self, file: RemoteFile, offset: int) -> Any:
        """Ask for a file; the client sends the session's headers, and keeps them when it is redirected to the storage."""
        if offset:
            self._session.headers["Range"] = f"bytes={offset}-"
        try:
            return self._download(file)
        finally:
            self._session.headers.pop("Range", None)

    def _listed(self, pin: str | None) -> Iterator[Any]:
        token = None
        while token != "":
            with self._refusals(self._page, missing=SourceError if pin is None else MissingFileError):
                files, token = self._list(pin, token)
            yield from files

    @abstractmethod
    def _list(self, pin: str | None, token: str | None) -> tuple[Sequence[Any], str]:
        """Return a page of files and the token of the next page, which is empty on the last."""

    @abstractmethod
    def _download(self, file: RemoteFile) -> Any:
        """Return the answer that holds a file, not yet read."""

    @contextlib.contextmanager
    def _refusals(self, place: str, missing: type[SourceError]) -> Iterator[None]:
        """Say in words what Kaggle, or the way to it, refused inside the block; addresses signed for a download are never shown."""
        try:
            yield
        except io.UnsupportedOperation:  # a ValueError too
            raise
        except requests.HTTPError as error:
            raise self._refusal(place, error.response, missing) from None
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise TransientError(f"{place} cannot be read at the moment (SSLError)") from None
            raise SourceError(
                f"{place}: the server's certificate is not trusted; add its authority to the file named by REQUESTS_CA_BUNDLE"
            ) from None
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise TransientError(f"{place} cannot be read at the moment ({type(error).__name__})") from None
        except (requests.RequestException, ValueError) as error:
            raise SourceError(
                f"{place}: the answer is not one of Kaggle's API ({type(error).__name__}); check `endpoint` and proxies"
            ) from None
        finally:
            self._session.close()  # not every server says that it closes too, and then the client keeps what is dead

    def _refusal(self, place: str, answer: Any, missing: type[SourceError]) -> IngestionError:
        answer.close()  # it may be one that was not read
        status = answer.status_code
        if status == requests.codes.unauthorized:
            return SourceError(f"{place}: Kaggle does not accept these credentials (HTTP 401); {_SIGN_IN}")
        if status == requests.codes.forbidden:
            return SourceError(f"{place}: access refused (HTTP 403); {self._permission}")
        if status == requests.codes.not_found:
            return missing(f"{place} does not exist (HTTP 404); check its name and pin")
        if status in _MAY_PASS or status >= 500:
            return TransientError(f"{place}: HTTP {status}", retry_after_seconds(answer.headers))
        return SourceError(f"{place}: HTTP {status}; check the connection in the sources file")


class _Competition(KaggleConnector):
    kind = "kaggle_competition"

    def __init__(self, connection: KaggleCompetitionConnection) -> None:
        super().__init__(f"https://www.kaggle.com/competitions/{connection.competition}", connection.endpoint)
        self._permission = f"accept the rules of the competition first: {self._page}/rules"
        self._name = connection.competition
        self._competitions = CompetitionApiClient(self._client)

    def _list(self, pin: str | None, token: str | None) -> tuple[Sequence[Any], str]:
        if pin is not None:
            raise SourceError(f"{self._page}: a competition keeps no versions of a file; remove its `pin`")
        request = ApiListDataFilesRequest()
        request.competition_name, request.page_size, request.page_token = self._name, PAGE_FILES, token
        answer = self._competitions.list_data_files(request)
        return answer.files, answer.next_page_token

    def _download(self, file: RemoteFile) -> Any:
        request = ApiDownloadDataFileRequest()
        request.competition_name, request.file_name = self._name, file.path
        return self._competitions.download_data_file(request)


class _Dataset(KaggleConnector):
    kind = "kaggle_dataset"
    _permission = "have its owner share it with this account, or open the page and accept its terms"

    def __init__(self, connection: KaggleDatasetConnection) -> None:
        super().__init__(f"https://www.kaggle.com/datasets/{connection.dataset}", connection.endpoint)
        self._owner, self._name = connection.dataset.split("/")
        self._datasets = DatasetApiClient(self._client)

    def _list(self, pin: str | None, token: str | None) -> tuple[Sequence[Any], str]:
        request = self._about(ApiListDatasetFilesRequest(), pin)
        request.page_size, request.page_token = PAGE_FILES, token
        answer = self._datasets.list_dataset_files(request)
        return answer.dataset_files, answer.next_page_token

    def _download(self, file: RemoteFile) -> Any:
        request = self._about(ApiDownloadDatasetRequest(), file.pin)
        request.file_name = file.path
        return self._datasets.download_dataset(request)

    def _about(self, request: Any, pin: str | None) -> Any:
        request.owner_slug, request.dataset_slug = self._owner, self._name
        if pin is not None:
            if not pin.isdecimal():
                raise SourceError(f"{self._page}: a dataset's `pin` is the number of its version; correct it")
            request.dataset_version_number = int(pin)
        return request
