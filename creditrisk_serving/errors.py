"""The errors callers see: one tree, one rendering (problem+json, RFC 9457).

What belongs here: every way a request can fail, its status and its words. What does not: when it fails (the modules
that raise), the rules of a row (`scoring.validation`). Nothing here ever carries a value an applicant or a caller
sent.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from creditrisk_serving.observability import RequestState, request_state

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 1000  # listed in one answer; their number is always told


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One broken rule of one field, named by place; the value is never repeated."""

    table: str
    rule: str
    message: str
    row: int | None = None
    column: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not answered (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: Sequence[FieldError] = ()
    errors_total: int = 0


class ServiceError(Exception):
    """Root of all errors the service answers on purpose.

    Parameters
    ----------
    detail
        What happened and what the caller can do, without any value of the request.
    errors
        The fields at fault, when the request's content is.
    """

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal"
    title: ClassVar[str] = "The service failed"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)

    def sent_headers(self) -> Mapping[str, str]:
        """Name the headers of the answer."""
        return self.headers


class MalformedBodyError(ServiceError):
    """The body is not JSON."""

    status, kind, title = 400, "malformed-body", "The body cannot be read as JSON"


class UnauthorizedError(ServiceError):
    """No valid API key."""

    status, kind, title = 401, "unauthorized", "An API key is required"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'ApiKey header="X-API-Key"'}


class ForbiddenError(ServiceError):
    """The API key has none of the scopes the route is for."""

    status, kind, title = 403, "forbidden", "The API key is not for this route"


class RateLimitedError(ServiceError):
    """More was asked for than the key, or callers without one, may; the answer says after how many seconds to try again."""

    status, kind, title = 429, "rate-limited", "Too much was asked for"

    def __init__(self, detail: str, seconds: float) -> None:
        super().__init__(detail)
        self.seconds = seconds

    def sent_headers(self) -> Mapping[str, str]:
        """Name the headers of the answer."""
        return {"Retry-After": str(math.ceil(self.seconds))}


class DecisionNotFoundError(ServiceError):
    """No decision has this id."""

    status, kind, title = 404, "decision-not-found", "No such decision"


class NotAReferralError(ServiceError):
    """The decision was not referred to a person."""

    status, kind, title = 409, "not-a-referral", "Only a referral is reviewed"


class InvalidReviewError(ServiceError):
    """The body is not a review."""

    status, kind, title = 422, "invalid-review", "The review is not well formed"


class InvalidApprovalError(ServiceError):
    """The body is no approval that could count."""

    status, kind, title = 422, "invalid-approval", "The approval is not taken"


class ApprovalsUnavailableError(ServiceError):
    """The registry's ledger is not to be had, so whose key signed is not known."""

    status, kind, title = 503, "approvals-unavailable", "No approval can be taken here"


class NoticeRefusedError(ServiceError):
    """No notice can be issued for the decision: it needs none, or what a notice must say is not known."""

    status, kind, title = 409, "notice-refused", "No notice is issued for this decision"


class NoticeNotFoundError(ServiceError):
    """No notice was issued for the decision."""

    status, kind, title = 404, "notice-not-found", "No such notice"


class NoRecourseError(ServiceError):
    """What would change the decision cannot be looked for: it is approved, or what was sent is not known."""

    status, kind, title = 409, "no-recourse", "Nothing can be suggested for this decision"


class InvalidRecourseError(ServiceError):
    """The body does not name a decision."""

    status, kind, title = 422, "invalid-recourse", "The request is not well formed"


class BodyTooLargeError(ServiceError):
    """The body is larger than the limit."""

    status, kind, title = 413, "body-too-large", "The body is too large"


class TooManyRowsError(ServiceError):
    """The request has more rows than the limit."""

    status, kind, title = 413, "too-many-rows", "The request has too many rows"


class UnsupportedMediaTypeError(ServiceError):
    """The body is declared as something other than JSON."""

    status, kind, title = 415, "unsupported-media-type", "The body is of a media type this route does not take"


class InvalidApplicationError(ServiceError):
    """No row of the request could be scored; each broken rule is listed."""

    status, kind, title = 422, "invalid-application", "The request breaks the contract"


