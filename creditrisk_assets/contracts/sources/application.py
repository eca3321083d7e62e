"""What both application files declare: everything known of an applicant on the day of the application.

What belongs here: the shared columns, in file order. What does not: the label and the tables' names
(`application_train`, `application_test`), what is made of the columns (features).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.model import DataFrameModel

WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
COMPANIONS = ("Unaccompanied", "Family", "Spouse, partner", "Children", "Other_A", "Other_B", "Group of people")
OCCUPATIONS = (
    "Laborers", "Sales staff", "Core staff", "Managers", "Drivers", "High skill tech staff", "Accountants",
    "Medicine staff", "Security staff", "Cooking staff", "Cleaning staff", "Private service staff",
    "Low-skill Laborers", "Waiters/barmen staff", "Secretaries", "Realty agents", "HR staff", "IT staff",
)  # fmt: skip
ORGANIZATIONS = (
    *(f"Business Entity Type {n}" for n in range(1, 4)), *(f"Trade: type {n}" for n in range(1, 8)),
    *(f"Transport: type {n}" for n in range(1, 5)), *(f"Industry: type {n}" for n in range(1, 14)), "Self-employed",
    "Other", "Medicine", "Government", "School", "Kindergarten", "Construction", "Military", "Police", "Postal",
    "Security", "Security Ministries", "Services", "Agriculture", "Bank", "Hotel", "Restaurant", "Housing",
    "Electricity", "Emergency", "Advertising", "Cleaning", "Culture", "Insurance", "Legal Services", "Mobile",
    "Realtor", "Religion", "Telecom", "University", "XNA",
)  # fmt: skip

BUILDING_PARTS = {
    "APARTMENTS": "number of flats",
    "BASEMENTAREA": "basement area",
    "YEARS_BEGINEXPLUATATION": "years since it came into use",
    "YEARS_BUILD": "years since it was built",
    "COMMONAREA": "common area",
    "ELEVATORS": "number of lifts",
    "ENTRANCES": "number of entrances",
    "FLOORSMAX": "highest number of floors",
    "FLOORSMIN": "lowest number of floors",
    "LANDAREA": "land area",
    "LIVINGAPARTMENTS": "number of lived-in flats",
    "LIVINGAREA": "living area",
    "NONLIVINGAPARTMENTS": "number of flats not lived in",
    "NONLIVINGAREA": "area not lived in",
}
BUILDING_STATISTICS = {"AVG": "mean", "MODE": "mode", "MEDI": "median"}

ENQUIRY_WINDOWS = {
    "HOUR": "in the hour before the application",
    "DAY": "in the day before the application, its last hour left out",
    "WEEK": "in the week before the application, its last day left out",
    "MON": "in the month before the application, its last week left out",
    "QRT": "in the quarter before the application, its last month left out",
    "YEAR": "in the year before the application, its last quarter left out",
}


class ApplicationKey(DataFrameModel):
    """The identifier of an application."""

    SK_ID_CURR: dt.Int64 = f.key("application, one per applicant (key)")


class _Applicant(DataFrameModel):
    """The loan asked for and the person who asks."""

    NAME_CONTRACT_TYPE: dt.String = f.category("kind of loan asked for", ["Cash loans", "Revolving loans"])
    CODE_GENDER: dt.String = f.category("gender", ["F", "M", "XNA"], protected=True, sentinels={"XNA": "not recorded"})
    FLAG_OWN_CAR: dt.String = f.category("owns a car", ["Y", "N"])
    FLAG_OWN_REALTY: dt.String = f.category("owns a house or a flat", ["Y", "N"])
    CNT_CHILDREN: dt.Int32 = f.count("children", dating="snapshot", maximum=50)
    AMT_INCOME_TOTAL: dt.Float64 = f.amount("declared yearly income", dating="snapshot")
    AMT_CREDIT: dt.Float64 = f.amount("amount of the loan asked for", dating="snapshot")
    AMT_ANNUITY: dt.Float64 = f.amount("regular instalment of the loan", dating="snapshot", nullable=True)
    AMT_GOODS_PRICE: dt.Float64 = f.amount("price of the goods the loan pays for", dating="snapshot", nullable=True)
    NAME_TYPE_SUITE: dt.String = f.vocabulary("who came along to the application", COMPANIONS, nullable=True)
    NAME_INCOME_TYPE: dt.String = f.category(
        "where the income comes from",
        [
            *("Working", "Commercial associate", "Pensioner", "State servant"),
            *("Unemployed", "Student", "Businessman", "Maternity leave"),
        ],
    )
    NAME_EDUCATION_TYPE: dt.String = f.category(
        "highest education",
        [
            "Lower secondary",
            "Secondary / secondary special",
            "Incomplete higher",
            "Higher education",
            "Academic degree",
        ],
    )
    NAME_FAMILY_STATUS: dt.String = f.category(
        "family status",
        ["Married", "Single / not married", "Civil marriage", "Separated", "Widow", "Unknown"],
        protected=True,
        sentinels={"Unknown": "not recorded"},
    )
    NAME_HOUSING_TYPE: dt.String = f.category(
        "housing",
        [
            *("House / apartment", "With parents", "Municipal apartment"),
            *("Rented apartment", "Office apartment", "Co-op apartment"),
        ],
    )
    REGION_POPULATION_RELATIVE: dt.Float64 = f.share(
        "population of the region of residence, normalised", nullable=False
    )
    DAYS_BIRTH: dt.Int32 = f.days("day of birth: minus the age in days", minimum=-43830, maximum=-5844, protected=True)
    DAYS_EMPLOYED: dt.Int32 = f.days(
        "first day of the present job", minimum=-29220, sentinels={f.INFINITE_DAYS: "not employed (mostly pensioners)"}
    )
    DAYS_REGISTRATION: dt.Float64 = f.days("last change of the registration")
    DAYS_ID_PUBLISH: dt.Int32 = f.days("last change of the identity document")
    OWN_CAR_AGE: dt.Float64 = f.number(
        "age of the car; NULL without one", "years", minimum=0, maximum=150, dating="snapshot", nullable=True
    )
    FLAG_MOBIL: dt.Int32 = f.flag("gave a mobile number")
    FLAG_EMP_PHONE: dt.Int32 = f.flag("gave the employer's number")
    FLAG_WORK_PHONE: dt.Int32 = f.flag("gave a work number (the source's own description says home)")
    FLAG_CONT_MOBILE: dt.Int32 = f.flag("was reachable on the mobile")
    FLAG_PHONE: dt.Int32 = f.flag("gave a home number")
    FLAG_EMAIL: dt.Int32 = f.flag("gave an e-mail address")
    OCCUPATION_TYPE: dt.String = f.vocabulary("occupation", OCCUPATIONS, nullable=True)
    CNT_FAM_MEMBERS: dt.Float64 = f.count("family members", dating="snapshot", maximum=60, nullable=True)
    REGION_RATING_CLIENT: dt.Int32 = f.code("lender's rating of the region of residence, 1 best", [1, 2, 3])
    REGION_RATING_CLIENT_W_CITY: dt.Int32 = f.code(
        "lender's rating of the region, the city considered", [-1, 1, 2, 3], sentinels={-1: "not rated"}
    )
    WEEKDAY_APPR_PROCESS_START: dt.String = f.category("weekday of the application", WEEKDAYS)
    HOUR_APPR_PROCESS_START: dt.Int32 = f.count(
        "hour of the application, rounded", dating="snapshot", maximum=23, unit="hour"
    )
    REG_REGION_NOT_LIVE_REGION: dt.Int32 = f.flag("permanent address outside the region of the contact address")
    REG_REGION_NOT_WORK_REGION: dt.Int32 = f.flag("permanent address outside the region of work")
    LIVE_REGION_NOT_WORK_REGION: dt.Int32 = f.flag("contact address outside the region of work")
    REG_CITY_NOT_LIVE_CITY: dt.Int32 = f.flag("permanent address outside the city of the contact address")
    REG_CITY_NOT_WORK_CITY: dt.Int32 = f.flag("permanent address outside the city of work")
    LIVE_CITY_NOT_WORK_CITY: dt.Int32 = f.flag("contact address outside the city of work")
    ORGANIZATION_TYPE: dt.String = f.vocabulary(
        "branch of the employer", ORGANIZATIONS, sentinels={"XNA": "no employer (with DAYS_EMPLOYED 365243)"}
    )
    EXT_SOURCE_1: dt.Float64 = f.share("external credit score 1, normalised; higher is safer", unit="score")
    EXT_SOURCE_2: dt.Float64 = f.share("external credit score 2, normalised; higher is safer", unit="score")
    EXT_SOURCE_3: dt.Float64 = f.share("external credit score 3, normalised; higher is safer", unit="score")


@f.repeated(
    {
        f"{part}_{statistic}": f.share(f"building of residence: {meaning} ({word}), normalised")
        for statistic, word in BUILDING_STATISTICS.items()
        for part, meaning in BUILDING_PARTS.items()
    },
    dt.Float64,
)
class _Building(_Applicant):
    """The building the applicant lives in: 14 measures, each as mean, mode and median."""


class _Residence(_Building):
    """The rest about the building, the social circle and the telephone."""

    FONDKAPREMONT_MODE: dt.String = f.vocabulary(
        "fund that pays for the building's overhaul",
        ["reg oper account", "reg oper spec account", "org spec account", "not specified"],
        nullable=True,
    )
    HOUSETYPE_MODE: dt.String = f.vocabulary(
        "kind of building", ["block of flats", "specific housing", "terraced house"], nullable=True
    )
    TOTALAREA_MODE: dt.Float64 = f.share("building of residence: total area, normalised")
    WALLSMATERIAL_MODE: dt.String = f.vocabulary(
        "material of the walls",
        ["Panel", "Stone, brick", "Block", "Wooden", "Mixed", "Monolithic", "Others"],
        nullable=True,
    )
    EMERGENCYSTATE_MODE: dt.String = f.category("building declared dilapidated", ["No", "Yes"], nullable=True)
    OBS_30_CNT_SOCIAL_CIRCLE: dt.Float64 = f.count(
        "people of the social circle whose 30 days past due could be observed", dating="snapshot", nullable=True
    )
    DEF_30_CNT_SOCIAL_CIRCLE: dt.Float64 = f.count(
        "people of the social circle who were 30 days past due", dating="snapshot", nullable=True
    )
    OBS_60_CNT_SOCIAL_CIRCLE: dt.Float64 = f.count(
        "people of the social circle whose 60 days past due could be observed", dating="snapshot", nullable=True
    )
    DEF_60_CNT_SOCIAL_CIRCLE: dt.Float64 = f.count(
        "people of the social circle who were 60 days past due", dating="snapshot", nullable=True
    )
    DAYS_LAST_PHONE_CHANGE: dt.Float64 = f.days("last change of the telephone", nullable=True)


@f.repeated({f"FLAG_DOCUMENT_{n}": f.flag(f"provided document {n}") for n in range(2, 22)}, dt.Int32)
class _Documents(_Residence):
    """Which of 20 documents the applicant provided."""


@f.repeated(
    {
        f"AMT_REQ_CREDIT_BUREAU_{window}": f.count(
            f"enquiries at the credit bureau {when}", dating="snapshot", nullable=True
        )
        for window, when in ENQUIRY_WINDOWS.items()
    },
    dt.Float64,
)
class ApplicationAttributes(_Documents):
    """Everything about an application but its identifier and its outcome."""
