"""What can be wrong with the platform, in words: conditions, and how one is told from what was seen.

What belongs here: when a state that was read is a condition, how severe, what it is called, what to run next. What does not: reading the
states (`defs.conditions`), whether somebody is told (`alerts.routing`).

A reading distinguishes three things: what is wrong, what was seen to be well, and (in neither) what could not be read. The last
leaves an alert as it is: an unreadable source is not a healthy one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, get_args

Kind = Literal[
    "freshness",
    "data_age",
    "check",
    "materialization",
    "run",
    "sensor",
    "schedule",
    "daemon",
    "configuration",
    "promotion",
]
Severity = Literal["warning", "critical"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ASSET_KINDS = frozenset({"freshness", "data_age", "check", "materialization"})
UNKNOWN, PASS, WARN, FAIL = "UNKNOWN", "PASS", "WARN", "FAIL"
NO_VERDICT = "no_verdict"  # metadata of a check that could not be answered: neither wrong nor well
DATA_AGE = "data_age"  # the check that asks how old the data are is a kind of its own
WORDS_LIMIT = 600
FORGOTTEN = timedelta(hours=1)  # a sensor that failed this long ago and was not tried again is no longer run
ALL_DAEMONS = "dagster-daemon"  # the process all daemons live in: when none gives a sign, it is one condition
RETRY_WAIT = timedelta(minutes=10)  # how long a crashed run may wait for its automatic retry


@dataclass(frozen=True)
class Condition:
    """One thing that is wrong.

    Attributes
    ----------
    kind, subject, detail
        Together the fingerprint: equal fingerprints are the same condition. The subject is an asset key for the asset kinds.
    owner
        Who answers for the subject.
    what
        One line, without values of applicants.
    since
        When it began, as far as is known, with time zone.
    remedy
        The command to run next.
    location
        The code location that looks after the subject; empty for what belongs to the whole instance.
    cause
        What probably brought it about upstream, in words.
    last_good
        The last good version or time, in words.
    blocks
        Whether it keeps its asset from being made, so that what lies downstream is not run.
    holds_up
        Assets that were not run because of it.
    explains
        Fingerprints that follow from it when they show up.
    """

    kind: Kind
    subject: str
    severity: Severity
    what: str
    since: datetime
    remedy: str
    detail: str = ""
    owner: str = ""
    location: str = ""
    cause: str = ""
    last_good: str = ""
    blocks: bool = False
    holds_up: tuple[str, ...] = ()
    explains: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        """What makes it the same condition."""
        return fingerprint(self.kind, self.subject, self.detail)

    @property
    def asset(self) -> str | None:
        """The asset it is about, if it is about one."""
        return self.subject if self.kind in ASSET_KINDS else None


@dataclass(frozen=True)
class Reading:
    """What was seen: conditions, and what is well (fingerprint -> in words). What is in neither could not be read."""

    conditions: tuple[Condition, ...] = ()
    healthy: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """One look at the world.

    Attributes
    ----------
    at
        When it began: what the store learned later is newer than it.
    location
        The code location whose assets it covers.
    watched
        Fingerprints that exist there; an open alert on another one is about something that is gone. None: not known.
    upstream
        Asset -> everything it is made from, near or far.
    """

    at: datetime
    location: str = ""
    conditions: tuple[Condition, ...] = ()
    healthy: Mapping[str, str] = field(default_factory=dict)
    watched: frozenset[str] | None = None
    upstream: Mapping[str, frozenset[str]] = field(default_factory=dict)


def fingerprint(kind: str, subject: str, detail: str = "") -> str:
    """Name a condition: `check:raw/bureau:contract`, `daemon:SENSOR`."""
    return ":".join(part for part in (kind, subject, detail) if part)


def one_line(words: str) -> str:
    """Fold white space and cut what is too long for a message."""
    folded = " ".join(words.split())
    return folded if len(folded) <= WORDS_LIMIT else f"{folded[: WORDS_LIMIT - 1]}…"


def _run(asset: str) -> str:
    return f"creditrisk run --select {asset}"


@dataclass(frozen=True)
class FreshnessSeen:
    """The state of an asset's freshness policy."""

    asset: str
    state: str  # UNKNOWN | PASS | WARN | FAIL
    since: datetime


