"""The keys that whatever this deployment reads must be signed with.

What belongs here: reading them. What does not: which key is trusted for what (`modelling.trust`), verifying (`modelling.bundle`,
`registry.ledger`, `decisions.checkpoints`), signing keys.
"""

from collections.abc import Callable

from creditrisk_assets.modelling import trust
from creditrisk_assets.modelling.bundle import BundleError, parse_public_key, read_public_key, read_signers
from creditrisk_serving.settings import ServingSettings


def trusted_key(settings: ServingSettings) -> bytes:
    """Read the public keys that bundles must be signed with today, 32 bytes each.

    Raises
    ------
    BundleError
        They cannot be read.
    """
    if settings.bundle_public_key is None:
        return read_public_key(settings.platform.keys)
    return _read(settings, parse_public_key)


def trusted_signers(settings: ServingSettings) -> bytes:
    """Read the public keys that sign, and signed, the decision log's checkpoints and the registry's ledger, 32 bytes each.

    Raises
    ------
    BundleError
        They cannot be read.
    """
    if settings.bundle_public_key is None:
        return read_signers(settings.platform.keys)
    return _read(settings, trust.for_records)


def _read(settings: ServingSettings, parse: Callable[[str], bytes]) -> bytes:
    path = settings.bundle_public_key
    assert path is not None  # noqa: S101 - the callers looked
    try:
        return parse(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise BundleError(f"the public key {path} cannot be read; copy it from the machine that trains") from error
