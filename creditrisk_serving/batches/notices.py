"""Notices of adverse action for the declined applicants of a batch.

What belongs here: proving that scores and features are those of the batch's record, putting its reason codes in words,
issuing. What does not: what a notice says (`notices.letter`), a notice of one decision (`notices.service`), the files
of a batch (`job`).

A batch keeps the codes of reasons. Their words depend on the applicant's values, so they are made again from the kept
features by the bundle that decided, and told only if PD, decision and every code come out as they were recorded.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from sqlalchemy import select

from creditrisk_assets.contracts.render.sql import literal, parquet
from creditrisk_assets.lake import MANIFEST as LAKE_MANIFEST
from creditrisk_assets.lake import Lake, LakeError, sha256_file
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_serving.batches.record import SUFFIX, decision_id, verify_batch
from creditrisk_serving.decisions.checkpoints import Checkpoints
from creditrisk_serving.decisions.database import ERASURES, FAILURES
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.schemas import BatchRecord, DecisionRecord
from creditrisk_serving.errors import DecisionNotStoredError
from creditrisk_serving.notices.service import issue_for
from creditrisk_serving.scoring.batch import REASONS, Explained, explain_features
from creditrisk_serving.scoring.replay import pinned_bundle
from creditrisk_serving.settings import ServingSettings

FEATURES = "features/applicant"
AS_SCORED = "score the applications again with --features"


class BatchNoticeError(RuntimeError):
    """No notice is issued for a batch; the message says why and what to do."""


class Recorded(NamedTuple):
    """One declined applicant as the scores hold it."""

    pd: float
    decision: str
    rule: str | None
    codes: tuple[str | None, ...]


@dataclass(frozen=True)
class Issued:
    """What came of a batch's declines."""

    batch_id: str
    declined: int
    issued: int
    before: int  # a notice was there already
    erased: int  # the applicant was erased since: nothing can be said
    due_by: str


def issue_batch(
    log: DecisionLog,
    settings: ServingSettings,
    checkpoints: Checkpoints,
    scores: Path,
    public_key: bytes,
    *,
    caller: str,
    now: datetime | None = None,
) -> Issued:
    """Issue the notices of all declined applicants of a batch; one that was issued is not issued again.

    Parameters
    ----------
    log
        A started log.
    settings
        Where the lender's facts, bundles and published features are.
    checkpoints
        What was signed of the log.
    scores
        A file `creditrisk score --features` wrote, or the table of a version of `serving/batch_scores`.
    public_key
        Those that signed bundles, now and before.
    caller
        Who asks.
    now
        The moment; by default the present one.

    Raises
    ------
    BatchNoticeError
        Scores, record and features do not belong together, or a reason does not come out as it was recorded: nothing is issued.
    BundleError, ServiceError
        The bundle that decided is not there; a fact a notice must state is missing; the log cannot be read or written.
    """
    found = verify_batch(log.database, checkpoints, scores)
    if found.record is None or found.findings:
        raise BatchNoticeError(
            f"{found.findings[0]}; no notice rests on it (`creditrisk verify-batch` shows everything)"
        )
    record, moment = found.record, now or datetime.now(UTC)
    bundle = pinned_bundle(settings.platform.bundles, record, public_key)
    with duckdb.connect(config={"threads": 1}) as con:
        recorded = _recorded(con, scores)
        explained = list(_explained(con, bundle, _features(scores, settings), recorded))
    if len(explained) != len(recorded):
        raise BatchNoticeError(
            f"the kept features hold {len(explained)} of {len(recorded)} declined applicants; {AS_SCORED}"
        )
    erased, counts, due_by = _erased_since(log, record), {"issued": 0, "before": 0, "erased": 0}, ""
    for one in explained:
        decided = _decision(record, one, recorded[one.applicant_id])
        if log.notices(decided.decision_id):
            counts["before"] += 1
        elif one.applicant_id in erased:
            counts["erased"] += 1
        else:
            due_by = issue_for(log, settings, decided, None, request_id=caller, caller=caller, now=moment).due_by
            counts["issued"] += 1
    return Issued(record.batch_id, len(recorded), **counts, due_by=due_by)


