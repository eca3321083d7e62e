"""Materializing the graph from a terminal: instance, recovery, progress, summary.

What belongs here: what a person at a terminal needs around a run. What does not: what the assets do (`defs`), the commands themselves
(`cli`).
"""

import fcntl
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import dagster as dg

from creditrisk_assets.defs.vocabulary import LAUNCHED_BY_TAG, month_of, partition_of
from creditrisk_assets.defs.vocabulary import MONTHS as PRODUCTION_MONTHS
from creditrisk_assets.resources.processes import is_dead, own_tags
from creditrisk_assets.settings import Settings

LOCATIONS = "creditrisk.locations"  # entry point group: name -> function that builds a location's definitions
EVERYTHING = "*"
MONTHS = "months"  # the group of assets of production months, which there may be none of
APART = "research"  # the group of assets that take hours: left out of every selection that does not name it, or them
LEFT_OUT = (APART, MONTHS)  # of every selection that does not name the group, or the asset
DAGSTER_YAML = Path(__file__).parents[1] / "dagster.yaml"


class RunError(RuntimeError):
    """A run could not start or did not succeed; the message is for the user."""


@dataclass(frozen=True)
class AssetResult:
    """What became of one asset in a run."""

    key: str
    outcome: str  # built | reused | failed
    reason: str
    rows: int | None = None
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    month: str = ""  # of a monthly asset


@dataclass
class RunResult:
    """What became of a run."""

    seconds: float = 0.0
    assets: list[AssetResult] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    broken_checks: dict[str, list[str]] = field(default_factory=dict)  # asset key -> sentences
    warnings: dict[str, list[str]] = field(default_factory=dict)  # asset key -> sentences

    @property
    def succeeded(self) -> bool:
        """Whether every asset was materialized."""
        return not self.failures


# (asset key, None until it ends | its result, how far it is in words)
Listener = Callable[[str, AssetResult | None, str], None]


def _deaf(_key: str, _result: AssetResult | None, _note: str) -> None:
    return


