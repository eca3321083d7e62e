"""Any table made of declared values passes its contract; one value outside it fails exactly its own rule."""

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import ColumnSpec, TableContract
from creditrisk_assets_tests.contract.tables import put, valid_rows

QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NARROW = [contract for contract in SOURCES.values() if len(contract.columns) < 50]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def declared(spec: ColumnSpec) -> st.SearchStrategy[Any]:
    """Any value the contract of a column allows."""
    listed = spec.categories or spec.known_categories
    if listed:
        values: st.SearchStrategy[Any] = st.sampled_from(listed)
    elif spec.type == "int":
        values = st.integers(int(spec.minimum or 0), int(spec.maximum if spec.maximum is not None else 2**31 - 1))
    else:
        values = st.floats(spec.minimum, spec.maximum, allow_nan=False, allow_infinity=False)
    codes = [code for code in spec.sentinels if spec.type != "str"]
    values = values | st.sampled_from(codes).map(float if spec.type == "float" else int) if codes else values
    return values | st.none() if spec.nullable else values


def outside(spec: ColumnSpec) -> st.SearchStrategy[Any]:
    """Any value of its type that the contract of a column forbids."""
    options: list[st.SearchStrategy[Any]] = [] if spec.nullable else [st.none()]
    if spec.categories and spec.type == "str":
        options.append(st.text(min_size=1, max_size=5, alphabet="QZ").filter(lambda text: text not in spec.categories))
    elif spec.categories:
        options.append(st.integers(3, 99))
    if spec.type == "float":
        options.append(st.sampled_from([float("nan"), float("inf"), float("-inf")]))
    reach = 10**15 if spec.sql_type in ("DOUBLE", "BIGINT") else 2**31
    if spec.maximum is not None:
        options.append(st.integers(int(spec.maximum) + 1, reach - 1).filter(lambda value: value not in spec.sentinels))
    if spec.minimum is not None:
        options.append(st.integers(-reach, int(spec.minimum) - 1).filter(lambda value: value not in spec.sentinels))
    return st.one_of(options)


@pytest.mark.parametrize("contract", NARROW, ids=lambda contract: contract.table)
@QUICK
@given(data=st.data())
def test_declared_values_pass(contract: TableContract, data: st.DataObject, con: duckdb.DuckDBPyConnection) -> None:
    rows = valid_rows(contract, 3)
    for row in rows:
        for spec in contract.columns:
            if spec.name not in contract.key:
                row[spec.name] = data.draw(declared(spec), label=spec.name)
    report = check(con, put(con, contract, rows), contract)
    assert (report.failures, report.warnings) == ((), ()), report.summary()


@pytest.mark.parametrize("contract", NARROW, ids=lambda contract: contract.table)
@QUICK
@given(data=st.data())
def test_one_value_outside_fails_its_column_alone(
    contract: TableContract, data: st.DataObject, con: duckdb.DuckDBPyConnection
) -> None:
    closed = [spec for spec in contract.columns if spec.known_categories is None or not spec.nullable]
    spec = data.draw(st.sampled_from(closed), label="column")
    rows = valid_rows(contract, 3)
    rows[1][spec.name] = data.draw(st.none() if spec.known_categories else outside(spec), label="value")
    report = check(con, put(con, contract, rows), contract)
    assert {failure.column for failure in report.failures} == {spec.name}
    assert {failure.failed for failure in report.failures} == {1}


@QUICK
@given(order=st.permutations(range(6)))
def test_the_order_of_rows_changes_nothing(order: list[int], con: duckdb.DuckDBPyConnection) -> None:
    contract = SOURCES["pos_cash_balance"]
    rows = valid_rows(contract, 6)
    rows[1]["SK_DPD"], rows[4]["SK_DPD"], rows[5]["NAME_CONTRACT_STATUS"] = -1, -2, "?"
    expected = check(con, put(con, contract, rows), contract)
    assert check(con, put(con, contract, [rows[position] for position in order]), contract) == expected
