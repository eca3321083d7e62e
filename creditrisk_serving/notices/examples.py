"""A notice of the shape the routes answer; it stands in the OpenAPI document.

What belongs here: invented values. What does not: the shape (`schemas`).
"""

from typing import Any

from creditrisk_serving.scoring.examples import PREDICTED_EXAMPLE

PAGE = '<!doctype html>\n<html lang="en">…'
PDF = "%PDF-1.3…"
ISSUED: dict[str, Any] = {
    "decision_id": PREDICTED_EXAMPLE["decisions"][0]["decision_id"],
    "notice_id": "01a22c505e8c1b6b0b3b0a54f2a1f0d1",
    "issued_at": "2026-12-02T09:30:00.118204+00:00",
    "due_by": "2026-12-30",
    "caller": "back-office",
    "jurisdiction": "us",
    "document_sha256": "3f1c0f6e2b6f4a31a9a5a9f1f9c1d0aa3f1c0f6e2b6f4a31a9a5a9f1f9c1d0aa",
    "document": "<!doctype html>…",
}
