"""Groups, what is measured of them, and whether a limit is missed: planted differences are found, small groups are told nothing of."""

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.modelling.fairness.groups import Grouping, columns_of, grouped, limits_of
from creditrisk_assets.modelling.fairness.judging import CHAMPION_CHECK, judge, judge_beside_champion
from creditrisk_assets.modelling.fairness.measures import (
    FAVOURABLE,
    MEASURES,
    Scored,
    group_table,
    impact_ratio,
    mean_difference,
    observed_expected,
    rate_difference,
    ratio_change,
    scored,
)  # fmt: skip
from creditrisk_assets.modelling.policy import load_policy

POLICY = load_policy()
LIMITS = limits_of(POLICY)


def attributes(sex: list[str | None], years: list[float], status: str = "Married") -> pd.DataFrame:
    days = [-365.25 * age - 1 for age in years]
    return pd.DataFrame({"CODE_GENDER": sex, "NAME_FAMILY_STATUS": [status] * len(sex), "DAYS_BIRTH": days})


def made(approved: dict[str, tuple[int, int]], default_rate: float = 0.1) -> tuple[Scored, Grouping]:
    """Make groups of a size, of whom so many are approved; every tenth defaults, in both outcomes alike."""
    values, favoured, target = [], [], []
    for name, (n, hits) in approved.items():
        values += [name] * n
        favoured += [i < hits for i in range(n)]
        target += [int((i * 7919) % 1000 < 1000 * default_rate) for i in range(n)]
    pds = np.where(favoured, default_rate, 2 * default_rate)
    pds = pds * (np.mean(target) / pds.mean())
    sex = Grouping("sex", np.array(values, dtype=object), "men", tuple(name for name in approved if name != "men"))
    return Scored(np.array(target), pds, np.array(favoured)), sex


def verdicts(approved: dict[str, tuple[int, int]]) -> dict[str, str]:
    applicants, sex = made(approved)
    return {one.check: one.status for one in judge(group_table(applicants, [sex], LIMITS), LIMITS)}


def test_favourable_is_approved_and_nothing_else() -> None:
    cut = POLICY.decisions
    pds = np.array([0.0, cut.approve_below, cut.decline_from])  # approved, referred, declined
    assert FAVOURABLE == "approve"
    assert scored(np.zeros(3, dtype=int), pds, POLICY).favoured.tolist() == [True, False, False]


def test_ages_are_banded_on_birthdays_and_groups_have_names_people_use() -> None:
    table = attributes(["F", "M", None, "F"], [24.9, 25.0, 61.9, 62.0])
    sex, marital, age, crossed = grouped(table, POLICY)
    assert sex.values.tolist() == ["women", "men", None, "women"]
    assert age.values.tolist() == ["under 25", "25 to 34", "55 to 61", "62 and older"]
    assert crossed.values.tolist() == ["women, under 25", "men, 25 to 34", None, "women, 62 and older"]
    assert (sex.judged, age.judged, crossed.judged) == (("women",), ("62 and older",), ())
    assert marital.attribute == "marital status"
    assert age.compared_with("62 and older").tolist() == [True, True, True, False]


def test_an_attribute_that_no_jurisdiction_prohibits_is_shown_and_not_judged() -> None:
    prohibited = POLICY.prohibited.model_copy(update={"jurisdictions": ("EU",)})
    policy = POLICY.model_copy(update={"prohibited": prohibited})
    sex, marital, age, _ = grouped(attributes(["F", "M"], [30, 70]), policy)
    assert sex.judged
    assert age.judged
    assert not marital.judged


