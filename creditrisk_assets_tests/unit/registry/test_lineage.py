"""Lineage: versions that were used are followed back to raw files, and what is gone is told."""

import json
import shutil
from pathlib import Path

import pytest

from creditrisk_assets.lake import MANIFEST, Lake
from creditrisk_assets.registry.lineage import champion_report, model_origin, outline, trace

RAW = {"batches": [{"address": "/in/bureau.csv", "sha256": "f" * 64, "rows_read": 3}]}


def publish(lake: Lake, key: str, version: str, inputs: dict[str, str], facts: dict[str, object] | None = None) -> None:
    with lake.draft(key) as draft:
        (draft.path / "data.parquet").write_text(version)
        lake.publish(draft, code_version="c", inputs=inputs, version=version, metadata={"facts": facts or {}})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    publish(made, "raw/bureau", "r1", {"feed/bureau": "1"}, RAW)
    publish(made, "features/bureau", "f1", {"raw/bureau": "r1", "engine": "duckdb"})
    facts = {"mlflow": {"run_id": "m", "model_uri": "models:/m"}, "dagster_run_id": "d"}
    publish(made, "model/pd", "v1", {"features/bureau": "f1", "policy": "p" * 64}, facts)
    registered = {"candidate": {"model_version": "v1", "registry_version": 7}}
    publish(made, "registry/version", "x", {"model/pd": "v1"}, {"versions": registered})
    return made


def test_the_chain_ends_in_the_raw_files_and_their_hashes(lake: Lake) -> None:
    found = trace(lake, {"model/pd": "v1"}, named_by="me")
    assert [(step.key, step.version) for step in found.steps] == [
        ("model/pd", "v1"),
        ("features/bureau", "f1"),
        ("raw/bureau", "r1"),
    ]
    assert found.steps[1].also_from == {"engine": "duckdb"}
    assert [(file.address, file.sha256) for file in found.raw_tables[0].raw_files] == [("/in/bureau.csv", "f" * 64)]
    assert found.gaps == ()


def test_versions_that_were_used_are_followed_and_not_the_present_ones(lake: Lake) -> None:
    publish(lake, "raw/bureau", "r2", {"feed/bureau": "2"}, RAW)
    publish(lake, "features/bureau", "f2", {"raw/bureau": "r2"})
    found = trace(lake, {"model/pd": "v1"}, named_by="me")
    assert {step.version for step in found.steps} == {"v1", "f1", "r1"}


def test_a_version_that_is_gone_is_named_with_who_named_it(lake: Lake) -> None:
    shutil.rmtree(lake.version("raw/bureau", "r1").path)
    (gap,) = trace(lake, {"model/pd": "v1"}, named_by="me").gaps
    assert (gap.link, gap.named_by) == ("raw/bureau r1", "features/bureau f1")
    assert "deleted" in gap.why


def test_a_manifest_that_cannot_be_read_is_told_apart_from_one_that_is_gone(lake: Lake) -> None:
    (lake.version("features/bureau", "f1").path / MANIFEST).write_text("{")
    (gap,) = trace(lake, {"model/pd": "v1"}, named_by="me").gaps
    assert (gap.link, "cannot be read" in gap.why) == ("features/bureau f1", True)


def test_a_name_from_the_log_opens_no_other_directory(lake: Lake) -> None:
    (gap,) = trace(lake, {"model/pd": "../../../raw/bureau/versions/r1"}, named_by="me").gaps
    assert gap.why == "this is no name of a version"


def test_a_changed_file_is_found_where_asked_for_and_a_missing_one_always(lake: Lake) -> None:
    data = lake.version("features/bureau", "f1").data
    data.write_text("other")
    assert trace(lake, {"model/pd": "v1"}, named_by="me").gaps == ()
    assert "data.parquet" in trace(lake, {"model/pd": "v1"}, named_by="me", verify=True).gaps[0].why
    data.unlink()
    assert "data.parquet" in trace(lake, {"model/pd": "v1"}, named_by="me").gaps[0].why


def test_a_model_version_names_its_runs_and_its_place_in_the_registry(lake: Lake) -> None:
    origin, gaps = model_origin(lake, "v1")
    assert gaps == ()
    assert (origin.mlflow_run_id, origin.dagster_run_id, origin.registry_version) == ("m", "d", 7)
    assert origin.policy_sha256 == "p" * 64


def test_runs_that_no_manifest_names_are_gaps(lake: Lake) -> None:
    publish(lake, "model/pd", "v2", {})
    _, gaps = model_origin(lake, "v2")
    assert [gap.link for gap in gaps] == ["MLflow run", "Dagster run", "registry version"]
    _, none = model_origin(lake, "v3")
    assert none == ()
    assert [gap.link for gap in trace(lake, {"model/pd": "v3"}, named_by="me").gaps] == ["model/pd v3"]


def test_the_report_of_the_champion_is_json_and_its_outline_names_raw_files(lake: Lake) -> None:
    report = json.loads(json.dumps(champion_report(lake, "v1")))
    assert report["model"]["registry_version"] == 7
    assert report["steps"][2]["raw_files"][0]["sha256"] == "f" * 64
    assert outline(lake, "v1")[2]["raw_files"] == f"bureau.csv {'f' * 64}"
