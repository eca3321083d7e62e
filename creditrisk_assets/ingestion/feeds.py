"""What a table's feed is made of at the moment: its base file and the batches appended to it, described without a download.

What belongs here: finding the files, reading the manifest of batches, the feed's version and age. What does not: fetching a file
(`fetch`, `landing`), what a source is (`sources`, `configuration`), judging an age (`monitoring.data_age`).

A manifest of batches is a JSON (or YAML) file below the source's connection, since the tables themselves hold no calendar:

    {"batches": [{"batch_id": "2026-05", "as_at": "2026-05-31T00:00:00Z",
                  "tables": {"bureau": {"location": "2026-05/bureau.csv.gz", "checksum": "sha256:…"}}}]}
"""

import hashlib
import json
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.ingestion.archives import Compression
from creditrisk_assets.ingestion.configuration import (
    Checksum,
    Moment,
    OptionalChecksum,
    SourceSet,
    TableSource,
    problems_of,
    require_known,
)
from creditrisk_assets.ingestion.connector import Connector, FileStat, MissingFileError, RemoteFile, SourceError
from creditrisk_assets.ingestion.connectors import Credentials, connect
from creditrisk_assets.ingestion.connectors.sample import SampleConnector
from creditrisk_assets.ingestion.fetch import PATIENT, RetryPolicy, fetch, locate, look
from creditrisk_assets.ingestion.sources import SAMPLE_MARK

BASE = "base"
MANIFEST_BYTES = 16 << 20
Layout = Literal["csv", "parquet"]
SUFFIXES = (".csv", ".parquet", ".csv.gz", ".csv.zst", ".csv.zip", ".zip")  # what needs no unpacking is preferred


@dataclass(frozen=True)
class Part:
    """One file of a feed.

    Parameters
    ----------
    batch_id
        `base`, or the batch as its manifest names it.
    as_at
        The moment its data stand for; None when neither the configuration nor the source says.
    address
        The file, for people, without credentials.
    """

    batch_id: str
    as_at: datetime | None
    file: RemoteFile
    stat: FileStat
    address: str
    connector: Connector
    layout: Layout | Literal["auto"]  # auto: its first bytes show it
    compression: Compression | Literal["auto"]
    checksum: Checksum | None
    content_checksum: Checksum | None


@dataclass(frozen=True)
class Feed:
    """All files of one table, base first, then its batches by (as_at, batch_id), whatever the order they arrived in."""

    table: str
    source: str  # volumes are compared within one
    entry: TableSource
    parts: tuple[Part, ...]

    @property
    def version(self) -> str:
        """A hash that differs whenever the content of any file may differ, or another content is expected of it."""
        known = [
            [part.batch_id, part.address, part.stat.version, str(part.as_at)]
            + [f"{of} {found}" for of, found in (("file", part.checksum), ("content", part.content_checksum)) if found]
            for part in self.parts
        ]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]

    @property
    def as_at(self) -> datetime | None:
        """The newest moment its data stand for."""
        return max((part.as_at for part in self.parts if part.as_at is not None), default=None)

    @property
    def bytes(self) -> int:
        """Size of all files, as far as the source says."""
        return sum(part.stat.size or 0 for part in self.parts)


class _Delivery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    location: str = Field(min_length=1)
    checksum: OptionalChecksum = None
    content_checksum: OptionalChecksum = None


