"""The search: interrupted at any trial it ends where it would have ended, and proposes nothing it cannot defend."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy
from pydantic import ValidationError

from creditrisk_assets.contracts.search import CONTRACT, OUTCOMES
from creditrisk_assets.modelling.auc import Interval
from creditrisk_assets.modelling.comparison import LOG_LOSS, Comparison
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.folds import FoldError, make_folds
from creditrisk_assets.modelling.policy import ServingBudget
from creditrisk_assets.modelling.research import search as searching
from creditrisk_assets.modelling.research.budgets import SearchPlan, load_research
from creditrisk_assets.modelling.research.search import Found, SearchError, judge, search, worth_a_change
from creditrisk_assets.modelling.research.selection_plots import draw_history, draw_parameters
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError, fit_model
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part

PART = draw_part(700)
TRIALS = 7


@pytest.fixture(scope="module")
def learner(config: ModelConfig) -> ModelConfig:
    validation = config.validation.model_copy(update={"folds": 3})
    trees = config.trees.model_copy(update={"maximum": 15, "stop_after": 5, "minimum_defaults": 10, "fallback": 10})
    return config.model_copy(update={"validation": validation, "trees": trees})


@pytest.fixture(scope="module")
def plan() -> SearchPlan:
    space = {
        "learning_rate": {"low": 0.02, "high": 0.3, "log": True},
        "num_leaves": {"low": 2, "high": 16},
        "min_child_samples": {"low": 20, "high": 200, "log": True},
    }
    return SearchPlan(trials=TRIALS, seconds=600, startup_trials=2, space=space)


def run(learner: ModelConfig, plan: SearchPlan, storage: Path, part: Part = PART, **changes) -> Found:
    arguments = {"budget": None, "seed": 3, "threads": 1, "storage": storage, **changes}
    return search(part, INPUTS, learner, plan, **arguments)


@pytest.fixture(scope="module")
def found(learner: ModelConfig, plan: SearchPlan, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return run(learner, plan, tmp_path_factory.mktemp("search") / "trials.db")


def test_the_first_trial_is_what_is_in_use_measured_out_of_fold(found: Found, learner: ModelConfig) -> None:
    first, losses = found.trials[0], []
    assert first.parameters == {name: getattr(learner.lightgbm, name) for name in first.parameters}
    for fold in make_folds(PART.ids, PART.labels, learner.validation):
        model = fit_model(PART.take(fold.fitted), INPUTS, learner, threads=1, fold=fold)
        losses.append(LOG_LOSS.measure(PART.labels[fold.held_out], model.predict(PART.take(fold.held_out).frame)))
    assert first.log_loss == pytest.approx(np.mean(losses), rel=1e-12)


def test_trials_lie_in_the_space_and_whole_numbers_are_whole(found: Found, plan: SearchPlan) -> None:
    assert len(found.trials) == TRIALS
    for trial in found.trials:
        assert all(plan.space[name].holds(value) for name, value in trial.parameters.items())
        assert isinstance(trial.parameters["num_leaves"], int)


def test_a_trial_worse_than_the_median_at_its_fold_is_given_up_and_never_best(
    learner: ModelConfig, plan: SearchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([(0.30, 0.31), (0.29, 0.30), (0.40, 0.10), (0.28, 0.29)])

    def scripted(*_, **__):
        first, second = next(losses)
        yield first, 10, False
        yield second, 10, True

    monkeypatch.setattr(searching, "_fits", scripted)
    found = run(learner, plan.model_copy(update={"trials": 4}), tmp_path / "trials.db")
    assert [trial.outcome for trial in found.trials] == ["complete", "complete", "pruned", "complete"]
    assert (found.trials[2].folds, found.trials[2].log_loss, found.trials[2].trees) == (1, 0.40, None)
    assert found.best == found.trials[3]
    assert found.best.log_loss == pytest.approx(0.285)


@pytest.mark.parametrize("at", [0, 4])
def test_a_search_killed_within_a_trial_ends_as_if_it_had_not_been(
    found: Found, learner: ModelConfig, plan: SearchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The trial that was running stays in the file as running, as after SIGKILL; all that ended before are kept."""
    measure, begun = searching._measure, []

    def killed(study, trial, *rest) -> None:
        begun.append(trial.number)
        if len(begun) == at + 1:
            trial.report(0.1, 0)
            raise KeyboardInterrupt
        measure(study, trial, *rest)

    monkeypatch.setattr(searching, "_measure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(learner, plan, tmp_path / "trials.db")
    again = run(learner, plan, tmp_path / "trials.db")
    assert again == found
    assert len(begun) == TRIALS + 1


def test_more_trials_go_on_from_those_there_are(
    found: Found, learner: ModelConfig, plan: SearchPlan, tmp_path: Path
) -> None:
    fewer = run(learner, plan.model_copy(update={"trials": 2}), tmp_path / "trials.db")
    assert fewer.trials == found.trials[:2]
    assert run(learner, plan, tmp_path / "trials.db") == found


def test_seconds_end_the_search_between_trials(learner: ModelConfig, plan: SearchPlan, tmp_path: Path) -> None:
    short = run(learner, plan.model_copy(update={"seconds": 1e-9}), tmp_path / "trials.db")
    assert len(short.trials) == 1
    assert short.ended.startswith("1 trials in ")
    assert short.importance == {}


def test_a_model_beyond_the_serving_budget_is_never_best(
    learner: ModelConfig, plan: SearchPlan, tmp_path: Path
) -> None:
    few = plan.model_copy(update={"trials": 3})
    found = run(learner, few, tmp_path / "trials.db", budget=ServingBudget(maximum_features=1, maximum_leaves=1))
    assert {trial.outcome for trial in found.trials} == {"over_budget"}
    with pytest.raises(SearchError, match="none of 3 trials fits the policy's serving budget"):
        _ = found.best


def test_a_damaged_file_of_trials_is_named_with_what_to_do(
    learner: ModelConfig, plan: SearchPlan, tmp_path: Path
) -> None:
    path = tmp_path / "trials.db"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 50)
    with pytest.raises(SearchError, match="delete the file if it is damaged") as raised:
        run(learner, plan, path)
    assert str(path) in str(raised.value)


