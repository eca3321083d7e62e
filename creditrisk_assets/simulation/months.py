"""Simulated production months: the applicants of one month, drawn as the portfolio's are, and what becomes of them.

What belongs here: which applicants a month has, the planted scenarios with their sizes, outcomes and when they are seen. What does not: the
tables' content (`chunks` and the tables' modules), scoring a month and writing it as a feed (`creditrisk_serving.months`).

A month is determined by its name, scenario, seed and size. Its ids are its own: no month shares one with another or with a portfolio.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from creditrisk_assets.simulation.chunks import Chunk, Placed, generate
from creditrisk_assets.simulation.latent import CENTRE, INTERCEPT
from creditrisk_assets.simulation.sampling import Columns, FloatArray, IntArray, Table, chance, logistic
from creditrisk_assets.simulation.scenarios import BASELINE, Scenario, UnknownScenarioError

MONTH_NAME = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
FIRST_MONTH = 2000 * 12
FIRST_APPLICANT, APPLICANTS_A_MONTH = 10_000_000, 100_000  # a portfolio's ids end far below, at any scale
FIRST_CREDIT, CREDITS_A_MONTH = 10_000_000_000, 10_000_000
SEASONING = (0.15, 0.35, 0.50)  # share of the defaults seen in the first, second and third month after the application
MATURITY_MONTHS = len(SEASONING)  # by then everything is known of a loan


class MonthError(ValueError):
    """A month cannot be drawn; the message says what to give."""


@dataclass(frozen=True)
class MonthScenario:
    """What is planted in a month; a field left at its default plants nothing."""

    name: str
    description: str
    population: Scenario = BASELINE
    missing_tables: frozenset[str] = frozenset()  # not delivered
    income_factor: float = 1.0  # the declared income arrives in another unit
    outcome_slope: float = 1.0  # how much of the risk that applicants show still tells outcomes apart
    outcome_log_odds: float = 0.0  # added to the log-odds of the outcome alone: nothing that is seen says so
    late_share: float = 0.0  # of outcomes that are delivered late
    late_months: int = 0


MONTH_SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        MonthScenario("quiet", "Applicants like the reference's: nothing is planted."),
        MonthScenario(
            "covariate",
            "Applicants are younger by 0.9 and poorer by 0.9 standard deviations; risk given what is seen stays.",
            population=Scenario("covariate", "younger and poorer", age_scores=-0.9, wealth_scores=-0.9),
        ),
        MonthScenario(
            "prior",
            "The log-odds of default of every applicant rise by 0.8, and the external scores see it.",
            population=Scenario("prior", "a worse population", default_log_odds=0.8),
        ),
        MonthScenario(
            "concept",
            "What applicants show tells 40 % of what it did, and log-odds of the outcome rise by 1.2; no input moves.",
            outcome_slope=0.4,
            outcome_log_odds=1.2,
        ),
        MonthScenario(
            "missing_feed",
            "The bureau delivers nothing: no rows of bureau and bureau_balance.",
            missing_tables=frozenset({"bureau", "bureau_balance"}),
        ),
        MonthScenario("unit_change", "The declared income arrives in thousands.", income_factor=0.001),
        MonthScenario(
            "late_labels", "60 % of the outcomes are delivered two months late.", late_share=0.6, late_months=2
        ),
    )
}


@dataclass(frozen=True)
class Month:
    """A drawn month; arrays have shape (n,), in the order of the ids."""

    name: str
    tables: Mapping[str, Columns]  # file stem -> rows, as the source would deliver them, without outcomes
    ids: IntArray
    risk: FloatArray  # true log-odds of the outcome
    outcome: IntArray  # 1 for a default
    observed: IntArray  # months from the application to the month in which the outcome is delivered


def month_scenario(name: str) -> MonthScenario:
    """Find a scenario.

    Raises
    ------
    UnknownScenarioError
        No scenario has this name; the message lists those that exist.
    """
    try:
        return MONTH_SCENARIOS[name]
    except KeyError:
        known = ", ".join(MONTH_SCENARIOS)
        raise UnknownScenarioError(f"scenario {name!r} is not known; choose one of: {known}") from None


def month_number(month: str) -> int:
    """Return the number of a month, counted through all years.

    Raises
    ------
    MonthError
        It is no month as 2026-05 is one.

    Examples
    --------
    >>> month_number("2026-05") - month_number("2025-12")
    5
    """
    if (found := MONTH_NAME.fullmatch(month)) is None:
        raise MonthError(f"{month!r} is no month; write it as 2026-05")
    return int(found[1]) * 12 + int(found[2]) - 1


def month_name(number: int) -> str:
    """Name the month of a number."""
    return f"{number // 12}-{number % 12 + 1:02d}"


def months_between(text: str) -> list[str]:
    """Read a month, or a range of months.

    Raises
    ------
    MonthError
        It is neither, or the range ends before it begins.

    Examples
    --------
    >>> months_between("2025-11..2026-02")
    ['2025-11', '2025-12', '2026-01', '2026-02']
    """
    first, _, last = text.partition("..")
    begin, end = month_number(first), month_number(last or first)
    if end < begin:
        raise MonthError(f"{text!r} ends before it begins; write the earlier month first")
    return [month_name(number) for number in range(begin, end + 1)]


def draw_month(month: str, scenario: MonthScenario, *, seed: int = 42, applicants: int = 1_500) -> Month:
    """Draw a month's applicants, the tables they would be scored from, and their outcomes.

    Parameters
    ----------
    month
        As 2026-05.
    scenario
        What is planted.
    seed
        Of all randomness; the same month, scenario and size come out the same.
    applicants
        How many, at most 100,000.

    Raises
    ------
    MonthError
        The month or the size is none.
    """
    number = month_number(month) - FIRST_MONTH
    if not 1 <= applicants <= APPLICANTS_A_MONTH:
        raise MonthError(f"{applicants} applicants are asked for; give 1 to {APPLICANTS_A_MONTH:,}")
    if seed < 0:
        raise MonthError(f"seed is {seed}; give 0 or more")
    # quiet months draw what any scenario of the same seed draws, so that a scenario's effect is not luck
    chunk_seed, outcome_seed = np.random.SeedSequence([seed, number]).spawn(2)
    ids = FIRST_APPLICANT + number * APPLICANTS_A_MONTH + np.arange(applicants, dtype=np.int64)
    everybody = np.ones(applicants, dtype=np.bool_)
    chunk = Chunk(number, chunk_seed, ids, everybody, scenario.population)
    drawn = chunk.applicants()
    first = FIRST_CREDIT + number * CREDITS_A_MONTH
    placed = Placed(
        chunk,
        first + np.arange(int(drawn.bureau_rows.sum()), dtype=np.int64),
        first + np.arange(int(drawn.previous_rows.sum()), dtype=np.int64),
    )
    mean = INTERCEPT + CENTRE
    risk = mean + scenario.outcome_slope * (drawn.risk - mean) + scenario.outcome_log_odds
    outcome, observed = _outcomes(np.random.default_rng(outcome_seed), risk, scenario)
    return Month(month, _delivered(generate(placed), scenario), ids, risk, outcome, observed)


def _outcomes(rng: np.random.Generator, risk: FloatArray, scenario: MonthScenario) -> tuple[IntArray, IntArray]:
    size = len(risk)
    default = chance(rng, logistic(risk), size)
    seen = rng.choice(np.arange(1, MATURITY_MONTHS + 1), size=size, p=SEASONING)
    late = chance(rng, scenario.late_share, size)
    observed = np.where(default, seen, MATURITY_MONTHS) + np.where(late, scenario.late_months, 0)
    return default.astype(np.int64), observed.astype(np.int64)


def _delivered(tables: Mapping[str, Columns], scenario: MonthScenario) -> dict[str, Columns]:
    """Take the outcome out of the applications, and plant what the scenario does to the feeds."""
    application: Table = {name: values for name, values in tables["application_train"].items() if name != "TARGET"}
    income = application["AMT_INCOME_TOTAL"]
    if isinstance(income, np.ndarray):
        application["AMT_INCOME_TOTAL"] = np.asarray(income * scenario.income_factor, dtype=np.float64)
    kept = {name: table for name, table in tables.items() if not name.startswith("application_")}
    return {"application": application} | {
        name: table for name, table in kept.items() if name.lower() not in scenario.missing_tables
    }
