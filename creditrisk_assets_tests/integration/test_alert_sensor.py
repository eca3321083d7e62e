"""The alert sensor on a real instance: every kind of condition is told once and resolved once, and shown on its asset."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from pydantic import SecretStr

from creditrisk_assets.defs import alerts
from creditrisk_assets.defs.alerts import LookError, alert_sensor, look, watch
from creditrisk_assets.defs.artefact import _check_results
from creditrisk_assets.defs.conditions import World
from creditrisk_assets.defs.monitoring import CAUSE_CHECKS, cause_outcomes
from creditrisk_assets.lake import Lake
from creditrisk_assets.monitoring.alerts.store import AlertStore
from creditrisk_assets.settings import Settings

RAW, FEATURES = dg.AssetKey(["raw", "bureau"]), dg.AssetKey(["features", "bureau"])
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Plant:
    """What the little graph does when it is run."""

    contract: bool = True
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    feature: str | None = None  # the words with which it fails


def definitions(plant: Plant, *, without_checks: bool = False) -> dg.Definitions:
    """Build two assets in the platform's way: a contract that keeps its table from being published, and a feature."""
    check = dg.AssetCheckSpec("contract", asset=RAW, blocking=True)

    @dg.asset(
        key=RAW, owners=["team:credit-data"], output_required=False, freshness_policy=DAILY,
        check_specs=[] if without_checks else [check],
    )  # fmt: skip
    def raw() -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        if not without_checks:
            yield dg.AssetCheckResult(
                asset_key=RAW, check_name="contract", passed=plant.contract, severity=plant.severity,
                description="3 rules broken",
            )  # fmt: skip
        if plant.contract or plant.severity == dg.AssetCheckSeverity.WARN:
            yield dg.MaterializeResult(asset_key=RAW)

    @dg.asset(key=FEATURES, deps=[RAW], owners=["team:credit-features"], freshness_policy=DAILY)
    def feature() -> None:
        if plant.feature is not None:
            raise dg.Failure(plant.feature, allow_retries=False)

    @dg.op
    def boom() -> None:
        if plant.feature is not None:
            raise RuntimeError("4711 very-secret")

    @dg.job
    def tidy() -> None:
        boom()

    nightly = dg.define_asset_job("nightly", selection=dg.AssetSelection.all())
    return dg.Definitions(assets=[raw, feature], jobs=[nightly, tidy], sensors=[alert_sensor()])


@dataclass
class Platform:
    """An instance, its graph, and what people were told."""

    instance: dg.DagsterInstance
    plant: Plant = field(default_factory=Plant)
    defs: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.defs = definitions(self.plant)

    def run(self, *keys: dg.AssetKey, job: str = "nightly") -> None:
        self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, asset_selection=list(keys) or None
        )

    def tick(self) -> list[str]:
        """Let the sensor look once; return what people are told by it: event and fingerprint."""
        before = len(self.told())
        context = dg.build_sensor_context(instance=self.instance, repository_def=self.defs.get_repository_def())
        with context:
            alert_sensor().evaluate_tick(context)
        return [f"{line['event']} {line['fingerprint']}" for line in self.told()[before:]]

    def told(self) -> list[dict]:
        journal = Settings().root / "alerts.jsonl"
        return [json.loads(line) for line in journal.read_text().splitlines()] if journal.is_file() else []

    def shown(self, key: dg.AssetKey) -> list[dict[str, str]]:
        """Return what the asset's page shows of alerts, oldest first."""
        records = self.instance.fetch_observations(key, limit=50, ascending=True).records
        observed = [record.asset_observation for record in records]
        return [{name: value.text for name, value in each.metadata.items()} for each in observed if each]


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    settings = tmp_path / "alerts.yaml"
    settings.write_text("settle_seconds: 0\n")
    monkeypatch.setenv("CREDITRISK_ALERTS", str(settings))
    with dg.instance_for_test() as instance:
        keep_daemons_alive(instance)
        yield Platform(instance)


def keep_daemons_alive(instance: dg.DagsterInstance, *but: str, ago: timedelta = timedelta(0)) -> None:
    at = (datetime.now(UTC) - ago).timestamp()
    for daemon in instance.get_required_daemon_types():
        if daemon not in but:
            instance.add_daemon_heartbeat(DaemonHeartbeat(at, daemon, "d", []))


