"""Contract of the previous applications: what the applicant asked of this lender before, and what became of it.

What belongs here: what the table IS. What does not: how it is fetched (ingestion), what is made of it (features).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources.application import COMPANIONS, WEEKDAYS
from creditrisk_assets.contracts.sources.relations import applicant

NOT_AVAILABLE = {"XNA": "not available"}
NOT_APPLICABLE = {"XAP": "not applicable"}
INFINITY = {f.INFINITE_DAYS: "no such day (infinity)"}
NOT_YET = {f.INFINITE_DAYS: "has not come (infinity)"}

PURPOSES = (
    "XAP", "XNA", "Repairs", "Other", "Urgent needs", "Buying a used car", "Building a house or an annex",
    "Everyday expenses", "Medicine", "Payments on other loans", "Education", "Journey",
    "Purchase of electronic equipment", "Buying a new car", "Wedding / gift / holiday", "Buying a home",
    "Car repairs", "Furniture", "Buying a holiday home / land", "Business development", "Gasification / water supply",
    "Buying a garage", "Hobby", "Money for a third person", "Refusal to name the goal",
)  # fmt: skip
GOODS = (
    "XNA", "Mobile", "Consumer Electronics", "Computers", "Audio/Video", "Furniture", "Photo / Cinema Equipment",
    "Construction Materials", "Clothing and Accessories", "Auto Accessories", "Jewelry", "Homewares",
    "Medical Supplies", "Vehicles", "Sport and Leisure", "Gardening", "Other", "Office Appliances", "Tourism",
    "Medicine", "Direct Sales", "Fitness", "Additional Service", "Education", "Weapon", "Insurance",
    "House Construction", "Animals",
)  # fmt: skip
CHANNELS = (
    "Credit and cash offices", "Country-wide", "Stone", "Regional / Local", "Contact center", "AP+ (Cash loan)",
    "Channel of corporate sales", "Car dealer",
)  # fmt: skip
SELLERS = (
    "XNA", "Consumer electronics", "Connectivity", "Furniture", "Construction", "Clothing", "Industry",
    "Auto technology", "Jewelry", "MLM partners", "Tourism",
)  # fmt: skip
PRODUCTS = (
    "Cash", "Card Street", "Card X-Sell", "Cash Street: high", "Cash Street: low", "Cash Street: middle",
    "Cash X-Sell: high", "Cash X-Sell: low", "Cash X-Sell: middle", "POS household with interest",
    "POS household without interest", "POS industry with interest", "POS industry without interest",
    "POS mobile with interest", "POS mobile without interest", "POS other with interest",
    "POS others without interest",
)  # fmt: skip
REJECT_REASONS = ("XAP", "XNA", "HC", "LIMIT", "SCO", "SCOFR", "CLIENT", "VERIF", "SYSTEM")
PAYMENT_TYPES = (
    "Cash through the bank", "XNA", "Non-cash from your account", "Cashless from the account of the employer",
)  # fmt: skip


class PreviousApplication(DataFrameModel):
    """Grain: one row per SK_ID_PREV. Source: previous_application.csv. Applications, granted or not."""

    SK_ID_PREV: dt.Int64 = f.key("previous application (key)")
    SK_ID_CURR: dt.Int64 = f.key("applicant")
    NAME_CONTRACT_TYPE: dt.String = f.category(
        "kind of loan",
        ["Cash loans", "Consumer loans", "Revolving loans", "XNA"],
        dating="event",
        sentinels=NOT_AVAILABLE,
    )
    AMT_ANNUITY: dt.Float64 = f.amount("instalment", dating="event", nullable=True)
    AMT_APPLICATION: dt.Float64 = f.amount("amount asked for", dating="event")
    AMT_CREDIT: dt.Float64 = f.amount("amount granted in the end", dating="event", nullable=True)
    AMT_DOWN_PAYMENT: dt.Float64 = f.amount("down payment", dating="event", minimum=-100, nullable=True)
    AMT_GOODS_PRICE: dt.Float64 = f.amount("price of the goods", dating="event", nullable=True)
    WEEKDAY_APPR_PROCESS_START: dt.String = f.category("weekday of the application", WEEKDAYS, dating="event")
    HOUR_APPR_PROCESS_START: dt.Int32 = f.count("hour of the application", dating="event", maximum=23, unit="hour")
    FLAG_LAST_APPL_PER_CONTRACT: dt.String = f.category(
        "last application for the contract (N: an earlier attempt by mistake)", ["Y", "N"], dating="snapshot"
    )
    NFLAG_LAST_APPL_IN_DAY: dt.Int32 = f.flag("last application of the applicant on that day", dating="event")
    RATE_DOWN_PAYMENT: dt.Float64 = f.share(
        "down payment, normalised (rounding may leave it a hair below 0)", dating="event", minimum=-0.001
    )
    RATE_INTEREST_PRIMARY: dt.Float64 = f.share("interest rate, normalised; almost always NULL", dating="event")
    RATE_INTEREST_PRIVILEGED: dt.Float64 = f.share(
        "privileged interest rate, normalised; almost always NULL", dating="event"
    )
    NAME_CASH_LOAN_PURPOSE: dt.String = f.vocabulary(
        "purpose of a cash loan", PURPOSES, dating="event", sentinels={**NOT_APPLICABLE, **NOT_AVAILABLE}
    )
    NAME_CONTRACT_STATUS: dt.String = f.category(
        "what became of the application", ["Approved", "Refused", "Canceled", "Unused offer"], dating="event"
    )
    DAYS_DECISION: dt.Int32 = f.days("decision on the application")
    NAME_PAYMENT_TYPE: dt.String = f.vocabulary("way of paying", PAYMENT_TYPES, dating="event", sentinels=NOT_AVAILABLE)
    CODE_REJECT_REASON: dt.String = f.vocabulary(
        "reason of a refusal", REJECT_REASONS, dating="event", sentinels={**NOT_APPLICABLE, **NOT_AVAILABLE}
    )
    NAME_TYPE_SUITE: dt.String = f.vocabulary(
        "who came along to the application", COMPANIONS, dating="event", nullable=True
    )
    NAME_CLIENT_TYPE: dt.String = f.category(
        "new or returning client", ["New", "Repeater", "Refreshed", "XNA"], dating="event", sentinels=NOT_AVAILABLE
    )
    NAME_GOODS_CATEGORY: dt.String = f.vocabulary("kind of goods", GOODS, dating="event", sentinels=NOT_AVAILABLE)
    NAME_PORTFOLIO: dt.String = f.category(
        "portfolio of the loan", ["POS", "Cash", "Cards", "Cars", "XNA"], dating="event", sentinels=NOT_AVAILABLE
    )
    NAME_PRODUCT_TYPE: dt.String = f.category(
        "cross-sold or walk-in", ["x-sell", "walk-in", "XNA"], dating="event", sentinels=NOT_AVAILABLE
    )
    CHANNEL_TYPE: dt.String = f.vocabulary("channel through which the client came", CHANNELS, dating="event")
    SELLERPLACE_AREA: dt.Int32 = f.number(
        "selling area of the seller's place",
        "count",
        minimum=-1,
        maximum=100_000_000,
        dating="event",
        sentinels={-1: "no seller"},
    )
    NAME_SELLER_INDUSTRY: dt.String = f.vocabulary(
        "industry of the seller", SELLERS, dating="event", sentinels=NOT_AVAILABLE
    )
    CNT_PAYMENT: dt.Float64 = f.count("term, in payments", dating="event", nullable=True)
    NAME_YIELD_GROUP: dt.String = f.category(
        "band of the interest rate",
        ["low_action", "low_normal", "middle", "high", "XNA"],
        dating="event",
        sentinels=NOT_AVAILABLE,
    )
    PRODUCT_COMBINATION: dt.String = f.vocabulary("product in detail", PRODUCTS, dating="event", nullable=True)
    DAYS_FIRST_DRAWING: dt.Float64 = f.days(
        "first disbursement", nullable=True, sentinels=NOT_YET, pending=f.INFINITE_DAYS
    )
    DAYS_FIRST_DUE: dt.Float64 = f.days(
        "first due day; listed once it has come", nullable=True, sentinels=NOT_YET, pending=f.INFINITE_DAYS
    )
    DAYS_LAST_DUE_1ST_VERSION: dt.Float64 = f.days(
        "last due day by the first schedule", maximum=f.CENTURY_DAYS, dating="plan", nullable=True, sentinels=INFINITY
    )
    DAYS_LAST_DUE: dt.Float64 = f.days(
        "last due day; listed once it has come", nullable=True, sentinels=NOT_YET, pending=f.INFINITE_DAYS
    )
    DAYS_TERMINATION: dt.Float64 = f.days(
        "end of the loan; listed once it has come", nullable=True, sentinels=NOT_YET, pending=f.INFINITE_DAYS
    )
    NFLAG_INSURED_ON_APPROVAL: dt.Float64 = f.flag("asked for insurance", dating="event", nullable=True)

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("SK_ID_PREV",)


CONTRACT = SourceContract(
    table="previous_application",
    stem="previous_application",
    title="Earlier applications at this lender",
    model=PreviousApplication,
    dated_by="DAYS_DECISION",
    relations=(applicant(),),
)
