"""From what was seen to what is told: a pure plan.

What belongs here: when an alert opens, changes, is reminded of, escalated and resolved; what is folded into whose alert; who hears of it.
What does not: what is wrong (`conditions`), keeping and sending (`store`, `delivery`).

One cause, one alert: a failed blocking check also fails its step, keeps everything downstream from being run and makes it overdue later.
A condition that another one explains opens no alert; it is listed on the other's. After the cause is gone, what followed from it has an
aftermath to recover before it counts on its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal

from creditrisk_assets.monitoring.alerts.configuration import AlertPolicy
from creditrisk_assets.monitoring.conditions import ASSET_KINDS, Condition, Observation, Severity

Event = Literal["opened", "changed", "flapping", "escalated", "reminded", "resolved"]
ASSET_PAGE = "asset_page"  # the channel of what is shown on the asset itself; no mute silences it
AHEAD = timedelta(
    minutes=5
)  # clocks of several machines differ by less; what lies further ahead was noted by a wrong one
_RANK: Mapping[Severity, int] = {"warning": 0, "critical": 1}


@dataclass(frozen=True)
class Alert:
    """What is kept of a condition from its opening on.

    Attributes
    ----------
    condition
        As last seen.
    opened_at, changed_at, resolved_at
        When it was opened (last), when a plan last changed it, when it was resolved; None while it is open.
    affected
        Assets that suffer from it: not run, or folded into it.
    folded
        Fingerprints that follow from it.
    told, told_at
        Channels that heard of it, and when it was last told.
    openings
        How often it opened, each time soon after it had been resolved.
    calm_since
        Since when a flapping one has been well.
    """

    condition: Condition
    opened_at: datetime
    changed_at: datetime
    id: int | None = None
    resolved_at: datetime | None = None
    resolution: str = ""
    affected: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    told_at: datetime | None = None
    acknowledged_by: str | None = None
    escalated_at: datetime | None = None
    openings: int = 1
    calm_since: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """What makes it the same alert."""
        return self.condition.fingerprint


@dataclass(frozen=True)
class Mute:
    """Alerts nobody wants to hear of for a while."""

    pattern: str  # of fingerprints, with * and ?
    until: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class State:
    """What the store knows: open alerts, lately resolved ones, mutes in force."""

    alerts: tuple[Alert, ...] = ()
    mutes: tuple[Mute, ...] = ()

    def muted(self, fingerprint: str, now: datetime) -> bool:
        """Tell whether nobody wants to hear of it."""
        return any(now < mute.until and fnmatchcase(fingerprint, mute.pattern) for mute in self.mutes)


@dataclass(frozen=True)
class Notice:
    """Something to tell about an alert, as it was when the plan was made."""

    event: Event
    alert: Alert
    channels: tuple[str, ...]

    def to_dict(self, alert_id: int, now: datetime) -> dict[str, Any]:
        """Return it as JSON values for machines, and for the words of a message."""
        condition = self.alert.condition
        return {
            "alert": alert_id,
            "event": self.event,
            "severity": "resolved" if self.event == "resolved" else condition.severity,
            "fingerprint": condition.fingerprint,
            "kind": condition.kind,
            "subject": condition.subject,
            "asset": condition.asset,
            "owner": condition.owner,
            "what": self.alert.resolution if self.event == "resolved" else condition.what,
            "since": condition.since.astimezone(UTC).isoformat(timespec="seconds"),
            "at": now.astimezone(UTC).isoformat(timespec="seconds"),
            "cause": condition.cause,
            "affected": list(self.alert.affected),
            "last_good": condition.last_good,
            "remedy": "" if self.event == "resolved" else condition.remedy,
            "openings": self.alert.openings,
        }


@dataclass
class Plan:
    """Alerts to write, and notices to send."""

    alerts: dict[str, Alert] = field(default_factory=dict)  # fingerprint -> its new state
    notices: list[Notice] = field(default_factory=list)


def plan(state: State, seen: Observation, policy: AlertPolicy, now: datetime) -> Plan:
    """Decide what changes and who is told.

    Parameters
    ----------
    state
        What the store knows, read in the transaction that will write the plan.
    seen
        One look at the world. What it says nothing about stays as it is; what the store learned after it began is not undone.
    policy
        Channels, routes, times.
    now
        Time of the plan, with time zone.
    """
    return _Planner(state, seen, policy, now).plan()


class _Planner:
    """The plan in the making."""

    def __init__(self, state: State, seen: Observation, policy: AlertPolicy, now: datetime) -> None:
        self.state, self.seen, self.policy, self.now = state, seen, policy, now
        self.active = {condition.fingerprint: condition for condition in seen.conditions}
        self.open = {alert.fingerprint: alert for alert in state.alerts if alert.resolved_at is None}
        self.resolved = {alert.fingerprint: alert for alert in state.alerts if alert.resolved_at is not None}
        self.result = Plan()

    def plan(self) -> Plan:
        for alert in [*self.open.values()]:
            if self._after_the_look(alert.changed_at):
                continue
            if alert.fingerprint in self.active:
                self._go_on(alert, self.active[alert.fingerprint])
            elif words := self._recovery(alert):
                self._resolve(alert, words)
        waiting = [mark for mark in self.active if mark not in self.open and not self._resolved_since(mark)]
        roots = {mark: self._root(self.active[mark]) for mark in waiting}
        for mark in sorted(mark for mark, root in roots.items() if root is None):
            self._open(self.active[mark])
        for mark, root in sorted(roots.items()):
            if root is not None and root in self.open:
                self._fold(self.active[mark], self.open[root])
        for alert in [*self.open.values()]:
            self._pass_time(alert)
        # the notices show the alerts as they are at the end, with all that was folded into them
        self.result.notices = [
            replace(notice, alert=self.result.alerts[notice.alert.fingerprint]) for notice in self.result.notices
        ]
        return self.result

    def _recovery(self, alert: Alert) -> str | None:
        """Say how an alert's condition ended; None while nothing says that it did."""
        condition = alert.condition
        if words := self.seen.healthy.get(condition.fingerprint):
            return words
        ours = condition.kind in ASSET_KINDS and condition.location == self.seen.location
        if ours and self.seen.watched is not None and condition.fingerprint not in self.seen.watched:
            return f"{condition.subject} no longer has what the alert was about"
        return None

    def _resolve(self, alert: Alert, words: str) -> None:
        if alert.openings >= self.policy.flapping_times:
            calm_since = alert.calm_since or self.now
            if self.now - calm_since < self.policy.flapping_window:
                if alert.calm_since is None:
                    self._keep(replace(alert, calm_since=calm_since))
                return
            words = f"{words}, and stayed so"
        ended = replace(alert, resolved_at=self.now, resolution=words)
        del self.open[alert.fingerprint]
        self._change(ended)
        self.resolved[alert.fingerprint] = ended
        self._tell("resolved", ended, alert.told)

    def _go_on(self, alert: Alert, condition: Condition) -> None:
        before = alert.condition
        now_seen = replace(
            condition, since=before.since, cause=before.cause, last_good=before.last_good or condition.last_good
        )
        affected = dict.fromkeys((*alert.affected, *condition.holds_up))
        folded = dict.fromkeys((*alert.folded, *sorted(condition.explains)))
        alert = replace(alert, condition=now_seen, calm_since=None, affected=tuple(affected), folded=tuple(folded))
        worse = _RANK[condition.severity] > _RANK[before.severity]
        if worse:
            alert = replace(alert, acknowledged_by=None)
        muted = self.state.muted(alert.fingerprint, self.now)
        channels = self.policy.channels_for(now_seen)
        if muted:
            self._keep(alert)
        elif not alert.told and channels:
            self._keep_told(alert, "opened", channels)
        elif condition.severity != before.severity:
            self._keep_told(alert, "changed", (*channels, *alert.told))
        else:
            self._keep(alert)

    def _open(self, condition: Condition) -> None:
        if self._within(condition.since, timedelta(seconds=self.policy.settle_seconds)) or self._in_aftermath(
            condition
        ):
            return
        condition = replace(condition, cause=self._cause_words(condition))
        before = self.resolved.get(condition.fingerprint)
        again = before is not None and self._within(before.resolved_at, self.policy.flapping_window)
        openings = before.openings + 1 if before is not None and again else 1
        alert = Alert(
            condition, self.now, self.now, id=before.id if before is not None and again else None,
            affected=condition.holds_up, folded=tuple(sorted(condition.explains)), openings=openings,
        )  # fmt: skip
        channels = () if self.state.muted(alert.fingerprint, self.now) else self.policy.channels_for(condition)
        self._keep_told(alert, "flapping" if openings == self.policy.flapping_times else "opened", channels)

    def _fold(self, condition: Condition, root: Alert) -> None:
        affected, folded = [*root.affected], [*root.folded]
        if condition.asset and condition.asset != root.condition.asset and condition.asset not in affected:
            affected.append(condition.asset)
        if condition.fingerprint not in folded:
            folded.append(condition.fingerprint)
        self._keep(replace(root, affected=tuple(affected), folded=tuple(folded)))

    def _pass_time(self, alert: Alert) -> None:
        quiet = alert.acknowledged_by is not None or self.state.muted(alert.fingerprint, self.now)
        if quiet or not alert.told or alert.told_at == self.now:
            return
        escalation, reminder = self.policy.escalation, self.policy.reminder_hours
        if (
            escalation is not None
            and alert.condition.severity == "critical"
            and alert.escalated_at is None
            and not self._within(alert.opened_at, timedelta(hours=escalation.after_hours))
        ):
            self._keep_told(replace(alert, escalated_at=self.now), "escalated", escalation.channels)
        elif reminder is not None and not self._within(alert.told_at, timedelta(hours=reminder)):
            self._keep_told(alert, "reminded", alert.told)

    def _root(self, condition: Condition) -> str | None:
        """Find the alert, open or to be opened, that explains a condition; None: it stands for itself."""
        chain = {condition.fingerprint}
        while (cause := self._explanation(condition, but=chain)) is not None:
            chain.add(cause.fingerprint)
            if cause.fingerprint in self.open:
                return cause.fingerprint
            condition = cause
        return condition.fingerprint if len(chain) > 1 else None

    def _explanation(self, condition: Condition, but: set[str]) -> Condition | None:
        causes = [
            cause for cause in self._candidates() if cause.fingerprint not in but and self._explains(cause, condition)
        ]
        return min(
            causes, key=lambda cause: (cause.fingerprint not in self.open, cause.since, cause.fingerprint), default=None
        )

    def _candidates(self) -> Iterable[Condition]:
        yield from (alert.condition for alert in self.open.values())
        yield from (condition for mark, condition in self.active.items() if mark not in self.open)

    def _explains(self, cause: Condition, effect: Condition) -> bool:
        """Tell whether one condition follows from another; a warning never hides what is critical."""
        if _RANK[cause.severity] < _RANK[effect.severity]:
            return False
        if effect.fingerprint in cause.explains:
            return True
        upstream = cause.asset is not None and cause.subject in self.seen.upstream.get(effect.subject, frozenset())
        if effect.kind in ("sensor", "schedule"):
            return cause.kind == "daemon"
        if effect.kind == "materialization":
            own_check = cause.kind == "check" and cause.subject == effect.subject
            return cause.blocks and (own_check or upstream)
        if effect.kind == "freshness":
            blocked = cause.blocks and (upstream or cause.subject == effect.subject)
            return blocked or cause.kind in ("daemon", "schedule") or (upstream and cause.kind == "freshness")
        return False

    def _cause_words(self, condition: Condition) -> str:
        """Name what is wrong upstream without explaining it for certain, else what the reader found."""
        above = self.seen.upstream.get(condition.subject, frozenset()) if condition.asset else frozenset()
        found = [
            cause for cause in self._candidates() if cause.asset in above and cause.fingerprint != condition.fingerprint
        ]
        near = min(found, key=lambda cause: (cause.since, cause.fingerprint), default=None)
        return near.what if near is not None else condition.cause

    def _in_aftermath(self, condition: Condition) -> bool:
        return any(
            condition.fingerprint in alert.folded and self._within(alert.resolved_at, self.policy.aftermath)
            for alert in self.resolved.values()
        )

    def _resolved_since(self, mark: str) -> bool:
        """Tell whether the store learned of a recovery after this look began."""
        before = self.resolved.get(mark)
        return before is not None and self._after_the_look(before.changed_at)

    def _after_the_look(self, moment: datetime) -> bool:
        return self.seen.at < moment <= self.now + AHEAD

    def _within(self, moment: datetime | None, span: timedelta) -> bool:
        return moment is not None and -AHEAD <= self.now - moment < span

    def _keep(self, alert: Alert) -> None:
        if alert != self.open.get(alert.fingerprint):
            self.open[alert.fingerprint] = alert
            self._change(alert)

    def _keep_told(self, alert: Alert, event: Event, channels: tuple[str, ...]) -> None:
        told = tuple(dict.fromkeys((*alert.told, *channels)))
        alert = replace(alert, told=told, told_at=self.now if channels else alert.told_at)
        self._keep(alert)
        self._tell(event, alert, tuple(dict.fromkeys(channels)))

    def _change(self, alert: Alert) -> None:
        self.result.alerts[alert.fingerprint] = replace(alert, changed_at=self.now)
        if alert.fingerprint in self.open:
            self.open[alert.fingerprint] = self.result.alerts[alert.fingerprint]

    def _tell(self, event: Event, alert: Alert, channels: tuple[str, ...]) -> None:
        if alert.condition.asset is not None and event not in ("escalated", "reminded"):
            channels = (*channels, ASSET_PAGE)
        if channels:
            self.result.notices.append(Notice(event, alert, channels))
