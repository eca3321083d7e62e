"""Contract of the bureau balances: the state of each credit at another lender, month by month.

What belongs here: what the table IS. What does not: how it is fetched (ingestion), what is made of it (features).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.table import Relation


class BureauBalance(DataFrameModel):
    """Grain: one row per SK_ID_BUREAU and MONTHS_BALANCE. Source: bureau_balance.csv. State of credits elsewhere."""

    SK_ID_BUREAU: dt.Int64 = f.key("credit at another lender (key)")
    MONTHS_BALANCE: dt.Int32 = f.month("month of the balance (key)")
    STATUS: dt.String = f.category(
        "state in the month: 0 no day past due, 1 up to 30 days, 2 31-60, 3 61-90, 4 91-120, 5 over 120 or written off",
        ["C", "X", "0", "1", "2", "3", "4", "5"],
        dating="event",
        sentinels={"C": "closed", "X": "unknown"},
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("SK_ID_BUREAU", "MONTHS_BALANCE")


CONTRACT = SourceContract(
    table="bureau_balance",
    stem="bureau_balance",
    title="Monthly state of credits at other lenders",
    model=BureauBalance,
    dated_by="MONTHS_BALANCE",
    relations=(Relation("SK_ID_BUREAU", (("bureau", "SK_ID_BUREAU"),), max_orphan_share=0.07),),
)
