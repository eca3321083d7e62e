"""Who the applicants are: age, work, education, home and region, and what each of these adds to the log-odds of default.

What belongs here: traits that the application states about a person. What does not: the loan applied for and the file's columns
(`application`), conduct on earlier credits and the default itself (`latent`).
"""

from dataclasses import dataclass

import numpy as np
import scipy

from creditrisk_assets.simulation.sampling import (
    BoolArray,
    Category,
    FloatArray,
    IntArray,
    Marginal,
    Shares,
    chance,
    mix,
    points,
)
from creditrisk_assets.simulation.scenarios import BASELINE, Scenario

YEAR = 365.25

AGE_YEARS = Marginal(
    {0: 21.05, 0.01: 22.6, 0.05: 25.7, 0.10: 28.2, 0.25: 34.0, 0.50: 43.2, 0.75: 53.8, 0.90: 60.8, 0.95: 63.4, 0.99: 66.8, 1: 68.98}
)  # fmt: skip
EMPLOYED_YEARS = Marginal(
    {0: 0.05, 0.02: 0.3, 0.10: 0.75, 0.25: 2.0, 0.50: 4.5, 0.75: 8.8, 0.90: 15.2, 0.97: 25.0, 0.99: 32.5, 1: 48.0}
)  # fmt: skip

GENDER = Shares({"F": 0.6585, "M": 0.3415})
WORK = Shares({"Working": 0.6335, "Commercial associate": 0.2806, "State servant": 0.0858, "Student": 0.00006,
               "Maternity leave": 0.00002, "Businessman": 0.00004})  # fmt: skip
INCOME_TYPES = ("Working", "Commercial associate", "Pensioner", "State servant", "Unemployed", "Student", "Businessman",
                "Maternity leave")  # fmt: skip
EDUCATION = Shares({"Lower secondary": 0.0125, "Secondary / secondary special": 0.7101, "Incomplete higher": 0.0335,
                    "Higher education": 0.2434, "Academic degree": 0.0005})  # fmt: skip
FAMILY_YOUNG = Shares(
    {"Married": 0.575, "Single / not married": 0.262, "Civil marriage": 0.122, "Separated": 0.037, "Widow": 0.004}
)
FAMILY_OLD = Shares(
    {"Married": 0.690, "Single / not married": 0.062, "Civil marriage": 0.080, "Separated": 0.083, "Widow": 0.085}
)
HOUSING_YOUNG = Shares({"House / apartment": 0.800, "With parents": 0.142, "Municipal apartment": 0.037, "Rented apartment": 0.027,
                        "Office apartment": 0.008, "Co-op apartment": 0.004})  # fmt: skip
HOUSING_OLD = Shares({"House / apartment": 0.937, "With parents": 0.009, "Municipal apartment": 0.037, "Rented apartment": 0.009,
                      "Office apartment": 0.008, "Co-op apartment": 0.004})  # fmt: skip
REGION_RATING = Shares({"1": 0.105, "2": 0.738, "3": 0.157})
OCCUPATION_F = Shares({"": 0.168, "Laborers": 0.165, "Sales staff": 0.180, "Core staff": 0.142, "Managers": 0.083, "Drivers": 0.005,
                       "High skill tech staff": 0.045, "Accountants": 0.062, "Medicine staff": 0.052, "Security staff": 0.012,
                       "Cooking staff": 0.034, "Cleaning staff": 0.024, "Private service staff": 0.016, "Low-skill Laborers": 0.004,
                       "Secretaries": 0.0075, "Waiters/barmen staff": 0.007, "Realty agents": 0.0035, "HR staff": 0.0028,
                       "IT staff": 0.0012})  # fmt: skip