class NotReadyError(ServiceError):
    """A model bundle, the lake or a table of it is not there yet."""

    status, kind, title = 503, "not-ready", "The service is not ready"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class DecisionNotStoredError(ServiceError):
    """The decision log cannot be written, so that no decision may leave."""

    status, kind, title = 503, "decision-not-stored", "The decision could not be stored"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class DecisionUncertainError(DecisionNotStoredError):
    """Nothing was answered, though the decision may be found in the log later."""


class IdempotencyKeyError(ServiceError):
    """The Idempotency-Key header is not well formed."""

    status, kind, title = 400, "idempotency-key-malformed", "The idempotency key cannot be used"


class IdempotencyKeyReusedError(ServiceError):
    """The key was sent before with another body."""

    status, kind, title = 409, "idempotency-key-reused", "The idempotency key belongs to another request"


class IdempotencyKeyInUseError(ServiceError):
    """The first request with the key is still being answered."""

    status, kind, title = 409, "idempotency-key-in-use", "The first request with this key is not answered yet"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class OverloadedError(ServiceError):
    """All threads are busy and the queue is full."""

    status, kind, title = 503, "overloaded", "The service is busy"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


def problem(
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    request_id: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Render an error as problem+json (RFC 9457)."""
    body = Problem(
        type=f"urn:creditrisk:problem:{kind}",
        title=title,
        status=status,
        detail=detail,
        request_id=request_id,
        errors=errors[:MAX_ERRORS],
        errors_total=len(errors),
    )
    return Response(msgspec.json.encode(body), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


async def _service_error(request: Request, error: Exception) -> Response:
    """Answer an error of the tree."""
    if not isinstance(error, ServiceError):
        raise error
    return answer_error(error, request_state(request.scope))


def answer_error(error: ServiceError, state: RequestState) -> Response:
    """Answer an error of the tree, and note it with the request."""
    state.error = error.kind
    return problem(
        error.status,
        error.kind,
        error.title,
        error.detail,
        request_id=state.request_id,
        errors=error.errors,
        headers=error.sent_headers(),
    )


async def _routing_error(request: Request, error: Exception) -> Response:
    """Answer what the router refuses (no such route, wrong method) in the same form."""
    if not isinstance(error, HTTPException):
        raise error
    kind, title, detail = {
        404: ("no-such-route", "No such route", "see /openapi.json for the routes"),
        405: ("method-not-allowed", "Method not allowed", "see the Allow header and /openapi.json"),
    }.get(error.status_code, ("refused", "The request was refused", "see /openapi.json"))
    state = request_state(request.scope)
    state.error = kind
    headers = dict(error.headers or {})
    if "Allow" in headers and (allowed := _allowed(request)):
        headers["Allow"] = allowed
    return problem(error.status_code, kind, title, detail, request_id=state.request_id, headers=headers)


def _allowed(request: Request) -> str:
    """Name every method of a path; the router names those of the first route that has it."""
    path = getattr(request.scope.get("route"), "path", None)
    documented = request.app.openapi()["paths"].get(path, {})
    return ", ".join(sorted(method.upper() for method in documented))


def install(app: FastAPI) -> None:
    """Register the one handler of each root: the service's errors and the router's."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(HTTPException, _routing_error)


CALLER_ERRORS = (UnauthorizedError, ForbiddenError, RateLimitedError)  # of every route that asks for a key


def documented(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Render errors as the `responses` of a route, for OpenAPI; errors of one status share an entry, each with an example."""
    responses: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
        known = responses.setdefault(error.status, {"description": "", "content": {MEDIA_TYPE: content}})
        known["description"] = "; ".join(filter(None, (known["description"], f"{error.kind}: {error.title}")))
        known["content"][MEDIA_TYPE]["examples"][error.kind] = {"value": _example(error)}
    return responses


def _example(error: type[ServiceError]) -> Any:
    told = [FieldError("applications", "minimum", "must be at least 0.0", row=0, column="AMT_CREDIT")]
    example = Problem(
        type=f"urn:creditrisk:problem:{error.kind}",
        title=error.title,
        status=error.status,
        detail=str(error.__doc__),
        request_id="6f1c0f6e2b6f4a31a9a5a9f1f9c1d0aa",
        errors=told if error is InvalidApplicationError else (),
        errors_total=int(error is InvalidApplicationError),
    )
    return msgspec.to_builtins(example)
