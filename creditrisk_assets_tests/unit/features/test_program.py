"""Families as programs: every clause and expression gives what DuckDB gives, and what is not known is named and left to DuckDB."""

import json
import math
from decimal import Context, Decimal
from typing import Any

import duckdb
import pytest

from creditrisk_assets.features.compiled import UNSETTLED, CompileError, Odd
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.features.program import ProgramError, render_program
from creditrisk_assets.features.relations import compile_family
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.features.worker import Worker

Row = dict[str, Any]
LOANS = [("SK_ID_CURR", "BIGINT"), ("LOAN", "BIGINT"), ("DAY", "INTEGER"), ("AMT", "DOUBLE"), ("KIND", "VARCHAR")]
PAYMENTS = [("LOAN", "BIGINT"), ("NUMBER", "INTEGER"), ("PAID", "DOUBLE")]
TABLES = {"loans": LOANS, "payments": PAYMENTS}
ROWS: dict[str, list[Row]] = {
    "loans": [
        {"SK_ID_CURR": 1, "LOAN": 10, "DAY": -5, "AMT": 100.5, "KIND": "cash"},
        {"SK_ID_CURR": 1, "LOAN": 11, "DAY": -50, "AMT": None, "KIND": "cash X"},
        {"SK_ID_CURR": 1, "LOAN": 12, "DAY": None, "AMT": 0.0, "KIND": None},
        {"SK_ID_CURR": 2, "LOAN": 20, "DAY": -7, "AMT": 2.5, "KIND": "POS"},
        {"SK_ID_CURR": 2, "LOAN": 21, "DAY": -8, "AMT": 3.5, "KIND": ""},
        {"SK_ID_CURR": 3, "LOAN": 30, "DAY": 365243, "AMT": 1e9, "KIND": "a cash"},
        {"SK_ID_CURR": None, "LOAN": 40, "DAY": -1, "AMT": 1.0, "KIND": "cash"},
    ],
    "payments": [
        {"LOAN": 10, "NUMBER": 1, "PAID": 50.0},
        {"LOAN": 10, "NUMBER": 2, "PAID": None},
        {"LOAN": 20, "NUMBER": 1, "PAID": 0.1},
        {"LOAN": 20, "NUMBER": 2, "PAID": 0.2},
        {"LOAN": 20, "NUMBER": 3, "PAID": 0.3},
        {"LOAN": None, "NUMBER": 1, "PAID": 1.0},
        {"LOAN": 99, "NUMBER": 1, "PAID": 1.0},
    ],
}


def by_duckdb(
    sql: str, tables: dict[str, list[tuple[str, str]]] = TABLES, rows: dict[str, list[Row]] = ROWS
) -> list[tuple[Any, ...]]:
    with duckdb.connect() as con:
        for table, columns in tables.items():
            con.execute(f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in columns)})")
            for row in rows.get(table, ()):
                places = ", ".join("?" for _ in columns)
                con.execute(f"insert into {table} values ({places})", [row[name] for name, _ in columns])
        return con.execute(sql).fetchall()


def types_of(sql: str, tables: dict[str, list[tuple[str, str]]] = TABLES) -> list[tuple[str, str]]:
    with duckdb.connect() as con:
        for table, columns in tables.items():
            con.execute(f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in columns)})")
        return [(row[0].lower(), row[1]) for row in con.execute(f"describe {sql}").fetchall()]


def comparable(value: Any, kind: str) -> Any:
    """A value as a program holds it: decimals are whole numbers."""
    if isinstance(value, Decimal):
        return int(value.scaleb(int(kind.split(",")[1].rstrip(")")), Context(prec=60)))
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def by_program(sql: str, rows: dict[str, list[Row]] = ROWS) -> list[tuple[Any, ...]]:
    columns = [column for column in types_of(sql) if column[0] != "sk_id_curr"]
    program = json.loads(json.dumps(render_program(sql, TABLES, columns)))
    return compile_family(program).rows(rows)


