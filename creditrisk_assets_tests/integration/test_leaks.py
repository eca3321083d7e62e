"""A feature that knows the outcome stops the split; the last good version stays, and no model is trained on it."""

import csv
import shutil
from pathlib import Path

import pytest

from creditrisk_assets import running
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph

CHECKS = {
    "no_single_feature_tells_the_outcome": "training/split_train",
    "ids_tell_nothing": "training/split_train",
    "row_order_tells_nothing": "training/split_train",
    "a_shuffled_target_teaches_nothing": "model/pd",
}
SELECT = "raw/application_train,features/application,features/applicant,training/split_train,model/out_of_fold,model/pd"


def test_a_leak_planted_in_the_source_blocks_publication(graph: Graph, portfolio: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(portfolio, source)
    settings = Settings()
    shutil.copytree(graph.settings.lake, settings.lake)
    lake = Lake(settings.lake)
    before = {key: lake.require(key).version for key in SELECT.split(",")}

    with (source / "application_train.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    target, score = header.index("TARGET"), header.index("EXT_SOURCE_2")
    for row in rows:
        if row[score]:  # a score set after the outcome was known: 0.8… of those who repaid, 0.2… of defaults
            row[score] = f"0.{8 - 6 * int(row[target])}{row[score][2:6]}"
    with (source / "application_train.csv").open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    remember_source(settings, source)
    result = running.materialize(settings, SELECT)

    outcomes = {asset.key: asset.outcome for asset in result.assets}
    assert outcomes == {**dict.fromkeys(SELECT.split(",")[:3], "built"), "training/split_train": "failed"}
    (failure,) = result.failures
    assert "no_single_feature_tells_the_outcome" in failure
    assert "application__ext_2_score reaches AUC 1.000 by its value" in failure
    assert "model/pd" in result.not_run
    assert lake.require("features/applicant").version != before["features/applicant"]
    assert all(lake.require(key).version == before[key] for key in ("training/split_train", "model/pd"))


@pytest.mark.parametrize("name", list(CHECKS))
def test_an_answer_holds_what_comes_closest_to_its_limit(graph: Graph, name: str) -> None:
    checks = {check["name"]: check for check in graph.lake.require(CHECKS[name]).manifest.metadata["checks"]}
    assert checks[name]["passed"]
    readings = checks[name]["facts"]["readings"]
    assert 1 <= len(readings) <= 20
    assert all(0.5 <= reading["auc"] <= reading["limit"] <= 1 for reading in readings)
    assert sorted(readings, key=lambda reading: reading["limit"] - reading["auc"]) == readings
