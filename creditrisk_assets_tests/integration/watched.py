"""A code location small enough to be watched by a real daemon in a test: two assets, a sensor, and the platform's alert sensor.

Files in the directory named by WATCHED_FAULTS say what is broken; a test makes and removes them while the daemon runs.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from creditrisk_assets.defs.alerts import alert_sensor

RAW, FEATURES = dg.AssetKey(["raw", "bureau"]), dg.AssetKey(["features", "bureau"])
FAULTS = "WATCHED_FAULTS"
SECONDS = 5


def broken(what: str) -> bool:
    return (Path(os.environ[FAULTS]) / what).exists()


@dg.asset(
    key=RAW,
    owners=["team:credit-data"],
    output_required=False,
    check_specs=[dg.AssetCheckSpec("contract", asset=RAW, blocking=True)],
)
def raw() -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    passed = not broken("contract")
    yield dg.AssetCheckResult(asset_key=RAW, check_name="contract", passed=passed, description="3 rules broken")
    if passed:
        yield dg.MaterializeResult(asset_key=RAW)


@dg.asset(key=FEATURES, deps=[RAW], owners=["team:credit-features"])
def features() -> None: ...


@dg.sensor(job_name="nightly", minimum_interval_seconds=SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def on_something(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
    if broken("sensor"):
        raise RuntimeError("something is broken")
    return dg.SkipReason("nothing to do")


nightly = dg.define_asset_job("nightly", selection=dg.AssetSelection.all(), executor_def=dg.in_process_executor)
defs = dg.Definitions(assets=[raw, features], jobs=[nightly], sensors=[on_something, alert_sensor(SECONDS)])
