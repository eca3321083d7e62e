"""The registry at a terminal: the ledger, approvers and approvals, promotion and rollback.

What belongs here: asking, telling, and the words of the answers. What does not: the steps (`defs.promotion`, `registry`), the commands
themselves (`cli`).
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from creditrisk_assets.defs.promotion import approve as keep_approval
from creditrisk_assets.defs.promotion import (
    collect_evidence,
    name_version,
    objections,
    open_ledger,
    open_registry,
    promote,
    read_ledger,
    roll_back,
    withdraw_name,
)
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import BundleError
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.registry import approvals, versions
from creditrisk_assets.registry.ledger import WITHDRAWN, Entry, LedgerError, champion_at
from creditrisk_assets.schema_version import SchemaError
from creditrisk_assets.settings import Settings
from creditrisk_assets.terminal import WIDE

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
SHOWN, FINDINGS_SHOWN = 50, 3


def ledger(settings: Settings, at: datetime | None, *, verify: bool) -> dict[str, Any]:
    """Read the ledger: what was champion at a moment, the entries up to it, and on demand whether they are as written."""
    moment = None if at is None else at.replace(tzinfo=at.tzinfo or UTC)
    try:
        opened = read_ledger(settings)
    except BundleError:
        return {"at": None, "champion": None, "entries": [], "verification": None}
    with opened:
        verification = opened.verify() if verify else None
        entries = () if verification and verification.findings else opened.entries()
    champion = champion_at(entries, moment)
    until = None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
    told = [entry.to_dict() for entry in entries if until is None or entry.event.at <= until]
    return {
        "at": moment.isoformat() if moment else None,
        "champion": champion.to_dict() if champion else None,
        "entries": told,
        "verification": None if verification is None else vars(verification),
    }


def check_ledger(settings: Settings) -> tuple[bool, str]:
    """Say whether the ledger is as it was written, by its chain and the last signatures: a second for ten thousand entries."""
    try:
        with read_ledger(settings) as opened:
            found = opened.verify(quick=True)
    except BundleError:
        return True, "nothing was written yet"
    except (LedgerError, SchemaError, SQLAlchemyError) as error:
        told = str(error) if isinstance(error, LedgerError | SchemaError) else "its database cannot be read"
        return False, told
    words = f"chain of {found.entries} entries, signatures of the last entry and checkpoint"
    return not found.findings, "; ".join((words, *found.findings[:FINDINGS_SHOWN]))


def print_ledger(found: Mapping[str, Any]) -> None:
    """Print what `ledger` found."""
    if (verification := found["verification"]) is not None:
        words = f"{verification['entries']} entries, {verification['checkpoints']} checkpoints"
        console.print(
            f"[green]as written[/]: {words}" if not verification["findings"] else f"[red]not as written[/]: {words}"
        )
        for finding in verification["findings"]:
            console.print(f"  {escape(finding)}")
        if verification["findings"]:
            return
    champion = found["champion"]
    moment = f"at {found['at']}" if found["at"] else "now"
    if champion is None:
        console.print(f"no champion is known {moment}")
    else:
        console.print(
            f"champion {moment}: {champion['model_version']}, since {champion['at']} by {champion['kind']} of"
            f" {escape(champion['identity'])} ({escape(champion['reason'])}), evidence {champion['evidence'][:12] or 'none'}"
        )
    table = Table("", "at", "what", "version", "who", "why", "evidence", box=None, pad_edge=False)
    for entry in found["entries"][-SHOWN:]:
        what = entry["kind"] if entry["phase"] == "done" else f"{entry['kind']} {entry['phase']}"
        why = entry["details"].get("why") or entry["reason"]
        table.add_row(
            str(entry["sequence"]), entry["at"][:19], what, entry["model_version"], escape(entry["identity"]), escape(why),
            entry["evidence"][:12],
        )  # fmt: skip
    console.print(table)


def create_approver(settings: Settings, name: str, out: Path | None) -> str:
    """Make a key for an approver and have the ledger know its public half; say where the private one is."""
    path = (out or Path.home() / ".config" / "creditrisk" / f"{name}.pem").expanduser()
    with open_ledger(settings) as opened:
        entries = opened.entries()
        approvals.register_approver(name, "", entries, by=settings.actor)  # before a key is made for nothing
        public = approvals.create_approver(path, settings.root)
        opened.append(approvals.register_approver(name, public, entries, by=settings.actor))
    return f"the key of {name} is {path}; whoever reads that file approves as {name}, so it belongs to {name} alone"


def revoke_approver(settings: Settings, name: str, reason: str) -> str:
    """End the key of an approver, and all it signed."""
    with open_ledger(settings) as opened:
        opened.append(approvals.revoke_approver(name, opened.entries(), by=settings.actor, reason=reason))
    return f"the key of {name}, and whatever it signed, counts no more"


def list_approvers(settings: Settings) -> dict[str, str]:
    """Return who may approve: name -> public key."""
    with open_ledger(settings) as opened:
        return approvals.approvers(opened.entries())


def sign(settings: Settings, word: str, key: Path, *, reason: str, days: float, reject: bool) -> str:
    """Sign a decision on a version and the evidence there is now; return the token."""
    private = approvals.read_key(key)
    with open_registry(settings) as registry:
        version = versions.named(settings.registered_model, word)
        evidence = collect_evidence(settings, Lake(settings.lake), version)
        return approvals.sign_approval(
            private, registry.ledger.entries(), model_version=version.model_version, evidence=evidence.sha256, reason=reason,
            lasts=timedelta(days=days), decision="reject" if reject else "approve",
        )  # fmt: skip


def approve(settings: Settings, token: str) -> dict[str, Any]:
    """Keep an approval in the ledger, and say what the version still lacks."""
    entry = keep_approval(settings, token)
    return {"entry": entry.to_dict(), "missing": pending(settings, entry.event.model_version)}


def pending(settings: Settings, word: str) -> list[str]:
    """Say what keeps a version from becoming champion."""
    with open_registry(settings) as registry:
        version = versions.named(settings.registered_model, word)
        evidence = collect_evidence(settings, Lake(settings.lake), version)
        return objections(settings, version, evidence, (), registry.ledger.entries())


def give_alias(
    settings: Settings, word: str, alias: str, *, identity: str | None, reason: str, override: Sequence[str]
) -> Entry:
    """Point an alias to a version; of the champion's, promote it.

    Raises
    ------
    RegistryError
        The alias or the version is none, or the alias is moved by training alone.
    """
    alias, who = versions.alias_named(alias), identity or settings.actor
    if alias == versions.CHAMPION:
        return promote(settings, word, identity=who, reason=reason, override=override)
    if alias == versions.CANDIDATE or override:
        raise versions.RegistryError("candidate is moved by training alone, and nothing but a promotion is overridden")
    return name_version(settings, word, alias, identity=who, reason=reason)


def take_name(settings: Settings, alias: str, *, identity: str | None, reason: str) -> Entry:
    """Take an alias that decides on nobody back.

    Raises
    ------
    RegistryError
        The alias is none, or is moved by training and promotion alone.
    """
    alias = versions.alias_named(alias)
    if alias not in {versions.CHALLENGER, versions.SHADOW}:
        raise versions.RegistryError(f"{alias} is not taken back; challenger and shadow are (`creditrisk rollback`)")
    return withdraw_name(settings, alias, identity=identity or settings.actor, reason=reason)


def go_back(settings: Settings, *, identity: str | None, reason: str) -> Entry:
    """Make the champion before the present one the champion again."""
    return roll_back(settings, identity=identity or settings.actor, reason=reason)


def changed_words(settings: Settings, entry: Entry) -> str:
    """Say what a change came to."""
    if entry.event.kind == "alias":
        verb = "is no longer" if entry.event.details.get(WITHDRAWN) else "is"
        return f"{entry.event.model_version} {verb} {entry.event.details['alias']} (ledger entry {entry.sequence})"
    asked = (
        f"{len(settings.replicas)} replicas confirm it"
        if settings.replicas
        else "no replica is configured, so none was asked"
    )
    return (
        f"{entry.event.model_version} is champion by {entry.event.kind} of {entry.event.identity}"
        f" (ledger entry {entry.sequence}); {asked}"
    )


def standing(settings: Settings) -> dict[str, Any]:
    """Return champion, candidate and approvals for `creditrisk status`, without MLflow."""
    try:
        with read_ledger(settings) as opened:
            entries = opened.entries()
            inbox = approvals.unsettled(opened.left(), entries)
    except BundleError:  # no key yet: nothing was ever signed
        entries, inbox = (), []
    champion = champion_at(entries)
    registered = [entry.event.model_version for entry in entries if entry.event.kind == "registration"]
    candidate = registered[-1] if registered else None
    mode = load_policy(settings.policy).approval
    given = approvals.standing_approvals(entries, candidate) if candidate else []
    now = datetime.now(UTC)
    return {
        "champion": champion.event.model_version if champion else None,
        "candidate": candidate,
        "approval": mode,
        "approved_by": [one.identity for one in given if one.decision == "approve" and not one.expired(now)],
        "needed": approvals.NEEDED[mode] if candidate != (champion.event.model_version if champion else None) else 0,
        "waiting": [_waiting(token, approvals.approvers(entries), now) for token in inbox],
    }


def _waiting(token: str, known: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Tell of an approval that was sent to a service and that no promotion has taken yet."""
    try:
        one = approvals.read_approval(token, known)
    except approvals.ApprovalError as error:
        return {"state": str(error), "identity": None, "model_version": None, "decision": None, "expires_at": None}
    told = {name: getattr(one, name) for name in ("identity", "model_version", "decision", "expires_at")}
    return {"state": "expired" if one.expired(now) else "waits", **told}


def standing_words(found: Mapping[str, Any]) -> str:
    """Say what `standing` returned in a line."""
    waiting = "; ".join(_waiting_words(one) for one in found["waiting"])
    sent = f"; sent to the service and taken by the next promotion: {waiting}" if waiting else ""
    if found["candidate"] is None:
        return f"nothing registered yet{sent}"
    if found["candidate"] == found["champion"]:
        return f"candidate {found['candidate']} is the champion{sent}"
    who = ", ".join(found["approved_by"]) or "nobody"
    return f"candidate {found['candidate']}, approved by {who} ({found['needed']} needed: approval {found['approval']}){sent}"


def _waiting_words(one: Mapping[str, Any]) -> str:
    if one["identity"] is None:
        return f"one that will be refused ({one['state']})"
    until = (
        f"until {one['expires_at']}"
        if one["state"] == "waits"
        else f"which will be refused (expired on {one['expires_at']})"
    )
    return f"{one['decision']} of {one['model_version']} by {one['identity']}, {until}"
