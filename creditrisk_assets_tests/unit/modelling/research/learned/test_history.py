"""Which rows of a history table are read, and what a model of rows says of applicants."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.research.learned.crossfit import LearnedError
from creditrisk_assets.modelling.research.learned.history import (
    History,
    HistoryModel,
    depth_within,
    known_columns,
    read_history,
)

BUREAU, PREVIOUS = SOURCES["bureau"], SOURCES["previous_application"]


def write(path: Path, contract: SourceContract, rows: list[dict[str, object]]) -> Path:
    """Write a raw table: what a row does not say is NULL."""
    columns = {c.name: [row.get(c.name) for row in rows] for c in contract.columns}
    frame = pd.DataFrame(
        {
            n: pd.Series(v, dtype="float64" if c.type != "str" else object)
            for (n, v), c in zip(columns.items(), contract.columns, strict=True)
        }
    )
    frame.to_parquet(path / "data.parquet", index=False)
    return path / "data.parquet"


@pytest.fixture
def bureau(tmp_path: Path) -> Path:
    rows = [(7, -30), (7, -10), (7, -400), (8, -5), (9, -1), (9, -2), (9, -3), (9, -4)]
    return write(
        tmp_path, BUREAU, [{"SK_ID_CURR": a, "SK_ID_BUREAU": i, "DAYS_CREDIT": d} for i, (a, d) in enumerate(rows)]
    )


def test_only_numbers_known_at_application_are_read() -> None:
    names = {column.name for column in known_columns(PREVIOUS, {"AMT_ANNUITY"})}
    assert {"AMT_CREDIT", "DAYS_DECISION", "CNT_PAYMENT"} <= names
    assert not {"SK_ID_PREV", "SK_ID_CURR", "NAME_CONTRACT_STATUS", "AMT_ANNUITY"} & names
    for contract in SOURCES.values():
        assert "TARGET" not in {column.name for column in known_columns(contract, ())}


def test_the_latest_rows_of_each_applicant_are_read_in_the_order_asked(
    bureau: Path, con: duckdb.DuckDBPyConnection
) -> None:
    found = read_history(con, BUREAU, bureau, np.array([9, 5, 7]), depth=2)
    assert found.counts.tolist() == [2, 0, 2]
    assert found.values[:, found.columns.index("DAYS_CREDIT")].tolist() == [-1, -2, -10, -30]


@pytest.mark.parametrize(("budget", "depth"), [(8, 4), (7, 3), (6, 2), (5, 2), (3, 1), (1, 1)])
def test_the_depth_keeps_to_the_budget(bureau: Path, con: duckdb.DuckDBPyConnection, budget: int, depth: int) -> None:
    ids = np.array([7, 8, 9])
    assert depth_within(con, BUREAU, bureau, ids, budget=budget) == depth
    assert depth_within(con, BUREAU, bureau, np.array([1]), budget=budget) == 1  # nobody has a row


def test_codes_that_are_no_days_are_missing(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    rows = [
        {"SK_ID_CURR": 1, "DAYS_DECISION": -3, "DAYS_TERMINATION": 365243},
        {"SK_ID_CURR": 1, "DAYS_DECISION": -9, "DAYS_TERMINATION": -7},
    ]
    found = read_history(con, PREVIOUS, write(tmp_path, PREVIOUS, rows), np.array([1]), depth=5)
    column = found.values[:, found.columns.index("DAYS_TERMINATION")]
    assert np.isnan(column[0])
    assert column[1] == -7


def test_an_applicants_history_does_not_depend_on_the_others_asked_for(
    bureau: Path, con: duckdb.DuckDBPyConnection
) -> None:
    alone = read_history(con, BUREAU, bureau, np.array([7]), depth=3)
    among = read_history(con, BUREAU, bureau, np.array([9, 8, 7]), depth=3).take(np.array([2]))
    assert np.array_equal(alone.values, among.values, equal_nan=True)
    assert alone.starts.tolist() == among.starts.tolist()


def test_a_table_without_dates_is_refused(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(LearnedError, match="application_train has no dated rows"):
        read_history(con, SOURCES["application_train"], tmp_path / "none", np.array([1]), depth=1)


def test_what_rows_tell_is_found_and_summed_up() -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 6, 3000)
    starts = np.concatenate([[0], np.cumsum(counts)])
    target = (random.random(3000) < 0.3).astype(np.int64)
    rows = random.normal(size=(starts[-1], 2)).astype(np.float32)
    rows[:, 0] += np.repeat(target, counts)
    history = History(("signal", "noise"), starts, rows)
    values = HistoryModel(trees=20, rows_per_leaf=20).fit_transform(history, target, ids=np.arange(3000))
    assert np.isnan(values[counts == 0]).all()
    mean, largest, smallest, last = values[counts > 0].T
    assert (smallest <= mean + 1e-12).all()
    assert (mean <= largest + 1e-12).all()
    assert ((smallest <= last) & (last <= largest)).all()
    assert auc_interval(target[counts > 0], mean).low > 0.75
    single = values[counts == 1]
    assert np.array_equal(single, np.repeat(single[:, :1], 4, axis=1))


@pytest.mark.parametrize(
    "counts", [np.zeros(40, np.int64), np.array([1] * 20 + [0] * 20)], ids=["no rows", "rows of one class"]
)
def test_where_rows_tell_nothing_nothing_is_said(counts: np.ndarray) -> None:
    target = np.array([0] * 20 + [1] * 20)
    starts = np.concatenate([[0], np.cumsum(counts)])
    history = History(("x",), starts, np.ones((starts[-1], 1), np.float32))
    values = HistoryModel(trees=2, rows_per_leaf=1).fit_transform(history, target, ids=np.arange(40))
    assert np.isnan(values).all()
