"""Features and scores of a batch by Spark, for batches past one machine: the same SQL, the same bundle, the same policy.

What belongs here: running a family's statement and the scoring on Spark. What does not: reading and checking the input, rejected rows, the
order and format of the files (DuckDB on the driver, as without Spark), the session (`creditrisk_assets.features.spark`).

Executors need this package and see the bundle and the work directory under the driver's paths (deploy/spark.md).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from creditrisk_assets.contracts.render import spark as spark_sql
from creditrisk_assets.contracts.render import sql as duckdb_sql
from creditrisk_assets.features import spark
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.settings import Settings
from creditrisk_serving.batches import features
from creditrisk_serving.scoring import batch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SPARK_TYPES = {pa.int64(): "bigint", pa.float64(): "double", pa.string(): "string"}
COLUMNS = ", ".join(f"{field.name} {SPARK_TYPES[field.type]}" for field in batch.SCHEMA)


@dataclass(frozen=True)
class SparkEngine:
    """What computes features and scores: a session, and where executors find the model."""

    session: SparkSession
    bundle_path: Path
    public_key: bytes

    def compute_family(
        self,
        con: duckdb.DuckDBPyConnection,
        bundle: Bundle,
        name: str,
        typed: Mapping[str, Sequence[Path]],
        accepted: Path,
        out: Path,
    ) -> list[int]:
        """Do what `features.compute_family` does; where Spark refuses a value, DuckDB finds whose it is."""
        from pyspark.errors import AnalysisException, PySparkException  # noqa: PLC0415 -- an optional extra

        tables = bundle.plan["families"][name]["inputs"]
        try:
            for table in tables:
                view = features.view(bundle.plan, table, typed, parquet(accepted), parquet)
                self.session.sql(view).createOrReplaceTempView(table)
            spark.write_ordered(self.session, con, features.family_statement(bundle, name), out)
        except AnalysisException:  # the statement itself, or a file that is not there
            raise
        except PySparkException:
            return features.compute_family(con, bundle, name, typed, accepted, out)
        finally:
            for table in tables:
                self.session.catalog.dropTempView(table)
        return []

    def score(
        self, con: duckdb.DuckDBPyConnection, bundle: Bundle, sources: features.Sources, cut: tuple[int, int], out: Path
    ) -> list[int]:
        """Score applicants on the executors; return those of whom an input is infinite."""
        rows = self.session.sql(batch.needed_columns(bundle, features.relation(bundle, sources, *cut, parquet)))
        scored = rows.mapInArrow(partial(score_partition, str(self.bundle_path), self.public_key), COLUMNS)
        scored.createOrReplaceTempView("scored")
        try:
            spark.write_ordered(self.session, con, "select * from scored", out)
        finally:
            self.session.catalog.dropTempView("scored")
        missing = (
            f"select id from {duckdb_sql.parquet(sources.scorable)} where id between {cut[0]} and {cut[1]} "  # noqa: S608 -- quoted paths
            f"and id not in (select sk_id_curr from {duckdb_sql.parquet(out)})"
        )
        return [row[0] for row in con.execute(missing).fetchall()]


@contextmanager
def engine(settings: Settings, bundle_path: Path, *, public_key: bytes) -> Iterator[SparkEngine]:
    """Open Spark for one batch; its executors run the driver's Python unless PYSPARK_PYTHON names another."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with spark.session(settings.spark_master, memory=settings.memory_limit, directory=settings.spill) as session:
        yield SparkEngine(session, bundle_path, public_key)


def score_partition(bundle: str, public_key: bytes, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Score the rows of one partition on an executor, all but those of which an input is infinite; it verifies the bundle first."""
    model = Bundle.load(Path(bundle), public_key)
    for some in rows:
        finite = some.filter(batch.finite(model, some))
        if finite.num_rows:
            yield from batch.scored(model, finite).to_batches()


def parquet(*paths: Path) -> str:
    """Write the relation of Parquet files."""
    if len(paths) == 1:
        return spark_sql.parquet(paths[0])
    return f"({' union all '.join(f'select * from {spark_sql.parquet(path)}' for path in paths)})"  # noqa: S608 -- quoted paths
