"""`CREDITRISK_ENGINE=spark` computes a family in the graph, on two executors, to the very version DuckDB published; with NaN and NULL."""

import csv
import os
import shutil
from pathlib import Path

import pytest

from creditrisk_assets import running
from creditrisk_assets.features import spark
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings

TABLES = "raw/application_train,raw/application_test,raw/previous_application,raw/pos_cash_balance"


@pytest.mark.skipif(spark.missing() is not None, reason=f"Spark: {spark.missing()}")
def test_the_graph_computes_a_family_with_spark(
    portfolio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    shutil.copytree(portfolio, source)
    with (source / "POS_CASH_balance.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    for row in rows[::50]:
        row[header.index("CNT_INSTALMENT")] = "nan"
    with (source / "POS_CASH_balance.csv").open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    remember_source(Settings(), source)
    lake = Lake(Settings().lake)
    assert running.materialize(Settings(), f"{TABLES},features/pos_cash").failures == []
    by_duckdb = lake.require("features/pos_cash")

    monkeypatch.setenv("CREDITRISK_ENGINE", "spark")
    monkeypatch.setenv("CREDITRISK_SPARK_MASTER", "local-cluster[2,1,1024]")  # processes of their own, as on a cluster
    monkeypatch.setenv("CREDITRISK_MEMORY_LIMIT", "1GB")
    monkeypatch.chdir(tmp_path)
    assert running.materialize(Settings(), "features/pos_cash").failures == []
    by_spark = lake.require("features/pos_cash")
    assert by_spark.manifest.inputs["engine"] != by_duckdb.manifest.inputs["engine"]
    assert by_spark.version == by_duckdb.version
    assert not (tmp_path / "spark-warehouse").exists()


@pytest.mark.skipif(spark.missing() is not None, reason=f"Spark: {spark.missing()}")
@pytest.mark.parametrize(("address", "kept"), [("127.0.0.1", None), ("10.0.0.7", "10.0.0.7")])
def test_executors_of_a_cluster_are_not_told_that_the_driver_is_on_their_own_machine(
    address: str, kept: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pyspark.sql import SparkSession

    def starts(_: object) -> None:
        raise RuntimeError(f"started with {os.environ.get(spark.LOCAL_ADDRESS)}")

    monkeypatch.setenv(spark.LOCAL_ADDRESS, address)  # the first is what importing Pandera leaves
    monkeypatch.setattr(SparkSession.Builder, "getOrCreate", starts)
    with (
        pytest.raises(RuntimeError, match=f"started with {kept}"),
        spark.session("spark://master.internal:7077", memory="1GB", directory=tmp_path),
    ):
        pass


def test_without_java_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with (
        pytest.raises(ValueError, match=r"CREDITRISK_ENGINE=spark, but .*default-jre-headless"),
        spark.session("local[2]", memory="1GB", directory=tmp_path),
    ):
        pass
