"""Contract of the POS and cash balances: the state of each previous instalment loan, month by month.

What belongs here: what the table IS. What does not: how it is fetched (ingestion), what is made of it (features).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources.relations import applicant, previous_credit

STATUSES = (
    "Active", "Completed", "Signed", "Demand", "Returned to the store", "Approved", "Amortized debt", "Canceled",
    "XNA",
)  # fmt: skip


class PosCashBalance(DataFrameModel):
    """Grain: one row per SK_ID_PREV and MONTHS_BALANCE. Source: POS_CASH_balance.csv. State of instalment loans."""

    SK_ID_PREV: dt.Int64 = f.key("previous credit (key)")
    SK_ID_CURR: dt.Int64 = f.key("applicant")
    MONTHS_BALANCE: dt.Int32 = f.month("month of the balance (key)")
    CNT_INSTALMENT: dt.Float64 = f.count("term, in instalments", dating="event", nullable=True)
    CNT_INSTALMENT_FUTURE: dt.Float64 = f.count("instalments still to be paid", dating="plan", nullable=True)
    NAME_CONTRACT_STATUS: dt.String = f.category(
        "state of the contract in the month", STATUSES, dating="event", sentinels={"XNA": "not available"}
    )
    SK_DPD: dt.Int32 = f.count("days past due in the month", dating="event", maximum=f.CENTURY_DAYS, unit="days")
    SK_DPD_DEF: dt.Int32 = f.count(
        "days past due in the month, small debts forgiven", dating="event", maximum=f.CENTURY_DAYS, unit="days"
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("SK_ID_PREV", "MONTHS_BALANCE")


CONTRACT = SourceContract(
    table="pos_cash_balance",
    stem="POS_CASH_balance",
    title="Monthly state of earlier instalment loans",
    model=PosCashBalance,
    dated_by="MONTHS_BALANCE",
    relations=(applicant(), previous_credit(max_orphan_share=0.06)),
)
