"""What is sent and answered of an approval.

What belongs here: the shapes. What does not: what an approval is (`creditrisk_assets.registry.approvals`).
"""

from typing import Annotated

import msgspec


class ApprovalRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an approval."""

    token: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=8000, description="What `creditrisk approve VERSION --token` printed: a signature."
        ),
    ]


class ApprovalTaken(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that was verified and waits for the registry."""

    request_id: str
    model_version: str
    evidence: str  # hash of what was judged
    decision: str  # approve or reject
    identity: str  # whose key signed
    expires_at: str
    taken: bool  # false: it waited already