def _recorded(con: duckdb.DuckDBPyConnection, scores: Path) -> dict[int, Recorded]:
    """Read the declined rows."""
    relation = (
        parquet(scores) if scores.suffix == ".parquet" else f"read_csv({literal(str(scores))}, all_varchar = true)"
    )
    query = f"select sk_id_curr, pd, decision, rule, {', '.join(REASONS)} from {relation} where decision = 'decline'"  # noqa: S608 - quoted
    return {
        int(key): Recorded(float(pd), decision, rule or None, tuple(code or None for code in codes))
        for key, pd, decision, rule, *codes in con.execute(query).fetchall()
    }


def _features(scores: Path, settings: ServingSettings) -> Path:
    """Find the features the batch was decided on, as its manifest names them, unchanged."""
    beside = scores.with_name(scores.name + SUFFIX)
    if beside.is_file():
        kept: Mapping[str, Any] | None = json.loads(beside.read_text("utf-8"))["features_output"]
        if kept is None:
            raise BatchNoticeError(
                f"{scores} was scored without keeping features, so reasons have no words; {AS_SCORED}"
            )
        path = scores.with_name(kept["name"])
        if not path.is_file() or sha256_file(path) != kept["sha256"]:
            raise BatchNoticeError(f"{path} is not there or not what the manifest says; bring it back, or {AS_SCORED}")
        return path
    version = json.loads(scores.with_name(LAKE_MANIFEST).read_text("utf-8"))["inputs"][FEATURES]
    try:
        found = Lake(settings.platform.lake).version(FEATURES, version)
    except LakeError as error:
        raise BatchNoticeError(f"{error}; the features the batch was decided on are needed for its reasons") from error
    if (damaged := found.damage()) is not None:
        raise BatchNoticeError(f"{found.path / damaged} is not what was published; no reason is made from it")
    return found.data


def _explained(
    con: duckdb.DuckDBPyConnection, bundle: Bundle, features: Path, recorded: Mapping[int, Recorded]
) -> Iterator[Explained]:
    """Decide the declined applicants again, with reasons in words, each proven to be what was recorded."""
    con.execute("create or replace table declined as select unnest($ids::bigint[]) as id", {"ids": list(recorded)})
    relation = f"(select * from {parquet(features)} where sk_id_curr in (select id from declined) order by sk_id_curr)"  # noqa: S608 - quoted
    for one in explain_features(bundle, relation, con):
        codes = (*(reason.code for reason in one.reasons or ()), *(None,) * len(REASONS))[: len(REASONS)]
        again = Recorded(one.pd, one.outcome.decision, one.outcome.rule, codes)
        if again != recorded[one.applicant_id]:
            raise BatchNoticeError(
                "a declined applicant comes out otherwise than was recorded, so its reasons are not told;"
                " keep scores, features and bundle and report it"
            )
        yield one


def _decision(record: BatchRecord, one: Explained, recorded: Recorded) -> DecisionRecord:
    """Make the decision on one applicant as a request's would be; where its families came from is not known of a batch."""
    return DecisionRecord(
        decision_id=decision_id(record.batch_id, one.applicant_id),
        request_id=record.batch_id,
        decided_at=record.decided_at,
        applicant_id=one.applicant_id,
        caller=record.source,
        model_version=record.model_version,
        bundle_sha256=record.bundle_sha256,
        policy_version=record.policy_version,
        pd=recorded.pd,
        decision=recorded.decision,
        band=one.outcome.band,
        rule=recorded.rule,
        families={},
        feature_versions={},
        input=None,
        features=None,
        reasons=one.reasons,
    )


def _erased_since(log: DecisionLog, record: BatchRecord) -> set[int]:
    """Name the applicants who were erased after the batch."""
    try:
        with log.database.opened().connect() as connection:
            wanted = select(ERASURES.c.applicant_id).where(ERASURES.c.erased_at >= record.decided_at)
            return set(connection.execute(wanted).scalars())
    except FAILURES as error:
        raise DecisionNotStoredError("the decision log cannot be read; try again later") from error
