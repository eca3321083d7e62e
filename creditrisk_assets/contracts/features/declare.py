"""Declarations of features, so that a family's contract reads as one line per feature.

What belongs here: a builder per unit, with the metadata every feature carries: `unit` and `known_at`. What does not: the features
themselves, raw columns (`contracts.fields`).

The unit is the suffix of the quantity in the feature's name: `_amt`, `_days`, `_months`, `_count`, `_ratio`, `_share` (0–1), and, for
what the source measures on scales of its own, `_score` (0–1), `_level` (ordered classes), `_hours` (of the day) and `_category` (text);
booleans start with `is_` or `has_`. NULL means unknown or not applicable, never zero.
"""

from typing import Any

import pandera.ibis as pa

APPLICATION_DAY = "application day"


def _feature(
    description: str,
    unit: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    nullable: bool = True,
    known_at: str = APPLICATION_DAY,
) -> Any:
    return pa.Field(
        ge=minimum,
        le=maximum,
        nullable=nullable,
        description=description,
        metadata={"unit": unit, "known_at": known_at},
    )


def key() -> Any:
    """Declare the applicant the row is about."""
    return pa.Field(ge=0, description="application (key)", metadata={"unit": "id", "dating": "key"})


def amount(description: str, *, minimum: float | None = 0, maximum: float | None = None, nullable: bool = True) -> Any:
    """Declare an amount of money."""
    return _feature(description, "currency", minimum=minimum, maximum=maximum, nullable=nullable)


def days(description: str, *, minimum: float | None = 0, maximum: float | None = None, nullable: bool = True) -> Any:
    """Declare a time in days; an age is counted back from the application."""
    return _feature(description, "days", minimum=minimum, maximum=maximum, nullable=nullable)


def months(description: str, *, minimum: float | None = 0, maximum: float | None = None, nullable: bool = True) -> Any:
    """Declare a time in months; an age is counted back from the application."""
    return _feature(description, "months", minimum=minimum, maximum=maximum, nullable=nullable)


def hours(description: str, *, minimum: float | None = 0, maximum: float | None = 23, nullable: bool = True) -> Any:
    """Declare an hour of the day."""
    return _feature(description, "hours", minimum=minimum, maximum=maximum, nullable=nullable)


def count(description: str, *, minimum: float | None = 0, maximum: float | None = None, nullable: bool = True) -> Any:
    """Declare a number of things, or a mean of such numbers."""
    return _feature(description, "count", minimum=minimum, maximum=maximum, nullable=nullable)


def ratio(description: str, *, minimum: float | None = 0, maximum: float | None = None, nullable: bool = True) -> Any:
    """Declare a quotient of two quantities; NULL when the second is zero or unknown."""
    return _feature(description, "ratio", minimum=minimum, maximum=maximum, nullable=nullable)


def share(description: str, *, minimum: float | None = 0, maximum: float | None = 1, nullable: bool = True) -> Any:
    """Declare a part of a whole; NULL when the whole is empty."""
    return _feature(description, "share", minimum=minimum, maximum=maximum, nullable=nullable)


def score(description: str, *, minimum: float | None = 0, maximum: float | None = 1, nullable: bool = True) -> Any:
    """Declare a number that the source normalised to 0–1."""
    return _feature(description, "score", minimum=minimum, maximum=maximum, nullable=nullable)


def level(description: str, *, minimum: float, maximum: float, nullable: bool = True) -> Any:
    """Declare a class on an ordered scale."""
    return _feature(description, "level", minimum=minimum, maximum=maximum, nullable=nullable)


def flag(description: str, *, nullable: bool = True) -> Any:
    """Declare a yes or no."""
    return _feature(description, "flag", nullable=nullable)


def category(description: str, *, nullable: bool = True) -> Any:
    """Declare a text whose values are the raw column's; levels are learned in the model's pipeline, never here."""
    return _feature(description, "category", nullable=nullable)
