"""A real daemon and a real webhook: each thing that goes wrong is one alert and one resolve, however the daemon is restarted."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from creditrisk_assets import running
from creditrisk_assets.defs.alerts import watch
from creditrisk_assets.monitoring.alerts.store import AlertStore
from creditrisk_assets.running import DAGSTER_YAML
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration import watched

UNDER_WAY = dg.RunsFilter(
    statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
)
WAIT_SECONDS = 300  # a run of the graph beside other work lies in between
CALM_SECONDS = 3 * watched.SECONDS  # three looks without news are silence


@dataclass
class Daemon:
    """The Dagster daemon on a location, in processes of its own."""

    home: Path
    log: Path
    module: str = watched.__name__
    process: subprocess.Popen | None = None

    def start(self) -> None:
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-m", self.module],
                cwd=DAGSTER_YAML.parent, env=os.environ.copy(), stdout=sink, stderr=sink, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Kill it and its code servers where they stand."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, webhook) -> Iterator[Daemon]:
    home, faults, policy = tmp_path / "dagster", tmp_path / "faults", tmp_path / "alerts.yaml"
    for directory in (home, faults):
        directory.mkdir()
    shutil.copyfile(DAGSTER_YAML, home / "dagster.yaml")
    policy.write_text("settle_seconds: 0\n")
    for name, value in {
        "DAGSTER_HOME": home,
        watched.FAULTS: faults,
        "CREDITRISK_ALERTS": policy,
        "CREDITRISK_ALERT_WEBHOOK": webhook[0],
    }.items():
        monkeypatch.setenv(name, str(value))
    with dg.DagsterInstance.get():  # two processes that make its tables at once trip over each other
        daemon = Daemon(home, tmp_path / "daemon.log")
    daemon.start()
    yield daemon
    daemon.kill()


def until(done: Callable[[], bool], daemon: Daemon, what: str, seconds: int = WAIT_SECONDS, pause: float = 0.3) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return
        time.sleep(pause)
    raise AssertionError(f"{what} did not happen in {seconds} s:\n{daemon.log.read_text()[-4000:]}")


def test_each_thing_that_goes_wrong_is_one_alert_and_one_resolve_across_restarts(
    daemon: Daemon, tmp_path: Path, webhook
) -> None:
    """A blocking check fails, a sensor raises, the daemon is killed and comes back; then all is mended."""
    _, received, _ = webhook
    faults, policy = tmp_path / "faults", tmp_path / "alerts.yaml"
    expected: set[str] = set()

    def told() -> list[str]:
        return [f"{alert['event']} {alert['fingerprint']}" for message in received for alert in message["alerts"]]

    def hears(*news: str) -> None:
        """Wait for news, and see that nothing is told twice and nothing else is told; nothing is in flight afterwards."""
        expected.update(news)
        until(lambda: set(told()) >= expected, daemon, f"{news} after {told()}")
        with AlertStore(Settings().alerts_url) as store:
            until(lambda: not store.waiting(), daemon, "delivery to every channel")
        assert sorted(told()) == sorted(expected)

    def materialize() -> None:
        with dg.DagsterInstance.get() as instance:
            job = watched.defs.resolve_job_def("nightly")
            job.execute_in_process(instance=instance, raise_on_error=False)

    materialize()
    (faults / "contract").touch()
    (faults / "sensor").touch()
    materialize()
    check, sensor = "check:raw/bureau:contract", f"sensor:{watched.__name__}/on_something"
    hears(f"opened {check}", f"opened {sensor}")

    daemon.kill()
    policy.write_text("settle_seconds: 0\ndaemon_silent_minutes: 0.00001\n")
    watch(Settings(), once=True)
    hears("opened daemon:dagster-daemon")
    policy.write_text("settle_seconds: 0\n")
    daemon.start()
    hears("resolved daemon:dagster-daemon")
    time.sleep(CALM_SECONDS)
    assert sorted(told()) == sorted(expected), "a restart tells nothing twice"

    (faults / "contract").unlink()
    (faults / "sensor").unlink()
    materialize()
    hears(f"resolved {check}", f"resolved {sensor}")
    daemon.kill()
    daemon.start()
    time.sleep(CALM_SECONDS)
    assert sorted(told()) == sorted(expected)

    with dg.DagsterInstance.get() as instance:
        shown = instance.fetch_observations(watched.RAW, limit=9, ascending=True).records
        states = [record.asset_observation.metadata["alert_state"].text for record in shown if record.asset_observation]
    assert states == ["open", "resolved"], "the asset's own page tells the same"


@pytest.fixture
def fed(tmp_path: Path, portfolio: Path, monkeypatch: pytest.MonkeyPatch, webhook) -> Iterator[Daemon]:
    """Run the platform's own location, with a daily bureau feed that was delivered and taken in today."""
    source, policy = tmp_path / "source", tmp_path / "alerts.yaml"
    shutil.copytree(portfolio, source)
    (tmp_path / "sources.yaml").write_text(
        f"name: lender\nconnection: {{kind: local, directory: {source}}}\ntables: {{bureau: {{cadence: 24h}}}}\n"
    )
    policy.write_text("settle_seconds: 0\n")
    for name, value in {
        "CREDITRISK_SOURCE": tmp_path / "sources.yaml",
        "CREDITRISK_FEED_LOOK_SECONDS": "1",
        "CREDITRISK_ALERTS": policy,
        "CREDITRISK_ALERT_WEBHOOK": webhook[0],
    }.items():
        monkeypatch.setenv(name, str(value))
    settings = Settings()
    taken = running.materialize(settings, 'group:"ingestion" or group:"features"')
    assert taken.failures == []
    daemon = Daemon(settings.dagster_home, tmp_path / "daemon.log", "creditrisk_assets.definitions")
    daemon.start()
    yield daemon
    daemon.kill()


@pytest.mark.drill  # minutes of the whole location and its daemon; the other test of this file has a daemon too
def test_a_feed_left_stale_is_one_alert_and_one_resolve_after_it_is_refreshed(
    fed: Daemon, tmp_path: Path, webhook
) -> None:
    _, received, _ = webhook
    bureau = tmp_path / "source" / "bureau.csv"

    def told() -> list[str]:
        return [f"{alert['event']} {alert['fingerprint']}" for message in received for alert in message["alerts"]]

    two_days_ago = time.time() - 2 * 86400
    os.utime(bureau, (two_days_ago, two_days_ago))
    until(lambda: bool(told()), fed, "an alert")
    (alert,) = [alert for message in received for alert in message["alerts"]]
    assert (alert["event"], alert["kind"], alert["subject"]) == ("opened", "data_age", "raw/bureau")
    with AlertStore(Settings().alerts_url) as store:
        until(lambda: not store.waiting(), fed, "delivery to every channel")
    with dg.DagsterInstance.get() as instance:
        until(lambda: not instance.get_runs(UNDER_WAY), fed, "the end of every run")
    fed.kill()
    fed.start()
    os.utime(bureau)
    until(lambda: len(told()) > 1, fed, "a resolve")
    time.sleep(CALM_SECONDS)
    assert told() == ["opened data_age:raw/bureau", "resolved data_age:raw/bureau"]
