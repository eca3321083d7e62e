"""Deciding a stored decision again: the same input, the same model, the same bits.

What belongs here: rebuilding features, scoring, comparing. What does not: finding the record (`decisions.log`), printing (`cli`). What was
sent is computed again by the bundle's plan; what was looked up is taken from the record, because the online store keeps only its last
snapshots.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.modelling.bundle import MANIFEST, Bundle, BundleError
from creditrisk_serving.decisions.schemas import DecisionRecord
from creditrisk_serving.scoring.champion import policy_version
from creditrisk_serving.scoring.features import APPLICATION
from creditrisk_serving.scoring.rules import APPLICANT
from creditrisk_serving.scoring.service import score_columns


class ReplayError(RuntimeError):
    """A decision cannot be made again; the message says why."""


class Replay(msgspec.Struct, frozen=True):
    """What deciding again came to."""

    decision_id: str
    equal: bool
    differences: list[str]  # names of features and fields; no values of an applicant
    rebuilt: list[str]  # families computed again from what was sent
    taken: list[str]  # families taken from the record
    model_version: str
    pd: float
    decision: str


def pinned_bundle(bundles: Path, record: DecisionRecord, public_key: bytes) -> Bundle:
    """Load the bundle a decision was made with.

    Raises
    ------
    BundleError
        It is not there, does not verify, or is another one under the same version.
    """
    path = bundles / record.model_version
    if not path.is_dir():
        raise BundleError(
            f"no bundle {record.model_version} in {bundles}; bring it back from the registry with `creditrisk promote` or a copy"
        )
    bundle = Bundle.load(path, public_key)
    if hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest() != record.bundle_sha256:
        raise BundleError(
            f"{path} is signed, and not the bundle the decision was made with; look for a copy of that one"
        )
    return bundle


def replay(record: DecisionRecord, bundle: Bundle, engine: RequestFeatures) -> Replay:
    """Decide again and compare everything to the last bit.

    Parameters
    ----------
    record
        The stored decision.
    bundle
        The bundle it was made with, see `pinned_bundle`.
    engine
        What computes features by the bundle's plan.

    Raises
    ------
    ReplayError
        What it rested on was erased.
    """
    if record.input is None or record.features is None:
        raise ReplayError("what this decision rested on was erased; it cannot be made again")
    computed, rebuilt = _computed(record.applicant_id, record.input, bundle.plan, engine)
    stored = record.features
    features = {name: computed.get(name, stored.get(name)) for name in bundle.needed_names}
    (pd,) = score_columns(bundle, {name: [features[name]] for name in bundle.feature_names}).tolist()
    outcome = bundle.policy.decide(pd, features)
    again = {
        "pd": pd,
        "decision": outcome.decision,
        "band": outcome.band,
        "rule": outcome.rule,
        "policy_version": policy_version(bundle),
    }
    differences = [f"feature {name}" for name in bundle.needed_names if not _same(features[name], stored.get(name))]
    differences += [name for name, value in again.items() if value != getattr(record, name)]
    return Replay(
        decision_id=record.decision_id,
        equal=not differences,
        differences=differences,
        rebuilt=rebuilt,
        taken=[name for name in bundle.plan["families"] if name not in rebuilt],
        model_version=bundle.version,
        pd=pd,
        decision=outcome.decision,
    )


def _computed(
    applicant: int, sent: Mapping[str, Any], plan: Mapping[str, Any], engine: RequestFeatures
) -> tuple[dict[str, Any], list[str]]:
    """Compute what was sent: features by name, and the families they are of."""
    application, histories = sent["application"], sent["histories"]
    families: list[str] = []
    columns: Mapping[str, Any] = {}
    if histories:
        columns = engine.compute([application or {APPLICANT: applicant}], histories)
        families = [name for name in plan["families"] if name != APPLICATION or application is not None]
    elif application is not None:
        columns, families = engine.compute_application([application]), [APPLICATION]
    names = [name for family in families for name, _ in plan["families"][family]["columns"]]
    names += [flag for flag, family in plan["presence"].items() if family in families and flag in columns]
    return {name: columns[name][0] for name in names}, families


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are stored as the same: what is not known is null."""
    return bool(msgspec.json.decode(msgspec.json.encode(one)) == msgspec.json.decode(msgspec.json.encode(other)))