CLAUSES = {
    "projection": "select sk_id_curr, amt * 2 as x, day + 1 as y, kind as z from loans",
    "where": "select sk_id_curr, loan as x from loans where day < -5 and kind is not null",
    "where is null": "select sk_id_curr, loan as x from loans where not (day > -6)",
    "derived table": "select sk_id_curr, x + 1 as y from (select sk_id_curr, day * 2 as x from loans where amt is not null) as q",
    "cte used twice": "with a as (select sk_id_curr, day + 1 as x from loans), b as (select sk_id_curr, max(x) as m"
    " from a group by sk_id_curr)"
    " select a.sk_id_curr, a.x - b.m as y from a inner join b on a.sk_id_curr = b.sk_id_curr",
    "group": "select sk_id_curr, count(*) as n, count(day) as d, sum(day) as s, min(amt) as a, max(kind) as k"
    " from loans group by sk_id_curr",
    "group by expression": "select sk_id_curr, case when day < -6 then 1 else 2 end as bucket, count(*) as n from loans"
    " group by sk_id_curr, case when day < -6 then 1 else 2 end",
    "group by a double": "select sk_id_curr, amt * 0 as zero, count(*) as n from loans group by sk_id_curr, amt * 0",
    "group by alias": "select sk_id_curr, kind = 'cash' as is_cash, count(*) as n from loans group by sk_id_curr, is_cash",
    "arithmetic over aggregates": "select sk_id_curr, -max(day) as d, cast(sum(day) as double) / nullif(count(day), 0) as mean,"
    " max(day) - min(day) as spread from loans group by sk_id_curr",
    "sum of decimals": "select sk_id_curr, cast(sum(cast(amt as decimal(18, 3))) as double) as s, sum(cast(amt as decimal(18, 3))) as t"
    " from loans group by sk_id_curr",
    "sum of whole doubles": "select sk_id_curr, sum(round(amt)) as s from loans group by sk_id_curr",
    "aggregate of a condition": "select sk_id_curr, sum(case when day > -8 then 1 else 0 end) as s,"
    " count(case when kind like 'cash%' then 1 end) as c from loans group by sk_id_curr",
    "filter": "select sk_id_curr, count(*) filter (where day > -8) as c, sum(day) filter (where amt > 1) as s"
    " from loans group by sk_id_curr",
    "count distinct": "select sk_id_curr, count(distinct kind) as k, count(distinct day % 2) as d from loans group by sk_id_curr",
    "distinct": "select distinct sk_id_curr, kind like '%cash%' as is_cash from loans",
    "inner join": "select loans.sk_id_curr, loans.loan as l, number as n, paid as p"
    " from loans inner join payments on loans.loan = payments.loan",
    "left join": "select l.sk_id_curr, l.loan as x, p.paid as y, p.paid is null as z"
    " from loans as l left join payments as p on l.loan = p.loan",
    "left join with a constant": "select l.sk_id_curr, l.loan as x, p.paid as y, coalesce(q.paid, 0) as z from loans as l"
    " left join payments as p on l.loan = p.loan and p.number = 1 left join payments as q on l.loan = q.loan and q.number = 2",
    "join by two": "select a.sk_id_curr, a.loan as x, b.day as y from loans as a inner join loans as b"
    " on a.sk_id_curr = b.sk_id_curr and b.loan = a.loan + 1",
    "row_number": "select sk_id_curr, loan as x, row_number() over (partition by sk_id_curr order by day desc, loan) as r from loans",
    "lead and lag": "select sk_id_curr, loan as x, lead(day) over (partition by sk_id_curr order by day, loan) as a,"
    " lead(kind, 2) over (partition by sk_id_curr order by loan desc, day) as b,"
    " lag(amt) over (partition by sk_id_curr order by day desc, loan desc) - amt as c from loans",
    "running sum": "select sk_id_curr, loan as x, sum(day) over (partition by sk_id_curr order by day, loan) as s from loans",
    "window then filter": "select sk_id_curr, x from (select sk_id_curr, loan as x,"
    " row_number() over (partition by sk_id_curr order by loan, day) as place from loans where day is not null) as q where place = 1",
    "a reported aggregate of a join": "select l.sk_id_curr, sum(p.number) as s, count(distinct l.loan) as c, max(p.paid) as m"
    " from loans as l"
    " left join payments as p on l.loan = p.loan group by l.sk_id_curr",
    "remainder": "select sk_id_curr, day % 7 as x, loan % 3 as y from loans",
    "small types": "select sk_id_curr, sum(case when day < 0 then cast(3 as tinyint) else cast(0 as tinyint) end) as s"
    " from loans group by sk_id_curr",
    "alias of the same select": "select sk_id_curr, amt * 2 as x, x + 1 as y from loans",
    "like": "select sk_id_curr, kind like 'cash%' as a, kind like '%cash' as b, kind like '%cas%' as c, kind like 'cash' as d from loans",
}  # fmt: skip


