"""A run that Dagster launched and whose process is killed is closed by run monitoring at its next look."""

import logging
import os
import signal
import time
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from creditrisk_assets.resources.run_launcher import WatchedRunLauncher
from creditrisk_assets.running import DAGSTER_YAML
from creditrisk_assets_tests.integration import killed

WAIT_SECONDS = 60


def test_a_killed_run_is_failed_by_the_next_look_and_a_living_one_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, place = tmp_path / "dagster", tmp_path / "place"
    for directory in (home, place):
        directory.mkdir()
    settings = yaml.safe_load(DAGSTER_YAML.read_text())
    settings.setdefault("code_servers", {})["wait_for_local_processes_on_shutdown"] = True
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv(killed.PLACE, str(place))
    target = ModuleTarget(
        killed.__name__, attribute=None, working_directory=str(DAGSTER_YAML.parent), location_name="x"
    )
    with dg.DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as process:
        assert isinstance(instance.run_launcher, WatchedRunLauncher)
        workspace = process.create_request_context()
        location = workspace.get_code_location("x")
        (repository,) = location.get_repositories().values()
        job = repository.get_full_job("work")
        run = create_run_for_test(
            instance, "work", job_snapshot=job.job_snapshot,
            remote_job_origin=job.get_remote_origin(), job_code_origin=job.get_python_origin(),
        )  # fmt: skip
        instance.launch_run(run.run_id, workspace)
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := list(place.iterdir())):
            assert time.monotonic() < deadline, "the run did not begin"
            time.sleep(0.1)

        def look() -> dg.DagsterRunStatus:
            assert [error for error in execute_run_monitoring_iteration(process, logging.getLogger()) if error] == []
            return instance.get_run_by_id(run.run_id).status

        assert look() == dg.DagsterRunStatus.STARTED
        os.kill(int(found[0].name), signal.SIGKILL)
        while (status := look()) == dg.DagsterRunStatus.STARTED:
            assert time.monotonic() < deadline, "monitoring leaves a dead run open"
            time.sleep(0.1)
        assert status == dg.DagsterRunStatus.FAILURE
