"""Routes about the service itself: health, ready, metadata, metrics.

What belongs here: paths and declared errors. What does not: what is told (`service`).
"""

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from creditrisk_serving.authentication import KnownCaller, MonitoringCaller
from creditrisk_serving.document import JSON, answers
from creditrisk_serving.errors import CALLER_ERRORS, NotReadyError, OverloadedError, documented
from creditrisk_serving.health.examples import LIVE, METADATA, METRICS, NOT_READY, READY
from creditrisk_serving.health.schemas import Liveness, Metadata, Readiness
from creditrisk_serving.health.service import metadata, readiness
from creditrisk_serving.state import service_of

router = APIRouter(tags=["service"])
_OVERLOADED = documented(OverloadedError)[OverloadedError.status]
_NOT_READY = answers(Readiness, "Not ready; the reasons are listed.", not_ready=NOT_READY)
_NOT_READY["content"] |= _OVERLOADED["content"]


@router.get("/health", response_model=None, responses={200: answers(Liveness, "The process answers.", live=LIVE)})
async def health() -> Response:
    """Tell that the process answers; it says nothing about the model (see /ready)."""
    return Response(b'{"status":"live"}', media_type=JSON)


@router.get(
    "/ready",
    response_model=None,
    responses={
        200: answers(Readiness, "Requests can be answered.", ready=READY),
        503: _NOT_READY,
    },
)
async def ready(request: Request) -> Response:
    """Tell whether requests can be answered: a verified model, readable features, a decision log that takes writes."""
    service = service_of(request)
    found = await service.pool.run(readiness, service)
    return Response(msgspec.json.encode(found), status_code=200 if found.ready else 503, media_type=JSON)


@router.get(
    "/metadata",
    response_model=None,
    operation_id="metadata",
    responses={
        200: answers(Metadata, "What is in use.", metadata=METADATA),
        **documented(*CALLER_ERRORS, NotReadyError),
    },
)
async def read_metadata(request: Request, caller: KnownCaller) -> Response:
    """Describe what decides: model, policy, features, contracts, training figures, data versions, limits of a request."""
    service = service_of(request)
    found = metadata(service.scoring.champion(), service.settings)
    return Response(msgspec.json.encode(found), media_type=JSON)


@router.get(
    "/metrics",
    response_model=None,
    response_class=PlainTextResponse,
    responses={
        200: {
            "description": "Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}, "examples": {"metrics": {"value": METRICS}}}},
        },
        **documented(*CALLER_ERRORS, NotReadyError, OverloadedError),
    },
)
async def metrics(request: Request, caller: MonitoringCaller) -> Response:
    """Return Prometheus metrics."""
    service = service_of(request)
    return Response(await service.pool.run(service.metrics.render), media_type=CONTENT_TYPE_LATEST)
