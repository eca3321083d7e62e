"""What every connector does, shown on its real counterpart: one claim per test, the same body for all of them."""

import hashlib
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from creditrisk_assets.ingestion.configuration import Checksum
from creditrisk_assets.ingestion.connector import (
    ChangedError,
    FileStat,
    IngestionError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.fetch import RetryPolicy, fetch, locate, look
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Counterpart

NAME = "bureau.csv"
FILE = RemoteFile(NAME)
HEADER = b"SK_ID_CURR,SK_ID_BUREAU,CREDIT_ACTIVE\n"
CONTENT = HEADER + b"".join(b"%d,%d,Closed\n" % (100_000 + n, 5_000_000 + n) for n in range(60_000))  # 1.4 MB
OTHER = HEADER + b"".join(b"%d,%d,Active\n" % (200_000 + n, 6_000_000 + n) for n in range(60_000))
HEADERS_BYTES = 40_000  # what a counterpart may count beside content: headers, listings, handshakes
HASTY = RetryPolicy(attempts=4, first_seconds=0.02, longest_seconds=0.1)


class Killed(Exception):
    """The fetch ends here, as a killed process would."""


def kill_after(size: int) -> Callable[[int, int | None], None]:
    def progress(done: int, total: int | None) -> None:
        if done >= size:
            raise Killed

    return progress


def settled(counterpart: Counterpart) -> int | None:
    """Count what was served when nothing is on its way any more to a fetch that was killed."""
    served, before = counterpart.bytes_served(), None
    while served != before:
        time.sleep(0.05)
        served, before = counterpart.bytes_served(), served
    return served


def test_a_file_is_found_by_the_first_of_its_names(counterpart: Counterpart) -> None:
    counterpart.put(NAME, CONTENT)
    connector = counterpart.connector()
    assert locate(connector, ["bureau.parquet", NAME, "bureau.csv.gz"], policy=HASTY) == NAME


def test_a_name_is_found_whatever_its_case_where_the_store_is_listed(counterpart: Counterpart) -> None:
    counterpart.put(NAME, CONTENT)
    found = counterpart.connector().find(["BUREAU.CSV"])
    assert found == (NAME if counterpart.lists else None)


def test_nothing_is_found_where_nothing_is(counterpart: Counterpart) -> None:
    counterpart.put(NAME, CONTENT)
    assert counterpart.connector().find(["bureau_of_nothing.csv"]) is None


def test_a_file_is_described_without_a_download(counterpart: Counterpart) -> None:
    content = counterpart.put(NAME, CONTENT)
    connector, before = counterpart.connector(), counterpart.bytes_served()
    stat = look(connector, FILE, policy=HASTY)
    assert stat.size in (len(content), None)
    assert stat.version
    assert stat.modified_at is None or stat.modified_at.tzinfo is not None
    if before is not None:
        assert counterpart.bytes_served() - before < HEADERS_BYTES


def test_what_is_fetched_is_what_was_put(counterpart: Counterpart, tmp_path: Path) -> None:
    content = counterpart.put(NAME, CONTENT)
    connector, seen = counterpart.connector(), []
    fetched = fetch(
        connector, FILE, look(connector, FILE), tmp_path / "new" / NAME, progress=lambda *at: seen.append(at)
    )
    assert fetched.path.read_bytes() == content
    assert (fetched.bytes, fetched.downloaded_bytes) == (len(content), len(content))
    assert seen[-1] == (len(content), fetched.stat.size)


def test_blocks_are_of_bounded_size(counterpart: Counterpart) -> None:
    counterpart.put(NAME, b"".join([CONTENT] * 6))
    connector = counterpart.connector()
    assert max(len(block) for block in connector.read(FILE, connector.stat(FILE), 0)) <= 4 << 20


def test_an_unchanged_file_is_not_fetched_again(counterpart: Counterpart, tmp_path: Path) -> None:
    counterpart.put(NAME, CONTENT)
    connector = counterpart.connector()
    first = fetch(connector, FILE, look(connector, FILE), tmp_path / NAME)
    before, again = counterpart.bytes_served(), counterpart.connector()
    second = fetch(again, FILE, look(again, FILE), tmp_path / NAME)
    assert (second.stat.version, second.downloaded_bytes) == (first.stat.version, 0)
    if before is not None:
        assert counterpart.bytes_served() - before < HEADERS_BYTES


def test_another_content_is_another_version_and_is_fetched(counterpart: Counterpart, tmp_path: Path) -> None:
    counterpart.put(NAME, CONTENT)
    connector = counterpart.connector()
    first = fetch(connector, FILE, look(connector, FILE), tmp_path / NAME)
    other = counterpart.put(NAME, OTHER)
    connector = counterpart.connector()
    second = fetch(connector, FILE, look(connector, FILE), tmp_path / NAME)
    assert second.stat.version != first.stat.version
    assert second.path.read_bytes() == other


def test_a_killed_fetch_downloads_only_the_rest(counterpart: Counterpart, tmp_path: Path) -> None:
    content = counterpart.put(NAME, b"".join([CONTENT] * 4))
    connector, target = counterpart.connector(), tmp_path / NAME
    with pytest.raises(Killed):
        fetch(connector, FILE, look(connector, FILE), target, progress=kill_after(len(content) // 2))
    assert not target.exists()
    kept = (tmp_path / f"{NAME}.part").stat().st_size
    connector, before = counterpart.connector(), settled(counterpart)
    fetched = fetch(connector, FILE, look(connector, FILE), target)
    rest = len(content) - kept
    assert fetched.path.read_bytes() == content
    assert fetched.downloaded_bytes == (rest if counterpart.seeks else len(content))
    if before is not None and counterpart.seeks:
        assert counterpart.bytes_served() - before < rest + HEADERS_BYTES


def test_a_connector_starts_in_the_middle_or_says_that_it_cannot(counterpart: Counterpart) -> None:
    content = counterpart.put(NAME, CONTENT)
    connector = counterpart.connector()
    stat = connector.stat(FILE)
    if counterpart.seeks:
        assert b"".join(connector.read(FILE, stat, 12_345)) == content[12_345:]
    else:
        with pytest.raises(io.UnsupportedOperation):
            next(iter(connector.read(FILE, stat, 12_345)))


def test_a_part_of_another_version_is_not_continued(counterpart: Counterpart, tmp_path: Path) -> None:
    counterpart.put(NAME, CONTENT)
    connector = counterpart.connector()
    with pytest.raises(Killed):
        fetch(connector, FILE, look(connector, FILE), tmp_path / NAME, progress=kill_after(100_000))
    other = counterpart.put(NAME, OTHER)
    connector = counterpart.connector()
    assert fetch(connector, FILE, look(connector, FILE), tmp_path / NAME).path.read_bytes() == other


def test_a_file_that_changed_since_it_was_described_is_never_mixed(counterpart: Counterpart, tmp_path: Path) -> None:
    counterpart.put(NAME, CONTENT)
    outdated = counterpart.connector().stat(FILE)
    other = counterpart.put(NAME, OTHER)
    fetched = fetch(counterpart.connector(), FILE, outdated, tmp_path / NAME, policy=HASTY)
    assert fetched.path.read_bytes() == other
    assert fetched.stat.version != outdated.version


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_right_checksum_passes_and_a_wrong_one_publishes_nothing(
    counterpart: Counterpart, tmp_path: Path, algorithm: str
) -> None:
    content = counterpart.put(NAME, CONTENT)
    actual = hashlib.new(algorithm, content).hexdigest()
    wrong = hashlib.new(algorithm, b"something else").hexdigest()
    connector = counterpart.connector()
    stat = look(connector, FILE)
    with pytest.raises(IngestionError, match=f"{actual}, expected {wrong}; nothing was published"):
        fetch(connector, FILE, stat, tmp_path / NAME, checksum=Checksum(algorithm=algorithm, digest=wrong))
    assert not (tmp_path / NAME).exists()
    assert not (tmp_path / f"{NAME}.part").exists()
    right = fetch(connector, FILE, stat, tmp_path / NAME, checksum=Checksum(algorithm=algorithm, digest=actual))
    assert right.path.read_bytes() == content


def test_a_missing_file_is_named(counterpart: Counterpart) -> None:
    counterpart.put(NAME, CONTENT)
    missing = RemoteFile("bureau_of_nothing.csv")
    with pytest.raises(MissingFileError, match=r"bureau_of_nothing\.csv"):
        counterpart.connector().stat(missing)


def test_a_file_deleted_after_it_was_described_is_missing_not_empty(deletable: Counterpart, tmp_path: Path) -> None:
    deletable.put(NAME, CONTENT)
    deletable.put("other.csv", OTHER)
    stat = deletable.connector().stat(FILE)
    deletable.delete(NAME)
    with pytest.raises(MissingFileError, match=NAME):
        fetch(deletable.connector(), FILE, stat, tmp_path / NAME, policy=HASTY)
    assert not (tmp_path / NAME).exists()


def test_a_reset_connection_is_taken_up_where_it_broke(networked: Counterpart, tmp_path: Path) -> None:
    content = networked.put(NAME, CONTENT)
    connector = networked.connector()
    stat = look(connector, FILE)
    networked.fail_next("reset", after_bytes=len(content) * 9 // 10)
    assert fetch(connector, FILE, stat, tmp_path / NAME, policy=HASTY).path.read_bytes() == content


def test_a_source_that_is_away_for_a_moment_is_asked_again(networked: Counterpart, tmp_path: Path) -> None:
    content = networked.put(NAME, CONTENT)
    connector = networked.connector()
    networked.fail_next("unavailable")
    stat = look(connector, FILE, policy=HASTY)
    networked.fail_next("unavailable")
    assert fetch(connector, FILE, stat, tmp_path / NAME, policy=HASTY).path.read_bytes() == content


def test_two_fetches_at_once_download_it_once(counterpart: Counterpart, tmp_path: Path) -> None:
    content = counterpart.put(NAME, CONTENT)
    stat = counterpart.connector().stat(FILE)
    fetched = []
    threads = [
        threading.Thread(
            target=lambda: fetched.append(fetch(counterpart.connector(), FILE, stat, tmp_path / NAME, policy=HASTY))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.path.read_bytes() == content for each in fetched] == [True, True]
    assert sorted(each.downloaded_bytes for each in fetched) == [0, len(content)]


def test_no_address_and_no_error_shows_a_secret(counterpart: Counterpart, tmp_path: Path) -> None:
    counterpart.put(NAME, CONTENT)
    connector = counterpart.connector()
    told = [connector.address(FILE), repr(connector)]
    with pytest.raises(IngestionError) as missing:
        connector.stat(RemoteFile("nothing.csv"))
    with pytest.raises((ChangedError, SourceError, TransientError)) as changed:
        list(connector.read(FILE, FileStat("another version", 1, None), 0))
    told += [str(missing.value), str(changed.value)]
    assert NAME in told[0]
    if counterpart.secret is not None:
        assert not [text for text in told if counterpart.secret in text]
