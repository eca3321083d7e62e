"""Sensors that retrain: thin around a pure plan, one per kind of evidence.

What belongs here: reading evidence from the lake and launched retrains from the instance. What does not: whether evidence calls for a
retrain (`monitoring.retraining`), the job (`defs.jobs`), what becomes of the candidate (`defs.governance`).

All four launch `retrain_model`, which ends in a candidate that is compared with the champion. The cause is a tag of the run, and so is
what it ended in: another champion, or the champion kept and why.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from creditrisk_assets.defs.features import APPLICANT_KEY
from creditrisk_assets.defs.jobs import retrain_model
from creditrisk_assets.defs.monitoring import DRIFT
from creditrisk_assets.defs.months import MONTH_DRIFT, MONTH_PERFORMANCE
from creditrisk_assets.defs.promotion import read_ledger
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import MODEL
from creditrisk_assets.defs.vocabulary import raw_key
from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_assets.modelling.bundle import BundleError, follow
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.monitoring.retraining import (
    BUDGET_DAYS,
    Evidence,
    RetrainRun,
    RetrainState,
    RunState,
    plan_retrain,
)
from creditrisk_assets.registry.ledger import Entry, LedgerError, champion_at
from creditrisk_assets.settings import Settings

LABELLED, FAMILY = raw_key("application_train"), "features/application"
CAUSE, EVIDENCE, ATTEMPT = "creditrisk/cause", "creditrisk/evidence", "creditrisk/attempt"
ENDED = "creditrisk/ended"  # what became of the champion
LOOK_SECONDS = 60
STATES: dict[dg.DagsterRunStatus, RunState] = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "failed",
}
Look = Callable[[Settings, Lake, datetime], Evidence | None]


def drift_evidence(_settings: Settings, lake: Lake, _now: datetime) -> Evidence | None:
    """Read the newest month's drift where it calls for a retrain, and the drift of those who wait for a decision otherwise."""
    newest = [f"{MONTH_DRIFT}/{month}" for month in lake.parts(MONTH_DRIFT)[-1:]]
    found = [version for key in (*newest, DRIFT) if (version := _published(lake, key)) is not None]
    evidence = [_of_drift(version) for version in found]
    return next((each for each in evidence if each.calls), evidence[-1] if evidence else None)


def _of_drift(report: Version) -> Evidence:
    facts = report.manifest.metadata["facts"]
    return Evidence("drift", report.version, bool(facts["retrain"]), facts["headline"])


def performance_evidence(settings: Settings, lake: Lake, _now: datetime) -> Evidence | None:
    """Read the newest month with outcomes: a breach of the model in use calls for a retrain.

    One of an earlier model does not, nor one in a month whose drift report named a cause: a fault of the data is nothing to learn, and a
    drift called for its retrain then.
    """
    if (table := _published(lake, MONTH_PERFORMANCE)) is None:
        return None
    facts = table.manifest.metadata["facts"]
    judged = [month for month in facts["months"] if month["realised"] is not None]
    if not judged:
        return Evidence("performance", table.version, False, "no month has its outcomes yet")
    champion = follow(settings.bundles)
    breaches = [
        breach
        for breach in facts["breaches"]
        if breach["month"] == judged[-1]["month"]
        and not breach["explained_by"]
        and champion is not None
        and breach["model_version"] == champion.name
    ]
    if not breaches:
        return Evidence(
            "performance",
            table.version,
            False,
            f"{judged[-1]['month']} is as expected, of an earlier model, or was answered",
        )
    found = ",".join(sorted(breach["evidence"] for breach in breaches))
    return Evidence("performance", found, True, "; ".join(breach["words"] for breach in breaches))


def new_data_evidence(settings: Settings, lake: Lake, _now: datetime) -> Evidence | None:
    """Compare the labelled applicants there are with those the newest model learned from."""
    model, features, labelled = (_published(lake, key) for key in (MODEL, APPLICANT_KEY, LABELLED))
    if model is None or features is None or labelled is None:
        return None
    learned = _learned_from(lake, model)
    if learned is None or not _follows(lake, features, labelled):
        return None
    now, then = labelled.manifest.metadata["facts"]["rows"], learned.manifest.metadata["facts"]["rows"]
    share = abs(now - then) / max(then, 1)
    calls = share >= load_policy(settings.policy).monitoring.new_data_share
    return Evidence(
        "new_data", labelled.version, calls, f"{now:,} labelled applicants, the model learned from {then:,}"
    )


def schedule_evidence(settings: Settings, lake: Lake, now: datetime) -> Evidence | None:
    """Tell whether the newest model is older than the policy lets a model become."""
    if (model := _published(lake, MODEL)) is None:
        return None
    longest = timedelta(days=load_policy(settings.policy).monitoring.longest_days_without_training)
    age = now - datetime.fromisoformat(model.manifest.created_at)
    due = int(age / longest)  # a model that training does not change is asked about once in each span
    words = f"the newest model is {age.days} days old, {longest.days} are allowed"
    return Evidence("schedule", f"{model.version}:{model.manifest.created_at}:{due}", age >= longest, words)


