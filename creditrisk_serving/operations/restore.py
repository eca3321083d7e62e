"""Putting a backup into an empty home, and proving that it is what was backed up.

What belongs here: verifying, copying, taking what journals held, verifying the log. What does not: making backups (`backup`).
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from creditrisk_assets.lake import sha256_file
from creditrisk_assets.registry.ledger import Ledger
from creditrisk_serving.decisions.checkpoints import read_checkpoints
from creditrisk_serving.decisions.database import reading
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.verification import verify_log
from creditrisk_serving.operations import postgresql
from creditrisk_serving.operations.backup import FILES, FORMAT, LISTING, Backup, BackupError, places
from creditrisk_serving.operations.databases import own_databases
from creditrisk_serving.settings import ServingSettings
from creditrisk_serving.trust import trusted_signers


def read_backup(source: Path) -> Backup:
    """Read a backup's manifest and verify every file it names.

    Raises
    ------
    BackupError
        It is none, of another format, or a file is missing or not what was backed up.
    """
    try:
        found = Backup(**json.loads((source / LISTING).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{source} is no finished backup: its {LISTING} cannot be read; use another") from error
    if found.format != FORMAT:
        raise BackupError(f"{source} is a backup of format {found.format}; this release reads {FORMAT}")
    for name, digest in found.files.items():
        path = source / name
        if not path.is_file() or sha256_file(path) != digest:
            raise BackupError(f"{path} is missing or not what was backed up; use another backup")
    return found


@dataclass(frozen=True)
class Restored:
    """What was proved of a restored home."""

    records: int  # of the decision log
    chains: int
    checkpoints: int
    findings: list[str]  # what is not as it was written, in the log or the registry's ledger


def restore_backup(settings: ServingSettings, source: Path) -> Restored:
    """Put a backup into an empty home, take in what its journals held, and verify its log.

    Returns
    -------
    Restored
        What the chains and the signed checkpoints say.

    Raises
    ------
    BackupError
        The backup is damaged, or a place it goes to is not empty.
    """
    found = read_backup(source)
    targets = places(settings)
    for target in targets.values():
        if target.exists() and any(target.iterdir()):
            raise BackupError(
                f"{target} is not empty: restore into an empty one (CREDITRISK_HOME), and swap them after"
            )
    for name in (name for name in found.files if name.startswith(f"{FILES}/")):
        place, inside = name.removeprefix(f"{FILES}/").split("/", 1)
        if place not in targets:
            raise BackupError(f"the backup has a {place} outside its home; name its place by the service's settings")
        target = targets[place] / inside
        targets[place].mkdir(parents=True, exist_ok=True, mode=0o700)  # personal data lie below
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
        shutil.copymode(source / name, target)
    by_name = {one.schema.name: one for one in own_databases(settings)}
    for database, dump in found.dumped.items():
        if by_name[database].file is not None:
            raise BackupError(f"the backup's {database} is of PostgreSQL; name an empty database by the settings")
        postgresql.restore(by_name[database].url, source / dump)
    return _proved(settings)


def _proved(settings: ServingSettings) -> Restored:
    platform = settings.platform
    with Ledger(platform.registry_url, platform.registry_checkpoints_file, trusted_signers(settings)) as ledger:
        wrong = list(ledger.verify().findings)
    database = next(one for one in own_databases(settings) if one.schema.name == "decision_log")
    if database.file is not None and not database.file.exists():
        return Restored(0, 0, 0, wrong)
    log = DecisionLog(settings.decision_log_url, settings.journal_directory, stored="database")
    log.database.check_schema()
    log.start()
    log.close()
    with reading(settings.decision_log_url) as opened:
        found = verify_log(opened, read_checkpoints(settings.checkpoints_file, trusted_signers(settings)))
    wrong += [f"{one.record or one.writer}: {one.message}" for one in found.findings]
    return Restored(found.records, found.chains, found.checkpoints, wrong)
