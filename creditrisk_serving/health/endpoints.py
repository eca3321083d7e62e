"""Routes about the service itself: health, ready, metadata, metrics.

What belongs here: paths and declared errors. What does not: what is told (`service`).
"""

import msgspec
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from creditrisk_serving.authentication import KnownCaller
from creditrisk_serving.errors import NotReadyError, OverloadedError, UnauthorizedError, documented
from creditrisk_serving.health.service import metadata, readiness
from creditrisk_serving.state import service_of

JSON = "application/json"
router = APIRouter(tags=["service"])


@router.get("/health", response_model=None)
async def health() -> Response:
    """Tell that the process answers; it says nothing about the model (see /ready)."""
    return Response(b'{"status":"live"}', media_type=JSON)


@router.get("/ready", response_model=None, responses={503: {"description": "Not ready; the reasons are listed."}})
async def ready(request: Request) -> Response:
    """Tell whether requests can be answered: a verified model, readable features, a decision log that takes writes."""
    service = service_of(request)
    found = await service.pool.run(readiness, service)
    return Response(msgspec.json.encode(found), status_code=200 if found.ready else 503, media_type=JSON)


@router.get("/metadata", response_model=None, responses=documented(UnauthorizedError, NotReadyError, OverloadedError))
async def read_metadata(request: Request, caller: KnownCaller) -> Response:
    """Describe what decides: model, policy, features, contracts, training figures, data versions, limits of a request."""
    service = service_of(request)
    found = metadata(service.scoring.champion(), service.settings)
    return Response(msgspec.json.encode(found), media_type=JSON)


@router.get("/metrics", response_model=None, responses=documented(UnauthorizedError, OverloadedError))
async def metrics(request: Request, caller: KnownCaller) -> Response:
    """Return Prometheus metrics."""
    service = service_of(request)
    return Response(await service.pool.run(service.metrics.render), media_type=CONTENT_TYPE_LATEST)
