"""The routes of notices: issuing one, reading it as JSON, HTML or PDF.

What belongs here: paths, declared errors, media types. What does not: any logic (`service`).
"""

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from creditrisk_serving.authentication import CaseCaller
from creditrisk_serving.decisions.schemas import NoticeRecord
from creditrisk_serving.document import JSON, RETRIED, answers
from creditrisk_serving.errors import (
    CALLER_ERRORS,
    DecisionNotFoundError,
    DecisionNotStoredError,
    NoticeNotFoundError,
    NoticeRefusedError,
    NotReadyError,
    OverloadedError,
    documented,
)
from creditrisk_serving.notices.examples import ISSUED, PAGE, PDF
from creditrisk_serving.notices.schemas import Notice
from creditrisk_serving.notices.service import as_pdf, issue, read
from creditrisk_serving.observability import request_state
from creditrisk_serving.state import Service, service_of

HTML, PRINT = "text/html", "application/pdf"
HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-store"}
ANSWERED = answers(Notice, "The notice, as it was issued.", issued=ISSUED)
ANSWERED["content"] |= {
    HTML: {"schema": {"type": "string"}, "examples": {"page": {"value": PAGE}}},
    PRINT: {"schema": {"type": "string", "format": "binary"}, "examples": {"pdf": {"value": PDF}}},
}
router = APIRouter(tags=["decisions"])


@router.post(
    "/decisions/{decision_id}/notice",
    status_code=201,
    response_model=None,
    operation_id="issue_notice",
    responses={
        201: answers(Notice, "The notice, issued now or before.", issued=ISSUED),
        **documented(
            *CALLER_ERRORS,
            DecisionNotFoundError,
            NoticeRefusedError,
            DecisionNotStoredError,
            OverloadedError,
            NotReadyError,
        ),
    },
    openapi_extra=RETRIED,
)
async def issue_notice(decision_id: str, request: Request, caller: CaseCaller) -> Response:
    """Issue the notice of a decline, or of a referral that a person declined; asked again, the same notice is answered."""
    service, request_id = service_of(request), request_state(request.scope).request_id
    work = service.pool.run(_issue, service, decision_id, request_id, caller.key_id)
    return Response(await asyncio.shield(work), status_code=201, media_type=JSON)


@router.get(
    "/decisions/{decision_id}/notice",
    response_model=None,
    operation_id="notice",
    responses={
        200: ANSWERED,
        **documented(
            *CALLER_ERRORS,
            NoticeNotFoundError,
            NoticeRefusedError,
            DecisionNotStoredError,
            OverloadedError,
            NotReadyError,
        ),
    },
)
async def read_notice(decision_id: str, request: Request, caller: CaseCaller) -> Response:
    """Return the notice that was issued: as JSON, or by `Accept` as a page (`text/html`) or as `application/pdf`."""
    service, accepted = service_of(request), request.headers.get("accept", "")
    media_type = next((kind for kind in (PRINT, HTML) if kind in accepted), JSON)
    content = await service.pool.run(_read, service, decision_id, media_type)
    return Response(content, media_type=media_type, headers=HEADERS)


def _issue(service: Service, decision_id: str, request_id: str, caller: str) -> bytes:
    return _told(issue(service.log, service.settings, decision_id, request_id=request_id, caller=caller))


def _read(service: Service, decision_id: str, media_type: str) -> bytes:
    found = read(service.log, decision_id)
    if media_type == JSON:
        return _told(found)
    document = str(found.document)
    return as_pdf(document, found.issued_at, service.settings) if media_type == PRINT else document.encode()


def _told(record: NoticeRecord) -> bytes:
    return msgspec.json.encode(Notice(**{name: getattr(record, name) for name in Notice.__struct_fields__}))
