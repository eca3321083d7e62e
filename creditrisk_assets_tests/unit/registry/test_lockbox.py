"""The lockbox's ledger: every opening is there, in order, whoever writes; a damaged one is an error and not an empty one."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from creditrisk_assets.registry.lockbox import LockboxError, Opening, of_version, read_ledger, record_opening

FIRST = Opening("2026-05-03T10:00:00+00:00", "a" * 16, "evaluation", "split-1", "run-1")


def test_the_first_opening_of_a_version_stands_alone_and_a_second_shows(tmp_path: Path) -> None:
    ledger = tmp_path / "home" / "lockbox.jsonl"
    assert read_ledger(ledger) == ()
    assert record_opening(ledger, FIRST) == (FIRST,)
    assert record_opening(ledger, replace(FIRST, model_version="b" * 16)) == (replace(FIRST, model_version="b" * 16),)
    again = replace(FIRST, run_id="run-2")
    assert record_opening(ledger, again) == (FIRST, again)
    assert len(read_ledger(ledger)) == 3


def test_a_comparison_is_recorded_and_is_no_second_evaluation(tmp_path: Path) -> None:
    ledger = tmp_path / "lockbox.jsonl"
    record_opening(ledger, replace(FIRST, purpose="comparison"))
    assert record_opening(ledger, FIRST) == (FIRST,)
    assert len(of_version(read_ledger(ledger), FIRST.model_version, "comparison")) == 1


def test_openings_of_eight_writers_are_all_there(tmp_path: Path) -> None:
    ledger = tmp_path / "lockbox.jsonl"
    writers = [
        threading.Thread(target=lambda n=n: [record_opening(ledger, replace(FIRST, run_id=f"{n}")) for _ in range(10)])
        for n in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_ledger(ledger)) == 80


@pytest.mark.parametrize("line", ["{", "{}", "[]", json.dumps({"at": "now"}), ""])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    ledger = tmp_path / "lockbox.jsonl"
    record_opening(ledger, FIRST)
    with ledger.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(LockboxError, match=r"line 2 of the ledger .* is no opening"):
        record_opening(ledger, FIRST)


def test_without_a_record_the_test_part_stays_closed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LockboxError, match="stays closed"):
        record_opening(tmp_path / "file" / "lockbox.jsonl", FIRST)
