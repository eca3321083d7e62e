"""Local files: what is no file is refused by name, and a change is seen whoever made it."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from creditrisk_assets.ingestion.connector import (
    ChangedError,
    IngestionError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.connectors.local import LocalConnector
from creditrisk_assets.ingestion.fetch import RetryPolicy, fetch

FILE = RemoteFile("bureau.csv")
CONTENT = b"1,2,3,4,5,6,7\n" * 400_000  # 5.6 MB


@pytest.fixture
def bureau(tmp_path: Path) -> Path:
    path = tmp_path / "bureau.csv"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_read_where_it_is_unless_it_is_to_be_copied(bureau: Path) -> None:
    assert LocalConnector(bureau.parent).in_place(FILE) == bureau
    assert LocalConnector(bureau.parent, copy_files=True).in_place(FILE) is None


def test_a_link_to_a_file_elsewhere_is_followed(bureau: Path, tmp_path: Path) -> None:
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "bureau.csv").symlink_to(bureau)
    local = LocalConnector(tmp_path / "feeds")
    assert local.stat(FILE) == LocalConnector(tmp_path).stat(FILE)
    assert b"".join(local.read(FILE, local.stat(FILE), 0)) == CONTENT


@pytest.mark.parametrize("kind", ["directory", "pipe", "socket"])
def test_what_is_no_file_is_refused_by_name(kind: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a socket's path is short
        path = Path(short) / "bureau.csv"
        with socket.socket(socket.AF_UNIX) as end:
            if kind == "directory":
                path.mkdir()
            elif kind == "pipe":
                os.mkfifo(path)
            else:
                end.bind(str(path))
            with pytest.raises(
                SourceError, match=rf"bureau\.csv is a {kind}, no file that can be read; check what it is"
            ):
                LocalConnector(Path(short)).stat(FILE)


def test_a_device_is_refused_by_name() -> None:
    with pytest.raises(SourceError, match="/dev/zero is a device, no file that can be read"):
        LocalConnector(Path("/dev")).stat(RemoteFile("zero"))


def test_a_link_that_leads_nowhere_is_missing(tmp_path: Path) -> None:
    (tmp_path / "bureau.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(MissingFileError, match=r"bureau\.csv is a link that leads nowhere; check the source directory"):
        LocalConnector(tmp_path).stat(FILE)


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bureau.csv").symlink_to(tmp_path / "bureau.csv")
    with pytest.raises(SourceError, match=r"cannot be read \(Too many levels of symbolic links"):
        LocalConnector(tmp_path).stat(FILE)


def test_a_file_that_may_not_be_read_is_refused() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as open_to_all:
        Path(open_to_all).chmod(0o755)
        path = Path(open_to_all) / "bureau.csv"
        path.write_bytes(CONTENT)
        path.chmod(0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65_534)  # permissions do not hold for root
            with pytest.raises(SourceError, match=r"cannot be read \(Permission denied\); check the path and its"):
                LocalConnector(Path(open_to_all)).stat(FILE)
        finally:
            os.seteuid(user)


def test_a_disk_that_fails_is_asked_again() -> None:
    memory = RemoteFile("mem")  # of this process: a regular file whose first byte is an input/output error
    local = LocalConnector(Path("/proc/self"))
    with pytest.raises(TransientError, match=r"/proc/self/mem cannot be read at the moment \(Input/output error"):
        list(local.read(memory, local.stat(memory), 0))


@pytest.mark.parametrize("directory", ["nowhere", "bureau.csv"])
def test_a_source_directory_that_is_none_is_named(bureau: Path, directory: str) -> None:
    with pytest.raises(SourceError, match=rf"the source directory .*{directory} cannot be read \(.*\); check the path"):
        LocalConnector(bureau.parent / directory).find(["bureau.csv"])


def test_a_file_written_to_while_it_is_read_has_changed(bureau: Path) -> None:
    local = LocalConnector(bureau.parent)
    blocks = local.read(FILE, local.stat(FILE), 0)
    next(blocks)
    with bureau.open("ab") as stream:
        stream.write(b"8,9\n")
    with pytest.raises(ChangedError, match=r"bureau\.csv was changed while it was read"):
        list(blocks)


def test_a_file_replaced_while_it_is_read_is_read_to_its_end(bureau: Path, tmp_path: Path) -> None:
    local = LocalConnector(bureau.parent)
    blocks = local.read(FILE, local.stat(FILE), 0)
    read = [next(blocks)]
    (tmp_path / "new").write_bytes(b"other" * 1_000_000)
    (tmp_path / "new").replace(bureau)
    assert b"".join(read + list(blocks)) == CONTENT


def test_a_file_that_grows_all_the_time_is_given_up(bureau: Path, tmp_path: Path) -> None:
    local = LocalConnector(bureau.parent, copy_files=True)

    def grow(done: int, total: int | None) -> None:
        with bureau.open("ab") as stream:
            stream.write(b"8,9\n")

    with pytest.raises(IngestionError, match="changed 3 times while it was fetched; run again when it is at rest"):
        fetch(local, FILE, local.stat(FILE), tmp_path / "to" / "b", progress=grow, policy=RetryPolicy(restarts=2))


def test_another_file_of_the_same_size_and_time_is_another_version(bureau: Path, tmp_path: Path) -> None:
    local = LocalConnector(bureau.parent)
    before, times = local.stat(FILE), bureau.stat()
    (tmp_path / "new").write_bytes(CONTENT[::-1])
    os.utime(tmp_path / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "new").replace(bureau)
    after = local.stat(FILE)
    assert (after.size, after.modified_at) == (before.size, before.modified_at)
    assert after.version != before.version
