"""Whether the file still says what its artefacts say: every number taken again, every page rendered again.

What belongs here: comparing. What does not: mending (the graph makes a document anew), making (`documents`, `page`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from creditrisk_assets.governance.documents import all_evidence
from creditrisk_assets.governance.evidence import again
from creditrisk_assets.governance.page import render_document
from creditrisk_assets.lake import Lake, LakeError, Version

SUFFIXES = (".json", ".html")


@dataclass(frozen=True)
class Difference:
    """Something that is not as it was made."""

    document: str
    where: str
    words: str


def verify(lake: Lake, exported: Path, names: Sequence[str]) -> tuple[int, tuple[Difference, ...]]:
    """Take every number of every document again.

    Parameters
    ----------
    lake
        Of the artefacts.
    exported
        Directory of the copies for people.
    names
        Documents to look at.

    Returns
    -------
    tuple
        How many values were taken again, and what differs.
    """
    count, found = 0, []
    for name in names:
        try:
            version = lake.current(f"governance/{name}")
        except LakeError as error:
            found.append(Difference(name, "the lake", str(error)))
            continue
        if version is None:
            found.append(Difference(name, "the lake", f"governance/{name} was never published"))
            continue
        count += _values(version, name)
        found += [
            *_changed_files(version, name),
            *_changed_values(lake, version, name),
            *_changed_copies(version, exported, name),
        ]
    return count, tuple(found)


def _document(version: Version, name: str) -> dict[str, object] | None:
    try:
        content: dict[str, object] = json.loads((version.path / f"{name}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if "sections" in content else None


def _values(version: Version, name: str) -> int:
    document = _document(version, name)
    return 0 if document is None else sum(1 for _ in all_evidence(document))


def _changed_files(version: Version, name: str) -> Iterator[Difference]:
    if (damaged := version.damage()) is not None:
        yield Difference(name, damaged, "its hash is not that of the file that was published")


def _changed_values(lake: Lake, version: Version, name: str) -> Iterator[Difference]:
    document = _document(version, name)
    if document is None:
        return
    for label, evidence in all_evidence(document):
        if (words := again(evidence, lake)) is not None:
            yield Difference(name, f"{label} ({evidence.place})", words)
    try:
        page = render_document(
            document, lambda artefact, of, file: (lake.version(artefact, of).path / file).read_bytes()
        )
    except (LakeError, OSError) as error:
        yield Difference(name, f"{name}.html", f"it cannot be rendered again: {error}")
        return
    html = version.path / f"{name}.html"
    if html.is_file() and html.read_text("utf-8") != page:
        yield Difference(name, html.name, "the page does not say what the document says")


def _changed_copies(version: Version, exported: Path, name: str) -> Iterator[Difference]:
    for file in version.manifest.files:
        copy = exported / file
        if Path(file).suffix in SUFFIXES and (version.path / file).is_file():
            if not copy.is_file():
                yield Difference(
                    name, str(copy), "the copy for people is gone; `creditrisk run --select` writes it again"
                )
            elif copy.read_bytes() != (version.path / file).read_bytes():
                yield Difference(name, str(copy), "the copy for people is not the document of the lake")
