"""The rungs of the ladder, what is kept of a run that was killed, and what the table says."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.ladder import LADDER
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.families import FAMILIES, applicant_features
from creditrisk_assets.features.lineage import applicant_lineage
from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.comparison import compare_auc
from creditrisk_assets.modelling.configuration import ModelConfig, load_configuration
from creditrisk_assets.modelling.inputs import Lineage, ModelInput
from creditrisk_assets.modelling.research import ladder
from creditrisk_assets.modelling.research.budgets import ResearchConfig, load_research
from creditrisk_assets.modelling.research.ladder import (
    Climbed,
    LadderError,
    Rung,
    beside_control,
    climb,
    climb_all,
    make_rungs,
    tabulate,
)
from creditrisk_assets.modelling.research.ladder_plot import draw_ladder
from creditrisk_assets.modelling.research.learned.crossfit import LearnedError
from creditrisk_assets.modelling.research.learned.kinds import (
    KINDS,
    NEAR_BY,
    SCORES,
    Material,
    learned_columns,
    predictors,
)
from creditrisk_assets.modelling.tables import Part

INPUTS = tuple(ModelInput(name, "application", "numeric") for name in NEAR_BY)
LINEAGE = {name: frozenset({("application", raw)}) for name, raw in SCORES.items()} | {
    NEAR_BY[-1]: frozenset({("application", "AMT_CREDIT"), ("application", "AMT_ANNUITY")})
}
MADE_FROM = {"training/split_train": "abc"}
RUNGS = (
    Rung("low", "one score", INPUTS[:1]),
    Rung("high", "all", INPUTS, "low"),
    Rung("neighbours", "who is near", INPUTS, "high", "neighbours"),
)


@pytest.fixture(scope="module")
def material() -> Material:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.random(1200).astype(np.float32) for name in NEAR_BY})
    risk = (1 - frame[NEAR_BY[0]] - 0.6 * frame[NEAR_BY[1]]).to_numpy()
    target = (random.random(1200) < 1 / (1 + np.exp(-3 * risk))).astype(np.int64)
    return Material(Part(np.arange(1200) + 100_000, target, frame), INPUTS, LINEAGE, {})


@pytest.fixture(scope="module")
def store() -> tuple[tuple[ModelInput, ...], Lineage]:
    """Every feature of the store with its lineage."""
    return tuple(ModelInput(f.name, f.family, f.kind) for f in applicant_features()), applicant_lineage()


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    shipped = load_configuration()
    quick = shipped.lightgbm.model_copy(update={"min_child_samples": 20, "feature_fraction": 1.0})
    return shipped.model_copy(update={"lightgbm": quick})


@pytest.fixture(scope="module")
def research() -> ResearchConfig:
    shipped = load_research()
    return shipped.model_copy(
        update={"ladder": shipped.ladder.model_copy(update={"maximum_trees": 20, "stop_after": 5})}
    )


@pytest.fixture(scope="module")
def climbed(material: Material, config: ModelConfig, research: ResearchConfig) -> Mapping[str, Climbed]:
    return {rung.name: climb(rung, material, config, research, threads=1) for rung in RUNGS}


def test_every_feature_of_the_store_is_on_one_rung_and_rungs_stand_on_each_other(
    store: tuple[tuple[ModelInput, ...], Lineage],
) -> None:
    inputs, lineage = store
    rungs = make_rungs(inputs, lineage)
    families = [rung for rung in rungs if rung.learned is None]
    assert [rung.name for rung in families] == ["external_scores", *FAMILIES, "recency"]
    assert [rung.below for rung in families] == [None, *(rung.name for rung in families[:-1])]
    for lower, upper in itertools.pairwise(families):
        assert set(lower.inputs) < set(upper.inputs)
    assert set(families[-1].inputs) == set(inputs)
    assert [(rung.name, rung.below) for rung in rungs[len(families) :]] == [(kind, "recency") for kind in KINDS]
    assert "applicant__has_bureau" in {item.name for item in families[2].inputs} - {
        item.name for item in families[1].inputs
    }


def test_the_lowest_rung_knows_the_external_scores_alone(store: tuple[tuple[ModelInput, ...], Lineage]) -> None:
    inputs, lineage = store
    lowest = make_rungs(inputs, lineage)[0]
    assert set(SCORES) <= {item.name for item in lowest.inputs}
    assert {column for item in lowest.inputs for _, column in lineage[item.name]} == set(SCORES.values())


def test_windows_and_the_last_few_come_after_the_families(store: tuple[tuple[ModelInput, ...], Lineage]) -> None:
    rungs = {rung.name: {item.name for item in rung.inputs} for rung in make_rungs(*store)}
    added = rungs["recency"] - rungs["pos_cash"]
    assert {"installments__late_share_180d", "bureau__active_share_365d", "pos_cash__dpd_days_max_last_6"} <= added
    assert "installments__late_days_sum" in rungs["installments"]


def test_an_input_of_no_family_is_refused() -> None:
    with pytest.raises(LadderError, match="families weather are on no rung"):
        make_rungs(
            [ModelInput("weather__rain", "weather", "numeric")], {"weather__rain": frozenset({("weather", "RAIN")})}
        )


def test_the_table_measures_each_rung_against_the_one_it_stands_on(
    climbed: Mapping[str, Climbed], material: Material, config: ModelConfig
) -> None:
    table = tabulate(RUNGS, climbed, material, config).set_index("rung")
    target = material.part.labels
    expected = compare_auc(target, climbed["high"].margins, climbed["low"].margins)
    high = table.loc["high"]
    assert high["auc"] == auc_interval(target, climbed["high"].margins).value
    assert (high["gain"], high["gain_low"], high["p_value"]) == (
        expected.difference.value,
        expected.difference.low,
        expected.p_value,
    )
    assert high["verdict"] == "better"
    assert table.loc["neighbours", "against"] == "high"
    assert table.loc["neighbours", "inputs_count"] == len(INPUTS) + 2
    assert table.loc["low", ["against", "gain", "p_value", "verdict"]].isna().all()
    rate = target.mean()
    assert (table["brier"] < rate * (1 - rate)).all()


def test_learned_features_are_held_beside_the_control(climbed: Mapping[str, Climbed], material: Material) -> None:
    rungs = (*RUNGS, Rung("control", "nothing new", INPUTS, "high", "control"))
    found = beside_control(rungs, {**climbed, "control": climbed["high"]}, material)
    assert list(found) == ["neighbours"]
    target = material.part.labels
    assert found["neighbours"] == compare_auc(target, climbed["neighbours"].margins, climbed["high"].margins)


def test_the_table_keeps_its_contract(
    climbed: Mapping[str, Climbed],
    material: Material,
    config: ModelConfig,
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
) -> None:
    tabulate(RUNGS, climbed, material, config).to_parquet(tmp_path / "data.parquet", index=False)
    report = check(con, parquet(tmp_path / "data.parquet"), LADDER)
    assert report.passed, report


def test_every_rung_is_drawn(climbed: Mapping[str, Climbed], material: Material, config: ModelConfig) -> None:
    table = tabulate(RUNGS, climbed, material, config)
    assert draw_ladder(table).startswith(b"\x89PNG")
    assert draw_ladder(table) == draw_ladder(table)


def test_a_random_target_gives_half_through_a_rung_of_learned_features(
    material: Material, config: ModelConfig, research: ResearchConfig
) -> None:
    target = (np.random.default_rng(5).random(1200) < 0.3).astype(np.int64)
    blind = replace(material, part=replace(material.part, target=target))
    found = auc_interval(target, climb(RUNGS[2], blind, config, research, threads=1).margins, 0.9999)
    assert found.low <= 0.5 <= found.high


def test_outcomes_held_out_change_no_learned_column(material: Material, research: ResearchConfig) -> None:
    inside, outside = np.arange(900), np.arange(900, 1200)
    other = material.part.labels.copy()
    other[outside] = 1 - other[outside]
    changed = replace(material, part=replace(material.part, target=other))
    budget = research.ladder.learned
    one = learned_columns(KINDS["neighbours"], material.take(inside), material.take(outside), budget, 1)
    two = learned_columns(KINDS["neighbours"], changed.take(inside), changed.take(outside), budget, 1)
    for before, after in zip(one[:2], two[:2], strict=True):
        pd.testing.assert_frame_equal(before.frame, after.frame)


def test_the_order_of_applicants_changes_no_fold_and_no_figure_but_by_rounding(
    climbed: Mapping[str, Climbed], material: Material, config: ModelConfig, research: ResearchConfig
) -> None:
    turned = material.take(np.arange(1200)[::-1].copy())
    again = climb(RUNGS[2], turned, config, research, threads=1).margins[::-1]
    one, two = (auc_interval(material.part.labels, m).value for m in (climbed["neighbours"].margins, again))
    assert one == pytest.approx(two, abs=0.01)


def test_a_column_the_policy_prohibits_cannot_be_learned_from(material: Material) -> None:
    without = replace(material, inputs=INPUTS[1:])
    with pytest.raises(LearnedError, match="application__ext_1_score is no allowed input"):
        without.frame(NEAR_BY)


def test_a_score_is_never_predicted_from_what_is_made_of_it(
    material: Material, store: tuple[tuple[ModelInput, ...], Lineage]
) -> None:
    inputs, lineage = store
    found = predictors(replace(material, inputs=inputs, lineage=lineage), "EXT_SOURCE_1")
    assert "application__ext_2_score" in found
    assert not {"application__ext_1_score", "application__ext_score_mean", "application__has_ext_1_score"} & set(found)


class TestARunThatWasKilled:
    """Finished rungs are kept as files."""

    @pytest.fixture
    def shelf(self, tmp_path: Path, climbed: Mapping[str, Climbed], monkeypatch: pytest.MonkeyPatch) -> Path:
        """A run that was killed after two rungs."""
        self.asked: list[str] = []

        def killed(rung: Rung, *_: object, **__: object) -> Climbed:
            self.asked.append(rung.name)
            if rung.name == "neighbours":
                raise KeyboardInterrupt
            return climbed[rung.name]

        monkeypatch.setattr(ladder, "climb", killed)
        with pytest.raises(KeyboardInterrupt):
            climb_all(RUNGS, *self.given, threads=1, shelf=tmp_path, made_from=MADE_FROM)
        assert len(list(tmp_path.iterdir())) == 2
        monkeypatch.setattr(ladder, "climb", lambda rung, *_, **__: self.asked.append(rung.name) or climbed[rung.name])
        self.asked.clear()
        return tmp_path

    @pytest.fixture(autouse=True)
    def _given(self, material: Material, config: ModelConfig, research: ResearchConfig) -> None:
        self.given = (material, config, research)

    def again(self, shelf: Path, made_from: Mapping[str, str] = MADE_FROM) -> dict[str, Climbed]:
        return climb_all(RUNGS, *self.given, threads=1, shelf=shelf, made_from=made_from)

    def test_goes_on_with_the_rung_it_was_at(self, shelf: Path, climbed: Mapping[str, Climbed]) -> None:
        found = self.again(shelf)
        assert self.asked == ["neighbours"]
        for name, rung in climbed.items():
            assert np.array_equal(found[name].margins, rung.margins), "a margin read back differs in its last bits"
            assert (found[name].inputs, found[name].seconds) == (rung.inputs, rung.seconds)

    @pytest.mark.parametrize("text", ["", "{", "{}", '{"margins": [1.0], "inputs": 1, "seconds": 1}'])
    def test_climbs_a_rung_anew_whose_file_is_damaged(self, shelf: Path, text: str) -> None:
        for path in shelf.iterdir():
            path.write_text(text)
        self.again(shelf)
        assert self.asked == ["low", "high", "neighbours"]

    def test_climbs_everything_anew_from_other_tables_and_drops_the_old_files(self, shelf: Path) -> None:
        old = set(shelf.iterdir())
        self.again(shelf, {"training/split_train": "def"})
        assert self.asked == ["low", "high", "neighbours"]
        assert not old & set(shelf.iterdir())
        assert len(list(shelf.iterdir())) == 3

    def test_climbs_everything_anew_with_another_budget_but_not_for_another_section(self, shelf: Path) -> None:
        material, config, research = self.given
        budget = research.ladder.model_copy(update={"stop_after": 6})
        self.given = (material, config, research.model_copy(update={"ladder": budget}))
        self.again(shelf)
        assert self.asked == ["low", "high", "neighbours"]
        self.asked.clear()
        self.given = (material, config, self.given[2].model_copy(update={"version": 9}))
        self.again(shelf)
        assert self.asked == []

    def test_keeps_no_applicants_id(self, shelf: Path) -> None:
        content = json.loads(next(shelf.iterdir()).read_text())
        assert sorted(content) == ["inputs", "margins", "seconds"]


def test_too_few_applicants_are_named_with_the_rung(
    material: Material, config: ModelConfig, research: ResearchConfig
) -> None:
    with pytest.raises(LadderError, match=r"rung low cannot be climbed: .* too few"):
        climb(RUNGS[0], material.take(np.arange(60)), config, research, threads=1)
