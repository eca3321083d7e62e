"""What is around every answer: security headers, and errors with a type where no route answers."""

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from creditrisk_assets_tests.serving.client import Client
from creditrisk_serving.middleware import HEADERS, Observed
from creditrisk_serving.observability import Metrics
from creditrisk_serving.tracing import Traces


def test_every_answer_has_the_headers_once(shared: Client) -> None:
    async def names(path: str) -> list[bytes]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
        await shared.app(scope, receive, send)
        return [name for name, _ in sent[0]["headers"]]

    for path in ("/health", "/ready", "/nothing", "/metadata"):
        found = shared.run(names(path))
        assert len(set(found)) == len(found)
        assert {name for name, _ in HEADERS} <= set(found)


def test_a_response_keeps_the_value_it_sets_itself(shared: Client) -> None:
    policy = "default-src 'self'"
    sent: list[Message] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"", headers={"Content-Security-Policy": policy})(scope, receive, send)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    around = Observed(page, Metrics(), Traces(None), 1024)
    shared.run(around({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send))
    values = [value.decode() for name, value in sent[0]["headers"] if name == b"content-security-policy"]
    assert values == [policy]
    assert dict(sent[0]["headers"])[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "no-such-route"),
        ("GET", "/predict/", 404, "no-such-route"),
        ("POST", "/decisions", 404, "no-such-route"),
        ("GET", "/predict", 405, "method-not-allowed"),
        ("OPTIONS", "/predict", 405, "method-not-allowed"),
        ("TRACE", "/metadata", 405, "method-not-allowed"),
        ("DELETE", "/decisions/1", 405, "method-not-allowed"),
        ("HEAD", "/metrics", 405, "method-not-allowed"),
    ],
)
def test_where_no_route_answers_the_error_has_a_type(
    shared: Client, method: str, path: str, status: int, kind: str
) -> None:
    reply = shared.run(shared.call(method, path, x_api_key=""))
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["type"] == f"urn:creditrisk:problem:{kind}"
    assert ("allow" in reply.headers) == (status == 405)


def test_a_refused_method_is_told_every_method_of_the_path(shared: Client) -> None:
    assert shared.run(shared.call("PUT", "/decisions/1/notice", x_api_key="")).headers["allow"] == "GET, POST"
