"""Who may call: API keys, kept hashed.

What belongs here: making, keeping and comparing keys. What does not: which routes need one (`app`), limits per key (a
later concern of the same module).

Keys are 256 random bits, so one round of SHA-256 is enough: there is no dictionary to try, and a slow hash would only
slow requests.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from creditrisk_assets.lake import write_atomically

PRIVATE = 0o600


class KeyFileError(RuntimeError):
    """The file of API keys is unreadable, or readable by others."""


@dataclass(frozen=True)
class Caller:
    """Whoever holds a key."""

    key_id: str


def hash_key(secret: str) -> str:
    """Hash a key as it is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Keyring:
    """The keys that open the service, by id.

    Parameters
    ----------
    hashes
        Key id -> hash of the key.
    """

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = dict(hashes)

    def caller(self, secret: str | None) -> Caller | None:
        """Find whose key this is; every kept hash is compared, each in constant time."""
        if not secret:
            return None
        given, found = hash_key(secret), None
        for key_id, kept in self._hashes.items():
            if hmac.compare_digest(given, kept):
                found = Caller(key_id)
        return found


class KeyFile:
    """Keys in a file of mode 0600; a changed file is read again at the next request, so keys rotate without a restart.

    Parameters
    ----------
    path
        The file; while it does not exist, nobody is let in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._keyring = Keyring({})

    def caller(self, secret: str | None) -> Caller | None:
        """Find whose key this is.

        Raises
        ------
        KeyFileError
            The file cannot be read, or others may read it.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        if (stamp := (found.st_mtime_ns, found.st_ino)) != self._stamp:
            self._keyring, self._stamp = Keyring(read_keys(self.path)), stamp
        return self._keyring.caller(secret)


def read_keys(path: Path) -> dict[str, str]:
    """Read key ids and hashes.

    Raises
    ------
    KeyFileError
        The file cannot be read or parsed, or others may read it.
    """
    if path.stat().st_mode & 0o077:
        raise KeyFileError(f"{path}: other users may read it; run `chmod 600 {path}`")
    try:
        return {entry["id"]: entry["sha256"] for entry in json.loads(path.read_text("utf-8"))["keys"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeyFileError(f"{path}: not a file of API keys; delete it and start `creditrisk serve` again") from error


def create_key(path: Path, key_id: str) -> str:
    """Make a key, keep its hash under an id (in place of one with that id) and return the key, which is kept nowhere.

    Raises
    ------
    KeyFileError
        The file exists and cannot be read.
    """
    secret = f"crk_{secrets.token_urlsafe(32)}"
    entries = []
    if path.exists():
        read_keys(path)
        entries = [entry for entry in json.loads(path.read_text("utf-8"))["keys"] if entry["id"] != key_id]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entries.append({"id": key_id, "sha256": hash_key(secret), "created_at": now})
    previous = os.umask(0o077)
    try:
        write_atomically(path, json.dumps({"keys": entries}, indent=1))
    finally:
        os.umask(previous)
    path.chmod(PRIVATE)
    return secret
