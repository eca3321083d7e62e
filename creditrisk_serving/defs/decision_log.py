"""The decision log as an asset: daily Parquet, verified against its chains, and a signed checkpoint."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.decision import DECISION_LOG
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling.bundle import read_signers
from creditrisk_assets.modelling.signing import signing_key
from creditrisk_assets.registry.deciding import days_of_decisions, log_days
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets.settings import Settings
from creditrisk_serving.decisions import daily
from creditrisk_serving.decisions.checkpoints import read_checkpoints
from creditrisk_serving.decisions.database import reading
from creditrisk_serving.decisions.verification import checkpoint_log, verify_log
from creditrisk_serving.settings import ServingSettings

KEY = "serving/decision_log"
DAYS = "days.json"
DECISIONS_EXPERIMENT = "-decisions"  # beside the experiment of the trainings
WHOLE = {
    "as_written": "Every record follows the one before it in its chain, and every chain holds what was signed of it.",
    "every_decision_written": "The files hold as many decisions as the log.",
}
SHOWN = 20


def _make(work: Work) -> Made:
    serving = ServingSettings(platform=work.settings)
    before = work.lake.current(KEY)
    known = json.loads((before.path / DAYS).read_text("utf-8")) if before is not None else {}
    signing_key(work.settings.keys, work.settings.signing_key)  # makes the first one
    public = read_signers(work.settings.keys)
    with reading(serving.decision_log_url) as database:
        verified = verify_log(database, read_checkpoints(serving.checkpoints_file, public))
        counts = database.days()
        days = daily.write_days(database, counts, work.draft.path, before.path if before else None, known)
    (work.draft.path / DAYS).write_text(json.dumps(days, indent=1), "utf-8")
    checks = [
        CheckOutcome(
            "as_written",
            passed=not verified.findings,
            facts={
                "description": f"{verified.records:,} records in {verified.chains} chains, {len(verified.findings)} findings",
                **({"findings": [_row(one) for one in verified.findings[:SHOWN]]} if verified.findings else {}),
            },
        ),
        # Decisions go on while the files are written: today's may have more by then.
        CheckOutcome(
            "every_decision_written",
            passed=set(days) == set(counts) and all(days[day] >= counts[day] for day in days),
            facts={"description": f"{sum(days.values()):,} decisions on {len(days)} days", "days": len(days)},
        ),
    ]
    if days:
        with work.connection() as con:
            files = [work.draft.path / daily.file_of(day) for day in sorted(days)]
            checks += contract_outcomes(check(con, parquet(*files), DECISION_LOG))
    else:
        checks.append(CheckOutcome("contract", passed=True, facts={"description": "no decision was made yet"}))
    facts = {"rows": sum(days.values()), "days": [{"day": day, "decisions": count} for day, count in days.items()]}
    return Made(facts, checks)


def _row(finding: object) -> dict[str, object]:
    return {name: str(getattr(finding, name)) for name in ("kind", "record", "writer", "sequence", "message")}


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    days = version.manifest.metadata["facts"]["days"]
    return {"days": table_of(days[-SHOWN:])} if days else {}


def _export(settings: Settings, _lake: Lake, version: Version) -> None:
    _sign(settings)
    days = {
        str(one["day"]): version.path / daily.file_of(str(one["day"]))
        for one in version.manifest.metadata["facts"]["days"]
    }
    if days:
        connect(settings)
        artifacts = None if settings.mlflow_tracking_uri else settings.mlflow_artifacts.as_uri()
        log_days(f"{settings.mlflow_experiment}{DECISIONS_EXPERIMENT}", days_of_decisions(days), artifacts)


def _sign(settings: Settings) -> None:
    serving = ServingSettings(platform=settings)
    key = signing_key(settings.keys, settings.signing_key)
    with reading(serving.decision_log_url) as database:
        checkpoint_log(database, serving.checkpoints_file, key, read_signers(settings.keys))


def _log(settings: Settings, _lake: Lake) -> Mapping[str, str]:
    """Fingerprint the log by its days, and by the present one: once a day it is verified though nothing was added."""
    with reading(ServingSettings(platform=settings).decision_log_url) as database:
        return {"decisions": json.dumps(database.days()), "verified_on": datetime.now(UTC).date().isoformat()}


DECISIONS = Artefact(
    key=KEY,
    group="serving",
    kinds=frozenset({"parquet", "sqlite"}),
    describe=Describe(
        what="Every decision the service answered, one Parquet file a day; a signed checkpoint of the log; each day's figures in MLflow.",
        grain="one row per decision",
        built_from="the decision log",
        known_at="the moment of decision",
        consumed_by="monitoring, audits",
        fails_when="a record is not as it was written, a chain does not hold what was signed, or a column breaks the contract",
        source="creditrisk_serving/decisions/daily.py",
    ),
    code_version=code_version(daily, DECISION_LOG.model),
    make=_make,
    show=_show,
    checks=CONTRACT | WHOLE,
    also_from=_log,
    export=_export,
    columns=schema_of(DECISION_LOG),
)
ARTEFACTS = (DECISIONS,)
