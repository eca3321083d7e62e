"""Measured marginals of the application tables, as data: columns in file order, shares, quantiles, null shares.

What belongs here: numbers about single columns. What does not: how columns hang together (`application`, `people`, `offer`).
"""

from creditrisk_assets.simulation.sampling import Marginal, Shares

BUILDING_QUANTITIES = (
    "APARTMENTS", "BASEMENTAREA", "YEARS_BEGINEXPLUATATION", "YEARS_BUILD", "COMMONAREA", "ELEVATORS", "ENTRANCES", "FLOORSMAX",
    "FLOORSMIN", "LANDAREA", "LIVINGAPARTMENTS", "LIVINGAREA", "NONLIVINGAPARTMENTS", "NONLIVINGAREA",
)  # fmt: skip
DOCUMENTS = tuple(range(2, 22))
ENQUIRIES = ("HOUR", "DAY", "WEEK", "MON", "QRT", "YEAR")

COLUMNS = (
    "SK_ID_CURR", "TARGET", "NAME_CONTRACT_TYPE", "CODE_GENDER", "FLAG_OWN_CAR", "FLAG_OWN_REALTY", "CNT_CHILDREN",
    "AMT_INCOME_TOTAL", "AMT_CREDIT", "AMT_ANNUITY", "AMT_GOODS_PRICE", "NAME_TYPE_SUITE", "NAME_INCOME_TYPE",
    "NAME_EDUCATION_TYPE", "NAME_FAMILY_STATUS", "NAME_HOUSING_TYPE", "REGION_POPULATION_RELATIVE", "DAYS_BIRTH", "DAYS_EMPLOYED",
    "DAYS_REGISTRATION", "DAYS_ID_PUBLISH", "OWN_CAR_AGE", "FLAG_MOBIL", "FLAG_EMP_PHONE", "FLAG_WORK_PHONE", "FLAG_CONT_MOBILE",
    "FLAG_PHONE", "FLAG_EMAIL", "OCCUPATION_TYPE", "CNT_FAM_MEMBERS", "REGION_RATING_CLIENT", "REGION_RATING_CLIENT_W_CITY",
    "WEEKDAY_APPR_PROCESS_START", "HOUR_APPR_PROCESS_START", "REG_REGION_NOT_LIVE_REGION", "REG_REGION_NOT_WORK_REGION",
    "LIVE_REGION_NOT_WORK_REGION", "REG_CITY_NOT_LIVE_CITY", "REG_CITY_NOT_WORK_CITY", "LIVE_CITY_NOT_WORK_CITY",
    "ORGANIZATION_TYPE", "EXT_SOURCE_1", "EXT_SOURCE_2", "EXT_SOURCE_3",
    *(f"{quantity}_{kind}" for kind in ("AVG", "MODE", "MEDI") for quantity in BUILDING_QUANTITIES),
    "FONDKAPREMONT_MODE", "HOUSETYPE_MODE", "TOTALAREA_MODE", "WALLSMATERIAL_MODE", "EMERGENCYSTATE_MODE",
    "OBS_30_CNT_SOCIAL_CIRCLE", "DEF_30_CNT_SOCIAL_CIRCLE", "OBS_60_CNT_SOCIAL_CIRCLE", "DEF_60_CNT_SOCIAL_CIRCLE",
    "DAYS_LAST_PHONE_CHANGE",
    *(f"FLAG_DOCUMENT_{number}" for number in DOCUMENTS),
    *(f"AMT_REQ_CREDIT_BUREAU_{window}" for window in ENQUIRIES),
)  # fmt: skip

