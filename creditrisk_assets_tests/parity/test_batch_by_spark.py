"""A batch scored with Spark is the batch scored by DuckDB."""

from pathlib import Path
from typing import Any

import pytest

from creditrisk_assets.features import spark
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.portfolio import draw_portfolio, publish, publish_features, train_bundle, write_raw
from creditrisk_serving.batches.champion import load_champion
from creditrisk_serving.batches.job import Batch, Outcome, score_batch
from creditrisk_serving.decisions.log import DecisionLog

pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(spark.missing() is not None, reason=f"Spark: {spark.missing()}"),
]
TWO_THREADS = "local[2]"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a published champion, and features for those who send no histories."""
    home = tmp_path / "home"
    (home / "raw").mkdir(parents=True)
    joined = publish_features(Lake(home / "lake"), write_raw(draw_portfolio(), home / "raw"))
    train_bundle(joined, home, home / "made" / "champion")
    publish(home / "made" / "champion", home)
    return home


def scored(home: Path, source: Path, out: Path, *, engine: Any, progress: Any = lambda *_: None) -> Outcome:
    settings = Settings(home=home, threads=1, engine=engine, spark_master=TWO_THREADS, memory_limit="1GB")
    log = DecisionLog(f"sqlite:///{out}.db", out.with_name(f"{out.name}.journal"), stored="database")
    try:
        return score_batch(Batch(source, out), settings, lambda: load_champion(settings), log, progress)
    finally:
        log.close()


def test_a_batch_is_scored_by_spark_to_the_bytes_of_duckdb_and_goes_on_where_it_was_stopped(
    home: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    other = draw_portfolio(seed=8)
    other.tables["application"][3]["AMT_CREDIT"] = -1
    write_raw(other, source)
    by_duckdb = scored(home, source, tmp_path / "duckdb.parquet", engine="duckdb").manifest

    def stop(step: str, done: int, _: int) -> None:
        if (step, done) == ("features", 4):
            raise KeyboardInterrupt

    out = tmp_path / "spark.parquet"
    with pytest.raises(KeyboardInterrupt):
        scored(home, source, out, engine="spark", progress=stop)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".spark.parquet.work/families/*.parquet")}
    assert len(kept) == 4

    def look(step: str, done: int, _: int) -> None:
        if (step, done) == ("scoring", 0):
            assert {path: path.stat().st_mtime_ns for path in kept} == kept

    outcome = scored(home, source, out, engine="spark", progress=look)
    assert outcome.resumed
    by_spark = outcome.manifest
    assert by_spark["applications"] == by_spark["scored"] + by_spark["rejected"]
    assert by_spark["rejected"] == 1
    own = {"batch_id", "started_at", "finished_at", "engine", "output", "rejected_output"}
    assert {n: v for n, v in by_spark.items() if n not in own} == {n: v for n, v in by_duckdb.items() if n not in own}
    for written in ("output", "rejected_output"):
        assert by_spark[written]["sha256"] == by_duckdb[written]["sha256"]
