"""Traces reach a real OTLP receiver, with what the log line has and nothing of an applicant; without the setting no SDK is imported."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio

collector = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason='no exporter; enable with: pip install "creditrisk[traces]"'
)


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[bytes]]]:
    """Receive OTLP over HTTP: the address, and what came."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", received
    server.shutdown()
    thread.join()
    server.server_close()


def spans(received: list[bytes]) -> list[Any]:
    import gzip

    found = []
    for body in received:
        content = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        for resource in collector.ExportTraceServiceRequest.FromString(content).resource_spans:
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_a_request_is_a_span_below_its_callers_without_personal_data(
    published: Published, portfolio: Portfolio, receiver: tuple[str, list[bytes]]
) -> None:
    endpoint, received = receiver
    application = portfolio.application(FIRST_ID)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Client(published.home, traces_endpoint=endpoint) as client:
        model = client.get("/metadata").json()["model"]["version"]
        answer = client.post("/predict", {"applications": [application]}, traceparent=parent).json()
        client.get(f"/decisions/{answer['decisions'][0]['decision_id']}")
        client.get("/decisions/unknown")
    by_name = {span.name: span for span in spans(received)}
    span = by_name["POST /predict"]
    found = attributes(span)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(parent.split("-")[1:3])
    assert found["creditrisk.request_id"] == answer["request_id"]
    assert found["creditrisk.model_version"] == model == answer["decisions"][0]["model_version"]
    assert (found["http.response.status_code"], found["creditrisk.entities"]) == (200, 1)
    assert found["creditrisk.latency_ms"] == pytest.approx(
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6, abs=0.01
    )
    assert "GET /decisions/{decision_id}" in by_name, "the template, never an id"
    everything = b"".join(body for body in received)
    assert str(FIRST_ID).encode() not in everything
    assert str(application["AMT_CREDIT"]).encode() not in everything


def test_a_collector_that_is_away_holds_up_nothing(published: Published) -> None:
    with Client(published.home, traces_endpoint="http://127.0.0.1:1/v1/traces") as client:
        assert client.post("/predict", {"applicant_ids": [FIRST_ID]}).status == 200


def test_without_the_setting_neither_sdk_nor_exporter_is_imported() -> None:
    heavy = "name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))"  # FastAPI itself imports the API
    code = f"import sys, creditrisk_serving.app; sys.exit(any({heavy} for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
