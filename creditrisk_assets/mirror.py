"""The object store: what is published here, kept in S3, and fetched from there by machines that have it not.

What belongs here: copying versions and pointers between a directory and S3. What does not: what a version is (`lake`,
`modelling.bundle`), where tables are read and written (always this machine's disk).

A directory with a pointer has the same layout there as here, below the prefix of the address:

    lake/raw/bureau/CURRENT       lake/raw/bureau/versions/9f2c…/data.parquet
    bundles/CURRENT               bundles/09cd3f346eb69498/model.txt
    bundles/SHADOW

The store is the truth: a pointer there is written last, after all files it leads to, and a machine that finds another pointer there than
its own fetches that version first and then turns its own pointer.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from creditrisk_assets.lake import POINTER, VERSION_NAME, LakeError, write_atomically
from creditrisk_assets.settings import Settings

BUNDLES = "bundles"
PATIENT = 12  # attempts, with pauses that grow to 20 s: a store that refuses for a minute is waited for
QUICK = 3  # where another look comes soon


class MirrorError(LakeError):
    """The object store was not reached, refuses, or holds something damaged; the message says what to do."""


class Mirror:
    """Directories of versions below one address.

    Parameters
    ----------
    url
        `s3://bucket/prefix`. Region, endpoint and credentials are those of the AWS chain (`AWS_ENDPOINT_URL_S3` for another store than
        Amazon's).
    attempts
        How often the store is asked before it counts as not reached.
    """

    def __init__(self, url: str, attempts: int = PATIENT) -> None:
        self.url, self._attempts = url.rstrip("/"), attempts
        parts = urlsplit(self.url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 # only where there is an object store
        from botocore.config import Config  # noqa: PLC0415

        return boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": self._attempts}))

    def push(self, directory: Path, name: str, version: Path, pointer: str = POINTER) -> None:
        """Put a version and then a pointer of the directory there; nothing happens when the pointer there is the same.

        Parameters
        ----------
        directory
            Holds the pointer.
        name
            The directory's name there, `lake/raw/bureau`.
        version
            The version's directory, below it.
        pointer
            Its file name.

        Raises
        ------
        MirrorError
            It could not be put there: the version counts as published on this machine alone.
        """
        content = (directory / pointer).read_text("utf-8")
        with self._told(name):
            if self._pointer(name, pointer) == content:
                return
            for path in sorted(path for path in version.rglob("*") if path.is_file()):
                key = self._key(name, path.relative_to(directory).as_posix())
                self._client.upload_file(str(path), self._bucket, key)
            self._client.put_object(Bucket=self._bucket, Key=self._key(name, pointer), Body=content.encode())

    def withdraw(self, name: str, pointer: str = POINTER) -> None:
        """Take a pointer of a directory away there; its versions stay.

        Raises
        ------
        MirrorError
            The store was not reached.
        """
        with self._told(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name, pointer))

    def pull(self, directory: Path, name: str, versions: str = "") -> None:
        """Fetch the version the pointer there names, if this machine has it not, and turn the pointer here.

        Parameters
        ----------
        directory, name
            As for `push`.
        versions
            Where versions are below the directory.

        Raises
        ------
        MirrorError
            The store was not reached, or its pointer is damaged. What is here stays as it was.
        """
        with self._told(name):
            pointer = self._pointer(name)
        if pointer is None or (_read(directory / POINTER) == pointer):
            return
        self.fetch(directory, name, versions, _version_in(pointer, f"{self.url}/{name}"))
        write_atomically(directory / POINTER, pointer)

    def pointed(self, directory: Path, name: str, pointer: str) -> str | None:
        """Return the version a pointer there names, fetched if this machine has it not; None: there is no pointer.

        The pointer here stays as it is: where it is removed there, nobody here has to notice.

        Raises
        ------
        MirrorError
            The store was not reached, or its pointer is damaged.
        """
        with self._told(name):
            content = self._pointer(name, pointer)
        if content is None:
            return None
        version = _version_in(content, f"{self.url}/{name}", pointer)
        self.fetch(directory, name, "", version)
        return version

    def fetch(self, directory: Path, name: str, versions: str, version: str) -> None:
        """Fetch one version, if this machine has it not.

        Raises
        ------
        MirrorError
            The store was not reached, or has no such version.
        """
        target = directory / versions / version
        if target.exists():
            return
        prefix = self._key(name, f"{versions}/{version}/".lstrip("/"))
        draft = directory / f".draft-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            with self._told(name):
                for key in self._keys(prefix):
                    path = draft / key.removeprefix(prefix)
                    if draft.resolve() not in path.resolve().parents:
                        raise MirrorError(f"{self.url}/{name}: a file of version {version} leads out of it; remove it")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._client.download_file(self._bucket, key, str(path))
            if not draft.exists():
                raise MirrorError(f"{self.url}/{name} has no version {version}; publish it again")
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _keys(self, prefix: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from (found["Key"] for found in page.get("Contents", ()))

    def _pointer(self, name: str, pointer: str = POINTER) -> str | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name, pointer))
        except self._client.exceptions.NoSuchKey:
            return None
        return str(answer["Body"].read().decode("utf-8"))

    def _key(self, name: str, path: str) -> str:
        return "/".join(part for part in (self._prefix, name, path) if part)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Turn what the AWS client raises into one line."""
        from boto3.exceptions import Boto3Error  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError) as error:
            cause = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
            raise MirrorError(
                f"{self.url}/{name}: the object store was not reached or refuses ({cause});"
                " check CREDITRISK_OBJECT_STORE, the credentials and AWS_ENDPOINT_URL_S3, then run again"
            ) from error


def mirror_of(settings: Settings, attempts: int = PATIENT) -> Mirror | None:
    """Return the object store the settings name; None: this machine's disk is all there is."""
    return None if settings.object_store is None else Mirror(settings.object_store, attempts)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None


def _version_in(content: str, where: str, pointer: str = POINTER) -> str:
    try:
        version = json.loads(content)["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise MirrorError(f"the pointer {where}/{pointer} is damaged; publish the version again") from error
    if not isinstance(version, str) or not VERSION_NAME.fullmatch(version):
        raise MirrorError(f"the pointer {where}/{pointer} names no version; publish the version again")
    return version
