"""The latent risk: conduct factors behind an applicant's credits, the log-odds of default, and TARGET.

What belongs here: factors, their weights, how many credits an applicant has. What does not: the rows that show the factors (bureau,
previous_application, installments, … draw rows whose dates, statuses and payments load on them), and nothing here is written to a file.

The log-odds are a sum of traits (`people`), the loan asked for (`application`'s offer), conduct factors and a residual that only the
external scores see. AUCs of single columns are set through the weights: for an independent standard normal factor of weight b the
distance between the classes is about 0.9 b standard deviations.
"""

from dataclasses import dataclass, fields

import numpy as np

from creditrisk_assets.simulation.offer import Offer, draw_offer
from creditrisk_assets.simulation.people import People, draw_people
from creditrisk_assets.simulation.sampling import BoolArray, FloatArray, IntArray, chance, logistic, mix
from creditrisk_assets.simulation.scenarios import Scenario

# Set from a draw of scale 1, once the weights stand: the default rate is 8.07 % and the standard scores have mean 0 and deviation 1 (a
# test holds them to it).
INTERCEPT = -2.708
SPREAD = 1.553  # standard deviation of the log-odds: turns them into standard scores for the external scores
CENTRE = -0.568  # mean of the log-odds without the intercept

COMMON_SHARE = 0.5  # loading of every conduct factor on one common factor: people who pay late also borrow more
WEIGHTS = {
    "recency": 0.36,
    "appetite": 0.24,
    "burden": 0.10,
    "lateness": 0.27,
    "refusal": 0.27,
    "delinquency": 0.14,
}  # fmt: skip
UTILISATION_WEIGHT = 0.71  # card holders only
STABILITY_WEIGHT = 0.25  # each of phone, identity document and registration: changed lately is riskier
RESIDUAL_WEIGHT = 0.53
NO_BUREAU_POINTS = 0.40
FIRST_TIMER_POINTS = 0.05

BUREAU_NONE = {True: 0.1430, False: 0.1330}  # share without bureau rows, by train or test
PREVIOUS_NONE = {True: 0.0420, False: 0.0095}
CARD_SHARE = {True: 0.366, False: 0.430}  # of those with two earlier applications or more
BUREAU_MEAN = {True: 5.72, False: 6.25}
PREVIOUS_MEAN = {True: 4.97, False: 5.36}


@dataclass(frozen=True)
class Conduct:
    """Standard normal factors, shape (n,) each; higher is riskier."""

    recency: FloatArray  # bureau credits opened lately
    appetite: FloatArray  # many of them still open
    burden: FloatArray  # much of them still owed
    lateness: FloatArray  # instalments paid after they are due
    refusal: FloatArray  # earlier applications refused
    delinquency: FloatArray  # months past due on bureau credits
    utilisation: FloatArray  # the card's limit drawn
    phone: FloatArray  # phone changed lately
    document: FloatArray  # identity document changed lately
    registration: FloatArray  # registration changed lately


@dataclass(frozen=True)
class Applicants:
    """A chunk of applicants: who they are, what they ask for, how they behave and whether they default."""

    ids: IntArray
    is_train: BoolArray
    people: People
    offer: Offer
    conduct: Conduct
    risk: FloatArray  # log-odds of default
    target: IntArray
    bureau_rows: IntArray
    previous_rows: IntArray
    has_card: BoolArray

    @property
    def standard_risk(self) -> FloatArray:
        """The log-odds as standard scores."""
        return (self.risk - INTERCEPT - CENTRE) / SPREAD


def draw_applicants(rng: np.random.Generator, ids: IntArray, is_train: BoolArray, scenario: Scenario) -> Applicants:
    """Draw applicants, their latent factors and their outcome.

    Parameters
    ----------
    rng
        Source of randomness for this chunk.
    ids
        SK_ID_CURR, ascending.
    is_train
        Which applicants go into application_train; marginals differ slightly between the two files.
    scenario
        Shifts against the reference.
    """
    size = len(ids)
    people = draw_people(rng, size, scenario)
    offer = draw_offer(rng, people, is_train)
    conduct = _draw_conduct(rng, people)
    bureau_rows = _counts(rng, is_train, BUREAU_NONE, BUREAU_MEAN, shape=1.25)
    previous_rows = _counts(rng, is_train, PREVIOUS_NONE, PREVIOUS_MEAN, shape=1.3)
    has_card = (previous_rows > 1) & chance(rng, _by_file(is_train, CARD_SHARE), size)
    risk = (
        INTERCEPT
        + scenario.default_log_odds
        + people.log_odds
        + offer.log_odds
        + sum(weight * getattr(conduct, name) for name, weight in WEIGHTS.items())
        + STABILITY_WEIGHT * (conduct.phone + conduct.document + conduct.registration)
        + np.where(has_card, UTILISATION_WEIGHT * conduct.utilisation, 0.0)
        + np.where(bureau_rows == 0, NO_BUREAU_POINTS, 0.0)
        + np.where(previous_rows == 0, FIRST_TIMER_POINTS, 0.0)
        + RESIDUAL_WEIGHT * rng.standard_normal(size)
    )
    target = chance(rng, logistic(risk), size).astype(np.int64)
    return Applicants(ids, is_train, people, offer, conduct, risk, target, bureau_rows, previous_rows, has_card)


def _draw_conduct(rng: np.random.Generator, people: People) -> Conduct:
    common = rng.standard_normal(len(people.age_score))
    drawn = {}
    for field in fields(Conduct):
        if field.name in ("phone", "document", "registration"):
            drawn[field.name] = rng.standard_normal(len(common))
        else:
            young = -0.15 if field.name == "recency" else 0.0
            drawn[field.name] = mix(rng, (COMMON_SHARE, common), (young, people.age_score))
    return Conduct(**drawn)


def _by_file(is_train: BoolArray, values: dict[bool, float]) -> FloatArray:
    return np.where(is_train, values[True], values[False])


def _counts(
    rng: np.random.Generator, is_train: BoolArray, none: dict[bool, float], mean: dict[bool, float], shape: float
) -> IntArray:
    """Draw rows per applicant: none for some, else 1 + a negative binomial count."""
    rate = rng.gamma(shape, 1.0, len(is_train)) * (_by_file(is_train, mean) - 1.0) / shape
    counts = np.minimum(1 + rng.poisson(rate), 77)
    return np.where(chance(rng, _by_file(is_train, none), len(is_train)), 0, counts).astype(np.int64)
