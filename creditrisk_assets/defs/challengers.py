"""Research: the standing challengers beside the default model."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from creditrisk_assets.contracts.challengers import CHALLENGERS as CONTRACT_OF_TABLE
from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs import research
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import choose, learned_from
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling import calibration_fitting, comparison
from creditrisk_assets.modelling.configuration import ModelConfig, load_configuration
from creditrisk_assets.modelling.policy import Policy, load_policy
from creditrisk_assets.modelling.research import contest, plots
from creditrisk_assets.modelling.research.budgets import ResearchConfig, load_research
from creditrisk_assets.modelling.research.challengers import scorecard, standing
from creditrisk_assets.modelling.research.challengers.standing import SCORECARD
from creditrisk_assets.modelling.research.contest import Standing
from creditrisk_assets.settings import Settings

KEY = "model/challengers"
FIGURES, CARD, PLOT = "challengers.json", "scorecard.json", "differences.png"
SHOWN = (
    "challenger",
    "inputs",
    "fitted",
    "auc",
    "auc_difference",
    "auc_difference_low",
    "auc_difference_high",
    "brier",
    "calibrated_brier",
    "log_loss",
    "expected_calibration_error",
    "calibration_slope",
    "mean_pd",
    "above_half",
)


def _make(work: Work) -> Made:
    policy, config, budgets = load_policy(work.settings.policy), load_configuration(), load_research()
    inputs = choose(work.settings).allowed
    part = research.applicants_looked_at(work, inputs, budgets)
    results = research.results_of(work, "challengers", budgets)
    work.context.log.info(f"challengers: {len(part):,} applicants with {len(inputs)} inputs")
    standings = contest.hold_contest(
        part,
        inputs,
        config,
        standing.default_model(config, threads=work.settings.threads),
        standing.standing_challengers(budgets.challengers, config, policy.score),
        results,
        seed=budgets.seed,
        say=work.context.log.info,
    )
    card = scorecard.fit(
        part, inputs, config, budgets.seed, budget=budgets.challengers.scorecard, scale=policy.score
    )  # on everybody: this is the card one would use
    rows = [one.row() for one in standings]
    pd.DataFrame(rows).to_parquet(work.draft.data, index=False, compression="zstd")
    (work.draft.path / CARD).write_text(card.to_json())
    differences = {one.name: one.beside.difference for one in standings[1:]}
    picture = plots.draw_differences(
        differences, "Challengers: AUC less the default model's", "difference of AUC, 95 % paired interval (DeLong)"
    )
    (work.draft.path / PLOT).write_bytes(picture)
    price = contest.price_of_interpretability(standings, standing.INTERPRETABLE)
    facts: dict[str, Any] = {
        "rows": len(rows),
        "headline": _headline(standings, price),
        "costs": [
            one.cost() for one in standings
        ],  # of the machine, so not in the table: equal inputs give equal bytes
        "price_of_interpretability": price,
        "models": [one.to_dict() for one in standings],
    }
    with work.connection() as con:
        outcome = contract_outcomes(check(con, parquet(work.draft.data), CONTRACT_OF_TABLE))
    results.sweep()
    return Made(facts, [*outcome, _still_the_best(standings[1:])])


def _headline(standings: Sequence[Standing], price: Sequence[Mapping[str, Any]]) -> str:
    prices = "; ".join(
        f"{one['challenger'].replace('_', ' ')} {one['value']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})"
        f" with {one['inputs']} inputs"
        for one in price
    )
    return f"AUC {standings[0].auc.value:.4f} out of fold; the price of interpretability: {prices}"


def _still_the_best(challengers: Sequence[Standing]) -> CheckOutcome:
    better = contest.clearly_better(challengers)
    words = ", ".join(f"{one.name} {one.beside.difference.value:+.4f}" for one in challengers)
    facts = {
        "description": f"clearly better in AUC than the default model: {', '.join(better) or 'none'}; differences: {words}"
    }
    return CheckOutcome("no_challenger_is_better", passed=not better, facts=facts, severity="WARN")


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    costs = {cost["challenger"]: cost for cost in facts["costs"]}
    rows = [{name: row[name] for name in SHOWN} | costs[row["challenger"]] for row in facts["models"]]
    card = json.loads((version.path / CARD).read_text("utf-8"))
    return {
        "headline": dg.MetadataValue.text(facts["headline"]),
        "plot": picture_of(version.path / PLOT),
        "challengers": table_of(rows),
        "price_of_interpretability": table_of(facts["price_of_interpretability"]),
        "scorecard_base_points": dg.MetadataValue.float(card["base_points"]),
        "scorecard": table_of(card["bins"]),
    }


def _export(settings: Settings, _lake: Lake, version: Version) -> None:
    facts = version.manifest.metadata["facts"]
    research.export_json("challengers", facts, settings.reports)
    research.export_json(SCORECARD, json.loads((version.path / CARD).read_text("utf-8")), settings.reports)


def _depends_on(settings: Settings, lake: Lake) -> Mapping[str, str]:
    """Fingerprint what the figures depend on besides tables and code: of the policy only the scale of points and what chooses inputs."""
    budgets, config, policy = load_research(), load_configuration(), load_policy(settings.policy)
    return {**learned_from(settings, lake), **_fingerprints(budgets, config, policy)}


def _fingerprints(budgets: ResearchConfig, config: ModelConfig, policy: Policy) -> Mapping[str, str]:
    models = (
        standing.default_model(config, threads=1),
        *standing.standing_challengers(budgets.challengers, config, policy.score),
    )
    return {
        "applicants": code_version([budgets.applicants, budgets.seed]),
        **{f"challenger {one.name}": code_version(dict(one.depends_on), one.applicants, *one.code) for one in models},
    }


CHALLENGERS = Artefact(
    key=KEY,
    group=research.GROUP,
    kinds=frozenset({"lightgbm", "sklearn", "parquet"}),
    describe=Describe(
        what=(
            "Standing challengers beside the default model on the same folds and applicants: scikit-learn's gradient boosting, a logistic"
            " scorecard, an explainable boosting machine, and the ancestor's recipe with and without its resampling. What the interpretable"
            " ones lose is the price of interpretability."
        ),
        grain="one row per model",
        built_from="`training/split_train` (at most `research.yaml: applicants`), `model.yaml`, `research.yaml`",
        known_at="when the training applicants' outcomes are",
        consumed_by="risk officers, `reports/research`",
        fails_when="a model cannot be fitted, or the table leaves its contract; a challenger that is clearly better warns",
        source="creditrisk_assets/modelling/research/contest.py",
    ),
    code_version=code_version(contest, comparison, calibration_fitting, plots, CONTRACT_OF_TABLE),
    make=_make,
    show=_show,
    deps=(SPLIT_TRAIN,),
    checks=CONTRACT
    | {
        "no_challenger_is_better": (
            "No challenger's AUC is above the default model's by more than chance (DeLong's paired test, Holm-adjusted). One that is should"
            " become the default, or a reason be written down."
        )
    },
    advisory=frozenset({"no_challenger_is_better"}),
    also_from=_depends_on,
    columns=schema_of(CONTRACT_OF_TABLE),
    export=_export,
)
ARTEFACTS = (CHALLENGERS,)
