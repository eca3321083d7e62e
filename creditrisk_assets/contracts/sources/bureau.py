"""Contract of the bureau feed: credits at other lenders, as the credit bureau reported them on the application day.

What belongs here: what the table IS (columns, units, bounds, keys). What does not: how it is fetched (ingestion),
what is made of it (features).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources.relations import applicant

CREDIT_TYPES = (
    "Consumer credit", "Credit card", "Mortgage", "Car loan", "Microloan", "Real estate loan", "Mobile operator loan",
    "Interbank credit", "Loan for business development", "Loan for working capital replenishment",
    "Loan for the purchase of equipment", "Loan for purchase of shares (margin lending)", "Cash loan (non-earmarked)",
    "Another type of loan", "Unknown type of loan",
)  # fmt: skip


class Bureau(DataFrameModel):
    """Grain: one row per SK_ID_BUREAU. Source: bureau.csv. Credits at other lenders as of the application day."""

    SK_ID_CURR: dt.Int64 = f.key("applicant")
    SK_ID_BUREAU: dt.Int64 = f.key("credit at another lender (key)")
    CREDIT_ACTIVE: dt.String = f.category("state of the credit", ["Active", "Closed", "Sold", "Bad debt"])
    CREDIT_CURRENCY: dt.String = f.vocabulary(
        "currency, recoded", ["currency 1", "currency 2", "currency 3", "currency 4"], dating="event"
    )
    DAYS_CREDIT: dt.Int32 = f.days("opening of the credit")
    CREDIT_DAY_OVERDUE: dt.Int32 = f.count(
        "days past due on the application day", dating="snapshot", maximum=f.CENTURY_DAYS, unit="days"
    )
    DAYS_CREDIT_ENDDATE: dt.Float64 = f.days(
        "agreed end of the credit; positive lies ahead", minimum=-50000, maximum=50000, dating="plan", nullable=True
    )
    DAYS_ENDDATE_FACT: dt.Float64 = f.days(
        "actual end of the credit; NULL while it runs", minimum=-50000, nullable=True
    )
    AMT_CREDIT_MAX_OVERDUE: dt.Float64 = f.amount(
        "highest overdue amount so far", dating="snapshot", maximum=1e10, nullable=True
    )
    CNT_CREDIT_PROLONG: dt.Int32 = f.count("times the credit was prolonged", dating="snapshot")
    AMT_CREDIT_SUM: dt.Float64 = f.amount(
        "amount of the credit at present", dating="snapshot", maximum=1e10, nullable=True
    )
    AMT_CREDIT_SUM_DEBT: dt.Float64 = f.amount(
        "debt on the application day; negative is overpaid",
        dating="snapshot",
        minimum=-1e9,
        maximum=1e10,
        nullable=True,
    )
    AMT_CREDIT_SUM_LIMIT: dt.Float64 = f.amount(
        "limit of the credit card; negative is overdrawn", dating="snapshot", minimum=-1e9, maximum=1e10, nullable=True
    )
    AMT_CREDIT_SUM_OVERDUE: dt.Float64 = f.amount(
        "overdue amount on the application day", dating="snapshot", maximum=1e10
    )
    CREDIT_TYPE: dt.String = f.vocabulary("kind of credit", CREDIT_TYPES, dating="event")
    DAYS_CREDIT_UPDATE: dt.Int32 = f.days(
        "last report of the credit to the bureau", minimum=-50000, maximum=1000, dating="snapshot"
    )
    AMT_ANNUITY: dt.Float64 = f.amount("instalment of the credit", dating="snapshot", maximum=1e10, nullable=True)

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("SK_ID_BUREAU",)


CONTRACT = SourceContract(
    table="bureau",
    stem="bureau",
    title="Credits at other lenders",
    model=Bureau,
    dated_by="DAYS_CREDIT",
    relations=(applicant(),),
)
