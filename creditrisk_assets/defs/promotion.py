"""Promotion, rollback and approval in Dagster: op jobs that people launch, and the same steps for the command line and `registry/canary`.

What belongs here: opening the registry of a deployment, collecting evidence from the lake, the jobs. What does not: the steps of a change
(`registry.changing`), what evidence must be there (`registry.evidence`), the comparison itself (`canary`).

None of it is an asset, so that nobody promotes by "Materialize all".
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import dagster as dg

from creditrisk_assets.defs.evaluation import EVALUATION as EVALUATION_KEY
from creditrisk_assets.defs.evaluation import FIGURES
from creditrisk_assets.defs.validation import REPORT
from creditrisk_assets.defs.validation import VALIDATION as VALIDATION_KEY
from creditrisk_assets.defs.vocabulary import LAUNCHED_BY_TAG, OWNERS
from creditrisk_assets.lake import Lake, Version, write_atomically
from creditrisk_assets.mirror import mirror_of
from creditrisk_assets.modelling.bundle import MANIFEST, BundleError, read_signers
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.signing import signing_key, trusted_keys
from creditrisk_assets.monitoring.alerts.channels import load_policy as load_alert_policy
from creditrisk_assets.monitoring.alerts.channels import open_channels
from creditrisk_assets.monitoring.alerts.delivery import deliver
from creditrisk_assets.monitoring.alerts.store import AlertStore, AlertStoreError
from creditrisk_assets.monitoring.conditions import Condition, Observation, Severity, fingerprint
from creditrisk_assets.registry import changing, versions
from creditrisk_assets.registry.approvals import (
    ApprovalError,
    approval_event,
    approvers,
    ever_approvers,
    missing_approvals,
    read_approval,
    refusal_event,
    standing_approvals,
    unsettled,
)
from creditrisk_assets.registry.changing import PLATFORM, RefusedError, Registry
from creditrisk_assets.registry.evidence import (
    COMPARISON,
    EVALUATION,
    GOVERNANCE,
    VALIDATION,
    Document,
    Evidence,
    evidence_problems,
)
from creditrisk_assets.registry.ledger import BusyError, Entry, Event, Ledger, champion_at, ever_in_use
from creditrisk_assets.registry.replicas import unconfirmed
from creditrisk_assets.registry.versions import RegisteredVersion, RegistryError
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets.resources.platform import Platform
from creditrisk_assets.settings import Settings

CANARY = "registry/canary"
GOVERNANCE_FILE = "governance/file"
RECORD = "registry_promotion.json"
REQUIRED = (COMPARISON, EVALUATION, VALIDATION, GOVERNANCE)
OVERRIDABLE = (COMPARISON,)  # gates are overridden in the policy file, each with an end
LOG = logging.getLogger("creditrisk.registry")


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger for reading and writing, where the signing key is."""
    key = signing_key(settings.keys, settings.signing_key)
    return Ledger(settings.registry_url, settings.registry_checkpoints_file, read_signers(settings.keys), key)


def read_ledger(settings: Settings) -> Ledger:
    """Open the ledger for reading; the public key is enough."""
    return Ledger(settings.registry_url, settings.registry_checkpoints_file, read_signers(settings.keys))


@contextmanager
def open_registry(settings: Settings) -> Iterator[Registry]:
    """Open what a change touches; MLflow is connected."""
    connect(settings)
    asked = partial(unconfirmed, settings.replicas, key=settings.replica_key, timeout=settings.replica_timeout_seconds)
    with open_ledger(settings) as ledger:
        public = trusted_keys(settings.keys, settings.signing_key)
        yield Registry(
            settings.registered_model,
            settings.bundles,
            public,
            ledger,
            settings.registry_lock,
            asked,
            partial(tell, settings),
            mirror_of(settings),
        )


def tell(
    settings: Settings,
    problem: str | None,
    *,
    detail: str = "",
    severity: Severity = "critical",
    remedy: str = "see `creditrisk ledger`, mend what it names, promote again",
) -> None:
    """Open an alert that a promotion was taken back or a shadow stopped, or resolve it; the alert store being down stops nobody."""
    policy, _ = load_alert_policy(settings)
    now, subject = datetime.now(UTC), settings.registered_model
    if problem is None:
        seen = Observation(now, healthy={fingerprint("promotion", subject, detail): "a later one was well"})
    else:
        condition = Condition(
            "promotion", subject, severity, problem,
            since=now - timedelta(seconds=policy.settle_seconds),  # it is final: there is nothing to settle
            remedy=remedy, detail=detail, owner=OWNERS["governance"],
        )  # fmt: skip
        seen = Observation(now, conditions=(condition,))
    try:
        with AlertStore(settings.alerts_url) as store:
            if problem is not None or store.exists:
                store.apply(seen, policy, now)
                deliver(store, open_channels(policy, settings, LOG)[0])
    except AlertStoreError as error:
        LOG.warning(f"nobody could be alerted: {error}")