@pytest.mark.parametrize("name", list(CLAUSES))
def test_a_clause_gives_what_duckdb_gives(name: str) -> None:
    sql = CLAUSES[name]
    kinds = dict(types_of(sql))
    order = ["sk_id_curr", *(column for column in kinds if column != "sk_id_curr")]
    expected = [
        tuple(comparable(value, kinds[column]) for column, value in zip(order, row, strict=True))
        for row in by_duckdb(sql)
    ]
    found = [tuple(comparable(value, "") for value in row) for row in by_program(sql)]
    key = lambda row: tuple((value is None, str(type(value)), value) for value in row)  # noqa: E731
    assert sorted(found, key=key) == sorted(expected, key=key)
    assert [tuple(map(type, row)) for row in sorted(found, key=key)] == [
        tuple(map(type, row)) for row in sorted(expected, key=key)
    ]


@pytest.mark.parametrize("name", list(CLAUSES))
def test_a_clause_takes_empty_tables(name: str) -> None:
    assert by_program(CLAUSES[name], {}) == []


UNKNOWN = {
    "select sk_id_curr, ntile(4) over (order by loan) as x from loans": "has no step",
    "select sk_id_curr, avg(amt) as x from loans group by sk_id_curr": "AVG(amt)` has no step",
    "select sk_id_curr, sum(amt > 1) as x from loans group by sk_id_curr": "a sum of BOOLEAN has no step",
    "select sk_id_curr, loan as x from loans order by loan": "a SELECT with order has no step",
    "select sk_id_curr, loan as x from loans limit 1": "a SELECT with limit has no step",
    "select sk_id_curr, count(*) as x from loans group by sk_id_curr having count(*) > 1": "a SELECT with having has no step",
    "select sk_id_curr, 1 as x from loans union all select sk_id_curr, 2 as x from loans": "a Union has no step",
    "select count(*) as sk_id_curr from loans": "aggregates without a plain GROUP BY",
    "select l.sk_id_curr, p.paid as x from loans as l full join payments as p on l.loan = p.loan": "only INNER and LEFT JOIN",
    "select l.sk_id_curr, p.paid as x from loans as l inner join payments as p on l.loan < p.loan": "is no equality of both sides",
    "select l.sk_id_curr, p.paid as x from loans as l inner join payments as p on p.number = 1": "joins by no equality",
    "select sk_id_curr, reverse(kind) as x from loans": "is no node of a request's program",
    "select sk_id_curr, cast(kind as double) as x from loans": "cast of VARCHAR to DOUBLE has no node",
    "select sk_id_curr, amt % 2 as x from loans": "only whole numbers have a remainder",
    "select sk_id_curr, kind like 'c_sh' as x from loans": "LIKE is known with % at the ends alone",
    "select sk_id_curr, row_number() over (order by loan rows between 1 preceding and current row) as x from loans": "with a frame",
}  # fmt: skip


@pytest.mark.parametrize("sql", list(UNKNOWN))
def test_what_has_no_step_or_node_is_named(sql: str) -> None:
    with pytest.raises(ProgramError) as caught:
        render_program(sql, TABLES, [])
    assert UNKNOWN[sql] in str(caught.value)


def test_a_family_that_has_no_program_is_left_to_duckdb_and_told() -> None:
    plan = render_plan()
    family = plan["families"]["pos_cash"]
    family.pop("program")
    family["no_program"] = "`NTILE(4)` has no step"
    requests = RequestFeatures(plan)
    assert requests.interpreted == {"pos_cash": "`NTILE(4)` has no step"}
    rows = {"pos_cash_balance": [{"SK_ID_CURR": 1, "SK_ID_PREV": 3, "MONTHS_BALANCE": -2, "SK_DPD": 4}]}
    assert requests.compute([{"SK_ID_CURR": 1}], rows) == RequestFeatures(render_plan()).compute(
        [{"SK_ID_CURR": 1}], rows
    )


def test_a_program_of_another_sql_is_not_run() -> None:
    plan = render_plan()
    plan["families"]["pos_cash"]["sql"] += " "
    assert RequestFeatures(plan).interpreted == {"pos_cash": "the plan's program is of another SQL"}


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_program_that_computes_something_else_is_found_when_it_is_loaded(name: str) -> None:
    plan = json.loads(json.dumps(render_plan()))
    nodes = plan["families"][name]["program"]["steps"][-1]["nodes"]
    for place, node in enumerate(nodes):
        if node[0] == "div":
            nodes[place] = ["mul", "DOUBLE", node[2], None]
    requests = RequestFeatures(plan)
    assert list(requests.interpreted) == [name]
    said = ("is computed unlike its SQL on this machine", "its functions do not settle drawn rows")
    assert requests.interpreted[name].endswith(said[0]) or requests.interpreted[name].startswith(said[1])
    assert name not in requests._compiled


