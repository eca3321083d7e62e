"""What only DVC can do, and every way a repository or its remote refuses."""

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dvc.repo import Repo

from creditrisk_assets.ingestion.configuration import DvcConnection
from creditrisk_assets.ingestion.connector import (
    ChangedError,
    MissingExtraError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.connectors.dvc import DvcConnector
from creditrisk_assets_tests.unit.ingestion.connectors.counterpart_dvc import DvcCounterpart, git
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Counterpart
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer, FileServer, Served, serving

FILE = RemoteFile("bureau.csv")
CLOSE = {"Connection": "close"}  # the client keeps connections, and the server waits for them when it stops
CONTENT = b"SK_ID_CURR\n100001\n"


@pytest.fixture
def dvc(counterpart_of: Callable[[str], Counterpart]) -> DvcCounterpart:
    found = counterpart_of("dvc")
    assert isinstance(found, DvcCounterpart)
    found.put("bureau.csv", CONTENT)
    return found


def connector_of(dvc: DvcCounterpart, **changes: str) -> DvcConnector:
    return DvcConnector.from_connection(dvc.connection().model_copy(update=changes))


def read(connector: DvcConnector, file: RemoteFile = FILE, offset: int = 0) -> bytes:
    return b"".join(connector.read(file, connector.stat(file), offset))


def set_remote(dvc: DvcCounterpart, url: str) -> None:
    with Repo(str(dvc.repository)) as repo, repo.config.edit() as config:
        config["remote"]["store"]["url"] = url


@pytest.fixture
def web(dvc: DvcCounterpart) -> Iterator[FileServer]:
    """Serve the remote by HTTP."""
    with serving() as server:
        for path in dvc.remote.rglob("*"):
            if path.is_file():
                server.files[f"/{path.relative_to(dvc.remote).as_posix()}"] = Served(path.read_bytes(), headers=CLOSE)
        set_remote(dvc, server.url)
        yield server


def test_the_version_is_the_hash_that_dvc_recorded(dvc: DvcCounterpart) -> None:
    assert dvc.connector().stat(FILE).version == f"md5:{hashlib.md5(CONTENT).hexdigest()}"


def test_a_repository_is_cloned_from_its_url(dvc: DvcCounterpart) -> None:
    assert read(connector_of(dvc, repository=f"file://{dvc.repository}"), offset=3) == CONTENT[3:]


def test_what_is_newly_committed_behind_a_url_is_seen(dvc: DvcCounterpart) -> None:
    connector = connector_of(dvc, repository=f"file://{dvc.repository}")
    first = connector.stat(FILE)
    dvc.put("bureau.csv", CONTENT * 2)
    with pytest.raises(ChangedError):
        list(connector.read(FILE, first, 0))
    assert read(connector) == CONTENT * 2


@pytest.mark.parametrize("by", ["revision", "pin"])
def test_an_older_delivery_is_read_by_its_revision(dvc: DvcCounterpart, by: str) -> None:
    older = git(dvc.repository, "rev-parse", "HEAD")
    dvc.put("bureau.csv", CONTENT * 2)
    if by == "pin":
        assert read(dvc.connector(), replace(FILE, pin=older)) == CONTENT
    else:
        assert read(connector_of(dvc, revision=older)) == CONTENT
    assert read(dvc.connector()) == CONTENT * 2


def test_the_file_of_the_working_tree_is_not_what_is_read(dvc: DvcCounterpart) -> None:
    (dvc.repository / "feeds" / "bureau.csv").write_bytes(b"half an edit")
    assert read(dvc.connector()) == CONTENT


def test_a_tracked_file_is_read_from_the_cache_where_it_is_there(dvc: DvcCounterpart) -> None:
    (dvc.remote / "files").rename(dvc.repository / "kept")
    (dvc.repository / ".dvc" / "cache").mkdir()
    (dvc.repository / "kept").rename(dvc.repository / ".dvc" / "cache" / "files")
    assert read(dvc.connector()) == CONTENT


def test_a_file_in_a_tracked_directory_is_read(dvc: DvcCounterpart) -> None:
    dvc.put("2026-05/bureau.csv", CONTENT * 3)
    assert read(dvc.connector(), RemoteFile("2026-05/bureau.csv")) == CONTENT * 3
    assert dvc.connector().find(["bureau.csv"]) == "bureau.csv"


def test_a_directory_is_no_file(dvc: DvcCounterpart) -> None:
    with pytest.raises(SourceError, match="is a directory; name a file in it"):
        connector_of(dvc, directory="").stat(RemoteFile("feeds"))


def test_a_file_that_only_git_holds_is_not_tracked(dvc: DvcCounterpart) -> None:
    (dvc.repository / "feeds" / "notes.csv").write_bytes(b"a,b\n")
    git(dvc.repository, "add", "--force", "feeds/notes.csv")
    git(dvc.repository, "commit", "--quiet", "--message", "Notes")
    with pytest.raises(MissingFileError, match=r"not tracked by DVC.*dvc add, dvc push"):
        dvc.connector().stat(RemoteFile("notes.csv"))


def test_nothing_is_found_in_a_directory_that_is_not_there(dvc: DvcCounterpart) -> None:
    assert connector_of(dvc, directory="elsewhere").find(["bureau.csv"]) is None


def test_what_was_not_pushed_is_missing(dvc: DvcCounterpart) -> None:
    (dvc.remote / "files").rename(dvc.remote / "away")
    connector = dvc.connector()
    stat = connector.stat(FILE)
    with pytest.raises(
        MissingFileError, match="neither in the cache nor in the remote; check `remote`, or run dvc push"
    ):
        list(connector.read(FILE, stat, 0))


@pytest.mark.parametrize("place", ["a plain directory", "a git repository", "nothing", "the URL of nothing"])
def test_what_is_no_dvc_repository_is_refused(dvc: DvcCounterpart, tmp_path: Path, place: str) -> None:
    if place == "a git repository":
        git(tmp_path, "init", "--quiet")
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "Empty")
    where = {"nothing": f"{tmp_path}/nothing", "the URL of nothing": f"file://{tmp_path}/nothing"}
    connector = connector_of(dvc, repository=where.get(place, str(tmp_path)))
    for action in (lambda: connector.stat(FILE), lambda: connector.find(["bureau.csv"])):
        with pytest.raises(SourceError, match=r"no DVC repository; check `repository`"):
            action()


