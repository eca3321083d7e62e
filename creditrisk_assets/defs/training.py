"""Stage 3b: the cross-validated model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.out_of_fold import OUT_OF_FOLD as OUT_OF_FOLD_CONTRACT
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs import split
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.split import SPLIT_TRAIN, leak_outcome
from creditrisk_assets.defs.vocabulary import Describe, raw_key
from creditrisk_assets.features.families import FAMILIES, applicant_features
from creditrisk_assets.features.lineage import applicant_lineage
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling import (
    adoption,
    bundle,
    bundle_writer,
    calibration,
    calibration_fitting,
    cross_validation,
    fold_models,
    folds,
    leaks,
    pipeline,
    reference,
    training,
)
from creditrisk_assets.modelling.adoption import Adopted, FoundParameters, FrozenSelection
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.calibration import Calibrator
from creditrisk_assets.modelling.configuration import ModelConfig, load_configuration
from creditrisk_assets.modelling.cross_validation import OutOfFold
from creditrisk_assets.modelling.explanation import compile as compiling
from creditrisk_assets.modelling.explanation import explainer, principal, reasons, reference_set, trees, words
from creditrisk_assets.modelling.explanation.compile import compile_explainer
from creditrisk_assets.modelling.explanation.principal import ReasonBook
from creditrisk_assets.modelling.explanation.reasons import ReasonError, catalogue, compared
from creditrisk_assets.modelling.explanation.reference_set import ReferenceSet, choose_reference
from creditrisk_assets.modelling.fold_models import render_fold_models
from creditrisk_assets.modelling.inputs import InputChoice, ModelInput, choose_inputs
from creditrisk_assets.modelling.policy import Policy, load_policy
from creditrisk_assets.modelling.reference import ScoreReference, reference_of, score_reference
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.modelling.training import TrainedModel, TreeSearch
from creditrisk_assets.registry import tracking
from creditrisk_assets.resources.mlflow import MlflowRun, connect
from creditrisk_assets.settings import Settings

OUT_OF_FOLD, MODEL = "model/out_of_fold", "model/pd"
SELECTION, SEARCH = "model/selection", "model/search"  # research, taken over where it is published and holds
SELECTION_FILE, SEARCH_FILE = "selection.json", "search.json"
CALIBRATOR, ADOPTED, FOLD_MODELS = "calibrator.json", "adopted.json", "fold_models.json"
BUNDLE, COMPARISON, IMPORTANCE = "bundle", "comparison", "importance.json"
REFERENCE_APPLICANTS = "reference_applicants.npy"  # rows of the model's matrix: they stay in the lake
MLFLOW_RUN_TAG = "mlflow_run_id"
TOP_INPUTS = 20


def _make_out_of_fold(work: Work) -> Made:
    adopted = adopt_published(work)
    choice, config = adopted.choice(choose(work.settings)), adopted.configuration(load_configuration())
    work.context.log.info(f"selection: {adopted.selection_words}; parameters: {adopted.search_words}")
    part = read_part(work.inputs[SPLIT_TRAIN].data, choice.allowed)
    plan = config.validation
    words = f"{plan.repeats} × {plan.folds} folds of {len(part):,} applicants with {len(choice.allowed)} inputs"
    work.context.log.info(f"cross-validating: {words}")
    found = cross_validation.cross_validate(part, choice.allowed, config, threads=work.settings.threads)
    found.table.to_parquet(work.draft.data, index=False, compression="zstd")
    (work.draft.path / CALIBRATOR).write_text(found.calibration.calibrator.to_json())
    (work.draft.path / ADOPTED).write_text(adopted.to_json())
    (work.draft.path / FOLD_MODELS).write_text(render_fold_models(found.models), "utf-8")
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), OUT_OF_FOLD_CONTRACT))
    checks = [*contract, _once_per_repeat(found, part), _believable(found, config)]
    facts = {"rows": len(found.table), "defaults": int(part.labels.sum()), **found.facts()}
    return Made({**facts, "research": _account(adopted)}, checks)


def adopt_published(work: Work) -> Adopted:
    """Decide what a model is made with, by what research has published and what holds of it today."""
    selection, search = work.inputs.get(SELECTION), work.inputs.get(SEARCH)
    return adoption.adopt(
        choose(work.settings),
        meaning(work.settings),
        load_configuration().digest,
        (selection.version, FrozenSelection.model_validate_json((selection.path / SELECTION_FILE).read_text("utf-8")))
        if selection
        else None,
        (search.version, FoundParameters.model_validate_json((search.path / SEARCH_FILE).read_text("utf-8")))
        if search
        else None,
    )


def _account(adopted: Adopted) -> dict[str, Any]:
    """Say which research a model rests on, and why not on more."""
    return {**adopted.versions, "selection_words": adopted.selection_words, "search_words": adopted.search_words}


def _once_per_repeat(found: OutOfFold, part: Part) -> CheckOutcome:
    """Look at the table, not at how it was made."""
    seen = found.table.groupby("repeat")["sk_id_curr"].apply(lambda ids: sorted(ids) == sorted(part.ids.tolist()))
    words = f"{len(part):,} training applicants, {len(found.table):,} predictions in {len(seen)} repeats"
    return CheckOutcome("each_applicant_once_per_repeat", passed=bool(seen.all()), facts={"description": words})


def _believable(found: OutOfFold, config: ModelConfig) -> CheckOutcome:
    low, high = config.validation.lowest_auc, config.validation.highest_auc
    by_fold = ", ".join(f"{fold.auc:.3f}" for fold in found.folds)
    words = f"AUC out of fold {found.auc:.4f}, believed from {low} to {high}; by fold {by_fold}"
    facts = {"description": words, "auc": found.auc}
    return CheckOutcome("auc_is_believable", passed=low <= found.auc <= high, facts=facts)


def _show_out_of_fold(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    calibration = facts["calibration"]
    shown = ("repeat", "fold", "fitted", "held_out", "trees", "auc")
    return {
        "auc": dg.MetadataValue.float(round(facts["auc"], 6)),
        "trees": dg.MetadataValue.text(f"{facts['search']['trees']} ({facts['search']['reason']})"),
        "calibrator": dg.MetadataValue.text(f"{calibration['calibrator']['kind']}: {calibration['reason']}"),
        **_show_disagreement(facts["disagreement"]),
        **_show_research(facts["research"]),
        "folds": table_of([{name: fold[name] for name in shown} for fold in facts["folds"]]),
    }


def _show_disagreement(disagreement: Mapping[str, float] | None) -> dict[str, dg.MetadataValue]:
    if disagreement is None:
        return {}
    words = f"median {disagreement['median']:.3f}, 95th percentile {disagreement['percentile_95']:.3f} (log-odds)"
    return {"disagreement of seeds": dg.MetadataValue.text(words)}


def _show_research(account: Mapping[str, str]) -> dict[str, dg.MetadataValue]:
    return {
        name: dg.MetadataValue.text(f"{account[name]} ({account[f'{name}_words']})") for name in ("selection", "search")
    }


def _make_model(work: Work) -> Made:
    connect(work.settings)  # a tracking server that does not answer is to be known before the fit, not after it
    policy, out_of_fold = load_policy(work.settings.policy), work.inputs[OUT_OF_FOLD]
    # what was cross-validated is what is trained, whatever research has published since
    adopted = Adopted.from_json((out_of_fold.path / ADOPTED).read_text("utf-8"))
    choice, config = adopted.choice(choose(work.settings)), adopted.configuration(load_configuration())
    part = read_part(work.inputs[SPLIT_TRAIN].data, choice.all)
    work.context.log.info(f"training on {len(part):,} applicants with {len(choice.allowed)} inputs")
    search = TreeSearch(**out_of_fold.manifest.metadata["facts"]["search"])
    calibrator = Calibrator.from_json((out_of_fold.path / CALIBRATOR).read_text("utf-8"))
    trained = training.train(part, choice, config, search, calibrator, threads=work.settings.threads)
    synthetic = _is_synthetic(work.lake)
    origin = {"synthetic": synthetic, "research": adopted.versions}
    scores = _scores_out_of_fold(out_of_fold, policy)
    references = choose_reference(trained.model, part, policy.decisions.approve_below)
    np.save(work.draft.path / REFERENCE_APPLICANTS, references.rows, allow_pickle=False)
    written = _write(work, trained.model, part, policy, BUNDLE, origin, scores=scores, references=references)
    if trained.comparison is not None:
        _write(work, trained.comparison, part, policy, COMPARISON, origin)
    (work.draft.path / IMPORTANCE).write_text(json.dumps(trained.model.importance, indent=1))
    checks = [*_model_checks(written, choice), _shuffled(part, choice, config, work.settings)]
    facts = _model_facts(trained.model, choice, written, synthetic=synthetic)
    facts["research"] = {**_account(adopted), "features": list(adopted.features)}
    facts["out_of_fold_auc"] = out_of_fold.manifest.metadata["facts"]["auc"]
    facts["dagster_run_id"] = work.context.run.run_id
    if not any(check.blocks for check in checks):
        facts["mlflow"] = _log(work, trained.model, choice, written)
    return Made(facts, checks, version=written.version)


def choose(settings: Settings) -> InputChoice:
    """Choose the inputs of the model among the features of the store, by the policy of this day."""
    inputs = [ModelInput(feature.name, feature.family, feature.kind) for feature in applicant_features()]
    return choose_inputs(inputs, applicant_lineage(), load_policy(settings.policy), datetime.now(UTC).date())


def _is_synthetic(lake: Lake) -> bool:
    return bool(lake.require(raw_key("application_train")).manifest.metadata["facts"]["synthetic"])


def _scores_out_of_fold(out_of_fold: Version, policy: Policy) -> ScoreReference:
    table = pd.read_parquet(out_of_fold.data, columns=["repeat", "margin", "pd"]).query("repeat == 0")
    return score_reference(table["margin"].to_numpy(), table["pd"].to_numpy(), policy)


def _write(
    work: Work,
    model: TrainedModel,
    part: Part,
    policy: Policy,
    name: str,
    origin: Mapping[str, Any],
    *,
    scores: ScoreReference | None = None,
    references: ReferenceSet | None = None,
) -> Bundle:
    metrics = {
        "training_applicants": model.rows,
        "training_defaults": model.defaults,
        "trees": model.search.trees,
        "validation_auc": model.search.validation_auc,
        **origin,
    }
    content = bundle_writer.BundleContent(
        name=work.settings.registered_model if name == BUNDLE else f"{work.settings.registered_model}-{name}",
        model_text=model.model_text,
        features=model.features,
        plan=render_plan(),
        policy=policy,
        calibrator=model.calibrator,
        metrics=metrics,
        golden=model.golden(part),
        reference=reference_of(
            {i.name: i.kind for i in model.inputs}, {str(name): column for name, column in part.frame.items()}, scores
        ),
        inputs={key: version.version for key, version in work.inputs.items()},
        code_version=MODEL_CODE,
        explainer=compile_explainer(model.model_text, references.rows) if references else None,
        reference_applicants=references.facts() if references else None,
        reasons=_reasons(model, references) if references else None,
    )
    return bundle_writer.write_bundle(
        work.draft.path / name, content, signing_key(work.settings.keys, work.settings.signing_key)
    )


def _reasons(model: TrainedModel, references: ReferenceSet) -> ReasonBook:
    book = catalogue([item.name for item in model.inputs])
    return compared(book, references.rows, {item.name: item.monotone for item in model.inputs})


def _log(work: Work, model: TrainedModel, choice: InputChoice, written: Bundle) -> dict[str, str]:
    """Log the training into the MLflow run of this Dagster run, each naming the other."""
    run: MlflowRun = work.context.resources.mlflow
    run_id = run.begin()
    work.context.instance.add_run_tags(work.context.run.run_id, {MLFLOW_RUN_TAG: run_id})
    tags = {"dagster_run_id": work.context.run.run_id, "dagster_asset_key": MODEL, "launched_by": work.launched_by}
    public = public_bytes(signing_key(work.settings.keys, work.settings.signing_key))
    return vars(tracking.log_training(model, choice, written, work.draft.path / BUNDLE, public, tags=tags))


def _model_facts(model: TrainedModel, choice: InputChoice, written: Bundle, *, synthetic: bool) -> dict[str, Any]:
    return {
        "rows": model.rows,
        "defaults": model.defaults,
        "features": len(model.inputs),
        "trees": model.search.trees,
        "trees_reason": model.search.reason,
        "validation_auc": model.search.validation_auc,
        "model_version": written.version,
        "model_hash": model.model_hash,
        "calibrator": asdict(model.calibrator),
        "reference_applicants": written.reference_applicants,
        "kept_for_testing_only": {item.name: list(choice.attributes[item.name]) for item in choice.prohibited},
        "allowed_by_policy": dict(choice.reasons),
        "dropped": dict(model.dropped),
        "monotone": {item.name: item.monotone for item in model.inputs if item.monotone},
        "synthetic": synthetic,
        "configuration": model.config.model_dump(mode="json"),
    }


def _model_checks(written: Bundle, choice: InputChoice) -> list[CheckOutcome]:
    """Look at what was written, not at what was meant."""
    lineage, prohibited = applicant_lineage(), {column for columns in choice.attributes.values() for column in columns}
    reached = [
        feature.name
        for feature in written.features
        if {column for _, column in lineage[feature.name]} & prohibited and feature.name not in choice.reasons
    ]
    words = f"{len(written.features)} inputs, {len(choice.prohibited)} features kept for testing only"
    return [
        CheckOutcome(
            "no_prohibited_input",
            passed=not reached,
            facts={"description": f"{words}; reaching a prohibited attribute: {', '.join(reached) or 'none'}"},
        ),
        _told_of(written.feature_names),
    ]


def _told_of(names: Sequence[str]) -> CheckOutcome:
    """Look whether an applicant can be told of every input."""
    try:
        found = catalogue(names)
        words = f"{len(found.tellings)} inputs in {len(found.groups)} groups"
    except ReasonError as error:
        return CheckOutcome("every_input_has_a_reason", passed=False, facts={"description": str(error)})
    return CheckOutcome("every_input_has_a_reason", passed=True, facts={"description": words})


def _shuffled(part: Part, choice: InputChoice, config: ModelConfig, settings: Settings) -> CheckOutcome:
    learner = leaks.configured_learner(choice.allowed, config, threads=settings.threads)
    return leak_outcome(leaks.a_shuffled_target_teaches_nothing(part, learner, config.leaks))


def _show_model(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    importance: Mapping[str, float] = json.loads((version.path / IMPORTANCE).read_text("utf-8"))
    top = [{"input": name, "share_of_gain": round(share, 5)} for name, share in list(importance.items())[:TOP_INPUTS]]
    left_out = [
        {"feature": name, "reaches": ", ".join(columns)}
        for name, columns in sorted(facts["kept_for_testing_only"].items())
    ]
    shown: dict[str, dg.MetadataValue] = {
        "model_version": dg.MetadataValue.text(facts["model_version"]),
        "model_hash": dg.MetadataValue.text(facts["model_hash"]),
        "mlflow_run_id": dg.MetadataValue.text(facts["mlflow"]["run_id"]),
        "features": dg.MetadataValue.int(facts["features"]),
        "trees": dg.MetadataValue.text(f"{facts['trees']} ({facts['trees_reason']})"),
        "contributions compare with": dg.MetadataValue.text(_reference_words(facts["reference_applicants"])),
        **_show_research(facts["research"]),
        "top_inputs": table_of(top),
    }
    if left_out:
        shown["kept_for_testing_only"] = table_of(left_out)
    return shown


def _reference_words(found: Mapping[str, Any]) -> str:
    return (
        f"{found['applicants']} training applicants just approved: PD {found['lowest_pd']:.4f} to {found['highest_pd']:.4f},"
        f" cut-off {found['approve_below']}"
    )


def meaning(settings: Settings) -> Mapping[str, str]:
    """Fingerprint what the inputs are and mean: what is prohibited, allowed and constrained today, feature definitions."""
    policy = load_policy(settings.policy)
    return {
        "prohibited": code_version(policy.prohibited.model_dump(mode="json")),
        "monotone": code_version([direction.model_dump() for direction in policy.monotone]),
        "allowances": ",".join(sorted(policy.prohibited.allowed(datetime.now(UTC).date()))),
        **{f"definition of {name}": family.definition for name, family in FAMILIES.items()},
    }


def learned_from(settings: Settings, _lake: Lake) -> Mapping[str, str]:
    """Fingerprint what margins depend on besides tables and code: configuration and meaning of the inputs."""
    return {"configuration": load_configuration().digest, **meaning(settings)}


def _trained_on(settings: Settings, lake: Lake) -> Mapping[str, str]:
    """Fingerprint what a bundle depends on besides: the whole policy and the descriptions, which it carries, and the signing key."""
    signer = public_bytes(signing_key(settings.keys, settings.signing_key)).hex()
    described = code_version([feature.description for feature in applicant_features()])
    policy = load_policy(settings.policy).digest
    return {**learned_from(settings, lake), "policy": policy, "described": described, "signing_key": signer}


FITTING_CODE = code_version(training, pipeline, pipeline.ENCODER, folds)
EXPLAINING_CODE = code_version(trees, compiling, explainer, reference_set, principal, reasons, words)
MODEL_CODE = code_version(FITTING_CODE, calibration, bundle, bundle_writer, reference, EXPLAINING_CODE)
OUT_OF_FOLD_PREDICTIONS = Artefact(
    key=OUT_OF_FOLD,
    group="training",
    kinds=frozenset({"lightgbm", "parquet", "sklearn"}),
    describe=Describe(
        what=(
            "Margins and PDs of the training applicants by models that have not seen them: what the number of trees and the calibrator"
            " of `model/pd` are found on."
        ),
        grain="one row per training applicant and repeat",
        built_from="`training/split_train`, `model.yaml`; `model/selection` and `model/search` where they are published and hold",
        known_at="when the training applicants' outcomes are",
        consumed_by="`model/pd`, `model/policy_simulation`, `model/slices`, `model/robustness`",
        fails_when=(
            "an outcome has too few applicants for the folds, an applicant is not exactly once in each repeat, or the AUC is one nobody"
            " would believe"
        ),
        source="creditrisk_assets/modelling/cross_validation.py",
    ),
    code_version=code_version(
        FITTING_CODE, adoption, cross_validation, calibration_fitting, fold_models, OUT_OF_FOLD_CONTRACT
    ),
    make=_make_out_of_fold,
    show=_show_out_of_fold,
    deps=(SPLIT_TRAIN,),
    uses=(SELECTION, SEARCH),
    checks=CONTRACT
    | {
        "each_applicant_once_per_repeat": "Each training applicant has exactly one prediction in each repeat, and nobody else has one.",
        "auc_is_believable": (
            "The AUC out of fold lies in the band of model.yaml. Below it the features say nothing: look at the outcome and at the"
            " joins. Above it something knows the outcome: look at the inputs of largest gain (docs/leaks.md)."
        ),
    },
    columns=schema_of(OUT_OF_FOLD_CONTRACT),
    also_from=learned_from,
)
PD_MODEL = Artefact(
    key=MODEL,
    group="training",
    kinds=frozenset({"lightgbm", "mlflow", "sklearn"}),
    describe=Describe(
        what=(
            "The PD model as a signed bundle: LightGBM's text, calibrator, encoder, feature plan, policy, golden rows, reference"
            " distributions, explainer."
        ),
        grain="one model",
        built_from="`training/split_train`, `model/out_of_fold`, `model.yaml`, the policy file",
        known_at="when its training applicants' outcomes are",
        consumed_by="`model/evaluation`, `model/validation`, `monitoring/drift`, `registry/version`",
        fails_when=(
            "TARGET has one class, no input carries information, a golden row is not reproduced, an input is prohibited, the pipeline"
            " learns from a shuffled TARGET, or too few applicants are approved to explain declines by comparison with them"
        ),
        source="creditrisk_assets/modelling/training.py",
    ),
    code_version=code_version(MODEL_CODE, leaks),
    make=_make_model,
    show=_show_model,
    deps=(SPLIT_TRAIN, OUT_OF_FOLD),
    after=(raw_key("application_train"),),
    checks={
        "every_input_has_a_reason": (
            "Each input can be told to an applicant in words of its own, and belongs to a group of at most 15 that are told of"
            " together (docs/reasons.md)."
        ),
        "no_prohibited_input": "No input's column lineage reaches a prohibited attribute, unless the policy allows it by name.",
        "a_shuffled_target_teaches_nothing": (
            "The pipeline as configured, with few trees, learns nothing from a shuffled TARGET. Fails when it sees labels of applicants"
            " it does not fit on, as by an encoding or a resampling fitted before rows are parted: fit every step on the rows of the fit"
            " alone (docs/leaks.md)."
        ),
    },
    also_from=_trained_on,
    resources=frozenset({"mlflow"}),
)
ARTEFACTS = (*split.ARTEFACTS, OUT_OF_FOLD_PREDICTIONS, PD_MODEL)
