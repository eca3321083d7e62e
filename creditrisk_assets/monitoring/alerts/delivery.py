"""Sending what the outbox holds: log, file, webhook, e-mail, SNS.

What belongs here: the channels, and the loop that delivers, retries and never gives up. What does not: what is told to whom
(`routing`), the outbox itself (`store`), which channels there are (`configuration`).

Delivery is at least once: a message counts as delivered when its receiver took it and the store knows. What a process that is killed
between the two had in flight arrives again, under the same key.
"""

import fcntl
import json
import logging
import os
import smtplib
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import make_msgid
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from creditrisk_assets.monitoring.alerts.store import LONGEST_PAUSE, AlertStore, Delivery

LEASE = timedelta(seconds=60)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=10)
BUDGET = timedelta(seconds=20)  # a call to `deliver` begins no message after this
SMTP_SECONDS = 15
SLACK_BLOCKS, SLACK_BLOCK, SLACK_TEXT = (
    48,
    2900,
    38_000,
)  # Slack takes 50 blocks of 3,000 characters, and 40,000 of text
SNS_SUBJECT, SNS_BYTES = 100, 250_000
SHOWN_ASSETS = 8

Notices = Sequence[Mapping[str, Any]]


class DeliveryError(RuntimeError):
    """A message did not arrive; the words name neither the address nor what may be secret in it."""

    def __init__(self, words: str, retry_after: timedelta = timedelta(0)) -> None:
        super().__init__(words)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Message:
    """What a channel is asked to send: notices of one plan, under a key that stays the same for each attempt."""

    key: str
    notices: Notices

    @property
    def text(self) -> str:
        """All notices, in words."""
        return "\n".join(words_of(notice) for notice in self.notices)

    @property
    def subject(self) -> str:
        """The first notice in a line."""
        first, more = self.notices[0], len(self.notices) - 1
        return f"[{first['severity']}] {first['what']}" + (f" (and {more} more)" if more else "")


class Channel(Protocol):
    """Where messages go. `send` returns when the receiver took the message, and raises otherwise."""

    def send(self, message: Message) -> None:
        """Send a message."""


def words_of(notice: Mapping[str, Any], between: str = "; ") -> str:
    """Say what happened, since when, why, what else suffers and what to do."""
    why = {"reminded": "still open: ", "escalated": "nobody acknowledged: ", "flapping": "comes and goes: "}
    parts = [f"[{notice['severity']}] {why.get(notice['event'], '')}{notice['what']}"]
    if notice["event"] != "resolved":
        parts.append(f"since {notice['since'][:16].replace('T', ' ')} UTC")
        if notice["cause"]:
            parts.append(f"probably because: {notice['cause']}")
        if affected := notice["affected"]:
            more = f" and {len(affected) - SHOWN_ASSETS} more" if len(affected) > SHOWN_ASSETS else ""
            parts.append(f"also affected: {', '.join(affected[:SHOWN_ASSETS])}{more}")
        if notice["last_good"]:
            parts.append(f"last good: {notice['last_good']}")
        parts.append(f"run: {notice['remedy']}")
    return between.join([*parts, f"alert {notice['alert']} of {notice['owner']}"])


@dataclass(frozen=True)
class LogChannel:
    """The log of this process."""

    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("creditrisk.alerts"))

    def send(self, message: Message) -> None:
        """Log each notice."""
        for notice in message.notices:
            self.logger.warning(words_of(notice))


@dataclass(frozen=True)
class FileChannel:
    """JSON lines in a file."""

    path: Path

    def send(self, message: Message) -> None:
        """Append each notice; a line is written whole or not at all."""
        lines = "".join(json.dumps({"key": message.key, **notice}) + "\n" for notice in message.notices).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = os.fstat(descriptor).st_size
            if before and os.pread(descriptor, 1, before - 1) != b"\n":
                lines = b"\n" + lines  # what a dead writer left is a line of its own
            try:
                if os.write(descriptor, lines) != len(lines):
                    raise DeliveryError("the alerts file takes no more; free its disk")
                os.fsync(descriptor)
            except (OSError, DeliveryError):
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without the alerts, and look delivered."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True)
class WebhookChannel:
    """A webhook: `text` and `blocks` for Slack-shaped receivers, `alerts` for machines."""

    address: SecretStr
    timeout_seconds: float

    def send(self, message: Message) -> None:
        """Post the notices in one JSON message.

        Raises
        ------
        DeliveryError
            The receiver cannot be reached or refuses.
        """
        address = self.address.get_secret_value()
        if not address.startswith(("http://", "https://")):
            raise DeliveryError(
                "the address of the webhook (CREDITRISK_ALERT_WEBHOOK) does not begin with http:// or https://"
            )
        body = json.dumps(
            {
                "text": _slack(message.text, SLACK_TEXT),
                "blocks": _blocks(message.notices),
                "alerts": list(message.notices),
            }
        )
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key, "User-Agent": "creditrisk"}
        try:
            request = urllib.request.Request(address, body.encode(), headers, method="POST")  # noqa: S310 -- the scheme was checked
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=self.timeout_seconds):
                return
        except urllib.error.HTTPError as error:
            error.close()
            wait = error.headers.get("Retry-After", "")
            later = min(timedelta(seconds=int(wait[:9])), LONGEST_PAUSE) if wait.isdecimal() else timedelta(0)
            raise DeliveryError(f"the webhook answered {error.code}", later) from None
        except (OSError, HTTPException, ValueError) as error:
            raise DeliveryError(f"the webhook cannot be reached ({type(error).__name__})") from None


