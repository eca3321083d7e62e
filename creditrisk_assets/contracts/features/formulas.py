"""Formulas of a grid: what a feature is, in sums that can be added up.

What belongs here: the aggregates a grid may declare, each as moments (count, sum, sum of squares, minimum, maximum) and the SQL that
makes one number of them. What does not: which features there are (`contracts.features.<family>`), over which rows and windows (`grid`),
the rest of the statement (`features.render`).

A moment of a window is the sum (or minimum, or maximum) of those of its parts, whatever the order; and as the summed columns are
integers and decimals, it is exact. Hence no quantile here, and no count of distinct values. A column is summed as it stands in the rows:
amounts as decimal(18, 3), days and counts as integers, ratios as whole ten-thousandths (`scaled`). Whatever is more than a column or one
comparison is a column of the rows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Aggregate = Literal["sum", "count", "min", "max"]

_WORDS = {"<=": "le", ">=": "ge", "<>": "ne", "=": "eq", "<": "lt", ">": "gt", "*": "by", "-": "minus"}


@dataclass(frozen=True)
class Moment:
    """One aggregate of the rows, which windows add up.

    Parameters
    ----------
    aggregate
        How rows, and then the parts of a window, are put together; a count of parts is their sum.
    of
        SQL over the columns of the rows; NULL is left out.
    name
        Name of its column, from which it can be guessed what it is.
    """

    aggregate: Aggregate
    of: str
    name: str


@dataclass(frozen=True)
class Formula:
    """A number made of moments.

    Parameters
    ----------
    text
        SQL in which `{name}` stands for the moment of that name.
    moments
        The moments it needs.
    whole
        Whether it is as the summed column is, an integer or a decimal; otherwise it is a double.
    """

    text: str
    moments: tuple[Moment, ...]
    whole: bool = False

    @property
    def double(self) -> str:
        """Its text as a double, as part of a longer one."""
        return f"cast({self.text} as double)" if self.whole else f"({self.text})"

    def over(self, columns: Mapping[str, str]) -> "Formula":
        """Return the formula with the column that holds each moment written in its place."""
        return replace(self, text=self.text.format_map(columns), moments=())

    def where(self, condition: str, prefix: str) -> "Formula":
        """Return the formula over the rows that meet a condition; its moments are named with the prefix."""
        moments = tuple(
            Moment(
                moment.aggregate,
                f"case when {condition} then {'1' if moment.of == '*' else moment.of} end",
                f"{prefix}{moment.name}",
            )
            for moment in self.moments
        )
        named = {old.name: f"{{{new.name}}}" for old, new in zip(self.moments, moments, strict=True)}
        return replace(self, text=self.text.format_map(named), moments=moments)


def _moment(aggregate: Aggregate, of: str, name: str = "") -> Formula:
    moment = Moment(aggregate, of, name or f"{_slug(of)}_{'n' if aggregate == 'count' else aggregate}")
    return Formula(f"{{{moment.name}}}", (moment,), whole=True)


def _slug(expression: str) -> str:
    for sign, word in _WORDS.items():
        expression = expression.replace(sign, f" {word} ")
    return re.sub(r"\W+", "_", expression).strip("_")


def _joined(*formulas: Formula) -> tuple[Moment, ...]:
    return tuple(dict.fromkeys(moment for formula in formulas for moment in formula.moments))


def rows() -> Formula:
    """Count the rows."""
    return _moment("count", "*", "rows_n")


def known(of: str) -> Formula:
    """Count the rows in which a column is known."""
    return _moment("count", of)


def hits(condition: str) -> Formula:
    """Count the rows that meet a condition; unknown is no hit."""
    return _moment("count", f"case when {condition} then 1 end", f"{_slug(condition)}_n")


def total(of: str) -> Formula:
    """Sum a column; NULL when nothing is known."""
    return _moment("sum", of)


def least(of: str) -> Formula:
    """Take the smallest known value."""
    return _moment("min", of)


def most(of: str) -> Formula:
    """Take the largest known value."""
    return _moment("max", of)


def quotient(over: Formula, under: Formula) -> Formula:
    """Divide two formulas; NULL when the second is zero or unknown."""
    return Formula(f"{over.double} / nullif({under.double}, 0)", _joined(over, under))


def difference(left: Formula, right: Formula) -> Formula:
    """Subtract the second formula from the first."""
    return Formula(f"({left.text}) - ({right.text})", _joined(left, right), whole=left.whole and right.whole)


def scaled(formula: Formula, scale: int) -> Formula:
    """Undo the fixed scale at which a ratio was made whole: 10000 for ten-thousandths."""
    return Formula(f"{formula.double} / {scale}", formula.moments)


def mean(of: str) -> Formula:
    """Take the mean of the known values."""
    return quotient(total(of), known(of))


def share(condition: str, *, of: str | None = None) -> Formula:
    """Take the share of rows that meet a condition, among those in which column `of` is known (without it, among all)."""
    return quotient(hits(condition), rows() if of is None else known(of))


def weighted_mean(of: str, weight: str, *, known: str | None = None) -> Formula:
    """Take the mean of a whole-number column weighted by another one.

    Columns that are known in the same rows share the sum of weights when both name the one as `known`.
    """
    weights = _moment("sum", f"case when {known or of} is not null then {weight} end", f"{known or of}_{weight}_sum")
    return quotient(_moment("sum", f"cast({of} as bigint) * {weight}", f"{of}_by_{weight}_sum"), weights)


def std(of: str) -> Formula:
    """Take the standard deviation (n - 1) of a whole-number column; exact up to the root."""
    n, x, xx = known(of), total(of), _squares(of)
    spread = f"cast({n.text} * {xx.text} - {x.text} * {x.text} as double)"
    return Formula(f"sqrt({spread} / nullif(cast({n.text} * ({n.text} - 1) as double), 0))", _joined(n, x, xx))


def slope(of: str, age: str, *, per: int) -> Formula:
    """Take the least-squares slope of a whole-number column over time, as its change in `per` units of age towards the application.

    The age is known in every row. NULL when the known values have fewer than two different ages.
    """
    n, x = known(of), total(of)
    t = _moment("sum", f"case when {of} is not null then {age} end", f"{of}_{age}_sum")
    tt = _moment("sum", f"case when {of} is not null then cast({age} as bigint) * {age} end", f"{of}_{age}_squares_sum")
    tx = _moment("sum", f"cast({age} as bigint) * {of}", f"{of}_by_{age}_sum")
    over = f"cast({n.text} * {tx.text} - {t.text} * {x.text} as double)"
    under = f"cast({n.text} * {tt.text} - {t.text} * {t.text} as double)"
    return Formula(f"-{per} * {over} / nullif({under}, 0)", _joined(n, x, t, tt, tx))


def _squares(of: str) -> Formula:
    return _moment("sum", f"cast({of} as bigint) * {of}", f"{of}_squares_sum")
