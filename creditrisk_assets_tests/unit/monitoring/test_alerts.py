"""Delivery: what arrives, and what a failed delivery does not give away."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from creditrisk_assets.monitoring.alerts import Alert, DeliveryError, post

ALERT = Alert("raw/bureau", "critical", "raw/bureau is overdue", remedy="creditrisk run --select raw/bureau")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict], list[int]]]:
    received: list[dict] = []
    statuses = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/token-of-the-team", received, statuses
    server.shutdown()
    thread.join()
    server.server_close()


def test_alerts_arrive_in_one_message(receiver) -> None:
    address, received, _ = receiver
    post(SecretStr(address), [ALERT, ALERT], timeout_seconds=5)
    (message,) = received
    assert (
        message["text"].splitlines()
        == ["[critical] raw/bureau is overdue; run: creditrisk run --select raw/bureau"] * 2
    )
    assert message["alerts"][0] == vars(ALERT)


def test_a_refusal_is_an_error_that_keeps_the_address_secret(receiver) -> None:
    address, _, statuses = receiver
    statuses[0] = 500
    with pytest.raises(DeliveryError, match="answered 500") as caught:
        post(SecretStr(address), [ALERT], timeout_seconds=5)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/token", "file:///etc/token", "nonsense"])
def test_an_address_that_does_not_answer_is_an_error(address: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        post(SecretStr(address), [ALERT], timeout_seconds=1)
    assert "token" not in str(caught.value)
