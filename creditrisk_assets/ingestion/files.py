"""Finding a raw table's file in a directory and unpacking it safely.

What belongs here: file names, compression, archives. What does not: the content (`reader`), where remote files come from (connectors).
"""

import gzip
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

COPY_BYTES = 4 << 20
MAX_UNPACKED_BYTES = 64 << 30  # the largest reference table holds 0.7 GB; more than this is an archive bomb


class IngestionError(RuntimeError):
    """A raw table cannot be read; the message names table, path, column or row and the remedy, never a value."""


@dataclass(frozen=True)
class SourceFile:
    """The file a raw table is read from."""

    table: str
    path: Path
    layout: Literal["csv", "parquet"]
    compression: Literal["none", "gzip", "zip"]


# in order of preference: what needs no unpacking comes first
_SUFFIXES: tuple[tuple[str, Literal["csv", "parquet"], Literal["none", "gzip", "zip"]], ...] = (
    (".csv", "csv", "none"),
    (".parquet", "parquet", "none"),
    (".csv.gz", "csv", "gzip"),
    (".csv.zip", "csv", "zip"),
    (".zip", "csv", "zip"),
)


def find_table(directory: Path, table: str, stem: str) -> SourceFile:
    """Find the file that holds a table.

    Parameters
    ----------
    directory
        Where the raw tables are.
    table, stem
        Name of the table and of its file without suffix (`pos_cash_balance`, `POS_CASH_balance`).

    Raises
    ------
    IngestionError
        The directory cannot be read or holds no file of that name.
    """
    try:
        present = {path.name.lower(): path for path in directory.iterdir()}
    except OSError as error:
        raise IngestionError(
            f"{table}: the source directory {directory} cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    for suffix, layout, compression in _SUFFIXES:
        if (path := present.get(f"{stem}{suffix}".lower())) is not None:
            if not (path.is_file() and os.access(path, os.R_OK)):
                raise IngestionError(
                    f"{table}: {path} is no file that can be read; check what it is and its permissions"
                )
            return SourceFile(table, path, layout, compression)
    wanted = ", ".join(f"{stem}{suffix}" for suffix, _, _ in _SUFFIXES)
    raise IngestionError(f"{table}: no file in {directory}; expected one of {wanted}")


def unpack(file: SourceFile, into: Path) -> Path:
    """Return the plain file, unpacked into a directory when it is compressed.

    The whole stream is read, so a truncated or damaged archive fails here and nothing of it is used.

    Raises
    ------
    IngestionError
        The file cannot be read, is damaged or truncated, holds not exactly one table, or unpacks to an implausible size.
    """
    if file.compression == "none":
        return file.path
    target = into / f"{file.table}.csv"
    try:
        with _opened(file) as source, target.open("wb") as sink:
            written = 0
            while block := source.read(COPY_BYTES):
                written += len(block)
                if written > MAX_UNPACKED_BYTES:
                    raise IngestionError(
                        f"{file.table}: {file.path} unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB; refused as an archive bomb"
                    )
                sink.write(block)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise IngestionError(
            f"{file.table}: the archive {file.path} is truncated or damaged; fetch it again"
        ) from error
    return target


@contextmanager
def _opened(file: SourceFile) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Open the one table inside a compressed file; member names are never used as paths."""
    if file.compression == "gzip":
        with gzip.open(file.path) as stream:
            yield stream
        return
    with zipfile.ZipFile(file.path) as archive:
        members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
        tables = [m for m in members if m.filename.lower().endswith(".csv")]
        if len(tables) != 1:
            raise IngestionError(f"{file.table}: {file.path} holds {len(tables)} CSV files; expected exactly one")
        with archive.open(tables[0]) as stream:
            yield stream


def require_free_space(directory: Path, needed_bytes: int, purpose: str) -> None:
    """Refuse to start what cannot finish.

    Raises
    ------
    IngestionError
        Less than the needed space is free.
    """
    if (free := shutil.disk_usage(directory).free) < needed_bytes:
        raise IngestionError(
            f"{purpose} needs about {needed_bytes / 1e9:.1f} GB below {directory}, {free / 1e9:.1f} GB are free; "
            "free space or set CREDITRISK_HOME to a larger disk"
        )
