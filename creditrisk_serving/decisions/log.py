"""The decision log: one row per decision, stored before the answer leaves.

What belongs here: the table, writing and reading it. What does not: when a decision may leave (`scoring.service`),
the routes (`endpoints`). SQLite in write-ahead mode by default: a committed row is in the operating system before the
caller hears of it, so a killed process loses nothing (a power cut may lose the last moments). Any SQLAlchemy URL
takes its place by setting.
"""

import secrets
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Float,
    Index,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from creditrisk_serving.decisions.schemas import DecisionRecord
from creditrisk_serving.errors import DecisionNotStoredError
from creditrisk_serving.observability import LOG

METADATA = MetaData()
DECISIONS = Table(
    "decisions",
    METADATA,
    Column("decision_id", String(32), primary_key=True),
    Column("request_id", String(64), nullable=False),
    Column("decided_at", String(32), nullable=False),  # UTC, ISO 8601
    Column("applicant_id", BigInteger, nullable=False),
    Column("caller", String(64), nullable=False),  # the id of the API key, never the key
    Column("model_version", String(64), nullable=False),
    Column("bundle_sha256", String(64), nullable=False),
    Column("policy_version", String(64), nullable=False),
    Column("pd", Float(53), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("band", String(16), nullable=False),
    Column("families", Text, nullable=False),  # canonical JSON from here on
    Column("feature_versions", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("features", Text, nullable=False),
    Column("rule", String(64), nullable=True),
    Index("decisions_by_applicant", "applicant_id", "decided_at"),
    Index("decisions_by_request", "request_id"),
)
PROBE = Table("probe", METADATA, Column("name", String(16), primary_key=True), Column("at", Float(53)))
PROBE_SECONDS = 1.0


def new_decision_id() -> str:
    """Make an id: milliseconds, then 80 random bits, so that ids sort by time and none can be guessed from another."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class DecisionLog:
    """Where decisions are kept.

    Parameters
    ----------
    url
        SQLAlchemy URL. Nothing is opened before `open`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None  # the SQLite file that is open
        self._opening = threading.Lock()
        self._probed: tuple[float, str | None] = (0.0, "the decision log was never opened")

    def store(self, records: Sequence[DecisionRecord]) -> None:
        """Store the decisions of one request: all of them, or none.

        Raises
        ------
        DecisionNotStoredError
            They could not be stored; no decision may leave.
        """
        try:
            with self._opened().begin() as connection:
                connection.execute(insert(DECISIONS), [record.row() for record in records])
        except (SQLAlchemyError, OSError) as error:
            self._probed = (time.monotonic(), self._reason(error))
            raise DecisionNotStoredError(
                "the decision log cannot be written, so nothing was decided; try again later"
            ) from error

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Find a decision.

        Raises
        ------
        DecisionNotStoredError
            The log cannot be read.
        """
        try:
            with self._opened().connect() as connection:
                found = (
                    connection.execute(select(DECISIONS).where(DECISIONS.c.decision_id == decision_id))
                    .mappings()
                    .first()
                )
        except (SQLAlchemyError, OSError) as error:
            raise DecisionNotStoredError("the decision log cannot be read; try again later") from error
        return None if found is None else DecisionRecord.from_row(dict(found))

    def problem(self) -> str | None:
        """Say why the log cannot be written, by writing to it; within a second the last answer is repeated."""
        at, problem = self._probed
        if time.monotonic() - at < PROBE_SECONDS and at:
            return problem
        try:
            with self._opened().begin() as connection:
                connection.execute(PROBE.delete())
                connection.execute(insert(PROBE), [{"name": "ready", "at": time.time()}])
            problem = None
        except (SQLAlchemyError, OSError) as error:
            problem = self._reason(error)
        self._probed = (time.monotonic(), problem)
        return problem

    def close(self) -> None:
        """Close all connections."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _opened(self) -> Engine:
        """Open the log at first use; while it cannot be opened, each use tries again.

        A file deleted or replaced under the service would swallow decisions: it is noticed, said, and the log opened anew.
        """
        with self._opening:
            if self._engine is not None and _identity(self._url) != self._file:
                LOG.error("decision_log_replaced")
                self._engine.dispose()
                self._engine = None
            if self._engine is None:
                engine = _engine(self._url)
                _create(engine)
                self._engine, self._file = engine, _identity(self._url)
            return self._engine

    @staticmethod
    def _reason(error: Exception) -> str:
        """Name what is wrong without the statement, whose parameters are an applicant's."""
        cause = getattr(error, "orig", None) or error
        remedy = "check its disk, its permissions and CREDITRISK_SERVING_DECISIONS_URL"
        return f"the decision log cannot be written ({type(cause).__name__}); {remedy}"


def _identity(url: str) -> tuple[int, int] | None:
    """Name the file behind a SQLite URL (device and inode); None for any other, and where there is no file."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    try:
        found = Path(parsed.database).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    if parsed.database and parsed.database != ":memory:":
        path = Path(parsed.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # decisions are personal data; the write-ahead files take the same mode
    engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": 5})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _create(engine: Engine) -> None:
    """Create what is not there, columns of a later release among it; several processes may do so at once."""
    with engine.begin() as connection:
        for table in METADATA.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
    for column in _lacking(engine):
        try:
            with engine.begin() as connection:
                kind = column.type.compile(engine.dialect)
                connection.execute(text(f"alter table {DECISIONS.name} add column {column.name} {kind}"))
        except DBAPIError:
            if column in _lacking(engine):  # and no other process added it
                raise
    with engine.begin() as connection:
        for table in METADATA.sorted_tables:
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(CreateIndex(index, if_not_exists=True))


def _lacking(engine: Engine) -> list[Column[Any]]:
    """Name the columns that a log of an earlier release lacks."""
    there = {column["name"] for column in inspect(engine).get_columns(DECISIONS.name)}
    return [column for column in DECISIONS.columns if column.name not in there]


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = normal")
    cursor.close()
