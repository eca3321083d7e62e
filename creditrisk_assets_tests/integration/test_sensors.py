"""The drift sensor on a real instance: a report is answered once."""

import json
from collections.abc import Iterator

import dagster as dg
import pytest

from creditrisk_assets.definitions import build_defs
from creditrisk_assets.defs import monitoring
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as found:
        yield found


def tick(instance: dg.DagsterInstance, sensor: dg.SensorDefinition, cursor: str | None):
    context = dg.build_sensor_context(
        instance=instance, repository_def=build_defs().get_repository_def(), cursor=cursor
    )
    return sensor.evaluate_tick(context)


def report(retrain: bool, version: str) -> None:
    lake = Lake(Settings().lake)
    with lake.draft(monitoring.DRIFT) as draft:
        draft.data.write_text(version)
        facts = {"retrain": retrain, "headline": "moved"}
        lake.publish(draft, code_version="c", inputs={}, metadata={"facts": facts}, version=version)


def test_a_drift_report_is_answered_once(instance: dg.DagsterInstance) -> None:
    nothing = tick(instance, monitoring.on_drift, None)
    assert not nothing.run_requests
    report(retrain=True, version="r1")
    first = tick(instance, monitoring.on_drift, nothing.cursor)
    assert [request.run_key for request in first.run_requests or []] == ["drift:r1"]
    second = tick(instance, monitoring.on_drift, first.cursor)
    assert not second.run_requests
    report(retrain=True, version="r2")
    in_cooldown = tick(instance, monitoring.on_drift, second.cursor)
    assert not in_cooldown.run_requests
    assert json.loads(in_cooldown.cursor or "{}")["answered"] == "r1"


def test_a_quiet_report_asks_for_nothing(instance: dg.DagsterInstance) -> None:
    report(retrain=False, version="r1")
    assert not tick(instance, monitoring.on_drift, None).run_requests
