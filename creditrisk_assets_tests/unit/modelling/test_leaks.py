"""Leak tests: every planted leak is named and blocks; honest data pass, however often they are drawn and however few they are."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.configuration import ConfigurationError, LeakLimits, ModelConfig, load_configuration
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.leaks import (
    LeakError,
    LeakResult,
    Learner,
    Lesson,
    Order,
    a_shuffled_target_teaches_nothing,
    configured_learner,
    ids_tell_nothing,
    limit_by_chance,
    no_single_feature_tells_the_outcome,
    read_order,
    row_order_tells_nothing,
    single_feature_readings,
    standard_error,
)
from creditrisk_assets.modelling.policy import Allowance
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part

LIMITS = load_configuration().leaks
TODAY = date(2026, 5, 3)
ROWS = 4000

Columns = dict[str, Any]


def draw_target(rows: int, random: np.random.Generator, rate: float = 0.08) -> np.ndarray:
    target = (random.random(rows) < rate).astype(np.int64)
    target[random.permutation(rows)[:2]] = [0, 1]
    return target


def some(values: np.ndarray, known: np.ndarray) -> pa.Array:
    return pa.array(values, mask=~known)


def honest_columns(target: np.ndarray, random: np.random.Generator) -> Columns:
    """Draw what a feature table holds: a strong score, noise, ties, gaps, a rare history, categories, ids as text."""
    rows = len(target)
    return {
        "strong": 0.83 * target + random.normal(size=rows),  # AUC 0.72, as the mean of the external scores
        "noise_with_gaps": some(random.normal(size=rows), random.random(rows) < 0.6),
        "count": random.poisson(2, rows),
        "is_owner": random.random(rows) < 0.5,
        "rare": some(random.normal(size=rows), random.random(rows) < 0.02),
        "constant": np.ones(rows),
        "empty": pa.array([None] * rows, pa.float64()),
        "kind": some(random.choice(["a", "b", "c"], rows), random.random(rows) < 0.9),
        "one_each": [f"k{number}" for number in random.permutation(rows)],
    }


def read(directory: Path, target: np.ndarray, columns: Mapping[str, Any], threads: int = 1) -> list[Any]:
    path = directory / "train.parquet"
    ids = np.arange(100_000, 100_000 + len(target))
    pq.write_table(
        pa.table({"sk_id_curr": ids, "target": target.astype(np.int32), **columns}), path, row_group_size=1500
    )
    return list(single_feature_readings(path, LIMITS, threads=threads))


def judge(directory: Path, target: np.ndarray, columns: Mapping[str, Any], limits: LeakLimits = LIMITS) -> LeakResult:
    return no_single_feature_tells_the_outcome(read(directory, target, columns), limits, TODAY)


@pytest.mark.parametrize("rows", [60, 500, ROWS])
def test_honest_features_pass_however_often_they_are_drawn(tmp_path: Path, rows: int) -> None:
    for seed in range(30):
        random = np.random.default_rng(seed)
        target = draw_target(rows, random)
        result = judge(tmp_path, target, honest_columns(target, random))
        assert result.passed, result.words


def few(target: np.ndarray, defaults: int) -> np.ndarray:
    """Tell the outcome of the first so many defaults, and of as large a share of the others."""
    share = defaults / target.sum()
    known = np.zeros(len(target), dtype=bool)
    for kind in (0, 1):
        places = np.flatnonzero(target == kind)
        known[places[: round(len(places) * share)]] = True
    return known


Plant = Callable[[np.ndarray, np.random.Generator], Any]
PLANTED: dict[str, tuple[Plant, str]] = {
    "the outcome": (lambda t, _: t, "its value"),
    "the outcome, turned round": (lambda t, _: -3.5 * t, "its value"),
    "the outcome as yes or no": (lambda t, _: t == 1, "its value"),
    "the outcome with noise": (lambda t, r: 2.0 * t + r.normal(size=len(t)), "its value"),
    "the outcome under tiny differences": (lambda t, r: 1e6 + 1e-7 * (t + 0.5 * r.random(len(t))), "its value"),
    "the outcome of some": (lambda t, _: some(t.astype(float), few(t, 60)), "its value"),
    "known of those who repaid alone": (lambda t, r: some(r.normal(size=len(t)), t == 0), "being NULL"),
    "known of defaults alone": (lambda t, r: some(r.choice(["a", "b"], len(t)), t == 1), "being NULL"),
    "defaults in the middle": (
        lambda t, r: np.where(t == 1, 0.2 * r.normal(size=len(t)), r.choice([-1, 1], len(t)) * (1 + r.random(len(t)))),
        "bands of its values",
    ),
    "a category for each outcome": (
        lambda t, r: np.where(t == 1, r.choice(["w", "x"], len(t)), r.choice(["y", "z"], len(t))),
        "its category",
    ),
}


@pytest.mark.parametrize("name", list(PLANTED))
def test_a_feature_that_knows_the_outcome_blocks_by_its_name_and_by_what_tells(tmp_path: Path, name: str) -> None:
    plant, by = PLANTED[name]
    random = np.random.default_rng(1)
    target = draw_target(ROWS, random)
    columns = honest_columns(target, random) | {"planted": plant(target, random)}
    result = judge(tmp_path, target, columns)
    assert (result.passed, result.blocks) == (False, True)
    assert result.words.startswith("the outcome is told: planted reaches AUC ")
    assert [r.name for r in result.readings if r.auc > r.limit] == ["planted"]
    over = {r.by for r in read(tmp_path, target, columns) if r.auc > r.limit}
    assert by in over, over


def test_values_are_read_by_exact_ranks_with_ties_among_those_who_have_one(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    target = draw_target(ROWS, random)
    known = random.random(ROWS) < 0.5
    values = random.poisson(3 + target).astype(float)
    (reading,) = [r for r in read(tmp_path, target, {"f": some(values, known)}) if r.by == "its value"]
    assert reading.auc == pytest.approx(auc_interval(target[known], values[known]).value, abs=1e-12)
    assert reading.defaults == target[known].sum()


def test_a_category_of_one_applicant_says_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    target = draw_target(ROWS, random)
    (reading,) = read(tmp_path, target, {"one_each": [f"k{number}" for number in range(ROWS)]})
    assert reading.auc == 0.5


@pytest.mark.parametrize(("defaults", "blocks"), [(6, False), (60, True)])
def test_a_feature_known_of_few_defaults_may_be_luck(tmp_path: Path, defaults: int, blocks: bool) -> None:
    random = np.random.default_rng(5)
    target = draw_target(ROWS, random)
    assert judge(tmp_path, target, {"f": some(target.astype(float), few(target, defaults))}).blocks is blocks


def test_a_limit_of_many_applicants_is_the_ceiling(tmp_path: Path) -> None:
    assert limit_by_chance(LIMITS.honest_auc, 20_000, 226_000, LIMITS.false_alarm_rate) < LIMITS.ceiling
    assert limit_by_chance(LIMITS.honest_auc, 3, 30, LIMITS.false_alarm_rate) == 1


def test_threads_change_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    target = draw_target(ROWS, random)
    columns = honest_columns(target, random)
    assert read(tmp_path, target, columns, threads=2) == read(tmp_path, target, columns)


def test_a_column_of_another_type_is_refused_by_its_name(tmp_path: Path) -> None:
    target = np.array([0, 1] * 10)
    with pytest.raises(LeakError, match="when is date32"):
        read(tmp_path, target, {"when": pa.array([date(2026, 1, 1)] * 20)})


def allowing(feature: str, expires: date) -> LeakLimits:
    allowance = Allowance(feature=feature, reason="a score of our own", approver="A. Person", expires=expires)
    return LIMITS.model_copy(update={"allowances": (allowance,)})


def test_a_leak_allowed_by_name_warns_with_reason_and_person_until_its_end(tmp_path: Path) -> None:
    target = draw_target(ROWS, np.random.default_rng(7))
    leaks = {"own_score": target}
    allowed = judge(tmp_path, target, leaks, allowing("own_score", date(2026, 5, 4)))
    assert (allowed.passed, allowed.blocks) == (False, False)
    assert "allowed before 2026-05-04 by A. Person: a score of our own" in allowed.words
    assert judge(tmp_path, target, leaks, allowing("own_score", TODAY)).blocks
    assert judge(tmp_path, target, leaks, allowing("another", date(2027, 1, 1))).blocks


def order(target: np.ndarray, ids: np.ndarray | None = None, delivered: np.ndarray | None = None) -> Order:
    places = np.arange(len(target))
    delivered = places if delivered is None else delivered
    return Order(places if ids is None else ids, target, {"split_train": places, "application_train": delivered})


def test_drawn_ids_and_orders_pass_however_often_they_are_drawn() -> None:
    for seed in range(60):
        random = np.random.default_rng(seed)
        rows = int(random.integers(50, 3000))
        drawn = order(draw_target(rows, random), np.sort(random.permutation(4 * rows)[:rows]), random.permutation(rows))
        for result in (ids_tell_nothing(drawn, LIMITS, TODAY), row_order_tells_nothing(drawn, LIMITS, TODAY)):
            assert result.passed, result.words


TELLING: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "sorted by outcome": lambda t, _: np.argsort(np.argsort(t, kind="stable")),
    "defaults last, mostly": lambda t, r: np.argsort(np.argsort(t + 1.5 * r.normal(size=len(t)))),
    "defaults in the middle": lambda t, r: np.argsort(np.argsort(np.where(t == 1, 0.3, 1) * r.normal(size=len(t)))),
    "odd numbers for defaults": lambda t, r: 2 * r.permutation(len(t)) + t,
    "a last digit for defaults": lambda t, r: (
        10 * r.permutation(len(t)) + np.where(t == 1, 7, r.integers(0, 10, len(t)))
    ),
}


@pytest.mark.parametrize("name", list(TELLING))
def test_ids_and_orders_that_tell_the_outcome_block(name: str) -> None:
    random = np.random.default_rng(8)
    target = draw_target(ROWS, random)
    telling = TELLING[name](target, random)
    ids = ids_tell_nothing(order(target, ids=telling), LIMITS, TODAY)
    assert ids.blocks
    assert ids.words.startswith("the outcome is told: sk_id_curr reaches AUC ")
    rows = row_order_tells_nothing(order(target, delivered=telling), LIMITS, TODAY)
    assert rows.blocks
    assert "row_of_application_train reaches AUC" in rows.words
    assert "row_of_split_train" not in rows.words


def test_an_order_by_date_may_be_allowed_by_its_name() -> None:
    target = np.sort(draw_target(ROWS, np.random.default_rng(9)))
    assert ids_tell_nothing(order(target), LIMITS, TODAY).blocks
    allowed = ids_tell_nothing(order(target), allowing("sk_id_curr", date(2027, 1, 1)), TODAY)
    assert (allowed.passed, allowed.blocks) == (False, False)


def test_rows_are_placed_in_the_part_and_as_delivered(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    part, given = tmp_path / "part.parquet", tmp_path / "given.parquet"
    pq.write_table(pa.table({"sk_id_curr": [3, 5, 9], "target": pa.array([0, 1, 0], pa.int32())}), part)
    pq.write_table(pa.table({"SK_ID_CURR": [9, 4, 5, 3]}), given)
    found = read_order(con, part, given)
    assert (found.ids.tolist(), found.target.tolist()) == ([3, 5, 9], [0, 1, 0])
    assert {name: places.tolist() for name, places in found.positions.items()} == {
        "split_train": [0, 1, 2],
        "application_train": [3, 2, 0],
    }


def test_too_few_of_a_class_are_not_judged() -> None:
    assert ids_tell_nothing(order(np.array([0, 0, 0, 1])), LIMITS, TODAY).words.startswith("not applicable")


def test_the_error_of_an_auc_by_chance_is_exact() -> None:
    random = np.random.default_rng(10)
    target = draw_target(400, random)
    errors = [auc_interval(target, random.normal(size=400)).value - 0.5 for _ in range(1500)]
    expected = standard_error(0.5, int(target.sum()), 400 - int(target.sum()))
    assert np.std(errors) == pytest.approx(expected, rel=0.06)


@pytest.fixture(scope="module")
def few_trees() -> ModelConfig:
    shipped = load_configuration()
    return shipped.model_copy(update={"leaks": shipped.leaks.model_copy(update={"shuffled_trees": 15})})


RATE = ModelInput("application__income_rate", "application", "numeric")


def shuffled(part: Part, learner: Learner, limits: LeakLimits = LIMITS) -> LeakResult:
    return a_shuffled_target_teaches_nothing(part, learner, limits)


def test_the_configured_learner_learns_nothing_from_a_shuffled_target(few_trees: ModelConfig) -> None:
    learner = configured_learner(INPUTS, few_trees, threads=1)
    for seed in range(12):
        result = shuffled(draw_part(1600, seed), learner)
        assert result.passed, result.words
        assert {r.name for r in result.readings} == {"held-out applicants", "validation applicants"}


def test_the_target_is_shuffled_and_both_parts_are_others(few_trees: ModelConfig) -> None:
    part, seen = draw_part(2000), []
    learner = configured_learner(INPUTS, few_trees, threads=1)

    def watched(known: Part, held_out: Part) -> Lesson:
        seen.extend([known, held_out])
        return learner(known, held_out)

    assert shuffled(part, watched).passed
    known, held_out = seen
    assert not set(known.ids) & set(held_out.ids)
    assert abs(known.labels.mean() - held_out.labels.mean()) < 0.002
    agree = np.mean(part.labels[known.ids] == known.labels)
    rate = part.labels.mean()
    assert agree == pytest.approx(rate**2 + (1 - rate) ** 2, abs=0.05)
    assert np.array_equal(
        known.frame["application__score"], part.frame["application__score"].iloc[known.ids], equal_nan=True
    )


def encoded(part: Part, cells: np.ndarray, rates: Mapping[int, float]) -> Part:
    return replace(part, frame=part.frame.assign(**{RATE.name: [np.float32(rates.get(cell, 0.2)) for cell in cells]}))


def cells_of(part: Part) -> np.ndarray:
    return (np.log(part.frame["application__income_amt"].to_numpy()) * 100).astype(np.int64)


def rates_of(*parts: Part) -> dict[int, float]:
    cells, labels = np.concatenate([cells_of(p) for p in parts]), np.concatenate([p.labels for p in parts])
    return pd.Series(labels).groupby(cells).mean().to_dict()


def test_an_encoding_fitted_before_the_parts_were_parted_is_caught(few_trees: ModelConfig) -> None:
    learner = configured_learner((*INPUTS, RATE), few_trees, threads=1)

    def peeks(known: Part, held_out: Part) -> Lesson:
        rates = rates_of(known, held_out)
        return learner(encoded(known, cells_of(known), rates), encoded(held_out, cells_of(held_out), rates))

    result = shuffled(draw_part(2000), peeks)
    assert result.blocks
    assert "held-out applicants reaches AUC" in result.words
    assert shuffled(draw_part(2000), peeks, allowing("held-out applicants", date(2027, 1, 1))).blocks


def test_an_encoding_fitted_before_early_stopping_parts_its_rows_is_caught(few_trees: ModelConfig) -> None:
    learner = configured_learner((*INPUTS, RATE), few_trees, threads=1)

    def peeks(known: Part, held_out: Part) -> Lesson:
        rates = rates_of(known)
        return learner(encoded(known, cells_of(known), rates), encoded(held_out, cells_of(held_out), rates))

    result = shuffled(draw_part(2000), peeks)
    assert result.blocks
    assert "validation applicants reaches AUC" in result.words
    assert "held-out" not in result.words


def test_a_part_too_small_for_two_halves_is_not_judged(few_trees: ModelConfig) -> None:
    part = draw_part(40)
    lone = replace(part, target=(np.arange(40) < 3).astype(np.int64))
    result = shuffled(lone, configured_learner(INPUTS, few_trees, threads=1))
    assert result.passed
    assert result.words == "not applicable: 3 defaults among 40 applicants are too few for two halves"


def test_the_strongest_honest_feature_lies_below_the_ceiling(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    shipped = (Path(__file__).parents[3] / "creditrisk_assets" / "modelling" / "model.yaml").read_text()
    for value, words in (
        ("honest_auc: 0.85", "honest_auc must not lie above ceiling"),
        ("ceiling: 0.99", "less than or equal to 0.9"),
    ):
        name = value.split(":")[0]
        path.write_text(
            "\n".join(f"  {value}" if line.strip().startswith(f"{name}:") else line for line in shipped.splitlines())
        )
        with pytest.raises(ConfigurationError, match=words):
            load_configuration(path)
