"""What a key may be for: the one vocabulary of scopes.

What belongs here: the scopes, what each opens, who holds them. What does not: which route asks for which (the endpoints).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from creditrisk_serving.access.limits import Rate


class Scope(StrEnum):
    """What a key may be for; a route names the scopes of which a key needs one."""

    SCORE = "score"
    EXPLAIN = "explain"
    REVIEW = "review"
    MONITOR = "monitor"
    ADMIN = "admin"


MEANINGS: Mapping[Scope, str] = {
    Scope.SCORE: "ask for decisions, and read those this key asked for",
    Scope.EXPLAIN: "read any decision and what it rests on",
    Scope.REVIEW: "read any decision, and record who decided a referral",
    Scope.MONITOR: "read metrics",
    Scope.ADMIN: "everything",
}
AUDITED = frozenset({Scope.EXPLAIN, Scope.REVIEW, Scope.ADMIN})


@dataclass(frozen=True)
class Caller:
    """Whoever holds a key.

    Parameters
    ----------
    key_id
        The key's name.
    scopes
        What the key opens.
    rate
        How much it may ask for; None: what the settings say.
    """

    key_id: str
    scopes: frozenset[Scope] = frozenset()
    rate: Rate | None = None


def opened_by(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """Return all that scopes open: `admin` stands for every one."""
    held = frozenset(scopes)
    return frozenset(Scope) if Scope.ADMIN in held else held
