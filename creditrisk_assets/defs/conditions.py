"""Reading the world for alerts: what Dagster's instance and the lake know of assets, checks, runs, ticks and daemons.

What belongs here: bounded reads of the instance, given to the pure readings. What does not: what is a condition
(`monitoring.conditions`), telling somebody (`alerts` beside this module).

No read grows with the history: per asset, check, job or instigator it is the latest entry, of runs the newest few. Calls of Dagster that
are not public are all here: freshness states, check executions, instigators.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorTick,
    InstigatorType,
    SensorInstigatorData,
    TickStatus,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.event_log.base import AssetEntry
from dagster_shared.error import SerializableErrorInfo

from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_assets.monitoring import conditions as seen
from creditrisk_assets.monitoring.alerts.configuration import AlertPolicy
from creditrisk_assets.monitoring.conditions import Condition, Observation, Reading, fingerprint

ALERT_SENSOR = "on_alert_condition"
RUNS_READ = 100
RUNS_BACK = timedelta(days=7)
TICKS_BACK = timedelta(days=1)
FINISHED = (TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE)
OWN_WORDS = "creditrisk_"  # errors of these packages are worded for people; of others only the name is told
WILL_RETRY = "dagster/will_retry"


@dataclass(frozen=True)
class FailedRun:
    """What a failed run says of its steps."""

    failures: Mapping[str, tuple[datetime, str]]  # asset -> when its step failed, and in which words
    planned: frozenset[str]
    other_failures: bool  # a step of no asset failed


@dataclass
class World:
    """One look at an instance.

    Attributes
    ----------
    instance, lake
        What is read.
    policy
        Limits of the alerts file.
    now
        Time of the look.
    watching_since
        Since when this process could have noticed something.
    repository, location
        The code location whose assets and checks it covers; none: only what belongs to the instance.
    only
        Names of the sensors it looks at; none: all.
    errors
        What could not be read, and why; one reader that fails hides no other.
    """

    instance: dg.DagsterInstance
    lake: Lake
    policy: AlertPolicy
    now: datetime
    watching_since: datetime
    repository: dg.RepositoryDefinition | None = None
    location: str = ""
    only: frozenset[str] | None = None
    errors: dict[str, Exception] = field(default_factory=dict)

    def observe(self, *problems: str) -> Observation:
        """Look at everything; `problems` are what is wrong with the alerts' own configuration."""
        readings = [self._configuration(problems)]
        instance_wide: list[Callable[[], Reading]] = [self.ticks, self.daemons]
        own = [self.freshness, self.checks, self.materializations, self.runs] if self.repository is not None else []
        for read in (*own, *instance_wide):
            try:
                readings.append(read())
            except Exception as error:  # whatever it is, the other readers still count
                self.errors[read.__name__] = error
        return Observation(
            at=self.now,
            location=self.location,
            conditions=tuple(self._complete(each) for reading in readings for each in reading.conditions),
            healthy={mark: words for reading in readings for mark, words in reading.healthy.items()},
            watched=self._watched() if self.repository is not None else None,
            upstream=self._upstream(readings),
        )

    def freshness(self) -> Reading:
        """Read the freshness states of the location's assets."""
        keys = [key for key in self._assets if self._graph.get(key).freshness_policy is not None]
        records = self.instance.get_freshness_state_records(keys)
        return seen.read_freshness(
            seen.FreshnessSeen(_name(key), record.freshness_state.value, record.updated_at.astimezone(UTC))
            for key, record in records.items()
        )

    def checks(self) -> Reading:
        """Read the latest evaluation of each of the location's checks; one that is being evaluated says nothing yet."""
        keys = sorted(self._checks)
        records = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        found = []
        for key, record in records.items():
            evaluation = record.event.asset_check_evaluation if record.event is not None else None
            if record.status == AssetCheckExecutionRecordStatus.PLANNED or evaluation is None or record.event is None:
                continue
            found.append(
                seen.CheckSeen(
                    asset=_name(key.asset_key),
                    name=key.name,
                    passed=evaluation.passed,
                    severity=evaluation.severity.value,
                    blocking=self._graph.get(key).blocking,
                    words=evaluation.description or "",
                    at=_moment(record.event.timestamp),
                    no_verdict=seen.NO_VERDICT in evaluation.metadata,
                )
            )
        return seen.read_checks(found, {each.asset: self._held_up(each.asset) for each in found if not each.passed})

    def materializations(self) -> Reading:
        """Read the last finished attempt at making each of the location's assets."""
        return seen.read_materializations(self._attempts())

    def runs(self) -> Reading:
        """Read the last finished run of each job that finished one lately."""
        finished = self.instance.get_run_records(
            filters=dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
                updated_after=self.now - RUNS_BACK,
            ),
            order_by="update_timestamp",
            limit=RUNS_READ,
        )
        last: dict[str, RunRecord] = {}
        last_success: dict[str, datetime] = {}
        for record in finished:
            job = record.dagster_run.job_name
            last.setdefault(job, record)
            if record.dagster_run.is_success:
                last_success.setdefault(job, _end(record))
        return seen.read_runs((_run_seen(self, last[job], last_success.get(job)) for job in sorted(last)), self.now)

    def ticks(self) -> Reading:
        """Read the last finished tick of each sensor and schedule of the instance, whatever its location."""
        found = [self._tick(state) for state in self.instance.all_instigator_state()]
        return seen.read_ticks(
            (tick for tick in found if tick is not None),
            self.now,
            failing_ticks=self.policy.failing_ticks,
            critical=frozenset({ALERT_SENSOR}),
        )

    def daemons(self) -> Reading:
        """Read the heartbeats of all daemons that must run."""
        beats = self.instance.get_daemon_heartbeats()
        return seen.read_heartbeats(
            (
                seen.HeartbeatSeen(kind, _moment(beats[kind].timestamp) if kind in beats else None)
                for kind in self.instance.get_required_daemon_types()
            ),
            self.now,
            silent_after=self._silent_after,
            watching_since=self.watching_since,
        )

    def failed_run(self, run_id: str) -> FailedRun:
        """Read which steps of a failed run failed, and which assets it was to make."""
        return self._failed_run(run_id)

    @cached_property
    def _failed_run(self) -> Callable[[str], FailedRun]:
        wanted = {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, dg.DagsterEventType.STEP_FAILURE}

        @cache
        def read(run_id: str) -> FailedRun:
            events = [
                (entry.timestamp, entry.dagster_event)
                for entry in self.instance.all_logs(run_id, of_type=wanted)
                if entry.dagster_event is not None
            ]
            steps: dict[str | None, list[str]] = {}
            for _, event in events:
                if event.asset_key is not None and not event.is_step_failure:
                    steps.setdefault(event.step_key, []).append(_name(event.asset_key))
            failed = [(at, event) for at, event in events if event.is_step_failure]
            return FailedRun(
                failures={
                    asset: (_moment(at), _failure_words(event))
                    for at, event in failed
                    for asset in steps.get(event.step_key, [])
                },
                planned=frozenset(asset for assets in steps.values() for asset in assets),
                other_failures=any(event.step_key not in steps for _, event in failed),
            )

        return read

    def _configuration(self, problems: tuple[str, ...]) -> Reading:
        if not problems:
            mark = fingerprint("configuration", "alerts")
            return Reading((), {mark: "the alerts file and its channels are right again"})
        since = self.now - timedelta(seconds=self.policy.settle_seconds)
        what = seen.one_line("; ".join(problems))
        return Reading((Condition("configuration", "alerts", "critical", what, since, "creditrisk alerts list"),))

    def _attempts(self) -> Iterator[seen.AttemptSeen]:
        for key in self._assets:
            entry = self._entries.get(key)
            if entry is None:
                continue
            made = entry.last_materialization
            made_at = _moment(made.timestamp) if made is not None else None
            run = self._last_runs.get(entry.last_run_id or "")
            asset = _name(key)
            if run is not None and run.dagster_run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED):
                failure = self.failed_run(run.dagster_run.run_id).failures.get(asset)
                if failure is not None:
                    yield seen.AttemptSeen(asset, made_at, failure[0], failure[1], self._held_up(asset))
                    continue
            in_last_run = made is not None and (run is None or made.run_id == entry.last_run_id)
            reported = made_at is not None and run is not None and run.dagster_run.is_finished and made_at > _end(run)
            if in_last_run or reported:
                yield seen.AttemptSeen(asset, made_at)

    def _held_up(self, asset: str) -> tuple[str, ...]:
        """List the assets downstream that the last run of an asset was to make and did not."""
        entry = self._entries.get(dg.AssetKey(asset.split("/")))
        run = self._last_runs.get(entry.last_run_id or "") if entry is not None else None
        if run is None or run.dagster_run.status != dg.DagsterRunStatus.FAILURE:
            return ()
        return tuple(name for name in self._not_made(run) if asset in self._ancestors(name))

    def _not_made(self, run: RunRecord) -> list[str]:
        run_id = run.dagster_run.run_id
        failed = self.failed_run(run_id)
        made = {
            _name(key)
            for key, entry in self._entries.items()
            if entry.last_materialization is not None and entry.last_materialization.run_id == run_id
        }
        return sorted(failed.planned - made - set(failed.failures))

    def _tick(self, state: InstigatorState) -> seen.TickSeen | None:
        kinds = {InstigatorType.SENSOR: "sensor", InstigatorType.SCHEDULE: "schedule"}
        kind, name = kinds.get(state.instigator_type), state.instigator_name
        location = state.origin.repository_origin.code_location_origin.location_name
        if kind is None or (self.only is not None and name not in self.only):
            return None
        if name == ALERT_SENSOR and location == self.location:
            return None  # that it looks is the proof that it works; others look at its ticks
        running = state.status in (InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE)
        last = self._last_tick(state, *FINISHED, after=self.now - TICKS_BACK if kind == "sensor" else None)
        silent_since = self._silent_since(state) if running and name == ALERT_SENSOR else None
        if last is None and silent_since is None and running:
            return None
        failed = last is not None and last.status == TickStatus.FAILURE
        if last is not None and not failed and last.consecutive_failure_count:
            return None  # a tick that a dying daemon left behind; it was closed without having been evaluated
        works = (TickStatus.SUCCESS, TickStatus.SKIPPED)
        good = self._last_tick(state, *works, after=self.now - TICKS_BACK) if failed else None
        return seen.TickSeen(
            kind="sensor" if kind == "sensor" else "schedule",
            location=location,
            name=name,
            running=running,
            failed=failed,
            failures=last.consecutive_failure_count if last is not None else 0,
            at=silent_since or (_moment(last.timestamp) if last is not None else self.now),
            words=_error_words(last.error) if last is not None else "",
            last_good=_moment(good.timestamp) if good is not None else None,
            silent=silent_since is not None,
        )

    def _last_tick(
        self, state: InstigatorState, *statuses: TickStatus, after: datetime | None
    ) -> InstigatorTick | None:
        ticks = self.instance.get_ticks(
            origin_id=state.instigator_origin_id,
            selector_id=state.selector_id,
            after=after.timestamp() if after is not None else None,
            limit=1,
            statuses=list(statuses),
        )
        return next(iter(ticks), None)

    def _silent_since(self, state: InstigatorState) -> datetime | None:
        """Say since when a sensor that should have been tried was not, as when its location cannot be loaded."""
        data = state.instigator_data
        if not isinstance(data, SensorInstigatorData) or data.last_tick_start_timestamp is None:
            return None
        tried = _moment(data.last_tick_start_timestamp)
        overdue = self.now - max(tried, self.watching_since) > self._silent_after
        return tried if overdue and self.now - tried < RUNS_BACK else None

    def _complete(self, condition: Condition) -> Condition:
        """Add whose it is, what was good last, and what changed upstream since then."""
        if condition.asset is None:
            return replace(condition, owner=self.policy.operator)
        key = dg.AssetKey(condition.asset.split("/"))
        owners = self._graph.get(key).owners if self._graph.has(key) else []
        version = self._version(condition.asset)
        return replace(
            condition,
            owner=owners[0] if owners else self.policy.operator,
            location=self.location,
            last_good=self._last_good(key, version),
            cause=self._changed_inputs(version) if condition.kind in ("check", "materialization") else "",
        )

    def _last_good(self, key: dg.AssetKey, version: Version | None) -> str:
        if version is not None:
            return f"version {version.version[:12]} of {version.manifest.created_at[:16].replace('T', ' ')} UTC"
        entry = self._entries.get(key)
        made = entry.last_materialization if entry is not None else None
        return f"{_moment(made.timestamp):%Y-%m-%d %H:%M} UTC" if made is not None else ""

    def _changed_inputs(self, version: Version | None) -> str:
        inputs = version.manifest.inputs if version is not None else {}
        now = {key: found for key in inputs if (found := self._version(key)) is not None}
        changed = sorted(key for key, found in now.items() if found.version != inputs[key])
        return f"changed since its last good version: {', '.join(changed)}" if changed else ""

    def _watched(self) -> frozenset[str]:
        assets = [_name(key) for key in self._assets]
        marks = {fingerprint(kind, asset) for asset in assets for kind in ("freshness", "materialization")}
        for key in self._checks:
            old = key.name == seen.DATA_AGE
            marks.add(fingerprint("data_age" if old else "check", _name(key.asset_key), "" if old else key.name))
        return frozenset(marks)

    def _upstream(self, readings: list[Reading]) -> Mapping[str, frozenset[str]]:
        assets = {each.asset for reading in readings for each in reading.conditions if each.asset is not None}
        return {asset: self._ancestors(asset) for asset in assets}

    def _ancestors(self, asset: str) -> frozenset[str]:
        """List everything an asset is made from, near or far, in this location and beyond it."""
        found: set[str] = set()
        frontier = [asset]
        while frontier:
            frontier = [parent for each in frontier for parent in self._parents(each) if parent not in found]
            found.update(frontier)
        return frozenset(found - {asset})

    @cached_property
    def _parents(self) -> Callable[[str], frozenset[str]]:
        own = set(self._assets) if self.repository is not None else set()

        @cache
        def read(asset: str) -> frozenset[str]:
            key = dg.AssetKey(asset.split("/"))
            if key in own:
                return frozenset(_name(parent) for parent in self._graph.get(key).parent_keys)
            version = self._version(asset)  # of another location: its last good version says what it was made from
            inputs = version.manifest.inputs if version is not None else {}
            return frozenset(name for name in inputs if "/" in name)

        return read

    @cached_property
    def _version(self) -> Callable[[str], Version | None]:
        @cache
        def read(key: str) -> Version | None:
            try:
                return self.lake.current(key)
            except LakeError:
                return None

        return read

    @cached_property
    def _graph(self) -> AssetGraph:
        assert self.repository is not None  # noqa: S101 -- only readers of a location's assets come here
        return self.repository.asset_graph

    @cached_property
    def _assets(self) -> list[dg.AssetKey]:
        return sorted(self._graph.materializable_asset_keys)

    @cached_property
    def _checks(self) -> frozenset[dg.AssetCheckKey]:
        return frozenset(self._graph.asset_check_keys)

    @cached_property
    def _entries(self) -> Mapping[dg.AssetKey, AssetEntry]:
        records = self.instance.get_asset_records(self._assets)
        return {record.asset_entry.asset_key: record.asset_entry for record in records}

    @cached_property
    def _last_runs(self) -> Mapping[str, RunRecord]:
        ids = sorted({entry.last_run_id for entry in self._entries.values() if entry.last_run_id})
        records = self.instance.get_run_records(filters=dg.RunsFilter(run_ids=ids)) if ids else []
        return {record.dagster_run.run_id: record for record in records}

    @property
    def _silent_after(self) -> timedelta:
        return timedelta(minutes=self.policy.daemon_silent_minutes)


