"""The search for what would change a decision: few changes first, every one of them scored again by the service itself.

What belongs here: the order of tries, which of them are told. What does not: what can be done (`actions`), scoring (`scoring.service`).

What single steps do to the margin says which of their combinations are tried first; whether a combination helps, its own score says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import BundleFeature
from creditrisk_serving.recourse.actions import Actions, FieldMove, Step, combinations, taken
from creditrisk_serving.scoring.service import Scored

MOST_TRIES = 200  # rescorings of one answer, the unchanged application among them
MOST_STEPS = 3
MOST_SUGGESTIONS = 3
RANKS = {"approve": 0, "refer": 1, "decline": 2}
Rescore = Callable[[Mapping[str, Any]], Scored | None]


@dataclass(frozen=True)
class Way:
    """Something that would change the decision."""

    steps: tuple[Step, ...]
    moves: Sequence[Sequence[FieldMove]]  # of each step
    scored: Scored

    @property
    def order(self) -> tuple[int, int, float]:
        """Its place among others: the better outcome, then fewer steps, then smaller ones."""
        return RANKS[self.scored.outcome.decision], len(self.steps), sum(step.effort for step in self.steps)

    @property
    def actions(self) -> frozenset[str]:
        """What is done, whatever the extent."""
        return frozenset(step.action.name for step in self.steps)


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    ways: Sequence[Way]
    tries: int
    moved: NDArray[np.bool_] | None  # (inputs,) which of the model's inputs any try changed; None: nothing was tried


class Search:
    """A search over one application.

    Parameters
    ----------
    actions
        What can be done.
    features
        The model's inputs, in the order of a row.
    sent
        What was sent, as the decision log keeps it.
    now
        The application as it is, scored again.
    rescore
        Scores a changed application; None: the service would refuse it.
    """

    def __init__(
        self,
        actions: Actions,
        features: Sequence[BundleFeature],
        sent: Mapping[str, Any],
        now: Scored,
        rescore: Rescore,
    ) -> None:
        self._actions, self._sent, self._now, self._rescore = actions, sent, now, rescore
        self._signs = np.array([feature.monotone for feature in features], dtype=np.float32)
        self._moved = np.zeros(len(features), dtype=bool)
        self._effects: dict[tuple[str, float], float] = {}  # of single steps on the margin
        self._tries = 1  # the application as it is
        self._ways: list[Way] = []

    def run(self) -> Found:
        """Try single steps, then pairs, then three at once, until the tries are used up or enough ways were found."""
        for size in range(1, MOST_STEPS + 1):
            waiting = sorted(combinations(self._actions, size), key=self._promise)
            for steps in waiting:
                if self._tries == MOST_TRIES:
                    break
                if not self._settled(steps):
                    self._try(steps)
            if len(self._told()) == MOST_SUGGESTIONS:
                break
        return Found(self._told(), self._tries, self._moved)

    def _promise(self, steps: tuple[Step, ...]) -> tuple[float, float]:
        """Order tries: those that single steps say lower the margin most first, small ones first among equals."""
        return sum(self._effects.get(step.name, 0.0) for step in steps), sum(step.effort for step in steps)

    def _settled(self, steps: tuple[Step, ...]) -> bool:
        """Tell whether a part of these steps, taken alone, is approved already, so that more would be done than is needed."""
        mine = {step.action.name for step in steps}
        return any(way.actions < mine and way.scored.outcome.decision == "approve" for way in self._ways)

    def _try(self, steps: tuple[Step, ...]) -> None:
        if (changed := taken(self._actions, self._sent, steps)) is None:
            return
        self._tries += 1
        application, moves = changed
        if (scored := self._rescore(application)) is None:
            return
        if len(steps) == 1:
            self._effects[steps[0].name] = scored.margin - self._now.margin
        self._moved |= _differs(scored.numbers, self._now.numbers)
        better = RANKS[scored.outcome.decision] < RANKS[self._now.outcome.decision]
        if better and scored.pd <= self._now.pd and self._is_consistent(scored):
            self._ways.append(Way(steps, moves, scored))

    def _is_consistent(self, scored: Scored) -> bool:
        """Tell whether no input moved the way in which, by the policy, the PD may only rise."""
        change = np.nan_to_num(scored.numbers - self._now.numbers)
        return bool((change * self._signs <= 0).all())

    def _told(self) -> list[Way]:
        """Choose the best way of each set of actions; where some are approved, no others."""
        best: dict[frozenset[str], Way] = {}
        for way in sorted(self._ways, key=lambda way: way.order):
            best.setdefault(way.actions, way)
        found = list(best.values())[:MOST_SUGGESTIONS]
        approved = [way for way in found if way.scored.outcome.decision == "approve"]
        return approved or found


def body_of(application: Mapping[str, Any]) -> bytes:
    """Render an application as the body of POST /predict."""
    histories = application["histories"]
    body = {"applications": [application["application"]]} | ({"histories": histories} if histories else {})
    return msgspec.json.encode(body)


def _differs(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(~((one == other) | (np.isnan(one) & np.isnan(other))))
