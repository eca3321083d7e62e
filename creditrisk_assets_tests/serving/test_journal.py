"""The decision log without the application: nothing answered is lost, nothing is there twice, and what cannot be kept is refused."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from creditrisk_assets_tests.serving.records import record
from creditrisk_serving.decisions import journal
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.errors import DecisionNotStoredError

STORE_UNTIL_KILLED = """
import sys
from pathlib import Path
from creditrisk_assets_tests.serving.records import record
from creditrisk_serving.decisions.log import DecisionLog
home = Path(sys.argv[1])
log = DecisionLog(f"sqlite:///{home / 'decisions.db'}", home / "journal", stored=sys.argv[2])
log.start()
while True:
    records = [record(), record()]
    log.store(records)
    print(*(one.decision_id for one in records), flush=True)
"""


def open_log(home: Path, **options: object) -> DecisionLog:
    return DecisionLog(f"sqlite:///{home / 'decisions.db'}", home / "journal", **options)  # type: ignore[arg-type]


@contextmanager
def started(home: Path, **options: object) -> Iterator[DecisionLog]:
    log = open_log(home, **options)
    log.start()
    yield log
    log.close()


def rows(home: Path) -> list[str]:
    with sqlite3.connect(home / "decisions.db") as connection:
        found = [row[0] for row in connection.execute("select decision_id from decisions order by rowid")]
    connection.close()
    return found


def break_database(home: Path) -> Callable[[], None]:
    """Put a directory where the database was; give what brings it back."""
    aside = home / "aside"
    aside.mkdir()
    for path in home.glob("decisions.db*"):
        path.rename(aside / path.name)
    (home / "decisions.db").mkdir()

    def mend() -> None:
        (home / "decisions.db").rmdir()
        for path in aside.iterdir():
            path.rename(home / path.name)
        aside.rmdir()

    return mend


def wait_until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def leave_behind(home: Path, *batches: list[str]) -> Path:
    """Have a process store batches that the database does not take, and die; give its segment."""
    with started(home) as log:
        log.store([record()])
        assert log.flush()
    mend = break_database(home)
    log = open_log(home)
    log.start()
    for ids in batches:
        log.store([record(decision_id=one) for one in ids])
    log.close()
    mend()
    (segment,) = (home / "journal").glob("*/*.log")
    return segment


def test_a_stored_decision_is_found_at_once_and_comes_to_the_database_as_it_was(tmp_path: Path) -> None:
    with started(tmp_path) as log:
        one = record()
        log.store([one])
        assert log.find(one.decision_id) == one
        assert log.flush()
        assert log.find(one.decision_id) == one
        assert log.find("0" * 32) is None
    assert rows(tmp_path) == [one.decision_id]
    assert [path.name for path in (tmp_path / "journal").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("stored", ["journal", "strict", "database"])
def test_a_killed_process_loses_nothing_it_answered_and_doubles_nothing(tmp_path: Path, stored: str) -> None:
    said: list[str] = []
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", STORE_UNTIL_KILLED, str(tmp_path), stored], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            said += [process.stdout.readline() for _ in range(40)]
            process.send_signal(signal.SIGKILL)
            said += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    answered = {one for line in said for one in line.split()}
    with started(tmp_path) as log:
        assert all(log.find(one) for one in list(answered)[:20])
        wait_until(lambda: not [path for path in (tmp_path / "journal").iterdir() if path.is_dir()])
    found = rows(tmp_path)
    assert answered <= set(found)
    assert len(found) == len(set(found))


def test_a_torn_tail_is_cut_off_and_said_and_its_whole_request_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    segment = leave_behind(tmp_path, ["a", "b"], ["c", "d"])
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 1)
    with started(tmp_path) as log:
        wait_until(lambda: not segment.exists())
        assert log.warnings() == []
    assert {"a", "b"} <= set(rows(tmp_path))
    assert not {"c", "d"} & set(rows(tmp_path))
    assert "journal_tail_truncated" in caplog.text


@pytest.mark.parametrize("offset", [2, 40])
def test_a_damaged_journal_is_set_aside_and_said_not_cut_off(tmp_path: Path, offset: int) -> None:
    segment = leave_behind(tmp_path, ["a"], ["b"], ["c"])
    content = bytearray(segment.read_bytes())
    second = content.index(b'"b"') - len(b'D{"decision_id":') - journal.LENGTH.size - journal.HEADER.size
    content[second + offset] ^= 1
    segment.write_bytes(content)
    with started(tmp_path) as log:
        wait_until(lambda: not segment.exists())
        (kept,) = (tmp_path / "journal").glob("*.damaged")
        assert kept.name in log.warnings()[0]
    assert kept.read_bytes() == content
    assert "a" in rows(tmp_path)


def test_zeros_of_a_power_cut_are_a_torn_tail(tmp_path: Path) -> None:
    segment = leave_behind(tmp_path, ["a"])
    with segment.open("ab") as file:
        file.write(bytes(5000))
    with started(tmp_path):
        wait_until(lambda: not segment.exists())
    assert "a" in rows(tmp_path)
    assert not list((tmp_path / "journal").glob("*.damaged"))


def test_a_journal_that_was_taken_but_not_removed_is_not_taken_twice(tmp_path: Path) -> None:
    segment = leave_behind(tmp_path, ["a"], ["b"])
    copy = tmp_path / "copy"
    shutil.copytree(segment.parent, copy)
    for _ in range(2):
        with started(tmp_path):
            wait_until(lambda: not segment.exists())
        assert sorted(rows(tmp_path))[-2:] == ["a", "b"]
        assert len(rows(tmp_path)) == 3
        shutil.copytree(copy, segment.parent)


def test_the_journal_of_a_living_process_is_left_alone_and_read(tmp_path: Path) -> None:
    with started(tmp_path) as one, started(tmp_path) as other:
        one.store([record()])
        assert one.flush()
        mend = break_database(tmp_path)
        mine, its = record(), record()
        one.store([mine])
        other.store([its])
        assert other.find(mine.decision_id) == mine
        assert one.find(its.decision_id) == its
        with pytest.raises(DecisionNotStoredError, match="cannot be read"):
            one.find("0" * 32)
        with started(tmp_path):
            assert len([path for path in (tmp_path / "journal").iterdir() if path.is_dir()]) == 2
        mend()
    assert len(rows(tmp_path)) == 3


def test_the_journal_is_bounded_and_room_comes_back_with_the_database(tmp_path: Path) -> None:
    with started(tmp_path, room=4000) as log:
        log.store([record()])
        assert log.flush()
        mend = break_database(tmp_path)
        kept: list[str] = []

        def fill() -> None:
            while True:
                one = record()
                log.store([one])
                kept.append(one.decision_id)

        with pytest.raises(DecisionNotStoredError, match="CREDITRISK_SERVING_JOURNAL_BYTES"):
            fill()
        assert len(kept) > 1
        assert "wait in the journal" in log.warnings()[0]
        mend()
        wait_until(lambda: log.flush(1))
        log.store([record(decision_id="after")])
    assert rows(tmp_path)[1:] == [*kept, "after"]


def test_a_full_disk_is_refused_and_leaves_no_half_frame(tmp_path: Path) -> None:
    with started(tmp_path) as log:
        log.store([record()])
        assert log.flush()
        mend = break_database(tmp_path)  # so that nothing but the journal is written
        log.store([record(decision_id="before")])
        (segment,) = (tmp_path / "journal").glob("*/*.log")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 100, limits[1]))
        try:
            with pytest.raises(DecisionNotStoredError, match="No space left"):
                log.store([record(decision_id="refused")])
            assert log.problem() is not None
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.store([record(decision_id="after")])
        mend()
        wait_until(lambda: log.flush(1))
        assert log.problem() is None
    assert rows(tmp_path)[1:] == ["before", "after"]


def test_a_journal_deleted_under_the_service_swallows_no_decision(tmp_path: Path) -> None:
    with started(tmp_path) as log:
        log.store([record()])
        assert log.flush()
        mend = break_database(tmp_path)
        log.store([record(decision_id="before")])
        shutil.rmtree(tmp_path / "journal")
        log.store([record(decision_id="after")])
        assert list((tmp_path / "journal").glob("*/*.log"))
        mend()
        wait_until(lambda: log.flush(1))
    assert rows(tmp_path)[1:] == ["before", "after"]


def test_strict_waits_for_the_disk_and_waiting_requests_share_a_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    crowd, flush = threading.Event(), os.fdatasync

    def slow(descriptor: int) -> None:
        crowd.wait(60)
        size = os.fstat(descriptor).st_size
        flush(descriptor)
        flushed.append(size)

    with started(tmp_path, stored="strict") as log:
        log.store([record()])
        monkeypatch.setattr(os, "fdatasync", slow)
        answered: list[int] = []

        def one_request() -> None:
            log.store([record()])
            answered.append(flushed[-1] if flushed else 0)

        requests = [threading.Thread(target=one_request) for _ in range(8)]
        for request in requests:
            request.start()
        wait_until(lambda: log._journal is not None and log._journal.frames == 9)
        assert answered == []
        (segment,) = (tmp_path / "journal").glob("*/*.log")
        crowd.set()
        for request in requests:
            request.join()
        assert len(answered) == 8
        assert max(answered) == segment.stat().st_size
        assert len(flushed) <= 3


def test_what_is_not_known_to_be_on_disk_is_not_answered_when_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with started(tmp_path, stored="strict") as log:
        log.store([record()])
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", fail)
            with pytest.raises(DecisionNotStoredError, match="put on disk"):
                log.store([record()])
        log.store([record(decision_id="after")])
    assert rows(tmp_path)[-1] == "after"


def test_by_default_the_disk_follows_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = threading.Event()
    with started(tmp_path) as log:
        monkeypatch.setattr(os, "fdatasync", lambda _descriptor: flushed.set())
        log.store([record()])
        assert flushed.wait(60)


def test_stored_in_the_database_means_committed_and_else_refused_before_it_is_journalled(tmp_path: Path) -> None:
    with started(tmp_path, stored="database") as log:
        one = record()
        log.store([one])
        assert rows(tmp_path) == [one.decision_id]
        mend = break_database(tmp_path)
        with pytest.raises(DecisionNotStoredError):
            log.store([record(decision_id="in flight")])
        (segment,) = (tmp_path / "journal").glob("*/*.log")
        size = segment.stat().st_size
        with pytest.raises(DecisionNotStoredError):
            log.store([record(decision_id="refused")])
        assert segment.stat().st_size == size
        mend()


def test_a_wrong_address_is_found_out_at_the_first_decision_and_one_in_use_before_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "decisions.db").mkdir()
    with started(tmp_path) as log:
        with pytest.raises(DecisionNotStoredError, match="cannot be opened"):
            log.store([record()])
        assert log.problem() is not None
        (tmp_path / "decisions.db").rmdir()
        log.store([record(decision_id="first")])
        assert log.flush()
    mend = break_database(tmp_path)
    with started(tmp_path) as log:
        log.store([record(decision_id="second")])
        assert log.problem() is None
        assert "wait in the journal" in log.warnings()[0]
    mend()
    with started(tmp_path):
        wait_until(lambda: rows(tmp_path) == ["first", "second"])


def test_segments_follow_each_other_and_are_removed_when_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 3000)
    with started(tmp_path) as log:
        for number in range(50):
            log.store([record(decision_id=f"{number:02d}")])
        assert log.flush()
        wait_until(lambda: len(list((tmp_path / "journal").glob("*/*.log"))) == 1)
    assert rows(tmp_path) == [f"{number:02d}" for number in range(50)]


def test_a_closed_log_stores_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    assert log.problem() is not None
    with pytest.raises(DecisionNotStoredError):
        log.store([record()])
