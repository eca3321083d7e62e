"""Code location 2. Wiring only. It reads what location 1 published; the scoring API is a process of its own (`creditrisk serve`)."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from creditrisk_assets.defs.alerts import on_alert_condition
from creditrisk_assets.defs.artefact import asset_of
from creditrisk_assets.resources.duckdb import EmbeddedDuckDB
from creditrisk_assets.resources.platform import Platform
from creditrisk_serving.defs import batch, decision_log, deployment, online, shadow

ARTEFACTS = (*online.ARTEFACTS, *batch.ARTEFACTS, *decision_log.ARTEFACTS, *shadow.ARTEFACTS, *deployment.ARTEFACTS)

score_applicants = dg.define_asset_job(
    "score_applicants",
    selection=dg.AssetSelection.groups("serving"),
    description="The online store, batch scores of the scoring portfolio by the champion, and the decision log by day.",
)
nightly_score_applicants = dg.ScheduleDefinition(
    name="nightly_score_applicants",
    job=score_applicants,
    cron_schedule="0 4 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night at four, after `nightly_refresh_portfolio`: scores by the champion, renewed when nothing changed.",
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
        assets=[asset_of(artefact) for artefact in ARTEFACTS],
        jobs=[score_applicants, online.refresh_online_store, shadow.watch_shadow],
        schedules=[nightly_score_applicants, shadow.hourly_watch_shadow],
        sensors=[on_alert_condition, online.on_new_features],
        resources={"platform": Platform(), "duckdb": EmbeddedDuckDB(), **(resources or {})},
        executor=dg.in_process_executor,
        loggers=dict(loggers or {"console": dg.colored_console_logger.configured({"log_level": "INFO"})}),
    )


defs = build_defs()