def test_a_plan_with_its_proof_is_loaded_without_asking_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = json.loads(json.dumps(render_plan(), sort_keys=True))  # as a bundle holds it

    def asked(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Worker, "__init__", asked)
    assert RequestFeatures(plan).interpreted == {}
    del plan["proof"]
    with pytest.raises(AssertionError):
        RequestFeatures(plan)


def test_a_proof_that_says_otherwise_leaves_the_family_to_duckdb() -> None:
    plan = json.loads(json.dumps(render_plan()))
    row = plan["proof"]["families"]["pos_cash"][0]
    place = next(place for place, value in enumerate(row) if place and isinstance(value, float))
    row[place] += 1.0
    name = plan["families"]["pos_cash"]["columns"][place - 1][0]
    assert RequestFeatures(plan).interpreted == {"pos_cash": f"{name} is computed unlike its SQL on this machine"}
    plan["proof"]["families"]["bureau"].pop()
    assert RequestFeatures(plan).interpreted["bureau"] == "it is computed for other applicants than by its SQL"


def test_a_proof_of_other_rows_is_not_believed() -> None:
    plan = json.loads(json.dumps(render_plan()))
    plan["proof"]["families"]["pos_cash"].clear()
    plan["proof"]["probes"] = "of rows that an earlier release drew"
    assert RequestFeatures(plan).interpreted == {}


HARMS: dict[str, Any] = {
    "unknown kind": lambda step: step["nodes"].append(["shell", "DOUBLE", [0], "rm"]) or step["outputs"].append(len(step["nodes"]) - 1),
    "unknown type": lambda step: step["nodes"].__setitem__(0, ["column", "BLOB", [], 0]),
    "argument ahead": lambda step: step["nodes"].__setitem__(0, ["neg", "DOUBLE", [1], None]),
    "code for a constant": lambda step: step["nodes"].__setitem__(0, ["literal", "DOUBLE", [], "__import__('os')"]),
    "code for a column": lambda step: step["nodes"].__setitem__(0, ["column", "DOUBLE", [], "c0) or odd("]),
    "no such column": lambda step: step["nodes"].__setitem__(0, ["column", "DOUBLE", [], 10_000]),
    "no such output": lambda step: step["outputs"].append(10_000),
    "no such relation": lambda step: step.__setitem__("from", 10_000),
    "unknown step": lambda step: step.__setitem__("kind", "shell"),
    "no nodes": lambda step: step.pop("nodes"),
    "not even a list": lambda step: step.__setitem__("nodes", 7),
}  # fmt: skip


@pytest.mark.parametrize("harm", list(HARMS))
def test_a_malformed_program_is_refused_before_anything_runs(harm: str) -> None:
    program = json.loads(json.dumps(render_plan()["families"]["application"]["program"]))
    HARMS[harm](program["steps"][0])
    with pytest.raises(CompileError):
        compile_family(program)


def test_a_column_name_is_never_code() -> None:
    name = "x') or odd() or get('"
    tables = {"t": [("SK_ID_CURR", "BIGINT"), (name, "DOUBLE")]}
    sql = f'select sk_id_curr, "{name}" + 1 as y from t'
    family = compile_family(render_program(sql, tables, [("y", "DOUBLE")]))
    assert family.values is not None
    assert family.values({"SK_ID_CURR": 1, name: 2.0}.get) == (1, 3.0)


@pytest.mark.parametrize(
    "harm", [{"AMT": "1"}, {"DAY": 1.5}, {"DAY": 2**40}, {"LOAN": True}, {"KIND": 5}, {"AMT": math.inf}, {"AMT": 10**400}, {"KIND": "é"}]
)  # fmt: skip
def test_a_value_of_another_type_or_size_is_left_to_duckdb(harm: Row) -> None:
    rows = {"loans": [{**ROWS["loans"][0], **harm}]}
    with pytest.raises((Odd, *UNSETTLED)):
        by_program(CLAUSES["projection"], rows)


def test_ties_in_a_window_are_left_to_duckdb() -> None:
    rows = {"loans": [ROWS["loans"][0], ROWS["loans"][0]]}
    with pytest.raises(Odd):
        by_program(CLAUSES["row_number"], rows)


def test_sums_that_depend_on_the_order_are_left_to_duckdb() -> None:
    with pytest.raises(Odd):
        by_program("select sk_id_curr, sum(amt) as s from loans group by sk_id_curr")
