"""Evidence: a value, with the artefact, version, file, hash and place within the file that it came from.

What belongs here: naming a place, reading what stands there, comparing it again later. What does not: which values a document tells
(`documents`), which must be there (`completeness`).

A place is written `artefact:file#path`. In JSON the path is keys and list places joined by dots (`auc.value`, `gates.0.status`), empty
for everything. In Parquet it is `column=value & column=value / column` for one cell, `first 20` for so many rows, and empty for all.
The file `facts` is what the artefact's manifest keeps of its making.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq

from creditrisk_assets.lake import Lake, LakeError, Version, sha256_file

FACTS = "facts"
FIRST_ROWS = re.compile(r"first (\d{1,4})")
PLACE = re.compile(r"(?P<artefact>[a-z_]+/[a-z_]+):(?P<file>[^#]+)#(?P<path>.*)", re.DOTALL)


class EvidenceError(RuntimeError):
    """There is no such evidence; the message says which artefact, file or place is missing."""


@dataclass(frozen=True)
class Place:
    """Where a value stands."""

    artefact: str
    file: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `artefact:file#path`.

        Raises
        ------
        EvidenceError
            It is not written so.

        Examples
        --------
        >>> Place.parse("model/evaluation:evaluation.json#auc.value")
        Place(artefact='model/evaluation', file='evaluation.json', path='auc.value')
        """
        if (found := PLACE.fullmatch(text.strip())) is None:
            raise EvidenceError(f"{text!r} names no place; write artefact:file#path, as model/pd:facts#features")
        return cls(**found.groupdict())

    def __str__(self) -> str:
        return f"{self.artefact}:{self.file}#{self.path}"


@dataclass(frozen=True)
class Evidence:
    """A value and where it came from."""

    value: Any  # as JSON
    artefact: str
    version: str
    file: str
    sha256: str
    path: str

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.artefact, self.file, self.path)

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return asdict(self)


class Cabinet:
    """The versions that evidence is taken from.

    Parameters
    ----------
    versions
        Artefact -> its version.
    """

    def __init__(self, versions: Mapping[str, Version]) -> None:
        self.versions = dict(versions)

    def find(self, place: Place) -> Evidence:
        """Take the value at a place.

        Raises
        ------
        EvidenceError
            The artefact, the file or the place is not there, or the file was changed since it was published.
        """
        if (version := self.versions.get(place.artefact)) is None:
            raise EvidenceError(f"{place.artefact} was never published")
        return Evidence(
            _value(version, place), place.artefact, version.version, place.file, _hash(version, place.file), place.path
        )

    def bytes_of(self, artefact: str, file: str) -> bytes:
        """Read a whole file, as a picture."""
        self.find_file(artefact, file)
        return (self.versions[artefact].path / file).read_bytes()

    def find_file(self, artefact: str, file: str) -> Evidence:
        """Take a file as evidence; its value is its hash."""
        if (version := self.versions.get(artefact)) is None:
            raise EvidenceError(f"{artefact} was never published")
        digest = _hash(version, file)
        return Evidence(digest, artefact, version.version, file, digest, "")


def again(evidence: Evidence, lake: Lake) -> str | None:
    """Take a value again from the version it came from; say what differs, or None.

    Returns
    -------
    str or None
        In words: what the document tells, and what the artefact says.
    """
    try:
        cabinet = Cabinet({evidence.artefact: lake.version(evidence.artefact, evidence.version)})
        if evidence.path == "" and evidence.value == evidence.sha256:
            found = cabinet.find_file(evidence.artefact, evidence.file)
        else:
            found = cabinet.find(evidence.place)
    except (EvidenceError, LakeError) as error:
        return str(error)
    if found.sha256 != evidence.sha256:
        return f"the document was made of a file with the hash {evidence.sha256[:12]}, this one has {found.sha256[:12]}"
    if found.value != evidence.value:
        return f"the document tells {_brief(evidence.value)}, the artefact says {_brief(found.value)}"
    return None


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _hash(version: Version, file: str) -> str:
    """Hash a file, and refuse one that is not what was published."""
    if file == FACTS:
        return hashlib.sha256(json.dumps(version.manifest.metadata["facts"], sort_keys=True).encode()).hexdigest()
    path, published = version.path / file, version.manifest.files.get(file)
    if published is None or not path.is_file():
        raise EvidenceError(f"{version.manifest.key} has no file {file}")
    if (found := _digest(path, path.stat().st_mtime_ns)) != published:
        raise EvidenceError(
            f"{version.manifest.key}: {file} was changed after it was published ({found[:12]}, not {published[:12]})"
        )
    return found


@cache
def _digest(path: Path, _changed: int) -> str:
    return sha256_file(path)


def _value(version: Version, place: Place) -> Any:
    if place.file == FACTS:
        return _json(_walk(version.manifest.metadata["facts"], place))
    path = version.path / place.file
    if not path.is_file():
        raise EvidenceError(f"{place.artefact} has no file {place.file}")
    if path.suffix == ".parquet":
        return _rows(path, place)
    try:
        return _json(_walk(json.loads(path.read_text("utf-8")), place))
    except ValueError as error:
        raise EvidenceError(f"{place.artefact}: {place.file} is no JSON") from error


def _walk(value: Any, place: Place) -> Any:
    for key in place.path.split(".") if place.path else ():
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EvidenceError(f"{place}: there is no {key}") from error
    return value


def _rows(path: Path, place: Place) -> Any:
    if not place.path:
        return _json(pq.read_table(path).to_pylist())
    if first := FIRST_ROWS.fullmatch(place.path):
        return _json(pq.read_table(path).slice(0, int(first.group(1))).to_pylist())
    conditions, _, column = place.path.rpartition("/")
    wanted = [tuple(part.split("=", 1)) for part in conditions.split("&") if part.strip()]
    filters = [(name.strip(), "=", value.strip()) for name, value in wanted]
    table = pq.read_table(path, columns=[column.strip()], filters=filters or None)
    if table.num_rows != 1:
        raise EvidenceError(f"{place}: {table.num_rows} rows, not one")
    return _json(table.column(0)[0].as_py())


def _json(value: Any) -> Any:
    """Render as JSON values; what is no number there is null."""
    if isinstance(value, Mapping):
        return {str(name): _json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)
