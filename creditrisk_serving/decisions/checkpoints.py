"""Signed checkpoints of the decision log: what all its chains held at a moment, kept outside the database.

What belongs here: the file, its signatures, what a checkpoint says. What does not: comparing it with the log (`verification`). The service
makes none: it never holds the private key. A checkpoint lists the chains that changed since the one before, whose hash it carries, and a
digest over all of them.
"""

import base64
import fcntl
import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditrisk_assets.modelling import trust

DOMAIN = (
    b"creditrisk decision log checkpoint\n"  # so that no signature of a bundle is one of a checkpoint, or the reverse
)
Place = tuple[int, str]  # number of records, hash of the last


class CheckpointError(RuntimeError):
    """The file of checkpoints cannot be read or is not what was signed; the message says where and what to do."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What the chains held."""

    number: int
    signed_at: str
    previous: str | None  # SHA-256 of the line before
    changed: dict[str, Place]  # writer -> its head, where it is another than before
    heads: str  # digest over the heads of all writers
    chains: int
    records: int
    unchained: int  # records of releases without chains


class Checkpoints(msgspec.Struct, frozen=True):
    """All checkpoints of a file, and what they come to."""

    signed: list[Checkpoint]
    heads: dict[str, Place]
    last_line: bytes | None

    def known(self, writer: str) -> dict[int, tuple[str, str]]:
        """Return the places of a chain that were signed: sequence -> hash, and when."""
        return {
            one.changed[writer][0]: (one.changed[writer][1], one.signed_at)
            for one in self.signed
            if writer in one.changed
        }


def read_checkpoints(path: Path, public_key: bytes) -> Checkpoints:
    """Read and verify a file of checkpoints.

    Parameters
    ----------
    public_key
        Who may have signed: the key in use, and those it replaced, which sign none after it has (`bundle.read_signers`).

    Raises
    ------
    CheckpointError
        It cannot be read, or a line is not what was signed, or one is missing.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        lines = []
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error
    signed: list[Checkpoint] = []
    heads: dict[str, Place] = {}
    before: bytes | None = None
    signer: int | None = None
    for number, line in enumerate(lines, 1):
        one, by = _verified(line, f"{path}, line {number}", public_key)
        if signer is not None and by > signer:
            raise CheckpointError(f"{path}, line {number}: signed by a key that had been replaced; compare with a copy")
        signer = by
        heads |= one.changed
        if (one.number, one.previous, one.heads) != (number, _hash(before), digest(heads)):
            raise CheckpointError(
                f"{path}, line {number}: a checkpoint before it was removed or replaced; compare with a copy"
            )
        signed.append(one)
        before = line
    return Checkpoints(signed, heads, before)


def sign_checkpoint(
    path: Path, heads: Mapping[str, Place], unchained: int, key: Ed25519PrivateKey, public_key: bytes
) -> Checkpoint:
    """Append a checkpoint of these heads to a file; two processes that do so at once take turns.

    Raises
    ------
    CheckpointError
        What the file holds so far is not what was signed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        there = read_checkpoints(path, public_key)
        one = Checkpoint(
            number=len(there.signed) + 1,
            signed_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            previous=_hash(there.last_line),
            changed={writer: place for writer, place in sorted(heads.items()) if there.heads.get(writer) != place},
            heads=digest({**there.heads, **heads}),
            chains=len(heads),
            records=sum(count for count, _ in heads.values()),
            unchained=unchained,
        )
        content = msgspec.json.encode(one)
        file.write(base64.b64encode(key.sign(DOMAIN + content)) + b" " + content + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return one


def digest(heads: Mapping[str, Place]) -> str:
    """Return one hash over the heads of all chains."""
    return hashlib.sha256(msgspec.json.encode(sorted(heads.items()))).hexdigest()


def _verified(line: bytes, where: str, public_key: bytes) -> tuple[Checkpoint, int]:
    signature, _, content = line.removesuffix(b"\n").partition(b" ")
    try:
        by = trust.signer(public_key, base64.b64decode(signature, validate=True), DOMAIN + content)
        return msgspec.json.decode(content, type=Checkpoint), by
    except (InvalidSignature, ValueError) as error:
        raise CheckpointError(
            f"{where}: not signed by the trusted key, or changed; compare with a copy, or name the key it was signed with"
        ) from error


def _hash(line: bytes | None) -> str | None:
    return None if line is None else hashlib.sha256(line).hexdigest()
