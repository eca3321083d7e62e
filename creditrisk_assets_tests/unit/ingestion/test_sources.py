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
        ("sample:1.2.3", "scale: Input should be a valid number"),
        ("https://[::1/exports", "is not a valid address; give a directory"),
        ("dvc:///srv/data.git?branch=x", "branch is not known; known: rev, remote, directory"),
        ("/nowhere/sources.yaml", "the sources file /nowhere/sources.yaml cannot be read"),
    ],
)
def test_what_is_no_source_is_refused_with_the_forms_there_are(text: str, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        sources.parse_source(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://risk:hunter2@bureau.example/exports",
        "http://hunter2@bureau.example",
        "dvc://https://hunter2@git.example/feeds.git?rev=v1",
        "dvc://ssh://git:hunter2@git.example/feeds.git",
    ],
)
def test_a_login_in_an_address_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SourceError, match="a login in an address would be printed and kept") as caught:
        sources.parse_source(text)
    assert "hunter2" not in str(caught.value)


def test_the_user_of_a_git_address_is_no_login() -> None:
    found = sources.parse_source("dvc://ssh://git@git.example/feeds.git").connection
    assert found == DvcConnection(kind="dvc", repository="ssh://git@git.example/feeds.git")


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"source": 5}'])
def test_a_damaged_choice_is_no_choice_of_the_sample(content: str) -> None:
    choice = Settings().root / sources.CHOICE
    choice.parent.mkdir(parents=True)
    choice.write_text(content)
    with pytest.raises(SourceError, match=r"source\.json is damaged or cannot be read; delete it and name the source"):
        sources.source_text(Settings())


def test_a_relative_place_lies_beside_the_sources_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repository").mkdir()
    file = tmp_path / "sources.yaml"
    file.write_text(
        "name: here\nconnection: {kind: local, directory: feeds}\n"
        "tables:\n  bureau: {connection: {kind: dvc, repository: repository}}\n"
        "  bureau_balance: {connection: {kind: dvc, repository: 'git@git.example:feeds.git'}}\n"
    )
    monkeypatch.chdir("/")
    found = sources.parse_source(str(file))
    assert found.connection == LocalConnection(directory=tmp_path / "feeds")
    assert found.table("bureau").connection == DvcConnection(kind="dvc", repository=str(tmp_path / "repository"))
    assert found.table("bureau_balance").connection == DvcConnection(kind="dvc", repository="git@git.example:feeds.git")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("cadence: 24", "cadence: Value error, write a cadence as `static` or as a duration"),
        ("cadence: 0h", "a cadence is longer than nothing and ten years at most"),
        ("cadence: 99999999999999d", "a cadence is longer than nothing and ten years at most"),
        ("cadense: 24h", "cadense: Extra inputs are not permitted"),
        ("tables: {bureua: {}}", "no raw table is named bureua"),
        ("tables: {bureau: {as_at: 2026-05-31}}", "as_at: Value error, needs a time zone"),
        ("tables: {bureau: {as_at: '9999-12-31T23:59:59-12:00'}}", "is no time that can be told in UTC"),
        ("tables: {bureau: {checksum: 'md5:1'}}", "write a checksum as md5:"),
        ("tables: {", "is not valid YAML"),
    ],
)
def test_a_wrong_entry_of_a_sources_file_is_named(tmp_path: Path, entry: str, words: str) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text(f"name: here\nconnection: {{kind: local, directory: /feeds}}\n{entry}\n")
    with pytest.raises(SourceError) as caught:
        sources.parse_source(str(file))
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
