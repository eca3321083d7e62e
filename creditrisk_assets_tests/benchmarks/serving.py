"""What a decision costs over HTTP: the service beside an echo, MLflow's server and two pandas services, in one run.

    python -m creditrisk_assets_tests.benchmarks.serving --scale 0.05

Every contender is a server of its own on loopback with the same champion; wrk asks it from another process, all of them in turns, round
after round. The service gets raw applications of known applicants and does all of its work: key, rules, features, lookup, score, policy,
journal, log line, metrics. The pandas services and MLflow get the model's inputs ready made, which spares them the features, and do
nothing but score. Large requests name known applicants; ours is also given raw applications. One pandas service is asked by id as well
and has every applicant's inputs in its memory, so that it reads no large body either. The echo answers what it was sent.
Processor time is that of all processes of a server, its drain into the database included.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import duckdb
import psutil
import typer
from rich.console import Console
from rich.table import Table

from creditrisk_assets.ingestion.sources import sample_directory
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import Bundle, follow, read_public_key
from creditrisk_assets.settings import Settings
from creditrisk_assets.terminal import write_sample
from creditrisk_serving.access import Scope, create_key
from creditrisk_serving.scoring.rules import APPLICANT
from creditrisk_serving.settings import ServingSettings

console = Console(highlight=False, width=170)
BUSY, BATCH, LARGE_REQUESTS = 16, 1000, 4
MOST_SECONDS = 60
ECHO, OURS = "FastAPI echo", "creditrisk (1 worker)"
LUA = """
local file = io.open(os.getenv("BENCH_BODY"), "rb")
wrk.method, wrk.body = "POST", file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-API-Key"] = os.getenv("BENCH_KEY")
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\n{"requests": %d, "micros": %d, "p50": %f, "p99": %f, "errors": %d}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass
class Contender:
    """A server and what was measured of it."""

    name: str
    command: Sequence[str]
    path: str
    ready: str
    body: Path
    batch: Path
    raw_batch: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    start_seconds: float = 0.0  # of processor, from its start to its first answer
    memory_mb: float = 0.0  # of its largest process
    rounds: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)

    def median(self, load: str, figure: str) -> float:
        """Return the median of a figure over the rounds."""
        return statistics.median(one[figure] for one in self.rounds[load])


