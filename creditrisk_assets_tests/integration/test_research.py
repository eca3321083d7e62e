"""The research job: apart from the everyday graph, resumable, and visible to a person."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from creditrisk_assets import running, terminal
from creditrisk_assets.cli import app
from creditrisk_assets.definitions import ARTEFACTS, build_defs
from creditrisk_assets.defs import challengers, rebalancing
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.research import budgets
from creditrisk_assets.modelling.research.budgets import load_research
from creditrisk_assets.modelling.research.challengers import ancestor, scorecard
from creditrisk_assets.modelling.training import TrainingError
from creditrisk_assets.running import RunResult
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.unit.modelling.conftest import CHOICE, INPUTS, draw_part
from creditrisk_assets_tests.unit.modelling.research.challengers.test_standing import NAMES, small_budgets

OWN = ("model/challengers", "model/rebalancing")
APART = {artefact.key for artefact in ARTEFACTS if artefact.group == running.APART}


def publish_split(settings: Settings, *, seed: int = 0) -> None:
    part, lake = draw_part(900, seed), Lake(settings.lake)
    table = part.frame.assign(sk_id_curr=part.ids, target=part.labels)
    with lake.draft("training/split_train") as draft:
        table.to_parquet(draft.data, index=False)
        lake.publish(draft, code_version="drawn", inputs={})


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with a training part of few applicants and few inputs, and budgets to match."""
    small = load_research().model_copy(update={"challengers": small_budgets()})
    path = tmp_path / "research.yaml"
    path.write_text(yaml.safe_dump(small.model_dump(mode="json")))
    monkeypatch.setattr(budgets, "DEFAULT_PATH", path)
    monkeypatch.setattr(ancestor, "FEATURES", tuple(i.name for i in INPUTS))
    for module in (challengers, rebalancing):
        monkeypatch.setattr(module, "choose", lambda _settings: CHOICE)
    found = Settings()
    publish_split(found)
    return found


def test_a_run_that_failed_goes_on_and_its_tables_are_shown_exported_and_reused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, finished = Lake(settings.lake), settings.root / "research" / "challengers"
    with threadpool_limits(limits=1):
        with monkeypatch.context() as broken:
            broken.setattr(scorecard, "fit", refuse)
            failed = running.materialize(settings, OWN[0])
        assert failed.failures == [f"{OWN[0]}: scorecard cannot be fitted: the memory of this test is full"]
        assert lake.current(OWN[0]) is None
        before = {path.name: path.stat().st_mtime_ns for path in finished.iterdir()}
        assert {name.split("-")[0] for name in before} == {"default", "histogram"}
        built = running.materialize(settings, ",".join(OWN))
        again = running.materialize(settings, ",".join(OWN))
    assert {asset.outcome for asset in built.assets} == {"built"}
    assert {asset.outcome for asset in again.assets} == {"reused"}
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in finished.iterdir()}.items()
    table = pd.read_parquet(lake.require(OWN[0]).data)
    assert tuple(table["challenger"]) == NAMES
    assert table["applicants"].unique().tolist() == [900]
    assert len(pd.read_parquet(lake.require(OWN[1]).data)) == 15
    reports = settings.reports / "research"
    assert sorted(path.name for path in reports.iterdir()) == ["challengers.json", "rebalancing.json", "scorecard.json"]
    card = json.loads((reports / "scorecard.json").read_text())
    assert {row["input"] for row in card["bins"]} <= {i.name for i in INPUTS}
    summary = terminal._summary(settings, built, ",".join(OWN))
    assert set(summary["research"]) == set(OWN)
    assert "price of interpretability" in summary["research"][OWN[0]]


def refuse(*_: Any, **__: Any) -> Any:
    raise TrainingError("the memory of this test is full")


def test_the_job_holds_the_group_and_no_other_job_does() -> None:
    steps = {key.replace("/", "__") for key in APART}
    assert set(OWN) <= APART
    for job in build_defs().resolve_all_job_defs():
        expected = steps if job.name in {"research_model", "__ASSET_JOB"} else set()
        assert steps & set(job.graph.node_dict) == expected, job.name


def test_research_may_be_older_than_a_night() -> None:
    graph = build_defs().resolve_asset_graph()
    nightly, apart = (graph.get(dg.AssetKey(key.split("/"))).freshness_policy for key in ("model/pd", OWN[1]))
    assert apart.fail_window.to_timedelta() > 30 * nightly.fail_window.to_timedelta()


@pytest.mark.parametrize(("known", "select"), [(True, "group:research"), (False, "+group:research")])
def test_the_command_makes_what_research_is_made_from_only_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool, select: str
) -> None:
    asked: list[str] = []

    def run_graph(_settings: Settings, _source: str, select: str, *, quiet: bool) -> Any:
        asked.append(select)
        return RunResult(failures=[] if known else ["no source"]), {"quiet": quiet}

    monkeypatch.setattr(terminal, "run_graph", run_graph)
    monkeypatch.setattr(terminal, "choose_source", lambda *_, **__: "sample:0.05")
    if known:
        publish_split(Settings())
    answer = CliRunner().invoke(app, ["research", "--json"])
    assert asked == [select]
    assert json.loads(answer.stdout) == {"quiet": True}
    assert answer.exit_code == (0 if known else 1)


def test_both_selections_of_the_command_are_understood() -> None:
    locations = {"assets": build_defs()}
    names = {key.to_user_string() for key in running._select("group:research", locations)["assets"]}
    assert names == APART
    upstream = {key.to_user_string() for key in running._select("+group:research", locations)["assets"]}
    assert {"raw/bureau", "training/split_train"} < upstream
    assert upstream >= APART
    assert "registry/version" not in upstream


@pytest.mark.parametrize(
    ("select", "taken"),
    [
        ("*", set()),
        ('+key:"registry/version"', set()),
        ('key:"model/*"', set()),
        ('key:"training/split_train"+', set()),
        ('key:"model/ladder" or key:"model/pd"', {"model/ladder"}),
        ("model/selection,model/pd", {"model/selection"}),
        ('key:"training/split_train"+ or group:"research"', APART),
    ],
)
def test_research_is_run_where_it_is_named_and_not_where_it_is_only_reached(select: str, taken: set[str]) -> None:
    chosen = running._select(select, {"assets": build_defs()})["assets"]
    names = {key.to_user_string() for key in chosen}
    assert names & APART == taken
    assert names - APART
