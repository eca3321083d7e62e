"""The database of decisions: SQLite in write-ahead mode by default, any SQLAlchemy URL by setting.

What belongs here: tables, opening, taking entries in, reading. What does not: when entries are taken (`drain`), the journal they come
from (`journal`). A commit is on disk, because the journal forgets what was committed.
"""

import heapq
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Index,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    exists,
    func,
    insert,
    inspect,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from creditrisk_assets.schema_version import Schema, SchemaError
from creditrisk_serving.decisions import entries, sealing
from creditrisk_serving.decisions.chain import genesis, link
from creditrisk_serving.decisions.entries import Kind
from creditrisk_serving.decisions.schemas import Answered, BatchRecord, NoticeRecord, Review, Shadowed
from creditrisk_serving.observability import LOG

METADATA = sealing.METADATA  # one database holds all tables
SCHEMA = Schema("decision_log", "decision_log_0005")


def _chained() -> tuple[Column[Any], ...]:
    """Where a record stands in its writer's chain; NULL: it was stored by a release without chains."""
    return (
        Column("writer", String(32), nullable=True),
        Column("sequence", BigInteger, nullable=True),
        Column("hash", String(64), nullable=True),
    )


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
    Column("families", Text, nullable=False),  # JSON from here on
    Column("feature_versions", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("features", Text, nullable=False),
    Column("rule", String(64), nullable=True),
    Column("latency_ms", Float(53), nullable=True),
    Column("reasons", Text, nullable=True),  # JSON
    Column("shadow", Text, nullable=True),  # JSON
    *_chained(),
    Index("decisions_by_applicant", "applicant_id", "decided_at"),
    Index("decisions_by_request", "request_id"),
    Index("decisions_by_time", "decided_at", "decision_id"),
    Index("decisions_by_writer", "writer", "sequence"),
)
REVIEWS = Table(
    "reviews",
    METADATA,
    Column("review_id", String(32), primary_key=True),
    Column("decision_id", String(32), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("reviewed_at", String(32), nullable=False),  # UTC, ISO 8601
    Column("caller", String(64), nullable=False),
    Column("reviewer", String(100), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    *_chained(),
    Index("reviews_by_decision", "decision_id"),
    Index("reviews_by_writer", "writer", "sequence"),
)
ERASURES = Table(
    "erasures",
    METADATA,
    Column("erasure_id", String(32), primary_key=True),
    Column("applicant_id", BigInteger, nullable=False),
    Column("erased_at", String(32), nullable=False),  # UTC, ISO 8601
    Column("decisions", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    *_chained(),
    Index("erasures_by_writer", "writer", "sequence"),
)
BATCHES = Table(
    "batches",
    METADATA,
    Column("batch_id", String(32), primary_key=True),
    Column("decided_at", String(32), nullable=False),  # UTC, ISO 8601
    Column("source", String(200), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("bundle_sha256", String(64), nullable=False),
    Column("policy_version", String(64), nullable=False),
    Column("scored", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("input_sha256", String(64), nullable=False),
    Column("scores_sha256", String(64), nullable=False),
    Column("manifest_sha256", String(64), nullable=False),
    *_chained(),
    Index("batches_by_scores", "scores_sha256"),
    Index("batches_by_writer", "writer", "sequence"),
)
NOTICES = Table(
    "notices",
    METADATA,
    Column("notice_id", String(32), primary_key=True),
    Column("decision_id", String(32), nullable=False),
    Column("applicant_id", BigInteger, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("issued_at", String(32), nullable=False),  # UTC, ISO 8601
    Column("due_by", String(10), nullable=False),
    Column("caller", String(64), nullable=False),
    Column("jurisdiction", String(8), nullable=False),
    Column("document_sha256", String(64), nullable=False),
    Column("document", Text, nullable=True),
    *_chained(),
    Index("notices_by_decision", "decision_id"),
    Index("notices_by_writer", "writer", "sequence"),
)
WRITERS = Table(
    "writers",
    METADATA,
    Column("writer", String(32), primary_key=True),
    Column("frames", BigInteger, nullable=False),  # of its journal, that were taken
    Column("sequence", BigInteger, nullable=False),  # of its last record
    Column("hash", String(64), nullable=False),
)
LAYOUTS = Table(
    "layouts",
    METADATA,
    Column("layout", String(64), primary_key=True),  # the hash of its content
    Column("content", Text, nullable=False),
)
ANSWERS = Table(
    "answers",
    METADATA,
    Column("caller", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("body_sha256", String(64), nullable=False),
    Column("token", String(32), nullable=False),  # of the request that may decide
    Column("claimed_at", Float(53), nullable=False),
    Column("answer", Text, nullable=True),  # NULL: not answered yet
)
PROBE = Table("probe", METADATA, Column("name", String(16), primary_key=True), Column("at", Float(53)))
PROBE_SECONDS = 1.0
PAGE = 500
FAILURES = (SQLAlchemyError, OSError, SchemaError)


class DecisionLogError(RuntimeError):
    """The database of decisions cannot be read; the message says what to do."""


class NotTakenError(RuntimeError):
    """Entries were not taken, as far as is known; the message says why and what to do, and holds nothing of an entry."""


class Head(NamedTuple):
    """How much of a writer's journal was taken, and the end of its chain."""

    frames: int
    sequence: int
    hash: str


class Link(NamedTuple):
    """A record in a chain, as it is stored."""

    sequence: int
    hash: str
    entry: bytes
    name: str


class Pair(NamedTuple):
    """What champion and shadow made of one application."""

    applicant_id: int
    pd: float
    decision: str
    shadow_pd: float
    shadow_decision: str


class Database:
    """The database of decisions. Methods raise `FAILURES`, whose words may hold an applicant's values; `reason` is fit to be said.

    Parameters
    ----------
    url
        SQLAlchemy URL. Nothing is opened before the first use.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None  # the SQLite file that is open
        self._opening = threading.Lock()
        self._probed: tuple[float, str | None] = (0.0, None)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Give one transaction."""
        with self.opened().begin() as connection:
            yield connection

    def head(self, writer: str) -> Head:
        """Read how far a writer's journal was taken."""
        with self.begin() as connection:
            return _head(connection, writer)

    def take(self, writer: str, first: int, frames: Sequence[Sequence[bytes]]) -> None:
        """Take frames of a writer's journal that were not taken yet: all of them, or none.

        Parameters
        ----------
        writer
            Whose.
        first
            Number of the first frame.
        frames
            The entries of each.
        """
        with self.begin() as connection:
            # First a write: it takes SQLite's lock and PostgreSQL's row before anything is read.
            if not connection.execute(update(WRITERS).where(WRITERS.c.writer == writer).values(writer=writer)).rowcount:
                connection.execute(insert(WRITERS), [{"writer": writer, **Head(0, 0, genesis(writer))._asdict()}])
            frames_taken, sequence, digest = _head(connection, writer)
            rows: dict[str, list[dict[str, Any]]] = {}
            new = [line for number, frame in enumerate(frames, first) if number > frames_taken for line in frame]
            chained = [_read(line) for line in new if not line.startswith(entries.UNCHAINED)]
            for kind, row in _sealed(connection, chained):
                sequence, digest = sequence + 1, link(digest, kind.letter + entries.body(kind, row))
                place = {"writer": writer, "sequence": sequence, "hash": digest}
                rows.setdefault(kind.table, []).append(row | place)
            for line in new:
                if line.startswith(entries.ANSWER):
                    _answer(connection, msgspec.json.decode(line[1:], type=Answered))
                elif line.startswith(entries.LAYOUT):
                    _keep_layout(connection, msgspec.json.decode(line[1:]))
            for table, found in rows.items():
                connection.execute(insert(METADATA.tables[table]), found)
            head = Head(max(frames_taken, first + len(frames) - 1), sequence, digest)
            connection.execute(update(WRITERS).where(WRITERS.c.writer == writer).values(**head._asdict()))

    def reviews(self, decision_id: str) -> list[Review]:
        """Read the reviews of a decision."""
        wanted = select(*(REVIEWS.c[name] for name in entries.REVIEW.columns))
        with self.opened().connect() as connection:
            found = connection.execute(wanted.where(REVIEWS.c.decision_id == decision_id)).mappings().all()
        return [Review(**row) for row in found]

    def notices(self, decision_id: str) -> list[NoticeRecord]:
        """Read the notices of a decision, opened; the document of an erased applicant is None.

        Raises
        ------
        SealDamagedError
            One is not what was stored.
        """
        wanted = select(*(NOTICES.c[name] for name in entries.NOTICE.columns))
        with self.opened().connect() as connection:
            found = connection.execute(wanted.where(NOTICES.c.decision_id == decision_id)).mappings().all()
            rows = [sealing.opened(connection, dict(row)) for row in found]
        return [NoticeRecord(**row | ({"document": None} if row["document"] == "null" else {})) for row in rows]

    def without_notice(self) -> list[tuple[str, str]]:
        """Name the declines, and the referrals that a person declined last, of which no notice was issued: id and time, oldest first.

        Those of erased applicants are left out: nothing can be said of them any more.
        """
        later = REVIEWS.alias()
        last = exists().where(later.c.decision_id == REVIEWS.c.decision_id, later.c.reviewed_at > REVIEWS.c.reviewed_at)
        declined = (
            select(REVIEWS.c.decision_id)
            .where(REVIEWS.c.outcome == "decline", ~last)
            .intersect(select(DECISIONS.c.decision_id).where(DECISIONS.c.decision == "refer"))
        )
        wanted = (
            select(DECISIONS.c.decision_id, DECISIONS.c.decided_at)
            .where(or_(DECISIONS.c.decision == "decline", DECISIONS.c.decision_id.in_(declined)))
            .where(~exists().where(NOTICES.c.decision_id == DECISIONS.c.decision_id))
            .where(~exists().where(ERASURES.c.applicant_id == DECISIONS.c.applicant_id))
            .order_by(DECISIONS.c.decided_at)
        )
        with self.opened().connect() as connection:
            return [(row.decision_id, row.decided_at) for row in connection.execute(wanted)]

    def layout(self, layout: str) -> bytes | None:
        """Read a layout of inputs."""
        with self.opened().connect() as connection:
            wanted = select(LAYOUTS.c.content).where(LAYOUTS.c.layout == layout)
            found = connection.execute(wanted).scalar_one_or_none()
        return None if found is None else found.encode()

    def batches(self, **wanted: str) -> list[tuple[BatchRecord, str | None]]:
        """Read the batches whose columns have these values, oldest first, each with its writer."""
        conditions = [BATCHES.c[name] == value for name, value in wanted.items()]
        with self.opened().connect() as connection:
            found = (
                connection.execute(select(BATCHES).where(*conditions).order_by(BATCHES.c.decided_at)).mappings().all()
            )
        return [(BatchRecord(**{n: row[n] for n in entries.BATCH.columns}), row["writer"]) for row in found]

    def referred(self) -> tuple[set[str], set[str]]:
        """Return the model versions that decisions and batches name, and the versions of features that were looked up, each as JSON."""
        with self.opened().connect() as connection:
            models = {
                str(row[0])
                for table in (DECISIONS, BATCHES)
                for row in connection.execute(select(table.c.model_version).distinct())
            }
            features = {str(row[0]) for row in connection.execute(select(DECISIONS.c.feature_versions).distinct())}
        return models, features

    def forget_answers(self, before: float) -> None:
        """Delete the answers of idempotency keys that were claimed before a time."""
        with self.begin() as connection:
            connection.execute(delete(ANSWERS).where(ANSWERS.c.claimed_at < before))

    def find(self, decision_id: str) -> dict[str, Any] | None:
        """Read a decision's row, opened.

        Raises
        ------
        SealDamagedError
            It is not what was stored.
        """
        with self.opened().connect() as connection:
            found = connection.execute(select(DECISIONS).where(DECISIONS.c.decision_id == decision_id)).mappings()
            return None if (row := found.first()) is None else sealing.opened(connection, dict(row))

    def decided(self, applicant: int) -> list[str]:
        """Return when an applicant was decided on; of a decision of a batch, which has no record of its own, when its notice was issued."""
        decided = select(DECISIONS.c.decided_at).where(DECISIONS.c.applicant_id == applicant)
        of_batches = select(NOTICES.c.issued_at).where(
            NOTICES.c.applicant_id == applicant,
            ~exists().where(DECISIONS.c.decision_id == NOTICES.c.decision_id),
        )
        with self.begin() as connection:
            return [*connection.execute(decided).scalars(), *connection.execute(of_batches).scalars()]

    def erase(self, applicant: int) -> None:
        """Delete the keys of an applicant, and what releases without keys stored in the clear."""
        mine = (DECISIONS.c.applicant_id == applicant, DECISIONS.c.sequence.is_(None))
        with self.begin() as connection:
            sealing.erase_keys(connection, applicant)
            connection.execute(update(DECISIONS).where(*mine).values(dict.fromkeys(sealing.SEALED_COLUMNS, "null")))

    def writers(self) -> dict[str, Head]:
        """Read the heads of all chains; a chain whose head is missing has one that holds nothing."""
        with self.begin() as connection:
            named = (
                writer
                for kind in entries.KINDS.values()
                for (writer,) in connection.execute(select(_table(kind).c.writer).distinct())
                if writer is not None
            )
            heads = {writer: _head(connection, writer) for writer in named}
            return heads | {row.writer: _head(connection, row.writer) for row in connection.execute(select(WRITERS))}

    def links(self, writer: str, after: int) -> Iterator[Link]:
        """Read the records of a chain in order, from after a place on."""
        return heapq.merge(
            *(self._links(kind, writer, after) for kind in entries.KINDS.values()), key=lambda one: one.sequence
        )

    def _links(self, kind: Kind, writer: str, after: int) -> Iterator[Link]:
        table = _table(kind)
        # One id more in the order: two records may claim one place, and neither may fall between two pages.
        order = (table.c.sequence, table.c[kind.id])
        last: tuple[int, str] = (after, "\U0010ffff")
        while True:
            page = select(table).where(table.c.writer == writer, tuple_(*order) > last).order_by(*order).limit(PAGE)
            with self.begin() as connection:
                found = connection.execute(page).mappings().all()
            for row in found:
                yield Link(
                    row["sequence"],
                    row["hash"],
                    kind.letter + entries.body(kind, dict(row)),
                    f"{kind.name} {row[kind.id]}",
                )
            if len(found) < PAGE:
                return
            last = (found[-1]["sequence"], found[-1][kind.id])

    def days(self) -> dict[str, int]:
        """Count the decisions of each day (UTC)."""
        day = func.substr(DECISIONS.c.decided_at, 1, len("2026-11-30"))
        with self.begin() as connection:
            found = connection.execute(select(day, func.count()).group_by(day).order_by(day)).all()
        return {row[0]: row[1] for row in found}

    def decisions(self, day: str) -> Iterator[Sequence[dict[str, Any]]]:
        """Read the decisions of a day in pages, by time."""
        order = (DECISIONS.c.decided_at, DECISIONS.c.decision_id)
        last = (f"{day}T", "")
        while True:
            page = select(DECISIONS).where(tuple_(*order) > last, order[0] < f"{day}U").order_by(*order).limit(PAGE)
            with self.begin() as connection:
                found = [dict(row) for row in connection.execute(page).mappings()]
            if found:
                yield found
            if len(found) < PAGE:
                return
            last = (found[-1]["decided_at"], found[-1]["decision_id"])

    def shadowed(self, champion: str, shadow: str, since: str) -> Iterator[Pair]:
        """Read the decisions of a champion, from a time on, that a shadow scored too, oldest first."""
        columns = (DECISIONS.c.applicant_id, DECISIONS.c.pd, DECISIONS.c.decision, DECISIONS.c.shadow)
        wanted = select(*columns).where(*_beside(champion, since))
        wanted = wanted.order_by(DECISIONS.c.decided_at, DECISIONS.c.decision_id).execution_options(yield_per=PAGE)
        with self.begin() as connection:
            for applicant, pd, decision, beside in connection.execute(wanted):
                other = msgspec.json.decode(beside, type=Shadowed)
                if other.model_version == shadow:
                    yield Pair(applicant, pd, decision, other.pd, other.decision)

    def count_shadowed(self, champion: str, since: str) -> int:
        """Count the decisions of a champion, from a time on, that any shadow scored too."""
        counted = select(func.count()).select_from(DECISIONS).where(*_beside(champion, since))
        with self.begin() as connection:
            return int(connection.execute(counted).scalar_one())

    def unchained(self) -> int:
        """Count the records that stand in no chain: those of releases without chains."""
        with self.begin() as connection:
            return sum(
                connection.execute(
                    select(func.count()).select_from(_table(kind)).where(_table(kind).c.sequence.is_(None))
                ).scalar_one()
                for kind in entries.KINDS.values()
            )

    def problem(self) -> str | None:
        """Say why the database cannot be written, by writing to it; within a second the last answer is repeated."""
        at, problem = self._probed
        if time.monotonic() - at < PROBE_SECONDS and at:
            return problem
        try:
            with self.begin() as connection:
                connection.execute(PROBE.delete())
                connection.execute(insert(PROBE), [{"name": "ready", "at": time.time()}])
                for table in (DECISIONS, REVIEWS, WRITERS):
                    connection.execute(select(table).limit(0))
        except FAILURES as error:
            return self.failed(error)
        self._probed = (time.monotonic(), None)
        return None

    def failed(self, error: Exception) -> str:
        """Note that a use failed, and say it without the statement, whose parameters are an applicant's."""
        cause = getattr(error, "orig", None) or error
        remedy = "check its disk, its permissions and CREDITRISK_SERVING_DECISIONS_URL"
        problem = f"the database of the decision log cannot be written ({type(cause).__name__}); {remedy}"
        if isinstance(error, SchemaError):
            problem = str(error)
        self._probed = (time.monotonic(), problem)
        return problem

    def check_schema(self) -> None:
        """Refuse a database of another schema; one that is not there, or cannot be reached now, is not refused.

        Raises
        ------
        SchemaError
            It is newer or older than this release reads.
        """
        if make_url(self._url).get_backend_name() == "sqlite" and _identity(self._url) is None:
            return  # it is made with the first decision
        with suppress(SQLAlchemyError, OSError):
            self.opened()

    def close(self) -> None:
        """Close all connections."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def opened(self) -> Engine:
        """Open the database at first use; while it cannot be opened, each use tries again.

        A file deleted or replaced under the service would swallow decisions: it is noticed, said, and the database opened anew.
        """
        with self._opening:
            if self._engine is not None and _identity(self._url) != self._file:
                LOG.error("decision_log_replaced")
                self._engine.dispose()
                self._engine = None
            if self._engine is None:
                engine = _engine(self._url)
                with engine.connect() as connection:
                    SCHEMA.check(connection)
                _create(engine)
                self._engine, self._file = engine, _identity(self._url)
            return self._engine


def _table(kind: Kind) -> Table:
    return METADATA.tables[kind.table]


@contextmanager
def reading(url: str) -> Iterator[Database]:
    """Open the database of decisions for a command or an asset, and close it.

    Raises
    ------
    DecisionLogError
        It cannot be read.
    """
    database = Database(url)
    try:
        yield database
    except SchemaError as error:
        raise DecisionLogError(str(error)) from None
    except FAILURES as error:
        cause = getattr(error, "orig", None) or error
        # No cause is chained: the words of a database may hold an applicant's values.
        raise DecisionLogError(
            f"the decision log cannot be read ({type(cause).__name__}); check CREDITRISK_SERVING_DECISIONS_URL"
        ) from None
    finally:
        database.close()


def _beside(champion: str, since: str) -> tuple[ColumnElement[bool], ...]:
    return (
        DECISIONS.c.decided_at >= since,
        DECISIONS.c.model_version == champion,
        DECISIONS.c.shadow.is_not(None),
    )


def _read(line: bytes) -> tuple[Kind, dict[str, Any]]:
    kind = entries.KINDS[line[:1]]
    return kind, entries.row(kind, line[1:])


def _sealed(
    connection: Connection, found: Sequence[tuple[Kind, dict[str, Any]]]
) -> Iterator[tuple[Kind, dict[str, Any]]]:
    """Seal what is personal among records."""
    applicants = {row["applicant_id"] for kind, row in found if kind in entries.SEALED_KINDS}
    keys = sealing.keys_for(connection, applicants) if applicants else {}
    for kind, row in found:
        yield kind, sealing.seal(row, keys[row["applicant_id"]]) if kind in entries.SEALED_KINDS else row


def _answer(connection: Connection, one: Answered) -> None:
    """Put an answer to its key; a key that was forgotten meanwhile stays forgotten."""
    mine = (ANSWERS.c.caller == one.caller, ANSWERS.c.key == one.key, ANSWERS.c.body_sha256 == one.body_sha256)
    connection.execute(update(ANSWERS).where(*mine).values(answer=one.answer))


def _keep_layout(connection: Connection, row: Mapping[str, str]) -> None:
    """Keep a layout unless it is there; another process may be doing so."""
    there = select(LAYOUTS.c.layout).where(LAYOUTS.c.layout == row["layout"])
    if connection.execute(there).first() is None:
        with suppress(IntegrityError), connection.begin_nested():
            connection.execute(insert(LAYOUTS), [row])


def _head(connection: Connection, writer: str) -> Head:
    columns = (WRITERS.c.frames, WRITERS.c.sequence, WRITERS.c.hash)
    found = connection.execute(select(*columns).where(WRITERS.c.writer == writer)).first()
    return Head(*found) if found is not None else Head(0, 0, genesis(writer))


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
        SCHEMA.note(connection)


def _lacking(engine: Engine) -> list[Column[Any]]:
    """Name the columns that a log of an earlier release lacks."""
    there = {column["name"] for column in inspect(engine).get_columns(DECISIONS.name)}
    return [column for column in DECISIONS.columns if column.name not in there]


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("pragma page_size = 8192")  # a decision has some 12 KB
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = full")
    cursor.execute("pragma secure_delete = on")  # an erased key leaves no bytes behind
    cursor.close()
