"""The published model, for work outside the running service.

What belongs here: loading and verifying it once. What does not: following it (`scoring.champion`).
"""

import hashlib
from dataclasses import dataclass

from creditrisk_assets.lake import LakeError
from creditrisk_assets.modelling import bundle as bundles
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.settings import Settings
from creditrisk_serving.scoring.champion import policy_version


@dataclass(frozen=True)
class Champion:
    """A verified bundle and what names it."""

    bundle: Bundle
    sha256: str  # of its manifest, as decisions name it

    @property
    def policy_version(self) -> str:
        """The policy inside it."""
        return policy_version(self.bundle)


def load_champion(settings: Settings, public_key: bytes | None = None) -> Champion:
    """Load and verify the published bundle.

    Parameters
    ----------
    settings
        Where it is.
    public_key
        The key it must be signed with; none: the one of the home directory.

    Raises
    ------
    LakeError
        None is published.
    BundleError
        It is damaged, or not signed by the trusted key.
    """
    path = bundles.follow(settings.bundles)
    if path is None:
        raise LakeError(
            "no champion is published; run `creditrisk run`, and see model/validation for the gate that stopped it"
        )
    bundle = Bundle.load(path, public_key or bundles.read_public_key(settings.keys))
    return Champion(bundle, hashlib.sha256((path / bundles.MANIFEST).read_bytes()).hexdigest())
