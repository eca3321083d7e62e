"""Drift: by effect size, on all inputs, with NULL as a value; too few rows are no verdict."""

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.contracts.check import check, parquet_relation
from creditrisk_assets.contracts.drift import CONTRACT
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.monitoring.drift import (
    DriftReport,
    measure_drift,
    population_stability_index,
    write_evidently_report,
)

LIMITS = load_policy().drift
INPUTS = (
    *(ModelInput(f"application__x{number}", "application", "numeric") for number in range(8)),
    ModelInput("application__c", "application", "category"),
    ModelInput("application__is", "application", "boolean"),
)


def draw_part(rows: int = 2000, seed: int = 0) -> Part:
    random = np.random.default_rng(seed)
    columns: dict[str, object] = {i.name: random.normal(size=rows) for i in INPUTS[:8]}
    columns["application__c"] = pd.Categorical(random.choice(["a", "b"], rows))
    columns["application__is"] = random.integers(0, 2, rows).astype(np.float32)
    return Part(np.arange(rows), None, pd.DataFrame(columns))


def measure(reference: Part, current: Part, shift: float = 0.0) -> DriftReport:
    random = np.random.default_rng(5)
    scores = (random.beta(2, 20, len(reference)), np.clip(random.beta(2, 20, len(current)) + shift, 0, 1))
    return measure_drift(reference, current, scores, INPUTS, {INPUTS[0].name: 0.7, INPUTS[1].name: 0.3}, LIMITS)


def changed(part: Part, **columns: object) -> Part:
    return replace(part, frame=part.frame.assign(**columns))


def test_another_draw_of_the_same_applicants_is_stable() -> None:
    report = measure(draw_part(), draw_part(seed=1))
    assert (report.status, report.retrain, report.drifted_share) == ("stable", False, 0.0)


def test_one_moved_input_is_named_and_calls_for_no_retrain() -> None:
    current = draw_part(seed=1)
    report = measure(draw_part(), changed(current, application__x3=current.frame["application__x3"] + 1))
    assert report.status == "moving"
    assert not report.retrain
    assert "application__x3" in report.words
    assert report.table.loc[0, "feature"] == "application__x3"
    assert report.table.loc[0, "wasserstein"] == pytest.approx(1, abs=0.1)


def test_many_moved_inputs_are_drift() -> None:
    current = draw_part(seed=1)
    moved = {f"application__x{number}": current.frame[f"application__x{number}"] * 3 for number in range(3)}
    report = measure(draw_part(), changed(current, **moved))
    assert (report.status, report.retrain) == ("drifted", True)
    assert report.drifted_share == pytest.approx(0.3)


def test_a_moved_score_is_drift_though_no_input_moved() -> None:
    assert measure(draw_part(), draw_part(seed=1), shift=0.1).status == "drifted"


def test_a_feed_that_went_missing_is_drift_of_its_input() -> None:
    report = measure(draw_part(), changed(draw_part(seed=1), application__x0=np.nan))
    row = report.table.set_index("feature").loc["application__x0"]
    assert row["drifted"]
    assert (row["missing_reference"], row["missing_current"]) == (0, 1)


def test_a_new_category_is_drift_of_its_input() -> None:
    report = measure(draw_part(), changed(draw_part(seed=1), application__c="new"))
    assert report.table.set_index("feature").loc["application__c", "drifted"]


@pytest.mark.parametrize("rows", [0, 1, LIMITS.minimum_rows - 1])
def test_too_few_rows_are_no_verdict(rows: int) -> None:
    current = draw_part(seed=1).frame.iloc[:rows]
    report = measure(draw_part(), Part(np.arange(rows), None, current), shift=0.5)
    assert (report.status, report.retrain) == ("unknown", False)
    assert not report.table["drifted"].any()


def test_psi_is_the_one_of_the_definition() -> None:
    before, after = pd.Series(["a"] * 800 + ["b"] * 200), pd.Series(["a"] * 500 + ["b"] * 500)
    expected = (0.5 - 0.8) * np.log(0.5 / 0.8) + (0.5 - 0.2) * np.log(0.5 / 0.2)
    assert population_stability_index(before, after, "category") == pytest.approx(expected, rel=0.01)
    codes = {"a": 0.0, "b": 1.0}
    assert population_stability_index(before.map(codes), after.map(codes), "numeric") == pytest.approx(
        expected, rel=0.01
    )


def test_psi_of_a_column_without_values_is_nothing() -> None:
    empty = pd.Series([np.nan] * 50)
    assert population_stability_index(empty, empty, "numeric") == 0


def test_the_table_holds_its_contract(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    measure(draw_part(), draw_part(seed=1)).table.to_parquet(tmp_path / "t.parquet")
    report = check(con, parquet_relation(tmp_path / "t.parquet"), CONTRACT)
    assert report.failures == ()


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def test_evidently_draws_the_score_what_matters_and_what_moved(tmp_path: Path) -> None:
    reference, current = draw_part(300), changed(draw_part(300, seed=1), application__x7=5.0)
    limits = LIMITS.model_copy(update={"reported_inputs": 3, "minimum_rows": 100})
    scores = (np.linspace(0, 0.5, 300), np.linspace(0, 0.4, 300))
    report = measure_drift(reference, current, scores, INPUTS, {INPUTS[0].name: 0.7, INPUTS[8].name: 0.3}, limits)
    as_json, as_html = tmp_path / "d.json", tmp_path / "d.html"
    drawn = write_evidently_report(
        reference, current, scores, INPUTS, report, limits, json_path=as_json, html_path=as_html
    )
    assert set(drawn) == {"score", "application__x7", "application__x0", "application__c"}
    named = {metric["config"].get("column") for metric in json.loads(as_json.read_text())["metrics"]}
    assert set(drawn) <= named
    assert "<html" in as_html.read_text().lower()


def test_evidently_has_nothing_to_say_of_nobody(tmp_path: Path) -> None:
    empty = Part(np.arange(0), None, draw_part().frame.iloc[:0])
    report = measure(draw_part(), empty)
    paths = {"json_path": tmp_path / "d.json", "html_path": tmp_path / "d.html"}
    assert (
        write_evidently_report(draw_part(), empty, (np.ones(2000), np.ones(0)), INPUTS, report, LIMITS, **paths) == ()
    )
    assert not paths["json_path"].exists()


def test_a_report_is_json_for_machines_and_words_for_people() -> None:
    found = measure(draw_part(), draw_part(seed=1)).to_dict()
    assert json.loads(json.dumps(found))["retrain"] is False
    assert "score PSI" in found["words"]
