"""Learned numbers by groups of categories, as a plain table: what a service can look up without scikit-learn.

What belongs here: the table, its JSON form, looking up. What does not: learning the numbers (`groups`, `encoding`). It imports numpy alone,
and the transformers look up by it too, so a table gives what they give.

A group is named by the values of one or more categories. An applicant of a group without a number has that of the group one category wider,
in the end that of everybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Key = tuple[str | None, ...]  # NULL is a value like any other
Columns = Mapping[str, Sequence[Any]]
Form = Literal["number", "difference", "ratio"]
FORMAT = 1


class TableError(ValueError):
    """A table of learned numbers cannot be read or applied; the message says what is missing."""


@dataclass(frozen=True)
class Level:
    """The numbers of the groups of some categories; none: of everybody."""

    by: tuple[str, ...]
    numbers: Mapping[Key, float]


@dataclass(frozen=True)
class Lookup:
    """One column.

    Attributes
    ----------
    name
        Of the column.
    levels
        From the narrowest groups to the widest.
    form
        The number itself, or a value of the applicant less it, or divided by it (NaN where it is 0 or next to it).
    value
        The feature that is compared with the number; None: of the form `number`.
    """

    name: str
    levels: tuple[Level, ...]
    form: Form = "number"
    value: str | None = None

    def column(self, keys: Mapping[tuple[str, ...], Sequence[Key]], columns: Columns) -> NDArray[np.float64]:
        """Look up, row by row.

        Parameters
        ----------
        keys
            Of each level's categories, the group of each row.
        columns
            Values of the feature compared, NULL as None or NaN.

        Returns
        -------
        ndarray
            (n,) NaN where no level has a number, or the value is NULL.
        """
        found = np.full(len(keys[self.levels[-1].by]), np.nan)
        for level in reversed(self.levels):  # narrower groups write over wider ones
            for row, key in enumerate(keys[level.by]):
                found[row] = level.numbers.get(key, found[row])
        if self.value is None:
            return found
        values: NDArray[np.float64] = np.asarray(columns[self.value], dtype=np.float64)
        if self.form == "difference":
            return np.asarray(values - found)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            ratio = values / found
        return np.where(np.isfinite(ratio), ratio, np.nan)


def keys_of(columns: Columns, by: Sequence[str], rows: int) -> list[Key]:
    """Name each row's group: one text for each category, None for NULL."""
    if not by:
        return [()] * rows
    return list(zip(*([_text(value) for value in columns[name]] for name in by), strict=True))


def parents(by: tuple[str, ...]) -> list[tuple[str, ...]]:
    """List some categories and what is left without the last, the last two, and all of them.

    Examples
    --------
    >>> parents(("education", "occupation"))
    [('education', 'occupation'), ('education',), ()]
    """
    return [by[:length] for length in range(len(by), -1, -1)]


def to_table(lookups: Sequence[Lookup]) -> dict[str, Any]:
    """Write lookups as JSON values; equal lookups give equal text."""
    return {
        "format": FORMAT,
        "columns": [
            {
                "name": lookup.name,
                "form": lookup.form,
                "value": lookup.value,
                "levels": [
                    {"by": list(level.by), "numbers": [[list(key), level.numbers[key]] for key in _sorted(level)]}
                    for level in lookup.levels
                ],
            }
            for lookup in lookups
        ],
    }


def apply_table(table: Mapping[str, Any], columns: Columns) -> dict[str, NDArray[np.float64]]:
    """Compute every column of a table.

    Parameters
    ----------
    table
        Of `to_table`, maybe read from JSON.
    columns
        Values of each feature the table names, equally many.

    Returns
    -------
    dict
        Name -> (n,).

    Raises
    ------
    TableError
        The table has another format, or a feature is missing.

    Examples
    --------
    >>> level = Level(("kind",), {("cash",): 2.0})
    >>> table = to_table([Lookup("income_less_median", (level, Level((), {(): 3.0})), "difference", "income")])
    >>> apply_table(table, {"kind": ["cash", "new"], "income": [5.0, 5.0]})["income_less_median"].tolist()
    [3.0, 2.0]
    """
    if table.get("format") != FORMAT:
        raise TableError(f"the table has format {table.get('format')}; this code reads format {FORMAT}")
    lookups = [_read(column) for column in table["columns"]]
    return apply_lookups(lookups, columns)


def apply_lookups(lookups: Sequence[Lookup], columns: Columns) -> dict[str, NDArray[np.float64]]:
    """Compute every column of some lookups; as `apply_table`."""
    wanted = {name for lookup in lookups for level in lookup.levels for name in level.by}
    wanted |= {lookup.value for lookup in lookups if lookup.value is not None}
    if missing := sorted(wanted - columns.keys()):
        raise TableError(f"the table looks up by {', '.join(missing)}, which the columns given lack")
    rows = len(next(iter(columns.values()), ()))
    keys = {level.by: keys_of(columns, level.by, rows) for lookup in lookups for level in lookup.levels}
    return {lookup.name: lookup.column(keys, columns) for lookup in lookups}


def _read(column: Mapping[str, Any]) -> Lookup:
    levels = tuple(
        Level(tuple(level["by"]), {tuple(key): number for key, number in level["numbers"]})
        for level in column["levels"]
    )
    return Lookup(column["name"], levels, column["form"], column["value"])


def _sorted(level: Level) -> list[Key]:
    return sorted(level.numbers, key=lambda key: [(text is not None, text or "") for text in key])


def _text(value: Any) -> str | None:
    return None if value is None or value != value else str(value)  # noqa: PLR0124 - NaN alone differs from itself
