"""What POST /recourse takes and answers.

What belongs here: the shapes. What does not: the search (`search`), the words of actions (`actions.yaml`).
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec


class RecourseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which decision it is about."""

    decision_id: Annotated[str, msgspec.Meta(max_length=64, description="Of an answer of POST /predict.")]


class ChangedField(msgspec.Struct, frozen=True, kw_only=True):
    """A raw column before and after; of a history table, the sums over the rows that change."""

    table: str
    column: str
    before: float
    after: float


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the applicant would do."""

    action: str
    text: str
    fields: Sequence[ChangedField]


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """Changes that together would change the outcome, and what the service would answer then."""

    changes: Sequence[Change]
    pd: float
    outcome: str
    band: str
    rule: str | None
    points: int


class Recourse(msgspec.Struct, frozen=True, kw_only=True):
    """What would change a decision; nothing was decided, nothing was stored."""

    request_id: str
    decision_id: str
    decision: str  # as it was made
    model_version: str  # of the model in use, which scored all of this
    policy_version: str
    stored: Literal[False] = False
    pd_now: float  # of the application as it was sent, by the model in use
    outcome_now: str
    suggestions: Sequence[Suggestion]  # the best first
    none_because: str | None  # null: there are suggestions
    tried: int  # applications scored for this answer
    out_of_reach: Sequence[str]  # inputs that raised the PD and that nothing tried changes
    fixed: Sequence[str]  # what cannot be changed, in words
    not_tried: Sequence[str]  # actions that do not apply, because what they change was not sent
