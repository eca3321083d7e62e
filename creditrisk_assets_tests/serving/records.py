"""Decisions without a model: what a record looks like, made up."""

from typing import Any

from creditrisk_serving.decisions.log import new_decision_id
from creditrisk_serving.decisions.schemas import DecisionRecord


def record(**given: Any) -> DecisionRecord:
    """A decision with an id of its own."""
    values: dict[str, Any] = {
        "decision_id": new_decision_id(),
        "request_id": "r-1",
        "decided_at": "2026-11-30T08:00:00.000000+00:00",
        "applicant_id": 100_001,
        "caller": "test",
        "model_version": "m",
        "bundle_sha256": "b" * 64,
        "policy_version": "1-p",
        "pd": 0.1 + 0.2,
        "decision": "refer",
        "band": "C",
        "rule": None,
        "families": {"bureau": "present", "application": "sent"},
        "feature_versions": {"bureau": "v"},
        "input": {"application": {"AMT_CREDIT": 1e15, "NAME": 'quoted "ü"\n'}, "histories": {}},
        "features": {"z__amt": 1e-7, "a__share": 0.30000000000000004, "none": None},
    }
    return DecisionRecord(**values | given)
