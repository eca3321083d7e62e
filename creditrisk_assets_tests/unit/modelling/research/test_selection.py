"""Selection: noise is dropped, signal is kept, and every feature has a verdict that can be checked."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.contracts.selection import REASONS
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import ServingBudget
from creditrisk_assets.modelling.research import selection
from creditrisk_assets.modelling.research.budgets import SelectionRules, load_research
from creditrisk_assets.modelling.research.selection import Selection, SelectionError, select
from creditrisk_assets.modelling.research.selection_plots import draw_kept, draw_null_importance
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError

NOISE = [f"application__noise_{number}" for number in range(15)]
SIGNAL = ["application__score", "application__turning", "application__kind_category"]
TWINS = ["application__score_twin", "application__held"]
SAYS_NOTHING = ["application__constant", "application__empty"]
INPUTS = tuple(
    ModelInput(name, "application", "category" if name.endswith("category") else "numeric", 1 if "held" in name else 0)
    for name in (*SIGNAL, *TWINS, *NOISE, *SAYS_NOTHING, "application__held_noise")
)


def draw(rows: int, seed: int = 5) -> tuple[Part, dict[str, list[str]]]:
    """Draw applicants: a score with two twins (one constrained), a feature that turns between slices, a category, and noise."""
    random = np.random.default_rng(seed)
    segment = random.choice(["cash", "revolving"], rows)
    score, turning = random.normal(size=rows), random.normal(size=rows)
    kind = random.choice(["a", "b"], rows)
    risk = -1.6 + score + 1.2 * turning * np.where(segment == "cash", 1, -1) + 0.9 * (kind == "b")
    columns = {
        "application__score": score,
        "application__turning": turning,
        "application__kind_category": pd.Categorical(kind),
        "application__score_twin": np.exp(score),
        "application__held": 3 * score + 1,
        "application__constant": np.ones(rows),
        "application__empty": np.full(rows, np.nan),
        "application__held_noise": random.normal(size=rows),
        **{name: random.normal(size=rows) for name in NOISE},
    }
    frame = pd.DataFrame({i.name: columns[i.name] for i in INPUTS})
    numbers = frame.select_dtypes("number").columns
    frame[numbers] = frame[numbers].astype(np.float32)
    target = (random.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.int64)
    return Part(np.arange(rows) + 100, target, frame), {"kind": segment.tolist()}


@pytest.fixture(scope="module")
def rules() -> SelectionRules:
    return load_research().selection.model_copy(update={"shuffles": 20, "seeds": 2, "trees": 25})


@pytest.fixture(scope="module")
def learner(config: ModelConfig) -> ModelConfig:
    return config.with_lightgbm({"min_child_samples": 30, "feature_fraction": 0.5})


DRAWN, SLICES = draw(3000)


def run(rules: SelectionRules, learner: ModelConfig, part: Part = DRAWN, slices=SLICES, **changes) -> Selection:
    arguments = {"budget": None, "seed": 7, "threads": 1, **changes}
    return select(part, INPUTS, slices, learner, rules, **arguments)


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the fits of the tests that differ in limits alone."""
    return tmp_path_factory.mktemp("fits")


@pytest.fixture(scope="module")
def found(rules: SelectionRules, learner: ModelConfig, fits: Path) -> Selection:
    return run(rules, learner, checkpoints=fits)


def verdict(found: Selection, name: str) -> selection.Verdict:
    return next(one for one in found.verdicts if one.feature == name)


def test_every_feature_has_one_verdict_and_every_drop_a_reason(found: Selection) -> None:
    assert sorted(v.feature for v in found.verdicts) == sorted(i.name for i in INPUTS)
    assert all((v.reason == selection.KEPT) == (v.words == "") for v in found.verdicts)
    assert list(selection.REASONS) == REASONS
    assert sum(found.counts.values()) == len(INPUTS)
    gains = [v.gain for v in found.verdicts]
    assert gains == sorted(gains, reverse=True)


def test_noise_gains_no_more_than_by_chance(found: Selection) -> None:
    dropped = [name for name in NOISE if verdict(found, name).reason == selection.NULL_IMPORTANCE]
    assert len(dropped) >= len(NOISE) - 2
    assert "quantile of 20 shuffled outcomes" in verdict(found, dropped[0]).words


def test_signal_is_kept(found: Selection) -> None:
    kind = verdict(found, "application__kind_category")
    assert kind.reason == selection.KEPT
    assert kind.gain > kind.null_gain
    assert kind.shuffles_beaten == 1


def test_the_constrained_one_of_twins_is_kept_whatever_it_gains(found: Selection) -> None:
    assert verdict(found, "application__held").reason == selection.KEPT
    for name in ("application__score", "application__score_twin"):
        twin = verdict(found, name)
        assert (twin.reason, twin.twin) == (selection.REDUNDANT, "application__held")
        assert twin.correlation == pytest.approx(1)


def test_of_two_unconstrained_twins_the_one_of_larger_gain_is_kept(rules: SelectionRules, learner: ModelConfig) -> None:
    free = tuple(replace(i, monotone=0) for i in INPUTS)
    found = select(DRAWN, free, SLICES, learner, rules, None, seed=7, threads=1)
    among = [verdict(found, name) for name in ("application__score", *TWINS)]
    (kept,) = [v for v in among if v.reason == selection.KEPT]
    assert kept.gain == max(v.gain for v in among)