def becomes(instance: dg.DagsterInstance, before: str, after: str, key: dg.AssetKey = RAW) -> None:
    """Say what the freshness daemon would."""
    change = FreshnessStateChange(
        key=key, previous_state=FreshnessState(before), new_state=FreshnessState(after), state_change_timestamp=1.0
    )
    instance.report_runless_asset_event(change)


def test_a_stale_asset_is_told_once_and_its_recovery_once(platform: Platform) -> None:
    becomes(platform.instance, "PASS", "FAIL")
    assert platform.tick() == ["opened freshness:raw/bureau"]
    assert platform.tick() == []
    becomes(platform.instance, "FAIL", "PASS")
    assert platform.tick() == ["resolved freshness:raw/bureau"]
    assert platform.tick() == []
    assert platform.told()[0]["owner"] == "team:credit-data"


def test_what_was_not_delivered_is_told_later_once(
    platform: Platform, webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, received, statuses = webhook
    monkeypatch.setenv("CREDITRISK_ALERT_WEBHOOK", address)
    becomes(platform.instance, "PASS", "WARN")
    statuses[0] = 500
    assert platform.tick() == ["opened freshness:raw/bureau"], "the file got it although the webhook did not"
    statuses[0] = 200
    with AlertStore(Settings().alerts_url) as store:
        (waiting,) = store.waiting()
        assert (waiting.channel, waiting.last_error) == ("webhook", "the webhook answered 500")
        delivery = store.head("webhook", datetime.now(UTC) + timedelta(minutes=1))
        assert delivery is not None
        store.failed(delivery, "the webhook answered 500", datetime.now(UTC))
    assert platform.tick() == []
    assert platform.tick() == []
    assert [alert["event"] for alert in received[-1]["alerts"]] == ["opened"]
    assert len(received) == 2, "once refused, once taken"


def test_a_failed_blocking_check_is_one_alert_with_all_it_causes(platform: Platform) -> None:
    platform.run()
    becomes(platform.instance, "UNKNOWN", "PASS")
    assert platform.tick() == []
    platform.plant.contract = False
    platform.run()
    assert platform.tick() == ["opened check:raw/bureau:contract"]
    alert = platform.told()[0]
    assert alert["what"] == "check `contract` of raw/bureau failed: 3 rules broken"
    assert alert["affected"] == ["features/bureau"]
    assert alert["remedy"] == "creditrisk run --select raw/bureau"
    assert alert["last_good"].endswith("UTC")
    becomes(platform.instance, "PASS", "FAIL", RAW)
    becomes(platform.instance, "PASS", "FAIL", FEATURES)
    assert platform.tick() == []
    platform.plant.contract = True
    platform.run()
    assert platform.tick() == ["resolved check:raw/bureau:contract"], "what followed has time to recover"
    becomes(platform.instance, "FAIL", "PASS", RAW)
    becomes(platform.instance, "FAIL", "PASS", FEATURES)
    assert platform.tick() == []


def test_a_check_that_warns_is_a_warning_and_hides_nothing_downstream(platform: Platform) -> None:
    platform.plant.contract, platform.plant.severity = False, dg.AssetCheckSeverity.WARN
    platform.plant.feature = "features/bureau: it does not fit"
    platform.run()
    assert sorted(platform.tick()) == ["opened check:raw/bureau:contract", "opened materialization:features/bureau"]
    alerts = {line["kind"]: line for line in platform.told()}
    assert alerts["check"]["severity"] == "warning"
    assert alerts["materialization"]["cause"].startswith("check `contract` of raw/bureau warns")


def test_a_check_that_is_reported_from_outside_counts(platform: Platform) -> None:
    """As the feed sensor does for `data_age`, without a run."""
    for passed, expected in ((False, "opened"), (False, ""), (True, "resolved")):
        platform.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=RAW, check_name="contract", passed=passed)
        )
        assert platform.tick() == ([f"{expected} check:raw/bureau:contract"] if expected else [])


def test_a_check_that_is_being_evaluated_leaves_its_alert_as_it_is(platform: Platform) -> None:
    platform.plant.contract = False
    platform.run()
    platform.tick()
    job = platform.defs.resolve_job_def("nightly")
    run = platform.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
    from dagster._core.events import DagsterEventType

    event = dg.DagsterEvent(
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value, job.name, message="",
        event_specific_data=AssetCheckEvaluationPlanned(asset_key=RAW, check_name="contract"),
    )  # fmt: skip
    platform.instance.report_dagster_event(event, run.run_id)
    assert platform.tick() == []
    with AlertStore(Settings().alerts_url) as store:
        assert [alert.fingerprint for alert in store.alerts()] == ["check:raw/bureau:contract"]


