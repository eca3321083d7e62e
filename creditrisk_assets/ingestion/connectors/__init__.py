"""The connectors, one module each; a connector's library is imported only when a source asks for it.

What belongs here: choosing a connector by its configuration. What does not: which files a table is made of (`feeds`).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from creditrisk_assets.ingestion.configuration import (
    AzureConnection,
    Connection,
    DvcConnection,
    HttpConnection,
    KaggleCompetitionConnection,
    KaggleDatasetConnection,
    LocalConnection,
    S3Connection,
    SampleConnection,
)
from creditrisk_assets.ingestion.connector import Connector, MissingExtraError, SourceError
from creditrisk_assets.ingestion.connectors.http import HttpConnector
from creditrisk_assets.ingestion.connectors.local import LocalConnector
from creditrisk_assets.ingestion.connectors.sample import SampleConnector


@dataclass(frozen=True)
class Credentials:
    """What connectors need beside their configuration.

    Parameters
    ----------
    sample_root
        Directory that sample portfolios are kept below.
    http_tokens
        Bearer token, or `Basic USER:PASSWORD`, per host (`bureau.example`, `127.0.0.1:8443`): each is sent to its host alone.
    azure_connection_string
        None: Azure's own chain of credentials.
    s3_client
        Makes boto3's S3 client of a connection.
    """

    sample_root: Path
    http_tokens: Mapping[str, SecretStr] = field(default_factory=dict)
    azure_connection_string: SecretStr | None = None
    s3_client: Callable[[S3Connection], Any] | None = None


def connect(connection: Connection, credentials: Credentials) -> Connector:
    """Return the connector of a configured connection; the source is not asked yet.

    Raises
    ------
    MissingExtraError
        Its library is not installed; the message says what to install.
    SourceError
        The configuration or the credentials cannot be used.
    """
    match connection:
        case LocalConnection():
            return LocalConnector(connection.directory, copy_files=connection.copy_files)
        case SampleConnection():
            return SampleConnector(connection, credentials.sample_root)
        case HttpConnection():
            tokens = {host.lower(): token for host, token in credentials.http_tokens.items()}
            return HttpConnector(connection.base_url, tokens.get(urlsplit(connection.base_url).netloc.lower()))
        case S3Connection():
            with _extra("assets", "boto3", "botocore"):
                from creditrisk_assets.ingestion.connectors.s3 import S3Connector  # noqa: PLC0415 - an optional library

                if credentials.s3_client is None:
                    raise SourceError(f"s3://{connection.bucket}: no S3 client is configured here")
                return S3Connector(credentials.s3_client(connection), connection.bucket, connection.prefix)
        case AzureConnection():
            with _extra("azure", "azure"):
                from creditrisk_assets.ingestion.connectors.azure import AzureConnector  # noqa: PLC0415 - an optional library

                return AzureConnector.from_connection(connection, credentials.azure_connection_string)
        case KaggleCompetitionConnection() | KaggleDatasetConnection():
            with _extra("kaggle", "kagglesdk", "requests"):
                from creditrisk_assets.ingestion.connectors.kaggle import KaggleConnector  # noqa: PLC0415 - an optional library

                return KaggleConnector.from_connection(connection)
        case DvcConnection():
            with _extra("dvc", "dvc", "dvc_data", "dvc_objects", "scmrepo", "dulwich", "aiohttp"):
                from creditrisk_assets.ingestion.connectors.dvc import DvcConnector  # noqa: PLC0415 - an optional library

                return DvcConnector.from_connection(connection)


@contextlib.contextmanager
def _extra(extra: str, *libraries: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in libraries:
            raise
        raise MissingExtraError(
            f"this source needs a library that is not installed ({library}): pip install 'creditrisk[{extra}]'"
        ) from error