TYPE_SUITE = Shares(
    {"Unaccompanied": 0.812, "Family": 0.131, "Spouse, partner": 0.037, "Children": 0.010, "Other_B": 0.006, "Other_A": 0.003,
     "Group of people": 0.001}
)  # fmt: skip
TYPE_SUITE_NULL = {True: 0.0045, False: 0.0187}  # by train or test, as in all tables keyed by True and False below
WEEKDAYS = {
    True: Shares({"MONDAY": 0.166, "TUESDAY": 0.172, "WEDNESDAY": 0.169, "THURSDAY": 0.164, "FRIDAY": 0.164, "SATURDAY": 0.109,
                  "SUNDAY": 0.055}),
    False: Shares({"MONDAY": 0.172, "TUESDAY": 0.200, "WEDNESDAY": 0.173, "THURSDAY": 0.173, "FRIDAY": 0.149, "SATURDAY": 0.094,
                   "SUNDAY": 0.038}),
}  # fmt: skip
ORGANIZATION = Shares(
    {"Business Entity Type 3": 0.221, "Self-employed": 0.127, "Other": 0.054, "Medicine": 0.036, "Government": 0.035,
     "Business Entity Type 2": 0.034, "School": 0.028, "Trade: type 7": 0.025, "Kindergarten": 0.022, "Construction": 0.022,
     "Business Entity Type 1": 0.020, "Transport: type 4": 0.0175, "Trade: type 3": 0.0113, "Industry: type 9": 0.011,
     "Industry: type 3": 0.0106, "Security": 0.0105, "Housing": 0.0096, "Industry: type 11": 0.0088, "Military": 0.0086,
     "Bank": 0.0081, "Agriculture": 0.008, "Police": 0.0076, "Transport: type 2": 0.0072, "Postal": 0.007,
     "Security Ministries": 0.0064, "Trade: type 2": 0.0062, "Restaurant": 0.0059, "Services": 0.0051, "University": 0.0043,
     "Industry: type 7": 0.0042, "Transport: type 3": 0.0039, "Industry: type 1": 0.0034, "Hotel": 0.0031, "Electricity": 0.0031,
     "Industry: type 4": 0.0029, "Trade: type 6": 0.002, "Industry: type 5": 0.0019, "Insurance": 0.0019, "Telecom": 0.0019,
     "Emergency": 0.0018, "Industry: type 2": 0.0015, "Advertising": 0.0014, "Realtor": 0.0013, "Culture": 0.0012,
     "Industry: type 12": 0.0012, "Trade: type 1": 0.0011, "Mobile": 0.001, "Legal Services": 0.001, "Cleaning": 0.0008,
     "Transport: type 1": 0.0007, "Industry: type 6": 0.0004, "Industry: type 10": 0.0004, "Religion": 0.0003,
     "Industry: type 13": 0.0002, "Trade: type 4": 0.0002, "Trade: type 5": 0.0002, "Industry: type 8": 0.0001}
)  # fmt: skip

EXT_1 = Marginal(
    {0: 0.0146915, 0.01: 0.0837, 0.05: 0.158, 0.10: 0.215, 0.25: 0.335, 0.50: 0.507, 0.75: 0.674, 0.90: 0.783, 0.95: 0.832,
     0.99: 0.889, 1: 0.9391}
)  # fmt: skip
EXT_2 = Marginal(
    {0: 0.0000165, 0.01: 0.0302, 0.05: 0.132, 0.10: 0.218, 0.25: 0.393, 0.50: 0.566, 0.75: 0.664, 0.90: 0.720, 0.95: 0.745,
     0.99: 0.7825, 0.9999: 0.82, 1: 0.855}
)  # fmt: skip
EXT_3 = Marginal(
    {0: 0.000527265, 0.01: 0.0621, 0.05: 0.155, 0.10: 0.227, 0.25: 0.371, 0.50: 0.533, 0.75: 0.668, 0.90: 0.752, 0.95: 0.785,
     0.99: 0.834, 1: 0.88253}
)  # fmt: skip
EXT_3_LEVELS = 900  # the third score takes few distinct values
EXT_NULL = {True: (0.5639, 0.00211, 0.1979), False: (0.42122, 0.00016, 0.17783)}

