"""How long a store asks to wait before it is asked again.

What belongs here: reading the header Retry-After (RFC 9110, 10.2.3), whichever library received it. What does not: waiting (`fetch`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return the seconds an answer asks to wait; a date is taken by the server's own clock, which may differ from this machine's.

    Parameters
    ----------
    headers
        Of the answer; looked up in lower case, so a plain dictionary must hold lower case.

    Returns
    -------
    float | None
        Seconds, 0 at least; None when the answer does not say.

    Examples
    --------
    >>> retry_after_seconds({"retry-after": "7"})
    7.0
    >>> retry_after_seconds({"retry-after": "Thu, 01 Jan 2026 00:01:30 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"})
    90.0
    """
    asked = headers.get("retry-after", "").strip()
    if asked.isdecimal():
        return float(asked)
    if (until := _date(asked)) is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
