"""Stage 4: the model in the registry, and whether it becomes champion."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.registry import CONTRACT as REGISTRY_CONTRACT
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, require_one_lineage
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.evaluation import EVALUATION, open_test_part, rival_bundle, score_part
from creditrisk_assets.defs.split import SPLIT_TEST
from creditrisk_assets.defs.training import BUNDLE, MODEL
from creditrisk_assets.defs.validation import VALIDATION
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version, write_atomically
from creditrisk_assets.mirror import BUNDLES, mirror_of
from creditrisk_assets.modelling import bundle as bundles
from creditrisk_assets.modelling.bundle import Bundle, BundleError
from creditrisk_assets.modelling.bundle_writer import publish_bundle
from creditrisk_assets.modelling.evaluation import evaluate
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import Policy, load_policy
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets.modelling.tables import read_part
from creditrisk_assets.registry import promotion, tracking, versions
from creditrisk_assets.registry.promotion import GateFigures, PromotionDecision, decide_promotion, promotion_record
from creditrisk_assets.registry.tracking import LoggedTraining
from creditrisk_assets.registry.versions import RegisteredVersion
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets.settings import Settings

REGISTRY = "registry/version"
RECORD = "registry_promotion.json"


def _make_version(work: Work) -> Made:
    policy, settings = load_policy(work.settings.policy), work.settings
    require_one_lineage(work.inputs)  # a model whose gates failed finds the validation of the one before
    connect(settings)
    model = work.inputs[MODEL]
    public = public_bytes(signing_key(settings.keys, settings.signing_key))
    bundle = Bundle.load(model.path / BUNDLE, public)
    logged = LoggedTraining(**model.manifest.metadata["facts"]["mlflow"])
    figures = _gate_figures(work.inputs[EVALUATION])
    champion = versions.by_alias(settings.registered_model, versions.CHAMPION)
    overridden = _overridden(work.inputs[VALIDATION])
    tags = {**tracking.data_tags(bundle), "dagster_run_id": work.context.run.run_id}
    if overridden:
        tags["overridden_gates"] = ", ".join(overridden)
    registered = versions.register(settings.registered_model, logged, figures, tags)
    rival = _on_the_same_applicants(champion, work, policy) if champion else None
    decision = _decide(registered, champion, figures, rival, policy)
    (pd.DataFrame([_row(registered, decision, work)])).to_parquet(work.draft.data, index=False)
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), REGISTRY_CONTRACT))
    if decision.promote and not any(outcome.blocks for outcome in contract):
        publish_bundle(model.path / BUNDLE, settings.bundles, public, mirror_of(settings))
        versions.promote(registered)
    record = promotion_record(
        decision, figures, rival,
        versions=_names(registered, champion, logged, work), policy=policy, at=datetime.now(UTC),
    )  # fmt: skip
    record["overridden_gates"] = overridden
    (work.draft.path / RECORD).write_text(json.dumps(record, indent=1))
    gate = CheckOutcome(
        "gate_passed", passed=decision.gate_passed, facts={"description": decision.words}, severity="WARN"
    )
    headline = _headline(registered, champion, decision)
    if overridden:
        headline += f"; overridden: {', '.join(overridden)}"
    return Made({"rows": 1, "headline": headline, **record}, [*contract, gate])


def _overridden(validation: Version) -> list[str]:
    """Name the gates that a person set aside for this version."""
    return [gate["code"] for gate in validation.manifest.metadata["facts"]["gates"] if gate["status"] == "overridden"]


def _on_the_same_applicants(champion: RegisteredVersion, work: Work, policy: Policy) -> GateFigures:
    """Measure the champion on the candidate's test part; its recorded figures, when that was another part, compare nothing.

    Where it cannot be (its bundle is gone, or features mean something else by now), the recorded figures are what there is.
    """
    bundle, reason = rival_bundle(work.settings, work.settings.bundles / champion.model_version)
    if bundle is None:
        work.context.log.warning(f"the champion is compared by its recorded figures: {reason}")
        return champion.figures
    open_test_part(work, bundle.version, "comparison")
    part = read_part(work.inputs[SPLIT_TEST].data, [ModelInput(f.name, f.family, f.kind) for f in bundle.features])
    measured = evaluate(part.labels, score_part(bundle, part), policy)
    return GateFigures.of(measured, synthetic=champion.figures.synthetic)


def _decide(
    registered: RegisteredVersion,
    champion: RegisteredVersion | None,
    figures: GateFigures,
    rival: GateFigures | None,
    policy: Policy,
) -> PromotionDecision:
    if champion is not None and champion.version == registered.version:
        gate = decide_promotion(figures, None, policy)
        return PromotionDecision(True, gate.gate_passed, ("this version is the champion already", *gate.reasons[1:]))
    return decide_promotion(figures, rival, policy)


def _gate_figures(evaluation: Version) -> GateFigures:
    figures: Mapping[str, float] = evaluation.manifest.metadata["facts"]["figures"]
    names = ("auc", "gini", "ks", "brier", "brier_to_constant", "calibration_slope")
    synthetic = bool(evaluation.manifest.metadata["facts"]["synthetic"])
    return GateFigures(
        **{name: figures[name] for name in names}, test_defaults=int(figures["defaults"]), synthetic=synthetic
    )


def _row(registered: RegisteredVersion, decision: PromotionDecision, work: Work) -> Mapping[str, Any]:
    return {
        "name": registered.name,
        "registry_version": registered.version,
        "model_version": registered.model_version,
        "mlflow_run_id": registered.run_id,
        "dagster_run_id": work.context.run.run_id,
        "auc": registered.figures.auc,
        "brier": registered.figures.brier,
        "promoted": decision.promote,
        "reasons": decision.words,
    }


def _names(
    registered: RegisteredVersion, champion: RegisteredVersion | None, logged: LoggedTraining, work: Work
) -> Mapping[str, Any]:
    return {
        "candidate": {"registry_version": registered.version, "model_version": registered.model_version},
        "champion_before": {"registry_version": champion.version, "model_version": champion.model_version}
        if champion
        else None,
        "validation": work.inputs[VALIDATION].version,
        "mlflow_run_id": logged.run_id,
        "dagster_run_id": work.context.run.run_id,
    }


def _headline(registered: RegisteredVersion, champion: RegisteredVersion | None, decision: PromotionDecision) -> str:
    name = f"{registered.name} version {registered.version} ({registered.model_version})"
    if decision.promote:
        return f"{name} became champion ({decision.words})"
    stays = f"version {champion.version} ({champion.model_version})" if champion else "none"
    return f"{name} is candidate only, champion stays {stays} ({decision.words.removeprefix('the champion stays; ')})"


def _show_version(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    return {
        "headline": dg.MetadataValue.text(facts["headline"]),
        "promoted": dg.MetadataValue.bool(facts["promoted"]),
        "reasons": dg.MetadataValue.json(facts["reasons"]),
        "versions": dg.MetadataValue.json(facts["versions"]),
        "gates": dg.MetadataValue.json(facts["policy"]),
    }


def _export(settings: Settings, lake: Lake, version: Version) -> None:
    """Write the promotion record; publish the champion's bundle again should it have been lost."""
    write_atomically(settings.reports / RECORD, (version.path / RECORD).read_text("utf-8"))
    public = public_bytes(signing_key(settings.keys, settings.signing_key))
    mirror = mirror_of(settings)
    if mirror is not None:  # what was promoted on another machine
        mirror.pull(settings.bundles, BUNDLES)
    if version.manifest.metadata["facts"]["promoted"] and not _published(settings, public):
        publish_bundle(lake.require(MODEL).path / BUNDLE, settings.bundles, public, mirror)
    elif mirror is not None and (path := bundles.follow(settings.bundles)) is not None:
        mirror.push(settings.bundles, BUNDLES, path)


