"""The alert store: alerts, their history, mutes, and the outbox of what is still to be delivered.

What belongs here: the tables, and the transactions on them. What does not: what a plan decides (`routing`), sending (`delivery`).

A plan is made and written in one transaction that no other plan overlaps, together with the deliveries it asks for. So a process killed
anywhere leaves either no trace of a plan or all of it, and two processes that see the same thing tell it once.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr, TypeAdapter
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeDecorator

from creditrisk_assets.monitoring.alerts.configuration import AlertPolicy
from creditrisk_assets.monitoring.alerts.routing import AHEAD, Alert, Mute, Plan, State, plan
from creditrisk_assets.monitoring.conditions import Observation
from creditrisk_assets.schema_version import Schema, SchemaError

PATIENCE = 8  # attempts after which a delivery no longer goes before younger ones of its channel
LONGEST_PAUSE = timedelta(hours=1)  # between two attempts, whatever a receiver asks for
LOCK = 7041776  # PostgreSQL advisory lock of this store
WAIT_SECONDS = 30  # for another process that writes; one that hangs must not hang this one
CONNECT_SECONDS = 10
LONGEST_MUTE = timedelta(days=366)
LARGEST_ID = 2**63 - 1
_ALERT = TypeAdapter(Alert)


class AlertStoreError(RuntimeError):
    """The store cannot be used, or was asked for what is not there; the message names no secret."""


class Moment(TypeDecorator[datetime]):
    """A time with zone, kept as text in UTC so that it sorts and survives every database."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        """Write it."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        """Read it."""
        return None if value is None else datetime.fromisoformat(value)


METADATA = MetaData()
SCHEMA = Schema("alerts", "alerts_0002")
ALERTS = Table(
    "alerts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", String(512), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("owner", String(128), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("resolved_at", Moment),
    Column("acknowledged_by", String(128)),
    Column("body", JSON, nullable=False),  # the whole alert; the columns before are copies, for people who query
)
ONE_OPEN = Index(
    "alerts_one_open_per_fingerprint",
    ALERTS.c.fingerprint,
    unique=True,
    sqlite_where=ALERTS.c.resolved_at.is_(None),
    postgresql_where=ALERTS.c.resolved_at.is_(None),
)
BY_END = Index("alerts_by_end", ALERTS.c.resolved_at)
HISTORY = Table(
    "history",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("alert_id", Integer, nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("event", String(32), nullable=False),
    Column("words", Text, nullable=False),
)
DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String(32), nullable=False, unique=True),  # the same for each attempt, so that a receiver can tell
    Column("channel", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("notices", JSON, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", Moment, nullable=False),
    Column("delivered_at", Moment),
    Column("last_error", Text),
    Index("deliveries_waiting", "channel", "delivered_at"),
)
LEASES = Table(
    "leases",
    METADATA,
    Column("channel", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until", Moment, nullable=False),
)
MUTES = Table(
    "mutes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("pattern", String(512), nullable=False),
    Column("until", Moment, nullable=False),
    Column("by", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
)


@dataclass(frozen=True)
class Delivery:
    """A message on its way to a channel."""

    id: int
    key: str
    notices: Sequence[Mapping[str, Any]]
    attempts: int


@dataclass(frozen=True)
class Waiting:
    """What a channel has not received yet."""

    channel: str
    messages: int
    since: datetime
    attempts: int
    last_error: str | None


class AlertStore:
    """Where alerts are kept.

    Parameters
    ----------
    url
        SQLAlchemy URL: SQLite or PostgreSQL. Nothing is opened before it is first used.
    """

    def __init__(self, url: SecretStr) -> None:
        try:
            self._url = make_url(url.get_secret_value())
            if "@" in (self._url.host or ""):  # a part of the password, which errors of the driver would show
                raise ValueError
        except (SQLAlchemyError, ValueError):
            raise AlertStoreError(
                "CREDITRISK_ALERTS_DATABASE is not a SQLAlchemy URL; write postgresql+psycopg2://user:password@host/database, "
                "with @ in the password as %40 and % as %25"
            ) from None
        self._engine: Engine | None = None

    def __enter__(self) -> "AlertStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    @property
    def exists(self) -> bool:
        """Whether there may be something in it: looking must not make a store."""
        return self._file is None or self._file.exists()

    def apply(self, seen: Observation, policy: AlertPolicy, now: datetime) -> Plan:
        """Plan what an observation changes, and write the plan with the deliveries it asks for.

        Raises
        ------
        AlertStoreError
            The store cannot be used; nothing was written.
        """
        with self._transaction() as connection:
            planned = plan(_state(connection, now - policy.memory, now), seen, policy, now)
            ids = {mark: _write(connection, alert) for mark, alert in planned.alerts.items()}
            outbox: dict[str, list[dict[str, Any]]] = {}
            for notice in planned.notices:
                alert_id = ids[notice.alert.fingerprint]
                told = notice.to_dict(alert_id, now)
                _record(connection, alert_id, now, notice.event, told["what"])
                for channel in notice.channels:
                    outbox.setdefault(channel, []).append(told)
            for channel, notices in outbox.items():
                row = {"key": uuid.uuid4().hex, "channel": channel, "created_at": now, "next_attempt_at": now}
                connection.execute(insert(DELIVERIES), [{**row, "notices": notices}])
            if policy.kept is not None:
                _forget(connection, now - policy.kept)
        return planned

    def acknowledge(self, alert_id: int, by: str, reason: str, now: datetime) -> Alert:
        """Note that somebody takes care of an alert: it is neither escalated nor reminded of any more.

        Raises
        ------
        AlertStoreError
            There is no such open alert, or it is not said who.
        """
        by = _said("who takes care of it (--by)", by, 128)
        with self._transaction() as connection:
            row = _row(connection, alert_id)
            if row is None or row.resolved_at is not None:
                state = "was never opened" if row is None else "is resolved already"
                raise AlertStoreError(f"alert {alert_id} {state}; `creditrisk alerts list` shows what is open")
            alert = replace(_alert(row), acknowledged_by=by)
            _write(connection, alert)
            _record(connection, alert_id, now, "acknowledged", f"by {by}" + (f": {reason}" if reason else ""))
        return alert

    def mute(self, mute: Mute, now: datetime) -> None:
        """Keep alerts whose fingerprint fits a pattern from being told until a time.

        Raises
        ------
        AlertStoreError
            The time has passed already or is far away, it is not said by whom and why, or the store cannot be used.
        """
        if mute.until <= now:
            raise AlertStoreError(
                f"a mute until {mute.until:%Y-%m-%d %H:%M} UTC would have ended already; give a later time"
            )
        if mute.until - now > LONGEST_MUTE:
            raise AlertStoreError(f"a mute lasts {LONGEST_MUTE.days} days at most; mute it again then, if need be")
        mute = replace(
            mute,
            pattern=_said("the pattern", mute.pattern, 512),
            by=_said("who does not want to hear of it (--by)", mute.by, 128),
            reason=_said("why (--reason)", mute.reason, 2000),
        )
        with self._transaction() as connection:
            connection.execute(insert(MUTES), [{**vars(mute), "made_at": now}])

    def unmute(self, pattern: str, now: datetime) -> int:
        """End the mutes in force that have a pattern; return how many."""
        with self._transaction() as connection:
            ended = connection.execute(
                update(MUTES).where(MUTES.c.pattern == pattern, MUTES.c.until > now).values(until=now)
            )
            return int(ended.rowcount)

    def mutes(self, now: datetime) -> Sequence[Mute]:
        """List the mutes in force."""
        with self._transaction() as connection:
            return _mutes(connection, now)

    def alerts(self, *, resolved: bool = False, limit: int = 200) -> Sequence[Alert]:
        """List open alerts, and on demand resolved ones, the newest first."""
        query = select(ALERTS).order_by(ALERTS.c.resolved_at.is_not(None), ALERTS.c.opened_at.desc()).limit(limit)
        if not resolved:
            query = query.where(ALERTS.c.resolved_at.is_(None))
        with self._transaction() as connection:
            return [_alert(row) for row in connection.execute(query)]

    def history(self, alert_id: int) -> tuple[Alert, Sequence[Mapping[str, Any]]]:
        """Return an alert and what happened to it, oldest first.

        Raises
        ------
        AlertStoreError
            There is no such alert.
        """
        with self._transaction() as connection:
            row = _row(connection, alert_id)
            if row is None:
                raise AlertStoreError(
                    f"there is no alert {alert_id}; `creditrisk alerts list --all` shows which there are"
                )
            events = connection.execute(select(HISTORY).where(HISTORY.c.alert_id == alert_id).order_by(HISTORY.c.id))
            return _alert(row), [{"at": e.at, "event": e.event, "words": e.words} for e in events]

    def waiting(self) -> Sequence[Waiting]:
        """List what was not delivered yet, by channel."""
        query = (
            select(
                DELIVERIES.c.channel,
                func.count().label("messages"),
                func.min(DELIVERIES.c.created_at, type_=Moment).label("since"),
                func.max(DELIVERIES.c.attempts).label("attempts"),
                func.max(DELIVERIES.c.last_error).label("last_error"),
            )
            .where(DELIVERIES.c.delivered_at.is_(None))
            .group_by(DELIVERIES.c.channel)
            .order_by(DELIVERIES.c.channel)
        )
        with self._transaction() as connection:
            return [Waiting(**row) for row in connection.execute(query).mappings()]

    def lease(self, channel: str, holder: str, now: datetime, span: timedelta) -> bool:
        """Take or renew the right to deliver to a channel; a dead holder's ends by itself."""
        with self._transaction() as connection:
            held = connection.execute(select(LEASES).where(LEASES.c.channel == channel)).first()
            if held is not None and held.holder != holder and now < held.until <= now + span + AHEAD:
                return False
            connection.execute(delete(LEASES).where(LEASES.c.channel == channel))
            connection.execute(insert(LEASES), [{"channel": channel, "holder": holder, "until": now + span}])
        return True

    def release(self, channel: str, holder: str) -> None:
        """Give the right back."""
        with self._transaction() as connection:
            connection.execute(delete(LEASES).where(LEASES.c.channel == channel, LEASES.c.holder == holder))

    def head(self, channel: str, now: datetime) -> Delivery | None:
        """Return the next message of a channel, when one is due.

        The order is that of the plans, so that nobody hears of an end before the beginning; a message that failed time and again lets
        younger ones pass.
        """
        waiting = (DELIVERIES.c.channel == channel) & DELIVERIES.c.delivered_at.is_(None)
        query = select(DELIVERIES).where(waiting).order_by(DELIVERIES.c.attempts // PATIENCE, DELIVERIES.c.id).limit(1)
        with self._transaction() as connection:
            due = connection.execute(
                select(func.min(DELIVERIES.c.next_attempt_at, type_=Moment)).where(waiting)
            ).scalar()
            if due is None or now < due <= now + LONGEST_PAUSE + AHEAD:
                return None
            row = connection.execute(query).one()
            return Delivery(row.id, row.key, row.notices, row.attempts)

    def delivered(self, channel: str, delivery_id: int, now: datetime) -> None:
        """Note that a message arrived; since its channel answers, the others of the channel are due too."""
        with self._transaction() as connection:
            connection.execute(
                update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(delivered_at=now, last_error=None)
            )
            connection.execute(
                update(DELIVERIES)
                .where(DELIVERIES.c.channel == channel, DELIVERIES.c.delivered_at.is_(None))
                .values(next_attempt_at=now)
            )

    def failed(self, delivery: Delivery, error: str, next_attempt_at: datetime) -> None:
        """Note that a message did not arrive, why, and when it is tried again."""
        with self._transaction() as connection:
            connection.execute(
                update(DELIVERIES)
                .where(DELIVERIES.c.id == delivery.id)
                .values(attempts=delivery.attempts + 1, last_error=error, next_attempt_at=next_attempt_at)
            )

    @property
    def _file(self) -> Path | None:
        if self._url.get_backend_name() != "sqlite" or not self._url.database or self._url.database == ":memory:":
            return None
        return Path(self._url.database)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Open a transaction that no other of this store overlaps."""
        try:
            if self._engine is None:
                self._engine = self._open()
            with self._engine.begin() as connection:
                _exclude_others(connection)
                yield connection
        except SchemaError as error:
            raise AlertStoreError(str(error)) from None
        except (SQLAlchemyError, OSError, ImportError) as error:  # a driver that is not installed is an import error
            cause = getattr(error, "orig", None) or error
            raise AlertStoreError(
                f"the alert store cannot be used ({type(cause).__name__}: {_first_line(cause)}); "
                "check its disk, its permissions and CREDITRISK_ALERTS_DATABASE"
            ) from None

    def _open(self) -> Engine:
        if self._file is None:
            patience = {"connect_timeout": CONNECT_SECONDS} if self._url.get_driver_name().startswith("psycopg") else {}
            engine = create_engine(self._url, pool_pre_ping=True, hide_parameters=True, connect_args=patience)
        else:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(self._url, hide_parameters=True, connect_args={"timeout": WAIT_SECONDS})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("begin immediate"))
        with engine.begin() as connection:
            _exclude_others(connection)
            noted = SCHEMA.check(connection)
            for table in METADATA.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    connection.execute(CreateIndex(index, if_not_exists=True))
            if noted is None:
                SCHEMA.note(connection)
        return engine


def _exclude_others(connection: Connection) -> None:
    """Wait for the store's other writers (SQLite does so at `begin immediate`)."""
    if connection.dialect.name == "postgresql":
        patient = text("select set_config('lock_timeout', :wait, true), pg_advisory_xact_lock(:lock)")
        connection.execute(patient, {"wait": f"{WAIT_SECONDS}s", "lock": LOCK})


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where this module says
    cursor = connection.cursor()
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = normal")
    cursor.close()


def _state(connection: Connection, since: datetime, now: datetime) -> State:
    recent = or_(ALERTS.c.resolved_at.is_(None), ALERTS.c.resolved_at > since)
    rows = connection.execute(select(ALERTS).where(recent).order_by(ALERTS.c.id))
    return State(tuple(_alert(row) for row in rows), tuple(_mutes(connection, now)))


def _forget(connection: Connection, before: datetime) -> None:
    """Delete alerts that were resolved before a time, with their history, and what was delivered and muted before it."""
    old = select(ALERTS.c.id).where(ALERTS.c.resolved_at < before)
    if connection.execute(old.limit(1)).first() is None:  # by an index: the rest costs nothing on most days
        return
    connection.execute(delete(HISTORY).where(HISTORY.c.alert_id.in_(old)))
    connection.execute(delete(ALERTS).where(ALERTS.c.resolved_at < before))
    connection.execute(delete(DELIVERIES).where(DELIVERIES.c.delivered_at < before))
    connection.execute(delete(MUTES).where(MUTES.c.until < before))


def _row(connection: Connection, alert_id: int) -> Row[Any] | None:
    if not 0 < alert_id <= LARGEST_ID:  # no database has such a number, and drivers fail on it
        return None
    return connection.execute(select(ALERTS).where(ALERTS.c.id == alert_id)).first()


def _said(what: str, words: str, longest: int) -> str:
    if not 0 < len(words.strip()) <= longest:
        raise AlertStoreError(f"say {what}, in {longest} characters at most")
    return words.strip()


def _mutes(connection: Connection, now: datetime) -> list[Mute]:
    rows = connection.execute(select(MUTES).where(MUTES.c.until > now).order_by(MUTES.c.until))
    return [Mute(row.pattern, row.until, row.by, row.reason) for row in rows]


def _alert(row: Row[Any]) -> Alert:
    return _ALERT.validate_python({**row.body, "id": row.id})


def _write(connection: Connection, alert: Alert) -> int:
    condition = alert.condition
    values = {
        "fingerprint": condition.fingerprint,
        "kind": condition.kind,
        "subject": condition.subject,
        "severity": condition.severity,
        "owner": condition.owner,
        "opened_at": alert.opened_at,
        "resolved_at": alert.resolved_at,
        "acknowledged_by": alert.acknowledged_by,
        "body": _ALERT.dump_python(alert, mode="json"),
    }
    if alert.id is None:
        return int(connection.execute(insert(ALERTS).values(values)).inserted_primary_key[0])  # type: ignore[index]
    connection.execute(update(ALERTS).where(ALERTS.c.id == alert.id).values(values))
    return alert.id


def _record(connection: Connection, alert_id: int, now: datetime, what: str, words: str) -> None:
    connection.execute(insert(HISTORY), [{"alert_id": alert_id, "at": now, "event": what, "words": words}])


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200]
