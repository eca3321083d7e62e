"""Stage 3d: the gates between the model and the registry.

What belongs here: collecting the evidence of the stages before, and rendering each gate as a check. What does not: what a gate claims
(`modelling.gates`), how it is judged (`modelling.validation`), which version becomes champion (`governance`).
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, require_one_lineage, table_of
from creditrisk_assets.defs.evaluation import EVALUATION, FIGURES, PREDICTIONS
from creditrisk_assets.defs.split import LEAK_CHECKS, SPLIT_TEST, SPLIT_TRAIN
from creditrisk_assets.defs.training import BUNDLE, MODEL, OUT_OF_FOLD
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version, write_atomically
from creditrisk_assets.modelling import gates, validation
from creditrisk_assets.modelling.auc import Interval, auc_interval
from creditrisk_assets.modelling.booster import leaf_counts
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.part_scores import encode_part, score_part
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.signing import trusted_keys
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.modelling.validation import Evidence, GateResult, Validation
from creditrisk_assets.registry import tracking
from creditrisk_assets.registry.lockbox import of_version, read_ledger
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets.settings import Settings

VALIDATION, REPORT = "model/validation", "validation.json"
PARITY_APPLICANTS = 500  # scored by MLflow's model and by the bundle
NO_PROHIBITED_INPUT, SHUFFLED = "no_prohibited_input", "a_shuffled_target_teaches_nothing"  # checks of model/pd


def _make_validation(work: Work) -> Made:
    policy = load_policy(work.settings.policy)
    require_one_lineage(work.inputs)
    found = validation.judge(_evidence(work), policy, _today())
    report = json.dumps({"policy_sha256": policy.digest, **found.to_dict()}, indent=1)
    (work.draft.path / REPORT).write_text(report)
    if not found.passed:  # nothing will be published, and people want to read why
        write_atomically(work.settings.reports / REPORT, report)
    facts = {"headline": _headline(found), **found.to_dict()}
    return Made(facts, [_outcome(result) for result in found.results])


def _today() -> date:
    return datetime.now(UTC).date()


def _evidence(work: Work) -> Evidence:
    model, evaluation = work.inputs[MODEL], work.inputs[EVALUATION]
    public = trusted_keys(work.settings.keys, work.settings.signing_key)
    bundle = Bundle.load(model.path / BUNDLE, public)
    # Features alone are looked at: outcomes come with the evaluation's predictions, so the lockbox is not opened again.
    part = read_part(work.inputs[SPLIT_TEST].data, [ModelInput(f.name, f.family, f.kind) for f in bundle.features])
    tested = pd.read_parquet(evaluation.path / PREDICTIONS)
    folds, defaults = _folds(work.inputs[OUT_OF_FOLD])
    openings = of_version(read_ledger(work.settings.lockbox), bundle.version, "evaluation")
    return Evidence(
        model_version=bundle.version,
        evaluation=json.loads((evaluation.path / FIGURES).read_text("utf-8")),
        target=tested["target"].to_numpy().astype(np.int64),
        pds=tested["pd"].to_numpy(),
        out_of_fold_auc=float(work.inputs[OUT_OF_FOLD].manifest.metadata["facts"]["auc"]),
        folds=folds,
        defaults_per_fold=defaults,
        leak_tests={
            **{name: _stands(work.inputs[SPLIT_TRAIN], name) for name in LEAK_CHECKS},
            SHUFFLED: _stands(model, SHUFFLED),
        },
        no_prohibited_input=_stands(model, NO_PROHIBITED_INPUT),
        steps_against=validation.steps_against(bundle, encode_part(bundle, part)),
        openings=len(openings),
        parity_difference=_parity(work, bundle, part),
        leaves=sum(leaf_counts((model.path / BUNDLE / "model.txt").read_text("utf-8"))),
        features=len(bundle.features),
    )


def _folds(out_of_fold: Version) -> tuple[tuple[Interval, ...], float]:
    """Measure the AUC of each fold with its interval, and count their defaults on average."""
    table = pd.read_parquet(out_of_fold.data, columns=["repeat", "fold", "target", "margin"])
    parts = [some for _, some in table.groupby(["repeat", "fold"])]
    aucs = tuple(auc_interval(some["target"].to_numpy().astype(np.int64), some["margin"].to_numpy()) for some in parts)
    return aucs, float(table["target"].sum() / len(parts))


def _stands(version: Version, name: str) -> bool:
    """Tell whether a check of a published version passed or was allowed by name; one it does not have was not made."""
    found = [check for check in version.manifest.metadata["checks"] if check["name"] == name]
    return bool(found) and not any(CheckOutcome(**check).blocks for check in found)


def _parity(work: Work, bundle: Bundle, part: Part) -> float:
    """Return the largest difference between PDs of the bundle and of the model in MLflow, on the first test applicants."""
    connect(work.settings)
    some = part.take(np.arange(min(len(part), PARITY_APPLICANTS)))
    uri = str(work.inputs[MODEL].manifest.metadata["facts"]["mlflow"]["model_uri"])
    logged = tracking.logged_pds(uri, bundle.features, some.frame)
    return float(np.abs(logged - score_part(bundle, some)).max())


def _outcome(result: GateResult) -> CheckOutcome:
    gate, facts = result.gate, result.to_dict()
    shown = ("code", "status", "measured", "limit", "owner", "rationale")
    described = f"{gate.title}: {result.status}; {result.words} (limit: {result.finding.limit})"
    if result.status == "fail":
        described += f". What to do: {gate.remedy} (docs/validation.md#{gate.code.lower()})"
    advisory = gate.stops == "promotion" or result.status == "overridden"
    return CheckOutcome(
        gate.check,
        passed=result.status != "fail",
        facts={"description": described, **{name: facts[name] for name in shown if facts[name] is not None}},
        severity="WARN" if advisory else "ERROR",
    )


def _headline(found: Validation) -> str:
    counts = {status: len(found.with_status(status)) for status in ("pass", "fail", "overridden", "not applicable")}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def _show_validation(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    shown = ("code", "title", "status", "measured", "limit", "owner", "words")
    return {
        "headline": dg.MetadataValue.text(facts["headline"]),
        "gates": table_of([{name: _text(gate[name]) for name in shown} for gate in facts["gates"]]),
    }


def _text(value: Any) -> Any:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else value


def _export(settings: Settings, _lake: Lake, version: Version) -> None:
    write_atomically(settings.reports / REPORT, (version.path / REPORT).read_text("utf-8"))


def _also_from(settings: Settings, _lake: Lake) -> Mapping[str, str]:
    """Fingerprint the limits, and the overrides of this day: one that begins or expires is felt at the next run."""
    policy = load_policy(settings.policy)
    in_force = [override.model_dump(mode="json") for override in policy.overridden(_today()).values()]
    return {"policy": policy.digest, "overrides": code_version(in_force)}


MODEL_VALIDATION = Artefact(
    key=VALIDATION,
    group="training",
    kinds=frozenset({"lightgbm", "mlflow"}),
    describe=Describe(
        what="Whether the model may be registered: every gate of the policy with what was measured, its limit, its owner and its reason.",
        grain="one validation; its table: one row per gate",
        built_from="`model/pd`, `model/out_of_fold`, `model/evaluation`, the parts, the lockbox, MLflow's logged model, the policy's gates",
        known_at="after the evaluation",
        consumed_by="`registry/version`, auditors (`reports/validation.json`)",
        fails_when="a gate fails that no override sets aside: then nothing is registered and no alias moves (docs/validation.md)",
        source="creditrisk_assets/modelling/validation.py",
    ),
    code_version=code_version(validation, gates),
    make=_make_validation,
    show=_show_validation,
    deps=(MODEL, OUT_OF_FOLD, EVALUATION, SPLIT_TRAIN, SPLIT_TEST),
    checks={gate.check: f"{gate.code}: {gate.title}. Why: {gate.rationale}." for gate in gates.GATES},
    advisory=frozenset(gate.check for gate in gates.GATES if gate.stops == "promotion"),
    also_from=_also_from,
    export=_export,
)
ARTEFACTS = (MODEL_VALIDATION,)
