"""What POST /predict, POST /what-if and POST /validate answer.

What belongs here: the shapes of answers. What does not: the shape of requests (rendered from the bundle's plan by
`rules`).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from creditrisk_serving.decisions.schemas import Contribution, Reason
from creditrisk_serving.errors import FieldError


class ScoredApplicant(msgspec.Struct, frozen=True, kw_only=True):
    """The decision on one applicant."""

    decision_id: str
    applicant_id: int
    table: str  # where the request names it
    row: int
    pd: float
    decision: str
    band: str
    rule: str | None  # the policy's hard rule that decided; null: the PD did
    points: int  # of the policy's scale: more is better
    families: Mapping[str, str]
    outside_training: Sequence[str]  # the model's inputs beyond what its training saw
    contributions: (
        Sequence[Contribution] | None
    )  # what raised the PD most, of referrals and declines; null: approved, or unexplained
    reasons: Sequence[Reason] | None  # the principal ones of referrals and declines, at most four; null: as above
    model_version: str
    policy_version: str


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one request: the decisions, and the errors of applicants that could not be scored."""

    request_id: str
    model_version: str
    bundle_sha256: str
    policy_version: str
    scored: int
    failed: int
    decisions: Sequence[ScoredApplicant]
    errors: Sequence[FieldError]
    errors_total: int


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What would be decided on one applicant; it is no decision, so it has no id."""

    applicant_id: int
    table: str  # where the request names it
    row: int
    pd: float
    outcome: str  # what the policy would decide
    band: str
    rule: str | None
    points: int
    families: Mapping[str, str]
    outside_training: Sequence[str]
    contributions: Sequence[Contribution] | None  # as in `ScoredApplicant`
    reasons: Sequence[Reason] | None


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a dry run: nothing was decided, nothing was stored."""

    request_id: str
    model_version: str
    bundle_sha256: str
    policy_version: str
    stored: Literal[False] = False
    scored: int
    failed: int
    estimates: Sequence[Estimate]
    errors: Sequence[FieldError]
    errors_total: int


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """What POST /predict would say of a request's form: nothing is looked up, scored or stored."""

    request_id: str
    model_version: str
    valid: bool
    applicants: int
    failed: int
    errors: Sequence[FieldError]
    errors_total: int
