"""What the routes of notices answer.

What belongs here: the shapes. What does not: the record in the log (`decisions.schemas`).
"""

import msgspec


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice of adverse action, as it was issued."""

    decision_id: str
    notice_id: str
    issued_at: str
    due_by: str  # the last day on which it may be given: 30 days after the application
    caller: str  # the id of the API key, or the command
    jurisdiction: str
    document_sha256: str  # of the document
    document: str  # HTML
