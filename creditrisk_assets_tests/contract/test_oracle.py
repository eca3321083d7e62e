"""The rendered SQL decides every kind of rule as Pandera does: one table that passes and one that fails in both."""

from dataclasses import dataclass
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from pandera.api.checks import Check
from pandera.errors import SchemaError

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.catalogue import all_tables
from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.render import sql
from creditrisk_assets.contracts.rules import RULES, column_rules
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import ContractError, TableContract
from creditrisk_assets_tests.contract.tables import put

# ibis 12 calls two DuckDB methods that DuckDB 1.5 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:fetch_(arrow_table|record_batch).. is deprecated:DeprecationWarning")

ALL = all_tables()


@dataclass(frozen=True)
class Kind:
    """One kind of rule with values that obey it and one that does not."""

    rule: str
    field: Any
    dtype: Any
    good: tuple[Any, ...]
    bad: Any

    def contract(self) -> TableContract:
        body = {"__annotations__": {"ID": dt.Int64, "X": self.dtype}, "ID": f.key("key"), "X": self.field()}
        body["Config"] = type("Config", (), {"strict": True, "unique": ("ID",)})
        return TableContract(table="subject", model=type(pa.DataFrameModel)("Subject", (pa.DataFrameModel,), body))


NAN, INF = float("nan"), float("inf")

KINDS = {
    "at least": Kind("minimum", lambda: pa.Field(ge=0), dt.Float64, (0.0, 1.5), -0.1),
    "above": Kind("minimum", lambda: pa.Field(gt=0), dt.Int32, (1, 2), 0),
    "at most": Kind("maximum", lambda: pa.Field(le=1), dt.Float64, (1.0, -3.0), 1.0000001),
    "below": Kind("maximum", lambda: pa.Field(lt=1), dt.Float64, (0.999,), 1.0),
    "between": Kind("range", lambda: pa.Field(in_range=(0, 10)), dt.Int64, (0, 10), 11),
    "strictly between": Kind("range", lambda: pa.Field(in_range=(0, 10, False, False)), dt.Int64, (1, 9), 10),
    "between or code": Kind(
        "range_or_sentinel", lambda: f.days("", sentinels={365243: "none"}), dt.Int32, (0, 365243), 1
    ),
    "between or code, below": Kind(
        "range_or_sentinel", lambda: f.days("", sentinels={365243: ""}), dt.Float64, (-9.0,), -1e6
    ),
    "between or code, not a number": Kind(
        "range_or_sentinel", lambda: f.days("", sentinels={365243: ""}), dt.Float64, (365243.0,), NAN
    ),
    "text on the list": Kind("category", lambda: f.category("", ["it's", "b"]), dt.String, ("it's", "b"), "B"),
    "code on the list": Kind("category", lambda: f.code("", [-1, 1, 2]), dt.Int32, (-1, 2), 0),
    "flag as a float": Kind("category", lambda: f.flag("", nullable=True), dt.Float64, (0.0, 1.0, None), 0.5),
    "open list": Kind("vocabulary", lambda: f.vocabulary("", ["a", "b"]), dt.String, ("a", "b"), "c"),
    "ruled out": Kind("forbidden_value", lambda: pa.Field(notin=["x", "y"]), dt.String, ("z",), "y"),
    "not that": Kind("forbidden_value", lambda: pa.Field(ne=0), dt.Int64, (1,), 0),
    "exactly that": Kind("equal", lambda: pa.Field(eq=7), dt.Int64, (7, 7), 8),
    "form": Kind("pattern", lambda: pa.Field(str_matches=r"[A-E]\d"), dt.String, ("A1", "E9x"), "xA1"),
    "contains": Kind("pattern", lambda: pa.Field(str_contains=r"\d"), dt.String, ("a1",), "ab"),
    "starts": Kind("pattern", lambda: pa.Field(str_startswith="sk_"), dt.String, ("sk_id",), "id"),
    "ends": Kind("pattern", lambda: pa.Field(str_endswith="%"), dt.String, ("5%",), "5"),
    "length": Kind(
        "length", lambda: pa.Field(str_length={"min_value": 2, "max_value": 3}), dt.String, ("ab", "abc"), "a"
    ),
    "too long": Kind("length", lambda: pa.Field(str_length={"max_value": 3}), dt.String, ("", "äöü"), "abcd"),
    "exact length": Kind("length", lambda: pa.Field(str_length={"exact_value": 2}), dt.String, ("ab",), "abc"),
    "known": Kind("not_null", lambda: pa.Field(), dt.String, ("a",), None),
    "a number": Kind("finite", lambda: pa.Field(finite={}, nullable=True), dt.Float64, (1.0, None), NAN),
    "finite": Kind("finite", lambda: pa.Field(finite={}), dt.Float64, (1.0,), INF),
    "finite below": Kind("finite", lambda: pa.Field(finite={}), dt.Float64, (1.0,), -INF),
    "yes or no": Kind("equal", lambda: pa.Field(eq=True), dt.Boolean, (True,), False),
}


