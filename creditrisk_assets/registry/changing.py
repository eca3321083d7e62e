"""Changing the champion: complete or not at all, and on record either way.

What belongs here: the steps of a promotion and of a rollback, taking them back, recovering after a death in the middle. What does not:
whether a version may be promoted (`promotion`, `evidence`, `approvals`), where MLflow is (`resources`), who is told (`monitoring.alerts`).

    intent in the ledger → alias in MLflow → pointer the services follow → every replica confirms → done in the ledger

The pointer is what decides on people, the ledger is what is believed: whatever stands between an intent and its end is taken back, by
whoever comes next.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from creditrisk_assets.lake import Elsewhere
from creditrisk_assets.modelling.bundle import POINTER, SHADOW_POINTER, BundleError, follow
from creditrisk_assets.modelling.bundle_writer import point_to
from creditrisk_assets.registry import versions
from creditrisk_assets.registry.ledger import (
    CHANGES,
    WITHDRAWN,
    Entry,
    Event,
    Ledger,
    champion_at,
    champion_before,
    interrupted,
    namings,
)
from creditrisk_assets.registry.tracking import TrackingError
from creditrisk_assets.registry.versions import CHAMPION, SHADOW, RegisteredVersion, RegistryError

PLATFORM = "platform"  # the identity of what nobody asked for
ALIAS_PENDING = "alias_pending"


class RefusedError(RuntimeError):
    """A version may not become champion; the message gives every reason."""


class ChangeError(RuntimeError):
    """A change was begun, failed and was taken back; the message says why."""


@dataclass(frozen=True)
class Registry:
    """What a change touches; MLflow is connected.

    Attributes
    ----------
    name
        The registered model.
    bundles, public_key
        Stored bundles and the key they verify with.
    ledger, lock
        The record, and the file that keeps two changes apart.
    unconfirmed
        Model version and hash of its bundle -> which replicas do not answer with it.
    alert
        Told why a change failed, or None when one succeeded.
    elsewhere
        The object store whose pointer other machines follow; None: all services share this disk.
    """

    name: str
    bundles: Path
    public_key: bytes
    ledger: Ledger
    lock: Path
    unconfirmed: Callable[[str, str], Sequence[str]]
    alert: Callable[[str | None], None]
    elsewhere: Elsewhere | None = None


def promote(
    registry: Registry,
    version: RegisteredVersion,
    *,
    identity: str,
    reason: str,
    evidence: str,
    objections: Callable[[Sequence[Entry]], Sequence[str]],
    details: Mapping[str, Any] | None = None,
) -> Entry:
    """Make a version the champion.

    Parameters
    ----------
    registry
        What is touched.
    version
        Which.
    identity, reason, evidence
        For the ledger.
    objections
        The ledger, read under the lock -> why the version may not; nothing: it may.
    details
        Further values for the ledger.

    Raises
    ------
    RefusedError
        There are objections, it is the champion already, or the ledger or its checkpoints are not as they were written.
    BusyError
        Another change is under way.
    ChangeError
        It failed on the way and was taken back.
    RegistryError, BundleError
        The stored bundle is not what was registered.
    """
    if not reason.strip():
        raise RefusedError("say why (--reason)")
    with registry.ledger.exclusive(registry.lock):
        require_as_written(registry, registry.ledger.verify().findings)  # a revocation may have been cut off
        entries = recover(registry)
        if _in_use(entries) == version.model_version:
            raise RefusedError(f"{version.model_version} is the champion already")
        if found := objections(entries):
            raise RefusedError(f"{version.model_version} may not become champion: {'; '.join(found)}")
        event = Event("promotion", version.model_version, identity, reason, evidence, details=dict(details or {}))
        return _change(registry, version, event, _in_use(entries))


def roll_back(registry: Registry, *, identity: str, reason: str) -> Entry:
    """Make the champion before the present one the champion again; it needs no evidence and no approval, for it had them.

    Raises
    ------
    RefusedError
        There was none before, or no reason is given.
    BusyError, ChangeError, RegistryError, BundleError
        As `promote`.
    """
    if not reason.strip():
        raise RefusedError("say why (--reason)")
    with registry.ledger.exclusive(registry.lock):
        entries = recover(registry)
        earlier = champion_before(entries)
        if earlier is None:
            raise RefusedError("there was no champion before the present one, so there is nothing to go back to")
        version = versions.find(registry.name, earlier)
        if version is None:
            raise RegistryError(f"{earlier}, the champion before, is not in the registry of MLflow any more")
        return _change(registry, version, Event("rollback", earlier, identity, reason), _in_use(entries))


def recover(registry: Registry) -> tuple[Entry, ...]:
    """Take back what a dead process left in the middle, and record what came into use without the ledger; under the lock.

    Returns
    -------
    tuple of Entry
        The ledger as it is then.

    Raises
    ------
    RefusedError
        The ledger is not as it was written: whoever writes its database would say what is in use.
    """
    ledger = registry.ledger
    require_as_written(registry, ledger.damage())
    entries = ledger.entries()
    if (begun := interrupted(entries)) is not None:
        event = begun.event
        words = "the process that made this change ended in the middle; taken back"
        _take_back(registry, event, event.details["before"], words)
        entries = ledger.entries()
    elif entries and (pending := _pending_alias(entries)) is not None:
        with contextlib.suppress(TrackingError):  # tried again next time
            _alias(registry, pending.event.details["before"])
            ledger.append(Event("alias", _in_use(entries) or "", PLATFORM, "the champion's alias was put back"))
            entries = ledger.entries()
    in_use, known = _followed(registry.bundles), _in_use(entries)
    if in_use is None and known is not None and (registry.bundles / known).is_dir():
        point_to(registry.bundles, known, registry.elsewhere)
    elif in_use != known:
        first = not any(entry.event.kind in CHANGES for entry in entries)
        words = (
            "in use before the ledger began" if first else "found in use: the pointer was moved without the registry"
        )
        if in_use is None:
            words = f"the bundle of {known} is gone: nothing is in use"
        ledger.append(Event("promotion", in_use or "", "unknown", words))
        entries = ledger.entries()
    _recover_shadow(registry, entries)
    return entries


def needs_mlflow(entries: Sequence[Entry]) -> bool:
    """Tell whether `recover` will have to move an alias."""
    return interrupted(entries) is not None or _pending_alias(entries) is not None


def name_version(registry: Registry, version: RegisteredVersion, alias: str, *, identity: str, reason: str) -> Entry:
    """Point an alias that decides on nobody to a version, on record.

    A shadow's bundle is published too: the services score by it beside the champion.

    Raises
    ------
    RefusedError
        No reason is given, or the champion would be its own shadow.
    BusyError
        Another change is under way.
    RegistryError, BundleError
        The stored bundle is not what was registered.
    """
    if not reason.strip():
        raise RefusedError("say why (--reason)")
    with registry.ledger.exclusive(registry.lock):
        entries = recover(registry)
        if alias == SHADOW and version.model_version == _in_use(entries):
            raise RefusedError(f"{version.model_version} is the champion, so it would be compared with itself")
        versions.verified_bundle(version, registry.bundles, registry.public_key)
        versions.set_alias(version, alias)
        if alias == SHADOW:
            point_to(registry.bundles, version.model_version, registry.elsewhere, SHADOW_POINTER)
        return registry.ledger.append(Event("alias", version.model_version, identity, reason, details={"alias": alias}))


def withdraw_name(
    registry: Registry, alias: str, *, identity: str, reason: str, expected: str | None = None, evidence: str = ""
) -> Entry:
    """Take an alias that decides on nobody away, on record; of a shadow, the services stop scoring by it.

    Parameters
    ----------
    registry
        What is touched.
    alias
        Which.
    identity, reason
        For the ledger.
    expected
        The version it must name; None: any.
    evidence
        Hash of what says that it is no good; empty: somebody says so.

    Raises
    ------
    RefusedError
        No reason is given, or it does not name such a version.
    BusyError
        Another change is under way.
    """
    if not reason.strip():
        raise RefusedError("say why (--reason)")
    with registry.ledger.exclusive(registry.lock):
        named = namings(recover(registry)).get(alias)
        if named is None or expected not in {None, named.event.model_version}:
            raise RefusedError(f"no version{f' {expected}' if expected else ''} is {alias}; see `creditrisk ledger`")
        if alias == SHADOW:  # the pointer first: it is what the services follow
            point_to(registry.bundles, None, registry.elsewhere, SHADOW_POINTER)
        versions.remove_alias(registry.name, alias)
        details = {"alias": alias, WITHDRAWN: True}
        return registry.ledger.append(
            Event("alias", named.event.model_version, identity, reason, evidence, details=details)
        )


def require_as_written(registry: Registry, findings: Sequence[str]) -> None:
    """Refuse to go by a ledger that is not as it was written, and alert it.

    Raises
    ------
    RefusedError
        There are findings, as `Ledger.verify` and `Ledger.damage` give them.
    """
    if findings:
        words = f"the ledger is not as it was written ({findings[0]}), so nothing is changed by it"
        registry.alert(words)
        raise RefusedError(f"{words}; see `creditrisk ledger --verify`, restore its database and its checkpoints")


def _change(registry: Registry, version: RegisteredVersion, event: Event, before: str | None) -> Entry:
    versions.verified_bundle(version, registry.bundles, registry.public_key)
    details = {**event.details, "before": before, "registry_version": version.version}
    registry.ledger.append(_now(event, "intent", details))
    try:
        versions.set_alias(version, CHAMPION)
        point_to(registry.bundles, version.model_version, registry.elsewhere)
        digest = versions.manifest_hash(registry.bundles / version.model_version)
        if silent := registry.unconfirmed(version.model_version, digest):
            raise ChangeError(f"not every replica answers with {version.model_version}: {'; '.join(silent)}")
    except (RuntimeError, OSError) as error:
        _take_back(registry, event, before, str(error))
        registry.alert(f"the {event.kind} of {version.model_version} was taken back: {error}")
        raise ChangeError(f"{error}; the {event.kind} was taken back, the champion is {before or 'none'}") from error
    except BaseException:  # interrupted by a person
        _take_back(registry, event, before, "interrupted")
        raise
    done = registry.ledger.append(_now(event, "done", details))
    registry.alert(None)
    return done


def _take_back(registry: Registry, event: Event, before: str | None, words: str) -> None:
    """Put back pointer and alias, the pointer first: it decides on people, and MLflow may be what failed."""
    point_to(registry.bundles, before, registry.elsewhere)
    details: dict[str, Any] = {"before": before, "why": words}
    try:
        _alias(registry, before)
    except TrackingError:
        details[ALIAS_PENDING] = True
    registry.ledger.append(_now(event, "undone", details))


def _alias(registry: Registry, model_version: str | None) -> None:
    version = versions.find(registry.name, model_version) if model_version else None
    if version is None:
        versions.remove_alias(registry.name, CHAMPION)
    else:
        versions.set_alias(version, CHAMPION)


def _pending_alias(entries: Sequence[Entry]) -> Entry | None:
    """Return the change that was taken back but for its alias."""
    for entry in reversed(entries):
        if entry.event.kind == "alias" and not entry.event.details:
            return None
        if entry.event.kind in CHANGES:
            return entry if entry.event.details.get(ALIAS_PENDING) else None
    return None


def _in_use(entries: Sequence[Entry]) -> str | None:
    entry = champion_at(entries)
    return entry.event.model_version if entry else None


def _recover_shadow(registry: Registry, entries: Sequence[Entry]) -> None:
    """Point the services to the shadow the ledger names, or to none, where somebody died between pointer and ledger."""
    named = namings(entries).get(SHADOW)
    known = named.event.model_version if named is not None else None
    if known is not None and not (registry.bundles / known).is_dir():
        known = None
    if _followed(registry.bundles, SHADOW_POINTER) != known:
        point_to(registry.bundles, known, registry.elsewhere, SHADOW_POINTER)


def _followed(bundles: Path, pointer: str = POINTER) -> str | None:
    try:
        path = follow(bundles, pointer)
    except BundleError:
        return None
    return path.name if path is not None and path.is_dir() else None


def _now(event: Event, phase: Literal["intent", "done", "undone"], details: Mapping[str, Any]) -> Event:
    return Event(event.kind, event.model_version, event.identity, event.reason, event.evidence, phase, details)
