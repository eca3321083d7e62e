"""Changing the file of API keys: make, replace, revoke.

What belongs here: the changes, the lock that lets two of them lose nothing, the line each leaves in the audit file. What does not: reading
the file (`keys`), what commands print (`keys_cli`).
"""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from creditrisk_assets.lake import write_atomically
from creditrisk_serving.access.keys import Key, KeyFileContent, hash_key, read_keys
from creditrisk_serving.access.limits import Rate
from creditrisk_serving.access.scopes import Scope

PRIVATE = 0o600
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class KeyChangeError(RuntimeError):
    """The keys are not changed as asked."""


def create_key(
    path: Path,
    key_id: str,
    *,
    scopes: Collection[Scope],
    lifetime: timedelta | None = None,
    rate: Rate | None = None,
    replace: bool = False,
) -> str:
    """Make a key, keep its hash under an id and return the key, which is kept nowhere.

    Parameters
    ----------
    path
        The file of keys; made when it does not exist.
    key_id
        Its name: letters, digits, `._-`, at most 64. It is told in logs and kept with decisions.
    scopes
        What it opens.
    lifetime
        How long it is valid; None: until it is revoked.
    rate
        How much may be asked for with it; None: what the service's settings say.
    replace
        Forget all earlier keys of that name.

    Raises
    ------
    KeyChangeError
        The name is taken or not well formed, or there is no scope.
    KeyFileError
        The file exists and cannot be read.
    """
    if not KEY_ID.fullmatch(key_id):
        raise KeyChangeError("the name of a key has 1 to 64 letters, digits, `.`, `_` or `-`")
    if not scopes:
        raise KeyChangeError("a key without a scope opens nothing; give it at least one")
    secret, now = _new_secret(), _now()
    made = Key(
        key_id,
        hash_key(secret),
        created_at=now,
        scopes=tuple(sorted(set(scopes), key=list(Scope).index)),
        expires_at=now + lifetime if lifetime is not None else None,
        rate=str(rate) if rate is not None else None,
    )

    def change(keys: list[Key]) -> list[Key]:
        others = [key for key in keys if key.id != key_id]
        if len(others) < len(keys) and not replace:
            raise KeyChangeError(
                f"there is, or was, a key named {key_id}, and decisions are kept under its name;"
                f" choose another name, or replace a valid one by `creditrisk keys rotate {key_id}`"
            )
        return [*others, made]

    _change(path, "key_created", key_id, change)
    return secret


def rotate_key(path: Path, key_id: str, *, grace: timedelta, lifetime: timedelta | None = None) -> str:
    """Make a new key in place of one, with its name, scopes and rate; the old one stays valid for a while.

    Parameters
    ----------
    path
        The file of keys.
    key_id
        Its name.
    grace
        How long the old key stays valid.
    lifetime
        How long the new one is; None: as long as the old one was made for.

    Raises
    ------
    KeyChangeError
        No key of that name is left, or it was revoked.
    KeyFileError
        The file cannot be read.
    """
    secret, now = _new_secret(), _now()

    def change(keys: list[Key]) -> list[Key]:
        old = _newest(keys, key_id)
        if old.revoked_at is not None:
            raise KeyChangeError(
                f"the key {key_id} was revoked; make one with another name by `creditrisk keys create`"
            )
        valid_for = lifetime
        if valid_for is None and old.expires_at is not None and old.created_at is not None:
            valid_for = old.expires_at - old.created_at
        new = msgspec.structs.replace(
            old, sha256=hash_key(secret), created_at=now, expires_at=now + valid_for if valid_for is not None else None
        )
        until = now + grace
        kept = [
            msgspec.structs.replace(key, expires_at=min(key.expires_at or until, until)) if key.id == key_id else key
            for key in keys
        ]
        return [key for key in kept if key.id != key_id or (key.ends_at is not None and key.ends_at > now)] + [new]

    _change(path, "key_rotated", key_id, change)
    return secret


def revoke_key(path: Path, key_id: str) -> None:
    """Have a key open nothing from now on; its name stays taken.

    Raises
    ------
    KeyChangeError
        No key has that name, or it is revoked already.
    KeyFileError
        The file cannot be read.
    """
    now = _now()

    def change(keys: list[Key]) -> list[Key]:
        if _newest(keys, key_id).revoked_at is not None:
            raise KeyChangeError(f"the key {key_id} is revoked already")
        return [msgspec.structs.replace(key, revoked_at=now) if key.id == key_id else key for key in keys]

    _change(path, "key_revoked", key_id, change)


def audit_file(path: Path) -> Path:
    """Return where changes of a file of keys are noted: beside it."""
    return path.with_name(f"{path.stem}.audit.jsonl")


def _change(path: Path, event: str, key_id: str, change: Callable[[list[Key]], list[Key]]) -> None:
    """Change the file, one process at a time. It is noted first: a note without a change is better than a change without a note."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(audit_file(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE)
    with os.fdopen(descriptor, "ab") as audit:
        fcntl.flock(audit, fcntl.LOCK_EX)
        keys = change(read_keys(path) if path.exists() else [])
        audit.write(_note(event, _newest(keys, key_id)) + b"\n")
        audit.flush()
        os.fsync(audit.fileno())
        previous = os.umask(0o077)
        try:
            write_atomically(path, msgspec.json.format(msgspec.json.encode(KeyFileContent(keys)), indent=1).decode())
        finally:
            os.umask(previous)


def _note(event: str, key: Key) -> bytes:
    return msgspec.json.encode(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "key_id": key.id,
            "scopes": key.scopes,
            "rate": key.rate,
            "expires_at": key.expires_at,
            "uid": os.getuid(),
        }
    )


def _newest(keys: list[Key], key_id: str) -> Key:
    found = [key for key in keys if key.id == key_id]
    if not found:
        raise KeyChangeError(f"no key is named {key_id}; `creditrisk keys list` names them")
    return found[-1]


def _new_secret() -> str:
    return f"crk_{secrets.token_urlsafe(32)}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