def oracle_accepts(con: duckdb.DuckDBPyConnection, contract: TableContract, table: str) -> bool:
    try:
        contract.model.validate(ibis.duckdb.from_connection(con).table(table))
    except SchemaError:
        return False
    return True


@pytest.mark.parametrize("name", KINDS)
def test_sql_and_pandera_accept_what_obeys_a_rule(name: str, con: duckdb.DuckDBPyConnection) -> None:
    kind = KINDS[name]
    contract = kind.contract()
    put(con, contract, [{"ID": number, "X": value} for number, value in enumerate(kind.good)])
    report = check(con, "subject", contract)
    assert report.passed, report.summary()
    assert not report.warnings
    assert oracle_accepts(con, contract, "subject")


@pytest.mark.parametrize("name", KINDS)
def test_sql_and_pandera_refuse_what_breaks_a_rule(name: str, con: duckdb.DuckDBPyConnection) -> None:
    kind = KINDS[name]
    contract = kind.contract()
    put(con, contract, [{"ID": number, "X": value} for number, value in enumerate((*kind.good, kind.bad))])
    report = check(con, "subject", contract)
    found = {result.rule: result for result in report.failures}
    assert kind.rule in found, report.summary()
    assert (found[kind.rule].column, found[kind.rule].failed) == ("X", 1)
    assert found[kind.rule].sample_keys == (f"ID={len(kind.good)}",)
    assert not oracle_accepts(con, contract, "subject")


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.rule not in ("not_null", "finite")])
def test_null_breaks_no_rule_but_not_null(name: str, con: duckdb.DuckDBPyConnection) -> None:
    kind = KINDS[name]
    contract = kind.contract()
    put(con, contract, [{"ID": number, "X": value} for number, value in enumerate((*kind.good, None))])
    assert {result.rule for result in check(con, "subject", contract).failures} <= {"not_null"}


def test_a_label_must_have_both_classes(con: duckdb.DuckDBPyConnection) -> None:
    kind = Kind("all_values_present", lambda: f.label(""), dt.Int32, (0, 1), 1)
    contract = kind.contract()
    put(con, contract, [{"ID": 1, "X": 0}, {"ID": 2, "X": 1}])
    assert check(con, "subject", contract).passed
    assert oracle_accepts(con, contract, "subject")
    put(con, contract, [{"ID": 1, "X": 1}, {"ID": 2, "X": 1}])
    (failure,) = check(con, "subject", contract).failures
    assert (failure.rule, failure.column, failure.failed) == ("all_values_present", "X", 1)
    assert not oracle_accepts(con, contract, "subject")


