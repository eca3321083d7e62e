"""Research: which features the model needs."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.selection import CONTRACT as SELECTION_CONTRACT
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.checkpoints import checkpoints
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.evaluation import segments_of
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import FITTING_CODE, SELECTION, SELECTION_FILE, choose, meaning
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling import comparison, slices
from creditrisk_assets.modelling.adoption import FrozenSelection
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.research import redundancy, selection, selection_evidence, selection_plots
from creditrisk_assets.modelling.research.budgets import SelectionRules, load_research, research_part
from creditrisk_assets.modelling.research.selection_evidence import Evidence
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.modelling.training import MINIMUM_DEFAULTS
from creditrisk_assets.settings import Settings

PLOTS = ("null_importance", "kept")
SHOWN_ROWS = 25


def _make_selection(work: Work) -> Made:
    policy, research, config = load_policy(work.settings.policy), load_research(), load_configuration()
    choice, threads = choose(work.settings), work.settings.threads
    part = research_part(read_part(work.inputs[SPLIT_TRAIN].data, choice.all), research)
    kept = checkpoints(work, SELECTION_CODE, _fitted_by(work.settings))

    def select_on(some: Part, rules: SelectionRules, where: str) -> selection.Selection:
        return selection.select(
            some,
            choice.allowed,
            segments_of(some, policy),
            config,
            rules,
            policy.serving_budget,
            seed=research.seed,
            threads=threads,
            checkpoints=kept / where,
            progress=lambda words: work.context.log.info(f"{where}: {words}"),
        )

    def inputs_of(found: selection.Selection) -> list[ModelInput]:
        listed = set(found.features)
        return [item for item in choice.allowed if item.name in listed]

    found = select_on(part, research.selection, "everybody")
    # there are enough defaults in all; a fold has most of them
    within = research.selection.model_copy(update={"minimum_defaults": MINIMUM_DEFAULTS})
    evidence = selection_evidence.gather(
        part,
        choice.allowed,
        inputs_of(found),
        lambda fold: inputs_of(select_on(part.take(fold.fitted), within, f"fold-{fold.number}")),
        config,
        threads=threads,
    )
    found.table.to_parquet(work.draft.data, index=False, compression="zstd")
    frozen = FrozenSelection(features=found.features, conditions=meaning(work.settings))
    (work.draft.path / SELECTION_FILE).write_text(frozen.model_dump_json(indent=1))
    for name, picture in _pictures(found).items():
        (work.draft.path / f"{name}.png").write_bytes(picture)
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), SELECTION_CONTRACT))
    facts = {
        "rows": len(found.verdicts),
        "applicants": len(part),
        "defaults": int(part.labels.sum()),
        "kept": len(found.features),
        "counts": found.counts,
        "kept_within_folds": list(evidence.kept),
        "beside_all": [one.to_dict() for one in evidence.worth],
        "optimism": evidence.optimism.to_dict(),
    }
    return Made(facts, [*contract, _costs_little(evidence, research.selection)])


def _pictures(found: selection.Selection) -> dict[str, bytes]:
    return {
        "null_importance": selection_plots.draw_null_importance(found),
        "kept": selection_plots.draw_kept(found),
    }


def _costs_little(evidence: Evidence, rules: SelectionRules) -> CheckOutcome:
    auc, optimism = evidence.worth[0], evidence.optimism.difference.value
    low, high = auc.difference.low, auc.difference.high
    words = (
        f"AUC out of fold {auc.first:.4f} with features selected within each fold and {auc.second:.4f} with all ({low:+.4f} to"
        f" {high:+.4f}); a loss that certainly passes {rules.maximum_auc_loss} is not published. The list itself, selected on everybody,"
        f" would show {optimism:+.4f} more: that is optimism"
    )
    return CheckOutcome("selection_costs_little", passed=high >= -rules.maximum_auc_loss, facts={"description": words})


def _show_selection(version: Version) -> Mapping[str, dg.MetadataValue]:
    import pandas as pd  # noqa: PLC0415 - only where shown

    facts = version.manifest.metadata["facts"]
    table = pd.read_parquet(version.data)
    shown = ["rank", "feature", "gain", "null_gain", "shuffles_beaten", "words"]
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    kept = [{name: row[name] for name in shown[:-1]} for row in rows if row["reason"] == selection.KEPT]
    judged = {selection.REDUNDANT, selection.UNSTABLE, selection.OVER_BUDGET}
    dropped = [{name: row[name] for name in shown} for row in rows if row["reason"] in judged]
    found: dict[str, dg.MetadataValue] = {
        "kept": dg.MetadataValue.int(facts["kept"]),
        "counts": table_of([{"reason": name, "features": count} for name, count in facts["counts"].items()]),
        "plots": picture_of(*(version.path / f"{name}.png" for name in PLOTS)),
        "first_kept": table_of(kept[:SHOWN_ROWS]),
        "selected_within_folds_beside_all_inputs": comparison_table(facts["beside_all"]),
        "optimism_of_the_list": comparison_table([facts["optimism"]]),
    }
    if dropped:
        found["dropped_in_spite_of_their_gain"] = table_of(dropped[:SHOWN_ROWS])
    return found


def comparison_table(comparisons: list[Mapping[str, Any]]) -> dg.MetadataValue:
    """Render paired comparisons."""
    names = ("metric", "first", "second", "value", "low", "high", "p_value", "method", "verdict")
    return table_of([{name: {**one, **one["difference"]}[name] for name in names} for one in comparisons])


def _fitted_by(settings: Settings) -> Mapping[str, str]:
    """Fingerprint what a fit depends on besides tables and code; limits are not among it, so one that moves costs no fit."""
    research = load_research()
    return {
        **meaning(settings),
        "configuration": load_configuration().digest,
        "fits": code_version(research.selection.trees, research.seed, research.applicants),
    }


def _judged_by(settings: Settings, _lake: Lake) -> Mapping[str, str]:
    """Fingerprint what the verdicts depend on besides tables and code."""
    policy = load_policy(settings.policy)
    return {
        **_fitted_by(settings),
        "rules": code_version(load_research().selection.model_dump(mode="json")),
        "segments": code_version(list(policy.segments)),
        "serving_budget": code_version(policy.serving_budget.model_dump() if policy.serving_budget else None),
    }


SELECTION_CODE = code_version(
    FITTING_CODE, selection, redundancy, slices, research_part, selection_evidence, comparison, SELECTION_CONTRACT
)
FEATURE_SELECTION = Artefact(
    key=SELECTION,
    group="research",
    kinds=frozenset({"lightgbm", "parquet"}),
    describe=Describe(
        what=(
            "A verdict on every feature (gain against shuffled outcomes, twins, slices, serving budget) and the list that everyday models"
            " are made with while it holds."
        ),
        grain="one row per feature the policy allows",
        built_from="the research part of `training/split_train`, `research.yaml`, the policy's segments, constraints and serving budget",
        known_at="when the training applicants' outcomes are",
        consumed_by="`model/out_of_fold`, through it `model/pd`; `model/search`",
        fails_when=(
            "defaults are too few for evidence, no feature beats its shuffles, the constrained features pass the serving budget, or the"
            " list certainly costs more AUC than research.yaml admits"
        ),
        source="creditrisk_assets/modelling/research/selection.py",
    ),
    code_version=code_version(SELECTION_CODE, selection_plots),
    make=_make_selection,
    show=_show_selection,
    deps=(SPLIT_TRAIN,),
    checks=CONTRACT
    | {
        "selection_costs_little": (
            "Selected anew within each fold, features lose no more AUC against all inputs than research.yaml admits (paired DeLong"
            " interval). Fails when a limit drops what is needed: lower `null_quantile` or raise the serving budget."
        )
    },
    also_from=_judged_by,
    columns=schema_of(SELECTION_CONTRACT),
)
ARTEFACTS = (FEATURE_SELECTION,)
