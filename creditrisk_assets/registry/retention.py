"""Which stored bundles and lake versions nothing refers to any more, as pure functions.

What belongs here: what refers to what, and the rule for the rest. What does not: reading bundles, lake, ledger and decisions, and deleting
(`creditrisk_serving.pruning`, which knows the decision log).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from creditrisk_assets.lake import Manifest

Place = tuple[str, str]  # lake key, version


@dataclass(frozen=True)
class Stored:
    """A stored bundle."""

    model_version: str
    created_at: str  # ISO 8601 with zone
    inputs: Mapping[str, str]  # lake key -> version it was made from


def bundles_to_remove(stored: Iterable[Stored], referred: Collection[str], before: datetime) -> list[str]:
    """Choose the bundles that nothing refers to and that are older than a moment.

    Parameters
    ----------
    stored
        Every stored bundle.
    referred
        Model versions that a pointer, an alias, the ledger's champions or a decision names.
    before
        Younger ones stay in any case.
    """
    return sorted(
        one.model_version
        for one in stored
        if one.model_version not in referred and datetime.fromisoformat(one.created_at) < before
    )


def versions_to_remove(
    manifests: Iterable[Manifest],
    current: Collection[Place],
    bundles: Iterable[Stored],
    looked_up: Collection[Place],
    before: datetime,
) -> list[Place]:
    """Choose the lake versions that nothing refers to and that are older than a moment.

    Parameters
    ----------
    manifests
        Of every version in the lake.
    current
        The last good version of each artefact.
    bundles
        The bundles that stay: their models, the evidence about them and all they were made from stay too.
    looked_up
        Versions that decisions looked applicants up in.
    before
        Younger ones stay in any case.
    """
    known = {(manifest.key, manifest.version): manifest for manifest in manifests}
    kept_models = {bundle.model_version for bundle in bundles}
    wanted = {*current, *looked_up, *(place for bundle in bundles for place in bundle.inputs.items())}
    for place, manifest in known.items():
        facts = manifest.metadata.get("facts", {})
        young = datetime.fromisoformat(manifest.created_at) >= before
        if young or kept_models & {facts.get("model_version"), facts.get("candidate")}:
            wanted.add(place)
    kept: set[Place] = set()
    while wanted:
        place = wanted.pop()
        if place in known and place not in kept:
            kept.add(place)
            wanted |= set(known[place].inputs.items())
    return sorted(known.keys() - kept)
