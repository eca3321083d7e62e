"""Finding and unpacking: every way a file can be missing or damaged has one clear error."""

import gzip
import zipfile
from pathlib import Path

import pytest

from creditrisk_assets.ingestion import files
from creditrisk_assets.ingestion.files import IngestionError, find_table, require_free_space, unpack

ROWS = "SK_ID_BUREAU,MONTHS_BALANCE,STATUS\n" + "".join(f"{n},-1,C\n" for n in range(5000))


def zipped(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def find(directory: Path) -> files.SourceFile:
    return find_table(directory, "bureau_balance", "bureau_balance")


@pytest.mark.parametrize("name", ["bureau_balance.csv", "BUREAU_BALANCE.CSV"])
def test_a_plain_file_is_found_whatever_its_case(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(ROWS)
    assert unpack(find(tmp_path), tmp_path).read_text() == ROWS


def test_a_plain_file_is_preferred_to_its_archive(tmp_path: Path) -> None:
    (tmp_path / "bureau_balance.csv").write_text(ROWS)
    zipped(tmp_path / "bureau_balance.csv.zip", **{"bureau_balance.csv": "other"})
    assert find(tmp_path).compression == "none"


@pytest.mark.parametrize("kind", ["csv.gz", "csv.zip", "zip"])
def test_an_archive_is_unpacked_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"bureau_balance.{kind}"
    if kind == "csv.gz":
        path.write_bytes(gzip.compress(ROWS.encode()))
    else:
        zipped(path, **{"bureau_balance.csv": ROWS, "__MACOSX/bureau_balance.csv": "junk", "readme.txt": "hello"})
    into = tmp_path / "into"
    into.mkdir()
    assert unpack(find(tmp_path), into).read_text() == ROWS


@pytest.mark.parametrize("kind", ["csv.gz", "csv.zip"])
def test_a_truncated_archive_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"bureau_balance.{kind}"
    path.write_bytes(gzip.compress(ROWS.encode())) if kind == "csv.gz" else zipped(path, **{"b.csv": ROWS})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(IngestionError, match=r"bureau_balance: the archive .* is truncated or damaged; fetch it again"):
        unpack(find(tmp_path), tmp_path)


@pytest.mark.parametrize("members", [{}, {"a.csv": ROWS, "b.csv": ROWS}])
def test_an_archive_must_hold_exactly_one_table(tmp_path: Path, members: dict[str, str]) -> None:
    zipped(tmp_path / "bureau_balance.zip", **members)
    with pytest.raises(IngestionError, match=f"holds {len(members)} CSV files; expected exactly one"):
        unpack(find(tmp_path), tmp_path)


def test_a_member_that_names_another_directory_is_never_written_there(tmp_path: Path) -> None:
    zipped(tmp_path / "bureau_balance.zip", **{"../../escape.csv": ROWS})
    into = tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    assert unpack(find(tmp_path), into) == into / "bureau_balance.csv"
    assert not list(tmp_path.glob("**/escape.csv"))


def test_an_archive_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 1000)
    (tmp_path / "bureau_balance.csv.gz").write_bytes(gzip.compress(b"0" * 100_000))
    with pytest.raises(IngestionError, match="archive bomb"):
        unpack(find(tmp_path), tmp_path)


def test_a_missing_table_names_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(IngestionError, match=r"bureau_balance: no file in .*expected one of bureau_balance.csv, "):
        find(tmp_path)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(IngestionError, match=r"the source directory .*nowhere cannot be read \(No such file"):
        find(tmp_path / "nowhere")


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(
        IngestionError, match=r"reading needs about .* GB below .* are free; free space or set CREDITRISK_HOME"
    ):
        require_free_space(tmp_path, 1 << 60, "reading")


@pytest.mark.parametrize("kind", ["directory", "broken link"])
def test_what_is_no_readable_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bureau_balance.csv.gz"
    path.mkdir() if kind == "directory" else path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(IngestionError, match=r"bureau_balance.csv.gz is no file that can be read"):
        find(tmp_path)
