"""Freshness alerts: each change once, a resolve on recovery, nothing for what stayed."""

import pytest

from creditrisk_assets.monitoring.freshness import plan_freshness_alerts


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    [
        ("UNKNOWN", "PASS", None),
        ("PASS", "PASS", None),
        ("PASS", "WARN", "warning"),
        ("WARN", "FAIL", "critical"),
        ("UNKNOWN", "FAIL", "critical"),
        ("FAIL", "FAIL", None),
        ("FAIL", "PASS", "resolved"),
        ("WARN", "PASS", "resolved"),
        ("FAIL", "WARN", "warning"),
    ],
)
def test_a_change_of_state_is_told_once(before: str, after: str, severity: str | None) -> None:
    plan = plan_freshness_alerts({"raw/bureau": before}, {"raw/bureau": after})
    assert [alert.severity for alert in plan.alerts] == ([severity] if severity else [])
    assert plan_freshness_alerts(plan.states, {"raw/bureau": after}).alerts == ()


def test_an_overdue_asset_names_the_command_that_renews_it() -> None:
    (alert,) = plan_freshness_alerts({}, {"raw/bureau": "FAIL"}).alerts
    assert alert.remedy == "creditrisk run --select raw/bureau"
    assert "raw/bureau is overdue" in str(alert)


@pytest.mark.parametrize("now", [{}, {"raw/bureau": "UNKNOWN"}], ids=["missing", "unknown"])
def test_an_asset_that_cannot_be_read_keeps_its_last_state(now: dict[str, str]) -> None:
    plan = plan_freshness_alerts({"raw/bureau": "FAIL"}, now)
    assert plan.alerts == ()
    assert plan_freshness_alerts(plan.states, {"raw/bureau": "FAIL"}).alerts == ()
