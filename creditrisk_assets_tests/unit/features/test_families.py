"""The registry, the SQL and the contracts say the same; names keep the rules."""

import json
import re
from pathlib import Path

import duckdb
import pytest

from creditrisk_assets.contracts.features import APPLICANT, FEATURES
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features import catalogue
from creditrisk_assets.features.families import FAMILIES, PRESENCE, Family, applicant_features
from creditrisk_assets.features.plan import render_plan

UNITS = {
    "currency": "_amt", "days": "_days", "months": "_months", "count": "_count", "ratio": "_ratio", "share": "_share",
    "score": "_score", "level": "_level", "hours": "_hours", "category": "_category",
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_sql_yields_exactly_the_contracted_columns(family: Family) -> None:
    with duckdb.connect() as con:
        for view in family.views:
            table = "application_test" if view == "application" else view
            columns = ", ".join(f'"{column.name}" {column.sql_type}' for column in SOURCES[table].columns)
            con.execute(f"create table {view} ({columns})")
        described = con.execute(f"describe {family.sql}").fetchall()
    assert [name.lower() for name, *_ in described] == [column.name for column in family.contract.columns]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_names_say_family_and_unit(family: Family) -> None:
    for feature in family.features:
        assert feature.name.startswith(f"{family.name}__")
        quantity = feature.name.split("__", 1)[1]
        if feature.unit == "flag":
            assert quantity.startswith(("is_", "has_"))
            assert feature.kind == "boolean"
        else:
            assert re.search(rf"{UNITS[feature.unit]}(_|$)", quantity), feature.name
            assert (feature.kind == "category") == (feature.unit == "category")


def test_every_feature_is_described_bounded_and_dated() -> None:
    for feature in applicant_features():
        assert feature.description
        assert feature.known_at == "application day"
        if feature.unit == "share":
            assert feature.maximum == 1
        if feature.unit == "level":
            assert None not in (feature.minimum, feature.maximum)


def test_joined_contract_is_the_families_and_the_presence_flags() -> None:
    names = [
        name for contract in FEATURES.values() for name in (c.name for c in contract.columns) if name != "sk_id_curr"
    ]
    assert [column.name for column in APPLICANT.columns] == ["sk_id_curr", *names, *PRESENCE]
    nullable = {column.name: column.nullable for column in APPLICANT.columns}
    assert nullable["bureau__credits_count"]
    assert not nullable["application__credit_amt"]
    assert not nullable["applicant__has_bureau"]
    assert not FEATURES["bureau"].column("bureau__credits_count").nullable


def test_code_version_follows_the_sql() -> None:
    family = FAMILIES["pos_cash"]
    changed = Family(family.name, family.inputs, family.contract)
    assert changed.code_version == family.code_version
    changed = Family(family.name, family.inputs, family.contract)
    changed.__dict__["sql"] = family.sql + "\n"
    assert changed.code_version != family.code_version


def test_plan_is_json_and_holds_what_the_request_path_needs() -> None:
    plan = json.loads(json.dumps(render_plan()))
    assert list(plan["families"]) == list(FAMILIES)
    assert set(plan["tables"]) == {view for family in FAMILIES.values() for view in family.views}
    assert "TARGET" not in {column["name"] for column in plan["tables"]["application"]["columns"]}
    assert plan["tables"]["bureau"]["key"] == ["SK_ID_BUREAU"]


def test_each_plan_is_the_callers_own_and_follows_what_it_is_made_of() -> None:
    plan = render_plan()
    programs = {name: family["program"] for name, family in plan["families"].items()}
    plan["families"]["bureau"]["program"]["steps"].clear()
    assert programs["bureau"]["steps"] == []
    again = render_plan()["families"]
    assert again["bureau"]["program"]["steps"]
    assert again["pos_cash"]["program"] == programs["pos_cash"]
    family = FAMILIES["bureau"]
    changed = Family(family.name, family.inputs, family.contract)
    changed.__dict__["sql"] = family.sql + "\n"
    rendered = render_plan({"bureau": changed})["families"]["bureau"]["program"]
    assert rendered["sql_sha256"] != again["bureau"]["program"]["sql_sha256"]


def test_committed_catalogue_is_the_rendered_one() -> None:
    committed = Path(catalogue.__file__).parents[2] / "docs" / "feature-catalogue.md"
    assert committed.read_text("utf-8") == catalogue.render(), (
        "run `python -m creditrisk_assets.features.catalogue > docs/feature-catalogue.md`"
    )