def _published(settings: Settings, public: bytes) -> bool:
    """Tell whether a bundle is published and proves itself."""
    try:
        path = bundles.follow(settings.bundles)
        return path is not None and bool(Bundle.load(path, public))
    except BundleError:
        return False


VERSION = Artefact(
    key=REGISTRY,
    group="governance",
    kinds=frozenset({"mlflow", "parquet"}),
    describe=Describe(
        what=(
            "The model that passed its gates, in the MLflow registry: `candidate` always, `champion` at first or when it does not lose"
            " to the present one."
        ),
        grain="one row: the version registered",
        built_from="`model/pd`, `model/evaluation`, `model/validation`, the policy",
        known_at="after the validation",
        consumed_by="`serving/batch_scores` and the scoring API, which follow the published bundle",
        fails_when=(
            "the model's gates have not passed, the registry cannot be reached, or the bundle does not verify; a version that loses to"
            " the champion is no failure: the champion stays"
        ),
        source="creditrisk_assets/registry/promotion.py",
    ),
    code_version=code_version(promotion, versions, REGISTRY_CONTRACT),
    make=_make_version,
    show=_show_version,
    deps=(MODEL, EVALUATION, VALIDATION, SPLIT_TEST),
    checks=CONTRACT
    | {
        "gate_passed": "The version has what a champion needs: enough test defaults, and no loss to the champion of this moment."
    },
    advisory=frozenset({"gate_passed"}),
    also_from=lambda settings, _lake: {"policy": load_policy(settings.policy).digest},
    export=_export,
    columns=schema_of(REGISTRY_CONTRACT),
)
ARTEFACTS = (VERSION,)
