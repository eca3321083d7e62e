"""Keys: made once, kept secret, never shown."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from creditrisk_assets.modelling import trust
from creditrisk_assets.modelling.bundle import PUBLIC_KEY_FILE, BundleError, read_public_key, read_signers
from creditrisk_assets.modelling.signing import (
    PRIVATE_KEY_FILE,
    SigningError,
    public_bytes,
    replace_signing_key,
    signing_key,
)


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


TODAY = datetime.now(UTC).date()


def test_a_replaced_key_signs_no_more_and_its_bundles_are_taken_until_its_day(tmp_path: Path) -> None:
    first = signing_key(tmp_path)
    old, new = replace_signing_key(tmp_path, None, TODAY)
    assert (old, new) == (public_bytes(first), public_bytes(signing_key(tmp_path)))
    assert read_public_key(tmp_path) == new + old == read_signers(tmp_path)
    assert stat.S_IMODE((tmp_path / PRIVATE_KEY_FILE).stat().st_mode) == 0o600
    text = (tmp_path / PUBLIC_KEY_FILE).read_text()
    assert trust.for_bundles(text, TODAY + timedelta(days=1)) == new
    assert trust.for_records(text) == new + old
    _, newest = replace_signing_key(tmp_path, None, TODAY - timedelta(days=1))
    assert read_public_key(tmp_path) == newest + old
    assert read_signers(tmp_path) == newest + new + old


def test_a_configured_key_is_replaced_by_the_one_configured_now(tmp_path: Path) -> None:
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    signing_key(tmp_path, pem(first))
    with pytest.raises(SigningError, match="is the key in use"):
        replace_signing_key(tmp_path, pem(first), TODAY)
    replace_signing_key(tmp_path, pem(second), TODAY)
    signing_key(tmp_path, pem(second))
    assert read_public_key(tmp_path) == public_bytes(second) + public_bytes(first)
    assert not (tmp_path / PRIVATE_KEY_FILE).exists()


def test_another_key_that_was_configured_without_a_word_is_trusted_alone(tmp_path: Path) -> None:
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    signing_key(tmp_path, pem(first))
    signing_key(tmp_path, pem(second))
    assert read_signers(tmp_path) == public_bytes(second)


def test_there_is_nothing_to_replace_before_the_first_signature(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="nothing was signed yet"):
        replace_signing_key(tmp_path, None, TODAY)


def test_the_signer_is_told_by_its_place_and_a_stranger_is_none(tmp_path: Path) -> None:
    old, new, stranger = (Ed25519PrivateKey.generate() for _ in range(3))
    keys = public_bytes(new) + public_bytes(old)
    assert [trust.signer(keys, key.sign(b"x"), b"x") for key in (new, old)] == [0, 1]
    with pytest.raises(InvalidSignature):
        trust.signer(keys, stranger.sign(b"x"), b"x")


@pytest.mark.parametrize("text", ["{0} until 2027-01-01", "{0}\n{0}", "{0}\n{0} until soon"])
def test_a_file_that_does_not_say_which_key_is_in_use_or_until_when_is_refused(tmp_path: Path, text: str) -> None:
    key = trust.write_keys([(public_bytes(Ed25519PrivateKey.generate()), None)]).strip()
    (tmp_path / PUBLIC_KEY_FILE).write_text(text.format(key))
    with pytest.raises(BundleError, match="damaged"):
        read_public_key(tmp_path)
