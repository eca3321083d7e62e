"""Measured marginals of previous_application, as data: columns in file order, products, terms, reasons, goods, channels.

What belongs here: numbers about single columns. What does not: how columns hang together (`previous`).
"""

from creditrisk_assets.simulation.sampling import Marginal, Shares

COLUMNS = (
    "SK_ID_PREV", "SK_ID_CURR", "NAME_CONTRACT_TYPE", "AMT_ANNUITY", "AMT_APPLICATION", "AMT_CREDIT", "AMT_DOWN_PAYMENT",
    "AMT_GOODS_PRICE", "WEEKDAY_APPR_PROCESS_START", "HOUR_APPR_PROCESS_START", "FLAG_LAST_APPL_PER_CONTRACT",
    "NFLAG_LAST_APPL_IN_DAY", "RATE_DOWN_PAYMENT", "RATE_INTEREST_PRIMARY", "RATE_INTEREST_PRIVILEGED", "NAME_CASH_LOAN_PURPOSE",
    "NAME_CONTRACT_STATUS", "DAYS_DECISION", "NAME_PAYMENT_TYPE", "CODE_REJECT_REASON", "NAME_TYPE_SUITE", "NAME_CLIENT_TYPE",
    "NAME_GOODS_CATEGORY", "NAME_PORTFOLIO", "NAME_PRODUCT_TYPE", "CHANNEL_TYPE", "SELLERPLACE_AREA", "NAME_SELLER_INDUSTRY",
    "CNT_PAYMENT", "NAME_YIELD_GROUP", "PRODUCT_COMBINATION", "DAYS_FIRST_DRAWING", "DAYS_FIRST_DUE", "DAYS_LAST_DUE_1ST_VERSION",
    "DAYS_LAST_DUE", "DAYS_TERMINATION", "NFLAG_INSURED_ON_APPROVAL",
)  # fmt: skip

CONTRACT_TYPES = ("Cash loans", "Consumer loans", "Revolving loans", "XNA")
CASH, CONSUMER, REVOLVING, UNNAMED = range(4)
STATUSES = ("Approved", "Canceled", "Refused", "Unused offer")
APPROVED, CANCELED, REFUSED, UNUSED = range(4)

# Two of an applicant's applications are drawn apart: the loan that made a customer of them, and the card of those who hold one. The shares
# below are of the rest; the outcomes follow from where the refusal score falls and, if not refused, from the product's habits.
FIRST_LOAN = 0.985  # applicants with earlier applications who had a loan
FIRST_LOAN_CONSUMER = 0.88
TYPE = Shares({"Cash loans": 0.572, "Consumer loans": 0.350, "Revolving loans": 0.0772, "XNA": 0.0003})
REFUSED_ABOVE = (0.668, 0.994, 0.063, 1.2)  # normal scores, by type: 25 %, 16 %, 48 %, 12 % refused
CANCELED_OTHERWISE = (0.519, 0.005, 1.0, 1.0)
UNUSED_OTHERWISE = (0.0, 0.071, 0.0, 0.0)
AGE = Marginal(  # days since the decision
    {0: 2, 0.01: 15, 0.05: 65, 0.10: 135, 0.25: 285, 0.50: 575, 0.75: 1290, 0.90: 2240, 0.95: 2560, 0.99: 2839, 1: 2922}
)  # fmt: skip
REFUSED_TERM_SHIFT = 0.75  # normal scores: longer terms are refused
AGE_SHIFT = (0.34, -0.62, -0.22, -0.62)  # normal scores, by outcome: what came to nothing is recent
CARD_AGE_MONTHS = Marginal({0: 1, 0.1: 5, 0.25: 9, 0.50: 21, 0.68: 45, 0.80: 84, 0.90: 96, 1: 96})

CASH_TERMS = Shares(
    {"6": 0.09, "12": 0.34, "18": 0.12, "24": 0.20, "30": 0.04, "36": 0.11, "42": 0.015, "48": 0.045, "60": 0.038, "72": 0.002}
)  # fmt: skip
CONSUMER_TERMS = Shares(
    {"4": 0.04, "5": 0.02, "6": 0.195, "8": 0.06, "10": 0.215, "12": 0.325, "14": 0.01, "18": 0.065, "24": 0.065, "36": 0.005}
)  # fmt: skip
CASH_AMOUNT = Marginal(
    {0: 22500, 0.05: 45000, 0.25: 117000, 0.50: 238500, 0.75: 490000, 0.90: 860000, 0.97: 1_300_000, 0.99: 1_700_000, 1: 3_150_000}
)  # fmt: skip
CONSUMER_AMOUNT = Marginal(
    {0: 2700, 0.05: 22000, 0.25: 40500, 0.50: 66000, 0.75: 114000, 0.90: 190000, 0.97: 320000, 0.99: 480000, 1: 1_400_000}
)  # fmt: skip
CARD_LIMITS = Shares(
    {"45000": 0.12, "67500": 0.05, "90000": 0.08, "135000": 0.14, "180000": 0.38, "225000": 0.08, "270000": 0.12, "450000":
     0.09, "675000": 0.035, "765000": 0.023}
)  # fmt: skip

