"""Declarations of the columns that recur in tables of results, so that a contract reads as one line per column.

What belongs here: a field builder per kind of quantity. What does not: the columns of raw tables (`fields`) and of features
(`features.declare`), the tables themselves.
"""

from typing import Any

import pandera.ibis as pa


def count(description: str, *, minimum: int = 0, maximum: int | None = None) -> Any:
    """Declare a number of things."""
    return pa.Field(ge=minimum, le=maximum, description=description, metadata={"unit": "count"})


def share(description: str, *, nullable: bool = False) -> Any:
    """Declare a share, rate or probability, from 0 to 1."""
    return pa.Field(ge=0, le=1, nullable=nullable, description=description, metadata={"unit": "share"})


def difference(description: str, *, nullable: bool = False) -> Any:
    """Declare a difference of two shares, from -1 to 1."""
    return pa.Field(ge=-1, le=1, nullable=nullable, description=description, metadata={"unit": "share"})
