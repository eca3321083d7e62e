"""A grid makes the columns it declares, its windows are exact, and what is committed is what it renders."""

import statistics
from dataclasses import replace

import duckdb
import pytest

from creditrisk_assets.contracts.features import GRIDS
from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.features import formulas as f
from creditrisk_assets.contracts.features.grid import ALL, Grid, Measure, Part, Span
from creditrisk_assets.contracts.table import ContractError
from creditrisk_assets.features import render
from creditrisk_assets.features.families import FAMILIES

ROWS = """-- header
-- header
with lines as (
    select sk_id_curr, age, x, weight, kind from given
)
"""
# (applicant, age, x, weight, kind); the second applicant has one row, the third nothing known
GIVEN = [
    (1, 10, 4, 8, "a"), (1, 20, None, 8, "a"), (1, 40, 2, 4, "b"), (1, 90, 9, 2, "a"), (1, None, 1, 1, "b"),
    (2, 30, 0, 1, "b"),
    (3, 5, None, 1, "a"),
]  # fmt: skip
SPAN = Span("spans", "lines", by="age", windows=(ALL, 30, 60), suffix="_{}d", phrase="in the last {} days")


@pytest.mark.parametrize("family", GRIDS)
def test_committed_sql_is_the_rendered_one(family: str) -> None:
    assert FAMILIES[family].sql == render.rendered(family), "run `python -m creditrisk_assets.features.render`"


def computed(
    monkeypatch: pytest.MonkeyPatch, *measures: Measure, rows: str = ROWS
) -> dict[int, dict[str, float | None]]:
    """The features of a grid over the given rows, by applicant, without the family's name."""
    monkeypatch.setitem(render.FEATURES, "bureau", _Empty)  # type: ignore[arg-type]
    grid = Grid("bureau", measures)
    with duckdb.connect() as con:
        con.execute("create table given (sk_id_curr bigint, age integer, x integer, weight integer, kind varchar)")
        con.executemany("insert into given values (?, ?, ?, ?, ?)", GIVEN)
        cursor = con.execute(render.render(grid, rows))
        names = [column[0].removeprefix("bureau__") for column in cursor.description]
        return {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in cursor.fetchall()}


