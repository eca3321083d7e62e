"""API keys, kept hashed.

What belongs here: what is kept of a key, reading the file of keys, telling whose key was sent. What does not: changing the file
(`administration`), which routes need one (the endpoints), limits (`limits`).

Keys are 256 random bits, so one round of SHA-256 is enough: there is no dictionary to try, and a slow hash would only slow requests.
For the same reason a key may be looked up by its hash: how long that takes depends on the hash of what was sent, and nobody can choose
guesses by their hash. The hash found is compared in constant time all the same.
"""

import hashlib
import hmac
import math
import os
import stat
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from creditrisk_serving.access.limits import Rate
from creditrisk_serving.access.scopes import Caller, Scope, opened_by


class KeyFileError(RuntimeError):
    """The file of API keys is unreadable, or readable by others."""


class Key(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is kept of a key; while one takes over from another, two have the same id."""

    id: str
    sha256: str
    created_at: datetime | None = None
    scopes: tuple[Scope, ...] | None = None  # none: it is from before there were scopes, and opens everything
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rate: str | None = None

    def __post_init__(self) -> None:
        if self.rate is not None:
            Rate.parse(self.rate)
        for moment in (self.expires_at, self.revoked_at):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("a time without a zone")

    @property
    def ends_at(self) -> datetime | None:
        """When it stops to open anything; None: never."""
        return min((moment for moment in (self.expires_at, self.revoked_at) if moment is not None), default=None)

    @property
    def caller(self) -> Caller:
        """Whoever sends it."""
        rate = None if self.rate is None else Rate.parse(self.rate)
        return Caller(self.id, opened_by((Scope.ADMIN,) if self.scopes is None else self.scopes), rate)


class KeyFileContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a file of keys."""

    keys: list[Key]


class _Known(NamedTuple):
    sha256: str
    caller: Caller
    until: float  # seconds since 1970


def hash_key(secret: str) -> str:
    """Hash a key as it is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Keyring:
    """The keys that open the service.

    Parameters
    ----------
    keys
        What is kept of each.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._known = {
            key.sha256: _Known(key.sha256, key.caller, key.ends_at.timestamp() if key.ends_at else math.inf)
            for key in keys
        }

    def caller(self, secret: str | None) -> Caller | None:
        """Find whose key this is; None: nobody's, or it is over."""
        if not secret:
            return None
        given = hash_key(secret)
        known = self._known.get(given)
        if known is None or not hmac.compare_digest(given, known.sha256) or time.time() >= known.until:
            return None
        return known.caller


class KeyFile:
    """Keys in a file of mode 0600; a changed file is read again at the next request, so keys change without a restart.

    Parameters
    ----------
    path
        The file; while it does not exist, nobody is let in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._keyring = Keyring(())

    def caller(self, secret: str | None) -> Caller | None:
        """Find whose key this is.

        Raises
        ------
        KeyFileError
            The file cannot be read, or others may read it.
        """
        try:
            found = os.stat(self.path)  # noqa: PTH116 # on the way of every request
        except FileNotFoundError:
            return None
        if (stamp := (found.st_ctime_ns, found.st_ino)) != self._stamp:
            self._keyring, self._stamp = Keyring(read_keys(self.path)), stamp
        return self._keyring.caller(secret)


def read_keys(path: Path) -> list[Key]:
    """Read what is kept of each key, in the order they were made.

    Raises
    ------
    KeyFileError
        The file cannot be read or parsed, or others may read it.
    """
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeyFileError(f"{path}: other users may read it; run `chmod 600 {path}`")
        return msgspec.json.decode(path.read_bytes(), type=KeyFileContent).keys
    except (OSError, ValueError) as error:
        raise KeyFileError(
            f"{path}: not a file of API keys; put back a copy, or delete it and make new keys by `creditrisk keys create`"
        ) from error
