"""Data lineage: from versions that were used back to the raw files, by the manifests of the lake.

What belongs here: following manifests, saying which link is gone and why. What does not: which versions a decision used (the decision log
of the serving location), column lineage (`features.lineage`), printing.

Every manifest names the versions its artefact was made from, so the chain leads through what was current then, whatever is current now.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from creditrisk_assets.lake import MANIFEST, VERSION_NAME, Lake, LakeError, Version

MODEL, REGISTRY = "model/pd", "registry/version"
BUNDLE_MANIFEST = "bundle/manifest.json"
RAW, OBSERVED = "raw/", "feed/"
REPORT = "data_lineage.json"


@dataclass(frozen=True)
class RawFile:
    """A file that was read into a raw table."""

    address: str
    sha256: str
    rows: int | None  # None: not counted


@dataclass(frozen=True)
class Step:
    """One artefact of the chain, as its manifest tells of it."""

    key: str
    version: str
    made_at: str
    code_version: str
    made_from: Mapping[str, str]  # artefact -> the version that was used
    also_from: Mapping[str, str]  # what else it depended on: policy, configuration, definitions
    files: Mapping[str, str]  # file -> SHA-256
    raw_files: tuple[RawFile, ...]  # of a raw table


@dataclass(frozen=True)
class Gap:
    """A link of the chain that is gone."""

    link: str
    named_by: str
    why: str


@dataclass(frozen=True)
class Trace:
    """A chain: its steps, each after what names it, and what is gone of it."""

    steps: tuple[Step, ...]
    gaps: tuple[Gap, ...]

    @property
    def raw_tables(self) -> tuple[Step, ...]:
        """The raw tables it ends in."""
        return tuple(step for step in self.steps if step.key.startswith(RAW))

    def version_of(self, key: str) -> Step | None:
        """Return the step of an artefact that stands first."""
        return next((step for step in self.steps if step.key == key), None)


@dataclass(frozen=True)
class ModelOrigin:
    """Where a model version comes from; None: that link is gone, and a gap says why."""

    model_version: str
    bundle_sha256: str | None = None  # of the bundle's manifest, which holds the hashes of its other files
    policy_sha256: str | None = None
    code_version: str | None = None
    mlflow_run_id: str | None = None
    mlflow_model_uri: str | None = None
    dagster_run_id: str | None = None  # of the training
    registry_version: int | None = None


def trace(lake: Lake, used: Mapping[str, str], *, named_by: str, verify: bool = False) -> Trace:
    """Follow versions back to the raw files.

    Parameters
    ----------
    lake
        Where manifests are.
    used
        Artefact -> the version that was used.
    named_by
        Who used them, in words.
    verify
        Whether to compute the hashes of all files again; otherwise it is only looked whether they are there.
    """
    waiting = deque((key, version, named_by) for key, version in used.items())
    seen: set[tuple[str, str]] = set()
    steps: list[Step] = []
    gaps: list[Gap] = []
    while waiting:
        key, name, asking = waiting.popleft()
        if (key, name) in seen:
            continue
        seen.add((key, name))
        found = _look(lake, key, name)
        if isinstance(found, str):
            gaps.append(Gap(f"{key} {name}", asking, found))
            continue
        steps.append(step := _step(found))
        if (lost := _lost(found, verify=verify)) is not None:
            gaps.append(Gap(f"{key} {name}", asking, lost))
        waiting.extend((origin, version, f"{key} {name}") for origin, version in step.made_from.items())
    return Trace(tuple(steps), tuple(gaps))


def model_origin(lake: Lake, model_version: str) -> tuple[ModelOrigin, tuple[Gap, ...]]:
    """Return where a model version comes from, and which links to it are gone.

    Parameters
    ----------
    lake
        Where manifests are.
    model_version
        Of the bundle; the version of `model/pd` has the same name.
    """
    model = _look(lake, MODEL, model_version)
    if isinstance(model, str):
        return ModelOrigin(model_version), ()  # `trace` names this gap
    facts, inputs = model.manifest.metadata.get("facts", {}), model.manifest.inputs
    logged: Mapping[str, str] = facts.get("mlflow", {})
    origin = ModelOrigin(
        model_version,
        bundle_sha256=model.manifest.files.get(BUNDLE_MANIFEST),
        policy_sha256=inputs.get("policy"),
        code_version=model.manifest.code_version,
        mlflow_run_id=logged.get("run_id"),
        mlflow_model_uri=logged.get("model_uri"),
        dagster_run_id=facts.get("dagster_run_id"),
        registry_version=_registered(lake, model_version),
    )
    return origin, tuple(_unknown(origin))


def outline(lake: Lake, model_version: str) -> list[dict[str, str]]:
    """Return the artefacts a model version was made from, one row each, and the raw files with their hashes."""
    chain = trace(lake, {MODEL: model_version}, named_by="the model")
    return [
        {"artefact": step.key, "version": step.version, "made_at": step.made_at, "raw_files": _told(step.raw_files)}
        for step in chain.steps
    ]


def _told(files: tuple[RawFile, ...]) -> str:
    return ", ".join(f"{PurePath(file.address).name} {file.sha256}" for file in files)


def champion_report(lake: Lake, model_version: str) -> dict[str, Any]:
    """Return the lineage of the champion, as JSON values.

    Parameters
    ----------
    lake
        Where manifests are.
    model_version
        The champion's.
    """
    origin, gaps = model_origin(lake, model_version)
    chain = trace(lake, {MODEL: model_version}, named_by="the champion")
    return {
        "model": asdict(origin),
        "steps": [asdict(step) for step in chain.steps],
        "gaps": [asdict(gap) for gap in (*gaps, *chain.gaps)],
    }


def _look(lake: Lake, key: str, name: str) -> Version | str:
    """Find a version, or say why it is not there."""
    if not VERSION_NAME.fullmatch(name):
        return "this is no name of a version"
    try:
        return lake.version(key, name)
    except LakeError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return "the lake holds no such version: it was deleted, or made in another home (CREDITRISK_HOME)"
        return f"its {MANIFEST} cannot be read; bring it back from a copy"


def _step(version: Version) -> Step:
    manifest = version.manifest
    made_from = {name: value for name, value in manifest.inputs.items() if _is_artefact(name)}
    return Step(
        key=manifest.key,
        version=manifest.version,
        made_at=manifest.created_at,
        code_version=manifest.code_version,
        made_from=made_from,
        also_from={name: value for name, value in manifest.inputs.items() if name not in made_from},
        files=manifest.files,
        raw_files=tuple(_raw_files(manifest.metadata.get("facts", {}))),
    )


def _is_artefact(name: str) -> bool:
    return "/" in name and not name.startswith(OBSERVED)


def _raw_files(facts: Mapping[str, Any]) -> Iterator[RawFile]:
    for batch in facts.get("batches", ()):
        yield RawFile(batch["address"], batch["sha256"], batch["rows_read"])


def _lost(version: Version, *, verify: bool) -> str | None:
    """Say which file of a version is not as its manifest says."""
    missing = (name for name in version.manifest.files if not (version.path / name).is_file())
    damaged = version.damage() if verify else next(missing, None)
    if damaged is None:
        return None
    return f"its file {damaged} is gone or was changed; the manifest still names its hash"


def _registered(lake: Lake, model_version: str) -> int | None:
    """Find under which number a model version was registered."""
    for version in lake.versions(REGISTRY):
        candidate = version.manifest.metadata.get("facts", {}).get("versions", {}).get("candidate", {})
        if candidate.get("model_version") == model_version:
            return int(candidate["registry_version"])
    return None


def _unknown(origin: ModelOrigin) -> Iterator[Gap]:
    """Name the links that a model version's manifests do not hold."""
    asking = f"{MODEL} {origin.model_version}"
    if origin.mlflow_run_id is None:
        yield Gap("MLflow run", asking, "its manifest names none: its checks failed, or it was not made by the graph")
    if origin.dagster_run_id is None:
        where = f"the MLflow run {origin.mlflow_run_id} has it as a tag" if origin.mlflow_run_id else "nothing has it"
        yield Gap("Dagster run", asking, f"an earlier release made it and did not keep the run; {where}")
    if origin.registry_version is None:
        yield Gap("registry version", asking, f"no version of {REGISTRY} in the lake is of it: it was never registered")
