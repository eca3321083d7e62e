"""The UI: both locations load clean, materialize-all works with the daemon, checks and plots and schemas are to be seen."""

import time
from pathlib import Path

import pytest

from creditrisk_assets.definitions import ARTEFACTS
from creditrisk_assets.running import LEFT_OUT
from creditrisk_assets_tests.ui.conftest import CHROMIUM, Ui

RUN_SECONDS = 600
LOCATIONS = """{workspaceOrError {... on Workspace {locationEntries {name loadStatus locationOrLoadError {
    __typename ... on PythonError {message}}}}}}"""
ASSETS = """{assetNodes {assetKey {path} jobNames isMaterializable opNames repository {name location {name}}}}"""
LAUNCH = """mutation($params: ExecutionParams!) {launchPipelineExecution(executionParams: $params) {
    __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}
    ... on RunConfigValidationInvalid {errors {message}}}}"""
RUN = "query($id: ID!) {runOrError(runId: $id) {... on Run {status}}}"
OPEN_RUNS = (
    "{runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED]}) {... on Runs {results {runId}}}}"
)
DAEMONS = "{instance {daemonHealth {allDaemonStatuses {daemonType required healthy lastHeartbeatErrors {message}}}}}"
CHECKS = """query($key: AssetKeyInput!) {assetNodeOrError(assetKey: $key) {... on AssetNode {
    assetChecksOrError {... on AssetChecks {checks {name blocking executionForLatestMaterialization {status}}}}
    assetMaterializations(limit: 1) {metadataEntries {__typename label}}}}}"""


@pytest.fixture(scope="module")
def materialized(ui: Ui) -> Ui:
    """Press "Materialize all" in each location, as a person would, and wait for the daemon to run it."""
    for location, job in (("creditrisk_assets", "refresh_portfolio"), ("creditrisk_serving", "score_applicants")):
        selector = {"repositoryLocationName": location, "repositoryName": "__repository__", "jobName": job}
        answer = ui.query(LAUNCH, params={"selector": selector, "runConfigData": {}, "mode": "default"})
        launched = answer["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        assert outcome_of(ui, launched["run"]["runId"]) == "SUCCESS", ui.log.read_text()[-4000:]
    deadline = time.monotonic() + RUN_SECONDS
    while ui.query(OPEN_RUNS)["runsOrError"]["results"]:  # what sensors asked for meanwhile
        assert time.monotonic() < deadline, "a run that a sensor asked for did not end"
        time.sleep(1)
    return ui


def outcome_of(ui: Ui, run_id: str, seconds: float = RUN_SECONDS) -> str:
    """Wait for the end of a run."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = ui.query(RUN, id=run_id)["runOrError"]["status"]
        if status in {"SUCCESS", "FAILURE", "CANCELED"}:
            return status
        time.sleep(2)
    raise AssertionError(f"run {run_id} did not end in {seconds} s:\n{ui.log.read_text()[-4000:]}")


def test_both_locations_load_without_error(ui: Ui) -> None:
    entries = ui.query(LOCATIONS)["workspaceOrError"]["locationEntries"]
    assert {entry["name"]: entry["locationOrLoadError"]["__typename"] for entry in entries} == {
        "creditrisk_assets": "RepositoryLocation",
        "creditrisk_serving": "RepositoryLocation",
    }


def test_every_daemon_that_is_needed_is_healthy(materialized: Ui) -> None:
    statuses = materialized.query(DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
    assert not [status for status in statuses if status["required"] and not status["healthy"]]


ASKED_FOR = {
    tuple(artefact.key.split("/")) for artefact in ARTEFACTS if artefact.group in LEFT_OUT
}  # asked for by name


def test_materialize_all_works_with_the_daemon_and_every_check_passes(materialized: Ui) -> None:
    for node in materialized.query(ASSETS)["assetNodes"]:
        if not node["isMaterializable"] or tuple(node["assetKey"]["path"]) in ASKED_FOR:
            continue
        found = materialized.query(CHECKS, key={"path": node["assetKey"]["path"]})["assetNodeOrError"]
        assert found["assetMaterializations"], f"{node['assetKey']['path']} was not materialized"
        for check in found["assetChecksOrError"].get("checks", []):
            execution = check["executionForLatestMaterialization"]
            assert execution, f"{node['assetKey']['path']} {check['name']} was not run"
            good = {"SUCCEEDED"} if check["blocking"] else {"SUCCEEDED", "FAILED"}
            assert execution["status"] in good, f"{node['assetKey']['path']} {check['name']} {execution['status']}"


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no browser; enable with: apt-get install -y chromium")
@pytest.mark.parametrize(
    ("page", "seen"),
    [
        ("/assets/raw/bureau?view=overview", ["SK_ID_BUREAU", "credits at other lenders", "freshness policy"]),
        ("/assets/raw/bureau?view=checks", ["contract", "schema", "data_age"]),
        ("/assets/features/applicant?view=checks", ["one_row_per_applicant", "every_application_kept", "Succeeded"]),
        ("/assets/model/evaluation?view=overview", ["auc", "deciles", "show markdown"]),
        ("/asset-groups", ["ingestion", "features", "training", "monitoring", "governance", "serving"]),
    ],
)
def test_a_person_sees_it_in_a_browser(materialized: Ui, tmp_path: Path, page: str, seen: list[str]) -> None:
    text = materialized.look(page, tmp_path / "page.png").lower()
    missing = [word for word in seen if word.lower() not in text]
    assert not missing, f"{page} does not show {missing}"
    assert (tmp_path / "page.png").stat().st_size > 20_000


def test_nothing_was_logged_as_a_warning_or_an_error(materialized: Ui) -> None:
    lines = materialized.log.read_text().splitlines()
    first_start = "No cursor for event type"  # Dagster says so once, on an instance without history
    words = ("ERROR", "WARNING", "Traceback", "Warning:")
    alert = "on_alert_condition - ["  # an alert is a warning in the log, and meant to be read there
    bad = [
        line for line in lines if any(word in line for word in words) and first_start not in line and alert not in line
    ]
    assert not bad, "\n".join(bad[:20])
