"""Making and publishing a model bundle.

What belongs here: writing the bundle's files, its golden rows, its signed manifest; swapping the pointer the service
follows. What does not: reading and verifying (`bundle`), whether a version may be published (`registry`, `policy`).
"""

import base64
import errno
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from creditrisk_assets.lake import Elsewhere, write_atomically
from creditrisk_assets.mirror import BUNDLES
from creditrisk_assets.modelling.bundle import (
    EXPLANATION,
    FORMAT,
    GOLDEN_CONTRIBUTIONS,
    LAYOUT,
    MANIFEST,
    POINTER,
    REASONS,
    SIGNATURE,
    TABLE,
    Bundle,
    BundleError,
    BundleFeature,
    Encoder,
    golden_matrix,
)
from creditrisk_assets.modelling.calibration import Calibrator
from creditrisk_assets.modelling.explanation.explainer import Explainer
from creditrisk_assets.modelling.explanation.principal import ReasonBook
from creditrisk_assets.modelling.policy import Policy
from creditrisk_assets.modelling.reference import Reference
from creditrisk_assets.modelling.signing import public_bytes

Row = Mapping[str, Any]
UNSEEN = "a category no training row has"
MIXED_GOLDEN_ROWS = 32


@dataclass(frozen=True)
class BundleContent:
    """What goes into a bundle; equal content gets an equal model version."""

    name: str
    model_text: str
    features: tuple[BundleFeature, ...]
    plan: Mapping[str, Any]
    policy: Policy
    calibrator: Calibrator
    metrics: Mapping[str, Any]  # no times of day or durations: they would make equal models differ
    golden: Sequence[Row]  # {"features": {name: value}, "pd": x}
    reference: Reference
    inputs: Mapping[str, str]  # lake key -> version
    code_version: str
    explainer: Explainer | None = None  # of a model that decides on people
    reference_applicants: Mapping[str, Any] | None = None  # what is told of those it compares with; no row of theirs
    reasons: ReasonBook | None = None  # where there is an explainer


def golden_rows(
    features: Sequence[BundleFeature],
    reference: Mapping[str, Sequence[Any]],
    score: Callable[[Mapping[str, list[Any]]], NDArray[np.float64]],
    *,
    seed: int = 0,
) -> list[Row]:
    """Make the rows a loaded bundle must score as the training library did.

    Each row takes every feature from another, randomly chosen applicant, so the bundle carries realistic values and no
    applicant. Three more rows: all NULL, categories never seen, whole numbers where fractions are usual.

    Parameters
    ----------
    features
        The model's inputs.
    reference
        Feature name -> values of some training rows.
    score
        PDs of the training library for columns like `reference`.
    """
    generator = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {}
    for feature in features:
        values = reference[feature.name]
        drawn = [_json_value(values[int(place)]) for place in generator.integers(0, len(values), MIXED_GOLDEN_ROWS)]
        unseen = UNSEEN if feature.kind == "category" else None
        columns[feature.name] = [*drawn, None, unseen, _whole(feature, drawn)]
    pds = score(columns)
    return [
        {"features": {name: values[row] for name, values in columns.items()}, "pd": float(pd)}
        for row, pd in enumerate(pds)
    ]


