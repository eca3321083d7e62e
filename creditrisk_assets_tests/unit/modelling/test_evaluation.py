"""Figures: equal to reference implementations, intervals that cover, tables that hold their contracts."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from creditrisk_assets.contracts.check import check, parquet_relation
from creditrisk_assets.contracts.evaluation import EVALUATION
from creditrisk_assets.contracts.figures import FIGURES
from creditrisk_assets.modelling.auc import auc_difference, auc_interval
from creditrisk_assets.modelling.calibration_tests import calibration_report
from creditrisk_assets.modelling.comparison import compare
from creditrisk_assets.modelling.evaluation import Evaluation, confusion_table, evaluate
from creditrisk_assets.modelling.figures import evaluation_figures, figures_table
from creditrisk_assets.modelling.plots import draw_all
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets_tests.unit.modelling.tables import broken_rules

POLICY = load_policy()
Drawn = tuple[NDArray[np.int64], NDArray[np.float64]]


def draw(rows: int = 4000, seed: int = 0) -> Drawn:
    """Draw true PDs, rounded so that many are equal, and outcomes that follow them."""
    random = np.random.default_rng(seed)
    pds = np.round(1 / (1 + np.exp(2.6 - random.normal(size=rows))), 3)
    return (random.random(rows) < pds).astype(np.int64), pds


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw()


@pytest.fixture(scope="module")
def evaluation(drawn: Drawn) -> Evaluation:
    return evaluate(*drawn, POLICY, with_prohibited=drawn[1] ** 1.1)


def test_figures_equal_those_of_scikit_learn(drawn: Drawn, evaluation: Evaluation) -> None:
    target, pds = drawn
    false, true, _ = metrics.roc_curve(target, pds, drop_intermediate=False)
    assert evaluation.auc.value == pytest.approx(metrics.roc_auc_score(target, pds), abs=1e-12)
    assert evaluation.gini == pytest.approx(2 * evaluation.auc.value - 1)
    assert evaluation.ks == pytest.approx(np.max(true - false), abs=1e-12)
    assert evaluation.pr_auc == pytest.approx(metrics.average_precision_score(target, pds), abs=1e-12)
    assert evaluation.brier == pytest.approx(metrics.brier_score_loss(target, pds), abs=1e-12)
    assert evaluation.log_loss == pytest.approx(metrics.log_loss(target, pds), abs=1e-12)


def test_the_interval_is_the_one_of_the_definition() -> None:
    """DeLong by the O(mn) definition: placements of each default and each non-default."""
    target, pds = draw(200)
    bad, good = pds[target == 1], pds[target == 0]
    wins = (bad[:, None] > good[None, :]) + 0.5 * (bad[:, None] == good[None, :])
    variance = wins.mean(axis=1).var(ddof=1) / len(bad) + wins.mean(axis=0).var(ddof=1) / len(good)
    found = auc_interval(target, pds)
    assert found.high - found.low == pytest.approx(2 * 1.959963985 * variance**0.5, rel=1e-6)


def test_the_interval_covers_the_true_auc_about_as_often_as_it_says() -> None:
    true = metrics.roc_auc_score(*draw(400_000, seed=99))
    found = [auc_interval(*draw(500, seed)) for seed in range(300)]
    covered = np.mean([each.low <= true <= each.high for each in found])
    assert 0.9 <= covered <= 0.99


def test_the_difference_of_a_score_to_itself_is_nothing(drawn: Drawn) -> None:
    target, pds = drawn
    same = auc_difference(target, pds, pds)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_paired_intervals_are_narrower_than_unpaired_ones(drawn: Drawn) -> None:
    target, pds = drawn
    noisy = pds + np.random.default_rng(1).normal(0, 0.02, len(pds))
    paired = auc_difference(target, pds, noisy)
    single = auc_interval(target, pds)
    assert paired.low < paired.value < paired.high
    assert paired.high - paired.low < single.high - single.low


def test_true_pds_are_calibrated_and_squeezed_ones_are_not(drawn: Drawn) -> None:
    target, pds = drawn
    true = evaluate(target, pds, POLICY)
    assert true.calibration_slope == pytest.approx(1, abs=0.15)
    assert true.calibration_intercept == pytest.approx(0, abs=0.15)
    logits = np.log(np.clip(pds, 1e-4, None) / (1 - pds))
    squeezed = evaluate(target, 1 / (1 + np.exp(-0.5 * logits)), POLICY)
    assert squeezed.calibration_slope == pytest.approx(2 * true.calibration_slope, rel=0.01)
    assert squeezed.expected_calibration_error > true.expected_calibration_error


def test_the_constant_pd_has_no_skill() -> None:
    target, pds = draw(500)
    flat = evaluate(target, np.full(len(pds), target.mean()), POLICY)
    assert flat.auc.value == 0.5
    assert flat.brier_to_constant == pytest.approx(1)
    assert flat.calibration_slope == 0
    assert flat.ks == pytest.approx(0)


def test_perfect_pds_are_measured_without_an_error() -> None:
    target, _ = draw(500)
    perfect = evaluate(target, target.astype(np.float64), POLICY)
    assert (perfect.auc.value, perfect.auc.high, perfect.ks) == (1, 1, 1)
    assert np.isfinite(list(perfect.figures().values())).all()


def test_tables_account_for_everybody(evaluation: Evaluation) -> None:
    assert evaluation.deciles["applicants"].sum() == evaluation.applicants
    assert evaluation.deciles["defaults"].sum() == evaluation.defaults
    assert evaluation.deciles["captured_share"].iloc[-1] == 1
    assert evaluation.calibration["applicants"].sum() == evaluation.applicants
    assert evaluation.bands["applicants"].sum() == evaluation.applicants
    distribution = evaluation.score_distribution
    assert distribution["repaid"].sum() + distribution["defaulted"].sum() == evaluation.applicants


def test_bands_are_those_the_policy_decides(drawn: Drawn, evaluation: Evaluation) -> None:
    names = [POLICY.decide(float(each)).band for each in drawn[1]]
    for _, row in evaluation.bands.iterrows():
        assert row["applicants"] == names.count(row["band"])


@pytest.mark.parametrize("name", [name for name in EVALUATION if name != "importance"])
@pytest.mark.parametrize("rows", [4000, 7])
def test_tables_hold_their_contract(name: str, rows: int, tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    target, pds = draw(rows)
    target[:2] = [0, 1]
    evaluate(target, pds, POLICY).tables[name].to_parquet(tmp_path / "t.parquet")
    report = check(con, parquet_relation(tmp_path / "t.parquet"), EVALUATION[name])
    assert report.failures == ()


def test_a_table_that_breaks_its_contract_is_caught(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    broken = evaluate(*draw(), POLICY).deciles.assign(bad_rate=1.5)
    broken.to_parquet(tmp_path / "t.parquet")
    report = check(con, parquet_relation(tmp_path / "t.parquet"), EVALUATION["deciles"])
    assert [failure.column for failure in report.failures] == ["bad_rate"]


def test_an_evaluation_is_json_with_its_tables(evaluation: Evaluation) -> None:
    read = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert read["auc"]["value"] == evaluation.auc.value
    assert len(read["tables"]["deciles"]) == 10
    assert read["comparison"]["auc_gain_with_prohibited"]["value"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("target", "pds", "words"),
    [
        ([0, 0], [0.1, 0.2], "one class"),
        ([0, 1], [0.1], "do not match"),
        ([0, 1], [0.1, float("nan")], "NaN or outside"),
        ([0, 1], [0.1, 1.2], "NaN or outside"),
    ],
)
def test_what_cannot_be_measured_is_refused(target: list[int], pds: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate(np.array(target), np.array(pds), POLICY)


def test_pictures_are_png_and_the_same_every_time(drawn: Drawn, evaluation: Evaluation) -> None:
    importance = {f"application__input_{number}": 1 / 40 for number in range(40)}
    first = draw_all(*drawn, evaluation, importance)
    assert set(first) == {"roc", "precision_recall", "calibration", "score_distribution", "gain", "importance"}
    assert all(png.startswith(b"\x89PNG") for png in first.values())
    assert draw_all(*drawn, evaluation, importance) == first


def test_pictures_of_a_handful_of_applicants_are_drawn_too() -> None:
    target, pds = np.array([0, 1, 0]), np.array([0.1, 0.1, 0.1])
    assert len(draw_all(target, pds, evaluate(target, pds, POLICY), {"only": 0.0})) == 6


def test_the_drift_plot_draws_any_number_of_inputs() -> None:
    from creditrisk_assets.modelling.plots import draw_drift

    for rows in (1, 3, 60):
        table = pd.DataFrame(
            {"feature": [f"f{n}" for n in range(rows)], "statistic": [n / 10 for n in range(rows)], "threshold": 0.25}
        )
        table["drifted"] = table["statistic"] >= table["threshold"]
        assert draw_drift(table, "moving").startswith(b"\x89PNG")


def test_the_confusion_counts_every_applicant_at_the_policy_s_cut_offs() -> None:
    target, pds = np.array([0, 0, 1, 0, 1, 1]), np.array([0.01, 0.12, 0.119, 0.3, 0.29, 0.9])
    table = confusion_table(target, pds, POLICY.decisions).set_index("decision")
    assert table["applicants"].to_dict() == {"approve": 2, "refer": 2, "decline": 2}
    assert table["defaults"].to_dict() == {"approve": 1, "refer": 1, "decline": 1}
    decline = table.loc["decline"]
    assert (decline["bad_rate"], decline["defaults_share"], decline["repaid_share"]) == (1 / 2, 1 / 3, 1 / 3)
    low, high = wilson(1, 3)
    assert np.isclose([decline["defaults_share_low"], decline["defaults_share_high"]], [low, high]).all()


def wilson(hits: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return interval.low, interval.high


def test_a_decision_nobody_gets_has_a_row_without_a_rate() -> None:
    target, pds = np.array([0, 1, 0, 1]), np.array([0.01, 0.02, 0.03, 0.04])
    found = evaluate(target, pds, POLICY)
    decline = found.confusion.set_index("decision").loc["decline"]
    assert (decline["applicants"], decline["defaults_share"]) == (0, 0)
    assert np.isnan(decline["bad_rate"])
    written = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(written)["tables"]["confusion"][2]["bad_rate"] is None


def test_every_figure_is_in_the_tidy_table_once(tmp_path) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(5)
    pds = random.uniform(0.01, 0.6, 900)
    target = (random.random(900) < pds).astype(np.int64)
    measured = evaluate(target, pds, POLICY, with_prohibited=pds**2)
    grades = [POLICY.decide(pd).band for pd in pds.tolist()]
    report = calibration_report(target, pds, grades, {"sex": random.choice(["F", "M"], 900)})
    beside = [one.to_dict() for one in compare(target, pds, pds**2, seed=1, resamples=100)]
    found = evaluation_figures(measured, report, beside)
    table = figures_table(found, source="model/evaluation", measured="model/pd", version="abc")
    assert broken_rules(table, FIGURES, tmp_path) == []
    values = table.set_index(["name", "slice"])
    assert values.loc[("auc", "everybody"), ["value", "low", "high"]].tolist() == [
        measured.auc.value,
        measured.auc.low,
        measured.auc.high,
    ]
    assert values.loc[("gini", "everybody"), "value"] == measured.gini
    assert values.loc[("brier_less_champion", "everybody"), "n"] == 900
    assert {"sex: F", "sex: M", "grade A", "sex: F and grade B", "decision refer", "tenth 1"} <= set(table["slice"])
    assert set(table["measured_version"]) == {"abc"}
