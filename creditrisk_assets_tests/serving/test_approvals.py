"""Approvals over the API: a signature is taken and a name is not, and what is taken counts when the registry has judged it."""

import base64
import json
import logging
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from creditrisk_assets import promoting
from creditrisk_assets.defs import promotion
from creditrisk_assets.modelling.signing import public_bytes
from creditrisk_assets.registry import approvals
from creditrisk_assets.registry.changing import RefusedError
from creditrisk_assets.registry.ledger import Event
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.test_promotion import Desk, desk, prepared
from creditrisk_serving.approvals.examples import TAKEN

__all__ = ["desk", "prepared"]


@pytest.fixture
def office(desk: Desk) -> Desk:
    """A desk that asks for one approval, with a registration in its ledger."""
    desk.ask_for("one")
    with promotion.open_ledger(desk.settings) as ledger:
        ledger.append(Event("registration", desk.challenger, "platform", "registered"))
    return desk


def started(desk: Desk, **settings: Any) -> Client:
    return Client(desk.settings.root, **{"approvals_database": desk.settings.registry_url, **settings})


def token_of(desk: Desk, key: Path, days: float = 1) -> str:
    return promoting.sign(desk.settings, "candidate", key, reason="looked at it", days=days, reject=False)


def refusal(client: Client, token: object) -> tuple[int, str]:
    reply = client.post("/approvals", {"token": token})
    return reply.status, reply.json()["detail"]


