"""Unpacking: every bad archive has one clear error, and none leaves a file behind."""

import gzip
import os
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from creditrisk_assets.ingestion import archives
from creditrisk_assets.ingestion.archives import (
    Compression,
    guess_compression,
    sniff_compression,
    sniff_layout,
    unpack,
)
from creditrisk_assets.ingestion.connector import IngestionError

ROWS = b"SK_ID_BUREAU,MONTHS_BALANCE,STATUS\n" + b"".join(b"%d,-1,C\n" % n for n in range(50_000))
KINDS: dict[Compression, str] = {"gzip": "b.csv.gz", "zip": "b.zip", "zstd": "b.csv.zst"}


def packed(directory: Path, kind: Compression, content: bytes = ROWS) -> Path:
    path = directory / KINDS[kind]
    if kind == "gzip":
        path.write_bytes(gzip.compress(content))
    elif kind == "zstd":
        path.write_bytes(pa.Codec("zstd").compress(content, asbytes=True))
    else:
        zipped(path, {"b.csv": content})
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore", UserWarning)  # of a name that is there twice
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Return where to unpack to; nothing but a whole file (and the lock) may be there afterwards."""
    directory = tmp_path / "into"
    directory.mkdir()
    yield directory / "table"
    assert {path.name for path in directory.iterdir()} <= {"table", "table.lock"}


def refused(path: Path, kind: Compression, target: Path, message: str) -> None:
    with pytest.raises(IngestionError, match=message) as raised:
        unpack("bureau_balance", path, kind, target)
    assert str(raised.value).startswith(f"bureau_balance: the archive {path}")
    assert not target.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_unpacked_whole(tmp_path: Path, target: Path, kind: Compression) -> None:
    assert unpack("bureau_balance", packed(tmp_path, kind), kind, target) == target
    assert target.read_bytes() == ROWS


def test_a_plain_file_is_left_where_it_is(tmp_path: Path, target: Path) -> None:
    (tmp_path / "b.csv").write_bytes(ROWS)
    assert unpack("bureau_balance", tmp_path / "b.csv", "none", target) == tmp_path / "b.csv"


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_table_is_replaced(tmp_path: Path, target: Path, kind: Compression) -> None:
    target.write_bytes(b"older and longer" * 100_000)
    unpack("bureau_balance", packed(tmp_path, kind), kind, target)
    assert target.read_bytes() == ROWS


# SK_ID_BUREAU,MONTHS_BALANCE and two rows, by `zstd --ultra -22 --check`
BY_PROGRAM = bytes.fromhex(
    "28b52ffd242c610100534b5f49445f4255524541552c4d4f4e5448535f42414c414e43450a353030312c2d310a353030312c2d320ac71799c4"
)


def test_what_the_zstd_program_writes_is_unpacked(tmp_path: Path, target: Path) -> None:
    (tmp_path / "b.csv.zst").write_bytes(BY_PROGRAM)
    unpack("bureau_balance", tmp_path / "b.csv.zst", "zstd", target)
    assert target.read_bytes() == b"SK_ID_BUREAU,MONTHS_BALANCE\n5001,-1\n5001,-2\n"


@pytest.mark.parametrize("at", [12, -1], ids=["content", "checksum"])
def test_a_flipped_bit_is_found_by_the_checksum_the_zstd_program_adds(tmp_path: Path, target: Path, at: int) -> None:
    damaged = bytearray(BY_PROGRAM)
    damaged[at] ^= 1
    (tmp_path / "b.csv.zst").write_bytes(damaged)
    refused(tmp_path / "b.csv.zst", "zstd", target, "is truncated or damaged; fetch it again")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_an_archive_in_several_pieces_is_unpacked_whole(tmp_path: Path, target: Path, kind: Compression) -> None:
    path = packed(tmp_path, kind)
    path.write_bytes(path.read_bytes() * 2)
    unpack("bureau_balance", path, kind, target)
    assert target.read_bytes() == ROWS * 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.9999])
def test_a_truncated_archive_is_refused(tmp_path: Path, target: Path, kind: Compression, share: float) -> None:
    path = packed(tmp_path, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path, kind, target, "is truncated or damaged; fetch it again")


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_a_flipped_bit_is_found_by_the_checksum_inside(tmp_path: Path, target: Path, kind: Compression) -> None:
    path = packed(tmp_path, kind, os.urandom(200_000))  # does not shrink, so that a flipped bit unpacks
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    refused(path, kind, target, "is truncated or damaged; fetch it again")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_archive_is_refused(tmp_path: Path, target: Path, kind: Compression) -> None:
    path = tmp_path / KINDS[kind]
    path.write_bytes(ROWS)
    refused(path, kind, target, "is truncated or damaged; fetch it again")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_follows_an_archive_is_not_passed_over(tmp_path: Path, target: Path, kind: Compression) -> None:
    path = packed(tmp_path, kind)
    path.write_bytes(path.read_bytes() + b"<html>and a page</html>")
    refused(path, kind, target, "is truncated or damaged; fetch it again")


def test_an_archive_that_is_not_there_is_named(tmp_path: Path, target: Path) -> None:
    refused(tmp_path / "b.zip", "zip", target, r"cannot be read \(No such file or directory\)")


# --- what a .zip may hold


def test_what_archivers_add_is_passed_over(tmp_path: Path, target: Path) -> None:
    path = zipped(
        tmp_path / "b.zip",
        {"folder/": b"", "folder/b.csv": ROWS, "__MACOSX/folder/._b.csv": b"junk", "readme.txt": b"hello"},
    )
    unpack("bureau_balance", path, "zip", target)
    assert target.read_bytes() == ROWS


def test_a_parquet_file_may_be_inside(tmp_path: Path, target: Path) -> None:
    unpack("bureau_balance", zipped(tmp_path / "b.zip", {"b.PARQUET": b"PAR1 and so on"}), "zip", target)
    assert sniff_layout(target) == "parquet"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, r"holds 0 \.csv or \.parquet files; expected exactly one"),
        ({"readme.txt": b"hello"}, r"holds 0 \.csv or \.parquet files; expected exactly one"),
        ({"a.csv": ROWS, "b.csv": ROWS}, r"holds 2 \.csv or \.parquet files \('a.csv', 'b.csv'\); expected exactly"),
        ({"a.csv": ROWS, "b.parquet": ROWS}, r"holds 2 .* \('a.csv', 'b.parquet'\); expected exactly one"),
    ],
)
def test_exactly_one_table_must_be_inside(
    tmp_path: Path, target: Path, members: dict[str, bytes], message: str
) -> None:
    refused(zipped(tmp_path / "b.zip", members), "zip", target, message)


@pytest.mark.parametrize(
    "name",
    [
        "../b.csv",
        "../../etc/cron.d/b.csv",
        "/etc/b.csv",
        "a/../../b.csv",
        "..\\b.csv",
        "C:\\b.csv",
        "C:b.csv",
        "\\\\host\\b.csv",
    ],
)
@pytest.mark.parametrize("beside", [{}, {"bureau.csv": ROWS}], ids=["alone", "beside a table"])
def test_a_path_that_leads_out_is_refused_by_name(
    tmp_path: Path, target: Path, name: str, beside: dict[str, bytes]
) -> None:
    path = zipped(tmp_path / "b.zip", {**beside, name: ROWS})
    with pytest.raises(IngestionError, match="a path that leads out of it; refused, find out who packed it") as raised:
        unpack("bureau_balance", path, "zip", target)
    assert ascii(name) in str(raised.value)
    assert not list(tmp_path.rglob("*.csv"))


def test_a_link_inside_is_refused(tmp_path: Path, target: Path) -> None:
    link = zipfile.ZipInfo("b.csv")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(tmp_path / "b.zip", "zip", target, "holds 'b.csv', a link; refused, pack the file itself")


def altered(path: Path, change: Callable[[bytearray, int, int], None]) -> Path:
    """Alter both headers of a zip's only member: the local one (at 0) and the directory's."""
    content = bytearray(path.read_bytes())
    change(content, 0, content.index(b"PK\x01\x02"))
    path.write_bytes(content)
    return path


def test_an_encrypted_archive_is_named_as_such(tmp_path: Path, target: Path) -> None:
    def encrypt(content: bytearray, local: int, central: int) -> None:
        content[local + 6] |= 1
        content[central + 8] |= 1

    path = altered(packed(tmp_path, "zip"), encrypt)
    refused(path, "zip", target, "'b.csv' is encrypted; provide it without a password")


def test_a_way_of_packing_that_is_not_known_is_named_as_such(tmp_path: Path, target: Path) -> None:
    def deflate64(content: bytearray, local: int, central: int) -> None:
        struct.pack_into("<H", content, local + 8, 9)
        struct.pack_into("<H", content, central + 10, 9)

    path = altered(packed(tmp_path, "zip"), deflate64)
    refused(path, "zip", target, r"is packed in a way that is not read here; pack it as a plain \.zip")


@pytest.mark.parametrize("declared", [1000, len(ROWS) + 1000])
def test_a_size_that_is_not_the_declared_one_is_refused(tmp_path: Path, target: Path, declared: int) -> None:
    def declare(content: bytearray, local: int, central: int) -> None:
        struct.pack_into("<I", content, local + 22, declared)
        struct.pack_into("<I", content, central + 24, declared)

    refused(altered(packed(tmp_path, "zip"), declare), "zip", target, "is truncated or damaged; fetch it again")


# --- bombs and disks


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_the_limit_is_refused(tmp_path: Path, target: Path, kind: Compression) -> None:
    path = packed(tmp_path, kind)
    unpack("bureau_balance", path, kind, target, limit_bytes=len(ROWS))
    target.unlink()
    with pytest.raises(IngestionError, match="refused as an archive bomb"):
        unpack("bureau_balance", path, kind, target, limit_bytes=len(ROWS) - 1)
    assert not target.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_an_implausible_expansion_is_refused(
    tmp_path: Path, target: Path, kind: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_EXPANSION_MATTERS_FROM", 1 << 20)  # not a gigabyte in a test
    path = packed(tmp_path, kind, b"0" * (32 << 20))
    refused(path, kind, target, r"unpacks to more than .* GB; refused as an archive bomb")


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_named(tmp_path: Path, target: Path, kind: Compression) -> None:
    path = packed(tmp_path, kind)
    program = (
        "import resource, sys; from pathlib import Path; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "from creditrisk_assets.ingestion.archives import unpack\n"
        f"unpack('bureau_balance', Path({str(path)!r}), {kind!r}, Path({str(target)!r}))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"the disk of {target.parent} is full" in ended.stderr
    assert not target.exists()


# --- names and first bytes


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        ("bureau.csv", "none"),
        ("bureau.parquet", "none"),
        ("bureau.csv.gz", "gzip"),
        ("BUREAU.CSV.GZ", "gzip"),
        ("bureau.zip", "zip"),
        ("2026-05/bureau.csv.zip", "zip"),
        ("bureau.csv.zst", "zstd"),
        ("bureau", "none"),
    ],
)
def test_a_name_promises_a_compression(name: str, compression: Compression) -> None:
    assert guess_compression(name) == compression


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_bytes_show_the_compression_whatever_the_name(tmp_path: Path, kind: Compression) -> None:
    assert sniff_compression(packed(tmp_path, kind).rename(tmp_path / "bureau.csv")) == kind


@pytest.mark.parametrize("content", [ROWS, b"", b"PA", b"PAR1"])
def test_a_plain_file_shows_no_compression(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b").write_bytes(content)
    assert sniff_compression(tmp_path / "b") == "none"
    assert sniff_layout(tmp_path / "b") == ("parquet" if content == b"PAR1" else "csv")