def main(
    scale: Annotated[float, typer.Option(help="Scale of the sample portfolio.")] = 0.05,
    home: Annotated[
        Path | None, typer.Option(help="A home directory with a champion; none: the sample's is made.")
    ] = None,
    seconds: Annotated[int, typer.Option(help="Of each load in each round.")] = 4,
    rounds: Annotated[int, typer.Option(help="How often each contender has its turn.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="A contender, by name; none: all.")] = None,
    declined: Annotated[
        bool, typer.Option(help="Ask for an applicant who is declined, so that each answer has reasons.")
    ] = False,
) -> None:
    """Print requests, latencies, processor time and memory of every contender."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; `apt-get install wrk` (or `brew install wrk`)")
    where = (home or _made(Settings(), scale)).resolve()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as running:
        contenders = [one for one in _contenders(where, Path(directory), declined) if not only or one.name in only]
        processes = [running.enter_context(_started(one)) for one in contenders]
        for turn in range(rounds):
            for one, process in zip(contenders, processes, strict=True):
                console.print(f"round {turn + 1}: {one.name}", style="dim")
                for load, connections in (("busy", BUSY), ("alone", 1)):
                    one.rounds.setdefault(load, []).append(_load(one, process, connections, seconds, Path(directory)))
                if one.name != ECHO:
                    one.rounds.setdefault("batch", []).append(_batches(one, process, one.batch))
                if one.raw_batch is not None:
                    one.rounds.setdefault("raw batch", []).append(_batches(one, process, one.raw_batch))
        for one, process in zip(contenders, processes, strict=True):
            one.memory_mb = max(each.memory_info().rss for each in _family(process)) / 2**20
    _print(contenders, where)


def _made(settings: Settings, scale: float) -> Path:
    """Run the graph on the sample portfolio in a home of its own; what is there already is reused."""
    source = sample_directory(settings, scale)
    write_sample(source, scale=scale, seed=42, scenario="baseline", quiet=False)
    home = settings.root / "benchmarks" / f"serving-{scale:g}"
    if not (home / "bundles" / "CURRENT").exists():
        command = [sys.executable, "-m", "creditrisk_assets.cli", "run", "--source", str(source)]
        subprocess.run(command, env=os.environ | {"CREDITRISK_HOME": str(home)}, check=True)
    return home


def _contenders(home: Path, directory: Path, declined: bool) -> list[Contender]:
    settings = ServingSettings(platform=Settings(home=home))
    key = create_key(settings.api_keys_file, "benchmark", scopes=(Scope.SCORE, Scope.MONITOR), replace=True)
    bundle = _champion(home)
    raw, raw_batch, known, known_batch, split, split_batch = _bodies(home, bundle, directory, declined)
    model = _logged_model(home, bundle)
    base = {
        "CREDITRISK_HOME": str(home), "BENCH_KEY": key, "OMP_NUM_THREADS": "1", "BENCH_MODEL": str(model),
        "BENCH_FEATURES": str(Lake(home / "lake").require("features/applicant").data), "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # MLflow looks for uvicorn
    }  # fmt: skip

    def served(name: str, factory: str, path: str, body: Path, batch: Path) -> Contender:
        command = [sys.executable, "-m", "uvicorn", f"{FACTORIES}:{factory}", "--factory", "--no-access-log", "--port"]
        return Contender(name, command, path, "/ready", body, batch, environment=base)

    def ours(workers: int, **more: str) -> Contender:
        name = "creditrisk (" + ", ".join([f"{workers} worker" + "s" * (workers > 1), *more.values()]) + ")"
        code = "import sys; from creditrisk_serving.cli import app; app(['serve', *sys.argv[1:]])"
        command = [sys.executable, "-c", code, "--workers", str(workers), "--port"]
        return Contender(name, command, "/predict", "/ready", raw, known_batch, raw_batch, base | more)

    mlflow = [
        str(Path(sys.executable).with_name("mlflow")),
        "models",
        "serve",
        "-m",
        str(model),
        "--env-manager",
        "local",
        "-p",
    ]
    return [
        served(ECHO, "echo", "/predict", raw, raw_batch),
        ours(1),
        ours(1, CREDITRISK_SERVING_DECISIONS_STORED="strict"),
        ours(2),
        served("FastAPI + pandas, careful", "careful", "/predict", split, split_batch),
        served("FastAPI + pandas, looks up", "looking", "/predict", known, known_batch),
        served("FastAPI + pandas, usual", "usual", "/predict", split, split_batch),
        Contender("mlflow models serve", mlflow, "/invocations", "/ping", split, split_batch, environment=base),
    ]


FACTORIES = "creditrisk_assets_tests.benchmarks.services"


def _champion(home: Path) -> Bundle:
    path = follow(home / "bundles")
    if path is None:
        raise SystemExit(f"{home} has no champion; run `creditrisk run` in it")
    return Bundle.load(path, read_public_key(home / "keys"))


def _logged_model(home: Path, bundle: Bundle) -> Path:
    """Find the champion among the models MLflow keeps."""
    for found in sorted(home.glob("mlartifacts/**/MLmodel"), key=lambda path: path.stat().st_mtime, reverse=True):
        manifests = list(found.parent.glob("artifacts/**/manifest.json"))
        if any(json.loads(path.read_text())["model_version"] == bundle.version for path in manifests):
            return found.parent
    raise SystemExit(f"{home}/mlartifacts has no model {bundle.version}")


def _bodies(home: Path, bundle: Bundle, directory: Path, declined: bool) -> tuple[Path, Path, Path, Path, Path, Path]:
    """Write requests for one applicant and for many: raw, by id, and as the model's inputs."""
    lake = Lake(home / "lake")
    raw, features = lake.require("raw/application_test").data, lake.require("features/applicant").data
    scores = lake.require("serving/batch_scores").data
    with duckdb.connect() as con:
        alone = f"select min(sk_id_curr) from read_parquet('{scores}') where not {declined} or decision = 'decline'"
        order = f"order by SK_ID_CURR <> ({alone}), SK_ID_CURR limit {BATCH}"
        rows = _rows(con, f"select * from read_parquet('{raw}') {order}")
        keys = ", ".join(str(row[APPLICANT]) for row in rows)
        chosen = f"select * from read_parquet('{features}') where sk_id_curr in ({keys}) {order}"
        inputs = [[row[name] for name in bundle.feature_names] for row in _rows(con, chosen)]
        ids = [row["sk_id_curr"] for row in _rows(con, f"select sk_id_curr from read_parquet('{features}') {order}")]
    many = [{**rows[place % len(rows)], APPLICANT: rows[0][APPLICANT] + place} for place in range(BATCH)]
    inputs = [inputs[place % len(inputs)] for place in range(BATCH)]
    content = {
        "raw": {"applications": rows[:1]},
        "raw-batch": {"applications": many},
        "known": {"applicant_ids": ids[:1]},
        "known-batch": {"applicant_ids": ids},
        "split": {"dataframe_split": {"columns": list(bundle.feature_names), "data": inputs[:1]}},
        "split-batch": {"dataframe_split": {"columns": list(bundle.feature_names), "data": inputs}},
    }
    for name, body in content.items():
        (directory / name).write_text(json.dumps(body, separators=(",", ":")))
    raw, raw_batch, known, known_batch, split, split_batch = (directory / name for name in content)
    return raw, raw_batch, known, known_batch, split, split_batch


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = con.execute(query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@contextmanager
def _started(contender: Contender) -> Iterator[psutil.Process]:
    """Run a contender until its first answer, and to the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    contender.path, ready = (f"http://127.0.0.1:{port}{path}" for path in (contender.path, contender.ready))
    command = [*contender.command, str(port)]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, env=os.environ | contender.environment, stdout=subprocess.DEVNULL, stderr=said
        ) as started,
    ):
        process = psutil.Process(started.pid)
        try:
            while not _answers(ready):
                if started.poll() is not None:
                    said.seek(0)
                    raise SystemExit(
                        f"{contender.name} ended before it was ready: {' '.join(command)}\n{said.read().decode()}"
                    )
                time.sleep(0.05)
            contender.start_seconds = _processor(process)
            yield process
        finally:
            for each in _family(process):
                each.terminate()
            started.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)] if process.is_running() else []


def _processor(process: psutil.Process) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in _family(process))


def _load(
    contender: Contender, process: psutil.Process, connections: int, seconds: int, directory: Path
) -> Mapping[str, float]:
    """Ask a contender for some seconds; return requests per second, latencies in ms, processor ms per request."""
    script = directory / "post.lua"
    script.write_text(LUA)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(script), contender.path]
    before = _processor(process)
    done = subprocess.run(
        command,
        env=os.environ | contender.environment | {"BENCH_BODY": str(contender.body)},
        check=True,
        capture_output=True,
        text=True,
    )
    spent = _processor(process) - before
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if not found["requests"] and seconds < MOST_SECONDS:  # a slow service on a busy machine
        return _load(contender, process, connections, 2 * seconds, directory)
    if found["errors"] or not found["requests"]:
        raise SystemExit(f"{contender.name}: {found['errors']} errors in {found['requests']} requests\n{done.stdout}")
    return {
        "rate": found["requests"] / found["micros"] * 1e6,
        "p50": found["p50"] / 1e3,
        "p99": found["p99"] / 1e3,
        "processor": spent / found["requests"] * 1e3,
    }


def _batches(contender: Contender, process: psutil.Process, body: Path) -> Mapping[str, float]:
    """Send large requests one after the other; return rows per second and processor ms per row."""
    headers = {"Content-Type": "application/json", "X-API-Key": contender.environment["BENCH_KEY"]}
    request = urllib.request.Request(contender.path, body.read_bytes(), headers)
    before, started = _processor(process), time.perf_counter()
    for _ in range(LARGE_REQUESTS):
        with urllib.request.urlopen(request, timeout=120) as reply:
            reply.read()
    rows = LARGE_REQUESTS * BATCH
    return {"rate": rows / (time.perf_counter() - started), "processor": (_processor(process) - before) / rows * 1e3}


def _print(contenders: Sequence[Contender], home: Path) -> None:
    bundle = _champion(home)
    table = Table(
        "service", f"req/s at {BUSY}", "x echo", "p50 ms", "p99 ms", "p50 at 1", "p99 at 1", "CPU ms", "x echo", f"rows/s of {BATCH:,}",
        "raw",         "MB", "start CPU s", box=None, pad_edge=False,
        title=f"one applicant, {len(bundle.features)} inputs, {bundle.booster.iterations} trees; medians of the rounds",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    known = {one.name: one for one in contenders}
    echo = known.get(ECHO)
    for one in contenders:
        rate, cost = one.median("busy", "rate"), one.median("busy", "processor")
        table.add_row(
            one.name,
            f"{rate:,.0f}",
            f"{rate / echo.median('busy', 'rate'):.3f}" if echo else "",
            f"{one.median('busy', 'p50'):.1f}",
            f"{one.median('busy', 'p99'):.1f}",
            f"{one.median('alone', 'p50'):.2f}",
            f"{one.median('alone', 'p99'):.2f}",
            f"{cost:.2f}",
            f"{cost / echo.median('busy', 'processor'):.1f}" if echo else "",
            f"{one.median('batch', 'rate'):,.0f}" if one is not echo else "",
            f"{one.median('raw batch', 'rate'):,.0f}" if one.raw_batch else "",
            f"{one.memory_mb:,.0f}",
            f"{one.start_seconds:.1f}",
        )
    console.print(table)
    if (ours := known.get(OURS)) is not None:
        for one in contenders:
            if not one.name.startswith(("creditrisk", ECHO)):
                console.print(
                    f"{OURS}: {ours.median('busy', 'rate') / one.median('busy', 'rate'):.0f} x the requests/s of {one.name}, "
                    f"{one.median('busy', 'processor') / ours.median('busy', 'processor'):.0f} x less processor time, "
                    f"{ours.median('batch', 'rate') / one.median('batch', 'rate'):.1f} x the rows/s of large requests"
                )


if __name__ == "__main__":
    typer.run(main)
