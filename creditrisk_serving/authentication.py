"""The dependency that lets only known callers in.

What belongs here: taking the key from a request. What does not: keeping and comparing keys (`access`).
"""

from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader
from starlette.types import Scope

from creditrisk_serving.access import Caller, KeyFileError
from creditrisk_serving.errors import NotReadyError, UnauthorizedError
from creditrisk_serving.state import Keys, service_of

NAME = b"x-api-key"
HEADER = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="`creditrisk serve` shows a development key at its first start."
)


async def known_caller(request: Request, key: Annotated[str | None, Security(HEADER)]) -> Caller:
    """Return who calls; raises as `caller_with`."""
    return caller_with(key, service_of(request).keys)


def caller_of(scope: Scope, keys: Keys) -> Caller:
    """Return who calls, by a request's headers; raises as `caller_with`."""
    return caller_with(next((value.decode("latin-1") for name, value in scope["headers"] if name == NAME), None), keys)


def caller_with(key: str | None, keys: Keys) -> Caller:
    """Return whose key this is.

    Raises
    ------
    UnauthorizedError
        No key was sent, or it is not one of the service's.
    NotReadyError
        The keys cannot be read, so nobody can be let in.
    """
    try:
        caller = keys.caller(key)
    except KeyFileError as error:
        raise NotReadyError("the API keys cannot be read; GET /ready says why") from error
    if caller is None:
        raise UnauthorizedError("send a valid API key in the X-API-Key header")
    return caller


KnownCaller = Annotated[Caller, Security(known_caller)]
