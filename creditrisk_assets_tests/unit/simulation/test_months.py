"""Simulated months: determined by name, scenario, seed and size; disjoint ids; each scenario plants what it says, and nothing else."""

import numpy as np
import pytest

from creditrisk_assets.simulation.chunks import FIRST_APPLICANT as FIRST_OF_PORTFOLIO
from creditrisk_assets.simulation.chunks import TEST_APPLICANTS, TRAIN_APPLICANTS
from creditrisk_assets.simulation.months import (
    FIRST_APPLICANT,
    MATURITY_MONTHS,
    MONTH_SCENARIOS,
    Month,
    MonthError,
    draw_month,
    month_scenario,
    months_between,
)
from creditrisk_assets.simulation.portfolio import LARGEST_SCALE
from creditrisk_assets.simulation.sampling import logistic
from creditrisk_assets.simulation.scenarios import UnknownScenarioError
from creditrisk_assets.simulation.writer import arrow_table

SIZE = 1_000


@pytest.fixture(scope="module")
def drawn() -> dict[str, Month]:
    return {name: draw_month("2026-05", scenario, applicants=SIZE) for name, scenario in MONTH_SCENARIOS.items()}


def ages(month: Month) -> np.ndarray:
    return -np.asarray(month.tables["application"]["DAYS_BIRTH"]) / 365.25


def incomes(month: Month) -> np.ndarray:
    return np.asarray(month.tables["application"]["AMT_INCOME_TOTAL"])


def test_the_same_month_comes_out_the_same_and_another_seed_does_not(drawn: dict[str, Month]) -> None:
    again = draw_month("2026-05", month_scenario("quiet"), applicants=SIZE)
    for name, table in drawn["quiet"].tables.items():
        assert arrow_table(table).equals(arrow_table(again.tables[name])), name
    assert np.array_equal(again.outcome, drawn["quiet"].outcome)
    other = draw_month("2026-05", month_scenario("quiet"), applicants=SIZE, seed=43)
    assert not np.array_equal(incomes(other), incomes(again))


def test_no_month_shares_an_id_with_another_or_with_any_portfolio(drawn: dict[str, Month]) -> None:
    june = draw_month("2026-06", month_scenario("quiet"), applicants=SIZE)
    may = drawn["quiet"]
    for table, column in (
        ("application", "SK_ID_CURR"),
        ("bureau", "SK_ID_BUREAU"),
        ("previous_application", "SK_ID_PREV"),
    ):
        assert not np.intersect1d(may.tables[table][column], june.tables[table][column]).size, table
    assert FIRST_OF_PORTFOLIO + LARGEST_SCALE * (TRAIN_APPLICANTS + TEST_APPLICANTS) < FIRST_APPLICANT


def test_no_outcome_is_delivered_with_the_applications(drawn: dict[str, Month]) -> None:
    for month in drawn.values():
        assert not {"TARGET", "OUTCOME"} & month.tables["application"].keys()
        assert "application_train" not in month.tables


def test_defaults_are_seen_before_the_loan_is_old_enough_and_the_rest_when_it_is(drawn: dict[str, Month]) -> None:
    quiet = drawn["quiet"]
    assert set(quiet.observed[quiet.outcome == 0]) == {MATURITY_MONTHS}
    assert set(quiet.observed[quiet.outcome == 1]) == set(range(1, MATURITY_MONTHS + 1))


def test_each_scenario_plants_what_it_says(drawn: dict[str, Month]) -> None:
    quiet = drawn["quiet"]
    assert ages(drawn["covariate"]).mean() < ages(quiet).mean() - 6
    assert logistic(drawn["prior"].risk).mean() > 1.5 * logistic(quiet.risk).mean()
    assert np.std(drawn["concept"].risk) == pytest.approx(0.4 * np.std(quiet.risk))
    assert not {"bureau", "bureau_balance"} & drawn["missing_feed"].tables.keys()
    assert np.allclose(incomes(drawn["unit_change"]) * 1000, incomes(quiet))
    late = drawn["late_labels"].observed - quiet.observed
    assert set(late) == {0, 2}
    assert 0.5 < np.mean(late > 0) < 0.7


@pytest.mark.parametrize("scenario", ["concept", "late_labels"])
def test_what_shows_in_outcomes_alone_moves_no_table(drawn: dict[str, Month], scenario: str) -> None:
    for name, table in drawn["quiet"].tables.items():
        assert arrow_table(table).equals(arrow_table(drawn[scenario].tables[name])), name


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "may", "2026-05..2026-04", "../2026-05"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(MonthError):
        months_between(text)


def test_wrong_arguments_are_refused_in_words() -> None:
    with pytest.raises(UnknownScenarioError, match="covariate"):
        month_scenario("storm")
    with pytest.raises(MonthError, match="applicants"):
        draw_month("2026-05", month_scenario("quiet"), applicants=0)
    with pytest.raises(MonthError, match="seed"):
        draw_month("2026-05", month_scenario("quiet"), seed=-1)
