"""Stage 4c: the governance file: documents bound to their evidence, and the meter that says what is missing.

What belongs here: wiring documents, bill of materials and index as assets. What does not: what documents tell and requirements ask for
(`governance/*.yaml`), evidence, rendering and verification (the package `governance`).

A document is made anew when an artefact it tells of is. What people may add (a signed declaration) is found in the lake where it is, and
is no asset of the graph.
"""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, table_of
from creditrisk_assets.defs.fairness import FAIRNESS
from creditrisk_assets.defs.training import BUNDLE, MODEL
from creditrisk_assets.defs.validation import VALIDATION
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.governance import bill_of_materials, completeness, documents, evidence, page
from creditrisk_assets.governance.completeness import artefacts_required, assess, meter
from creditrisk_assets.governance.documents import (
    RISK_REGISTER,
    RISKS,
    DocumentSpec,
    document_specs,
    make_document,
    missing,
)
from creditrisk_assets.governance.evidence import Cabinet
from creditrisk_assets.governance.page import render_document, render_index
from creditrisk_assets.lake import Lake, LakeError, Version, write_atomically
from creditrisk_assets.settings import Settings

FILE, BILL = "governance/file", "governance/sbom"
COMPLETENESS, INDEX, BILL_FILE = "completeness.json", "index.html", "sbom.json"
DRIFT = "monitoring/drift"
FOUND = ("governance/declaration",)  # put there by people: looked up, never waited for
TOGETHER = "governance"  # below `reports`: the copies for people


def _document_key(name: str) -> str:
    return f"governance/{name}"


def _export(settings: Settings, version: Version) -> None:
    folder = settings.reports / TOGETHER
    for file in version.manifest.files:
        write_atomically(folder / file, (version.path / file).read_text("utf-8"))


