"""The sample: described without being made, made once whoever asks."""

import threading
from pathlib import Path

import pytest

from creditrisk_assets.ingestion.configuration import SampleConnection
from creditrisk_assets.ingestion.connector import ChangedError, FileStat, RemoteFile, SourceError
from creditrisk_assets.ingestion.connectors.sample import SampleConnector
from creditrisk_assets.ingestion.sources import sample_directory
from creditrisk_assets.settings import Settings

FILE = RemoteFile("bureau.csv")


def sample(root: Path, seed: int = 42, scale: float = 0.001) -> SampleConnector:
    return SampleConnector(SampleConnection(kind="sample", scale=scale, seed=seed), root)


def test_nothing_is_made_by_being_found_or_described(tmp_path: Path) -> None:
    connector = sample(tmp_path / "sample", scale=5)
    assert connector.find(["POS_CASH_BALANCE.CSV"]) == "POS_CASH_balance.csv"
    assert connector.stat(FILE).size is None
    assert not (tmp_path / "sample").exists()


def test_the_version_is_what_the_portfolio_is_drawn_from(tmp_path: Path) -> None:
    drawn = [sample(tmp_path), sample(tmp_path, seed=7), sample(tmp_path, scale=0.002)]
    assert len({connector.stat(FILE).version for connector in drawn}) == 3
    assert sample(tmp_path / "elsewhere").stat(FILE).version == drawn[0].stat(FILE).version


def test_making_it_changes_the_size_known_and_not_the_version(tmp_path: Path) -> None:
    connector = sample(tmp_path)
    before = connector.stat(FILE)
    path = connector.in_place(FILE)
    assert connector.stat(FILE) == FileStat(before.version, path.stat().st_size, None)


def test_the_default_one_lies_where_the_command_line_makes_it() -> None:
    settings = Settings()
    connector = sample(settings.root / "sample", scale=0.05)
    assert connector.directory == sample_directory(settings, 0.05)


def test_all_who_ask_at_once_get_the_same_portfolio(tmp_path: Path) -> None:
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda name=name: paths.append(sample(tmp_path).in_place(RemoteFile(name))))
        for name in ("bureau.csv", "application_train.csv", "bureau_balance.csv")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in paths) == ["application_train.csv", "bureau.csv", "bureau_balance.csv"]
    assert all(path.is_file() for path in paths)


def test_a_scenario_that_is_not_known_is_refused(tmp_path: Path) -> None:
    connection = SampleConnection(kind="sample", scenario="../../escape")
    with pytest.raises(SourceError, match=r"the sample portfolio: scenario '../../escape' is not known; choose one of"):
        SampleConnector(connection, tmp_path)


def test_tables_of_somebody_else_are_not_written_over(tmp_path: Path) -> None:
    connector = sample(tmp_path)
    connector.directory.mkdir()
    (connector.directory / "bureau.csv").write_text("mine")
    with pytest.raises(SourceError, match=r"sample:scale-0.001/bureau.csv: .*was not written here"):
        connector.in_place(FILE)
    assert (connector.directory / "bureau.csv").read_text() == "mine"


def test_what_another_generator_described_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ChangedError, match="drawn by another generator"):
        sample(tmp_path).read(FILE, FileStat("older", None, None), 0)