def collect_evidence(settings: Settings, lake: Lake, version: RegisteredVersion) -> Evidence:
    """Collect what the lake holds about a version, the newest of each; what is damaged is not there.

    Raises
    ------
    BundleError
        The version's bundle is not stored.
    """
    path = settings.bundles / version.model_version
    try:
        made_at = str(json.loads((path / MANIFEST).read_text("utf-8"))["created_at"])
        digest = versions.manifest_hash(path)
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"the bundle {path} is not there or damaged; run `creditrisk run`, or restore it") from error
    documents: dict[str, Document] = {}
    canary = _newest(lake, CANARY, lambda facts: facts["candidate"] == version.model_version)
    if canary is not None:
        facts = canary.manifest.metadata["facts"]
        documents[COMPARISON] = Document(facts["evidence"], canary.manifest.created_at, facts["problems"])
    for name, key, file in ((EVALUATION, EVALUATION_KEY, FIGURES), (VALIDATION, VALIDATION_KEY, REPORT)):
        found = _newest(lake, key, lambda facts: facts["model_version"] == version.model_version)
        if found is not None:
            documents[name] = Document(found.manifest.files[file], found.manifest.created_at)
    filed = _newest(lake, GOVERNANCE_FILE, lambda facts: facts.get("model_version") == version.model_version)
    if filed is not None:
        missing = filed.manifest.metadata["facts"]["missing_required"]
        problems = [f"the governance file lacks {', '.join(missing)}"] if missing else []
        documents[GOVERNANCE] = Document(filed.version, filed.manifest.created_at, problems)
    compared = canary.manifest.metadata["facts"]["champion"] if canary else None
    return Evidence(version.model_version, digest, made_at, REQUIRED, documents, compared)


def _newest(lake: Lake, key: str, about: Callable[[Mapping[str, Any]], bool]) -> Version | None:
    """Return the version in use if it is about what is asked for, else the last one made that is."""
    current = lake.current(key)
    for version in (*([current] if current else []), *reversed(lake.versions(key))):
        if about(version.manifest.metadata["facts"]) and version.damage() is None:
            return version
    return None


def objections(
    settings: Settings,
    version: RegisteredVersion,
    evidence: Evidence,
    overridden: Sequence[str],
    entries: Sequence[Entry],
) -> list[str]:
    """Say why a version may not become champion now; the first version needs evidence and no approval."""
    champion = champion_at(entries)
    problems = evidence_problems(evidence, champion.event.model_version if champion else None)
    words = [problem.words for problem in problems if problem.document not in overridden]
    if ever_in_use(entries):
        approvals = standing_approvals(entries, version.model_version)
        mode = load_policy(settings.policy).approval
        words += missing_approvals(mode, approvals, evidence.sha256, version.launched_by, datetime.now(UTC))
    return words


def promote(settings: Settings, word: str, *, identity: str, reason: str, override: Sequence[str] = ()) -> Entry:
    """Make a version the champion, if its evidence and the approvals allow it.

    Parameters
    ----------
    settings
        The deployment.
    word
        The version: a number of the registry, a model version or an alias.
    identity, reason
        Who asks, and why.
    override
        Names of evidence whose objections are set aside; each is on record with this reason.

    Raises
    ------
    RefusedError, BusyError, ChangeError, RegistryError, BundleError, TrackingError
        It did not become champion; the message says why, and what is in use.
    """
    if strangers := sorted(set(override) - set(OVERRIDABLE)):
        raise RefusedError(f"{', '.join(strangers)} cannot be overridden; {', '.join(OVERRIDABLE)} can")
    take_approvals(settings)
    with open_registry(settings) as registry:
        version = versions.named(settings.registered_model, word)
        evidence = collect_evidence(settings, Lake(settings.lake), version)
        for name in override:
            registry.ledger.append(
                Event("override", version.model_version, identity, reason, evidence.sha256, details={"evidence": name})
            )
        entry = changing.promote(
            registry, version, identity=identity, reason=reason, evidence=evidence.sha256,
            objections=partial(objections, settings, version, evidence, override), details={"overridden": list(override)},
        )  # fmt: skip
    _write_record(settings, entry)
    return entry


