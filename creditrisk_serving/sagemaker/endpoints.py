"""SageMaker's container contract: GET /ping and POST /invocations.

What belongs here: paths, media types, where SageMaker lets a caller put a key. What does not: any logic (`scoring`, `health`).
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response, Security
from fastapi.security import SecurityScopes

from creditrisk_serving.access import Caller
from creditrisk_serving.authentication import HEADER, SCORERS, admit
from creditrisk_serving.document import JSON
from creditrisk_serving.errors import (
    DecisionNotStoredError,
    InvalidApplicationError,
    MalformedBodyError,
    OverloadedError,
    UnsupportedMediaTypeError,
    documented,
)
from creditrisk_serving.health.service import readiness
from creditrisk_serving.observability import request_state
from creditrisk_serving.sagemaker.rows import json_of_csv
from creditrisk_serving.scoring.endpoints import BODY_ERRORS, PREDICTED, REQUEST_BODY, body_of, media_type_of
from creditrisk_serving.scoring.rules import application_table
from creditrisk_serving.state import service_of

CSV = "text/csv"
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
router = APIRouter(tags=["sagemaker"])
_OVERLOADED = documented(OverloadedError)[OverloadedError.status]
_CONTENT = {
    **REQUEST_BODY["requestBody"]["content"],
    CSV: {
        "schema": {
            "type": "string",
            "description": "The first line names columns of an application; with SK_ID_CURR alone, known applicants.",
        },
        "examples": {"known_applicants": {"value": "SK_ID_CURR\n100020\n"}},
    },
}
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": _CONTENT}}


async def invoker(request: Request, route: SecurityScopes, key: Annotated[str | None, Security(HEADER)]) -> Caller:
    """Return who calls, by X-API-Key or, as SageMaker passes no header of that name on, by `X-API-Key=…` in its custom attributes."""
    attributes = request.headers.get(ATTRIBUTES, "")
    if key is None and attributes.startswith("X-API-Key="):
        key = attributes.removeprefix("X-API-Key=")
    return admit(service_of(request), request_state(request.scope), key, route.scopes)


@router.get(
    "/ping",
    response_model=None,
    response_class=Response,
    responses={200: {"description": "Ready."}, 503: {**_OVERLOADED, "description": "Not ready; GET /ready says why."}},
)
async def ping(request: Request) -> Response:
    """Tell SageMaker whether requests can be answered."""
    service = service_of(request)
    found = await service.pool.run(readiness, service)
    return Response(status_code=200 if found.ready else 503)


@router.post(
    "/invocations",
    response_model=None,
    responses={
        200: PREDICTED,
        **documented(*BODY_ERRORS, MalformedBodyError, InvalidApplicationError, DecisionNotStoredError),
    },
    openapi_extra=_BODY,
)
async def invocations(request: Request, caller: Annotated[Caller, Security(invoker, scopes=SCORERS)]) -> Response:
    """Answer as POST /predict does; the body may also be CSV of raw applications or of SK_ID_CURR alone."""
    service = service_of(request)
    media_type = media_type_of(request.scope)
    if media_type not in {JSON, CSV}:
        raise UnsupportedMediaTypeError("send the body as JSON or CSV, with the Content-Type that says so")
    body, state = await body_of(request.receive), request_state(request.scope)

    def work() -> bytes:
        if media_type == JSON:
            return service.scoring.predict(body, state, caller)
        plan = service.scoring.champion().bundle.plan
        columns = plan["tables"][application_table(plan)]["columns"]
        return service.scoring.predict(json_of_csv(body, columns), state, caller)

    # Shielded: a decision is finished and stored even when its caller hangs up.
    return Response(await asyncio.shield(service.pool.run(work)), media_type=JSON)
