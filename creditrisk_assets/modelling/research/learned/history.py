"""Models of single rows of a history table, and what they say of the applicant.

What belongs here: the rows (which columns, how many), the model of a row, its aggregates. What does not: cross-fitting (`crossfit`), where
the tables lie (`defs`).

Each row is given the outcome of its applicant as label: what does a credit look like that belongs to somebody who defaults? Rows are of the
past on the application day, by the contracts; columns that are identifiers, outcomes, texts or protected are not read.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from creditrisk_assets.contracts.render.sql import identifier, literal, parquet
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.table import ColumnSpec
from creditrisk_assets.modelling.research.learned.crossfit import CrossFitted, Ids, LearnedError, Numbers, Outcomes
from creditrisk_assets.modelling.research.learned.scores import lightgbm_settings

APPLICANT = "SK_ID_CURR"
NOT_KNOWN_AT_APPLICATION = frozenset({"key", "outcome"})
AGGREGATES = ("mean", "max", "min", "last")


@dataclass(frozen=True)
class History:
    """The rows some applicants have in a table, applicant by applicant, the latest first."""

    columns: tuple[str, ...]
    starts: NDArray[np.int64]  # (applicants + 1,) where each applicant's rows begin
    values: NDArray[np.float32]  # (rows, columns) NaN where missing

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each applicant."""
        return np.diff(self.starts)

    def take(self, rows: NDArray[np.int64]) -> "History":
        """Return some of the applicants with their rows, in the order given."""
        counts = self.counts[rows]
        starts = np.concatenate([[0], np.cumsum(counts)])
        places = np.repeat(self.starts[rows] - starts[:-1], counts) + np.arange(starts[-1])
        return History(self.columns, starts, self.values[places])


def known_columns(contract: SourceContract, prohibited: Collection[str]) -> tuple[ColumnSpec, ...]:
    """Return the columns of numbers that are known at application and may be looked at.

    Parameters
    ----------
    contract
        Of the table.
    prohibited
        Raw columns that the policy keeps out of the model.
    """
    return tuple(
        column
        for column in contract.columns
        if column.type in {"int", "float"}
        and column.dating not in NOT_KNOWN_AT_APPLICATION
        and not column.protected
        and column.name not in prohibited
    )


def depth_within(con: duckdb.DuckDBPyConnection, contract: SourceContract, path: Path, ids: Ids, *, budget: int) -> int:
    """Find how many of each applicant's latest rows may be read.

    Parameters
    ----------
    con
        A DuckDB connection.
    contract, path
        The table.
    ids : (n,)
        The applicants.
    budget
        Rows to read at most, in all.

    Returns
    -------
    int
        The largest depth within the budget, 1 at least.
    """
    query = f"select count(*) from {parquet(path)} join applicants using ({APPLICANT}) group by {APPLICANT}"  # noqa: S608 - a quoted path
    with _applicants(con, ids):
        counts = np.array([count for (count,) in con.execute(query).fetchall()], dtype=np.int64)
    at_depth = np.cumsum(np.bincount(counts)[::-1])[::-1][1:]  # applicants with at least so many rows
    return max(1, int((np.cumsum(at_depth) <= budget).sum()))


