"""Contract of the feature family installments.

What belongs here: what each feature is (description, unit, bounds). What does not: how it is computed
(`features/sql/installments.sql`).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class Installments(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Payment behaviour on the instalments of earlier loans and cards at this lender."""

    sk_id_curr: dt.Int64 = d.key()
    installments__instalments_count: dt.Int64 = d.count(
        "Scheduled instalments, partial payments of one counted once", nullable=False
    )
    installments__instalments_count_90d: dt.Int64 = d.count("Instalments due in the last 90 days", nullable=False)
    installments__instalments_count_365d: dt.Int64 = d.count("Instalments due in the last 365 days", nullable=False)
    installments__loans_count: dt.Int64 = d.count("Loans and cards with instalments", nullable=False)
    installments__payments_count: dt.Int64 = d.count("Payments", nullable=False)
    installments__unsettled_count: dt.Int64 = d.count("Instalments without a payment", nullable=False)
    installments__schedule_version_count_max: dt.Int64 = d.count(
        "Highest version of a repayment schedule (0 for cards)"
    )
    installments__split_payment_share: dt.Float64 = d.share("Instalments paid in parts per instalment")
    installments__card_share: dt.Float64 = d.share("Instalments of credit cards per instalment")
    installments__late_share: dt.Float64 = d.share("Late instalments per settled instalment")
    installments__late_share_90d: dt.Float64 = d.share(
        "Late instalments per settled instalment due in the last 90 days"
    )
    installments__late_share_365d: dt.Float64 = d.share(
        "Late instalments per settled instalment due in the last 365 days"
    )
    installments__late_share_730d: dt.Float64 = d.share(
        "Late instalments per settled instalment due in the last 730 days"
    )
    installments__week_late_share: dt.Float64 = d.share("Instalments more than 7 days late per settled instalment")
    installments__week_late_share_365d: dt.Float64 = d.share(
        "Instalments more than 7 days late per settled instalment due in the last 365 days"
    )
    installments__severe_late_share: dt.Float64 = d.share("Instalments more than 30 days late per settled instalment")
    installments__severe_late_share_365d: dt.Float64 = d.share(
        "Instalments more than 30 days late per settled instalment due in the last 365 days"
    )
    installments__late_days_sum: dt.Int64 = d.days("Days late, summed")
    installments__late_days_mean: dt.Float64 = d.days("Mean days late, instalments on time counting 0")
    installments__late_days_mean_90d: dt.Float64 = d.days("Mean days late of the instalments due in the last 90 days")
    installments__late_days_mean_365d: dt.Float64 = d.days("Mean days late of the instalments due in the last 365 days")
    installments__late_days_mean_730d: dt.Float64 = d.days("Mean days late of the instalments due in the last 730 days")
    installments__late_days_max: dt.Int64 = d.days("Most days late")
    installments__late_days_max_90d: dt.Int64 = d.days("Most days late of an instalment due in the last 90 days")
    installments__late_days_max_365d: dt.Int64 = d.days("Most days late of an instalment due in the last 365 days")
    installments__late_days_std: dt.Float64 = d.days("Standard deviation of the days late")
    installments__late_only_days_mean: dt.Float64 = d.days("Mean days late of the late instalments")
    installments__early_days_mean: dt.Float64 = d.days("Mean days before the due day, late ones counting 0")
    installments__early_days_mean_365d: dt.Float64 = d.days(
        "Mean days before the due day of the instalments due in the last 365 days"
    )
    installments__early_days_max: dt.Int64 = d.days("Most days before the due day")
    installments__short_share: dt.Float64 = d.share("Instalments paid short per paid instalment")
    installments__short_share_365d: dt.Float64 = d.share(
        "Instalments paid short per paid instalment due in the last 365 days"
    )
    installments__short_amt_sum: dt.Float64 = d.amount("Amount paid short")
    installments__short_amt_max: dt.Float64 = d.amount("Largest amount paid short of an instalment")
    installments__short_due_ratio: dt.Float64 = d.ratio("Amount paid short per amount due")
    installments__short_due_ratio_90d: dt.Float64 = d.ratio("Amount paid short per amount due in the last 90 days")
    installments__short_due_ratio_365d: dt.Float64 = d.ratio("Amount paid short per amount due in the last 365 days")
    installments__paid_due_ratio_mean: dt.Float64 = d.ratio(
        "Mean of the amount paid per amount due of an instalment, at most 10", maximum=10
    )
    installments__paid_due_ratio_mean_365d: dt.Float64 = d.ratio(
        "Mean of the amount paid per amount due in the last 365 days, at most 10", maximum=10
    )
    installments__paid_due_ratio_min: dt.Float64 = d.ratio(
        "Lowest amount paid per amount due of an instalment", maximum=10
    )
    installments__paid_due_ratio_std: dt.Float64 = d.ratio(
        "Standard deviation of the amount paid per amount due, each at most 10"
    )
    installments__due_amt_mean: dt.Float64 = d.amount("Mean amount due")
    installments__due_amt_max: dt.Float64 = d.amount("Largest amount due")
    installments__due_amt_sum_365d: dt.Float64 = d.amount("Amount due in the last 365 days")
    installments__paid_amt_sum: dt.Float64 = d.amount("Amount paid")
    installments__paid_amt_sum_365d: dt.Float64 = d.amount("Amount paid on instalments due in the last 365 days")
    installments__due_days_min: dt.Int64 = d.days("Days since the latest due day")
    installments__due_days_max: dt.Int64 = d.days("Days since the earliest due day")
    installments__last_late_days_min: dt.Int64 = d.days(
        "Days since the due day of the latest late instalment; NULL if none was late"
    )
    installments__last_severe_late_days_min: dt.Int64 = d.days(
        "Days since the due day of the latest instalment more than 30 days late"
    )
    installments__first_three_late_share: dt.Float64 = d.share(
        "Late ones among the first three instalments of each loan"
    )
    installments__first_three_late_days_mean: dt.Float64 = d.days(
        "Mean days late of the first three instalments of each loan"
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="installments", layer="features", model=Installments)
