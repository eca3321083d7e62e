"""The `creditrisk alerts` commands, as a person types them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from creditrisk_assets import running
from creditrisk_assets.alerting import parse_span
from creditrisk_assets.cli import app
from creditrisk_assets.defs.alerts import watch
from creditrisk_assets.monitoring.alerts.configuration import AlertPolicy
from creditrisk_assets.monitoring.alerts.store import AlertStore, AlertStoreError
from creditrisk_assets.monitoring.conditions import Condition, Observation
from creditrisk_assets.settings import Settings

COMMAND = Path(sys.executable).with_name("creditrisk")


@pytest.fixture
def opened() -> Condition:
    """One open alert in the store of the home directory."""
    now = datetime.now(UTC)
    condition = Condition(
        "check", "raw/bureau", "critical", "check `contract` of raw/bureau failed: 3 rules broken", now - timedelta(hours=1),
        "creditrisk run --select raw/bureau", detail="contract", owner="team:credit-data", holds_up=("features/bureau",),
    )  # fmt: skip
    with AlertStore(Settings().alerts_url) as store:
        store.apply(Observation(now, "assets", (condition,)), AlertPolicy(), now)
    return condition


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["alerts", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_with_nothing_wrong_nothing_is_listed_and_nothing_written() -> None:
    assert "no open alerts" in run("list")
    assert json.loads(run("list", "--json")) == {"alerts": [], "mutes": [], "waiting": [], "problems": []}
    assert not Settings().root.exists()


def test_an_open_alert_is_listed_for_people_and_machines(opened: Condition) -> None:
    text = run("list")
    assert "critical" in text
    assert "3 rules broken" in text
    (alert,) = json.loads(run("list", "--json"))["alerts"]
    assert (alert["id"], alert["fingerprint"], alert["affected"]) == (1, opened.fingerprint, ["features/bureau"])


def test_taking_care_of_an_alert_shows_in_its_story(opened: Condition) -> None:
    assert "taken care of by ana" in run("ack", "1", "--by", "ana", "--reason", "the bureau is late")
    story = run("show", "1")
    for words in (opened.what, "features/bureau", opened.remedy, "acknowledged", "by ana: the bureau is late"):
        assert words in story
    assert json.loads(run("show", "1", "--json"))["acknowledged_by"] == "ana"


def test_muting_and_unmuting(opened: Condition) -> None:
    assert "1 open alerts fit it" in run("mute", "check:raw/*", "--for", "4h", "--by", "ana", "--reason", "known")
    later = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    assert "0 open alerts fit it" in run("mute", "daemon:*", "--until", later, "--by", "ana", "--reason", "known")
    text = run("list")
    assert "muted until" in text
    assert "check:raw/*, by ana: known" in text
    assert run("unmute", "check:raw/*").startswith("1 mutes")
    assert [mute["pattern"] for mute in json.loads(run("list", "--json"))["mutes"]] == ["daemon:*"]
    assert run("unmute", "check:raw/*").startswith("no mute")


def test_resolved_alerts_are_listed_on_demand(opened: Condition) -> None:
    now = datetime.now(UTC)
    with AlertStore(Settings().alerts_url) as store:
        store.apply(Observation(now, "assets", (), {opened.fingerprint: "it passes again"}), AlertPolicy(), now)
    assert "no open alerts" in run("list")
    assert "it passes again" in run("list", "--all")


def test_messages_that_cannot_be_delivered_are_said(opened: Condition) -> None:
    with AlertStore(Settings().alerts_url) as store:
        delivery = store.head("journal", datetime.now(UTC))
        assert delivery is not None
        store.failed(delivery, "the alerts file takes no more; free its disk", datetime.now(UTC))
    assert "1 messages for journal wait: the alerts file takes no more; free its disk, 1 attempts" in run("list")


def test_a_channel_that_cannot_be_opened_is_said_with_what_waits_for_it(
    opened: Condition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alerts.yaml").write_text("channels: {journal: {kind: webhook}}\nroutes: [{channels: [journal]}]\n")
    monkeypatch.setenv("CREDITRISK_ALERTS", str(tmp_path / "alerts.yaml"))
    text = run("list")
    assert "1 messages for journal wait: it cannot be opened" in text
    assert "channel journal cannot be opened: its address is not set" in text
    assert "1 messages for log wait: no such channel is configured any more" in text
    (tmp_path / "alerts.yaml").write_text("channels: [")
    assert "is not valid YAML" in run("list")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ack", "9", "--by", "ana"], "alert 9 was never opened"),
        (["ack", "9" * 30, "--by", "ana"], "was never opened"),
        (["ack", "9", "--by", " "], "say who takes care of it"),
        (["show", "9"], "there is no alert 9"),
        (["show", "9" * 30], "there is no alert 999"),
        (["mute", "x", "--by", "a", "--reason", "b"], "either --for"),
        (["mute", "x", "--for", "1h", "--until", "2030-01-01", "--by", "a", "--reason", "b"], "either --for"),
        (["mute", "x", "--for", "soon", "--by", "a", "--reason", "b"], "--for soon is no span of time"),
        (["mute", "x", "--for", "99999999999d", "--by", "a", "--reason", "b"], "is no span of time"),
        (["mute", "x", "--for", "400d", "--by", "a", "--reason", "b"], "366 days at most"),
        (["mute", "x", "--for", "4h", "--by", "a", "--reason", ""], "say why"),
        (["mute", "x", "--until", "2020-01-01", "--by", "a", "--reason", "b"], "would have ended already"),
    ],
)
def test_what_makes_no_sense_is_refused_with_words(arguments: list[str], says: str) -> None:
    with pytest.raises((ValueError, AlertStoreError)) as caught:
        run(*arguments)
    assert says in str(caught.value)


@pytest.mark.parametrize(("text", "minutes"), [("90m", 90), ("4h", 240), ("2d", 2880), ("1.5 h", 90)])
def test_a_span_of_time_is_read(text: str, minutes: int) -> None:
    assert parse_span(text) == timedelta(minutes=minutes)


def test_status_counts_open_alerts(opened: Condition) -> None:
    done = CliRunner().invoke(app, ["status", "--json"], catch_exceptions=False)
    assert json.loads(done.output)["open_alerts"] == {"critical": 1, "warning": 0}
    assert "alerts    1 critical" in CliRunner().invoke(app, ["status"], catch_exceptions=False).output


def test_the_watchdog_from_a_cron_tells_of_a_daemon_that_is_not_there_once() -> None:
    for _ in range(2):
        done = subprocess.run([COMMAND, "alerts", "watch", "--once"], capture_output=True, text=True, check=True)
    assert done.stderr == "", "the second look has no news"
    (alert,) = json.loads(run("list", "--json"))["alerts"]
    assert alert["fingerprint"] == "daemon:dagster-daemon"
    assert len((Settings().root / "alerts.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_watchdog_of_a_sidecar_ends_when_told_to(stop: signal.Signals, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([COMMAND, "alerts", "watch"], stderr=log, stdout=log, env=os.environ)
    try:
        deadline = time.monotonic() + 60
        while not (Settings().dagster_home / "dagster.yaml").is_file() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(stop)
        assert process.wait(30) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()


def test_the_watchdog_outlives_a_storage_that_is_not_there_yet(caplog: pytest.LogCaptureFixture) -> None:
    settings, stop = Settings(), threading.Event()
    running.prepare_instance(settings)
    described = settings.dagster_home / "dagster.yaml"
    whole = described.read_text()
    described.write_text("storage: {sqlite: [")
    watching = threading.Thread(
        target=watch, args=(settings,), kwargs={"stop": stop, "every": timedelta(seconds=0.2)}, daemon=True
    )
    watching.start()
    try:
        until("the watchdog could not look", lambda: caplog.text)
        described.write_text(whole)
        until("alerts.db", lambda: " ".join(path.name for path in settings.root.iterdir()))
        assert watching.is_alive()
    finally:
        stop.set()
        watching.join(30)


def until(words: str, found: Callable[[], str]) -> None:
    deadline = time.monotonic() + 60
    while words not in found():
        assert time.monotonic() < deadline, found()
        time.sleep(0.05)