# The building of residence: null shares of train (test has about 2 points less) and quantiles of the _AVG column.
BUILDING_NULL = {
    "APARTMENTS": 0.508, "BASEMENTAREA": 0.586, "YEARS_BEGINEXPLUATATION": 0.490, "YEARS_BUILD": 0.666, "COMMONAREA": 0.700,
    "ELEVATORS": 0.534, "ENTRANCES": 0.505, "FLOORSMAX": 0.499, "FLOORSMIN": 0.680, "LANDAREA": 0.594, "LIVINGAPARTMENTS": 0.685,
    "LIVINGAREA": 0.504, "NONLIVINGAPARTMENTS": 0.696, "NONLIVINGAREA": 0.553, "FONDKAPREMONT": 0.685, "HOUSETYPE": 0.502,
    "TOTALAREA": 0.485, "WALLSMATERIAL": 0.510, "EMERGENCYSTATE": 0.4765,
}  # fmt: skip
BUILDING_NULL_TEST_LESS = 0.018
_FLOORS = {0: 0.0, 0.012: 0.0, 0.02: 0.0417}
BUILDING = {
    "APARTMENTS": Marginal({0: 0, 0.01: 0.0021, 0.25: 0.0577, 0.50: 0.0876, 0.75: 0.1485, 0.95: 0.330, 0.99: 0.55, 1: 1}),
    "BASEMENTAREA": Marginal({0: 0, 0.08: 0, 0.25: 0.044, 0.50: 0.0759, 0.75: 0.112, 0.95: 0.210, 0.985: 0.30, 0.9985: 0.60, 1: 1}),
    "YEARS_BEGINEXPLUATATION": Marginal(
        {0: 0, 0.003: 0.01, 0.004: 0.93, 0.01: 0.951, 0.25: 0.9767, 0.50: 0.982, 0.75:
         0.9866, 0.99: 0.999, 1: 1}
    ),
    "YEARS_BUILD": Marginal({0: 0, 0.003: 0.2, 0.01: 0.347, 0.25: 0.6872, 0.50: 0.755, 0.75: 0.823, 0.99: 0.986, 1: 1}),
    "COMMONAREA": Marginal({0: 0, 0.10: 0, 0.25: 0.0078, 0.50: 0.0209, 0.75: 0.0515, 0.95: 0.140, 0.985: 0.27, 0.9985: 0.6, 1: 1}),
    "ELEVATORS": Marginal({0: 0, 0.60: 0, 0.75: 0.12, 0.90: 0.24, 0.95: 0.36, 0.99: 0.64, 1: 1}),
    "ENTRANCES": Marginal({0: 0, 0.01: 0.0345, 0.25: 0.069, 0.50: 0.1379, 0.75: 0.2069, 0.95: 0.31, 0.99: 0.517, 1: 1}),
    "FLOORSMAX": Marginal({**_FLOORS, 0.25: 0.1667, 0.50: 0.1667, 0.75: 0.3333, 0.95: 0.4583, 0.99: 0.6667, 1: 1}),
    "FLOORSMIN": Marginal({**_FLOORS, 0.25: 0.0833, 0.50: 0.2083, 0.75: 0.375, 0.95: 0.4583, 0.99: 0.708, 1: 1}),
    "LANDAREA": Marginal({0: 0, 0.10: 0, 0.25: 0.0187, 0.50: 0.0484, 0.75: 0.0856, 0.95: 0.18, 0.985: 0.32, 0.9985: 0.6, 1: 1}),
    "LIVINGAPARTMENTS": Marginal({0: 0, 0.01: 0.0034, 0.25: 0.0504, 0.50: 0.0756, 0.75: 0.121, 0.95: 0.27, 0.99: 0.466, 1: 1}),
    "LIVINGAREA": Marginal({0: 0, 0.01: 0.0022, 0.25: 0.0453, 0.50: 0.0748, 0.75: 0.1299, 0.95: 0.32, 0.99: 0.56, 1: 1}),
    "NONLIVINGAPARTMENTS": Marginal({0: 0, 0.58: 0, 0.75: 0.0039, 0.95: 0.0250, 0.988: 0.070, 0.9985: 0.25, 1: 1}),
    "NONLIVINGAREA": Marginal({0: 0, 0.42: 0, 0.50: 0.0035, 0.75: 0.0260, 0.95: 0.10, 0.985: 0.22, 0.9985: 0.6, 1: 1}),
}  # fmt: skip
TOTAL_AREA = Marginal({0: 0, 0.01: 0.0017, 0.25: 0.0412, 0.50: 0.0689, 0.75: 0.1276, 0.95: 0.30, 0.99: 0.532, 1: 1})
FUND_ACCOUNT = Shares(
    {"reg oper account": 0.760, "reg oper spec account": 0.122, "org spec account": 0.061, "not specified": 0.058}
)  # fmt: skip
HOUSE_TYPE = Shares({"block of flats": 0.981, "specific housing": 0.010, "terraced house": 0.009})
WALLS = Shares(
    {"Panel": 0.439, "Stone, brick": 0.426, "Block": 0.063, "Wooden": 0.034, "Mixed": 0.014, "Monolithic": 0.012, "Others": 0.011}
)  # fmt: skip
EMERGENCY = Shares({"No": 0.986, "Yes": 0.014})

