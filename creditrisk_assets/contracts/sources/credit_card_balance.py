"""Contract of the credit-card balances: the state of each previous card, month by month.

What belongs here: what the table IS. What does not: how it is fetched (ingestion), what is made of it (features).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources.relations import applicant, previous_credit

STATUSES = ("Active", "Completed", "Signed", "Sent proposal", "Demand", "Approved", "Refused")
OWED_TO_CLIENT = -1e9


class CreditCardBalance(DataFrameModel):
    """Grain: one row per SK_ID_PREV and MONTHS_BALANCE. Source: credit_card_balance.csv. State of the cards."""

    SK_ID_PREV: dt.Int64 = f.key("previous credit (key)")
    SK_ID_CURR: dt.Int64 = f.key("applicant")
    MONTHS_BALANCE: dt.Int32 = f.month("month of the balance (key)")
    AMT_BALANCE: dt.Float64 = f.amount(
        "balance; negative is owed to the client", dating="event", minimum=OWED_TO_CLIENT
    )
    AMT_CREDIT_LIMIT_ACTUAL: dt.Int64 = f.amount(
        "limit of the card in the month", dating="event", maximum=1_000_000_000
    )
    AMT_DRAWINGS_ATM_CURRENT: dt.Float64 = f.amount(
        "drawn at cash machines in the month; negative is a reversal",
        dating="event",
        minimum=OWED_TO_CLIENT,
        nullable=True,
    )
    AMT_DRAWINGS_CURRENT: dt.Float64 = f.amount(
        "drawn in the month; negative is a reversal", dating="event", minimum=OWED_TO_CLIENT
    )
    AMT_DRAWINGS_OTHER_CURRENT: dt.Float64 = f.amount(
        "drawn otherwise in the month; negative is a reversal", dating="event", minimum=OWED_TO_CLIENT, nullable=True
    )
    AMT_DRAWINGS_POS_CURRENT: dt.Float64 = f.amount(
        "spent on goods in the month; negative is a reversal", dating="event", minimum=OWED_TO_CLIENT, nullable=True
    )
    AMT_INST_MIN_REGULARITY: dt.Float64 = f.amount("least instalment of the month", dating="event", nullable=True)
    AMT_PAYMENT_CURRENT: dt.Float64 = f.amount("paid in the month", dating="event", nullable=True)
    AMT_PAYMENT_TOTAL_CURRENT: dt.Float64 = f.amount("paid in the month, in all", dating="event")
    AMT_RECEIVABLE_PRINCIPAL: dt.Float64 = f.amount("principal receivable", dating="event", minimum=OWED_TO_CLIENT)
    AMT_RECIVABLE: dt.Float64 = f.amount(
        "receivable (the source's own spelling)", dating="event", minimum=OWED_TO_CLIENT
    )
    AMT_TOTAL_RECEIVABLE: dt.Float64 = f.amount("receivable, in all", dating="event", minimum=OWED_TO_CLIENT)
    CNT_DRAWINGS_ATM_CURRENT: dt.Float64 = f.count(
        "drawings at cash machines in the month", dating="event", nullable=True
    )
    CNT_DRAWINGS_CURRENT: dt.Int32 = f.count("drawings in the month", dating="event", maximum=10000)
    CNT_DRAWINGS_OTHER_CURRENT: dt.Float64 = f.count("other drawings in the month", dating="event", nullable=True)
    CNT_DRAWINGS_POS_CURRENT: dt.Float64 = f.count(
        "purchases in the month", dating="event", maximum=10000, nullable=True
    )
    CNT_INSTALMENT_MATURE_CUM: dt.Float64 = f.count("instalments paid so far", dating="event", nullable=True)
    NAME_CONTRACT_STATUS: dt.String = f.category("state of the contract in the month", STATUSES, dating="event")
    SK_DPD: dt.Int32 = f.count("days past due in the month", dating="event", maximum=f.CENTURY_DAYS, unit="days")
    SK_DPD_DEF: dt.Int32 = f.count(
        "days past due in the month, small debts forgiven", dating="event", maximum=f.CENTURY_DAYS, unit="days"
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("SK_ID_PREV", "MONTHS_BALANCE")


CONTRACT = SourceContract(
    table="credit_card_balance",
    stem="credit_card_balance",
    title="Monthly state of earlier credit cards",
    model=CreditCardBalance,
    dated_by="MONTHS_BALANCE",
    relations=(applicant(), previous_credit(max_orphan_share=0.15)),
)
