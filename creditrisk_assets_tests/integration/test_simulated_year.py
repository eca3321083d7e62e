"""A simulated year through a running daemon: each drift is one alert, one retrain where one is called for, and one resolve.

Months are revealed by `creditrisk simulate` and taken in by a backfill of `watch_month`, as from the UI; the daemon does the rest.
It is killed in the middle of a retrain and of a month. Otherwise than in production are cool-down and budget of the policy, since the year
takes minutes, how often sensors look, and how long an alert settles. It prints its figures (`pytest -m drill -s`); docs/monitoring.md has
those of one machine.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.scheduler.instigation import TickStatus
from typer.testing import CliRunner

from creditrisk_assets import running
from creditrisk_assets.defs.month_report import MONTH_PAGE
from creditrisk_assets.defs.months import MONTH_DRIFT, MONTH_PERFORMANCE
from creditrisk_assets.defs.retraining import ENDED, EVIDENCE, recent_retrains
from creditrisk_assets.modelling import policy
from creditrisk_assets.modelling.bundle import follow
from creditrisk_assets.monitoring.alerts.store import AlertStore
from creditrisk_assets.running import DAGSTER_YAML
from creditrisk_assets.settings import Settings
from creditrisk_assets.simulation.portfolio import write_portfolio
from creditrisk_assets_tests.integration import hasty
from creditrisk_assets_tests.integration.test_alerts_with_daemon import Daemon, until
from creditrisk_serving.batches.commands import app

SCALE = 0.01  # of the portfolio: some 3,000 labelled applicants
LONGEST_SECONDS = 900  # of a month, on a machine that others use
RETRAINING = {"cooldown_hours": 0, "maximum_per_30_days": 30}
LOOKED = [TickStatus.SUCCESS, TickStatus.SKIPPED]
MONTHLY, OVERALL = f"check:{MONTH_DRIFT}:no_", f"check:{MONTH_PERFORMANCE}:"


@dataclass(frozen=True)
class Step:
    """What is planted in a month, and what must follow from it; `killed` names the job in whose middle the daemon is killed."""

    scenario: str = "quiet"
    opened: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()
    retrain: str | None = None  # the kind of evidence
    killed: str | None = None


# Outcomes are known after three months: the concept drift of May shows in August, the labels that March owes are due in June.
YEAR = {
    "2025-01": Step(),
    "2025-02": Step("covariate", opened=(f"{MONTHLY}covariate",), retrain="drift", killed="retrain_model"),
    "2025-03": Step("late_labels", resolved=(f"{MONTHLY}covariate",)),
    "2025-04": Step("missing_feed", opened=(f"{MONTHLY}missing_feed",)),
    "2025-05": Step("concept", resolved=(f"{MONTHLY}missing_feed",)),
    "2025-06": Step("prior", opened=(f"{MONTHLY}prior", f"{OVERALL}labels_on_time"), retrain="drift"),
    "2025-07": Step(
        "unit_change", opened=(f"{MONTHLY}unit_change",), resolved=(f"{MONTHLY}prior",), killed="watch_month"
    ),
    "2025-08": Step(
        opened=(f"{OVERALL}as_tolerated",),
        resolved=(f"{MONTHLY}unit_change", f"{OVERALL}labels_on_time"),
        retrain="performance",
    ),
    "2025-09": Step(resolved=(f"{OVERALL}as_tolerated",)),
    "2025-10": Step(),
    "2025-11": Step(),
    "2025-12": Step(),
}


@dataclass
class Year:
    """The platform while months pass."""

    daemon: Daemon
    instance: dg.DagsterInstance

    def until(self, done: Callable[[], bool], what: str, pause: float = 1) -> None:
        until(done, self.daemon, what, LONGEST_SECONDS, pause)

    def pass_month(self, month: str, step: Step) -> None:
        """Reveal a month, have it taken in, and wait until everything has come of it that will."""
        asked = ["simulate", month, "--scenario", step.scenario, "--json"]
        revealed = CliRunner().invoke(app, asked, catch_exceptions=False)
        assert json.loads(revealed.output)[0]["scored"] > 0
        since = time.time()
        self.backfill(month)
        if step.killed:
            self.until(lambda: self.in_the_middle(step.killed, since), f"{step.killed} of {month}", pause=0.2)
            self.daemon.kill()
            self.daemon.start()
        self.until(lambda: self.settled(since), f"all that {month} leads to")

    def backfill(self, month: str) -> None:
        """Ask for a month as the UI does: the first time by the command, then by the same order for another month."""
        known = self.instance.get_backfills(limit=1)
        if known:
            order = {"backfill_id": month, "partition_names": [f"{month}-01"], "status": BulkActionStatus.REQUESTED}
            afresh = {"last_submitted_partition_name": None, "backfill_end_timestamp": None}
            self.instance.add_backfill(known[0]._replace(backfill_timestamp=time.time(), **order, **afresh))
            self.until(lambda: self.asked(month), f"a run of {month}")
            return
        job = ["-m", hasty.__name__, "-j", "watch_month", "--partitions", f"{month}-01", "--noprompt"]
        command = [sys.executable, "-m", "dagster", "job", "backfill", *job]
        subprocess.run(command, cwd=DAGSTER_YAML.parent, check=True, stdout=subprocess.DEVNULL)

    def asked(self, month: str) -> bool:
        return bool(self.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": month})))

    def in_the_middle(self, job: str, since: float) -> bool:
        """Whether a run of a job has made a part of its assets."""
        started = dg.RunsFilter(
            job_name=job, statuses=[dg.DagsterRunStatus.STARTED], created_after=datetime.fromtimestamp(since, UTC)
        )
        made = dg.DagsterEventType.ASSET_MATERIALIZATION
        return any(self.instance.all_logs(run.run_id, of_type=made) for run in self.instance.get_runs(started))

    def settled(self, since: float) -> bool:
        """Whether nothing is under way and every sensor has looked since the last run ended."""
        latest = self.instance.get_run_records(limit=10)
        runs = [record.dagster_run for record in latest]
        if not all(run.is_finished and not run.is_complete_and_waiting_to_retry for run in runs):
            return False
        ended = max([since, *(record.end_time or 0 for record in latest)])
        return all(self.looked(sensor, ended) for sensor in hasty.LOOKING)

    def looked(self, sensor: str, since: float) -> bool:
        states = [each for each in self.instance.all_instigator_state() if each.instigator_name == sensor]
        return any(
            self.instance.get_ticks(each.instigator_origin_id, each.selector_id, after=since, limit=1, statuses=LOOKED)
            for each in states
        )

    def retrains(self) -> list[dg.DagsterRun]:
        """Retrains that succeeded, the oldest first."""
        runs = [record.dagster_run for record in recent_retrains(self.instance, datetime.now(UTC))]
        return [run for run in reversed(runs) if run.is_success]


def told() -> list[str]:
    """Everything that was opened and resolved, by the alert store."""
    with AlertStore(Settings().alerts_url) as store:
        return sorted(
            f"{event['event']} {alert.fingerprint}"
            for alert in store.alerts(resolved=True)
            for event in store.history(alert.id)[1]
            if event["event"] in ("opened", "resolved")
        )


@pytest.fixture
def year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Year]:
    """Run the platform on a portfolio of its own, with a model in use."""
    write_portfolio(tmp_path / "portfolio", scale=SCALE, seed=42)
    rules = yaml.safe_load(Path(policy.__file__).with_name("policy.yaml").read_text())
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(rules | {"retraining": RETRAINING}))
    (tmp_path / "alerts.yaml").write_text("settle_seconds: 0\n")
    for name, file in {"SOURCE": "portfolio", "POLICY": "policy.yaml", "ALERTS": "alerts.yaml"}.items():
        monkeypatch.setenv(f"CREDITRISK_{name}", str(tmp_path / file))
    settings = Settings()
    made = running.materialize(settings)
    assert made.failures == []
    daemon = Daemon(settings.dagster_home, tmp_path / "daemon.log", hasty.__name__)
    daemon.start()
    with dg.DagsterInstance.get() as instance:
        yield Year(daemon, instance)
    daemon.kill()


@pytest.mark.drill  # about half an hour on two free cores
def test_a_year_of_drifts_is_told_answered_and_survived(year: Year) -> None:
    settings, answered, champion = Settings(), list[str](), follow(Settings().bundles)
    year.until(lambda: year.settled(0), "the first look of every sensor")
    expected = told()  # a model of so few applicants is warned of
    assert not [each for each in expected if any(subject in each for subject in (MONTH_DRIFT, MONTH_PERFORMANCE))]
    for month, step in YEAR.items():
        began = time.monotonic()
        year.pass_month(month, step)
        expected += [f"opened {each}" for each in step.opened] + [f"resolved {each}" for each in step.resolved]
        answered += [step.retrain] if step.retrain else []
        retrains = year.retrains()
        ended = retrains[-1].tags.get(ENDED, "") if step.retrain and retrains else ""
        print(  # noqa: T201 - the drill's figures
            f"{month} {step.scenario}: {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}; opened"
            f" {', '.join(step.opened) or 'nothing'}, resolved {', '.join(step.resolved) or 'nothing'}; {ended or 'no retrain'}"
        )
        assert told() == sorted(expected), month
        assert [run.tags[EVIDENCE].partition(":")[0] for run in retrains] == answered, month
    assert len({run.tags[EVIDENCE] for run in year.retrains()}) == len(answered), "no evidence is answered twice"
    assert follow(settings.bundles) == champion
    page = (settings.reports / MONTH_PAGE).read_text()
    assert all(run.tags[ENDED].startswith("keep champion") for run in year.retrains())
    assert page.count("keep champion") >= len(answered)
