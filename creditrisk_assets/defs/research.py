"""Research: what is tried beside the model in use. The job, and what its assets share.

What belongs here: the job, the applicants looked at, where finished parts are kept, the exports. What does not: any one asset (a module
of its own).

The group stands apart from the everyday graph: it takes hours at full size and runs when asked for. An asset whose tables, settings and
code are unchanged is reused as everywhere; one that was killed goes on from its last finished part.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.defs.artefact import Work
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.lake import write_atomically
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.research.budgets import ResearchConfig, research_part
from creditrisk_assets.modelling.research.results import Results
from creditrisk_assets.modelling.tables import Part, read_part

GROUP = "research"
REPORTS = "research"  # directory below the reports

research_model = dg.define_asset_job(
    "research_model",
    selection=dg.AssetSelection.groups(GROUP),
    description=(
        "What is tried beside the model in use: challengers, rebalancing, selection, search, the ladder. Hours at full size; what is"
        " unchanged is reused."
    ),
)
JOBS = (research_model,)


def applicants_looked_at(work: Work, inputs: tuple[ModelInput, ...], config: ResearchConfig) -> Part:
    """Read the part of the training applicants that research looks at."""
    return research_part(read_part(work.inputs[SPLIT_TRAIN].data, inputs), config)


def results_of(work: Work, name: str, config: ResearchConfig) -> Results:
    """Open the place of an asset's finished parts; each depends on the training part and on who is looked at."""
    made_from = {
        "table": work.inputs[SPLIT_TRAIN].version,
        "applicants": config.applicants,
        "seed": config.seed,
        "drawn_by": code_version(research_part),
    }
    return Results(work.settings.research / name, made_from)


def export_json(name: str, content: Mapping[str, Any], reports: Path) -> None:
    """Write what a person may want outside the lake: `reports/research/<name>.json`."""
    write_atomically(reports / REPORTS / f"{name}.json", json.dumps(content, indent=1))
