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
import numpy as np

from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.features.worker import Values
from creditrisk_assets.modelling.bundle import MANIFEST, Bundle, BundleError
from creditrisk_serving.decisions.inputs import Packed, layout_of, numbers
from creditrisk_serving.decisions.schemas import BatchRecord, DecisionRecord
from creditrisk_serving.scoring.champion import policy_version
from creditrisk_serving.scoring.features import APPLICATION
from creditrisk_serving.scoring.rules import APPLICANT
from creditrisk_serving.scoring.slots import Slots


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


def pinned_bundle(bundles: Path, record: DecisionRecord | BatchRecord, public_key: bytes) -> Bundle:
    """Load the bundle a decision or a batch was made with.

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
    computed = _computed(record.applicant_id, record.input, bundle.plan, engine)
    stored, slots = msgspec.convert(record.features, Packed), Slots(bundle)
    if (layout := layout_of(bundle.features)[0]) != stored.layout:
        raise ReplayError(
            f"the record's inputs are of layout {stored.layout}, its bundle's of {layout}; keep both and report it"
        )
    matrix = slots.matrix(1)
    for family, values in computed.items():
        slots.put(matrix[0], family, values)
    mine, seen = slots.of(computed), numbers(stored)
    again_seen = np.where(mine[: slots.inputs], slots.seen(matrix)[0], seen)
    ruled = slots.named(matrix[0], list(stored.rules))
    ruled = {name: ruled[name] if mine[slots.names.index(name)] else value for name, value in stored.rules.items()}
    (pd,) = bundle.score_float32(again_seen).tolist()
    outcome = bundle.policy.decide(pd, ruled)
    again = {
        "pd": pd,
        "decision": outcome.decision,
        "band": outcome.band,
        "rule": outcome.rule,
        "policy_version": policy_version(bundle),
    }
    changed = np.flatnonzero(~((again_seen == seen) | (np.isnan(again_seen) & np.isnan(seen)))[0]).tolist()
    features = {slots.names[place] for place in changed} | {name for name in ruled if ruled[name] != stored.rules[name]}
    differences = [f"feature {name}" for name in slots.names if name in features]
    differences += [name for name, value in again.items() if value != getattr(record, name)]
    return Replay(
        decision_id=record.decision_id,
        equal=not differences,
        differences=differences,
        rebuilt=list(computed),
        taken=[name for name in bundle.plan["families"] if name not in computed],
        model_version=bundle.version,
        pd=pd,
        decision=outcome.decision,
    )


def _computed(
    applicant: int, sent: Mapping[str, Any], plan: Mapping[str, Any], engine: RequestFeatures
) -> dict[str, Values | None]:
    """Compute the families that were sent; None: no row of it was."""
    application, histories = sent["application"], sent["histories"]
    if histories:
        found = engine.families([application or {APPLICANT: applicant}], histories)
        families = [name for name in plan["families"] if name != APPLICATION or application is not None]
        return {name: found[name].get(applicant) for name in families}
    return {} if application is None else {APPLICATION: engine.application(application)}