def write_bundle(
    out: Path, content: BundleContent, key: Ed25519PrivateKey, *, created_at: datetime | None = None
) -> Bundle:
    """Write a bundle and read it back verified.

    Parameters
    ----------
    out
        An empty or missing directory.
    content
        What goes in.
    key
        The signing key (`signing.signing_key`).
    created_at
        Now, if None.

    Raises
    ------
    BundleError
        The directory holds something, the model can be explained and not told of, or the bundle written does not score its golden rows as
        given.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise BundleError(f"{out} is not empty; a bundle is written into a directory of its own")
    files = _render(content)
    for name, text in files.items():
        (out / name).write_bytes(text)
    hashes = {name: _sha256(text) for name, text in sorted(files.items())}
    manifest = {
        "format": FORMAT,
        "name": content.name,
        "created_at": (created_at or datetime.now(UTC)).isoformat(timespec="seconds"),
        "model_version": _sha256(_json(hashes))[:16],
        "files": hashes,
        "inputs": dict(content.inputs),
        "code_version": content.code_version,
        "feature_count": len(content.features),
        "contracts": {name: _sha256(_json(table)) for name, table in content.plan["tables"].items()},
        "sql": {name: _sha256(family["sql"].encode()) for name, family in content.plan["families"].items()},
    }
    raw = _json(manifest)
    public = public_bytes(key)
    signature = {
        "algorithm": "ed25519",
        "public_key": base64.b64encode(public).decode(),
        "signature": base64.b64encode(key.sign(raw)).decode(),
    }
    (out / MANIFEST).write_bytes(raw)
    (out / SIGNATURE).write_bytes(_json(signature))
    return Bundle.load(out, public)


def store_bundle(bundle: Path, bundles: Path, public_key: bytes) -> Path:
    """Put a bundle among those that can be published, without publishing it.

    The files are copied beside the stored versions, made durable, and moved into place in one step.

    Parameters
    ----------
    bundle
        Directory of a written bundle.
    bundles
        Directory of published bundles, `Settings.bundles`.
    public_key
        The trusted key: a bundle that does not verify is not stored.

    Returns
    -------
    Path
        The stored directory.

    Raises
    ------
    BundleError
        The bundle does not verify.
    """
    read = Bundle.load(bundle, public_key)
    bundles.mkdir(parents=True, exist_ok=True)
    _sweep(bundles)
    target = bundles / read.version
    draft = bundles / f".draft-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    draft.mkdir()
    try:
        for name in (*read.manifest["files"], SIGNATURE, MANIFEST):
            shutil.copyfile(bundle / name, draft / name)
            _sync(draft / name)
        _move_in(draft, target, public_key)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _sync(bundles)
    return target


def publish_bundle(bundle: Path, bundles: Path, public_key: bytes, elsewhere: Elsewhere | None = None) -> Path:
    """Store a bundle and make it the one the service follows; killed at any moment, the service sees the old version or the new.

    Parameters and errors are those of `store_bundle` and `point_to`.
    """
    target = store_bundle(bundle, bundles, public_key)
    point_to(bundles, target.name, elsewhere)
    return target


def point_to(bundles: Path, version: str | None, elsewhere: Elsewhere | None = None, pointer: str = POINTER) -> None:
    """Swap a pointer to a stored version, here and in the object store that other machines follow; None: take the pointer away.

    Raises
    ------
    LakeError
        The object store was not reached: the pointer here is swapped, the one there is not.
    """
    if version is None:
        (bundles / pointer).unlink(missing_ok=True)
        if elsewhere is not None:
            elsewhere.withdraw(BUNDLES, pointer)
    else:
        write_atomically(bundles / pointer, json.dumps({"version": version}))
        if elsewhere is not None:
            elsewhere.push(bundles, BUNDLES, bundles / version, pointer)


def _move_in(draft: Path, target: Path, public_key: bytes) -> None:
    """Rename a draft to its version; an equal version already there stays, a damaged one is set aside."""
    try:
        draft.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        return
    try:
        Bundle.load(target, public_key)
    except BundleError:
        target.rename(
            target.with_name(f".draft-{os.getpid()}-{uuid.uuid4().hex[:8]}")
        )  # swept when this process has ended
        draft.rename(target)


def _sweep(bundles: Path) -> None:
    """Delete the drafts of writers that are dead."""
    for path in bundles.glob(".draft-*"):
        try:
            os.kill(int(path.name.split("-")[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except PermissionError:
            continue


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _render(content: BundleContent) -> dict[str, bytes]:
    if (content.explainer is None) != (content.reasons is None):
        raise BundleError("an explainer and reasons in words belong together: a bundle has both or none")
    explanation = {}
    if content.explainer is not None and content.reasons is not None:
        explanation = _render_explanation(content, content.explainer, content.reasons)
    return explanation | {
        "calibrator.json": content.calibrator.to_json().encode(),
        "encoder.json": _json(render_features(content.features)),
        "golden.json": _json({"rows": list(content.golden)}),
        "metrics.json": _json(content.metrics),
        "model.txt": content.model_text.encode(),
        "plan.json": _json(content.plan),
        "policy.json": content.policy.to_json().encode(),
        "reference.json": _compact(content.reference.to_dict()),
    }


def _render_explanation(content: BundleContent, explainer: Explainer, reasons: ReasonBook) -> dict[str, bytes]:
    golden = explainer.all_contributions(golden_matrix(Encoder(content.features), content.golden))
    return {
        EXPLANATION: _json(content.reference_applicants),
        GOLDEN_CONTRIBUTIONS: _array(golden),
        LAYOUT: explainer.layout(),
        REASONS: reasons.to_json().encode(),
        TABLE: _array(explainer.table),
    }


def render_features(features: Sequence[BundleFeature]) -> dict[str, Any]:
    """Render features as `encoder.json` holds them; `bundle.parse_features` reads them."""
    return {
        "features": [
            {
                "name": feature.name,
                "family": feature.family,
                "kind": feature.kind,
                "categories": None if feature.categories is None else list(feature.categories),
                "monotone": feature.monotone,
            }
            for feature in features
        ]
    }


def _array(values: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=False)
    return out.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _compact(value: Any) -> bytes:
    """Render as JSON without blanks: tens of thousands of counts need no line each."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _json(value: Any) -> bytes:
    """Render as JSON any parser reads: no NaN, keys in order."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False).encode()


def _json_value(value: Any) -> Any:
    """Turn a cell of a data frame into what JSON can say of it; NaN is NULL."""
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or plain != plain:  # noqa: PLR0124 - NaN is the one value unequal to itself
        return None
    return plain


def _whole(feature: BundleFeature, drawn: Sequence[Any]) -> Any:
    """Return the first value drawn as a whole number: JSON writes 3.0 as 3 when a lender's system does."""
    value = next((v for v in drawn if v is not None), None)
    return int(value) if feature.kind == "numeric" and value is not None else value
