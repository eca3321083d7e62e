"""Unpacking one table safely: .zip, .gz, .zst.

What belongs here: compression, what an archive may hold, limits against bombs. What does not: fetching the archive (`fetch`), the table's
content (`reader`).
"""

import gzip
import io
import lzma
import stat as modes
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Literal, Protocol

import pyarrow as pa

from creditrisk_assets.ingestion.connector import IngestionError
from creditrisk_assets.ingestion.disk import (
    BLOCK_BYTES,
    disk_errors,
    only_writer,
    publish,
    require_free_space,
    write_all,
)

Compression = Literal["none", "gzip", "zip", "zstd"]

LIMIT_BYTES = 64 << 30  # the largest reference table holds 0.7 GB
MOST_EXPANSION = 400  # tables shrink 5 to 50 times; a bomb a thousand times and more
_EXPANSION_MATTERS_FROM = 1 << 30  # a small table of one repeated value may shrink more, and does no harm
_SUFFIXES: dict[str, Compression] = {".gz": "gzip", ".zip": "zip", ".zst": "zstd", ".zstd": "zstd"}
_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}
_TABLES = (".csv", ".parquet")
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile)


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def guess_compression(name: str) -> Compression:
    """Return the compression that a file's name promises.

    >>> guess_compression("bureau.csv.gz"), guess_compression("bureau.csv")
    ('gzip', 'none')
    """
    return _SUFFIXES.get(Path(name.lower()).suffix, "none")


def sniff_compression(path: Path) -> Compression:
    """Return the compression that a file's first bytes show, whatever its name: some sources pack files and keep the name."""
    with path.open("rb") as stream:
        head = stream.read(4)
    return next((found for magic, found in _MAGIC.items() if head.startswith(magic)), "none")


def sniff_layout(path: Path) -> Literal["csv", "parquet"]:
    """Return the layout that a plain file's first bytes show."""
    with path.open("rb") as stream:
        return "parquet" if stream.read(4) == b"PAR1" else "csv"


def unpack(table: str, packed: Path, compression: Compression, target: Path, *, limit_bytes: int = LIMIT_BYTES) -> Path:
    """Return the plain table, unpacked to a target when it is compressed.

    The whole stream is read and its checksums with it, so a truncated or damaged archive fails here. The target exists only when all of it
    is there. Names inside an archive are never used as paths, and an archive with a name that leads out of it is refused.

    Parameters
    ----------
    table
        Named in errors.
    packed, compression
        The file and how it is compressed; with `none` it is returned as it is.
    target
        Where the plain table goes.
    limit_bytes
        Most bytes it may unpack to.

    Returns
    -------
    Path
        The target, or the file itself when it was not compressed.

    Raises
    ------
    IngestionError
        The archive is damaged, truncated, encrypted, unsafe, implausibly large, or holds not exactly one table; or the disk is full.
    """
    if compression == "none":
        return packed
    what = f"{table}: the archive {packed}"
    try:
        with packed.open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
    except OSError as error:
        raise _unreadable(what, error) from error
    if not size:
        raise _damaged(what)  # gzip and zstd take no bytes for an archive of no bytes
    limit = min(limit_bytes, max(_EXPANSION_MATTERS_FROM, MOST_EXPANSION * size))
    partial = target.with_name(f"{target.name}.unpacking")
    with only_writer(target):
        try:
            with _opened(packed, compression, what, limit, target.parent) as (source, declared):
                if _copy(source, partial, what, limit) != declared and declared is not None:
                    raise _damaged(what)
            with disk_errors(target, what, "nothing was published"):
                publish(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def _copy(source: _Stream, partial: Path, what: str, limit: int) -> int:
    written = 0
    with disk_errors(partial, what, "nothing was published"):
        sink = partial.open("wb", buffering=0)
    with sink:
        while block := _next_block(source, what):
            written += len(block)
            if written > limit:
                raise _bomb(what, limit)
            with disk_errors(partial, what, "nothing was published"):
                write_all(sink, block)
    return written


def _next_block(source: _Stream, what: str) -> bytes:
    try:
        return source.read(BLOCK_BYTES)
    except _DAMAGED as error:
        raise _damaged(what) from error
    except OSError as error:  # pyarrow's word for a damaged or truncated zstd stream, which has no error number
        if error.errno is not None:
            raise _unreadable(what, error) from error
        raise _damaged(what) from error


@contextmanager
def _opened(
    packed: Path, compression: Compression, what: str, limit: int, into: Path
) -> Iterator[tuple[_Stream, int | None]]:
    """Open the one table inside a compressed file; with it, its size where the archive declares one."""
    if compression == "gzip":
        with gzip.open(packed) as stream:
            yield stream, None
    elif compression == "zstd":
        with pa.OSFile(str(packed)) as raw, pa.CompressedInputStream(raw, "zstd") as stream:
            yield stream, None
    else:
        try:
            archive = zipfile.ZipFile(packed)
        except _DAMAGED as error:
            raise _damaged(what) from error
        with archive:
            member = _only_table(archive, what)
            if member.file_size > limit:
                raise _bomb(what, limit)
            require_free_space(into, member.file_size, f"{what}: unpacking")
            try:
                unpacked = archive.open(member)
            except NotImplementedError as error:
                raise IngestionError(
                    f"{what} is packed in a way that is not read here; pack it as a plain .zip"
                ) from error
            except _DAMAGED as error:
                raise _damaged(what) from error
            with unpacked:
                yield unpacked, member.file_size


def _only_table(archive: zipfile.ZipFile, what: str) -> zipfile.ZipInfo:
    """Return the one table of an archive that holds nothing suspicious."""
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    for member in archive.infolist():
        path = PureWindowsPath(member.filename)  # knows both kinds of slashes, and drives
        if path.anchor or ".." in path.parts:
            raise IngestionError(
                f"{what} holds {_shown(member)}, a path that leads out of it; refused, find out who packed it"
            )
        if modes.S_ISLNK(member.external_attr >> 16):
            raise IngestionError(f"{what} holds {_shown(member)}, a link; refused, pack the file itself")
    tables = [m for m in members if m.filename.lower().endswith(_TABLES)]
    if len(tables) != 1:
        held = f" ({', '.join(_shown(m) for m in tables[:5])})" if tables else ""
        raise IngestionError(f"{what} holds {len(tables)} .csv or .parquet files{held}; expected exactly one")
    if tables[0].flag_bits & 1:
        raise IngestionError(f"{what}: {_shown(tables[0])} is encrypted; provide it without a password")
    return tables[0]


def _unreadable(what: str, error: OSError) -> IngestionError:
    return IngestionError(f"{what} cannot be read ({error.strerror}); check its path and permissions")


def _damaged(what: str) -> IngestionError:
    return IngestionError(f"{what} is truncated or damaged; fetch it again")


def _bomb(what: str, limit: int) -> IngestionError:
    return IngestionError(f"{what} unpacks to more than {limit / 1e9:.1f} GB; refused as an archive bomb")


def _shown(member: zipfile.ZipInfo) -> str:
    return ascii(member.filename[:80])
