"""What a person at a terminal sees of a run: progress, summary, the UI started.

What belongs here: words and tables. What does not: running the graph (`running`), the commands (`cli`).
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from creditrisk_assets import running
from creditrisk_assets.defs.alerts import watch
from creditrisk_assets.defs.month_report import MONTH_PAGE
from creditrisk_assets.defs.months import MONTH_PERFORMANCE
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.ingestion.disk import require_free_space
from creditrisk_assets.ingestion.sources import (
    normal_source,
    parse_source,
    remember_source,
    sample_directory,
    sample_scale,
    source_text,
)
from creditrisk_assets.lake import Lake, LakeError
from creditrisk_assets.modelling.bundle import follow
from creditrisk_assets.running import AssetResult, RunResult
from creditrisk_assets.settings import PREFIX, Settings
from creditrisk_assets.simulation import portfolio

WIDE = 160  # columns where the output is no terminal
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
LARGEST_SCALE = 5
APPLICANT = "creditrisk.applicant"  # entry point group: a function (settings, applicant id) -> the API's answer
STAGES = ("raw", "features", "training", "model", "monitoring", "governance", "registry", "serving")
MEMORY_BASE_GB, MEMORY_GB_PER_SCALE = 0.9, 3.0  # measured: the training is the peak
LAKE_FACTOR, WORK_BYTES = 1.2, 500_000_000  # the lake is about as large as the CSV; plus logs, models, spill


def choose_source(settings: Settings, source: str | None, scale: float | None, *, quiet: bool) -> str:
    """Settle where the raw tables come from, making the sample portfolio when that is the choice and it is not there.

    Returns
    -------
    str
        The source as text; remember it (`remember_source`) once its tables were taken in.

    Raises
    ------
    RunError
        Source and scale are both given.
    SourceError
        The source is none of the forms a source may have.
    """
    if source is not None and scale is not None:
        raise running.RunError("give --source (your data) or --scale (the sample portfolio), not both")
    chosen = f"sample:{scale:g}" if scale is not None else normal_source(source or source_text(settings))
    if (sample := sample_scale(parse_source(chosen))) is not None:
        write_sample(sample_directory(settings, sample), scale=sample, seed=42, scenario="baseline", quiet=quiet)
    return chosen


def write_sample(out: Path, *, scale: float, seed: int, scenario: str, quiet: bool) -> dict[str, Any]:
    """Write the sample portfolio with a progress bar, unless the same one is already there."""
    if not 0 < scale <= LARGEST_SCALE:
        raise running.RunError(f"--scale {scale:g} is not between 0 and {LARGEST_SCALE}; 1 is full size")
    if (found := portfolio.reusable(out, scale=scale, seed=seed, scenario=scenario)) is not None:
        return asdict(found)
    needed = portfolio.estimated_bytes(scale)
    if not quiet:
        console.print(
            f"Sample portfolio at scale {scale:g}: about {needed / 1e9:.2f} GB of CSV in {escape(str(out))}, "
            f"and {(LAKE_FACTOR * needed + WORK_BYTES) / 1e9:.1f} GB for what the graph makes of it; "
            f"about {MEMORY_BASE_GB + MEMORY_GB_PER_SCALE * scale:.1f} GB of memory",
            soft_wrap=True,
        )
    out.mkdir(parents=True, exist_ok=True)
    require_free_space(out, int((1 + LAKE_FACTOR) * needed), "the sample portfolio and its lake")
    columns = (TextColumn("  {task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet) as progress:
        tasks: dict[str, Any] = {}

        def show(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = progress.add_task(table, total=total)
            progress.update(tasks[table], completed=done, total=total)

        return asdict(portfolio.write_portfolio(out, scale=scale, seed=seed, scenario=scenario, progress=show))


def run_graph(settings: Settings, source: str, select: str, *, quiet: bool) -> tuple[RunResult, dict[str, Any]]:
    """Materialize the graph with a line per asset, and end with a summary; a source whose tables were taken in is remembered."""
    os.environ[f"{PREFIX}SOURCE"] = source  # for the assets of this run, which read the settings anew
    if not quiet:
        console.print(f"Materializing from {escape(source)} into {escape(str(settings.root))}")
    with _asset_lines(quiet) as listener:
        result = running.materialize(settings, select, listener)
    taken = [asset for asset in result.assets if asset.key.startswith("raw/")]
    if settings.source is None and taken and all(asset.outcome != "failed" for asset in taken):
        remember_source(settings, source)
    summary = _summary(settings, result, select)
    if not quiet:
        _print_summary(summary)
    return result, summary


def run_research(settings: Settings, *, quiet: bool) -> tuple[RunResult, dict[str, Any]]:
    """Materialize the group that `*` leaves out, after what it is made from where that is not there yet."""
    group = f"group:{running.APART}"
    known = Lake(settings.lake).current(SPLIT_TRAIN) is not None
    source = choose_source(settings, None, None, quiet=quiet)
    return run_graph(settings, source, group if known else f"+{group}", quiet=quiet)


def run_backfill(settings: Settings, months: Sequence[str], *, quiet: bool) -> tuple[RunResult, dict[str, Any]]:
    """Materialize production months with a line per asset and month."""
    with _asset_lines(quiet) as listener:
        result = running.backfill(settings, months, listener)
    lake = Lake(settings.lake)
    summary = {
        "succeeded": result.succeeded,
        "seconds": round(result.seconds, 1),
        "assets": [running.describe(asset) for asset in result.assets],
        "not_run": result.not_run,
        "failures": result.failures,
        "warnings": result.warnings,
        "performance": facts_of(lake, MONTH_PERFORMANCE).get("headline"),
    }
    if not quiet:
        for words in result.failures:
            console.print(f"[bold red]✗[/] {escape(words)}")
        for words in [words for each in result.warnings.values() for words in each]:
            console.print(f"[yellow]![/] {escape(words)}")
        if result.succeeded and summary["performance"]:
            console.print(
                f"  {escape(str(summary['performance']))}; the page is {escape(str(settings.reports / MONTH_PAGE))}"
            )
    return result, summary


@contextmanager
def _asset_lines(quiet: bool) -> Iterator[running.Listener]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        current = progress.add_task("loading the asset graph")

        def show(key: str, asset: AssetResult | None, note: str) -> None:
            if note:
                progress.update(current, description=escape(note))
            elif asset is None:
                progress.reset(current, description=key)
            elif not quiet:
                progress.console.print(_line(asset))

        yield show


def _line(asset: AssetResult) -> str:
    if asset.outcome == "failed":
        return f"  [red]✗[/] {asset.key:<32} {escape(asset.reason)}"
    name = f"{asset.key} {asset.month}".strip()
    rows = f"{asset.rows:>12,} rows" if asset.rows is not None else " " * 17
    if asset.outcome == "reused":
        return f"  [dim]= {name:<32} {rows}  skipped: {escape(asset.reason)}[/]"
    cost = f"{asset.seconds:>8.1f} s {asset.peak_memory_mb:>7,.0f} MB"
    why = "" if asset.reason == "never built" else f"  [dim]{escape(asset.reason)}[/]"
    return f"  [green]✓[/] {name:<32} {rows} {cost}{why}"


def _summary(settings: Settings, result: RunResult, select: str) -> dict[str, Any]:
    lake = Lake(settings.lake)
    applicant = None
    if result.succeeded and select == running.EVERYTHING:
        try:
            applicant = _score_one(settings, lake)
        except RuntimeError as error:
            result.failures.append(f"the graph is whole, but scoring an applicant through the API code failed: {error}")
    return {
        "succeeded": result.succeeded,
        "seconds": round(result.seconds, 1),
        "home": str(settings.root),
        "assets": [running.describe(asset) for asset in result.assets],
        "not_run": result.not_run,
        "failures": result.failures,
        "warnings": result.warnings,
        "stages": _stages(result.assets),
        "model": facts_of(lake, "model/evaluation").get("headline"),
        "champion": champion_words(settings),
        "registry": facts_of(lake, "registry/canary").get("headline"),
        "drift": facts_of(lake, "monitoring/drift").get("headline"),
        "applicant": applicant,
        "research": _research(result.assets, lake),
        "reports": str(settings.reports),
    }


def _research(assets: Sequence[AssetResult], lake: Lake) -> dict[str, str]:
    """Return what each asset of this run's research found, in a sentence."""
    from creditrisk_assets.definitions import ARTEFACTS  # noqa: PLC0415 - seconds of imports, which a run has made by now

    apart = {artefact.key for artefact in ARTEFACTS if artefact.group == running.APART}
    found = {asset.key: facts_of(lake, asset.key) for asset in assets if asset.key in apart}
    return {key: facts["headline"] for key, facts in found.items() if "headline" in facts}