def test_an_unknown_word_of_an_open_list_warns_until_it_is_common(con: duckdb.DuckDBPyConnection) -> None:
    contract = KINDS["open list"].contract()
    put(con, contract, [{"ID": number, "X": "new" if number < 5 else "a"} for number in range(100)])
    report = check(con, "subject", contract)
    assert report.passed
    assert [(result.rule, result.failed) for result in report.warnings] == [("vocabulary", 5)]
    assert oracle_accepts(con, contract, "subject")
    put(con, contract, [{"ID": number, "X": "new" if number < 6 else "a"} for number in range(100)])
    assert not check(con, "subject", contract).passed
    assert not oracle_accepts(con, contract, "subject")


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        (("A",), [(1, 1), (1, 2)]),
        (("A", "B"), [(1, 1), (1, 2), (2, 1), (1, 2)]),
        (("A", "B"), [(-5, 10**15), (10**12, 3), (-5, 10**15)]),  # too wide for one bit per key
    ],
)
def test_sql_and_pandera_find_a_repeated_key(
    key: tuple[str, ...], rows: list[tuple[int, int]], con: duckdb.DuckDBPyConnection
) -> None:
    body: dict[str, Any] = {"__annotations__": {"A": dt.Int64, "B": dt.Int64}, "A": pa.Field(), "B": pa.Field()}
    body["Config"] = type("Config", (), {"strict": True, "unique": key})
    contract = TableContract(table="subject", model=type(pa.DataFrameModel)("Subject", (pa.DataFrameModel,), body))
    put(con, contract, [{"A": a, "B": b} for a, b in rows])
    (failure,) = check(con, "subject", contract).failures
    assert (failure.rule, failure.failed) == ("unique_key", 1)
    assert failure.sample_keys == (
        ", ".join(f"{name}={rows[-1]['AB'.index(name)] if len(key) > 1 else 1}" for name in key),
    )
    assert not oracle_accepts(con, contract, "subject")
    put(con, contract, [{"A": a, "B": b} for a, b in rows[:-1]])
    assert check(con, "subject", contract).passed
    assert oracle_accepts(con, contract, "subject")


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        ("missing_column", "alter table subject drop column X"),
        ("unknown_column", "alter table subject add column Y integer"),
        ("column_type", "alter table subject alter column X type bigint"),
    ],
)
def test_sql_and_pandera_refuse_another_shape(rule: str, statement: str, con: duckdb.DuckDBPyConnection) -> None:
    contract = KINDS["at least"].contract()
    put(con, contract, [{"ID": 1, "X": 1.0}])
    con.execute(statement)
    assert [result.rule for result in check(con, "subject", contract).failures] == [rule]
    assert not oracle_accepts(con, contract, "subject")


@pytest.mark.parametrize("contract", ALL, ids=lambda contract: contract.lake_key)
def test_every_check_of_every_contract_renders(contract: TableContract, con: duckdb.DuckDBPyConnection) -> None:
    put(con, contract, [])
    rules = column_rules(contract)
    assert {rule.name for rule in rules} <= set(RULES)
    con.execute(sql.one_pass("subject", [rule.aggregate for rule in rules]))


def test_every_declared_table_is_found() -> None:
    assert {contract.lake_key for contract in SOURCES.values()} < {contract.lake_key for contract in ALL}
    assert "features/applicant" in {contract.lake_key for contract in ALL}


def test_every_kind_of_check_in_use_has_an_oracle() -> None:
    used = {rule.name for contract in ALL for rule in column_rules(contract)}
    assert used <= {kind.rule for kind in KINDS.values()} | {"all_values_present"}


def test_a_check_that_cannot_be_rendered_is_refused() -> None:
    kind = Kind("", lambda: pa.Field(ge=0), dt.Int64, (), None)
    contract = kind.contract()
    contract.schema.columns["X"].checks.append(Check(lambda data: data.table[data.key] > 1, name="homemade"))
    with pytest.raises(ContractError, match=r"subject\.X: check 'homemade' cannot be rendered"):
        column_rules(contract)


def test_a_check_across_columns_is_refused() -> None:
    contract = KINDS["at least"].contract()
    contract.schema.checks.append(Check(lambda data: data.table.ID > data.table.X, name="across"))
    with pytest.raises(ContractError, match="dataframe checks"):
        column_rules(contract)


def test_a_unique_field_is_refused_because_pandera_would_ignore_it() -> None:
    contract = Kind("", lambda: pa.Field(unique=True), dt.Int64, (), None).contract()
    with pytest.raises(ContractError, match="silently ignored"):
        _ = contract.columns
