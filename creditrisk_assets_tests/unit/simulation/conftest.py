"""One sample portfolio for the tests of its rows: about 9,200 labelled and 1,500 unlabelled applicants, read only."""

from collections.abc import Callable, Iterator

import duckdb
import numpy as np
import pytest

from creditrisk_assets.simulation.portfolio import TABLES, PortfolioSummary, write_portfolio

Ask = Callable[[str], list[tuple[object, ...]]]
Auc = Callable[[str], float]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> PortfolioSummary:
    return write_portfolio(tmp_path_factory.mktemp("sample"), scale=0.03, seed=3)


@pytest.fixture(scope="session")
def con(sample: PortfolioSummary) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        for table in TABLES:
            path = sample.path / f"{table}.csv"
            connection.execute(f"create table {table} as from read_csv('{path}', sample_size=-1)")
        connection.execute(
            "create view applicant as select SK_ID_CURR, true as is_train from application_train "
            "union all select SK_ID_CURR, false from application_test"
        )
        yield connection


@pytest.fixture(scope="session")
def ask(con: duckdb.DuckDBPyConnection) -> Ask:
    def run(sql: str) -> list[tuple[object, ...]]:
        return con.execute(sql).fetchall()

    return run


@pytest.fixture(scope="session")
def auc(con: duckdb.DuckDBPyConnection) -> Auc:
    """AUC against TARGET of a score per applicant: SQL giving SK_ID_CURR and x; ties count one half, nulls are left out."""

    def measure(sql: str) -> float:
        rows = con.execute(
            f"select x, TARGET from ({sql}) join application_train using (SK_ID_CURR) where x is not null"
        )
        x, target = (np.asarray(column, dtype=float) for column in rows.fetchnumpy().values())
        good, bad = np.sort(x[target == 0]), x[target == 1]
        below = np.searchsorted(good, bad, side="left") + np.searchsorted(good, bad, side="right")
        return float(below.mean() / 2 / len(good))

    return measure
