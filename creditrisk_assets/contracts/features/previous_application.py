"""Contract of the feature family previous_application.

What belongs here: what each feature is (description, unit, bounds). What does not: how it is computed
(`features/sql/previous_application.sql`).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class PreviousApplication(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Earlier applications at this lender."""

    sk_id_curr: dt.Int64 = d.key()
    previous_application__applications_count: dt.Int64 = d.count("Earlier applications", nullable=False)
    previous_application__approved_count: dt.Int64 = d.count("Approved applications", nullable=False)
    previous_application__refused_count: dt.Int64 = d.count("Refused applications", nullable=False)
    previous_application__cancelled_count: dt.Int64 = d.count("Cancelled applications", nullable=False)
    previous_application__unused_count: dt.Int64 = d.count("Offers not used", nullable=False)
    previous_application__cash_count: dt.Int64 = d.count("Applications for cash loans", nullable=False)
    previous_application__consumer_count: dt.Int64 = d.count("Applications for consumer loans", nullable=False)
    previous_application__revolving_count: dt.Int64 = d.count("Applications for revolving loans", nullable=False)
    previous_application__running_count: dt.Int64 = d.count("Approved loans without an end yet", nullable=False)
    previous_application__applications_count_90d: dt.Int64 = d.count(
        "Applications decided in the last 90 days", nullable=False
    )
    previous_application__applications_count_365d: dt.Int64 = d.count(
        "Applications decided in the last 365 days", nullable=False
    )
    previous_application__approved_count_365d: dt.Int64 = d.count(
        "Applications approved in the last 365 days", nullable=False
    )
    previous_application__refused_count_365d: dt.Int64 = d.count(
        "Applications refused in the last 365 days", nullable=False
    )
    previous_application__rejected_hc_count: dt.Int64 = d.count("Applications rejected for reason HC", nullable=False)
    previous_application__rejected_limit_count: dt.Int64 = d.count(
        "Applications rejected for the limit", nullable=False
    )
    previous_application__rejected_score_count: dt.Int64 = d.count(
        "Applications rejected for the score (SCO, SCOFR)", nullable=False
    )
    previous_application__approved_share: dt.Float64 = d.share("Approved applications per application")
    previous_application__refused_share: dt.Float64 = d.share("Refused applications per application")
    previous_application__cancelled_share: dt.Float64 = d.share("Cancelled applications per application")
    previous_application__refused_share_365d: dt.Float64 = d.share(
        "Refused applications per application of the last 365 days"
    )
    previous_application__refused_decided_share: dt.Float64 = d.share(
        "Refused applications per application approved or refused"
    )
    previous_application__cash_share: dt.Float64 = d.share("Cash loans per application")
    previous_application__consumer_share: dt.Float64 = d.share("Consumer loans per application")
    previous_application__revolving_share: dt.Float64 = d.share("Revolving loans per application")
    previous_application__new_client_share: dt.Float64 = d.share("Applications as a new client per application")
    previous_application__walk_in_share: dt.Float64 = d.share("Walk-in applications per application")
    previous_application__cross_sell_share: dt.Float64 = d.share("Cross-sold applications per application")
    previous_application__high_yield_share: dt.Float64 = d.share(
        "Applications of the high interest band per application"
    )
    previous_application__low_yield_share: dt.Float64 = d.share(
        "Applications of the low interest bands per application"
    )
    previous_application__insured_share: dt.Float64 = d.share("Insured loans per loan for which it is known")
    previous_application__decided_days_min: dt.Int64 = d.days("Days since the latest decision")
    previous_application__decided_days_max: dt.Int64 = d.days("Days since the earliest decision")
    previous_application__decided_days_mean: dt.Float64 = d.days("Mean days since the decisions")
    previous_application__approved_days_min: dt.Int64 = d.days("Days since the latest approval")
    previous_application__approved_days_max: dt.Int64 = d.days("Days since the earliest approval")
    previous_application__approved_days_mean: dt.Float64 = d.days("Mean days since the approvals")
    previous_application__refused_days_min: dt.Int64 = d.days("Days since the latest refusal")
    previous_application__asked_amt_mean: dt.Float64 = d.amount("Mean amount asked for")
    previous_application__asked_amt_max: dt.Float64 = d.amount("Largest amount asked for")
    previous_application__approved_credit_amt_sum: dt.Float64 = d.amount("Amount of the approved loans")
    previous_application__approved_credit_amt_mean: dt.Float64 = d.amount("Mean approved loan")
    previous_application__approved_credit_amt_max: dt.Float64 = d.amount("Largest approved loan")
    previous_application__refused_credit_amt_mean: dt.Float64 = d.amount("Mean refused loan")
    previous_application__refused_credit_amt_max: dt.Float64 = d.amount("Largest refused loan")
    previous_application__approved_annuity_amt_mean: dt.Float64 = d.amount("Mean instalment of the approved loans")
    previous_application__approved_annuity_amt_max: dt.Float64 = d.amount("Largest instalment of an approved loan")
    previous_application__running_annuity_amt_sum: dt.Float64 = d.amount("Instalments of the loans without an end yet")
    previous_application__running_credit_amt_sum: dt.Float64 = d.amount("Amount of the loans without an end yet")
    previous_application__asked_credit_ratio_mean: dt.Float64 = d.ratio(
        "Mean of the amount asked for per amount granted"
    )
    previous_application__asked_credit_ratio_max: dt.Float64 = d.ratio("Largest amount asked for per amount granted")
    previous_application__approved_asked_credit_ratio_mean: dt.Float64 = d.ratio(
        "Mean of the amount asked for per amount granted, approved loans"
    )
    previous_application__refused_asked_credit_ratio_mean: dt.Float64 = d.ratio(
        "Mean of the amount asked for per amount offered, refused loans"
    )
    previous_application__down_payment_amt_mean: dt.Float64 = d.amount("Mean down payment", minimum=None)
    previous_application__down_payment_credit_ratio_mean: dt.Float64 = d.ratio(
        "Mean of the down payment per loan amount", minimum=None
    )
    previous_application__down_payment_share_mean: dt.Float64 = d.share(
        "Mean normalised rate of the down payment", minimum=None
    )
    previous_application__down_payment_share_max: dt.Float64 = d.share(
        "Largest normalised rate of a down payment", minimum=None
    )
    previous_application__term_months_mean: dt.Float64 = d.months("Mean term")
    previous_application__term_months_max: dt.Int64 = d.months("Longest term")
    previous_application__approved_term_months_mean: dt.Float64 = d.months("Mean term of the approved loans")
    previous_application__refused_term_months_mean: dt.Float64 = d.months("Mean term of the refused loans")
    previous_application__annuity_credit_ratio_mean: dt.Float64 = d.ratio(
        "Mean instalment per loan amount of the approved loans (payment rate)"
    )
    previous_application__interest_credit_ratio_mean: dt.Float64 = d.ratio(
        "Mean cost of the approved loans beyond their amount, per amount (instalment × term / amount − 1)", minimum=None
    )
    previous_application__interest_credit_ratio_max: dt.Float64 = d.ratio(
        "Largest cost of an approved loan beyond its amount, per amount", minimum=None
    )
    previous_application__first_due_days_min: dt.Int64 = d.days(
        "Days since the newest loan's first instalment; negative: it lies ahead", minimum=None
    )
    previous_application__first_due_days_max: dt.Int64 = d.days(
        "Days since the oldest loan's first instalment; negative: it lies ahead", minimum=None
    )
    previous_application__last_due_days_min: dt.Int64 = d.days(
        "Days since the last instalment that has an end; negative: it lies ahead", minimum=None
    )
    previous_application__ended_days_min: dt.Int64 = d.days(
        "Days since the latest termination; negative: it lies ahead", minimum=None
    )
    previous_application__early_end_days_mean: dt.Float64 = d.days(
        "Mean days by which loans ended before their first schedule; negative: after it", minimum=None
    )
    previous_application__contract_type_category_last: dt.String = d.category("Kind of the latest application")
    previous_application__status_category_last: dt.String = d.category("Decision on the latest application")
    previous_application__yield_category_last: dt.String = d.category("Interest band of the latest application")
    previous_application__client_type_category_last: dt.String = d.category("Client type at the latest application")
    previous_application__goods_category_last: dt.String = d.category("Goods of the latest application")
    previous_application__channel_category_last: dt.String = d.category("Channel of the latest application")
    previous_application__product_category_last: dt.String = d.category("Product of the latest application")
    previous_application__reject_reason_category_last: dt.String = d.category("Reason of the latest refusal")
    previous_application__asked_amt_last: dt.Float64 = d.amount("Amount asked for in the latest application")
    previous_application__credit_amt_last: dt.Float64 = d.amount("Amount of the latest application")
    previous_application__annuity_amt_last: dt.Float64 = d.amount("Instalment of the latest application")
    previous_application__term_months_last: dt.Int64 = d.months("Term of the latest application")
    previous_application__interest_credit_ratio_last: dt.Float64 = d.ratio(
        "Cost of the latest loan beyond its amount, per amount", minimum=None
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="previous_application", layer="features", model=PreviousApplication)
