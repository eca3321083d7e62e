"""Every part of the production platform dies in turn: runs end clearly and are made good, the service goes on, nothing is lost or doubled.

It prints its figures (`pytest -m drill -s`); docs/operations.md has those of one machine.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import text

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.lake import POINTER, Lake
from creditrisk_assets.mirror import mirror_of
from creditrisk_assets.modelling.bundle import PUBLIC_KEY_FILE
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.platforms import START_SECONDS, Production, production, settings_of
from creditrisk_assets_tests.serving.test_light import ask, serving
from creditrisk_serving.decisions.checkpoints import read_checkpoints
from creditrisk_serving.decisions.database import reading
from creditrisk_serving.decisions.verification import verify_log
from creditrisk_serving.settings import ServingSettings
from creditrisk_serving.trust import trusted_signers

DOWN_SECONDS = 60  # an outage
RESTART_SECONDS = 5  # an engine's restart of a container
PAUSE_SECONDS = 0.25
HALFWAY = 10  # assets, of which the first are raw tables
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
ONE = "raw/bureau"  # of a run that is short
PARENT = "dagster/parent_run_id"
FAILURES = """query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events { __typename
  ... on ExecutionStepFailureEvent { error { message } failureMetadata { description } }
  ... on RunFailureEvent { message }
  ... on MaterializationEvent { assetKey { path } metadataEntries { label ... on BoolMetadataEntry { boolValue } } } } } } }"""


class Callers:
    """Systems of a lender, each of which sends one request again and again."""

    def __init__(self, port: int, key: str, bodies: dict[str, Any]) -> None:
        self._port, self._key = port, key
        self.decisions: dict[str, list[str]] = {name: [] for name in bodies}
        self.refused: dict[str, Counter[str]] = {name: Counter() for name in bodies}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(name, json.dumps(body))) for name, body in bodies.items()
        ]
        for thread in self._threads:
            thread.start()

    def _call(self, name: str, body: str) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            try:
                status, told = ask(self._port, "POST", "/predict", self._key, body)
            except OSError as error:
                self.refused[name][type(error).__name__] += 1
                continue
            if status == 200:
                self.decisions[name].append(json.loads(told)["decisions"][0]["decision_id"])
            else:
                self.refused[name][f"{status} {json.loads(told)['detail']}"] += 1

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def so_far(self) -> Counter[str]:
        """What was answered and refused, of each system."""
        answered = {f"{name} answered": len(ids) for name, ids in self.decisions.items()}
        return Counter(answered | {f"{name} refused": each.total() for name, each in self.refused.items()})


@contextmanager
def calling(platform: Production, bodies: dict[str, Any]) -> Iterator[Callers]:
    with serving(platform.scoring_home, "--workers", "2") as (_, port, _said):
        callers = Callers(port, platform.key, bodies)
        try:
            yield callers
        finally:
            callers.stop()


def requests_of(settings: Settings) -> dict[str, Any]:
    """Return what two systems send: one an application with its history, the other the id of a known applicant."""
    lake = Lake(settings.lake)
    applications, bureau, scores = (
        parquet(lake.require(key).data) for key in ("raw/application_test", "raw/bureau", "serving/batch_scores")
    )
    with duckdb.connect() as con:
        (application,) = rows(con, f"from {applications} where SK_ID_CURR in (select SK_ID_CURR from {bureau}) limit 1")
        history = rows(con, f"from {bureau} where SK_ID_CURR = {application['SK_ID_CURR']}")
        (known,) = rows(con, f"select min(sk_id_curr) as id from {scores}")
    return {
        "sent": {"applications": [application], "histories": {"bureau": history}},
        "known": {"applicant_ids": [known["id"]]},
    }


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = json.loads(json.dumps(con.execute(query).to_arrow_table().to_pylist(), default=float))
    return [{name: value for name, value in row.items() if value is not None} for row in found]


def events(platform: Production, run: str) -> list[dict]:
    found: list[dict] = []

    def answered() -> bool:  # a webserver whose database has just come back refuses its first questions
        found[:] = platform.ask(FAILURES, run=run)["logsForRun"]["events"]
        return True

    platform.until(answered, "the events of a run")
    return found


def why(platform: Production, run: str) -> str:
    """What a failed run says of itself."""
    words = [
        (event.get("failureMetadata") or {}).get("description") or (event.get("error") or event).get("message", "")
        for event in events(platform, run)
        if event["__typename"] in ("ExecutionStepFailureEvent", "RunFailureEvent")
    ]
    return " ".join(" ".join(words).split())


def reported(platform: Production, run: str) -> list[str]:
    """The assets a run has materialized so far."""
    return [
        "/".join(event["assetKey"]["path"])
        for event in events(platform, run)
        if event["__typename"] == "MaterializationEvent"
    ]


def built(platform: Production, runs: list[str]) -> Counter[str]:
    """How often each asset was made, not reused, by some runs."""
    return Counter(
        "/".join(event["assetKey"]["path"])
        for run in runs
        for event in events(platform, run)
        if event["__typename"] == "MaterializationEvent"
        and {entry["label"]: entry.get("boolValue") for entry in event["metadataEntries"]}.get("reused") is False
    )


def family(platform: Production, run: str) -> list[str]:
    """A run and those that were launched in its place, in their order."""
    found = [run]
    parents = {
        tag["value"]: other for other, told in platform.runs().items() for tag in told["tags"] if tag["key"] == PARENT
    }
    while found[-1] in parents:
        found.append(parents[found[-1]])
    return found


def shown(figures: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n" + "\n".join(f"{name}: {words}" for name, words in figures.items()))  # noqa: T201 - the drill's figures


def restart(server: Any) -> None:
    """Start PostgreSQL again; it recovers first, for which its starter has not the patience: it gives up, or insists that it is ready."""
    for _ in range(START_SECONDS):
        with suppress(subprocess.SubprocessError, AssertionError):
            return server.ensure_postgres_running()
        time.sleep(1)
    raise AssertionError("PostgreSQL does not come back")


def a_code_location_and_the_daemon(platform: Production) -> Iterator[tuple[str, str]]:
    first = platform.launch("refresh_portfolio")
    platform.until(lambda: len(reported(platform, first)) >= HALFWAY, "the first tables", 900)
    platform.processes.kill("code-assets")  # and the run with it; the engine restarts it
    time.sleep(RESTART_SECONDS)
    platform.processes.start("code-assets")
    failed = platform.until(lambda: platform.status(first) == "FAILURE", "the failure of the killed run")
    retried = platform.until(lambda: len(family(platform, first)) == 2, "a retry")
    second = family(platform, first)[1]
    platform.until(lambda: platform.status(second) == "STARTED", "the start of the retry")
    yield (
        "a code location killed in a run",
        f"the run failed {failed:.0f} s after the restart, its retry was there {retried:.0f} s later; {why(platform, first)}",
    )
    platform.processes.kill("daemon")
    time.sleep(RESTART_SECONDS)
    platform.processes.start("daemon")
    assert platform.finished(second) == "SUCCESS", why(platform, second)
    assert family(platform, first) == [first, second]
    times = built(platform, [first, second])
    assert set(times.values()) == {1}, "nothing is made twice"
    yield "the daemon killed in a run", f"the run went on to its end; both made {len(times)} assets, each once"


def postgresql(platform: Production, callers: Callers) -> Iterator[tuple[str, str]]:
    run = platform.launch("refresh_portfolio", ONE)
    platform.until(lambda: platform.status(run) == "STARTED", "the start of a run", 600)
    before = callers.so_far()
    os.kill(platform.postgresql.get_pid(), signal.SIGKILL)
    time.sleep(DOWN_SECONDS)
    counted = callers.so_far()
    restart(platform.postgresql)
    again = platform.until(lambda: len(callers.decisions["known"]) > counted["known answered"], "a known applicant")
    ended = platform.until(lambda: platform.status(family(platform, run)[-1]) == "SUCCESS", "a good end", 600)
    runs = {each: platform.status(each) for each in family(platform, run)}
    assert counted["sent answered"] > before["sent answered"]
    yield (
        "PostgreSQL killed in a run, started again after a minute",
        f"{dict(counted - before)} meanwhile; known applicants were answered {again:.0f} s after, the runs ended"
        f" {list(runs.values())} {ended:.0f} s after that; {why(platform, run)}",
    )


def object_store(platform: Production, callers: Callers) -> Iterator[tuple[str, str]]:
    run = platform.launch("refresh_portfolio", ONE)
    platform.until(lambda: platform.status(run) in ("STARTING", "STARTED"), "the start of a run", 600)
    before = callers.so_far()
    platform.store.refuse()
    time.sleep(DOWN_SECONDS)
    counted = callers.so_far()
    platform.store.port = platform.s3_port
    ended = platform.until(lambda: platform.status(run) in ENDED, "the end of the run", 600)
    assert platform.status(run) == "SUCCESS", why(platform, run)
    yield "S3 refuses for a minute", f"{dict(counted - before)} meanwhile; the run waited, SUCCESS {ended:.0f} s after"


def tracking(platform: Production, callers: Callers) -> Iterator[tuple[str, str]]:
    settings, before = settings_of(platform), callers.so_far()
    mirror = mirror_of(settings)
    assert mirror is not None
    platform.processes.kill("mlflow")
    mirror.withdraw("lake/model/pd")  # so that it is trained anew
    (settings.lake / "model" / "pd" / POINTER).unlink()
    run = platform.launch("refresh_portfolio", "model/pd")
    assert platform.finished(run) == "FAILURE"
    told = why(platform, run)
    assert "MLflow" in told
    assert Lake(settings.lake).current("model/pd") is None, "a model that MLflow does not know is not published"
    counted = callers.so_far()
    platform.processes.start("mlflow")
    up = platform.until(platform.mlflow_answers, "MLflow's server")
    assert platform.finished(platform.launch("refresh_portfolio", "model/pd")) == "SUCCESS"
    yield (
        "MLflow down in a training",
        f"{dict(counted - before)} meanwhile; the run failed: {told}; MLflow was up {up:.0f} s after, the next run succeeded",
    )


def decisions(callers: Callers, platform: Production) -> Iterator[tuple[str, str]]:
    """Compare what was answered with what is kept, once all is taken from the journals."""
    settings = ServingSettings(platform=Settings(home=platform.scoring_home))
    answered = sorted(id_ for ids in callers.decisions.values() for id_ in ids)
    kept: list[str] = []

    def all_taken() -> bool:
        with reading(settings.decision_log_url) as database, database.begin() as connection:
            kept[:] = sorted(connection.execute(text("select decision_id from decisions")).scalars())
        return len(kept) >= len(answered)

    taken = platform.until(all_taken, "the journals' end")
    with reading(settings.decision_log_url) as database:
        found = verify_log(database, read_checkpoints(settings.checkpoints_file, trusted_signers(settings)))
    yield (
        "decisions",
        f"{len(answered)} answered, {len(kept)} kept, {len(set(kept))} different, all there {taken:.0f} s after the last;"
        f" refused: { {name: dict(each) for name, each in callers.refused.items()} }",
    )
    assert kept == answered, "each answered decision is kept, once, and no other"
    assert found.findings == []
    assert not callers.refused["sent"], "a system that sends all it knows is always answered"
    assert all(words.startswith("503 ") for words in callers.refused["known"])


@pytest.mark.drill
def test_every_part_dies_in_turn(portfolio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures: dict[str, str] = {}
    with production(None, portfolio, tmp_path / "platform") as platform:
        try:
            figures.update(a_code_location_and_the_daemon(platform))
            assert platform.finished(platform.launch("score_applicants")) == "SUCCESS"
            settings = settings_of(platform)
            shutil.copyfile(settings.keys / PUBLIC_KEY_FILE, platform.place / "keys" / PUBLIC_KEY_FILE)
            platform.restarts = True
            with calling(platform, requests_of(settings)) as callers:
                platform.until(lambda: all(len(ids) > 5 for ids in callers.decisions.values()), "decisions")
                for fault in (postgresql, object_store, tracking):
                    figures.update(fault(platform, callers))
                    figures[f"ended by themselves by then ({fault.__name__})"] = str(platform.restarted)
                callers.stop()
                figures.update(decisions(callers, platform))
        finally:
            shown(figures, capsys)
