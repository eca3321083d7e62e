"""Stage 3b: the model and its evaluation."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandera.errors import SchemaError

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.out_of_fold import OUT_OF_FOLD as OUT_OF_FOLD_CONTRACT
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs import split
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.split import SPLIT_TEST, SPLIT_TRAIN, leak_outcome
from creditrisk_assets.defs.vocabulary import Describe, raw_key
from creditrisk_assets.features.families import FAMILIES, applicant_features
from creditrisk_assets.features.lineage import applicant_lineage
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.lake import Lake, Version, write_atomically
from creditrisk_assets.modelling import (
    bundle,
    bundle_writer,
    calibration,
    calibration_fitting,
    calibration_tests,
    comparison,
    cross_validation,
    evaluation,
    folds,
    leaks,
    master_scale,
    pipeline,
    plots,
    training,
)
from creditrisk_assets.modelling.bundle import Bundle, BundleError
from creditrisk_assets.modelling.calibration import Calibrator
from creditrisk_assets.modelling.calibration_tests import CalibrationReport
from creditrisk_assets.modelling.configuration import ModelConfig, load_configuration
from creditrisk_assets.modelling.cross_validation import OutOfFold
from creditrisk_assets.modelling.evaluation import Evaluation
from creditrisk_assets.modelling.inputs import InputChoice, ModelInput, choose_inputs
from creditrisk_assets.modelling.master_scale import MasterScale
from creditrisk_assets.modelling.policy import Policy, load_policy
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.modelling.training import TrainedModel, TreeSearch
from creditrisk_assets.registry import tracking
from creditrisk_assets.registry.lockbox import Opening, Purpose, record_opening
from creditrisk_assets.resources.mlflow import MlflowRun, connect
from creditrisk_assets.settings import Settings

OUT_OF_FOLD, MODEL, EVALUATION = "model/out_of_fold", "model/pd", "model/evaluation"
CALIBRATOR = "calibrator.json"
BUNDLE, COMPARISON, IMPORTANCE, FIGURES = "bundle", "comparison", "importance.json", "evaluation.json"
PREDICTIONS = "test_predictions.parquet"
PLOTS = ("roc", "precision_recall", "calibration", "score_distribution", "gain", "importance", "grades")
MLFLOW_RUN_TAG = "mlflow_run_id"
TOP_INPUTS = 20
SYNTHETIC = "synthetic portfolio (mechanics, not accuracy on real lending data)"


def _make_out_of_fold(work: Work) -> Made:
    choice, config = choose(work.settings), load_configuration()
    part = read_part(work.inputs[SPLIT_TRAIN].data, choice.allowed)
    plan = config.validation
    words = f"{plan.repeats} × {plan.folds} folds of {len(part):,} applicants with {len(choice.allowed)} inputs"
    work.context.log.info(f"cross-validating: {words}")
    found = cross_validation.cross_validate(part, choice.allowed, config, threads=work.settings.threads)
    found.table.to_parquet(work.draft.data, index=False, compression="zstd")
    (work.draft.path / CALIBRATOR).write_text(found.calibration.calibrator.to_json())
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), OUT_OF_FOLD_CONTRACT))
    checks = [*contract, _once_per_repeat(found, part), _believable(found, config)]
    return Made({"rows": len(found.table), "defaults": int(part.labels.sum()), **found.facts()}, checks)


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
        "folds": table_of([{name: fold[name] for name in shown} for fold in facts["folds"]]),
    }


def _make_model(work: Work) -> Made:
    policy, choice = load_policy(work.settings.policy), choose(work.settings)
    part, out_of_fold = read_part(work.inputs[SPLIT_TRAIN].data, choice.all), work.inputs[OUT_OF_FOLD]
    work.context.log.info(f"training on {len(part):,} applicants with {len(choice.allowed)} inputs")
    search = TreeSearch(**out_of_fold.manifest.metadata["facts"]["search"])
    calibrator = Calibrator.from_json((out_of_fold.path / CALIBRATOR).read_text("utf-8"))
    trained = training.train(part, choice, load_configuration(), search, calibrator, threads=work.settings.threads)
    synthetic = _is_synthetic(work.lake)
    written = _write(work, trained.model, part, policy, BUNDLE, synthetic=synthetic)
    if trained.comparison is not None:
        _write(work, trained.comparison, part, policy, COMPARISON, synthetic=synthetic)
    (work.draft.path / IMPORTANCE).write_text(json.dumps(trained.model.importance, indent=1))
    checks = [*_model_checks(written, choice), _shuffled(part, choice, work.settings)]
    facts = _model_facts(trained.model, choice, written, synthetic=synthetic)
    facts["out_of_fold_auc"] = out_of_fold.manifest.metadata["facts"]["auc"]
    if not any(check.blocks for check in checks):
        facts["mlflow"] = _log(work, trained.model, choice, written)
    return Made(facts, checks, version=written.version)


def choose(settings: Settings) -> InputChoice:
    """Choose the inputs of the model among the features of the store, by the policy of this day."""
    inputs = [ModelInput(feature.name, feature.family, feature.kind) for feature in applicant_features()]
    return choose_inputs(inputs, applicant_lineage(), load_policy(settings.policy), datetime.now(UTC).date())


def _is_synthetic(lake: Lake) -> bool:
    return bool(lake.require(raw_key("application_train")).manifest.metadata["facts"]["synthetic"])


def _write(work: Work, model: TrainedModel, part: Part, policy: Policy, name: str, *, synthetic: bool) -> Bundle:
    metrics = {
        "training_applicants": model.rows,
        "training_defaults": model.defaults,
        "trees": model.search.trees,
        "validation_auc": model.search.validation_auc,
        "synthetic": synthetic,
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
        inputs={key: version.version for key, version in work.inputs.items()},
        code_version=MODEL_CODE,
    )
    return bundle_writer.write_bundle(
        work.draft.path / name, content, signing_key(work.settings.keys, work.settings.signing_key)
    )


def _log(work: Work, model: TrainedModel, choice: InputChoice, written: Bundle) -> dict[str, str]:
    """Log the training into the MLflow run of this Dagster run, each naming the other."""
    run: MlflowRun = work.context.resources.mlflow
    run_id = run.begin()
    work.context.instance.add_run_tags(work.context.run.run_id, {MLFLOW_RUN_TAG: run_id})
    tags = {"dagster_run_id": work.context.run.run_id, "dagster_asset_key": MODEL}
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
        )
    ]


def _shuffled(part: Part, choice: InputChoice, settings: Settings) -> CheckOutcome:
    config = load_configuration()
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
        "top_inputs": table_of(top),
    }
    if left_out:
        shown["kept_for_testing_only"] = table_of(left_out)
    return shown


def _learned_from(settings: Settings, _lake: Lake) -> Mapping[str, str]:
    """Fingerprint what margins depend on besides tables and code: configuration, allowances in force, feature definitions."""
    policy = load_policy(settings.policy)
    return {
        "configuration": load_configuration().digest,
        "prohibited": code_version(policy.prohibited.model_dump(mode="json")),
        "monotone": code_version([direction.model_dump() for direction in policy.monotone]),
        "allowances": ",".join(sorted(policy.prohibited.allowed(datetime.now(UTC).date()))),
        **{f"definition of {name}": family.definition for name, family in FAMILIES.items()},
    }


def _trained_on(settings: Settings, lake: Lake) -> Mapping[str, str]:
    """Fingerprint what a bundle depends on besides: the whole policy, which it carries, and the signing key."""
    signer = public_bytes(signing_key(settings.keys, settings.signing_key)).hex()
    return {**_learned_from(settings, lake), "policy": load_policy(settings.policy).digest, "signing_key": signer}


def _make_evaluation(work: Work) -> Made:
    policy, model = load_policy(work.settings.policy), work.inputs[MODEL]
    choice, version = choose(work.settings), model.manifest.metadata["facts"]["model_version"]
    openings = open_test_part(work, version, "evaluation")
    part = read_part(work.inputs[SPLIT_TEST].data, choice.all)
    public = public_bytes(signing_key(work.settings.keys, work.settings.signing_key))
    pds = score_part(Bundle.load(model.path / BUNDLE, public), part)
    prohibited = model.path / COMPARISON
    with_prohibited = score_part(Bundle.load(prohibited, public), part) if prohibited.is_dir() else None
    try:
        measured = evaluation.evaluate(part.labels, pds, policy, with_prohibited=with_prohibited)
    except SchemaError as error:
        words = f"{error.schema.name}: {error.check}"
        return Made({}, [CheckOutcome("contract", passed=False, facts={"description": words})])
    grades = [policy.decide(one).band for one in pds.tolist()]
    report = calibration_tests.calibration_report(part.labels, pds, grades, segments_of(part, policy))
    scale = master_scale.master_scale(part.labels, pds, policy.bands, policy.master_scale)
    beside = _beside_champion(work, part, pds, version)
    importance = json.loads((model.path / IMPORTANCE).read_text("utf-8"))
    content = {
        **measured.to_dict(),
        "calibration_report": report.to_dict(),
        "master_scale": scale.to_dict(),
        "champion": beside,
        "lockbox": [asdict(opening) for opening in openings],
    }
    (work.draft.path / FIGURES).write_text(json.dumps(content, indent=1))
    pictures = plots.draw_all(part.labels, pds, measured, importance) | {"grades": plots.draw_grades(report)}
    for name, picture in pictures.items():
        (work.draft.path / f"{name}.png").write_bytes(picture)
    connect(work.settings)
    tracking.log_evaluation(model.manifest.metadata["facts"]["mlflow"]["run_id"], measured, pictures)
    predictions = pd.DataFrame({"sk_id_curr": part.ids, "target": part.labels, "pd": pds})
    predictions.to_parquet(work.draft.path / PREDICTIONS, index=False, compression="zstd")
    synthetic = bool(model.manifest.metadata["facts"]["synthetic"])
    facts = {
        "rows": measured.applicants,
        "figures": measured.figures(),
        "synthetic": synthetic,
        "headline": _headline(measured, synthetic=synthetic),
        "model_version": version,
        "champion": beside,
        "openings": len(openings),
    }
    tables = CheckOutcome("contract", passed=True, facts={"description": "deciles, calibration, distribution, grades"})
    return Made(facts, [tables, _pds_true(report), _grades_order(scale), _opened_once(openings)])


def open_test_part(work: Work, model_version: str, purpose: Purpose) -> tuple[Opening, ...]:
    """Write down that the test part is opened, before it is; return every opening for this version and purpose."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    opening = Opening(now, model_version, purpose, work.inputs[SPLIT_TEST].version, work.context.run.run_id)
    return record_opening(work.settings.lockbox, opening)


