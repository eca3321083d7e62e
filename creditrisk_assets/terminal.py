"""What a person at a terminal sees: progress, summaries, status, diagnosis.

What belongs here: words and tables. What does not: running the graph (`running`), the commands (`cli`).
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from creditrisk_assets import running
from creditrisk_assets.ingestion.files import require_free_space
from creditrisk_assets.ingestion.sources import remember_source, sample_directory, source_directory
from creditrisk_assets.lake import Lake, LakeError
from creditrisk_assets.running import AssetResult, RunResult
from creditrisk_assets.settings import Settings
from creditrisk_assets.simulation import portfolio

console = Console(highlight=False)
APPLICANT = "creditrisk.applicant"  # entry point group: a function (settings, applicant id) -> the API's answer
STAGES = ("raw", "features", "training", "model", "monitoring", "registry", "serving")
LAKE_FACTOR, WORK_BYTES = 1.2, 500_000_000  # the lake is about as large as the CSV; plus logs, models, spill


def choose_source(settings: Settings, source: Path | None, scale: float | None, *, quiet: bool) -> None:
    """Settle where the raw tables come from, making the sample portfolio when that is the choice and it is not there.

    Raises
    ------
    RunError
        Source and scale are both given, or the source is no directory.
    """
    if source is not None and scale is not None:
        raise running.RunError("give --source (your data) or --scale (the sample portfolio), not both")
    if source is not None:
        if not source.is_dir():
            raise running.RunError(
                f"--source {source} is not a directory; give the directory that holds the raw tables"
            )
        remember_source(settings, source)
    elif scale is not None:
        directory = sample_directory(settings, scale)
        write_sample(directory, scale=scale, seed=42, scenario="baseline", quiet=quiet)
        remember_source(settings, directory)
    elif source_directory(settings) == sample_directory(settings):
        write_sample(sample_directory(settings), scale=0.05, seed=42, scenario="baseline", quiet=quiet)


def write_sample(out: Path, *, scale: float, seed: int, scenario: str, quiet: bool) -> dict[str, Any]:
    """Write the sample portfolio with a progress bar, unless the same one is already there."""
    if (found := portfolio.reusable(out, scale=scale, seed=seed, scenario=scenario)) is not None:
        return asdict(found)
    needed = portfolio.estimated_bytes(scale)
    if not quiet:
        console.print(
            f"Sample portfolio at scale {scale:g}: about {needed / 1e9:.2f} GB of CSV in {out}, "
            f"and {(LAKE_FACTOR * needed + WORK_BYTES) / 1e9:.1f} GB for what the graph makes of it"
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


def run_graph(settings: Settings, select: str, *, quiet: bool) -> tuple[RunResult, dict[str, Any]]:
    """Materialize the graph with a line per asset, and end with a summary."""
    if not quiet:
        console.print(f"Materializing from {source_directory(settings)} into {settings.root}")
    with _asset_lines(quiet) as listener:
        result = running.materialize(settings, select, listener)
    summary = _summary(settings, result, select)
    if not quiet:
        _print_summary(summary)
    return result, summary


@contextmanager
def _asset_lines(quiet: bool) -> Iterator[running.Listener]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        current = progress.add_task("loading the asset graph")

        def show(key: str, asset: AssetResult | None) -> None:
            if asset is None:
                progress.reset(current, description=key)
            elif not quiet:
                progress.console.print(_line(asset), soft_wrap=True)

        yield show


def _line(asset: AssetResult) -> str:
    if asset.outcome == "failed":
        return f"  [red]✗[/] {asset.key:<32} {asset.reason}"
    rows = f"{asset.rows:>12,} rows" if asset.rows is not None else " " * 17
    if asset.outcome == "reused":
        return f"  [dim]= {asset.key:<32} {rows}  skipped: {asset.reason}[/]"
    cost = f"{asset.seconds:>8.1f} s {asset.peak_memory_mb:>7,.0f} MB"
    why = "" if asset.reason == "never built" else f"  [dim]{asset.reason}[/]"
    return f"  [green]✓[/] {asset.key:<32} {rows} {cost}{why}"


def _summary(settings: Settings, result: RunResult, select: str) -> dict[str, Any]:
    lake = Lake(settings.lake)
    return {
        "succeeded": result.succeeded,
        "seconds": round(result.seconds, 1),
        "home": str(settings.root),
        "assets": [running.describe(asset) for asset in result.assets],
        "not_run": result.not_run,
        "failures": result.failures,
        "stages": _stages(result.assets),
        "model": _facts(lake, "model/evaluation").get("headline"),
        "registry": _facts(lake, "registry/version").get("headline"),
        "drift": _facts(lake, "monitoring/drift").get("headline"),
        "applicant": _score_one(settings, lake) if result.succeeded and select == running.EVERYTHING else None,
    }


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


def _facts(lake: Lake, key: str) -> Mapping[str, Any]:
    try:
        version = lake.current(key)
    except LakeError:
        return {}
    facts: Mapping[str, Any] = version.manifest.metadata["facts"] if version else {}
    return facts


def _score_one(settings: Settings, lake: Lake) -> Mapping[str, Any] | None:
    """Score one applicant through the API's own code."""
    applicant = _facts(lake, "serving/batch_scores").get("an_applicant")
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
    for name in ("model", "registry", "drift"):
        if summary[name]:
            console.print(f"  [bold]{name:<10}[/] {summary[name]}", soft_wrap=True)
    if summary["applicant"]:
        console.print(f"  [bold]applicant [/] {_applicant_words(summary['applicant'])}", soft_wrap=True)
    console.print(f"\n  finished in {summary['seconds']:.1f} s; everything is in {summary['home']}")
    if summary["failures"]:
        console.print("\n[bold red]The run failed:[/]")
        for failure in summary["failures"]:
            console.print(f"  - {failure}", soft_wrap=True)
        if summary["not_run"]:
            console.print(f"  not run: {', '.join(summary['not_run'])}", soft_wrap=True)
    else:
        console.print(
            "  go on with: [bold]make ui[/] (the graph), [bold]make serve[/] (the API), [bold]creditrisk status[/]"
        )


