"""A code server whose database was away still tells it of a run whose process died meanwhile."""

import logging
import sys
import threading
from types import SimpleNamespace

import pytest
from dagster._grpc import server

from creditrisk_assets.resources import code_server
from creditrisk_assets.resources.code_server import PatientApiServer


class Instance:
    """An instance whose database refuses the first connections."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.failed = refusals, threading.Event()

    def from_ref(self, _ref: object) -> "Instance":
        self.refusals -= 1
        if self.refusals >= 0:
            raise ConnectionError("the database system is starting up")
        return self

    def __enter__(self) -> "Instance":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def get_run_by_id(self, run_id: str) -> SimpleNamespace:
        return SimpleNamespace(run_id=run_id, is_finished=False)

    def report_engine_event(self, *_: object, **__: object) -> None:
        return None

    def report_run_failed(self, _run: object) -> None:
        self.failed.set()


def with_a_dead_run(kind: type[server.DagsterApiServer]) -> server.DagsterApiServer:
    made = object.__new__(kind)
    made._execution_lock, made._server_termination_event = threading.Lock(), threading.Event()
    made._shutdown_once_executions_finish_event = threading.Event()
    made._logger = logging.getLogger("code server")
    dead = SimpleNamespace(is_alive=lambda: False, exitcode=1)
    made._executions, made._termination_events = {"run": (dead, None)}, {"run": threading.Event()}
    made._termination_times = {}
    return made


def test_the_run_fails_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    instance = Instance(refusals=2)
    monkeypatch.setattr(server, "DagsterInstance", instance)
    monkeypatch.setattr(server, "CLEANUP_TICK", 0.01)
    made = with_a_dead_run(PatientApiServer)
    thread = threading.Thread(target=made._cleanup_thread)
    thread.start()
    assert instance.failed.wait(10)
    made._server_termination_event.set()
    thread.join()
    assert made._executions == {}
    assert caplog.text.count("the database system is starting up") == 2


def test_dagsters_own_still_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The day this fails, ours is not needed any more."""
    monkeypatch.setattr(server, "DagsterInstance", Instance(refusals=1))
    monkeypatch.setattr(server, "CLEANUP_TICK", 0.01)
    with pytest.raises(ConnectionError):
        with_a_dead_run(server.DagsterApiServer)._cleanup_thread()


def test_the_command_starts_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(server, "DagsterApiServer", server.DagsterApiServer)
    monkeypatch.setattr(sys, "argv", ["code_server", "--help"])
    with pytest.raises(SystemExit) as ended:
        code_server.main()
    assert ended.value.code == 0
    assert "--module-name" in capsys.readouterr().out
    assert server.DagsterApiServer is PatientApiServer
