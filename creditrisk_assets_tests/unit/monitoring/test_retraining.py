"""Retraining: evidence once, after the cool-down, within the budget; no evidence is no answer; a killed daemon changes nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.monitoring.retraining import Evidence, RetrainRun, RetrainState, plan_retrain

POLICY = load_policy().retraining
NOW = datetime(2026, 5, 3, 14, tzinfo=UTC)
DRIFT = Evidence("drift", "r1", calls=True, words="12 of 40 inputs moved")
QUIET = Evidence("drift", "r2", calls=False, words="nothing moved")
JUST_COOLED = timedelta(hours=POLICY.cooldown_hours + 1)


def runs(*ago: timedelta, evidence: str = "performance:other", state: str = "succeeded") -> list[RetrainRun]:
    return [RetrainRun(evidence, state, NOW - each) for each in ago]


@pytest.mark.parametrize(
    ("state", "evidence", "launched", "attempt", "answered"),
    [
        pytest.param(None, QUIET, [], None, QUIET.key, id="quiet"),
        pytest.param(None, DRIFT, [], 1, None, id="drifted"),
        pytest.param(DRIFT.key, DRIFT, [], None, DRIFT.key, id="answered before"),
        pytest.param("older", None, [], None, "older", id="unreadable"),
        pytest.param(None, DRIFT, runs(timedelta(hours=POLICY.cooldown_hours - 1)), None, None, id="cool-down"),
        pytest.param(None, DRIFT, runs(JUST_COOLED), 1, None, id="after the cool-down"),
        pytest.param(
            None, DRIFT, runs(*[timedelta(days=2 + n) for n in range(POLICY.maximum_per_30_days)]), None, None, id="budget spent"
        ),
        pytest.param(None, DRIFT, runs(*[timedelta(days=31 + n) for n in range(9)]), 1, None, id="old ones do not count"),
        pytest.param(None, DRIFT, runs(JUST_COOLED, state="active"), None, None, id="another is under way"),
        pytest.param(None, DRIFT, runs(timedelta(hours=1), evidence=DRIFT.key), None, DRIFT.key, id="retrained for it"),
        pytest.param(
            None, DRIFT, runs(timedelta(minutes=5), evidence=DRIFT.key, state="failed"), 2, None, id="failed once: again at once"
        ),
        pytest.param(
            None,
            DRIFT,
            runs(timedelta(minutes=5), timedelta(minutes=9), evidence=DRIFT.key, state="failed"),
            None,
            DRIFT.key,
            id="failed twice: given up",
        ),
    ],
)  # fmt: skip
def test_plan(
    state: str | None, evidence: Evidence | None, launched: list[RetrainRun], attempt: int | None, answered: str | None
) -> None:
    plan = plan_retrain(RetrainState(state), evidence, launched, POLICY, NOW, attempts=2)
    assert (plan.request.attempt if plan.request else None) == attempt
    assert plan.state.answered == answered
    assert RetrainState.from_dict(plan.state.to_dict()) == plan.state
    assert plan.words


def test_the_run_key_is_the_evidence_and_the_attempt() -> None:
    request = plan_retrain(RetrainState(), DRIFT, [], POLICY, NOW).request
    assert request is not None
    assert request.run_key == f"{DRIFT.key}:1"
    assert request.cause == DRIFT.words
    other = Evidence("performance", "r1", calls=True, words="")
    assert len({DRIFT.key, QUIET.key, other.key}) == 3


def test_a_daemon_killed_before_it_kept_its_cursor_asks_for_no_second_run() -> None:
    first = plan_retrain(RetrainState(), DRIFT, [], POLICY, NOW)
    assert first.request is not None
    # nothing was launched yet: the same name is asked for, which Dagster launches once
    again = plan_retrain(RetrainState(), DRIFT, [], POLICY, NOW + timedelta(minutes=1))
    assert again.request == first.request
    # the run was launched, the cursor lost
    for state in ("active", "succeeded"):
        launched = [RetrainRun(first.request.evidence, state, NOW)]
        for later in (timedelta(minutes=1), timedelta(days=20)):
            assert plan_retrain(RetrainState(), DRIFT, launched, POLICY, NOW + later).request is None


def test_all_evidence_shares_one_cool_down() -> None:
    breach = Evidence("performance", "auc:2026-05:v1", calls=True, words="worse")
    plan = plan_retrain(RetrainState(), breach, runs(timedelta(hours=1), evidence=DRIFT.key), POLICY, NOW)
    assert plan.request is None
    assert "hours ago" in plan.words
