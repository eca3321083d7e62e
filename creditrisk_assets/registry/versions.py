"""Versions and aliases in the MLflow registry.

What belongs here: registering a logged model, reading and moving `candidate` and `champion`. What does not: what is
logged (`tracking`), whether to promote (`promotion`), publishing the bundle to the service (`modelling.bundle_writer`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from creditrisk_assets.registry.promotion import GateFigures
from creditrisk_assets.registry.tracking import LoggedTraining, TrackingError, quiet

CANDIDATE, CHAMPION = "candidate", "champion"
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
            known = RegisteredVersion(name, int(made.version), model_version, logged.run_id, figures)
        client.set_registered_model_alias(name, CANDIDATE, str(known.version))
    return known


def promote(version: RegisteredVersion) -> None:
    """Make a version the champion."""
    import mlflow  # noqa: PLC0415 - seconds of imports, for the registry alone

    with quiet():
        mlflow.MlflowClient().set_registered_model_alias(version.name, CHAMPION, str(version.version))


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


def _read(found: object) -> RegisteredVersion:
    name, version, run_id = (getattr(found, field) for field in ("name", "version", "run_id"))
    tags: Mapping[str, str] = getattr(found, "tags", {})
    try:
        figures = GateFigures.from_json(tags[FIGURES_TAG])
        return RegisteredVersion(name, int(version), tags[MODEL_VERSION_TAG], run_id, figures)
    except (KeyError, ValueError) as error:
        raise RegistryError(
            f"version {version} of {name} lacks the tags this platform writes; register it again by training"
        ) from error
