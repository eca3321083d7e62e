"""How old a feed's data are, against how often they are expected: the second clock beside Dagster's freshness policies.

Dagster's policy says when the graph last verified an asset, and a cache hit renews it; it cannot see that the source itself stopped
delivering. This clock starts at the source's own date (the batch's `as_at`, or when the file last changed).

What belongs here: the verdict and its words, as pure functions. What does not: looking at a feed (`ingestion.feeds`), telling somebody
(`alerts`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

State = Literal["fresh", "warn", "stale", "missing"]

WARN_FROM = 1.25  # of the cadence: it is due
STALE_FROM = 1.5  # of the cadence: it was missed
SKEW = timedelta(minutes=5)  # a source's clock may run ahead by this much without a word


@dataclass(frozen=True)
class DataAge:
    """The verdict on one feed."""

    table: str
    state: State
    words: str
    as_at: datetime | None = None
    age: timedelta | None = None
    limit: timedelta | None = None  # age from which it is stale; None: it never is

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "table": self.table,
            "state": self.state,
            "words": self.words,
            "as_at": self.as_at.isoformat() if self.as_at else None,
            "age_hours": _hours(self.age),
            "limit_hours": _hours(self.limit),
        }


def judge(table: str, as_at: datetime | None, cadence: timedelta | Literal["static"], now: datetime) -> DataAge:
    """Judge one feed.

    Parameters
    ----------
    table
        Its name.
    as_at
        The newest moment its data stand for, with time zone; None when nothing says.
    cadence
        How often it is expected to change; `static` data never go stale.
    now
        Time of the look, with time zone.

    Returns
    -------
    DataAge
        `warn` from 1.25 times the cadence, `stale` from 1.5 times; a date that lies ahead counts as age 0, and the words say so.

    Examples
    --------
    >>> from datetime import UTC
    >>> judge("bureau", datetime(2026, 5, 1, tzinfo=UTC), timedelta(days=1), datetime(2026, 5, 3, tzinfo=UTC)).state
    'stale'
    """
    if cadence == "static":
        age = None if as_at is None else max(now - as_at, timedelta(0))
        return DataAge(table, "fresh", "declared static: it does not go stale", as_at, age)
    limit = STALE_FROM * cadence
    if as_at is None:
        words = "neither the source nor its configuration says how old the data are; set as_at or a manifest of batches"
        return DataAge(table, "warn", words, None, None, limit)
    age = max(now - as_at, timedelta(0))
    words = f"data of {as_at:%Y-%m-%d %H:%M} UTC are {_words(age)} old, expected every {_words(cadence)}, stale from {_words(limit)}"
    if as_at - now > SKEW:
        words = f"the source dates its data {_words(as_at - now)} ahead; check its clock. They count as new"
        return DataAge(table, "warn", words, as_at, age, limit)
    state: State = "stale" if age > limit else "warn" if age > WARN_FROM * cadence else "fresh"
    return DataAge(table, state, words, as_at, age, limit)


def missing(table: str, words: str, cadence: timedelta | Literal["static"]) -> DataAge:
    """Return the verdict on a feed that is not there or cannot be looked at."""
    return DataAge(table, "missing", words, limit=None if cadence == "static" else STALE_FROM * cadence)


def freshness_report(ages: Mapping[str, DataAge], source: str, now: datetime) -> dict[str, Any]:
    """Return what `reports/data_freshness.json` holds."""
    feeds = {table: age.to_dict() for table, age in ages.items()}
    worst = max(
        (age.state for age in ages.values()), key=("fresh", "warn", "stale", "missing").index, default="missing"
    )
    return {"source": source, "looked_at": now.isoformat(timespec="seconds"), "state": worst, "feeds": feeds}


def _hours(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds() / 3600, 2)


def _words(span: timedelta) -> str:
    seconds = span.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
