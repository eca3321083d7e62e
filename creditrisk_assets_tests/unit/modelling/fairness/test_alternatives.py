"""A planted proxy is found, what is none is not, and leaving it out is a fairer alternative."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.modelling.fairness import alternatives, pictures
from creditrisk_assets.modelling.fairness.alternatives import (
    IN_USE,
    LIKE_IT,
    Rules,
    Sample,
    candidates,
    frontier,
    learner,
    most_proxied,
)
from creditrisk_assets.modelling.fairness.groups import Grouping, limits_of
from creditrisk_assets.modelling.fairness.proxies import EVERYTHING, InputGroup, input_groups, scan, targets_of
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import load_policy

PROXY, HONEST, NOISE = "application__occupation_category", "application__income_amt", "application__children_count"
INPUTS = [ModelInput(name, "application", "numeric") for name in (PROXY, HONEST, NOISE)]
IMPORTANCE = {PROXY: 0.3, HONEST: 0.6, NOISE: 0.1}
N = 4_000


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Women hold other occupations; outcomes carry an unfairness that the occupation alone tells a model of."""
    generator = np.random.default_rng(11)
    women = generator.random(N) < 0.5
    proxy = np.where(women, generator.normal(1.5, 1, N), generator.normal(0, 1, N))
    honest, noise = generator.normal(0, 1, N), generator.normal(0, 1, N)
    margin = (
        -2 - honest + 0.8 * women
    )  # the outcomes carry the unfairness: without the occupation they cannot be told apart
    target = (generator.random(N) < 1 / (1 + np.exp(-margin))).astype(int)
    values = np.where(women, "women", "men").astype(object)
    matrix = np.column_stack([proxy, honest, noise]).astype(np.float32)
    pds = 1 / (1 + np.exp(2 + honest - 0.5 * proxy))
    return Sample(
        matrix, (PROXY, HONEST, NOISE), target, pds, (Grouping("sex", values, "men", ("women",)),), 959, (0, -1, 0)
    )


@pytest.fixture(scope="module")
def proxies(sample: Sample) -> pd.DataFrame:
    groups = input_groups(INPUTS, IMPORTANCE)
    targets = targets_of(sample.groupings)
    return scan(sample.matrix, sample.names, groups, targets, strong=0.8, minimum=100, seed=1, threads=1)


def test_a_planted_proxy_is_found_and_ranked_first(proxies: pd.DataFrame) -> None:
    single = proxies[proxies["kind"] == "group"].set_index("input_group")
    assert single.index[0] == PROXY
    assert single.loc[PROXY, "auc_low"] > 0.8
    assert single["strong"].to_dict() == {PROXY: True, HONEST: False, NOISE: False}
    for name in (HONEST, NOISE):
        assert single.loc[name, "auc_low"] < 0.5 + 0.03, "what says nothing was told from itself"
    assert set(proxies["kind"]) == {"group", "family", "everything"}
    assert proxies.set_index("input_group").loc[EVERYTHING, "auc"] > 0.8


def test_a_target_of_too_few_is_not_measured(sample: Sample) -> None:
    few = Grouping(
        "age", np.array(["62 and older"] * 20 + ["younger"] * (N - 20), dtype=object), None, ("62 and older",)
    )
    found = scan(
        sample.matrix, sample.names, input_groups(INPUTS, IMPORTANCE), targets_of([few]), strong=0.8, minimum=100, seed=1, threads=1
    )  # fmt: skip
    assert found.empty
    assert list(found.columns)


def test_crossed_groups_are_no_target() -> None:
    assert targets_of([Grouping("sex × age", np.array(["a", "b"], dtype=object), None, ("a",))]) == ()


@pytest.fixture(scope="module")
def family(sample: Sample, proxies: pd.DataFrame) -> pd.DataFrame:
    ranked = most_proxied(proxies, input_groups(INPUTS, IMPORTANCE))
    rules = Rules(minimum_applicants=100, approve_below=0.2, maximum_auc_loss=1.0, least_gain=0.05)
    fit = learner({"learning_rate": 0.1, "num_leaves": 8, "min_child_samples": 50}, seed=1, threads=1, trees=40)
    return frontier(sample, ranked, rules, fit, seed=1)


