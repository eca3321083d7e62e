"""Batch scores of the scoring portfolio by the champion, through the code that scores requests; each version is recorded in the log."""

from collections.abc import Mapping

import dagster as dg

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.decision import BATCH_SCORES
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import DATA, MANIFEST, Lake, Version, sha256_file
from creditrisk_assets.modelling import bundle as bundles
from creditrisk_assets.settings import Settings
from creditrisk_serving.batches import record
from creditrisk_serving.batches.champion import load_champion
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.schemas import BatchRecord
from creditrisk_serving.errors import ServiceError
from creditrisk_serving.scoring import batch
from creditrisk_serving.scoring.lookup import check_definition
from creditrisk_serving.settings import ServingSettings

KEY = "serving/batch_scores"
APPLICANT, APPLICATIONS = "features/applicant", "raw/application_test"
EVERY_ONE = {"every_applicant_scored": "Each application of the scoring portfolio has exactly one score."}


def _make(work: Work) -> Made:
    champion = load_champion(work.settings)
    model = champion.bundle
    for name, family in model.plan["families"].items():
        check_definition(work.lake.require(f"features/{name}"), family["definition"])
    applications = parquet(work.inputs[APPLICATIONS].data)
    features = parquet(work.inputs[APPLICANT].data)
    relation = (
        f"(SELECT f.* FROM {features} f SEMI JOIN (SELECT SK_ID_CURR AS sk_id_curr FROM {applications}) "  # noqa: S608 -- quoted paths
        "USING (sk_id_curr) ORDER BY sk_id_curr)"
    )
    with work.connection() as con:
        rows = batch.score_features(model, relation, work.draft.data, connection=con)
        report = check(con, parquet(work.draft.data), BATCH_SCORES)
        mix = con.execute(
            f"SELECT band, decision, count(*)::INTEGER, avg(pd) FROM {parquet(work.draft.data)} GROUP BY ALL ORDER BY ALL"  # noqa: S608
        ).fetchall()
        first = con.execute(f"SELECT min(sk_id_curr) FROM {parquet(work.draft.data)}").fetchone()  # noqa: S608
    wanted = int(work.inputs[APPLICATIONS].manifest.metadata["facts"]["rows"])
    scored = CheckOutcome(
        "every_applicant_scored",
        passed=rows == wanted,
        facts={"description": f"{wanted:,} applications, {rows:,} scores", "applications": wanted, "scores": rows},
    )
    facts = {
        "rows": rows,
        "model_version": model.version,
        "bundle_sha256": champion.sha256,
        "policy_version": champion.policy_version,
        "an_applicant": first[0] if first else None,
        "mix": [{"band": b, "decision": d, "applicants": n, "mean_pd": round(p, 6)} for b, d, n, p in mix],
    }
    return Made(facts, [*contract_outcomes(report), scored])


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    return {"model_version": dg.MetadataValue.text(facts["model_version"]), "mix": table_of(facts["mix"])}


def _record(settings: Settings, _lake: Lake, version: Version) -> None:
    """Record a published version in the decision log, once: its id follows from its manifest.

    Raises
    ------
    RuntimeError
        The log cannot be written; the next run records the version.
    """
    manifest, facts = version.manifest, version.manifest.metadata["facts"]
    digest = sha256_file(version.path / MANIFEST)
    scored = BatchRecord(
        batch_id=record.batch_id_of(digest),
        decided_at=manifest.created_at,
        source=KEY,
        model_version=facts["model_version"],
        bundle_sha256=facts["bundle_sha256"],
        policy_version=facts["policy_version"],
        scored=facts["rows"],
        rejected=0,
        input_sha256=record.input_sha256(manifest.inputs),
        scores_sha256=manifest.files[DATA],
        manifest_sha256=digest,
    )
    serving = ServingSettings(platform=settings)
    log = DecisionLog(serving.decision_log_url, serving.journal_directory, stored="database")
    log.start()
    try:
        log.store_batch(scored)
    except ServiceError as error:
        raise RuntimeError(f"{error.detail}; the scores are published, and the next run records them") from error
    finally:
        log.close()


def _champion_version(settings: Settings, _lake: Lake) -> Mapping[str, str]:
    path = bundles.follow(settings.bundles)
    return {"champion": path.name if path else "none"}


BATCH = Artefact(
    key=KEY,
    group="serving",
    kinds=frozenset({"duckdb", "lightgbm", "parquet"}),
    describe=Describe(
        what="PD, decision, grade and score points of every application that waits for one.",
        grain="one row per SK_ID_CURR of the scoring portfolio",
        built_from="`features/applicant`, `raw/application_test`, the champion's bundle",
        known_at="the application day",
        consumed_by="the lender's systems; monitoring",
        fails_when="no champion is published, its signature or golden rows fail, an applicant has no score, or the log cannot take it",
        source="creditrisk_serving/scoring/batch.py",
    ),
    code_version=code_version(batch, record, BATCH_SCORES.model),
    make=_make,
    show=_show,
    deps=(APPLICANT, APPLICATIONS),
    after=("registry/canary",),
    checks=CONTRACT | EVERY_ONE,
    also_from=_champion_version,
    export=_record,
    columns=schema_of(BATCH_SCORES),
)
ARTEFACTS = (BATCH,)
