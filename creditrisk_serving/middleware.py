"""The one pure-ASGI middleware around everything.

What belongs here: request id, body limit, security headers, the log line, the counters and the price of each request, the
last resort for exceptions. What does not: the format of log and metrics (`observability`), the words of errors (`errors`).
"""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from creditrisk_serving.errors import BodyTooLargeError, ServiceError, problem
from creditrisk_serving.observability import LOG, Metrics, RequestState, audit, place_of, request_id_of
from creditrisk_serving.tracing import Traces

# What OWASP's REST security cheat sheet asks of an API. Strict-Transport-Security is the proxy's: it speaks TLS, this service does not.
# A response that sets one of them keeps its own value: a page loads scripts, an answer of the API never does.
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class Observed:
    """Pure-ASGI middleware: request id, headers, log line, metrics, and the last resort for exceptions.

    Parameters
    ----------
    app
        What it wraps.
    metrics
        Where requests are counted.
    traces
        Where their spans go.
    max_body_bytes
        Bodies past it are refused while they arrive, whatever their Content-Length said.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, traces: Traces, max_body_bytes: int) -> None:
        self.app = app
        self.metrics = metrics
        self.traces = traces
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = RequestState(request_id_of(scope["headers"]))
        scope["creditrisk.request"] = state
        status: int | None = None  # none: nothing was sent yet

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message.get("headers", ())
                own = {name for name, _ in given}
                message["headers"] = [
                    *given,
                    *(header for header in HEADERS if header[0] not in own),
                    (b"x-request-id", state.request_id.encode()),
                ]
            await send(message)

        try:
            await self.app(scope, self._limited(scope, receive), observed_send)
        except Exception as error:
            state.error = state.error or "internal"
            LOG.error(
                "request_failed", extra={"fields": {"request_id": state.request_id, "exception": place_of(error)}}
            )
            if status is None:
                await self._answer_internal(scope, receive, observed_send, state)
        finally:
            self._record(scope, state, status or 500, time.perf_counter() - state.started)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Count the body's bytes as they arrive and refuse what is past the limit."""
        limit, seen = self.max_body_bytes, 0
        declared = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        refused = BodyTooLargeError(f"the body may have at most {limit} bytes; split the request")

        async def limited() -> Message:
            nonlocal seen
            if declared.isdigit() and int(declared) > limit:
                raise refused
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise refused
            return message

        return limited

    async def _answer_internal(self, scope: Scope, receive: Receive, send: Send, state: RequestState) -> None:
        answer = problem(
            500,
            ServiceError.kind,
            ServiceError.title,
            "nothing was decided; quote the request id to the operators",
            request_id=state.request_id,
        )
        await answer(scope, receive, send)

    def _record(self, scope: Scope, state: RequestState, status: int, seconds: float) -> None:
        """Write the request's log line and count it, under the route's template (never the path: ids are in it)."""
        route = str(state.route or getattr(scope.get("route"), "path", "unmatched"))
        self.metrics.latency[route,].observe(seconds)
        self.metrics.requests[route, str(status)].inc()
        if state.error is not None:
            self.metrics.errors[state.error,].inc()
        if state.budget is not None and state.entities > 1:
            state.budget.charge(state.entities - 1)  # the first was paid for at the door
        if state.audited:
            audit(state, route, status)
        self.traces.record(state, scope["method"], route, status, seconds, scope["headers"])
        LOG.info(
            "request",
            extra={
                "fields": {
                    "request_id": state.request_id,
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "latency_ms": round(seconds * 1000, 3),
                    "entities": state.entities,
                    "model_version": state.model_version,
                    "error": state.error,
                }
            },
        )
