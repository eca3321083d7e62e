"""Delivery: what arrives at real receivers, what is tried again, and what a failed delivery does not give away."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from creditrisk_assets.monitoring.alerts.configuration import AlertPolicy, Route
from creditrisk_assets.monitoring.alerts.configuration import WebhookChannel as WebhookEntry
from creditrisk_assets.monitoring.alerts.delivery import (
    DeliveryError,
    EmailChannel,
    FileChannel,
    LogChannel,
    Message,
    SnsChannel,
    WebhookChannel,
    deliver,
)
from creditrisk_assets.monitoring.alerts.store import AlertStore
from creditrisk_assets.monitoring.conditions import Condition, Observation

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
OVERDUE = Condition(
    "freshness", "raw/bureau", "critical", "raw/bureau is overdue", NOW - timedelta(hours=1),
    "creditrisk run --select raw/bureau", owner="team:credit-data", last_good="9f2c of 2026-03-01",
    cause="daemon SENSOR is silent", holds_up=tuple(f"features/f{number}" for number in range(10)),
)  # fmt: skip
OPENED = {
    "alert": 7, "event": "opened", "severity": "critical", "fingerprint": "freshness:raw/bureau", "kind": "freshness",
    "subject": "raw/bureau", "asset": "raw/bureau", "owner": "team:credit-data", "what": "raw/bureau is overdue",
    "since": "2026-03-02T05:00:00+00:00", "at": "2026-03-02T06:00:00+00:00", "cause": "a <late> feed & more",
    "affected": [], "last_good": "9f2c", "remedy": "creditrisk run --select raw/bureau", "openings": 1,
}  # fmt: skip
RESOLVED = {**OPENED, "event": "resolved", "severity": "resolved", "what": "raw/bureau is fresh again"}
MESSAGE = Message("k1", [OPENED, RESOLVED])


@dataclass
class Receiver:
    """A webhook's receiver, with a will of its own."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    received: list[dict] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    got: list[str] = field(default_factory=list)

    def events(self) -> list[str]:
        return [alert["event"] for message in self.received for alert in message["alerts"]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(state.pause)
            if state.status == 200:
                state.received.append(json.loads(body))
                state.keys.append(self.headers["Idempotency-Key"])
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            state.got.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/token-of-the-team"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def webhook_of(receiver: Receiver, timeout: float = 5) -> WebhookChannel:
    return WebhookChannel(SecretStr(receiver.url), timeout)


def test_a_webhook_gets_words_for_people_and_fields_for_machines_in_one_message(receiver: Receiver) -> None:
    webhook_of(receiver).send(MESSAGE)
    (message,) = receiver.received
    assert message["text"].splitlines() == [
        "[critical] raw/bureau is overdue; since 2026-03-02 05:00 UTC; probably because: a &lt;late&gt; feed &amp; more; "
        "last good: 9f2c; run: creditrisk run --select raw/bureau; alert 7 of team:credit-data",
        "[resolved] raw/bureau is fresh again; alert 7 of team:credit-data",
    ]
    assert [block["text"]["text"] for block in message["blocks"]] == message["text"].splitlines()
    assert message["alerts"] == [OPENED, RESOLVED]
    assert receiver.keys == ["k1"]


def test_a_message_longer_than_slack_takes_is_cut(receiver: Receiver) -> None:
    webhook_of(receiver).send(Message("k", [{**OPENED, "what": "x" * 9_000}] * 60))
    (message,) = receiver.received
    assert len(message["blocks"]) <= 50
    assert max(len(block["text"]["text"]) for block in message["blocks"]) <= 3_000
    assert len(message["text"]) <= 40_000
    assert len(message["alerts"]) == 60


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_a_refusal_is_an_error_that_keeps_the_address_secret(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(DeliveryError, match=f"answered {status}") as caught:
        webhook_of(receiver).send(MESSAGE)
    assert "token" not in str(caught.value)


def test_a_redirect_is_a_refusal_since_following_it_would_lose_the_alert(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 302, {"Location": "/login"}
    with pytest.raises(DeliveryError, match="answered 302"):
        webhook_of(receiver).send(MESSAGE)
    assert receiver.got == []


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/token", "file:///etc/token", "nonsense-token", "http://[token"]
)
def test_an_address_that_does_not_answer_is_an_error(address: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        WebhookChannel(SecretStr(address), 1).send(MESSAGE)
    assert "token" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_receiver_that_hangs_is_left_after_the_timeout(receiver: Receiver) -> None:
    receiver.pause = 3
    begun = time.monotonic()
    with pytest.raises(DeliveryError, match="cannot be reached"):
        webhook_of(receiver, timeout=0.3).send(MESSAGE)
    assert time.monotonic() - begun < 2


def test_the_log_gets_a_line_per_notice(caplog: pytest.LogCaptureFixture) -> None:
    LogChannel(logging.getLogger("alerts under test")).send(MESSAGE)
    assert [line.partition(";")[0] for line in caplog.messages] == [
        "[critical] raw/bureau is overdue",
        "[resolved] raw/bureau is fresh again",
    ]


def test_a_file_gets_a_json_line_per_notice(tmp_path: Path) -> None:
    journal = FileChannel(tmp_path / "below" / "alerts.jsonl")
    journal.send(MESSAGE)
    journal.send(Message("k2", [RESOLVED]))
    lines = [json.loads(line) for line in (tmp_path / "below" / "alerts.jsonl").read_text().splitlines()]
    assert lines == [{"key": "k1", **OPENED}, {"key": "k1", **RESOLVED}, {"key": "k2", **RESOLVED}]


def test_half_a_line_of_a_dead_writer_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"key": "k0", "ev')
    FileChannel(path).send(Message("k2", [RESOLVED]))
    assert json.loads(path.read_text().splitlines()[1]) == {"key": "k2", **RESOLVED}


def test_a_file_on_a_full_disk_keeps_what_it_had(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for the disk: the write that crosses it is cut, as on a full disk."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from creditrisk_assets.monitoring.alerts.delivery import FileChannel, Message\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "channel = FileChannel(Path(sys.argv[1]))\n"
        "channel.send(Message('k1', [{'n': 1}]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
        "try:\n"
        "    channel.send(Message('k2', [{'n': 'x' * 500}]))\n"
        "except Exception as error:\n"
        "    print(error)\n"
    )
    path = tmp_path / "alerts.jsonl"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert "takes no more" in done.stdout
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["k1"]


@dataclass(frozen=True)
class MailServer:
    """A real SMTP server; what it took."""

    port: int
    envelopes: list
    logins: list[tuple[str, str]]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Make a certificate for localhost that this process trusts."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate, secret


@pytest.fixture
def mail(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    """Run an SMTP server; with the parameter `starttls`, one that wants encryption and a login."""
    controller = pytest.importorskip("aiosmtpd.controller", reason="no SMTP server; enable with: pip install aiosmtpd")
    from aiosmtpd.smtp import AuthResult, LoginPassword

    envelopes: list = []
    logins: list[tuple[str, str]] = []
    options: dict = {}
    if getattr(request, "param", "") == "starttls":
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*request.getfixturevalue("certificate"))

        def authenticate(_server, _session, _envelope, _mechanism, data: LoginPassword) -> AuthResult:
            logins.append((data.login.decode(), data.password.decode()))
            return AuthResult(success=data.password == b"very-secret", handled=False)

        options = {
            "tls_context": context,
            "authenticator": authenticate,
            "auth_required": True,
            "require_starttls": True,
        }

    class Handler:
        async def handle_RCPT(self, _server, _session, envelope, address: str, _options) -> str:
            if address.startswith("nobody"):
                return "550 no such mailbox"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, _server, _session, envelope) -> str:
            envelopes.append(envelope)
            return "250 OK"

    with socket.socket() as probe:  # the server cannot choose a port itself
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = controller.Controller(Handler(), hostname="localhost", port=port, **options)
    running.start()
    try:
        yield MailServer(port, envelopes, logins)
    finally:
        running.stop()


def mail_to(server: MailServer, *recipients: str, **other) -> EmailChannel:
    return EmailChannel(
        "localhost", server.port, other.pop("security", "none"), "risk@example.com", recipients, **other
    )


def test_mail_arrives_with_a_subject_and_the_whole_story(mail: MailServer) -> None:
    import email.policy

    mail_to(mail, "ana@example.com", "ben@example.com").send(MESSAGE)
    (envelope,) = mail.envelopes
    assert envelope.rcpt_tos == ["ana@example.com", "ben@example.com"]
    letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert letter["Subject"] == "[critical] raw/bureau is overdue (and 1 more)"
    assert letter["Message-ID"].startswith("<k1@")
    text = letter.get_content()
    for words in (
        "raw/bureau is overdue",
        "run: creditrisk run --select raw/bureau",
        "last good: 9f2c",
        "is fresh again",
    ):
        assert words in text


def test_words_with_line_breaks_cannot_add_a_header(mail: MailServer) -> None:
    what = "raw/bureau\r\nBcc: thief@example.com"
    mail_to(mail, "ana@example.com").send(Message("k", [{**OPENED, "what": what}]))
    (envelope,) = mail.envelopes
    assert envelope.rcpt_tos == ["ana@example.com"]
    assert b"\nBcc:" not in envelope.content.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("mail", ["starttls"], indirect=True)
def test_mail_goes_encrypted_and_with_a_login(mail: MailServer) -> None:
    login = {"security": "starttls", "user": "risk", "password": SecretStr("very-secret")}
    mail_to(mail, "ana@example.com", **login).send(MESSAGE)
    assert len(mail.envelopes) == 1
    assert mail.logins == [("risk", "very-secret")]


@pytest.mark.parametrize("mail", ["starttls"], indirect=True)
def test_a_refused_login_is_an_error_without_the_password(mail: MailServer) -> None:
    login = {"security": "starttls", "user": "risk", "password": SecretStr("very-wrong")}
    with pytest.raises(DeliveryError, match="mail server answered 535") as caught:
        mail_to(mail, "ana@example.com", **login).send(MESSAGE)
    assert "very-wrong" not in str(caught.value)


@pytest.mark.parametrize("mail", ["starttls"], indirect=True)
def test_a_server_whose_certificate_is_not_trusted_gets_no_login(
    mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    login = {"security": "starttls", "user": "risk", "password": SecretStr("very-secret")}
    with pytest.raises(DeliveryError, match="cannot be used"):
        mail_to(mail, "ana@example.com", **login).send(MESSAGE)
    assert mail.logins == []


def test_one_wrong_recipient_keeps_the_mail_from_no_other(mail: MailServer, caplog: pytest.LogCaptureFixture) -> None:
    mail_to(mail, "nobody@example.com", "ana@example.com").send(MESSAGE)
    assert mail.envelopes[0].rcpt_tos == ["ana@example.com"]
    assert "refused 1 of 2 recipients" in caplog.text


def test_mail_nobody_can_get_is_an_error(mail: MailServer) -> None:
    with pytest.raises(DeliveryError, match="none of the recipients"):
        mail_to(mail, "nobody@example.com").send(MESSAGE)


def test_a_mail_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DeliveryError, match="cannot be used"):
        EmailChannel("127.0.0.1", 9, "none", "risk@example.com", ("ana@example.com",)).send(MESSAGE)


@pytest.fixture(scope="module")
def aws() -> Iterator[dict]:
    """Run moto's server; what a client of it is made with."""
    server = pytest.importorskip("moto.server", reason="no AWS counterpart; enable with: pip install 'moto[server]'")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    yield {"endpoint_url": f"http://{host}:{port}", "region_name": "eu-central-1", **keys}
    running.stop()


@pytest.mark.parametrize("name", ["alerts", "alerts.fifo"])
def test_an_sns_topic_hands_it_to_its_subscribers(aws: dict, name: str) -> None:
    import boto3

    sns, sqs = boto3.client("sns", **aws), boto3.client("sqs", **aws)
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    queue = sqs.create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=name, Attributes={"FifoTopic": "true"} if fifo else {})["TopicArn"]
    wanted = json.dumps({"severity": ["critical"]})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": wanted})
    channel = SnsChannel(sns, topic)
    channel.send(MESSAGE)
    channel.send(Message("k2", [{**OPENED, "severity": "warning"}]))  # the filter keeps it from this subscriber
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    (envelope,) = [json.loads(message["Body"]) for message in found]
    assert envelope["Subject"] == "[critical] raw/bureau is overdue (and 1 more)"
    body = json.loads(envelope["Message"])
    assert body["alerts"] == [OPENED, RESOLVED]
    assert body["key"] == "k1"


def test_a_message_larger_than_sns_takes_is_cut(aws: dict) -> None:
    import boto3

    sns = boto3.client("sns", **aws)
    topic = sns.create_topic(Name="large")["TopicArn"]
    SnsChannel(sns, topic).send(Message("k", [{**OPENED, "what": "ü" * 9_000}] * 60))


POLICY = AlertPolicy(channels={"hook": WebhookEntry(kind="webhook")}, routes=(Route(channels=("hook",)),))


@dataclass
class Clock:
    """Time that moves when told to."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: SecretStr) -> Iterator[AlertStore]:
    with AlertStore(database) as opened:
        yield opened


def plan(store: AlertStore, now: datetime, *conditions: Condition, healthy: str = "") -> None:
    seen = Observation(now, "assets", conditions, dict.fromkeys(healthy.split(), "well again"))
    store.apply(seen, POLICY, now)


def test_what_is_due_is_delivered_once(store: AlertStore, receiver: Receiver, clock: Clock) -> None:
    plan(store, clock(), OVERDUE)
    channels = {"hook": webhook_of(receiver)}
    assert deliver(store, channels, clock=clock).delivered == 1
    assert deliver(store, channels, clock=clock).delivered == 0
    assert receiver.events() == ["opened"]
    text = receiver.received[0]["text"]
    assert "also affected: features/f0, " in text
    assert "features/f7 and 2 more" in text
    assert "probably because: daemon SENSOR is silent" in text


def test_what_a_receiver_refuses_is_delivered_later_once_and_in_order(
    store: AlertStore, receiver: Receiver, clock: Clock
) -> None:
    channels = {"hook": webhook_of(receiver)}
    receiver.status = 503
    plan(store, clock(), OVERDUE)
    assert deliver(store, channels, clock=clock).errors == {"hook": "the webhook answered 503"}
    clock.move(seconds=29)
    assert deliver(store, channels, clock=clock).errors == {}, "too early to try again"
    clock.move(seconds=1)
    assert deliver(store, channels, clock=clock).errors
    waits = []
    for _ in range(7):  # each wait is longer, and none longer than ten minutes
        begun = clock.now
        while not deliver(store, channels, clock=clock).errors:
            clock.move(seconds=30)
        waits.append((clock.now - begun).total_seconds() / 60)
    assert waits == [1, 2, 4, 8, 10, 10, 10]
    plan(store, clock(), healthy=OVERDUE.fingerprint)
    assert [(found.messages, found.last_error) for found in store.waiting() if found.channel == "hook"] == [
        (2, "the webhook answered 503")
    ]
    receiver.status = 200
    clock.move(minutes=10)
    assert deliver(store, channels, clock=clock).delivered == 2
    assert sorted(receiver.events()) == ["opened", "resolved"]
    clock.move(hours=9)
    assert deliver(store, channels, clock=clock).delivered == 0


def test_the_end_never_overtakes_the_beginning(store: AlertStore, receiver: Receiver, clock: Clock) -> None:
    receiver.status = 500
    plan(store, clock(), OVERDUE)
    deliver(store, {"hook": webhook_of(receiver)}, clock=clock)
    receiver.status = 200
    clock.move(seconds=1)
    plan(store, clock(), healthy=OVERDUE.fingerprint)
    deliver(store, {"hook": webhook_of(receiver)}, clock=clock)
    assert receiver.events() == ["opened", "resolved"]


def test_a_receiver_that_asks_for_patience_gets_it(store: AlertStore, receiver: Receiver, clock: Clock) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": "600"}
    plan(store, clock(), OVERDUE)
    deliver(store, {"hook": webhook_of(receiver)}, clock=clock)
    receiver.status = 200
    clock.move(seconds=599)
    assert deliver(store, {"hook": webhook_of(receiver)}, clock=clock).delivered == 0
    clock.move(seconds=1)
    assert deliver(store, {"hook": webhook_of(receiver)}, clock=clock).delivered == 1


class Broken:
    """A channel with a fault of its own."""

    def send(self, message: Message) -> None:
        raise KeyError("very-secret")


def test_a_channel_that_fails_stops_no_other(
    store: AlertStore, receiver: Receiver, clock: Clock, tmp_path: Path
) -> None:
    names = ("broken", "hook", "journal")
    policy = AlertPolicy(
        channels={name: WebhookEntry(kind="webhook") for name in names}, routes=(Route(channels=names),)
    )
    store.apply(Observation(NOW, "assets", (OVERDUE,)), policy, NOW)
    channels = {"broken": Broken(), "hook": webhook_of(receiver), "journal": FileChannel(tmp_path / "alerts.jsonl")}
    outcome = deliver(store, channels, clock=clock)
    assert outcome.delivered == 2
    assert outcome.errors == {"broken": "KeyError"}
    assert receiver.events() == ["opened"]


def test_what_is_meant_for_a_channel_that_is_not_there_waits(
    store: AlertStore, receiver: Receiver, clock: Clock
) -> None:
    plan(store, clock(), OVERDUE)
    assert deliver(store, {}, clock=clock).delivered == 0
    assert deliver(store, {"other": webhook_of(receiver)}, clock=clock).delivered == 0
    assert deliver(store, {"hook": webhook_of(receiver)}, clock=clock).delivered == 1


def test_several_deliverers_at_once_deliver_once(database: SecretStr, receiver: Receiver) -> None:
    receiver.pause = 0.2
    with AlertStore(database) as store:
        plan(store, datetime.now(UTC), OVERDUE)

    def work() -> None:
        with AlertStore(database) as own:
            deliver(own, {"hook": webhook_of(receiver)})

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert receiver.events() == ["opened"]


DELIVERER = """
import sys
from datetime import timedelta
from pydantic import SecretStr
from creditrisk_assets.monitoring.alerts.delivery import WebhookChannel, deliver
from creditrisk_assets.monitoring.alerts.store import AlertStore
with AlertStore(SecretStr(sys.argv[1])) as store:
    deliver(store, {"hook": WebhookChannel(SecretStr(sys.argv[2]), 30)}, lease=timedelta(seconds=2))
"""


def test_a_deliverer_killed_in_the_middle_loses_nothing_and_repeats_at_most_what_it_had_in_flight(
    database: SecretStr, receiver: Receiver
) -> None:
    """Three messages; the receiver is slow, and the deliverer is killed while it waits for the second answer."""
    with AlertStore(database) as store:
        now = datetime.now(UTC)
        plan(store, now, OVERDUE)
        plan(store, now, healthy=OVERDUE.fingerprint)
        other = Condition("daemon", "SENSOR", "critical", "silent", now - timedelta(hours=1), "creditrisk ui")
        plan(store, now, other)
    receiver.pause = 0.5
    arguments = [sys.executable, "-c", DELIVERER, database.get_secret_value(), receiver.url]
    process = subprocess.Popen(arguments)
    try:
        deadline = time.monotonic() + 60
        while not receiver.received and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.25)  # the first answer is on its way back, the second message is in flight
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = len(receiver.received)
    assert before < 3
    time.sleep(2)  # its lease
    receiver.pause = 0
    with AlertStore(database) as store:
        deliver(store, {"hook": webhook_of(receiver)})
        assert [found.channel for found in store.waiting()] == ["asset_page"]
    first_seen = list(dict.fromkeys(receiver.keys))
    assert len(first_seen) == 3, "nothing is lost, and what is repeated has the key it had"
    assert len(receiver.keys) <= 4, "at most the one in flight is repeated"
    once = {key: message["alerts"][0]["event"] for key, message in zip(receiver.keys, receiver.received, strict=True)}
    assert [once[key] for key in first_seen] == ["opened", "resolved", "opened"]
