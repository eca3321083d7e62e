"""Versions and aliases in the MLflow registry.

What belongs here: registering a logged model, reading and moving aliases, the bundle behind one. What does not: what is
logged (`tracking`), whether to promote (`promotion`), doing so (`changing`).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from creditrisk_assets.modelling.bundle import MANIFEST, Bundle
from creditrisk_assets.registry.promotion import GateFigures
from creditrisk_assets.registry.tracking import LoggedTraining, TrackingError, quiet

CANDIDATE, CHALLENGER, SHADOW, CHAMPION = "candidate", "challenger", "shadow", "champion"
ALIASES = (CANDIDATE, CHALLENGER, SHADOW, CHAMPION)
SYNONYMS = {"staging": CANDIDATE, "production": CHAMPION}  # MLflow's stages of old
LAUNCHED_BY_TAG, BUNDLE_TAG = "launched_by", "bundle_sha256"
FIGURES_TAG = "gate_figures"
MODEL_VERSION_TAG = "model_version"


class RegistryError(RuntimeError):
    """The registry does not hold what it should; the message names model and version."""


@dataclass(frozen=True)
class RegisteredVersion:
    """One version in the registry."""

    name: str
    version: int
    model_version: str  # of the bundle
    run_id: str
    figures: GateFigures
    launched_by: tuple[str, ...] = ()  # whoever launched its training
    bundle_sha256: str | None = None  # of its manifest; None: registered by an earlier release


def alias_named(word: str) -> str:
    """Return the alias a person means.

    Raises
    ------
    RegistryError
        There is none of that name.
    """
    alias = SYNONYMS.get(word.casefold(), word.casefold())
    if alias not in ALIASES:
        raise RegistryError(f"{word} is no alias; there are {', '.join(ALIASES)} (and Staging, Production)")
    return alias


def register(name: str, logged: LoggedTraining, figures: GateFigures, tags: Mapping[str, str]) -> RegisteredVersion:
    """Register a logged model and make it the candidate.

    A bundle that is registered already, because equal inputs gave the same one again, keeps its version.

    Parameters
    ----------
    name
        The registered model, `Settings.registered_model`.
    logged
        Where the model was logged.
    figures
        What the gate looks at; kept as a tag, so that the next candidate can be compared.
    tags
        Hashes and run ids; `model_version` must be among them.
    """
    import mlflow  # noqa: PLC0415 - seconds of imports, for the registry alone

    client = mlflow.MlflowClient()
    model_version = tags[MODEL_VERSION_TAG]
    with quiet():
        known = find(name, model_version)
        if known is None:
            every = {**tags, FIGURES_TAG: figures.to_json()}
            made = mlflow.register_model(logged.model_uri, name, await_registration_for=0, tags=every)
            known = _read(client.get_model_version(name, made.version))
        client.set_registered_model_alias(name, CANDIDATE, str(known.version))
    return known


def set_alias(version: RegisteredVersion, alias: str) -> None:
    """Point an alias to a version."""
    import mlflow  # noqa: PLC0415 - seconds of imports, for the registry alone

    with quiet():
        mlflow.MlflowClient().set_registered_model_alias(version.name, alias, str(version.version))


def remove_alias(name: str, alias: str) -> None:
    """Take an alias away; nothing happens where it points to nothing."""
    import mlflow  # noqa: PLC0415 - seconds of imports, for the registry alone

    if by_alias(name, alias) is not None:
        with quiet():
            mlflow.MlflowClient().delete_registered_model_alias(name, alias)


def verified_bundle(version: RegisteredVersion, bundles: Path, public_key: bytes) -> Bundle:
    """Load the stored bundle of a registered version, and check that it is the one that was registered.

    Raises
    ------
    RegistryError
        It is another one than was registered.
    BundleError
        It is not there, damaged, or not signed by the trusted key.
    """
    path = bundles / version.model_version
    bundle = Bundle.load(path, public_key)
    if bundle.version != version.model_version or version.bundle_sha256 not in {None, manifest_hash(path)}:
        raise RegistryError(
            f"{path} is not the bundle that was registered as version {version.version} of {version.name}; restore it, or train again"
        )
    return bundle


def load_by_alias(name: str, word: str, bundles: Path, public_key: bytes) -> Bundle:
    """Load the bundle an alias points to, its signature and hash verified.

    Raises
    ------
    RegistryError
        The alias points to nothing, or the bundle is not the one registered.
    BundleError
        The bundle is not there, damaged, or not signed by the trusted key.
    """
    found = by_alias(name, alias_named(word))
    if found is None:
        raise RegistryError(f"{alias_named(word)} of {name} points to no version")
    return verified_bundle(found, bundles, public_key)


def manifest_hash(path: Path) -> str:
    """Hash a bundle's manifest, which lists the hashes of all other files."""
    return hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()


def by_alias(name: str, alias: str) -> RegisteredVersion | None:
    """Return the version an alias points to; None when there is no such model or alias.

    Raises
    ------
    RegistryError
        The version was not registered by this platform.
    TrackingError
        The registry cannot be read.
    """
    import mlflow  # noqa: PLC0415 - seconds of imports, for the registry alone

    try:
        with quiet():
            found = mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except TrackingError as error:
        # An unknown alias is an invalid parameter to SQL stores, a missing resource to servers.
        if error.code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    return _read(found)


def find(name: str, model_version: str) -> RegisteredVersion | None:
    """Return the registry's version of a bundle; None when it was never registered."""
    import mlflow  # noqa: PLC0415 - seconds of imports, for the registry alone

    condition = f"name = '{name}' and tags.{MODEL_VERSION_TAG} = '{model_version}'"
    with quiet():
        found = mlflow.MlflowClient().search_model_versions(condition)
    return _read(max(found, key=lambda version: int(version.version))) if found else None


def named(name: str, word: str) -> RegisteredVersion:
    """Return the version a person means: a number of the registry, a model version, or an alias.

    Raises
    ------
    RegistryError
        There is none.
    """
    import mlflow  # noqa: PLC0415 - seconds of imports, for the registry alone

    if re.fullmatch(r"[0-9a-f]{16}", word):
        found = find(name, word)
    elif word.isdecimal():
        try:
            with quiet():
                found = _read(mlflow.MlflowClient().get_model_version(name, word))
        except TrackingError as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            found = None
    else:
        found = by_alias(name, alias_named(word))
    if found is None:
        raise RegistryError(
            f"{name} has no version {word}; `creditrisk status` and `creditrisk ledger` show which there are"
        )
    return found


def _read(found: object) -> RegisteredVersion:
    name, version, run_id = (getattr(found, field) for field in ("name", "version", "run_id"))
    tags: Mapping[str, str] = getattr(found, "tags", {})
    try:
        figures = GateFigures.from_json(tags[FIGURES_TAG])
        launched = tuple(json.loads(tags.get(LAUNCHED_BY_TAG, "[]")))
        return RegisteredVersion(
            name, int(version), tags[MODEL_VERSION_TAG], run_id, figures, launched, tags.get(BUNDLE_TAG)
        )
    except (KeyError, ValueError) as error:
        raise RegistryError(
            f"version {version} of {name} lacks the tags this platform writes; register it again by training"
        ) from error
