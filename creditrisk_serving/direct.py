"""Answering the routes that must cost microseconds before FastAPI looks for a route.

What belongs here: finding such a route, answering its errors. What does not: what it answers (the endpoints, which FastAPI declares and
documents like any other and would answer in the same words, a tenth of a millisecond later).
"""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from creditrisk_serving.errors import ServiceError, answer_error
from creditrisk_serving.observability import request_state

Answer = Callable[[Scope, Receive], Awaitable[Response]]


class Direct:
    """Pure-ASGI middleware: some exact paths are answered here, all others by the application.

    Parameters
    ----------
    app
        What it wraps.
    routes
        (method, path) -> what answers it.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[tuple[str, str], Answer]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        answer = self.routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if answer is None:
            await self.app(scope, receive, send)
            return
        state = request_state(scope)
        state.route = scope["path"]
        try:
            response = await answer(scope, receive)
        except ServiceError as error:
            response = answer_error(error, state)
        await response(scope, receive, send)
