"""The alert store, on SQLite and PostgreSQL: all of a plan or nothing, each thing once, whoever is killed when."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, event, func, select

from creditrisk_assets.monitoring.alerts import store as store_module
from creditrisk_assets.monitoring.alerts.configuration import AlertPolicy
from creditrisk_assets.monitoring.alerts.delivery import FileChannel, deliver
from creditrisk_assets.monitoring.alerts.routing import Mute
from creditrisk_assets.monitoring.alerts.store import DELIVERIES, HISTORY, METADATA, AlertStore, AlertStoreError
from creditrisk_assets.monitoring.conditions import Condition, Observation

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
POLICY = AlertPolicy()
OVERDUE = Condition(
    "freshness", "raw/bureau", "critical", "raw/bureau is overdue", NOW - timedelta(hours=1), "creditrisk run"
)
MARK = OVERDUE.fingerprint


def seen(*conditions: Condition, at: datetime = NOW, healthy: str = "") -> Observation:
    return Observation(at, "assets", conditions, dict.fromkeys(healthy.split(), "well again"))


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_an_alert_is_opened_once_and_kept(database: SecretStr) -> None:
    with AlertStore(database) as store:
        assert len(store.apply(seen(OVERDUE), POLICY, NOW).notices) == 1
    with AlertStore(database) as store:
        assert store.apply(seen(OVERDUE, at=later(1)), POLICY, later(1)).notices == []
        (alert,) = store.alerts()
        assert (alert.condition, alert.opened_at, alert.told) == (OVERDUE, NOW, ("log", "journal"))
        assert [(found.channel, found.messages) for found in store.waiting()] == [
            ("asset_page", 1),
            ("journal", 1),
            ("log", 1),
        ]


def test_an_alert_that_ended_stays_in_the_store(database: SecretStr) -> None:
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE), POLICY, NOW)
        store.apply(seen(at=later(1), healthy=MARK), POLICY, later(1))
        assert store.alerts() == []
        (alert,) = store.alerts(resolved=True)
        assert (alert.resolved_at, alert.resolution) == (later(1), "well again")
        again, history = store.history(alert.id or 0)
        assert again == alert
        assert [(entry["at"], entry["event"]) for entry in history] == [(NOW, "opened"), (later(1), "resolved")]


def test_an_alert_that_comes_back_soon_is_the_same_one(database: SecretStr) -> None:
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE), POLICY, NOW)
        store.apply(seen(at=later(1), healthy=MARK), POLICY, later(1))
        store.apply(seen(OVERDUE, at=later(2)), POLICY, later(2))
        store.apply(seen(at=later(200), healthy=MARK), POLICY, later(200))
        store.apply(seen(OVERDUE, at=later(400)), POLICY, later(400))
        assert [(alert.id, alert.openings) for alert in store.alerts(resolved=True)] == [(2, 1), (1, 2)]


def test_acknowledging_is_noted_with_name_and_reason(database: SecretStr) -> None:
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE), POLICY, NOW)
        store.acknowledge(1, "ana", "the bureau is late", later(1))
        alert, history = store.history(1)
        assert alert.acknowledged_by == "ana"
        assert history[-1] == {"at": later(1), "event": "acknowledged", "words": "by ana: the bureau is late"}


@pytest.mark.parametrize("number", [1, 99, 10**30, -1])
def test_what_is_not_open_cannot_be_acknowledged(database: SecretStr, number: int) -> None:
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE), POLICY, NOW)
        store.apply(seen(at=later(1), healthy=MARK), POLICY, later(1))
        with pytest.raises(AlertStoreError, match=f"alert {number} (is resolved already|was never opened)"):
            store.acknowledge(number, "ana", "", later(2))


def test_there_is_no_history_of_what_never_was(database: SecretStr) -> None:
    with AlertStore(database) as store, pytest.raises(AlertStoreError, match="there is no alert 7"):
        store.history(7)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"pattern": " "}, "say the pattern"),
        ({"by": ""}, r"say who does not want to hear of it \(--by\)"),
        ({"by": "x" * 129}, "in 128 characters at most"),
        ({"reason": " "}, r"say why \(--reason\)"),
        ({"until": NOW + timedelta(days=367)}, "a mute lasts 366 days at most"),
    ],
)
def test_a_mute_says_which_how_long_who_and_why(database: SecretStr, given: dict, says: str) -> None:
    whole = {"pattern": "*", "until": later(60), "by": "ana", "reason": "known"}
    with AlertStore(database) as store:
        with pytest.raises(AlertStoreError, match=says):
            store.mute(Mute(**{**whole, **given}), NOW)
        store.mute(Mute(**whole), NOW)
        assert len(store.mutes(NOW)) == 1


def test_an_alert_that_nobody_takes_care_of_is_not_acknowledged(database: SecretStr) -> None:
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE), POLICY, NOW)
        with pytest.raises(AlertStoreError, match=r"say who takes care of it \(--by\)"):
            store.acknowledge(1, " ", "", later(1))
        assert store.alerts()[0].acknowledged_by is None


def test_what_was_resolved_long_ago_is_forgotten_with_all_that_belongs_to_it(database: SecretStr) -> None:
    other = replace(OVERDUE, subject="raw/applications")
    kept, short = AlertPolicy(keep_resolved_days=None), AlertPolicy(keep_resolved_days=30)
    day = 24 * 60
    with AlertStore(database) as store:
        store.mute(Mute("daemon:*", later(60), "ana", "known"), NOW)
        store.apply(seen(OVERDUE, other), POLICY, NOW)
        first = store.head("log", NOW)
        assert first is not None
        store.delivered("log", first.id, NOW)
        store.apply(seen(other, at=later(1), healthy=MARK), POLICY, later(1))
        numbers = {alert.fingerprint: alert.id for alert in store.alerts(resolved=True)}
        for policy, after, left in (
            (short, 29 * day, 2),
            (kept, 5000 * day, 2),
            (POLICY, 399 * day, 2),
            (short, 31 * day, 1),
        ):
            store.apply(seen(other, at=later(after)), policy, later(after))
            assert len(store.alerts(resolved=True)) == left
        assert [alert.fingerprint for alert in store.alerts()] == [other.fingerprint], (
            "an open alert is never forgotten"
        )
        with pytest.raises(AlertStoreError, match="there is no alert"):
            store.history(numbers[MARK] or 0)
        with store._transaction() as connection:
            rows = {
                t.name: connection.execute(select(func.count()).select_from(t)).scalar() for t in METADATA.sorted_tables
            }
            events = set(connection.execute(select(HISTORY.c.alert_id)).scalars())
        assert events == {numbers[other.fingerprint]}
        assert rows["mutes"] == 0
        assert {each.channel for each in store.waiting()} >= {"journal"}, "what was not delivered yet is kept"
        with store._transaction() as connection:
            assert connection.execute(select(DELIVERIES).where(DELIVERIES.c.id == first.id)).first() is None


def test_a_resolved_alert_is_kept_as_long_as_it_matters_to_the_plan(database: SecretStr) -> None:
    hasty = AlertPolicy(keep_resolved_days=0.001)
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE), hasty, NOW)
        store.apply(seen(at=later(1), healthy=MARK), hasty, later(1))
        store.apply(seen(at=later(50)), hasty, later(50))
        assert len(store.alerts(resolved=True)) == 1
        store.apply(seen(at=later(62)), hasty, later(62))
        assert store.alerts(resolved=True) == []


def test_a_mute_ends_by_itself_or_by_hand(database: SecretStr) -> None:
    with AlertStore(database) as store:
        store.mute(Mute("freshness:*", later(60), "ana", "known"), NOW)
        store.mute(Mute("check:*", later(60), "ana", "known"), NOW)
        assert store.apply(seen(OVERDUE), POLICY, NOW).notices[0].channels == ("asset_page",)
        assert store.unmute("check:*", later(1)) == 1
        assert store.unmute("check:*", later(1)) == 0
        assert [mute.pattern for mute in store.mutes(later(2))] == ["freshness:*"]
        assert store.mutes(later(60)) == []
        with pytest.raises(AlertStoreError, match="would have ended already"):
            store.mute(Mute("*", NOW, "ana", "known"), NOW)


def test_several_plans_at_once_tell_it_once(database: SecretStr) -> None:
    """Twelve deployments' worth of sensors start at the same moment on an empty database."""
    told: list[int] = []
    barrier = threading.Barrier(12)

    def look() -> None:
        with AlertStore(database) as store:
            barrier.wait()
            told.append(len(store.apply(seen(OVERDUE), POLICY, NOW).notices))

    threads = [threading.Thread(target=look) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [0] * 11 + [1]
    with AlertStore(database) as store:
        assert len(store.alerts()) == 1


def test_only_one_deliverer_holds_a_channel_and_a_dead_one_lets_go(database: SecretStr) -> None:
    minute = timedelta(minutes=1)
    with AlertStore(database) as store:
        assert store.lease("log", "one", NOW, minute)
        assert not store.lease("log", "two", NOW, minute)
        assert store.lease("mail", "two", NOW, minute)
        assert store.lease("log", "one", later(0.5), minute)
        assert not store.lease("log", "two", later(1), minute)
        assert store.lease("log", "two", later(2), minute)
        store.release("log", "one")
        assert not store.lease("log", "one", later(2), minute)
        store.release("log", "two")
        assert store.lease("log", "one", later(2), minute)


def test_a_time_that_a_wrong_clock_noted_keeps_no_message_back(database: SecretStr) -> None:
    year, minute = timedelta(days=365), timedelta(minutes=1)
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE), POLICY, NOW)
        assert store.lease("log", "ahead", NOW + year, minute)
        assert store.lease("log", "two", NOW, minute)
        first = store.head("log", NOW)
        assert first is not None
        store.failed(first, "no", NOW + year)
        assert store.head("log", NOW) is not None
        store.failed(first, "no", NOW + timedelta(hours=1))  # the longest a receiver may ask for
        assert store.head("log", NOW) is None


