"""Dagster's own run launcher, which also knows whether a run's process lives.

What belongs here: the health check. What does not: what a dead run leads to; that is Dagster's run monitoring and retries, by
`dagster.yaml`.

Without a health check a run whose processes were all killed is `started` until `max_runtime_seconds`, and the queue waits for it.
"""

import socket

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from creditrisk_assets.resources.processes import has_ended, is_dead

HERE = (None, "localhost", "127.0.0.1", "::1", socket.gethostname())
SECONDS = 10  # that a code server may take to answer
PID = "pid"  # in the metadata of the event that Dagster's subprocess writes when it begins


class WatchedRunLauncher(DefaultRunLauncher):
    """Launch runs in subprocesses of the code servers, and let run monitoring see those that were killed."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes: that is what it is for."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Say whether a run's process lives; where neither the process nor its code server can be seen, it counts as alive."""
        if is_dead(run.tags) or self._ended(run.run_id):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the process that ran it was killed")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def _ended(self, run_id: str) -> bool:
        client = self._get_grpc_client_for_termination(run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return False
        return self._subprocess_ended(run_id) if client.host in HERE else is_forgotten(client, run_id)

    def _subprocess_ended(self, run_id: str) -> bool:
        for event in self._instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            facts = event.dagster_event.engine_event_data.metadata if event.dagster_event else {}
            if PID in facts:
                return has_ended(int(str(facts[PID].value)), event.timestamp)
        return False


def is_forgotten(client: DagsterGrpcClient, run_id: str) -> bool:
    """Tell whether a code server has no process of a run any more, as after its restart; False where it does not answer."""
    asked = CanCancelExecutionRequest(run_id=run_id)
    try:
        answer = deserialize_value(client.can_cancel_execution(asked, timeout=SECONDS), CanCancelExecutionResult)
    except DagsterUserCodeUnreachableError:
        return False
    return not answer.can_cancel
