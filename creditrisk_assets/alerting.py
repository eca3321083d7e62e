"""Alerts at a terminal: what is open, taking care of it, silencing it, watching the daemon from outside.

What belongs here: looking, telling, and the words of the answers. What does not: when there is an alert and who hears of it
(`monitoring.alerts`), the commands (`cli`).
"""

import logging
import re
import signal
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from creditrisk_assets import running
from creditrisk_assets.defs import alerts
from creditrisk_assets.monitoring.alerts.channels import load_policy, open_channels
from creditrisk_assets.monitoring.alerts.routing import ASSET_PAGE, Alert, Mute
from creditrisk_assets.monitoring.alerts.store import LONGEST_MUTE, AlertStore
from creditrisk_assets.settings import Settings
from creditrisk_assets.terminal import WIDE

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_COLOURS = {"critical": "red", "warning": "yellow", "resolved": "green"}


def listing(settings: Settings, *, resolved: bool = False) -> dict[str, Any]:
    """List alerts, mutes in force, messages that wait for their channel, and what is wrong with the channels.

    Parameters
    ----------
    settings
        The deployment.
    resolved
        List the last resolved ones too.

    Raises
    ------
    AlertStoreError
        The store cannot be used.
    """
    now = datetime.now(UTC)
    policy, problem = load_policy(settings)
    opened, closed = open_channels(policy, settings, logging.getLogger("creditrisk.alerts"))
    listed: dict[str, Any] = {
        "alerts": [],
        "mutes": [],
        "waiting": [],
        "problems": [*([problem] if problem else []), *closed],
    }
    with AlertStore(settings.alerts_url) as store:
        if store.exists:
            listed["alerts"] = [_described(alert) for alert in store.alerts(resolved=resolved)]
            listed["mutes"] = [vars(mute) for mute in store.mutes(now)]
            listed["waiting"] = [
                {
                    **vars(each),
                    "configured": each.channel in {*policy.channels, ASSET_PAGE},
                    "opened": each.channel in {*opened, ASSET_PAGE},
                }
                for each in store.waiting()
            ]
    return listed


def print_listing(found: Mapping[str, Any]) -> None:
    """Print what `listing` found."""
    table = Table("id", "severity", "what", "since", "owner", "taken care of by", box=None, pad_edge=False)
    for alert in found["alerts"]:
        state = "resolved" if alert["resolved_at"] else alert["severity"]
        what = escape(alert["resolution"] if alert["resolved_at"] else alert["what"])
        if alert["affected"]:
            what += f"  [dim](also affected: {len(alert['affected'])})[/]"
        mark = f"[{_COLOURS[state]}]{state}[/]"
        table.add_row(
            str(alert["id"]), mark, what, _time(alert["since"]), alert["owner"], escape(alert["acknowledged_by"] or "")
        )
    console.print(table if found["alerts"] else "no open alerts")
    for mute in found["mutes"]:
        console.print(
            f"muted until {_time(mute['until'])}: {escape(mute['pattern'])}, by {escape(mute['by'])}: {escape(mute['reason'])}"
        )
    for each in found["waiting"]:
        if not each["configured"]:
            why = "no such channel is configured any more"
        elif not each["opened"]:
            why = "it cannot be opened"
        elif each["last_error"]:
            why = f"{each['last_error']}, {each['attempts']} attempts"
        else:
            continue
        console.print(f"[yellow]![/] {each['messages']} messages for {each['channel']} wait: {escape(why)}")
    for problem in found["problems"]:
        console.print(f"[yellow]![/] {escape(problem)}")


def story(settings: Settings, alert_id: int) -> dict[str, Any]:
    """Tell all that is known of one alert, with what happened to it.

    Raises
    ------
    AlertStoreError
        There is no such alert, or the store cannot be used.
    """
    with AlertStore(settings.alerts_url) as store:
        alert, history = store.history(alert_id)
        return {**_described(alert), "history": [dict(event) for event in history]}


