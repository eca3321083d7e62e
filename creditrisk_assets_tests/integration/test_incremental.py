"""A family in the graph: a batch computes whom it touches, another definition what depends on it, and no old version goes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from creditrisk_assets import running
from creditrisk_assets.defs import features
from creditrisk_assets.defs.artefact import Artefact, asset_of
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling.bundle import follow
from creditrisk_assets.resources.duckdb import EmbeddedDuckDB
from creditrisk_assets.resources.platform import Platform
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph

FAMILY = "features/bureau"
SELECT = f"raw/application_train,raw/application_test,raw/bureau,raw/bureau_balance,{FAMILY}"


@pytest.fixture
def source(tmp_path: Path, portfolio: Path) -> Path:
    """A source whose bureau and its balances come in two batches beside the base, none of them announced yet."""
    place = tmp_path / "source"
    place.mkdir()
    for name in ("application_train", "application_test", "bureau", "bureau_balance"):
        shutil.copy(portfolio / f"{name}.csv", place)
    for table, lines in {"bureau": {"may": 20, "july": 1500}, "bureau_balance": {"may": 30}}.items():
        for batch, count in lines.items():
            split_off(place / f"{table}.csv", place / f"{batch}_{table}.csv", count)
    announce(place)
    content = {
        "name": "lender",
        "connection": {"kind": "local", "directory": str(place)},
        "batches": "batches.json",
    }
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump(content))
    remember_source(Settings(), tmp_path / "sources.yaml")
    return place


def split_off(path: Path, out: Path, count: int) -> None:
    """Move the last rows of a file to one of their own."""
    lines = path.read_text().splitlines(keepends=True)
    out.write_text("".join([lines[0], *lines[-count:]]))
    path.write_text("".join(lines[:-count]))


def announce(place: Path, *batches: str) -> None:
    listed = [
        {
            "batch_id": batch,
            "as_at": f"2026-0{5 + number}-28T00:00:00Z",
            "tables": {
                table: {"location": f"{batch}_{table}.csv"}
                for table in ("bureau", "bureau_balance")
                if (place / f"{batch}_{table}.csv").exists()
            },
        }
        for number, batch in enumerate(batches)
    ]
    (place / "batches.json").write_text(json.dumps({"batches": listed}))


def run(select: str = SELECT) -> dict[str, str]:
    result = running.materialize(Settings(), select)
    assert result.failures == []
    return {asset.key: asset.outcome for asset in result.assets}


def family() -> Version:
    return Lake(Settings().lake).require(FAMILY)


def built() -> str:
    return str(family().manifest.metadata["facts"]["built"])


def test_an_appended_batch_computes_the_applicants_it_touches_to_the_bytes_of_a_whole_build(source: Path) -> None:
    run()
    first = family()
    assert built() == "whole: never built"
    announce(source, "may")
    assert run()[FAMILY] == "built"
    touched, _, words = built().partition(" of ")
    assert 0 < int(touched) <= 50
    assert words == f"{first.manifest.metadata['facts']['rows']:,} applicants, touched by bureau, bureau_balance"
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(FAMILY.split("/")))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["built"].value == built()
    incremental = family().version
    assert incremental != first.version
    assert run()[FAMILY] == "reused"
    shutil.rmtree(Settings().lake / FAMILY)
    run(FAMILY)
    assert (built(), family().version) == ("whole: never built", incremental)


def test_it_is_built_whole_and_says_why(source: Path) -> None:
    run()
    lake, last = Lake(Settings().lake), family()
    raw = lake.version("raw/bureau", last.manifest.inputs["raw/bureau"])
    announce(source, "july")
    run("raw/bureau")

    def after(harm: Callable[[], object]) -> str:
        lake.restore(FAMILY, last.version)
        harm()
        return str(materialize(features.family_artefact(FAMILIES["bureau"]))[FAMILY]["built"])

    assert after(lambda: None).endswith(" applicants are touched, more than 25%")
    lost = "whole: raw/bureau is not there any more as it was read last"
    assert after(lambda: raw.data.write_bytes(b"")) == f"{lost} (data.parquet)"
    assert after(lambda: shutil.rmtree(raw.path)) == f"{lost} (manifest)"
    assert after(lambda: last.data.write_bytes(b"")) == "whole: its file data.parquet was damaged"


def intact(lake: Lake, key: str, version: str) -> Version:
    found = lake.version(key, version)
    assert found.damage() is None, key
    return found


def test_another_definition_builds_its_family_and_the_join_and_the_old_model_keeps_what_it_learned_from(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(graph.settings.lake, tmp_path / "home" / "lake")
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path / "home"))
    lake = Lake(Settings().lake)
    model = lake.require("model/pd")
    before = {key: lake.require(key) for key in (*features.APPLICANT_ARTEFACT.deps, features.APPLICANT_KEY)}
    changed = replace(FAMILIES["pos_cash"])
    vars(changed)["sql"] = changed.sql.replace(
        "from pos_cash_balance", "from pos_cash_balance where sk_id_prev % 2 = 0", 1
    )
    assert changed.sql != FAMILIES["pos_cash"].sql

    families = {**FAMILIES, "pos_cash": changed}
    found = materialize(*map(features.family_artefact, families.values()), features.APPLICANT_ARTEFACT)

    assert {key for key, outcome in found.items() if not outcome["reused"]} == {
        "features/pos_cash",
        "features/applicant",
    }
    assert found["features/pos_cash"]["built"] == "whole: its code changed"
    now = {key: lake.require(key).version for key in before}
    assert {key for key in now if now[key] != before[key].version} == {"features/pos_cash", "features/applicant"}
    # from the model back to the raw tables, every version it was made from is there and is what it was
    split = intact(lake, "training/split_train", model.manifest.inputs["training/split_train"])
    joined = intact(lake, features.APPLICANT_KEY, split.manifest.inputs[features.APPLICANT_KEY])
    definitions = {}
    for name, family in FAMILIES.items():
        version = intact(lake, features.feature_key(name), joined.manifest.inputs[features.feature_key(name)])
        definitions[name] = version.manifest.metadata["facts"]["definition"]
        for table in family.inputs:
            intact(lake, f"raw/{table}", version.manifest.inputs[f"raw/{table}"])
    bundle = follow(graph.settings.bundles)
    assert bundle is not None
    plan = json.loads((bundle / "plan.json").read_text())
    assert {name: family["definition"] for name, family in plan["families"].items()} == definitions
    assert definitions["pos_cash"] != changed.definition


def materialize(*artefacts: Artefact) -> dict[str, dict[str, Any]]:
    """Materialize some assets from the lake as it is, and return the metadata of each."""
    resources = {"platform": Platform(), "duckdb": EmbeddedDuckDB()}
    with dg.instance_for_test() as instance:
        result = dg.materialize([asset_of(artefact) for artefact in artefacts], resources=resources, instance=instance)
        events = result.get_asset_materialization_events()
    return {
        "/".join(event.asset_key.path): {name: value.value for name, value in event.materialization.metadata.items()}
        for event in events
        if event.asset_key is not None
    }
