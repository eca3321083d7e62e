"""`creditrisk quarantine`: from a refused table to corrected rows that are published, with who corrected them."""

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from creditrisk_assets import running
from creditrisk_assets.cli import app
from creditrisk_assets.ingestion.corrections import CorrectionError
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.running import RunError
from creditrisk_assets.settings import Settings

APPLICATIONS = "raw/application_train,raw/application_test"
WRONG = 40  # rows, more than 0.1 % of the table
COLUMN = "AMT_CREDIT_SUM_OVERDUE"


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["quarantine", *arguments])


def answer(*arguments: str) -> Any:
    result = command(*arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)


def rewrite(path: Path, **cells: str) -> None:
    """Put values into columns of the first rows of a CSV."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows[:WRONG]:
        row.update(cells)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def source(tmp_path: Path, portfolio: Path) -> Path:
    """A source whose bureau table was refused."""
    directory = tmp_path / "source"
    directory.mkdir()
    for table in ("application_train", "application_test", "bureau"):
        (directory / f"{table}.csv").write_bytes((portfolio / f"{table}.csv").read_bytes())
    rewrite(directory / "bureau.csv", **{COLUMN: "-5"})
    settings = Settings()
    remember_source(settings, directory)
    assert not running.materialize(settings, f"{APPLICATIONS},raw/bureau").succeeded
    return directory


def test_a_refused_table_is_listed_corrected_and_published(source: Path, portfolio: Path, tmp_path: Path) -> None:
    lake = Lake(Settings().lake)
    assert lake.current("raw/bureau") is None
    (listed,) = answer("list", "bureau")
    assert (listed["quarantined"], listed["within_budget"]) == (WRONG, False)
    (rule,) = listed["rules"]
    assert rule["share_of_budget"] == pytest.approx(WRONG / (0.001 * listed["read"]))
    assert rule | {"share_of_budget": 0} == {
        "batch": "base",
        "rule": "minimum",
        "column": COLUMN,
        "count": WRONG,
        "share_of_budget": 0,
        "positions": [2, 3, 4, 5, 6],
    }
    assert "over the budget: nothing was published" in command("list").stdout

    corrected = tmp_path / "corrected.csv"
    assert f"{WRONG} rows written to" in command("list", "bureau", "--out", str(corrected)).stdout.replace("\n", " ")
    rewrite(corrected, **{COLUMN: "0"})
    said = ("--corrected", str(corrected), "--by", "M. Curie", "--reason", "the bureau sent a new list")
    replayed = command("replay", "bureau", *said)
    assert (replayed.exit_code, replayed.exception) == (0, None)
    assert f"{WRONG} corrected rows taken in; {WRONG} rows released, 0 remain in quarantine" in replayed.stdout

    version = lake.require("raw/bureau")
    assert version.manifest.metadata["facts"]["accounting"]["published"] == listed["read"]
    corrected_values = duckdb.sql(f"select {COLUMN} from '{version.data}' limit {WRONG}").fetchall()
    assert set(corrected_values) == {(0.0,)}
    (listed,) = answer("list", "bureau")
    assert listed["rules"] == []
    assert [(entry["rows"], entry["by"]) for entry in listed["corrections"]] == [(WRONG, "M. Curie")]
    text = command("list").stdout.replace("\n", " ")
    assert "rows corrected by M. Curie at" in text
    assert "nothing in quarantine:" in text


def test_rows_of_a_source_that_was_refused_are_replayed_from_that_source_and_no_other(
    source: Path, portfolio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember_source(Settings(), portfolio)  # a source is remembered only once its tables were taken in
    corrected = tmp_path / "corrected.csv"
    command("list", "bureau", "--out", str(corrected))
    rewrite(corrected, **{COLUMN: "0"})
    said = ("--corrected", str(corrected), "--by", "M. Curie", "--reason", "the bureau sent a new list")
    monkeypatch.setenv("CREDITRISK_SOURCE", str(portfolio))
    refused = command("replay", "bureau", *said)
    assert isinstance(refused.exception, RunError)
    assert f"are of {source}, but CREDITRISK_SOURCE is {portfolio}" in str(refused.exception)
    monkeypatch.delenv("CREDITRISK_SOURCE")
    assert answer("replay", "bureau", *said)["released"] == WRONG
    facts = Lake(Settings().lake).require("raw/bureau").manifest.metadata["facts"]
    assert facts["file"] == str(source / "bureau.csv")


def test_a_correction_in_vain_fails_and_says_what_remains(source: Path, tmp_path: Path) -> None:
    corrected = tmp_path / "corrected.csv"
    command("list", "bureau", "--out", str(corrected))
    rewrite(corrected, **{COLUMN: "-6"})
    said = ("--corrected", str(corrected), "--by", "M. Curie", "--reason", "the bureau sent a new list")
    result = command("replay", "bureau", *said, "--json")
    assert result.exit_code == 1
    replayed = json.loads(result.stdout)
    assert (replayed["succeeded"], replayed["released"], replayed["remain"]) == (False, 0, WRONG)
    assert "quarantine_budget" in replayed["failures"][0]


def test_a_relaxation_releases_rows_at_the_next_replay(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer("replay", "bureau")["remain"] == WRONG
    relaxations = tmp_path / "relaxations.yaml"
    relaxations.write_text(
        f"- {{table: raw/bureau, rule: minimum, column: {COLUMN}, reason: credit notes of the bureau, "
        'owner: "team:data", expires: 2999-12-31}\n'
    )
    monkeypatch.setenv("CREDITRISK_RELAXATIONS", str(relaxations))
    replayed = answer("replay", "bureau")
    assert (replayed["succeeded"], replayed["released"], replayed["remain"]) == (True, WRONG, 0)
    assert Lake(Settings().lake).require("raw/bureau")


def test_corrections_are_not_for_a_file_that_was_delivered_anew(source: Path, tmp_path: Path) -> None:
    corrected = tmp_path / "corrected.csv"
    command("list", "bureau", "--out", str(corrected))
    rewrite(corrected, **{COLUMN: "0"})
    said = ("--corrected", str(corrected), "--by", "M. Curie", "--reason", "the bureau sent a new list")
    command("replay", "bureau", *said)
    lines = (source / "bureau.csv").read_text().splitlines(keepends=True)
    (source / "bureau.csv").write_text("".join(lines[:-1]))
    assert answer("replay", "bureau")["remain"] == WRONG


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("list", "bureaux"), RunError, "there is no raw table bureaux; there are application_train, "),
        (("list", "bureau"), RunError, "bureau was never read; run `creditrisk run` first"),
        (("replay", "raw/bureau"), RunError, "bureau was never read; run `creditrisk run` first"),
        (("list", "--out", "rows.csv"), RunError, "--out writes the rows of one table; name it"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], error: type[Exception], says: str) -> None:
    result = command(*arguments)
    assert isinstance(result.exception, error)
    assert says in str(result.exception)


def test_nothing_read_yet_is_said() -> None:
    assert "no table was read yet" in command("list").stdout
    assert answer("list") == []


def test_who_and_why_must_be_said(source: Path, tmp_path: Path) -> None:
    corrected = tmp_path / "corrected.csv"
    command("list", "bureau", "--out", str(corrected))
    result = command("replay", "bureau", "--corrected", str(corrected))
    assert isinstance(result.exception, CorrectionError)
    assert "say who corrected the rows (--by) and why" in str(result.exception)
    assert not (Settings().root / "corrections").exists()