OCCUPATION_M = Shares({"": 0.150, "Laborers": 0.300, "Sales staff": 0.040, "Core staff": 0.062, "Managers": 0.084, "Drivers": 0.185,
                       "High skill tech staff": 0.050, "Accountants": 0.006, "Medicine staff": 0.004, "Security staff": 0.052,
                       "Cooking staff": 0.006, "Cleaning staff": 0.008, "Private service staff": 0.002, "Low-skill Laborers": 0.013,
                       "Secretaries": 0.0003, "Waiters/barmen staff": 0.003, "Realty agents": 0.0015, "HR staff": 0.0006,
                       "IT staff": 0.0027})  # fmt: skip

# Log-odds points against the commonest category; set so that the default rates by category come out as measured.
GENDER_POINTS = {"M": 0.47}
INCOME_TYPE_POINTS = {"State servant": -0.90, "Commercial associate": -0.45, "Pensioner": -0.30, "Unemployed": 1.6,
                      "Maternity leave": 1.6, "Student": -1.5, "Businessman": -1.5}  # fmt: skip
EDUCATION_POINTS = {
    "Higher education": -0.66,
    "Incomplete higher": -0.05,
    "Lower secondary": 0.11,
    "Academic degree": -1.0,
}
FAMILY_POINTS = {"Widow": -0.12, "Separated": 0.25, "Civil marriage": 0.26, "Single / not married": 0.21}
HOUSING_POINTS = {"With parents": 0.43, "Rented apartment": 0.49, "Municipal apartment": 0.10, "Office apartment": -0.11,
                  "Co-op apartment": -0.53}  # fmt: skip
OCCUPATION_POINTS = {"Accountants": -1.02, "High skill tech staff": -0.75, "Core staff": -0.63, "Managers": -0.69,
                     "Medicine staff": -0.55, "Private service staff": -0.37, "": -0.36, "Drivers": -0.03, "Security staff": -0.08,
                     "Cooking staff": 0.04, "Cleaning staff": -0.04, "Waiters/barmen staff": 0.11, "Low-skill Laborers": 0.69,
                     "Realty agents": -0.33, "Secretaries": -0.18, "Sales staff": 0.02}  # fmt: skip
REGION_POINTS = {"1": -0.50, "3": 0.31}
CAR_POINTS = -0.24
AGE_SLOPE = -0.15  # per standard deviation of age
TENURE_SLOPE = -0.32  # per standard deviation of the (log-like) time in the present job
WEALTH_SLOPE = -0.23  # per standard deviation of the household's standing, seen in its building, region and income


@dataclass(frozen=True)
class People:
    """Traits of n applicants; every array has shape (n,)."""

    age_score: FloatArray  # standard normal, rank of age
    age_years: FloatArray
    gender: Category
    income_type: Category
    tenure_score: FloatArray  # standard normal; without meaning where not employed
    employed_years: FloatArray
    education: Category
    family: Category
    housing: Category
    region_rating: Category
    occupation: Category
    wealth: FloatArray  # standard normal
    owns_car: BoolArray
    owns_realty: BoolArray
    children: IntArray
    log_odds: FloatArray  # what all of the above adds to the log-odds of default

    @property
    def not_employed(self) -> BoolArray:
        """Tell who has no job: pensioners and unemployed, the source's DAYS_EMPLOYED = 365243."""
        return self.income_type.is_any("Pensioner", "Unemployed")

    @property
    def is_male(self) -> BoolArray:
        """Tell who is a man."""
        return self.gender.is_any("M")


