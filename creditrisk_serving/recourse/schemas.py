"""What POST /recourse takes and answers.

What belongs here: the shapes. What does not: the search (`search`), the words of actions (`actions.yaml`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec


class RecourseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which decision it is about, or which known applicant; one of the two."""

    decision_id: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="Of an answer of POST /predict.")] | None
    ) = None
    applicant_id: (
        Annotated[int, msgspec.Meta(ge=1, description="SK_ID_CURR of an applicant whose features are published.")]
        | None
    ) = None


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


class Suggestion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Changes that together would change the outcome, and what the service would answer then; no rule: the PD would decide."""

    changes: Sequence[Change]
    pd: float
    outcome: str
    band: str
    rule: str | None = None
    points: int


class Recourse(msgspec.Struct, frozen=True, kw_only=True):
    """What would change a decision; nothing was decided, nothing was stored."""

    request_id: str
    decision_id: str | None  # null: it was asked of a known applicant
    decision: str | None  # as it was made
    applicant_id: int
    families: Mapping[str, str]  # where the features come from: sent, present, no_history, stale
    model_version: str  # of the model in use, which scored all of this
    policy_version: str
    stored: Literal[False]
    pd_now: float  # of the application as it was sent, by the model in use
    outcome_now: str
    suggestions: Sequence[Suggestion]  # the best first
    none_because: str  # why there are no suggestions; empty where there are
    tried: int  # applications scored for this answer
    out_of_reach: Sequence[str]  # inputs that raised the PD and that nothing tried changes
    fixed: Sequence[str]  # what cannot be changed, in words
    not_tried: Sequence[str]  # actions that do not apply, because what they change was not sent
