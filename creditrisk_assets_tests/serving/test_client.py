"""The generated client: it is that of this release, every method runs against the service, errors are typed, retries are safe."""

import base64
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditrisk_assets.defs.promotion import open_ledger
from creditrisk_assets.modelling.signing import public_bytes
from creditrisk_assets.registry.approvals import register_approver, sign_approval
from creditrisk_assets.registry.ledger import Entry, Event
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio
from creditrisk_assets_tests.serving.test_light import serving
from creditrisk_assets_tests.serving.test_openapi import DOCUMENT
from creditrisk_serving.access import Scope, create_key
from creditrisk_serving.client import (
    Client,
    ClientError,
    ConflictError,
    ConnectionFailedError,
    InvalidError,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
)
from creditrisk_serving.client_generator import TARGET, rendered
from creditrisk_serving.scoring.examples import APPLICATION, BUREAU, PREDICTED_EXAMPLE

APPROVER = Ed25519PrivateKey.generate()
KNOWN = register_approver("Ada", base64.b64encode(public_bytes(APPROVER)).decode(), (), by="root")
TOKEN = sign_approval(
    APPROVER, [Entry(1, KNOWN, "")], model_version="registered", evidence="", reason="looked at it", lasts=timedelta(1)
)
REVIEW: dict[str, Any] = {"reviewer": "A. Person", "outcome": "approve", "reason": "Payslips seen."}
METHODS = {
    operation["operationId"]
    for operations in DOCUMENT["paths"].values()
    for operation in operations.values()
    if "sagemaker" not in operation["tags"]
}