def test_a_full_disk_ends_the_search_with_what_to_do(
    learner: ModelConfig, plan: SearchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's limit of pages answers as a full disk does."""
    path = tmp_path / "trials.db"
    run(learner, plan.model_copy(update={"trials": 1}), path)

    def at_once(study, trial, *_rest) -> None:
        trial.report(0.5, 0)
        study.tell(trial, 0.5)

    monkeypatch.setattr(searching, "_measure", at_once)

    def limited(connection, _record) -> None:
        if isinstance(connection, sqlite3.Connection):
            pages = connection.execute("pragma page_count").fetchone()[0]
            connection.execute(f"pragma max_page_count = {pages}")

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", limited)
    try:
        with pytest.raises(SearchError, match=r"full.*free disk space"):
            run(learner, plan.model_copy(update={"trials": 400}), path)
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "connect", limited)


def test_too_few_of_an_outcome_are_refused_with_how_many_it_takes(
    learner: ModelConfig, plan: SearchPlan, tmp_path: Path
) -> None:
    part = draw_part(50)
    with pytest.raises(FoldError, match="too few for 3 folds"):
        run(learner, plan, tmp_path / "trials.db", part)
    with pytest.raises(TrainingError, match="of each class"):
        run(learner, plan, tmp_path / "trials.db", replace(part, target=np.zeros(50, dtype=np.int64)))
    assert not list(tmp_path.iterdir())


def test_the_table_is_as_the_contract_has_it(found: Found, learner: ModelConfig) -> None:
    table = found.table(learner)
    assert table.columns.tolist() == [column.name for column in CONTRACT.columns]
    assert table["num_leaves"].tolist() == [trial.parameters["num_leaves"] for trial in found.trials]
    assert (table["lambda_l2"] == learner.lightgbm.lambda_l2).all()
    assert set(table["outcome"]) <= set(OUTCOMES)


def test_importance_is_shared_among_the_parameters(found: Found, plan: SearchPlan) -> None:
    assert found.importance.keys() == plan.space.keys()
    assert sum(found.importance.values()) == pytest.approx(1)
    for picture in (draw_history(found), draw_parameters(found), draw_parameters(replace(found, importance={}))):
        assert picture[:4] == b"\x89PNG"


def compared(metric: str, value: float, low: float, high: float) -> Comparison:
    auc = metric == "auc"
    return Comparison(
        metric, 0.5 + value, 0.5, Interval(value, low, high), 0.5, auc, "delong" if auc else "bootstrap", 100, 10
    )


@pytest.mark.parametrize(
    ("auc", "log_loss", "better"),
    [
        ((0.01, -0.01, 0.03), (-0.01, -0.02, 0.01), True),
        ((0.01, 0.005, 0.03), (0.001, -0.02, 0.01), False),
        ((-0.01, -0.02, -0.001), (-0.01, -0.02, -0.001), False),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), False),
    ],
)
def test_found_parameters_are_better_in_log_loss_and_certainly_worse_in_nothing(auc, log_loss, better: bool) -> None:
    verdict, words = worth_a_change([compared("auc", *auc), compared("log_loss", *log_loss)])
    assert verdict is better
    assert words.startswith("better than model.yaml" if better else "keep model.yaml")


def test_parameters_are_judged_on_other_folds_than_they_were_chosen_on(learner: ModelConfig, monkeypatch) -> None:
    seen = []

    def spy(part, inputs, config, *, threads):
        seen.append((config.validation.seed, config.lightgbm.num_leaves))
        return cross_validate(part, inputs, config, threads=threads)

    cross_validate = searching.cross_validate
    monkeypatch.setattr(searching, "cross_validate", spy)
    auc, log_loss = judge(PART, INPUTS, learner, {"num_leaves": 3}, threads=1)
    assert seen == [(learner.validation.seed + 1, 3), (learner.validation.seed + 1, learner.lightgbm.num_leaves)]
    assert (auc.metric, log_loss.metric) == ("auc", "log_loss")
    assert json.dumps(log_loss.to_dict())


@pytest.mark.parametrize(
    ("space", "word"),
    [
        ({"num_leafs": {"low": 2, "high": 8}}, "num_leafs"),
        ({"num_leaves": {"low": 8, "high": 2}}, "below high"),
        ({"num_leaves": {"low": 1, "high": 8}}, "num_leaves"),
        ({"feature_fraction": {"low": 0.5, "high": 1.5}}, "feature_fraction"),
        ({"lambda_l2": {"low": 0.0, "high": 1.0, "log": True}}, "above 0"),
        ({}, "at least 1"),
    ],
)
def test_a_space_lightgbm_does_not_take_is_refused_by_name(space, word: str) -> None:
    content = load_research().search.model_dump()
    with pytest.raises(ValidationError, match=word):
        SearchPlan.model_validate({**content, "space": space})