def roll_back(settings: Settings, *, identity: str, reason: str) -> Entry:
    """Make the champion before the present one the champion again.

    Raises
    ------
    RefusedError, BusyError, ChangeError, RegistryError, BundleError, TrackingError
        It could not be; the message says why, and what is in use.
    """
    with open_registry(settings) as registry:
        entry = changing.roll_back(registry, identity=identity, reason=reason)
    _write_record(settings, entry)
    return entry


def name_version(settings: Settings, word: str, alias: str, *, identity: str, reason: str) -> Entry:
    """Point `challenger` or `shadow` to a version.

    Raises
    ------
    RefusedError, BusyError, RegistryError, BundleError, TrackingError
        It could not be.
    """
    with open_registry(settings) as registry:
        version = versions.named(settings.registered_model, word)
        return changing.name_version(registry, version, alias, identity=identity, reason=reason)


def withdraw_name(
    settings: Settings, alias: str, *, identity: str, reason: str, expected: str | None = None, evidence: str = ""
) -> Entry:
    """Take `challenger` or `shadow` back from the version it names.

    Raises
    ------
    RefusedError, BusyError, TrackingError
        It could not be.
    """
    with open_registry(settings) as registry:
        return changing.withdraw_name(
            registry, alias, identity=identity, reason=reason, expected=expected, evidence=evidence
        )


def approve(settings: Settings, token: str) -> Entry:
    """Keep an approval in the ledger.

    Raises
    ------
    ApprovalError
        It is none, or not by a known approver.
    RefusedError
        It has expired, or is of other evidence than there is now; or the ledger is not as it was written.
    """
    with open_registry(settings) as registry:
        changing.require_as_written(registry, registry.ledger.damage())
        entries = registry.ledger.entries()
        approval = read_approval(token, approvers(entries))
        if approval.expired(datetime.now(UTC)):
            raise RefusedError(f"the approval expired on {approval.expires_at}; approve again")
        version = versions.named(settings.registered_model, approval.model_version)
        if approval.evidence != collect_evidence(settings, Lake(settings.lake), version).sha256:
            raise RefusedError("the approval is of other evidence than there is now; look at it and approve again")
        if any(entry.event.kind == "approval" and entry.event.details["token"] == token for entry in entries):
            raise RefusedError("this approval is in the ledger already")
        return registry.ledger.append(approval_event(token, approval))


def take_approvals(settings: Settings) -> list[Entry]:
    """Keep in the ledger what was sent to a service, each verified again with its evidence; what counts for nothing is refused, once."""
    with open_ledger(settings) as ledger:
        waiting = unsettled(ledger.left(), ledger.entries()) if not ledger.damage() else []
    taken, unknown = [], 0
    for token in waiting:
        try:
            taken.append(approve(settings, token))
        except BundleError as error:
            LOG.warning(f"an approval that was sent waits on: {error}")
        except (ApprovalError, RefusedError, RegistryError) as error:
            unknown += not _refuse(settings, token, str(error))
    if unknown:
        LOG.warning(f"approvals sent that nobody who ever had a key here signed: {unknown}; they count for nothing")
    return taken


def _refuse(settings: Settings, token: str, why: str) -> bool:
    """Write down that an approval is not taken, and tell it; one that nobody known here signed is not worth an entry."""
    with open_ledger(settings) as ledger:
        try:
            approval = read_approval(token, ever_approvers(ledger.entries()))
        except ApprovalError:
            return False
        ledger.append(refusal_event(token, approval, why, by=PLATFORM))
    LOG.warning(f"the approval of {approval.model_version} that {approval.identity} sent is not taken: {why}")
    return True


def settle(settings: Settings, lake: Lake) -> None:
    """Recover from what was left in the middle, and make the candidate champion where the policy leaves that to the platform.

    A version that was champion before and was taken back is not promoted again by itself.

    Raises
    ------
    ChangeError
        A promotion was begun and taken back.
    """
    facts = lake.require(CANARY).manifest.metadata["facts"]
    candidate = facts["candidate"]
    try:
        entries = recover_registry(settings)
        mode = load_policy(settings.policy).approval
        if (
            not facts["problems"]
            and candidate not in ever_in_use(entries)
            and (mode == "auto" or champion_at(entries) is None)
        ):
            promote(settings, candidate, identity=PLATFORM, reason=f"approval: {mode}; {facts['words']}")
            return
    except (BusyError, RefusedError) as error:
        LOG.warning(f"{candidate} was not promoted: {error}")
    _write_record(settings, None)