def read_freshness(seen: Iterable[FreshnessSeen]) -> Reading:
    """Tell assets that were not verified in time; an UNKNOWN state says nothing."""
    conditions, healthy = [], {}
    for each in seen:
        if each.state == PASS:
            healthy[fingerprint("freshness", each.asset)] = f"{each.asset} is fresh again"
        elif each.state in (WARN, FAIL):
            words = "is overdue" if each.state == FAIL else "is about to be overdue"
            what = f"{each.asset} {words}: it was not verified within its freshness policy"
            severity: Severity = "critical" if each.state == FAIL else "warning"
            conditions.append(Condition("freshness", each.asset, severity, what, each.since, _run(each.asset)))
    return Reading(tuple(conditions), healthy)


@dataclass(frozen=True)
class CheckSeen:
    """The latest evaluation of a check."""

    asset: str
    name: str
    passed: bool
    severity: str  # ERROR | WARN
    blocking: bool
    words: str
    at: datetime
    no_verdict: bool = False


def read_checks(seen: Iterable[CheckSeen], not_run: Mapping[str, tuple[str, ...]]) -> Reading:
    """Tell failed checks, blocking or not; one without a verdict says nothing; `not_run` names the assets held up by one."""
    conditions, healthy = [], {}
    for each in seen:
        if each.no_verdict:
            continue
        kind: Kind = "data_age" if each.name == DATA_AGE else "check"
        detail = "" if kind == "data_age" else each.name
        if each.passed:
            healthy[fingerprint(kind, each.asset, detail)] = f"check `{each.name}` of {each.asset} passes again"
            continue
        error = each.severity == "ERROR"
        verb = "failed" if error else "warns"
        blocks = error and each.blocking
        conditions.append(
            Condition(
                kind,
                each.asset,
                "critical" if error else "warning",
                one_line(f"check `{each.name}` of {each.asset} {verb}: {each.words or 'see it in the UI'}"),
                each.at,
                _run(each.asset),
                detail=detail,
                blocks=blocks,
                holds_up=not_run.get(each.asset, ()) if blocks else (),
            )
        )
    return Reading(tuple(conditions), healthy)


@dataclass(frozen=True)
class AttemptSeen:
    """The last finished attempt at making an asset: the failure of its own step, or its materialization."""

    asset: str
    materialized_at: datetime | None
    failed_at: datetime | None = None
    words: str = ""
    not_run: tuple[str, ...] = ()


def read_materializations(seen: Iterable[AttemptSeen]) -> Reading:
    """Tell assets whose last attempt failed in their own step; a newer materialization, however it came about, ends it."""
    conditions, healthy = [], {}
    for each in seen:
        if each.failed_at is not None and (each.materialized_at is None or each.materialized_at < each.failed_at):
            what = one_line(
                f"{each.asset} could not be made: {each.words or 'its step failed; the trace is in the UI'}"
            )
            conditions.append(
                Condition(
                    "materialization", each.asset, "critical", what, each.failed_at, _run(each.asset),
                    blocks=True, holds_up=each.not_run,
                )
            )  # fmt: skip
        elif each.materialized_at is not None:
            healthy[fingerprint("materialization", each.asset)] = f"{each.asset} was made again"
    return Reading(tuple(conditions), healthy)


@dataclass(frozen=True)
class RunSeen:
    """The last finished run of a job.

    `crashed`: it failed without the failed step of an asset that would say why. `will_retry`: Dagster means to launch it again.
    """

    job: str
    run_id: str
    succeeded: bool
    crashed: bool
    at: datetime
    last_success: datetime | None = None
    will_retry: bool = False
    not_made: tuple[str, ...] = ()


def read_runs(seen: Iterable[RunSeen], now: datetime) -> Reading:
    """Tell runs that failed without a failed step of an asset: killed, never started, an operation that raised."""
    conditions, healthy = [], {}
    for each in seen:
        if each.succeeded:
            healthy[fingerprint("run", each.job)] = f"a later run of {each.job} succeeded"
        elif each.crashed and not (each.will_retry and now - each.at < RETRY_WAIT):
            conditions.append(
                Condition(
                    "run",
                    each.job,
                    "critical",
                    f"run {each.run_id[:8]} of {each.job} ended without success, and no asset's step says why; its log is in the UI",
                    each.at,
                    "creditrisk run",
                    last_good=_at(each.last_success),
                    holds_up=each.not_made,
                    explains=frozenset(fingerprint("freshness", asset) for asset in each.not_made),
                )
            )
    return Reading(tuple(conditions), healthy)


