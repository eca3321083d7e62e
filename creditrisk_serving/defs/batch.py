"""Batch scores of the scoring portfolio by the champion, through the code that scores requests."""

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
from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_assets.modelling import bundle as bundles
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.settings import Settings
from creditrisk_serving.scoring import batch
from creditrisk_serving.scoring.lookup import check_definition

APPLICANT, APPLICATIONS = "features/applicant", "raw/application_test"
EVERY_ONE = {"every_applicant_scored": "Each application of the scoring portfolio has exactly one score."}


def champion(settings: Settings) -> Bundle:
    """Load and verify the published bundle.

    Raises
    ------
    LakeError
        None is published.
    """
    path = bundles.follow(settings.bundles)
    if path is None:
        raise LakeError(
            "no champion is published; run `creditrisk run`, and see model/validation for the gate that stopped it"
        )
    return Bundle.load(path, bundles.read_public_key(settings.keys))


def _make(work: Work) -> Made:
    model = champion(work.settings)
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
        "an_applicant": first[0] if first else None,
        "mix": [{"band": b, "decision": d, "applicants": n, "mean_pd": round(p, 6)} for b, d, n, p in mix],
    }
    return Made(facts, [*contract_outcomes(report), scored])


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    return {"model_version": dg.MetadataValue.text(facts["model_version"]), "mix": table_of(facts["mix"])}


def _champion_version(settings: Settings, _lake: Lake) -> Mapping[str, str]:
    path = bundles.follow(settings.bundles)
    return {"champion": path.name if path else "none"}


BATCH = Artefact(
    key="serving/batch_scores",
    group="serving",
    kinds=frozenset({"duckdb", "lightgbm", "parquet"}),
    describe=Describe(
        what="PD, decision, grade and score points of every application that waits for one.",
        grain="one row per SK_ID_CURR of the scoring portfolio",
        built_from="`features/applicant`, `raw/application_test`, the champion's bundle",
        known_at="the application day",
        consumed_by="the lender's systems; monitoring",
        fails_when="no champion is published, its signature or golden rows do not hold, or an applicant has no score",
        source="creditrisk_serving/scoring/batch.py",
    ),
    code_version=code_version(batch, BATCH_SCORES.model),
    make=_make,
    show=_show,
    deps=(APPLICANT, APPLICATIONS),
    after=("registry/version",),
    checks=CONTRACT | EVERY_ONE,
    also_from=_champion_version,
    columns=schema_of(BATCH_SCORES),
)
ARTEFACTS = (BATCH,)
