"""Research and the everyday graph: a selection and a search are taken over once and then reused, and let go of when they do not hold."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from creditrisk_assets import running
from creditrisk_assets.defs import search as search_defs
from creditrisk_assets.defs import selection as selection_defs
from creditrisk_assets.defs.artefact import Artefact, Made, asset_of
from creditrisk_assets.defs.training import BUNDLE, MODEL, OUT_OF_FOLD, SEARCH, SELECTION, SELECTION_FILE, choose
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets.modelling.research.budgets import load_research
from creditrisk_assets.resources.duckdb import EmbeddedDuckDB
from creditrisk_assets.resources.platform import Platform
from creditrisk_assets.running import RunResult
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph

EVERYDAY = f"{OUT_OF_FOLD},{MODEL}"


def outcomes(result: RunResult) -> dict[str, str]:
    return {asset.key: asset.outcome for asset in result.assets}


def facts(key: str) -> dict:
    return Lake(Settings().lake).require(key).manifest.metadata["facts"]


@dataclass(frozen=True)
class Researched:
    """A copy of the graph's home in which a small selection, a small search, and then everyday models ran."""

    home: Path
    refused: RunResult
    selection: RunResult
    search: RunResult
    first: RunResult
    second: RunResult


@pytest.fixture(scope="module")
def researched(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Researched:
    shipped = load_research()
    few = {"shuffles": 20, "seeds": 1, "trees": 15, "minimum_defaults": 20, "maximum_auc_loss": 0.4}
    selection = shipped.selection.model_copy(update=few)
    search = shipped.search.model_copy(update={"trials": 2})
    small = shipped.model_copy(update={"selection": selection, "search": search})
    home = tmp_path_factory.mktemp("researched") / "home"
    shutil.copytree(graph.settings.root, home, symlinks=True)
    before = dict(os.environ)
    os.environ["CREDITRISK_HOME"] = str(home)
    try:
        refused = running.materialize(Settings(), SELECTION)
        with pytest.MonkeyPatch.context() as patch:
            for module in (selection_defs, search_defs):
                patch.setattr(module, "load_research", lambda: small)
            return Researched(
                home=home,
                refused=refused,
                selection=running.materialize(Settings(), SELECTION),
                search=running.materialize(Settings(), SEARCH),
                first=running.materialize(Settings(), EVERYDAY),
                second=running.materialize(Settings(), f"{EVERYDAY},{SELECTION},{SEARCH}"),
            )
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def in_home(researched: Researched, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CREDITRISK_HOME", str(researched.home))
    return Settings()


def test_without_research_the_model_says_so(graph: Graph) -> None:
    account = graph.lake.require(MODEL).manifest.metadata["facts"]["research"]
    assert (account["selection"], account["search"]) == ("none", "none")
    assert account["features"] == [item.name for item in choose(graph.settings).allowed]
    bundle = Bundle.load(graph.lake.require(MODEL).path / BUNDLE, read_public_key(graph.settings.keys))
    assert bundle.metrics["research"] == {"selection": "none", "search": "none"}


def test_the_whole_graph_runs_no_research(graph: Graph) -> None:
    assert not {SELECTION, SEARCH} & set(outcomes(graph.result))


def test_too_few_defaults_select_nothing_and_say_what_to_do(researched: Researched) -> None:
    (words,) = researched.refused.failures
    assert "too few to tell a feature from luck" in words
    assert "Everyday runs go on without a selection" in words


def test_a_selection_makes_the_model_anew_once(researched: Researched) -> None:
    assert outcomes(researched.selection) == {SELECTION: "built"}
    assert outcomes(researched.search) == {SEARCH: "built"}
    assert outcomes(researched.first) == {OUT_OF_FOLD: "built", MODEL: "built"}
    assert set(outcomes(researched.second).values()) == {"reused"}


def test_the_model_is_made_of_the_list_and_says_where_it_comes_from(in_home: Settings) -> None:
    lake = Lake(in_home.lake)
    listed = json.loads((lake.require(SELECTION).path / SELECTION_FILE).read_text())["features"]
    assert 0 < len(listed) < len(choose(in_home).allowed)
    account = facts(MODEL)["research"]
    assert set(account["features"]) == set(listed)
    assert account["selection"] == lake.require(SELECTION).version
    bundle = Bundle.load(lake.require(MODEL).path / BUNDLE, read_public_key(in_home.keys))
    assert set(bundle.feature_names) <= set(listed)
    assert bundle.metrics["research"]["selection"] == account["selection"]


def test_the_parameters_are_those_of_the_search_if_it_is_better_else_of_model_yaml(in_home: Settings) -> None:
    found, made_with = facts(SEARCH), facts(MODEL)["configuration"]["lightgbm"]
    expected = {name: found["best"][name] for name in found["in_use"]} if found["better"] else found["in_use"]
    assert {name: made_with[name] for name in expected} == expected
    assert found["selection"] == Lake(in_home.lake).require(SELECTION).version


def test_every_feature_has_a_verdict_in_the_table(in_home: Settings) -> None:
    table = pd.read_parquet(Lake(in_home.lake).require(SELECTION).data)
    assert sorted(table["feature"]) == sorted(item.name for item in choose(in_home).allowed)
    assert (table["reason"] == "kept").sum() == facts(SELECTION)["kept"]
    assert table.loc[table["reason"] != "kept", "words"].str.len().min() > 0
    dropped = table[table["protected"] & (table["reason"] != "kept")]
    assert set(dropped["reason"]) <= {"redundant"}


def test_nothing_in_dagster_is_out_of_date_without_research(in_graph: Graph) -> None:
    """An optional dependency that was never made must not show what depends on it as out of date for ever."""
    os.environ["DAGSTER_HOME"] = str(in_graph.settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        (made,) = instance.fetch_materializations(dg.AssetKey(OUT_OF_FOLD.split("/")), limit=1).records
    tags = made.asset_materialization.tags
    # INITIAL, and NULL at present, is the one pair of versions that Dagster takes for unchanged
    assert tags[f"dagster/input_data_version/{SELECTION}"] == "INITIAL"


DESCRIBE = Describe("What.", "one", "nothing", "now", "nobody", "never", "creditrisk_assets/lake.py")


def text_artefact(key: str, text: str, uses: tuple[str, ...] = ()) -> Artefact:
    def make(work) -> Made:
        seen = ",".join(sorted(work.inputs))
        (work.draft.path / "text.txt").write_text(f"{text} of {seen or 'nothing'}")
        return Made({"rows": 1})

    return Artefact(
        key=key, group="training", kinds=frozenset({"parquet"}), describe=DESCRIBE, code_version=text, make=make, uses=uses
    )  # fmt: skip


def run(*artefacts: Artefact) -> bool:
    """Materialize the last; return whether it was reused, or raise what failed."""
    assets = [asset_of(artefact) for artefact in artefacts]
    resources = {"platform": Platform(), "duckdb": EmbeddedDuckDB()}
    keys = [dg.AssetKey(artefacts[-1].key.split("/"))]
    done = dg.materialize(assets, resources=resources, selection=dg.AssetSelection.assets(*keys))
    (event,) = [event for event in done.get_asset_materialization_events() if event.asset_key == keys[0]]
    return event.materialization.metadata["reused"].value


def test_what_an_artefact_uses_counts_where_it_is_published_and_is_not_missed_where_it_is_not() -> None:
    one, other = text_artefact("model/one", "a"), text_artefact("model/other", "b", uses=("model/one",))
    lake = Lake(Settings().lake)
    assert run(one, other) is False
    assert run(one, other) is True
    assert lake.require("model/other").manifest.inputs == {}
    run(one)
    assert run(one, other) is False
    assert lake.require("model/other").manifest.inputs == {"model/one": lake.require("model/one").version}
    assert run(one, other) is True


def test_a_damaged_version_that_is_used_is_named_and_not_passed_over() -> None:
    one, other = text_artefact("model/one", "a"), text_artefact("model/other", "b", uses=("model/one",))
    run(one)
    (Lake(Settings().lake).require("model/one").path / "text.txt").write_text("else")
    with pytest.raises(dg.Failure, match=r"model/one: its file text.txt was damaged; run `creditrisk run --select"):
        run(one, other)


def test_a_version_published_and_then_gone_is_let_go_of() -> None:
    one, other = text_artefact("model/one", "a"), text_artefact("model/other", "b", uses=("model/one",))
    run(one)
    run(one, other)
    shutil.rmtree(Path(Settings().lake) / "model" / "one")
    assert run(one, other) is False
