"""Sealed columns: what was sent of an applicant and computed from it, readable only as long as the applicant's key is kept.

What belongs here: keys, sealing, opening, erasing. What does not: when a record is sealed (`database`, when it takes it), who may erase
(`erasure`). Records are chained as they are stored, sealed, so that a chain holds after a key was erased.
"""

import base64
import os
import secrets
from collections.abc import Collection, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
)

METADATA = MetaData()
KEYS = Table(
    "subject_keys",
    METADATA,
    Column("key_id", String(32), primary_key=True),
    Column("applicant_id", BigInteger, nullable=False),
    Column("key", LargeBinary(32), nullable=False),
    Index("subject_keys_by_applicant", "applicant_id"),
)
SEALED_COLUMNS = ("input", "features", "reasons")
PREFIX = '"sealed:'
NONCE_BYTES = 12


class SealDamagedError(ValueError):
    """A sealed column is not what was sealed for its record."""


def keys_for(connection: Connection, applicants: Collection[int]) -> dict[int, tuple[str, bytes]]:
    """Return a key for each applicant, made where there is none."""
    there = select(KEYS).where(KEYS.c.applicant_id.in_(applicants)).order_by(KEYS.c.key_id)
    found = {row.applicant_id: (row.key_id, row.key) for row in connection.execute(there)}
    if missing := sorted(set(applicants) - set(found)):
        made = [
            {"key_id": secrets.token_hex(16), "applicant_id": applicant, "key": AESGCM.generate_key(256)}
            for applicant in missing
        ]
        connection.execute(insert(KEYS), made)
        found |= {row["applicant_id"]: (row["key_id"], row["key"]) for row in made}
    return found


def seal(row: Mapping[str, Any], key: tuple[str, bytes]) -> dict[str, Any]:
    """Seal the columns of a record; one it does not have stays out."""
    return {**row, **{name: _seal(row, name, key) for name in SEALED_COLUMNS if row[name] is not None}}


def opened(connection: Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """Open the columns of a record; what was sealed with a key that was erased is null.

    Raises
    ------
    SealDamagedError
        A column was changed, or comes from another record.
    """
    sealed = [name for name in SEALED_COLUMNS if (row[name] or "").startswith(PREFIX)]
    return {**row, **{name: _open(connection, row, name) for name in sealed}}


def erase_keys(connection: Connection, applicant: int) -> int:
    """Delete the keys of an applicant, and return how many there were."""
    return connection.execute(delete(KEYS).where(KEYS.c.applicant_id == applicant)).rowcount


def _seal(row: Mapping[str, Any], name: str, key: tuple[str, bytes]) -> str:
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + AESGCM(key[1]).encrypt(nonce, str(row[name]).encode(), _place(row, name))
    return f'{PREFIX}{key[0]}:{base64.b64encode(sealed).decode()}"'


def _open(connection: Connection, row: Mapping[str, Any], name: str) -> str:
    key_id, _, content = row[name].removeprefix(PREFIX).removesuffix('"').partition(":")
    key = connection.execute(select(KEYS.c.key).where(KEYS.c.key_id == key_id)).scalar_one_or_none()
    if key is None:
        return "null"
    try:
        sealed = base64.b64decode(content, validate=True)
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(row, name)).decode()
    except (InvalidTag, ValueError) as error:
        raise SealDamagedError(name) from error


def _place(row: Mapping[str, Any], name: str) -> bytes:
    """Name where a sealed column belongs, so that it opens nowhere else."""
    return f"{row['decision_id']} {row['applicant_id']} {name}".encode()
