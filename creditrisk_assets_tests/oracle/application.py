"""The family application in pandas, written from the catalogue's descriptions.

What belongs here: the features as a data scientist would compute them from the CSV files. What does not: anything read from the
family's SQL or its contract, which this is compared to.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from creditrisk_assets_tests.oracle.interest import monthly_rate
from creditrisk_assets_tests.oracle.statistics import quotient

UNEMPLOYED = 365243

RENAMED = {
    "income_amt": "AMT_INCOME_TOTAL",
    "credit_amt": "AMT_CREDIT",
    "annuity_amt": "AMT_ANNUITY",
    "goods_price_amt": "AMT_GOODS_PRICE",
    "children_count": "CNT_CHILDREN",
    "family_members_count": "CNT_FAM_MEMBERS",
    "region_population_ratio": "REGION_POPULATION_RELATIVE",
    "region_rating_level": "REGION_RATING_CLIENT",
    "process_start_hours": "HOUR_APPR_PROCESS_START",
    "ext_1_score": "EXT_SOURCE_1",
    "ext_2_score": "EXT_SOURCE_2",
    "ext_3_score": "EXT_SOURCE_3",
    "building_total_area_score": "TOTALAREA_MODE",
    "circle_observed_30d_count": "OBS_30_CNT_SOCIAL_CIRCLE",
    "circle_default_30d_count": "DEF_30_CNT_SOCIAL_CIRCLE",
    "circle_observed_60d_count": "OBS_60_CNT_SOCIAL_CIRCLE",
    "circle_default_60d_count": "DEF_60_CNT_SOCIAL_CIRCLE",
    "enquiries_hour_count": "AMT_REQ_CREDIT_BUREAU_HOUR",
    "enquiries_day_count": "AMT_REQ_CREDIT_BUREAU_DAY",
    "enquiries_week_count": "AMT_REQ_CREDIT_BUREAU_WEEK",
    "enquiries_month_count": "AMT_REQ_CREDIT_BUREAU_MON",
    "enquiries_quarter_count": "AMT_REQ_CREDIT_BUREAU_QRT",
    "enquiries_year_count": "AMT_REQ_CREDIT_BUREAU_YEAR",
    "contract_type_category": "NAME_CONTRACT_TYPE",
    "gender_category": "CODE_GENDER",
    "company_category": "NAME_TYPE_SUITE",
    "income_type_category": "NAME_INCOME_TYPE",
    "education_category": "NAME_EDUCATION_TYPE",
    "family_status_category": "NAME_FAMILY_STATUS",
    "housing_category": "NAME_HOUSING_TYPE",
    "occupation_category": "OCCUPATION_TYPE",
    "organization_category": "ORGANIZATION_TYPE",
    "process_start_weekday_category": "WEEKDAY_APPR_PROCESS_START",
    "building_fund_category": "FONDKAPREMONT_MODE",
    "building_type_category": "HOUSETYPE_MODE",
    "building_walls_category": "WALLSMATERIAL_MODE",
    "building_emergency_category": "EMERGENCYSTATE_MODE",
}
CATEGORIES = [column for name, column in RENAMED.items() if name.endswith("_category")]
BUILDING = {
    "apartments": "APARTMENTS",
    "basement_area": "BASEMENTAREA",
    "years_in_use": "YEARS_BEGINEXPLUATATION",
    "years_build": "YEARS_BUILD",
    "common_area": "COMMONAREA",
    "elevators": "ELEVATORS",
    "entrances": "ENTRANCES",
    "floors_max": "FLOORSMAX",
    "floors_min": "FLOORSMIN",
    "land_area": "LANDAREA",
    "living_apartments": "LIVINGAPARTMENTS",
    "living_area": "LIVINGAREA",
    "nonliving_apartments": "NONLIVINGAPARTMENTS",
    "nonliving_area": "NONLIVINGAREA",
}
CONTACTS = {
    "has_mobile": "FLAG_MOBIL",
    "has_employer_phone": "FLAG_EMP_PHONE",
    "has_work_phone": "FLAG_WORK_PHONE",
    "has_reachable_mobile": "FLAG_CONT_MOBILE",
    "has_home_phone": "FLAG_PHONE",
    "has_email": "FLAG_EMAIL",
}
PHONES = ["FLAG_EMP_PHONE", "FLAG_WORK_PHONE", "FLAG_PHONE"]
REGIONS = ["REG_REGION_NOT_LIVE_REGION", "REG_REGION_NOT_WORK_REGION", "LIVE_REGION_NOT_WORK_REGION"]
CITIES = ["REG_CITY_NOT_LIVE_CITY", "REG_CITY_NOT_WORK_CITY", "LIVE_CITY_NOT_WORK_CITY"]
DOCUMENTS = [f"FLAG_DOCUMENT_{number}" for number in range(2, 22)]
EXT = ["EXT_SOURCE_1", "EXT_SOURCE_2", "EXT_SOURCE_3"]
EXT_WEIGHTS = [19, 21, 26]
ENQUIRIES = [f"AMT_REQ_CREDIT_BUREAU_{span}" for span in ("HOUR", "DAY", "WEEK", "MON", "QRT", "YEAR")]
CIRCLE = [f"{what}_{days}_CNT_SOCIAL_CIRCLE" for what in ("OBS", "DEF") for days in (30, 60)]
FACTS = ["FONDKAPREMONT_MODE", "HOUSETYPE_MODE", "TOTALAREA_MODE", "WALLSMATERIAL_MODE", "EMERGENCYSTATE_MODE"]
LOAN = ["AMT_ANNUITY", "AMT_GOODS_PRICE", "NAME_TYPE_SUITE"]
PERSON = ["OWN_CAR_AGE", "OCCUPATION_TYPE", "CNT_FAM_MEMBERS", "DAYS_LAST_PHONE_CHANGE"]
TERMS = range(6, 61, 6)
PLAUSIBLE = (0.085, 1)

# the family promises its root of the annuity equation to that; here it is found to the last digit
TOLERANCES = {"application__monthly_rate_ratio_min": 1e-4}


def features(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute the family, one row per application."""
    raw = pd.concat([tables["application_train"], tables["application_test"]]).set_index("SK_ID_CURR").sort_index()
    raw.index.name = "sk_id_curr"
    parts = [_facts(raw), _sums(raw), _scores(raw), _ratios(raw), _scores_by_ratios(raw), _rates(raw)]
    return pd.concat(parts, axis=1).add_prefix("application__")


