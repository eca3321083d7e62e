"""The SQL of families with a grid: `python -m creditrisk_assets.features.render` writes `sql/<family>.sql`.

What belongs here: the statement around a grid (the moments of each window, the final select) from the hand-written rows in
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
_TOGETHER = {"sum": "sum", "count": "sum", "min": "min", "max": "max"}

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
        The statement: the CTEs as they are written; per span the moments of each applicant and window; the final select.
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
    """Yield the CTEs of a span: one row per applicant, with its buckets before it when there are many rows in each."""
    needed: dict[Moment, set[Window]] = {}
    for cell in cells:
        for moment in cell.formula.moments:
            needed.setdefault(moment, set()).update(cell.windows)
    asked = [
        (moment, window)
        for moment, windows in needed.items()
        for window in sorted(windows, key=lambda window: window or 0)
    ]
    cuts = sorted({window for _, window in asked if window is not ALL})
    if not (span.buckets and cuts):
        yield _grouped(span.name, span.rows, [KEY], [_of_rows(span, *column) for column in asked])
        return
    bucket = f"case {' '.join(f'when {span.by} <= {cut} then {cut}' for cut in cuts)} else {BEYOND} end"
    moments = [f"{moment.aggregate}({moment.of}) as {moment.name}" for moment in needed]
    buckets = f"{span.name}_buckets"
    yield _grouped(buckets, span.rows, [KEY, bucket], moments, named=[KEY, f"{bucket} as bucket"])
    yield _grouped(span.name, buckets, [KEY], [_of_buckets(*column) for column in asked])


def _of_rows(span: Span, moment: Moment, window: Window) -> str:
    """Write a moment of a window over the rows."""
    of = moment.of
    if window is not ALL:
        of = f"case when {span.by} <= {window} then {'1' if of == '*' else of} end"
    return f"{moment.aggregate}({of}) as {_column(moment, window)}"


def _of_buckets(moment: Moment, window: Window) -> str:
    """Write a moment of a window over the buckets; none in the window is a count of 0, but no sum."""
    together, of = _TOGETHER[moment.aggregate], moment.name
    if window is not ALL:
        of = f"case when bucket <= {window} then {of}{' else 0' if moment.aggregate == 'count' else ''} end"
    return f"{together}({of}) as {_column(moment, window)}"


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
