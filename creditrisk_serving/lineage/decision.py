"""Lineage of one decision: which versions it used, by the decision log, and what they were made of, by the lake.

What belongs here: the way from a record to versions. What does not: following versions (`creditrisk_assets.registry.lineage`), whether the
runs they name are still known (`runs`), printing (`commands`). The running service does not import this module.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from creditrisk_assets.lake import MANIFEST, Lake, Version, sha256_file
from creditrisk_assets.registry.lineage import MODEL, Gap, ModelOrigin, RawFile, Trace, model_origin, trace
from creditrisk_serving.batches.record import SUFFIX
from creditrisk_serving.decisions.database import FAILURES
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.schemas import BatchRecord, DecisionRecord

BATCH_SCORES = "serving/batch_scores"


class LineageError(RuntimeError):
    """There is no such decision, or it cannot be read; the message says what to do."""


@dataclass(frozen=True)
class FamilyOrigin:
    """Where one family of features came from."""

    family: str
    state: str  # present | no_history | sent, as in the record
    version: str | None  # of the family in the lake; None: its rows were sent


@dataclass(frozen=True)
class DecisionLineage:
    """Everything a decision rests on."""

    decision_id: str
    decided_at: str
    made_by: str  # a request, a batch file or an asset, in words
    policy_version: str
    bundle_sha256: str
    model: ModelOrigin
    families: tuple[FamilyOrigin, ...]
    sent_files: tuple[RawFile, ...]  # of a batch
    chain: Trace
    gaps: tuple[Gap, ...]  # all that is gone, those of the chain among them


@dataclass(frozen=True)
class _Used:
    """What a record says was used."""

    decision_id: str
    decided_at: str
    made_by: str
    model_version: str
    policy_version: str
    bundle_sha256: str
    families: tuple[FamilyOrigin, ...] = ()
    sent_files: tuple[RawFile, ...] = ()
    artefacts: Mapping[str, str] | None = None  # besides the model
    gaps: tuple[Gap, ...] = ()


def lineage_of(
    log: DecisionLog, lake: Lake, decision_id: str, *, scores: Path | None = None, verify: bool = False
) -> DecisionLineage:
    """Follow a decision back to the raw files.

    Parameters
    ----------
    log
        Where decisions and batches are recorded.
    lake
        Where manifests are.
    decision_id
        Of a request, or `<batch_id>-<SK_ID_CURR>`.
    scores
        The file `creditrisk score` wrote for a batch: the log has only a hash of what the manifest beside it names.
    verify
        Whether to compute the hashes of all files in the lake again.

    Raises
    ------
    LineageError
        There is no such decision, or `scores` is of another batch.
    DecisionNotStoredError
        The log cannot be read.
    """
    record = log.find(decision_id)
    used = _of_request(record) if record is not None else _of_batch(log, lake, decision_id, scores)
    origin, unknown = model_origin(lake, used.model_version)
    named_by = f"decision {decision_id}"
    chain = trace(lake, {MODEL: used.model_version, **(used.artefacts or {})}, named_by=named_by, verify=verify)
    return DecisionLineage(
        decision_id=decision_id,
        decided_at=used.decided_at,
        made_by=used.made_by,
        policy_version=used.policy_version,
        bundle_sha256=used.bundle_sha256,
        model=origin,
        families=used.families,
        sent_files=used.sent_files,
        chain=chain,
        gaps=(*_replaced(used, origin, named_by), *used.gaps, *unknown, *chain.gaps),
    )


def _of_request(record: DecisionRecord) -> _Used:
    families = tuple(
        FamilyOrigin(name, state, record.feature_versions.get(name)) for name, state in record.families.items()
    )
    return _Used(
        record.decision_id,
        record.decided_at,
        f"a request of {record.caller} ({record.request_id})",
        record.model_version,
        record.policy_version,
        record.bundle_sha256,
        families=families,
        artefacts={f"features/{name}": version for name, version in record.feature_versions.items()},
    )


def _of_batch(log: DecisionLog, lake: Lake, decision_id: str, scores: Path | None) -> _Used:
    record, applicant = _batch(log, decision_id)
    if record.source == BATCH_SCORES:
        return _of_asset(record, decision_id, applicant, lake)
    manifest, gaps = _manifest(record, scores)
    versions: Mapping[str, str] = manifest.get("feature_versions", {})
    return _Used(
        decision_id,
        record.decided_at,
        f"a batch by {record.source}, its input has the SHA-256 {record.input_sha256}",
        record.model_version,
        record.policy_version,
        record.bundle_sha256,
        families=tuple(FamilyOrigin(name, "looked up where not sent", version) for name, version in versions.items()),
        sent_files=tuple(RawFile(file["path"], file["sha256"], None) for file in manifest.get("inputs", ())),
        artefacts={f"features/{name}": version for name, version in versions.items()},
        gaps=gaps,
    )


def _of_asset(record: BatchRecord, decision_id: str, applicant: int, lake: Lake) -> _Used:
    found = [v for v in lake.versions(BATCH_SCORES) if sha256_file(v.path / MANIFEST) == record.manifest_sha256]
    why = f"no version in the lake has the manifest that was recorded (SHA-256 {record.manifest_sha256})"
    if found:
        _require_scored(found[0], record, applicant)
    return _Used(
        decision_id,
        record.decided_at,
        f"the asset {BATCH_SCORES}",
        record.model_version,
        record.policy_version,
        record.bundle_sha256,
        artefacts={BATCH_SCORES: found[0].version} if found else {},
        gaps=() if found else (Gap(BATCH_SCORES, f"batch {record.batch_id}", why),),
    )


def _require_scored(version: Version, record: BatchRecord, applicant: int) -> None:
    if version.data.is_file() and not pq.read_table(
        version.data, columns=["sk_id_curr"], filters=[("sk_id_curr", "==", applicant)]
    ):
        raise LineageError(f"the batch {record.batch_id} has no score of applicant {applicant}; check SK_ID_CURR")


def _batch(log: DecisionLog, decision_id: str) -> tuple[BatchRecord, int]:
    """Find the batch that a decision's id names, and whom in it."""
    batch_id, _, applicant = decision_id.rpartition("-")
    try:
        found = log.database.batches(batch_id=batch_id) if batch_id and applicant.isdecimal() else []
    except FAILURES as error:
        raise LineageError(
            f"the decision log cannot be read ({type(error).__name__}); check CREDITRISK_SERVING_DECISIONS_URL"
        ) from None
    if not found:
        raise LineageError(
            f"no decision has the id {decision_id}; it is the decision_id of an answer, or <batch_id>-<SK_ID_CURR> of a batch"
        )
    return found[-1][0], int(applicant)


