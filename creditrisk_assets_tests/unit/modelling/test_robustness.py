"""The drill: what is done moves derived features too, nothing done changes nothing, and every change is counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from creditrisk_assets.contracts.figures import FIGURES, GRADE_MIGRATION, ROBUSTNESS
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.modelling.bundle import EncodingError
from creditrisk_assets.modelling.bundle_writer import UNSEEN
from creditrisk_assets.modelling.evaluation_plots import draw_tornado
from creditrisk_assets.modelling.figures import drill_figures, figures_table
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.robustness import (
    BASELINE,
    INCOME,
    SCORES,
    SHOCKS,
    Families,
    Sample,
    Scenario,
    drill,
    scenarios,
)
from creditrisk_assets_tests.unit.modelling.tables import broken_rules

POLICY = load_policy()
Columns = Mapping[str, Sequence[Any]]


def compute(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Two features of an application, one of them a ratio of the other's column."""
    return {
        "application__score": [row["EXT_SOURCE_1"] for row in rows],
        "application__burden": [
            None if row["AMT_INCOME_TOTAL"] is None else row["AMT_ANNUITY"] / row["AMT_INCOME_TOTAL"] for row in rows
        ],
    }


def score(columns: Columns) -> np.ndarray:
    def column(name: str) -> np.ndarray:
        return np.array([0.0 if value is None else value for value in columns[name]], dtype=float)

    debt = column("bureau__debt") * column("applicant__has_bureau")
    return np.asarray(expit(-3.0 - 2 * column("application__score") + 4 * column("application__burden") + debt))


FAMILIES_HERE = Families(
    {"application": ["application__score", "application__burden"], "bureau": ["bureau__debt"]},
    {"bureau": "applicant__has_bureau"},
    compute,
)


@pytest.fixture(scope="module")
def sample() -> Sample:
    random = np.random.default_rng(0)
    rows = [
        {"EXT_SOURCE_1": float(s), "AMT_INCOME_TOTAL": float(i), "AMT_ANNUITY": 20.0}
        for s, i in zip(random.normal(size=800), random.uniform(50, 200, 800), strict=True)
    ]
    features = compute(rows) | {"bureau__debt": random.normal(size=800), "applicant__has_bureau": [True] * 800}
    target = (random.random(800) < score(features)).astype(np.int64)
    return Sample(target, rows, features)


def done(sample: Sample, *todo: Scenario) -> Any:
    return drill(sample, FAMILIES_HERE, todo, score, POLICY)


def test_nothing_done_changes_nothing(sample: Sample) -> None:
    found = done(sample, Scenario("a factor of one", "shock", {"AMT_INCOME_TOTAL": lambda value: value * 1}))
    for row in found.table.to_dict("records"):
        changes = [value for name, value in row.items() if "change" in name or "flipped" in name or "grade_" in name]
        assert changes == [0.0] * len(changes)
    assert (found.migration["grade_before"] == found.migration["grade_after"]).all()


def test_a_shocked_income_moves_the_ratio_made_of_it(sample: Sample) -> None:
    halved = next(s for s in scenarios([], []) if s.name == "incomes × 0.5")
    row = done(sample, halved).table.set_index("scenario").loc["incomes × 0.5"]
    doubled = {**sample.features, "application__burden": [2 * b for b in sample.features["application__burden"]]}
    assert np.isclose(row["mean_pd"], score(doubled).mean())
    assert row["grade_worse"] > 0 == row["grade_better"]


def test_the_application_family_s_own_sql_moves_every_ratio_of_an_income() -> None:
    request = RequestFeatures(render_plan({"application": FAMILIES["application"]}))
    row = {"SK_ID_CURR": 1, "AMT_INCOME_TOTAL": 100_000.0, "AMT_CREDIT": 300_000.0, "AMT_ANNUITY": 20_000.0}
    halved = {**row, **{name: row[name] * 0.5 for name in INCOME}}
    before, after = request.compute_application([row]), request.compute_application([halved])
    moved = {name for name in before if before[name] != after[name]}
    assert {"application__income_amt"} < moved
    assert any("ratio" in name for name in moved)


def test_a_missing_family_is_null_and_its_flag_says_no(sample: Sample) -> None:
    seen: list[Columns] = []

    def watch(columns: Columns) -> np.ndarray:
        seen.append(columns)
        return score(columns)

    drill(sample, FAMILIES_HERE, scenarios(["bureau"], [])[:1], watch, POLICY)
    assert set(seen[1]["bureau__debt"]) == {None}
    assert set(seen[1]["applicant__has_bureau"]) == {False}
    assert seen[1]["application__score"] is sample.features["application__score"]