def _stages(assets: Sequence[AssetResult]) -> list[dict[str, Any]]:
    stages = []
    for stage in STAGES:
        own = [asset for asset in assets if asset.key.startswith(f"{stage}/") and asset.outcome != "failed"]
        if own:
            stages.append(
                {
                    "stage": stage,
                    "assets": len(own),
                    "built": sum(asset.outcome == "built" for asset in own),
                    "rows": sum(asset.rows or 0 for asset in own),
                    "seconds": round(sum(asset.seconds for asset in own if asset.outcome == "built"), 1),
                    "peak_memory_mb": max(
                        (asset.peak_memory_mb for asset in own if asset.outcome == "built"), default=0.0
                    ),
                }
            )
    return stages


def facts_of(lake: Lake, key: str) -> Mapping[str, Any]:
    """Return what the last good version of an artefact says of itself; nothing when there is none."""
    try:
        version = lake.current(key)
    except LakeError:
        return {}
    facts: Mapping[str, Any] = version.manifest.metadata["facts"] if version else {}
    return facts


def _score_one(settings: Settings, lake: Lake) -> Mapping[str, Any] | None:
    """Score one applicant through the API's own code."""
    applicant = facts_of(lake, "serving/batch_scores").get("an_applicant")
    for entry in entry_points(group=APPLICANT):
        if applicant is not None:
            answer: Mapping[str, Any] = entry.load()(settings, int(applicant))
            return answer
    return None


