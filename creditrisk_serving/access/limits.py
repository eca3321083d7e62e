"""How much a caller may ask for: token buckets in the memory of one process.

What belongs here: rates, budgets. What does not: what is told to who asks for too much (`errors`), where it is asked (`authentication`).

One process knows nothing of what another let in, so each of N gives a caller an N-th of its rate.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

RATE_FORM = r"^[1-9]\d{0,8}/[smhd]$"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Rate:
    """So many in a time; that many may also come at once.

    Parameters
    ----------
    count
        How many.
    period
        `s`, `m`, `h` or `d`: second, minute, hour, day.
    """

    count: int
    period: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rate.

        Raises
        ------
        ValueError
            It has another form.

        Examples
        --------
        >>> Rate.parse("100/s")
        Rate(count=100, period='s')
        """
        if not re.fullmatch(RATE_FORM, text):
            raise ValueError("a rate is a whole number per s, m, h or d, for example 100/s")
        count, _, period = text.partition("/")
        return cls(int(count), period)

    def __str__(self) -> str:
        return f"{self.count}/{self.period}"


FAILURES = Rate(100, "s")  # of one process; it bounds what guesses cost, and 256 random bits are what makes them vain


class Budget:
    """A token bucket: full at first, refilled with time, and overdrawn by what turns out larger than one.

    Parameters
    ----------
    rate
        Tokens in a time; as many fit in.
    share
        Part of the rate this process may give, 0 to 1.
    clock
        Seconds that never go back.
    """

    __slots__ = ("_clock", "_filled_at", "_per_second", "_room", "_tokens", "rate")

    def __init__(self, rate: Rate, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._per_second = share * rate.count / SECONDS[rate.period]
        self._room = self._tokens = max(1.0, share * rate.count)
        self._clock = clock
        self._filled_at = clock()

    def take(self) -> float:
        """Take one token; return the seconds until there is one, 0 when it was taken."""
        now = self._clock()
        tokens = min(self._room, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if tokens < 1:
            self._tokens = tokens
            return (1 - tokens) / self._per_second
        self._tokens = tokens - 1
        return 0.0

    def charge(self, tokens: int) -> None:
        """Take tokens that may not be there: what was let in is finished, and the next wait until it is paid for."""
        self._tokens -= tokens


class Throttle:
    """The budgets of all callers of one process.

    Parameters
    ----------
    usual
        The rate of a caller without one of its own.
    processes
        How many share the callers' rates.
    clock
        Seconds that never go back.
    """

    def __init__(self, usual: Rate, processes: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._usual = usual
        self._share = 1 / processes
        self._clock = clock
        self._budgets: dict[str, Budget] = {}
        self.failures = Budget(FAILURES, clock=clock)

    def budget(self, key_id: str, rate: Rate | None) -> Budget:
        """Return the budget of a key; a new one when its rate was changed."""
        rate = rate or self._usual
        known = self._budgets.get(key_id)
        if known is None or (known.rate is not rate and known.rate != rate):
            known = self._budgets[key_id] = Budget(rate, self._share, self._clock)
        return known
