"""Production months: outcomes and decided applications by month, and how the months perform.

What belongs here: the assets. What does not: where files are found (`ingestion.months`), figures (`monitoring.performance`), what they
call for (`defs.retraining`).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd

from creditrisk_assets.contracts import months as month_contracts
from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.drift import CONTRACT as DRIFT_CONTRACT
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.months import APPLICATIONS, OUTCOMES
from creditrisk_assets.contracts.performance import PERFORMANCE
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Seen, Work, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.evaluation import EVALUATION
from creditrisk_assets.defs.monitoring import CAUSE_CHECKS, MODULES, cause_outcomes
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import BUNDLE, IMPORTANCE, MODEL, OUT_OF_FOLD
from creditrisk_assets.defs.vocabulary import Describe, month_of
from creditrisk_assets.ingestion import months as month_files
from creditrisk_assets.ingestion.connector import IngestionError
from creditrisk_assets.ingestion.months import SENT, SERVICE, Decided, MonthFile, read_decisions, read_outcomes
from creditrisk_assets.lake import Lake, LakeError, Version, sha256_file, write_atomically
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.calibration_tests import calibration_figures
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.signing import trusted_keys
from creditrisk_assets.monitoring import performance, skew
from creditrisk_assets.monitoring.conditions import NO_VERDICT
from creditrisk_assets.monitoring.drift.month import measure_month
from creditrisk_assets.monitoring.performance import CalibrationError, measure_months, summary
from creditrisk_assets.monitoring.skew import measure_skew
from creditrisk_assets.settings import Settings

GROUP = "months"
RAW_OUTCOMES, MONTH_APPLICATIONS, MONTH_PERFORMANCE = (
    "raw/outcomes",
    "monitoring/applications",
    "monitoring/performance",
)
MONTH_DRIFT = "monitoring/monthly_drift"
FEATURES = "features.parquet"
SHOWN_ROWS = 25
PERFORMANCE_REPORT = "performance.json"
RETRY = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL)  # of what may pass; a refusal is final
FILES = {
    "scores": (".parquet",),
    "scores.parquet.manifest": (".json",),
    "scores.parquet.features": (".parquet",),
    "applications": (".parquet",),
}
MANIFEST = "scores.parquet.manifest"
AS_RECORDED = {"as_recorded": "Scores and features are those that the batch's manifest names by their SHA-256."}
JUDGED = {
    "as_tolerated": "The newest month with outcomes is no worse than the policy tolerates, or its drift report said why.",
    "labels_on_time": "Every month that is old enough has its outcomes.",
}
AS_SENT = {
    "as_sent": "What the service saw of a sample of its decisions is what the batch code computes from the same raw rows."
}
OF_THE_MONTH = {"of_the_month": "Every row is of the month it was delivered for."}


def follows(*keys: str) -> dg.AutomationCondition[Any]:
    """Ask for an asset when the data of one of these changed, once what they are made by is over.

    Of a model alone there is nothing to say before there is a month. What is asked for together runs together: a month is one run, not
    one for each of its tables.
    """
    of_months = dg.AssetSelection.assets(*[key.split("/") for key in keys])
    condition = dg.AutomationCondition
    changed = condition.data_version_changed() & ~condition.executed_with_root_target()
    news = condition.any_deps_match(changed | condition.will_be_requested()).allow(of_months)
    return news.since_last_handled() & ~condition.any_deps_in_progress()


def _found(context: dg.AssetExecutionContext, names: Mapping[str, tuple[str, ...]]) -> Seen:
    month, files = month_of(context.partition_key), context.resources.platform.months
    found = {name: files.find(month, name, suffixes) for name, suffixes in names.items()}
    return Seen({f"file:{name}": each.stat.version for name, each in found.items()}, found)


def _make_outcomes(work: Work) -> Made:
    files = work.context.resources.platform.months
    found: MonthFile = work.seen["outcomes"]
    with work.connection() as con:
        rows = read_outcomes(con, files.bring(found), found.address, work.draft.data)
        files.require_unchanged(work.seen)
        outcome = contract_outcomes(check(con, parquet(work.draft.data), OUTCOMES))
        counted = (
            "select MATURITY, APPLICATION_MONTH, count(*)::integer, sum(OUTCOME)::integer, count_if(OBSERVED_MONTH <> ?)"  # noqa: S608
            f"::integer from {parquet(work.draft.data)} group by all order by all"
        )
        counts = con.execute(counted, [work.month]).fetchall()
    strangers = sum(row[4] for row in counts)
    dated = CheckOutcome(
        "of_the_month",
        passed=not strangers,
        facts={"description": f"{strangers} of {rows} outcomes were seen in another month than {work.month}"},
    )
    maturity = [{"maturity": m, "applied_in": a, "outcomes": n, "defaults": d} for m, a, n, d, _ in counts]
    return Made({"rows": rows, "address": found.address, "maturity": maturity}, [*outcome, dated])


def _show_outcomes(version: Version) -> Mapping[str, dg.MetadataValue]:
    maturity = version.manifest.metadata["facts"]["maturity"]
    return {"maturity": table_of(maturity)} if maturity else {}


def _found_applications(context: dg.AssetExecutionContext) -> Seen:
    """Look at the files of decisions: a batch's, the service's, or both."""
    month, files = month_of(context.partition_key), context.resources.platform.months
    service = {name: files.look_for(month, name, (".parquet",)) for name in SERVICE}
    delivered = {name: each for name, each in service.items() if each is not None}
    if delivered and (sent := files.look_for(month, SENT, (".parquet",))) is not None:
        delivered[SENT] = sent
    if not delivered or files.look_for(month, "scores", (".parquet",)) is not None:
        delivered |= {name: files.find(month, name, suffixes) for name, suffixes in FILES.items()}
    if 0 < len(delivered.keys() & set(SERVICE)) < len(SERVICE):
        raise IngestionError(
            f"{month} has one of {', '.join(SERVICE)} without the other; `creditrisk month-decisions {month}` writes both"
        )
    return Seen({f"file:{name}": each.stat.version for name, each in delivered.items()}, delivered)


def _make_applications(work: Work) -> Made:
    files, seen = work.context.resources.platform.months, work.seen
    paths = {name: files.bring(found) for name, found in seen.items()}
    manifest = json.loads(paths[MANIFEST].read_text("utf-8")) if MANIFEST in paths else {}
    with work.connection() as con:
        decided = read_decisions(
            con, paths, work.month, str(manifest.get("finished_at", "")), work.draft.data, work.draft.path / FEATURES
        )
        outcome = contract_outcomes(check(con, parquet(work.draft.data), APPLICATIONS))
        mix = con.execute(
            f"select decision, band, count(*)::integer, avg(pd) from {parquet(work.draft.data)} group by all order by all"  # noqa: S608
        ).fetchall()
        compared = _measured_skew(work, con, decided, paths) if SENT in paths else None
    recorded = {"output": "scores", "features_output": "scores.parquet.features"} if manifest else {}
    files.require_unchanged(seen)
    facts = {
        "rows": sum(row[2] for row in mix),
        "decided_by": dict(decided.by),
        "rejected": manifest.get("rejected", 0),
        "model_version": decided.model_version,
        "other_models": decided.other_models,
        "batch_id": manifest.get("batch_id", ""),
        "skew": compared,
        "mix": [{"decision": d, "band": b, "applicants": n, "mean_pd": round(p, 6)} for d, b, n, p in mix],
    }
    return Made(facts, [*outcome, _as_recorded(manifest, {name: paths[file] for name, file in recorded.items()})])


def _measured_skew(
    work: Work, con: duckdb.DuckDBPyConnection, decided: Decided, paths: Mapping[str, Path]
) -> dict[str, Any]:
    try:
        model = work.lake.version(MODEL, decided.model_version)
    except LakeError:
        return {"compared": False, "words": f"model {decided.model_version} is no longer in the lake"}
    bundle = Bundle.load(model.path / BUNDLE, trusted_keys(work.settings.keys, work.settings.signing_key))
    report = measure_skew(con, bundle, paths[SENT], paths[SERVICE[1]])
    return {
        "compared": report.decisions > 0,
        "words": report.words,
        "decisions": report.decisions,
        "values": report.values,
        "features": [vars(each) for each in report.skewed],
    }


def _as_sent(context: dg.AssetExecutionContext, _version: Version, _seen: object) -> list[CheckOutcome]:
    """Answer by the newest month that could be compared, whichever was made; without one there is no verdict."""
    lake: Lake = context.resources.platform.lake
    months = {month: lake.require(f"{MONTH_APPLICATIONS}/{month}") for month in lake.parts(MONTH_APPLICATIONS)}
    measured = {month: version.manifest.metadata["facts"].get("skew") for month, version in months.items()}
    compared = [(month, found) for month, found in measured.items() if found and found["compared"]]
    if not compared:
        untold = [found["words"] for found in measured.values() if found]
        told = untold[-1] if untold else "no month has decisions of the service with the raw rows they were made from"
        return [CheckOutcome("as_sent", passed=True, facts={"description": told, NO_VERDICT: True})]
    month, newest = compared[-1]
    table = {"table": newest["features"]} if newest["features"] else {}
    facts = {"description": f"{month}: {newest['words']}", **table}
    return [CheckOutcome("as_sent", passed=not newest["features"], facts=facts)]


def _as_recorded(manifest: Mapping[str, Any], paths: Mapping[str, Any]) -> CheckOutcome:
    wrong = [name for name, path in paths.items() if (manifest.get(name) or {}).get("sha256") != sha256_file(path)]
    words = f"not as the manifest says: {', '.join(wrong)}" if wrong else f"batch {manifest.get('batch_id', 'none')}"
    return CheckOutcome("as_recorded", passed=not wrong, facts={"description": words})


def _show_applications(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    shown = {
        "model_version": dg.MetadataValue.text(facts["model_version"]),
        "decided_by": dg.MetadataValue.json(facts["decided_by"]),
    }
    return shown | ({"mix": table_of(facts["mix"])} if facts["mix"] else {})


def _make_month_drift(work: Work) -> Made:
    policy = load_policy(work.settings.policy)
    applications = work.inputs[f"{MONTH_APPLICATIONS}/{work.month}"]
    scored_by = str(applications.manifest.metadata["facts"]["model_version"])
    version = work.lake.version(MODEL, scored_by)
    model = version.path
    bundle = Bundle.load(model / BUNDLE, trusted_keys(work.settings.keys, work.settings.signing_key))
    with work.connection() as con:
        report = measure_month(
            con,
            bundle,
            applications.path / FEATURES,
            policy,
            importance=json.loads((model / IMPORTANCE).read_text("utf-8")),
            reference=_learned_from(work.lake, version),
            outcomes=_all_known(work, applications, policy.monitoring.complete_share),
            threads=work.settings.threads,
        )
        report.table.to_parquet(work.draft.data, index=False, compression="zstd")
        outcome = contract_outcomes(check(con, parquet(work.draft.data), DRIFT_CONTRACT))
    facts = {"rows": len(report.table), **report.to_dict(), "month": work.month}
    facts["headline"] = f"{work.month}: {report.words}"
    return Made(facts, outcome)


def _learned_from(lake: Lake, model: Version) -> Path | None:
    """Return the applicants a model learned from; None where their version was tidied away."""
    try:
        return lake.version(SPLIT_TRAIN, model.manifest.inputs[SPLIT_TRAIN]).data
    except (KeyError, LakeError):
        return None


def _outcomes_of(context: dg.AssetExecutionContext) -> Seen:
    """Look for months in which outcomes of this month's applications were seen."""
    lake: Lake = context.resources.platform.lake
    month = month_of(context.partition_key)
    known = {key: lake.require(key) for key in (f"{RAW_OUTCOMES}/{part}" for part in lake.parts(RAW_OUTCOMES))}
    seen = {
        key: version
        for key, version in known.items()
        if any(row["applied_in"] == month for row in version.manifest.metadata["facts"]["maturity"])
    }
    return Seen({key: version.version for key, version in seen.items()}, seen)