def test_a_drift_without_a_verdict_resolves_no_alert(platform: Platform) -> None:
    """Too few applicants are no evidence of recovery; the first report with a verdict is."""
    covariate = {"kind": "covariate", "subject": "application", "words": "they changed", "features": ["age"]}
    reports = {
        "drifted": {"status": "drifted", "words": "drifted", "causes": [covariate]},
        "unknown": {"status": "unknown", "words": "no verdict: 3 applicants", "causes": []},
        "stable": {"status": "stable", "words": "stable", "causes": []},
    }
    status = ""

    @dg.asset(key=RAW, check_specs=[dg.AssetCheckSpec(name, asset=RAW) for name in CAUSE_CHECKS])
    def drift() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=list(_check_results("raw/bureau", cause_outcomes(reports[status]))))

    nightly = dg.define_asset_job("nightly", selection=dg.AssetSelection.all())
    platform.defs = dg.Definitions(assets=[drift], jobs=[nightly], sensors=[alert_sensor()])
    told = {"drifted": ["opened check:raw/bureau:no_covariate"], "stable": ["resolved check:raw/bureau:no_covariate"]}
    for status in ("unknown", "drifted", "unknown", "stable", "unknown"):
        platform.run()
        assert platform.tick() == told.get(status, [])


def test_a_failed_asset_is_told_with_its_own_words_and_ends_with_a_newer_materialization(platform: Platform) -> None:
    platform.plant.feature = "features/bureau: the disk is full"
    platform.run()
    assert platform.tick() == ["opened materialization:features/bureau"]
    assert platform.told()[0]["what"] == "features/bureau could not be made: features/bureau: the disk is full"
    assert platform.told()[0]["owner"] == "team:credit-features"
    platform.run(RAW)
    assert platform.tick() == [], "another asset's run changes nothing"
    platform.plant.feature = None
    platform.run(FEATURES)
    assert platform.tick() == ["resolved materialization:features/bureau"]
    assert platform.tick() == []


def test_an_asset_that_was_not_run_keeps_its_alert(platform: Platform) -> None:
    platform.plant.feature = "features/bureau: no"
    platform.run()
    platform.tick()
    platform.plant.feature, platform.plant.contract = None, False
    platform.run()
    assert platform.tick() == ["opened check:raw/bureau:contract"]
    platform.plant.contract = True
    platform.run()
    assert sorted(platform.tick()) == ["resolved check:raw/bureau:contract", "resolved materialization:features/bureau"]


def crash(platform: Platform, job: str = "nightly") -> None:
    """Leave a run the way a killed process does: planned, started, and closed later by somebody else."""
    from dagster._core.execution.api import create_execution_plan

    found = platform.defs.resolve_job_def(job)
    run = platform.instance.create_run_for_job(found, execution_plan=create_execution_plan(found))
    platform.instance.report_run_failed(run, "the process that ran it was killed")


def test_a_crashed_run_is_told_and_ends_with_the_next_success_of_its_job(platform: Platform) -> None:
    crash(platform)
    assert platform.tick() == ["opened run:nightly"]
    assert platform.told()[0]["owner"] == "team:credit-platform"
    becomes(platform.instance, "PASS", "FAIL", RAW)
    becomes(platform.instance, "PASS", "FAIL", FEATURES)
    assert platform.tick() == [], "what it did not make is overdue because of it"
    platform.run(job="tidy")
    assert platform.tick() == [], "another job's success is not its own"
    platform.run()
    assert platform.tick() == ["resolved run:nightly"]


def test_a_run_that_is_about_to_be_tried_again_is_not_told_yet(platform: Platform) -> None:
    crash(platform)
    (record,) = platform.instance.get_run_records()
    platform.instance.add_run_tags(record.dagster_run.run_id, {"dagster/will_retry": "true"})
    assert platform.tick() == []


def test_an_operation_that_raises_is_told_without_what_it_said(platform: Platform) -> None:
    platform.plant.feature = "no"
    platform.run(job="tidy")
    assert platform.tick() == ["opened run:tidy"]
    assert "very-secret" not in json.dumps(platform.told())


