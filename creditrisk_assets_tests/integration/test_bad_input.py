"""Bad input: one clear error that names table, column, row or path; nothing half-written; the last good version stays."""

import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from creditrisk_assets import running
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings

APPLICATIONS = "raw/application_train,raw/application_test"


@pytest.fixture
def source(tmp_path: Path, portfolio: Path) -> Path:
    directory = tmp_path / "source"
    shutil.copytree(portfolio, directory)
    return directory


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
        r"raw/bureau: bureau: no file in .*source; expected one of bureau.csv",
    ),
    "missing column": (
        "bureau",
        lambda d: edit(d / "bureau.csv", lambda x: [x[0].replace("CREDIT_TYPE,", ""), *x[1:]]),
        r"raw/bureau: bureau: missing column CREDIT_TYPE in .*bureau.csv",
    ),
    "unknown column": (
        "bureau",
        lambda d: edit(d / "bureau.csv", lambda x: [x[0].replace("CREDIT_TYPE", "CREDIT_KIND"), *x[1:]]),
        r"missing column CREDIT_TYPE; unknown column CREDIT_KIND",
    ),
    "wrong type": (
        "bureau",
        lambda d: edit(d / "bureau.csv", lambda x: [*x[:5], cell(x[5], 4, "yesterday"), *x[6:]]),
        r"bureau.csv, line 6, column DAYS_CREDIT: not a INTEGER",
    ),
    "duplicate key": (
        "bureau",
        lambda d: edit(d / "bureau.csv", lambda x: [*x, x[1]]),
        r"check `contract` failed: .*unique_key.*SK_ID_BUREAU=\d+",
    ),
    "TARGET not 0/1": (
        "application_train",
        lambda d: edit(d / "application_train.csv", lambda x: [x[0], cell(x[1], 1, "2"), *x[2:]]),
        r"check `contract` failed: .*application_train.TARGET: .*SK_ID_CURR=\d+",
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
    "positive age": (
        "application_train",
        lambda d: edit(
            d / "application_train.csv",
            lambda x: [x[0], cell(x[1], x[0].split(",").index("DAYS_BIRTH"), "12000"), *x[2:]],
        ),
        r"check `contract` failed: .*application_train.DAYS_BIRTH: .*SK_ID_CURR=\d+",
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_table_is_refused_and_the_last_good_version_stays(source: Path, name: str) -> None:
    table, damage, message = BROKEN[name]
    settings, lake = Settings(), Lake(Settings().lake)
    key = f"raw/{table}"
    select = ",".join(dict.fromkeys([*APPLICATIONS.split(","), key]))
    if key == "raw/installments_payments":
        select += ",raw/previous_application"
    remember_source(settings, source)
    assert running.materialize(settings, select).failures == []
    good = lake.require(key)
    damage(source)
    broken = running.materialize(settings, select)
    assert not broken.succeeded
    assert re.search(message, " ".join(broken.failures)), broken.failures
    assert lake.require(key).version == good.version
    assert lake.reusable(key, code_version=good.manifest.code_version, inputs=good.manifest.inputs)[0] is not None
    assert not list(good.path.parents[1].glob(".draft-*"))


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


def test_an_unreadable_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_SOURCE", str(tmp_path / "nowhere"))
    result = running.materialize(Settings(), "raw/application_train")
    assert re.search(r"the source directory .*nowhere cannot be read", " ".join(result.failures)), result.failures


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
    process = creditrisk("run", "--source", str(source), "--select", 'group:"ingestion" or group:"features"')
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
    again = running.materialize(settings, 'group:"ingestion" or group:"features"')
    assert again.failures == []
    assert not list(lake.root.glob("*/*/.draft-*"))
    assert running.run_findings(settings)[0]["good"]


def test_errors_are_one_line_and_an_exit_code(tmp_path: Path) -> None:
    process = creditrisk("run", "--source", str(tmp_path / "nowhere"))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out.startswith("error: --source ")
    assert out.count("\n") == 1
