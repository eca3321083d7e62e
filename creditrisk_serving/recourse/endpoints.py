"""The route of recourse.

What belongs here: the path, declared errors. What does not: any logic (`service`).
"""

from fastapi import APIRouter, Request, Response

from creditrisk_serving.authentication import ExplainingCaller
from creditrisk_serving.document import JSON, RETRIED, answers, reference, takes
from creditrisk_serving.errors import (
    CALLER_ERRORS,
    BodyTooLargeError,
    DecisionNotFoundError,
    DecisionNotStoredError,
    InvalidRecourseError,
    MalformedBodyError,
    NoRecourseError,
    NotReadyError,
    OverloadedError,
    documented,
)
from creditrisk_serving.observability import request_state
from creditrisk_serving.recourse.examples import ASKED, ASKED_OF_KNOWN, FOUND
from creditrisk_serving.recourse.schemas import Recourse, RecourseRequest
from creditrisk_serving.recourse.service import recourse
from creditrisk_serving.state import service_of

router = APIRouter(tags=["decisions"])


@router.post(
    "/recourse",
    response_model=None,
    operation_id="recourse",
    responses={
        200: answers(Recourse, "What would change the decision; nothing was decided or stored.", found=FOUND),
        **documented(
            *CALLER_ERRORS,
            MalformedBodyError,
            DecisionNotFoundError,
            NoRecourseError,
            InvalidRecourseError,
            BodyTooLargeError,
            DecisionNotStoredError,
            NotReadyError,
            OverloadedError,
        ),
    },
    openapi_extra=takes(reference(RecourseRequest), {"decision": {"value": ASKED}, "known": {"value": ASKED_OF_KNOWN}})
    | RETRIED,
)
async def suggest_recourse(request: Request, caller: ExplainingCaller) -> Response:
    """Say what an applicant could do about a referral or decline, each suggestion scored again by the model in use."""
    service, state = service_of(request), request_state(request.scope)
    body = await request.body()
    found = await service.pool.run(recourse, service.log, service.scoring, body, state.request_id)
    return Response(found, media_type=JSON)
