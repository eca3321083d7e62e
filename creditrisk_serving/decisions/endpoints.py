"""The route of stored decisions.

What belongs here: paths, declared errors. What does not: reading the log (`log`).
"""

import msgspec
from fastapi import APIRouter, Request, Response

from creditrisk_serving.authentication import KnownCaller
from creditrisk_serving.errors import (
    DecisionNotFoundError,
    DecisionNotStoredError,
    OverloadedError,
    UnauthorizedError,
    documented,
)
from creditrisk_serving.state import service_of

router = APIRouter(tags=["decisions"])


@router.get(
    "/decisions/{decision_id}",
    response_model=None,
    responses=documented(UnauthorizedError, DecisionNotFoundError, DecisionNotStoredError, OverloadedError),
)
async def read_decision(decision_id: str, request: Request, caller: KnownCaller) -> Response:
    """Return one decision with all it rests on: versions, input, features, PD, outcome."""
    service = service_of(request)
    record = await service.pool.run(service.log.find, decision_id)
    if record is None:
        raise DecisionNotFoundError("no decision has this id; it is the decision_id of an answer of POST /predict")
    return Response(msgspec.json.encode(msgspec.structs.asdict(record)), media_type="application/json")