def _applicant_words(answer: Mapping[str, Any]) -> str:
    return (
        f"{answer['applicant_id']} scored through the API code: PD {answer['pd']:.2%}, band {answer['band']}, "
        f"{answer['decision']}; decision {answer['decision_id']}"
    )


def status(settings: Settings) -> dict[str, Any]:
    """Collect the champion, the state of every asset, the last run and disk use."""
    lake = Lake(settings.lake)
    assets = []
    for pointer in sorted(settings.lake.glob("*/*/CURRENT")):
        version = lake.require("/".join(pointer.parts[-3:-1]))
        assets.append(
            {
                "key": version.manifest.key,
                "version": version.version[:12],
                "built_at": version.manifest.created_at,
                "rows": version.manifest.metadata["facts"].get("rows"),
                "broken_checks": [c["name"] for c in version.manifest.metadata["checks"] if not c["passed"]],
            }
        )
    return {
        "home": str(settings.root),
        "source": str(source_directory(settings)),
        "champion": _facts(lake, "registry/version").get("headline"),
        "model": _facts(lake, "model/evaluation").get("headline"),
        "drift": _facts(lake, "monitoring/drift").get("headline"),
        "assets": assets,
        **running.instance_status(settings),
        "disk": {"home_bytes": _size(settings.root), "free_bytes": _free(settings.root)},
    }


def print_status(found: Mapping[str, Any]) -> None:
    """Print what `status` collected."""
    console.print(f"home      {found['home']}\nsource    {found['source']}")
    for name in ("champion", "model", "drift"):
        console.print(f"{name:<9} {found[name] or 'none yet: run `creditrisk run`'}")
    console.print(f"last run  {found['last_run'] or 'none yet'}")
    console.print(f"stale     {', '.join(found['stale']) or 'nothing known to be stale'}")
    console.print(
        f"disk      {found['disk']['home_bytes'] / 1e9:.2f} GB used, {found['disk']['free_bytes'] / 1e9:.1f} GB free\n"
    )
    table = Table("asset", "version", "built", "rows", "warnings", box=None, pad_edge=False)
    for asset in found["assets"]:
        rows = f"{asset['rows']:,}" if asset["rows"] is not None else ""
        table.add_row(asset["key"], asset["version"], asset["built_at"], rows, ", ".join(asset["broken_checks"]))
    console.print(table)


