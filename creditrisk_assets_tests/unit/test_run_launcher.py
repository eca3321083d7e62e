"""A run is dead when the code server it was given to has no process of it; a server that does not answer says nothing."""

import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.types import CanCancelExecutionResult
from dagster._serdes import serialize_value

from creditrisk_assets.resources.run_launcher import is_forgotten


class Server:
    def __init__(self, *runs: str, reached: bool = True) -> None:
        self._runs, self._reached = runs, reached

    def can_cancel_execution(self, asked, timeout: int) -> str:
        if not self._reached:
            raise DagsterUserCodeUnreachableError("no answer")
        return serialize_value(CanCancelExecutionResult(can_cancel=asked.run_id in self._runs))


@pytest.mark.parametrize(
    ("server", "forgotten"), [(Server("run"), False), (Server("another"), True), (Server(reached=False), False)]
)
def test_a_code_server_that_was_restarted_has_forgotten_its_runs(server: Server, forgotten: bool) -> None:
    assert is_forgotten(server, "run") is forgotten
