"""Contract of the instalment payments: what was due when, and what was paid when.

What belongs here: what the table IS. What does not: how it is fetched (ingestion), what is made of it (features).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources.relations import applicant, previous_credit


class InstallmentsPayments(DataFrameModel):
    """Grain: one row per payment, or per missed instalment. Source: installments_payments.csv.

    No key: an instalment paid in parts has one row per part, and equal parts on one day are equal rows.
    """

    SK_ID_PREV: dt.Int64 = f.key("previous credit")
    SK_ID_CURR: dt.Int64 = f.key("applicant")
    NUM_INSTALMENT_VERSION: dt.Float64 = f.number(
        "version of the payment calendar",
        "count",
        minimum=0,
        maximum=10000,
        dating="key",
        sentinels={0: "credit card"},
    )
    NUM_INSTALMENT_NUMBER: dt.Int32 = f.number(
        "number of the instalment", "count", minimum=0, maximum=10000, dating="key"
    )
    DAYS_INSTALMENT: dt.Float64 = f.days("due day; an instalment is listed once it is due")
    DAYS_ENTRY_PAYMENT: dt.Float64 = f.days("day of the payment; NULL: not paid", nullable=True)
    AMT_INSTALMENT: dt.Float64 = f.amount("amount due", dating="event")
    AMT_PAYMENT: dt.Float64 = f.amount(
        "amount paid; NULL: not paid", dating="event", nullable=True, known_from="DAYS_ENTRY_PAYMENT"
    )

    class Config:
        """Exactly these columns."""

        strict = True


CONTRACT = SourceContract(
    table="installments_payments",
    stem="installments_payments",
    title="Instalments due and payments made",
    model=InstallmentsPayments,
    dated_by="DAYS_INSTALMENT",
    settles=("SK_ID_CURR", "SK_ID_PREV", "NUM_INSTALMENT_VERSION", "NUM_INSTALMENT_NUMBER"),
    relations=(applicant(), previous_credit(max_orphan_share=0.06)),
)