def examine(settings: Settings) -> list[dict[str, str]]:
    """Check what the platform depends on.

    Returns
    -------
    list of dict
        `what`, `state` (good | warn | bad), `words`, and what to do.
    """
    free = _free(settings.root)
    findings = [
        _finding("Python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or later"),
        _finding(
            "home is writable",
            _writable(settings.root),
            str(settings.root),
            "set CREDITRISK_HOME to a writable directory",
        ),
        _finding(
            "free disk",
            free > 2e9,
            f"{free / 1e9:.1f} GB",
            "free space, or set CREDITRISK_HOME to a larger disk",
            warn=True,
        ),
        _finding(
            "lock file",
            _locked_versions_installed(),
            "installed versions against requirements.lock",
            "run `make setup`",
            warn=True,
        ),
    ]
    source = source_directory(settings)
    findings.append(
        _finding(
            "source",
            source.is_dir(),
            str(source),
            "run `creditrisk run` (it makes the sample) or give --source",
            warn=True,
        )
    )
    for package in ("dagster", "duckdb", "lightgbm", "mlflow", "pandera", "fastapi"):
        findings.append(_finding(package, _importable(package), "importable", "run `make setup`"))
    findings += _lake_findings(Lake(settings.lake), settings)
    for finding in running.run_findings(settings):
        findings.append(_finding(**finding))
    return findings


def print_findings(findings: Sequence[Mapping[str, str]]) -> None:
    """Print what `examine` found."""
    marks = {"good": "[green]✓[/]", "warn": "[yellow]![/]", "bad": "[red]✗[/]"}
    for finding in findings:
        advice = "" if finding["state"] == "good" else f" — {finding['advice']}"
        console.print(f"{marks[finding['state']]} {finding['what']:<22} {finding['words']}{advice}", soft_wrap=True)


def serve_ui(settings: Settings, host: str, port: int) -> int:
    """Start the Dagster webserver and daemon on both code locations, until interrupted; return the exit code."""
    choose_source(settings, None, None, quiet=False)
    running.prepare_instance(settings)
    running.recover()
    workspace = Path(running.DAGSTER_YAML).with_name("workspace.yaml")
    console.print(f"Dagster UI on http://{host}:{port} (no authentication: keep it on this machine); Ctrl-C stops it")
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-w",
        str(workspace),
        "-h",
        host,
        "-p",
        str(port),
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen(command, cwd=workspace.parent, env=os.environ | {"CREDITRISK_HOME": str(settings.root)})  # noqa: S603  # fixed command
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        return process.wait()


def _finding(what: str, good: bool, words: str, advice: str, *, warn: bool = False) -> dict[str, str]:
    return {"what": what, "state": "good" if good else "warn" if warn else "bad", "words": words, "advice": advice}


def _lake_findings(lake: Lake, settings: Settings) -> Iterator[dict[str, str]]:
    for pointer in sorted(settings.lake.glob("*/*/CURRENT")):
        key = "/".join(pointer.parts[-3:-1])
        try:
            lake.require(key)
        except LakeError as error:
            yield _finding(f"lake {key}", False, str(error), "run `creditrisk run`")


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK)


def _importable(package: str) -> bool:
    from importlib.util import find_spec  # noqa: PLC0415

    return find_spec(package) is not None


def _locked_versions_installed() -> bool:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    lock = running.DAGSTER_YAML.with_name("requirements.lock")
    if not lock.is_file():
        return False
    pins = [
        line.split("==") for line in lock.read_text("utf-8").splitlines() if "==" in line and not line.startswith(" ")
    ]
    for name, rest in pins:
        try:
            if version(name.split("[")[0]) != rest.split()[0].rstrip(";"):
                return False
        except PackageNotFoundError:
            return False
    return True


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) if directory.is_dir() else 0


def _free(directory: Path) -> int:
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free