def draw_people(rng: np.random.Generator, size: int, scenario: Scenario = BASELINE) -> People:
    """Draw applicants and the log-odds points of their traits.

    Parameters
    ----------
    rng
        Source of randomness; the draws are consumed in a fixed order.
    size
        Number of applicants.
    scenario
        Shifts against the reference.
    """
    age_score = rng.standard_normal(size) + scenario.age_scores
    age = AGE_YEARS.at(age_score)
    gender = GENDER.at(np.clip(rng.random(size) * 0.97 + 0.03 * (age < 40), 0.0, 1.0))
    male = gender.is_any("M")
    income_type = _income_types(rng, age, male)
    not_employed = income_type.is_any("Pensioner", "Unemployed")
    tenure_score = mix(rng, (0.30, age_score))
    employed = np.minimum(EMPLOYED_YEARS.at(tenure_score), np.maximum(age - 18.2, 0.2))
    education = EDUCATION.at(scipy.special.ndtr(mix(rng, (-0.12, age_score))))
    wealth = mix(rng, (0.25, education.codes.astype(np.float64) - 1.5)) + scenario.wealth_scores
    family = _either(rng, age < 40, FAMILY_YOUNG, FAMILY_OLD)
    housing = _either(rng, age < 35, HOUSING_YOUNG, HOUSING_OLD)
    region = REGION_RATING.at(scipy.special.ndtr(-mix(rng, (0.45, wealth))))
    occupation = _occupations(rng, male, not_employed)
    car = chance(rng, np.where(male, 0.57, 0.225) + 0.04 * np.clip(wealth, -2, 2) - 0.12 * not_employed + 0.03, size)
    realty = chance(rng, 0.60 + 0.0022 * (age - 20) * 2, size)
    return People(
        age_score=age_score,
        age_years=age,
        gender=gender,
        income_type=income_type,
        tenure_score=tenure_score,
        employed_years=employed,
        education=education,
        family=family,
        housing=housing,
        region_rating=region,
        occupation=occupation,
        wealth=wealth,
        owns_car=car,
        owns_realty=realty,
        children=_children(rng, age),
        log_odds=(
            points(gender, GENDER_POINTS)
            + points(income_type, INCOME_TYPE_POINTS)
            + points(education, EDUCATION_POINTS)
            + points(family, FAMILY_POINTS)
            + points(housing, HOUSING_POINTS)
            + points(occupation, OCCUPATION_POINTS)
            + points(region, REGION_POINTS)
            + CAR_POINTS * car
            + AGE_SLOPE * age_score
            + np.where(not_employed, 0.0, TENURE_SLOPE * tenure_score)
            + WEALTH_SLOPE * wealth
        ),
    )


def _either(rng: np.random.Generator, first: BoolArray, one: Shares, other: Shares) -> Category:
    """Draw from one marginal where the flag holds and from the other elsewhere; both have the same names."""
    uniform = rng.random(len(first))
    return Category(one.names, np.where(first, one.at(uniform).codes, other.at(uniform).codes))


def _income_types(rng: np.random.Generator, age: FloatArray, male: BoolArray) -> Category:
    retired = 1.0 / (1.0 + np.exp(-(age - np.where(male, 59.8, 56.4)) / 2.0))
    pensioner = chance(rng, 0.96 * retired + 0.012, len(age))
    work = WORK.pick(rng, len(age))
    recode = np.array([INCOME_TYPES.index(name) for name in work.names])
    codes = np.where(pensioner, INCOME_TYPES.index("Pensioner"), recode[work.codes])
    unemployed = chance(rng, 0.00007, len(age))
    return Category(INCOME_TYPES, np.where(unemployed, INCOME_TYPES.index("Unemployed"), codes))


def _occupations(rng: np.random.Generator, male: BoolArray, not_employed: BoolArray) -> Category:
    drawn = _either(rng, male, OCCUPATION_M, OCCUPATION_F)
    codes = np.where(not_employed, 0, drawn.codes) - 1  # the first name is "not stated": null
    return Category(drawn.names[1:], codes)


def _children(rng: np.random.Generator, age: FloatArray) -> IntArray:
    mean = np.interp(age, [20, 27, 34, 42, 50, 56, 70], [0.2, 0.6, 0.98, 0.72, 0.20, 0.04, 0.01])
    few = np.minimum(rng.poisson(0.88 * mean), 3)
    return np.where(chance(rng, 0.0015, len(age)) & (few > 0), rng.integers(4, 10, len(age)), few).astype(np.int64)