def read_history(
    con: duckdb.DuckDBPyConnection,
    contract: SourceContract,
    path: Path,
    ids: Ids,
    *,
    depth: int,
    prohibited: Collection[str] = (),
) -> History:
    """Read the latest rows of some applicants.

    Parameters
    ----------
    con, contract, path, ids
        As in `depth_within`; the history is in the order of the ids.
    depth
        Rows of each applicant, at most: new applicants must be read as deep as those that were learned from.
    prohibited
        As in `known_columns`.

    Returns
    -------
    History
        Codes that are no values (365243 days) are NaN. Rows of one day are ordered by their values.

    Raises
    ------
    LearnedError
        The table has no date or no column that may be looked at.
    """
    columns = known_columns(contract, prohibited)
    if contract.dated_by is None or not columns:
        raise LearnedError(
            f"{contract.table} has no dated rows with numbers known at application; choose another table"
        )
    names = ", ".join(identifier(column.name) for column in columns)
    query = f"""
        with latest as (
            select applicant, {", ".join(map(_value, columns))},
                row_number() over (
                    partition by applicant order by {identifier(contract.dated_by)} desc, {names}) as place
            from {parquet(path)} join applicants using ({APPLICANT})
        )
        select applicant, {names} from latest where place <= {int(depth)} order by applicant, place
    """  # noqa: S608 - quoted names of the contract, a quoted path and a number
    with _applicants(con, ids):
        table = con.execute(query).to_arrow_table()
    counts = np.bincount(np.array(table.column("applicant"), dtype=np.int64), minlength=len(ids))
    values = np.column_stack([table.column(column.name).to_numpy() for column in columns])
    return History(
        tuple(column.name for column in columns), np.concatenate([[0], np.cumsum(counts)]), values.astype(np.float32)
    )


class HistoryModel(CrossFitted):
    """Model single rows by LightGBM; give the mean, largest, smallest and latest log-odds of the applicant's rows.

    Each applicant weighs the same, however many rows there are. Log-odds are less those of everybody with a row. An applicant without rows
    has NaN, and everybody has where no row, or only rows of one outcome, can be learned from.

    Parameters
    ----------
    trees, leaves, learning_rate, rows_per_leaf
        Of LightGBM.
    folds, seed
        Of cross-fitting; the seed is LightGBM's too.
    """

    def __init__(
        self,
        *,
        trees: int = 60,
        leaves: int = 12,
        learning_rate: float = 0.08,
        rows_per_leaf: int = 200,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.trees = trees
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.rows_per_leaf = rows_per_leaf
        self.folds = folds
        self.seed = seed

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return a name for each aggregate."""
        return np.array([f"row_log_odds_{name}" for name in AGGREGATES], dtype=object)

    def _learn(self, rows: History, target: Outcomes) -> Any:
        """Return LightGBM's booster; None: nothing can be learned."""
        from lightgbm import LGBMClassifier  # noqa: PLC0415 - seconds of imports, for training alone

        counts = rows.counts
        if len(np.unique(target[counts > 0])) < 2:
            return None
        labels, weights = np.repeat(target, counts), np.repeat(1 / np.maximum(counts, 1), counts)
        rate = float(target[counts > 0].mean())
        # A start given is no part of the predictions: what is left are log-odds less those of everybody.
        start = np.full(len(labels), np.log(rate / (1 - rate)))
        model = LGBMClassifier(**lightgbm_settings(self), min_child_weight=0.0)
        return model.fit(rows.values, labels, sample_weight=weights, init_score=start).booster_

    def _apply(self, learned: Any, rows: History) -> Numbers:
        columns = np.full((len(rows), len(AGGREGATES)), np.nan)
        some = rows.counts > 0
        if learned is None or not some.any():
            return columns
        margins = learned.predict(rows.values, raw_score=True, num_threads=1)
        starts = rows.starts[:-1][some]
        columns[some, 0] = np.add.reduceat(margins, starts) / rows.counts[some]
        columns[some, 1] = np.maximum.reduceat(margins, starts)
        columns[some, 2] = np.minimum.reduceat(margins, starts)
        columns[some, 3] = margins[starts]
        return columns


@contextmanager
def _applicants(con: duckdb.DuckDBPyConnection, ids: Ids) -> Iterator[None]:
    """Let queries see the applicants as a table, for as long as the block lasts."""
    con.register("applicants", pa.table({APPLICANT: ids, "applicant": np.arange(len(ids))}))
    try:
        yield
    finally:
        con.unregister("applicants")


def _value(column: ColumnSpec) -> str:
    name = identifier(column.name)
    if not column.sentinels:
        return f"{name}::double as {name}"
    codes = ", ".join(literal(code) for code in column.sentinels)
    return f"case when {name} not in ({codes}) then {name}::double end as {name}"
