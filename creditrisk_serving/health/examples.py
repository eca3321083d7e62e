"""Answers of the shape the routes about the service give; they stand in the OpenAPI document.

What belongs here: invented values, none of them null (FastAPI leaves nulls out of the document). What does not: the shapes (`schemas`).
"""

from typing import Any

LIVE: dict[str, Any] = {"status": "live"}
READY: dict[str, Any] = {"ready": True, "reasons": [], "warnings": [], "model_version": "09cd3f346eb69498"}
NOT_READY: dict[str, Any] = {
    "ready": False,
    "reasons": ["the decision log cannot be written"],
    "warnings": [],
    "model_version": "09cd3f346eb69498",
}
METADATA: dict[str, Any] = {
    "model": {
        "name": "credit-risk-pd",
        "version": "09cd3f346eb69498",
        "created_at": "2026-11-30T08:28:05+00:00",
        "code_version": "77b20ac732d6de93",
        "bundle_sha256": "4d8b97d9e36fe8c61672f0a77ab3b756ac4137749030d7bbb8ba3fbe3459a1ac",
        "features": [{"name": "application__income_amt", "family": "application", "kind": "number"}],
    },
    "policy": {
        "version": "1-54809abdeab5",
        "sha256": "54809abdeab5a8ed6d3ae92f0b3fa4f4c8e1d3a59d2c0c4d5f9d7c6f0a1b2c3d",
        "bands": [{"name": "A", "below": 0.03}, {"name": "B", "below": 0.06}],
        "decisions": {"approve_below": 0.12, "decline_from": 0.3},
        "eligibility": [],
        "score": {"reference_points": 600, "reference_odds": 50, "points_to_double": 20},
    },
    "features": {"application": "5d0b2e"},
    "contracts": {
        "sha256": "e1251643c009fdd64cd7a242cbde9cd7977b5c19e63d8c5b227e101b1b5fc524",
        "tables": {"application": 121, "bureau": 17},
    },
    "limits": {"max_body_bytes": 8388608, "max_applicants": 1000, "max_history_rows": 100000},
    "training": {"metrics": {"auc": 0.76}, "note": "Trained on the synthetic portfolio."},
    "data": {
        "trained_on": {"training/split_train": "f1b2ffac39f059ca47d662f01121b06fed1173ae94b6b65887e0e04e2d61921b"},
        "looked_up_in": {"bureau": "654344b08acccf667c9ffc6f2385e3b71b0ce0f7e085482c415644abe413964e"},
        "verified_at": "2026-11-30T11:54:48+00:00",
    },
    "schemas": {"decision_log": "decision_log_0003", "online_store": "online_store_0001"},
}
METRICS = "# TYPE creditrisk_requests_total counter"
