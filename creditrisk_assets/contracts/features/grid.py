"""Grids of features: quantity × part × window, declared once for the contract and for the SQL.

What belongs here: what a grid is and which columns it makes. What does not: the grids themselves (`contracts.features.<family>`), the
aggregates (`formulas`), the statement (`features.render`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.features.formulas import Formula, quotient
from creditrisk_assets.contracts.table import ContractError

ALL = None  # the window that leaves nothing out

_TYPES: dict[Callable[..., Any], Any] = {d.category: dt.String, d.flag: dt.Boolean}
_WHOLE = frozenset({d.count, d.days, d.months, d.hours, d.level})


@dataclass(frozen=True)
class Span:
    """Rows to sum over, and the windows they are cut into.

    Parameters
    ----------
    name
        Name of the result in the SQL; windows are read from it.
    rows
        CTE of the hand-written SQL whose rows are summed; it has `sk_id_curr` and every column the formulas name.
    by
        Column a window is a bound of: days or months before the application, or a place (1 is the latest). A window holds the rows in
        which it is at most that; a row without it is in no window but `ALL`.
    windows
        Windows of every measure that does not name its own.
    suffix
        End of a feature's name, with `{}` for the window.
    phrase
        End of its description, with `{}` for the window.
    against
        End of the description of a quotient of two windows, with `{}` twice.
    buckets
        Whether rows are first summed in disjoint buckets between the windows, and the windows from those. It pays where an applicant has
        many rows and they lie scattered; rows that were numbered per applicant lie together, and are summed as fast without.
    """

    name: str
    rows: str
    by: str = ""
    windows: tuple[int | None, ...] = (ALL,)
    suffix: str = ""
    phrase: str = ""
    against: str = "{} against {}"
    buckets: bool = False


@dataclass(frozen=True)
class Part:
    """Some of the rows: what the feature's name starts with, the condition (a column or one comparison), how it is said."""

    prefix: str = ""
    condition: str = ""
    phrase: str = ""


EVERY_ROW = Part()


@dataclass(frozen=True)
class Measure:
    """One quantity over parts and windows: a feature for each pair.

    Parameters
    ----------
    name
        Name of the features, without family, part and window.
    formula
        What it is.
    unit
        Builder of the declaration (`declare`); it decides the type too: a whole formula of days, months, counts and levels is a whole
        number, everything else that is a number a double.
    description
        What it is in words; the part's and the window's are added after a comma.
    span
        Over which rows.
    windows
        Its windows; by default the span's.
    parts
        Parts of the rows it is computed for, each with all windows.
    ratios
        Pairs of windows (short, long) whose values are divided, named `<name>_ratio_<short>_<long>`.
    bounds
        `minimum`, `maximum`, `nullable` where the unit's own do not hold.
    """

    name: str
    formula: Formula
    unit: Callable[..., Any]
    description: str
    span: Span
    windows: tuple[int | None, ...] | None = None
    parts: tuple[Part, ...] = (EVERY_ROW,)
    ratios: tuple[tuple[int, int], ...] = ()
    bounds: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One feature of a grid.

    Parameters
    ----------
    name
        Name of the feature.
    formula
        What it is, over the rows of its part.
    windows
        The window it is of, or the two whose values are divided.
    dtype, field
        Its type and its declaration in the contract.
    """

    name: str
    formula: Formula
    span: Span
    windows: tuple[int | None, ...]
    dtype: Any
    field: Any

    def sql(self, columns: Mapping[int | None, Mapping[str, str]]) -> str:
        """Write its expression, given the column that holds each moment of each of its windows."""
        values = [self.formula.over(columns[window]) for window in self.windows]
        return values[0].text if len(values) == 1 else quotient(*values).text


@dataclass(frozen=True)
class Grid:
    """The regular features of a family.

    Parameters
    ----------
    family
        Name of the family.
    measures
        Its measures, in the order of the columns. The first one's span has every applicant of the family, unless there is a `base`.
    base
        CTE of the hand-written SQL, one row per applicant of the family, that holds the features which follow no grid, under their final
        names; the contract declares them by hand, before those of the grid.
    """

    family: str
    measures: tuple[Measure, ...]
    base: str | None = None

    def cells(self) -> Iterator[Cell]:
        """Yield every feature, in column order.

        Raises
        ------
        ContractError
            A measure asks for a window its span cannot be cut by.
        """
        for measure in self.measures:
            for part in measure.parts:
                yield from self._cells(measure, part)

    def _cells(self, measure: Measure, part: Part) -> Iterator[Cell]:
        span = measure.span
        formula = measure.formula.where(part.condition, part.prefix) if part.condition else measure.formula
        whole = formula.whole and measure.unit in _WHOLE
        dtype = _TYPES.get(measure.unit, dt.Int64 if whole else dt.Float64)
        stem = f"{self.family}__{part.prefix}{measure.name}"
        said = [measure.description, part.phrase]
        windows = span.windows if measure.windows is None else measure.windows
        if not span.by and any(window is not ALL for window in (*windows, *measure.ratios)):
            raise ContractError(f"{stem}: span {span.name} names no column to cut windows by; give it `by`")
        for window in windows:
            suffix, phrase = ("", "") if window is ALL else (span.suffix.format(window), span.phrase.format(window))
            declared = measure.unit(_sentence(*said, phrase), **measure.bounds)
            yield Cell(f"{stem}{suffix}", formula, span, (window,), dtype, declared)
        for short, long in measure.ratios:
            suffix = span.suffix.format(short) + span.suffix.format(long)
            bounds = {"minimum": measure.bounds["minimum"]} if "minimum" in measure.bounds else {}
            declared = d.ratio(_sentence(*said, span.against.format(short, long)), **bounds)
            yield Cell(f"{stem}_ratio{suffix}", formula, span, (short, long), dt.Float64, declared)

    def columns(self, model: Any) -> Any:
        """Add the grid's columns to a model: the decorated class, with one column per feature appended in order."""
        cells = list(self.cells())
        body = {
            "__doc__": model.__doc__,
            "__module__": model.__module__,
            "__annotations__": {cell.name: cell.dtype for cell in cells},
        }
        if len(body["__annotations__"]) < len(cells):
            names = [cell.name for cell in cells]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ContractError(
                f"{self.family}: the grid makes {', '.join(twice)} twice; name one of the measures anew"
            )
        return type(model)(model.__name__, (model,), {**body, **{cell.name: cell.field for cell in cells}})


def _sentence(*phrases: str) -> str:
    return ", ".join(phrase for phrase in phrases if phrase)