REGISTRATION = Marginal(
    {0: 0, 0.01: 46, 0.10: 700, 0.25: 2010, 0.50: 4515, 0.75: 7480, 0.90: 9870, 0.99: 13909, 0.9999: 20000, 1: 22928}
)  # fmt: skip
DOCUMENT_AGE = Marginal(
    {0: 0, 0.01: 59, 0.10: 700, 0.25: 1720, 0.50: 3251, 0.75: 4299, 0.90: 4790, 0.99: 5455, 1: 6233}
)
PHONE_AGE = {
    True: Marginal({0: 0, 0.12: 0, 0.25: 274, 0.50: 757, 0.75: 1570, 0.90: 2400, 0.99: 3157, 1: 4173}),
    False: Marginal({0: 0, 0.09: 0, 0.25: 363, 0.50: 863, 0.75: 1719, 0.90: 2560, 0.99: 3360, 1: 4361}),
}  # fmt: skip
CAR_AGE = Marginal(
    {0: 0, 0.01: 0, 0.25: 5, 0.50: 9, 0.75: 15, 0.90: 22, 0.95: 29, 0.964: 36, 0.965: 64, 0.999: 65, 1: 65}
)
POPULATION = {  # REGION_POPULATION_RELATIVE by the region's rating
    "1": Marginal({0: 0.0067, 0.20: 0.0283, 0.45: 0.0358, 0.60: 0.0462, 0.62: 0.072508, 1: 0.072508}),
    "2": Marginal({0: 0.00029, 0.01: 0.0022, 0.05: 0.0035, 0.25: 0.0103, 0.50: 0.0191, 0.75: 0.0262, 0.97: 0.0325, 1: 0.0358}),
    "3": Marginal({0: 0.00029, 0.015: 0.0019, 0.05: 0.0024, 0.25: 0.0066, 0.50: 0.0100, 0.75: 0.0188, 1: 0.0253}),
}  # fmt: skip
POPULATION_LEVELS = 81

# The main document handed in with an application for a cash loan: 3, else 6 (pensioners) or 8, else none.
DOCUMENT_3_EMPLOYED = {True: 0.860, False: 0.868}
DOCUMENT_3_PENSIONER = 0.47
DOCUMENT_SHARES = {  # the rarer documents, train and test
    2: (0.00004, 0.0), 4: (0.0001, 0.0001), 5: (0.0151, 0.0148), 7: (0.0002, 0.00004), 9: (0.0040, 0.0045), 10: (0.0, 0.0),
    11: (0.0039, 0.0012), 12: (0.00001, 0.0), 13: (0.0033, 0.0), 14: (0.0028, 0.0), 15: (0.0012, 0.0), 16: (0.0097, 0.0),
    17: (0.00025, 0.0), 18: (0.0079, 0.0016), 19: (0.0006, 0.0), 20: (0.0005, 0.0), 21: (0.0003, 0.0),
}  # fmt: skip
ENQUIRY_NULL = {True: 0.1352, False: 0.1241}
ENQUIRY_COUNTS: dict[str, dict[bool, tuple[float, ...]]] = {  # shares of 0, 1, 2, … enquiries
    "HOUR": {True: (0.9939, 0.0059, 0.0002), False: (0.9979, 0.0021)},
    "DAY": {True: (0.9944, 0.0048, 0.0004, 0.0002, 0.0001), False: (0.9984, 0.0014, 0.0002)},
    "WEEK": {True: (0.9679, 0.0305, 0.0008, 0.0003, 0.0002), False: (0.9973, 0.0026, 0.0001)},
    "MON": {True: (0.836, 0.124, 0.0203, 0.0075, 0.004, 0.0022, 0.0013, 0.0011, 0.0008, 0.0006, 0.0004, 0.0002),
            False: (0.9921, 0.0070, 0.0006, 0.0002, 0.0001)},
    "QRT": {True: (0.805, 0.127, 0.054, 0.0065, 0.0018, 0.0003, 0.0001, 0.0001, 0.0001),
            False: (0.62, 0.242, 0.108, 0.022, 0.006, 0.0014, 0.0004, 0.0001)},
    "YEAR": {True: (0.270, 0.239, 0.189, 0.127, 0.078, 0.045, 0.0255, 0.0145, 0.0080, 0.0040, 0.0007, 0.0003, 0.0001),
             False: (0.26, 0.235, 0.19, 0.13, 0.08, 0.046, 0.027, 0.0155, 0.0080, 0.0040, 0.0007, 0.0003, 0.0001)},
}  # fmt: skip