def test_a_token_is_taken_once_and_counts_when_the_version_is_promoted(
    office: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    token = token_of(office, office.add_approver("Grace"))
    logging.getLogger("creditrisk_serving").propagate = True
    caplog.set_level(logging.INFO, "creditrisk_serving")
    with started(office) as client:
        first, again = (client.post("/approvals", {"token": token}) for _ in range(2))
    assert (first.status, again.status) == (202, 202)
    told = first.json()
    assert (told["model_version"], told["identity"], told["decision"]) == (office.challenger, "Grace", "approve")
    assert (told["taken"], again.json()["taken"]) == (True, False)
    assert set(told) == set(TAKEN), "the example of the OpenAPI document is of this shape"
    audited = [entry.fields for entry in caplog.records if entry.getMessage() == "audit"]
    assert [(one["route"], one["status"], one["scope"]) for one in audited] == [("/approvals", 202, "admin")] * 2
    assert not [e for e in office.entries if e.event.kind == "approval"], "the service writes nothing to the ledger"
    office.promote()
    office.require(office.challenger)
    (kept,) = [e.event for e in office.entries if e.event.kind == "approval"]
    assert (kept.identity, kept.details["token"]) == ("Grace", token)


def test_an_approval_of_other_evidence_is_refused_on_record_and_said_once(
    office: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    token = token_of(office, office.add_approver("Grace"))
    with started(office) as client:
        assert client.post("/approvals", {"token": token}).status == 202
    office.give_governance_file(missing=("a test of stability",))
    for _ in range(2):
        with pytest.raises(RefusedError, match="1 of 1 approvals missing"):
            office.promote()
    assert not [e for e in office.entries if e.event.kind == "approval"]
    (refused,) = [e.event for e in office.entries if e.event.kind == "refusal"]
    assert (refused.model_version, refused.identity, refused.details["approver"]) == (
        office.challenger,
        "platform",
        "Grace",
    )
    assert "other evidence than there is now" in refused.reason
    assert [record.getMessage() for record in caplog.records if "Grace sent" in record.getMessage()] == [
        f"the approval of {office.challenger} that Grace sent is not taken: {refused.reason}"
    ]
    office.give_governance_file()
    office.approve(office.settings.root.parent / "Grace.pem")
    office.promote()
    office.require(office.challenger)


def test_status_shows_what_waits_in_the_inbox_until_a_promotion_takes_or_refuses_it(
    office: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    ada, grace = office.add_approver("Ada"), office.add_approver("Grace")
    assert promoting.standing(office.settings)["waiting"] == []
    kept, brief, left = token_of(office, ada), token_of(office, grace, days=1e-9), token_of(office, grace)
    with promotion.open_ledger(office.settings) as ledger:
        for token in (brief, kept, left, "nothing"):
            ledger.leave(token, "desk")
    promoting.revoke_approver(office.settings, "Grace", "left")
    found = promoting.standing(office.settings)
    assert [(one["identity"], one["state"]) for one in found["waiting"]] == [
        (None, "the approval is by somebody who has no key here; see `creditrisk approver list`"), ("Ada", "waits"),
        (None, "the approval is by somebody who has no key here; see `creditrisk approver list`"),
        (None, "this is no approval; make one with `creditrisk approve … --token`"),
    ]  # fmt: skip
    assert f"approve of {office.challenger} by Ada, until" in promoting.standing_words(found)
    office.promote()
    office.require(office.challenger)
    refused = [e.event for e in office.entries if e.event.kind == "refusal"]
    assert [event.details["approver"] for event in refused] == ["Grace", "Grace"]
    assert [one["identity"] for one in promoting.standing(office.settings)["waiting"]] == [None]
    caplog.clear()
    promotion.take_approvals(office.settings)
    assert [record.getMessage() for record in caplog.records] == [
        "approvals sent that nobody who ever had a key here signed: 1; they count for nothing"
    ]


def test_an_approval_that_expired_in_the_inbox_is_said_to_be_refused(office: Desk) -> None:
    token = token_of(office, office.add_approver("Ada"), days=1e-9)
    with promotion.open_ledger(office.settings) as ledger:
        ledger.leave(token, "desk")
    assert "by Ada, which will be refused (expired on" in promoting.standing_words(promoting.standing(office.settings))
    promotion.take_approvals(office.settings)
    (refused,) = [e.event for e in office.entries if e.event.kind == "refusal"]
    assert refused.reason.startswith("the approval expired on")
    assert promoting.standing(office.settings)["waiting"] == []


def test_what_is_no_approval_is_refused_with_its_reason(office: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, grace = office.settings, office.add_approver("Grace")
    good = token_of(office, grace)
    key = approvals.read_key(grace)
    with promotion.open_ledger(settings) as ledger:
        entries = ledger.entries()
    common = {"evidence": "e" * 64, "reason": "looked", "lasts": timedelta(days=1)}
    stranger = Ed25519PrivateKey.generate()
    half = base64.b64encode(public_bytes(stranger)).decode()
    with monkeypatch.context() as patched:  # the stranger signs as Grace would
        patched.setattr(approvals, "approvers", lambda _: {"Grace": half})
        forged = approvals.sign_approval(stranger, entries, model_version=office.challenger, **common)
        patched.setattr(approvals, "approvers", lambda _: {"Mallory": half})
        unknown = approvals.sign_approval(stranger, entries, model_version=office.challenger, **common)
    other = approvals.sign_approval(key, entries, model_version="0123456789abcdef", **common)
    with started(office) as client:
        assert refusal(client, "Grace") == (422, "this is no approval; make one with `creditrisk approve … --token`")
        assert refusal(client, forged) == (422, "the approval is not signed by the key of the approver it names")
        assert "who has no key here" in refusal(client, unknown)[1]
        assert "never registered here" in refusal(client, other)[1]
        assert refusal(client, 7)[0] == refusal(client, "")[0] == 422
        assert client.post("/approvals", b"{").status == 400
        brief = approvals.sign_approval(
            key, entries, model_version=office.challenger, **{**common, "lasts": timedelta(microseconds=1)}
        )
        assert "the approval expired on" in refusal(client, brief)[1]
        promoting.revoke_approver(settings, "Grace", "left")
        assert "who has no key here" in refusal(client, good)[1]
    with promotion.open_ledger(settings) as ledger:
        assert ledger.left() == []


def test_without_a_ledger_that_is_as_it_was_written_nobody_is_believed(office: Desk) -> None:
    token = token_of(office, office.add_approver("Grace"))
    with Client(office.settings.root) as client:
        status, words = refusal(client, token)
        assert (status, "CREDITRISK_SERVING_APPROVALS_DATABASE" in words) == (503, True)
    away = SecretStr(f"sqlite:///{office.settings.root}/nowhere/registry.db")
    with started(office, approvals_database=away) as client:
        assert refusal(client, token)[0] == 422, "an empty ledger knows nobody"
    with sqlite3.connect(office.settings.root / "registry.db") as connection:
        connection.execute("update ledger set content = replace(content, 'Grace', 'Mallory')")
    connection.close()
    with started(office) as client:
        status, words = refusal(client, token)
        assert (status, "not as it was written" in words) == (503, True)
        assert json.dumps(words).isascii()
