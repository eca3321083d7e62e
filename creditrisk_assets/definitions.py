"""Code location 1. Wiring only: which assets, jobs, schedules, sensors and resources there are."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from creditrisk_assets.defs import (
    canary,
    challengers,
    evaluation,
    features,
    feeds,
    governance,
    ingestion,
    jobs,
    ladder,
    monitoring,
    month_report,
    months,
    parity,
    policy,
    promotion,
    reasons,
    rebalancing,
    research,
    retraining,
    robustness,
    search,
    selection,
    slices,
    training,
    validation,
)
from creditrisk_assets.defs.artefact import asset_of
from creditrisk_assets.resources.duckdb import EmbeddedDuckDB
from creditrisk_assets.resources.mlflow import mlflow_run
from creditrisk_assets.resources.platform import Platform

ARTEFACTS = (
    *ingestion.ARTEFACTS,
    *features.ARTEFACTS,
    *training.ARTEFACTS,
    *evaluation.ARTEFACTS,
    *policy.ARTEFACTS,
    *validation.ARTEFACTS,
    *slices.ARTEFACTS,
    *robustness.ARTEFACTS,
    *selection.ARTEFACTS,
    *search.ARTEFACTS,
    *challengers.ARTEFACTS,
    *rebalancing.ARTEFACTS,
    *ladder.ARTEFACTS,
    *monitoring.ARTEFACTS,
    *months.ARTEFACTS,
    *month_report.ARTEFACTS,
    *governance.ARTEFACTS,
    *reasons.ARTEFACTS,
    *canary.ARTEFACTS,
)


def build_defs(
    *, resources: Mapping[str, Any] | None = None, loggers: Mapping[str, dg.LoggerDefinition] | None = None
) -> dg.Definitions:
    """Build the location's definitions; production is the call without arguments, tests swap resources.

    Parameters
    ----------
    resources
        Replace or add resources by name.
    loggers
        Loggers of the runs; by default the console at INFO.
    """
    return dg.Definitions(
        assets=[*feeds.FEEDS, *(asset_of(artefact) for artefact in ARTEFACTS), *ingestion.QUARANTINES],
        asset_checks=parity.CHECKS,
        jobs=[*jobs.JOBS, *research.JOBS, *parity.JOBS, *months.JOBS, *promotion.JOBS],
        schedules=[*jobs.SCHEDULES, *parity.SCHEDULES],
        sensors=[*feeds.SENSORS, *monitoring.SENSORS, *months.SENSORS, *retraining.SENSORS],
        resources={"platform": Platform(), "duckdb": EmbeddedDuckDB(), "mlflow": mlflow_run, **(resources or {})},
        executor=dg.in_process_executor,
        loggers=dict(loggers or {"console": dg.colored_console_logger.configured({"log_level": "INFO"})}),
    )


defs = build_defs()