def test_a_constrained_feature_is_not_dropped_for_saying_little(found: Selection) -> None:
    noise = verdict(found, "application__held_noise")
    assert noise.gain <= 2 * noise.null_gain
    assert noise.reason == selection.KEPT


def test_what_turns_between_slices_is_dropped_with_them(found: Selection) -> None:
    turning = verdict(found, "application__turning")
    assert turning.reason == selection.UNSTABLE
    assert "kind is cash" in turning.words


def test_constant_and_empty_columns_are_named(found: Selection) -> None:
    assert [verdict(found, name).reason for name in SAYS_NOTHING] == [selection.CONSTANT] * 2
    assert verdict(found, "application__empty").words == "no value in any training row"


def test_the_order_of_rows_changes_nothing(found: Selection, rules: SelectionRules, learner: ModelConfig) -> None:
    turned = np.arange(len(DRAWN))[::-1]
    slices = {name: [values[row] for row in turned] for name, values in SLICES.items()}
    assert run(rules, learner, DRAWN.take(turned), slices) == found


def test_the_budget_cuts_by_rank_and_spares_what_the_policy_constrains(
    found: Selection, rules: SelectionRules, learner: ModelConfig, fits: Path
) -> None:
    cut = run(rules, learner, checkpoints=fits, budget=ServingBudget(maximum_features=2, maximum_leaves=1))
    assert set(cut.features) == {"application__held", "application__held_noise"}
    over = [v.feature for v in cut.verdicts if v.reason == selection.OVER_BUDGET]
    assert set(over) == set(found.features) - set(cut.features)


def test_a_budget_below_what_the_policy_constrains_is_refused(
    rules: SelectionRules, learner: ModelConfig, fits: Path
) -> None:
    with pytest.raises(SelectionError, match=r"constrains 2 features .* room for 1"):
        run(rules, learner, checkpoints=fits, budget=ServingBudget(maximum_features=1, maximum_leaves=1))


def test_a_killed_selection_goes_on_and_ends_the_same(
    found: Selection, rules: SelectionRules, learner: ModelConfig, tmp_path: Path
) -> None:
    def killed(words: str) -> None:
        if words.startswith("shuffle 8"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(rules, learner, checkpoints=tmp_path, progress=killed)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(before) == rules.seeds + 7
    (tmp_path / "shuffle-3.json").write_text("[1.0, 2")  # a disk that was full
    again = run(rules, learner, checkpoints=tmp_path)
    assert again == found
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {name for name in before if after[name] != before[name]} == {"shuffle-3.json"}
    assert len(after) == rules.seeds + rules.shuffles
    assert len(json.loads((tmp_path / "shuffle-3.json").read_text())) == len(INPUTS) - len(SAYS_NOTHING)


def test_a_full_disk_ends_the_selection_and_keeps_what_was_found(
    rules: SelectionRules, learner: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = selection.write_atomically

    def full(path: Path, text: str) -> None:
        if path.name == "shuffle-1.json":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, text)

    monkeypatch.setattr(selection, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        run(rules, learner, checkpoints=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real-0.json", "real-1.json", "shuffle-0.json"]


@pytest.mark.parametrize("outcome", [0, 1])
def test_one_outcome_is_refused(rules: SelectionRules, learner: ModelConfig, outcome: int) -> None:
    one = replace(DRAWN, target=np.full(len(DRAWN), outcome))
    with pytest.raises(TrainingError, match="of each class"):
        run(rules, learner, one)


def test_few_defaults_are_refused_with_how_many_it_takes(rules: SelectionRules, learner: ModelConfig) -> None:
    part, slices = draw(50)
    target = np.zeros(50, dtype=np.int64)
    target[:5] = 1
    with pytest.raises(SelectionError, match=f"5 defaults among 50 .*limit {rules.minimum_defaults}"):
        run(rules, learner, replace(part, target=target), slices)


def test_an_outcome_that_nothing_tells_selects_nothing(rules: SelectionRules, learner: ModelConfig) -> None:
    """With 20 shuffles in a hundred a feature of luck may pass; with the largest of them as the limit none of these does."""
    shuffled = replace(DRAWN, target=np.random.default_rng(2).permutation(DRAWN.labels))
    strict = rules.model_copy(update={"null_quantile": 0.9999})
    names = {"application__kind_category", "application__held", *NOISE[:4]}
    with pytest.raises(SelectionError, match="no feature gains more"):
        select(shuffled, [i for i in INPUTS if i.name in names], SLICES, learner, strict, None, seed=7, threads=1)


def test_columns_that_are_all_constant_are_refused(rules: SelectionRules, learner: ModelConfig) -> None:
    with pytest.raises(SelectionError, match="every feature is constant"):
        select(DRAWN, [i for i in INPUTS if i.name in SAYS_NOTHING], SLICES, learner, rules, None, seed=7, threads=1)


def test_a_verdict_is_drawn_the_same_twice(found: Selection) -> None:
    assert draw_kept(found)[:4] == b"\x89PNG"
    assert draw_null_importance(found) == draw_null_importance(found)