def _facts(raw: pd.DataFrame) -> pd.DataFrame:
    out = {name: raw[column] for name, column in RENAMED.items()}
    out["city_rating_level"] = raw["REGION_RATING_CLIENT_W_CITY"].replace(-1, np.nan)
    out["age_days"] = -raw["DAYS_BIRTH"]
    out["employed_days"] = _employed(raw)
    out["registration_days"] = -raw["DAYS_REGISTRATION"]
    out["id_publish_days"] = -raw["DAYS_ID_PUBLISH"]
    out["phone_change_days"] = -raw["DAYS_LAST_PHONE_CHANGE"]
    out["car_age_months"] = raw["OWN_CAR_AGE"] * 12
    for name, column in BUILDING.items():
        out[f"building_{name}_score_avg"] = raw[f"{column}_AVG"]
    out["has_car"] = raw["FLAG_OWN_CAR"] == "Y"
    out["has_realty"] = raw["FLAG_OWN_REALTY"] == "Y"
    for name, column in CONTACTS.items():
        out[name] = raw[column] == 1
    for column in REGIONS + CITIES:
        out[f"is_{column.lower()}"] = raw[column] == 1
    for column in DOCUMENTS:
        out[column.lower().replace("flag", "has")] = raw[column] == 1
    out["is_without_employment"] = raw["DAYS_EMPLOYED"] == UNEMPLOYED
    for number, column in enumerate(EXT, start=1):
        out[f"has_ext_{number}_score"] = raw[column].notna()
    out["has_car_age"] = raw["OWN_CAR_AGE"].notna()
    return pd.DataFrame(out)


