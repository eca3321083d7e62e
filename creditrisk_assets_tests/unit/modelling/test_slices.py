"""Weak slices: what was planted is found, what was not is not, and every applicant lies in one bin of a feature."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from creditrisk_assets.contracts.figures import FIGURES, SLICES
from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.evaluation_plots import draw_calibration_by_slice, draw_ranking_by_slice
from creditrisk_assets.modelling.figures import figures_table, slice_figures
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.slices import MISSING, SliceReport, SliceRules, cut, find_slices, strongest
from creditrisk_assets_tests.unit.modelling.tables import broken_rules

KIND, SCORE = ModelInput("kind", "application", "category"), ModelInput("score", "application", "numeric")
OWNER = ModelInput("is_owner", "application", "boolean")
INPUTS = (KIND, SCORE, OWNER)
IMPORTANCE = {"score": 0.7, "kind": 0.2, "is_owner": 0.1}
RULES = SliceRules(minimum_applicants=100)


def draw(rows: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Draw applicants with true PDs, whose features tell nothing."""
    random = np.random.default_rng(seed)
    margins = random.normal(-1.5, 1, rows)
    frame = pd.DataFrame(
        {
            "kind": pd.Categorical(random.choice(["cash", "revolving", "other"], rows, p=[0.6, 0.3, 0.1])),
            "score": np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows)).astype(np.float32),
            "is_owner": random.integers(0, 2, rows).astype(np.float32),
        }
    )
    pds = expit(margins)
    return (random.random(rows) < pds).astype(np.int64), pds, frame


def found(
    target: np.ndarray, pds: np.ndarray, frame: pd.DataFrame, importance: Mapping[str, float] = IMPORTANCE
) -> SliceReport:
    return find_slices(target, pds, frame, INPUTS, importance, RULES)


def test_where_features_tell_nothing_no_slice_is_weak() -> None:
    report = found(*draw())
    assert len(report.table) > 30
    assert report.ranks_worse == report.pd_untrue == 0


def test_a_slice_that_does_not_rank_is_found_and_the_others_are_not() -> None:
    target, pds, frame = draw()
    revolving = (frame["kind"] == "revolving").to_numpy()
    random = np.random.default_rng(1)
    shuffled = target.copy()
    shuffled[revolving] = random.permutation(target[revolving])
    report = found(shuffled, pds, frame)
    assert report.table.loc[0, "first_feature"] == "kind" or report.table.loc[0, "second_feature"] == "kind"
    worse = report.table[report.table["ranks_worse"]]
    assert "kind: revolving" in set(worse["slice"])
    assert all("revolving" in name for name in worse["slice"])


def test_a_slice_whose_pds_are_untrue_is_found() -> None:
    target, pds, frame = draw()
    missing = frame["score"].isna().to_numpy()
    pds = np.where(missing, pds / 3, pds)
    report = found(target, pds, frame)
    assert report.table.loc[0, "slice"] == f"score: {MISSING}"
    assert report.table.loc[0, "pd_untrue"]


def test_aucs_are_those_of_delong_among_the_slice_and_among_the_others() -> None:
    target, pds, frame = draw(2000)
    pds = np.round(pds, 2)  # many ties
    table = found(target, pds, frame).table.set_index("slice")
    for value in ("cash", "revolving"):
        inside = (frame["kind"] == value).to_numpy()
        row, expected = table.loc[f"kind: {value}"], auc_interval(target[inside], pds[inside])
        assert np.isclose(row["auc"], expected.value)
        assert np.isclose(row["auc_low"], expected.low)
        assert np.isclose(row["auc_elsewhere"], auc_interval(target[~inside], pds[~inside]).value)
        assert row["defaults"] == target[inside].sum()


def test_the_tests_are_adjusted_over_all_slices() -> None:
    table = found(*draw()).table
    smallest = table["calibration_p"].idxmin()
    expected = min(1.0, table["calibration_p"].min() * len(table))
    assert np.isclose(table.loc[smallest, "calibration_p_adjusted"], expected)
    ranked = table["ranking_p"].dropna()
    assert np.isclose(table["ranking_p_adjusted"].min(), min(1.0, ranked.min() * len(ranked)))


def test_a_slice_with_one_outcome_has_no_auc_and_is_tested_for_its_pds_alone() -> None:
    target, pds, frame = draw()
    target[(frame["kind"] == "other").to_numpy()] = 0
    table = found(target, pds, frame).table.set_index("slice")
    row = table.loc["kind: other"]
    assert row[["auc", "auc_gap", "ranking_p", "ranking_p_adjusted"]].isna().all()
    assert not row["ranks_worse"]
    assert row["pd_untrue"]


