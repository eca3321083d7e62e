"""The ledger of the registry: what was registered, judged, approved, promoted and taken back, by whom, why and on what evidence.

What belongs here: the table, the chain, the signatures, the checkpoints, what they prove, what the entries say was in use. What does not:
when an entry is made (`changing`, `approvals`), MLflow (`versions`).

Each entry carries the hash of the one before and the platform's signature, so one that was changed, inserted or moved without the key is
found. An end that was cut off is found by the checkpoints: a file outside the database with a signed line for each entry.
"""

import base64
import binascii
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, Text, create_engine, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from creditrisk_assets.modelling import trust
from creditrisk_assets.schema_version import Schema

Kind = Literal[
    "registration",
    "gate",
    "comparison",
    "approver",
    "approval",
    "refusal",
    "promotion",
    "rollback",
    "override",
    "alias",
]
Phase = Literal["intent", "done", "undone"]  # of a promotion or rollback; whatever else happened is done
CHANGES = ("promotion", "rollback")  # of the champion
WITHDRAWN = "withdrawn"  # among the details of an alias: its name was taken back
ENTRY_DOMAIN, CHECKPOINT_DOMAIN = b"creditrisk registry ledger entry\n", b"creditrisk registry ledger checkpoint\n"
GENESIS = hashlib.sha256(b"creditrisk registry ledger").hexdigest()
ATTEMPTS = 20  # at the next place of the chain, while others append too
ADVISORY_LOCK = 7041777  # PostgreSQL's, of whoever changes what is in use
WAIT_SECONDS = 30
METADATA = MetaData()
SCHEMA = Schema("ledger", "ledger_0002")
_LEDGER = Table(
    "ledger",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),  # canonical JSON of the event
    Column("hash", String(64), nullable=False),
    Column("signature", String(88), nullable=False),
)
_INBOX = Table(  # approvals sent to a service: nothing in it counts before it is in the ledger
    "approval_inbox",
    METADATA,
    Column("token_sha256", String(64), primary_key=True),
    Column("token", Text, nullable=False),
    Column("caller", String(64), nullable=False),
    Column("taken_at", String(32), nullable=False),  # UTC, ISO 8601
)


class LedgerError(RuntimeError):
    """The ledger cannot be used, or is not as it was written; the message says where and what to do."""


class BusyError(RuntimeError):
    """Somebody else is changing what is in use at this moment."""


