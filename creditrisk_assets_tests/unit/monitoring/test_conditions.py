"""Conditions: which state that was read is one, how severe, in which words; what could not be read is neither wrong nor well."""

from datetime import UTC, datetime, timedelta

import pytest

from creditrisk_assets.monitoring.conditions import (
    AttemptSeen,
    CheckSeen,
    FreshnessSeen,
    HeartbeatSeen,
    Reading,
    RunSeen,
    TickSeen,
    read_checks,
    read_freshness,
    read_heartbeats,
    read_materializations,
    read_runs,
    read_ticks,
)

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


def verdict(reading: Reading) -> dict[str, str]:
    """Return each fingerprint with its severity, or `well`."""
    return {each.fingerprint: each.severity for each in reading.conditions} | dict.fromkeys(reading.healthy, "well")


@pytest.mark.parametrize(
    ("state", "is_"),
    [("PASS", "well"), ("WARN", "warning"), ("FAIL", "critical"), ("UNKNOWN", None), ("NOT_APPLICABLE", None)],
)
def test_an_asset_is_overdue_or_fresh_or_nothing_is_known(state: str, is_: str | None) -> None:
    found = verdict(read_freshness([FreshnessSeen("raw/bureau", state, BEFORE)]))
    assert found == ({"freshness:raw/bureau": is_} if is_ else {})


def test_an_overdue_asset_names_the_command_that_renews_it_and_since_when() -> None:
    (condition,) = read_freshness([FreshnessSeen("raw/bureau", "FAIL", BEFORE)]).conditions
    assert condition.remedy == "creditrisk run --select raw/bureau"
    assert condition.what == "raw/bureau is overdue: it was not verified within its freshness policy"
    assert condition.since == BEFORE


@pytest.mark.parametrize(
    ("name", "passed", "severity", "mark", "is_"),
    [
        ("contract", True, "ERROR", "check:raw/bureau:contract", "well"),
        ("contract", False, "ERROR", "check:raw/bureau:contract", "critical"),
        ("contract", False, "WARN", "check:raw/bureau:contract", "warning"),
        ("data_age", False, "ERROR", "data_age:raw/bureau", "critical"),
        ("data_age", False, "WARN", "data_age:raw/bureau", "warning"),
        ("data_age", True, "WARN", "data_age:raw/bureau", "well"),
    ],
)
def test_a_failed_check_is_a_condition_whether_it_blocks_or_not(
    name: str, passed: bool, severity: str, mark: str, is_: str
) -> None:
    for blocking in (True, False):
        reading = read_checks([CheckSeen("raw/bureau", name, passed, severity, blocking, "3 rules broken", BEFORE)], {})
        assert verdict(reading) == {mark: is_}
        for condition in reading.conditions:
            assert condition.blocks == (blocking and severity == "ERROR")
            assert "3 rules broken" in condition.what


@pytest.mark.parametrize("passed", [True, False])
def test_a_check_without_a_verdict_is_neither_wrong_nor_well(passed: bool) -> None:
    seen = CheckSeen("monitoring/drift", "no_covariate", passed, "WARN", False, "too few", BEFORE, no_verdict=True)
    assert verdict(read_checks([seen], {})) == {}


def test_a_blocking_check_names_what_it_holds_up() -> None:
    held = {"raw/bureau": ("features/bureau",)}
    for severity, expected in (("ERROR", ("features/bureau",)), ("WARN", ())):
        (condition,) = read_checks([CheckSeen("raw/bureau", "c", False, severity, True, "", BEFORE)], held).conditions
        assert condition.holds_up == expected


@pytest.mark.parametrize(
    ("made", "failed", "is_"),
    [
        (None, None, None),
        (BEFORE, None, "well"),
        (None, NOW, "critical"),
        (BEFORE, NOW, "critical"),
        (AFTER, NOW, "well"),
    ],
)
def test_a_failed_asset_is_a_condition_until_it_is_made_anew(
    made: datetime | None, failed: datetime | None, is_: str | None
) -> None:
    found = verdict(read_materializations([AttemptSeen("model/pd", made, failed, "no disk")]))
    assert found == ({"materialization:model/pd": is_} if is_ else {})


@pytest.mark.parametrize(
    ("succeeded", "crashed", "will_retry", "minutes_ago", "is_"),
    [
        (True, False, False, 1, "well"),
        (False, True, False, 1, "critical"),
        (False, False, False, 1, None),  # the failed asset says it
        (False, True, True, 1, None),  # it is about to be tried again
        (False, True, True, 11, "critical"),  # it was not
    ],
)
def test_a_run_that_ends_without_an_assets_word_is_a_condition(
    succeeded: bool, crashed: bool, will_retry: bool, minutes_ago: int, is_: str | None
) -> None:
    at = NOW - timedelta(minutes=minutes_ago)
    seen = RunSeen("nightly", "r" * 36, succeeded, crashed, at, None, will_retry, ("raw/bureau",))
    reading = read_runs([seen], NOW)
    assert verdict(reading) == ({"run:nightly": is_} if is_ else {})
    for condition in reading.conditions:
        assert condition.explains == {"freshness:raw/bureau"}