def _sums(raw: pd.DataFrame) -> pd.DataFrame:
    out = {}
    out["enquiries_count"] = raw[ENQUIRIES].sum(axis=1, skipna=False)
    out["enquiries_last_month_count"] = raw[ENQUIRIES[:4]].sum(axis=1, skipna=False)
    out["enquiries_quarter_share"] = quotient(raw[ENQUIRIES[:5]].sum(axis=1, skipna=False), out["enquiries_count"])
    out["documents_count"] = raw[DOCUMENTS].sum(axis=1)
    out["contacts_count"] = raw[list(CONTACTS.values())].sum(axis=1)
    out["phones_count"] = raw[PHONES].sum(axis=1)
    out["region_mismatches_count"] = raw[REGIONS].sum(axis=1)
    out["city_mismatches_count"] = raw[CITIES].sum(axis=1)
    out["mismatches_count"] = raw[REGIONS + CITIES].sum(axis=1)
    out["circle_default_count"] = raw["DEF_30_CNT_SOCIAL_CIRCLE"] + raw["DEF_60_CNT_SOCIAL_CIRCLE"]
    for days in (30, 60):
        observed = raw[f"OBS_{days}_CNT_SOCIAL_CIRCLE"]
        out[f"circle_default_{days}d_ratio"] = quotient(raw[f"DEF_{days}_CNT_SOCIAL_CIRCLE"], observed)
    scales = {scale: [f"{column}_{scale}" for column in BUILDING.values()] for scale in ("AVG", "MODE", "MEDI")}
    building = [*scales["AVG"], *scales["MODE"], *scales["MEDI"], *FACTS]
    out["ext_missing_count"] = _missing(raw, EXT)
    out["building_missing_count"] = _missing(raw, building)
    out["building_avg_missing_count"] = _missing(raw, scales["AVG"])
    out["building_facts_missing_count"] = _missing(raw, FACTS)
    out["loan_missing_count"] = _missing(raw, LOAN)
    out["person_missing_count"] = _missing(raw, PERSON)
    out["circle_missing_count"] = _missing(raw, CIRCLE)
    out["enquiries_missing_count"] = _missing(raw, ENQUIRIES)
    out["missing_count"] = _missing(raw, [*EXT, *building, *LOAN, *PERSON, *CIRCLE, *ENQUIRIES])
    return pd.DataFrame(out)


def _scores(raw: pd.DataFrame) -> pd.DataFrame:
    scores = raw[EXT]
    one, two, three = (raw[column] for column in EXT)
    weights = scores.notna() * EXT_WEIGHTS
    out = {}
    out["ext_score_mean"] = scores.mean(axis=1)
    out["ext_score_weighted_mean"] = quotient((scores.fillna(0) * EXT_WEIGHTS).sum(axis=1), weights.sum(axis=1))
    out["ext_score_min"] = scores.min(axis=1)
    out["ext_score_max"] = scores.max(axis=1)
    out["ext_score_range"] = scores.max(axis=1) - scores.min(axis=1)
    out["ext_score_std"] = scores.std(axis=1)
    out["ext_score_median"] = scores.median(axis=1)
    out["ext_score_product"] = one * two * three
    out["ext_1_2_score_product"] = one * two
    out["ext_1_3_score_product"] = one * three
    out["ext_2_3_score_product"] = two * three
    out["ext_1_2_score_difference"] = one - two
    out["ext_1_3_score_difference"] = one - three
    out["ext_2_3_score_difference"] = two - three
    age, employed = -raw["DAYS_BIRTH"], _employed(raw)
    for name, score in {"ext_1": one, "ext_2": two, "ext_3": three, "ext_mean": out["ext_score_mean"]}.items():
        out[f"{name}_age_days"] = age * score
        out[f"{name}_employed_days"] = employed * score
    out["age_per_ext_3_days"] = quotient(age, three)
    out["employed_per_ext_3_days"] = quotient(employed, three)
    return pd.DataFrame(out)