def segments_of(part: Part, policy: Policy) -> dict[str, list[Any]]:
    """Return the policy's segmentations of a part, flags in words.

    Raises
    ------
    ValueError
        The policy names a feature that the part does not have.
    """
    if strangers := [name for name in policy.segments if name not in part.frame]:
        raise ValueError(
            f"the policy's segments name {', '.join(strangers)}, which no family makes; mend the policy file"
        )
    flags = {0.0: "no", 1.0: "yes"}
    return {name: [flags.get(value, value) for value in part.frame[name].tolist()] for name in policy.segments}


def _beside_champion(work: Work, part: Part, pds: NDArray[np.float64], version: str) -> dict[str, Any]:
    """Compare with the champion of this moment on the same applicants, where there is another and it can be."""
    path = bundle.follow(work.settings.bundles)
    if path is None or path.name == version:
        return {"compared": False, "reason": "no other champion is published"}
    rival, reason = rival_bundle(work.settings, path)
    if rival is None:
        return {"compared": False, "version": path.name, "reason": reason}
    names = [feature.name for feature in rival.features]
    if missing := [name for name in names if name not in part.frame]:
        return {"compared": False, "version": path.name, "reason": f"{len(missing)} of its features are gone"}
    open_test_part(work, rival.version, "comparison")
    theirs = score_part(rival, part)
    seed = load_configuration().seed
    found = [comparison.compare_auc(part.labels, pds, theirs), *comparison.compare(part.labels, pds, theirs, seed=seed)]
    return {"compared": True, "version": path.name, "figures": [one.to_dict() for one in found]}


