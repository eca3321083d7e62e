"""What a feed is made of, and when its version changes: nothing is downloaded to know it."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.ingestion.configuration import SourceSet
from creditrisk_assets.ingestion.connector import MissingFileError, SourceError
from creditrisk_assets.ingestion.connectors import Credentials
from creditrisk_assets.ingestion.feeds import Feed, Feeds
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer, Served, serving

BUREAU = SOURCES["bureau"]
MAY = datetime(2026, 5, 31, tzinfo=UTC)


def feeds(directory: Path, **settings: Any) -> Feeds:
    connection = {"kind": "local", "directory": str(directory)}
    sources = SourceSet.model_validate({"name": "test", "connection": connection, **settings})
    return Feeds(sources, Credentials(directory / "sample"))


def look(directory: Path, **settings: Any) -> Feed:
    return feeds(directory, **settings).look(BUREAU)


def deliver(directory: Path, name: str, content: str = "x") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def manifest(directory: Path, *batches: Mapping[str, Any]) -> None:
    deliver(directory, "batches.json", json.dumps({"batches": batches}))


def batch(batch_id: str, as_at: str, location: str, **more: str) -> dict[str, Any]:
    return {"batch_id": batch_id, "as_at": as_at, "tables": {"bureau": {"location": location, **more}}}


@pytest.mark.parametrize(
    "name", ["bureau.csv", "BUREAU.CSV", "bureau.parquet", "bureau.csv.gz", "bureau.csv.zst", "bureau.zip"]
)
def test_a_table_is_found_by_its_name_whatever_its_packing(tmp_path: Path, name: str) -> None:
    deliver(tmp_path, name)
    (part,) = look(tmp_path).parts
    assert part.address == str(tmp_path / name)


def test_what_needs_no_unpacking_is_preferred(tmp_path: Path) -> None:
    for name in ("bureau.zip", "bureau.csv", "bureau.csv.gz"):
        deliver(tmp_path, name)
    assert look(tmp_path).parts[0].file.path == "bureau.csv"


def test_a_missing_table_names_where_it_was_looked_for_and_under_which_names(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError) as caught:
        look(tmp_path)
    assert str(caught.value).startswith(f"bureau: no file in {tmp_path}/; expected one of bureau.csv, bureau.parquet")


def test_the_version_changes_with_the_file_and_only_with_it(tmp_path: Path) -> None:
    path = deliver(tmp_path, "bureau.csv", "one")
    first = look(tmp_path)
    assert look(tmp_path).version == first.version
    os.utime(path, ns=(1, 1))
    assert look(tmp_path).version != first.version


def test_batches_come_in_the_order_of_what_they_stand_for_not_of_their_arrival(tmp_path: Path) -> None:
    deliver(tmp_path, "bureau.csv")
    for month in ("04", "05", "06"):
        deliver(tmp_path, f"{month}/bureau.csv.gz")
    manifest(
        tmp_path,
        batch("2026-06", "2026-06-30T00:00:00Z", "06/bureau.csv.gz"),
        batch("2026-04", "2026-04-30T00:00:00Z", "04/bureau.csv.gz"),
        batch("2026-05", "2026-05-31T00:00:00Z", "05/bureau.csv.gz"),
    )
    feed = look(tmp_path, batches="batches.json")
    assert [part.batch_id for part in feed.parts] == ["base", "2026-04", "2026-05", "2026-06"]
    assert feed.parts[2].as_at == MAY


def test_a_batch_of_another_table_is_none_of_this_one(tmp_path: Path) -> None:
    deliver(tmp_path, "bureau.csv")
    other = batch("2026-05", "2026-05-31T00:00:00Z", "x.csv")
    other["tables"] = {"bureau_balance": other["tables"]["bureau"]}
    before = look(tmp_path).version
    manifest(tmp_path, other)
    assert look(tmp_path, batches="batches.json").version == before


def test_the_data_are_as_old_as_the_newest_batch(tmp_path: Path) -> None:
    os.utime(deliver(tmp_path, "bureau.csv"), (0, 0))
    deliver(tmp_path, "may.csv")
    manifest(tmp_path, batch("2026-05", "2026-05-31T00:00:00Z", "may.csv"))
    assert look(tmp_path, batches="batches.json").as_at == MAY
    configured = {"bureau": {"as_at": "2027-01-01T00:00:00Z"}}
    assert look(tmp_path, tables=configured).as_at == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is neither JSON nor YAML"),
        ("[]", "the file: Input should be a valid dictionary"),
        ("", "the file: Input should be a valid dictionary"),
        ("[" * 100_000, "is neither JSON nor YAML"),
        (
            json.dumps({"batches": [batch("base", "2026-05-31T00:00:00Z", "x")]}),
            "batch base is there twice or named like",
        ),
        (json.dumps({"batches": [batch("a", "2026-05-31T00:00:00Z", "x")] * 2}), "batch a is there twice"),
        (json.dumps({"batches": [batch("a", "2026-05-31T00:00:00", "x")]}), "needs a time zone"),
        (json.dumps({"batches": [batch("a", "0001-01-01T00:00:00+12:00", "x")]}), "is no time that can be told in UTC"),
        (
            json.dumps(
                {
                    "batches": [
                        {"batch_id": "a", "as_at": "2026-05-31T00:00:00Z", "tables": {"bureua": {"location": "x"}}}
                    ]
                }
            ),
            "no raw table is named bureua",
        ),
        (
            json.dumps({"batches": [batch("a", "2026-05-31T00:00:00Z", "x", checksum="md5:1")]}),
            "write a checksum as md5:",
        ),
        (json.dumps({"batches": [{"as_at": "2026-05-31T00:00:00Z", "tables": {}}]}), "batches.0.batch_id"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_place(tmp_path: Path, content: str, words: str) -> None:
    deliver(tmp_path, "bureau.csv")
    deliver(tmp_path, "batches.json", content)
    with pytest.raises(SourceError) as caught:
        look(tmp_path, batches="batches.json")
    assert str(tmp_path / "batches.json") in str(caught.value)
    assert words in str(caught.value)


def test_a_manifest_that_is_not_there_is_named_as_such(tmp_path: Path) -> None:
    deliver(tmp_path, "bureau.csv")
    with pytest.raises(MissingFileError, match=r"the manifest of batches: .*batches\.json does not exist"):
        look(tmp_path, batches="batches.json")


def test_another_content_that_is_expected_is_another_version(tmp_path: Path) -> None:
    deliver(tmp_path, "bureau.csv")
    digests = ("md5:" + "1" * 32, "md5:" + "2" * 32)
    entries = [{}, *({name: digest} for name in ("checksum", "content_checksum") for digest in digests)]
    versions = [look(tmp_path, tables={"bureau": entry}).version for entry in entries]
    assert len(set(versions)) == len(entries), "a checksum that was declared later would never be verified"
    assert versions[0] == look(tmp_path).version


def test_a_batch_that_is_announced_and_not_there_is_named(tmp_path: Path) -> None:
    deliver(tmp_path, "bureau.csv")
    manifest(tmp_path, batch("2026-05", "2026-05-31T00:00:00Z", "may.csv"))
    with pytest.raises(MissingFileError, match=r"bureau: .*may\.csv does not exist"):
        look(tmp_path, batches="batches.json")


def test_a_table_may_come_from_elsewhere(tmp_path: Path) -> None:
    partner = tmp_path / "partner"
    deliver(partner, "credits.csv")
    elsewhere = {"bureau": {"connection": {"kind": "local", "directory": str(partner)}, "location": "credits.csv"}}
    assert look(tmp_path, tables=elsewhere).parts[0].address == str(partner / "credits.csv")


def test_a_source_that_holds_the_simulators_mark_says_how_it_was_drawn(tmp_path: Path) -> None:
    deliver(tmp_path, "bureau.csv")
    assert feeds(tmp_path).drawn(BUREAU) is None
    drawings = set()
    for version in ("g1", "g2", "g2"):
        deliver(tmp_path, "portfolio.json", json.dumps({"generator_version": version, "seed": 1}))
        drawings.add(feeds(tmp_path).drawn(BUREAU))
    assert len(drawings) == 2, "a sample drawn by another generator is another source"
    deliver(tmp_path, "portfolio.json", "damaged")
    assert feeds(tmp_path).drawn(BUREAU) == "unknown", "a damaged mark does not make a sample real"
    sample = SourceSet.model_validate({"name": "s", "connection": {"kind": "sample"}})
    assert Feeds(sample, Credentials(tmp_path)).drawn(BUREAU)


def test_a_server_that_refuses_what_it_was_not_told_to_hand_over_holds_no_mark(tmp_path: Path) -> None:
    with serving() as server:
        server.files["/bureau.csv"] = Served(b"x")
        sources = SourceSet.model_validate({"name": "s", "connection": {"kind": "http", "base_url": server.url}})
        found = Feeds(sources, Credentials(tmp_path))
        assert found.look(BUREAU).parts[0].file.path == "bureau.csv"
        server.instead += [Answer(403), Answer(403)]  # to HEAD and to GET
        assert found.drawn(BUREAU) is None
        assert not server.instead
