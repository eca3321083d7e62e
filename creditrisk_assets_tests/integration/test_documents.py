"""Every command of every page does what the page says: it ends well in a prepared home, or another test is named that runs it."""

import csv
import itertools
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from creditrisk_assets_tests.integration.conftest import Graph, copied
from creditrisk_assets_tests.integration.documents import ROOT, Command, commands, execute, mentioned, outside, unknown
from creditrisk_serving.access import Scope, create_key
from creditrisk_serving.cli import score_applicant
from creditrisk_serving.operations.backup import make_backup
from creditrisk_serving.settings import ServingSettings

DOCUMENTS = [
    *sorted((ROOT / "docs" / "runbooks").glob("*.md")), ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "deploy").glob("*.md")),
]  # fmt: skip
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
        if command.parsed:
            continue
        if (test := instead(command)) is not None:
            assert (ROOT / test).is_file(), f"{document.name}: {test} is to run {command.text}, and is not there"
        else:
            assert command.text.startswith(HERE), f"{document.name}: nothing runs {command.text}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_what_a_page_names_exists_and_no_shell_escapes_the_tests(document: Path) -> None:
    assert outside(document) == [], "give it a block of its own: ```console"
    assert {text: wrong for text in mentioned(document) if (wrong := unknown(text))} == {}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("creditrisk alerts list --all", []), ("creditrisk alerts lost", ["lost"]), ("creditrisk status --jsn", ["--jsn"]),
        ("A=1 creditrisk rnu", ["rnu"]), ("make run SCALE=1", []), ("make rnu", ["rnu"]),
        ("python -m creditrisk_assets_tests.benchmarks.none", ["creditrisk_assets_tests.benchmarks.none"]),
        ("kubectl apply -f deploy/none", ["deploy/none"]), ("creditrisk keys rotate NAME [--grace 1h] [--expry 90d]", ["--expry"]),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_found(text: str, wrong: list[str]) -> None:
    assert unknown(text) == wrong


def test_shell_outside_a_block_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("    creditrisk status\n\n```bash\nmake run\n```\n\n```console\ncreditrisk doctor\n```\n")
    assert outside(page) == ["    creditrisk status", "```bash"]


def test_the_commands_of_the_documents_end_well(prepared: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In one home, one document after the other, as weeks of operation would; erasing comes last."""
    last = "erasure-request"
    for document in sorted(DOCUMENTS, key=lambda path: path.stem == last):
        for command in commands(document):
            if instead(command) is None and not command.parsed:
                execute(command.text, prepared, capfd)


def test_a_failing_command_fails_the_test(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="replay no-such-decision failed"):
        execute("creditrisk replay no-such-decision", tmp_path, capfd)
    with pytest.raises(AssertionError):
        execute("ls no-such-file", tmp_path, capfd)
