"""`CREDITRISK_ENGINE=spark` computes a family in the graph, from raw rows with NaN and NULL, to the very version DuckDB published."""

import csv
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
    monkeypatch.setenv("CREDITRISK_MEMORY_LIMIT", "1GB")
    monkeypatch.chdir(tmp_path)
    assert running.materialize(Settings(), "features/pos_cash").failures == []
    by_spark = lake.require("features/pos_cash")
    assert by_spark.manifest.inputs["engine"] != by_duckdb.manifest.inputs["engine"]
    assert by_spark.version == by_duckdb.version
    assert not (tmp_path / "spark-warehouse").exists()


def test_without_java_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with (
        pytest.raises(ValueError, match=r"CREDITRISK_ENGINE=spark, but .*default-jre-headless"),
        spark.session("local[2]", memory="1GB", directory=tmp_path),
    ):
        pass