def _all_known(work: Work, applications: Version, complete_share: float) -> dict[int, int] | None:
    """Return the outcome of each granted loan, 1 for a default; None while too many are not known: defaults are known first."""
    if not work.seen:
        return None
    told = pd.concat([pd.read_parquet(version.data) for version in work.seen.values()])
    known = performance.newest_outcomes(told[told["APPLICATION_MONTH"] == work.month]).set_index("SK_ID_CURR")[
        "OUTCOME"
    ]
    decided = pd.read_parquet(applications.data, columns=["sk_id_curr", "decision"])
    granted = decided.loc[decided["decision"] != performance.REFUSED, "sk_id_curr"]
    known = known[known.index.isin(granted)]
    enough = len(known) >= max(1, complete_share * len(granted))
    return dict(zip(known.index.tolist(), known.tolist(), strict=True)) if enough else None


def _newest_causes(context: dg.AssetExecutionContext, _version: Version, _seen: object) -> list[CheckOutcome]:
    """Answer the checks by the newest month, whichever was made: an earlier one made again is no news and no recovery."""
    lake: Lake = context.resources.platform.lake
    newest = lake.require(f"{MONTH_DRIFT}/{lake.parts(MONTH_DRIFT)[-1]}").manifest.metadata["facts"]
    return [replace(each, facts={**each.facts, "month": newest["month"]}) for each in cause_outcomes(newest)]


