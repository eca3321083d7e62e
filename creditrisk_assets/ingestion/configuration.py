"""What a sources file says: per table the connector, location, checksum, compression and expected cadence.

What belongs here: the file's models and reading it. What does not: talking to a source (`connectors`), choosing which sources file is in
force (`sources`). Secrets never stand in a sources file: they are settings (`CREDITRISK_…`) or the store's own credential chain.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.ingestion.connector import SourceError

DEFAULT_BUDGET = 0.001  # share of a table's rows that may be quarantined before nothing of it is published
LONGEST_CADENCE = timedelta(days=3660)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class LocalConnection(_Model):
    """A directory of this machine (a mounted file share too)."""

    kind: Literal["local"] = "local"
    directory: Path = Field(description="A relative one lies beside the sources file.")
    copy_files: bool = Field(False, description="Copy files before reading them (for shares that may vanish).")

    @field_validator("directory")
    @classmethod
    def _beside(cls, value: Path, info: ValidationInfo) -> Path:
        """Take a relative directory for one beside the sources file: the daemon has another working directory."""
        return info.context["beside"] / value.expanduser() if info.context else value


class HttpConnection(_Model):
    """Files below an address; a host's bearer token comes from CREDITRISK_HTTP_TOKENS."""

    kind: Literal["http"]
    base_url: str = Field(pattern=r"^https?://")


class S3Connection(_Model):
    """Objects of a bucket; credentials come from the AWS chain (environment, profile, role)."""

    kind: Literal["s3"]
    bucket: str = Field(min_length=3)
    prefix: str = ""
    endpoint_url: str | None = Field(None, pattern=r"^https?://")
    region: str | None = None
    profile: str | None = None


class AzureConnection(_Model):
    """Blobs of a container; credentials come from CREDITRISK_AZURE_CONNECTION_STRING or Azure's own chain."""

    kind: Literal["azure"]
    container: str = Field(min_length=1)
    prefix: str = ""
    account_url: str | None = Field(None, pattern=r"^https?://", description="Not needed with a connection string.")


class KaggleCompetitionConnection(_Model):
    """Files of a Kaggle competition whose rules were accepted; credentials are the official client's."""

    kind: Literal["kaggle_competition"]
    competition: str = Field(min_length=1)
    endpoint: str | None = Field(None, pattern=r"^https?://")


class KaggleDatasetConnection(_Model):
    """Files of a Kaggle dataset; credentials are the official client's."""

    kind: Literal["kaggle_dataset"]
    dataset: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name")
    endpoint: str | None = Field(None, pattern=r"^https?://")


class DvcConnection(_Model):
    """Files tracked by DVC in a repository, from its remote."""

    kind: Literal["dvc"]
    repository: str = Field(
        min_length=1, description="Path or URL of the git repository; a relative path lies beside the sources file."
    )
    revision: str | None = None
    remote: str | None = None
    directory: str = ""

    @field_validator("repository")
    @classmethod
    def _beside(cls, value: str, info: ValidationInfo) -> str:
        found = info.context["beside"] / value if info.context else None
        return str(found) if found is not None and found.is_dir() else value


class SampleConnection(_Model):
    """The built-in synthetic portfolio, made when it is first asked for."""

    kind: Literal["sample"]
    scale: float = Field(0.05, gt=0, le=5)
    seed: int = 42
    scenario: str = "baseline"


Connection = Annotated[
    LocalConnection
    | HttpConnection
    | S3Connection
    | AzureConnection
    | KaggleCompetitionConnection
    | KaggleDatasetConnection
    | DvcConnection
    | SampleConnection,
    Field(discriminator="kind"),
]


class Checksum(_Model):
    """An expected hash."""

    algorithm: Literal["md5", "sha256"]
    digest: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


def _checksum(value: object) -> object:
    if not isinstance(value, str):
        return value
    algorithm, _, digest = value.lower().partition(":")
    lengths = {"md5": 32, "sha256": 64}
    if len(digest) != lengths.get(algorithm) or set(digest) - set("0123456789abcdef"):
        raise ValueError("write a checksum as md5:<32 hexadecimal digits> or sha256:<64 hexadecimal digits>")
    return {"algorithm": algorithm, "digest": digest}


