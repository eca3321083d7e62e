"""Drift as an asset; freshness alerts and drift retraining as sensors, thin around pure plans."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from creditrisk_assets.defs.jobs import retrain_model
from creditrisk_assets.lake import Lake, LakeError
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.monitoring.alerts import post
from creditrisk_assets.monitoring.freshness import plan_freshness_alerts
from creditrisk_assets.monitoring.retraining import DriftEvidence, RetrainState, plan_retrain
from creditrisk_assets.settings import Settings

DRIFT = "monitoring/drift"


def freshness_states(context: dg.SensorEvaluationContext) -> Mapping[str, str]:
    """Read the freshness state of every asset of this location that has a policy (one place: Dagster's call is not public yet)."""
    if context.repository_def is None:
        return {}
    graph = context.repository_def.asset_graph
    keys = [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy is not None]
    records = context.instance.get_freshness_state_records(keys)
    return {key.to_user_string(): record.freshness_state.value for key, record in records.items()}


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the log and, when CREDITRISK_ALERT_WEBHOOK is set, a webhook of every asset that becomes stale or recovers.",
)
def on_freshness_change(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tell of changes; the cursor moves only when they were delivered, so what was not is told at the next look."""
    settings = Settings()
    plan = plan_freshness_alerts(json.loads(context.cursor or "{}"), freshness_states(context))
    for alert in plan.alerts:
        context.log.warning(str(alert))
    if plan.alerts and settings.alert_webhook is not None:
        post(settings.alert_webhook, plan.alerts, timeout_seconds=settings.alert_webhook_timeout_seconds)
    context.update_cursor(json.dumps(plan.states, sort_keys=True))
    return dg.SkipReason(f"{len(plan.alerts)} changes of freshness told")


@dg.sensor(
    job=retrain_model,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches `retrain_model` when the newest drift report says so, once per report, within the policy's cool-down and budget.",
)
def on_drift(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Act on the newest drift report."""
    settings = Settings()
    state = RetrainState.from_dict(json.loads(context.cursor or "{}"))
    plan = plan_retrain(
        state, drift_evidence(Lake(settings.lake)), load_policy(settings.policy).retraining, datetime.now(UTC)
    )
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=r.run_key, tags={"creditrisk/cause": r.cause}) for r in plan.requests],
        skip_reason=None if plan.requests else dg.SkipReason(plan.words),
        cursor=json.dumps(plan.state.to_dict(), sort_keys=True),
    )


def drift_evidence(lake: Lake) -> DriftEvidence | None:
    """Read the newest drift report; None when there is none or it cannot be read."""
    try:
        report = lake.current(DRIFT)
    except LakeError:
        return None
    if report is None:
        return None
    facts = report.manifest.metadata["facts"]
    return DriftEvidence(report.version, drifted=facts["retrain"], words=facts["headline"])


SENSORS = [on_freshness_change, on_drift]
