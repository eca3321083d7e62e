"""The decision log as daily Parquet files.

What belongs here: which days are written anew, and how. What does not: the contract (`creditrisk_assets.contracts.decision`), publishing
(`defs.decision_log`). The running service does not import this module.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from creditrisk_serving.decisions.database import Database

SCHEMA = pa.schema(
    [
        pa.field("decision_id", pa.string(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("decided_at", pa.string(), nullable=False),
        pa.field("applicant_id", pa.int64(), nullable=False),
        pa.field("caller", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("bundle_sha256", pa.string(), nullable=False),
        pa.field("policy_version", pa.string(), nullable=False),
        pa.field("pd", pa.float64(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("band", pa.string(), nullable=False),
        pa.field("rule", pa.string()),
        pa.field("families", pa.string(), nullable=False),
        pa.field("feature_versions", pa.string(), nullable=False),
        pa.field("input", pa.string(), nullable=False),
        pa.field("features", pa.string(), nullable=False),
        pa.field("latency_ms", pa.float64()),
        pa.field("reasons", pa.string()),
        pa.field("shadow", pa.string()),
        pa.field("writer", pa.string()),
        pa.field("sequence", pa.int64()),
        pa.field("hash", pa.string()),
    ]
)


def file_of(day: str) -> str:
    """Return the name of a day's file."""
    return f"{day}.parquet"


def write_days(
    database: Database, counts: Mapping[str, int], out: Path, before: Path | None, known: Mapping[str, int]
) -> dict[str, int]:
    """Write one file for each day with decisions.

    Parameters
    ----------
    database
        The log.
    counts
        Day -> its decisions, `Database.days`.
    out
        Directory to write to.
    before
        Directory of the days written last; a day with as many decisions as then is taken over, because decisions are only added, unless
        an earlier release wrote other columns.
    known
        Day -> its decisions then.

    Returns
    -------
    dict
        Day -> its decisions in the file.
    """
    written = {}
    for day, count in counts.items():
        target = out / file_of(day)
        old = None if before is None else before / file_of(day)
        if old is not None and known.get(day) == count and old.is_file() and pq.read_schema(old).equals(SCHEMA):
            os.link(old, target)
            written[day] = count
        else:
            written[day] = _write_day(database, day, target)
    return written


def _write_day(database: Database, day: str, target: Path) -> int:
    rows = 0
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for page in database.decisions(day):
            writer.write_table(pa.Table.from_pylist(page, schema=SCHEMA))
            rows += len(page)
    return rows
