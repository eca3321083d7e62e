"""Stage 3c: what the policy's cut-offs do, and which would make most."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.policy_simulation import POLICY_SIMULATION as CONTRACT_OF_TABLE
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import OUT_OF_FOLD
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Version
from creditrisk_assets.modelling import economics, policy_plots
from creditrisk_assets.modelling.economics import CutOffs, Economics, simulate
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.tables import read_part

SIMULATION = "model/policy_simulation"
AMOUNT = ModelInput("application__credit_amt", "application", "numeric")
PLOTS = ("single_cut_off", "cut_off_map")


def _make_simulation(work: Work) -> Made:
    policy = load_policy(work.settings.policy)
    rules, decisions = policy.economics, policy.decisions
    target, pds, amounts = _applicants(work, rules)
    singles = economics.candidates(pds)
    expected = simulate(pds, rules, singles, singles, amounts=amounts)
    realised = simulate(pds, rules, singles, singles, outcomes=target, amounts=amounts)
    table = pd.DataFrame(
        {
            "cut_off": singles,
            "approval_rate": realised.approval_rate,
            "bad_rate": realised.bad_rate,
            "expected_profit": expected.profit_per_applicant,
            "realised_profit": realised.profit_per_applicant,
        }
    )
    table.to_parquet(work.draft.data, index=False, compression="zstd")
    # Chosen by expected money: the best pair on outcomes would be best by luck, too.
    best = economics.best_cut_offs(pds, rules, amounts=amounts)
    chosen = {
        "in_force": (decisions.approve_below, decisions.decline_from),
        "best": (best.approve_below, best.decline_from),
    }
    rows = {name: _what_it_does(pair, target, pds, amounts, rules) for name, pair in chosen.items()}
    every = simulate(pds, rules, *economics.pairs(singles), amounts=amounts)
    pictures = {
        "single_cut_off": policy_plots.draw_single_cut_off(expected, best),
        "cut_off_map": policy_plots.draw_cut_off_map(every, best, rules.review_capacity_share),
    }
    for name, picture in pictures.items():
        (work.draft.path / f"{name}.png").write_bytes(picture)
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), CONTRACT_OF_TABLE))
    facts = {
        "rows": len(table),
        "applicants": len(pds),
        "cut_offs": rows,
        "economics": rules.model_dump(mode="json"),
        "break_even_pd": rules.break_even_pd,
    }
    return Made(facts, [*contract, _within_capacity(rows["in_force"], rules), _near_the_best(rows)])


def _applicants(work: Work, rules: Economics) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return outcomes, out-of-fold PDs (their mean over the repeats) and amounts asked for, applicant by applicant."""
    table = pd.read_parquet(work.inputs[OUT_OF_FOLD].data, columns=["sk_id_curr", "target", "pd"])
    mean = table.groupby("sk_id_curr").mean()
    part = read_part(work.inputs[SPLIT_TRAIN].data, [AMOUNT])
    asked = pd.Series(part.frame[AMOUNT.name].to_numpy().astype(np.float64), index=part.ids).loc[mean.index].to_numpy()
    amounts = np.where(np.isfinite(asked) & (asked > 0), asked, rules.loan_amount)
    return mean["target"].to_numpy().astype(np.int64), mean["pd"].to_numpy(), amounts


def _what_it_does(
    pair: tuple[float, float],
    target: NDArray[np.int64],
    pds: NDArray[np.float64],
    amounts: NDArray[np.float64],
    rules: Economics,
) -> dict[str, Any]:
    approve_below, decline_from = (np.array([limit]) for limit in pair)
    found: CutOffs = simulate(pds, rules, approve_below, decline_from, outcomes=target, amounts=amounts).row(0)
    expected = simulate(pds, rules, approve_below, decline_from, amounts=amounts).row(0)
    return {**found.to_dict(), "expected_profit_per_applicant": expected.profit_per_applicant}


def _within_capacity(in_force: Mapping[str, Any], rules: Economics) -> CheckOutcome:
    rate, capacity = in_force["referral_rate"], rules.review_capacity_share
    words = f"the cut-offs in force refer {rate:.1%} of the applicants; reviewers have capacity for {capacity:.1%}"
    return CheckOutcome(
        "referrals_within_capacity", passed=rate <= capacity, facts={"description": words}, severity="WARN"
    )


def _near_the_best(rows: Mapping[str, Mapping[str, Any]]) -> CheckOutcome:
    now, best = rows["in_force"], rows["best"]
    made, could = now["expected_profit_per_applicant"], best["expected_profit_per_applicant"]
    words = (
        f"the cut-offs in force make {made:,.0f} per applicant by the policy's economics; approving below"
        f" {best['approve_below']:.2%} and declining from {best['decline_from']:.2%} would make {could:,.0f}"
    )
    return CheckOutcome("cut_offs_make_money", passed=made > 0, facts={"description": words}, severity="WARN")


def _show_simulation(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    rows = [{"cut_offs": name.replace("_", " "), **row} for name, row in facts["cut_offs"].items()]
    return {
        "cut_offs": table_of(rows),
        "break_even_pd": dg.MetadataValue.float(round(facts["break_even_pd"], 6)),
        "plots": picture_of(*(version.path / f"{name}.png" for name in PLOTS)),
    }


POLICY_SIMULATION = Artefact(
    key=SIMULATION,
    group="training",
    kinds=frozenset({"parquet"}),
    describe=Describe(
        what=(
            "What cut-offs would do by the policy's economics: approval rate, bad rate and profit, of those in force and of the pair that"
            " makes most within the reviewers' capacity. It proposes; the policy file decides."
        ),
        grain="one row per single cut-off",
        built_from="`model/out_of_fold`, amounts of `training/split_train`, the policy's economics",
        known_at="when the training applicants' outcomes are",
        consumed_by="risk officers",
        fails_when="the table leaves its contract; a referral rate above the capacity, and cut-offs that lose money, warn",
        source="creditrisk_assets/modelling/economics.py",
    ),
    code_version=code_version(economics, policy_plots, CONTRACT_OF_TABLE),
    make=_make_simulation,
    show=_show_simulation,
    deps=(SPLIT_TRAIN, OUT_OF_FOLD),
    checks=CONTRACT
    | {
        "referrals_within_capacity": "The cut-offs in force refer no more applicants than the policy's review capacity.",
        "cut_offs_make_money": "The cut-offs in force make money by the policy's economics; the description names the best pair.",
    },
    advisory=frozenset({"referrals_within_capacity", "cut_offs_make_money"}),
    also_from=lambda settings, _lake: {
        "economics": code_version(load_policy(settings.policy).economics.model_dump(mode="json")),
        "decisions": code_version(load_policy(settings.policy).decisions.model_dump(mode="json")),
    },
    columns=schema_of(CONTRACT_OF_TABLE),
)
ARTEFACTS = (POLICY_SIMULATION,)
