"""Stage 3d: where the model is weak, among training applicants scored out of fold."""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.figures import FIGURES, SLICES
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.figures import CONTRACT_OF_FIGURES, TABLE, export_files, write_figures
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import IMPORTANCE, MODEL, OUT_OF_FOLD, choose
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Version
from creditrisk_assets.modelling import evaluation_plots, figures, slices
from creditrisk_assets.modelling.figures import slice_figures
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import Policy, load_policy
from creditrisk_assets.modelling.slices import SliceReport, SliceRules, find_slices, strongest
from creditrisk_assets.modelling.tables import read_part
from creditrisk_assets.settings import Settings

WEAK_SLICES = "model/slices"
PLOTS = ("ranking_by_slice", "calibration_by_slice")
SHOWN = 20
SHOWN_COLUMNS = (
    "slice", "applicants", "defaults", "mean_pd", "bad_rate", "auc", "auc_elsewhere", "ranking_p_adjusted",
    "calibration_p_adjusted",
)  # fmt: skip


def _make_slices(work: Work) -> Made:
    rules, policy = SliceRules(), load_policy(work.settings.policy)
    importance = json.loads((work.inputs[MODEL].path / IMPORTANCE).read_text("utf-8"))
    inputs = _looked_at(work.settings, policy, importance, rules)
    part = read_part(work.inputs[SPLIT_TRAIN].data, inputs)
    table = pd.read_parquet(work.inputs[OUT_OF_FOLD].data, columns=["sk_id_curr", "pd"])
    pds = table.groupby("sk_id_curr")["pd"].mean().loc[part.ids.tolist()].to_numpy()
    report = find_slices(part.labels, pds, part.frame, inputs, importance, rules)
    report.table.to_parquet(work.draft.data, index=False, compression="zstd")
    tidy = write_figures(work, slice_figures(report), measured=OUT_OF_FOLD)
    pictures = {
        "ranking_by_slice": evaluation_plots.draw_ranking_by_slice(report),
        "calibration_by_slice": evaluation_plots.draw_calibration_by_slice(report),
    }
    for name, picture in pictures.items():
        (work.draft.path / f"{name}.png").write_bytes(picture)
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), SLICES))
    facts = {
        "rows": len(report.table),
        "features": len(inputs),
        "auc": report.auc,
        "ranks_worse": report.ranks_worse,
        "pd_untrue": report.pd_untrue,
    }
    return Made(facts, [*contract, tidy, _true_everywhere(report)])


def _looked_at(
    settings: Settings, policy: Policy, importance: Mapping[str, float], rules: SliceRules
) -> tuple[ModelInput, ...]:
    """Choose the features to cut by: the strongest inputs, the policy's segments, and what is kept for testing only."""
    choice = choose(settings)
    named = {*policy.segments, *(item.name for item in choice.prohibited)}
    chosen = strongest(choice.allowed, importance, rules.features)
    return (*chosen, *(item for item in choice.all if item.name in named and item not in chosen))


def _true_everywhere(report: SliceReport) -> CheckOutcome:
    wrong = report.table[report.table["pd_untrue"]]
    named = "; ".join(wrong["slice"].head(3)) or "none"
    words = (
        f"{len(report.table)} slices of {report.applicants:,} applicants: {report.pd_untrue} have a mean PD that disagrees with what"
        f" happened ({named}), {report.ranks_worse} rank worse than everybody outside them (Holm over all slices)"
    )
    return CheckOutcome("pds_true_in_every_slice", passed=wrong.empty, facts={"description": words}, severity="WARN")


def _show_slices(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    table = pd.read_parquet(version.data, columns=list(SHOWN_COLUMNS)).head(SHOWN)
    shown: dict[str, Any] = {
        "auc": dg.MetadataValue.float(round(facts["auc"], 6)),
        "ranks_worse": dg.MetadataValue.int(facts["ranks_worse"]),
        "pd_untrue": dg.MetadataValue.int(facts["pd_untrue"]),
        "plots": picture_of(*(version.path / f"{name}.png" for name in PLOTS)),
    }
    if len(table):
        shown["worst"] = table_of([{str(k): v for k, v in row.items()} for row in table.to_dict("records")])
    return shown


def _export(settings: Settings, version: Version) -> None:
    names = {f"{name}.png": f"{name}.png" for name in PLOTS}
    names |= {"slices.parquet": version.data.name, "slices_figures.parquet": TABLE}
    export_files(version, settings.reports, names)


SLICES_ARTEFACT = Artefact(
    key=WEAK_SLICES,
    group="training",
    kinds=frozenset({"parquet"}),
    describe=Describe(
        what=(
            "Where the model is weak: AUC, default rate against mean PD, and Brier score in slices by the strongest inputs (one and two"
            " together), the policy's segments and what is kept for testing only. Out of fold, so looking often costs nothing."
        ),
        grain="one row per slice of a minimum size, strongest evidence of weakness first",
        built_from="`training/split_train`, `model/out_of_fold`, the importance of `model/pd`",
        known_at="when the training applicants' outcomes are",
        consumed_by="risk officers, the model card",
        fails_when="a table leaves its contract; slices whose PDs are untrue warn",
        source="creditrisk_assets/modelling/slices.py",
    ),
    code_version=code_version(slices, figures, evaluation_plots, SLICES, FIGURES),
    make=_make_slices,
    show=_show_slices,
    deps=(SPLIT_TRAIN, OUT_OF_FOLD, MODEL),
    checks=CONTRACT
    | CONTRACT_OF_FIGURES
    | {
        "pds_true_in_every_slice": (
            "In every slice the mean PD agrees with the default rate (exact binomial test, Holm over all slices). Where it does not, the"
            " model lacks something these applicants have in common."
        )
    },
    advisory=frozenset({"pds_true_in_every_slice"}),
    also_from=lambda settings, _lake: {"policy": load_policy(settings.policy).digest},
    export=lambda settings, _lake, version: _export(settings, version),
    columns=schema_of(SLICES),
)
ARTEFACTS = (SLICES_ARTEFACT,)