def test_a_revision_that_is_not_there_is_refused(dvc: DvcCounterpart) -> None:
    for action in (
        lambda: connector_of(dvc, revision="v9").stat(FILE),
        lambda: dvc.connector().stat(replace(FILE, pin="v9")),
    ):
        with pytest.raises(SourceError, match="no such git revision; check `revision` and `pin`"):
            action()


def test_a_remote_that_is_not_there_is_refused(dvc: DvcCounterpart) -> None:
    with pytest.raises(SourceError, match="remote 'attic' doesn't exist"):
        connector_of(dvc, remote="attic").stat(FILE)


def test_a_repository_without_a_remote_says_what_to_set(dvc: DvcCounterpart) -> None:
    with Repo(str(dvc.repository)) as repo, repo.config.edit() as config:
        del config["core"]["remote"]
    git(dvc.repository, "commit", "--quiet", "--all", "--message", "No default")
    with pytest.raises(SourceError, match="no default remote; set `remote`, or run dvc remote add -d"):
        read(connector_of(dvc, repository=f"file://{dvc.repository}"))
    assert read(connector_of(dvc, repository=f"file://{dvc.repository}", remote="store")) == CONTENT


def test_a_remote_whose_library_is_not_installed_names_it(dvc: DvcCounterpart) -> None:
    set_remote(dvc, "gs://lender/feeds")
    with pytest.raises(MissingExtraError, match="requires 'dvc-gs' to be installed; install it with pip"):
        read(dvc.connector())


def test_a_repository_that_is_away_may_come_back_and_its_token_is_not_shown(dvc: DvcCounterpart) -> None:
    connector = connector_of(dvc, repository="https://lender:a-token@127.0.0.1:9/feeds.git")
    with pytest.raises(TransientError, match="cannot be fetched at the moment") as away:
        connector.stat(FILE)
    for told in (connector.address(FILE), str(away.value)):
        assert "127.0.0.1:9/feeds.git" in told
        assert "a-token" not in told


def test_a_remote_behind_http_is_streamed_from_the_middle(dvc: DvcCounterpart, web: FileServer) -> None:
    assert read(dvc.connector(), offset=5) == CONTENT[5:]
    assert web.bytes_served


def test_a_remote_that_cannot_start_in_the_middle_says_so(dvc: DvcCounterpart, web: FileServer) -> None:
    web.ranges = False
    with pytest.raises(io.UnsupportedOperation):
        read(dvc.connector(), offset=5)
    assert read(dvc.connector()) == CONTENT


@pytest.mark.parametrize("status", [401, 403])
def test_a_remote_that_refuses_is_no_missing_file(dvc: DvcCounterpart, web: FileServer, status: int) -> None:
    web.instead += [Answer(status, CLOSE)] * 9
    with pytest.raises(SourceError, match=rf"refuses access \(HTTP {status}\)") as refused:
        read(dvc.connector())
    assert not isinstance(refused.value, MissingFileError)


def test_a_remote_that_has_lost_the_content_is_missing_it(dvc: DvcCounterpart, web: FileServer) -> None:
    web.instead += [Answer(404, CLOSE)] * 9
    with pytest.raises(MissingFileError, match="run dvc push"):
        read(dvc.connector())


def test_an_overloaded_remote_may_recover(dvc: DvcCounterpart, web: FileServer) -> None:
    web.instead += [Answer(503, CLOSE)] * 50
    with pytest.raises(TransientError, match="HTTP 503"):
        read(dvc.connector())


def test_a_remote_that_is_away_is_no_missing_file(dvc: DvcCounterpart) -> None:
    with serving() as server:
        url = server.url
    set_remote(dvc, url)
    with pytest.raises(TransientError, match="at the moment"):
        read(dvc.connector())


def test_nothing_is_left_behind_when_the_process_ends(dvc: DvcCounterpart, tmp_path: Path) -> None:
    script = (
        "from creditrisk_assets.ingestion.connector import RemoteFile, SourceError\n"
        "from creditrisk_assets.ingestion.connectors.dvc import DvcConnector\n"
        f"DvcConnector('file://{dvc.repository}', None, None, 'feeds').stat(RemoteFile('bureau.csv'))\n"
        "try:\n"
        "    DvcConnector('file:///nothing', None, None, 'feeds').stat(RemoteFile('bureau.csv'))\n"
        "except SourceError as error:\n"
        "    print('refused')\n"
    )
    environment = {"TMPDIR": str(tmp_path), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("refused\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_connection_is_configured_without_opening_the_repository() -> None:
    connection = DvcConnection(kind="dvc", repository="https://example.invalid/feeds.git")
    assert DvcConnector.from_connection(connection).kind == "dvc"
