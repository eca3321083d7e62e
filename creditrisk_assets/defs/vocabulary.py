"""The closed sets every definition chooses from: groups, owners, kinds, key names, freshness policies, descriptions."""

from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

GROUPS = ("ingestion", "features", "training", "research", "governance", "monitoring", "months", "serving")
OWNERS = {
    "ingestion": "team:credit-data",
    "features": "team:credit-features",
    "training": "team:credit-models",
    "research": "team:credit-models",
    "governance": "team:model-risk",
    "monitoring": "team:model-risk",
    "months": "team:model-risk",
    "serving": "team:credit-decisions",
}
LAUNCHED_BY_TAG = "creditrisk/launched_by"  # of a run: who asked for it
KINDS = frozenset({"duckdb", "parquet", "lightgbm", "mlflow", "evidently", "fastapi", "optuna", "sklearn", "sqlite"})


def feed_key(table: str) -> str:
    """Return the key of a table's feed."""
    return f"feed/{table}"


def raw_key(table: str) -> str:
    """Return the lake key of a raw table."""
    return f"raw/{table}"


def quarantine_key(table: str) -> str:
    """Return the lake key of a raw table's quarantine."""
    return f"quarantine/{table}"


# the nightly schedule renews every asset, so a day and a half without is a missed night
VERIFIED_NIGHTLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
# research is asked for; what was not looked at for a quarter no longer speaks of the model in use
TRIED_QUARTERLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=100), warn_window=timedelta(days=92))
# a month is delivered in the month after it; two missed months are a silence
DELIVERED_MONTHLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=62), warn_window=timedelta(days=45))
FRESHNESS = {
    group: {"research": TRIED_QUARTERLY, "months": DELIVERED_MONTHLY}.get(group, VERIFIED_NIGHTLY) for group in GROUPS
}
# a year ahead, so that a simulated year can be shown whole
MONTHS = dg.MonthlyPartitionsDefinition(start_date="2024-01-01", end_offset=12)


def month_of(partition: str) -> str:
    """Return a partition's month as files and lake name it: 2026-05."""
    return partition[:7]


def partition_of(month: str) -> str:
    """Return a month's partition."""
    return f"{month}-01"


@dataclass(frozen=True)
class Describe:
    """An asset's text in the UI; every part is asked of every asset."""

    what: str
    grain: str
    built_from: str
    known_at: str
    consumed_by: str
    fails_when: str
    source: str

    def __str__(self) -> str:
        return "\n\n".join(
            (
                self.what,
                f"Grain: {self.grain}",
                f"Built from: {self.built_from}",
                f"Known at: {self.known_at}",
                f"Consumed by: {self.consumed_by}",
                f"Fails when: {self.fails_when}",
                f"Source: `{self.source}`",
            )
        )
