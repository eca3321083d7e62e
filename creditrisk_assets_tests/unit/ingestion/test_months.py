"""Files of production months: found by name, brought here, outcomes typed; what is not right is refused in one line."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest
from pydantic import ValidationError

from creditrisk_assets.ingestion.connector import ChangedError, IngestionError
from creditrisk_assets.ingestion.connectors import Credentials
from creditrisk_assets.ingestion.connectors.local import LocalConnector
from creditrisk_assets.ingestion.months import MonthFiles, month_files, read_outcomes
from creditrisk_assets.settings import Settings

GOOD = {"SK_ID_CURR": [1, 2], "APPLICATION_MONTH": ["2026-01"] * 2, "OUTCOME": [0, 1], "OBSERVED_MONTH": ["2026-04"] * 2,
        "MATURITY": ["matured"] * 2}  # fmt: skip


def deliver(directory: Path, suffix: str = ".parquet", **changed: object) -> Path:
    frame = pd.DataFrame({**GOOD, **changed})
    path = directory / f"2026-04.outcomes{suffix}"
    frame.to_parquet(path, index=False) if suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_outcomes_are_typed_from_either_layout(tmp_path: Path, suffix: str) -> None:
    deliver(tmp_path, suffix)
    files = MonthFiles(LocalConnector(tmp_path), tmp_path / "landing")
    found = files.find("2026-04", "outcomes")
    with duckdb.connect() as con:
        out = tmp_path / "typed.parquet"
        assert read_outcomes(con, files.bring(found), found.address, out) == 2
        assert con.execute("select sum(OUTCOME) from read_parquet(?)", [str(out)]).fetchall() == [(1,)]


def test_a_shared_drive_is_copied_first(tmp_path: Path) -> None:
    deliver(tmp_path)
    files = MonthFiles(LocalConnector(tmp_path, copy_files=True), tmp_path / "landing")
    assert files.bring(files.find("2026-04", "outcomes")).is_relative_to(tmp_path / "landing")


def test_a_month_that_is_not_delivered_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(IngestionError, match=r"2026-05 has no scores.*creditrisk simulate 2026-05"):
        MonthFiles(LocalConnector(tmp_path), tmp_path).find("2026-05", "scores")


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"OUTCOME": ["no", "yes"]}, "another type"), ({"SURPRISE": [1, 2]}, "SURPRISE")],
    ids=["a wrong type", "an unknown column"],
)
def test_wrong_outcomes_are_refused_without_their_values(
    tmp_path: Path, changed: dict[str, list[object]], words: str
) -> None:
    path = deliver(tmp_path, ".csv", **changed)
    with duckdb.connect() as con, pytest.raises(IngestionError, match=words) as refused:
        read_outcomes(con, path, path.name, tmp_path / "typed.parquet")
    assert "yes" not in str(refused.value)


def test_a_file_written_to_meanwhile_is_refused(tmp_path: Path) -> None:
    path = deliver(tmp_path)
    files = MonthFiles(LocalConnector(tmp_path), tmp_path / "landing")
    found = {"outcomes": files.find("2026-04", "outcomes")}
    files.require_unchanged(found)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ChangedError):
        files.require_unchanged(found)


def test_months_come_from_below_home_unless_another_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = Credentials(tmp_path)
    assert Settings().month_files.parent == Settings().root
    month_files(Settings(), credentials)
    assert Settings().month_files.is_dir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    deliver(elsewhere)
    monkeypatch.setenv("CREDITRISK_MONTHS", str(elsewhere))
    assert month_files(Settings(), credentials).find("2026-04", "outcomes").address.startswith(str(elsewhere))
    monkeypatch.setenv("CREDITRISK_MONTH", str(elsewhere))
    with pytest.raises(ValidationError, match="CREDITRISK_MONTH"):
        Settings()
