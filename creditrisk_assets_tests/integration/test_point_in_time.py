"""A record dated after the application stops the family that reads it, even where the table's contract was relaxed to let it in."""

import csv
import shutil
from pathlib import Path

import pytest

from creditrisk_assets import running
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings

RELAXED = """
- table: raw/bureau
  rule: maximum
  column: DAYS_CREDIT
  reason: the bureau reports some openings a few days late
  owner: team:data
  expires: 2999-12-31
"""
SELECT = "raw/application_train,raw/application_test,raw/bureau,raw/bureau_balance,features/bureau"


def test_a_planted_future_record_is_caught_by_a_blocking_check(
    portfolio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    shutil.copytree(portfolio, source)
    relaxations = tmp_path / "relaxations.yaml"
    relaxations.write_text(RELAXED)
    monkeypatch.setenv("CREDITRISK_RELAXATIONS", str(relaxations))
    settings = Settings()
    remember_source(settings, source)
    assert running.materialize(settings, SELECT).failures == []
    lake = Lake(settings.lake)
    before = {key: lake.require(key).version for key in ("raw/bureau", "features/bureau")}

    with (source / "bureau.csv").open(newline="") as stream:
        header, planted, *rest = csv.reader(stream)
    planted[header.index("DAYS_CREDIT")] = "3"
    with (source / "bureau.csv").open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, planted, *rest])
    result = running.materialize(settings, SELECT)

    (failure,) = result.failures
    assert "features/bureau" in failure
    assert "no_future_events" in failure
    assert "bureau.DAYS_CREDIT in 1 records" in failure
    assert lake.require("raw/bureau").version != before["raw/bureau"]  # the relaxed contract let it in
    assert lake.require("features/bureau").version == before["features/bureau"]