def _slack(words: str, limit: int) -> str:
    """Escape what Slack reads as markup, within a length."""
    escaped = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped if len(escaped) <= limit else f"{escaped[: limit - 1]}…"


def _blocks(notices: Notices) -> list[dict[str, Any]]:
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": _slack(words_of(notice), SLACK_BLOCK)}}
        for notice in notices[:SLACK_BLOCKS]
    ]


@dataclass(frozen=True)
class EmailChannel:
    """Mail by SMTP."""

    host: str
    port: int
    security: str  # starttls | tls | none
    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    password: SecretStr | None = None

    def send(self, message: Message) -> None:
        """Send one mail to all recipients.

        Raises
        ------
        DeliveryError
            The server cannot be reached or takes the mail for nobody.
        """
        mail = EmailMessage()
        mail["From"], mail["To"] = self.sender, ", ".join(self.recipients)
        mail["Subject"] = " ".join(message.subject.split())
        mail["Message-ID"] = f"<{message.key}@{make_msgid().partition('@')[2]}"  # a repeated delivery can be told by it
        mail.set_content("\n\n".join(words_of(notice, "\n  ") for notice in message.notices) + "\n")
        try:
            with self._connected() as server:
                refused = server.send_message(mail)
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(f"the mail server answered {error.smtp_code}") from None
        except smtplib.SMTPRecipientsRefused:
            raise DeliveryError("the mail server takes mail for none of the recipients") from None
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"the mail server cannot be used ({type(error).__name__})") from None
        if refused:
            logging.getLogger(__name__).warning(
                "the mail server refused %d of %d recipients", len(refused), len(self.recipients)
            )

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=SMTP_SECONDS, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=SMTP_SECONDS)
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user is not None:
                server.login(self.user, self.password.get_secret_value() if self.password else "")
        except BaseException:
            server.close()
            raise
        return server


@dataclass(frozen=True)
class SnsChannel:
    """An AWS SNS topic; subscribers filter by the attributes."""

    client: Any  # boto3's
    topic_arn: str

    def send(self, message: Message) -> None:
        """Publish the notices as one message."""
        attributes = {
            name: {"DataType": "String.Array", "StringValue": json.dumps(sorted({n[name] for n in message.notices}))}
            for name in ("severity", "owner", "kind")
        }
        fifo = (
            {"MessageGroupId": "alerts", "MessageDeduplicationId": message.key}
            if self.topic_arn.endswith(".fifo")
            else {}
        )
        subject = " ".join(message.subject.split()).encode("ascii", "replace").decode()[:SNS_SUBJECT]
        body = self._body(message.key, message.text, message.notices)
        if len(body.encode()) > SNS_BYTES:
            body = self._body(message.key, message.text.encode()[: SNS_BYTES // 2].decode(errors="ignore"), ())
        self.client.publish(
            TopicArn=self.topic_arn, Message=body, Subject=subject, MessageAttributes=attributes, **fifo
        )

    @staticmethod
    def _body(key: str, text: str, notices: Notices) -> str:
        return json.dumps({"key": key, "text": text, "alerts": list(notices)}, ensure_ascii=False)


@dataclass(frozen=True)
class Outcome:
    """What a call to `deliver` came to."""

    delivered: int = 0
    errors: Mapping[str, str] = field(default_factory=dict)  # channel -> what went wrong


def _utc_now() -> datetime:
    return datetime.now(UTC)


def deliver(
    store: AlertStore,
    channels: Mapping[str, Channel],
    *,
    clock: Callable[[], datetime] = _utc_now,
    lease: timedelta = LEASE,
) -> Outcome:
    """Send what is due, each channel on its own; what cannot be sent now is tried again later.

    Parameters
    ----------
    store
        The outbox.
    channels
        By name. What is meant for a channel that is not among them stays in the outbox.
    clock
        Time, with zone.
    lease
        How long a killed deliverer keeps the others from its channel.

    Returns
    -------
    Outcome
        A channel that fails stops neither the others nor the caller.
    """
    if not channels:
        return Outcome()
    waiting = {found.channel for found in store.waiting()} & set(channels)
    if not waiting:
        return Outcome()
    names = sorted(waiting)
    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(lambda name: _deliver(store, name, channels[name], clock, lease), names))
    errors = {name: error for name, (_, error) in zip(names, results, strict=True) if error}
    return Outcome(sum(count for count, _ in results), errors)


def _deliver(
    store: AlertStore, name: str, channel: Channel, clock: Callable[[], datetime], lease: timedelta
) -> tuple[int, str | None]:
    holder, begun, count = uuid.uuid4().hex, clock(), 0
    while clock() - begun < BUDGET and store.lease(name, holder, clock(), lease):
        delivery = store.head(name, clock())
        if delivery is None:
            break
        try:
            channel.send(Message(delivery.key, delivery.notices))
        except Exception as error:  # whatever a receiver does, the alert stays in the outbox
            words = _words(error)
            store.failed(delivery, words, clock() + _wait(delivery, error))
            store.release(name, holder)
            return count, words
        store.delivered(name, delivery.id, clock())
        count += 1
    store.release(name, holder)
    return count, None


def _wait(delivery: Delivery, error: Exception) -> timedelta:
    wait: timedelta = min(FIRST_WAIT * 2 ** min(delivery.attempts, 10), LONGEST_WAIT)
    return max(wait, error.retry_after) if isinstance(error, DeliveryError) else wait


def _words(error: Exception) -> str:
    """Say what went wrong: our own words, a service's error code, else only the kind of error."""
    if isinstance(error, DeliveryError):
        return str(error)
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, Mapping) else None
    return f"{type(error).__name__} {code}" if code else type(error).__name__
