"""What the service says of itself: ids, one log line per request, metrics; never a word about an applicant."""

import json
import logging
import threading
from typing import Any

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio
from creditrisk_serving.observability import JsonFormatter

KNOWN = {"applicant_ids": [FIRST_ID]}


def lines(caplog: pytest.LogCaptureFixture, event: str = "request") -> list[dict[str, Any]]:
    formatter = JsonFormatter()
    found = [json.loads(formatter.format(r)) for r in caplog.records if r.name == "creditrisk_serving"]
    return [line for line in found if line["event"] == event]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "creditrisk_serving")
    return caplog


@pytest.mark.parametrize("given", ["a", "A-b_c.1:2", "x" * 64, "0190a7c2-7a5f-7c3e-9f2e-1f1f1f1f1f1f"])
def test_a_well_formed_request_id_is_kept(shared: Client, given: str) -> None:
    assert shared.get("/health", x_request_id=given).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", " ", "x" * 65, "a b", "a\nb", "<script>", "é", "a;b"])
def test_any_other_request_id_is_replaced(shared: Client, given: str) -> None:
    made = shared.get("/health", x_request_id=given).headers["x-request-id"]
    assert len(made) == 32
    assert made != shared.get("/health", x_request_id=given).headers["x-request-id"]


def test_errors_carry_the_request_id_too(shared: Client) -> None:
    for reply in (
        shared.get("/nothing", x_request_id="q-1"),
        shared.post("/predict", b"{", x_request_id="q-1"),
        shared.get("/metadata", x_request_id="q-1", x_api_key=""),
    ):
        assert reply.headers["x-request-id"] == reply.json()["request_id"] == "q-1"


def test_each_request_is_one_json_line(shared: Client, log: pytest.LogCaptureFixture, template: Published) -> None:
    shared.post("/predict", {"applicant_ids": [FIRST_ID, FIRST_ID + 1]}, x_request_id="r-1")
    (line,) = lines(log)
    assert line.pop("latency_ms") > 0
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "creditrisk_serving",
        "event": "request",
        "request_id": "r-1",
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "entities": 2,
        "model_version": template.champion,
        "error": None,
    }


def test_the_log_names_routes_not_paths(shared: Client, log: pytest.LogCaptureFixture) -> None:
    shared.get("/decisions/0123456789")
    shared.get("/secret-path")
    assert [line["route"] for line in lines(log)] == ["/decisions/{decision_id}", "unmatched"]
    assert "0123456789" not in log.text
    assert "secret-path" not in shared.get("/metrics").body.decode()


def test_no_value_of_an_applicant_reaches_log_metrics_or_errors(
    client: Client, portfolio: Portfolio, log: pytest.LogCaptureFixture
) -> None:
    canary = {"SK_ID_CURR": 77_712_345, "AMT_CREDIT": 777_123.375, "ORGANIZATION_TYPE": "CANARY GmbH"}
    application = {**portfolio.application(FIRST_ID), **canary}
    bad = {**application, "AMT_CREDIT": "777123.375", "DAYS_BIRTH": 77_712, "77712345": 1}
    replies = [
        client.post("/predict", {"applications": [bad]}),
        client.post("/validate", {"applications": [bad]}),
        client.post("/predict", {"applicant_ids": [77_712_345]}),
        client.post("/predict", {"applications": [application], "histories": {"bureau": [{"SK_ID_CURR": 77_712_346}]}}),
        client.post("/predict", json.dumps({"applications": [application]}).encode()[:-1]),
    ]
    client.service.log.close()
    (client.settings.platform.root / "decisions.db").unlink(missing_ok=True)
    (client.settings.platform.root / "decisions.db").mkdir()
    replies.append(client.post("/predict", {"applications": [application]}))
    assert [reply.status for reply in replies] == [422, 200, 422, 422, 400, 503]
    formatter = JsonFormatter()
    said = "\n".join(
        [
            *(reply.body.decode() for reply in replies),
            *(formatter.format(record) for record in log.records),
            client.get("/metrics").body.decode(),
        ]
    )
    for value in ("77712", "777123", "CANARY"):
        assert value not in said


def test_an_unforeseen_failure_is_a_500_that_tells_nothing(
    client: Client, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("CANARY")

    monkeypatch.setattr(client.service.scoring, "predict", fail)
    reply = client.post("/predict", KNOWN)
    assert reply.status == 500
    assert reply.json()["type"] == "urn:creditrisk:problem:internal"
    assert reply.headers["x-request-id"] == reply.json()["request_id"]
    (line,) = lines(log, "request_failed")
    assert line["exception"]["type"] == "KeyError"
    assert line["exception"]["at"].endswith(" fail")
    assert "CANARY" not in reply.body.decode() + JsonFormatter().format(log.records[0])
    assert lines(log)[0]["status"] == 500


def test_security_headers_are_on_every_answer(shared: Client) -> None:
    for reply in (shared.get("/health"), shared.get("/nothing"), shared.post("/predict", KNOWN)):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_metrics_count_decisions_scores_errors_and_the_model(client: Client, published: Published) -> None:
    decision = client.post("/predict", KNOWN).json()["decisions"][0]
    client.post("/predict", {"applicant_ids": ["x"]})
    text = client.get("/metrics").body.decode()
    for expected in (
        f'creditrisk_decisions_total{{band="{decision["band"]}",decision="{decision["decision"]}"}} 1.0',
        "creditrisk_pd_count 1.0",
        'creditrisk_requests_total{route="/predict",status="200"} 1.0',
        'creditrisk_requests_total{route="/predict",status="422"} 1.0',
        'creditrisk_errors_total{kind="invalid-application"} 1.0',
        'creditrisk_field_errors_total{rule="type",table="applicant_ids"} 1.0',
        'creditrisk_feature_family_states_total{family="bureau",state="present"} 1.0',
        'creditrisk_request_seconds_count{route="/predict"} 2.0',
        f'model_version="{published.champion}"',
    ):
        assert expected in text


def test_busy_threads_never_stop_the_event_loop_and_a_full_queue_is_refused(published: Published) -> None:
    with Client(published.home, scoring_threads=1, waiting_requests=1) as client:
        release = threading.Event()
        assert client.post("/predict", KNOWN).status == 200  # the first decision opens the database, on a thread
        large = json.dumps({"applicant_ids": [FIRST_ID, FIRST_ID + 1]}).encode()

        async def crowd() -> list[int]:
            import asyncio

            busy = asyncio.ensure_future(client.service.pool.run(release.wait))
            await asyncio.sleep(0)
            waiting = asyncio.ensure_future(client.call("POST", "/predict", large))
            await asyncio.sleep(0.05)
            health = await client.call("GET", "/health")
            refused = await client.call("POST", "/predict", large)
            small = await client.call("POST", "/predict", json.dumps(KNOWN).encode())
            release.set()
            await busy
            return [health.status, refused.status, small.status, (await waiting).status]

        assert client.run(crowd()) == [200, 503, 200, 200]
        assert 'kind="overloaded"' in client.get("/metrics").body.decode()
