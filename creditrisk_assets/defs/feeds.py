"""The observed feeds: what the sources hold at the moment, without a download; and the sensor that follows them.

What belongs here: one observable source per raw table, how old its data are, the runs a changed feed asks for. What does not: taking a
feed in (`ingestion` beside this module), what a feed is (`creditrisk_assets.ingestion.feeds`).
"""

import hashlib
import json
import threading
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.defs.artefact import CheckOutcome, asset_key
from creditrisk_assets.defs.jobs import refresh_portfolio
from creditrisk_assets.defs.vocabulary import OWNERS, feed_key, raw_key
from creditrisk_assets.ingestion.connector import IngestionError, SourceError, UnreachableError
from creditrisk_assets.ingestion.feeds import Feed, Feeds
from creditrisk_assets.ingestion.fetch import RetryPolicy
from creditrisk_assets.lake import Lake, LakeError, write_atomically
from creditrisk_assets.monitoring import data_age
from creditrisk_assets.monitoring.data_age import DataAge
from creditrisk_assets.resources.platform import open_feeds
from creditrisk_assets.settings import Settings

DATA_AGE = {"data_age": "The data are not older than the source is expected to be; a static source never is."}
FOLLOWED_GROUPS = ("ingestion", "features")
LOOK_SECONDS = 40.0  # Dagster gives a tick of a sensor 60 seconds
CALM = RetryPolicy(longest_wait_seconds=10.0)  # with a source that fails for half a minute at most, nobody is called
HASTY = RetryPolicy(attempts=1)  # with one that was given up already in the same look
AGE_REPEAT = timedelta(hours=1)  # a verdict that has not changed is recorded anew this often


def feed_asset(contract: SourceContract) -> dg.SourceAsset:
    """Build the observable source of one raw table."""

    @dg.observable_source_asset(
        key=asset_key(feed_key(contract.table)),
        group_name="ingestion",
        description=(
            f"{contract.title}, as the source holds it now. Observing asks the source for version, size and date and downloads "
            f"nothing; a changed version makes `{raw_key(contract.table)}` anew."
        ),
        tags={"creditrisk/owner": OWNERS["ingestion"].removeprefix("team:")},
        required_resource_keys={"platform"},
    )
    def _feed(context: Any) -> dg.ObserveResult:
        feed = context.resources.platform.feeds.look(contract)
        return dg.ObserveResult(data_version=dg.DataVersion(feed.version), metadata=feed_metadata(feed))

    return _feed


def feed_metadata(feed: Feed) -> dict[str, dg.MetadataValue]:
    """Describe a feed in the UI."""
    return {
        "address": dg.MetadataValue.text(feed.parts[0].address),
        "batches": dg.MetadataValue.int(len(feed.parts) - 1),
        "size_mb": dg.MetadataValue.float(round(feed.bytes / 1e6, 3)),
        "as_at": dg.MetadataValue.text(feed.as_at.isoformat() if feed.as_at else "unknown"),
    }


def feed_observation(feed: Feed) -> dg.AssetObservation:
    """Return the observation that records a feed's version in the graph."""
    return dg.AssetObservation(
        asset_key=asset_key(feed_key(feed.table)),
        metadata=feed_metadata(feed),
        tags={"dagster/data_version": feed.version},
    )


def age_of(feed: Feed, now: datetime) -> DataAge:
    """Judge how old a feed's data are."""
    return data_age.judge(feed.table, feed.as_at, feed.entry.cadence or "static", now)


def age_outcome(age: DataAge) -> CheckOutcome:
    """Render the verdict as the outcome of the check `data_age`."""
    return CheckOutcome(
        "data_age",
        passed=age.state == "fresh",
        facts={"description": age.words, **{name: value for name, value in age.to_dict().items() if value is not None}},
        severity="WARN" if age.state == "warn" else "ERROR",
    )


@dataclass(frozen=True)
class FeedState:
    """What the sensor remembers."""

    looked_at: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)  # table -> version observed last
    requested: Mapping[str, str] = field(default_factory=dict)  # table -> version a run was asked for
    ages: Mapping[str, str] = field(default_factory=dict)  # table -> state recorded last
    aged_at: str = ""


def look_at_all(
    feeds: Feeds, now: datetime, *, seconds: float = LOOK_SECONDS
) -> tuple[dict[str, Feed], dict[str, DataAge]]:
    """Look at every feed; one that cannot be looked at is missing, and does not hide the others.

    Sources are looked at side by side, and none for longer than a tick of a sensor may take: the next look is near, and a source that
    hangs must not keep it from being told of.

    Parameters
    ----------
    feeds
        The feeds of the source in force.
    now
        Time of the look.
    seconds
        The longest that is waited for all answers.
    """
    connections: dict[Any, list[SourceContract]] = {}
    for table, contract in SOURCES.items():
        connections.setdefault(feeds.sources.table(table).connection, []).append(contract)
    answers: dict[str, Feed | IngestionError] = {}
    over = threading.Event()
    pool = ThreadPoolExecutor(len(connections))
    looks = [pool.submit(_look_in_turn, feeds, contracts, answers, over) for contracts in connections.values()]
    done, _ = wait(looks, timeout=seconds)
    over.set()
    pool.shutdown(wait=False)
    for look in done:
        look.result()  # a defect is no answer
    told = dict(answers)
    silent = SourceError(f"no answer within {seconds:g} s; check that its source can be reached from here")
    seen: dict[str, Feed] = {}
    ages: dict[str, DataAge] = {}
    for table in SOURCES:
        answer = told.get(table, silent)
        if isinstance(answer, Feed):
            seen[table] = answer
            ages[table] = age_of(answer, now)
        else:
            ages[table] = data_age.missing(table, str(answer), feeds.sources.table(table).cadence or "static")
    return seen, ages