@dataclass(frozen=True)
class TickSeen:
    """The last finished tick of a sensor or schedule.

    `running`: it is switched on. `failures`: how many ticks in a row failed. `silent`: it should have been tried since, and was not.
    """

    kind: Literal["sensor", "schedule"]
    location: str
    name: str
    running: bool
    failed: bool
    failures: int
    at: datetime
    words: str = ""
    last_good: datetime | None = None
    silent: bool = False


def read_ticks(seen: Iterable[TickSeen], now: datetime, *, failing_ticks: int, critical: frozenset[str]) -> Reading:
    """Tell sensors and schedules that fail.

    Parameters
    ----------
    seen
        The last finished tick of each.
    now
        Time of the look.
    failing_ticks
        How many ticks of a sensor must fail in a row; a schedule's first counts.
    critical
        Names of sensors whose failure is critical; a schedule's always is.
    """
    conditions, healthy = [], {}
    for each in seen:
        subject = f"{each.location}/{each.name}"
        mark = fingerprint(each.kind, subject)
        if not each.running:
            healthy[mark] = f"{each.kind} {each.name} was switched off"
            continue
        failing = each.failed and (
            each.kind == "schedule" or (each.failures >= failing_ticks and now - each.at < FORGOTTEN)
        )
        if failing or each.silent:
            severe = each.kind == "schedule" or each.name in critical
            words = (
                f"fails: {each.words}; see its ticks in the UI" if failing else f"was not tried since {_at(each.at)}"
            )
            conditions.append(
                Condition(
                    each.kind,
                    subject,
                    "critical" if severe else "warning",
                    one_line(f"{each.kind} {each.name} of {each.location} {words}"),
                    each.at,
                    "creditrisk doctor",
                    last_good=_at(each.last_good),
                )
            )
        elif not each.failed:
            healthy[mark] = f"{each.kind} {each.name} works again"
    return Reading(tuple(conditions), healthy)


@dataclass(frozen=True)
class HeartbeatSeen:
    """The last sign of life of a daemon that must run; None: there never was one."""

    daemon: str
    at: datetime | None


def read_heartbeats(
    seen: Iterable[HeartbeatSeen], now: datetime, *, silent_after: timedelta, watching_since: datetime
) -> Reading:
    """Tell daemons that are silent.

    Parameters
    ----------
    seen
        Every daemon that must run.
    now
        Time of the look.
    silent_after
        How old its last heartbeat may be.
    watching_since
        Since when daemons had the chance to beat (the start of the process that looks): an old heartbeat found just after a start says
        that the platform was off, not that a daemon is silent.
    """
    beats = {each.daemon: each.at for each in seen}
    alive = {daemon for daemon, at in beats.items() if at is not None and now - at <= silent_after}
    healthy = {fingerprint("daemon", daemon): f"daemon {daemon} is alive again" for daemon in alive}
    if alive:
        healthy[fingerprint("daemon", ALL_DAEMONS)] = "the Dagster daemon is alive again"
    if now - watching_since <= silent_after:
        return Reading((), healthy)
    if beats and not alive:
        last = max((at for at in beats.values() if at is not None), default=None)
        # not all of them give a sign in the same second after a restart: each has the whole one's aftermath to do so
        each = frozenset(fingerprint("daemon", daemon) for daemon in beats)
        return Reading((_silent(ALL_DAEMONS, last, now - silent_after, each),))
    silent = (_silent(daemon, at, now - silent_after) for daemon, at in beats.items() if daemon not in alive)
    return Reading(tuple(silent), healthy)


def _silent(
    daemon: str, at: datetime | None, at_least_since: datetime, explains: frozenset[str] = frozenset()
) -> Condition:
    name = "the Dagster daemon" if daemon == ALL_DAEMONS else f"daemon {daemon}"
    last = f"its last heartbeat was at {_at(at)}" if at else "it never gave a heartbeat"
    what = f"{name} is silent: {last}; nothing is scheduled, sensed or run in its place"
    return Condition(
        "daemon", daemon, "critical", what, at or at_least_since, "creditrisk ui", last_good=_at(at), explains=explains
    )


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""
