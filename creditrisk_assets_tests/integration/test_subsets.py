"""Kaggle's files unchanged and subsets of them: packed, in Parquet, cut by hand, with tables drawn apart from each other."""

import gzip
import shutil
import zipfile
from pathlib import Path

import duckdb

from creditrisk_assets import running
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings


def draw(portfolio: Path, out: Path, table: str, condition: str) -> None:
    with duckdb.connect() as con:
        source = f"read_csv('{portfolio}/{table}.csv', all_varchar = true)"
        con.execute(f"copy (from {source} where {condition}) to '{out}/{table}.csv' (header)")


def test_a_subset_with_tables_drawn_apart_runs_to_scored_applicants(portfolio: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    draw(portfolio, source, "application_train", "hash(SK_ID_CURR) % 10 < 8")
    draw(portfolio, source, "application_test", "true")
    draw(portfolio, source, "bureau", "hash(SK_ID_CURR) % 10 < 3")
    draw(portfolio, source, "bureau_balance", "hash(SK_ID_BUREAU) % 2 = 0")
    draw(portfolio, source, "previous_application", "hash(SK_ID_CURR) % 10 < 5")
    draw(portfolio, source, "POS_CASH_balance", "hash(SK_ID_PREV) % 4 = 0")
    draw(portfolio, source, "installments_payments", "hash(SK_ID_PREV || AMT_PAYMENT) % 20 = 0")
    draw(portfolio, source, "credit_card_balance", "hash(SK_ID_CURR) % 10 = 1")
    (source / "HomeCredit_columns_description.csv").write_bytes("Tabelle, Bemerkung für cp1252".encode("cp1252"))
    bureau, cards, pos = source / "bureau.csv", source / "credit_card_balance.csv", source / "POS_CASH_balance.csv"
    with zipfile.ZipFile(source / "bureau.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(bureau, "bureau.csv")
    with cards.open("rb") as plain, gzip.open(source / "credit_card_balance.csv.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    with duckdb.connect() as con:  # as pandas would write it: counts with a NULL among them are doubles
        con.execute(f"copy (from read_csv('{pos}')) to '{source}/POS_CASH_balance.parquet' (format parquet)")
    for packed in (bureau, cards, pos):
        packed.unlink()
    source = source.rename(tmp_path / "a source with spaces, it's fine")
    settings = Settings()
    remember_source(settings, source)
    result = running.materialize(settings)
    assert result.failures == []
    scores = Lake(settings.lake).require("serving/batch_scores")
    assert scores.manifest.metadata["facts"]["rows"] > 100
    checks = Lake(settings.lake).require("raw/pos_cash_balance").manifest.metadata["checks"]
    orphans = next(check for check in checks if check["name"] == "contract")
    assert not orphans["passed"]
    assert orphans["severity"] == "WARN"


def test_another_source_is_no_shrunken_feed(portfolio: Path, tmp_path: Path) -> None:
    settings = Settings()
    remember_source(settings, portfolio)
    tables = "raw/application_train,raw/application_test"
    assert running.materialize(settings, tables).failures == []
    small = tmp_path / "small"
    small.mkdir()
    draw(portfolio, small, "application_train", "hash(SK_ID_CURR) % 10 < 2")
    draw(portfolio, small, "application_test", "hash(SK_ID_CURR) % 10 < 2")
    remember_source(settings, small)
    assert running.materialize(settings, tables).failures == []
