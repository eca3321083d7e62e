"""A raw table on its way from files to what is published, as its asset takes it."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.report import ContractReport
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.ingestion import corrections
from creditrisk_assets.ingestion.quarantine import ReadPart, Settled, settle
from creditrisk_assets.ingestion.reader import read_table
from creditrisk_assets.ingestion.table_file import TableFile, delivered_schema

PAYMENTS = SOURCES["installments_payments"]
PAYMENT = {
    "SK_ID_PREV": "1",
    "SK_ID_CURR": "2",
    "NUM_INSTALMENT_VERSION": "1.0",
    "NUM_INSTALMENT_NUMBER": "6",
    "DAYS_INSTALMENT": "-1180.0",
    "DAYS_ENTRY_PAYMENT": "-1187.0",
    "AMT_INSTALMENT": "6948.36",
    "AMT_PAYMENT": "6948.36",
}


def payments(count: int, changes: Mapping[int, Mapping[str, str]] | None = None) -> list[dict[str, str]]:
    """Rows of instalment payments that obey the contract, except for the changed cells of some (by number from 0)."""
    return [{**PAYMENT, "SK_ID_PREV": str(number + 1), **(changes or {}).get(number, {})} for number in range(count)]


def write_csv(path: Path, rows: Sequence[Mapping[str, str]], names: Sequence[str] = tuple(PAYMENT)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([names, *(row.values() for row in rows)])
    return path


@dataclass
class Taken:
    """A table that was read and settled."""

    con: duckdb.DuckDBPyConnection
    settled: Settled
    published: Path
    quarantined: Path
    judged: list[str] = field(default_factory=list)  # relations that were checked

    @property
    def report(self) -> ContractReport:
        return self.settled.report

    def rows(self, which: Path, columns: str = "*") -> list[tuple[Any, ...]]:
        return self.con.execute(f"select {columns} from '{which}'").fetchall()

    @property
    def set_aside(self) -> list[tuple[str, int, str]]:
        return self.rows(self.quarantined, "batch_id, position, rule")


def take(
    con: duckdb.DuckDBPyConnection,
    work: Path,
    files: Mapping[str, Path],
    *,
    budget: float = 0.5,
    contract: SourceContract = PAYMENTS,
    home: Path | None = None,
    **given: Any,
) -> Taken:
    """Read files (batch id to path) and settle them into `work`; further arguments go to the check."""
    work.mkdir(parents=True, exist_ok=True)
    parts = []
    for batch, path in files.items():
        file = TableFile(contract.table, f"s3://feeds/{path.name}", path, path.suffix[1:], batch)
        typed, rejects = work / f"{batch}.typed", work / f"{batch}.rejects"
        corrected = corrections.corrections_of(home, file) if home else ()
        schema = delivered_schema(con, file)
        read = read_table(con, file, schema, contract, out=typed, rejects=rejects, corrections=corrected)
        parts.append(ReadPart(file, read, typed, rejects))
    taken = Taken(con, None, work / "data.parquet", work / "quarantine.parquet")  # type: ignore[arg-type] -- set below

    def judge(relation: str) -> ContractReport:
        taken.judged.append(relation)
        return check(con, relation, contract, **given)

    taken.settled = settle(
        con, parts, contract, budget, judge, published=taken.published, quarantined=taken.quarantined
    )
    return taken
