"""Engines for the tests of features."""

from collections.abc import Iterator

import duckdb
import pytest

from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.features.request import RequestFeatures


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


@pytest.fixture(scope="session")
def requests() -> RequestFeatures:
    return RequestFeatures(render_plan())