def test_messages_leave_in_the_order_of_their_plans_and_one_that_never_arrives_lets_the_others_pass(
    database: SecretStr,
) -> None:
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE), POLICY, NOW)
        store.apply(seen(at=later(1), healthy=MARK), POLICY, later(1))
        first = store.head("log", later(1))
        assert first is not None
        assert first.notices[0]["event"] == "opened"
        for _ in range(8):
            assert store.head("log", later(1)) == first
            store.failed(first, "no", later(1))
            first = replace(first, attempts=first.attempts + 1)
        second = store.head("log", later(1))
        assert second is not None
        assert second.notices[0]["event"] == "resolved"


def test_nothing_is_due_before_its_time_and_everything_is_once_the_channel_answers(database: SecretStr) -> None:
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE), POLICY, NOW)
        first = store.head("log", NOW)
        assert first is not None
        store.failed(first, "no", later(10))
        assert store.head("log", later(9)) is None
        assert store.head("log", later(10)) is not None
        store.apply(seen(at=later(1), healthy=MARK), POLICY, later(1))
        assert store.head("log", later(1)) is not None, "a new message is a reason to try"
        store.delivered("log", first.id, later(2))
        rest = store.head("log", later(2))
        assert rest is not None
        assert rest.notices[0]["event"] == "resolved"