def instigator(
    instance: dg.DagsterInstance, name: str, kind: InstigatorType = InstigatorType.SENSOR, location: str = "elsewhere"
) -> InstigatorState:
    """Register a sensor or schedule of another location, as the daemon does at its first tick."""
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(
            ManagedGrpcPythonEnvCodeLocationOrigin(
                LoadableTargetOrigin(module_name="elsewhere"), location_name=location
            ),
            "__repository__",
        ),
        name,
    )
    now = datetime.now(UTC).timestamp()
    data = (
        SensorInstigatorData(min_interval=30, last_tick_start_timestamp=now)
        if kind == InstigatorType.SENSOR
        else ScheduleInstigatorData("0 2 * * *", now)
    )
    state = InstigatorState(origin, kind, InstigatorStatus.DECLARED_IN_CODE, data)
    instance.add_instigator_state(state)
    return state


def ticked(
    instance: dg.DagsterInstance, state: InstigatorState, status: TickStatus, failures: int = 0, error: str = ""
) -> None:
    instance.create_tick(
        TickData(
            state.instigator_origin_id, state.instigator_name, state.instigator_type, status,
            datetime.now(UTC).timestamp(), run_ids=[], selector_id=state.selector_id, consecutive_failure_count=failures,
            error=SerializableErrorInfo(error, [], error.partition(":")[0].rpartition(".")[2]) if error else None,
        )
    )  # fmt: skip


def test_a_sensor_that_raises_is_told_once_and_its_recovery_once(platform: Platform) -> None:
    sensor = instigator(platform.instance, "on_drift")
    ticked(platform.instance, sensor, TickStatus.SUCCESS)
    ticked(
        platform.instance, sensor, TickStatus.FAILURE, 1, "creditrisk_assets.lake.LakeError: raw/bureau is damaged\n"
    )
    assert platform.tick() == [], "once may be chance"
    ticked(
        platform.instance, sensor, TickStatus.FAILURE, 2, "creditrisk_assets.lake.LakeError: raw/bureau is damaged\n"
    )
    assert platform.tick() == ["opened sensor:elsewhere/on_drift"]
    assert "fails: raw/bureau is damaged" in platform.told()[0]["what"]
    ticked(platform.instance, sensor, TickStatus.FAILURE, 3, "requests.ConnectionError: https://very-secret/\n")
    ticked(platform.instance, sensor, TickStatus.STARTED, 3)
    assert platform.tick() == []
    ticked(platform.instance, sensor, TickStatus.SKIPPED, 3)
    assert platform.tick() == [], "a tick a dying daemon left behind proves nothing"
    ticked(platform.instance, sensor, TickStatus.SKIPPED)
    assert platform.tick() == ["resolved sensor:elsewhere/on_drift"]


def test_what_other_code_says_in_an_error_is_not_told(platform: Platform) -> None:
    sensor = instigator(platform.instance, "on_drift")
    ticked(platform.instance, sensor, TickStatus.FAILURE, 2, "requests.ConnectionError: https://very-secret/\n")
    assert platform.tick() == ["opened sensor:elsewhere/on_drift"]
    assert "very-secret" not in json.dumps(platform.told())
    assert "ConnectionError" in platform.told()[0]["what"]


def test_a_schedule_that_fails_once_is_told(platform: Platform) -> None:
    schedule = instigator(platform.instance, "nightly_refresh", InstigatorType.SCHEDULE)
    ticked(platform.instance, schedule, TickStatus.FAILURE, 1, "builtins.KeyError: x")
    becomes(platform.instance, "PASS", "FAIL", RAW)
    assert platform.tick() == ["opened schedule:elsewhere/nightly_refresh"], "what it did not renew is its consequence"
    ticked(platform.instance, schedule, TickStatus.SUCCESS)
    assert platform.tick() == ["resolved schedule:elsewhere/nightly_refresh"]


def test_a_sensor_that_is_switched_off_ends_its_alert(platform: Platform) -> None:
    sensor = instigator(platform.instance, "on_drift")
    ticked(platform.instance, sensor, TickStatus.FAILURE, 2, "builtins.KeyError: x")
    platform.tick()
    platform.instance.update_instigator_state(sensor.with_status(InstigatorStatus.STOPPED))
    assert platform.tick() == ["resolved sensor:elsewhere/on_drift"]


def observe(platform: Platform, **other) -> list[str]:
    """Look as the sensor does, in a process that has been there for long; return what is told."""
    before = len(platform.told())
    values = {"repository": platform.defs.get_repository_def(), "since": LONG_AGO, **other}
    import logging

    looked = look(Settings(), platform.instance, logging.getLogger("test"), **values)
    assert looked.errors == {}
    return [f"{line['event']} {line['fingerprint']}" for line in platform.told()[before:]]


