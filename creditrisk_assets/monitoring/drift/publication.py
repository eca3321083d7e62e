"""Drift figures where machines watch: a text file for Prometheus' node exporter, CloudWatch.

What belongs here: names and labels of the metrics, writing and sending them. What does not: the figures (`report`), when they are
published (`defs`).

Both publishers tell the same figures. A figure that was not measured is not told: a zero would be a lie.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from creditrisk_assets.monitoring.drift.report import CauseKind

FILE = "metrics/creditrisk_drift.prom"  # below the reports
PREFIX = "creditrisk_drift"
AT_ONCE = 100  # metrics in a call to CloudWatch; it takes up to 1,000

Figure = tuple[str, str, Mapping[str, str], float]  # name, what it is, labels, value


class PublicationError(RuntimeError):
    """The figures could not be sent; the message says where to and what to look at."""


def figures(facts: Mapping[str, Any]) -> Iterator[Figure]:
    """List the figures of a report.

    Parameters
    ----------
    facts
        As `DriftReport.to_dict` gives them.
    """
    plain = {
        "applicants": ("Applicants measured", facts["current_rows"]),
        "unknown": ("1 where too few applicants were measured for a verdict", float(facts["status"] == "unknown")),
        "score_psi": ("Population stability index of the score", facts["score_psi"]),
        "drifted_share": ("Share of the inputs that drifted", facts["drifted_share"]),
        "drifted_importance": ("Share of the model's gain on inputs that drifted", facts["drifted_importance"]),
        "rank_agreement": ("Rank agreement of the features' contributions with the reference", facts["rank_agreement"]),
        "domain_auc": ("AUC of a model that tells the applicants from the reference", _value(facts["domain_auc"])),
        "prior_ratio": ("Default rate that the scores tell, over that of the training", _value(facts["prior"])),
    }
    for name, (words, value) in plain.items():
        if value is not None:
            yield f"{PREFIX}_{name}", words, {}, float(value)
    kinds = {cause["kind"] for cause in facts["causes"]}
    for kind in get_args(CauseKind):
        yield f"{PREFIX}_cause", "1 where this happened", {"kind": kind}, float(kind in kinds)


def write_prometheus(facts: Mapping[str, Any], reports: Path) -> Path:
    """Write the figures for the textfile collector of Prometheus' node exporter, the whole file at once.

    Parameters
    ----------
    facts
        As `DriftReport.to_dict` gives them.
    reports
        `Settings.reports`; point the exporter's `--collector.textfile.directory` at `metrics` below it.
    """
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile  # noqa: PLC0415 - for this file alone

    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for name, words, labels, value in figures(facts):
        if name not in gauges:
            gauges[name] = Gauge(name, words, list(labels), registry=registry)
        (gauges[name].labels(**labels) if labels else gauges[name]).set(value)
    path = reports / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)
    return path


def send_to_cloudwatch(facts: Mapping[str, Any], client: Any, namespace: str) -> int:
    """Send the figures to CloudWatch; return how many.

    Parameters
    ----------
    facts
        As `DriftReport.to_dict` gives them.
    client
        boto3's, of `cloudwatch`.
    namespace
        Of the metrics.

    Raises
    ------
    PublicationError
        AWS cannot be reached or refuses.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only where it is used

    data = [
        {
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": text} for key, text in labels.items()],
            "Value": value,
        }
        for name, _, labels, value in figures(facts)
    ]
    try:
        for start in range(0, len(data), AT_ONCE):
            client.put_metric_data(Namespace=namespace, MetricData=data[start : start + AT_ONCE])
    except (BotoCoreError, ClientError) as error:
        raise PublicationError(
            f"the drift figures did not reach CloudWatch namespace {namespace} ({type(error).__name__}); the report itself is published."
            " Check the AWS credentials and region and that they may cloudwatch:PutMetricData, or unset CREDITRISK_CLOUDWATCH_NAMESPACE"
        ) from error
    return len(data)


def _value(interval: Mapping[str, float] | None) -> float | None:
    return None if interval is None else interval["value"]
