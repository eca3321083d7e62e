"""Which source the raw tables come from, in every form a person may write it."""

from pathlib import Path

import pytest

from creditrisk_assets.ingestion import sources
from creditrisk_assets.ingestion.configuration import (
    DvcConnection,
    HttpConnection,
    KaggleCompetitionConnection,
    KaggleDatasetConnection,
    LocalConnection,
    S3Connection,
    SampleConnection,
)
from creditrisk_assets.ingestion.connector import SourceError
from creditrisk_assets.settings import Settings
from creditrisk_assets.simulation import portfolio


def test_without_a_choice_the_sample_is_the_source() -> None:
    assert sources.source_set(Settings()).connection == SampleConnection(kind="sample", scale=0.05)


def test_a_choice_is_remembered_and_a_setting_goes_before_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("chosen", "set"):
        (tmp_path / name).mkdir()
    sources.remember_source(Settings(), tmp_path / "chosen")
    assert sources.source_set(Settings()).connection == LocalConnection(directory=tmp_path / "chosen")
    monkeypatch.setenv("CREDITRISK_SOURCE", str(tmp_path / "set"))
    assert sources.source_set(Settings()).connection == LocalConnection(directory=tmp_path / "set")


def test_a_relative_choice_means_the_same_from_another_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    sources.remember_source(Settings(), "data")
    monkeypatch.chdir("/")
    assert sources.source_set(Settings()).connection == LocalConnection(directory=tmp_path / "data")


@pytest.mark.parametrize(
    ("text", "connection"),
    [
        ("sample", SampleConnection(kind="sample", scale=0.05)),
        ("sample:1", SampleConnection(kind="sample", scale=1)),
        ("https://host.example/exports", HttpConnection(kind="http", base_url="https://host.example/exports")),
        ("s3://lender-feeds/home/credit", S3Connection(kind="s3", bucket="lender-feeds", prefix="home/credit")),
        (
            "kaggle://competitions/home-credit-default-risk",
            KaggleCompetitionConnection(kind="kaggle_competition", competition="home-credit-default-risk"),
        ),
        ("kaggle://datasets/owner/name", KaggleDatasetConnection(kind="kaggle_dataset", dataset="owner/name")),
        (
            "dvc:///srv/data.git?rev=v1&directory=raw",
            DvcConnection(kind="dvc", repository="/srv/data.git", revision="v1", directory="raw"),
        ),
    ],
)
def test_an_address_is_a_source(text: str, connection: object) -> None:
    assert sources.parse_source(text).connection == connection


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/nowhere/at/all", "is not there or no directory; give a directory, a sources file"),
        ("ftp://host/files", "ftp://… is not a source; give a directory"),
        ("s3://ab", "bucket"),
        ("kaggle://datasets/onlyowner", "dataset"),
        ("kaggle://models/x", "is not a source"),
        ("sample:9", "scale"),
        ("dvc:///srv/data.git?branch=x", "branch is not known; known: rev, remote, directory"),
        ("/nowhere/sources.yaml", "the sources file /nowhere/sources.yaml cannot be read"),
    ],
)
def test_what_is_no_source_is_refused_with_the_forms_there_are(text: str, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        sources.parse_source(text)
    assert words in str(caught.value)


def test_a_directory_whose_name_readers_take_for_a_pattern_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a[1]").mkdir()
    with pytest.raises(SourceError, match="which readers take for a pattern"):
        sources.parse_source(str(tmp_path / "a[1]"))


def test_the_sample_is_known_by_what_the_simulator_leaves() -> None:
    assert sources.SAMPLE_MARK == portfolio.DESCRIPTION


@pytest.mark.parametrize("name", ["home_credit", "lender"])
def test_the_sources_files_of_the_repository_are_valid(name: str) -> None:
    found = sources.parse_source(f"deploy/sources/{name}.yaml")
    assert found.table("bureau").connection is not None


def test_home_credit_carries_the_published_hashes_of_the_seven_files() -> None:
    found = sources.parse_source("deploy/sources/home_credit.yaml")
    hashes = {table: entry.content_checksum for table, entry in found.tables.items() if entry.content_checksum}
    assert len(hashes) == 7
    assert {checksum.algorithm for checksum in hashes.values()} == {"md5"}
    assert len({checksum.digest for checksum in hashes.values()}) == 7
