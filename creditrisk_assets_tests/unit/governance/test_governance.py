"""The governance file: whatever is edited, removed or made of something else is named; nothing is told that is not there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.governance import completeness, documents
from creditrisk_assets.governance.bill_of_materials import Installed, installed, render_bill
from creditrisk_assets.governance.completeness import Requirement, artefacts_required, assess, meter, requirements
from creditrisk_assets.governance.documents import (
    DocumentSpec,
    all_evidence,
    document_specs,
    make_document,
    missing,
    risks,
)
from creditrisk_assets.governance.evidence import Cabinet, EvidenceError, Place, again
from creditrisk_assets.governance.page import render_document, render_index, shown
from creditrisk_assets.governance.verification import verify
from creditrisk_assets.lake import Lake, Version

SPEC = DocumentSpec.model_validate(
    {
        "title": "Card",
        "lead": "A card.",
        "law": "a law",
        "sections": [
            {
                "title": "Figures",
                "text": "Prose.",
                "facts": [
                    {
                        "label": "AUC",
                        "from": "model/evaluation:figures.parquet#name=auc&slice=everybody/value",
                        "interval": True,
                    },
                    {"label": "Rows", "from": "model/evaluation:facts#rows"},
                    {"label": "KS", "from": "model/evaluation:evaluation.json#ks.value"},
                ],
                "tables": [
                    {
                        "title": "Grades",
                        "from": "model/evaluation:evaluation.json#grades",
                        "columns": ["grade", "share"],
                    }
                ],
                "plots": [{"caption": "ROC", "artefact": "model/evaluation", "file": "roc.png"}],
                "versions": [{"title": "Made from", "artefacts": ["model/evaluation"]}],
            }
        ],
    }
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    publish_evaluation(lake)
    return lake


def publish_evaluation(lake: Lake, auc: float = 0.74, **inputs: str) -> Version:
    with lake.draft("model/evaluation") as draft:
        figures = {
            "name": ["auc", "auc"],
            "slice": ["everybody", "grade A"],
            "value": [auc, 0.6],
            "low": [0.71, 0.5],
            "high": [0.77, 0.7],
        }
        pq.write_table(pa.table(figures), draft.path / "figures.parquet")
        content = {"ks": {"value": 0.39, "nan": None}, "grades": [{"grade": "A", "share": 0.3}], "empty": []}
        (draft.path / "evaluation.json").write_text(json.dumps(content))
        (draft.path / "roc.png").write_bytes(b"\x89PNG picture")
        return lake.publish(draft, code_version="1", inputs=inputs, metadata={"facts": {"rows": 3075}})


def publish_card(lake: Lake, exported: Path) -> Version:
    """Make the document as its asset does."""
    cabinet = Cabinet({"model/evaluation": lake.require("model/evaluation")})
    document = make_document("card", SPEC, cabinet)
    with lake.draft("governance/card") as draft:
        (draft.path / "card.json").write_text(json.dumps(document))
        (draft.path / "card.html").write_text(
            render_document(document, lambda artefact, _version, file: cabinet.bytes_of(artefact, file))
        )
        version = lake.publish(draft, code_version="1", inputs={})
    exported.mkdir(exist_ok=True)
    for file in version.manifest.files:
        (exported / file).write_bytes((version.path / file).read_bytes())
    return version


def words_of(lake: Lake, exported: Path) -> list[str]:
    return [f"{one.where}: {one.words}" for one in verify(lake, exported, ["card"])[1]]


def rewrite_published(version: Version, file: str, content: bytes) -> None:
    """Edit a file as somebody would who covers their tracks: the manifest says its new hash."""
    import hashlib

    (version.path / file).write_bytes(content)
    manifest = json.loads((version.path / "manifest.json").read_text())
    manifest["files"][file] = hashlib.sha256(content).hexdigest()
    (version.path / "manifest.json").write_text(json.dumps(manifest))


def test_an_untouched_file_is_taken_again_and_agrees(lake: Lake, tmp_path: Path) -> None:
    publish_card(lake, tmp_path / "out")
    values, found = verify(lake, tmp_path / "out", ["card"])
    assert found == ()
    assert values == 8  # three facts, two ends of an interval, a table, a plot, a version


def test_a_number_edited_in_the_document_is_named_though_hashes_were_mended(lake: Lake, tmp_path: Path) -> None:
    version = publish_card(lake, tmp_path / "out")
    document = json.loads((version.path / "card.json").read_text())
    document["sections"][0]["facts"][0]["evidence"]["value"] = 0.91
    rewrite_published(version, "card.json", json.dumps(document).encode())
    rewrite_published(version, "card.html", render_document(document, lambda *_: b"\x89PNG picture").encode())
    (told,) = [words for words in words_of(lake, tmp_path / "out") if "AUC" in words]
    assert "the document tells 0.91, the artefact says 0.74" in told
    assert "model/evaluation:figures.parquet" in told


def test_a_number_edited_in_a_table_is_named(lake: Lake, tmp_path: Path) -> None:
    version = publish_card(lake, tmp_path / "out")
    document = json.loads((version.path / "card.json").read_text())
    document["sections"][0]["tables"][0]["evidence"]["value"][0]["share"] = 0.8
    rewrite_published(version, "card.json", json.dumps(document).encode())
    assert any("Grades" in words and "the artefact says" in words for words in words_of(lake, tmp_path / "out"))


def test_a_number_edited_in_the_page_is_noticed(lake: Lake, tmp_path: Path) -> None:
    version = publish_card(lake, tmp_path / "out")
    page = (version.path / "card.html").read_text()
    assert "0.74" in page
    rewrite_published(version, "card.html", page.replace("0.74", "0.91", 1).encode())
    assert any("the page does not say what the document says" in words for words in words_of(lake, tmp_path / "out"))


def test_an_edited_copy_for_people_is_noticed(lake: Lake, tmp_path: Path) -> None:
    publish_card(lake, tmp_path / "out")
    copy = tmp_path / "out" / "card.html"
    copy.write_text(copy.read_text().replace("0.74", "0.91", 1))
    (told,) = words_of(lake, tmp_path / "out")
    assert "the copy for people is not the document" in told
    copy.unlink()
    assert "is gone" in words_of(lake, tmp_path / "out")[0]


def test_an_edited_artefact_is_noticed(lake: Lake, tmp_path: Path) -> None:
    publish_card(lake, tmp_path / "out")
    evaluation = lake.require("model/evaluation")
    content = (evaluation.path / "evaluation.json").read_text().replace("0.39", "0.59")
    (evaluation.path / "evaluation.json").write_text(content)
    assert any(
        "KS" in words and "was changed after it was published" in words for words in words_of(lake, tmp_path / "out")
    )
    rewrite_published(evaluation, "evaluation.json", content.encode())  # and with its hash mended
    assert any("KS" in words and "made of a file with the hash" in words for words in words_of(lake, tmp_path / "out"))


def test_a_removed_artefact_is_named(lake: Lake, tmp_path: Path) -> None:
    import shutil

    publish_card(lake, tmp_path / "out")
    shutil.rmtree(lake.root / "model" / "evaluation" / "versions")
    told = words_of(lake, tmp_path / "out")
    assert told
    assert all("missing or damaged" in words or "rendered again" in words for words in told)


def test_a_document_is_of_the_version_it_was_made_from_whatever_came_later(lake: Lake, tmp_path: Path) -> None:
    publish_card(lake, tmp_path / "out")
    publish_evaluation(lake, auc=0.8)
    assert words_of(lake, tmp_path / "out") == []


def test_what_is_not_there_is_told_as_missing_and_breaks_nothing(lake: Lake) -> None:
    document = make_document("card", SPEC, Cabinet({}))
    assert missing(document) == [
        "Figures: AUC", "Figures: Rows", "Figures: KS", "Figures: Grades", "Figures: ROC", "Figures: model/evaluation",
    ]  # fmt: skip
    assert "model/evaluation was never published" in render_document(document, lambda *_: b"")
    assert list(all_evidence(document)) == []


def test_a_page_is_one_file_and_what_an_artefact_says_cannot_add_to_it(lake: Lake) -> None:
    cabinet = Cabinet({"model/evaluation": lake.require("model/evaluation")})
    document = make_document("card", SPEC, cabinet)
    document["sections"][0]["facts"][1]["evidence"]["value"] = "<script>alert(1)</script>"
    page = render_document(document, lambda artefact, _version, file: cabinet.bytes_of(artefact, file))
    assert "<script" not in page
    assert 'src="http' not in page
    assert "url(" not in page
    assert "data:image/png;base64," in page


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("model/evaluation:evaluation.json#ks.worth", "no worth"),
        ("model/evaluation:evaluation.json#grades.3", "no 3"),
        ("model/evaluation:gone.json#ks", "no file gone.json"),
        ("model/evaluation:figures.parquet#name=auc/value", "2 rows, not one"),
        ("model/evaluation:figures.parquet#name=gini&slice=everybody/value", "0 rows, not one"),
        ("model/nothing:facts#rows", "never published"),
    ],
)
def test_a_place_that_is_not_there_is_an_error(lake: Lake, place: str, words: str) -> None:
    with pytest.raises(EvidenceError, match=words):
        Cabinet({"model/evaluation": lake.require("model/evaluation")}).find(Place.parse(place))


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(EvidenceError, match="names no place"):
        Place.parse("the model card")


def test_evidence_compares_with_the_artefact(lake: Lake) -> None:
    evidence = Cabinet({"model/evaluation": lake.require("model/evaluation")}).find(
        Place.parse("model/evaluation:facts#rows")
    )
    assert again(evidence, lake) is None
    assert "tells 9999" in (again(replace(evidence, value=9999), lake) or "")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(code: str, place: str, *, required: bool = True) -> Requirement:
        return Requirement(id=code, title=code, source="a law", place=place, required=required)

    found = (
        one("R-1", "model/evaluation:evaluation.json#ks.value"),
        one("R-2", "model/evaluation:evaluation.json#empty"),
        one("R-3", "model/fairness:fairness.json#groups"),
        one("R-4", "model/reasons:facts#", required=False),
    )
    monkeypatch.setattr(completeness, "requirements", lambda: found)


@pytest.mark.usefixtures("asked")
def test_the_meter_names_what_is_missing_and_why(lake: Lake) -> None:
    found = meter(assess({"model/evaluation": lake.require("model/evaluation")}))
    assert (found["present"], found["of"]) == (1, 4)
    assert found["missing_required"] == ["R-2", "R-3"]
    assert found["missing_optional"] == ["R-4"]
    words = {item["id"]: item["words"] for item in found["items"]}
    assert "is empty" in words["R-2"]
    assert "never published" in words["R-3"]
    page = render_index({**found, "documents": [], "model_version": "1"})
    assert "2 required items are missing" in page


@pytest.mark.usefixtures("asked")
def test_a_changed_file_is_missing(lake: Lake) -> None:
    version = lake.require("model/evaluation")
    (version.path / "evaluation.json").write_text(json.dumps({"ks": {"value": 0.9}}))
    item = assess({"model/evaluation": version})[0]
    assert item.state == "MISSING"
    assert "was changed after it was published" in item.words


@pytest.mark.usefixtures("asked")
def test_what_was_made_of_another_model_is_missing(lake: Lake) -> None:
    with lake.draft("model/pd") as draft:
        (draft.path / "model.txt").write_text("trees")
        model = lake.publish(draft, code_version="1", inputs={}, metadata={"facts": {}})
    stale = publish_evaluation(lake, auc=0.75, **{"model/pd": "another"})
    item = assess({"model/evaluation": stale, "model/pd": model})[0]
    assert item.state == "MISSING"
    assert "another version of model/pd" in item.words


def test_what_is_declared_is_sound() -> None:
    specs = document_specs()
    assert {"model_card", "validation_pack", "technical_file", "data_sheet", "risk_register"} == set(specs)
    assert len({one.id for one in requirements()}) == len(requirements())
    assert {f"governance/{name}" for name in specs} < set(artefacts_required())
    assert len({risk.id for risk in risks()}) == len(risks())
    assert all(risk.evidence and risk.owner.startswith("team:") for risk in risks())
    assert {title.split(" ")[0] for title in (s.title for s in specs["technical_file"].sections)} == set("123456789")


def test_the_card_states_the_limits_that_figures_hide() -> None:
    limits = next(section for section in document_specs()["model_card"].sections if section.title == "Limits to know")
    assert "Reject inference" in limits.text
    assert "Synthetic portfolio" in limits.text


def test_prose_holds_no_measured_number() -> None:
    """A decimal or a percentage in prose would be a number that no artefact answers for."""
    import re

    for name, spec in document_specs().items():
        for section in spec.sections:
            assert not re.search(r"\d\.\d{2,}|\d\s*%", section.text), (name, section.title)


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [(0.05, "percent", "5.0 %"), (3, "auto", "3"), (True, "auto", "yes"), ([], "auto", "none"), ({"a": 1}, "size", "1")],
)  # fmt: skip
def test_values_are_shown_as_people_read_them(value: Any, form: str, text: str) -> None:
    assert shown(value, form) == text


def test_the_bill_of_materials_is_valid_cyclonedx_and_the_same_every_time() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    parts = [part for part in installed() if part.name in {"creditrisk", "lightgbm", "numpy", "pandas", "matplotlib"}]
    bill = render_bill(parts, model_version="abc", model_sha256="0" * 64)
    assert render_bill(parts, model_version="abc", model_sha256="0" * 64) == bill
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    content = json.loads(bill)
    named = {one["name"]: one for one in content["components"]}
    assert named["lightgbm"]["purl"].startswith("pkg:pypi/lightgbm@")
    assert named["credit-risk-pd"]["type"] == "machine-learning-model"
    assert content["metadata"]["component"]["name"] == "creditrisk"
    needs = {one["ref"]: one.get("dependsOn", []) for one in content["dependencies"]}
    assert any(ref.startswith("numpy@") for ref in needs[f"pandas@{named['pandas']['version']}"])


def test_a_distribution_that_comes_or_goes_changes_the_bill() -> None:
    one, other = Installed("a", "1", None, ()), Installed("b", "1", "MIT", ("a",))
    bills = {
        render_bill(parts, model_version="abc", model_sha256="0" * 64)
        for parts in ([one], [one, other], [replace(one, version="2")])
    }
    assert len(bills) == 3


def test_every_picture_of_a_document_is_embedded_as_its_hash_says(lake: Lake) -> None:
    (lake.require("model/evaluation").path / "roc.png").write_bytes(b"another picture")
    document = make_document("card", SPEC, Cabinet({"model/evaluation": lake.require("model/evaluation")}))
    assert "Figures: ROC" in documents.missing(document)
