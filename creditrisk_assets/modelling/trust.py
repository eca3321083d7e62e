"""Which public keys are trusted, and for what: the key in use, and those it replaced.

What belongs here: the file of public keys, and verifying by any of them. What does not: making keys (`signing`), what is signed
(`bundle`, the registry's ledger, the decision log's checkpoints).

    MCowBQ…                       the key in use, base64 of 32 bytes
    9f3kLw… until 2027-03-01      one it replaced: bundles it signed are taken until that day

What a replaced key signed of a chain of records holds without end: what the next key signs covers it. It signs no more of them.
"""

import base64
from datetime import UTC, date, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_BYTES = 32
UNTIL = " until "
Replaced = tuple[bytes, date | None]  # a key and the last day its bundles are taken; None: the one in use


def read_keys(text: str) -> list[Replaced]:
    """Decode a file of public keys, the one in use first.

    Raises
    ------
    ValueError
        A line is not the base64 of 32 bytes, or its day is none.
    """
    found: list[Replaced] = []
    for line in text.strip().splitlines():
        encoded, _, day = line.partition(UNTIL)
        raw = base64.b64decode(encoded.strip(), validate=True)
        if len(raw) != KEY_BYTES:
            raise ValueError("an Ed25519 public key has 32 bytes")
        if bool(day) != bool(found):
            raise ValueError(f"the first key is the one in use, each other has{UNTIL}and a day")
        found.append((raw, date.fromisoformat(day.strip()) if day else None))
    if not found:
        raise ValueError("there is no key")
    return found


def write_keys(keys: list[Replaced]) -> str:
    """Write what `read_keys` reads."""
    lines = [base64.b64encode(raw).decode() + (f"{UNTIL}{day.isoformat()}" if day else "") for raw, day in keys]
    return "\n".join(lines) + "\n"


def for_bundles(text: str, today: date | None = None) -> bytes:
    """Return the keys whose bundles are taken today, 32 bytes each."""
    now = today or datetime.now(UTC).date()
    return b"".join(raw for raw, day in read_keys(text) if day is None or now <= day)


def for_records(text: str) -> bytes:
    """Return the keys that signed chains of records, the one in use first, 32 bytes each."""
    return b"".join(raw for raw, _ in read_keys(text))


def signer(public_keys: bytes, signature: bytes, content: bytes) -> int:
    """Return the place of the key that signed a content: 0 is the one in use.

    Parameters
    ----------
    public_keys
        One or more keys, 32 bytes each.

    Raises
    ------
    InvalidSignature
        None of them did.
    """
    for start in range(0, len(public_keys), KEY_BYTES):
        try:
            Ed25519PublicKey.from_public_bytes(public_keys[start : start + KEY_BYTES]).verify(signature, content)
        except InvalidSignature:
            continue
        return start // KEY_BYTES
    raise InvalidSignature
