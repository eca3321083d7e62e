"""Jobs by stage and for everything, and the nightly schedule. Jobs select groups by name, so what promotes is never in one of them."""

import dagster as dg

STAGE_JOBS = {
    "ingest_tables": ("ingestion",),
    "build_features": ("features",),
    "train_model": ("training", "governance"),
    "report_drift": ("monitoring",),
}
LOCATION_GROUPS = ("ingestion", "features", "training", "monitoring", "governance")

refresh_portfolio = dg.define_asset_job(
    "refresh_portfolio",
    selection=dg.AssetSelection.groups(*LOCATION_GROUPS),
    description="Everything of this location: raw tables to a registered model; what is unchanged is reused.",
)
stage_jobs = [
    dg.define_asset_job(
        name, selection=dg.AssetSelection.groups(*groups), description=f"The assets of: {', '.join(groups)}."
    )
    for name, groups in STAGE_JOBS.items()
]
retrain_model = dg.define_asset_job(
    "retrain_model",
    # without monitoring/drift: the report that asks for a retrain must not be made again by it
    selection=dg.AssetSelection.groups("training", "governance"),
    description="What a drift report asks for: split, model, evaluation, registration. What becomes champion is the policy's approval.",
)
nightly_refresh_portfolio = dg.ScheduleDefinition(
    name="nightly_refresh_portfolio",
    job=refresh_portfolio,
    cron_schedule="0 2 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,  # without it every freshness policy would run out
    description="Every night at two: reuse what is unchanged, rebuild what is not, renew every asset's freshness.",
)

JOBS = [refresh_portfolio, *stage_jobs, retrain_model]
SCHEDULES = [nightly_refresh_portfolio]