def test_every_flip_and_move_is_counted(sample: Sample) -> None:
    found = done(sample, Scenario("worse", "shock", {"EXT_SOURCE_1": lambda value: value - 1}))
    row = found.table.set_index("scenario").loc["worse"]
    before = [POLICY.decide(pd) for pd in score(sample.features).tolist()]
    worse = {**sample.features, "application__score": [s - 1 for s in sample.features["application__score"]]}
    after = [POLICY.decide(pd) for pd in score(worse).tolist()]
    pairs = list(zip(before, after, strict=True))
    assert row["decisions_flipped"] == np.mean([b.decision != a.decision for b, a in pairs])
    assert row["approved_to_declined"] == np.mean(
        [b.decision == "approve" and a.decision == "decline" for b, a in pairs]
    )
    assert row["grade_worse"] == np.mean([a.band > b.band for b, a in pairs])
    moved = found.migration[found.migration["scenario"] == "worse"]
    counted = moved.set_index(["grade_before", "grade_after"])["applicants"].to_dict()
    assert counted == Counter((b.band, a.band) for b, a in pairs)


def test_a_missing_score_costs_ranking_with_a_paired_interval(sample: Sample) -> None:
    missing = next(s for s in scenarios([], []) if s.name == "no EXT_SOURCE_1")
    row = done(sample, missing).table.set_index("scenario").loc["no EXT_SOURCE_1"]
    assert row["auc_change_low"] < row["auc_change"] < row["auc_change_high"] < 0


def test_what_is_done_is_complete() -> None:
    todo = scenarios(["application", "bureau"], ["NAME_CONTRACT_TYPE"])
    names = [one.name for one in todo]
    assert names[:2] == ["no application", "no bureau"]
    assert len(names) == len(set(names)) == 2 + len(SCORES) + 1 + 2 * len(SHOCKS) + 1
    assert todo[-1].raw["NAME_CONTRACT_TYPE"]("Cash loans") == UNSEEN
    shock = next(one for one in todo if one.name == "credit amounts × 2")
    assert {name: change(10.0) for name, change in shock.raw.items()} == {
        "AMT_CREDIT": 20.0,
        "AMT_ANNUITY": 20.0,
        "AMT_GOODS_PRICE": 20.0,
    }
    assert shock.raw["AMT_CREDIT"](None) is None


def test_tables_keep_their_contracts_and_are_drawn(sample: Sample, tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = done(sample, *(s for s in scenarios(["application", "bureau"], []) if "SOURCE" not in s.name))
    figures = figures_table(drill_figures(found), source="model/robustness", measured="model/out_of_fold", version="v")
    assert found.table.loc[0, "scenario"] == BASELINE
    assert broken_rules(found.table, ROBUSTNESS, tmp_path) == []
    assert broken_rules(found.migration, GRADE_MIGRATION, tmp_path) == []
    assert broken_rules(figures, FIGURES, tmp_path) == []
    for column in ("auc_change", "approval_rate_change"):
        assert draw_tornado(found.table, column, "AUC", percent=False).startswith(b"\x89PNG")


def test_features_that_cannot_be_scored_name_the_scenario(sample: Sample) -> None:
    def refuse(columns: Columns) -> np.ndarray:
        if columns["application__score"] is not sample.features["application__score"]:
            raise EncodingError("feature application__burden is infinite in 3 rows")
        return score(columns)

    with pytest.raises(EncodingError, match=r"scenario `worse`: feature application__burden is infinite"):
        drill(sample, FAMILIES_HERE, [Scenario("worse", "shock", {"EXT_SOURCE_1": lambda v: v})], refuse, POLICY)


def test_a_broken_score_and_one_class_are_refused(sample: Sample) -> None:
    with pytest.raises(ValueError, match="the score is broken"):
        drill(sample, FAMILIES_HERE, [], lambda _: np.full(800, np.nan), POLICY)
    with pytest.raises(ValueError, match="one class"):
        done(Sample(np.zeros(800, dtype=np.int64), sample.applications, sample.features))
    with pytest.raises(ValueError, match="800 outcomes and 1 applications"):
        done(Sample(sample.target, sample.applications[:1], sample.features))
