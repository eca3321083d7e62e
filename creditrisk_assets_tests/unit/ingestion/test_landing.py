"""From a feed to a plain table on this machine: what was fetched is kept, and nothing is taken for what it is not."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.ingestion.configuration import SourceSet
from creditrisk_assets.ingestion.connector import ChangedError, IngestionError
from creditrisk_assets.ingestion.connectors import Credentials
from creditrisk_assets.ingestion.feeds import Feed, Feeds
from creditrisk_assets.ingestion.landing import land, require_unchanged
from creditrisk_assets.ingestion.table_file import TableFile
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import FileServer, Served, serving

CONTENT = b"A\n1\n"
WRONG = "md5:" + "0" * 32


def look(directory: Path, connection: dict[str, Any], **entry: Any) -> Feed:
    sources = SourceSet.model_validate({"name": "test", "connection": connection, "tables": {"bureau": entry}})
    return Feeds(sources, Credentials(directory / "sample")).look(SOURCES["bureau"])


def landed(directory: Path, feed: Feed) -> TableFile:
    work = directory / "work"
    work.mkdir(exist_ok=True)
    return land(feed, feed.parts[0], directory / "landing", work, lambda _words: None)


def served(server: FileServer, directory: Path, **entry: Any) -> TableFile:
    return landed(directory, look(directory, {"kind": "http", "base_url": server.url}, **entry))


def test_what_was_fetched_is_not_fetched_again_and_still_verified_when_a_checksum_is_declared_later(
    tmp_path: Path,
) -> None:
    with serving() as server:
        server.files["/bureau.csv"] = Served(CONTENT)
        served(server, tmp_path)
        once = server.bytes_served
        right = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
        for entry in ({}, {"checksum": right}):
            assert served(server, tmp_path, **entry).path.read_bytes() == CONTENT
        assert server.bytes_served == once
        with pytest.raises(IngestionError, match=f"expected {'0' * 32}; nothing was published"):
            served(server, tmp_path, checksum=WRONG)


def test_a_name_that_would_be_read_as_a_pattern_is_kept_under_another(tmp_path: Path) -> None:
    with serving() as server:
        server.files["/bureau[1].csv"] = Served(CONTENT)
        file = served(server, tmp_path, location="bureau[1].csv")
    assert file.path.name == "bureau_1].csv"
    assert file.path.read_bytes() == CONTENT
    assert file.address.endswith("bureau%5B1%5D.csv")


@pytest.mark.parametrize("change", [b"A\n1\n2\n", b"A\n2\n", None], ids=["grew", "rewritten", "gone"])
def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path: Path, change: bytes | None) -> None:
    path = tmp_path / "bureau.csv"
    path.write_bytes(CONTENT)
    feed = look(tmp_path, {"kind": "local", "directory": str(tmp_path)})
    assert landed(tmp_path, feed).path == path
    require_unchanged(feed)
    path.unlink()
    if change is None:
        with pytest.raises(IngestionError, match="does not exist"):
            require_unchanged(feed)
        return
    path.write_bytes(change)
    with pytest.raises(ChangedError, match=r"bureau\.csv was changed while it was read; nothing was published"):
        require_unchanged(feed)