def prepare_instance(settings: Settings) -> None:
    """Make Dagster's home below the project's and point this process to it."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(settings.dagster_yaml or DAGSTER_YAML, settings.dagster_home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Hold the project's run lock.

    Raises
    ------
    RunError
        Another process is materializing the graph.
    """
    settings.root.mkdir(parents=True, exist_ok=True)
    with (settings.root / "run.lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise RunError(
                f"another `creditrisk run` (process {stream.read().strip() or 'unknown'}) is at work in {settings.root}; "
                "wait for it or use another CREDITRISK_HOME"
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def materialize(settings: Settings, select: str = EVERYTHING, listener: Listener = _deaf) -> RunResult:
    """Materialize the graph, or a part of it, in this process.

    Parameters
    ----------
    settings
        The deployment.
    select
        `*`, asset keys separated by commas (`raw/bureau,features/bureau`), or a Dagster selection (`key:"raw/bureau"+`).
        Research, which takes hours, is taken where its group or the very asset is named.
    listener
        Told of each asset's start and end.

    Raises
    ------
    RunError
        The selection names no asset, or another run is at work.
    """
    prepare_instance(settings)
    result = RunResult()
    started = time.perf_counter()
    with exclusive(settings), dg.DagsterInstance.get() as instance:
        close_dead_runs(instance)
        locations = _locations(result, listener)
        selected = _select(select, locations)
        for name, definitions in locations.items():
            if not result.succeeded:
                result.not_run += [_name(key) for key in sorted(selected[name])]
            elif selected[name]:
                _run_location(instance, definitions, selected[name], result, settings.actor)
    result.seconds = time.perf_counter() - started
    return result


def backfill(settings: Settings, months: Sequence[str], listener: Listener = _deaf) -> RunResult:
    """Materialize the monthly assets of some months, one run a month in order, and then what is made of all months.

    Parameters
    ----------
    settings
        The deployment.
    months
        As 2026-05.
    listener
        Told of each asset's start and end.

    Raises
    ------
    RunError
        A month is none of the graph's, or another run is at work.
    """
    partitions = [partition_of(month) for month in months]
    if strangers := [month_of(each) for each in partitions if not PRODUCTION_MONTHS.has_partition_key(each)]:
        first, last = PRODUCTION_MONTHS.get_first_partition_key(), PRODUCTION_MONTHS.get_last_partition_key()
        known = f"{month_of(first or '')}..{month_of(last or '')}"
        raise RunError(f"{', '.join(strangers)}: not among the graph's months, {known}")
    prepare_instance(settings)
    result = RunResult()
    started = time.perf_counter()
    with exclusive(settings), dg.DagsterInstance.get() as instance:
        close_dead_runs(instance)
        for definitions in _locations(result, listener).values():
            graph = definitions.resolve_asset_graph()
            monthly = _monthly(definitions)
            of_all = set(dg.AssetSelection.groups(MONTHS).resolve(graph, allow_missing=True)) - monthly
            for keys, partition in [*((monthly, each) for each in partitions), (of_all, None)]:
                if not result.succeeded:
                    result.not_run += [
                        " ".join((_name(key), month_of(partition or ""))).strip() for key in sorted(keys)
                    ]
                elif keys:
                    _run_location(instance, definitions, keys, result, settings.actor, partition)
    result.seconds = time.perf_counter() - started
    return result


def _monthly(definitions: dg.Definitions) -> set[dg.AssetKey]:
    graph = definitions.resolve_asset_graph()
    return {key for key in graph.materializable_asset_keys if graph.get(key).partitions_def is not None}


def _locations(result: RunResult, listener: Listener) -> dict[str, dg.Definitions]:
    progress = _progress_logger(result, listener)
    found = sorted(entry_points(group=LOCATIONS), key=lambda entry: entry.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        return {entry.name: entry.load()(loggers={"console": progress}) for entry in found}


def _select(select: str, locations: Mapping[str, dg.Definitions]) -> dict[str, set[dg.AssetKey]]:
    selection, asked = _parse(select)
    chosen: dict[str, set[dg.AssetKey]] = {}
    known: set[str] = set()
    for name, definitions in locations.items():
        graph = definitions.resolve_asset_graph()
        materializable = graph.materializable_asset_keys
        known |= {_name(key) for key in materializable}
        chosen[name] = set(selection.resolve(graph, allow_missing=True)) & set(materializable)
        for group in LEFT_OUT:
            if group not in select:  # a key may be reached (`+key:"model/pd"`) without being meant
                apart = dg.AssetSelection.groups(group).resolve(graph, allow_missing=True)
                chosen[name] -= {key for key in apart if _name(key) not in select}
        monthly = {_name(key) for key in _monthly(definitions)}
        if named := sorted(asked & monthly):
            raise RunError(f"--select {', '.join(named)}: there is one a month; run `creditrisk backfill MONTH`")
        chosen[name] -= _monthly(definitions)
    if strangers := sorted(asked - known):
        raise RunError(f"--select {', '.join(strangers)} names no asset; known: {', '.join(sorted(known))}")
    if not any(chosen.values()):
        raise RunError(f"--select {select} names no asset; known: {', '.join(sorted(known))}")
    return chosen


def _parse(select: str) -> tuple[dg.AssetSelection, set[str]]:
    """Return what a selection means, and the keys it names one by one."""
    if select == EVERYTHING:
        return dg.AssetSelection.all(), set()
    if any(sign in select for sign in ':+"*()'):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", category=dg.BetaWarning)
                return dg.AssetSelection.from_string(select), set()
        except dg.DagsterError as error:
            raise RunError(
                f"--select {select} is no selection: give asset keys separated by commas (raw/bureau,features/bureau) or"
                ' Dagster\'s syntax (key:"raw/bureau"+, group:"features")'
            ) from error
    keys = {key.strip() for key in select.split(",")}
    return dg.AssetSelection.assets(*[dg.AssetKey(key.split("/")) for key in sorted(keys)]), keys


def _run_location(
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    keys: set[dg.AssetKey],
    result: RunResult,
    actor: str,
    partition: str | None = None,
) -> None:
    job = definitions.resolve_implicit_global_asset_job_def()
    outcome = job.execute_in_process(
        instance=instance,
        asset_selection=sorted(keys),
        partition_key=partition,
        raise_on_error=False,
        run_config={"loggers": {"console": {}}},
        tags={**own_tags(), LAUNCHED_BY_TAG: actor},
    )
    if not outcome.success and not result.failures:
        result.failures.append(f"run {outcome.run_id} failed; see it in the UI (`make ui`)")
    reported = {asset.key for asset in result.assets}
    result.not_run += sorted(_name(key) for key in keys if _name(key) not in reported)


def _progress_logger(result: RunResult, listener: Listener) -> dg.LoggerDefinition:
    """Build a Dagster logger that collects results and tells the listener, instead of printing hundreds of lines."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event = getattr(record, "dagster_event", None)
            if event is not None:
                _collect(event, result, listener)
            elif (said := getattr(record, "dagster_meta", {})) and said.get("step_key"):
                listener(_key_of(said["step_key"]), None, said["orig_message"])

    def progress(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("creditrisk.progress", logging.DEBUG)
        logger.addHandler(Collector())
        return logger

    return dg.LoggerDefinition(progress, description="Progress in the terminal.")


def _collect(event: dg.DagsterEvent, result: RunResult, listener: Listener) -> None:
    key = _key_of(event.step_key) if event.step_key else ""
    if event.is_step_start:
        listener(key, None, "")
    elif event.is_step_materialization and event.asset_key is not None and _name(event.asset_key) == key:
        asset = _result_of(event)
        result.assets.append(asset)
        listener(asset.key, asset, "")
    elif event.is_step_failure:
        failure = event.step_failure_data
        words = failure.user_failure_data.description if failure.user_failure_data else None
        words = (
            words
            or _broken_checks(result, key)
            or f"{key}: {_cause(failure.error)}; the trace is in the UI (`make ui`)"
        )
        result.failures.append(words)
        asset = AssetResult(key, "failed", words)
        result.assets.append(asset)
        listener(key, asset, "")
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        _collect_check(event.asset_check_evaluation_data, result)


def _key_of(step: str) -> str:
    return step.replace("__", "/", 1)


def _cause(error: Any) -> str:
    """Return the words of the first error of a chain (Dagster wraps what it did not expect)."""
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(error.message.split()) if error is not None else "failed without a word"


def _result_of(event: dg.DagsterEvent) -> AssetResult:
    materialization = event.step_materialization_data.materialization
    facts = {name: getattr(value, "value", None) for name, value in materialization.metadata.items()}
    return AssetResult(
        key=_name(materialization.asset_key),
        outcome="reused" if facts.get("reused") else "built",
        reason=str(facts.get("reason", "")),
        rows=facts.get("dagster/row_count"),
        seconds=float(facts.get("seconds") or 0.0),
        peak_memory_mb=float(facts.get("peak_memory_mb") or 0.0),
        month=month_of(materialization.partition or ""),
    )


def _collect_check(evaluation: dg.AssetCheckEvaluation, result: RunResult) -> None:
    if not evaluation.passed:
        blocks = evaluation.severity == dg.AssetCheckSeverity.ERROR
        found = result.broken_checks if blocks else result.warnings
        verb, words = "failed" if blocks else "warns", evaluation.description or "see the UI"
        found.setdefault(_name(evaluation.asset_key), []).append(f"check `{evaluation.check_name}` {verb}: {words}")


def _broken_checks(result: RunResult, key: str) -> str | None:
    broken = result.broken_checks.get(key)
    return f"{key}: {'; '.join(broken)}. Nothing was published; the last good version stays" if broken else None


def close_dead_runs(instance: dg.DagsterInstance) -> Sequence[str]:
    """Mark runs whose process was killed as failed, so that nothing waits for them.

    Returns
    -------
    sequence of str
        Ids of the runs that were closed.
    """
    dead = _dead_runs(instance)
    for run in dead:
        instance.report_run_failed(run, "the process that ran it was killed")
    return [run.run_id for run in dead]


def _dead_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    open_runs = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    )
    return [run for run in instance.get_runs(filters=open_runs) if is_dead(run.tags)]


def _name(key: dg.AssetKey) -> str:
    return key.to_user_string()


def describe(asset: AssetResult) -> dict[str, Any]:
    """Return an asset's result as JSON values."""
    return vars(asset)


def recover() -> Sequence[str]:
    """Close the runs of killed processes before anything waits for them; see `close_dead_runs`."""
    with dg.DagsterInstance.get() as instance:
        return close_dead_runs(instance)


def instance_status(settings: Settings) -> dict[str, Any]:
    """Return the last run and the assets that Dagster knows to be stale."""
    if not settings.dagster_instance.is_file():
        return {"last_run": None, "stale": []}
    prepare_instance(settings)
    with dg.DagsterInstance.get() as instance:
        records = instance.get_run_records(limit=1)
        last = (
            f"{records[0].dagster_run.status.value.lower()} at {records[0].update_timestamp:%Y-%m-%d %H:%M} UTC"
            if records
            else None
        )
        keys = list(instance.all_asset_keys())
        states = instance.get_freshness_state_records(keys)
        stale = sorted(_name(key) for key, record in states.items() if record.freshness_state.value in ("WARN", "FAIL"))
    return {"last_run": last, "stale": stale}


def run_findings(settings: Settings) -> list[dict[str, Any]]:
    """Say which runs were left open by killed processes."""
    if not settings.dagster_instance.is_file():
        return []
    prepare_instance(settings)
    with dg.DagsterInstance.get() as instance:
        dead = _dead_runs(instance)
    return [
        {
            "what": "open runs",
            "good": not dead,
            "words": f"{len(dead)} left open by killed processes",
            "advice": "the next `creditrisk run` closes them",
            "warn": True,
        }
    ]
