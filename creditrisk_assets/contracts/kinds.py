"""Kinds of rule that Pandera does not have: declared once, for the Ibis backend, and rendered to SQL like its own.

What belongs here: the Pandera meaning of a rule kind (the oracle). What does not: its SQL (`render.sql`), which
column uses it (the models), what happens when it fails (`check`).

Importing this module registers the kinds, so that `pa.Field(range_or_sentinel={...})` works.
"""

from collections.abc import Sequence
from typing import Any

from pandera.api.extensions import register_check_method

UNKNOWN_SHARE_LIMIT = 0.05


def range_or_sentinel(data: Any, *, minimum: float, maximum: float, sentinels: Sequence[float]) -> Any:
    """Hold when a value lies between two bounds or is one of the codes outside the scale (365243 for "none")."""
    column = data.table[data.key]
    return column.between(minimum, maximum) | column.isin(list(sentinels))


def vocabulary(data: Any, *, known: Sequence[str], unknown_share_limit: float) -> Any:
    """Hold when at most a small share of the non-null values is not in a list that a lender may extend.

    A new kind of employer is news, not an error; a column in another language or another code list is an error. The
    SQL check warns of any unknown value and fails past the share, as this does.
    """
    column = data.table[data.key]
    return column.notin(list(known)).cast("int64").mean().fill_null(0.0) <= unknown_share_limit


def finite(data: Any) -> Any:
    """Hold when a value is neither NaN nor infinite.

    The SQL check applies it to every float column without being asked: an unknown value is NULL, nothing else.
    """
    column = data.table[data.key]
    return ~(column.isnan() | column.isinf())


register_check_method(range_or_sentinel, statistics=["minimum", "maximum", "sentinels"])
register_check_method(vocabulary, statistics=["known", "unknown_share_limit"])
register_check_method(finite, statistics=[])