RATE = {  # interest per month: goods, cash offered to customers, cash asked for at the counter
    "consumer": Marginal({0: 0.004, 0.14: 0.012, 0.40: 0.022, 0.70: 0.034, 1: 0.060}),
    "cross-sell": Marginal({0: 0.006, 0.03: 0.012, 0.41: 0.022, 0.83: 0.034, 1: 0.055}),
    "street": Marginal({0: 0.008, 0.02: 0.012, 0.28: 0.022, 0.54: 0.034, 1: 0.065}),
}  # fmt: skip
YIELD_EDGES = (0.012, 0.022, 0.034)  # upper bounds of low_action, low_normal, middle
YIELDS = ("XNA", "low_action", "low_normal", "middle", "high")

PURPOSES = Shares(
    {"Repairs": 0.33, "Other": 0.22, "Urgent needs": 0.12, "Buying a used car": 0.04, "Everyday expenses": 0.035,
     "Payments on other loans": 0.028, "Building a house or an annex": 0.038, "Medicine": 0.031, "Education": 0.022,
     "Buying a new car": 0.014, "Journey": 0.017, "Purchase of electronic equipment": 0.015, "Furniture": 0.011,
     "Wedding / gift / holiday": 0.014, "Buying a home": 0.012, "Car repairs": 0.011, "Business development": 0.006,
     "Buying a holiday home / land": 0.007, "Gasification / water supply": 0.004, "Buying a garage": 0.002, "Hobby": 0.001}
)  # fmt: skip
REJECT_REASONS = Shares(
    {"HC": 0.628, "LIMIT": 0.192, "SCO": 0.110, "SCOFR": 0.041, "XNA": 0.017, "VERIF": 0.0115, "SYSTEM": 0.0005}
)  # fmt: skip
PAYMENT_TYPES = Shares(
    {"Cash through the bank": 0.991, "Non-cash from your account": 0.0083, "Cashless from the account of the employer":
     0.0007}
)  # fmt: skip
TYPE_SUITES = Shares(
    {"Unaccompanied": 0.608, "Family": 0.246, "Spouse, partner": 0.076, "Children": 0.036, "Other_B": 0.021, "Other_A": 0.011,
     "Group of people": 0.003}
)  # fmt: skip
CLIENT_TYPES = Shares({"Repeater": 0.899, "Refreshed": 0.1, "XNA": 0.0012})
GOODS = Shares(
    {"Mobile": 0.309, "Consumer Electronics": 0.167, "Computers": 0.150, "Audio/Video": 0.135, "Furniture": 0.075,
     "Construction Materials": 0.036, "Clothing and Accessories": 0.036, "Photo / Cinema Equipment": 0.034, "Auto Accessories": 0.010,
     "Jewelry": 0.009, "Homewares": 0.007, "Medical Supplies": 0.0053, "Vehicles": 0.0047, "Sport and Leisure": 0.0042,
     "Gardening": 0.0037, "Other": 0.0035, "Office Appliances": 0.0032, "Tourism": 0.0023, "Medicine": 0.0021, "Direct Sales": 0.0006,
     "Fitness": 0.0003, "Additional Service": 0.0002, "Education": 0.00015, "Weapon": 0.0001, "Insurance": 0.0001}
)  # fmt: skip
INDUSTRY_OF_GOODS = {  # the rest is sold by shops for consumer electronics
    "Mobile": "Connectivity", "Furniture": "Furniture", "Construction Materials": "Construction",
    "Clothing and Accessories": "Clothing", "Auto Accessories": "Auto technology", "Vehicles": "Auto technology", "Jewelry": "Jewelry",
    "Homewares": "Industry", "Sport and Leisure": "Industry", "Gardening": "Construction", "Medicine": "MLM partners",
    "Direct Sales": "MLM partners", "Tourism": "Tourism", "Medical Supplies": "Industry", "Other": "Industry",
}  # fmt: skip
INDUSTRIES = ("XNA", "Consumer electronics", "Connectivity", "Furniture", "Construction", "Clothing", "Industry", "Auto technology",
              "Jewelry", "MLM partners", "Tourism")  # fmt: skip
CASH_CHANNELS = Shares(
    {"Credit and cash offices": 0.845, "Contact center": 0.083, "AP+ (Cash loan)": 0.063, "Channel of corporate sales":
     0.006, "Country-wide": 0.003}
)  # fmt: skip
SHOP_CHANNELS = Shares(
    {"Country-wide": 0.60, "Stone": 0.262, "Regional / Local": 0.134, "Car dealer": 0.0008, "Credit and cash offices":
     0.003}
)  # fmt: skip
CHANNELS = ("Credit and cash offices", "Country-wide", "Stone", "Regional / Local", "Contact center", "AP+ (Cash loan)",
            "Channel of corporate sales", "Car dealer")  # fmt: skip
WEEKDAYS = Shares(
    {"MONDAY": 0.151, "TUESDAY": 0.157, "WEDNESDAY": 0.152, "THURSDAY": 0.148, "FRIDAY": 0.153, "SATURDAY": 0.141,
     "SUNDAY": 0.097}
)  # fmt: skip
SELLER_AREA = Marginal({0: 1, 0.05: 15, 0.25: 30, 0.50: 100, 0.75: 1000, 0.95: 2300, 0.99: 4000, 1: 9000})
PRIMARY_RATE = Marginal({0: 0.0591352, 0.25: 0.1607, 0.5: 0.189136, 0.75: 0.1933, 0.98: 0.30, 1: 0.744985})
PRIVILEGED_RATE = Marginal({0: 0.424419, 0.25: 0.7156, 0.5: 0.835095, 0.75: 0.8525, 1: 0.867336})