def test_leaving_the_proxy_out_is_fairer_and_is_named(family: pd.DataFrame) -> None:
    rows = family.set_index("alternative")
    without = rows.loc[f"without {PROXY}"]
    assert without["impact_ratio"] > rows.loc[LIKE_IT, "impact_ratio"] + 0.05
    assert without["better"]
    assert without["on_frontier"]
    assert (without["inputs"], rows.loc[IN_USE, "inputs"]) == (2, 959)
    assert without["approval_rate"] == pytest.approx(rows.loc[LIKE_IT, "approval_rate"])
    assert rows["chosen"].to_dict() == {name: name == IN_USE for name in rows.index}


def test_the_frontier_holds_nobody_who_is_beaten_in_both(family: pd.DataFrame) -> None:
    inputs = family[family["kind"] == "inputs"]
    for row in inputs.to_dict("records"):
        beaten = ((inputs["auc"] > row["auc"]) & (inputs["impact_ratio"] > row["impact_ratio"])).any()
        assert not (beaten and row["on_frontier"])
    assert inputs["on_frontier"].any()


def test_a_wider_cut_off_approves_more(family: pd.DataFrame) -> None:
    cuts = family[family["kind"] == "cut-off"]
    assert cuts["approval_rate"].is_monotonic_increasing
    assert len(cuts) == len(alternatives.CUT_OFFS)


def test_the_same_sample_gives_the_same_table(sample: Sample, proxies: pd.DataFrame, family: pd.DataFrame) -> None:
    groups = input_groups(INPUTS, IMPORTANCE)
    again = scan(
        sample.matrix, sample.names, groups, targets_of(sample.groupings), strong=0.8, minimum=100, seed=1, threads=1
    )
    pd.testing.assert_frame_equal(again, proxies)


def test_pictures_are_drawn_of_what_there_is(proxies: pd.DataFrame, family: pd.DataFrame) -> None:
    limits = limits_of(load_policy())
    nothing = family.assign(impact_ratio=np.nan)
    drawn = [pictures.draw_proxies(proxies, limits), pictures.draw_proxies(proxies.head(0), limits)]
    drawn += [pictures.draw_frontier(family, limits), pictures.draw_frontier(nothing, limits)]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn)


def test_the_family_leaves_out_and_frees_in_turn_and_is_bounded(sample: Sample, family: pd.DataFrame) -> None:
    rows = family.set_index("alternative")
    assert rows.loc["without constraints", ["kind", "freed", "inputs"]].tolist() == ["constraints", HONEST, 3]
    assert {f"without {name}" for name in (PROXY, HONEST, NOISE)} < set(rows.index)
    names = [f"previous_application__quantity{i}_count" for i in range(40)]
    ranked = [InputGroup(name, "group", (name,), 0.01) for name in names]
    wide = replace(sample, names=tuple(names), signs=(1,) * 40)
    found = list(candidates(wide, ranked))
    assert len(found) == len({one.name for one in found}) == 4 + 3 + 6 + 2
    alone = [one for one in found if one.name.startswith("free in")]
    assert [one.unbound for one in alone] == [{name} for name in names[:6]]
    both = next(one for one in found if "constraints and" in one.name)
    assert (len(both.unbound), both.left_out) == (40, set(names[:4]))
    assert not list(candidates(replace(wide, signs=()), []))


def test_a_constraint_that_costs_a_group_its_approvals_is_named_as_the_better_alternative() -> None:
    """Men default less the lower the quantity, women the higher it is: a model that must rise with it declines women."""
    generator = np.random.default_rng(5)
    women, quantity = generator.random(N) < 0.5, generator.normal(0, 1, N)
    sign = np.where(women, -1.0, 1.0)
    target = (generator.random(N) < 1 / (1 + np.exp(2 - 1.5 * sign * quantity - women * 0.3))).astype(int)
    other = np.where(women, 1.0, 0.0) + generator.normal(0, 0.2, N)
    matrix = np.column_stack([quantity + women, other]).astype(np.float32)
    grouping = Grouping("sex", np.where(women, "women", "men").astype(object), "men", ("women",))
    planted = Sample(
        matrix, (HONEST, PROXY), target, np.full(N, 0.2) + matrix[:, 0] / 100, (grouping,), 2, signs=(1, 1)
    )
    rules = Rules(minimum_applicants=100, approve_below=0.21, maximum_auc_loss=0.005, least_gain=0.03)
    fit = learner({"learning_rate": 0.1, "num_leaves": 8, "min_child_samples": 50}, seed=1, threads=1, trees=40)
    rows = frontier(planted, [], rules, fit, seed=1).set_index("alternative")
    assert rows.loc["without constraints", "better"]
    assert rows.loc["without constraints", "auc"] > rows.loc[LIKE_IT, "auc"]
