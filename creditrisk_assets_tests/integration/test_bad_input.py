"""Bad input: one clear error that names table, column, row or path; nothing half-written; the last good version stays."""

import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from creditrisk_assets import running
from creditrisk_assets.ingestion.feeds import BASE
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import copied, home

APPLICATIONS = "raw/application_train,raw/application_test"
TAKEN_IN = f"{APPLICATIONS},raw/bureau,raw/previous_application,raw/installments_payments"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the source of every test lies: to be another delivery of one feed it must have one path."""
    return tmp_path_factory.mktemp("feed") / "source"


@pytest.fixture
def source(place: Path, portfolio: Path) -> Iterator[Path]:
    shutil.copytree(portfolio, place)
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def settled(place: Path, portfolio: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which good tables were taken in from that source."""
    path = tmp_path_factory.mktemp("settled") / "home"
    with home(path) as settings:
        shutil.copytree(portfolio, place)
        remember_source(settings, place)
        assert running.materialize(settings, TAKEN_IN).failures == []
        shutil.rmtree(place)
    return path


@pytest.fixture
def taken_in(settled: Path, source: Path, tmp_path: Path) -> Iterator[Settings]:
    """A copy of it, with the good tables still in the source."""
    with copied(settled, tmp_path / "taken-in") as settings:
        yield settings


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def cell(row: str, column: int, value: str) -> str:
    values = row.split(",")
    values[column] = value
    return ",".join(values)