def test_a_silent_daemon_is_told_once_and_its_return_once(platform: Platform) -> None:
    long = timedelta(minutes=9)
    with_one_silent(platform.instance, "FRESHNESS_DAEMON", long)
    assert observe(platform) == ["opened daemon:FRESHNESS_DAEMON"]
    assert observe(platform) == []
    keep_daemons_alive(platform.instance)
    assert observe(platform) == ["resolved daemon:FRESHNESS_DAEMON"]


def test_a_daemon_that_comes_back_is_not_told_that_it_was_away() -> None:
    """Its first tick finds every heartbeat old, though all its threads are about to beat."""
    now = datetime.now(UTC)
    started = alerts.watching_since((now - timedelta(seconds=40)).timestamp(), now)
    assert started < now - timedelta(milliseconds=1), "it was here all the time: since this process began"
    for last in (None, (now - timedelta(minutes=9)).timestamp()):
        assert alerts.watching_since(last, now) == now


def with_one_silent(instance: dg.DagsterInstance, silent: str, ago: timedelta) -> None:
    instance.wipe_daemon_heartbeats()
    keep_daemons_alive(instance, silent)
    instance.add_daemon_heartbeat(DaemonHeartbeat((datetime.now(UTC) - ago).timestamp(), silent, "d", []))


def test_the_watchdog_tells_a_dead_daemon_and_an_alert_sensor_that_is_not_tried(platform: Platform) -> None:
    state = instigator(platform.instance, "on_alert_condition")
    platform.instance.wipe_daemon_heartbeats()
    keep_daemons_alive(platform.instance, ago=timedelta(minutes=9))
    tried = (datetime.now(UTC) - timedelta(minutes=9)).timestamp()
    quiet = SensorInstigatorData(min_interval=30, last_tick_start_timestamp=tried)
    platform.instance.update_instigator_state(state.with_data(quiet))
    assert observe(platform, repository=None) == ["opened daemon:dagster-daemon"]
    keep_daemons_alive(platform.instance)
    assert observe(platform, repository=None) == ["resolved daemon:dagster-daemon"]
    platform.plant.contract = False
    platform.run()
    assert observe(platform, repository=None) == [], (
        "assets are the sensors' business, and a silent one has an aftermath"
    )


def test_a_location_that_cannot_be_loaded_is_told_by_the_other(platform: Platform) -> None:
    """Its sensors are not tried any more, though the sensor daemon is alive."""
    state = instigator(platform.instance, "on_alert_condition")
    assert observe(platform) == []
    tried = (datetime.now(UTC) - timedelta(minutes=9)).timestamp()
    quiet = SensorInstigatorData(min_interval=30, last_tick_start_timestamp=tried)
    platform.instance.update_instigator_state(state.with_data(quiet))
    assert observe(platform, since=datetime.now(UTC)) == [], "just after a start it says nothing"
    assert observe(platform) == ["opened sensor:elsewhere/on_alert_condition"]
    assert platform.told()[0]["severity"] == "critical"
    now = SensorInstigatorData(min_interval=30, last_tick_start_timestamp=datetime.now(UTC).timestamp())
    platform.instance.update_instigator_state(state.with_data(now))
    ticked(platform.instance, state, TickStatus.SKIPPED)
    assert observe(platform) == ["resolved sensor:elsewhere/on_alert_condition"]