def record_comparison(settings: Settings, facts: Mapping[str, Any]) -> None:
    """Note in the ledger what a comparison found, once."""
    with open_ledger(settings) as ledger:
        noted = [e.event for e in ledger.entries() if e.event.kind == "comparison"]
        if not any((e.model_version, e.evidence) == (facts["candidate"], facts["evidence"]) for e in noted):
            words = "within the limits" if not facts["problems"] else "; ".join(facts["problems"])
            details = {"champion": facts["champion"], "passed": not facts["problems"]}
            ledger.append(Event("comparison", facts["candidate"], PLATFORM, words, facts["evidence"], details=details))


def recover_registry(settings: Settings) -> tuple[Entry, ...]:
    """Recover, and return the ledger; MLflow is imported only if an alias has to move."""
    with open_ledger(settings) as ledger:
        if changing.needs_mlflow(ledger.entries()):
            connect(settings)
        registry = Registry(
            settings.registered_model,
            settings.bundles,
            b"",
            ledger,
            settings.registry_lock,
            lambda *_: (),
            partial(tell, settings),
            mirror_of(settings),
        )
        with ledger.exclusive(settings.registry_lock):
            return changing.recover(registry)


def _write_record(settings: Settings, entry: Entry | None) -> None:
    """Write the named export: what the candidate was judged by, and what became of it."""
    canary = Lake(settings.lake).current(CANARY)
    facts = canary.manifest.metadata["facts"] if canary else {"record": {}, "candidate": None}
    with open_ledger(settings) as ledger:
        champion = champion_at(ledger.entries())
    record = {
        **facts["record"],
        "promoted": champion is not None and champion.event.model_version == facts["candidate"],
        "champion_now": champion.to_dict() if champion else None,
        "last_change": entry.to_dict() if entry else None,
    }
    write_atomically(settings.reports / RECORD, json.dumps(record, indent=1))


class PromoteVersion(dg.Config):
    """Which version becomes champion, and why."""

    version: str
    reason: str


class RollBackChampion(dg.Config):
    """Why the champion goes."""

    reason: str


class ApproveVersion(dg.Config):
    """An approver's signature, as `creditrisk approve VERSION --token` prints it."""

    token: str


@dg.op(name="promote", required_resource_keys={"platform"})
def _promote(context: dg.OpExecutionContext, config: PromoteVersion) -> None:
    settings = _settings(context)
    _done(context, lambda: promote(settings, config.version, identity=_asker(context), reason=config.reason))


@dg.op(name="roll_back", required_resource_keys={"platform"})
def _roll_back(context: dg.OpExecutionContext, config: RollBackChampion) -> None:
    settings = _settings(context)
    _done(context, lambda: roll_back(settings, identity=_asker(context), reason=config.reason))


@dg.op(name="approve", required_resource_keys={"platform"})
def _approve(context: dg.OpExecutionContext, config: ApproveVersion) -> None:
    settings = _settings(context)
    _done(context, lambda: approve(settings, config.token))


def _settings(context: dg.OpExecutionContext) -> Settings:
    platform: Platform = context.resources.platform
    return platform.settings


def _asker(context: dg.OpExecutionContext) -> str:
    return str(context.run.tags.get(LAUNCHED_BY_TAG) or _settings(context).actor)


def _done(context: dg.OpExecutionContext, change: Callable[[], Entry]) -> None:
    """Make a change, and show its entry of the ledger on the op."""
    try:
        entry = change()
    except (RuntimeError, ValueError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info(f"ledger entry {entry.sequence}: {entry.event.kind} of {entry.event.model_version}")
    context.add_output_metadata({"ledger_entry": dg.MetadataValue.json(entry.to_dict())})


@dg.job(
    description="Make a version the champion: alias, bundle pointer, every replica, or nothing of it. Needs evidence and approvals."
)
def promote_version() -> None:
    """Promote."""
    _promote()


@dg.job(description="Make the champion before the present one the champion again, on every replica.")
def rollback_champion() -> None:
    """Roll back."""
    _roll_back()


@dg.job(description="Keep an approval: the token an approver signed with a key of their own.")
def approve_version() -> None:
    """Approve."""
    _approve()


JOBS = [promote_version, rollback_champion, approve_version]