def rival_bundle(settings: Settings, path: Path) -> tuple[Bundle | None, str]:
    """Load another version to measure it on this test part, or say why its recorded figures are all there is."""
    try:
        rival = Bundle.load(path, public_bytes(signing_key(settings.keys, settings.signing_key)))
    except BundleError as error:
        return None, str(error)
    meant = {name: family["definition"] for name, family in rival.plan["families"].items()}
    if meant != {name: family.definition for name, family in FAMILIES.items()}:
        return None, "features mean something else by now"
    return rival, ""


def _pds_true(report: CalibrationReport) -> CheckOutcome:
    wrong = [test for test in report.rejected() if test.segment is None]
    apart = len(report.rejected()) - len(wrong)
    overall = report.figures[0]
    slope = "undefined" if overall.slope is None else f"{overall.slope.value:.3f} ± {overall.slope.standard_error:.3f}"
    shift = "undefined"
    if overall.intercept is not None:
        shift = f"{overall.intercept.value:.3f} ± {overall.intercept.standard_error:.3f}"
    words = (
        f"slope {slope}, intercept {shift}; mean PD and default rate disagree in"
        f" {', '.join(str(test.grade) for test in wrong) or 'no grade'} and in {apart} segments or grades of segments"
        " (binomial, Holm)"
    )
    facts: dict[str, Any] = {"description": words}
    if rows := report.rejected():
        facts["disagree"] = [
            {
                "segment": test.segment or "everybody",
                "value": test.value or "",
                "grade": test.grade or "all",
                "applicants": test.applicants,
                "mean_pd": test.mean_pd,
                "default_rate": test.default_rate,
                "p_adjusted": test.binomial_adjusted,
            }
            for test in rows
        ]
    return CheckOutcome("pds_agree_with_defaults", passed=not wrong, facts=facts, severity="WARN")


