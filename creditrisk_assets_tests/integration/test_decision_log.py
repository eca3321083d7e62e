"""The decision log as an asset: a file a day, every decision in it, verified and signed."""

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import mlflow
import msgspec
import pytest
from mlflow.entities import Run

from creditrisk_assets import running
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.records import record
from creditrisk_assets_tests.serving.test_journal import started
from creditrisk_assets_tests.serving.test_verification import change
from creditrisk_serving.decisions.checkpoints import read_checkpoints
from creditrisk_serving.decisions.schemas import DecisionRecord

KEY = "serving/decision_log"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path / "home"))
    return Settings()


def decide(settings: Settings, records: Sequence[DecisionRecord]) -> None:
    with started(settings.root) as log:
        log.store(records)


def made(settings: Settings) -> str:
    result = running.materialize(settings, KEY)
    assert result.failures == []
    assert result.broken_checks == {}
    (asset,) = result.assets
    return asset.outcome


def on(day: str, count: int) -> list[DecisionRecord]:
    return [record(decided_at=f"{day}T{hour:02d}:00:00.000000+00:00") for hour in range(count)]


def test_each_day_has_a_file_with_its_decisions_and_the_log_is_signed(settings: Settings) -> None:
    first, second = on("2026-11-28", 3), on("2026-11-29", 2)
    decide(settings, [*first, *second])
    assert made(settings) == "built"
    version = Lake(settings.lake).require(KEY)
    assert json.loads((version.path / "days.json").read_text()) == {"2026-11-28": 3, "2026-11-29": 2}
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select decision_id, features from read_parquet('{version.path}/2026-11-28.parquet')"
        ).fetchall()
    assert [row[0] for row in found] == [one.decision_id for one in first]
    assert all(row[1].startswith('"sealed:') for row in found)  # an erasure reaches the files too
    path = settings.root / "checkpoints" / "decision_log.jsonl"
    public = public_bytes(signing_key(settings.keys))
    assert read_checkpoints(path, public).signed[-1].records == 5
    assert made(settings) == "reused"
    decide(settings, on("2026-11-29", 1))
    assert made(settings) == "built"
    after = Lake(settings.lake).require(KEY)
    assert json.loads((after.path / "days.json").read_text()) == {"2026-11-28": 3, "2026-11-29": 3}
    same = "2026-11-28.parquet"
    assert (after.path / same).stat().st_ino == (version.path / same).stat().st_ino
    assert read_checkpoints(path, public).signed[-1].records == 6


def test_a_changed_record_stops_it_and_the_last_good_version_stays(settings: Settings) -> None:
    decide(settings, on("2026-11-28", 3))
    assert made(settings) == "built"
    before = Lake(settings.lake).require(KEY).version
    decide(settings, on("2026-11-29", 1))
    change(f"sqlite:///{settings.root / 'decisions.db'}", "update decisions set pd = 0.9 where sequence = 2")
    result = running.materialize(settings, KEY)
    assert "as_written" in str(result.broken_checks)
    assert Lake(settings.lake).require(KEY).version == before


def test_without_a_decision_there_is_nothing_to_write_and_nothing_wrong(settings: Settings) -> None:
    assert made(settings) == "built"
    assert json.loads((Lake(settings.lake).require(KEY).path / "days.json").read_text()) == {}


def test_each_days_figures_are_a_run_in_mlflow_that_is_logged_anew_only_when_it_grew(settings: Settings) -> None:
    day = [record(decided_at=f"2026-11-28T0{hour}:00:00.000000+00:00", pd=0.1 * hour) for hour in range(1, 4)]
    approved = msgspec.structs.replace(day[0], decision="approve", band="A")
    decide(settings, [approved, *day[1:], *on("2026-11-29", 2)])
    made(settings)
    client = mlflow.MlflowClient(settings.tracking_uri)

    def runs() -> dict[str, Run]:
        experiment = client.get_experiment_by_name("credit-risk-decisions")
        assert experiment is not None
        return {run.data.tags["day"]: run for run in client.search_runs([experiment.experiment_id])}

    first = runs()
    assert sorted(first) == ["2026-11-28", "2026-11-29"]
    metrics = first["2026-11-28"].data.metrics
    assert first["2026-11-28"].data.tags["model_version"] == "m"
    assert first["2026-11-28"].info.status == "FINISHED"
    assert (metrics["decisions"], metrics["applicants"], metrics["requests"]) == (3.0, 1.0, 1.0)
    assert [round(metrics[name], 9) for name in ("approval_rate", "referral_rate", "decline_rate")] == [
        pytest.approx(1 / 3),
        pytest.approx(2 / 3),
        0.0,
    ]
    assert (metrics["pd_mean"], metrics["pd_p50"]) == (pytest.approx(0.2), pytest.approx(0.2))
    assert (metrics["band_A_share"], metrics["band_C_share"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    decide(settings, on("2026-11-29", 1))
    made(settings)
    again = runs()
    assert {day: run.info.run_id for day, run in again.items()} == {day: run.info.run_id for day, run in first.items()}
    assert again["2026-11-29"].data.metrics["decisions"] == 3.0
    assert again["2026-11-28"].info.end_time == first["2026-11-28"].info.end_time