@dataclass(frozen=True)
class Event:
    """One thing that happened to a model version.

    Attributes
    ----------
    kind, phase
        What it was, and how far it came.
    model_version
        Of the bundle; empty where it is about no version.
    identity, reason
        Who did it and why.
    evidence
        Hash of what it rests on; empty where it rests on nothing.
    details
        Further JSON values.
    at
        UTC, ISO 8601; sorts as text.
    """

    kind: Kind
    model_version: str
    identity: str
    reason: str
    evidence: str = ""
    phase: Phase = "done"
    details: Mapping[str, Any] = field(default_factory=dict)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"))

    def to_json(self) -> str:
        """Render as canonical JSON: what is hashed."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Entry:
    """An event in its place."""

    sequence: int
    event: Event
    hash: str

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return {"sequence": self.sequence, **asdict(self.event), "hash": self.hash}


@dataclass(frozen=True)
class Verification:
    """What was verified, and what is not as it was written."""

    entries: int
    checkpoints: int
    findings: tuple[str, ...]


class Ledger:
    """Where the registry's events are kept.

    Parameters
    ----------
    url
        SQLAlchemy URL: SQLite or PostgreSQL. Nothing is opened before it is first used.
    checkpoints
        File of signed checkpoints.
    public_key
        Who may have signed entries and checkpoints, 32 raw bytes each: the key in use, and those it replaced, which sign none after it has
        (`bundle.read_signers`).
    key
        The signing key; None: for reading alone.
    """

    def __init__(
        self, url: SecretStr, checkpoints: Path, public_key: bytes, key: Ed25519PrivateKey | None = None
    ) -> None:
        try:
            self._url = make_url(url.get_secret_value())
        except SQLAlchemyError:
            raise LedgerError(
                "CREDITRISK_REGISTRY_DATABASE is not a SQLAlchemy URL; write postgresql+psycopg2://user:password@host/database"
            ) from None
        self._checkpoints, self._public, self._key = checkpoints, public_key, key
        self._engine: Engine | None = None

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def append(self, event: Event) -> Entry:
        """Write an event, durably, and sign a checkpoint of it.

        Raises
        ------
        LedgerError
            It could not be written, or the last entry is not the platform's: to write after it would vouch for it.
        """
        if self._key is None:
            raise LedgerError("the ledger was opened for reading; entries are made where the signing key is")
        for _ in range(ATTEMPTS):
            place, before = self._end()
            content = event.to_json()
            digest = link(before, place, content)
            row = {"sequence": place, "content": content, "hash": digest, "signature": self._sign(digest)}
            try:
                with self._open(make=True).begin() as connection:
                    connection.execute(insert(_LEDGER), [row])
            except IntegrityError:
                continue  # somebody else took the place
            self._checkpoint(place, digest)
            return Entry(place, event, digest)
        raise LedgerError("the ledger is written to by too many at once; try again")

    def whole(self) -> bool:
        """Tell whether every entry follows the one before and the last is signed; the checkpoints need not be here."""
        return not self._chain(quick=True)[1]

    def damage(self) -> tuple[str, ...]:
        """Say what of the entries is not as it was written, every signature verified; the checkpoints need not be here."""
        return tuple(self._chain(quick=False)[1])

    def leave(self, token: str, caller: str) -> bool:
        """Leave an approval for the registry, which judges it; tell whether it was not there before."""
        row = {
            "token_sha256": hashlib.sha256(token.encode()).hexdigest(),
            "token": token,
            "caller": caller,
            "taken_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        }
        try:
            with self._open(make=True).begin() as connection:
                connection.execute(insert(_INBOX), [row])
        except IntegrityError:
            return False
        return True

    def left(self) -> list[str]:
        """Return the approvals that were left, oldest first, whether or not the ledger tells what became of them."""
        if self._file is not None and not self._file.exists():
            return []
        engine = self._open(make=False)
        with engine.connect() as connection:
            if not engine.dialect.has_table(connection, _INBOX.name):
                return []
            return list(connection.scalars(select(_INBOX.c.token).order_by(_INBOX.c.taken_at)))

    def adopt(self) -> None:
        """Make the table where it is not there, and note the schema of one of a release without versions."""
        self._open(make=True)

    def entries(self) -> tuple[Entry, ...]:
        """Read every entry, oldest first, unverified.

        Raises
        ------
        LedgerError
            An entry is none.
        """
        return tuple(_entry(*row[:3]) for row in self._rows())

    def verify(self, *, quick: bool = False) -> Verification:
        """Compare every entry with its place, its signature, and the checkpoints; findings name entries.

        Parameters
        ----------
        quick
            Whether of the signatures only the last entry's and the last checkpoint's are verified. Each entry's hash is in the next
            one's, so these two speak for every entry; what is not seen is that an earlier checkpoint was changed.
        """
        hashes, findings = self._chain(quick=quick)
        checkpoints, wrong = self._read_checkpoints(last_alone=quick)
        findings += wrong
        for records, head in sorted(checkpoints.items()):
            if records not in hashes:
                findings.append(f"entry {records} was cut off; a checkpoint holds it")
            elif hashes[records] != head:
                findings.append(f"entry {records} was replaced: a checkpoint holds another hash")
        if hashes and not checkpoints:
            findings.append(f"no checkpoint is left of {len(hashes)} entries in {self._checkpoints}")
        return Verification(len(hashes), len(checkpoints), tuple(findings))

    def _chain(self, *, quick: bool) -> tuple[dict[int, str], list[str]]:
        """Return the hash of each entry by its place, and what is wrong with the entries."""
        findings: list[str] = []
        hashes: dict[int, str] = {}
        before, turns, rows = GENESIS, _Turns(), self._rows()
        for expected, (sequence, content, digest, signature) in enumerate(rows, start=1):
            if sequence != expected and sequence - 1 not in hashes:
                findings.append(f"the entries before {sequence} are not all there")
            if digest != link(before, sequence, content):
                findings.append(f"entry {sequence} was changed, or the one before it")
            elif not (quick and expected < len(rows)) and not turns.allow(
                self._signer(ENTRY_DOMAIN, digest.encode(), signature)
            ):
                findings.append(f"entry {sequence} is not signed by the platform's key")
            hashes[sequence] = before = digest
        return hashes, findings

    @contextmanager
    def exclusive(self, lock: Path) -> Iterator[None]:
        """Keep others from changing what is in use: by a file on this machine, and by the database where it is a server.

        Raises
        ------
        BusyError
            Somebody else does so now.
        """
        lock.parent.mkdir(parents=True, exist_ok=True)
        busy = "another promotion or rollback is under way; wait for it, and look at `creditrisk ledger` before you repeat this one"
        with lock.open("a+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(busy) from None
            if self._url.get_backend_name() != "postgresql":
                yield
                return
            with self._open(make=True).connect() as connection:
                if not connection.scalar(text("select pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}):
                    raise BusyError(busy)
                try:
                    yield
                finally:
                    connection.execute(text("select pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})

    def _open(self, *, make: bool) -> Engine:
        if make and self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        if self._engine is None:
            arguments = {"timeout": WAIT_SECONDS} if self._url.get_backend_name() == "sqlite" else {}
            engine = create_engine(self._url, connect_args=arguments)
            with engine.connect() as connection:
                SCHEMA.check(connection)
            self._engine = engine
        if make:
            with self._engine.begin() as connection:
                for table in METADATA.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
                SCHEMA.note(connection)
        return self._engine

    @property
    def _file(self) -> Path | None:
        return Path(self._url.database or "") if self._url.get_backend_name() == "sqlite" else None

    def _rows(self) -> list[tuple[int, str, str, str]]:
        if self._file is not None and not self._file.exists():
            return []
        engine = self._open(make=False)
        with engine.connect() as connection:
            if not engine.dialect.has_table(connection, _LEDGER.name):
                return []
            return [tuple(row) for row in connection.execute(select(_LEDGER).order_by(_LEDGER.c.sequence))]

    def _end(self) -> tuple[int, str]:
        """Return the place of the next entry and the hash it follows; a registry has hundreds of entries."""
        rows = self._rows()
        if not rows:
            return 1, GENESIS
        sequence, content, digest, signature = rows[-1]
        before = rows[-2][2] if len(rows) > 1 else GENESIS
        signed = self._signer(ENTRY_DOMAIN, digest.encode(), signature) is not None
        if not signed or digest != link(before, sequence, content):
            raise LedgerError(
                f"the last entry of the ledger, {sequence}, is not as the platform wrote it, so nothing is written after it; see"
                " `creditrisk ledger --verify`, restore its database"
            )
        return sequence + 1, digest

    def _sign(self, digest: str) -> str:
        assert self._key is not None  # noqa: S101 - `append` looked
        return base64.b64encode(self._key.sign(ENTRY_DOMAIN + digest.encode())).decode()

    def _signer(self, domain: bytes, content: bytes, signature: str | bytes) -> int | None:
        try:
            return trust.signer(self._public, base64.b64decode(signature, validate=True), domain + content)
        except (InvalidSignature, binascii.Error, ValueError):
            return None

    def _checkpoint(self, records: int, head: str) -> None:
        assert self._key is not None  # noqa: S101 - `append` looked
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        content = json.dumps({"records": records, "head": head, "signed_at": at}, sort_keys=True).encode()
        line = base64.b64encode(self._key.sign(CHECKPOINT_DOMAIN + content)) + b" " + content + b"\n"
        try:
            self._checkpoints.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._checkpoints, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise LedgerError(
                f"entry {records} is written, its checkpoint is not: {self._checkpoints} ({error.strerror}); mend that, the next entry"
                " is checkpointed again"
            ) from error

    def _read_checkpoints(self, *, last_alone: bool) -> tuple[Mapping[int, str], list[str]]:
        """Return the places that were signed -> hash, and what is wrong with the file."""
        try:
            lines = self._checkpoints.read_bytes().splitlines()
        except FileNotFoundError:
            return {}, []
        except OSError as error:
            return {}, [f"the checkpoints {self._checkpoints} cannot be read ({error.strerror})"]
        known, wrong, turns = {}, [], _Turns()
        for number, line in list(enumerate(lines, start=1))[-1 if last_alone else 0 :]:
            signature, _, content = line.partition(b" ")
            if turns.allow(self._signer(CHECKPOINT_DOMAIN, content, signature)):
                signed = json.loads(content)
                known[int(signed["records"])] = str(signed["head"])
            else:
                wrong.append(
                    f"line {number} of {self._checkpoints} is not signed by the platform's key, or was changed"
                )
        return known, wrong


class _Turns:
    """Whose turn it is to sign: a key that was replaced signs nothing after its successor has."""

    def __init__(self) -> None:
        self._by: int | None = None

    def allow(self, by: int | None) -> bool:
        """Say whether the key at a place of the trusted ones (None: no such key) may have signed what comes next."""
        if by is None or (self._by is not None and by > self._by):
            return False
        self._by = by
        return True


def link(before: str, sequence: int, content: str) -> str:
    """Return the hash of an entry: over the hash before it, its place and its content."""
    return hashlib.sha256(f"{before}\n{sequence}\n{content}".encode()).hexdigest()


def champion_at(entries: Sequence[Entry], at: datetime | None = None) -> Entry | None:
    """Return the entry that made the champion of a moment; None: there was none, or it is not known.

    Parameters
    ----------
    entries
        Of the ledger, oldest first.
    at
        The moment, with time zone; None: now.
    """
    until = None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds")
    made = [
        e
        for e in entries
        if e.event.kind in CHANGES and e.event.phase == "done" and (until is None or e.event.at <= until)
    ]
    return made[-1] if made and made[-1].event.model_version else None


def champion_before(entries: Sequence[Entry]) -> str | None:
    """Return the version a rollback goes to: the champion before the present one; None: there was none.

    A version that was taken back is not gone back to: two rollbacks go two versions back.
    """
    line: list[str] = []
    for entry in entries:
        event = entry.event
        if event.kind not in CHANGES or event.phase != "done" or not event.model_version:
            continue
        if event.kind == "rollback" and event.model_version in line:
            line = line[: line.index(event.model_version) + 1]
        elif not line or line[-1] != event.model_version:
            line.append(event.model_version)
    return line[-2] if len(line) > 1 else None


def ever_in_use(entries: Sequence[Entry]) -> frozenset[str]:
    """Return every version that was champion at some time."""
    done = (e.event.model_version for e in entries if e.event.kind in CHANGES and e.event.phase == "done")
    return frozenset(version for version in done if version)


def namings(entries: Sequence[Entry]) -> Mapping[str, Entry]:
    """Return the entry that gave each alias other than the champion's to the version it names now."""
    named = {e.event.details["alias"]: e for e in entries if e.event.kind == "alias" and e.event.details}
    return {alias: entry for alias, entry in named.items() if not entry.event.details.get(WITHDRAWN)}


def named_by_alias(entries: Sequence[Entry]) -> frozenset[str]:
    """Return the versions that aliases other than the champion's name."""
    return frozenset(entry.event.model_version for entry in namings(entries).values())


def interrupted(entries: Sequence[Entry]) -> Entry | None:
    """Return the change that was begun and neither finished nor undone."""
    changes = [entry for entry in entries if entry.event.kind in CHANGES]
    return changes[-1] if changes and changes[-1].event.phase == "intent" else None


def _entry(sequence: int, content: str, digest: str) -> Entry:
    try:
        return Entry(sequence, Event(**json.loads(content)), digest)
    except (ValueError, TypeError) as error:
        raise LedgerError(f"entry {sequence} of the ledger is none; see `creditrisk ledger --verify`") from error
