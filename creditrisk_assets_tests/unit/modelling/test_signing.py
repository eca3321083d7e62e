"""Keys: made once, kept secret, never shown."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from creditrisk_assets.modelling.bundle import PUBLIC_KEY_FILE, BundleError, read_public_key
from creditrisk_assets.modelling.signing import PRIVATE_KEY_FILE, SigningError, public_bytes, signing_key


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey) -> SecretStr:
    return SecretStr(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def test_the_first_use_makes_a_key_only_its_owner_can_read_and_later_uses_keep_it(tmp_path: Path) -> None:
    first = signing_key(tmp_path / "keys")
    again = signing_key(tmp_path / "keys")
    assert public_bytes(first) == public_bytes(again) == read_public_key(tmp_path / "keys")
    assert stat.S_IMODE((tmp_path / "keys" / PRIVATE_KEY_FILE).stat().st_mode) == 0o600


def test_a_configured_key_is_used_and_its_public_half_written(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    signing_key(tmp_path, pem(key))
    assert read_public_key(tmp_path) == public_bytes(key)
    assert not (tmp_path / PRIVATE_KEY_FILE).exists()


@pytest.mark.parametrize(
    "configured",
    [SecretStr("hush-hush"), pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))],
    ids=["no key", "RSA"],
)
def test_a_key_of_another_kind_is_refused_without_repeating_it(tmp_path: Path, configured: SecretStr) -> None:
    with pytest.raises(SigningError) as raised:
        signing_key(tmp_path, configured)
    assert "hush" not in str(raised.value)


def test_a_missing_public_key_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=PUBLIC_KEY_FILE):
        read_public_key(tmp_path)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!"])
def test_a_damaged_public_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / PUBLIC_KEY_FILE).write_text(text)
    with pytest.raises(BundleError, match="damaged"):
        read_public_key(tmp_path)
