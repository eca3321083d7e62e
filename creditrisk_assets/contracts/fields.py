"""Declarations of the columns that recur in raw lending tables, so that a contract reads as one line per column.

What belongs here: a field builder per kind of quantity, with the metadata every column carries. What does not: the
columns themselves (`sources`, `features`), the meaning of a rule (`kinds`, Pandera).

Metadata of a column
--------------------
unit
    What one is: `id`, `days`, `months`, `currency`, `count`, `share`, `flag`, `category`, `code`, `hour`, `years`.
dating
    When its value is known, which decides what a point-in-time view does with it: `key` identifies the row; `event`
    is known from the row's own date on (or is such a date), so it is cut; `plan` is a date or count set in advance
    that may lie ahead; `snapshot` is known only on the application day; `outcome` only after it, so it is never an
    input.
clock
    What a date is counted in, `days` or `months` from the application; none: it is not a date (days past due are not).
pending
    The code of an event that has not come yet (365243, "infinity"): before its day, an event is this code and not NULL.
known_from
    The date of the same row from which on the value is known, where that is not the row's own date.
protected
    Whether it is, or stands for, a characteristic that credit decisions may not rest on.
sentinels
    Codes that are not values of the scale, with their meaning.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandera.ibis as pa

from creditrisk_assets.contracts import kinds

Dating = Literal["key", "event", "plan", "snapshot", "outcome"]
Clock = Literal["days", "months"]

INFINITE_DAYS = 365243
CENTURY_DAYS = 36525


def _metadata(
    unit: str,
    dating: Dating,
    *,
    protected: bool = False,
    sentinels: Mapping[Any, str] | None = None,
    **of_dates: Any,
) -> dict[str, Any]:
    return {"unit": unit, "dating": dating, "protected": protected, "sentinels": dict(sentinels or {}), **of_dates}


def key(description: str) -> Any:
    """Declare an identifier: a whole number, never NULL."""
    return pa.Field(ge=0, description=description, metadata=_metadata("id", "key"))


def number(
    description: str,
    unit: str,
    *,
    minimum: float,
    maximum: float,
    dating: Dating,
    nullable: bool = False,
    protected: bool = False,
    sentinels: Mapping[int, str] | None = None,
    **of_dates: Any,
) -> Any:
    """Declare a quantity with bounds; sentinels are codes outside them (or inside: then they are only explained)."""
    metadata = _metadata(unit, dating, protected=protected, sentinels=sentinels, **of_dates)
    outside = [code for code in sentinels or {} if not minimum <= code <= maximum]
    if outside:
        rule: dict[str, Any] = {"range_or_sentinel": {"minimum": minimum, "maximum": maximum, "sentinels": outside}}
    else:
        rule = {"ge": minimum, "le": maximum}
    return pa.Field(**rule, nullable=nullable, description=description, metadata=metadata)


def days(
    description: str,
    *,
    minimum: int = -CENTURY_DAYS,
    maximum: int = 0,
    dating: Dating = "event",
    nullable: bool = False,
    protected: bool = False,
    sentinels: Mapping[int, str] | None = None,
    pending: int | None = None,
) -> Any:
    """Declare a day counted from the application: negative is before it, and by default nothing lies after it."""
    return number(
        description,
        "days",
        minimum=minimum,
        maximum=maximum,
        dating=dating,
        nullable=nullable,
        protected=protected,
        sentinels=sentinels,
        clock="days",
        pending=pending,
    )


def month(description: str) -> Any:
    """Declare the month of a balance row, counted from the application: 0 is its month, -1 the one before."""
    return number(description, "months", minimum=-1200, maximum=0, dating="event", clock="months")


def amount(
    description: str,
    *,
    dating: Dating,
    minimum: float = 0,
    maximum: float = 1e9,
    nullable: bool = False,
    known_from: str | None = None,
) -> Any:
    """Declare an amount of money. The upper bound catches a wrong unit or a shifted column, not a rich applicant."""
    return number(
        description,
        "currency",
        minimum=minimum,
        maximum=maximum,
        dating=dating,
        nullable=nullable,
        known_from=known_from,
    )


def count(description: str, *, dating: Dating, maximum: int = 1000, nullable: bool = False, unit: str = "count") -> Any:
    """Declare a number of things."""
    return number(description, unit, minimum=0, maximum=maximum, dating=dating, nullable=nullable)


def share(
    description: str,
    *,
    dating: Dating = "snapshot",
    minimum: float = 0,
    nullable: bool = True,
    unit: str = "share",
) -> Any:
    """Declare a share or a normalised score: at most 1."""
    return number(description, unit, minimum=minimum, maximum=1, dating=dating, nullable=nullable)


def flag(description: str, *, dating: Dating = "snapshot", nullable: bool = False) -> Any:
    """Declare a 0/1 indicator."""
    return pa.Field(isin=[0, 1], nullable=nullable, description=description, metadata=_metadata("flag", dating))


def label(description: str) -> Any:
    """Declare a 0/1 outcome, of which a table must have both classes."""
    return pa.Field(
        isin=[0, 1], unique_values_eq=[0, 1], description=description, metadata=_metadata("flag", "outcome")
    )


def code(
    description: str,
    values: Sequence[int],
    *,
    dating: Dating = "snapshot",
    sentinels: Mapping[int, str] | None = None,
) -> Any:
    """Declare a numeric code from a closed list."""
    metadata = _metadata("code", dating, sentinels=sentinels)
    return pa.Field(isin=list(values), description=description, metadata=metadata)


def category(
    description: str,
    values: Sequence[str],
    *,
    dating: Dating = "snapshot",
    nullable: bool = False,
    protected: bool = False,
    sentinels: Mapping[str, str] | None = None,
) -> Any:
    """Declare a text from a closed list: features read its values by name, so an unknown one is an error."""
    metadata = _metadata("category", dating, protected=protected, sentinels=sentinels)
    return pa.Field(isin=list(values), nullable=nullable, description=description, metadata=metadata)


def vocabulary(
    description: str,
    known: Sequence[str],
    *,
    dating: Dating = "snapshot",
    nullable: bool = False,
    sentinels: Mapping[str, str] | None = None,
) -> Any:
    """Declare a text from a list that a lender may extend (employers' branches, goods): an unknown value warns.

    It fails once more than 5 % of the values are unknown, which is another code list rather than a new entry.
    """
    rule = {"known": list(known), "unknown_share_limit": kinds.UNKNOWN_SHARE_LIMIT}
    metadata = _metadata("category", dating, sentinels=sentinels)
    return pa.Field(vocabulary=rule, nullable=nullable, description=description, metadata=metadata)


def repeated(fields: Mapping[str, Any], dtype: Any) -> Any:
    """Add columns that follow a pattern to a model: the decorated class, with one column per entry appended in order.

    Parameters
    ----------
    fields
        Column name to its declaration.
    dtype
        The type they share.
    """

    def add(model: Any) -> Any:
        body = {
            "__doc__": model.__doc__,
            "__module__": model.__module__,
            "__annotations__": dict.fromkeys(fields, dtype),
        }
        return type(model)(model.__name__, (model,), {**body, **fields})

    return add
