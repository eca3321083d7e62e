"""A part of the production platform dies: runs end clearly and are made good, the service goes on, nothing is lost or doubled.

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
from sqlalchemy import create_engine, text

from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.lake import POINTER, Lake
from creditrisk_assets.mirror import BUNDLES, mirror_of
from creditrisk_assets.modelling.bundle import PUBLIC_KEY_FILE, follow
from creditrisk_assets_tests.integration.conftest import Graph
from creditrisk_assets_tests.integration.platforms import Production, production, settings_of
from creditrisk_assets_tests.serving.test_light import ask, serving
from creditrisk_serving.defs.online import online_store
from creditrisk_serving.online.publish import publish_families

DOWN_SECONDS = 60  # an outage
RESTART_SECONDS = 5  # an engine's restart of a container
PAUSE_SECONDS = 0.25
HALFWAY = 10  # assets, of which the first are raw tables
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
PARENT = "dagster/parent_run_id"
FAILURES = """query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events { __typename
  ... on ExecutionStepFailureEvent { error { message } failureMetadata { description } }
  ... on RunFailureEvent { message }
  ... on MaterializationEvent { assetKey { path } metadataEntries { label ... on BoolMetadataEntry { boolValue } } } } } } }"""


class Callers:
    """One lender's system that asks for a decision again and again."""

    def __init__(self, port: int, key: str, applicant: int) -> None:
        self._port, self._key, self._body = port, key, json.dumps({"applicant_ids": [applicant]})
        self.decisions: list[str] = []
        self.refused: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self._thread.start()

    def _call(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            try:
                status, body = ask(self._port, "POST", "/predict", self._key, self._body)
            except OSError as error:
                self.refused.append(type(error).__name__)
                continue
            if status == 200:
                self.decisions.append(json.loads(body)["decisions"][0]["decision_id"])
            else:
                self.refused.append(f"{status}: {body[:200]!r}")

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def calling(platform: Production, applicant: int) -> Iterator[Callers]:
    with serving(platform.scoring_home, "--workers", "2") as (_, port, _said):
        callers = Callers(port, platform.key, applicant)
        try:
            yield callers
        finally:
            callers.stop()


def events(platform: Production, run: str) -> list[dict]:
    return platform.ask(FAILURES, run=run)["logsForRun"]["events"]


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
    """Start PostgreSQL again; it recovers first, for which its starter may not have the patience."""
    for _ in range(10):
        with suppress(subprocess.SubprocessError):
            return server.ensure_postgres_running()
    raise AssertionError("PostgreSQL does not come back")


def take_over(platform: Production, graph: Graph) -> None:
    """Bring a graph that was made elsewhere to the platform: its lake, its champion and what it looks up."""
    settings = settings_of(platform)
    for name in ("lake", "bundles", "keys"):
        shutil.copytree(graph.settings.root / name, settings.root / name, symlinks=True, dirs_exist_ok=True)
    store = online_store(settings)
    publish_families(store, {name: Lake(settings.lake).require(f"features/{name}") for name in FAMILIES})
    store.close()
    mirror, champion = mirror_of(settings), follow(settings.bundles)
    assert mirror is not None
    assert champion is not None
    mirror.push(settings.bundles, BUNDLES, champion)
    shutil.copyfile(settings.keys / PUBLIC_KEY_FILE, platform.place / "keys" / PUBLIC_KEY_FILE)


@pytest.mark.drill
def test_a_run_outlives_its_code_location_and_the_daemon(
    portfolio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures: dict[str, str] = {}
    with production(None, portfolio, tmp_path / "platform") as platform:
        first = platform.launch("refresh_portfolio")
        platform.until(lambda: len(reported(platform, first)) >= HALFWAY, "the first tables", 900)
        platform.processes.kill("code-assets")  # and the run with it; the engine restarts it
        time.sleep(RESTART_SECONDS)
        platform.processes.start("code-assets")
        failed = platform.until(lambda: platform.status(first) == "FAILURE", "the failure of the killed run")
        retried = platform.until(lambda: len(family(platform, first)) == 2, "a retry")
        second = family(platform, first)[1]
        platform.until(lambda: platform.status(second) == "STARTED", "the start of the retry")
        figures["code location killed in a run"] = (
            f"the run failed {failed:.0f} s after the restart, its retry was there {retried:.0f} s later;"
            f" it said: {why(platform, first)}"
        )
        platform.processes.kill("daemon")
        time.sleep(RESTART_SECONDS)
        platform.processes.start("daemon")
        assert platform.finished(second) == "SUCCESS", why(platform, second)
        assert family(platform, first) == [first, second]
        times = built(platform, [first, second])
        assert set(times.values()) == {1}, "nothing is made twice"
        figures["daemon killed in a run"] = f"the run went on to its end; both made {len(times)} assets, each once"
    shown(figures, capsys)


@pytest.mark.drill
def test_the_service_outlives_its_stores(
    graph: Graph, portfolio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures: dict[str, str] = {}
    with production(None, portfolio, tmp_path / "platform") as platform:
        take_over(platform, graph)
        settings = settings_of(platform)
        with duckdb.connect() as con:
            scores = str(graph.lake.require("serving/batch_scores").data)
            ((applicant,),) = con.execute("select min(sk_id_curr) from read_parquet(?)", [scores]).fetchall()
        with calling(platform, applicant) as callers:
            platform.until(lambda: len(callers.decisions) > 5, "decisions")

            # PostgreSQL is killed in a run, and is back after a while.
            run = platform.launch("refresh_portfolio", "raw/bureau")
            platform.until(lambda: platform.status(run) == "STARTED", "the start of a run", 600)
            before = len(callers.decisions)
            os.kill(platform.postgresql.get_pid(), signal.SIGKILL)
            time.sleep(DOWN_SECONDS / 2)
            answered = len(callers.decisions) - before
            restart(platform.postgresql)
            back = platform.until(lambda: platform.status(run) in ENDED, "the end of the run", 600)
            ended, words = platform.status(run), why(platform, run)
            assert platform.finished(platform.launch("refresh_portfolio", "raw/bureau")) == "SUCCESS"
            figures["PostgreSQL killed in a run, started again after 30 s"] = (
                f"{answered} decisions answered meanwhile; the run was {ended} {back:.0f} s after, the next one SUCCESS; {words[:200]}"
            )

            # S3 refuses for a minute.
            before = len(callers.decisions)
            platform.store.port = None
            run = platform.launch("refresh_portfolio", "raw/bureau")
            time.sleep(DOWN_SECONDS)
            answered = len(callers.decisions) - before
            platform.store.port = platform.s3_port
            back = platform.until(lambda: platform.status(run) in ENDED, "the end of the run", 600)
            figures["S3 refuses for a minute"] = (
                f"{answered} decisions answered meanwhile; the run was {platform.status(run)} {back:.0f} s after;"
                f" {why(platform, run)[:200]}"
            )
            assert platform.status(run) == "SUCCESS"

            # MLflow is down when a model is trained.
            platform.processes.kill("mlflow")
            (settings.lake / "model" / "pd" / POINTER).unlink()
            run = platform.launch("refresh_portfolio", "model/pd")
            assert platform.finished(run) == "FAILURE"
            told = why(platform, run)
            assert "MLflow" in told, told
            assert Lake(settings.lake).current("model/pd") is None, "a model that MLflow does not know is not published"
            platform.start("mlflow")
            platform.until(platform.mlflow_answers, "MLflow's server")
            assert platform.finished(platform.launch("refresh_portfolio", "model/pd")) == "SUCCESS"
            figures["MLflow down in a training"] = f"the run failed: {told[:300]}; the next one succeeded"
        engine = create_engine(platform.database("decisions"))
        with engine.connect() as connection:
            kept = list(connection.execute(text("select decision_id from decisions")).scalars())
        engine.dispose()
        figures["decisions"] = (
            f"{len(callers.decisions)} answered, {len(callers.refused)} not; {len(kept)} kept, {len(set(kept))} of them different"
        )
    shown(figures, capsys)
    assert callers.refused == []
    assert sorted(kept) == sorted(callers.decisions), "each answered decision is kept, once, and no other"
