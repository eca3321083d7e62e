"""The routes of stored decisions: reading one, reviewing a referral.

What belongs here: paths, declared errors. What does not: the log (`log`), what a review must be (`review`).
"""

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from creditrisk_serving.access import Caller
from creditrisk_serving.authentication import READERS, ReadingCaller, ReviewingCaller
from creditrisk_serving.decisions.examples import REVIEW, REVIEWED, STORED
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.review import review
from creditrisk_serving.decisions.schemas import Contribution, Review, ReviewRequest, StoredDecision
from creditrisk_serving.document import JSON, answers, reference, takes
from creditrisk_serving.errors import (
    CALLER_ERRORS,
    BodyTooLargeError,
    DecisionNotFoundError,
    DecisionNotStoredError,
    InvalidReviewError,
    MalformedBodyError,
    NotAReferralError,
    NotReadyError,
    OverloadedError,
    documented,
)
from creditrisk_serving.observability import request_state
from creditrisk_serving.state import service_of

router = APIRouter(tags=["decisions"])


@router.get(
    "/decisions/{decision_id}",
    response_model=None,
    operation_id="decision",
    responses={
        200: answers(StoredDecision, "The decision, as it was stored.", referred=STORED),
        **documented(*CALLER_ERRORS, DecisionNotFoundError, DecisionNotStoredError, OverloadedError, NotReadyError),
    },
)
async def read_decision(decision_id: str, request: Request, caller: ReadingCaller) -> Response:
    """Return one decision with all it rests on: versions, input, features, PD, outcome, and reviews (null: they cannot be read now).

    A key with the scope `score` alone reads the decisions it asked for; `explain` and `review` open all.
    """
    service = service_of(request)
    return Response(await service.pool.run(_read, service.log, decision_id, caller), media_type=JSON)


@router.post(
    "/decisions/{decision_id}/review",
    status_code=201,
    response_model=None,
    operation_id="review",
    responses={
        201: answers(Review, "The review as it was stored.", approved=REVIEWED),
        **documented(
            *CALLER_ERRORS,
            MalformedBodyError,
            DecisionNotFoundError,
            NotAReferralError,
            InvalidReviewError,
            BodyTooLargeError,
            DecisionNotStoredError,
            OverloadedError,
            NotReadyError,
        ),
    },
    openapi_extra=takes(reference(ReviewRequest), {"approved": {"value": REVIEW}}),
)
async def review_decision(decision_id: str, request: Request, caller: ReviewingCaller) -> Response:
    """Record who decided a referral, and why; it is stored before this is answered, and chained like the decision."""
    service = service_of(request)
    body, request_id = await request.body(), request_state(request.scope).request_id
    stored = await asyncio.shield(service.pool.run(review, service.log, decision_id, body, request_id, caller))
    return Response(msgspec.json.encode(stored), status_code=201, media_type=JSON)


def _read(log: DecisionLog, decision_id: str, caller: Caller) -> bytes:
    record = log.find(decision_id)
    # Whoever may only score sees what it asked for itself, and is not told what else there is.
    if record is None or not (caller.key_id == record.caller or caller.scopes.intersection(READERS)):
        raise DecisionNotFoundError("no decision has this id; it is the decision_id of an answer of POST /predict")
    reviews: list[Review] | None = []
    if record.decision == "refer":
        try:
            reviews = log.reviews(decision_id)
        except DecisionNotStoredError:
            reviews = None  # the database is away, and only it knows them all
    raised = (record.features or {}).get("contributions")
    told = {name: value for name, value in msgspec.structs.asdict(record).items() if name != "shadow"}
    return msgspec.json.encode(
        told
        | {
            "features": log.features(record),
            "contributions": None if raised is None else [Contribution(*one) for one in raised],
            "reviews": reviews,
        }
    )
