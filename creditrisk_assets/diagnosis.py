"""Status and diagnosis: what there is, what is wrong, what to do about it.

What belongs here: looking and telling. What does not: running the graph (`running`), its progress and summary (`terminal`).
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from creditrisk_assets import promoting, running
from creditrisk_assets.defs.feeds import look_at_all, write_freshness
from creditrisk_assets.ingestion.connector import IngestionError
from creditrisk_assets.ingestion.sources import source_text
from creditrisk_assets.lake import Lake, LakeError
from creditrisk_assets.monitoring.alerts.store import AlertStore
from creditrisk_assets.resources.platform import open_feeds
from creditrisk_assets.settings import Settings
from creditrisk_assets.terminal import WIDE, champion_words, facts_of

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)


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
        "source": source_text(settings),
        "champion": champion_words(settings),
        "approvals": promoting.standing(settings),
        "registry": facts_of(lake, "registry/canary").get("headline"),
        "model": facts_of(lake, "model/evaluation").get("headline"),
        "drift": facts_of(lake, "monitoring/drift").get("headline"),
        "assets": assets,
        **running.instance_status(settings),
        "open_alerts": _open_alerts(settings),
        "disk": {"home_bytes": _size(settings.root), "free_bytes": _free(settings.root)},
    }


def print_status(found: Mapping[str, Any]) -> None:
    """Print what `status` collected."""
    console.print(f"home      {escape(found['home'])}\nsource    {escape(found['source'])}")
    for name in ("champion", "registry", "model", "drift"):
        console.print(f"{name:<9} {found[name] or 'none yet: run `creditrisk run`'}")
    console.print(f"approvals {escape(promoting.standing_words(found['approvals']))}")
    console.print(f"last run  {found['last_run'] or 'none yet'}")
    console.print(f"stale     {', '.join(found['stale']) or 'nothing known to be stale'}")
    open_alerts = ", ".join(f"{count} {severity}" for severity, count in found["open_alerts"].items() if count)
    console.print(f"alerts    {f'{open_alerts}: see `creditrisk alerts list`' if open_alerts else 'none open'}")
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
    findings.append(_source_finding(settings))
    for package in ("dagster", "duckdb", "lightgbm", "mlflow", "pandera", "fastapi"):
        findings.append(_finding(package, _importable(package), "importable", "run `make setup`"))
    findings += _lake_findings(Lake(settings.lake))
    findings.append(
        _finding("ledger", *promoting.check_ledger(settings), "see `creditrisk ledger --verify`, restore it")
    )
    for finding in running.run_findings(settings):
        findings.append(_finding(**finding))
    return findings


def _source_finding(settings: Settings) -> dict[str, str]:
    """Say whether every raw table can be found in the source."""
    advice = "give --source, and see `creditrisk freshness` for each feed"
    try:
        report = feed_freshness(settings)
    except IngestionError as error:
        return _finding("source", False, str(error), advice, warn=True)
    lost = [table for table, feed in report["feeds"].items() if feed["state"] == "missing"]
    words = f"{report['source']}: " + (
        f"not found: {', '.join(lost)}" if lost else f"all {len(report['feeds'])} tables found"
    )
    return _finding("source", not lost, words, advice, warn=True)


def feed_freshness(settings: Settings) -> dict[str, Any]:
    """Look at every feed now, export the report and return it."""
    feeds, now = open_feeds(settings), datetime.now(UTC)
    _, ages = look_at_all(feeds, now)
    return write_freshness(settings, feeds, ages, now)


def print_freshness(report: Mapping[str, Any]) -> None:
    """Print what `feed_freshness` found."""
    marks = {
        "fresh": "[green]fresh[/]",
        "warn": "[yellow]warn[/]",
        "stale": "[red]stale[/]",
        "missing": "[red]missing[/]",
    }
    table = Table("feed", "state", "age h", "stale from h", "as at", "why", box=None, pad_edge=False)
    for name, feed in report["feeds"].items():
        figures = ["" if feed[figure] is None else f"{feed[figure]:,.1f}" for figure in ("age_hours", "limit_hours")]
        table.add_row(name, marks[feed["state"]], *figures, feed["as_at"] or "", escape(feed["words"]))
    console.print(f"source {escape(report['source'])}, looked at {report['looked_at']}\n")
    console.print(table)


def print_findings(findings: Sequence[Mapping[str, str]]) -> None:
    """Print what `examine` found."""
    marks = {"good": "[green]✓[/]", "warn": "[yellow]![/]", "bad": "[red]✗[/]"}
    for finding in findings:
        advice = "" if finding["state"] == "good" else f" — {finding['advice']}"
        console.print(f"{marks[finding['state']]} {finding['what']:<22} {escape(finding['words'] + advice)}")


def _finding(what: str, good: bool, words: str, advice: str, *, warn: bool = False) -> dict[str, str]:
    return {"what": what, "state": "good" if good else "warn" if warn else "bad", "words": words, "advice": advice}


def _open_alerts(settings: Settings) -> dict[str, int]:
    """Count the open alerts by severity."""
    with AlertStore(settings.alerts_url) as store:
        severities = [alert.condition.severity for alert in store.alerts()] if store.exists else []
    return {severity: severities.count(severity) for severity in ("critical", "warning")}


def _lake_findings(lake: Lake) -> Iterator[dict[str, str]]:
    for pointer in sorted(lake.root.glob("*/*/CURRENT")):
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
    return find_spec(package) is not None


def _locked_versions_installed() -> bool:
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
