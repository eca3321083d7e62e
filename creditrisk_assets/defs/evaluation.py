"""Stage 3c: the evaluation of the model on the test part."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.contracts.figures import FIGURES as FIGURES_CONTRACT
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT
from creditrisk_assets.defs.figures import export_files, write_figures
from creditrisk_assets.defs.split import SPLIT_TEST
from creditrisk_assets.defs.training import BUNDLE, COMPARISON, IMPORTANCE, MODEL, choose
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.lake import Version
from creditrisk_assets.modelling import (
    bundle,
    calibration_tests,
    comparison,
    evaluation,
    figures,
    master_scale,
    plots,
)
from creditrisk_assets.modelling.bundle import Bundle, BundleError
from creditrisk_assets.modelling.calibration_tests import CalibrationReport
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.evaluation import Evaluation
from creditrisk_assets.modelling.figures import evaluation_figures
from creditrisk_assets.modelling.master_scale import MasterScale
from creditrisk_assets.modelling.part_scores import score_part
from creditrisk_assets.modelling.policy import Policy, load_policy
from creditrisk_assets.modelling.signing import trusted_keys
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.registry import tracking
from creditrisk_assets.registry.lockbox import Opening, Purpose, record_opening
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets.settings import Settings

EVALUATION, FIGURES = "model/evaluation", "evaluation.json"
PREDICTIONS = "test_predictions.parquet"
PLOTS = ("roc", "precision_recall", "calibration", "score_distribution", "gain", "importance", "grades")
SYNTHETIC = "synthetic portfolio (mechanics, not accuracy on real lending data)"


def _make_evaluation(work: Work) -> Made:
    policy, model = load_policy(work.settings.policy), work.inputs[MODEL]
    choice, version = choose(work.settings), model.manifest.metadata["facts"]["model_version"]
    openings = open_test_part(work, version, "evaluation")
    part = read_part(work.inputs[SPLIT_TEST].data, choice.all)
    public = trusted_keys(work.settings.keys, work.settings.signing_key)
    pds = score_part(Bundle.load(model.path / BUNDLE, public), part)
    prohibited = model.path / COMPARISON
    with_prohibited = score_part(Bundle.load(prohibited, public), part) if prohibited.is_dir() else None
    measured = evaluation.evaluate(part.labels, pds, policy, with_prohibited=with_prohibited)
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
    tidy = evaluation_figures(measured, report, beside.get("figures", ()))
    contract = write_figures(work, tidy, measured=MODEL)
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
    return Made(
        facts, [replace(contract, name="contract"), _pds_true(report), _grades_order(scale), _opened_once(openings)]
    )


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
        rival = Bundle.load(path, trusted_keys(settings.keys, settings.signing_key))
    except BundleError as error:
        return None, str(error)
    if rival.definitions != {name: family.definition for name, family in FAMILIES.items()}:
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
    shown |= {name: table_of(tables[name]) for name in ("confusion", "deciles", "bands")}
    if facts["champion"]["compared"]:
        rows = [{**one, **one["difference"]} for one in facts["champion"]["figures"]]
        names = ("metric", "first", "second", "value", "low", "high", "p_value", "method", "verdict")
        shown["beside_champion"] = table_of([{name: row[name] for name in names} for row in rows])
    return shown


def export_evaluation(version: Version, reports: Path) -> None:
    """Copy the evaluation to the named exports."""
    export_files(version, reports, {name: name for name in version.manifest.files if name != PREDICTIONS})


MODEL_EVALUATION = Artefact(
    key=EVALUATION,
    group="training",
    kinds=frozenset({"lightgbm", "sklearn"}),
    describe=Describe(
        what="How well the PDs separate and how true they are, on applicants the model never saw.",
        grain="one evaluation; its tables: one row per decile, calibration group, score interval, grade",
        built_from="`model/pd`, `training/split_test`",
        known_at="when the test applicants' outcomes are",
        consumed_by="`model/validation`, `registry/version`, risk officers; `figures.parquet` holds every figure in one shape",
        fails_when="a PD is none, the table of figures leaves its contract, or the opening of the test part cannot be written down",
        source="creditrisk_assets/modelling/evaluation.py",
    ),
    code_version=code_version(
        evaluation, calibration_tests, master_scale, comparison, figures, plots, FIGURES_CONTRACT
    ),
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
    columns=schema_of(FIGURES_CONTRACT),
)
ARTEFACTS = (MODEL_EVALUATION,)
