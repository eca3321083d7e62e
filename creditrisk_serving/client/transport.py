"""How the client asks: connections, timeouts, retries where they are safe, typed errors.

What belongs here: everything that is the same for all routes. What does not: the routes and their shapes (`api`, generated). It needs
msgspec and nothing else.
"""

import http.client
import ssl
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

T = TypeVar("T")
AGAIN = frozenset({429, 503})  # the service is busy or not ready: nothing was done
IN_USE = "urn:creditrisk:problem:idempotency-key-in-use"  # the first request with the key is still being answered
LONGEST_WAIT = 5.0
JSON = "application/json"


class BrokenRule(msgspec.Struct, frozen=True, kw_only=True):
    """One broken rule of one field, named by place."""

    table: str = ""
    rule: str = ""
    message: str = ""
    row: int | None = None
    column: str | None = None


class _Problem(msgspec.Struct, frozen=True):
    type: str = "about:blank"
    title: str = "The service failed"
    detail: str = "its answer does not say why"
    request_id: str | None = None
    errors: tuple[BrokenRule, ...] = ()


class ClientError(Exception):
    """Root of everything the client raises."""


class ConnectionFailedError(ClientError):
    """The service was not reached, or went away before it answered; after `review`, look whether the review was stored."""


class ServiceError(ClientError):
    """The service refused or failed.

    Parameters
    ----------
    status
        The HTTP status.
    problem
        What it said (RFC 9457).
    """

    def __init__(self, status: int, problem: _Problem) -> None:
        broken = "".join(f"\n  {e.table} row {e.row} {e.column or ''}: {e.message}" for e in problem.errors)
        super().__init__(f"{problem.title} ({status}): {problem.detail} [request {problem.request_id}]{broken}")
        self.status = status
        self.type = problem.type
        self.detail = problem.detail
        self.request_id = problem.request_id
        self.errors = problem.errors


class UnauthorizedError(ServiceError):
    """401: the API key is missing or unknown."""


class ForbiddenError(ServiceError):
    """403: the API key does not open this route."""


class NotFoundError(ServiceError):
    """404: there is no such decision or route."""


class ConflictError(ServiceError):
    """409: the decision is no referral, or the idempotency key belongs to another request."""


class TooLargeError(ServiceError):
    """413: the request asks for more than the service's limits."""


class InvalidError(ServiceError):
    """422: the content breaks the contract; `errors` names every field."""


class RateLimitedError(ServiceError):
    """429: the API key has asked too often."""


class UnavailableError(ServiceError):
    """503: the service is busy or not ready; nothing was decided."""


ERRORS: Mapping[int, type[ServiceError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    422: InvalidError,
    429: RateLimitedError,
    503: UnavailableError,
}


class Transport:
    """Sends requests; safe to share between threads, each of which keeps a connection open.

    Parameters
    ----------
    url
        Where the service is: `http://host:port` or `https://host`, with a path before its routes if there is one.
    api_key
        Sent with every request.
    timeout
        Seconds to wait for a connection, and for each answer.
    retries
        How often a request that may be repeated is sent again.

    Raises
    ------
    ValueError
        The URL is neither http nor https.
    """

    def __init__(self, url: str, api_key: str, *, timeout: float = 10.0, retries: int = 2) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the url of the service begins with http:// or https:// and names a host")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._headers = {"X-API-Key": api_key, "Accept": "application/json, */*;q=0.5"}
        self._timeout, self._retries = timeout, retries
        self._kept = threading.local()

    def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        accepted: Collection[int] = (200,),
    ) -> T:
        """Ask one route and decode its answer.

        Raises
        ------
        ClientError
            There is no answer of that type.
        """
        content = None if body is None else msgspec.json.encode({k: v for k, v in body.items() if v is not None})
        sent = self._headers | ({} if content is None else {"Content-Type": JSON}) | dict(headers or {})
        for attempt in range(self._retries + 1 if repeatable else 1):
            last = not repeatable or attempt == self._retries
            try:
                reply, received = self._exchange(method, self._path + path, content, sent, fresh=not repeatable)
            except (OSError, http.client.HTTPException) as error:
                if last:
                    raise ConnectionFailedError(f"{method} {path}: no answer ({type(error).__name__})") from error
                time.sleep(0.1 * 2**attempt)
                continue
            if reply.status in accepted and "problem" not in (reply.headers.get("content-type") or ""):
                return _decoded(received, answer)
            failed = _problem(received)
            if last or not (reply.status in AGAIN or failed.type == IN_USE):
                raise ERRORS.get(reply.status, ServiceError)(reply.status, failed)
            time.sleep(_wait(reply.headers.get("retry-after"), attempt))
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._kept, "connection", None)
        self._kept.connection = None
        if connection is not None:
            connection.close()

    def _exchange(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], *, fresh: bool
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if fresh:  # on a connection the service has closed meanwhile, nobody could say whether it was received
            self.close()
        connection = getattr(self._kept, "connection", None) or self._connection()
        self._kept.connection = connection
        try:
            connection.request(method, path, content, headers)
            reply = connection.getresponse()
            return reply, reply.read()
        except BaseException:
            self.close()
            raise

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)


def _decoded(received: bytes, answer: type[T]) -> T:
    if answer is str:
        return received.decode()  # type: ignore[return-value]
    try:
        return msgspec.json.decode(received, type=answer)
    except msgspec.MsgspecError as error:
        raise ClientError(f"the answer is no {answer}; generate the client of this release: {error}") from None


def _problem(received: bytes) -> _Problem:
    try:
        return msgspec.json.decode(received, type=_Problem)
    except msgspec.MsgspecError:  # a proxy's page, say
        return _Problem()


def _wait(retry_after: str | None, attempt: int) -> float:
    asked = float(retry_after) if retry_after and retry_after.isdigit() else 0.1 * 2**attempt
    return min(asked, LONGEST_WAIT)
