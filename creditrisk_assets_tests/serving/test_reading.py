"""Reading in one pass: what it accepts, the rules accept, to the same values; what it leaves, the rules decide."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditrisk_assets.features.plan import render_plan
from creditrisk_assets_tests.serving.portfolio import Portfolio, draw_portfolio
from creditrisk_assets_tests.serving.test_requests import FIELD_RULES, A, Break, whole
from creditrisk_serving.scoring.examples import PREDICT_EXAMPLES
from creditrisk_serving.scoring.reading import Read, Reader
from creditrisk_serving.scoring.rules import APPLICANT_IDS, APPLICATIONS, compile_rules

PLAN = render_plan()
RULES, READER = compile_rules(PLAN), Reader(PLAN)
PORTFOLIO = draw_portfolio()
COLUMNS = {table: {column["name"]: column for column in schema["columns"]} for table, schema in PLAN["tables"].items()}


def by_rules(body: bytes) -> Read:
    """Read by pydantic alone."""
    sent = RULES.body.model_validate_json(body).model_dump()
    return Read(sent[APPLICATIONS], sent[APPLICANT_IDS], sent["histories"])


def same(read: Read, expected: Read) -> bool:
    """Compare to the type of each value, and 0.0 with -0.0."""
    return repr(canonical(read)) == repr(canonical(expected))


def canonical(read: Read) -> Any:
    def ordered(rows: list[dict[str, Any]]) -> list[Any]:
        return [sorted(row.items()) for row in rows]

    tables = sorted((table, ordered(rows)) for table, rows in read.histories.items())
    return ordered(read.applications), read.applicant_ids, tables


def agrees(body: bytes) -> bool:
    """Tell whether it was read; what was read must be what the rules read."""
    read = READER.read(body)
    if read is None:
        return False
    assert same(read, by_rules(body))
    return True


@pytest.mark.parametrize("name", PREDICT_EXAMPLES)
def test_an_example_is_read_in_one_pass(name: str) -> None:
    assert agrees(json.dumps(PREDICT_EXAMPLES[name]["value"]).encode())


def test_everything_of_a_portfolio_is_read_in_one_pass(portfolio: Portfolio) -> None:
    assert agrees(json.dumps(whole(portfolio, *portfolio.applicants)).encode())


@pytest.mark.parametrize("change", [r[1] for r in FIELD_RULES], ids=[r[0] for r in FIELD_RULES])
def test_nothing_that_breaks_a_rule_is_read(portfolio: Portfolio, change: Break) -> None:
    body = whole(portfolio, A)
    change(body)
    assert READER.read(json.dumps(body).encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b'{"applications": null}',
        b'{"applicant_ids": [true]}',
        b'{"applicant_ids": [9223372036854775808]}',
        b'{"histories": {"bureaux": []}}',
        b'{"threshold": 1}',
        b'{"applicant_ids": [1]} x',
        b"\xff\xfe",
        b'{"applicant_ids": [1], "\xff": 1}',
        b"[" * 100_000,
    ],
)
def test_a_body_of_another_shape_is_left_to_the_rules(body: bytes) -> None:
    assert READER.read(body) is None


@pytest.mark.parametrize("value", ["365243", "365242", "1", "0", "-0", "-17912", "-17913.0", "-1e3", "1e999", "null"])
def test_a_sentinel_beyond_the_bounds_is_read_and_what_lies_between_is_not(value: str) -> None:
    row = {**PREDICT_EXAMPLES["application"]["value"]["applications"][0], "DAYS_EMPLOYED": "HERE"}
    read = READER.read(json.dumps({"applications": [row]}).replace('"HERE"', value).encode())
    assert (read is not None) == (value in {"365243", "0", "-0", "-17912"})


def test_of_a_column_sent_twice_the_last_value_counts() -> None:
    row = json.dumps(PREDICT_EXAMPLES["application"]["value"]["applications"][0])
    assert agrees(f'{{"applications": [{row[:-1]}, "AMT_CREDIT": 7.0}}]}}'.encode())


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.integers(-20_000, 400_000).map(float),
    st.floats(),
    st.text(max_size=4),
    st.text("aé\u0000\U0001f600", min_size=254, max_size=258),
)


@st.composite
def cells(draw: st.DrawFn, table: str) -> Mapping[str, Any]:
    """Draw new values for some columns: anything, or what stands at the edge of the column's rule."""
    columns = COLUMNS["application"] if table == APPLICATIONS else COLUMNS[table]
    names = draw(st.lists(st.sampled_from(sorted(columns)), max_size=4, unique=True))
    return {name: draw(st.one_of(VALUES, st.sampled_from(edges(columns[name])))) for name in names}


def edges(column: Mapping[str, Any]) -> list[Any]:
    bounds = [b for b in (column["minimum"], column["maximum"]) if b is not None]
    near = [step(b) for b in bounds for step in (lambda b: b, lambda b: b - 1, lambda b: b + 1, float, int)]
    return [*near, *(column["categories"] or ()), *(s["value"] for s in column["sentinels"]), 0, 0.5]


@settings(max_examples=150, deadline=None)
@given(applicant=st.sampled_from(PORTFOLIO.applicants), data=st.data())
def test_what_is_read_is_what_the_rules_read(applicant: int, data: st.DataObject) -> None:
    body = whole(PORTFOLIO, applicant)
    body["applications"][0].update(data.draw(cells(APPLICATIONS)))
    table = data.draw(st.sampled_from(sorted(body["histories"])))
    for row in body["histories"][table][:1]:
        row.update(data.draw(cells(table)))
    agrees(json.dumps(body).encode())
