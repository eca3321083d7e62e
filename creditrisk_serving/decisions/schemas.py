"""What one decision is, stored and answered.

What belongs here: the records. What does not: their bytes (`entries`), where they are kept (`log`).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

JSON_COLUMNS = ("families", "feature_versions", "input", "features")


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    input: Mapping[str, Any]  # what was sent for this applicant, every column, null where left out
    features: Mapping[str, Any]  # the model's inputs and what hard rules looked at, enough to decide again
    rule: str | None = (
        None  # the policy's hard rule that decided; None: the PD did, or the decision is older than rules
    )


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request that was sent under an idempotency key; it stands in no chain, and is forgotten after a day."""

    caller: str
    key: str
    body_sha256: str
    answer: str