def _manifest(record: BatchRecord, scores: Path | None) -> tuple[Mapping[str, Any], tuple[Gap, ...]]:
    """Read the manifest beside a file of scores."""
    if scores is None:
        why = (
            "the log holds one hash over them; name the batch's file with --scores, whose manifest names files and versions"
            f" (SHA-256 {record.manifest_sha256})"
        )
        return {}, (Gap("input files and feature versions", f"batch {record.batch_id}", why),)
    path = scores.with_name(scores.name + SUFFIX)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LineageError(f"{path} cannot be read ({error.strerror}); it lies beside the scores of a batch") from error
    if sha256_file(path) != record.manifest_sha256:
        raise LineageError(
            f"{path} is not the manifest of batch {record.batch_id}; `creditrisk verify-batch` says more"
        )
    manifest: Mapping[str, Any] = json.loads(content)
    return manifest, ()


def _replaced(used: _Used, origin: ModelOrigin, named_by: str) -> tuple[Gap, ...]:
    """Say where the lake's version of the model is not the one that decided."""
    gaps = []
    if origin.bundle_sha256 not in (None, used.bundle_sha256):
        why = f"{MODEL} in the lake holds {origin.bundle_sha256} under this version: it was made again since"
        gaps.append(Gap(f"bundle {used.bundle_sha256}", named_by, why))
    digest = used.policy_version.rpartition("-")[2]
    if origin.policy_sha256 is not None and not origin.policy_sha256.startswith(digest):
        why = f"{MODEL} in the lake was made with {origin.policy_sha256[:12]}"
        gaps.append(Gap(f"policy {used.policy_version}", named_by, why))
    return tuple(gaps)
