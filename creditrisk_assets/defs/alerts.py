"""Alerts in Dagster: the sensor that notices, the alert shown on its asset, the watchdog beside the daemon.

What belongs here: one look, planned, stored and delivered. What does not: reading the instance (`conditions` beside this module), what is
told to whom (`monitoring.alerts`).

Each code location has the sensor and looks after its own assets, checks and jobs; ticks and daemons of the whole instance are looked at by
each, and the store tells what several saw once. A sensor cannot notice that the daemon it runs in is silent: `watch` runs in a process of
its own.
"""

import contextlib
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import psutil

from creditrisk_assets.defs.conditions import ALERT_SENSOR, World
from creditrisk_assets.lake import Lake
from creditrisk_assets.monitoring.alerts.channels import load_policy, open_channels
from creditrisk_assets.monitoring.alerts.delivery import Channel, Message, Outcome, deliver
from creditrisk_assets.monitoring.alerts.routing import ASSET_PAGE, Plan
from creditrisk_assets.monitoring.alerts.store import AlertStore
from creditrisk_assets.settings import Settings

LOOK_SECONDS = 30
AWAY = timedelta(minutes=2)  # a sensor that was not tried for so long had no daemon
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class LookError(RuntimeError):
    """A part of the world could not be read; what could be was told."""


@dataclass(frozen=True)
class AssetPage:
    """The asset's page in the UI: an observation on the asset itself."""

    instance: dg.DagsterInstance

    def send(self, message: Message) -> None:
        """Record each notice as an observation of its asset."""
        for notice in message.notices:
            state = notice["event"] if notice["event"] == "resolved" else "open"
            shown = {"alert_state": state, **{name: notice[name] for name in SHOWN if notice[name]}}
            self.instance.report_runless_asset_event(
                dg.AssetObservation(
                    asset_key=dg.AssetKey(notice["asset"].split("/")),
                    description=f"alert {notice['alert']} {notice['event']}: {notice['what']}",
                    metadata={
                        name: dg.MetadataValue.text(", ".join(value) if isinstance(value, list) else str(value))
                        for name, value in shown.items()
                    },
                )
            )


SHOWN = ("severity", "what", "since", "cause", "affected", "last_good", "remedy", "owner", "alert", "fingerprint")


def watching_since(last_tick: float | None, now: datetime) -> datetime:
    """Say since when a sensor could have noticed a silence: the start of its process, unless its daemon has only just come back.

    A daemon that was away finds all heartbeats old at its first tick, though every one of its threads is about to beat.
    """
    away = last_tick is None or now - datetime.fromtimestamp(last_tick, UTC) > AWAY
    return now if away else datetime.fromtimestamp(psutil.Process().create_time(), UTC)


@dataclass(frozen=True)
class Looked:
    """What a look came to."""

    plan: Plan
    outcome: Outcome
    errors: Mapping[str, Exception]

    @property
    def words(self) -> str:
        """Say it in a line."""
        told, sent = len(self.plan.notices), self.outcome.delivered
        return f"{len(self.plan.alerts)} alerts changed, {told} notices, {sent} messages delivered"


def look(
    settings: Settings,
    instance: dg.DagsterInstance,
    logger: logging.Logger,
    *,
    since: datetime,
    repository: dg.RepositoryDefinition | None = None,
    location: str = "",
) -> Looked:
    """Look at the world once: plan, store, deliver what is due.

    Parameters
    ----------
    settings, instance
        The deployment.
    logger
        Where the log channel writes.
    since
        Since when something could have been noticed; an older silence is not news.
    repository, location
        The code location to look after; none: only the daemons and the alert sensors.

    Raises
    ------
    AlertStoreError
        The store cannot be used; nothing was changed, and the next look finds the same.
    """
    policy, problem = load_policy(settings)
    channels, closed = open_channels(policy, settings, logger)
    world = World(
        instance, Lake(settings.lake), policy, datetime.now(UTC), since, repository, location,
        only=None if repository is not None else frozenset({ALERT_SENSOR}),
    )  # fmt: skip
    seen = world.observe(*([problem] if problem else []), *closed)
    sinks: dict[str, Channel] = {**channels, ASSET_PAGE: AssetPage(instance)}
    with AlertStore(settings.alerts_url) as store:
        plan = store.apply(seen, policy, datetime.now(UTC))
        outcome = deliver(store, sinks)
    for name, error in outcome.errors.items():
        logger.info(f"alerts for {name} were not delivered and will be sent again: {error}")
    return Looked(plan, outcome, world.errors)


def alert_sensor(minimum_interval_seconds: int = LOOK_SECONDS) -> dg.SensorDefinition:
    """Build the sensor `on_alert_condition`."""

    @dg.sensor(
        name=ALERT_SENSOR,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Turns stale assets, old data, failed checks, assets, runs, sensors and schedules, and silent daemons into alerts: told once "
            "to the channels of CREDITRISK_ALERTS, shown on the asset, and resolved when the state recovers."
        ),
    )
    def _on_alert_condition(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        looked = look(
            Settings(),
            context.instance,
            context.log,
            since=watching_since(context.last_tick_completion_time, datetime.now(UTC)),
            repository=context.repository_def,
            location=origin.location_name if origin is not None else "",
        )
        if looked.errors:  # the tick fails, which the other sensor and the watchdog tell
            raise LookError("; ".join(f"{what} could not be read" for what in looked.errors)) from next(
                iter(looked.errors.values())
            )
        return dg.SkipReason(looked.words)

    return _on_alert_condition


on_alert_condition = alert_sensor()


def watch(
    settings: Settings,
    *,
    once: bool = False,
    stop: threading.Event | None = None,
    every: timedelta = timedelta(seconds=LOOK_SECONDS),
) -> None:
    """Watch the daemons and the alert sensors from outside, and deliver what is due.

    Parameters
    ----------
    settings
        The deployment; DAGSTER_HOME points to its instance.
    once
        Look once and return (for cron): whatever is silent now is told.
    stop
        Ends the watch when it is set.
    every
        Time between two looks.

    Raises
    ------
    Exception
        A single look (`once`) failed; a lasting watch logs it and goes on.
    """
    logger = logging.getLogger("creditrisk.alerts")
    if once:
        with dg.DagsterInstance.get() as instance:
            looked = look(settings, instance, logger, since=ALWAYS)
        for error in looked.errors.values():
            raise error
        return
    stop, since = stop or threading.Event(), datetime.now(UTC)
    opened: dg.DagsterInstance | None = None
    with contextlib.ExitStack() as stack:
        while not stop.wait(every.total_seconds()):
            try:
                if opened is None:  # its storage may not be there yet
                    opened = stack.enter_context(dg.DagsterInstance.get())
                look(settings, opened, logger, since=since)
            except Exception as error:  # a watchdog that dies of what it watches would be none
                logger.warning(f"the watchdog could not look ({type(error).__name__}: {error}); it looks again")
