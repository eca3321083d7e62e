"""Approvals of model versions: a person's signature over a version, its evidence, a decision and an end.

What belongs here: keys of approvers, signing and reading an approval, whether what the policy asks for is there. What does not: keeping
approvals (`ledger`), what the evidence is (`evidence`), whose key signs bundles (`modelling.signing`).
"""

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from creditrisk_assets.modelling.signing import public_bytes
from creditrisk_assets.registry.ledger import Entry, Event

DOMAIN = b"creditrisk approval of a model version\n"
Mode = Literal["auto", "one", "two"]
NEEDED: Mapping[Mode, int] = {"auto": 0, "one": 1, "two": 2}
Verdict = Literal["approve", "reject"]


class ApprovalError(RuntimeError):
    """An approval or a key is not what it should be; the message says what to do and shows no key."""


@dataclass(frozen=True)
class Approval:
    """What an approver signs."""

    model_version: str
    evidence: str  # hash of what was judged
    decision: Verdict
    identity: str
    reason: str
    issued_at: str
    expires_at: str  # UTC, ISO 8601

    def expired(self, at: datetime) -> bool:
        """Tell whether it holds no more at a moment."""
        return datetime.fromisoformat(self.expires_at) <= at


def create_approver(path: Path, home: Path) -> str:
    """Write a new private key, readable by its owner alone, and return the public half in base64.

    Raises
    ------
    ApprovalError
        The file is there already or cannot be written, or lies in the platform's home: whoever runs the platform would hold the key.
    """
    path = path.expanduser().resolve()
    if path.is_relative_to(home):
        raise ApprovalError(
            f"{path} lies in the platform's home; an approver's key belongs to the approver: give --out"
        )
    key = Ed25519PrivateKey.generate()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except FileExistsError as error:
        raise ApprovalError(f"{path} exists already; a key is never overwritten: give another --out") from error
    except OSError as error:
        raise ApprovalError(f"the key cannot be written to {path} ({error.strerror}); give another --out") from error
    return base64.b64encode(public_bytes(key)).decode()


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read an approver's private key.

    Raises
    ------
    ApprovalError
        It cannot be read, others may read it, or it is no Ed25519 key.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ApprovalError(f"others than its owner may read the key {path}; run `chmod 600 {path}`")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ApprovalError(f"the key {path} cannot be read ({error.strerror})") from error
    except (ValueError, TypeError):
        # No cause is chained: the parser's words may repeat the key.
        raise ApprovalError(
            f"{path} is not an unencrypted PEM private key; make one with `creditrisk approver create`"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ApprovalError(f"{path} is not an Ed25519 key; make one with `creditrisk approver create`")
    return key


def register_approver(identity: str, public_key: str, entries: Sequence[Entry], *, by: str) -> Event:
    """Make the entry that an identity's key is known by from now on.

    Raises
    ------
    ApprovalError
        The name is empty or has a key already, or the key has another name: two names of one person are no four eyes.
    """
    known = approvers(entries)
    if not identity.strip():
        raise ApprovalError("an approver has a name; give one")
    if any(_same(identity, name) for name in known):
        raise ApprovalError(f"{identity} has a key already; revoke it first (`creditrisk approver revoke`)")
    if public_key in known.values():
        raise ApprovalError("this key has a name already; each approver has a key of their own")
    details = {"approver": identity, "public_key": public_key}
    return Event("approver", "", by, f"the key of {identity} is known", details=details)


def revoke_approver(identity: str, entries: Sequence[Entry], *, by: str, reason: str) -> Event:
    """Make the entry that an identity's key, and all it signed, counts no more.

    Raises
    ------
    ApprovalError
        Nobody of that name has a key.
    """
    if identity not in approvers(entries):
        raise ApprovalError(f"{identity} has no key; known: {', '.join(sorted(approvers(entries))) or 'nobody'}")
    return Event("approver", "", by, reason, details={"approver": identity, "public_key": None})


def approvers(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the approvers with a key: identity -> public key in base64."""
    known: dict[str, str] = {}
    for entry in entries:
        if entry.event.kind == "approver":
            name, key = entry.event.details["approver"], entry.event.details["public_key"]
            known = {other: theirs for other, theirs in known.items() if other != name} | ({name: key} if key else {})
    return known


def sign_approval(
    key: Ed25519PrivateKey,
    entries: Sequence[Entry],
    *,
    model_version: str,
    evidence: str,
    reason: str,
    lasts: timedelta,
    decision: Verdict = "approve",
) -> str:
    """Sign a decision on a version; return the token that carries it.

    Raises
    ------
    ApprovalError
        The key is not registered, no reason is given, or it would have ended already.
    """
    public = base64.b64encode(public_bytes(key)).decode()
    names = [name for name, known in approvers(entries).items() if known == public]
    if not names:
        raise ApprovalError("nobody is known by this key; register it with `creditrisk approver create`")
    if not reason.strip():
        raise ApprovalError("say why (--reason)")
    if lasts <= timedelta(0):
        raise ApprovalError("an approval that ends before it begins approves nothing; give a longer --expires-days")
    now = datetime.now(UTC)
    issued, expires = (moment.isoformat(timespec="seconds") for moment in (now, now + lasts))
    content = json.dumps(
        asdict(Approval(model_version, evidence, decision, names[0], reason, issued, expires)), sort_keys=True
    ).encode()
    return ".".join(base64.urlsafe_b64encode(part).decode() for part in (content, key.sign(DOMAIN + content)))


def read_approval(token: str, known: Mapping[str, str]) -> Approval:
    """Read and verify a token.

    Parameters
    ----------
    token
        As `sign_approval` gives it.
    known
        The approvers, as `approvers` gives them.

    Raises
    ------
    ApprovalError
        It is none, or not by the key of the identity it names.
    """
    try:
        content, signature = (
            base64.b64decode(part, altchars=b"-_", validate=True) for part in token.strip().split(".")
        )
        approval = Approval(**json.loads(content))
        public = base64.b64decode(known[approval.identity])
        Ed25519PublicKey.from_public_bytes(public).verify(signature, DOMAIN + content)
        if approval.decision not in get_args(Verdict) or datetime.fromisoformat(approval.expires_at).tzinfo is None:
            raise ValueError("its signer wrote something else than an approval")
    except KeyError:
        raise ApprovalError("the approval is by somebody who has no key here; see `creditrisk approver list`") from None
    except InvalidSignature:
        raise ApprovalError("the approval is not signed by the key of the approver it names") from None
    except (ValueError, TypeError, binascii.Error):
        raise ApprovalError("this is no approval; make one with `creditrisk approve … --token`") from None
    return approval


def approval_event(token: str, approval: Approval) -> Event:
    """Make the entry that keeps an approval."""
    return Event(
        "approval", approval.model_version, approval.identity, approval.reason, approval.evidence,
        details={"decision": approval.decision, "expires_at": approval.expires_at, "token": token},
    )  # fmt: skip


def refusal_event(token: str, approval: Approval, why: str, *, by: str) -> Event:
    """Make the entry that an approval which was sent counts for nothing, and why; it is not looked at again."""
    details = {"approver": approval.identity, "expires_at": approval.expires_at, "token": token}
    return Event("refusal", approval.model_version, by, why, approval.evidence, details=details)


def unsettled(tokens: Iterable[str], entries: Iterable[Entry]) -> list[str]:
    """Return the tokens of which the ledger does not tell what became of them."""
    settled = {entry.event.details["token"] for entry in entries if entry.event.kind in {"approval", "refusal"}}
    return [token for token in tokens if token not in settled]


def ever_approvers(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the last key of each approver, one that was revoked too: by it is told who signed, and nothing is approved."""
    told = (entry.event.details for entry in entries if entry.event.kind == "approver")
    return {one["approver"]: one["public_key"] for one in told if one["public_key"]}


def standing_approvals(entries: Sequence[Entry], model_version: str) -> list[Approval]:
    """Return what approvers decided on a version, the latest of each; whatever is not signed by a key that counts now is left out."""
    known, latest = approvers(entries), {}
    for entry in entries:
        if entry.event.kind == "approval" and entry.event.model_version == model_version:
            try:
                approval = read_approval(str(entry.event.details["token"]), known)
            except ApprovalError:
                continue
            if approval.model_version == model_version:
                latest[approval.identity] = approval
    return list(latest.values())


def missing_approvals(
    mode: Mode, approvals: Iterable[Approval], evidence: str, launched_by: Iterable[str], at: datetime
) -> list[str]:
    """Say what keeps a version from being approved; nothing: it is.

    Parameters
    ----------
    mode
        What the policy asks for.
    approvals
        As `standing_approvals` gives them.
    evidence
        Hash of the evidence there is now.
    launched_by
        Who launched the training: they do not count.
    at
        Now.
    """
    problems, counted, rejected = [], set(), False
    launchers = list(launched_by)
    for approval in approvals:
        who = approval.identity
        if approval.decision == "reject" and approval.evidence == evidence and not approval.expired(at):
            rejected = True
            problems.append(f"{who} rejected it: {approval.reason}")
        elif approval.expired(at):
            problems.append(f"the approval of {who} expired on {approval.expires_at}")
        elif approval.evidence != evidence:
            problems.append(f"{who} approved other evidence than there is now")
        elif any(_same(who, launcher) for launcher in launchers):
            problems.append(f"{who} launched the training, and nobody approves their own")
        else:
            counted.add(who)
    lacking = NEEDED[mode] - len(counted)
    if lacking > 0:
        return [f"{lacking} of {NEEDED[mode]} approvals missing (`creditrisk approve`)", *problems]
    return problems if rejected else []


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