def _show_month_drift(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    shown = pd.read_parquet(version.data).head(SHOWN_ROWS).round(4).to_dict("records")
    return {
        "verdict": dg.MetadataValue.text(facts["headline"]),
        "status": dg.MetadataValue.text(facts["status"]),
        "score_psi": dg.MetadataValue.float(round(facts["score_psi"], 4)),
        "strongest": table_of([{str(name): value for name, value in row.items()} for row in shown]),
    }


def _make_performance(work: Work) -> Made:
    rules = load_policy(work.settings.policy).monitoring
    out_of_fold = pd.read_parquet(work.inputs[OUT_OF_FOLD].data, columns=["target", "pd"])
    error = CalibrationError.of(
        calibration_figures(out_of_fold["target"].to_numpy(dtype="int64"), out_of_fold["pd"].to_numpy())
    )
    applications, outcomes = read_months(work, MONTH_APPLICATIONS), read_months(work, RAW_OUTCOMES)
    if applications.empty:
        raise RuntimeError("no month is published; run `creditrisk backfill MONTH` first")
    model_auc = float(work.inputs[EVALUATION].manifest.metadata["facts"]["figures"]["auc"])
    causes = {
        version.manifest.metadata["facts"]["month"]: [
            each["kind"] for each in version.manifest.metadata["facts"]["causes"]
        ]
        for key, version in work.inputs.items()
        if key.startswith(f"{MONTH_DRIFT}/")
    }
    report = measure_months(applications, outcomes, rules, model_auc=model_auc, error=error, causes=causes)
    report.table.to_parquet(work.draft.data, index=False, compression="zstd")
    with work.connection() as con:
        outcome = contract_outcomes(check(con, parquet(work.draft.data), PERFORMANCE))
    facts = {
        "rows": len(report.table),
        "headline": report.words,
        "summary": list(summary(report)),
        "breaches": [vars(breach) | {"evidence": breach.evidence} for breach in report.breaches],
        "months": [month.to_dict() for month in report.months],
        "calibration_error": vars(error),
    }
    return Made(facts, [*outcome, _as_tolerated(report), _labels_on_time(report)])


def read_months(work: Work, key: str) -> pd.DataFrame:
    """Read every published month of a monthly table; no column where there is none."""
    tables = [pd.read_parquet(version.data) for each, version in work.inputs.items() if each.startswith(f"{key}/")]
    columns = [column.name for column in (OUTCOMES if key == RAW_OUTCOMES else APPLICATIONS).columns]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _as_tolerated(report: performance.PerformanceReport) -> CheckOutcome:
    """Judge the newest month with outcomes; what its drift report named was told and answered then, and is no second alert."""
    newest = [month for month in report.months if month.realised is not None][-1:]
    breaches = [breach for month in newest for breach in month.breaches]
    words = "; ".join(breach.words for breach in breaches) or (
        f"{newest[0].month} is as expected" if newest else "no month has its outcomes yet"
    )
    passed = all(breach.explained_by for breach in breaches)
    return CheckOutcome("as_tolerated", passed=passed, facts={"description": words}, severity="WARN")


def _labels_on_time(report: performance.PerformanceReport) -> CheckOutcome:
    late = [f"{month.month} ({month.known_share:.0%} known)" for month in report.late]
    words = f"label delay: outcomes are due and were not delivered: {', '.join(late)}" if late else "none is due"
    return CheckOutcome("labels_on_time", passed=not late, facts={"description": words}, severity="WARN")


def _show_performance(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    return {"headline": dg.MetadataValue.text(facts["headline"]), "months": table_of(facts["summary"])}


def _export_performance(settings: Settings, _lake: Lake, version: Version) -> None:
    facts = version.manifest.metadata["facts"]
    kept = {name: facts[name] for name in ("headline", "months", "breaches", "calibration_error")}
    write_atomically(settings.reports / PERFORMANCE_REPORT, json.dumps(kept, indent=1))


OUTCOMES_OF_MONTH = Artefact(
    key=RAW_OUTCOMES,
    group=GROUP,
    kinds=frozenset({"duckdb", "parquet"}),
    describe=Describe(
        what="What became of granted loans, as far as it was seen in a month: defaults early, the others when a loan is old enough.",
        grain="one row per SK_ID_CURR of the outcomes seen in the month",
        built_from="the month's file `MONTH.outcomes.parquet` or `.csv` (CREDITRISK_MONTHS)",
        known_at="the month it is observed in, up to the policy's `maturity_months` after the application, or later",
        consumed_by="`monitoring/performance`",
        fails_when="the file is not there, a value is of another type, a row is of another month, or the contract is broken",
        source="creditrisk_assets/ingestion/months.py",
    ),
    code_version=code_version(month_files, month_contracts, _make_outcomes),
    make=_make_outcomes,
    show=_show_outcomes,
    monthly=True,
    checks=CONTRACT | OF_THE_MONTH,
    observe=lambda context: _found(context, {"outcomes": month_files.LAYOUTS}),
    columns=schema_of(OUTCOMES),
    retry=RETRY,
)
DECIDED_APPLICATIONS = Artefact(
    key=MONTH_APPLICATIONS,
    group=GROUP,
    kinds=frozenset({"duckdb", "parquet"}),
    describe=Describe(
        what="The applications decided in a month: PD and decision, and beside them, in features.parquet, what they were decided on.",
        grain="one row per SK_ID_CURR decided in the month",
        built_from=(
            "the month's files that `creditrisk score --features` writes with its raw applications, those of"
            " `creditrisk month-decisions`, or both (CREDITRISK_MONTHS); the version of `model/pd` that decided, for what was sent"
        ),
        known_at="the application day",
        consumed_by="`monitoring/performance`, `monitoring/report`, drift by month",
        fails_when="a file is not there or is not what the batch's manifest names, or the contract is broken",
        source="creditrisk_assets/ingestion/months.py",
    ),
    code_version=code_version(month_files, month_contracts, skew, _make_applications, _measured_skew),
    make=_make_applications,
    show=_show_applications,
    monthly=True,
    checks=CONTRACT | AS_RECORDED | AS_SENT,
    advisory=frozenset(AS_SENT),
    observe=_found_applications,
    today=_as_sent,
    columns=schema_of(APPLICATIONS),
    retry=RETRY,
)
DRIFT_OF_MONTH = Artefact(
    key=MONTH_DRIFT,
    group=GROUP,
    kinds=frozenset({"lightgbm", "parquet"}),
    describe=Describe(
        what="Whether a month's applicants look like those the model that decided on them learned from, by effect size.",
        grain="one row per input of the model, and one for each of score, grade, decision and first reason",
        built_from=(
            "the month of `monitoring/applications`, the version of `model/pd` that scored it with the applicants it learned from, and the"
            " month's outcomes in `raw/outcomes` where they are all known"
        ),
        known_at="the application day; made anew when its outcomes are known",
        consumed_by="`monitoring/report`, the sensor `on_drift`, the alert router",
        fails_when="a table leaves its contract; drift itself is a verdict, not a failure",
        source="creditrisk_assets/monitoring/drift/month.py",
    ),
    code_version=code_version(*MODULES, DRIFT_CONTRACT),
    make=_make_month_drift,
    show=_show_month_drift,
    monthly=True,
    same_month=(MONTH_APPLICATIONS,),
    checks={**CONTRACT, **CAUSE_CHECKS},
    advisory=frozenset(CAUSE_CHECKS),
    observe=_outcomes_of,
    today=_newest_causes,
    also_from=lambda settings, _lake: {"policy": load_policy(settings.policy).digest},
    columns=schema_of(DRIFT_CONTRACT),
    retry=RETRY,
)
PERFORMANCE_OF_MONTHS = Artefact(
    key=MONTH_PERFORMANCE,
    group=GROUP,
    kinds=frozenset({"parquet", "sklearn"}),
    describe=Describe(
        what="How months perform: estimated from PDs until outcomes are known, realised then; vintages, grades, approval by group.",
        grain="one row per month, figure and part of the applicants",
        built_from=(
            "every month of `monitoring/applications`, `raw/outcomes` and `monitoring/monthly_drift`; `model/out_of_fold`,"
            " `model/evaluation`"
        ),
        known_at="expected figures with the applications, realised ones when the outcomes are known",
        consumed_by="`monitoring/report`, the sensor `on_performance`, risk officers",
        fails_when="no month is published, or the table leaves its contract; a breach is a warning",
        source="creditrisk_assets/monitoring/performance.py",
    ),
    code_version=code_version(performance, PERFORMANCE),
    make=_make_performance,
    show=_show_performance,
    deps=(OUT_OF_FOLD, EVALUATION),
    every_month=(MONTH_APPLICATIONS, RAW_OUTCOMES, MONTH_DRIFT),
    checks=CONTRACT | JUDGED,
    advisory=frozenset(JUDGED),
    also_from=lambda settings, _lake: {"rules": load_policy(settings.policy).monitoring.model_dump_json()},
    export=_export_performance,
    columns=schema_of(PERFORMANCE),
    automation=follows(MONTH_APPLICATIONS, RAW_OUTCOMES),
)
ARTEFACTS = (OUTCOMES_OF_MONTH, DECIDED_APPLICATIONS, DRIFT_OF_MONTH, PERFORMANCE_OF_MONTHS)

# the tag is what dagster.yaml limits: of a backfill over a year one month is at work at a time
watch_month = dg.define_asset_job(
    "watch_month",
    selection=dg.AssetSelection.assets(*[artefact.key.split("/") for artefact in ARTEFACTS if artefact.monthly]),
    description="One production month: outcomes, decided applications, drift. Backfill months from the UI, or by `creditrisk backfill`.",
    tags={"creditrisk/months": "one at a time"},
)
report_months = dg.define_asset_job(
    "report_months",
    selection=dg.AssetSelection.assets(["monitoring", "performance"], ["monitoring", "report"]),
    description="All production months together: performance and the monthly report.",
)
on_new_month = dg.AutomationConditionSensorDefinition(
    "on_new_month",
    target=dg.AssetSelection.groups(GROUP),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=60,
    description="Makes performance and report anew when a month's data version changed.",
)
JOBS = [watch_month, report_months]
SENSORS = [on_new_month]
