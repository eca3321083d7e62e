"""Reviews of referrals: a person decides what the policy left open.

What belongs here: what a review must be. What does not: storing it (`log`), routes (`endpoints`). A review never changes the decision it
is of: it stands beside it, chained like it. A later review overrules an earlier one, and both stay.
"""

import re
from datetime import UTC, datetime

import msgspec

from creditrisk_serving.access import Caller
from creditrisk_serving.decisions.log import DecisionLog, new_decision_id
from creditrisk_serving.decisions.schemas import Review, ReviewRequest
from creditrisk_serving.errors import (
    DecisionNotFoundError,
    FieldError,
    InvalidReviewError,
    MalformedBodyError,
    NotAReferralError,
)

RULES = {
    "reviewer": "the name of the person who decided, 1 to 100 characters",
    "outcome": "`approve` or `decline`",
    "reason": "why, in 1 to 2,000 characters",
}
_PLACE = re.compile(r"\$\.(\w+)|field `(\w+)`")


def review(log: DecisionLog, decision_id: str, body: bytes, request_id: str, caller: Caller) -> Review:
    """Store a review of a referral and return it.

    Raises
    ------
    ServiceError
        The body is no review, there is no such decision, it was no referral, or it cannot be stored.
    """
    asked = _parse(body)
    record = log.find(decision_id)
    if record is None:
        raise DecisionNotFoundError("no decision has this id; it is the decision_id of an answer of POST /predict")
    if record.decision != "refer":
        raise NotAReferralError("the policy decided this one itself; send the application again if its facts changed")
    made = Review(
        decision_id=decision_id,
        review_id=new_decision_id(),
        request_id=request_id,
        reviewed_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        caller=caller.key_id,
        reviewer=asked.reviewer,
        outcome=asked.outcome,
        reason=asked.reason,
    )
    log.review(made)
    return made


def _parse(body: bytes) -> ReviewRequest:
    try:
        return msgspec.json.decode(body, type=ReviewRequest)
    except msgspec.ValidationError as error:  # its words may quote what was sent
        named = next((name for match in _PLACE.finditer(str(error)) for name in match.groups() if name in RULES), None)
        message = "a review has reviewer, outcome and reason, and nothing else" if named is None else RULES[named]
        raise InvalidReviewError(
            "the review was not stored", [FieldError("review", "form", message, column=named)]
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBodyError("the body is not JSON") from None
