"""The door: who calls, whether the route is for them, whether they asked for too much.

What belongs here: taking the key from a request, refusing, the dependencies that say what a route is for. What does not: keeping and
comparing keys, scopes, budgets (`access`).
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, SecurityScopes
from starlette.types import Scope as Connection

from creditrisk_serving.access import AUDITED, MEANINGS, Caller, KeyFileError, Scope
from creditrisk_serving.errors import ForbiddenError, NotReadyError, RateLimitedError, UnauthorizedError
from creditrisk_serving.observability import RequestState, request_state
from creditrisk_serving.state import Service, service_of

NAME = b"x-api-key"
HEADER = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    description="A route lists scopes; a key needs one of them. "
    + "; ".join(f"`{scope}`: {meaning}" for scope, meaning in MEANINGS.items())
    + ". `creditrisk serve` shows a development key at its first start, `creditrisk keys create` makes others.",
)
SCORERS = (Scope.SCORE,)
READERS = (Scope.EXPLAIN, Scope.REVIEW)


async def known_caller(request: Request, route: SecurityScopes, key: Annotated[str | None, Security(HEADER)]) -> Caller:
    """Return who calls; raises as `admit`."""
    return admit(service_of(request), request_state(request.scope), key, route.scopes)


def key_of(connection: Connection) -> str | None:
    """Take the key from a request's headers."""
    return next((value.decode("latin-1") for name, value in connection["headers"] if name == NAME), None)


def admit(service: Service, state: RequestState, key: str | None, scopes: Sequence[str]) -> Caller:
    """Let a request in, and note with it who asks.

    Parameters
    ----------
    service
        The running app's parts.
    state
        What is known of the request.
    key
        The key that was sent.
    scopes
        Those of which the key needs one; none: any key will do.

    Raises
    ------
    UnauthorizedError
        No key was sent, or it is not one of the service's.
    ForbiddenError
        The key has none of the scopes.
    RateLimitedError
        The key's budget is spent; or no valid key was sent, as too often before.
    NotReadyError
        The keys cannot be read, so nobody can be let in.
    """
    try:
        caller = service.keys.caller(key)
    except KeyFileError as error:
        raise NotReadyError("the API keys cannot be read; GET /ready says why") from error
    if caller is None:
        # Whoever has a valid key is past this point: strangers can use up what strangers have, and lock nobody out.
        if seconds := service.throttle.failures.take():
            raise RateLimitedError("too many requests came without a valid API key", seconds)
        raise UnauthorizedError("send a valid API key in the X-API-Key header")
    state.key_id, state.budget = caller.key_id, service.throttle.budget(caller.key_id, caller.rate)
    if seconds := state.budget.take():
        state.budget = None  # who is refused pays nothing
        raise RateLimitedError("the API key's rate is used up; each applicant asked for counts as one", seconds)
    for scope in scopes:
        if scope in caller.scopes:
            state.scope, state.audited = scope, scope in AUDITED
            return caller
    if scopes:
        state.scope, state.audited = " or ".join(scopes), True
        raise ForbiddenError(
            f"this route needs an API key with the scope {' or '.join(scopes)}; `creditrisk keys create` makes one"
        )
    return caller


KnownCaller = Annotated[Caller, Security(known_caller)]
ScoringCaller = Annotated[Caller, Security(known_caller, scopes=SCORERS)]
ReadingCaller = Annotated[Caller, Security(known_caller, scopes=(*READERS, Scope.SCORE))]
CaseCaller = Annotated[Caller, Security(known_caller, scopes=READERS)]
ExplainingCaller = Annotated[Caller, Security(known_caller, scopes=(Scope.EXPLAIN,))]
ReviewingCaller = Annotated[Caller, Security(known_caller, scopes=(Scope.REVIEW,))]
AdministeringCaller = Annotated[Caller, Security(known_caller, scopes=(Scope.ADMIN,))]
MonitoringCaller = Annotated[Caller, Security(known_caller, scopes=(Scope.MONITOR,))]