def _grades_order(scale: MasterScale) -> CheckOutcome:
    words = "; ".join(scale.problems) or f"{len(scale.grades)} grades, each riskier than the one before"
    facts = {"description": words, "concentration": scale.concentration}
    return CheckOutcome("grades_order_risk", passed=not scale.problems, facts=facts, severity="WARN")


def _opened_once(openings: Sequence[Opening]) -> CheckOutcome:
    times = ", ".join(opening.at for opening in openings)
    words = f"the test part was opened {len(openings)} times for this version: {times}"
    facts = {"description": words, "openings": len(openings)}
    return CheckOutcome("lockbox_opened_once", passed=len(openings) == 1, facts=facts, severity="WARN")


def score_part(model: Bundle, part: Part) -> NDArray[np.float64]:
    """Compute the PDs of a part by the bundle, as the service does."""
    columns: dict[str, Any] = {}
    for feature in model.features:
        column = part.frame[feature.name]
        if feature.kind == "category":
            columns[feature.name] = [
                None if missing else value for value, missing in zip(column, column.isna(), strict=True)
            ]
        else:
            columns[feature.name] = column.to_numpy()
    return model.score(model.encode(columns))


def _headline(measured: Evaluation, *, synthetic: bool) -> str:
    auc = measured.auc
    words = (
        f"AUC {auc.value:.4f} ({auc.low:.4f} to {auc.high:.4f}), Gini {measured.gini:.4f}, KS {measured.ks:.4f}, "
        f"Brier {measured.brier:.4f}"
    )
    if measured.comparison is not None:
        words += f"; AUC with the prohibited inputs {measured.comparison.auc_with_prohibited.value:.4f} (not served)"
    return f"{SYNTHETIC}: {words}" if synthetic else words


