"""Routes of scoring: predict, what-if, validate, schema.

What belongs here: paths, declared errors, how the body is taken. What does not: any logic (`service`).
"""

import asyncio
import re
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from creditrisk_serving.access import Caller
from creditrisk_serving.authentication import SCORERS, KnownCaller, ScoringCaller, admit, key_of
from creditrisk_serving.document import JSON, RETRIED, answers, takes
from creditrisk_serving.errors import (
    CALLER_ERRORS,
    BodyTooLargeError,
    DecisionNotStoredError,
    IdempotencyKeyError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    InvalidApplicationError,
    MalformedBodyError,
    NotReadyError,
    OverloadedError,
    TooManyRowsError,
    UnsupportedMediaTypeError,
    documented,
)
from creditrisk_serving.observability import request_state
from creditrisk_serving.scoring.examples import (
    PREDICT_EXAMPLES,
    PREDICTED_EXAMPLE,
    SCHEMA_EXAMPLE,
    VALIDATION_EXAMPLE,
    WHAT_IF_EXAMPLE,
)
from creditrisk_serving.scoring.rules import json_schema
from creditrisk_serving.scoring.schemas import Prediction, Validation, WhatIf
from creditrisk_serving.state import Service, service_of

JSON_BYTES, SCHEMA_JSON = b"application/json", "application/schema+json"
SMALL_BYTES = 32 * 1024  # one application has some 3 KB; what is larger is read on a thread
IDEMPOTENCY_KEY = re.compile(rb"[!-~]{1,128}")
router = APIRouter(tags=["scoring"])


class SchemaResponse(Response):
    """A JSON Schema."""

    media_type = SCHEMA_JSON


BODY_ERRORS = (
    *CALLER_ERRORS,
    MalformedBodyError,
    BodyTooLargeError,
    TooManyRowsError,
    UnsupportedMediaTypeError,
    NotReadyError,
    OverloadedError,
)


_ROWS: dict[str, Any] = {"type": "array", "items": {"type": "object"}}
REQUEST: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Names at least one applicant. Columns, types and bounds of the rows are those of the model in use: GET /schema.",
    "properties": {
        "applications": {**_ROWS, "description": "Raw applications, the source's own columns."},
        "histories": {
            "type": "object",
            "additionalProperties": _ROWS,
            "description": "Rows of the history tables, by table. Who has none is looked up by SK_ID_CURR.",
        },
        "applicant_ids": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "SK_ID_CURR of known applicants: everything is looked up.",
        },
    },
}
REQUEST_BODY = takes(REQUEST, PREDICT_EXAMPLES)
PREDICTED = answers(
    Prediction,
    "At least one applicant was scored and stored; what could not be scored is listed in `errors`.",
    referred=PREDICTED_EXAMPLE,
)
_DECISION_ID = {"decision_id": "$response.body#/decisions/0/decision_id"}
PREDICTED["links"] = {
    name: {"operationId": name, "parameters": _DECISION_ID, "description": f"The first decision's {name}."}
    for name in ("decision", "review")
}
_IDEMPOTENCY_KEY: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same key and body within a day get the stored answer, and no second decision.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
        }
    ]
}


@router.post(
    "/predict",
    response_model=None,
    responses={
        200: PREDICTED,
        **documented(
            *BODY_ERRORS,
            IdempotencyKeyError,
            IdempotencyKeyReusedError,
            IdempotencyKeyInUseError,
            InvalidApplicationError,
            DecisionNotStoredError,
        ),
    },
    openapi_extra=REQUEST_BODY | _IDEMPOTENCY_KEY,
)
async def predict(request: Request, caller: ScoringCaller) -> Response:
    """Score one or many applicants: raw applications with or without their histories, or the ids of known applicants.

    A family of history features is looked up by SK_ID_CURR when an applicant comes without history rows, and computed
    from the rows sent when any came. 200 when at least one applicant was scored (see `errors` for the others), 422
    when none was.
    """
    return await _predicted(service_of(request), request.scope, request.receive, caller)


