"""What one decision is, stored and answered.

What belongs here: the records. What does not: their bytes (`entries`), where they are kept (`log`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

SAID = r"^[^\x00]*[^\x00\s][^\x00]*$"  # some words, and nothing PostgreSQL has no place for
JSON_COLUMNS = ("families", "feature_versions", "input", "features", "reasons", "shadow")


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One principal reason why an applicant was not approved, as it was told; what does not apply is left out."""

    code: str  # the same for the same reason in every version
    text: str
    group: str  # of the features that are told of together, or the hard rule
    contribution: float | None = None  # what the group adds to the margin; none: a hard rule
    value: str | None = None  # of the feature the text is of, where it can be told


class Shadowed(msgspec.Struct, frozen=True):
    """What the shadow would have decided; nobody is answered with it."""

    model_version: str
    pd: float
    decision: str
    band: str


class Decided(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One decision with all it rests on; a field added later has the default None, so that bytes written before stay what they are."""

    decision_id: str
    request_id: str
    decided_at: str
    applicant_id: int
    caller: str
    model_version: str
    bundle_sha256: str
    policy_version: str
    pd: float
    decision: str
    band: str
    families: Mapping[str, str]  # family -> present | no_history | sent
    feature_versions: Mapping[str, str]  # family looked up -> the lake's version of it
    input: Mapping[str, Any] | None  # null: erased; what was sent for this applicant, without what was left out
    features: Mapping[str, Any] | None  # null: erased; what the model and hard rules saw, `inputs.Packed`
    rule: str | None = (
        None  # the policy's hard rule that decided; None: the PD did, or the decision is older than rules
    )
    latency_ms: float | None = None  # from the request's arrival to this record; None: older than this field
    reasons: Sequence[Reason] | None = (
        None  # the principal ones, at most four; None: approved, unexplained, erased or older
    )


class DecisionRecord(Decided, frozen=True, kw_only=True, omit_defaults=True):
    """A decision as it is stored."""

    shadow: Shadowed | None = None  # None: no shadow scored it, or it is older than shadows


class Review(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person decided of a referral."""

    decision_id: str
    review_id: str
    request_id: str
    reviewed_at: str
    caller: str  # the id of the API key
    reviewer: str  # the name given
    outcome: Literal["approve", "decline"]
    reason: str


class NoticeRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A notice of adverse action as it was issued; a field added later has the default None."""

    decision_id: str
    notice_id: str
    applicant_id: int
    request_id: str
    issued_at: str
    due_by: str  # the last day on which it may be given
    caller: str  # the id of the API key, or the command
    jurisdiction: str
    document_sha256: str  # of the HTML; the PDF is rendered from it
    document: str | None = None  # None: erased


class Contribution(msgspec.Struct, frozen=True):
    """What one feature adds to an applicant's margin (log-odds before calibration), compared with applicants just approved."""

    feature: str
    contribution: float


class StoredDecision(Decided, frozen=True, kw_only=True):
    """A decision as GET /decisions/{id} answers it."""

    contributions: Sequence[Contribution] | None = (
        None  # what raised the PD most; null: approved, unexplained or erased
    )
    reviews: Sequence[Review] | None = None  # null: they cannot be read now


class ReviewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a review."""

    reviewer: Annotated[str, msgspec.Meta(max_length=100, pattern=SAID, description="Name of the person who decided.")]
    outcome: Annotated[Literal["approve", "decline"], msgspec.Meta(description="What was decided.")]
    reason: Annotated[
        str, msgspec.Meta(max_length=2000, pattern=SAID, description="Why, in words; it is kept as it is.")
    ]


class Erasure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That an applicant's data were erased; a field added later has the default None."""

    erasure_id: str
    applicant_id: int
    erased_at: str
    decisions: int
    reason: str


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a table of applicants was scored, and the hashes of its files; a field added later has the default None."""

    batch_id: str  # the decision on one of its applicants is `<batch_id>-<SK_ID_CURR>`
    decided_at: str
    source: str  # the command and who gave it, or the asset
    model_version: str
    bundle_sha256: str
    policy_version: str
    scored: int
    rejected: int
    input_sha256: str
    scores_sha256: str
    manifest_sha256: str


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request that was sent under an idempotency key; it stands in no chain, and is forgotten after a day."""

    caller: str
    key: str
    body_sha256: str
    answer: str