def _duration(text: str) -> timedelta | None:
    if (found := _DURATION.fullmatch(text.strip())) is None:
        return None
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        return timedelta.max


def _cadence(value: object) -> object:
    converted = _duration(value) if isinstance(value, str) and value != "static" else value
    if converted == "static":
        return converted
    if not isinstance(converted, timedelta):
        raise ValueError("write a cadence as `static` or as a duration: 36h, 7d, 90m")
    if not timedelta(0) < converted <= LONGEST_CADENCE:
        raise ValueError(
            "a cadence is longer than nothing and ten years at most; write `static` for what never changes"
        )
    return converted


def _moment(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a time zone (2026-05-31T00:00:00Z)")
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is no time that can be told in UTC; correct the year") from None
    return value


OptionalChecksum = Annotated[Checksum | None, BeforeValidator(_checksum)]
Cadence = Annotated[Literal["static"] | timedelta, BeforeValidator(_cadence)]
Moment = Annotated[datetime, AfterValidator(_moment)]


class TableSource(_Model):
    """Where one table comes from and what is expected of it."""

    location: str | None = Field(None, description="File below the connection; none: looked up by the table's name.")
    pin: str | None = Field(None, description="One version of it, where the store keeps versions.")
    connection: Connection | None = Field(None, description="None: the sources file's.")
    checksum: OptionalChecksum = Field(None, description="Of the file as delivered.")
    content_checksum: OptionalChecksum = Field(None, description="Of the table after unpacking.")
    compression: Literal["auto", "none", "gzip", "zip", "zstd"] = "auto"
    layout: Literal["auto", "csv", "parquet"] = "auto"
    cadence: Cadence | None = Field(None, description="How often it is expected to change; none: the sources file's.")
    as_at: Moment | None = Field(None, description="The day its data stand for; none: when the source last changed.")
    quarantine_budget: float | None = Field(None, ge=0, lt=1, description="None: the sources file's.")


class SourceSet(_Model):
    """A sources file."""

    name: str = Field(min_length=1, description="Volumes are compared within one source of this name.")
    connection: Connection
    cadence: Cadence = "static"
    quarantine_budget: float = Field(DEFAULT_BUDGET, ge=0, lt=1)
    batches: str | None = Field(None, description="Manifest of appended batches below the connection.")
    tables: Mapping[str, TableSource] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_tables(self) -> Self:
        require_known(self.tables)
        return self

    def table(self, name: str) -> TableSource:
        """Return a table's entry with the file's defaults filled in."""
        entry = self.tables.get(name, TableSource())
        return entry.model_copy(
            update={
                "connection": entry.connection or self.connection,
                "cadence": self.cadence if entry.cadence is None else entry.cadence,
                "quarantine_budget": self.quarantine_budget
                if entry.quarantine_budget is None
                else entry.quarantine_budget,
            }
        )


def require_known(tables: Iterable[str]) -> None:
    """Refuse the name of a table that does not exist, since what is said of it would be lost without a word.

    Raises
    ------
    ValueError
        A name is not that of a raw table.
    """
    if unknown := sorted(set(tables) - set(SOURCES)):
        raise ValueError(f"no raw table is named {', '.join(unknown)}; known: {', '.join(SOURCES)}")


def problems_of(error: ValidationError) -> str:
    """Say in a line what is wrong with a file, entry by entry, without the values."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors(include_input=False)
    )


def read_sources(path: Path) -> SourceSet:
    """Read a sources file.

    Raises
    ------
    SourceError
        It cannot be read or an entry is wrong; the message names the entry.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise SourceError(f"the sources file {path} cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"the sources file {path} is not valid YAML: {' '.join(str(error).split())}") from error
    try:
        return SourceSet.model_validate(content, context={"beside": path.expanduser().absolute().parent})
    except ValidationError as error:
        raise SourceError(f"the sources file {path}: {problems_of(error)}") from None
