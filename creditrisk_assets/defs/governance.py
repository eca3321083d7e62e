"""Stage 4: the model in the registry. What becomes of it is `canary`'s and `promotion`'s."""

import json
from collections.abc import Mapping

import dagster as dg
import pandas as pd

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.registry import CONTRACT as REGISTRY_CONTRACT
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, Made, Work, asset_key, require_one_lineage, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.evaluation import EVALUATION
from creditrisk_assets.defs.promotion import open_ledger
from creditrisk_assets.defs.training import BUNDLE, MODEL
from creditrisk_assets.defs.validation import VALIDATION
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.mirror import BUNDLES, mirror_of
from creditrisk_assets.modelling.bundle import Bundle, BundleError, follow
from creditrisk_assets.modelling.bundle_writer import store_bundle
from creditrisk_assets.modelling.signing import trusted_keys
from creditrisk_assets.registry import lineage, tracking, versions
from creditrisk_assets.registry.ledger import Event
from creditrisk_assets.registry.promotion import GateFigures
from creditrisk_assets.registry.tracking import LoggedTraining
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets.settings import Settings

REGISTRY = "registry/version"


def _make_version(work: Work) -> Made:
    settings = work.settings
    require_one_lineage(work.inputs)  # a model whose gates failed finds the validation of the one before
    connect(settings)
    model = work.inputs[MODEL]
    public = trusted_keys(settings.keys, settings.signing_key)
    stored = store_bundle(model.path / BUNDLE, settings.bundles, public)
    logged = LoggedTraining(**model.manifest.metadata["facts"]["mlflow"])
    launched_by = tracking.launched_by(logged.run_id) or work.launched_by
    tags = {
        **tracking.data_tags(Bundle.load(stored, public)),
        "dagster_run_id": work.context.run.run_id,
        versions.LAUNCHED_BY_TAG: json.dumps([launched_by]),
        versions.BUNDLE_TAG: versions.manifest_hash(stored),
    }
    if overridden := _overridden(work.inputs[VALIDATION]):
        tags["overridden_gates"] = ", ".join(overridden)
    figures = gate_figures(work.inputs[EVALUATION])
    registered = versions.register(settings.registered_model, logged, figures, tags)
    row = {
        "name": registered.name,
        "registry_version": registered.version,
        "model_version": registered.model_version,
        "mlflow_run_id": registered.run_id,
        "dagster_run_id": work.context.run.run_id,
        "auc": registered.figures.auc,
        "brier": registered.figures.brier,
        "launched_by": launched_by,
    }
    (pd.DataFrame([row])).to_parquet(work.draft.data, index=False)
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), REGISTRY_CONTRACT))
    headline = f"{registered.name} version {registered.version} ({registered.model_version}) is registered as candidate"
    if overridden:
        headline += f"; overridden: {', '.join(overridden)}"
    versions_ = {
        "candidate": {"registry_version": registered.version, "model_version": registered.model_version},
        "validation": work.inputs[VALIDATION].version,
        "mlflow_run_id": logged.run_id,
        "dagster_run_id": work.context.run.run_id,
    }
    facts = {
        **row,
        "rows": 1,
        "headline": headline,
        "versions": versions_,
        "overridden_gates": overridden,
        "bundle_sha256": versions.manifest_hash(stored),
        "lineage": lineage.outline(work.lake, registered.model_version),
    }
    return Made(facts, contract)


def _overridden(validation: Version) -> list[str]:
    """Name the gates that a person set aside for this version."""
    return [gate["code"] for gate in validation.manifest.metadata["facts"]["gates"] if gate["status"] == "overridden"]


def gate_figures(evaluation: Version) -> GateFigures:
    """Take the figures a version is compared by from its evaluation."""
    figures: Mapping[str, float] = evaluation.manifest.metadata["facts"]["figures"]
    names = ("auc", "gini", "ks", "brier", "brier_to_constant", "calibration_slope")
    synthetic = bool(evaluation.manifest.metadata["facts"]["synthetic"])
    return GateFigures(
        **{name: figures[name] for name in names}, test_defaults=int(figures["defaults"]), synthetic=synthetic
    )


def _show_version(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    links: dict[str, dg.MetadataValue] = {
        "model": dg.MetadataValue.asset(asset_key(MODEL)),
        "dagster run": dg.MetadataValue.dagster_run(facts["versions"]["dagster_run_id"]),
    }
    if facts.get("lineage"):  # a version of an earlier release has none
        links["lineage"] = table_of(facts["lineage"])
    return {
        **links,
        "headline": dg.MetadataValue.text(facts["headline"]),
        "versions": dg.MetadataValue.json(facts["versions"]),
        "launched_by": dg.MetadataValue.text(facts["launched_by"]),
    }


def _export(settings: Settings, lake: Lake, version: Version) -> None:
    """Note the registration in the ledger, once; store the bundle again should it have been lost."""
    facts = version.manifest.metadata["facts"]
    public = trusted_keys(settings.keys, settings.signing_key)
    try:
        Bundle.load(settings.bundles / facts["model_version"], public)
    except BundleError:
        store_bundle(lake.require(MODEL).path / BUNDLE, settings.bundles, public)
    if (mirror := mirror_of(settings)) is not None and (champion := follow(settings.bundles)) is not None:
        mirror.push(settings.bundles, BUNDLES, champion)  # of a home that had no object store before
    with open_ledger(settings) as ledger:
        noted = {e.event.model_version for e in ledger.entries() if e.event.kind == "registration"}
        if facts["model_version"] not in noted:
            words = "passed the gates of registration"
            if facts["overridden_gates"]:
                words = f"registered with gates overridden: {', '.join(facts['overridden_gates'])}"
            details = {"registry_version": facts["registry_version"], "validation": facts["versions"]["validation"]}
            for kind in ("registration", "gate"):
                ledger.append(
                    Event(
                        kind,
                        facts["model_version"],
                        facts["launched_by"],
                        words,
                        facts["bundle_sha256"],
                        details=details,
                    )
                )


VERSION = Artefact(
    key=REGISTRY,
    group="governance",
    kinds=frozenset({"mlflow", "parquet"}),
    describe=Describe(
        what="The model that passed its gates, in the MLflow registry as `candidate`, its signed bundle stored beside the champion's.",
        grain="one row: the version registered",
        built_from="`model/pd`, `model/evaluation`, `model/validation`",
        known_at="after the validation",
        consumed_by="`registry/canary`, which compares it with the champion; the ledger (`creditrisk ledger`)",
        fails_when="the model's gates have not passed, the registry cannot be reached, or the bundle does not verify",
        source="creditrisk_assets/registry/versions.py",
    ),
    code_version=code_version(versions, REGISTRY_CONTRACT),
    make=_make_version,
    show=_show_version,
    deps=(MODEL, EVALUATION, VALIDATION),
    checks=CONTRACT,
    export=_export,
    columns=schema_of(REGISTRY_CONTRACT),
)
ARTEFACTS = (VERSION,)