@pytest.mark.parametrize(
    ("kind", "failed", "failures", "minutes_ago", "is_"),
    [
        ("sensor", False, 0, 1, "well"),
        ("sensor", True, 1, 1, None),  # once may be chance
        ("sensor", True, 2, 1, "warning"),
        ("sensor", True, 9, 61, None),  # it is no longer tried: nothing is known
        ("schedule", False, 0, 1, "well"),
        ("schedule", True, 1, 1, "critical"),
        ("schedule", True, 1, 60 * 20, "critical"),
    ],
)
def test_a_sensor_or_schedule_that_fails_is_a_condition(
    kind: str, failed: bool, failures: int, minutes_ago: int, is_: str | None
) -> None:
    seen = TickSeen(
        kind, "assets", "on_drift", True, failed, failures, NOW - timedelta(minutes=minutes_ago), "LakeError"
    )
    found = verdict(read_ticks([seen], NOW, failing_ticks=2, critical=frozenset()))
    assert found == ({f"{kind}:assets/on_drift": is_} if is_ else {})


def test_a_sensor_that_was_switched_off_is_nobodys_concern() -> None:
    seen = TickSeen("sensor", "assets", "on_drift", False, True, 9, BEFORE, "LakeError", silent=True)
    assert verdict(read_ticks([seen], NOW, failing_ticks=2, critical=frozenset())) == {"sensor:assets/on_drift": "well"}


@pytest.mark.parametrize("failed", [True, False])
def test_the_sensor_that_alerts_is_critical_when_it_fails_or_is_no_longer_tried(failed: bool) -> None:
    seen = TickSeen("sensor", "serving", "on_alert_condition", True, failed, 3, BEFORE, "LookError", silent=not failed)
    reading = read_ticks([seen], BEFORE, failing_ticks=2, critical=frozenset({"on_alert_condition"}))
    assert verdict(reading) == {"sensor:serving/on_alert_condition": "critical"}


def beats(seen: dict[str, datetime | None], watching_since: datetime = BEFORE) -> dict[str, str]:
    found = [HeartbeatSeen(daemon, at) for daemon, at in seen.items()]
    return verdict(read_heartbeats(found, NOW, silent_after=timedelta(minutes=5), watching_since=watching_since))


def test_a_daemon_without_a_recent_heartbeat_is_silent() -> None:
    assert beats({"SENSOR": BEFORE, "SCHEDULER": None, "BACKFILL": NOW - timedelta(minutes=5)}) == {
        "daemon:SENSOR": "critical",
        "daemon:SCHEDULER": "critical",
        "daemon:BACKFILL": "well",
        "daemon:dagster-daemon": "well",
    }


def test_a_dead_daemon_process_is_one_condition_not_one_per_daemon() -> None:
    assert beats({"SENSOR": BEFORE, "SCHEDULER": None}) == {"daemon:dagster-daemon": "critical"}
    seen = [HeartbeatSeen("SENSOR", BEFORE), HeartbeatSeen("SCHEDULER", None)]
    (condition,) = read_heartbeats(seen, NOW, silent_after=timedelta(minutes=5), watching_since=BEFORE).conditions
    assert condition.explains == {"daemon:SENSOR", "daemon:SCHEDULER"}, "after a restart each may need a moment more"


def test_a_daemon_that_never_gave_a_sign_is_silent_since_it_could_have() -> None:
    reading = read_heartbeats(
        [HeartbeatSeen("SENSOR", None)], NOW, silent_after=timedelta(minutes=5), watching_since=BEFORE
    )
    assert reading.conditions[0].since == NOW - timedelta(minutes=5)


def test_an_old_heartbeat_found_just_after_a_start_says_nothing() -> None:
    old = {"SENSOR": BEFORE, "SCHEDULER": None}
    assert beats(old, watching_since=NOW - timedelta(minutes=4)) == {}
    assert beats({**old, "BACKFILL": NOW}, watching_since=NOW - timedelta(minutes=4)) == {
        "daemon:BACKFILL": "well",
        "daemon:dagster-daemon": "well",
    }


def test_no_words_are_longer_than_a_line_of_a_message() -> None:
    reading = read_checks(
        [CheckSeen("raw/bureau", "contract", False, "ERROR", True, "a\nb  c" + "x" * 5_000, BEFORE)], {}
    )
    (condition,) = reading.conditions
    assert "failed: a b c" in condition.what
    assert len(condition.what) <= 600