def label_everybody(lines: list[str], value: str) -> list[str]:
    return [lines[0], *(cell(line, 1, value) for line in lines[1:])]


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing table": (
        "bureau",
        lambda d: (d / "bureau.csv").unlink(),
        r"raw/bureau: bureau: no file in .*source/; expected one of bureau.csv,",
    ),
    "missing column": (
        "bureau",
        lambda d: edit(d / "bureau.csv", lambda x: [x[0].replace("CREDIT_TYPE,", ""), *x[1:]]),
        r"raw/bureau: check `schema` failed: bureau: missing column CREDIT_TYPE in .*bureau.csv",
    ),
    "renamed column": (
        "bureau",
        lambda d: edit(d / "bureau.csv", lambda x: [x[0].replace("CREDIT_TYPE", "CREDIT_KIND"), *x[1:]]),
        r"check `schema` failed: bureau: missing column CREDIT_TYPE; unknown column CREDIT_KIND in .*bureau.csv",
    ),
    "duplicate key": (
        "bureau",
        lambda d: edit(d / "bureau.csv", lambda x: [*x, x[1]]),
        r"check `contract` failed: .*unique_key.*SK_ID_BUREAU=\d+",
    ),
    "TARGET all one class": (
        "application_train",
        lambda d: edit(d / "application_train.csv", lambda x: label_everybody(x, "0")),
        r"check `contract` failed: .*application_train.TARGET",
    ),
    "empty table": (
        "bureau",
        lambda d: edit(d / "bureau.csv", lambda x: x[:1]),
        r"check `contract` failed: .*(no row|not_empty)",
    ),
    "empty file": (
        "bureau",
        lambda d: (d / "bureau.csv").write_text(""),
        r"bureau.csv is empty; expected a header line",
    ),
    "truncated archive": (
        "bureau",
        lambda d: (
            (d / "bureau.csv.gz").write_bytes(gzip.compress((d / "bureau.csv").read_bytes())[:-500]),
            (d / "bureau.csv").unlink(),
        ),
        r"the archive .*bureau.csv.gz is truncated or damaged; fetch it again",
    ),
    "truncated file": (
        "bureau",
        lambda d: (d / "bureau.csv").write_bytes((d / "bureau.csv").read_bytes()[:-30]),
        r"bureau.csv, line \d+: \d+ columns instead of 17; truncated or damaged file",
    ),
    "wrong encoding": (
        "bureau",
        lambda d: (d / "bureau.csv").write_bytes(
            (d / "bureau.csv").read_text().replace("Closed", "Fermé").encode("latin-1")
        ),
        r"bureau.csv, line \d+: not UTF-8; convert the file",
    ),
    "cut to a tenth": (
        "bureau",
        lambda d: edit(d / "bureau.csv", lambda x: x[: len(x) // 10]),
        r"check `contract` failed: .*volume_in_band",
    ),
    "loaded twice": (
        "installments_payments",
        lambda d: edit(d / "installments_payments.csv", lambda x: [*x, *x[1:]]),
        r"check `contract` failed: .*volume_in_band",
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_table_is_refused_and_the_last_good_version_stays(taken_in: Settings, source: Path, name: str) -> None:
    table, damage, message = BROKEN[name]
    settings, lake = taken_in, Lake(taken_in.lake)
    key = f"raw/{table}"
    select = ",".join(dict.fromkeys([*APPLICATIONS.split(","), key]))
    if key == "raw/installments_payments":
        select += ",raw/previous_application"
    good = lake.require(key)
    damage(source)
    broken = running.materialize(settings, select)
    assert not broken.succeeded
    assert re.search(message, " ".join(broken.failures)), broken.failures
    assert lake.require(key).version == good.version
    assert lake.reusable(key, code_version=good.manifest.code_version, inputs=good.manifest.inputs)[0] is not None
    assert not list(good.path.parents[1].glob(".draft-*"))


# rows that break a rule on rows: table, column, value, what is said of them
ROWS: dict[str, tuple[str, str, str, str]] = {
    "wrong type": (
        "bureau",
        "DAYS_CREDIT",
        "yesterday",
        r"bureau.DAYS_CREDIT: column_type: .*for example bureau.csv, line 3",
    ),
    "not a whole number": (
        "bureau",
        "SK_ID_CURR",
        "100001.5",
        r"bureau.SK_ID_CURR: column_type: .*whole number .*for example bureau.csv, line 3",
    ),
    "TARGET not 0/1": (
        "application_train",
        "TARGET",
        "2",
        r"application_train.TARGET: category: .*for example SK_ID_CURR=\d+",
    ),
    "positive age": (
        "application_train",
        "DAYS_BIRTH",
        "12000",
        r"application_train.DAYS_BIRTH: maximum: .*for example SK_ID_CURR=\d+",
    ),
}


def source_with_budget(directory: Path, budget: float) -> Path:
    path = directory.with_suffix(".yaml")
    path.write_text(f"name: test\nconnection: {{kind: local, directory: {directory}}}\nquarantine_budget: {budget}\n")
    return path


def spoil(directory: Path, name: str, *numbers: int) -> tuple[str, list[str]]:
    """Put the wrong value of a case into some rows (line numbers from 0); return the key and the other lines."""
    table, column, value, _ = ROWS[name]
    path = directory / f"{table}.csv"
    lines = path.read_text().splitlines(keepends=True)
    header = lines[0].strip().split(",")
    kept = [line for number, line in enumerate(lines) if number not in numbers]
    for number in numbers:
        ending = "\n" if header[-1] == column else ""
        lines[number] = cell(lines[number], header.index(column), value + ending)
    path.write_text("".join(lines))
    return f"raw/{table}", kept


@pytest.mark.parametrize("name", list(ROWS))
def test_few_rows_that_break_a_rule_are_set_aside_and_the_rest_is_published(source: Path, name: str) -> None:
    settings, lake = Settings(), Lake(Settings().lake)
    remember_source(settings, source_with_budget(source, 0.01))
    key, kept = spoil(source, name, 2)
    spoilt = running.materialize(settings, f"{APPLICATIONS},{key}")
    assert spoilt.failures == []
    assert re.search(f"check `contract` warns: .*{ROWS[name][3]}", " ".join(spoilt.warnings[key])), spoilt.warnings
    version, quarantine = lake.require(key), lake.require(key.replace("raw/", "quarantine/"))
    accounting = version.manifest.metadata["facts"]["accounting"]
    assert (accounting["read"], accounting["published"], accounting["quarantined"]) == (len(kept), len(kept) - 1, 1)
    assert duckdb.sql(f"select position from '{quarantine.data}'").fetchall() == [(3,)]
    spoilt_bytes = version.data.read_bytes()
    (source / f"{key.removeprefix('raw/')}.csv").write_text("".join(kept))
    assert running.materialize(settings, key).failures == []
    assert lake.require(key).data.read_bytes() == spoilt_bytes  # as if the row had never been there
    assert lake.require(quarantine.manifest.key).manifest.metadata["facts"]["quarantined"] == 0


@pytest.mark.parametrize("name", list(ROWS))
def test_too_many_rows_that_break_a_rule_are_refused_and_the_last_good_version_stays(
    taken_in: Settings, source: Path, name: str
) -> None:
    settings, lake = taken_in, Lake(taken_in.lake)
    key = f"raw/{ROWS[name][0]}"
    good = lake.require(key)
    spoil(source, name, *range(2, 60))
    spoilt = running.materialize(settings, key)
    words = " ".join(spoilt.failures)
    assert re.search(r"check `contract` failed: .*quarantine_budget: 58 of [\d,]+ .* rows break a rule", words), words
    assert re.search(ROWS[name][3], words), words
    assert lake.require(key).version == good.version
    quarantine = lake.require(key.replace("raw/", "quarantine/"))
    assert quarantine.manifest.metadata["facts"]["quarantined"] == 58
    assert not list(good.path.parents[1].glob(".draft-*"))


def test_a_column_nobody_declared_is_left_out_told_once_and_recorded(taken_in: Settings, source: Path) -> None:
    settings, lake = taken_in, Lake(taken_in.lake)
    select = f"{APPLICATIONS},raw/bureau"
    plain = lake.require("raw/bureau").data.read_bytes()
    edit(source / "bureau.csv", lambda x: [f"{line.strip()},{n or 'NEW'}\n" for n, line in enumerate(x)])
    wider = running.materialize(settings, select)
    assert wider.failures == []
    assert "check `schema` warns: bureau: unknown column NEW in" in " ".join(wider.warnings["raw/bureau"])
    version = lake.require("raw/bureau")
    assert version.data.read_bytes() == plain
    assert version.manifest.metadata["facts"]["schemas"][BASE][-1] == ["NEW", None]
    edit(source / "bureau.csv", lambda x: x[:-1])
    assert "raw/bureau" not in running.materialize(settings, select).warnings


def test_the_next_run_recovers_by_itself(source: Path) -> None:
    settings = Settings()
    remember_source(settings, source)
    whole = (source / "bureau.csv").read_bytes()
    (source / "bureau.csv").write_bytes(whole[: len(whole) // 2])
    select = f"{APPLICATIONS},raw/bureau,features/bureau"
    first = running.materialize(settings, f"{select},raw/bureau_balance")
    assert not first.succeeded
    assert "features/bureau" in first.not_run
    (source / "bureau.csv").write_bytes(whole)
    assert running.materialize(settings, f"{select},raw/bureau_balance").failures == []


@pytest.mark.parametrize("lost", ["version", "pointer"])
@pytest.mark.usefixtures("source")
def test_a_table_that_was_lost_or_damaged_in_the_lake_is_read_anew(lost: str, taken_in: Settings) -> None:
    settings, lake = taken_in, Lake(taken_in.lake)
    before = lake.require("raw/application_test")
    if lost == "version":
        shutil.rmtree(before.path)
    else:
        (before.path.parent.parent / "CURRENT").write_text("{")
    assert running.materialize(settings, APPLICATIONS).failures == []
    assert lake.require("raw/application_test").version == before.version


def test_an_unreadable_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_SOURCE", str(tmp_path / "nowhere"))
    result = running.materialize(Settings(), "raw/application_train")
    assert re.search(r"the source directory .*nowhere is not there", " ".join(result.failures)), result.failures


def creditrisk(*arguments: str, **environment: str) -> subprocess.Popen:
    command = [str(Path(sys.executable).with_name("creditrisk")), *arguments]
    return subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_a_run_killed_in_a_heavy_asset_is_finished_by_the_next(source: Path) -> None:
    select = f"{APPLICATIONS},raw/bureau,raw/bureau_balance,features/bureau"
    process = creditrisk("run", "--source", str(source), "--select", select)
    lake = Lake(Settings().lake)
    deadline = time.monotonic() + 120
    while not list(lake.root.glob("*/*/.draft-*")):  # a table is being written
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    for pointer in lake.root.glob("*/*/CURRENT"):
        lake.require("/".join(pointer.parts[-3:-1]))
    settings = Settings()
    remember_source(settings, source)  # a source is remembered only once its tables were taken in
    again = running.materialize(settings, select)
    assert again.failures == []
    assert not list(lake.root.glob("*/*/.draft-*"))
    assert running.run_findings(settings)[0]["good"]


def test_errors_are_one_line_and_an_exit_code(tmp_path: Path) -> None:
    process = creditrisk("run", "--source", str(tmp_path / "nowhere"))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out.startswith("error: the source directory ")
    assert out.count("\n") == 1
