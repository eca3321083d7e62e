"""The SQL of families with a grid: `python -m creditrisk_assets.features.render` writes `sql/<family>.sql`.

What belongs here: the statement around a grid (moments per bucket, windows, the final select) from the hand-written rows in
`rows/<family>.sql` and the grid of the contract. What does not: what a feature is (`contracts.features.<family>`), running it (`engine`).

The rendered file is committed: it is what people review, what is linted, and what every engine runs.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from creditrisk_assets.contracts.features import FEATURES, GRIDS
from creditrisk_assets.contracts.features.formulas import Moment
from creditrisk_assets.contracts.features.grid import ALL, Cell, Grid, Span
from creditrisk_assets.features.statement import KEY

HERE = Path(__file__).parent
BEYOND = 99999  # bucket of the rows in no window but ALL
_PARTS_TOGETHER = {"sum": "sum", "count": "sum", "min": "min", "max": "max"}

Window = int | None


def render(grid: Grid, rows: str) -> str:
    """Render a family's SQL.

    Parameters
    ----------
    grid
        Its regular features.
    rows
        Its hand-written part: the two lines of the header, then `with` and CTEs, the last one without a comma after it.

    Returns
    -------
    str
        The statement: the CTEs as they are written; per span the moments of each applicant and disjoint bucket, then of each window,
        added up from the buckets; the final select.
    """
    cells = list(grid.cells())
    spans = list(dict.fromkeys(cell.span for cell in cells))
    first, second, *body = rows.rstrip().split("\n")
    notice = (
        f"-- rendered by `python -m creditrisk_assets.features.render` from features/rows/{grid.family}.sql "
        f"and the grid in contracts/features/{grid.family}.py; do not edit"
    )
    tables = [cte for span in spans for cte in _span(span, [cell for cell in cells if cell.span == span])]
    return ",\n".join(["\n".join([first, second, notice, *body]), *tables]) + "\n" + _select(grid, cells, spans)


def _span(span: Span, cells: list[Cell]) -> Iterator[str]:
    """Yield the CTEs of a span: its buckets when there are windows, then one row per applicant."""
    needed: dict[Moment, set[Window]] = {}
    for cell in cells:
        for moment in cell.formula.moments:
            needed.setdefault(moment, set()).update(cell.windows)
    cuts = sorted({window for windows in needed.values() for window in windows if window is not ALL})
    moments = [f"{moment.aggregate}({moment.of}) as {moment.name}" for moment in needed]
    if not cuts:
        yield _grouped(span.name, span.rows, [KEY], moments)
        return
    bucket = f"case {' '.join(f'when {span.by} <= {cut} then {cut}' for cut in cuts)} else {BEYOND} end"
    yield _grouped(f"{span.name}_buckets", span.rows, [KEY, bucket], moments, named=[KEY, f"{bucket} as bucket"])
    windows = [
        _window(moment, window)
        for moment, asked in needed.items()
        for window in sorted(asked, key=lambda window: window or 0)
    ]
    yield _grouped(span.name, f"{span.name}_buckets", [KEY], windows)


def _window(moment: Moment, window: Window) -> str:
    together = _PARTS_TOGETHER[moment.aggregate]
    if window is ALL:
        return f"{together}({moment.name}) as {moment.name}"
    nothing = " else 0" if moment.aggregate == "count" else ""  # none in the window is a count of 0, but no sum
    return f"{together}(case when bucket <= {window} then {moment.name}{nothing} end) as {_column(moment, window)}"


def _column(moment: Moment, window: Window) -> str:
    return moment.name if window is ALL else f"{moment.name}_{window}"


def _grouped(name: str, source: str, by: list[str], columns: list[str], *, named: list[str] | None = None) -> str:
    listed = ",\n        ".join([*(named or by), *columns])
    return f"{name} as (\n    select\n        {listed}\n    from {source}\n    group by {', '.join(by)}\n)"


def _select(grid: Grid, cells: list[Cell], spans: list[Span]) -> str:
    base = grid.base or spans[0].name
    regular = {cell.name for cell in cells}
    by_hand = [column.name for column in FEATURES[grid.family].columns if column.name not in {KEY} | regular]
    items = [f"{base}.{KEY}", *(f"{base}.{name}" for name in by_hand)]
    items += [f"{cell.sql(_columns(cell))} as {cell.name}" for cell in cells]
    joins = [f"left join {span.name} on {base}.{KEY} = {span.name}.{KEY}\n" for span in spans if span.name != base]
    listed = ",\n    ".join(items)
    return f"select\n    {listed}\nfrom {base}\n{''.join(joins)}"


def _columns(cell: Cell) -> Mapping[Window, Mapping[str, str]]:
    return {
        window: {moment.name: f"{cell.span.name}.{_column(moment, window)}" for moment in cell.formula.moments}
        for window in cell.windows
    }


def rendered(family: str) -> str:
    """Render the SQL of a family with a grid from what is committed beside it."""
    return render(GRIDS[family], (HERE / "rows" / f"{family}.sql").read_text("utf-8"))


def main() -> int:
    """Write the SQL of every family with a grid."""
    for family in GRIDS:
        (HERE / "sql" / f"{family}.sql").write_text(rendered(family), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
