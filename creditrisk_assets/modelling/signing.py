"""Ed25519 signatures of model bundles: the key that says "this came from our training".

What belongs here: making, keeping and using the private key. What does not: verification (`bundle`, which the service
imports).
"""

import base64
import os
import uuid
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
from creditrisk_assets.modelling.bundle import PUBLIC_KEY_FILE

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
        key = _parse(configured.get_secret_value().encode(), "CREDITRISK_SIGNING_KEY")
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


def _create(path: Path) -> None:
    """Write a new key; of two processes that do so at once, the first wins and both use its key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(pem)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)  # fails if the key exists, so a complete key is never replaced
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)


def _write_public_key(keys: Path, key: Ed25519PrivateKey) -> None:
    path = keys / PUBLIC_KEY_FILE
    text = base64.b64encode(public_bytes(key)).decode() + "\n"
    if not path.exists() or path.read_text("ascii") != text:
        write_atomically(path, text)
