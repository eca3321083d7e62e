"""Research: the evidence for and against rebalancing the classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.rebalancing import REBALANCING as CONTRACT_OF_TABLE
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs import research
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import FITTING_CODE, choose, learned_from
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling import calibration_fitting, comparison
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.research import plots, rebalancing
from creditrisk_assets.modelling.research.budgets import load_research
from creditrisk_assets.modelling.research.rebalancing import Beside, Method
from creditrisk_assets.settings import Settings

KEY = "model/rebalancing"
PLOTS = ("raw", "calibrated")


def _make(work: Work) -> Made:
    config, budgets = load_configuration(), load_research()
    inputs = choose(work.settings).allowed
    part = research.applicants_looked_at(work, inputs, budgets)
    results = research.results_of(work, "rebalancing", budgets)
    work.context.log.info(f"rebalancing: {len(part):,} applicants with {len(inputs)} inputs")
    methods = rebalancing.measure_methods(
        part, inputs, config, results, threads=work.settings.threads, say=work.context.log.info
    )
    in_use = config.resampling.method
    beside = rebalancing.beside_the_one_in_use(methods, in_use, seed=budgets.seed)
    rows = [row for method in methods for row in method.rows()]
    pd.DataFrame(rows).to_parquet(work.draft.data, index=False, compression="zstd")
    for stage in PLOTS:
        pds = {method.name.replace("_", " "): method.stages[stage] for method in methods}
        picture = plots.draw_reliability(part.labels, pds, f"Rebalancing, {stage}: PDs and what happened")
        (work.draft.path / f"{stage}.png").write_bytes(picture)
    facts: dict[str, Any] = {
        "rows": len(rows),
        "headline": _headline(rows, in_use),
        "in_use": in_use,
        "figures": rows,
        "beside": [one.to_dict() for one in beside],
        "costs": [
            {"method": one.name, "trees": list(one.trees), "fit_processor_seconds": one.fit_seconds} for one in methods
        ],
    }
    with work.connection() as con:
        outcome = contract_outcomes(check(con, parquet(work.draft.data), CONTRACT_OF_TABLE))
    results.sweep()
    return Made(facts, [*outcome, _supported(beside, methods, in_use)])


def _headline(rows: Sequence[Mapping[str, Any]], in_use: str) -> str:
    calibrated = {row["method"]: row for row in rows if row["stage"] == rebalancing.CALIBRATED}
    raw = {row["method"]: row for row in rows if row["stage"] == rebalancing.RAW}
    best = min(calibrated.values(), key=lambda row: row["brier"])
    worst = max(raw.values(), key=lambda row: row["brier"])
    return (
        f"in use: {in_use}, Brier {calibrated[in_use]['brier']:.5f} calibrated; best calibrated: {best['method']}"
        f" {best['brier']:.5f}; as it comes {worst['method']} has {worst['brier']:.5f} and a mean PD of"
        f" {worst['mean_pd']:.1%} where {worst['defaults'] / worst['applicants']:.1%} default"
    )


def _supported(beside: Sequence[Beside], methods: Sequence[Method], in_use: str) -> CheckOutcome:
    better = rebalancing.clearly_better(beside)
    words = "; ".join(
        f"{one.method} Brier {one.brier.difference.value:+.6f} ({one.brier.difference.low:+.6f} to"
        f" {one.brier.difference.high:+.6f})"
        for one in beside
    )
    facts = {
        "description": f"clearly better than {in_use} once calibrated, of {len(methods)} methods:"
        f" {', '.join(better) or 'none'}; {words}"
    }
    return CheckOutcome("method_in_use_is_supported", passed=not better, facts=facts, severity="WARN")


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    beside = [
        {"method": one["method"], "figure": name, **one[name]["difference"], "verdict": one[name]["verdict"]}
        for one in facts["beside"]
        for name in ("auc", "calibrated_brier")
    ]
    return {
        "headline": dg.MetadataValue.text(facts["headline"]),
        "plots": picture_of(*(version.path / f"{stage}.png" for stage in PLOTS)),
        "rebalancing": table_of(facts["figures"]),
        "beside_the_one_in_use": table_of(beside),
    }


def _export(settings: Settings, _lake: Lake, version: Version) -> None:
    research.export_json("rebalancing", version.manifest.metadata["facts"], settings.reports)


def _depends_on(settings: Settings, lake: Lake) -> Mapping[str, str]:
    budgets = load_research()
    return {**learned_from(settings, lake), "applicants": code_version([budgets.applicants, budgets.seed])}


REBALANCING = Artefact(
    key=KEY,
    group=research.GROUP,
    kinds=frozenset({"lightgbm", "sklearn", "parquet"}),
    describe=Describe(
        what=(
            "What rebalancing the classes does to the default model: none, class weights, downsampling, SMOTE, SMOTE with downsampling;"
            " each as it comes, after the prior shift, and calibrated."
        ),
        grain="one row per method and stage",
        built_from="`training/split_train` (at most `research.yaml: applicants`), `model.yaml`",
        known_at="when the training applicants' outcomes are",
        consumed_by="whoever sets `resampling` in `model.yaml`, `reports/research`",
        fails_when="a method cannot be fitted, or the table leaves its contract; a method clearly better than the one in use warns",
        source="creditrisk_assets/modelling/research/rebalancing.py",
    ),
    code_version=code_version(FITTING_CODE, rebalancing, calibration_fitting, comparison, plots, CONTRACT_OF_TABLE),
    make=_make,
    show=_show,
    deps=(SPLIT_TRAIN,),
    checks=CONTRACT
    | {
        "method_in_use_is_supported": (
            "No other method gives calibrated PDs of a better Brier score than the one in use by more than chance (paired bootstrap,"
            " Holm-adjusted)."
        )
    },
    advisory=frozenset({"method_in_use_is_supported"}),
    also_from=_depends_on,
    columns=schema_of(CONTRACT_OF_TABLE),
    export=_export,
)
ARTEFACTS = (REBALANCING,)
