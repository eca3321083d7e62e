"""A copy of a home directory that was consistent at one moment, made while the platform runs.

What belongs here: what is copied, in which order, the backup's manifest. What does not: putting it back (`restore`), PostgreSQL's tools
(`postgresql`).

The order makes it consistent. Checkpoints before the log they sign, so that none is of records the copy lacks. Journals before the
database that takes from them, so that a decision is in one or both, and the database knows which it took. Pointers before the versions
they name, which never change. Databases by SQLite's own backup, which is of one moment.
"""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from creditrisk_assets.lake import MANIFEST, POINTER, sha256_file, write_atomically
from creditrisk_assets.modelling.bundle import SHADOW_POINTER
from creditrisk_serving.online.store import OnlineStore
from creditrisk_serving.operations import postgresql
from creditrisk_serving.operations.databases import own_databases
from creditrisk_serving.settings import ServingSettings

LISTING = "backup.json"
FILES, DUMPS = "files", "postgresql"
FORMAT = 1
NOT_KEPT = ("spill", "metrics", "landing", "run.lock")  # made anew, or fetched anew
SQLITE = b"SQLite format 3\x00"
COMPANIONS = ("-wal", "-shm", "-journal")
PUBLIC = ".pub"


class BackupError(RuntimeError):
    """A backup cannot be made or put back; the message says why and what to do."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    format: int
    made_at: str  # UTC, ISO 8601
    keys: bool
    files: dict[str, str] = field(default_factory=dict)  # path in the backup -> SHA-256
    dumped: dict[str, str] = field(default_factory=dict)  # database on a server -> its dump
    left_out: list[str] = field(default_factory=list)  # what has to be kept by other means, in words


def places(settings: ServingSettings) -> dict[str, Path]:
    """Return the directories a backup holds, by their names in it: the home, and what settings put elsewhere."""
    root = settings.platform.root
    elsewhere = {"journal": settings.journal_directory, "checkpoints": settings.checkpoints_file.parent}
    return {"home": root} | {name: path for name, path in elsewhere.items() if not path.is_relative_to(root)}


def make_backup(settings: ServingSettings, out: Path, *, with_keys: bool = False, with_tables: bool = True) -> Backup:
    """Copy a home directory and its databases.

    Parameters
    ----------
    settings
        The deployment.
    out
        Directory to make. Without `backup.json`, which is written last, it is no backup.
    with_keys
        Private keys and hashed API keys too.
    with_tables
        The tables of the lake too; without, only which there were, and a run makes them anew.

    Raises
    ------
    BackupError
        There is nothing to copy, or the directory is not empty.
    """
    root = settings.platform.root
    if not root.is_dir():
        raise BackupError(f"there is no home at {root}; check CREDITRISK_HOME")
    if out.resolve().is_relative_to(root):
        raise BackupError(f"{out} lies in the home itself; choose another disk")
    if out.exists() and any(out.iterdir()):
        raise BackupError(f"{out} is not empty; give a directory of its own to each backup")
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(0o700)
    made = Backup(FORMAT, datetime.now(UTC).isoformat(timespec="seconds"), with_keys)
    with OnlineStore(settings.platform.online, settings.platform.online_store_url).building():
        for name, path in _listed(settings, with_keys=with_keys, with_tables=with_tables):
            target = out / FILES / name
            with contextlib.suppress(FileNotFoundError):  # it was a journal, and the database has it
                _copy(path, target)
                made.files[f"{FILES}/{name}"] = sha256_file(target)
        _dump_servers(settings, out, made)
    write_atomically(out / LISTING, json.dumps(asdict(made), indent=1, sort_keys=True))
    return made


def _listed(settings: ServingSettings, *, with_keys: bool, with_tables: bool) -> Iterator[tuple[str, Path]]:
    """List what is copied by its name in the backup; each stage is looked up when the one before it was copied."""
    for stage in (_is_checkpoint, _is_journal, _is_pointer, _is_rest):
        for place, directory in places(settings).items():
            for path in sorted(directory.rglob("*")):
                name = Path(place) / path.relative_to(directory)
                if not stage(name) or not _wanted(name, with_keys=with_keys, with_tables=with_tables):
                    continue
                if path.is_file() and not path.is_symlink():
                    yield name.as_posix(), path


def _is_checkpoint(name: Path) -> bool:
    return "checkpoints" in name.parts[:2]


def _is_journal(name: Path) -> bool:
    return "journal" in name.parts[:2]


def _is_pointer(name: Path) -> bool:
    return name.name in (POINTER, SHADOW_POINTER)


def _is_rest(name: Path) -> bool:
    return not (_is_checkpoint(name) or _is_journal(name) or _is_pointer(name))


def _wanted(name: Path, *, with_keys: bool, with_tables: bool) -> bool:
    inside = name.parts[1:]
    if inside[0] in NOT_KEPT or any(part.startswith(".") for part in inside) or name.name.endswith(COMPANIONS):
        return False
    if inside[0] == "keys":
        return with_keys or name.suffix == PUBLIC
    return with_tables or inside[0] != "lake" or name.name in (POINTER, MANIFEST)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as stream:
        is_database = stream.read(len(SQLITE)) == SQLITE
    if is_database:
        target.touch(mode=0o600)
        there = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
        here = sqlite3.connect(target)
        with contextlib.closing(there), contextlib.closing(here):
            there.backup(here)
    else:
        shutil.copyfile(source, target)
    shutil.copymode(source, target)


def _dump_servers(settings: ServingSettings, out: Path, made: Backup) -> None:
    """Dump the databases that are on a server, and name those that cannot be; those that share one are dumped once."""
    by_url = {one.url: one for one in own_databases(settings) if one.file is None}
    for url, one in by_url.items():
        name = one.schema.name
        if url.get_backend_name() != "postgresql" or not postgresql.can_dump():
            made.left_out.append(
                f"{name}: on {url.get_backend_name()}; back it up by the server's own means (or put pg_dump on the PATH)"
            )
            continue
        path = out / DUMPS / f"{name}.dump"
        path.parent.mkdir(exist_ok=True)
        postgresql.dump(url, path)
        made.dumped[name] = f"{DUMPS}/{name}.dump"
        made.files[made.dumped[name]] = sha256_file(path)
    if settings.platform.mlflow_tracking_uri is not None:
        made.left_out.append("MLflow: on a server of its own; back it up by that server's means")
