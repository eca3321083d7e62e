"""Retraining: evidence once, after the cool-down, within the budget; no report is no answer."""

from datetime import UTC, datetime, timedelta

import pytest

from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.monitoring.retraining import DriftEvidence, RetrainState, plan_retrain

POLICY = load_policy().retraining
NOW = datetime(2026, 5, 3, 14, tzinfo=UTC)
DRIFT = DriftEvidence("r1", drifted=True, words="12 of 40 inputs moved")
QUIET = DriftEvidence("r2", drifted=False, words="nothing moved")


def launched(*ago: timedelta) -> RetrainState:
    return RetrainState("older", tuple((NOW - each).isoformat() for each in ago))


@pytest.mark.parametrize(
    ("state", "evidence", "requests", "answered"),
    [
        pytest.param(RetrainState(), QUIET, 0, "r2", id="quiet"),
        pytest.param(RetrainState(), DRIFT, 1, "r1", id="drifted"),
        pytest.param(RetrainState("r1"), DRIFT, 0, "r1", id="same evidence twice"),
        pytest.param(RetrainState("r0"), None, 0, "r0", id="unreadable report"),
        pytest.param(launched(timedelta(hours=POLICY.cooldown_hours - 1)), DRIFT, 0, "older", id="cool-down"),
        pytest.param(launched(timedelta(hours=POLICY.cooldown_hours + 1)), DRIFT, 1, "r1", id="after the cool-down"),
        pytest.param(
            launched(*[timedelta(days=2 + n) for n in range(POLICY.maximum_per_30_days)]),
            DRIFT,
            0,
            "older",
            id="budget spent",
        ),
        pytest.param(
            launched(*[timedelta(days=31 + n) for n in range(9)]), DRIFT, 1, "r1", id="old retrains do not count"
        ),
    ],
)
def test_plan(state: RetrainState, evidence: DriftEvidence | None, requests: int, answered: str | None) -> None:
    plan = plan_retrain(state, evidence, POLICY, NOW)
    assert len(plan.requests) == requests
    assert plan.state.answered == answered
    assert RetrainState.from_dict(plan.state.to_dict()) == plan.state
    assert plan.words


def test_the_run_key_is_the_evidence() -> None:
    (request,) = plan_retrain(RetrainState(), DRIFT, POLICY, NOW).requests
    assert request.run_key == "drift:r1"
    assert request.cause == DRIFT.words