def test_of_a_small_group_no_number_is_told() -> None:
    few = LIMITS.minimum_applicants - 1
    applicants, sex = made({"men": (1000, 800), "women": (few, 10)})
    table = group_table(applicants, [sex], LIMITS).set_index("group")
    assert table.loc["women", "status"] == "insufficient"
    numbers = ["applicants", "defaults", *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high"))]
    assert table.loc["women", numbers].isna().all()
    assert table.loc["men", "status"] == "measured"
    assert {one.status for one in judge(table.reset_index(), LIMITS)} == {"insufficient"}


def test_without_enough_defaults_what_needs_them_is_insufficient() -> None:
    applicants, sex = made({"men": (1000, 800), "women": (500, 400)})
    none = Scored(np.where(sex.of("women"), 0, applicants.target), applicants.pds, applicants.favoured)
    row = group_table(none, [sex], LIMITS).set_index("group").loc["women"]
    assert row[["auc", "observed_expected", "approved_of_defaulted", "opportunity_gap"]].isna().all()
    assert row["approval_rate"] == 0.8


def test_rates_of_a_group_are_counted_among_the_right_people() -> None:
    target = np.array([0] * 150 + [1] * 50)
    favoured = np.array([True] * 120 + [False] * 30 + [True] * 10 + [False] * 40)
    everybody = Grouping("all", np.array(["men"] * 200, dtype=object), "men", ())
    pds = np.where(favoured, 0.1, 0.6)
    row = group_table(Scored(target, pds, favoured), [everybody], LIMITS).iloc[0]
    assert row["approval_rate"] == 130 / 200
    assert row["approved_of_repaid"] == 120 / 150  # true positives: a loan repaid is what is positive
    assert row["approved_of_defaulted"] == 10 / 50
    assert np.isnan(row["impact_ratio"])  # the reference is compared with nobody
    assert row["observed_expected"] == pytest.approx(50 / pds.sum())


def test_a_planted_difference_fails_and_chance_does_not() -> None:
    planted = verdicts({"men": (2000, 1600), "women": (2000, 1100)})
    assert planted["approved_alike"] == "fail"
    assert planted["repayers_approved_alike"] == "fail"
    assert set(verdicts({"men": (2000, 1600), "women": (2000, 1580)}).values()) == {"pass"}
    # a ratio of 0.75, and an interval that reaches over four fifths: too few to say
    assert verdicts({"men": (120, 96), "women": (120, 72)})["approved_alike"] == "pass"


def test_pds_that_are_untrue_for_one_group_fail() -> None:
    applicants, sex = made({"men": (3000, 2400), "women": (3000, 2400)})
    inflated = Scored(
        applicants.target, np.where(sex.of("women"), 2 * applicants.pds, applicants.pds), applicants.favoured
    )
    found = {one.check: one for one in judge(group_table(inflated, [sex], LIMITS), LIMITS)}
    assert found["pds_true_in_every_group"].status == "fail"
    assert found["pds_true_in_every_group"].words.startswith("! women 0.")
    assert found["mean_pds_alike"].status == "fail"
    assert found["approved_alike"].status == "pass"


def test_the_champion_is_compared_on_the_same_applicants() -> None:
    worse, sex = made({"men": (2000, 1600), "women": (2000, 1450)})
    better, _ = made({"men": (2000, 1600), "women": (2000, 1600)})

    def status(new: Scored, old: Scored | None) -> str:
        return judge_beside_champion(new, old, "none is published", [sex], LIMITS, seed=1).status

    assert (status(worse, better), status(better, worse), status(better, better)) == ("fail", "pass", "pass")
    verdict = judge_beside_champion(better, None, "none is published", [sex], LIMITS, seed=1)
    assert (verdict.check, verdict.status, verdict.words) == (CHAMPION_CHECK, "not applicable", "none is published")


def test_two_models_that_decide_alike_differ_in_nothing() -> None:
    applicants, sex = made({"men": (500, 400), "women": (500, 350)})
    women = sex.of("women")
    found = ratio_change(applicants.favoured, applicants.favoured, women, ~women, seed=1)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(5)
    hits = {"ratio": 0, "difference": 0, "mean": 0, "observed": 0}
    for _ in range(400):
        group, other = generator.random(300) < 0.6, generator.random(500) < 0.8
        hits["ratio"] += (found := impact_ratio(group, other)).low <= 0.75 <= found.high
        hits["difference"] += (found := rate_difference(group, other)).low <= -0.2 <= found.high
        apart = mean_difference(generator.normal(0.3, 1, 300), generator.normal(0, 1, 500))
        hits["mean"] += apart.low <= 0.3 <= apart.high
        observed = observed_expected((generator.random(600) < 0.12).astype(int), np.full(600, 0.1))
        hits["observed"] += observed.low <= 1.2 <= observed.high
    assert all(0.92 <= count / 400 <= 0.985 for count in hits.values()), hits


@pytest.mark.parametrize(("group", "other"), [([0] * 50, [1] * 50), ([1] * 50, [0] * 50), ([0] * 50, [0] * 50)])
def test_a_ratio_of_nothing_has_a_finite_interval(group: list[int], other: list[int]) -> None:
    found = impact_ratio(np.array(group, dtype=bool), np.array(other, dtype=bool))
    assert np.isfinite([found.low, found.high]).all()


def test_the_columns_read_are_those_the_policy_tests() -> None:
    assert columns_of(POLICY) == ("CODE_GENDER", "NAME_FAMILY_STATUS", "DAYS_BIRTH")
