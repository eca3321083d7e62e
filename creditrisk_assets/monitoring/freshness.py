"""From freshness states to alerts: a pure plan.

What belongs here: which change of state is worth telling, and in which words. What does not: reading the states
(`defs.monitoring`), delivering alerts (`alerts`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from creditrisk_assets.monitoring.alerts import Alert, Severity

UNKNOWN, PASS, WARN, FAIL = "UNKNOWN", "PASS", "WARN", "FAIL"
_SEVERITY: Mapping[str, Severity] = {WARN: "warning", FAIL: "critical"}


@dataclass(frozen=True)
class FreshnessPlan:
    """What to tell, and the states to remember once it was told."""

    alerts: tuple[Alert, ...]
    states: Mapping[str, str]


def plan_freshness_alerts(previous: Mapping[str, str], now: Mapping[str, str]) -> FreshnessPlan:
    """Compare the states of the last look with those of this one.

    Parameters
    ----------
    previous, now
        Asset key -> UNKNOWN, PASS, WARN or FAIL. An asset missing from `now`, or UNKNOWN there, could not be read: its
        state is kept, so that the next look compares with what was last known.

    Returns
    -------
    FreshnessPlan
        An alert for each asset that became stale or more stale, a resolve for each that recovered; nothing for one that
        stayed.
    """
    read = {asset: state for asset, state in now.items() if state != UNKNOWN}
    alerts = [_alert(asset, previous.get(asset, UNKNOWN), read[asset]) for asset in sorted(read)]
    return FreshnessPlan(tuple(alert for alert in alerts if alert is not None), {**previous, **read})


def _alert(asset: str, before: str, after: str) -> Alert | None:
    if before == after:
        return None
    if after in _SEVERITY:
        words = "is overdue" if after == FAIL else "is about to be overdue"
        what = f"{asset} {words}: it was not verified within its freshness policy (was {before}, is {after})"
        return Alert(asset, _SEVERITY[after], what, remedy=f"creditrisk run --select {asset}")
    if before in _SEVERITY:
        return Alert(asset, "resolved", f"{asset} is fresh again (was {before}, is {after})")
    return None
