"""Ed25519 signatures of model bundles: the key that says "this came from our training".

What belongs here: making, keeping and using the private key. What does not: verification (`bundle`, which the service
imports).
"""

import os
import uuid
from contextlib import suppress
from datetime import date
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from creditrisk_assets.lake import write_atomically
from creditrisk_assets.modelling import trust
from creditrisk_assets.modelling.bundle import PUBLIC_KEY_FILE, read_public_key

PRIVATE_KEY_FILE = "bundle_signing.pem"


class SigningError(RuntimeError):
    """The signing key cannot be read; the message says which and what to do, and never shows it."""


def signing_key(keys: Path, configured: SecretStr | None = None) -> Ed25519PrivateKey:
    """Return the key bundles are signed with.

    Parameters
    ----------
    keys
        Directory of local keys, `Settings.keys`. Without a configured key one is made here at first use, readable by
        its owner alone; the public key is written beside it for the service in either case.
    configured
        `Settings.signing_key`: a PEM private key.

    Raises
    ------
    SigningError
        The key cannot be read or is no Ed25519 key.
    """
    if configured is not None:
        key = _configured(configured)
    else:
        path = keys / PRIVATE_KEY_FILE
        if not path.exists():
            _create(path)
        try:
            key = _parse(path.read_bytes(), str(path))
        except OSError as error:
            raise SigningError(f"the signing key {path} cannot be read ({error.strerror})") from error
    _write_public_key(keys, key)
    return key


def trusted_keys(keys: Path, configured: SecretStr | None = None) -> bytes:
    """Return the public keys whose bundles are taken today where bundles are signed; as `signing_key`, it makes the first one."""
    signing_key(keys, configured)
    return read_public_key(keys)


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Return the public half, 32 raw bytes."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _parse(pem: bytes, where: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        # No cause is chained: the parser's words may repeat the key.
        raise SigningError(
            f"{where} is not an unencrypted PEM private key; make one with `openssl genpkey -algorithm ed25519`"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{where} is a {type(key).__name__}, not an Ed25519 key")
    return key


def replace_signing_key(keys: Path, configured: SecretStr | None, until: date) -> tuple[bytes, bytes]:
    """Sign with another key from now on, and trust the bundles of the old one until a day.

    Both are trusted before the first signature of the new one; a process killed in between leaves the old key in use.

    Parameters
    ----------
    keys
        Directory of local keys.
    configured
        `Settings.signing_key`, the new key; None: one is made, and the old private key is gone.
    until
        Last day on which bundles of the old key are taken.

    Returns
    -------
    tuple of bytes
        The old public key and the new one.

    Raises
    ------
    SigningError
        Nothing was signed yet, or the key configured is the one in use.
    """
    path = keys / PUBLIC_KEY_FILE
    if not path.exists():
        raise SigningError(f"{path} is not there: nothing was signed yet, so there is no key to replace")
    before = _in_use(path)
    old = before[0][0]
    new = Ed25519PrivateKey.generate() if configured is None else _configured(configured)
    if public_bytes(new) == old:
        raise SigningError("CREDITRISK_SIGNING_KEY is the key in use; set it to the new one, then replace the old one")
    write_atomically(path, trust.write_keys([(public_bytes(new), None), (old, until), *before[1:]]))
    if configured is None:
        private = keys / PRIVATE_KEY_FILE
        _written(private, new).replace(private)
    return old, public_bytes(new)


def _configured(configured: SecretStr) -> Ed25519PrivateKey:
    """Return the key of CREDITRISK_SIGNING_KEY."""
    return _parse(configured.get_secret_value().encode(), "CREDITRISK_SIGNING_KEY")


def _in_use(path: Path) -> list[trust.Replaced]:
    try:
        return trust.read_keys(path.read_text("ascii"))
    except ValueError as error:
        raise SigningError(
            f"{path} is damaged ({error}); delete it, and it is written anew with the key in use"
        ) from error


def _create(path: Path) -> None:
    """Write a new key; of two processes that do so at once, the first wins and both use its key."""
    temporary = _written(path, Ed25519PrivateKey.generate())
    try:
        with suppress(FileExistsError):  # a complete key is never replaced
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _written(path: Path, key: Ed25519PrivateKey) -> Path:
    """Write a key beside where it goes, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(pem)
        stream.flush()
        os.fsync(stream.fileno())
    return temporary


def _write_public_key(keys: Path, key: Ed25519PrivateKey) -> None:
    """Write the public half as the key in use; those it replaced stay below it (`replace_signing_key`)."""
    path = keys / PUBLIC_KEY_FILE
    if not path.exists() or _in_use(path)[0] != (public_bytes(key), None):
        write_atomically(path, trust.write_keys([(public_bytes(key), None)]))
