"""Corrected rows: what people put in the place of rows in quarantine, and who did it when and why.

What belongs here: writing the rows of a quarantine for a person to correct, taking the corrected ones in, finding those of a file. What
does not: reading them in place of the file's rows (`reader`), checking them (they are rows like any other: one that still breaks a rule
goes back to quarantine).

A correction is for one row of one content: it is kept below `corrections/<table>/<SHA-256 of the file's content>/` and counts whenever
that content is read, wherever it came from and whatever its date. A new delivery has new content, for which no correction counts. Nothing
is ever deleted there: of several corrections of a row the latest counts, and all of them remain to be audited.
"""

import contextlib
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.contracts.render import sql
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.ingestion.connector import IngestionError
from creditrisk_assets.ingestion.reader import csv_scan, explain
from creditrisk_assets.ingestion.table_file import TableFile, delivered_schema
from creditrisk_assets.lake import sha256_file

# ruff: noqa: S608 -- names of the contract, quoted paths and literals; DuckDB binds no identifiers

FOLDER = "corrections"
PLACE = ("batch_id", "position")
REASON_LENGTH = 10


class CorrectionError(IngestionError):
    """Corrected rows cannot be taken in; the message says which and what to change."""


@dataclass(frozen=True)
class Taken:
    """What was taken in.

    Parameters
    ----------
    rows
        Corrected rows that now stand in the place of quarantined ones.
    unchanged
        Rows of the file that are as they were read, and were left alone.
    """

    rows: int
    unchanged: int


def corrections_of(home: Path, file: TableFile) -> tuple[Path, ...]:
    """List the corrections of a file's content, oldest first; the file is only hashed when its table has any.

    Parameters
    ----------
    home
        The home directory.
    file
        The file, on this machine.
    """
    folder = home / FOLDER / file.table
    if not any(folder.glob("*/*.parquet")):
        return ()
    return tuple(sorted((folder / sha256_file(file.path)).glob("*.parquet")))


def fingerprint(home: Path, table: str) -> Mapping[str, str]:
    """Fingerprint the corrections of a table, so that new ones are felt at the next run; nothing when there is none."""
    files = sorted((home / FOLDER / table).glob("*/*.parquet"))
    if not files:
        return {}
    names = "".join(f"{path.parent.name}/{path.name}:{path.stat().st_size};" for path in files)
    return {"corrections": hashlib.sha256(names.encode()).hexdigest()}


def history(con: duckdb.DuckDBPyConnection, home: Path, table: str) -> list[dict[str, Any]]:
    """List who corrected how many rows of a table when and why, oldest first."""
    files = sorted((home / FOLDER / table).glob("*/*.parquet"), key=lambda path: path.name)
    found = []
    for path in files:
        rows, by, reason, at, source = con.execute(
            "SELECT count(*), any_value(corrected_by), any_value(reason), any_value(corrected_at), any_value(source_sha256) "
            f"FROM {sql.parquet(path)}"
        ).fetchall()[0]
        found.append({"rows": rows, "by": by, "reason": reason, "at": at, "source_sha256": source})
    return found


def write_rows(con: duckdb.DuckDBPyConnection, quarantined: Path, contract: SourceContract, out: Path) -> int:
    """Write the rows of a quarantine as CSV for a person to correct: batch, position, rules, then the table's columns as read.

    Parameters
    ----------
    quarantined
        The table's quarantine.
    out
        CSV file to write.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    CorrectionError
        A file of that name is there already (it may hold somebody's corrections), or it cannot be written.
    """
    if out.exists():
        raise CorrectionError(f"{out} is there already and may hold corrections; give another name")
    columns = ", ".join(f"row ->> {sql.literal(spec.name)} AS {sql.identifier(spec.name)}" for spec in contract.columns)
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        written = con.execute(
            f"COPY (SELECT batch_id, position, rule, {columns} FROM {sql.parquet(quarantined)}) "
            f"TO {sql.literal(str(temporary))} (FORMAT csv, HEADER)"
        ).fetchall()
        temporary.replace(out)
    except (duckdb.IOException, OSError) as error:
        raise CorrectionError(f"{out} cannot be written; check its directory, its permissions and the disk") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return int(written[0][0])