def print_story(found: Mapping[str, Any]) -> None:
    """Print what `story` tells."""
    state = "resolved" if found["resolved_at"] else found["severity"]
    console.print(f"[{_COLOURS[state]}]{state}[/] {escape(found['what'])}\n")
    rows = {
        "since": _time(found["since"]),
        "owner": found["owner"],
        "cause": found["cause"] or "nothing is known to be wrong upstream",
        "affected": ", ".join(found["affected"]) or "nothing else so far",
        "last good": found["last_good"] or "unknown",
        "run": found["remedy"],
        "mute": f"creditrisk alerts mute '{found['fingerprint']}' --for 4h --by NAME --reason WHY",
        "taken by": found["acknowledged_by"] or "nobody: creditrisk alerts ack " + f"{found['id']} --by NAME",
    }
    for name, words in rows.items():
        console.print(f"{name:<10} {escape(str(words))}")
    console.print()
    for event in found["history"]:
        console.print(f"{_time(event['at'])}  {event['event']:<12} {escape(event['words'])}")


def acknowledge(settings: Settings, alert_id: int, by: str, reason: str) -> str:
    """Note who takes care of an alert, and say so.

    Raises
    ------
    AlertStoreError
        There is no such open alert, or the store cannot be used.
    """
    with AlertStore(settings.alerts_url) as store:
        alert = store.acknowledge(alert_id, by, reason, datetime.now(UTC))
    return f"alert {alert_id} ({alert.fingerprint}) is taken care of by {by}; it is neither escalated nor reminded of"


def mute(settings: Settings, pattern: str, *, until: datetime | None, span: str | None, by: str, reason: str) -> str:
    """Keep alerts from being told for a while, and say which and how long.

    Raises
    ------
    ValueError
        Not exactly one of `until` and `span` is given, or the span is none.
    AlertStoreError
        The time has passed, or the store cannot be used.
    """
    now = datetime.now(UTC)
    if (until is None) == (span is None):
        raise ValueError("give either --for (4h, 90m, 2d) or --until (2026-03-02T18:00, in UTC unless it has a zone)")
    end = now + parse_span(span) if span is not None else _zoned(until)
    with AlertStore(settings.alerts_url) as store:
        store.mute(Mute(pattern, end, by, reason), now)
        fitting = sum(fnmatchcase(alert.fingerprint, pattern) for alert in store.alerts())
    return f"{pattern} is muted until {_time(end)}; {fitting} open alerts fit it"


def unmute(settings: Settings, pattern: str) -> str:
    """End the mutes of a pattern, and say how many there were.

    Raises
    ------
    AlertStoreError
        The store cannot be used.
    """
    with AlertStore(settings.alerts_url) as store:
        ended = store.unmute(pattern, datetime.now(UTC))
    return f"{ended} mutes of {pattern} ended" if ended else f"no mute of {pattern} is in force"


def watch(settings: Settings, *, once: bool) -> None:
    """Watch the daemon and the alert sensors from a process of their own, until interrupted.

    Raises
    ------
    AlertStoreError
        A single look could not use the store.
    """
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    running.prepare_instance(settings)
    alerts.watch(settings, once=once, stop=stop)


def parse_span(text: str) -> timedelta:
    """Read a span of time: 90m, 4h, 2d.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        if (found := _SPAN.fullmatch(text.strip())) is not None:
            span = timedelta(**{_UNITS[found[2]]: float(found[1])})
            if span <= LONGEST_MUTE:
                return span
    except OverflowError:
        pass
    raise ValueError(f"--for {text} is no span of time; write 90m, 4h or 2d, {LONGEST_MUTE.days} days at most")


def _zoned(moment: datetime | None) -> datetime:
    assert moment is not None  # noqa: S101 -- one of the two was given
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _described(alert: Alert) -> dict[str, Any]:
    condition = ("kind", "subject", "severity", "owner", "what", "since", "cause", "last_good", "remedy")
    kept = ("affected", "opened_at", "resolved_at", "resolution", "openings", "acknowledged_by", "escalated_at", "told")
    return {
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        **{name: getattr(alert.condition, name) for name in condition},
        **{name: getattr(alert, name) for name in kept},
    }


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
