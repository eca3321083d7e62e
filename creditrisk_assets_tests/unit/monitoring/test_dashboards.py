"""Grafana's dashboards ask for metrics that are there, with labels they have."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from creditrisk_assets.monitoring.drift.publication import figures, write_prometheus
from creditrisk_assets.monitoring.drift.report import CauseKind
from creditrisk_serving.observability import Metrics

DASHBOARDS = Path("deploy/grafana")
METRIC = re.compile(r"creditrisk_[a-z_]+")
LABELS = re.compile(r"by \(([a-z_, ]+)\)")
INTERVAL = {"value": 0.6, "low": 0.5, "high": 0.7}
DRIFT = {
    "current_rows": 900, "status": "stable", "score_psi": 0.1, "drifted_share": 0.0, "drifted_importance": 0.0,
    "rank_agreement": 0.9, "domain_auc": INTERVAL, "prior": INTERVAL, "causes": [],
}  # fmt: skip


def expressions(name: str) -> list[str]:
    board = json.loads((DASHBOARDS / name).read_text("utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def names_of_drift(tmp_path: Path) -> set[str]:
    text = write_prometheus(DRIFT, tmp_path).read_text("utf-8")
    return {family.name for family in text_string_to_metric_families(text)}


def labels_of_the_service() -> dict[str, set[str]]:
    """Read every metric's labels off the service's own registry; counters and histograms stand under all their names."""
    known: dict[str, set[str]] = {}
    for collector, names in Metrics().registry._collector_to_names.items():
        for name in names:
            known[name] = {*collector._labelnames, *(["le"] if name.endswith("_bucket") else [])}
    return known


def test_every_metric_and_label_of_the_service_is_there() -> None:
    known = labels_of_the_service()
    for expression in expressions("service.json"):
        for name in METRIC.findall(expression):
            assert name in known, expression
            asked = {label for found in LABELS.findall(expression) for label in found.split(", ")}
            assert asked <= known[name], expression


def test_every_drift_figure_is_there(tmp_path: Path) -> None:
    known = names_of_drift(tmp_path)
    asked = {name for expression in expressions("drift.json") for name in METRIC.findall(expression)}
    assert asked <= known
    assert len([1 for name, *_ in figures(DRIFT) if name.endswith("_cause")]) == len(get_args(CauseKind))


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.name)
def test_a_dashboard_names_no_data_source_of_its_own(path: Path) -> None:
    board = json.loads(path.read_text("utf-8"))
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${source}"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