class _Batch(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_id: str = Field(pattern=r"^[\w.:-]{1,64}$")
    as_at: Moment
    tables: Mapping[str, _Delivery]

    @field_validator("tables")
    @classmethod
    def _known(cls, value: Mapping[str, _Delivery]) -> Mapping[str, _Delivery]:
        require_known(value)
        return value


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    batches: Sequence[_Batch]


class Feeds:
    """The feeds of a source; connections and the manifest of batches are shared between its tables.

    Parameters
    ----------
    sources
        The source.
    credentials
        What its connections may need.
    """

    def __init__(self, sources: SourceSet, credentials: Credentials) -> None:
        self.sources = sources
        self._credentials = credentials
        self._connectors: dict[Any, Connector] = {}
        self._batches: Sequence[_Batch] | None = None
        self._reading_manifest = threading.Lock()

    def look(self, contract: SourceContract, *, policy: RetryPolicy = PATIENT) -> Feed:
        """Describe a table's feed without downloading it.

        Parameters
        ----------
        contract
            The raw table.
        policy
            How patient to be with its source. Feeds of different connections may be looked at by threads of their own.

        Raises
        ------
        MissingFileError
            The source holds no file of the table.
        IngestionError
            The source cannot be reached, refuses, or its manifest is wrong.
        """
        entry = self.sources.table(contract.table)
        connector = self._connector(entry)
        name = entry.location or self._find(connector, contract, policy)
        part = partial(self._part, contract.table, connector, policy)
        base = part(entry, RemoteFile(name, entry.pin), BASE, entry.as_at)
        appended = [
            part(_of_batch(entry, delivery), RemoteFile(delivery.location), batch.batch_id, batch.as_at)
            for batch in self._manifest(policy)
            if (delivery := batch.tables.get(contract.table)) is not None
        ]
        return Feed(contract.table, self.sources.name, entry, (base, *appended))

    def drawn(self, contract: SourceContract) -> str | None:
        """Say how the synthetic portfolio was drawn, whose figures must say that they are; None: the source holds no such portfolio."""
        connector = self._connector(self.sources.table(contract.table))
        if isinstance(connector, SampleConnector):
            return connector.drawn
        try:
            mark = locate(connector, [SAMPLE_MARK])
        except SourceError:  # some servers refuse whatever they were not told to hand over; the tables were not refused
            mark = None
        if mark is None:
            return None
        try:
            description = json.loads(_small_file(connector, RemoteFile(mark), PATIENT))
            return "-".join(str(description.get(name)) for name in ("generator_version", "seed", "scale", "scenario"))
        except (ValueError, AttributeError):
            return "unknown"

    def _connector(self, entry: TableSource) -> Connector:
        if entry.connection not in self._connectors:
            self._connectors[entry.connection] = connect(entry.connection or self.sources.connection, self._credentials)
        return self._connectors[entry.connection]

    def _find(self, connector: Connector, contract: SourceContract, policy: RetryPolicy) -> str:
        names = [f"{contract.stem}{suffix}" for suffix in SUFFIXES]
        if (found := locate(connector, names, policy=policy)) is None:
            raise MissingFileError(
                f"{contract.table}: no file in {_place(connector, names[0])}; expected one of {', '.join(names)}"
            )
        return found

    @staticmethod
    def _part(
        table: str,
        connector: Connector,
        policy: RetryPolicy,
        entry: TableSource,
        file: RemoteFile,
        batch: str,
        as_at: datetime | None,
    ) -> Part:
        try:
            stat = look(connector, file, policy=policy)
        except MissingFileError as error:
            raise MissingFileError(f"{table}: {error}") from error
        return Part(
            batch_id=batch,
            as_at=as_at or stat.modified_at,
            file=file,
            stat=stat,
            address=connector.address(file),
            connector=connector,
            layout=entry.layout,
            compression=entry.compression,
            checksum=entry.checksum,
            content_checksum=entry.content_checksum,
        )

    def _manifest(self, policy: RetryPolicy) -> Sequence[_Batch]:
        with self._reading_manifest:
            if self._batches is None:
                self._batches = _in_order(self._read_manifest(policy)) if self.sources.batches else ()
            return self._batches

    def _read_manifest(self, policy: RetryPolicy) -> Sequence[_Batch]:
        connector, file = (
            self._connector(TableSource(connection=self.sources.connection)),
            RemoteFile(self.sources.batches or ""),
        )
        where = f"the manifest of batches {connector.address(file)}"
        try:
            manifest = _Manifest.model_validate(yaml.safe_load(_small_file(connector, file, policy)))
        except MissingFileError as error:
            raise MissingFileError(f"the manifest of batches: {error}") from error
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise SourceError(f"{where} is neither JSON nor YAML; correct it") from error
        except ValidationError as error:
            raise SourceError(f"{where}: {problems_of(error)}") from None
        ids = [batch.batch_id for batch in manifest.batches]
        if repeated := sorted({each for each in ids if ids.count(each) > 1} | ({BASE} & set(ids))):
            raise SourceError(f"{where}: batch {', '.join(repeated)} is there twice or named like the base; rename it")
        return manifest.batches


def _small_file(connector: Connector, file: RemoteFile, policy: RetryPolicy) -> bytes:
    """Read a file that must be small."""
    stat = look(connector, file, policy=policy)
    if (stat.size or 0) > MANIFEST_BYTES:
        raise SourceError(
            f"{connector.address(file)} has {stat.size:,} bytes; a manifest has {MANIFEST_BYTES:,} at most"
        )
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "manifest"
        fetch(connector, file, stat, target, policy=policy)
        return target.read_bytes()


def _place(connector: Connector, name: str) -> str:
    """Name where a connector looks."""
    return connector.address(RemoteFile(name)).removesuffix(name)


def _in_order(batches: Iterable[_Batch]) -> tuple[_Batch, ...]:
    return tuple(sorted(batches, key=lambda batch: (batch.as_at, batch.batch_id)))


def _of_batch(entry: TableSource, delivery: _Delivery) -> TableSource:
    """Describe a batch's file: the table's entry without what is about its base file alone."""
    return entry.model_copy(
        update={
            "checksum": delivery.checksum,
            "content_checksum": delivery.content_checksum,
            "compression": "auto",
            "layout": "auto",
        }
    )
