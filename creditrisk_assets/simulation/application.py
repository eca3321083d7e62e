"""application_train and application_test: the columns of the application form, the external scores and the building's description.

What belongs here: how an applicant's traits, offer and conduct show in the application tables. What does not: drawing them (`people`,
`offer`, `latent`), single columns' numbers (`application_marginals`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy

from creditrisk_assets.simulation import application_marginals as marginals
from creditrisk_assets.simulation.latent import Applicants
from creditrisk_assets.simulation.people import YEAR
from creditrisk_assets.simulation.sampling import (
    BoolArray,
    Category,
    FloatArray,
    Marginal,
    Shares,
    Table,
    blank,
    chance,
    days,
    flags,
    mix,
    ordered,
    take,
    whole,
    with_nulls,
)

NOT_EMPLOYED = 365243
# Correlation of the external scores with the standardised log-odds; the first also knows the applicant's age.
SCORE_LOADINGS = (0.40, 0.415, 0.505)
SCORE_1_AGE = 0.40
SCORE_NOISE = (-0.05, -0.13)  # what the third score's own part shares with the first's and the second's


def application(rng: np.random.Generator, applicants: Applicants) -> tuple[Table, Table]:
    """Draw the rows of application_train and application_test for a chunk of applicants.

    Returns
    -------
    tuple
        The two tables in file order, ascending by SK_ID_CURR; test has no TARGET.
    """
    columns: Table = {"SK_ID_CURR": applicants.ids, "TARGET": applicants.target}
    columns |= _person(rng, applicants)
    columns |= _loan(rng, applicants)
    columns |= _times(rng, applicants)
    columns |= _contacts(rng, applicants)
    columns |= _region(rng, applicants)
    columns |= _scores(rng, applicants)
    columns |= _building(rng, applicants)
    columns |= _social_circle(rng, applicants)
    columns |= _documents(rng, applicants)
    columns |= _enquiries(rng, applicants)
    table = ordered(columns, marginals.COLUMNS)
    test = take(table, ~applicants.is_train)
    del test["TARGET"]
    return take(table, applicants.is_train), test


def _by_file(is_train: BoolArray, values: Mapping[bool, float]) -> FloatArray:
    return np.where(is_train, values[True], values[False])


def _yes_no(rows: BoolArray) -> Category:
    return Category(("N", "Y"), flags(rows))


def _person(rng: np.random.Generator, applicants: Applicants) -> Table:
    people = applicants.people
    size = len(applicants.ids)
    unknown_gender = applicants.is_train & chance(rng, 0.000013, size)
    couple = people.family.is_any("Married", "Civil marriage")
    organization = marginals.ORGANIZATION.pick(rng, size)
    return {
        "CODE_GENDER": Category((*people.gender.names, "XNA"), np.where(unknown_gender, 2, people.gender.codes)),
        "FLAG_OWN_CAR": _yes_no(people.owns_car),
        "FLAG_OWN_REALTY": _yes_no(people.owns_realty),
        "CNT_CHILDREN": people.children,
        "CNT_FAM_MEMBERS": np.where(couple, 2.0, 1.0) + people.children,
        "NAME_INCOME_TYPE": people.income_type,
        "NAME_EDUCATION_TYPE": people.education,
        "NAME_FAMILY_STATUS": people.family,
        "NAME_HOUSING_TYPE": people.housing,
        "OCCUPATION_TYPE": people.occupation,
        "ORGANIZATION_TYPE": Category(
            (*organization.names, "XNA"), np.where(people.not_employed, len(organization.names), organization.codes)
        ),
        "OWN_CAR_AGE": with_nulls(whole(marginals.CAR_AGE.at(-mix(rng, (0.6, people.wealth)))), ~people.owns_car),
    }


def _loan(rng: np.random.Generator, applicants: Applicants) -> Table:
    offer, train = applicants.offer, applicants.is_train
    size = len(train)
    weekday = np.where(
        train, marginals.WEEKDAYS[True].pick(rng, size).codes, marginals.WEEKDAYS[False].pick(rng, size).codes
    )
    alone = chance(rng, _by_file(train, marginals.TYPE_SUITE_NULL), size)
    return {
        "NAME_CONTRACT_TYPE": Category(("Cash loans", "Revolving loans"), flags(offer.revolving)),
        "AMT_INCOME_TOTAL": offer.income,
        "AMT_CREDIT": offer.credit,
        "AMT_ANNUITY": offer.annuity,
        "AMT_GOODS_PRICE": offer.goods,
        "NAME_TYPE_SUITE": marginals.TYPE_SUITE.pick(rng, size).null_where(alone),
        "WEEKDAY_APPR_PROCESS_START": Category(marginals.WEEKDAYS[True].names, weekday),
        "HOUR_APPR_PROCESS_START": days(np.clip(rng.normal(12.04, 3.25, size), 0, 23)),
    }


def _times(rng: np.random.Generator, applicants: Applicants) -> Table:
    people, conduct = applicants.people, applicants.conduct
    born = days(-people.age_years * YEAR)
    employed = np.minimum(days(-people.employed_years * YEAR), -1)
    registered = marginals.REGISTRATION.at(mix(rng, (-0.50, conduct.registration), (0.33, people.age_score)))
    published = marginals.DOCUMENT_AGE.at(mix(rng, (-0.62, conduct.document), (0.25, people.age_score)))
    phone_score = mix(rng, (-0.97, conduct.phone))
    phone = np.where(
        applicants.is_train, marginals.PHONE_AGE[True].at(phone_score), marginals.PHONE_AGE[False].at(phone_score)
    )
    return {
        "DAYS_BIRTH": born,
        "DAYS_EMPLOYED": np.where(people.not_employed, NOT_EMPLOYED, employed),
        "DAYS_REGISTRATION": whole(-np.minimum(registered, -born)),
        "DAYS_ID_PUBLISH": days(-published),
        "DAYS_LAST_PHONE_CHANGE": blank(rng, whole(-phone), 0.000004),
    }


def _contacts(rng: np.random.Generator, applicants: Applicants) -> Table:
    employed = ~applicants.people.not_employed
    train = applicants.is_train
    size = len(train)
    return {
        "FLAG_MOBIL": flags(train | ~chance(rng, 0.00002, size)),
        "FLAG_EMP_PHONE": flags(employed),
        "FLAG_WORK_PHONE": flags(employed & chance(rng, 0.244, size)),
        "FLAG_CONT_MOBILE": flags(chance(rng, 0.9984, size)),
        "FLAG_PHONE": flags(
            chance(rng, np.where(train, 0.2799, 0.2631) + 0.05 * np.clip(applicants.people.wealth, -2, 2), size)
        ),
        "FLAG_EMAIL": flags(chance(rng, np.where(train, 0.0554, 0.1626), size)),
    }


def _region(rng: np.random.Generator, applicants: Applicants) -> Table:
    people = applicants.people
    size = len(applicants.ids)
    rating = people.region_rating.codes + 1
    nudged = np.clip(rating + np.where(chance(rng, 0.028, size), rng.choice([-1, 1], size, p=[0.8, 0.2]), 0), 1, 3)
    missing_city = ~applicants.is_train & chance(rng, 0.00002, size)
    step = np.rint(rng.random(size) * marginals.POPULATION_LEVELS) / marginals.POPULATION_LEVELS
    population = np.select(
        [rating == 1, rating == 2], [marginals.POPULATION[key].at_share(step) for key in ("1", "2")],
        marginals.POPULATION["3"].at_share(step),
    )  # fmt: skip
    works = ~people.not_employed
    restless = 0.02 - 0.03 * np.clip(people.age_score, -2, 2)
    city_live = chance(rng, 0.062 + restless * 0.8, size)
    moves = 0.22 + restless + 0.05 * np.clip(applicants.standard_risk, -2.5, 2.5)
    city_work = works & (chance(rng, moves, size) | (city_live & chance(rng, 0.75, size)))
    region_live = chance(rng, 0.0155, size)
    region_work = works & (chance(rng, 0.052, size) | (region_live & chance(rng, 0.6, size)))
    return {
        "REGION_POPULATION_RELATIVE": np.round(population, 6),
        "REGION_RATING_CLIENT": rating,
        "REGION_RATING_CLIENT_W_CITY": np.where(missing_city, -1, nudged),
        "REG_REGION_NOT_LIVE_REGION": flags(region_live),
        "REG_REGION_NOT_WORK_REGION": flags(region_work),
        "LIVE_REGION_NOT_WORK_REGION": flags(region_work & chance(rng, 0.80, size)),
        "REG_CITY_NOT_LIVE_CITY": flags(city_live),
        "REG_CITY_NOT_WORK_CITY": flags(city_work),
        "LIVE_CITY_NOT_WORK_CITY": flags(city_work & ~(city_live & chance(rng, 0.7, size)) & chance(rng, 0.93, size)),
    }


def _scores(rng: np.random.Generator, applicants: Applicants) -> Table:
    risk = applicants.standard_risk
    first, second, third = (-loading for loading in SCORE_LOADINGS)
    own_one, own_two = rng.standard_normal((2, len(risk)))
    of_one, of_two = np.sqrt(1.0 - first**2 - SCORE_1_AGE**2), np.sqrt(1.0 - second**2)
    one = marginals.EXT_1.at(first * risk + SCORE_1_AGE * applicants.people.age_score + of_one * own_one)
    two = marginals.EXT_2.at(second * risk + of_two * own_two)
    three = _levels(marginals.EXT_3, mix(rng, (third, risk), (SCORE_NOISE[0], own_one), (SCORE_NOISE[1], own_two)))
    nulls = {train: marginals.EXT_NULL[train] for train in (True, False)}
    size = len(risk)
    drawn = [
        with_nulls(score, chance(rng, np.where(applicants.is_train, nulls[True][i], nulls[False][i]), size))
        for i, score in enumerate((one, two, three))
    ]
    return {f"EXT_SOURCE_{i + 1}": score for i, score in enumerate(drawn)}


def _levels(marginal: Marginal, score: FloatArray) -> FloatArray:
    """Read a quantile function at few distinct levels."""
    level = np.minimum(scipy.special.ndtr(score) * marginals.EXT_3_LEVELS, marginals.EXT_3_LEVELS - 1)
    return marginal.at_share((np.floor(level) + 0.5) / marginals.EXT_3_LEVELS)


def _building(rng: np.random.Generator, applicants: Applicants) -> Table:
    size = len(applicants.ids)
    wealth = applicants.people.wealth
    known = rng.random(size) + 0.03 * np.clip(wealth, -2, 2)  # one building file per house: nulls are nested
    shift = np.where(applicants.is_train, 0.0, marginals.BUILDING_NULL_TEST_LESS)
    common = mix(rng, (0.60, wealth))
    columns: Table = {}
    for quantity in marginals.BUILDING_QUANTITIES:
        absent = _absent(rng, known, marginals.BUILDING_NULL[quantity] - shift)
        value = marginals.BUILDING[quantity].at(mix(rng, (0.8, common)))
        for kind, differs in (("AVG", 0.0), ("MODE", 0.35), ("MEDI", 0.08)):
            factor = np.where(chance(rng, differs, size), rng.uniform(0.85, 1.06, size), 1.0)
            columns[f"{quantity}_{kind}"] = with_nulls(_share(value * factor), absent)
    area = _share(marginals.TOTAL_AREA.at(mix(rng, (0.7, common))))
    columns["TOTALAREA_MODE"] = with_nulls(area, _absent(rng, known, marginals.BUILDING_NULL["TOTALAREA"] - shift))
    for name, shares in _BUILDING_KINDS.items():
        absent = _absent(rng, known, marginals.BUILDING_NULL[name] - shift)
        columns[f"{name}_MODE"] = shares.pick(rng, size).null_where(absent)
    return columns


_BUILDING_KINDS: Mapping[str, Shares] = {
    "FONDKAPREMONT": marginals.FUND_ACCOUNT,
    "HOUSETYPE": marginals.HOUSE_TYPE,
    "WALLSMATERIAL": marginals.WALLS,
    "EMERGENCYSTATE": marginals.EMERGENCY,
}  # fmt: skip


def _share(values: FloatArray) -> FloatArray:
    return np.asarray(np.round(np.minimum(values, 1.0), 4), dtype=np.float64)


def _absent(rng: np.random.Generator, known: FloatArray, share: FloatArray) -> BoolArray:
    """Tell where a quantity is missing: nearly where the building's file is thinner than the quantity's null share."""
    return known + rng.normal(0.0, 0.02, len(known)) < share


def _social_circle(rng: np.random.Generator, applicants: Applicants) -> Table:
    size = len(applicants.ids)
    seen = np.minimum(rng.poisson(rng.gamma(0.50, 2.85, size)), 30)
    strict = np.minimum(seen - rng.binomial(seen, 0.012), 29)
    risky = np.clip(0.10 + 0.012 * applicants.standard_risk, 0.02, 0.25)
    bad = np.minimum(rng.binomial(seen, risky), 6)
    absent = chance(rng, np.where(applicants.is_train, 0.0033, 0.0006), size)
    worse = np.minimum(rng.binomial(bad, 0.70), strict)
    names = ("OBS_30", "DEF_30", "OBS_60", "DEF_60")
    counts = (seen, bad, strict, worse)
    return {f"{name}_CNT_SOCIAL_CIRCLE": with_nulls(count, absent) for name, count in zip(names, counts, strict=True)}


def _documents(rng: np.random.Generator, applicants: Applicants) -> Table:
    size = len(applicants.ids)
    cash = ~applicants.offer.revolving
    pensioner = applicants.people.not_employed
    employed_share = _by_file(applicants.is_train, marginals.DOCUMENT_3_EMPLOYED)
    third_share = np.where(pensioner, marginals.DOCUMENT_3_PENSIONER, employed_share) + 0.028 * applicants.standard_risk
    third = cash & chance(rng, third_share, size)
    sixth = cash & ~third & pensioner & chance(rng, 0.93, size) | pensioner & chance(rng, 0.01, size)
    eighth = cash & ~third & ~sixth & chance(rng, 0.74, size)
    columns: Table = {}
    for number in marginals.DOCUMENTS:
        if number in marginals.DOCUMENT_SHARES:
            train, test = marginals.DOCUMENT_SHARES[number]
            columns[f"FLAG_DOCUMENT_{number}"] = flags(chance(rng, np.where(applicants.is_train, train, test), size))
    return columns | {
        "FLAG_DOCUMENT_3": flags(third),
        "FLAG_DOCUMENT_6": flags(sixth),
        "FLAG_DOCUMENT_8": flags(eighth),
    }


def _enquiries(rng: np.random.Generator, applicants: Applicants) -> Table:
    size = len(applicants.ids)
    absent = chance(rng, _by_file(applicants.is_train, marginals.ENQUIRY_NULL), size)
    columns: Table = {}
    for window in marginals.ENQUIRIES:
        shares = marginals.ENQUIRY_COUNTS[window]
        uniform = rng.random(size)
        counts = np.where(applicants.is_train, _count(shares[True], uniform), _count(shares[False], uniform))
        columns[f"AMT_REQ_CREDIT_BUREAU_{window}"] = with_nulls(counts, absent)
    return columns


def _count(shares: Sequence[float], uniform: FloatArray) -> FloatArray:
    """Read a count from cumulative shares."""
    edges = np.cumsum(np.array(shares) / sum(shares))[:-1]
    return np.searchsorted(edges, uniform, side="right").astype(np.float64)
