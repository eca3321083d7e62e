"""Whether evidence calls for a retrain: a pure plan.

What belongs here: cool-down, budget, run keys. What does not: the evidence (`drift`), launching a run (`defs.monitoring`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from creditrisk_assets.modelling.policy import RetrainPolicy

BUDGET_DAYS = 30


@dataclass(frozen=True)
class DriftEvidence:
    """What a drift report says."""

    report: str  # the version of the report: a hash of its content
    drifted: bool
    words: str


@dataclass(frozen=True)
class RetrainRequest:
    """A retrain to launch; equal keys launch once."""

    run_key: str
    cause: str


@dataclass(frozen=True)
class RetrainState:
    """What the sensor remembers."""

    answered: str | None = None  # report that was acted on, or found quiet
    launched: tuple[str, ...] = ()  # ISO times of the retrains of the last 30 days

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"answered": self.answered, "launched": list(self.launched)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RetrainState":
        """Read what `to_dict` wrote."""
        return cls(values.get("answered"), tuple(values.get("launched", ())))


@dataclass(frozen=True)
class RetrainPlan:
    """What to launch, what to remember, and why."""

    requests: tuple[RetrainRequest, ...]
    state: RetrainState
    words: str


def plan_retrain(
    state: RetrainState, evidence: DriftEvidence | None, policy: RetrainPolicy, now: datetime
) -> RetrainPlan:
    """Decide whether drift evidence calls for a retrain.

    An unreadable report (None) is not "no drift": the state is left as it was, so the next look decides. A report is acted on once;
    one that falls into the cool-down, or finds the budget spent, waits and is looked at again.

    Parameters
    ----------
    state
        What was done before.
    evidence
        The newest drift report, or None when it cannot be read.
    policy
        Cool-down and budget.
    now
        Time of the look, with time zone.
    """
    if evidence is None:
        return RetrainPlan((), state, "there is no readable drift report yet")
    if evidence.report == state.answered:
        return RetrainPlan((), state, "this report was answered already")
    if not evidence.drifted:
        return RetrainPlan((), replace(state, answered=evidence.report), f"no retrain: {evidence.words}")
    times = [datetime.fromisoformat(at) for at in state.launched]
    recent = [at for at in times if now - at < timedelta(days=BUDGET_DAYS)]
    if recent and now - max(recent) < timedelta(hours=policy.cooldown_hours):
        return RetrainPlan((), state, f"waiting: the last retrain is less than {policy.cooldown_hours} hours ago")
    if len(recent) >= policy.maximum_per_30_days:
        return RetrainPlan((), state, f"waiting: {len(recent)} retrains in {BUDGET_DAYS} days are the budget")
    launched = tuple(at.isoformat() for at in (*recent, now))
    request = RetrainRequest(run_key=f"drift:{evidence.report}", cause=evidence.words)
    return RetrainPlan((request,), RetrainState(evidence.report, launched), f"retrain: {evidence.words}")
