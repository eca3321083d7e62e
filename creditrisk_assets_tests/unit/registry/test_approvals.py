"""Approvals: by whom, of what, until when, and how many it takes."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditrisk_assets.registry.approvals import (
    DOMAIN,
    ApprovalError,
    approval_event,
    approvers,
    create_approver,
    missing_approvals,
    read_approval,
    read_key,
    register_approver,
    revoke_approver,
    sign_approval,
    standing_approvals,
)
from creditrisk_assets.registry.ledger import Entry, Event

NOW = datetime.now(UTC)
VERSION, EVIDENCE = "0123456789abcdef", "e" * 64


class Office:
    """A ledger in memory and the keys of its approvers."""

    def __init__(self, home: Path, *names: str) -> None:
        self.entries: list[Entry] = []
        self.keys: dict[str, Ed25519PrivateKey] = {}
        for name in names:
            path = home / f"{name}.pem"
            self.add(register_approver(name, create_approver(path, home / "platform"), self.entries, by="root"))
            self.keys[name] = read_key(path)

    def add(self, event: Event) -> None:
        self.entries.append(Entry(len(self.entries) + 1, event, ""))

    def token(self, name: str, *, evidence: str = EVIDENCE, days: float = 30, decision: str = "approve") -> str:
        return sign_approval(
            self.keys[name], self.entries, model_version=VERSION, evidence=evidence, reason="looked at it",
            lasts=timedelta(days=days), decision=decision,
        )  # fmt: skip

    def approve(self, name: str, **how: object) -> None:
        token = self.token(name, **how)
        self.add(approval_event(token, read_approval(token, approvers(self.entries))))

    def missing(self, mode: str = "two", launched_by: Sequence[str] = ("trainer",), at: datetime = NOW) -> list[str]:
        return missing_approvals(mode, standing_approvals(self.entries, VERSION), EVIDENCE, launched_by, at)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path, "Ada", "Grace", "Linus")


def test_a_second_approver_is_really_required(office: Office) -> None:
    assert "2 of 2 approvals missing" in office.missing()[0]
    office.approve("Ada")
    office.approve("Ada")
    assert "1 of 2 approvals missing" in office.missing()[0]
    assert office.missing("one") == []
    office.approve("Grace")
    assert office.missing() == []
    assert office.missing("auto") == []


def test_an_expired_approval_counts_no_more(office: Office) -> None:
    office.approve("Ada")
    office.approve("Grace", days=1)
    later = NOW + timedelta(days=2)
    missing = office.missing(at=later)
    assert "1 of 2" in missing[0]
    assert "Grace expired" in missing[1]


def test_an_approval_of_other_evidence_counts_no_more(office: Office) -> None:
    office.approve("Ada", evidence="f" * 64)
    assert "Ada approved other evidence" in office.missing("one")[1]


@pytest.mark.parametrize("name", ["Ada", "ada", " ADA "])
@pytest.mark.parametrize("mode", ["one", "two"])
def test_nobody_approves_their_own_training(office: Office, name: str, mode: str) -> None:
    office.approve("Ada")
    office.approve("Grace")
    problems = office.missing(mode, launched_by=["someone", name])
    assert problems == ([] if mode == "one" else ["1 of 2 approvals missing (`creditrisk approve`)", problems[-1]])
    alone = Office.missing(office, "two", launched_by=[name, "Grace"])
    assert any("Ada launched the training" in problem for problem in alone)


def test_a_rejection_stops_a_version_that_others_approved_until_its_author_changes_it(office: Office) -> None:
    office.approve("Ada")
    office.approve("Grace")
    office.approve("Linus", decision="reject")
    assert office.missing() == ["Linus rejected it: looked at it"]
    office.approve("Linus")
    assert office.missing() == []


def test_a_token_that_was_changed_or_is_by_a_stranger_is_refused(office: Office) -> None:
    token = office.token("Ada")
    content, signature = token.split(".")
    altered = json.loads(base64.urlsafe_b64decode(content)) | {"identity": "Grace"}
    forged = base64.urlsafe_b64encode(json.dumps(altered).encode()).decode() + "." + signature
    known = approvers(office.entries)
    for wrong, words in (
        (forged, "not signed by the key"),
        (content, "no approval"),
        ("", "no approval"),
        ("é.é", "no approval"),
    ):
        with pytest.raises(ApprovalError, match=words):
            read_approval(wrong, known)
    with pytest.raises(ApprovalError, match="has no key here"):
        read_approval(token, {})
    stranger = Ed25519PrivateKey.generate()
    with pytest.raises(ApprovalError, match="nobody is known by this key"):
        sign_approval(stranger, office.entries, model_version=VERSION, evidence="", reason="x", lasts=timedelta(1))


@pytest.mark.parametrize("written", [{"decision": "abstain"}, {"expires_at": "2099-01-01"}, {"expires_at": "never"}])
def test_what_its_own_signer_wrote_otherwise_is_no_approval(office: Office, written: dict[str, str]) -> None:
    content = json.loads(base64.urlsafe_b64decode(office.token("Ada").split(".")[0])) | written
    signed = json.dumps(content).encode()
    token = ".".join(
        base64.urlsafe_b64encode(part).decode() for part in (signed, office.keys["Ada"].sign(DOMAIN + signed))
    )
    with pytest.raises(ApprovalError, match="no approval"):
        read_approval(token, approvers(office.entries))


def test_a_rejection_counts_whatever_its_author_is_called(tmp_path: Path) -> None:
    office = Office(tmp_path, "Ada", "Risk: Linus")
    office.approve("Ada")
    office.approve("Risk: Linus", decision="reject")
    assert office.missing("one") == ["Risk: Linus rejected it: looked at it"]


def test_a_typed_name_in_the_ledger_is_no_approval(office: Office) -> None:
    office.add(Event("approval", VERSION, "Ada", "typed", EVIDENCE, details={"decision": "approve", "token": "Ada"}))
    assert standing_approvals(office.entries, VERSION) == []


def test_an_approval_of_one_version_is_none_of_another(office: Office) -> None:
    token = office.token("Ada")
    office.add(
        Event("approval", "f" * 16, "Ada", "replayed", EVIDENCE, details={"decision": "approve", "token": token})
    )
    assert standing_approvals(office.entries, "f" * 16) == []


def test_what_a_revoked_key_signed_counts_no_more(office: Office) -> None:
    office.approve("Ada")
    office.add(revoke_approver("Ada", office.entries, by="root", reason="the key leaked"))
    assert "1 of 1" in office.missing("one")[0]
    with pytest.raises(ApprovalError, match="Ada has no key"):
        revoke_approver("Ada", office.entries, by="root", reason="again")


def test_two_names_for_one_key_or_two_keys_for_one_name_are_refused(office: Office) -> None:
    public = approvers(office.entries)["Ada"]
    with pytest.raises(ApprovalError, match="a key of their own"):
        register_approver("Ada the second", public, office.entries, by="root")
    with pytest.raises(ApprovalError, match="has a key already"):
        register_approver("ADA", "other", office.entries, by="root")


def test_a_key_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    path, home = tmp_path / "ada.pem", tmp_path / "home"
    create_approver(path, home)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ApprovalError, match="never overwritten"):
        create_approver(path, home)
    with pytest.raises(ApprovalError, match="lies in the platform's home"):
        create_approver(home / "keys" / "ada.pem", home)
    path.chmod(0o644)
    with pytest.raises(ApprovalError, match="chmod 600"):
        read_key(path)
    path.chmod(0o600)
    path.write_text("no key: hunter2")
    with pytest.raises(ApprovalError, match="PEM") as refused:
        read_key(path)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("days", "reason", "words"), [(0, "x", "ends before"), (1, " ", "say why")])
def test_an_approval_has_an_end_and_a_reason(office: Office, days: int, reason: str, words: str) -> None:
    with pytest.raises(ApprovalError, match=words):
        sign_approval(
            office.keys["Ada"],
            office.entries,
            model_version=VERSION,
            evidence=EVIDENCE,
            reason=reason,
            lasts=timedelta(days),
        )
