"""Documents of the governance file: what is declared of each, and the document made of evidence.

What belongs here: parsing `documents.yaml` and `risks.yaml`, taking the evidence they ask for. What does not: places and hashes
(`evidence`), how a document looks (`page`), what must be in the file (`completeness`).

Prose is declared and holds no measured number; every number is evidence. Evidence that is not there is told as missing.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from creditrisk_assets.governance.evidence import FACTS, Cabinet, Evidence, EvidenceError, Place

HERE = Path(__file__).parent
DOCUMENTS, RISKS = HERE / "documents.yaml", HERE / "risks.yaml"
RISK_REGISTER = "risk_register"
MOST_ROWS = 40

Words = Annotated[str, Field(min_length=1)]
Form = Literal["auto", "percent", "count", "size", "text"]
Level = Annotated[int, Field(ge=1, le=5)]
Json = dict[str, Any]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FactSpec(_Frozen):
    """A value that is told, with the interval beside it where it is a figure."""

    label: Words
    place: Words = Field(alias="from")
    form: Form = "auto"
    interval: bool = False  # a cell `value` of a table of figures: `low` and `high` of the same row too


class TableSpec(_Frozen):
    """A list of rows that is told."""

    title: Words
    place: Words = Field(alias="from")
    columns: tuple[Words, ...]
    rows: int = MOST_ROWS


class PlotSpec(_Frozen):
    """A picture of an artefact."""

    caption: Words
    artefact: Words
    file: Words


class VersionsSpec(_Frozen):
    """Artefacts listed with their versions and one fact of each."""

    title: Words
    artefacts: tuple[Words, ...]
    fact: Words = "rows"


class SectionSpec(_Frozen):
    """Prose, and the evidence for it."""

    title: Words
    text: str = ""
    facts: tuple[FactSpec, ...] = ()
    tables: tuple[TableSpec, ...] = ()
    plots: tuple[PlotSpec, ...] = ()
    versions: tuple[VersionsSpec, ...] = ()


class Risk(_Frozen):
    """A risk of the model, with who answers for it and where the evidence is."""

    id: Words
    title: Words
    owner: Words
    likelihood: Level
    impact: Level
    mitigation: Words
    residual: Words
    evidence: tuple[FactSpec, ...]


class DocumentSpec(_Frozen):
    """One document."""

    title: Words
    lead: Words
    law: Words
    sections: tuple[SectionSpec, ...] = ()

    def artefacts(self) -> frozenset[str]:
        """Name the artefacts that the document tells of."""
        return frozenset(_artefacts(self))


def _artefacts(spec: DocumentSpec) -> Iterator[str]:
    for section in spec.sections:
        yield from (Place.parse(fact.place).artefact for fact in section.facts)
        yield from (Place.parse(table.place).artefact for table in section.tables)
        yield from (plot.artefact for plot in section.plots)
        for listed in section.versions:
            yield from listed.artefacts


@cache
def document_specs() -> Mapping[str, DocumentSpec]:
    """Read what is declared of every document, the risk register among them."""
    content = yaml.safe_load(DOCUMENTS.read_text("utf-8"))
    specs = {name: DocumentSpec.model_validate(one) for name, one in content.items()}
    register = specs[RISK_REGISTER]
    sections = tuple(_risk_section(risk) for risk in risks())
    return {**specs, RISK_REGISTER: register.model_copy(update={"sections": (*register.sections, *sections)})}


@cache
def risks() -> tuple[Risk, ...]:
    """Read the declared risks, the most severe first."""
    found = tuple(Risk.model_validate(one) for one in yaml.safe_load(RISKS.read_text("utf-8")))
    return tuple(sorted(found, key=lambda risk: (-risk.likelihood * risk.impact, risk.id)))


def _risk_section(risk: Risk) -> SectionSpec:
    text = (
        f"Likelihood {risk.likelihood} of 5, impact {risk.impact} of 5. Owner: {risk.owner}.\n\n{risk.mitigation}\n\nWhat remains:"
        f" {risk.residual}"
    )
    return SectionSpec(title=f"{risk.id} {risk.title}", text=text, facts=risk.evidence)


def make_document(name: str, spec: DocumentSpec, cabinet: Cabinet) -> Json:
    """Take the evidence of a document.

    Parameters
    ----------
    name, spec
        Of the document.
    cabinet
        What evidence is taken from.

    Returns
    -------
    dict
        JSON values: everything the page shows. Evidence that is not there is told as `missing`, with the reason.
    """
    made: Json = {
        "document": name,
        "title": spec.title,
        "lead": spec.lead,
        "law": spec.law,
        "made_from": {
            key: version.version for key, version in sorted(cabinet.versions.items()) if key in spec.artefacts()
        },
        "sections": [_section(section, cabinet) for section in spec.sections],
    }
    if name == RISK_REGISTER:
        made["risks"] = [risk.model_dump(include={"id", "title", "owner", "likelihood", "impact"}) for risk in risks()]
    return made


def _section(spec: SectionSpec, cabinet: Cabinet) -> Json:
    return {
        "title": spec.title,
        "text": spec.text,
        "facts": [_fact(fact, cabinet) for fact in spec.facts],
        "tables": [_table(table, cabinet) for table in spec.tables],
        "plots": [_plot(plot, cabinet) for plot in spec.plots],
        "versions": [_versions(listed, cabinet) for listed in spec.versions],
    }


def _fact(spec: FactSpec, cabinet: Cabinet) -> Json:
    place = Place.parse(spec.place)
    made: Json = {"label": spec.label, "form": spec.form}
    try:
        made["evidence"] = cabinet.find(place).to_dict()
        if spec.interval:
            row = place.path.rpartition("/")[0]
            ends = [cabinet.find(Place(place.artefact, place.file, f"{row}/{end}")) for end in ("low", "high")]
            made["interval"] = [end.to_dict() for end in ends]
    except EvidenceError as error:
        made = {"label": spec.label, "form": spec.form, "missing": str(error)}
    return made


def _table(spec: TableSpec, cabinet: Cabinet) -> Json:
    made: Json = {"title": spec.title, "columns": list(spec.columns), "most": spec.rows}
    try:
        return {**made, "evidence": cabinet.find(Place.parse(spec.place)).to_dict()}
    except EvidenceError as error:
        return {**made, "missing": str(error)}


def _plot(spec: PlotSpec, cabinet: Cabinet) -> Json:
    try:
        return {"caption": spec.caption, "evidence": cabinet.find_file(spec.artefact, spec.file).to_dict()}
    except EvidenceError as error:
        return {"caption": spec.caption, "missing": str(error)}


def _versions(spec: VersionsSpec, cabinet: Cabinet) -> Json:
    found = []
    for artefact in spec.artefacts:
        try:
            found.append(cabinet.find(Place(artefact, FACTS, spec.fact)).to_dict())
        except EvidenceError as error:
            found.append({"artefact": artefact, "missing": str(error)})
    return {"title": spec.title, "fact": spec.fact, "rows": found}


def all_evidence(document: Json) -> Iterator[tuple[str, Evidence]]:
    """Return every value that a document tells, with what it is called there."""
    for section in document["sections"]:
        for kind in ("facts", "tables", "plots"):
            for item in section[kind]:
                label = f"{section['title']}: {item.get('label') or item.get('title') or item.get('caption')}"
                for one in [*([item["evidence"]] if "evidence" in item else []), *item.get("interval", [])]:
                    yield label, Evidence(**one)
        for listed in section["versions"]:
            for one in listed["rows"]:
                if "missing" not in one:
                    yield f"{section['title']}: {one['artefact']}", Evidence(**one)


def missing(document: Json) -> list[str]:
    """Name what a document would tell if it were there."""
    return [
        f"{section['title']}: {item.get('label') or item.get('title') or item.get('caption') or item.get('artefact')}"
        for section in document["sections"]
        for item in [
            *section["facts"], *section["tables"], *section["plots"], *(row for one in section["versions"] for row in one["rows"]),
        ]
        if "missing" in item
    ]  # fmt: skip
