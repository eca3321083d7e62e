"""Every command of every runbook, and of the README, does what the document says: it ends with exit code 0 in a prepared home."""

import csv
import itertools
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from creditrisk_assets_tests.integration.conftest import Graph, copied
from creditrisk_assets_tests.integration.documents import ROOT, Command, commands, execute
from creditrisk_serving.access import Scope, create_key
from creditrisk_serving.cli import score_applicant
from creditrisk_serving.operations.backup import make_backup
from creditrisk_serving.settings import ServingSettings

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
PAGES = ("README.md", "docs/operations.md", "docs/tutorial.md", "docs/capacity.md")
DOCUMENTS = [*RUNBOOKS, *(ROOT / page for page in PAGES)]
ELSEWHERE = {  # how a command of the README begins, and the test that runs what it does
    "make run": "creditrisk_assets_tests/integration/test_graph.py",
    "make test": "Makefile",
    "make serve": "creditrisk_assets_tests/serving/test_light.py",
    "KEY=": "creditrisk_assets_tests/serving/test_light.py",
    "curl -s http://127.0.0.1:8000/predict": "creditrisk_assets_tests/serving/test_light.py",
}
HERE = ("creditrisk ", "CREDITRISK_", "ls ")


def instead(command: Command) -> str | None:
    return command.by or next((test for start, test in ELSEWHERE.items() if command.text.startswith(start)), None)


@pytest.fixture
def prepared(graph: Graph, portfolio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a directory to run commands in, with a home, a decision, a key and a backup, as an operator has them."""
    with copied(graph.settings.root, tmp_path / "home") as settings:
        monkeypatch.setenv("CREDITRISK_HOME", str(settings.root))
        serving = ServingSettings()
        with (portfolio / "application_test.csv").open(newline="") as stream:
            rows = list(itertools.islice(csv.reader(stream), 31))
        with (tmp_path / "applications.csv").open("w", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(rows)
        shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
        applicant = int(rows[1][rows[0].index("SK_ID_CURR")])
        decided = score_applicant(settings, applicant)
        create_key(serving.api_keys_file, "origination", scopes=(Scope.SCORE,))
        make_backup(serving, tmp_path / "backup")
        for name, value in {
            "ME": "an operator",
            "WORK": tmp_path,
            "BACKUP": tmp_path / "backup",
            "APPLICANT": applicant,
            "DECISION": decided["decision_id"],
            "CALLER": "origination",
            "REQUEST_NUMBER": "request 17",
            "UNTIL": datetime.now(UTC).date() + timedelta(days=90),
            "SCORES": graph.lake.require("serving/batch_scores").data,
            "CREDITRISK_SERVING_HOLD_DAYS": 0,
        }.items():
            monkeypatch.setenv(name, str(value))
        yield tmp_path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_runs_or_names_the_test_that_runs_it(document: Path) -> None:
    for command in commands(document):
        if (test := instead(command)) is not None:
            assert (ROOT / test).is_file(), f"{document.name}: {test} is to run {command.text}, and is not there"
        else:
            assert command.text.startswith(HERE), f"{document.name}: nothing runs {command.text}"


def test_the_commands_of_the_documents_end_well(prepared: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In one home, one document after the other, as weeks of operation would; erasing comes last."""
    last = "erasure-request"
    for document in sorted(DOCUMENTS, key=lambda path: path.stem == last):
        for command in commands(document):
            if instead(command) is None:
                execute(command.text, prepared, capfd)


def test_a_failing_command_fails_the_test(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="replay no-such-decision failed"):
        execute("creditrisk replay no-such-decision", tmp_path, capfd)
    with pytest.raises(AssertionError):
        execute("ls no-such-file", tmp_path, capfd)
