"""Azurite, Microsoft's emulator of Azure Blob storage, reached through a proxy that counts and cuts."""

import itertools
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient
from pydantic import SecretStr

from creditrisk_assets.ingestion.configuration import AzureConnection
from creditrisk_assets.ingestion.connectors.azure import AzureConnector
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Proxy

INSTALLED = Path(__file__).parents[4] / ".cache" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
ACCOUNT = "devstoreaccount1"
KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # published by Microsoft
)


def connection_string(port: int, key: str = KEY) -> str:
    """Return the connection string of the emulator's account."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
    )


class AzureCounterpart:
    seeks = True
    lists = True
    failures = Proxy.failures
    secret = KEY

    def __init__(self, proxy: Proxy, container: str) -> None:
        self.proxy = proxy
        self.connection = AzureConnection(kind="azure", container=container, prefix="feeds")
        service = BlobServiceClient.from_connection_string(connection_string(proxy.target))
        self.container = service.create_container(container)

    def connector(self, key: str = KEY) -> AzureConnector:
        return AzureConnector.from_connection(self.connection, SecretStr(connection_string(self.proxy.port, key)))

    def put(self, name: str, content: bytes) -> bytes:
        self.container.upload_blob(f"feeds/{name}", content, overwrite=True)
        return content

    def delete(self, name: str) -> None:
        self.container.delete_blob(f"feeds/{name}")

    def bytes_served(self) -> int:
        return self.proxy.bytes_served

    def fail_next(self, failure: Any, *, after_bytes: int = 0) -> None:
        self.proxy.fail_next(failure, after_bytes=after_bytes)


@contextmanager
def serve(directory: Path) -> Iterator[Callable[[], AzureCounterpart]]:
    command = str(INSTALLED) if INSTALLED.exists() else shutil.which("azurite-blob")
    if command is None:
        pytest.skip("Azurite, the emulator of Azure Blob, is not installed: make azurite")
    numbers = itertools.count()
    with subprocess.Popen(
        [command, "--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
    ) as process:
        try:
            with Proxy(_port(process)).running() as proxy:
                yield lambda: AzureCounterpart(proxy, f"lender-{next(numbers)}")
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _port(process: subprocess.Popen[str]) -> int:
    said = []
    for line in process.stdout or ():
        said.append(line)
        if found := re.search(r"listens on http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise RuntimeError(f"Azurite did not start: {''.join(said)}")
