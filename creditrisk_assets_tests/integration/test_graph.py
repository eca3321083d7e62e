"""The graph, end to end: raw tables to a registered model and scored applicants; nothing done twice."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from creditrisk_assets import diagnosis, running, terminal
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.definitions import ARTEFACTS
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph
from creditrisk_serving.definitions import ARTEFACTS as SERVING_ARTEFACTS

KEYS = {artefact.key for artefact in (*ARTEFACTS, *SERVING_ARTEFACTS) if artefact.group not in running.LEFT_OUT}


def test_everything_is_built_and_published(graph: Graph) -> None:
    assert graph.result.failures == []
    assert {asset.key for asset in graph.result.assets} == KEYS
    assert {asset.outcome for asset in graph.result.assets} == {"built"}
    for key in KEYS:
        version = graph.lake.require(key)
        assert version.manifest.metadata["usage"]["peak_memory_bytes"] > 0
        assert all(check["passed"] for check in version.manifest.metadata["checks"] if check["severity"] == "ERROR")


def test_the_champion_is_followed_to_the_raw_files_without_a_gap(graph: Graph) -> None:
    report = json.loads((graph.settings.reports / "data_lineage.json").read_text())
    assert report["gaps"] == []
    assert report["model"]["dagster_run_id"]
    read = {
        step["key"]: [file["sha256"] for file in step["raw_files"]] for step in report["steps"] if step["raw_files"]
    }
    assert read == {
        f"raw/{table}": [graph.lake.require(f"raw/{table}").manifest.metadata["facts"]["source_sha256"]]
        for table in SOURCES
    }


def test_every_applicant_is_in_exactly_one_part_or_waits_for_a_decision(graph: Graph) -> None:
    def ids(key: str) -> set[int]:
        with duckdb.connect() as con:
            return {
                row[0]
                for row in con.execute(
                    "select sk_id_curr from read_parquet(?)", [str(graph.lake.require(key).data)]
                ).fetchall()
            }

    train, test, waiting = ids("training/split_train"), ids("training/split_test"), ids("serving/batch_scores")
    assert not train & test
    assert not waiting & (train | test)
    assert train | test | waiting == ids("features/applicant")


def test_a_second_run_skips_everything_and_says_why(in_graph: Graph) -> None:
    running.materialize(in_graph.settings, "serving/decision_log")  # other tests may have decided in this home
    again = running.materialize(in_graph.settings)
    assert again.failures == []
    assert {(asset.key, asset.outcome, asset.reason) for asset in again.assets} == {
        (key, "reused", "unchanged") for key in KEYS
    }


def test_a_selection_touches_nothing_else(in_graph: Graph) -> None:
    only = running.materialize(in_graph.settings, "raw/bureau,features/bureau")
    assert {asset.key for asset in only.assets} == {"raw/bureau", "features/bureau"}
    downstream = running.materialize(in_graph.settings, 'key:"training/split_train"+ and not group:research')
    assert {"training/split_train", "training/split_test"} <= {asset.key for asset in downstream.assets}


def test_a_selection_of_nothing_names_what_there_is(in_graph: Graph) -> None:
    with pytest.raises(running.RunError, match=r"--select raw/nothing names no asset; known: .*raw/bureau"):
        running.materialize(in_graph.settings, "raw/nothing")
    with pytest.raises(running.RunError, match=r"--select raw/nothing names no asset"):
        running.materialize(in_graph.settings, "raw/bureau,raw/nothing")


def test_a_selection_that_is_none_says_how_they_are_written(in_graph: Graph) -> None:
    with pytest.raises(running.RunError, match=r'--select "key:x"\+ is no selection: give asset keys'):
        running.materialize(in_graph.settings, '"key:x"+')


def test_two_runs_at_once_are_refused_with_the_reason(in_graph: Graph) -> None:
    with running.exclusive(in_graph.settings), pytest.raises(running.RunError, match="another `creditrisk run`"):
        running.materialize(in_graph.settings)


def test_the_summary_says_what_a_risk_team_asks_first(in_graph: Graph) -> None:
    summary = terminal._summary(in_graph.settings, in_graph.result, running.EVERYTHING)
    assert "AUC" in summary["model"]
    assert "KS" in summary["model"]
    assert summary["registry"]
    assert summary["drift"]
    assert 0 < summary["applicant"]["pd"] < 1
    assert summary["applicant"]["decision"] in {"approve", "refer", "decline"}
    assert {stage["stage"] for stage in summary["stages"]} == {key.split("/")[0] for key in KEYS}


def test_status_knows_the_champion_and_every_asset(in_graph: Graph) -> None:
    found = diagnosis.status(in_graph.settings)
    assert found["champion"]
    assert {asset["key"] for asset in found["assets"]} == KEYS | {f"quarantine/{table}" for table in SOURCES}
    assert found["last_run"]
    json.dumps(found, default=str)


def test_doctor_finds_nothing_bad(in_graph: Graph) -> None:
    assert not [finding for finding in diagnosis.examine(in_graph.settings) if finding["state"] == "bad"]


def test_named_reports_are_exported_for_auditors(graph: Graph) -> None:
    reports = graph.settings.reports
    summary = json.loads((reports / "ingestion_summary.json").read_text())
    assert set(summary["tables"]) == {key.removeprefix("raw/") for key in KEYS if key.startswith("raw/")}
    assert all(table["sha256"] and table["rows"] and table["bytes"] for table in summary["tables"].values())
    for name in ("drift_report.json", "drift_report.html", "registry_promotion.json", "evaluation/evaluation.json"):
        assert (reports / name).stat().st_size > 0, name


def test_no_pickle_was_written(graph: Graph) -> None:
    suspicious = [path for path in graph.settings.root.rglob("*") if path.suffix in {".pkl", ".pickle", ".joblib"}]
    assert not [path for path in suspicious if not path.is_relative_to(graph.settings.dagster_home)]


@pytest.fixture
def changed_source(tmp_path: Path, portfolio: Path) -> Path:
    directory = tmp_path / "source"
    shutil.copytree(portfolio, directory)
    return directory


def test_only_what_depends_on_a_change_is_made_again(graph: Graph, changed_source: Path) -> None:
    settings = Settings()
    shutil.copytree(graph.settings.root, settings.root, symlinks=True)
    remember_source(settings, changed_source)
    assert running.materialize(settings, 'group:"ingestion"').failures == []  # of another source, with equal rows
    lake = Lake(settings.lake)
    before = {key: lake.require(key).version for key in KEYS if key.startswith(("raw/", "features/"))}
    table = changed_source / "credit_card_balance.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-1]))
    again = running.materialize(settings, 'group:"ingestion" or group:"features"')
    assert again.failures == []
    built = {asset.key for asset in again.assets if asset.outcome == "built"}
    assert built == {"raw/credit_card_balance", "features/credit_card", "features/applicant"}
    unchanged = {key for key, version in before.items() if lake.require(key).version == version}
    assert unchanged == before.keys() - built


def test_a_touched_file_with_equal_content_changes_nothing_downstream(changed_source: Path) -> None:
    settings = Settings()
    remember_source(settings, changed_source)
    running.materialize(settings, "raw/application_train,raw/application_test,features/application")
    (changed_source / "application_test.csv").touch()
    again = running.materialize(settings, "raw/application_train,raw/application_test,features/application")
    outcomes = {asset.key: asset.outcome for asset in again.assets}
    assert outcomes["features/application"] == "reused"
