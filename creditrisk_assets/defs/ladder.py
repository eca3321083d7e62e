"""Research: what each family of features, and each kind of learned features, is worth."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.ladder import LADDER as CONTRACT_OF_TABLE
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.defs.artefact import Artefact, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import FITTING_CODE, choose, learned_from
from creditrisk_assets.defs.vocabulary import Describe, raw_key
from creditrisk_assets.features.lineage import applicant_lineage
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling import calibration_fitting
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.research import ladder, ladder_plot
from creditrisk_assets.modelling.research.budgets import ResearchConfig, load_research, research_part
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.settings import Settings

if TYPE_CHECKING:
    from creditrisk_assets.modelling.research.learned.history import History

LADDER = "model/ladder"
HISTORIES = ("bureau", "previous_application", "installments_payments")
PICTURE = "ladder"


def _make_ladder(work: Work) -> Made:
    from creditrisk_assets.modelling.research.learned.kinds import Material  # noqa: PLC0415 - imports scikit-learn

    config, research = load_configuration(), load_research()
    choice, lineage = choose(work.settings), applicant_lineage()
    part = research_part(read_part(work.inputs[SPLIT_TRAIN].data, choice.allowed), research)
    material = Material(part, choice.allowed, lineage, _histories(work, part, research))
    rungs = ladder.make_rungs(choice.allowed, lineage)
    climbed = ladder.climb_all(
        rungs,
        material,
        config,
        research,
        threads=work.settings.threads,
        shelf=work.settings.research / PICTURE,
        made_from=_made_from(work),
        log=work.context.log.info,
    )
    table = ladder.tabulate(rungs, climbed, material, config)
    table.to_parquet(work.draft.data, index=False, compression="zstd")
    (work.draft.path / f"{PICTURE}.png").write_bytes(ladder_plot.draw_ladder(table))
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), CONTRACT_OF_TABLE))
    facts = {
        "rows": len(table),
        "applicants": len(part),
        "defaults": int(part.labels.sum()),
        "beside_control": {
            name: found.to_dict() for name, found in ladder.beside_control(rungs, climbed, material).items()
        },
        "processor_seconds": {name: round(rung.seconds, 1) for name, rung in climbed.items()},
        "history_rows": {table: len(rows.values) for table, rows in material.histories.items()},
    }
    return Made(facts, contract)


def _histories(work: Work, part: Part, research: ResearchConfig) -> "dict[str, History]":
    """Read the applicants' latest rows of the history tables, as many as the budget allows."""
    from creditrisk_assets.modelling.research.learned import history  # noqa: PLC0415 - imports scikit-learn

    prohibited, budget = load_policy(work.settings.policy).prohibited.columns, research.ladder.learned.history_rows
    found = {}
    with work.connection() as con:
        for name in HISTORIES:
            path, contract = work.inputs[raw_key(name)].data, SOURCES[name]
            depth = history.depth_within(con, contract, path, part.ids, budget=budget)
            found[name] = history.read_history(con, contract, path, part.ids, depth=depth, prohibited=prohibited)
    return found


def _made_from(work: Work) -> dict[str, str]:
    """Name all that a rung is made from, but for its inputs and its budget."""
    versions = {key: version.version for key, version in work.inputs.items()}
    return {**versions, **learned_from(work.settings, work.lake), "code": CLIMBING_CODE}


def _show_ladder(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts, table = version.manifest.metadata["facts"], pd.read_parquet(version.data)
    seconds = facts["processor_seconds"]
    rows = [
        {
            "rung": row["rung"],
            "adds": row["adds"],
            "inputs": row["inputs_count"],
            "AUC": f"{row['auc']:.4f} ({row['auc_low']:.4f} to {row['auc_high']:.4f})",
            "against": row["against"] or "",
            "gain": ""
            if row["against"] is None
            else f"{row['gain']:+.4f} ({row['gain_low']:+.4f} to {row['gain_high']:+.4f})",
            "verdict": row["verdict"] or "",
            "Brier": row["brier"],
            "processor_seconds": seconds[row["rung"]],
        }
        for row in table.to_dict("records")
    ]
    beside = [
        {
            "rung": name,
            "gain_over_control": f"{found['difference']['value']:+.4f}",
            "interval": f"{found['difference']['low']:+.4f} to {found['difference']['high']:+.4f}",
            "p_value": found["p_value"],
            "verdict": found["verdict"],
        }
        for name, found in facts["beside_control"].items()
    ]
    return {
        "ladder": table_of(rows),
        "learned_features_beside_the_control": table_of(beside),
        "picture": picture_of(version.path / f"{PICTURE}.png"),
        "applicants": dg.MetadataValue.int(facts["applicants"]),
        "processor_seconds": dg.MetadataValue.float(round(sum(seconds.values()), 1)),
    }


def _researched_from(settings: Settings, lake: Lake) -> Mapping[str, str]:
    research = load_research()
    budget = research.model_dump_json(include={"seed", "applicants", "ladder"})
    return {**learned_from(settings, lake), "research": code_version(budget)}


# What margins depend on. Rungs, table and picture are not among it: rungs that are done are not climbed anew for them.
LEARNED = Path(ladder.__file__).with_name("learned")
CLIMBING_CODE = code_version(FITTING_CODE, sorted(LEARNED.glob("*.py")), ladder.climb)
ABLATION_LADDER = Artefact(
    key=LADDER,
    group="research",
    kinds=frozenset({"lightgbm", "parquet", "sklearn"}),
    describe=Describe(
        what=(
            "The ablation ladder: the AUC out of fold as one family of features after another joins, then with each kind of learned"
            " features on top, on the same applicants and folds; each gain with a paired interval."
        ),
        grain="one row per rung",
        built_from="`training/split_train`, three raw history tables, `model.yaml`, `research.yaml`",
        known_at="when the training applicants' outcomes are",
        consumed_by="whoever decides which features the model uses (docs/ladder.md)",
        fails_when="an outcome has too few applicants for the folds, or a learned feature looks at a column the policy prohibits",
        source="creditrisk_assets/modelling/research/ladder.py",
    ),
    code_version=code_version(CLIMBING_CODE, ladder, calibration_fitting, ladder_plot, CONTRACT_OF_TABLE),
    make=_make_ladder,
    show=_show_ladder,
    deps=(SPLIT_TRAIN, *map(raw_key, HISTORIES)),
    checks=CONTRACT,
    columns=schema_of(CONTRACT_OF_TABLE),
    also_from=_researched_from,
)
ARTEFACTS = (ABLATION_LADDER,)
