"""Is the log what was written: every record against its chain, every chain against its head and the signed checkpoints.

What belongs here: the comparison and its words. What does not: hashing (`chain`), signatures (`checkpoints`), reading (`database`).
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditrisk_serving.decisions.chain import genesis, link
from creditrisk_serving.decisions.checkpoints import (
    Checkpoint,
    CheckpointError,
    Checkpoints,
    Place,
    read_checkpoints,
    sign_checkpoint,
)
from creditrisk_serving.decisions.database import Database, Link

MOVED = 1000  # records out of place that are looked at pair by pair
Kind = Literal["changed", "moved", "removed", "inserted", "rewritten", "unchained"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it was written."""

    kind: Kind
    writer: str | None
    sequence: int | None
    record: str | None  # what it is and its id
    message: str


class Verification(msgspec.Struct, frozen=True):
    """What was verified, and what was found."""

    records: int
    chains: int
    checkpoints: int
    unchained: int
    heads: dict[str, Place]
    findings: list[Finding]


def verify_log(
    database: Database, checkpoints: Checkpoints, *, new_only: bool = False, only: Collection[str] = ()
) -> Verification:
    """Verify the log; what is taken into the database meanwhile is verified too.

    Parameters
    ----------
    database
        Where it is.
    checkpoints
        What was signed of it.
    new_only
        Whether to begin each chain where the last checkpoint of it was signed.
    only
        The writers whose chains are verified; none: all.
    """
    records, findings, heads = 0, [], {}
    writers = set(only) or set(database.writers()) | set(checkpoints.heads)
    for writer in sorted(writers):
        start = checkpoints.heads.get(writer) if new_only else None
        chain = _Chain(writer, checkpoints.known(writer), start or (0, genesis(writer)))
        for record in database.links(writer, chain.last):
            chain.add(record)
        head = database.head(writer)
        while head.sequence > chain.last and (more := list(database.links(writer, chain.last))):
            for record in more:
                chain.add(record)
            head = database.head(writer)
        findings += chain.end(head.sequence, head.hash)
        records += chain.count
        heads[writer] = (head.sequence, head.hash)
    unchained = database.unchained()
    if checkpoints.signed and unchained != (signed := checkpoints.signed[-1].unchained):
        message = f"{unchained} records stand in no chain, and {signed} did when the last checkpoint was signed"
        findings.append(Finding("unchained", None, None, None, message))
    return Verification(records, len(writers), len(checkpoints.signed), unchained, heads, findings)


def checkpoint_log(database: Database, path: Path, key: Ed25519PrivateKey, public_key: bytes) -> Checkpoint:
    """Sign what the log holds, after verifying what is new in it.

    Raises
    ------
    CheckpointError
        It is not as it was written, or the file of checkpoints is not: nothing was signed.
    """
    found = verify_log(database, read_checkpoints(path, public_key), new_only=True)
    if found.findings:
        raise CheckpointError(
            f"{len(found.findings)} records of the decision log are not as written, so nothing was signed; run `creditrisk verify-log`"
        )
    return sign_checkpoint(path, found.heads, found.unchained, key, public_key)


class _Chain:
    """One writer's chain while it is read."""

    def __init__(self, writer: str, signed: Mapping[int, tuple[str, str]], start: Place) -> None:
        self.writer, self.signed = writer, signed
        self.last, self.count = start[0], 0
        self._before: str | None = start[1]  # None: the record before is not there
        self._unlike: list[tuple[Link, str]] = []  # records that do not follow the one before, and its hash
        self._found: list[Finding] = []

    def add(self, record: Link) -> None:
        """Compare the next record with the chain so far."""
        self.count += 1
        if record.sequence <= self.last:
            self._say("inserted", record, f"a second record claims place {record.sequence}")
            return
        if record.sequence > self.last + 1:
            self._missing(record.sequence - 1)
        if self._before is not None and link(self._before, record.entry) != record.hash:
            self._unlike.append((record, self._before))
        if (known := self.signed.get(record.sequence)) is not None and known[0] != record.hash:
            self._say(
                "rewritten",
                record,
                f"the checkpoint of {known[1]} holds another hash: the chain up to here was made anew",
            )
        self.last, self._before = record.sequence, record.hash

    def end(self, sequence: int, digest: str) -> list[Finding]:
        """Compare the end with the head and the checkpoints, and return what was found."""
        expected = max([sequence, *self.signed])
        if self.last < expected:
            self._missing(expected)
        elif self.last > sequence:
            message = f"the chain ends at {self.last}, its head at {sequence}"
            self._found.append(Finding("inserted", self.writer, self.last, None, message))
        elif digest != self._before:
            message = "the head of the chain holds another hash than its last record"
            self._found.append(Finding("changed", self.writer, self.last, None, message))
        return sorted([*self._found, *self._judged()], key=lambda finding: finding.sequence or 0)

    def _judged(self) -> Iterator[Finding]:
        """Tell records that stand at another place than they were written from records that were changed."""
        few = self._unlike if len(self._unlike) <= MOVED else ()
        hashes = {digest for record, before in few for digest in (record.hash, before)}
        for record, _ in self._unlike:
            if any(link(digest, record.entry) == record.hash for digest in hashes):
                yield self._finding("moved", record, "it is whole, and does not stand where it was written")
            else:
                message = "it does not follow the record before it: it was changed, or that one together with its hash"
                yield self._finding("changed", record, message)

    def _missing(self, until: int) -> None:
        first = self.last + 1
        places = f"record {first}" if until == first else f"records {first} to {until}"
        self._found.append(Finding("removed", self.writer, first, None, f"{places} of this chain are not there"))
        self._before = None

    def _say(self, kind: Kind, record: Link, message: str) -> None:
        self._found.append(self._finding(kind, record, message))

    def _finding(self, kind: Kind, record: Link, message: str) -> Finding:
        return Finding(kind, self.writer, record.sequence, record.name, message)