class _Empty:
    columns = ()


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (f.rows(), {"": 5, "_30d": 2, "_60d": 3}),
        (f.known("x"), {"": 4, "_30d": 1, "_60d": 2}),
        (f.hits("x > 3"), {"": 2, "_30d": 1, "_60d": 1}),
        (f.total("x"), {"": 16, "_30d": 4, "_60d": 6}),
        (f.least("x"), {"": 1, "_30d": 4, "_60d": 2}),
        (f.most("x"), {"": 9, "_30d": 4, "_60d": 4}),
        (f.mean("x"), {"": 4.0, "_30d": 4.0, "_60d": 3.0}),
        (f.scaled(f.mean("x"), 100), {"": 0.04, "_30d": 0.04, "_60d": 0.03}),
        (f.scaled(f.most("x"), 100), {"": 0.09, "_30d": 0.04, "_60d": 0.04}),
        (f.std("x"), {"": statistics.stdev([4, 2, 9, 1]), "_30d": None, "_60d": statistics.stdev([4, 2])}),
        (f.share("x > 3", of="x"), {"": 0.5, "_30d": 1.0, "_60d": 0.5}),
        (f.share("kind = 'a'"), {"": 0.6, "_30d": 1.0, "_60d": 2 / 3}),
        (f.weighted_mean("x", "weight"), {"": 59 / 15, "_30d": 4.0, "_60d": 40 / 12}),
        (f.difference(f.most("x"), f.least("x")), {"": 8, "_30d": 0, "_60d": 2}),
        (f.quotient(f.total("x"), f.total("weight")), {"": 16 / 23, "_30d": 0.25, "_60d": 0.3}),
        (f.quotient(f.mean("x"), f.difference(f.most("x"), f.least("x"))), {"": 0.5, "_30d": None, "_60d": 1.5}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("span", [SPAN, replace(SPAN, buckets=True)], ids=["rows", "buckets"])
def test_formula_is_exact_in_every_window(
    span: Span, formula: f.Formula, expected: dict[str, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = computed(monkeypatch, Measure("x_ratio", formula, d.ratio, "x", span))[1]
    assert found == pytest.approx({f"x_ratio{suffix}": value for suffix, value in expected.items()})


def test_slope_is_the_least_squares_one_towards_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    dated = ROWS.replace("from given", "from given where age is not null")
    measure = Measure("x_count_slope", f.slope("x", "age", per=365), d.count, "trend", SPAN)
    found = computed(monkeypatch, measure, rows=dated)
    assert found[1]["x_count_slope"] == pytest.approx(
        -365 * statistics.linear_regression([10, 40, 90], [4, 2, 9]).slope
    )
    assert found[1]["x_count_slope_60d"] == pytest.approx(-365 * (2 - 4) / 30)
    assert found[1]["x_count_slope_30d"] is None
    assert found[2]["x_count_slope"] is None
    assert found[3]["x_count_slope"] is None


@pytest.mark.parametrize("buckets", [False, True])
def test_nothing_in_a_window_is_a_count_of_zero_and_otherwise_unknown(
    buckets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = Span("spans", "lines", by="age", windows=(1,), suffix="_{}d", buckets=buckets)
    found = computed(
        monkeypatch,
        Measure("rows_count", f.rows(), d.count, "rows", span),
        Measure("x_count_sum", f.total("x"), d.count, "x", span),
        Measure("x_count_mean", f.mean("x"), d.count, "x", span),
    )
    assert found[3] == {"rows_count_1d": 0, "x_count_sum_1d": None, "x_count_mean_1d": None}


def test_parts_and_ratios_are_named_and_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = (Part(), Part("b_", "kind = 'b'", "of kind b"))
    measure = Measure("x_count_mean", f.mean("x"), d.count, "x", SPAN, windows=(60,), parts=parts, ratios=((30, 60),))
    assert computed(monkeypatch, measure)[1] == {
        "x_count_mean_60d": 3.0,
        "x_count_mean_ratio_30d_60d": 4 / 3,
        "b_x_count_mean_60d": 2.0,
        "b_x_count_mean_ratio_30d_60d": None,
    }
    described = {cell.name: cell.field.description for cell in Grid("bureau", (measure,)).cells()}
    assert described["bureau__b_x_count_mean_60d"] == "x, of kind b, in the last 60 days"


def test_a_span_without_some_applicants_leaves_them_in(monkeypatch: pytest.MonkeyPatch) -> None:
    few = ROWS.rstrip() + ",\nfew as (\n    select sk_id_curr, x from lines where x > 3\n)\n"
    found = computed(
        monkeypatch,
        Measure("rows_count", f.rows(), d.count, "rows", SPAN, windows=(ALL,)),
        Measure("x_count_max", f.most("x"), d.count, "most", Span("fews", "few")),
        rows=few,
    )
    assert found == {
        1: {"rows_count": 5, "x_count_max": 9},
        2: {"rows_count": 1, "x_count_max": None},
        3: {"rows_count": 1, "x_count_max": None},
    }


def test_a_name_made_twice_is_refused() -> None:
    grid = Grid("bureau", (Measure("a_count", f.rows(), d.count, "a", SPAN),) * 2)
    with pytest.raises(ContractError, match=r"bureau__a_count, .* twice"):
        grid.columns(type("Model", (), {}))


def test_a_window_of_a_span_that_cannot_be_cut_is_refused() -> None:
    grid = Grid("bureau", (Measure("a_count", f.rows(), d.count, "a", Span("spans", "lines"), windows=(30,)),))
    with pytest.raises(ContractError, match="spans names no column to cut windows by"):
        list(grid.cells())
