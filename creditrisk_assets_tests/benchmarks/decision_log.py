"""What storing a decision adds to encoding it: microseconds of the thread that stores it (CPU), beside an insert into SQLite.

Run: python -m creditrisk_assets_tests.benchmarks.decision_log
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from creditrisk_assets_tests.serving.records import record
from creditrisk_serving.decisions import entries
from creditrisk_serving.decisions.database import Database
from creditrisk_serving.decisions.journal import Journal
from creditrisk_serving.decisions.log import DecisionLog

ROUNDS = 5


def main() -> None:
    """Print the medians of interleaved rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=2000, help="of one round")
    count = parser.parse_args().decisions
    features = {f"family__feature_{number}_days_mean": number * 0.37 for number in range(90)}
    made = [record(features=features) for _ in range(count)]
    encoded = [entries.entry(entries.DECISION, one) for one in made]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        journal = Journal(Path(directory) / "journal", strict=False, room=1 << 40)
        database = Database(f"sqlite:///{directory}/inserted.db")
        log = DecisionLog(f"sqlite:///{directory}/decisions.db", Path(directory) / "log", room=1 << 40)
        log.start()
        log.store(made[:1])
        frames = iter(range(1, count * (ROUNDS + 1)))
        rounds: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for name, work in (
                ("encode", lambda one, _: entries.entry(entries.DECISION, one)),
                ("append", lambda _, entry: journal.append([entry])),
                ("store (encode, append, drain running)", lambda one, _: log.store([one])),
            ):
                rounds.setdefault(name, []).append(_microseconds(work, made, encoded))
            few = [record(features=features) for _ in range(100)]
            lines = [entries.entry(entries.DECISION, one) for one in few]
            rounds.setdefault("insert and commit, for comparison", []).append(
                _microseconds(lambda _, entry: database.take("w", next(frames), [[entry]]), few, lines)
            )
            made = [record(features=features) for _ in range(count)]
            encoded = [entries.entry(entries.DECISION, one) for one in made]
        log.close()
        journal.close()
        database.close()
    sys.stdout.write(f"{len(encoded[0])} bytes per decision, microseconds of CPU, median of {ROUNDS} rounds\n")
    for name, values in rounds.items():
        sys.stdout.write(f"{name:40} {statistics.median(values):8.1f}\n")


def _microseconds(work: Callable[..., object], made: list, encoded: list[bytes]) -> float:  # type: ignore[type-arg]
    began = time.thread_time()
    for one, entry in zip(made, encoded, strict=True):
        work(one, entry)
    return (time.thread_time() - began) / len(made) * 1e6


if __name__ == "__main__":
    main()