def watch_and_deliver(database: SecretStr, journal: Path, minute: float) -> None:
    """Do what a sensor does: plan, store, deliver; the clock stands."""
    with AlertStore(database) as store:
        store.apply(seen(OVERDUE, at=later(minute)), POLICY, later(minute))
        deliver(store, {"journal": FileChannel(journal)}, clock=lambda: later(minute))


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Run work in a process of its own that is killed just before its n-th statement or commit; tell whether it was."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    steps = iter(range(step))

    def count(*_: object) -> None:
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        event.listen(Engine, "before_cursor_execute", count)
        event.listen(Engine, "commit", count)
        work()
    except BaseException:  # a forked test must not go on as a second pytest
        os._exit(3)
    os._exit(0)


def test_killed_between_any_two_statements_nothing_is_lost_and_nothing_told_twice(
    database: SecretStr, tmp_path: Path
) -> None:
    """The one message in flight at the kill may arrive again, and then under the same key."""
    if database.get_secret_value().startswith("postgresql"):
        with AlertStore(database) as store:  # twenty fewer statements to die before
            store.alerts()
    repeated, step = 0, 0
    while True:
        place = tmp_path / str(step)
        place.mkdir()
        own = SecretStr(database.get_secret_value().replace(str(tmp_path / "alerts.db"), str(place / "alerts.db")))
        was_killed = killed_at(step, lambda own=own, place=place: watch_and_deliver(own, place / "journal", 0))
        watch_and_deliver(own, place / "journal", 5)
        lines = [json.loads(line) for line in (place / "journal").read_text().splitlines()]
        assert {line["event"] for line in lines} == {"opened"}
        assert len({line["key"] for line in lines}) == 1, f"told twice when killed before statement {step}"
        repeated += len(lines) - 1
        with AlertStore(own) as store:
            assert len(store.alerts()) == 1
            store.apply(seen(at=later(9), healthy=MARK), POLICY.model_copy(update={"flapping_times": 99}), later(9))
            deliver(store, {"journal": FileChannel(place / "journal")}, clock=lambda: later(9))
            assert store.alerts() == []
            forget(store)
        if not was_killed:
            break
        step += 1
    assert step > 15
    assert 0 < repeated <= 4, "only a kill within the transaction that notes the delivery repeats it"