def test_columns_without_values_or_with_one_make_no_slice() -> None:
    target, pds, frame = draw(1000)
    frame["score"] = np.float32(np.nan)
    frame["is_owner"] = np.float32(1)
    assert set(found(target, pds, frame).table["first_feature"]) == {"kind"}


def test_too_few_applicants_give_an_empty_table_that_keeps_its_contract_and_its_pictures(tmp_path) -> None:  # type: ignore[no-untyped-def]
    target, pds, frame = draw(60)
    report = found(target, pds, frame)
    assert report.table.empty
    assert broken_rules(report.table, SLICES, tmp_path) == []
    assert draw_ranking_by_slice(report).startswith(b"\x89PNG")
    assert draw_calibration_by_slice(report).startswith(b"\x89PNG")


def test_tables_keep_their_contracts(tmp_path) -> None:  # type: ignore[no-untyped-def]
    target, pds, frame = draw(2000)
    report = found(target, pds, frame)
    figures = figures_table(slice_figures(report), source="model/slices", measured="model/out_of_fold", version="v")
    assert broken_rules(report.table, SLICES, tmp_path) == []
    assert broken_rules(figures, FIGURES, tmp_path) == []
    assert figures.iloc[0][["name", "slice", "n"]].tolist() == ["auc", "everybody", 2000]


def test_pictures_say_how_many_are_weak() -> None:
    target, pds, frame = draw(2000)
    report = found(target, pds, frame)
    assert draw_ranking_by_slice(report).startswith(b"\x89PNG")
    assert draw_ranking_by_slice(report) == draw_ranking_by_slice(report)


def test_inputs_that_say_the_same_are_not_paired() -> None:
    target, pds, frame = draw(2000)
    frame["twin"], frame["stranger"] = -(frame["score"] ** 3), np.random.default_rng(3).normal(size=2000)
    twin, stranger = (ModelInput(name, "application", "numeric") for name in ("twin", "stranger"))
    importance = {"score": 0.5, "twin": 0.3, "stranger": 0.2}
    table = find_slices(target, pds, frame, (SCORE, twin, stranger), importance, RULES).table
    pairs = table.dropna(subset="second_feature")
    assert set(zip(pairs["first_feature"], pairs["second_feature"], strict=True)) == {("score", "stranger")}


def test_strongest_leaves_out_what_has_no_gain() -> None:
    assert strongest(INPUTS, {"kind": 0.4, "score": 0.6, "is_owner": 0.0}, 5) == (SCORE, KIND)


@pytest.mark.parametrize(
    ("broken", "words"), [(np.nan, "NaN or outside"), (1.5, "NaN or outside")], ids=["nan", "too large"]
)
def test_pds_that_are_none_are_refused(broken: float, words: str) -> None:
    target, pds, frame = draw(500)
    pds[3] = broken
    with pytest.raises(ValueError, match=words):
        found(target, pds, frame)


def test_one_class_and_other_lengths_are_refused() -> None:
    target, pds, frame = draw(500)
    with pytest.raises(ValueError, match="one class"):
        found(np.zeros_like(target), pds, frame)
    with pytest.raises(ValueError, match="499 PDs"):
        found(target, pds[1:], frame)


@given(st.lists(st.none() | st.floats(width=32, allow_nan=False), max_size=50))
def test_every_applicant_lies_in_one_named_bin(values: list[float | None]) -> None:
    column = pd.Series(values, dtype=np.float32)
    one = cut(SCORE, column, 5, 8)
    assert len(one.codes) == len(values)
    assert [one.labels[code] == MISSING for code in one.codes] == [value is None for value in values]
    assert len(set(one.labels)) == len(one.labels)
    bins = pd.DataFrame({"value": column, "code": one.codes}).dropna().groupby("code")["value"]
    assert (bins.max().to_numpy()[:-1] <= bins.min().to_numpy()[1:]).all()


def test_a_category_that_is_called_missing_is_not_taken_for_a_missing_one() -> None:
    one = cut(KIND, pd.Series(pd.Categorical(["missing", None, "missing"])), 5, 2)
    assert [one.labels[code] for code in one.codes] == ["missing (a category)", MISSING, "missing (a category)"]


def test_rare_categories_are_one_slice() -> None:
    column = pd.Series(pd.Categorical(["a", "a", "a", "b", "b", "c", "d", None]))
    one = cut(KIND, column, 5, 2)
    assert [one.labels[code] for code in one.codes] == [
        *["a"] * 3, *["b"] * 2, "other categories", "other categories", MISSING,
    ]  # fmt: skip
