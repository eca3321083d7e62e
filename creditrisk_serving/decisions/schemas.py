"""What one decision is, stored and answered.

What belongs here: the record and its canonical JSON. What does not: where it is kept (`log`).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

JSON_COLUMNS = ("families", "feature_versions", "input", "features")
_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical_json(value: Any) -> str:
    """Render JSON with sorted keys and no spaces: equal content, equal text."""
    return _ENCODER.encode(value).decode()


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One decision with all it rests on."""

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

    def row(self) -> dict[str, Any]:
        """Render as a row of the log."""
        return {
            name: canonical_json(value) if name in JSON_COLUMNS else value
            for name, value in ((name, getattr(self, name)) for name in self.__struct_fields__)
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "DecisionRecord":
        """Read a row of the log."""
        return cls(
            **{name: msgspec.json.decode(value) if name in JSON_COLUMNS else value for name, value in row.items()}
        )
