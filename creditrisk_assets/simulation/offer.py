"""What applicants ask for and can afford: income, goods, credit, annuity, and what the terms add to the log-odds of default.

What belongs here: amounts of the current application. What does not: the person (`people`), earlier loans (`previous`).
"""

from dataclasses import dataclass

import numpy as np

from creditrisk_assets.simulation.people import People
from creditrisk_assets.simulation.sampling import (
    BoolArray,
    FloatArray,
    Marginal,
    Shares,
    amount,
    blank,
    chance,
    mix,
    with_nulls,
)

INCOME_TRAIN = Marginal(
    {0: 25650, 0.01: 45000, 0.05: 67500, 0.10: 81000, 0.25: 112500, 0.50: 145000, 0.75: 202500, 0.90: 270000, 0.95: 337500,
     0.99: 455000, 0.999: 810000, 1: 4_500_000}
)  # fmt: skip
INCOME_TEST = Marginal(
    {0: 26941.5, 0.01: 54000, 0.05: 71000, 0.10: 87000, 0.25: 114000, 0.50: 157500, 0.75: 225000, 0.90: 292500, 0.95: 360000,
     0.99: 517500, 0.999: 900000, 1: 4_410_000}
)  # fmt: skip
GOODS_TRAIN = Marginal(
    {0: 40500, 0.01: 67500, 0.05: 135000, 0.10: 180000, 0.25: 238500, 0.50: 450000, 0.75: 679500, 0.90: 1_093_500, 0.95: 1_305_000,
     0.99: 1_800_000, 1: 4_050_000}
)  # fmt: skip
GOODS_TEST = Marginal(
    {0: 45000, 0.01: 54000, 0.05: 90000, 0.10: 121500, 0.25: 225000, 0.50: 396000, 0.75: 630000, 0.90: 900000, 0.95: 1_200_000,
     0.99: 1_800_000, 1: 2_245_500}
)  # fmt: skip
REVOLVING_TRAIN, REVOLVING_TEST = 0.0955, 0.009
REVOLVING_LIMIT = Shares(
    {"135000": 0.15, "180000": 0.40, "225000": 0.12, "270000": 0.20, "405000": 0.05, "450000": 0.06, "675000": 0.02}
)
INSURANCE = Marginal({0: 1.0, 0.34: 1.0, 0.35: 1.05, 0.50: 1.09, 0.70: 1.135, 0.85: 1.20, 0.95: 1.285, 1: 1.36})
CREDIT_PER_ANNUITY = Marginal(
    {0: 8.1, 0.05: 10.3, 0.15: 13.3, 0.30: 16.9, 0.45: 19.5, 0.55: 20.5, 0.70: 24.5, 0.85: 28.2, 0.95: 33.0, 1: 36.9}
)  # fmt: skip
TEST_TERM_FACTOR = 0.87  # applicants of the test file repay faster
NULL_GOODS, NULL_ANNUITY = 0.0094, 0.00004  # goods: of revolving loans

INSURANCE_SLOPE = 1.4  # per 100 % of the goods price added to the credit
MIDDLE_TERM_POINTS = 0.34  # loans of middle length default most
LARGE_GOODS_SLOPE = -0.18
REVOLVING_POINTS = -0.52


@dataclass(frozen=True)
class Offer:
    """Amounts of n applications, in the source's currency; every array has shape (n,)."""

    revolving: BoolArray
    income: FloatArray
    goods: FloatArray  # NaN for some revolving loans
    credit: FloatArray
    annuity: FloatArray
    log_odds: FloatArray


def draw_offer(rng: np.random.Generator, people: People, is_train: BoolArray) -> Offer:
    """Draw incomes and loan amounts that go together, and the log-odds points of the terms."""
    size = len(is_train)
    income_score = mix(
        rng, (0.34, people.wealth), (0.20, np.where(people.is_male, 1.32, -0.68)), (-0.12, people.age_score)
    )
    income = _popular(rng, _either(is_train, INCOME_TRAIN, INCOME_TEST, income_score), 22500.0, 0.72)
    goods_score = mix(rng, (0.42, income_score), (0.10, people.age_score))
    goods = _popular(rng, _either(is_train, GOODS_TRAIN, GOODS_TEST, goods_score), 45000.0, 0.68)
    goods = np.where(is_train, goods, np.minimum(goods, 2_245_500.0))
    revolving = chance(rng, np.where(is_train, REVOLVING_TRAIN, REVOLVING_TEST), size)
    limits = REVOLVING_LIMIT.pick(rng, size)
    goods = np.where(revolving, np.array(limits.names, dtype=np.float64)[limits.codes], goods)
    insured = 1.0 + (INSURANCE.at_share(rng.random(size)) - 1.0) * np.where(goods > 1_300_000, 0.25, 1.0)
    credit = np.where(
        revolving, goods, np.clip(amount(goods * insured, 4.5), 45_000.0, np.where(is_train, 4_050_000.0, 2_245_500.0))
    )
    ratio_score = mix(rng, (0.72, goods_score))
    ratio = CREDIT_PER_ANNUITY.at(ratio_score) * np.where(is_train, 1.0, TEST_TERM_FACTOR)
    annuity = np.where(revolving, credit * 0.05, np.clip(amount(credit / ratio, 4.5), 2295.0, 180_000.0))
    terms = INSURANCE_SLOPE * (insured - 1.09) + MIDDLE_TERM_POINTS * (0.6 - np.minimum(ratio_score**2, 4.0))
    return Offer(
        revolving=revolving,
        income=income,
        goods=with_nulls(goods, revolving & is_train & chance(rng, NULL_GOODS, size)),
        credit=credit,
        annuity=blank(rng, annuity, NULL_ANNUITY),
        log_odds=np.where(revolving, REVOLVING_POINTS, terms + LARGE_GOODS_SLOPE * goods_score),
    )


def _either(is_train: BoolArray, train: Marginal, test: Marginal, score: FloatArray) -> FloatArray:
    return np.where(is_train, train.at(score), test.at(score))


def _popular(rng: np.random.Generator, values: FloatArray, step: float, share: float) -> FloatArray:
    """Round most values to the round sums people name, the rest to the source's 4,500; never below the smallest step."""
    popular = chance(rng, share, len(values)) & (values > 2 * step)
    return np.where(
        popular, amount(values, step), np.maximum(amount(values, 4500.0), amount(values, 4.5) * (values < 30000))
    )
