"""The actions an applicant can take: read from `actions.yaml`, applied to what was sent.

What belongs here: what an action is, what it makes of an application. What does not: which actions help (`search`).
"""

import copy
import itertools
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).with_name("actions.yaml")
APPLICATION = "application"
CREDIT, ANNUITY = "AMT_CREDIT", "AMT_ANNUITY"


class Action(BaseModel):
    """Something an applicant can do, in steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    group: str
    text: str
    table: str
    columns: tuple[str, ...] = Field(min_length=1)
    factors: tuple[float, ...] = Field(min_length=1)  # from the smallest step to the largest
    where: Mapping[str, str] = Field(default_factory=dict)  # column -> value, of the rows it is done to


class Held(BaseModel):
    """The published feature that holds a raw column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: str
    times: float = 1.0  # the raw value is so many times the feature's


class Actions(BaseModel):
    """All there is to do, and its bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actions: tuple[Action, ...]
    round_to: float = Field(gt=0)
    shortest_term: float = Field(gt=0)
    longest_term: float = Field(gt=0)
    fixed: tuple[str, ...]
    read_back: Mapping[str, Held]  # raw column of an application -> where it is read when no application was sent


class Step(NamedTuple):
    """An action, and how far it is taken."""

    action: Action
    factor: float

    @property
    def name(self) -> tuple[str, float]:
        """What tells it from other steps."""
        return self.action.name, self.factor

    @property
    def effort(self) -> float:
        """How far it is from doing nothing, as a share of what was sent."""
        return abs(1 - self.factor)


class FieldMove(NamedTuple):
    """What a step makes of a column; of a history table, the sums over the rows it is done to."""

    table: str
    column: str
    before: float
    after: float


@cache
def load_actions() -> Actions:
    """Read the declared actions."""
    import yaml  # noqa: PLC0415 - only whoever asks for recourse needs it

    return Actions.model_validate(yaml.safe_load(FILE.read_text("utf-8")))


def combinations(actions: Actions, size: int) -> Iterator[tuple[Step, ...]]:
    """Give every way to take so many actions, each of another group, each to each extent."""
    for chosen in itertools.combinations(actions.actions, size):
        if len({action.group for action in chosen}) == size:
            extents = itertools.product(*(action.factors for action in chosen))
            yield from (tuple(itertools.starmap(Step, zip(chosen, e, strict=True))) for e in extents)


def taken(
    actions: Actions, sent: Mapping[str, Any], steps: tuple[Step, ...]
) -> tuple[dict[str, Any], list[list[FieldMove]]] | None:
    """Take steps in an application.

    Parameters
    ----------
    actions
        Their bounds.
    sent
        `application` (a row) and `histories` (table -> rows), as the decision log keeps them.
    steps
        What is done, in this order.

    Returns
    -------
    tuple or None
        What would be sent then, and what each step moved; None: a step moves nothing, or leaves the bounds.
    """
    changed = {"application": dict(sent["application"]), "histories": copy.deepcopy(dict(sent["histories"]))}
    moves = []
    for step in steps:
        if not (moved := _take(actions, changed, step)):
            return None
        moves.append(moved)
    return (changed, moves) if _within(actions, sent["application"], changed["application"]) else None


def _take(actions: Actions, changed: dict[str, Any], step: Step) -> list[FieldMove]:
    action = step.action
    rows = [changed["application"]] if action.table == APPLICATION else changed["histories"].get(action.table, [])
    chosen = [row for row in rows if all(row.get(name) == value for name, value in action.where.items())]
    moves = []
    for column in action.columns:
        mine = [row for row in chosen if row.get(column)]
        before = sum(row[column] for row in mine)
        for row in mine:
            row[column] = round(row[column] * step.factor / actions.round_to) * actions.round_to
        if (after := sum(row[column] for row in mine)) != before:
            moves.append(FieldMove(action.table, column, before, after))
    return moves


def _within(actions: Actions, sent: Mapping[str, Any], changed: Mapping[str, Any]) -> bool:
    """Tell whether amount and instalment make a loan of a term there is, or of the term that was asked for."""
    before, after = _term(sent), _term(changed)
    if before is None or after is None:
        return before == after
    return min(actions.shortest_term, before) <= after <= max(actions.longest_term, before)


def _term(application: Mapping[str, Any]) -> float | None:
    """Return how many instalments the amount is; None: one of the two is not known or nothing."""
    credit, annuity = application.get(CREDIT), application.get(ANNUITY)
    return float(credit / annuity) if credit and annuity else None