def _print_summary(summary: Mapping[str, Any]) -> None:
    table = Table("stage", "assets", "built", "rows", "seconds", "peak MB", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for stage in summary["stages"]:
        table.add_row(
            stage["stage"], str(stage["assets"]), str(stage["built"]), f"{stage['rows']:,}",
            f"{stage['seconds']:.1f}", f"{stage['peak_memory_mb']:,.0f}",
        )  # fmt: skip
    console.print()
    console.print(table)
    console.print()
    for key, words in summary["warnings"].items():
        console.print(f"  [yellow]![/] {key}: {escape('; '.join(words))}")
    if summary["failures"]:
        not_run = f"; not run: {', '.join(summary['not_run'])}" if summary["not_run"] else ""
        for failure in summary["failures"][-1:] if not any(a["outcome"] == "failed" for a in summary["assets"]) else []:
            console.print(f"  [red]✗[/] {escape(failure)}")
        console.print(f"\n[bold red]The run failed[/] after {summary['seconds']:.1f} s, see [red]✗[/] above{not_run}")
        return
    for name in ("model", "registry", "champion", "drift"):
        if summary[name]:
            console.print(f"  [bold]{name:<10}[/] {escape(summary[name])}")
    for key, words in summary["research"].items():
        console.print(f"  [bold]{key}[/] {escape(words)}")
    if summary["research"]:
        console.print(f"  the tables are in {escape(summary['reports'])}/{running.APART} and in the UI")
    if summary["applicant"]:
        console.print(f"  [bold]applicant [/] {_applicant_words(summary['applicant'])}")
    console.print(f"\n  finished in {summary['seconds']:.1f} s; everything is in {escape(summary['home'])}")
    console.print("  go on with: [bold]make ui[/] (the graph), [bold]make serve[/] (the API), [bold]make status[/]")


def champion_words(settings: Settings) -> str | None:
    """Say which model the service answers with: the published bundle, whatever was trained since."""
    published = follow(settings.bundles)
    if published is None:
        return None
    manifest = json.loads((published / "manifest.json").read_text("utf-8"))
    metrics = json.loads((published / "metrics.json").read_text("utf-8"))
    kind = "synthetic" if metrics.get("synthetic") else "real"
    return (
        f"model {manifest['model_version']} of {manifest['created_at']}, trained on {metrics['training_applicants']:,} {kind} "
        "applicants, is what the service answers with"
    )


def _applicant_words(answer: Mapping[str, Any]) -> str:
    return (
        f"{answer['applicant_id']} scored through the API code: PD {answer['pd']:.2%}, band {answer['band']}, "
        f"{answer['decision']}; decision {answer['decision_id']}"
    )


def serve_ui(settings: Settings, host: str, port: int) -> int:
    """Start the Dagster webserver and daemon on both code locations, until interrupted; return the exit code.

    Raises
    ------
    RunError
        Something else listens on the port.
    """
    _require_free_port(host, port)
    remember_source(settings, choose_source(settings, None, None, quiet=False))
    running.prepare_instance(settings)
    running.recover()
    workspace = str(running.DAGSTER_YAML.with_name("workspace.yaml"))
    console.print(
        f"Dagster UI on http://{host}:{port}/asset-groups (no authentication: keep it on this machine); Ctrl-C stops it",
        soft_wrap=True,
    )
    for stop in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's background job inherits it ignored
        signal.signal(stop, signal.default_int_handler)
    listen = ["-h", host, "-p", str(port), "--log-level", "warning"]
    process = subprocess.Popen(  # noqa: S603 -- a fixed command
        [sys.executable, "-m", "dagster", "dev", "-w", workspace, *listen],
        cwd=settings.dagster_home,
        env=os.environ | _ui_environment(settings),
    )
    stop_watching = threading.Event()  # a daemon that died cannot tell of it: this process watches it
    threading.Thread(target=watch, args=(settings,), kwargs={"stop": stop_watching}, daemon=True).start()
    try:
        return process.wait()
    except KeyboardInterrupt:
        stop_watching.set()
        process.send_signal(signal.SIGINT)
        process.wait()
        return 0


def _require_free_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise running.RunError(
                f"{host}:{port} cannot be listened on ({error.strerror}); choose another with --port"
            ) from error


def _ui_environment(settings: Settings) -> dict[str, str]:
    """Say every path in full, since the UI's processes have another working directory."""
    paths = {
        "HOME": settings.root,
        "ALERTS": settings.alerts,
        "RELAXATIONS": settings.relaxations,
        "POLICY": settings.policy,
    }
    environment = {
        f"{PREFIX}{name}": str(path.expanduser().resolve()) for name, path in paths.items() if path is not None
    }
    if settings.source is not None:
        environment[f"{PREFIX}SOURCE"] = normal_source(settings.source)
    return environment | {"PYTHONWARNINGS": "ignore:Function `dev_command` is superseded"}