def _learned_from(lake: Lake, model: Version) -> Version | None:
    """Follow the versions from a model to the labelled applicants it learned from; None: they are no longer there."""
    try:
        split = lake.version(SPLIT_TRAIN, model.manifest.inputs[SPLIT_TRAIN])
        return lake.version(LABELLED, split.manifest.inputs[LABELLED])
    except (KeyError, LakeError):
        return None


def _follows(lake: Lake, features: Version, labelled: Version) -> bool:
    """Tell whether features were made from these applicants already; a retrain before that would fail."""
    try:
        family = lake.version(FAMILY, features.manifest.inputs[FAMILY])
    except (KeyError, LakeError):
        return False
    return family.manifest.inputs.get(LABELLED) == labelled.version


def _published(lake: Lake, key: str) -> Version | None:
    try:
        return lake.current(key)
    except LakeError:
        return None


def retrain_runs(instance: dg.DagsterInstance, now: datetime) -> list[RetrainRun]:
    """Read the retrains of the last 30 days as the plan takes them."""
    return [
        RetrainRun(
            record.dagster_run.tags.get(EVIDENCE, ""),
            _state(record.dagster_run),
            record.create_timestamp,
        )
        for record in recent_retrains(instance, now)
    ]


def _state(run: dg.DagsterRun) -> RunState:
    """Tell how far a retrain is; one that crashed and that Dagster is about to repeat is not over, or it would be repeated twice."""
    return "active" if run.is_complete_and_waiting_to_retry else STATES.get(run.status, "active")


def recent_retrains(instance: dg.DagsterInstance, now: datetime) -> Sequence[dg.RunRecord]:
    """Read the runs of the last 30 days that retrained, the newest first."""
    since = now - timedelta(days=BUDGET_DAYS)
    return instance.get_run_records(dg.RunsFilter(job_name=retrain_model.name, created_after=since))


def ended_in(entries: Sequence[Entry], launched: datetime, ended: datetime) -> str:
    """Say what a retrain came to, from the ledger.

    Parameters
    ----------
    entries
        Of the ledger, oldest first.
    launched, ended
        When the run was, with time zone.
    """
    before, after = champion_at(entries, launched), champion_at(entries, ended)
    if after is None:
        return "no model is in use"
    name = after.event.model_version
    if before is None or before.event.model_version != name:
        return f"{name} became champion"
    until = ended.astimezone(UTC).isoformat(timespec="microseconds")
    registered = [e.event.model_version for e in entries if e.event.kind == "registration" and e.event.at <= until]
    candidate = registered[-1] if registered else name
    compared = [
        e.event
        for e in entries
        if e.event.kind == "comparison" and e.event.at <= until and e.event.model_version == candidate
    ]
    if candidate == name or not compared:
        return f"keep champion {name}: what there is to learn from gives no other model"
    if compared[-1].details.get("passed"):
        return f"keep champion {name} until {candidate}, which is within the limits, is approved"
    return f"keep champion {name}: {candidate} is no better ({compared[-1].reason})"


def tell_ends(instance: dg.DagsterInstance, settings: Settings, now: datetime) -> None:
    """Note on each retrain that succeeded what it ended in, once; while the ledger cannot be read, the next look tries again."""
    records = [
        record
        for record in recent_retrains(instance, now)
        if record.dagster_run.status == dg.DagsterRunStatus.SUCCESS and ENDED not in record.dagster_run.tags
    ]
    if not records:
        return
    try:
        with read_ledger(settings) as ledger:
            entries = ledger.entries()
    except (BundleError, LedgerError):
        return
    for record in records:
        ended = now if record.end_time is None else datetime.fromtimestamp(record.end_time, UTC)
        instance.add_run_tags(
            record.dagster_run.run_id, {ENDED: ended_in(entries, record.create_timestamp.astimezone(UTC), ended)}
        )


def _sensor(name: str, look: Look, description: str) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        job=retrain_model,
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"{description} Launches `retrain_model` once per evidence, within the policy's cool-down and budget.",
    )
    def _on_evidence(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        settings, now = Settings(), datetime.now(UTC)
        policy = load_policy(settings.policy)
        tell_ends(context.instance, settings, now)
        plan = plan_retrain(
            RetrainState.from_dict(json.loads(context.cursor or "{}")),
            look(settings, Lake(settings.lake), now),
            retrain_runs(context.instance, now),
            policy.retraining,
            now,
            attempts=policy.monitoring.attempts,
        )
        asked = plan.request
        tags = {} if asked is None else {CAUSE: asked.cause, EVIDENCE: asked.evidence, ATTEMPT: str(asked.attempt)}
        return dg.SensorResult(
            run_requests=[] if asked is None else [dg.RunRequest(run_key=asked.run_key, tags=tags)],
            skip_reason=None if asked is not None else dg.SkipReason(plan.words),
            cursor=json.dumps(plan.state.to_dict(), sort_keys=True),
        )

    return _on_evidence


on_drift = _sensor("on_drift", drift_evidence, "The newest drift report.")
on_performance = _sensor("on_performance", performance_evidence, "The newest month whose outcomes are known.")
on_new_data = _sensor("on_new_data", new_data_evidence, "Labelled applicants the newest model has not learned from.")
on_schedule = _sensor("on_schedule", schedule_evidence, "The age of the newest model.")
SENSORS = [on_drift, on_performance, on_new_data, on_schedule]
