"""Fetching: killed anywhere, raced, out of space or damaged on disk, it ends with the right file or with none."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from creditrisk_assets.ingestion.configuration import Checksum
from creditrisk_assets.ingestion.connector import FileStat, IngestionError, RemoteFile
from creditrisk_assets.ingestion.connectors.http import HttpConnector
from creditrisk_assets.ingestion.connectors.local import LocalConnector
from creditrisk_assets.ingestion.fetch import Fetched, RetryPolicy, fetch, look, verify
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import FileServer, Served, serving

FILE = RemoteFile("bureau.csv")
CONTENT = b"SK_ID_CURR,SK_ID_BUREAU\n" + b"".join(b"%d,%d\n" % (n, n + 7) for n in range(300_000))  # 3.9 MB
OTHER = CONTENT.replace(b"7\n", b"9\n")
CHECKSUM = Checksum(algorithm="sha256", digest=hashlib.sha256(CONTENT).hexdigest())
FETCH = """
import resource, sys
from pathlib import Path
from creditrisk_assets.ingestion.configuration import Checksum
from creditrisk_assets.ingestion.connector import IngestionError, RemoteFile
from creditrisk_assets.ingestion.connectors.http import HttpConnector
from creditrisk_assets.ingestion.fetch import fetch, look
url, target, algorithm, digest, most_bytes = sys.argv[1:]
if int(most_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
http, file = HttpConnector(url), RemoteFile("bureau.csv")
def peak():  # of this program: ru_maxrss would count what it was forked from
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
before, stat = peak(), look(http, file)
try:
    done = fetch(http, file, stat, Path(target), checksum=Checksum(algorithm=algorithm, digest=digest))
except IngestionError as error:
    sys.exit(str(error))
print(done.downloaded_bytes, done.seconds, before, peak())
"""


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files["/bureau.csv"] = Served(CONTENT)
        yield running


def started(
    server: FileServer, target: Path, *, checksum: Checksum = CHECKSUM, most_bytes: int = 0
) -> subprocess.Popen[str]:
    arguments = [server.url, str(target), checksum.algorithm, checksum.digest, str(most_bytes)]
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def fetched(server: FileServer, target: Path, checksum: Checksum | None = CHECKSUM) -> Fetched:
    http = HttpConnector(server.url)
    return fetch(http, FILE, look(http, FILE), target, checksum=checksum)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_a_fetch_killed_again_and_again_ends_with_the_right_checksum(server: FileServer, tmp_path: Path) -> None:
    server.throttle_seconds = 0.01  # 6 MB/s: a kill lands in the middle
    target, part = tmp_path / "bureau.csv", tmp_path / "bureau.csv.part"
    kept = 0
    for share in sorted(random.uniform(0.05, 0.9) for _ in range(3)):
        with started(server, target) as process:
            while size_of(part) < share * len(CONTENT) and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not target.exists()
        assert size_of(part) >= max(kept, int(share * len(CONTENT)))  # nothing that was fetched is fetched again
        kept = size_of(part)
    server.throttle_seconds = 0
    assert fetched(server, target).downloaded_bytes == len(CONTENT) - kept
    assert target.read_bytes() == CONTENT


def test_two_processes_at_once_download_it_once(server: FileServer, tmp_path: Path) -> None:
    server.throttle_seconds = 0.02  # slower than the second process takes to start
    processes = [started(server, tmp_path / "bureau.csv") for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert sorted(int(out.split()[0]) for out, _ in answers) == [0, len(CONTENT)]
    assert (tmp_path / "bureau.csv").read_bytes() == CONTENT


def test_a_full_disk_is_named_and_what_was_fetched_is_continued(server: FileServer, tmp_path: Path) -> None:
    process = started(server, tmp_path / "bureau.csv", most_bytes=2_000_000)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"the disk of {tmp_path} is full" in told
    assert "run again; what was fetched is kept and continued" in told
    assert size_of(tmp_path / "bureau.csv.part") == 2_000_000
    assert fetched(server, tmp_path / "bureau.csv").downloaded_bytes == len(CONTENT) - 2_000_000


def test_a_disk_too_small_is_named_before_anything_is_read(server: FileServer, tmp_path: Path) -> None:
    stat = FileStat('"v1"', 1 << 60, None)
    with pytest.raises(
        IngestionError, match=r"fetching http.*bureau.csv needs about [\d.]+ GB below .* [\d.]+ [GM]B are free"
    ):
        fetch(HttpConnector(server.url), FILE, stat, tmp_path / "bureau.csv")
    assert server.asked == []


def part_of_this_version(directory: Path, server: FileServer) -> None:
    """Leave what a killed fetch leaves: one megabyte and the record of its version."""
    server.cuts = [1_000_000]
    http = HttpConnector(server.url)
    with pytest.raises(IngestionError, match="given up"):
        fetch(http, FILE, look(http, FILE), directory / "bureau.csv", policy=RetryPolicy(attempts=1))
    server.bytes_served = 0


def test_a_part_without_its_record_is_not_continued(server: FileServer, tmp_path: Path) -> None:
    part_of_this_version(tmp_path, server)
    (tmp_path / "bureau.csv.fetch.json").unlink()
    assert fetched(server, tmp_path / "bureau.csv").downloaded_bytes == len(CONTENT)


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff"])
def test_a_damaged_record_is_no_record(server: FileServer, tmp_path: Path, text: str) -> None:
    part_of_this_version(tmp_path, server)
    (tmp_path / "bureau.csv.fetch.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert fetched(server, tmp_path / "bureau.csv").downloaded_bytes == len(CONTENT)


def test_a_part_from_another_place_is_not_continued(server: FileServer, tmp_path: Path) -> None:
    part_of_this_version(tmp_path, server)
    with serving() as elsewhere:  # same name, same ETag
        elsewhere.files["/bureau.csv"] = Served(OTHER)
        assert fetched(elsewhere, tmp_path / "bureau.csv", None).path.read_bytes() == OTHER


def test_a_part_longer_than_the_file_is_not_continued(server: FileServer, tmp_path: Path) -> None:
    part_of_this_version(tmp_path, server)
    (tmp_path / "bureau.csv.part").write_bytes(CONTENT + b"1,2\n")
    assert fetched(server, tmp_path / "bureau.csv", None).path.read_bytes() == CONTENT


def test_a_part_that_is_whole_is_published_without_a_download(server: FileServer, tmp_path: Path) -> None:
    part_of_this_version(tmp_path, server)
    (tmp_path / "bureau.csv.part").write_bytes(CONTENT)
    result = fetched(server, tmp_path / "bureau.csv")
    assert (result.downloaded_bytes, result.path.read_bytes()) == (0, CONTENT)


def test_a_part_damaged_on_this_disk_is_fetched_whole_once_more(server: FileServer, tmp_path: Path) -> None:
    part_of_this_version(tmp_path, server)
    with (tmp_path / "bureau.csv.part").open("r+b") as stream:
        stream.write(b"\0" * 4096)  # what a power cut leaves
    assert fetched(server, tmp_path / "bureau.csv").path.read_bytes() == CONTENT


def test_a_kill_between_publishing_and_recording_costs_a_download_and_no_more(
    server: FileServer, tmp_path: Path
) -> None:
    part_of_this_version(tmp_path, server)
    (tmp_path / "bureau.csv.part").rename(tmp_path / "bureau.csv")
    assert fetched(server, tmp_path / "bureau.csv").path.read_bytes() == CONTENT


@pytest.mark.parametrize("damage", [CONTENT[:-1], CONTENT[:-2] + b"8\n"], ids=["shorter", "altered"])
def test_a_fetched_file_damaged_afterwards_is_fetched_again(server: FileServer, tmp_path: Path, damage: bytes) -> None:
    fetched(server, tmp_path / "bureau.csv")
    (tmp_path / "bureau.csv").write_bytes(damage)
    assert fetched(server, tmp_path / "bureau.csv").path.read_bytes() == CONTENT


def test_the_old_file_stays_until_all_of_the_new_one_is_there(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "bureau.csv"
    fetched(server, target)
    server.files["/bureau.csv"] = Served(OTHER, etag='"v2"')
    seen = set()
    http = HttpConnector(server.url)
    fetch(http, FILE, look(http, FILE), target, progress=lambda *_: seen.add(target.read_bytes() == CONTENT))
    assert seen == {True}
    assert target.read_bytes() == OTHER


def test_a_place_that_cannot_be_written_is_named(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(IngestionError, match=r"bureau.csv.lock cannot be written \(.*\); check the directory and its"):
        fetched(server, tmp_path / "file" / "bureau.csv")


def test_a_size_nobody_told_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "bureau.csv").write_bytes(CONTENT)
    local = LocalConnector(tmp_path, copy_files=True)
    stat = local.stat(FILE)
    seen = []
    result = fetch(
        local,
        FILE,
        FileStat(stat.version, None, None),
        tmp_path / "copy" / "bureau.csv",
        progress=lambda *at: seen.append(at),
    )
    assert result.path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), None)


def test_pauses_double_up_to_a_limit_and_never_undercut_what_is_asked() -> None:
    policy = RetryPolicy(first_seconds=1, longest_seconds=10)
    for failures, longest in enumerate([1, 2, 4, 8, 10, 10], start=1):
        drawn = [policy.pause_seconds(failures, None) for _ in range(200)]
        assert longest / 2 <= min(drawn) < max(drawn) <= longest
    assert policy.pause_seconds(1, 90) == 90


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_checksum_names_expected_and_actual(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "bureau.csv"
    path.write_bytes(CONTENT)
    actual, wrong = hashlib.new(algorithm, CONTENT).hexdigest(), hashlib.new(algorithm, OTHER).hexdigest()
    verify(path, Checksum(algorithm=algorithm, digest=actual), "bureau")
    with pytest.raises(IngestionError, match=f"bureau has {algorithm} {actual}, expected {wrong}; nothing was publ"):
        verify(path, Checksum(algorithm=algorithm, digest=wrong), "bureau")


def test_the_record_holds_what_an_auditor_asks(server: FileServer, tmp_path: Path) -> None:
    fetched(server, tmp_path / "bureau.csv")
    assert json.loads((tmp_path / "bureau.csv.fetch.json").read_text()) == {
        "address": f"{server.url}/bureau.csv",
        "pin": None,
        "version": '"v1"',
        "size": len(CONTENT),
        "complete": True,
    }


@pytest.fixture
def large(server: FileServer, tmp_path: Path) -> Checksum:
    """Serve 700 MB, and return their checksum."""
    digest = hashlib.sha256()
    with (tmp_path / "large.csv").open("wb") as stream:
        for _ in range(700):
            block = random.randbytes(500_000).hex().encode()
            stream.write(block)
            digest.update(block)
    server.files["/bureau.csv"] = Served(tmp_path / "large.csv")
    return Checksum(algorithm="sha256", digest=digest.hexdigest())


@pytest.mark.drill
def test_700_mb_are_fetched_with_bounded_memory(server: FileServer, tmp_path: Path, large: Checksum) -> None:
    with started(server, tmp_path / "bureau.csv", checksum=large) as process:
        out, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    size, seconds, before, peak = (float(figure) for figure in out.split())
    rate = f"{size / 1e6:.0f} MB at {size / 1e6 / seconds:.0f} MB/s"
    print(f"{rate}; memory {before:.0f} MB, at the peak {peak - before:.0f} MB more")  # noqa: T201 - the drill's figures
    assert size == 700_000_000
    assert peak - before < 40


@pytest.mark.drill
def test_700_mb_killed_twenty_times_end_with_the_right_checksum(
    server: FileServer, tmp_path: Path, large: Checksum
) -> None:
    target, part = tmp_path / "bureau.csv", tmp_path / "bureau.csv.part"
    server.throttle_seconds = 0.002  # 350 MB/s, so that kills fall into the download
    reached = []
    for share in sorted(random.uniform(0, 0.99) for _ in range(20)):
        with started(server, target, checksum=large) as process:
            while size_of(part) < share * 700_000_000 and process.poll() is None:
                time.sleep(0.0005)
            process.send_signal(signal.SIGKILL)
        reached.append(size_of(part))
    assert reached == sorted(reached)
    assert not target.exists()
    assert fetched(server, target, large).downloaded_bytes == 700_000_000 - reached[-1]


@pytest.mark.drill
def test_a_disk_that_is_really_full_is_named_and_the_fetch_continued(server: FileServer, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: run as root")
    try:
        (small / "ballast").write_bytes(b"\0" * 3_000_000)
        http = HttpConnector(server.url)
        unknown_size = FileStat('"v1"', None, None)
        with pytest.raises(IngestionError, match=r"the disk of .*small is full \(No space left on device\)"):
            fetch(http, FILE, unknown_size, small / "bureau.csv")
        assert 1_000_000 < size_of(small / "bureau.csv.part") < len(CONTENT)
        (small / "ballast").unlink()
        assert fetch(http, FILE, unknown_size, small / "bureau.csv", checksum=CHECKSUM).downloaded_bytes < len(CONTENT)
    finally:
        subprocess.run(["umount", str(small)], check=True)
