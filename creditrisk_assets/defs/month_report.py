"""The monthly monitoring page as an asset.

What belongs here: gathering what is shown. What does not: the page (`monitoring.month_page`), figures (`defs.months`).
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Seen, Work
from creditrisk_assets.defs.months import (
    GROUP,
    MONTH_APPLICATIONS,
    MONTH_DRIFT,
    MONTH_PERFORMANCE,
    RAW_OUTCOMES,
    follows,
)
from creditrisk_assets.defs.retraining import CAUSE, ENDED, recent_retrains, tell_ends
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version, write_atomically
from creditrisk_assets.monitoring import month_page, month_plots
from creditrisk_assets.monitoring.alerts.store import AlertStore
from creditrisk_assets.monitoring.month_page import Page, render_page
from creditrisk_assets.monitoring.month_plots import draw_months
from creditrisk_assets.settings import Settings

MONTH_REPORT = "monitoring/report"
MONTH_PAGE = "monitoring_report.html"
SUBJECTS = (RAW_OUTCOMES, MONTH_APPLICATIONS, MONTH_DRIFT, MONTH_PERFORMANCE)
BY_GROUP = ("gender", "age")
CONTAINED = {"self_contained": "The page loads nothing from elsewhere and runs no script."}
OUTSIDE = ("http://", "https://", "<script", "<link", "@import", "url(")


def _observe(context: dg.AssetExecutionContext) -> Seen:
    settings: Settings = context.resources.platform.settings
    now = datetime.now(UTC)
    tell_ends(context.instance, settings, now)
    retrains = [
        {
            "at": f"{record.create_timestamp:%Y-%m-%d %H:%M}",
            "cause": record.dagster_run.tags.get(CAUSE, "a person"),
            "state": record.dagster_run.status.value.lower(),
            "ended": record.dagster_run.tags.get(ENDED, ""),
        }
        for record in recent_retrains(context.instance, now)
    ]
    shown = {"alerts": _alerts(settings), "retrains": retrains}
    return Seen({"shown": hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()}, shown)


def _alerts(settings: Settings) -> list[dict[str, str]]:
    with AlertStore(settings.alerts_url) as store:
        kept = [*store.alerts(), *store.alerts(resolved=True)] if store.exists else []
    return [
        {
            "since": f"{alert.opened_at:%Y-%m-%d}",
            "severity": alert.condition.severity,
            "what": alert.condition.what,
            "resolved": "" if alert.resolved_at is None else f"{alert.resolved_at:%Y-%m-%d}",
        }
        for alert in kept
        if alert.condition.subject in SUBJECTS
    ]


def _make_report(work: Work) -> Made:
    version = work.inputs[MONTH_PERFORMANCE]
    facts = version.manifest.metadata["facts"]
    table = pd.read_parquet(version.data)
    drift = [
        {"month": key.rpartition("/")[2], **each.manifest.metadata["facts"]}
        for key, each in sorted(work.inputs.items())
        if key.startswith(f"{MONTH_DRIFT}/")
    ]
    page = Page(
        headline=facts["headline"],
        months=facts["months"],
        drift=drift,
        groups=_groups(table),
        grades=_grades(table),
        alerts=work.seen["alerts"],
        retrains=work.seen["retrains"],
        pictures=draw_months(table, drift),
        origin={MONTH_PERFORMANCE: version.version},
    )
    text = render_page(page)
    (work.draft.path / MONTH_PAGE).write_text(text, "utf-8")
    foreign = [sign for sign in OUTSIDE if sign in text]
    contained = CheckOutcome(
        "self_contained", passed=not foreign, facts={"description": ", ".join(foreign) or f"{len(text) / 1e6:.1f} MB"}
    )
    return Made({"months": len(page.months), "headline": facts["headline"], "bytes": len(text)}, [contained])


def _groups(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table[(table["figure"] == "approval_rate") & table["segment"].isin(BY_GROUP)]
    return _records(rows[rows["application_month"] == rows["application_month"].max()])


def _grades(table: pd.DataFrame) -> list[dict[str, Any]]:
    realised = table[table["figure"] == "grade_realised"]
    newest = realised["application_month"].max()
    expected = table[(table["figure"] == "grade_expected") & (table["application_month"] == newest)]
    rows = realised[realised["application_month"] == newest].merge(
        expected[["part", "value"]].rename(columns={"value": "expected"}), on="part"
    )
    return [{**row, "month": newest} for row in _records(rows)]


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    page = version.path / MONTH_PAGE
    return {"headline": dg.MetadataValue.text(facts["headline"]), "page": dg.MetadataValue.url(page.as_uri())}


def _export(settings: Settings, _lake: Lake, version: Version) -> None:
    write_atomically(settings.reports / MONTH_PAGE, (version.path / MONTH_PAGE).read_text("utf-8"))


REPORT = Artefact(
    key=MONTH_REPORT,
    group=GROUP,
    kinds=frozenset({"parquet"}),
    describe=Describe(
        what="The monthly monitoring page of a risk committee: one HTML file, also in the reports directory.",
        grain="one page over all months",
        built_from="`monitoring/performance`, every month of `monitoring/monthly_drift`, alerts, retrains",
        known_at="the newest month delivered",
        consumed_by="risk committee, auditors",
        fails_when="the page would load something from elsewhere",
        source="creditrisk_assets/monitoring/month_page.py",
    ),
    code_version=code_version(
        month_page, month_plots, _make_report, Path(month_page.__file__).with_name(month_page.TEMPLATE)
    ),
    make=_make_report,
    show=_show,
    deps=(MONTH_PERFORMANCE,),
    every_month=(MONTH_DRIFT,),
    checks=CONTAINED,
    observe=_observe,
    export=_export,
    automation=follows(MONTH_PERFORMANCE, MONTH_DRIFT),
)
ARTEFACTS = (REPORT,)
