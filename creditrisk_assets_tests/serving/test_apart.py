"""The process that takes decisions into the database: it may die, and its worker may; nothing is lost, nothing is there twice."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from creditrisk_assets_tests.serving.records import record
from creditrisk_assets_tests.serving.test_journal import break_database, rows, wait_until
from creditrisk_serving.decisions.apart import Apart
from creditrisk_serving.decisions.database import NotTakenError
from creditrisk_serving.decisions.entries import DECISION, entry
from creditrisk_serving.decisions.journal import Journal, JournalError, Segment
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.schemas import DecisionRecord
from creditrisk_serving.decisions.taking import Taken

WORKER = """
import sys, time
from pathlib import Path
from creditrisk_assets_tests.serving.records import record
from creditrisk_serving.decisions.log import DecisionLog
home = Path(sys.argv[1])
log = DecisionLog(f"sqlite:///{home / 'decisions.db'}", home / "journal", apart=True)
log.start()
log.store([record()])
log.flush()
print("stored", flush=True)
time.sleep(60)
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    found = DecisionLog(f"sqlite:///{tmp_path / 'decisions.db'}", tmp_path / "journal", apart=True)
    found.start()
    yield found
    found.close()


def written(directory: Path, *records: DecisionRecord) -> Segment:
    """Write a segment of records, each a frame."""
    journal = Journal(directory / "journal", strict=False, room=1 << 20)
    for one in records:
        journal.append([entry(DECISION, one)])
    return journal.segments()[0]


def takers(of: int) -> list[psutil.Process]:
    alive = [one for one in psutil.Process(of).children() if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in alive if "creditrisk_serving.decisions.apart" in one.cmdline()]


def test_what_is_stored_is_taken_by_another_process_which_ends_with_the_log(tmp_path: Path) -> None:
    log = DecisionLog(f"sqlite:///{tmp_path / 'decisions.db'}", tmp_path / "journal", apart=True)
    log.start()
    made = [record() for _ in range(20)]
    for one in made:
        log.store([one])
    assert log.flush()
    (taker,) = takers(os.getpid())
    log.close()
    assert rows(tmp_path) == [one.decision_id for one in made]
    assert not taker.is_running()


def test_one_that_is_killed_is_started_again_and_takes_each_decision_once(log: DecisionLog, tmp_path: Path) -> None:
    made = []
    for _ in range(3):
        made += [record(), record()]
        log.store(made[-2:])
        assert log.flush()
        for taker in takers(os.getpid()):
            taker.send_signal(signal.SIGKILL)
            taker.wait()
    made.append(record())
    log.store(made[-1:])
    assert log.flush()
    assert rows(tmp_path) == [one.decision_id for one in made]


def test_signals_that_end_a_group_do_not_end_it_before_its_worker(log: DecisionLog) -> None:
    log.store([record()])
    assert log.flush()
    (taker,) = takers(os.getpid())
    for number in (signal.SIGINT, signal.SIGTERM):
        taker.send_signal(number)
    log.store([record()])
    assert log.flush()
    assert takers(os.getpid()) == [taker]


def test_it_ends_when_its_worker_is_killed(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE)
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"stored\n"
        (taker,) = takers(worker.pid)
        worker.kill()
        taker.wait(30)


def test_a_database_that_fails_is_said_without_a_word_of_a_decision_and_taken_to_when_it_is_back(
    log: DecisionLog, tmp_path: Path
) -> None:
    log.store([record()])
    assert log.flush()
    mend = break_database(tmp_path)
    log.store([record(caller="nobody else's business")])
    drain = log._drain
    assert drain is not None
    wait_until(lambda: drain.problem)
    assert drain.problem == (
        "the database of the decision log cannot be written (OperationalError);"
        " check its disk, its permissions and CREDITRISK_SERVING_DECISIONS_URL"
    )
    mend()
    wait_until(lambda: len(rows(tmp_path)) == 2)


def test_its_database_is_never_an_argument_others_could_read(tmp_path: Path) -> None:
    taker = Apart(f"sqlite:///{tmp_path / 'secret'}")
    taker.take("w", written(tmp_path, record()), 1, 0)
    (process,) = takers(os.getpid())
    assert "secret" not in " ".join(process.cmdline())
    taker.close()


def test_one_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    taker = Apart(f"sqlite:///{tmp_path / 'decisions.db'}")
    with pytest.raises(NotTakenError, match=r"cannot be run \(FileNotFoundError\); check memory and limits"):
        taker.take("w", written(tmp_path, record()), 1, 0)
    taker.close()


def test_what_lies_before_a_damaged_frame_is_taken_and_the_damage_is_said(tmp_path: Path) -> None:
    made = [record(), record()]
    segment = written(tmp_path, *made)
    first, second = (frame.end for frame in segment.frames())
    with segment.path.open("r+b") as file:
        file.seek(first + 20)
        file.write(b"?")
    segment.size = second + 1  # something follows it
    taker = Apart(f"sqlite:///{tmp_path / 'decisions.db'}")
    assert taker.take("w", segment, 1, 0) == Taken(1, first)
    with pytest.raises(JournalError, match=f"{segment.path.name} is damaged at byte {first}"):
        taker.take("w", segment, 2, first)
    taker.close()
    assert rows(tmp_path) == [made[0].decision_id]


def test_a_segment_deleted_under_its_worker_is_taken(log: DecisionLog, tmp_path: Path) -> None:
    made = [record(), record()]
    log.store(made[:1])
    assert log.flush()
    log.store(made[1:])
    for path in (tmp_path / "journal").glob("*/*.log"):
        path.unlink()
    assert log.flush()
    assert rows(tmp_path) == [one.decision_id for one in made]
