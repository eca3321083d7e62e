"""Features equal those of a second implementation, on a lender's portfolio and on a hostile one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features.engine import build_family
from creditrisk_assets.features.families import APPLICATION_TABLES, FAMILIES
from creditrisk_assets_tests import oracle
from creditrisk_assets_tests.features.tables import typed
from creditrisk_assets_tests.oracle import hostile

TOLERANCE = 1e-9
SECOND = oracle.families()
NEAR = oracle.tolerances()


@dataclass(frozen=True)
class Loaded:
    """One portfolio as either side reads it."""

    parquet: Mapping[str, Path]
    frames: Mapping[str, pd.DataFrame]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


def loaded(con: duckdb.DuckDBPyConnection, source: Path, directory: Path) -> Loaded:
    frames = {
        table: pd.read_csv(
            source / f"{contract.stem}.csv", na_values=[""], keep_default_na=False, float_precision="round_trip"
        )
        for table, contract in SOURCES.items()
    }
    return Loaded(typed(con, source, directory), frames)


@pytest.fixture(scope="module")
def sample(con: duckdb.DuckDBPyConnection, portfolio: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return loaded(con, portfolio, tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def enemy(con: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    directory = tmp_path_factory.mktemp("enemy")
    hostile.write(directory, seed=11)
    return loaded(con, directory, directory)


def differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, list[tuple[int, object, object]]]:
    """Feature to the applicants it is not the same for, with both values; the first three of each."""
    found = {}
    for name in ours:
        left, right = ours[name], theirs[name]
        same = (left.isna() & right.isna()) | (left == right)
        if pd.api.types.is_numeric_dtype(left) and not pd.api.types.is_bool_dtype(left):
            a, b = left.to_numpy(float), right.to_numpy(float)
            same |= np.abs(a - b) <= NEAR.get(name, TOLERANCE) * np.maximum(np.abs(a), np.abs(b))
        if not same.all():
            wrong = pd.DataFrame({"ours": left, "theirs": right})[~same]
            found[name] = [(len(wrong), *row) for row in wrong.head(3).itertuples(name=None)]
    return found


@pytest.mark.parametrize("which", ["sample", "enemy"])
@pytest.mark.parametrize("name", list(SECOND))
def test_every_feature_is_what_another_implementation_says(
    name: str, which: str, con: duckdb.DuckDBPyConnection, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    portfolio: Loaded = request.getfixturevalue(which)
    family = FAMILIES[name]
    rows = build_family(con, family, portfolio.parquet, tmp_path / "ours.parquet")
    ours = con.execute(f"select * from '{tmp_path / 'ours.parquet'}'").df().set_index("sk_id_curr")
    theirs = SECOND[name](portfolio.frames)
    assert list(ours) == [feature.name for feature in family.features]
    assert sorted(theirs) == sorted(ours)
    assert sorted(theirs.index) == list(ours.index)
    assert rows > 100
    assert differences(ours, theirs.loc[ours.index]) == {}


def test_the_hostile_portfolio_keeps_the_contracts(con: duckdb.DuckDBPyConnection, enemy: Loaded) -> None:
    for table, contract in SOURCES.items():
        report = check(con, parquet(enemy.parquet[table]), contract)
        assert report.passed, report.to_dict()


def test_the_hostile_portfolio_has_what_it_is_for(enemy: Loaded) -> None:
    payments, balances = enemy.frames["installments_payments"], enemy.frames["credit_card_balance"]
    instalment = ["SK_ID_CURR", "SK_ID_PREV", "NUM_INSTALMENT_VERSION", "NUM_INSTALMENT_NUMBER"]
    key = [payments[column] for column in instalment]
    applicants = {applicant for table in APPLICATION_TABLES for applicant in enemy.frames[table]["SK_ID_CURR"]}
    months = balances.sort_values("MONTHS_BALANCE").groupby("SK_ID_PREV")["MONTHS_BALANCE"]
    found = {
        "equal rows": payments.duplicated(),
        "parts of an instalment": payments.groupby(instalment)["DAYS_ENTRY_PAYMENT"].nunique() > 1,
        "an unpaid part beside a paid one": payments["DAYS_ENTRY_PAYMENT"].isna().groupby(key).nunique() > 1,
        "due on one day": payments.drop_duplicates(instalment).duplicated(["SK_ID_CURR", "DAYS_INSTALMENT"]),
        "instalments alone": payments.groupby("SK_ID_CURR").size() == 1,
        "strangers": ~payments["SK_ID_CURR"].isin(applicants),
        "one credit of two applicants": payments.groupby("SK_ID_PREV")["SK_ID_CURR"].nunique() > 1,
        "gaps between months": months.diff() > 1,
        "balances alone": months.size() == 1,
        "two cards in a month": balances.duplicated(["SK_ID_CURR", "MONTHS_BALANCE"]),
        "no limit": balances["AMT_CREDIT_LIMIT_ACTUAL"] == 0,
        "nothing owed": balances["AMT_BALANCE"] == 0,
        "owed to the client": balances["AMT_BALANCE"] < 0,
    }
    assert [name for name, rows in found.items() if rows.sum() < 5] == []
