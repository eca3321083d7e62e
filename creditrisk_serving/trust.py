"""The keys that whatever this deployment reads must be signed with.

What belongs here: reading them. What does not: which key is trusted for what (`modelling.trust`), verifying (`modelling.bundle`,
`registry.ledger`, `decisions.checkpoints`), signing keys.
"""

from collections.abc import Callable
from pathlib import Path

from creditrisk_assets.modelling import trust
from creditrisk_assets.modelling.bundle import BundleError, read_public_key, read_signers
from creditrisk_serving.settings import ServingSettings


def trusted_key(settings: ServingSettings) -> bytes:
    """Read the public keys that bundles must be signed with today, 32 bytes each.

    Raises
    ------
    BundleError
        They cannot be read.
    """
    return _read(settings, read_public_key, trust.for_bundles)


def trusted_signers(settings: ServingSettings) -> bytes:
    """Read the public keys that sign, and signed, the decision log's checkpoints and the registry's ledger, 32 bytes each.

    Raises
    ------
    BundleError
        They cannot be read.
    """
    return _read(settings, read_signers, trust.for_records)


def _read(settings: ServingSettings, at_home: Callable[[Path], bytes], parse: Callable[[str], bytes]) -> bytes:
    if (path := settings.bundle_public_key) is None:
        return at_home(settings.platform.keys)
    try:
        return parse(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise BundleError(f"the public key {path} cannot be read; copy it from the machine that trains") from error