def _ratios(raw: pd.DataFrame) -> pd.DataFrame:
    income, credit, annuity, goods = (
        raw[f"AMT_{what}"] for what in ("INCOME_TOTAL", "CREDIT", "ANNUITY", "GOODS_PRICE")
    )
    children, members = raw["CNT_CHILDREN"], raw["CNT_FAM_MEMBERS"]
    age, employed, car_age = -raw["DAYS_BIRTH"], _employed(raw), raw["OWN_CAR_AGE"] * 365
    registration, id_publish = -raw["DAYS_REGISTRATION"], -raw["DAYS_ID_PUBLISH"]
    phone_change = -raw["DAYS_LAST_PHONE_CHANGE"]
    out = {}
    out["annuity_credit_ratio"] = quotient(annuity, credit)
    out["credit_annuity_ratio"] = quotient(credit, annuity)
    out["credit_income_ratio"] = quotient(credit, income)
    out["annuity_income_ratio"] = quotient(annuity, income)
    out["goods_credit_ratio"] = quotient(goods, credit)
    out["goods_income_ratio"] = quotient(goods, income)
    out["goods_annuity_ratio"] = quotient(goods, annuity)
    out["credit_less_goods_amt"] = credit - goods
    out["credit_less_goods_income_ratio"] = quotient(credit - goods, income)
    out["credit_less_goods_annuity_ratio"] = quotient(credit - goods, annuity)
    out["income_per_member_amt"] = quotient(income, members)
    out["credit_per_member_amt"] = quotient(credit, members)
    out["annuity_per_member_amt"] = quotient(annuity, members)
    out["annuity_member_income_ratio"] = quotient(annuity, quotient(income, members))
    out["credit_member_income_ratio"] = quotient(credit, quotient(income, members))
    out["income_less_annuity_amt"] = income - annuity
    out["income_less_annuity_per_member_amt"] = quotient(income - annuity, members)
    out["income_per_dependant_amt"] = income / (1 + children)
    out["income_region_population_amt"] = income * raw["REGION_POPULATION_RELATIVE"]
    out["children_member_ratio"] = quotient(children, members)
    out["adults_count"] = members - children
    out["employed_age_ratio"] = quotient(employed, age)
    out["registration_age_ratio"] = quotient(registration, age)
    out["id_publish_age_ratio"] = quotient(id_publish, age)
    out["phone_change_age_ratio"] = quotient(phone_change, age)
    out["car_age_age_ratio"] = quotient(car_age, age)
    out["car_age_employed_ratio"] = quotient(car_age, employed)
    out["phone_change_employed_ratio"] = quotient(phone_change, employed)
    out["income_employed_ratio"] = quotient(income, employed)
    out["credit_employed_ratio"] = quotient(credit, employed)
    out["annuity_employed_ratio"] = quotient(annuity, employed)
    out["income_age_ratio"] = quotient(income, age)
    out["credit_age_ratio"] = quotient(credit, age)
    out["age_less_employed_days"] = age - employed
    out["employed_registration_ratio"] = quotient(employed, registration)
    out["employed_id_publish_ratio"] = quotient(employed, id_publish)
    out["phone_change_id_publish_ratio"] = quotient(phone_change, id_publish)
    out["id_publish_registration_ratio"] = quotient(id_publish, registration)
    out["registration_less_id_publish_days"] = registration - id_publish
    return pd.DataFrame(out)


def _scores_by_ratios(raw: pd.DataFrame) -> pd.DataFrame:
    income, credit, annuity, goods = (
        raw[f"AMT_{what}"] for what in ("INCOME_TOTAL", "CREDIT", "ANNUITY", "GOODS_PRICE")
    )
    scores = {f"ext_{number}": raw[column] for number, column in enumerate(EXT, start=1)}
    scores["ext_mean"] = raw[EXT].mean(axis=1)
    out = {}
    for name, score in scores.items():
        out[f"credit_annuity_{name}_ratio"] = quotient(quotient(credit, annuity), score)
        out[f"annuity_income_{name}_ratio"] = quotient(quotient(annuity, income), score)
        out[f"credit_income_{name}_ratio"] = quotient(quotient(credit, income), score)
    out["goods_credit_ext_mean_ratio"] = quotient(quotient(goods, credit), scores["ext_mean"])
    out["annuity_credit_times_ext_mean_ratio"] = quotient(annuity, credit) * scores["ext_mean"]
    return pd.DataFrame(out)


def _rates(raw: pd.DataFrame) -> pd.DataFrame:
    """Compute what the loan would cost at the terms that are plausible: the feed gives no term."""
    credit, annuity = raw["AMT_CREDIT"], raw["AMT_ANNUITY"]
    rates = pd.DataFrame({term: quotient(24 * (term * annuity - credit), credit * (term + 1)) for term in TERMS})
    plausible = rates.where((rates >= PLAUSIBLE[0]) & (rates <= PLAUSIBLE[1]))
    term = plausible.apply(pd.Series.first_valid_index, axis=1).astype(float)
    out = {}
    out["shortest_term_months"] = term
    out["plausible_terms_count"] = plausible.notna().sum(axis=1).replace(0, np.nan)
    out["simple_rate_ratio_min"] = plausible.min(axis=1)
    out["simple_rate_ratio_max"] = plausible.max(axis=1)
    out["simple_rate_ratio_mean"] = plausible.mean(axis=1)
    out["monthly_rate_ratio_min"] = monthly_rate(credit, annuity, term)
    out["interest_amt_min"] = term * annuity - credit
    out["interest_income_ratio_min"] = quotient(out["interest_amt_min"], raw["AMT_INCOME_TOTAL"])
    return pd.DataFrame(out)


def _employed(raw: pd.DataFrame) -> pd.Series:
    return -raw["DAYS_EMPLOYED"].where(raw["DAYS_EMPLOYED"] != UNEMPLOYED)


def _missing(raw: pd.DataFrame, columns: Iterable[str]) -> pd.Series:
    return raw[list(columns)].isna().sum(axis=1)
