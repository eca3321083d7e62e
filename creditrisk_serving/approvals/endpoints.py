"""The route of approvals.

What belongs here: the path, declared errors. What does not: any logic (`service`).
"""

import msgspec
from fastapi import APIRouter, Request, Response

from creditrisk_serving.approvals.examples import APPROVAL, TAKEN
from creditrisk_serving.approvals.schemas import ApprovalRequest, ApprovalTaken
from creditrisk_serving.approvals.service import take_approval
from creditrisk_serving.authentication import AdministeringCaller
from creditrisk_serving.document import JSON, RETRIED, answers, reference, takes
from creditrisk_serving.errors import (
    CALLER_ERRORS,
    ApprovalsUnavailableError,
    BodyTooLargeError,
    InvalidApprovalError,
    MalformedBodyError,
    OverloadedError,
    documented,
)
from creditrisk_serving.observability import request_state
from creditrisk_serving.state import service_of

router = APIRouter(tags=["service"])


@router.post(
    "/approvals",
    status_code=202,
    response_model=None,
    operation_id="approve",
    responses={
        202: answers(ApprovalTaken, "The signature is the approver's; the registry judges the evidence.", taken=TAKEN),
        **documented(
            *CALLER_ERRORS,
            MalformedBodyError,
            InvalidApprovalError,
            BodyTooLargeError,
            ApprovalsUnavailableError,
            OverloadedError,
        ),
    },
    openapi_extra=takes(reference(ApprovalRequest), {"approval": {"value": APPROVAL}}) | RETRIED,
)
async def approve_version(request: Request, caller: AdministeringCaller) -> Response:
    """Take an approver's signature over a model version and leave it for the registry, which verifies it again with its evidence."""
    service, state = service_of(request), request_state(request.scope)
    body = await request.body()
    taken = await service.pool.run(take_approval, service.settings, body, state.request_id, caller)
    return Response(msgspec.json.encode(taken), status_code=202, media_type=JSON)
