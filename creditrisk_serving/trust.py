"""The key that whatever this deployment reads must be signed with.

What belongs here: reading it. What does not: verifying (`modelling.bundle`, `registry.ledger`, `decisions.checkpoints`), signing keys.
"""

from creditrisk_assets.modelling.bundle import BundleError, parse_public_key, read_public_key
from creditrisk_serving.settings import ServingSettings


def trusted_key(settings: ServingSettings) -> bytes:
    """Read the public key that bundles, checkpoints and the registry's ledger must be signed with.

    Raises
    ------
    BundleError
        It cannot be read.
    """
    key = settings.bundle_public_key
    try:
        return read_public_key(settings.platform.keys) if key is None else parse_public_key(key.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise BundleError(f"the public key {key} cannot be read; copy it from the machine that trains") from error
