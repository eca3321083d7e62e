"""A batch by Spark is the batch by DuckDB: the same scores to the bit, the same rejected rows, the same counts."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.features import spark as spark_engine
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import draw_portfolio, write_raw
from creditrisk_serving.batches import features, spark
from creditrisk_serving.batches.champion import load_champion
from creditrisk_serving.batches.job import Batch, Outcome, score_batch
from creditrisk_serving.cli import trusted_key
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.scoring import batch
from creditrisk_serving.settings import ServingSettings

pytestmark = [
    pytest.mark.drill,  # Spark compiles statements of a thousand features: minutes, whatever the rows
    pytest.mark.skipif(spark_engine.missing() is not None, reason=f"Spark: {spark_engine.missing()}"),
]
COUNTED = (
    "applications", "scored", "rejected", "rejected_rows", "decisions", "bands", "features_from_input", "features_looked_up",
)  # fmt: skip


def score(home: Path, source: Path, out: Path, master: str | None) -> Outcome:
    platform = Settings(
        home=home, threads=1, memory_limit="1GB", **({} if master is None else {"spark_master": master})
    )
    settings = ServingSettings(platform=platform)
    key = trusted_key(settings)
    opened = None if master is None else partial(spark.engine, platform, public_key=key)
    log = DecisionLog(settings.decision_log_url, settings.journal_directory, stored="database")
    try:
        return score_batch(Batch(source, out), platform, lambda: load_champion(platform), log, open_engine=opened)
    finally:
        log.close()


@pytest.fixture(autouse=True)
def interpreted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Spark interpret its plans: for some hundred rows, compiling them takes far longer than running them."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text(
        "spark.sql.codegen.wholeStage false\nspark.sql.codegen.factoryMode NO_CODEGEN\n"
    )
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path / "conf"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A portfolio: some have no histories and are looked up, some rows break rules, and one amount is past what a family can take."""
    directory = tmp_path / "source"
    directory.mkdir()
    write_raw(draw_portfolio(seed=8), directory)
    with duckdb.connect() as con:
        for table, change in {
            "application_test": "AMT_INCOME_TOTAL = -1 where SK_ID_CURR % 17 = 0",
            "bureau": "DAYS_CREDIT = 7 where SK_ID_CURR % 19 = 0",
        }.items():
            path = directory / f"{table}.parquet"
            if not path.exists():
                path = next(directory.glob("application*.parquet"))
            con.execute(f"create or replace table t as from '{path}'")
            con.execute(f"update t set {change}")
            con.execute(f"copy t to '{path}' (format parquet)")
        path = directory / "installments_payments.parquet"
        con.execute(f"create or replace table t as from '{path}'")
        con.execute("delete from t where SK_ID_CURR % 3 = 0")
        con.execute(f"copy t to '{path}' (format parquet)")
    return directory


def rows(path: Path) -> Any:
    return pq.read_table(path).to_pylist()


def refuse(*_: object) -> None:
    raise AssertionError("Spark was to compute it")


def compare(published: Published, source: Path, tmp_path: Path, master: str) -> None:
    by_duckdb, by_spark = tmp_path / "duckdb.parquet", tmp_path / "spark.parquet"
    expected = score(published.home, source, by_duckdb, None).manifest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "compute_family", refuse)
        patch.setattr(batch, "score_features", refuse)
        found = score(published.home, source, by_spark, master).manifest
    assert rows(by_spark) == rows(by_duckdb), "to the last bit"
    assert rows(by_spark.with_name("spark.parquet.rejected.parquet")) == rows(
        by_duckdb.with_name("duckdb.parquet.rejected.parquet")
    )
    assert {name: found[name] for name in COUNTED} == {name: expected[name] for name in COUNTED}
    assert found["applications"] == found["scored"] + found["rejected"]
    assert min(found["scored"], found["rejected"]) > 0
    assert json.loads((tmp_path / "spark.parquet.manifest.json").read_text())["scored"] == found["scored"]


def test_spark_decides_as_duckdb_does(published: Published, source: Path, tmp_path: Path) -> None:
    compare(published, source, tmp_path, "local[2]")


def test_spark_decides_as_duckdb_does_on_several_executors(published: Published, source: Path, tmp_path: Path) -> None:
    compare(published, source, tmp_path, "local-cluster[2,1,1024]")
