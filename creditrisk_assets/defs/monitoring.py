"""Drift as an asset. What it calls for is `defs.retraining`'s."""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.drift import CONTRACT as DRIFT_CONTRACT
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.alerts import on_alert_condition
from creditrisk_assets.defs.artefact import Artefact, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.evaluation import score_part
from creditrisk_assets.defs.features import APPLICANT_KEY
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import BUNDLE, IMPORTANCE, MODEL
from creditrisk_assets.defs.vocabulary import Describe, raw_key
from creditrisk_assets.lake import Lake, Version, sha256_file, write_atomically
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.plots import draw_drift
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets.modelling.tables import sample_part
from creditrisk_assets.monitoring import drift
from creditrisk_assets.settings import Settings

DRIFT = "monitoring/drift"
APPLICATIONS = raw_key("application_test")
EVIDENTLY_JSON, EVIDENTLY_HTML = "drift_report.json", "drift_report.html"
PLOT = "drift.png"
SHOWN_ROWS = 25


def _make_drift(work: Work) -> Made:
    limits = load_policy(work.settings.policy).drift
    model = work.inputs[MODEL].path
    public = public_bytes(signing_key(work.settings.keys, work.settings.signing_key))
    bundle = Bundle.load(model / BUNDLE, public)
    inputs = [ModelInput(feature.name, feature.family, feature.kind) for feature in bundle.features]
    importance = json.loads((model / IMPORTANCE).read_text("utf-8"))
    size: dict[str, Any] = {"rows": limits.sample_rows, "seed": limits.seed}
    with work.connection() as con:
        reference = sample_part(con, work.inputs[SPLIT_TRAIN].data, inputs, **size)
        waiting = work.inputs[APPLICATIONS].data
        current = sample_part(con, work.inputs[APPLICANT_KEY].data, inputs, **size, among=waiting)
        scores = (score_part(bundle, reference), score_part(bundle, current))
        report = drift.measure_drift(reference, current, scores, inputs, importance, limits)
        report.table.to_parquet(work.draft.data, index=False, compression="zstd")
        outcome = contract_outcomes(check(con, parquet(work.draft.data), DRIFT_CONTRACT))
    (work.draft.path / PLOT).write_bytes(draw_drift(report.table, report.status))
    work.context.log.info("drawing Evidently's report")
    drawn = drift.write_evidently_report(
        reference, current, scores, inputs, report, limits,
        json_path=work.draft.path / EVIDENTLY_JSON, html_path=work.draft.path / EVIDENTLY_HTML,
    )  # fmt: skip
    facts = {"rows": len(report.table), **report.to_dict(), "headline": report.words, "drawn": list(drawn)}
    # the table alone names the version: the same drift is the same evidence, however Evidently writes its page
    return Made(facts, outcome, version=sha256_file(work.draft.data))


def _show_drift(version: Version) -> Mapping[str, dg.MetadataValue]:
    import pandas as pd  # noqa: PLC0415

    facts = version.manifest.metadata["facts"]
    strongest = pd.read_parquet(version.data).head(SHOWN_ROWS).round(4)
    rows = [{str(name): value for name, value in row.items()} for row in strongest.to_dict("records")]
    report = version.path / EVIDENTLY_HTML
    return {
        "verdict": dg.MetadataValue.text(facts["words"]),
        "status": dg.MetadataValue.text(facts["status"]),
        "drifted_share": dg.MetadataValue.float(round(facts["drifted_share"], 4)),
        "score_psi": dg.MetadataValue.float(round(facts["score_psi"], 4)),
        "plot": picture_of(version.path / PLOT),
        "strongest": table_of(rows),
        "evidently_report": dg.MetadataValue.url(report.as_uri()),
    }


def _export_drift(settings: Settings, _lake: Lake, version: Version) -> None:
    for name in (EVIDENTLY_JSON, EVIDENTLY_HTML):
        if name in version.manifest.files:
            write_atomically(settings.reports / name, (version.path / name).read_text("utf-8"))


DRIFT_REPORT = Artefact(
    key=DRIFT,
    group="monitoring",
    kinds=frozenset({"evidently", "lightgbm", "parquet"}),
    describe=Describe(
        what="Whether the applicants that wait for a decision still look like those the model learned from, by effect size.",
        grain="one row per input of the model, and one for the score",
        built_from="`training/split_train` as reference, `features/applicant` of `raw/application_test`, `model/pd`; bounded samples",
        known_at="the application day",
        consumed_by="the sensor `on_drift`, risk officers",
        fails_when="a table leaves its contract; drift itself is a verdict, not a failure",
        source="creditrisk_assets/monitoring/drift.py",
    ),
    code_version=code_version(drift, draw_drift, DRIFT_CONTRACT),
    make=_make_drift,
    show=_show_drift,
    deps=(SPLIT_TRAIN, APPLICANT_KEY, APPLICATIONS, MODEL),
    checks=CONTRACT,
    also_from=lambda settings, _lake: {"policy": load_policy(settings.policy).digest},
    export=_export_drift,
    columns=schema_of(DRIFT_CONTRACT),
)
ARTEFACTS = (DRIFT_REPORT,)


SENSORS = [on_alert_condition]
