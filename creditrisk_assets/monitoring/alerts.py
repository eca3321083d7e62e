"""Alerts and their delivery to a webhook.

What belongs here: what an alert says, posting it. What does not: when there is one (`freshness`, …), storing, deduplicating and
escalating them.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

Severity = Literal["warning", "critical", "resolved"]


class DeliveryError(RuntimeError):
    """Alerts did not arrive; the message names neither the address nor what may be secret in it."""


@dataclass(frozen=True)
class Alert:
    """One thing to tell somebody."""

    asset: str
    severity: Severity
    what: str
    remedy: str = ""  # the command to run next

    def __str__(self) -> str:
        return f"[{self.severity}] {self.what}" + (f"; run: {self.remedy}" if self.remedy else "")


def post(webhook: SecretStr, alerts: Sequence[Alert], *, timeout_seconds: float) -> None:
    """Post alerts to a webhook in one JSON message (`text` for Slack-shaped receivers, `alerts` for machines).

    Raises
    ------
    DeliveryError
        The receiver cannot be reached or refuses.
    """
    body = json.dumps({"text": "\n".join(str(alert) for alert in alerts), "alerts": [vars(alert) for alert in alerts]})
    address = webhook.get_secret_value()
    if not address.startswith(("http://", "https://")):
        raise DeliveryError("CREDITRISK_ALERT_WEBHOOK is not an http(s) address")
    request = urllib.request.Request(  # noqa: S310 -- the scheme was checked
        address, body.encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds):  # noqa: S310 -- the scheme was checked
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise DeliveryError(f"the alert webhook answered {error.code}; alerts will be sent again") from None
    except (urllib.error.URLError, TimeoutError, OSError, ValueError) as error:
        raise DeliveryError(
            f"the alert webhook cannot be reached ({type(error).__name__}); alerts will be sent again"
        ) from None
