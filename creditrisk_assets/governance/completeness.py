"""The completeness meter: what must be in the file, and whether it is.

What belongs here: parsing `requirements.yaml`, judging each item. What does not: what stops a promotion (the registry reads the meter's
`missing_required`), places and hashes (`evidence`).

An item is an artefact, or MISSING: it was never published, its file or place is not there, the place is empty, the file was changed after
it was published, or it was made of another version of something than the one in the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from creditrisk_assets.governance.documents import HERE
from creditrisk_assets.governance.evidence import Cabinet, EvidenceError, Place
from creditrisk_assets.lake import Version

REQUIREMENTS = HERE / "requirements.yaml"
Words = Annotated[str, Field(min_length=1)]


class Requirement(BaseModel):
    """An item that a law or a guidance asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Words
    title: Words
    source: Words
    place: Words
    required: bool


@dataclass(frozen=True)
class Item:
    """A requirement, and what was found of it."""

    id: str
    title: str
    source: str
    required: bool
    place: str
    state: Literal["artefact", "MISSING"]
    words: str
    version: str | None = None
    sha256: str | None = None


@cache
def requirements() -> tuple[Requirement, ...]:
    """Read what must be in the file."""
    return tuple(Requirement.model_validate(one) for one in yaml.safe_load(REQUIREMENTS.read_text("utf-8")))


def artefacts_required() -> tuple[str, ...]:
    """Name the artefacts that requirements look at."""
    return tuple(dict.fromkeys(Place.parse(one.place).artefact for one in requirements()))


def assess(versions: Mapping[str, Version]) -> tuple[Item, ...]:
    """Judge every requirement by the versions that are in the file."""
    cabinet = Cabinet(versions)
    return tuple(_assess(one, cabinet, versions) for one in requirements())


def _assess(one: Requirement, cabinet: Cabinet, versions: Mapping[str, Version]) -> Item:
    place = Place.parse(one.place)
    item = Item(one.id, one.title, one.source, one.required, one.place, "MISSING", "")
    try:
        found = cabinet.find(place)
    except EvidenceError as error:
        return replace(item, words=str(error))
    if found.value in (None, "", [], {}):
        return replace(item, words=f"{place} is empty")
    if stale := next(_of_another(versions[place.artefact], versions), None):
        return replace(item, words=stale)
    return replace(item, state="artefact", words=place.artefact, version=found.version, sha256=found.sha256)


def _of_another(version: Version, versions: Mapping[str, Version]) -> Iterator[str]:
    for key, used in version.manifest.inputs.items():
        if key in versions and versions[key].version != used:
            yield f"{version.manifest.key} was made of another version of {key}; run `creditrisk run`"


def meter(items: tuple[Item, ...]) -> dict[str, Any]:
    """Render the meter: what the registry reads before it promotes."""
    absent = [item for item in items if item.state == "MISSING"]
    return {
        "present": len(items) - len(absent),
        "of": len(items),
        "missing_required": [item.id for item in absent if item.required],
        "missing_optional": [item.id for item in absent if not item.required],
        "items": [asdict(item) for item in items],
    }