def _look_in_turn(
    feeds: Feeds, contracts: Sequence[SourceContract], answers: dict[str, Feed | IngestionError], over: threading.Event
) -> None:
    """Look at the feeds of one connection, one after the other, until it is over."""
    policy = CALM
    for contract in contracts:
        if over.is_set():
            return
        try:
            answers[contract.table] = feeds.look(contract, policy=policy)
        except IngestionError as error:
            answers[contract.table] = error
            policy = HASTY if isinstance(error, UnreachableError) else policy


def changed_feeds(lake: Lake, seen: Mapping[str, Feed], requested: Mapping[str, str]) -> dict[str, str]:
    """Return the tables whose feed is not the one that was taken in, with its version; each version is asked for once.

    A table that was never taken in waits for the first run: nothing has changed.
    """
    changed = {}
    for table, feed in seen.items():
        try:
            version = lake.current(raw_key(table))
        except LakeError:
            continue
        taken = version.manifest.inputs.get(feed_key(table)) if version else feed.version
        if taken != feed.version and requested.get(table) != feed.version:
            changed[table] = feed.version
    return changed


@dg.sensor(
    job=refresh_portfolio,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Looks at every feed (each CREDITRISK_FEED_LOOK_SECONDS), records new versions and how old the data are, and takes a changed feed "
        "in: its raw table and the features that depend on it."
    ),
)
def on_feed_change(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Follow the feeds."""
    settings, now = Settings(), datetime.now(UTC)
    state = FeedState(**json.loads(context.cursor or "{}"))
    if _within(state.looked_at, now, timedelta(seconds=settings.feed_look_seconds)):
        return dg.SkipReason(f"looked at {state.looked_at}; every {settings.feed_look_seconds} s")
    feeds, lake = open_feeds(settings), Lake(settings.lake)
    seen, ages = look_at_all(feeds, now)
    write_freshness(settings, feeds, ages, now)
    events: list[dg.AssetObservation | dg.AssetCheckEvaluation] = [
        feed_observation(feed) for table, feed in seen.items() if state.versions.get(table) != feed.version
    ]
    repeat = not _within(state.aged_at, now, AGE_REPEAT)
    events += [
        _evaluation(age)
        for table, age in ages.items()
        if (repeat or state.ages.get(table) != age.state) and _was_made(lake, raw_key(table))
    ]
    changed = changed_feeds(lake, seen, state.requested)
    requests = [_request(context, lake, changed)] if changed else []
    after = FeedState(
        looked_at=now.isoformat(),
        versions={**state.versions, **{table: feed.version for table, feed in seen.items()}},
        requested={**state.requested, **changed},
        ages={table: age.state for table, age in ages.items()},
        aged_at=now.isoformat() if repeat else state.aged_at,
    )
    unreadable = sorted(set(ages) - set(seen))
    words = f"{len(seen)} feeds, none changed" + (
        f"; not to be looked at: {', '.join(unreadable)}" if unreadable else ""
    )
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(words),
        cursor=json.dumps(vars(after), sort_keys=True),
        asset_events=events,
    )


def _within(moment: str, now: datetime, span: timedelta) -> bool:
    """Tell whether a moment is less than a span ago; one that lies ahead was noted by a clock that was wrong."""
    return bool(moment) and timedelta(0) <= now - datetime.fromisoformat(moment) < span


def _was_made(lake: Lake, key: str) -> bool:
    try:
        return lake.current(key) is not None
    except LakeError:
        return True


def _evaluation(age: DataAge) -> dg.AssetCheckEvaluation:
    outcome = age_outcome(age)
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(raw_key(age.table)),
        check_name=outcome.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity[outcome.severity],
        description=age.words,
        metadata={
            name: dg.MetadataValue.text(str(value)) for name, value in age.to_dict().items() if value is not None
        },
    )


def _request(context: dg.SensorEvaluationContext, lake: Lake, changed: Mapping[str, str]) -> dg.RunRequest:
    """Ask for the changed tables and the features that depend on them; what was never made waits for the first run of the graph."""
    keys = [asset_key(raw_key(table)) for table in changed]
    selection = dg.AssetSelection.assets(*keys).downstream() & dg.AssetSelection.groups(*FOLLOWED_GROUPS)
    repository = context.repository_def
    found = selection.resolve(repository.asset_graph) if repository else set(keys)
    chosen = {key for key in found if _was_made(lake, key.to_user_string())}
    # with when it was taken in last: a feed that went back and forth would have been asked for before
    asked = [(table, feed, lake.require(raw_key(table)).manifest.created_at) for table, feed in sorted(changed.items())]
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    return dg.RunRequest(
        run_key=f"feed:{digest}",
        asset_selection=sorted(chosen),
        tags={"creditrisk/cause": f"changed feeds: {', '.join(sorted(changed))}"},
    )


def write_freshness(settings: Settings, feeds: Feeds, ages: Mapping[str, DataAge], now: datetime) -> dict[str, Any]:
    """Export `reports/data_freshness.json` and return what it holds."""
    report = data_age.freshness_report(ages, feeds.sources.name, now)
    write_atomically(settings.reports / "data_freshness.json", json.dumps(report, indent=1))
    return report


with warnings.catch_warnings():
    warnings.simplefilter("ignore", category=dg.BetaWarning)
    FEEDS = tuple(feed_asset(contract) for contract in SOURCES.values())
SENSORS = [on_feed_change]
