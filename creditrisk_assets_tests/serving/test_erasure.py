"""Erasure: an applicant's data cannot be read any more, the chain holds, and a statutory hold comes first."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from creditrisk_assets_tests.serving.records import record
from creditrisk_assets_tests.serving.test_journal import started
from creditrisk_assets_tests.serving.test_verification import change, verify
from creditrisk_serving.cli import app
from creditrisk_serving.decisions.erasure import ErasureError, erase
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.schemas import Reason
from creditrisk_serving.errors import DecisionNotStoredError

CANARY = "CANARY 777.125"
LATER = datetime(2030, 1, 1, tzinfo=UTC)
MINE, OTHER = 100_001, 100_002


REASONS = [Reason("R-1", f"said of {CANARY}", "g", 0.25, CANARY)]


def personal(**given: object) -> dict[str, object]:
    sent = {"application": {"NAME": CANARY}, "histories": {}}
    return {"input": sent, "features": {"x": CANARY}, "reasons": REASONS, **given}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'decisions.db'}"
    return request.getfixturevalue("empty_postgresql")


@pytest.fixture
def log(url: str, tmp_path: Path) -> Iterator[DecisionLog]:
    found = DecisionLog(url, tmp_path / "journal")
    found.start()
    found.store(
        [
            record(decision_id="a", applicant_id=MINE, **personal()),
            record(decision_id="b", applicant_id=OTHER, **personal()),
            record(decision_id="c", applicant_id=MINE, **personal()),
        ]
    )
    assert found.flush()
    yield found
    found.close()


def test_what_is_erased_cannot_be_read_and_the_chain_holds(log: DecisionLog, url: str, tmp_path: Path) -> None:
    before = log.find("a")
    assert before is not None
    assert before.features == {"x": CANARY}
    made = erase(log, MINE, hold_days=760, reason="asked for", now=LATER)
    assert made.decisions == 2
    for one in ("a", "c"):
        found = log.find(one)
        assert found is not None
        assert (found.input, found.features, found.reasons, found.pd) == (None, None, None, before.pd)
    kept = log.find("b")
    assert kept is not None
    assert (kept.features, kept.reasons) == ({"x": CANARY}, REASONS)
    assert log.flush()
    found_by = verify(url, tmp_path / "none")
    assert (found_by.records, found_by.findings) == (4, [])


def test_a_decision_after_an_erasure_is_kept_under_a_new_key(log: DecisionLog) -> None:
    erase(log, MINE, hold_days=760, reason="asked for", now=LATER)
    log.store([record(decision_id="d", applicant_id=MINE, **personal())])
    assert log.flush()
    new, old = log.find("d"), log.find("a")
    assert new is not None
    assert old is not None
    assert (new.features, old.features) == ({"x": CANARY}, None)


def test_a_statutory_hold_comes_first_and_says_until_when(log: DecisionLog) -> None:
    decided = datetime.fromisoformat(record().decided_at)
    with pytest.raises(ErasureError, match=(decided + timedelta(days=760)).date().isoformat()):
        erase(log, MINE, hold_days=760, reason="asked for", now=decided + timedelta(days=759))
    found = log.find("a")
    assert found is not None
    assert found.features == {"x": CANARY}
    erase(log, MINE, hold_days=760, reason="asked for", now=decided + timedelta(days=760))


def test_nobody_is_erased_who_is_not_there(log: DecisionLog) -> None:
    with pytest.raises(ErasureError, match="holds no decision"):
        erase(log, 1, hold_days=0, reason="asked for")


def test_no_file_of_the_database_holds_it_in_the_clear_nor_the_key_once_erased(tmp_path: Path) -> None:
    with started(tmp_path) as log:
        log.store([record(decision_id="a", applicant_id=MINE, **personal())])
        assert log.flush()
        with sqlite3.connect(tmp_path / "decisions.db") as connection:
            ((key,),) = connection.execute("select key from subject_keys").fetchall()
        connection.close()
        erase(log, MINE, hold_days=0, reason="asked for", now=LATER)
    content = b"".join(path.read_bytes() for path in tmp_path.glob("decisions.db*"))
    assert b"sealed:" in content
    assert CANARY.encode() not in content
    assert key not in content


def test_a_sealed_column_opens_only_where_it_was_sealed(log: DecisionLog, url: str) -> None:
    change(
        url,
        "update decisions set features = (select d.features from decisions d where d.decision_id = 'c') where decision_id = 'a'",
    )
    with pytest.raises(DecisionNotStoredError, match="verify-log"):
        log.find("a")


def test_what_a_release_without_keys_stored_is_blanked(log: DecisionLog, url: str) -> None:
    change(
        url, "update decisions set input = '{\"x\":1}', features = '{\"x\":1}', sequence = null where decision_id = 'a'"
    )
    old = log.find("a")
    assert old is not None
    assert old.features == {"x": 1}
    erase(log, MINE, hold_days=0, reason="asked for", now=LATER)
    blank = log.find("a")
    assert blank is not None
    assert (blank.input, blank.features) == (None, None)


def test_the_command_erases_or_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path))
    with started(tmp_path) as log:
        log.store([record(decision_id="a", applicant_id=MINE, decided_at=datetime.now(UTC).isoformat())])
    runner = CliRunner()
    refused = runner.invoke(app, ["erase-applicant", str(MINE), "--reason", "asked for"])
    assert "must be kept until" in str(refused.exception)
    monkeypatch.setenv("CREDITRISK_SERVING_HOLD_DAYS", "0")
    done = runner.invoke(app, ["erase-applicant", str(MINE), "--reason", "asked for"])
    assert done.exit_code == 0, done.output
    assert "1 decisions" in done.output
    with started(tmp_path) as log:
        found = log.find("a")
        assert found is not None
        assert found.features is None