def _show_evaluation(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    tables = json.loads((version.path / FIGURES).read_text("utf-8"))["tables"]
    shown: dict[str, dg.MetadataValue] = {"headline": dg.MetadataValue.text(facts["headline"])}
    shown["plots"] = picture_of(*(version.path / f"{name}.png" for name in PLOTS))
    shown |= {
        name: dg.MetadataValue.float(round(value, 6))
        for name, value in facts["figures"].items()
        if math.isfinite(value)
    }
    shown |= {name: table_of(tables[name]) for name in ("deciles", "bands")}
    if facts["champion"]["compared"]:
        rows = [{**one, **one["difference"]} for one in facts["champion"]["figures"]]
        names = ("metric", "first", "second", "value", "low", "high", "p_value", "method", "verdict")
        shown["beside_champion"] = table_of([{name: row[name] for name in names} for row in rows])
    return shown


def export_evaluation(version: Version, reports: Path) -> None:
    """Copy the evaluation to the named exports."""
    for name in version.manifest.files:
        if name.endswith(".png"):
            (reports / "evaluation").mkdir(parents=True, exist_ok=True)
            (reports / "evaluation" / name).write_bytes((version.path / name).read_bytes())
    write_atomically(reports / "evaluation" / FIGURES, (version.path / FIGURES).read_text("utf-8"))


FITTING_CODE = code_version(training, pipeline, folds)
MODEL_CODE = code_version(FITTING_CODE, calibration, bundle, bundle_writer)
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
        built_from="`training/split_train`, `model.yaml`",
        known_at="when the training applicants' outcomes are",
        consumed_by="`model/pd`",
        fails_when=(
            "an outcome has too few applicants for the folds, an applicant is not exactly once in each repeat, or the AUC is one nobody"
            " would believe"
        ),
        source="creditrisk_assets/modelling/cross_validation.py",
    ),
    code_version=code_version(FITTING_CODE, cross_validation, calibration_fitting, OUT_OF_FOLD_CONTRACT),
    make=_make_out_of_fold,
    show=_show_out_of_fold,
    deps=(SPLIT_TRAIN,),
    checks=CONTRACT
    | {
        "each_applicant_once_per_repeat": "Each training applicant has exactly one prediction in each repeat, and nobody else has one.",
        "auc_is_believable": (
            "The AUC out of fold lies in the band of model.yaml. Below it the features say nothing: look at the outcome and at the"
            " joins. Above it something knows the outcome: look at the inputs of largest gain (docs/leaks.md)."
        ),
    },
    columns=schema_of(OUT_OF_FOLD_CONTRACT),
    also_from=_learned_from,
)
PD_MODEL = Artefact(
    key=MODEL,
    group="training",
    kinds=frozenset({"lightgbm", "mlflow", "sklearn"}),
    describe=Describe(
        what="The PD model as a signed bundle: LightGBM's text, calibrator, encoder, feature plan, policy, golden rows.",
        grain="one model",
        built_from="`training/split_train`, `model/out_of_fold`, `model.yaml`, the policy file",
        known_at="when its training applicants' outcomes are",
        consumed_by="`model/evaluation`, `monitoring/drift`, `registry/version`",
        fails_when=(
            "TARGET has one class, no input carries information, a golden row is not reproduced, an input is prohibited, or the pipeline"
            " learns from a shuffled TARGET"
        ),
        source="creditrisk_assets/modelling/training.py",
    ),
    code_version=code_version(MODEL_CODE, leaks),
    make=_make_model,
    show=_show_model,
    deps=(SPLIT_TRAIN, OUT_OF_FOLD),
    after=(raw_key("application_train"),),
    checks={
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
MODEL_EVALUATION = Artefact(
    key=EVALUATION,
    group="training",
    kinds=frozenset({"lightgbm", "sklearn"}),
    describe=Describe(
        what="How well the PDs separate and how true they are, on applicants the model never saw.",
        grain="one evaluation; its tables: one row per decile, calibration group, score interval, grade",
        built_from="`model/pd`, `training/split_test`",
        known_at="when the test applicants' outcomes are",
        consumed_by="`registry/version`, risk officers",
        fails_when="a PD is none, a table leaves its contract, or the opening of the test part cannot be written down",
        source="creditrisk_assets/modelling/evaluation.py",
    ),
    code_version=code_version(evaluation, calibration_tests, master_scale, comparison, plots),
    make=_make_evaluation,
    show=_show_evaluation,
    deps=(MODEL, SPLIT_TEST),
    checks=CONTRACT
    | {
        "pds_agree_with_defaults": "In every grade the mean PD agrees with the default rate (exact binomial test, Holm-adjusted).",
        "grades_order_risk": "Each grade is riskier than the one before and holds a fair share of the applicants (policy: master_scale).",
        "lockbox_opened_once": (
            "The test part was opened once for this model version. More often is no failure, but its figures were seen before: whoever"
            " changed the evaluation in between should say why."
        ),
    },
    advisory=frozenset({"pds_agree_with_defaults", "grades_order_risk", "lockbox_opened_once"}),
    export=lambda settings, _lake, version: export_evaluation(version, settings.reports),
)
ARTEFACTS = (*split.ARTEFACTS, OUT_OF_FOLD_PREDICTIONS, PD_MODEL, MODEL_EVALUATION)
