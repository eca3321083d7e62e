"""Where snapshots of the online store are kept: SQLite below the home directory, or any SQLAlchemy URL.

What belongs here: the tables, writing a snapshot whole, the pointer to the current one, reading rows by key. What does not: what a row
holds (`layout`), making rows (`build`), what a lookup means to a request (`scoring.lookup`).

A snapshot is complete before its entry in `online_snapshots` is, and never changes after; the pointer is one row, moved in one
transaction. In SQLite each snapshot is a file of its own beside the index, elsewhere a table of its own beside the others. What a killed
build left is no snapshot, and goes when the next one is built.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable, DropTable

from creditrisk_assets.lake import sha256_file
from creditrisk_assets.schema_version import Schema, SchemaError
from creditrisk_serving.online.layout import Layout, LayoutError

PREFIX = "online_rows_"
CURRENT = "current"
KEPT = 2  # the one in use, and the one a reader may not have left yet
PAGE_BYTES = 32768  # rows of some 3 KB waste a tenth of a 4 KB page's file; larger pages read slower (5 us at 8 KB, 7 here, 8 at 64)
WRITTEN_AT_ONCE = 500
READ_AT_ONCE = 50
BUILD_LOCK = 0x0C5D1, 0x570E  # names the advisory lock of builders in PostgreSQL

INDEX = MetaData()
SCHEMA = Schema("online_store", "online_store_0001")
SNAPSHOTS = Table(
    "online_snapshots",
    INDEX,
    Column("name", String(64), primary_key=True),  # of its file or table
    Column("version", String(64), nullable=False),  # of what it holds; a snapshot built anew has the same
    Column("created_at", String(32), nullable=False),  # UTC, ISO 8601
    Column("rows_count", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # of the file; 0 elsewhere
    Column("sha256", String(64), nullable=False),  # of the file; empty elsewhere
    Column("layout", Text, nullable=False),  # JSON
)
POINTER = Table(
    "online_pointer",
    INDEX,
    Column("pointer", String(16), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("verified_at", String(32), nullable=False),  # when it was last known to be what the lake publishes
)


class OnlineStoreError(RuntimeError):
    """The online store is missing, damaged or unreachable; the message says which and what to do."""


@dataclass(frozen=True)
class Snapshot:
    """One complete snapshot."""

    name: str
    version: str
    created_at: str
    rows: int
    bytes: int
    sha256: str
    layout: Layout


@dataclass(frozen=True)
class Current:
    """What the pointer says."""

    name: str
    verified_at: datetime


class OnlineStore:
    """The snapshots below one URL or directory.

    Parameters
    ----------
    directory
        Where SQLite's files are.
    url
        SQLAlchemy URL of a database that takes their place; None: SQLite.
    """

    def __init__(self, directory: Path, url: str | None = None) -> None:
        self._directory = directory
        self._url = None if url is None else make_url(url)
        self._engine: Engine | None = None

    @property
    def backend(self) -> str:
        """Name of the database: `sqlite`, `postgresql`, …."""
        return "sqlite" if self._url is None else self._url.get_backend_name()

    # ---- reading

    def current(self) -> Current | None:
        """Return what the pointer names; None when nothing was published yet.

        Raises
        ------
        OnlineStoreError
            The index is damaged or unreachable.
        """
        if self._url is None and not self._index_file.exists():
            return None
        with self._refusing("its index cannot be read"), self._index().connect() as connection:
            if not inspect(connection).has_table(POINTER.name):
                return None
            found = connection.execute(select(POINTER).where(POINTER.c.pointer == CURRENT)).mappings().first()
        try:
            return None if found is None else Current(found["name"], datetime.fromisoformat(found["verified_at"]))
        except (ValueError, TypeError) as error:
            raise OnlineStoreError(f"the online store's pointer is damaged; {REMEDY}") from error

    def snapshot(self, name: str) -> Snapshot:
        """Return a complete snapshot by name.

        Raises
        ------
        OnlineStoreError
            There is none of that name, or its entry cannot be read.
        """
        with self._refusing("its index cannot be read"), self._index().connect() as connection:
            found = connection.execute(select(SNAPSHOTS).where(SNAPSHOTS.c.name == name)).mappings().first()
        if found is None:
            raise OnlineStoreError(f"the online store has no snapshot {name}; {REMEDY}")
        return _snapshot(found)

    def find(self, version: str) -> Snapshot | None:
        """Return the newest complete snapshot of a version whose rows are all there, unchanged."""
        with self._refusing("its index cannot be read"), self._index().begin() as connection:
            _create_index(connection)
            statement = select(SNAPSHOTS).where(SNAPSHOTS.c.version == version).order_by(SNAPSHOTS.c.created_at.desc())
            entries = connection.execute(statement).mappings().all()
        return next((found for entry in entries if self._is_intact(found := _snapshot(entry))), None)

    def open(self, snapshot: Snapshot) -> "Rows":
        """Open a snapshot for reading.

        Raises
        ------
        OnlineStoreError
            Its rows are missing, cut short or unreadable.
        """
        if self._url is None:
            path = self._file(snapshot.name)
            size = path.stat().st_size if path.exists() else None
            if size != snapshot.bytes:
                found = "missing" if size is None else f"{size} bytes long instead of {snapshot.bytes}"
                raise OnlineStoreError(f"the online store's {path.name} is {found}; {REMEDY}")
            query = {"mode": "ro", "immutable": "1", "uri": "true"}
            engine = create_engine(
                URL.create("sqlite", database=f"file:{path}", query=query), isolation_level="AUTOCOMMIT"
            )
        else:
            engine = create_engine(self._url, isolation_level="AUTOCOMMIT", hide_parameters=True)
        rows = Rows(engine, _rows_table(snapshot.name))
        try:
            rows.probe()
        except OnlineStoreError:
            rows.close()
            raise
        return rows

    # ---- writing

    def write(self, version: str, rows: Iterable[tuple[int, bytes]], layout: "LayoutSource") -> Snapshot:
        """Write a snapshot whole; it is not current before `point`. One builder at a time.

        Parameters
        ----------
        version
            Of what it holds.
        rows
            (key, packed row) of every applicant.
        layout
            Asked for the layout once all rows are written.

        Raises
        ------
        OnlineStoreError
            The store cannot be written.
        """
        name = f"{version[:16]}_{secrets.token_hex(4)}"
        table = _rows_table(name)
        with self.building(), self._refusing("it cannot be written"):
            with self._index().begin() as connection:
                _create_index(connection)
            self._sweep()
            engine = self._rows_engine(name)
            try:
                count = _write_rows(engine, table, rows)
            except BaseException:
                engine.dispose()
                self._drop(name)
                raise
            if self._url is None:
                engine.dispose()
                _sync(self._file(name))
                _sync(self._directory)
            size, digest = self._measured(name)
            created_at = datetime.now(UTC).isoformat(timespec="microseconds")
            entry = {
                "name": name, "version": version, "created_at": created_at, "rows_count": count, "bytes": size, "sha256": digest,
                "layout": json.dumps(layout.layout.to_dict()),
            }  # fmt: skip
            with self._index().begin() as connection:
                connection.execute(insert(SNAPSHOTS), [entry])
        return _snapshot(entry)

    def point(self, name: str) -> None:
        """Make a snapshot the current one, and say that it is what the lake publishes now.

        Raises
        ------
        OnlineStoreError
            There is no such snapshot, or the pointer cannot be moved.
        """
        self.snapshot(name)
        values = {"name": name, "verified_at": datetime.now(UTC).isoformat(timespec="seconds")}
        with self._refusing("its pointer cannot be moved"), self._index().begin() as connection:
            moved = connection.execute(update(POINTER).where(POINTER.c.pointer == CURRENT).values(values))
            if moved.rowcount == 0:
                connection.execute(insert(POINTER), [{"pointer": CURRENT, **values}])

    def prune(self) -> list[str]:
        """Remove all snapshots but the current one and the newest besides; return the names of those removed."""
        with self.building(), self._refusing("old snapshots cannot be removed"):
            current = self.current()
            with self._index().connect() as connection:
                newest = (
                    connection.execute(select(SNAPSHOTS.c.name).order_by(SNAPSHOTS.c.created_at.desc())).scalars().all()
                )
            kept = [name for name in newest if current is not None and name == current.name]
            kept += [name for name in newest if name not in kept][: KEPT - len(kept)]
            removed = [name for name in newest if name not in kept]
            with self._index().begin() as connection:
                connection.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.name.in_(removed)))
            self._sweep()
        return removed

    def check_schema(self) -> None:
        """Refuse an index of another schema; one that is not there, or cannot be reached now, is not refused.

        Raises
        ------
        SchemaError
            It is newer or older than this release reads.
        """
        if self._url is not None or self._index_file.exists():
            with contextlib.suppress(SQLAlchemyError, OSError):
                self._index()

    def adopt(self) -> None:
        """Bring the index of a release without schema versions up to date."""
        with self.building(), self._refusing("its index cannot be written"), self._index().begin() as connection:
            _create_index(connection)

    def close(self) -> None:
        """Let go of the index."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    # ---- the two kinds of database

    @property
    def _index_file(self) -> Path:
        return self._directory / "index.sqlite"

    def _file(self, name: str) -> Path:
        return self._directory / f"{PREFIX}{name}.sqlite"

    def _index(self) -> Engine:
        if self._engine is None:
            if self._url is None:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._index_file.touch(mode=0o600)  # features are personal data
                url = URL.create("sqlite", database=str(self._index_file))
                engine = create_engine(url, hide_parameters=True, connect_args={"timeout": 30})
            else:
                engine = create_engine(self._url, pool_pre_ping=True, hide_parameters=True)
            with engine.connect() as connection:
                SCHEMA.check(connection)
            self._engine = engine
        return self._engine

    def _rows_engine(self, name: str) -> Engine:
        """Return the engine that a new snapshot's rows are written by."""
        if self._url is not None:
            return self._index()
        self._file(name).touch(mode=0o600)
        engine = create_engine(URL.create("sqlite", database=str(self._file(name))), hide_parameters=True)
        event.listen(engine, "connect", _prepare_new_file)
        return engine

    def _measured(self, name: str) -> tuple[int, str]:
        if self._url is not None:
            return 0, ""
        return self._file(name).stat().st_size, sha256_file(self._file(name))

    def _is_intact(self, snapshot: Snapshot) -> bool:
        if self._url is None:
            path = self._file(snapshot.name)
            return path.exists() and self._measured(snapshot.name) == (snapshot.bytes, snapshot.sha256)
        table = _rows_table(snapshot.name)
        with self._refusing("it cannot be read"), self._index().connect() as connection:
            if not inspect(connection).has_table(table.name):
                return False
            return connection.execute(select(func.count()).select_from(table)).scalar_one() == snapshot.rows

    def _sweep(self) -> None:
        """Remove rows of which the index knows no snapshot: of builds that were killed, of snapshots removed."""
        with self._index().connect() as connection:
            known = set(connection.execute(select(SNAPSHOTS.c.name)).scalars())
            if self._url is None:
                found = {path.stem for path in self._directory.glob(f"{PREFIX}*.sqlite")}
            else:
                found = {table for table in inspect(connection).get_table_names() if table.startswith(PREFIX)}
        for table in found - {f"{PREFIX}{name}" for name in known}:
            self._drop(table.removeprefix(PREFIX))

    def _drop(self, name: str) -> None:
        if self._url is None:
            self._file(name).unlink(missing_ok=True)
        else:
            with self._index().begin() as connection:
                connection.execute(DropTable(_rows_table(name), if_exists=True))

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Wait until no other process builds or removes snapshots."""
        if self._url is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            with (self._directory / ".lock").open("w") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                yield
        elif self.backend == "postgresql":
            with self._index().connect() as connection:
                connection.execute(text("select pg_advisory_lock(:a, :b)"), {"a": BUILD_LOCK[0], "b": BUILD_LOCK[1]})
                connection.commit()
                try:
                    yield
                finally:
                    connection.execute(
                        text("select pg_advisory_unlock(:a, :b)"), {"a": BUILD_LOCK[0], "b": BUILD_LOCK[1]}
                    )
                    connection.commit()
        else:
            yield

    @contextlib.contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        """Say in words what the database refused; its own message may hold a URL or a value."""
        try:
            yield
        except SchemaError as error:
            raise OnlineStoreError(str(error)) from None
        except (SQLAlchemyError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            raise OnlineStoreError(f"the online store: {what} ({type(cause).__name__}); {CHECK}") from error


class LayoutSource(Protocol):
    """What knows the layout once all rows were packed (`build.Packer`)."""

    @property
    def layout(self) -> Layout:
        """The layout."""


class Rows:
    """The rows of one snapshot. Safe to share between threads.

    Statements are written by SQLAlchemy and run on the driver's own cursor: its execution layer alone takes longer than the lookup.

    Parameters
    ----------
    engine
        Where they are.
    table
        Their table.
    """

    def __init__(self, engine: Engine, table: Table) -> None:
        self._engine = engine
        self._idle: deque[Any] = deque()
        one = select(table.c.packed).where(table.c.sk_id_curr == bindparam("k"))
        names = [f"k{place}" for place in range(READ_AT_ONCE)]
        many = select(table.c.sk_id_curr, table.c.packed).where(
            table.c.sk_id_curr.in_([bindparam(name) for name in names])
        )
        self._one, self._by_place = _compiled(engine, one)
        self._many, _ = _compiled(engine, many)
        self._names = names

    def find(self, key: int) -> bytes | None:
        """Return an applicant's row; None when there is none.

        Raises
        ------
        OnlineStoreError
            The rows cannot be read.
        """
        found = self._run(self._one, (key,) if self._by_place else {"k": key})
        return bytes(found[0][0]) if found else None

    def find_many(self, keys: Sequence[int]) -> dict[int, bytes]:
        """Return the rows of those applicants that have one.

        Raises
        ------
        OnlineStoreError
            The rows cannot be read.
        """
        found: dict[int, bytes] = {}
        rest = iter(dict.fromkeys(keys))
        while some := list(islice(rest, READ_AT_ONCE)):
            some += [some[-1]] * (READ_AT_ONCE - len(some))  # one statement for any number
            given = tuple(some) if self._by_place else dict(zip(self._names, some, strict=True))
            found.update((key, bytes(packed)) for key, packed in self._run(self._many, given))
        return found

    def probe(self) -> None:
        """Read once, so that what is not there is known before it is needed."""
        self.find(0)

    def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            self._discard(self._idle.pop())
        self._engine.dispose()

    def _run(self, statement: str, given: Any) -> list[Any]:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._run_anew(statement, given)
        try:
            found = _fetch(connection, statement, given)
        except Exception:  # the driver's own; a database that was started anew has cut every connection
            self._discard(connection)
            return self._run_anew(statement, given)
        self._idle.append(connection)
        return found

    def _run_anew(self, statement: str, given: Any) -> list[Any]:
        try:
            connection = self._engine.raw_connection()
            try:
                found = _fetch(connection.driver_connection, statement, given)
            except Exception:
                connection.invalidate()
                raise
            self._idle.append(connection.driver_connection)
            connection.detach()
        except Exception as error:  # SQLAlchemy's, or any of the driver's, whose words may hold the key
            raise OnlineStoreError(f"the online store cannot be read ({type(error).__name__}); {CHECK}") from None
        return found

    @staticmethod
    def _discard(connection: Any) -> None:
        with contextlib.suppress(Exception):  # it is broken already
            connection.close()


REMEDY = "run `creditrisk run --select serving/online_features`"
CHECK = f"check that its database answers (CREDITRISK_ONLINE_STORE); where it does, {REMEDY}"


def _fetch(connection: Any, statement: str, given: Any) -> list[Any]:
    cursor = connection.cursor()
    try:
        cursor.execute(statement, given)
        found: list[Any] = cursor.fetchall()
    finally:
        cursor.close()
    return found


def _compiled(engine: Engine, statement: Any) -> tuple[str, bool]:
    """Write a statement for the engine's driver; tell whether it takes its parameters by place."""
    compiled = statement.compile(engine, compile_kwargs={"render_postcompile": True})
    return str(compiled), bool(compiled.positional)