def forget(store: AlertStore) -> None:
    """Empty the store, so that the next round begins anew."""
    with store._transaction() as connection:
        for table in METADATA.tables.values():
            connection.execute(table.delete())


def test_a_database_that_cannot_be_used_is_an_error_without_its_password(tmp_path: Path) -> None:
    for url in (
        "postgresql+psycopg2://risk:very-secret@127.0.0.1:9/alerts",
        "nonsense:very-secret",
        "mysql://u:very-secret@h/d",
        "postgresql+psycopg2://risk:an@very-secret@127.0.0.1/alerts",  # an @ that was not escaped
        "postgresql+psycopg2://risk:an@other:very-secret@127.0.0.1/alerts",
        "postgresql+psycopg2://risk:very-secret@127.0.0.1:port/alerts",
    ):
        with pytest.raises(AlertStoreError, match="CREDITRISK_ALERTS_DATABASE") as caught:
            AlertStore(SecretStr(url)).alerts()
        assert "very-secret" not in str(caught.value)
    (tmp_path / "alerts.db").write_bytes(b"not a database, whatever it says" * 99)
    with pytest.raises(AlertStoreError, match="cannot be used"):
        AlertStore(SecretStr(f"sqlite:///{tmp_path / 'alerts.db'}")).alerts()


def test_a_writer_that_hangs_is_waited_for_and_no_longer(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "WAIT_SECONDS", 1)
    url = SecretStr(postgresql)
    with (
        AlertStore(url) as hanging,
        AlertStore(url) as other,
        hanging._transaction(),
        pytest.raises(AlertStoreError) as caught,
    ):
        other.alerts()
    assert "lock timeout" in str(caught.value)
    with AlertStore(url) as store:
        assert store.mutes(NOW) == []


def test_a_database_that_accepts_and_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg2")
    monkeypatch.setattr(store_module, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg2://risk:very-secret@127.0.0.1:{silent.getsockname()[1]}/alerts"
        with pytest.raises(AlertStoreError, match="timeout expired") as caught:
            AlertStore(SecretStr(url)).alerts()
    assert "very-secret" not in str(caught.value)


def test_looking_whether_there_is_a_store_makes_none(tmp_path: Path) -> None:
    store = AlertStore(SecretStr(f"sqlite:///{tmp_path / 'below' / 'alerts.db'}"))
    assert not store.exists
    assert not (tmp_path / "below").exists()
    assert store.alerts() == []
    assert store.exists
