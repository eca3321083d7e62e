"""Requests that can be sent as they are, and answers of the shape they get: they stand in the OpenAPI document, and a test sends them.

What belongs here: invented applicants with columns of the contracts. What does not: the contracts themselves.
"""

from typing import Any

APPLICATION: dict[str, Any] = {
    "SK_ID_CURR": 900001,
    "NAME_CONTRACT_TYPE": "Cash loans",
    "CODE_GENDER": "F",
    "FLAG_OWN_CAR": "N",
    "FLAG_OWN_REALTY": "Y",
    "CNT_CHILDREN": 1,
    "AMT_INCOME_TOTAL": 157500.0,
    "AMT_CREDIT": 450000.0,
    "AMT_ANNUITY": 24700.5,
    "AMT_GOODS_PRICE": 405000.0,
    "NAME_INCOME_TYPE": "Working",
    "NAME_EDUCATION_TYPE": "Secondary / secondary special",
    "NAME_FAMILY_STATUS": "Married",
    "NAME_HOUSING_TYPE": "House / apartment",
    "REGION_POPULATION_RELATIVE": 0.01885,
    "DAYS_BIRTH": -14235,
    "DAYS_EMPLOYED": -2120,
    "DAYS_REGISTRATION": -4820.0,
    "DAYS_ID_PUBLISH": -3105,
    "FLAG_MOBIL": 1,
    "FLAG_EMP_PHONE": 1,
    "FLAG_WORK_PHONE": 0,
    "FLAG_CONT_MOBILE": 1,
    "FLAG_PHONE": 0,
    "FLAG_EMAIL": 0,
    "OCCUPATION_TYPE": "Core staff",
    "CNT_FAM_MEMBERS": 3.0,
    "REGION_RATING_CLIENT": 2,
    "REGION_RATING_CLIENT_W_CITY": 2,
    "WEEKDAY_APPR_PROCESS_START": "TUESDAY",
    "HOUR_APPR_PROCESS_START": 11,
    "REG_REGION_NOT_LIVE_REGION": 0,
    "REG_REGION_NOT_WORK_REGION": 0,
    "LIVE_REGION_NOT_WORK_REGION": 0,
    "REG_CITY_NOT_LIVE_CITY": 0,
    "REG_CITY_NOT_WORK_CITY": 0,
    "LIVE_CITY_NOT_WORK_CITY": 0,
    "ORGANIZATION_TYPE": "School",
    "EXT_SOURCE_2": 0.612,
    "EXT_SOURCE_3": 0.477,
    "DAYS_LAST_PHONE_CHANGE": -850.0,
    **{f"FLAG_DOCUMENT_{number}": int(number == 3) for number in range(2, 22)},
}

BUREAU: dict[str, Any] = {
    "SK_ID_CURR": 900001,
    "SK_ID_BUREAU": 9900001,
    "CREDIT_ACTIVE": "Active",
    "CREDIT_CURRENCY": "currency 1",
    "DAYS_CREDIT": -420,
    "CREDIT_DAY_OVERDUE": 0,
    "DAYS_CREDIT_ENDDATE": 675.0,
    "CNT_CREDIT_PROLONG": 0,
    "AMT_CREDIT_SUM": 135000.0,
    "AMT_CREDIT_SUM_DEBT": 64000.0,
    "AMT_CREDIT_SUM_OVERDUE": 0.0,
    "CREDIT_TYPE": "Consumer credit",
    "DAYS_CREDIT_UPDATE": -15,
}

BUREAU_BALANCE: list[dict[str, Any]] = [
    {"SK_ID_BUREAU": 9900001, "MONTHS_BALANCE": month, "STATUS": "0"} for month in (-1, -2, -3)
]

PREDICT_EXAMPLES: dict[str, Any] = {
    "application": {
        "summary": "One raw application; its histories are looked up by its id (here: none are known)",
        "value": {"applications": [APPLICATION]},
    },
    "application_with_histories": {
        "summary": "One raw application with its own history rows",
        "value": {
            "applications": [APPLICATION],
            "histories": {"bureau": [BUREAU], "bureau_balance": BUREAU_BALANCE},
        },
    },
    "known_applicants": {
        "summary": "Known applicants by id: everything is looked up",
        "value": {"applicant_ids": [100020]},
    },
}

_REQUEST = "6f1c0f6e2b6f4a31a9a5a9f1f9c1d0aa"
_BUNDLE = "4d8b97d9e36fe8c61672f0a77ab3b756ac4137749030d7bbb8ba3fbe3459a1ac"
_USED = {"model_version": "09cd3f346eb69498", "policy_version": "1-54809abdeab5"}
_HISTORIES = ("bureau", "credit_card", "installments", "pos_cash", "previous_application")
_ESTIMATED = {
    "applicant_id": 900001,
    "table": "applications",
    "row": 0,
    "pd": 0.1617,
    "band": "D",
    "rule": "annuity_above_income",
    "points": 534,
    "families": {"application": "sent", **dict.fromkeys(_HISTORIES, "no_history")},
    "outside_training": ["application__missing_count"],
    "contributions": [
        {"feature": "application__annuity_income_ratio", "contribution": 0.412},
        {"feature": "application__annuity_credit_ratio", "contribution": 0.137},
    ],
    "reasons": [
        {
            "code": "RULE-ANNUITY_ABOVE_INCOME",
            "text": "The loan would take more than the whole income, or one of the two amounts is wrong",
            "group": "annuity_above_income",
            "contribution": None,
            "value": None,
        },
        {
            "code": "APP-8FB95A",
            "text": "Your application: instalment compared with yearly income – higher than for applicants just approved",
            "group": "application__annuity_income_ratio",
            "contribution": 0.412,
            "value": "1.88",
        },
    ],
}
_COUNTED = {"scored": 1, "failed": 0, "errors": [], "errors_total": 0}
PREDICTED_EXAMPLE: dict[str, Any] = {
    "request_id": _REQUEST,
    **_USED,
    "bundle_sha256": _BUNDLE,
    "decisions": [
        {
            **_ESTIMATED,
            **_USED,
            "decision_id": "01a22c4f7653df4e21f872c629b2a43d",
            "decision": "refer",
        }
    ],
    **_COUNTED,
}
WHAT_IF_EXAMPLE: dict[str, Any] = {
    "request_id": _REQUEST,
    **_USED,
    "bundle_sha256": _BUNDLE,
    "stored": False,
    "estimates": [{**_ESTIMATED, "outcome": "refer"}],
    **_COUNTED,
}
VALIDATION_EXAMPLE: dict[str, Any] = {
    "request_id": _REQUEST,
    "model_version": _USED["model_version"],
    "valid": True,
    "applicants": 1,
    "failed": 0,
    "errors": [],
    "errors_total": 0,
}
SCHEMA_EXAMPLE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {},
    "type": "object",
    "title": "ScoringRequest",
    "additionalProperties": False,
    "properties": {"applications": {}, "histories": {}, "applicant_ids": {}},
    "examples": [PREDICT_EXAMPLES["application"]["value"]],
}
