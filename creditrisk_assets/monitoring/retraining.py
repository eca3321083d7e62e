"""Whether evidence calls for a retrain: a pure plan.

What belongs here: answering each piece of evidence once, attempts, cool-down, budget, run keys. What does not: where evidence comes from
and launching a run (`defs.retraining`), whether the new model replaces the champion (`registry`).

A retrain is named by its evidence and attempt, and Dagster launches a name once. What was launched is read from the runs there are, not
remembered, so a daemon that is killed between launching a run and keeping its cursor finds the run at the next look and asks for none.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from creditrisk_assets.modelling.policy import RetrainPolicy

BUDGET_DAYS = 30
KEY_DIGITS = 16

Kind = Literal["drift", "performance", "new_data", "schedule"]
RunState = Literal["active", "succeeded", "failed"]


@dataclass(frozen=True)
class Evidence:
    """What speaks for a retrain, or does not.

    Attributes
    ----------
    kind
        What was looked at.
    found
        What makes it the same evidence at the next look.
    calls
        Whether it calls for a retrain.
    words
        One line, without values of applicants.
    """

    kind: Kind
    found: str
    calls: bool
    words: str

    @property
    def key(self) -> str:
        """Its name: kind and hash."""
        return f"{self.kind}:{hashlib.sha256(self.found.encode()).hexdigest()[:KEY_DIGITS]}"


@dataclass(frozen=True)
class RetrainRun:
    """A retrain that was launched, by whatever evidence."""

    evidence: str  # its key; empty: launched by hand
    state: RunState
    launched: datetime


@dataclass(frozen=True)
class RetrainRequest:
    """A retrain to launch; equal keys launch once."""

    evidence: str
    attempt: int
    cause: str

    @property
    def run_key(self) -> str:
        """Its name in Dagster."""
        return f"{self.evidence}:{self.attempt}"


@dataclass(frozen=True)
class RetrainState:
    """What a sensor remembers: the evidence it has done with."""

    answered: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"answered": self.answered}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RetrainState":
        """Read what `to_dict` wrote."""
        return cls(values.get("answered"))


@dataclass(frozen=True)
class RetrainPlan:
    """What to launch, what to remember, and why."""

    request: RetrainRequest | None
    state: RetrainState
    words: str


def plan_retrain(
    state: RetrainState,
    evidence: Evidence | None,
    runs: Sequence[RetrainRun],
    policy: RetrainPolicy,
    now: datetime,
    *,
    attempts: int = 1,
) -> RetrainPlan:
    """Decide whether evidence calls for a retrain.

    Evidence that cannot be read (None) is not "all is well": the state is left as it was, so the next look decides. Evidence is answered
    once: by a retrain that succeeded, whatever the comparison with the champion then said, or by as many that failed as are allowed. What
    falls into the cool-down, or finds the budget spent, waits and is looked at again.

    Parameters
    ----------
    state
        What was done before.
    evidence
        The newest there is, or None when it cannot be read.
    runs
        Retrains of the last 30 days, whatever called for them.
    policy
        Cool-down and budget, which all evidence shares.
    now
        Time of the look, with time zone.
    attempts
        How often a retrain is tried that fails.
    """
    if evidence is None:
        return RetrainPlan(None, state, "there is no readable evidence yet")
    done = replace(state, answered=evidence.key)
    if evidence.key == state.answered:
        return RetrainPlan(None, state, "this evidence was answered already")
    if not evidence.calls:
        return RetrainPlan(None, done, f"no retrain: {evidence.words}")
    own = [run for run in runs if run.evidence == evidence.key]
    if any(run.state == "succeeded" for run in own):
        return RetrainPlan(None, done, "this evidence was answered already, by a retrain")
    if any(run.state == "active" for run in runs):
        return RetrainPlan(None, state, "waiting: a retrain is under way")
    if len(own) >= attempts:
        return RetrainPlan(None, done, f"given up after {len(own)} failed attempts: {evidence.words}")
    if (waits := _waits([run for run in runs if run not in own], len(own), policy, now)) is not None:
        return RetrainPlan(None, state, f"waiting: {waits}")
    request = RetrainRequest(evidence.key, len(own) + 1, evidence.words)
    return RetrainPlan(request, state, f"retrain: {evidence.words}")


def _waits(others: Sequence[RetrainRun], own: int, policy: RetrainPolicy, now: datetime) -> str | None:
    """Say what a retrain waits for; None: nothing. A second attempt does not wait for the first one's cool-down."""
    recent = [run.launched for run in others if now - run.launched < timedelta(days=BUDGET_DAYS)]
    if recent and now - max(recent) < timedelta(hours=policy.cooldown_hours):
        return f"the last retrain is less than {policy.cooldown_hours:g} hours ago"
    if len(recent) + own >= policy.maximum_per_30_days:
        return f"{len(recent) + own} retrains in {BUDGET_DAYS} days are the budget"
    return None