def take_in(
    con: duckdb.DuckDBPyConnection,
    home: Path,
    contract: SourceContract,
    quarantined: Path,
    corrected: Path,
    *,
    by: str,
    reason: str,
    at: datetime,
) -> Taken:
    """Keep corrected rows, to be read in the place of those in quarantine.

    Parameters
    ----------
    con
        Any connection.
    home
        The home directory.
    contract
        The raw table.
    quarantined
        Its quarantine: only rows that are in it can be corrected.
    corrected
        CSV file as `write_rows` writes it; `rule` may be missing, rows may be left out.
    by, reason, at
        Who corrected them, why, and when (with time zone), for the audit trail.

    Raises
    ------
    CorrectionError
        The file is not such a CSV, a row of it is not in quarantine or is there twice, none differs from what was read, or it is not
        said by whom and why.
    """
    if not by.strip() or len(reason.strip()) < REASON_LENGTH:
        raise CorrectionError(
            f"say who corrected the rows (--by) and why (--reason, at least {REASON_LENGTH} characters)"
        )
    names = [spec.name for spec in contract.columns]
    file = TableFile(contract.table, str(corrected), corrected, "csv")
    schema = delivered_schema(con, file)
    if missing := [name for name in (*PLACE, *names) if name not in schema.names]:
        raise CorrectionError(
            f"{corrected} lacks the column {', '.join(missing)}; start from `creditrisk quarantine list --out`"
        )
    scan = csv_scan(corrected, schema, dict.fromkeys((*PLACE, *names), "VARCHAR"))
    columns = {name: sql.identifier(name) for name in names}
    try:
        con.execute(
            "CREATE OR REPLACE TEMP TABLE given AS SELECT coalesce(batch_id, '') AS batch_id, TRY_CAST(position AS BIGINT) AS position, "
            f"{', '.join(columns.values())}, {sql.row_text(columns)} AS row FROM {scan}"
        )
    except duckdb.Error as error:
        raise explain(file, error) from None
    _require_in_quarantine(con, contract, quarantined, corrected)
    shas = (
        con.execute(
            "CREATE OR REPLACE TEMP TABLE changed AS SELECT given.* EXCLUDE (row), q.source_sha256, q.rule, q.row AS before "
            f"FROM given JOIN {sql.parquet(quarantined)} AS q USING (batch_id, position) WHERE given.row <> q.row"
        )
        .execute("SELECT source_sha256, count(*) FROM changed GROUP BY source_sha256 ORDER BY source_sha256")
        .fetchall()
    )
    given = con.execute("SELECT count(*) FROM given").fetchall()[0][0]
    rows = sum(count for _, count in shas)
    if not rows:
        raise CorrectionError(
            f"{corrected}: none of its {given:,} rows differs from what is in quarantine; correct them first"
        )
    for sha, _ in shas:
        _keep(con, home / FOLDER / contract.table / sha, sha, by.strip(), reason.strip(), at)
    return Taken(rows, given - rows)


def _require_in_quarantine(
    con: duckdb.DuckDBPyConnection, contract: SourceContract, quarantined: Path, corrected: Path
) -> None:
    """Refuse rows that do not name one row in quarantine each."""
    twice = con.execute(
        "SELECT batch_id, position FROM given GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    ).fetchall()
    if twice:
        raise CorrectionError(f"{corrected}: the row at {_named(*twice[0])} is there more than once; keep one")
    strangers = con.execute(
        f"SELECT batch_id, position FROM given ANTI JOIN {sql.parquet(quarantined)} AS q USING (batch_id, position) ORDER BY ALL"
    ).fetchall()
    if strangers:
        raise CorrectionError(
            f"{corrected}: {len(strangers):,} of its rows are not in the quarantine of {contract.table}, the first at "
            f"{_named(*strangers[0])}; was the source delivered anew? Start again from `creditrisk quarantine list --out`"
        )


def _named(batch_id: str, position: int | None) -> str:
    return f"batch {batch_id or '(none)'}, position {'(not a number)' if position is None else position}"


def _keep(con: duckdb.DuckDBPyConnection, folder: Path, sha: str, by: str, reason: str, at: datetime) -> None:
    """Write the corrections of one content; the name orders them by time."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{at:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}.parquet"
    temporary = folder / f"{name}.part"
    con.execute(
        f"COPY (SELECT * EXCLUDE (source_sha256), {sql.literal(by)} AS corrected_by, {sql.literal(reason)} AS reason, "
        f"{sql.literal(at.isoformat(timespec='seconds'))} AS corrected_at, source_sha256 FROM changed "
        f"WHERE source_sha256 = {sql.literal(sha)} ORDER BY batch_id, position) "
        f"TO {sql.literal(str(temporary))} (FORMAT parquet, COMPRESSION zstd)"
    )
    temporary.replace(folder / name)
