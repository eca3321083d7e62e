"""Drift as an asset. What it calls for is `defs.retraining`'s."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import dagster as dg

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.drift import CONTRACT as DRIFT_CONTRACT
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.alerts import on_alert_condition
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.features import APPLICANT_KEY
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import BUNDLE, IMPORTANCE, MODEL
from creditrisk_assets.defs.vocabulary import Describe, raw_key
from creditrisk_assets.lake import Lake, Version, sha256_file, write_atomically
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.part_scores import inputs_of, score_table
from creditrisk_assets.modelling.plots import draw_drift
from creditrisk_assets.modelling.policy import DriftLimits, load_policy
from creditrisk_assets.modelling.signing import trusted_keys
from creditrisk_assets.monitoring.conditions import NO_VERDICT
from creditrisk_assets.monitoring.drift import (
    attribution,
    causes,
    counting,
    domain,
    effects,
    evidently_report,
    month,
    segments,
)
from creditrisk_assets.monitoring.drift import report as verdict
from creditrisk_assets.monitoring.drift.evidently_report import write_evidently_report
from creditrisk_assets.monitoring.drift.month import measure_month
from creditrisk_assets.monitoring.drift.plots import draw_attribution
from creditrisk_assets.monitoring.drift.publication import send_to_cloudwatch, write_prometheus
from creditrisk_assets.monitoring.drift.report import NAMED_IN_WORDS, RUNBOOK, CauseKind, DriftReport
from creditrisk_assets.settings import Settings

DRIFT = "monitoring/drift"
MODULES = (attribution, causes, counting, domain, effects, evidently_report, month, verdict, segments)
APPLICATIONS = raw_key("application_test")
EVIDENTLY_JSON, EVIDENTLY_HTML = "drift_report.json", "drift_report.html"
PLOT, ATTRIBUTION_PLOT = "drift.png", "attribution.png"
ATTRIBUTION, SEGMENTS = "attribution.parquet", "segments.parquet"
CAUSES: tuple[CauseKind, ...] = get_args(CauseKind)
CAUSE_CHECKS = {
    f"no_{kind}": f"No {kind.replace('_', ' ')} was found; {RUNBOOK}#{kind} says what to do." for kind in CAUSES
}
NO_CAUSE = [{"kind": "none", "subject": "", "words": "nothing happened that needs an answer"}]
BESIDE = ("prior", "rank_agreement", "domain_auc", "domain_contributors")
SHOWN_ROWS = 25


def _make_drift(work: Work) -> Made:
    policy = load_policy(work.settings.policy)
    model = work.inputs[MODEL].path
    bundle = Bundle.load(model / BUNDLE, trusted_keys(work.settings.keys, work.settings.signing_key))
    with work.connection() as con:
        report = measure_month(
            con,
            bundle,
            work.inputs[APPLICANT_KEY].data,
            policy,
            importance=json.loads((model / IMPORTANCE).read_text("utf-8")),
            reference=work.inputs[SPLIT_TRAIN].data,
            among=work.inputs[APPLICATIONS].data,
            threads=work.settings.threads,
        )
        report.table.to_parquet(work.draft.data, index=False, compression="zstd")
        outcome = contract_outcomes(check(con, parquet(work.draft.data), DRIFT_CONTRACT))
    report.segments.to_parquet(work.draft.path / SEGMENTS, index=False, compression="zstd")
    (work.draft.path / PLOT).write_bytes(draw_drift(report.table, report.status))
    if report.attribution is not None:
        report.attribution.table.to_parquet(work.draft.path / ATTRIBUTION, index=False, compression="zstd")
        (work.draft.path / ATTRIBUTION_PLOT).write_bytes(draw_attribution(report.attribution))
    work.context.log.info("drawing Evidently's report")
    drawn = _draw_evidently(work, bundle, report, policy.drift)
    facts = {"rows": len(report.table), **report.to_dict(), "headline": report.words, "drawn": list(drawn)}
    # the table alone names the version: the same drift is the same evidence, however Evidently writes its page
    return Made(facts, [*outcome, *cause_outcomes(facts)], version=sha256_file(work.draft.data))


def _draw_evidently(work: Work, bundle: Bundle, report: DriftReport, limits: DriftLimits) -> Sequence[str]:
    if (samples := report.samples) is None:
        return ()
    paths = {"json_path": work.draft.path / EVIDENTLY_JSON, "html_path": work.draft.path / EVIDENTLY_HTML}
    return write_evidently_report(
        samples.reference, samples.current, samples.scores, inputs_of(bundle), report, limits, **paths
    )


def cause_outcomes(facts: Mapping[str, Any]) -> list[CheckOutcome]:
    """Answer one check per kind of cause, so that each is one alert, which the router opens and resolves.

    A report without a verdict passes none of them for the router: an alert resolves on evidence of recovery alone.
    """
    undecided = {NO_VERDICT: True} if facts["status"] == "unknown" else {}
    outcomes = []
    for kind in CAUSES:
        found = [cause for cause in facts["causes"] if cause["kind"] == kind]
        words = "; ".join(cause["words"] for cause in found)
        shown = sorted({name for cause in found for name in cause["features"][:NAMED_IN_WORDS]})
        said = f"{words}. Inputs: {', '.join(shown) or 'none by itself'}. Runbook: {RUNBOOK}#{kind}"
        description = said if found else facts["words"] if undecided else "not seen"
        outcomes.append(CheckOutcome(f"no_{kind}", not found, {"description": description, **undecided}, "WARN"))
    return outcomes


def _show_drift(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    report = version.path / EVIDENTLY_HTML
    return {
        "verdict": dg.MetadataValue.text(facts["words"]),
        "status": dg.MetadataValue.text(facts["status"]),
        "drifted_share": dg.MetadataValue.float(round(facts["drifted_share"], 4)),
        "score_psi": dg.MetadataValue.float(round(facts["score_psi"], 4)),
        "plot": picture_of(
            *(version.path / name for name in (PLOT, ATTRIBUTION_PLOT) if name in version.manifest.files)
        ),
        "strongest": table_of(_records(version.data)),
        "causes": table_of(
            [{name: cause[name] for name in ("kind", "subject", "words")} for cause in facts["causes"]] or NO_CAUSE
        ),
        "segments": table_of(_records(version.path / SEGMENTS)),
        "feeds": dg.MetadataValue.json(dict(list(facts["feeds"].items())[:SHOWN_ROWS])),
        "beside_the_inputs": dg.MetadataValue.json({name: facts[name] for name in BESIDE}),
        "evidently_report": dg.MetadataValue.url(report.as_uri()),
    }


def _records(path: Path) -> list[dict[str, Any]]:
    import pandas as pd  # noqa: PLC0415

    table = pd.read_parquet(path).head(SHOWN_ROWS).round(4)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _export_drift(settings: Settings, _lake: Lake, version: Version) -> None:
    for name in (EVIDENTLY_JSON, EVIDENTLY_HTML):
        if name in version.manifest.files:
            write_atomically(settings.reports / name, (version.path / name).read_text("utf-8"))
    facts = version.manifest.metadata["facts"]
    write_prometheus(facts, settings.reports)
    if settings.cloudwatch_namespace is not None:
        import boto3  # noqa: PLC0415 - only where it is asked for

        send_to_cloudwatch(facts, boto3.client("cloudwatch"), settings.cloudwatch_namespace)


DRIFT_REPORT = Artefact(
    key=DRIFT,
    group="monitoring",
    kinds=frozenset({"evidently", "lightgbm", "parquet"}),
    describe=Describe(
        what="Whether the applicants that wait for a decision still look like those the model learned from, by effect size.",
        grain="one row per input of the model, and one for each of score, grade, decision and first reason",
        built_from=(
            "`features/applicant` of all of `raw/application_test`, `model/pd` with its reference distributions, `training/split_train` for"
            " contributions, domain classifier, segments and Evidently, on samples"
        ),
        known_at="the application day",
        consumed_by="the sensor `on_drift`, risk officers",
        fails_when="a table leaves its contract; drift itself is a verdict, not a failure",
        source="creditrisk_assets/monitoring/drift/month.py",
    ),
    code_version=code_version(*MODULES, draw_drift, score_table, DRIFT_CONTRACT),
    make=_make_drift,
    show=_show_drift,
    deps=(SPLIT_TRAIN, APPLICANT_KEY, APPLICATIONS, MODEL),
    checks={**CONTRACT, **CAUSE_CHECKS},
    advisory=frozenset(CAUSE_CHECKS),
    also_from=lambda settings, _lake: {"policy": load_policy(settings.policy).digest},
    export=_export_drift,
    columns=schema_of(DRIFT_CONTRACT),
)
ARTEFACTS = (DRIFT_REPORT,)


SENSORS = [on_alert_condition]
