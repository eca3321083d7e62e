"""The route answered before the router: in the same words as the router would, and counted like any other."""

import asyncio
import json
import shutil
from collections.abc import Iterator

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_serving.access import Rate, Scope, create_key
from creditrisk_serving.direct import Direct
from creditrisk_serving.inprocess import Reply
from creditrisk_serving.scoring.endpoints import SMALL_BYTES

KNOWN = json.dumps({"applicant_ids": [FIRST_ID]}).encode()
VARYING = {"decision_id", "latency_ms"}
REQUESTS = [
    ("known", KNOWN, {}),
    ("many", json.dumps({"applicant_ids": [FIRST_ID, FIRST_ID + 1]}).encode(), {}),
    ("stranger", b'{"applicant_ids": [999999]}', {}),
    ("padded past what is small", KNOWN + b" " * SMALL_BYTES, {}),
    ("broken rule", b'{"applicant_ids": ["x"]}', {}),
    ("no json", b"{", {}),
    ("no key", KNOWN, {"x_api_key": ""}),
    ("another media type", KNOWN, {"content_type": "text/csv"}),
    ("media type with a charset", KNOWN, {"content_type": "Application/JSON; charset=utf-8"}),
    ("too large", KNOWN + b" " * 70_000, {}),
]


@pytest.fixture(scope="module")
def both(template: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    """The application as it is, and without the middleware under test."""
    home = tmp_path_factory.mktemp("direct") / "home"
    shutil.copytree(template.home, home)
    direct, routed = Client(home, max_body_bytes=65_536), Client(home, max_body_bytes=65_536)
    routed.app.user_middleware = [each for each in routed.app.user_middleware if each.cls is not Direct]
    assert len(direct.app.user_middleware) == len(routed.app.user_middleware) + 1
    with direct, routed:
        direct.key = routed.key  # the later replaced the earlier
        yield direct, routed


def said(reply: Reply) -> tuple[int, dict[str, str], object]:
    answer = json.loads(reply.body, object_hook=lambda found: {k: v for k, v in found.items() if k not in VARYING})
    headers = {name: value for name, value in reply.headers.items() if name != "content-length"}
    return reply.status, headers, answer


@pytest.mark.parametrize(("body", "headers"), [r[1:] for r in REQUESTS], ids=[r[0] for r in REQUESTS])
def test_it_answers_as_the_router_would(both: tuple[Client, Client], body: bytes, headers: dict[str, str]) -> None:
    direct, routed = (said(client.post("/predict", body, **{"x_request_id": "r-1"} | headers)) for client in both)
    assert direct == routed


def test_it_refuses_whom_the_router_would(both: tuple[Client, Client]) -> None:
    path = both[0].settings.api_keys_file
    reader = create_key(path, "reader", scopes=[Scope.EXPLAIN])
    spent = create_key(path, "spent", scopes=[Scope.SCORE], rate=Rate.parse("1/d"))
    for client in both:
        assert client.get("/schema", x_api_key=spent).status == 200
    for key, status in ((reader, 403), (spent, 429)):
        direct, routed = (said(client.post("/predict", KNOWN, x_request_id="r-1", x_api_key=key)) for client in both)
        waits = [int(answer[1].pop("retry-after", 0)) for answer in (direct, routed)]
        assert direct == routed
        assert direct[0] == status
        assert all(waits) == (status == 429)


def test_it_is_counted_under_its_route(both: tuple[Client, Client]) -> None:
    for client in both:
        client.post("/predict", KNOWN)
    counted = [
        [
            line
            for line in client.get("/metrics").body.decode().splitlines()
            if line.startswith("creditrisk_requests_total")
        ]
        for client in both
    ]
    assert counted[0] == counted[1]
    assert any('route="/predict",status="200"' in line for line in counted[0])


def test_a_body_may_come_in_pieces(shared: Client) -> None:
    pieces = [{"type": "http.request", "body": KNOWN[i : i + 3], "more_body": True} for i in range(0, len(KNOWN), 3)]
    pieces.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[dict[str, object]] = []

    async def ask() -> None:
        async def receive() -> dict[str, object]:
            await asyncio.sleep(0)
            return pieces.pop(0)

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        headers = [(b"x-api-key", shared.key.encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers, "query_string": b""}
        await shared.app(scope, receive, send)

    shared.run(ask())
    assert sent[0]["status"] == 200
    assert json.loads(sent[1]["body"])["scored"] == 1
