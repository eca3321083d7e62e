"""A batch in the decision log: what is recorded, and whether files are what was recorded.

What belongs here: the record of a manifest, comparing files with records. What does not: the log (`decisions`), making files (`job`).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from creditrisk_assets.lake import MANIFEST as LAKE_MANIFEST
from creditrisk_assets.lake import sha256_file
from creditrisk_serving.decisions.checkpoints import Checkpoints
from creditrisk_serving.decisions.database import Database
from creditrisk_serving.decisions.schemas import BatchRecord
from creditrisk_serving.decisions.verification import verify_log

SUFFIX = ".manifest.json"
ID_DIGITS = 20  # of a batch's id, so that `decision_id` has room for an applicant's within 32


@dataclass(frozen=True)
class Verified:
    """What a file of scores is to the log: its record, and what is not as recorded."""

    record: BatchRecord | None
    findings: tuple[str, ...]


def decision_id(batch_id: str, applicant: int) -> str:
    """Name the decision on one applicant of a batch, for a review or a look-up."""
    return f"{batch_id}-{applicant}"


def batch_id_of(manifest_sha256: str) -> str:
    """Name a batch after its manifest, where the same manifest is to be recorded once."""
    return manifest_sha256[:ID_DIGITS]


def input_sha256(digests: Mapping[str, str]) -> str:
    """Hash the files of an input together: over lines of hash and name as `sha256sum` writes them, sorted."""
    lines = sorted(f"{digest}  {Path(name).name}\n" for name, digest in digests.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def batch_record(manifest: Mapping[str, Any], manifest_sha256: str) -> BatchRecord:
    """Return what the log keeps of a batch, from its manifest."""
    return BatchRecord(
        batch_id=manifest["batch_id"],
        decided_at=manifest["finished_at"],
        source=manifest["source"],
        model_version=manifest["model_version"],
        bundle_sha256=manifest["bundle_sha256"],
        policy_version=manifest["policy_version"],
        scored=manifest["scored"],
        rejected=manifest["rejected"],
        input_sha256=manifest["input_sha256"],
        scores_sha256=manifest["output"]["sha256"],
        manifest_sha256=manifest_sha256,
    )


def verify_batch(database: Database, checkpoints: Checkpoints, scores: Path) -> Verified:
    """Compare a file of scores, and the manifest and rejected rows beside it, with the decision log.

    Parameters
    ----------
    database
        The log.
    checkpoints
        What was signed of it.
    scores
        A file `creditrisk score` wrote, or the table of a version of `serving/batch_scores`.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    digest = sha256_file(scores)
    manifest = next((path for path in _manifests(scores) if path.is_file()), None)
    claimed = {} if manifest is None else _read(manifest)
    batch_id = claimed.get("batch_id")
    found = database.batches(batch_id=batch_id) if isinstance(batch_id, str) else database.batches(scores_sha256=digest)
    if not found:
        return Verified(None, (f"the decision log holds no batch {batch_id or 'with these scores'}",))
    manifest_sha256 = None if manifest is None else sha256_file(manifest)
    record, writer = next((one for one in found if one[0].manifest_sha256 == manifest_sha256), found[-1])
    chain = verify_log(database, checkpoints, only=[writer] if writer else []).findings
    return Verified(
        record,
        (
            *_differences(record, scores, digest, manifest, manifest_sha256, claimed),
            *(f"the log: {one.record or 'the chain'}: {one.message}" for one in chain),
        ),
    )


def _manifests(scores: Path) -> tuple[Path, ...]:
    return scores.with_name(scores.name + SUFFIX), scores.with_name(LAKE_MANIFEST)


def _read(manifest: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(manifest.read_text("utf-8")))
    except (ValueError, TypeError):
        return {}


def _differences(
    record: BatchRecord,
    scores: Path,
    digest: str,
    manifest: Path | None,
    manifest_sha256: str | None,
    claimed: Mapping[str, Any],
) -> Iterator[str]:
    if digest != record.scores_sha256:
        yield f"{scores} is not what was recorded: its SHA-256 is {digest}, the record's {record.scores_sha256}"
    if manifest is None:
        yield f"{scores} has no manifest beside it"
    elif manifest_sha256 != record.manifest_sha256:
        yield f"{manifest} is not what was recorded: its SHA-256 is {manifest_sha256}, the record's {record.manifest_sha256}"
    if rejected := claimed.get("rejected_output"):
        path = scores.with_name(rejected["name"])
        if not path.is_file():
            yield f"{path} is not there"
        elif sha256_file(path) != rejected["sha256"]:
            yield f"{path} is not what the manifest says"