def _document_artefact(name: str, spec: DocumentSpec) -> Artefact:
    told = spec.artefacts() - {*FOUND}

    def make(work: Work) -> Made:
        cabinet = Cabinet(work.inputs)
        document = make_document(name, spec, cabinet)
        html = render_document(document, lambda artefact, _version, file: cabinet.bytes_of(artefact, file))
        (work.draft.path / f"{name}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False), "utf-8")
        (work.draft.path / f"{name}.html").write_text(html, "utf-8")
        absent = missing(document)
        words = f"not there: {'; '.join(absent)}" if absent else "everything it tells of is there"
        told_of = sum(1 for _ in documents.all_evidence(document))
        return Made(
            {"title": spec.title, "values": told_of, "missing": absent},
            [
                CheckOutcome(
                    "everything_told_is_there", passed=not absent, facts={"description": words}, severity="WARN"
                )
            ],
        )

    return Artefact(
        key=_document_key(name),
        group="governance",
        kinds=frozenset({"html"}),
        describe=Describe(
            what=f"{spec.title}: {spec.lead} Each number carries version, file, place and hash of the artefact it came from.",
            grain=f"one document: `{name}.json`, and the page made of it, `{name}.html`",
            built_from=", ".join(f"`{key}`" for key in sorted(told)),
            known_at="after the validation",
            consumed_by=f"`{FILE}`, risk officers, examiners (`reports/governance/{name}.html`)",
            fails_when="never for what it tells of: what is not there is told as not available, and warns",
            source="creditrisk_assets/governance/documents.py",
        ),
        code_version=code_version(
            documents,
            evidence,
            page,
            json.dumps(spec.model_dump(mode="json"), sort_keys=True),
            documents.HERE / "templates" / "document.html",
            documents.HERE / "templates" / "style.css",
            *((RISKS,) if name == RISK_REGISTER else ()),
        ),
        make=make,
        show=_show_document,
        deps=tuple(sorted(told - {DRIFT})),
        uses=(DRIFT,) if DRIFT in told else (),
        checks={"everything_told_is_there": "Everything the document tells of was found in its artefact."},
        advisory=frozenset({"everything_told_is_there"}),
        export=lambda settings, _lake, version: _export(settings, version),
    )


def _show_document(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    html = next(file for file in version.manifest.files if file.endswith(".html"))
    return {
        "title": dg.MetadataValue.text(facts["title"]),
        "values": dg.MetadataValue.int(facts["values"]),
        "page": dg.MetadataValue.path(str(version.path / html)),
        "not_there": dg.MetadataValue.json(facts["missing"]),
    }


def _make_bill(work: Work) -> Made:
    model, parts = work.inputs[MODEL], bill_of_materials.installed()
    digest = model.manifest.files[f"{BUNDLE}/model.txt"]
    bill = bill_of_materials.render_bill(parts, model_version=model.version, model_sha256=digest)
    (work.draft.path / BILL_FILE).write_text(bill, "utf-8")
    return Made({"distributions": len(parts), "without_licence": [part.name for part in parts if part.licence is None]})


BILL_OF_MATERIALS = Artefact(
    key=BILL,
    group="governance",
    kinds=frozenset({"cyclonedx"}),
    describe=Describe(
        what="The bill of materials: every installed distribution with version, licence and needs, and the model itself (CycloneDX 1.6).",
        grain=f"one file: `{BILL_FILE}`",
        built_from="what is installed beside this code, `model/pd`",
        known_at="after the training",
        consumed_by=f"`{FILE}`, auditing tools",
        fails_when="what is installed cannot be read",
        source="creditrisk_assets/governance/bill_of_materials.py",
    ),
    code_version=code_version(bill_of_materials),
    make=_make_bill,
    show=lambda version: {"distributions": dg.MetadataValue.int(version.manifest.metadata["facts"]["distributions"])},
    deps=(MODEL,),
    also_from=lambda _settings, _lake: {
        "installed": code_version([f"{part.name}=={part.version}" for part in bill_of_materials.installed()])
    },
    export=lambda settings, _lake, version: _export(settings, version),
)


def _make_file(work: Work) -> Made:
    versions = {**work.inputs, **_found(work.lake)}
    found = meter(assess(versions))
    model = versions.get(MODEL)
    found["model_version"] = model.version if model else None
    (work.draft.path / COMPLETENESS).write_text(json.dumps(found, indent=1, ensure_ascii=False), "utf-8")
    listed = [
        {"title": spec.title, "lead": spec.lead, "file": f"{name}.html"}
        for name, spec in document_specs().items()
        if _document_key(name) in versions
    ]
    if BILL in versions:
        listed.append({"title": "Bill of materials", "lead": "Every distribution, as CycloneDX.", "file": BILL_FILE})
    (work.draft.path / INDEX).write_text(render_index({**found, "documents": listed}), "utf-8")
    complete = _complete(found)
    if complete.blocks:  # nothing will be published, and people want to read why
        for file in (COMPLETENESS, INDEX):
            write_atomically(work.settings.reports / TOGETHER / file, (work.draft.path / file).read_text("utf-8"))
    return Made(found, [complete])


def _found(lake: Lake) -> dict[str, Version]:
    """Look up what others may have made."""
    return {key: version for key in FOUND if (version := lake.current(key)) is not None}


def _found_versions(_settings: Settings, lake: Lake) -> Mapping[str, str]:
    try:
        return {key: version.version for key, version in _found(lake).items()}
    except LakeError as error:
        return {"damaged": str(error)}


def _complete(found: Mapping[str, Any]) -> CheckOutcome:
    absent = [item for item in found["items"] if item["id"] in found["missing_required"]]
    named = "; ".join(f"{item['id']} {item['title']}: {item['words']}" for item in absent)
    words = f"{found['present']} of {found['of']} items are there; {named or 'nothing required is missing'}"
    return CheckOutcome("nothing_required_is_missing", passed=not absent, facts={"description": words})


def _show_file(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    shown = ("id", "title", "state", "source", "words")
    return {
        "complete": dg.MetadataValue.text(f"{facts['present']} of {facts['of']}"),
        "items": table_of([{name: item[name] for name in shown} for item in facts["items"]]),
        "page": dg.MetadataValue.path(str(version.path / INDEX)),
    }


DOCUMENTS = tuple(_document_artefact(name, spec) for name, spec in document_specs().items())
_KEYS = {document.key for document in DOCUMENTS}
THE_FILE = Artefact(
    key=FILE,
    group="governance",
    kinds=frozenset({"html"}),
    describe=Describe(
        what=(
            "How complete the governance file is: each item that a law or a guidance asks for is an artefact, or MISSING; and the page to"
            " begin with."
        ),
        grain=f"one meter: `{COMPLETENESS}`, and the index, `{INDEX}`",
        built_from="every artefact that `governance/requirements.yaml` names",
        known_at="after every document",
        consumed_by="promotion, risk officers, examiners (`reports/governance/index.html`)",
        fails_when="a required item is missing: then no new file is published",
        source="creditrisk_assets/governance/completeness.py",
    ),
    code_version=code_version(
        completeness,
        evidence,
        page,
        completeness.REQUIREMENTS,
        documents.HERE / "templates" / "index.html",
        documents.HERE / "templates" / "style.css",
    ),
    make=_make_file,
    show=_show_file,
    uses=tuple(
        dict.fromkeys(
            [*(key for key in artefacts_required() if key not in FOUND), *sorted(_KEYS), BILL, FAIRNESS, VALIDATION]
        )
    ),
    checks={
        "nothing_required_is_missing": "Every required item is an artefact, as it was published, of the version in the file."
    },
    also_from=_found_versions,
    export=lambda settings, _lake, version: _export(settings, version),
)
ARTEFACTS = (BILL_OF_MATERIALS, *DOCUMENTS, THE_FILE)
