"""Research: which of LightGBM's parameters suit the data."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.search import CONTRACT as SEARCH_CONTRACT
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.checkpoints import checkpoints
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.selection import comparison_table
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import (
    FITTING_CODE,
    SEARCH,
    SEARCH_FILE,
    SELECTION,
    adopt_published,
    choose,
    meaning,
)
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling import adoption, comparison, cross_validation
from creditrisk_assets.modelling.adoption import FoundParameters, search_conditions
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.research import search, selection_plots
from creditrisk_assets.modelling.research.budgets import load_research, research_part
from creditrisk_assets.modelling.tables import read_part
from creditrisk_assets.settings import Settings

PLOTS = ("history", "parameters")
TRIALS_FILE = "trials.db"


def _make_search(work: Work) -> Made:
    research, config, threads = load_research(), load_configuration(), work.settings.threads
    adopted = adopt_published(work)
    inputs = adopted.choice(choose(work.settings)).allowed
    part = research_part(read_part(work.inputs[SPLIT_TRAIN].data, inputs), research)
    kept = checkpoints(work, SEARCH_CODE, _tried_in(work.settings))
    found = search.search(
        part,
        inputs,
        config,
        research.search,
        load_policy(work.settings.policy).serving_budget,
        seed=research.seed,
        threads=threads,
        storage=kept / TRIALS_FILE,
        progress=work.context.log.info,
    )
    best = dict(found.best.parameters)
    work.context.log.info("comparing the best trial with model.yaml on other folds")
    comparisons = search.judge(part, inputs, config, best, threads=threads)
    better, words = search.worth_a_change(comparisons)
    found.table(config).to_parquet(work.draft.data, index=False, compression="zstd")
    conditions = search_conditions(meaning(work.settings), config.digest, adopted.selection)
    outcome = FoundParameters(parameters=best, better=better, words=words, conditions=conditions)
    (work.draft.path / SEARCH_FILE).write_text(outcome.model_dump_json(indent=1))
    pictures = {"history": selection_plots.draw_history(found), "parameters": selection_plots.draw_parameters(found)}
    for name, picture in pictures.items():
        (work.draft.path / f"{name}.png").write_bytes(picture)
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), SEARCH_CONTRACT))
    facts = {
        "rows": len(found.trials),
        "applicants": len(part),
        "inputs": len(inputs),
        "ended": found.ended,
        "best": {"log_loss": found.best.log_loss, "trees": found.best.trees, **best},
        "in_use": {name: getattr(config.lightgbm, name) for name in best},
        "importance": dict(found.importance),
        "comparisons": [one.to_dict() for one in comparisons],
        "better": better,
        "verdict": words,
        "selection": adopted.selection,
    }
    verdict = CheckOutcome("model_yaml_is_best_known", passed=not better, facts={"description": words}, severity="WARN")
    return Made(facts, [*contract, verdict])


def _show_search(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    best, in_use = facts["best"], facts["in_use"]
    rows: list[dict[str, Any]] = [
        {"parameter": name, "found": float(best[name]), "in_use": float(in_use[name])} for name in in_use
    ]
    return {
        "verdict": dg.MetadataValue.text(facts["verdict"]),
        "ended": dg.MetadataValue.text(facts["ended"]),
        "parameters": table_of(rows),
        "beside_model_yaml": comparison_table(facts["comparisons"]),
        "plots": picture_of(*(version.path / f"{name}.png" for name in PLOTS)),
    }


def _tried_in(settings: Settings) -> Mapping[str, str]:
    """Fingerprint what a trial depends on besides tables and code; how many there may be is not among it: more go on from these."""
    budget, research = load_policy(settings.policy).serving_budget, load_research()
    plan = research.search.model_dump(mode="json", exclude={"trials", "seconds"})
    return {
        **meaning(settings),
        "configuration": load_configuration().digest,
        "plan": code_version(plan, research.seed, research.applicants),
        "serving_budget": code_version(budget.model_dump() if budget else None),
    }


def _looked_for_in(settings: Settings, _lake: Lake) -> Mapping[str, str]:
    """Fingerprint what the outcome depends on besides tables and code."""
    plan = load_research().search
    return {**_tried_in(settings), "budget": code_version(plan.trials, plan.seconds)}


SEARCH_CODE = code_version(FITTING_CODE, search, adoption, research_part, cross_validation, comparison, SEARCH_CONTRACT)
PARAMETER_SEARCH = Artefact(
    key=SEARCH,
    group="research",
    kinds=frozenset({"lightgbm", "optuna", "parquet"}),
    describe=Describe(
        what=(
            "Trials of LightGBM's parameters, the best of them, and whether it is better than model.yaml on folds it was not chosen on:"
            " everyday models take it over if it is, else they keep model.yaml."
        ),
        grain="one row per trial",
        built_from="the research part of `training/split_train`, the features of `model/selection` where it holds, `research.yaml`",
        known_at="when the training applicants' outcomes are",
        consumed_by="`model/out_of_fold`, through it `model/pd`",
        fails_when="an outcome has too few applicants for the folds, no trial fits the serving budget, or trials cannot be written",
        source="creditrisk_assets/modelling/research/search.py",
    ),
    code_version=code_version(SEARCH_CODE, selection_plots),
    make=_make_search,
    show=_show_search,
    deps=(SPLIT_TRAIN,),
    uses=(SELECTION,),
    checks=CONTRACT
    | {
        "model_yaml_is_best_known": (
            "No parameters are known to be better than those of model.yaml. Warns where everyday models are made with others: write them"
            " into model.yaml, where a person sees them."
        )
    },
    advisory=frozenset({"model_yaml_is_best_known"}),
    also_from=_looked_for_in,
    columns=schema_of(SEARCH_CONTRACT),
)
ARTEFACTS = (PARAMETER_SEARCH,)
