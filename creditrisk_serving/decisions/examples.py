"""A review that can be sent as it is, and answers of the shape the routes of decisions give; they stand in the OpenAPI document.

What belongs here: invented values. What does not: the shapes (`schemas`).
"""

from typing import Any

from creditrisk_serving.scoring.examples import APPLICATION, PREDICTED_EXAMPLE

REVIEW: dict[str, Any] = {"reviewer": "A. Person", "outcome": "approve", "reason": "Income proven by payslips."}
_DECIDED = PREDICTED_EXAMPLE["decisions"][0]
_KEPT = (
    "decision_id",
    "applicant_id",
    "model_version",
    "policy_version",
    "pd",
    "decision",
    "band",
    "rule",
    "families",
    "contributions",
    "reasons",
)
REVIEWED: dict[str, Any] = {
    "decision_id": _DECIDED["decision_id"],
    "review_id": "01a22c505e8c1b6b0b3b0a54f2a1f0c9",
    "request_id": "0e6f0c3a9d2b4c58b6a7b8c9d0e1f2a3",
    "reviewed_at": "2026-11-30T12:05:10.201334+00:00",
    "caller": "back-office",
    **REVIEW,
}
STORED: dict[str, Any] = {
    **{name: _DECIDED[name] for name in _KEPT},
    "request_id": PREDICTED_EXAMPLE["request_id"],
    "decided_at": "2026-11-30T12:01:44.518203+00:00",
    "caller": "lending",
    "bundle_sha256": PREDICTED_EXAMPLE["bundle_sha256"],
    "feature_versions": {"bureau": "654344b08acccf667c9ffc6f2385e3b71b0ce0f7e085482c415644abe413964e"},
    "input": {"application": APPLICATION, "histories": {}},
    "features": {"application__income_amt": 157500.0, "bureau__credits_count": 2},
    "latency_ms": 0.812,
    "reviews": [REVIEWED],
}