def _run_seen(world: World, record: RunRecord, last_success: datetime | None) -> seen.RunSeen:
    run = record.dagster_run
    if run.is_success:
        return seen.RunSeen(run.job_name, run.run_id, True, False, _end(record), last_success)
    failed = world.failed_run(run.run_id)
    crashed = not failed.failures
    return seen.RunSeen(
        job=run.job_name,
        run_id=run.run_id,
        succeeded=False,
        crashed=crashed,
        at=_end(record),
        last_success=last_success,
        will_retry=run.tags.get(WILL_RETRY) == "true",
        not_made=tuple(sorted(failed.planned)) if crashed else (),
    )


def _failure_words(event: dg.DagsterEvent) -> str:
    failure = event.step_failure_data
    own = failure.user_failure_data.description if failure.user_failure_data is not None else None
    return own or _error_words(failure.error)


def _error_words(error: SerializableErrorInfo | None) -> str:
    """Return the words of the first error of a chain when they are the platform's own, else only its name."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return ""
    if error.message.startswith(OWN_WORDS):
        return error.message.partition(": ")[2].strip() or str(error.cls_name)
    return str(error.cls_name)


def _end(record: RunRecord) -> datetime:
    return _moment(record.end_time) if record.end_time is not None else record.update_timestamp.astimezone(UTC)


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def _name(key: dg.AssetKey) -> str:
    return key.to_user_string()
