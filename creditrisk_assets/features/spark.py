"""The engine for tables past one machine: the same SQL text, run by Spark.

What belongs here: the session and its settings, the views, and the way of the rows to the lake. What does not: any SQL of a feature
(`sql/`), the views' text (`engine`, `as_of`), the order and format of what is written (`files`: one writer for both engines, so
that equal values are equal bytes), a contract checked by Spark (`contracts.spark`).

Spark comes with the extra `spark` and needs Java 17 or later. On a cluster the lake must lie on a file system that the driver and every
worker see under one path (docs/engines.md).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from creditrisk_assets.contracts.render.spark import parquet
from creditrisk_assets.features.engine import input_views, statement
from creditrisk_assets.features.families import Family
from creditrisk_assets.features.files import FeatureError, write
from creditrisk_assets.features.statement import literal
from creditrisk_assets.settings import Settings

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import SparkSession

ENABLE = 'pip install "creditrisk[spark]" and, for Java, apt-get install default-jre-headless'
# The text both engines run is ANSI: identifiers in double quotes, and an error, not NULL, for what does not fit. The rest keeps a
# local run quiet and off the network.
SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
LOCAL = re.compile(r"local(-cluster)?(\[(?P<threads>\d+|\*).*\])?")  # threads of this process, or processes beside it
LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
LOCAL_ADDRESS = "SPARK_LOCAL_IP"
# What Spark names where a value is too large for its type, or none of it; anything else that fails is Spark's own trouble.
REFUSED = re.compile(r"Spark(Arithmetic|NumberFormat|DateTime)Exception|CAST_OVERFLOW|NUMERIC_VALUE_OUT_OF_RANGE")
UNITS = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


def missing() -> str | None:
    """Say what Spark lacks on this machine and how to get it; None when nothing."""
    if find_spec("pyspark") is None:
        return f"pyspark is not installed: {ENABLE}"
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        return f"there is no Java: {ENABLE}"
    return None


class SparkFailedError(RuntimeError):
    """Spark could not do its work; the message names what it called it, never a value."""


class ValueRefusedError(ValueError):
    """A statement cannot take a value of its rows."""


@contextmanager
def in_words() -> Iterator[None]:
    """Keep Spark's words, which may quote an applicant's values, to itself.

    Raises
    ------
    ValueRefusedError
        A value was too large for a type of the statement.
    SparkFailedError
        Spark failed otherwise.
    """
    from py4j.protocol import Py4JError  # noqa: PLC0415 - an optional extra
    from pyspark.errors import PySparkException  # noqa: PLC0415 - an optional extra

    try:
        yield
    except (PySparkException, Py4JError) as error:
        if REFUSED.search(f"{error} {getattr(error, '_stackTrace', '')}"):
            raise ValueRefusedError("a value is too large for its type") from None
        condition = error.getCondition() if isinstance(error, PySparkException) else None
        raise SparkFailedError(f"Spark could not go on ({condition or type(error).__name__})") from None


@contextmanager
def chosen_session(settings: Settings) -> Iterator[SparkSession | None]:
    """Open a Spark session where the settings name that engine; otherwise there is none."""
    if settings.engine != "spark":
        yield None
        return
    with session(settings.spark_master, memory=settings.memory_limit, directory=settings.spill) as opened:
        yield opened


@contextmanager
def session(master: str, *, memory: str, directory: Path) -> Iterator[SparkSession]:
    """Open a Spark session, and stop it at the end.

    Parameters
    ----------
    master
        Spark's master URL; `local[2]` is this machine with two threads, `local-cluster[2,1,1024]` with two executors of 1 GiB.
    memory
        Memory of the driver's Java heap, as DuckDB writes it (`3GB`). In local mode it is all there is; the executors of a cluster
        have what the cluster's own configuration gives them.
    directory
        Where Spark keeps what does not fit the memory, in local mode; the workers of a cluster have directories of their own.

    Raises
    ------
    FeatureError
        Spark or Java is not there.
    """
    if (lack := missing()) is not None:
        raise FeatureError(f"CREDITRISK_ENGINE=spark, but {lack}")
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an optional extra

    # Spark wants a directory of tables, though nobody makes one, and would take the working directory.
    chosen = SETTINGS | {
        "spark.driver.memory": f"{_mebibytes(memory)}m",
        "spark.sql.warehouse.dir": str(directory / "warehouse"),
    }
    if (local := LOCAL.fullmatch(master)) is not None:
        threads = local["threads"]
        partitions = int(threads) if threads and threads.isdigit() else os.cpu_count() or 1
        chosen |= LOOPBACK | {"spark.local.dir": str(directory), "spark.sql.shuffle.partitions": str(partitions)}
    elif (
        os.environ.get(LOCAL_ADDRESS) == "127.0.0.1"
    ):  # Pandera sets it when it is imported: executors elsewhere would look for the driver there
        del os.environ[LOCAL_ADDRESS]
    builder = SparkSession.builder.master(master).appName("creditrisk")
    for name, value in chosen.items():
        builder = builder.config(name, value)
    directory.mkdir(parents=True, exist_ok=True)
    spark = builder.getOrCreate()
    try:
        spark.sparkContext.setLogLevel("ERROR")
        yield spark
    finally:
        spark.stop()


def build_family(
    spark: SparkSession,
    con: duckdb.DuckDBPyConnection,
    family: Family,
    tables: Mapping[str, Path],
    out: Path,
    as_of: int = 0,
) -> int:
    """Compute one family with Spark and write it as `engine.build_family` does.

    Parameters
    ----------
    spark
        The session that computes.
    con
        The DuckDB connection that orders and writes the rows; its threads and memory limit are used as they are.
    family, tables, out, as_of
        As in `engine.build_family`.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    FeatureError
        A table the family reads was not given.
    """
    return write_rows(spark, con, input_views(family, tables, parquet, as_of), statement(family, as_of), out)


def write_rows(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, views: Mapping[str, str], select: str, out: Path
) -> int:
    """Let Spark write the rows of a statement in parts beside the file, in any order, and the one writer make the file of them.

    Parameters
    ----------
    spark, con, out
        As in `build_family`.
    views
        What the statement reads: its names, and the select of each.
    select
        The statement; one of its columns is the key.

    Returns
    -------
    int
        Rows written.
    """
    parts = out.with_name(f"{out.name}.parts")
    try:
        for name, view in views.items():
            spark.sql(view).createOrReplaceTempView(name)
        spark.sql(select).write.option("compression", "zstd").parquet(f"file://{parts}")
        with closing(con.cursor()) as cursor:
            return write(cursor, f"select * from read_parquet({literal(f'{parts}/*.parquet')})", out)  # noqa: S608 - a quoted path
    finally:
        shutil.rmtree(parts, ignore_errors=True)
        for name in views:
            spark.catalog.dropTempView(name)


def _mebibytes(memory: str) -> int:
    number, unit = re.fullmatch(r"([\d.]+)\s?([KMGT])i?B", memory).groups()  # type: ignore[union-attr] # as the setting's pattern says
    return max(512, int(float(number) * UNITS[unit]))