async def predict_directly(scope: Scope, receive: Receive) -> Response:
    """Answer POST /predict without FastAPI's machinery (`direct`)."""
    service: Service = scope["app"].state.service
    return await _predicted(service, scope, receive, admit(service, request_state(scope), key_of(scope), SCORERS))


async def _predicted(service: Service, scope: Scope, receive: Receive, caller: Caller) -> Response:
    body, state = await _json_body(scope, receive), request_state(scope)
    if (key := _idempotency_key(scope)) is not None:
        work = service.pool.run(service.scoring.predict_once, body, state, caller, key)
        answer, replayed = await asyncio.shield(work)
        return Response(answer, media_type=JSON, headers={"Idempotent-Replayed": "true"} if replayed else None)
    if len(body) <= SMALL_BYTES and (ready := service.scoring.ready(body)) is not None:
        return Response(service.scoring.predict(body, state, caller, ready=ready), media_type=JSON)
    # Shielded: a decision is finished and stored even when its caller hangs up.
    answer = await asyncio.shield(service.pool.run(service.scoring.predict, body, state, caller))
    return Response(answer, media_type=JSON)


@router.post(
    "/what-if",
    response_model=None,
    responses={
        200: answers(
            WhatIf, "What would be decided; nothing was decided, nothing was stored.", estimated=WHAT_IF_EXAMPLE
        ),
        **documented(*BODY_ERRORS, InvalidApplicationError),
    },
    openapi_extra=REQUEST_BODY | RETRIED,
)
async def what_if(request: Request, caller: ScoringCaller) -> Response:
    """Score a request for /predict without deciding: the same parsing, features, model and policy, and nothing is stored."""
    service = service_of(request)
    body = await _json_body(request.scope, request.receive)
    return Response(
        await service.pool.run(service.scoring.what_if, body, request_state(request.scope)), media_type=JSON
    )


@router.post(
    "/validate",
    response_model=None,
    responses={
        200: answers(Validation, "What is wrong with the request's form, if anything.", valid=VALIDATION_EXAMPLE),
        **documented(*BODY_ERRORS),
    },
    openapi_extra=REQUEST_BODY | RETRIED,
)
async def validate(request: Request, caller: ScoringCaller) -> Response:
    """Check a request for /predict against the contract: nothing is looked up, scored or stored."""
    service = service_of(request)
    body = await _json_body(request.scope, request.receive)
    return Response(
        await service.pool.run(service.scoring.validate, body, request_state(request.scope)), media_type=JSON
    )


@router.get(
    "/schema",
    response_model=None,
    response_class=SchemaResponse,
    responses={
        200: {
            "description": "A JSON Schema (2020-12).",
            "content": {SCHEMA_JSON: {"schema": {"type": "object"}, "examples": {"schema": {"value": SCHEMA_EXAMPLE}}}},
        },
        **documented(*CALLER_ERRORS, NotReadyError, OverloadedError),
    },
)
async def schema(request: Request, caller: KnownCaller) -> Response:
    """Return the JSON Schema of a request, rendered from the contracts in the bundle in use."""
    service = service_of(request)
    rules = service.scoring.champion().rules
    content = msgspec.json.encode(await service.pool.run(json_schema, rules))
    return SchemaResponse(content)


def _idempotency_key(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if not given:
        return None
    if len(given) > 1 or not IDEMPOTENCY_KEY.fullmatch(given[0]):
        raise IdempotencyKeyError("send one Idempotency-Key of 1 to 128 visible ASCII characters, a UUID for example")
    return str(given[0], "ascii")


def media_type_of(scope: Scope) -> str:
    """Return what a body is declared as; JSON where nothing is said."""
    declared: bytes = next((value for name, value in scope["headers"] if name == b"content-type"), JSON_BYTES)
    return JSON if declared == JSON_BYTES else declared.decode("latin-1").partition(";")[0].strip().lower()


async def _json_body(scope: Scope, receive: Receive) -> bytes:
    if media_type_of(scope) != JSON:
        raise UnsupportedMediaTypeError("send the body as JSON with `Content-Type: application/json`")
    return await body_of(receive)


async def body_of(receive: Receive) -> bytes:
    """Receive a whole body."""
    message = await receive()
    parts = [message.get("body", b"")]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return b"".join(parts)
