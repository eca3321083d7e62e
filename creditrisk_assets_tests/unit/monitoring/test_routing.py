"""Routing: each condition is told once, its end once, and one cause is one alert."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from creditrisk_assets.monitoring.alerts.configuration import AlertPolicy, Escalation, FileChannel, LogChannel, Route
from creditrisk_assets.monitoring.alerts.routing import ASSET_PAGE, Alert, Mute, Plan, State, plan
from creditrisk_assets.monitoring.conditions import Condition, Observation

START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
LINEAGE = {
    "features/bureau": frozenset({"raw/bureau"}),
    "features/applicant": frozenset({"features/bureau", "raw/bureau"}),
    "serving/batch_scores": frozenset({"features/applicant", "features/bureau", "raw/bureau"}),
}
POLICY = AlertPolicy(
    channels={"log": LogChannel(kind="log"), "chat": FileChannel(kind="file"), "pager": FileChannel(kind="file")},
    routes=(Route(channels=("log",)), Route(severity=("critical",), channels=("chat",))),
    escalation=Escalation(after_hours=4, channels=("pager",)),
    reminder_hours=24,
    settle_seconds=15,
    aftermath_minutes=60,
    flapping_times=3,
    flapping_minutes=60,
)


def overdue(asset: str = "raw/bureau", state: str = "critical", **other) -> Condition:
    what = f"{asset} is overdue"
    return Condition(
        "freshness", asset, state, what, other.pop("since", START - timedelta(hours=1)), "creditrisk run", **other
    )


def broken(asset: str = "raw/bureau", **other) -> Condition:
    values = {"severity": "critical", "detail": "contract", "blocks": True, **other}
    return Condition("check", asset, what=f"{asset} broke", since=START - timedelta(hours=1), remedy="r", **values)


def failed(asset: str = "raw/bureau", **other) -> Condition:
    since = START - timedelta(hours=1)
    return Condition("materialization", asset, "critical", f"{asset} failed", since, "r", blocks=True, **other)


def silent(daemon: str = "SENSOR") -> Condition:
    return Condition("daemon", daemon, "critical", f"{daemon} is silent", START - timedelta(hours=1), "creditrisk ui")


@dataclass
class World:
    """The store in memory, and a clock."""

    policy: AlertPolicy = POLICY
    alerts: dict[int, Alert] = field(default_factory=dict)
    mutes: tuple[Mute, ...] = ()
    now: datetime = START

    def look(
        self, *conditions: Condition, healthy: str = "", after: timedelta = timedelta(minutes=1), **other
    ) -> list[str]:
        """Look once, and return what is told: event, fingerprint, channels of people."""
        self.now += after
        seen = Observation(
            other.pop("at", self.now), "assets", conditions, dict.fromkeys(healthy.split(), "well again"),
            upstream=LINEAGE, **other,
        )  # fmt: skip
        self.plan = self._plan(seen)
        for alert in self.plan.alerts.values():
            number = alert.id or len(self.alerts) + 1
            self.alerts[number] = replace(alert, id=number)
        told = []
        for notice in self.plan.notices:
            people = " ".join(channel for channel in notice.channels if channel != ASSET_PAGE)
            told += [f"{notice.event} {notice.alert.fingerprint} {people}"] if people else []
        return told

    def _plan(self, seen: Observation) -> Plan:
        recent = [a for a in self.alerts.values() if not a.resolved_at or self.now - a.resolved_at < self.policy.memory]
        return plan(State(tuple(recent), self.mutes), seen, self.policy, self.now)

    def open(self) -> dict[str, Alert]:
        return {alert.fingerprint: alert for alert in self.alerts.values() if alert.resolved_at is None}


@pytest.fixture
def world() -> World:
    return World()


def test_what_goes_on_is_told_once_and_its_end_once(world: World) -> None:
    assert world.look(overdue()) == ["opened freshness:raw/bureau log chat"]
    assert world.look(overdue()) == []
    assert world.look(healthy="freshness:raw/bureau") == ["resolved freshness:raw/bureau log chat"]
    assert world.look(healthy="freshness:raw/bureau") == []


def test_an_end_without_a_beginning_is_not_told(world: World) -> None:
    assert world.look(healthy="freshness:raw/bureau check:raw/bureau:contract") == []


def test_what_cannot_be_read_stays_as_it_is(world: World) -> None:
    world.look(overdue())
    assert world.look() == []
    assert list(world.open()) == ["freshness:raw/bureau"]
    assert world.look(overdue()) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("warning", "critical", ["changed freshness:raw/bureau log chat"]),
        ("critical", "warning", ["changed freshness:raw/bureau log chat"]),
        ("critical", "critical", []),
    ],
)
def test_a_change_of_severity_is_told_to_all_who_know(world: World, before: str, after: str, told: list[str]) -> None:
    world.look(overdue(state=before))
    assert world.look(overdue(state=after)) == told
    assert world.look(overdue(state=after)) == []


def test_the_end_is_told_to_those_who_heard_of_the_beginning(world: World) -> None:
    world.look(overdue(state="warning"))
    assert world.look(healthy="freshness:raw/bureau") == ["resolved freshness:raw/bureau log"]


def test_an_alert_on_something_that_is_gone_ends(world: World) -> None:
    world.look(replace(broken(), location="assets"))
    assert world.look(watched=frozenset({"check:raw/bureau:contract"})) == []
    assert world.look(watched=None) == []
    assert world.look(watched=frozenset()) == ["resolved check:raw/bureau:contract log chat"]


def test_an_alert_of_another_location_does_not_end_because_this_one_does_not_know_it(world: World) -> None:
    world.look(replace(broken(), location="serving"))
    assert world.look(watched=frozenset()) == []


FOLDED = {
    "the failed step of a failed check": ([broken(), failed()], "check:raw/bureau:contract", []),
    "what becomes overdue because its own check fails": ([broken(), overdue()], "check:raw/bureau:contract", []),
    "what becomes overdue downstream of a failed check": (
        [broken(), overdue("features/bureau"), overdue("features/applicant"), overdue("serving/batch_scores")],
        "check:raw/bureau:contract",
        ["features/applicant", "features/bureau", "serving/batch_scores"],
    ),
    "what is overdue downstream of what is overdue": (
        [overdue("features/applicant"), overdue("raw/bureau"), overdue("features/bureau")],
        "freshness:raw/bureau",
        ["features/applicant", "features/bureau"],
    ),
    "what fails downstream of a failed asset": ([failed(), failed("features/bureau")], "materialization:raw/bureau", ["features/bureau"]),
    "everything overdue while a daemon is silent": (
        [silent(), overdue(), overdue("training/split_train")],
        "daemon:SENSOR",
        ["raw/bureau", "training/split_train"],
    ),
    "a sensor that is not tried while its daemon is silent": (
        [silent(), Condition("sensor", "assets/on_drift", "critical", "not tried", START - timedelta(hours=2), "r")],
        "daemon:SENSOR",
        [],
    ),
    "what a crashed run did not make": (
        [
            Condition(
                "run", "nightly", "critical", "crashed", START - timedelta(hours=1), "r",
                holds_up=("raw/bureau",), explains=frozenset({"freshness:raw/bureau"}),
            ),
            overdue(),
        ],
        "run:nightly",
        ["raw/bureau"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDED)
def test_one_cause_is_one_alert_that_lists_what_it_affects(world: World, case: str) -> None:
    conditions, root, affected = FOLDED[case]
    for order in (conditions, conditions[::-1]):
        fresh = World()
        assert fresh.look(*order) == [f"opened {root} log chat"]
        assert sorted(fresh.open()[root].affected) == affected
        assert sorted(fresh.plan.notices[0].to_dict(1, fresh.now)["affected"]) == affected
        assert fresh.look(*order) == []


def test_what_shows_up_later_is_folded_into_the_open_alert(world: World) -> None:
    world.look(broken())
    assert world.look(broken(), failed(), after=timedelta(minutes=1)) == []
    assert world.look(broken(), failed(), overdue("features/bureau"), after=timedelta(hours=3)) == []
    assert world.open()["check:raw/bureau:contract"].affected == ("features/bureau",)


def test_of_two_causes_the_one_that_was_told_takes_what_follows(world: World) -> None:
    world.look(broken(), after=timedelta(minutes=1))
    older = silent()
    older = replace(older, since=older.since - timedelta(days=9))
    world.look(broken(), older, overdue("features/bureau"))
    assert world.open()["check:raw/bureau:contract"].affected == ("features/bureau",)


def test_a_cause_that_another_location_told_of_is_a_cause_here_too(world: World) -> None:
    world.look(broken())
    assert world.look(overdue("serving/batch_scores")) == []
    assert list(world.open()) == ["check:raw/bureau:contract"]


def test_what_followed_recovers_after_its_cause_without_a_word(world: World) -> None:
    late = overdue("features/bureau")
    world.look(broken(), late)
    assert world.look(late, healthy="check:raw/bureau:contract") == ["resolved check:raw/bureau:contract log chat"]
    assert world.look(late, after=timedelta(minutes=30)) == []
    assert world.look(healthy="freshness:features/bureau") == []


def test_what_followed_and_does_not_recover_is_told_after_the_aftermath(world: World) -> None:
    late = overdue("features/bureau")
    world.look(broken(), late)
    world.look(late, healthy="check:raw/bureau:contract")
    assert world.look(late, after=timedelta(minutes=61)) == ["opened freshness:features/bureau log chat"]


NOT_FOLDED = {
    "a failed check downstream of a failed check": [broken(), broken("features/bureau")],
    "a critical condition below a warning": [overdue(state="warning"), overdue("features/bureau")],
    "what is overdue beside a check that blocks nothing": [broken(blocks=False), overdue("features/bureau")],
    "unrelated assets": [broken(), overdue("training/split_train")],
    "what is overdue upstream of a failed asset": [overdue("raw/bureau"), failed("features/bureau")],
}


@pytest.mark.parametrize("case", NOT_FOLDED)
def test_what_does_not_follow_for_certain_is_an_alert_of_its_own(world: World, case: str) -> None:
    assert len(world.look(*NOT_FOLDED[case])) == 2


def test_what_is_wrong_upstream_is_named_as_the_probable_cause(world: World) -> None:
    old = Condition("data_age", "raw/bureau", "warning", "data of raw/bureau are old", START - timedelta(hours=9), "r")
    world.look(
        old, broken("features/bureau", cause="raw/bureau changed"), broken("training/split_train", cause="it changed")
    )
    assert world.open()["check:features/bureau:contract"].condition.cause == "data of raw/bureau are old"
    assert world.open()["check:training/split_train:contract"].condition.cause == "it changed"


def test_a_young_condition_waits_for_its_cause(world: World) -> None:
    young = overdue("features/bureau", since=START + timedelta(minutes=1, seconds=-10))
    assert world.look(young) == []
    assert world.look(young, overdue()) == ["opened freshness:raw/bureau log chat"]


def test_what_a_wrong_clock_noted_holds_nothing_up(world: World) -> None:
    """A machine's clock was a year ahead for a while; the others', and its own since, are right."""
    year = timedelta(days=365)
    world.now += year
    assert world.look(overdue(since=world.now - timedelta(hours=1))) == ["opened freshness:raw/bureau log chat"]
    world.now -= year
    ahead = overdue("features/credit_card", since=world.now + year)
    assert world.look(ahead, healthy="freshness:raw/bureau") == [
        "resolved freshness:raw/bureau log chat",
        "opened freshness:features/credit_card log chat",
    ]


def test_a_look_that_began_before_the_store_learned_more_undoes_nothing(world: World) -> None:
    world.look(overdue())
    before = world.now - timedelta(seconds=1)
    assert world.look(healthy="freshness:raw/bureau", at=before) == []
    world.look(healthy="freshness:raw/bureau")
    before = world.now - timedelta(seconds=1)
    assert world.look(overdue(), at=before) == []
    assert world.open() == {}


def test_what_comes_and_goes_is_told_as_flapping_and_ends_when_it_is_calm(world: World) -> None:
    told = [world.look(overdue()) + world.look(healthy="freshness:raw/bureau") for _ in range(5)]
    events = [[line.split()[0] for line in lines] for lines in told]
    assert events == [["opened", "resolved"], ["opened", "resolved"], ["flapping"], [], []]
    assert world.open()["freshness:raw/bureau"].openings == 3
    world.look(healthy="freshness:raw/bureau", after=timedelta(minutes=30))
    assert world.look(healthy="freshness:raw/bureau", after=timedelta(minutes=31)) == [
        "resolved freshness:raw/bureau log chat"
    ]
    assert len(world.alerts) == 1


def test_what_flaps_again_begins_its_calm_anew(world: World) -> None:
    for _ in range(3):
        world.look(overdue())
        world.look(healthy="freshness:raw/bureau")
    world.look(overdue(), after=timedelta(minutes=30))
    world.look(healthy="freshness:raw/bureau")
    assert world.look(healthy="freshness:raw/bureau", after=timedelta(minutes=40)) == []
    assert world.look(healthy="freshness:raw/bureau", after=timedelta(minutes=20)) != []


def test_what_comes_back_long_after_is_a_new_alert(world: World) -> None:
    world.look(overdue())
    world.look(healthy="freshness:raw/bureau")
    assert world.look(overdue(), after=timedelta(minutes=61)) == ["opened freshness:raw/bureau log chat"]
    assert [alert.openings for alert in world.alerts.values()] == [1, 1]


@pytest.mark.parametrize("pattern", ["freshness:raw/bureau", "freshness:*", "*bureau"])
def test_a_muted_alert_is_told_when_the_mute_ends(world: World, pattern: str) -> None:
    world.mutes = (Mute(pattern, START + timedelta(hours=2), "ana", "known"),)
    assert world.look(overdue()) == []
    assert list(world.open()) == ["freshness:raw/bureau"]
    assert world.look(overdue(), after=timedelta(hours=2)) == ["opened freshness:raw/bureau log chat"]
    assert world.look(overdue()) == []


def test_a_mute_is_about_the_alerts_it_names(world: World) -> None:
    world.mutes = (Mute("check:*", START + timedelta(hours=2), "ana", "known"),)
    assert world.look(overdue()) == ["opened freshness:raw/bureau log chat"]


def test_what_began_and_ended_while_muted_is_never_told(world: World) -> None:
    world.mutes = (Mute("*", START + timedelta(hours=2), "ana", "known"),)
    assert world.look(overdue()) + world.look(healthy="freshness:raw/bureau") == []


def test_who_heard_of_the_beginning_hears_of_the_end_even_when_muted_since(world: World) -> None:
    world.look(overdue())
    world.mutes = (Mute("*", START + timedelta(hours=99), "ana", "known"),)
    assert world.look(overdue(), after=timedelta(hours=30)) == []
    assert world.look(healthy="freshness:raw/bureau") == ["resolved freshness:raw/bureau log chat"]


def test_a_muted_alert_is_still_shown_on_its_asset(world: World) -> None:
    world.mutes = (Mute("*", START + timedelta(hours=2), "ana", "known"),)
    world.look(overdue())
    assert [notice.channels for notice in world.plan.notices] == [(ASSET_PAGE,)]
    world.look(silent())
    assert world.plan.notices == []


def acknowledge(world: World) -> None:
    world.alerts = {number: replace(alert, acknowledged_by="ana") for number, alert in world.alerts.items()}


def test_a_critical_alert_nobody_acknowledges_is_escalated_once(world: World) -> None:
    world.look(overdue())
    assert world.look(after=timedelta(hours=3)) == []
    assert world.look(after=timedelta(hours=1)) == ["escalated freshness:raw/bureau pager"]
    assert world.look() == []
    assert world.look(healthy="freshness:raw/bureau") == ["resolved freshness:raw/bureau log chat pager"]


def test_a_warning_is_not_escalated(world: World) -> None:
    world.look(overdue(state="warning"))
    assert world.look(after=timedelta(hours=9)) == []


def test_an_acknowledged_alert_is_neither_escalated_nor_reminded_of(world: World) -> None:
    world.look(overdue())
    acknowledge(world)
    assert world.look(overdue(), after=timedelta(hours=5)) + world.look(overdue(), after=timedelta(hours=48)) == []


def test_an_acknowledged_warning_that_becomes_critical_is_open_again(world: World) -> None:
    world.look(overdue(state="warning"))
    acknowledge(world)
    assert world.look(overdue()) == ["changed freshness:raw/bureau log chat"]
    assert world.look(after=timedelta(hours=5)) == ["escalated freshness:raw/bureau pager"]


def test_an_open_alert_is_reminded_of_until_somebody_acknowledges_it(world: World) -> None:
    world.look(overdue(state="warning"))
    assert world.look(after=timedelta(hours=23)) == []
    assert world.look(after=timedelta(hours=1)) == ["reminded freshness:raw/bureau log"]
    assert world.look(after=timedelta(hours=1)) == []
    assert world.look(after=timedelta(hours=23)) == ["reminded freshness:raw/bureau log"]
    acknowledge(world)
    assert world.look(after=timedelta(hours=25)) == []


@pytest.mark.parametrize(
    ("route", "told"),
    [
        (Route(owner=("team:credit-data",), channels=("chat",)), True),
        (Route(owner=("team:model-risk",), channels=("chat",)), False),
        (Route(kind=("freshness", "data_age"), severity=("critical",), channels=("chat",)), True),
        (Route(kind=("freshness",), severity=("warning",), channels=("chat",)), False),
    ],
)
def test_a_route_takes_what_fits_all_it_names(route: Route, told: bool) -> None:
    world = World(POLICY.model_copy(update={"routes": (route,)}))
    lines = world.look(overdue(owner="team:credit-data"))
    assert lines == (["opened freshness:raw/bureau chat"] if told else [])
    assert list(world.open()) == ["freshness:raw/bureau"]
    assert world.look(overdue(owner="team:credit-data")) == []


def test_two_things_at_once_are_two_notices_of_one_plan(world: World) -> None:
    assert len(world.look(overdue("raw/bureau"), overdue("raw/application_train"), silent("X"))) == 1
    assert len(World().look(overdue("raw/bureau"), overdue("raw/application_train"))) == 2


def test_a_notice_says_what_a_machine_needs(world: World) -> None:
    world.look(broken(last_good="9f2c of yesterday", owner="team:credit-data", holds_up=("features/bureau",)))
    told = world.plan.notices[0].to_dict(7, world.now)
    assert told == {
        "alert": 7,
        "event": "opened",
        "severity": "critical",
        "fingerprint": "check:raw/bureau:contract",
        "kind": "check",
        "subject": "raw/bureau",
        "asset": "raw/bureau",
        "owner": "team:credit-data",
        "what": "raw/bureau broke",
        "since": "2026-03-02T05:00:00+00:00",
        "at": "2026-03-02T06:01:00+00:00",
        "cause": "",
        "affected": ["features/bureau"],
        "last_good": "9f2c of yesterday",
        "remedy": "r",
        "openings": 1,
    }