@pytest.fixture(scope="module")
def service(template: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL of a running service, and a key of it."""
    home = tmp_path_factory.mktemp("client") / "home"
    shutil.copytree(template.home, home)
    key = create_key(home / "keys" / "api_keys.json", "client", scopes=tuple(Scope))
    settings = Settings(home=home)
    with open_ledger(settings) as ledger:
        ledger.append(KNOWN)
        ledger.append(Event("registration", "registered", "platform", "registered"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDITRISK_SERVING_APPROVALS_DATABASE", settings.registry_url.get_secret_value())
        with serving(home) as (_, port, _said):
            yield f"http://127.0.0.1:{port}", key


@pytest.fixture
def client(service: tuple[str, str]) -> Iterator[Client]:
    with Client(*service) as made:
        yield made


def referral(client: Client, portfolio: Portfolio) -> str:
    decisions = client.predict(applicant_ids=portfolio.applicants).decisions
    return next(one.decision_id for one in decisions if one.decision == "refer")


def decline(client: Client, portfolio: Portfolio) -> str:
    applications = [portfolio.application(applicant) for applicant in portfolio.applicants]
    return next(
        one.decision_id for one in client.predict(applications=applications).decisions if one.decision == "decline"
    )


def noticed(client: Client, portfolio: Portfolio) -> str:
    return client.issue_notice(decline(client, portfolio)).decision_id


CALLS: dict[str, Callable[[Client, Portfolio], bool]] = {
    "predict": lambda c, p: c.predict(applications=[APPLICATION], histories={"bureau": [BUREAU]}).scored == 1,
    "what_if": lambda c, p: c.what_if(applications=[APPLICATION]).estimates[0].applicant_id == 900001,
    "validate": lambda c, p: not c.validate(applicant_ids=[1, 1]).valid,
    "schema": lambda c, p: "application" in c.schema()["$defs"],
    "decision": lambda c, p: c.decision(referral(c, p)).decision == "refer",
    "review": lambda c, p: c.review(referral(c, p), **REVIEW).outcome == "approve",
    "issue_notice": lambda c, p: c.issue_notice(decline(c, p)).jurisdiction == "us",
    "notice": lambda c, p: "is declined" in c.notice(noticed(c, p)).document,
    "recourse": lambda c, p: c.recourse(decision_id=decline(c, p)).decision == "decline",
    "approve": lambda c, p: c.approve(token=TOKEN).identity == "Ada",
    "health": lambda c, p: c.health().status == "live",
    "ready": lambda c, p: c.ready().ready,
    "metadata": lambda c, p: c.metadata().policy.decisions["approve_below"] == 0.12,
    "metrics": lambda c, p: "creditrisk_requests_total" in c.metrics(),
}


def test_the_client_is_the_one_of_this_release() -> None:
    assert rendered() == TARGET.read_text("utf-8"), "run `make client`"


def test_every_route_has_a_method_and_a_call_below() -> None:
    assert set(CALLS) == METHODS
    assert all(callable(getattr(Client, name)) for name in METHODS)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_runs(client: Client, portfolio: Portfolio, name: str) -> None:
    assert CALLS[name](client, portfolio)


def test_partial_answers_tell_what_was_not_scored(client: Client) -> None:
    answer = client.predict(applicant_ids=[FIRST_ID, 999_999])
    assert (answer.scored, answer.failed) == (1, 1)
    assert (answer.errors[0].row, answer.errors[0].rule) == (1, "unknown_applicant")


def test_errors_are_typed(client: Client, service: tuple[str, str], portfolio: Portfolio) -> None:
    with pytest.raises(InvalidError) as invalid:
        client.predict(applications=[APPLICATION | {"AMT_CREDIT": -1.0}])
    assert [(e.table, e.row, e.column, e.rule) for e in invalid.value.errors] == [
        ("applications", 0, "AMT_CREDIT", "minimum")
    ]
    assert invalid.value.type == "urn:creditrisk:problem:invalid-application"
    assert invalid.value.request_id in str(invalid.value)
    with pytest.raises(NotFoundError):
        client.decision("no/such?decision")
    decided = client.predict(applicant_ids=portfolio.applicants).decisions
    with pytest.raises(ConflictError):
        client.review(next(one.decision_id for one in decided if one.decision != "refer"), **REVIEW)
    with Client(service[0], "crk_wrong") as stranger, pytest.raises(UnauthorizedError):
        stranger.metadata()


def test_the_same_idempotency_key_gets_the_same_decision(client: Client) -> None:
    first, again = (client.predict(applicant_ids=[FIRST_ID], idempotency_key="client-1") for _ in range(2))
    other = client.predict(applicant_ids=[FIRST_ID])
    assert first == again
    assert other.decisions[0].decision_id != first.decisions[0].decision_id
    with pytest.raises(ConflictError):
        client.predict(applicant_ids=[FIRST_ID + 1], idempotency_key="client-1")


class Scripted(BaseHTTPRequestHandler):
    """Answers what its script says, one line for each request; None hangs up."""

    protocol_version = "HTTP/1.1"
    script: ClassVar[list[tuple[int, dict[str, str], bytes] | None]] = []
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, self.headers["idempotency-key"]))
        if (line := self.script.pop(0)) is None:
            self.close_connection = True
            return
        status, headers, body = line
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def scripted(
    *script: tuple[int, dict[str, str], bytes] | None,
) -> Iterator[tuple[Client, list[tuple[str, str | None]]]]:
    Scripted.script, Scripted.seen = list(script), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{server.server_address[1]}/behind", "key", timeout=30) as client:
            yield client, Scripted.seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


ANSWER = json.dumps(PREDICTED_EXAMPLE).encode()
GOOD = (200, {}, ANSWER)
BUSY = (
    503,
    {"Content-Type": "application/problem+json", "Retry-After": "0"},
    b'{"type":"x","title":"busy","status":503}',
)
IN_USE = (409, {"Retry-After": "0"}, b'{"type":"urn:creditrisk:problem:idempotency-key-in-use","title":"in use"}')


@pytest.mark.parametrize("first", [None, BUSY, IN_USE], ids=["hung up", "busy", "in use"])
def test_predict_is_sent_again_under_the_same_key(first: Any) -> None:
    with scripted(first, GOOD) as (client, seen):
        assert client.predict(applicant_ids=[1]).scored == 1
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert seen[0][0] == "/behind/predict"
    assert seen[0][1]


def test_it_gives_up_and_says_what_was_the_matter() -> None:
    with scripted(BUSY, BUSY, BUSY) as (client, seen), pytest.raises(UnavailableError, match="busy"):
        client.predict(applicant_ids=[1])
    assert len(seen) == 3
    with scripted(None, None, None) as (client, seen), pytest.raises(ConnectionFailedError):
        client.predict(applicant_ids=[1])
    assert len(seen) == 3


@pytest.mark.parametrize("first", [None, BUSY], ids=["hung up", "busy"])
def test_a_review_is_never_sent_twice(first: Any) -> None:
    with scripted(first, GOOD) as (client, seen), pytest.raises(ClientError):
        client.review("a", **REVIEW)
    assert seen == [("/behind/decisions/a/review", None)]


def test_what_is_refused_for_good_is_not_sent_again() -> None:
    with scripted((422, {}, b"{}"), GOOD) as (client, seen), pytest.raises(InvalidError):
        client.predict(applicant_ids=[1])
    assert len(seen) == 1


def test_answers_that_are_not_the_service_s_are_told() -> None:
    with scripted((200, {}, b"<html>")) as (client, _), pytest.raises(ClientError, match="Prediction"):
        client.predict(applicant_ids=[1])
    with scripted((502, {}, b"<html>")) as (client, _), pytest.raises(ServiceError, match="502"):
        client.predict(applicant_ids=[1])


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Client(url, "key")


def test_it_needs_msgspec_and_nothing_else() -> None:
    code = "import sys, json, creditrisk_serving.client; print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "msgspec" in loaded
    assert not loaded & {
        "creditrisk_assets",
        "fastapi",
        "httpx",
        "numpy",
        "pydantic",
        "requests",
        "starlette",
        "urllib3",
    }
