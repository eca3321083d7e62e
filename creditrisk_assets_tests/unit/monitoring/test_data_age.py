"""The second clock: how old the data are, whatever the graph did last night."""

from datetime import UTC, datetime, timedelta

import pytest

from creditrisk_assets.monitoring.data_age import freshness_report, judge, missing

NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (timedelta(0), "fresh"),
        (timedelta(hours=29), "fresh"),
        (timedelta(hours=31), "warn"),
        (timedelta(hours=36), "warn"),
        (timedelta(hours=36, seconds=1), "stale"),
        (timedelta(days=400), "stale"),
        (-timedelta(minutes=4), "fresh"),
        (-timedelta(hours=2), "warn"),
    ],
)
def test_a_daily_feed_is_due_after_thirty_hours_and_stale_after_thirty_six(age: timedelta, state: str) -> None:
    assert judge("bureau", NOW - age, DAY, NOW).state == state


def test_a_static_feed_never_goes_stale() -> None:
    old = judge("bureau", NOW - timedelta(days=4000), "static", NOW)
    assert old.state == "fresh"
    assert old.limit is None
    assert judge("bureau", None, "static", NOW).state == "fresh"


def test_a_clock_that_runs_ahead_is_named_and_never_gives_a_negative_age() -> None:
    ahead = judge("bureau", NOW + timedelta(hours=3), DAY, NOW)
    assert "ahead; check its clock" in ahead.words
    assert ahead.age == timedelta(0)


def test_data_of_unknown_age_warn_and_say_what_to_set() -> None:
    unknown = judge("bureau", None, DAY, NOW)
    assert unknown.state == "warn"
    assert "as_at" in unknown.words


def test_the_words_name_age_cadence_and_limit() -> None:
    words = judge("bureau", NOW - timedelta(hours=50), DAY, NOW).words
    assert "2.1 d old" in words
    assert "every 24.0 h" in words
    assert "stale from 36.0 h" in words


def test_the_report_is_as_bad_as_its_worst_feed() -> None:
    fresh, stale = judge("a", NOW, DAY, NOW), judge("b", NOW - 9 * DAY, DAY, NOW)
    gone = missing("c", "no file", DAY)
    assert freshness_report({}, "s", NOW)["state"] == "missing"
    assert freshness_report({"a": fresh}, "s", NOW)["state"] == "fresh"
    assert freshness_report({"a": fresh, "b": stale}, "s", NOW)["state"] == "stale"
    report = freshness_report({"a": fresh, "b": stale, "c": gone}, "s", NOW)
    assert report["state"] == "missing"
    assert report["feeds"]["b"]["age_hours"] == 216
    assert report["feeds"]["b"]["limit_hours"] == 36
