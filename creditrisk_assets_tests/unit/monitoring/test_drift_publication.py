"""Drift figures for machines: Prometheus' own parser and a CloudWatch counterpart read what was told, and nothing that was not measured."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from creditrisk_assets.modelling.auc import Interval
from creditrisk_assets.monitoring.drift.publication import (
    FILE,
    PublicationError,
    figures,
    send_to_cloudwatch,
    write_prometheus,
)
from creditrisk_assets.monitoring.drift.report import Cause, DriftReport

REPORT = DriftReport(
    status="drifted",
    words="words",
    reference_rows=20_000,
    current_rows=1500,
    drifted_share=0.125,
    drifted_importance=0.25,
    score_psi=0.3,
    causes=(Cause("missing_feed", "bureau", "bureau is missing", ("bureau__x",)),),
    prior=Interval(1.25, 0.9, 1.6),
)
FACTS = REPORT.to_dict()


def read(path: Path) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            found["".join([sample.name, *sample.labels.values()])] = sample.value
    return found


def test_the_file_says_what_the_report_says(tmp_path: Path) -> None:
    found = read(write_prometheus(FACTS, tmp_path))
    assert found["creditrisk_drift_score_psi"] == 0.3
    assert found["creditrisk_drift_applicants"] == 1500
    assert found["creditrisk_drift_prior_ratio"] == 1.25
    assert (found["creditrisk_drift_causemissing_feed"], found["creditrisk_drift_causeprior"]) == (1, 0)


def test_what_was_not_measured_is_not_told(tmp_path: Path) -> None:
    found = read(write_prometheus(FACTS, tmp_path))
    assert not {name for name in found if "rank_agreement" in name or "domain_auc" in name}


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    write_prometheus(FACTS, tmp_path)
    write_prometheus({**FACTS, "prior": None, "causes": []}, tmp_path)
    found = read(tmp_path / FILE)
    assert "creditrisk_drift_prior_ratio" not in found
    assert found["creditrisk_drift_causemissing_feed"] == 0
    assert [path.name for path in (tmp_path / FILE).parent.iterdir()] == [Path(FILE).name]


@pytest.fixture(scope="module")
def aws() -> Iterator[dict]:
    """Run moto's server; what a client of it is made with."""
    server = pytest.importorskip("moto.server", reason="no AWS counterpart; enable with: pip install 'moto[server]'")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    yield {"endpoint_url": f"http://{host}:{port}", "region_name": "eu-central-1", **keys}
    running.stop()


def test_cloudwatch_gets_the_same_figures(aws: dict) -> None:
    import boto3

    client = boto3.client("cloudwatch", **aws)
    assert send_to_cloudwatch(FACTS, client, "CreditRisk") == len(list(figures(FACTS)))
    listed = client.list_metrics(Namespace="CreditRisk")["Metrics"]
    told = {(metric["MetricName"], *(d["Value"] for d in metric["Dimensions"])) for metric in listed}
    assert told == {(name, *labels.values()) for name, _, labels, _ in figures(FACTS)}


def test_a_cloudwatch_that_is_not_there_is_one_clear_error(aws: dict) -> None:
    import boto3
    from botocore.config import Config

    nowhere = {**aws, "endpoint_url": "http://127.0.0.1:9", "config": Config(retries={"max_attempts": 0})}
    with pytest.raises(PublicationError, match=r"CREDITRISK_CLOUDWATCH_NAMESPACE"):
        send_to_cloudwatch(FACTS, boto3.client("cloudwatch", **nowhere), "CreditRisk")