def test_the_watchdog_of_a_cron_looks_once(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.instance.wipe_daemon_heartbeats()
    keep_daemons_alive(platform.instance, ago=timedelta(minutes=9))
    monkeypatch.setattr(alerts.dg.DagsterInstance, "get", staticmethod(lambda: platform.instance))
    watch(Settings(), once=True)
    assert [line["fingerprint"] for line in platform.told()] == ["daemon:dagster-daemon"]


def test_alerts_are_shown_on_the_asset_itself(platform: Platform) -> None:
    platform.plant.contract = False
    platform.run()
    platform.tick()
    platform.tick()
    platform.plant.contract = True
    platform.run()
    platform.tick()
    opened, resolved = platform.shown(RAW)
    assert opened["alert_state"] == "open"
    assert opened["severity"] == "critical"
    assert opened["what"] == "check `contract` of raw/bureau failed: 3 rules broken"
    assert opened["remedy"] == "creditrisk run --select raw/bureau"
    assert opened["affected"] == "features/bureau"
    assert resolved["alert_state"] == "resolved"
    assert platform.shown(FEATURES) == []


def test_an_alert_on_a_check_that_is_removed_ends(platform: Platform) -> None:
    platform.plant.contract = False
    platform.run()
    platform.tick()
    platform.plant.contract = True
    platform.defs = definitions(platform.plant, without_checks=True)
    assert platform.tick() == ["resolved check:raw/bureau:contract"]


def test_a_mistake_in_the_alerts_file_is_told_by_the_default_channels(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text("settle_seconds: soon\n")
    becomes(platform.instance, "PASS", "FAIL")
    assert sorted(platform.tick()) == ["opened configuration:alerts", "opened freshness:raw/bureau"]
    (tmp_path / "alerts.yaml").write_text("settle_seconds: 0\n")
    assert platform.tick() == ["resolved configuration:alerts"]


def test_one_reader_that_fails_hides_no_other(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tick tells what it can, and then fails, so that the watchdog and the other location tell of it."""
    becomes(platform.instance, "PASS", "FAIL")

    def checks(_self: World) -> None:
        raise OSError("no")

    monkeypatch.setattr(World, "checks", checks)
    with pytest.raises(LookError, match="checks could not be read"):
        platform.tick()
    assert [line["fingerprint"] for line in platform.told()] == ["freshness:raw/bureau"]


def test_what_changed_upstream_since_the_last_good_version_is_the_probable_cause(platform: Platform) -> None:
    lake = Lake(Settings().lake)
    publish(lake, "raw/bureau", "v1", {})
    publish(lake, "features/bureau", "f1", {"raw/bureau": "v1", "policy": "p1"})
    publish(lake, "raw/bureau", "v2", {})
    platform.plant.feature = "features/bureau: a ratio above one"
    platform.run()
    platform.tick()
    (alert,) = platform.told()
    assert alert["cause"] == "changed since its last good version: raw/bureau"
    assert alert["last_good"].startswith("version f1 of ")


def publish(lake: Lake, key: str, version: str, inputs: dict[str, str]) -> None:
    with lake.draft(key) as draft:
        draft.data.write_text(version)
        lake.publish(draft, code_version="c", inputs=inputs, version=version)


def test_lineage_reaches_across_code_locations(platform: Platform) -> None:
    """An asset of the other location is overdue because of a check here; the lake's manifests say how they hang together."""
    lake = Lake(Settings().lake)
    publish(lake, "raw/bureau", "v1", {"feed/bureau": "x"})
    publish(lake, "features/bureau", "f1", {"raw/bureau": "v1"})
    publish(lake, "features/applicant", "a1", {"features/bureau": "f1"})
    scores = dg.AssetKey(["serving", "batch_scores"])

    @dg.asset(key=scores, deps=[dg.AssetKey(["features", "applicant"])], freshness_policy=DAILY)
    def batch_scores() -> None: ...

    platform.plant.contract = False
    platform.run()
    assert platform.tick() == ["opened check:raw/bureau:contract"]
    becomes(platform.instance, "PASS", "FAIL", scores)
    other = dg.Definitions(assets=[batch_scores]).get_repository_def()
    assert observe(platform, repository=other, location="serving") == []
    with AlertStore(Settings().alerts_url) as store:
        (alert,) = store.alerts()
        assert alert.affected == ("features/bureau", "serving/batch_scores")


def test_a_look_reads_little_however_long_the_history(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements are counted, not seconds: the same with one run as with six."""
    from sqlalchemy import Engine, event

    def statements(looks: Callable[[], Sequence[str]]) -> int:
        count = 0

        def one(*_: object) -> None:
            nonlocal count
            count += 1

        event.listen(Engine, "before_cursor_execute", one)
        try:
            looks()
        finally:
            event.remove(Engine, "before_cursor_execute", one)
        return count

    platform.plant.contract = False
    platform.run()
    platform.tick()
    few = statements(platform.tick)
    for _ in range(5):
        platform.run()
    platform.tick()
    assert statements(platform.tick) == few


def test_the_store_may_be_elsewhere(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_ALERTS_DATABASE", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    becomes(platform.instance, "PASS", "FAIL")
    platform.tick()
    with AlertStore(SecretStr(f"sqlite:///{tmp_path / 'elsewhere.db'}")) as store:
        assert len(store.alerts()) == 1
    assert not (Settings().root / "alerts.db").exists()
