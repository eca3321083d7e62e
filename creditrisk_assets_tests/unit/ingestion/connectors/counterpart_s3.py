"""Moto's S3 server, reached through a proxy that counts and cuts."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from creditrisk_assets.ingestion.configuration import S3Connection
from creditrisk_assets.ingestion.connectors.s3 import S3Connector
from creditrisk_assets.resources.s3 import s3_client
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Proxy

KEY, SECRET = "AKIAEXAMPLEOFTESTS00", "a-secret-key-of-the-tests"


def client_of(connection: S3Connection) -> Any:
    """Make the client as a deployment would, with credentials from the environment."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", KEY)
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        return s3_client(connection)


class S3Counterpart:
    seeks = True
    lists = True
    failures = Proxy.failures
    secret = SECRET

    def __init__(self, proxy: Proxy, bucket: str) -> None:
        self.proxy = proxy
        self.bucket = bucket
        self.connection = S3Connection(
            kind="s3",
            bucket=bucket,
            prefix="feeds/",
            endpoint_url=f"http://127.0.0.1:{proxy.port}",
            region="us-east-1",
        )
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{proxy.target}",
            region_name="us-east-1",
            aws_access_key_id="lender",
            aws_secret_access_key="lender",
        )
        self.client.create_bucket(Bucket=bucket)

    def connector(self) -> S3Connector:
        return S3Connector(client_of(self.connection), self.connection.bucket, self.connection.prefix)

    def put(self, name: str, content: bytes) -> bytes:
        self.client.put_object(Bucket=self.bucket, Key=f"feeds/{name}", Body=content)
        return content

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"feeds/{name}")

    def bytes_served(self) -> int:
        return self.proxy.bytes_served

    def fail_next(self, failure: Any, *, after_bytes: int = 0) -> None:
        self.proxy.fail_next(failure, after_bytes=after_bytes)


@contextmanager
def serve(directory: Path) -> Iterator[Callable[[], S3Counterpart]]:
    numbers = itertools.count()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        with Proxy(port).running() as proxy:
            yield lambda: S3Counterpart(proxy, f"lender-{next(numbers)}")
    finally:
        server.stop()
