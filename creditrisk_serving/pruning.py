"""Deleting what nothing refers to: stored bundles and versions of the lake.

What belongs here: reading what refers to them, deleting. What does not: the rule (`creditrisk_assets.registry.retention`). It lives
beside the decision log, which is the last to refer to a model.
"""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from creditrisk_assets.lake import Lake, LakeError, Manifest
from creditrisk_assets.modelling.bundle import MANIFEST, BundleError, follow, read_signers
from creditrisk_assets.registry.ledger import Ledger, ever_in_use, named_by_alias
from creditrisk_assets.registry.retention import Place, Stored, bundles_to_remove, versions_to_remove
from creditrisk_assets.settings import Settings
from creditrisk_serving.decisions.database import reading
from creditrisk_serving.settings import ServingSettings


@dataclass(frozen=True)
class Pruned:
    """What was deleted, or would be."""

    bundles: list[str]
    versions: list[Place]
    bytes: int


def prune(settings: ServingSettings, keep: timedelta, *, delete: bool) -> Pruned:
    """Delete what nothing refers to and is older than a span.

    Raises
    ------
    DecisionLogError, LedgerError, LakeError, BundleError
        What refers to a version cannot be read, so nothing is deleted.
    """
    platform, before = settings.platform, datetime.now(UTC) - keep
    with reading(settings.decision_log_url) as database:
        decided, looked_up = database.referred()
    stored = _stored(platform.bundles)
    gone = bundles_to_remove(stored, decided | _in_registry(platform), before)
    manifests, current = _lake(platform.lake)
    features = {(f"features/{family}", version) for one in looked_up for family, version in json.loads(one).items()}
    kept = [bundle for bundle in stored if bundle.model_version not in gone]
    versions = versions_to_remove(manifests, current, kept, features, before)
    paths = [platform.bundles / name for name in gone]
    paths += [platform.lake.joinpath(*key.split("/")) / "versions" / version for key, version in versions]
    size = sum(file.stat().st_size for path in paths for file in path.rglob("*") if file.is_file())
    for path in paths if delete else ():
        shutil.rmtree(path)
    return Pruned(gone, versions, size)


def _in_registry(settings: Settings) -> set[str]:
    """Return what the pointer and aliases name, what was ever champion, the last version registered, and whatever somebody approved."""
    published = follow(settings.bundles)
    found = set() if published is None else {published.name}
    with Ledger(settings.registry_url, settings.registry_checkpoints_file, read_signers(settings.keys)) as ledger:
        entries = ledger.entries()
    registered = [entry.event.model_version for entry in entries if entry.event.kind == "registration"]
    approved = {entry.event.model_version for entry in entries if entry.event.kind == "approval"}
    return found | ever_in_use(entries) | named_by_alias(entries) | set(registered[-1:]) | approved


def _stored(bundles: Path) -> list[Stored]:
    found = []
    for path in bundles.glob(f"*/{MANIFEST}"):
        try:
            manifest = json.loads(path.read_text("utf-8"))
            found.append(Stored(path.parent.name, manifest["created_at"], manifest["inputs"]))
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{path} cannot be read, so nothing is pruned; publish the version again") from error
    return found


def _lake(root: Path) -> tuple[list[Manifest], set[Place]]:
    lake, manifests, current = Lake(root), [], set()
    for home in sorted(root.glob("*/*/versions")):
        key = "/".join(home.parts[-3:-1])
        if (version := lake.current(key)) is None:
            raise LakeError(
                f"{key} has versions and no pointer, so nothing is pruned; run `creditrisk run --select {key}`"
            )
        current.add((key, version.version))
        manifests += [lake.version(key, path.name).manifest for path in home.iterdir()]
    return manifests, current