def _rows_table(name: str) -> Table:
    # In SQLite an INTEGER key is the row's own number: one look into one tree.
    key = Column("sk_id_curr", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)
    return Table(f"{PREFIX}{name}", MetaData(), key, Column("packed", LargeBinary, nullable=False))


def _write_rows(engine: Engine, table: Table, rows: Iterable[tuple[int, bytes]]) -> int:
    count = 0
    rest = iter(rows)
    with engine.begin() as connection:
        connection.execute(CreateTable(table))
        while some := [{"sk_id_curr": key, "packed": packed} for key, packed in islice(rest, WRITTEN_AT_ONCE)]:
            connection.execute(insert(table), some)
            count += len(some)
    return count


def _create_index(connection: Any) -> None:
    for table in INDEX.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
    SCHEMA.note(connection)


def _prepare_new_file(connection: Any, _record: Any) -> None:
    """Write without a journal: a file whose writing did not end is thrown away."""
    cursor = connection.cursor()
    for pragma in (f"page_size = {PAGE_BYTES}", "journal_mode = off", "synchronous = off"):
        cursor.execute(f"pragma {pragma}")
    cursor.close()


def _snapshot(entry: Any) -> Snapshot:
    try:
        layout = Layout.from_dict(json.loads(entry["layout"]))
    except (LayoutError, ValueError, KeyError, TypeError) as error:
        raise OnlineStoreError(
            f"the online store's snapshot {entry['name']} cannot be read ({error}); {REMEDY}"
        ) from error
    return Snapshot(
        entry["name"],
        entry["version"],
        entry["created_at"],
        entry["rows_count"],
        entry["bytes"],
        entry["sha256"],
        layout,
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def version_of(*facts: object) -> str:
    """Name what a snapshot holds by a hash."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
