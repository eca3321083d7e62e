"""From a feed's file to a plain table on this machine: fetched once, verified, unpacked.

What belongs here: where fetched files lie and for how long, checksums of files and of their content. What does not: how bytes are fetched
(`fetch`) and unpacked (`archives`), typing the table (`reader`).

A fetched file is kept below `landing/<table>/` until the feed no longer has it, so that a changed contract reads it again without a
download. A file that is on this machine already is read where it is.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from creditrisk_assets.ingestion.archives import sniff_compression, sniff_layout, unpack
from creditrisk_assets.ingestion.connector import ChangedError
from creditrisk_assets.ingestion.disk import require_free_space
from creditrisk_assets.ingestion.feeds import Feed, Part
from creditrisk_assets.ingestion.fetch import fetch, look, verify
from creditrisk_assets.ingestion.table_file import TableFile
from creditrisk_assets.settings import PATTERN_SIGNS

SPACE_FACTOR = 2  # the unpacked table and its Parquet, generously
Told = Callable[[str], None]  # progress in words


def land(feed: Feed, part: Part, landing: Path, work: Path, tell: Told) -> TableFile:
    """Bring a feed's file to this machine and return the plain table.

    What is not declared, compression and layout, is read off the first bytes: some sources pack files and keep their names.

    Parameters
    ----------
    feed, part
        Which file.
    landing
        Directory that fetched files are kept below.
    work
        Directory for what is only needed now; the unpacked table goes there.
    tell
        Is told, in words, how far a download is.

    Returns
    -------
    TableFile
        The plain table; inside `work` when it was unpacked, otherwise not to be deleted.

    Raises
    ------
    IngestionError
        The file cannot be fetched, has another checksum than declared, or its archive is damaged.
    """
    require_free_space(work, SPACE_FACTOR * (part.stat.size or 0), f"{feed.table}: reading {part.address}")
    packed = part.connector.in_place(part.file)
    if packed is None:
        packed = _fetched(feed, part, landing, tell)
    elif part.checksum is not None:
        verify(packed, part.checksum, f"{feed.table}: {part.address}")
    compression = sniff_compression(packed) if part.compression == "auto" else part.compression
    plain = unpack(feed.table, packed, compression, work / hashlib.sha256(part.batch_id.encode()).hexdigest()[:12])
    if part.content_checksum is not None:
        verify(plain, part.content_checksum, f"{feed.table}: the content of {part.address}")
    layout = sniff_layout(plain) if part.layout == "auto" else part.layout
    return TableFile(feed.table, part.address, plain, layout, part.batch_id)


def require_unchanged(feed: Feed) -> None:
    """Refuse what was read of files where they are, if they were written to meanwhile: it may be half of two contents.

    Raises
    ------
    ChangedError
        A file is not the one that was looked at.
    IngestionError
        It is gone, or cannot be looked at any more.
    """
    for part in feed.parts:
        if part.connector.in_place(part.file) is None:
            continue
        if look(part.connector, part.file).version != part.stat.version:
            raise ChangedError(
                f"{feed.table}: {part.address} was changed while it was read; nothing was published. Run again when it is at rest"
            )


def _fetched(feed: Feed, part: Part, landing: Path, tell: Told) -> Path:
    name = Path(part.file.path).name.translate(dict.fromkeys(map(ord, PATTERN_SIGNS), "_"))
    target = landing / feed.table / _place(part) / name
    if part.checksum is None and target.is_file():  # one with a checksum may have been fetched before that was declared
        return target
    fetched = fetch(
        part.connector,
        part.file,
        part.stat,
        target,
        checksum=part.checksum,
        progress=_in_words(f"{feed.table}: fetching {part.address}", tell),
    )
    if fetched.stat.version == part.stat.version:
        return target
    tell(f"{feed.table}: {part.address} changed while it was fetched; the newer one was taken")
    moved = landing / feed.table / _place(replace(part, stat=fetched.stat))
    shutil.rmtree(moved, ignore_errors=True)
    target.parent.rename(moved)
    return moved / target.name


def sweep(feed: Feed, landing: Path) -> None:
    """Delete the fetched files of a table that its feed no longer has."""
    kept = {_place(part) for part in feed.parts}
    for found in (landing / feed.table).glob("*"):
        if found.name not in kept:
            shutil.rmtree(found, ignore_errors=True)


def _place(part: Part) -> str:
    """Name a directory by a file's address and version, so that a new version never meets the bytes of the old one."""
    return hashlib.sha256(f"{part.address}\n{part.stat.version}".encode()).hexdigest()[:24]


def _in_words(what: str, tell: Told, steps: Iterable[int] = range(10, 101, 10)) -> Callable[[int, int | None], None]:
    """Tell of every tenth of a download, or of every 256 MB when its size is unknown."""
    waiting = list(steps)
    told = 0

    def progress(done: int, total: int | None) -> None:
        nonlocal told
        if total:
            reached = [step for step in waiting if done * 100 >= step * total]
            if reached:
                del waiting[: len(reached)]
                tell(f"{what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB")
        elif done - told >= 256 << 20:
            told = done
            tell(f"{what}: {done / 1e6:,.0f} MB")

    return progress
