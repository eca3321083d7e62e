"""Delivery: what arrives, and what a failed delivery does not give away."""

import pytest
from pydantic import SecretStr

from creditrisk_assets.monitoring.alerts import Alert, DeliveryError, post

ALERT = Alert("raw/bureau", "critical", "raw/bureau is overdue", remedy="creditrisk run --select raw/bureau")


def test_alerts_arrive_in_one_message(webhook) -> None:
    address, received, _ = webhook
    post(SecretStr(address), [ALERT, ALERT], timeout_seconds=5)
    (message,) = received
    assert (
        message["text"].splitlines()
        == ["[critical] raw/bureau is overdue; run: creditrisk run --select raw/bureau"] * 2
    )
    assert message["alerts"][0] == vars(ALERT)


def test_a_refusal_is_an_error_that_keeps_the_address_secret(webhook) -> None:
    address, _, statuses = webhook
    statuses[0] = 500
    with pytest.raises(DeliveryError, match="answered 500") as caught:
        post(SecretStr(address), [ALERT], timeout_seconds=5)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/token", "file:///etc/token", "nonsense"])
def test_an_address_that_does_not_answer_is_an_error(address: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        post(SecretStr(address), [ALERT], timeout_seconds=1)
    assert "token" not in str(caught.value)
