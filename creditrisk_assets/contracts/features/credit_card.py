"""Contract of the feature family credit_card.

What belongs here: what each feature is (description, unit, bounds). What does not: how it is computed
(`features/sql/credit_card.sql`).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class CreditCard(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Monthly balances of credit cards at this lender."""

    sk_id_curr: dt.Int64 = d.key()
    credit_card__history_months_count: dt.Int64 = d.count("Monthly balances", nullable=False)
    credit_card__cards_count: dt.Int64 = d.count("Cards", nullable=False)
    credit_card__latest_months_min: dt.Int64 = d.months("Months since the latest balance")
    credit_card__oldest_months_max: dt.Int64 = d.months("Months since the earliest balance")
    credit_card__active_months_share: dt.Float64 = d.share("Months with an active card per month")
    credit_card__utilisation_ratio_mean: dt.Float64 = d.ratio(
        "Mean balance per limit; negative: overpaid", minimum=None
    )
    credit_card__utilisation_ratio_max: dt.Float64 = d.ratio("Highest balance per limit", minimum=None)
    credit_card__utilisation_ratio_mean_3m: dt.Float64 = d.ratio(
        "Mean balance per limit of the last 3 months", minimum=None
    )
    credit_card__utilisation_ratio_mean_6m: dt.Float64 = d.ratio(
        "Mean balance per limit of the last 6 months", minimum=None
    )
    credit_card__utilisation_ratio_max_6m: dt.Float64 = d.ratio(
        "Highest balance per limit of the last 6 months", minimum=None
    )
    credit_card__utilisation_ratio_mean_12m: dt.Float64 = d.ratio(
        "Mean balance per limit of the last 12 months", minimum=None
    )
    credit_card__utilisation_ratio_max_12m: dt.Float64 = d.ratio(
        "Highest balance per limit of the last 12 months", minimum=None
    )
    credit_card__utilisation_ratio_last: dt.Float64 = d.ratio(
        "Balance per limit of the latest month, all cards", minimum=None
    )
    credit_card__over_limit_months_share: dt.Float64 = d.share(
        "Months with the balance above the limit per month with a limit"
    )
    credit_card__paid_minimum_ratio_mean: dt.Float64 = d.ratio(
        "Mean amount paid per minimal instalment, at most 10, where one was due", maximum=10
    )
    credit_card__paid_minimum_ratio_min: dt.Float64 = d.ratio("Lowest amount paid per minimal instalment", maximum=10)
    credit_card__minimum_met_share: dt.Float64 = d.share(
        "Months in which the minimal instalment was paid per month in which one was due"
    )
    credit_card__minimum_met_share_12m: dt.Float64 = d.share("The same for the last 12 months")
    credit_card__dpd_months_share: dt.Float64 = d.share("Months past due per month")
    credit_card__dpd_months_share_12m: dt.Float64 = d.share("Months past due per month of the last 12")
    credit_card__material_dpd_months_share: dt.Float64 = d.share("Months past due, small debts tolerated, per month")
    credit_card__material_dpd_months_share_12m: dt.Float64 = d.share(
        "Months past due, small debts tolerated, per month of the last 12"
    )
    credit_card__dpd_days_max: dt.Int64 = d.days("Most days past due")
    credit_card__dpd_days_max_12m: dt.Int64 = d.days("Most days past due in the last 12 months")
    credit_card__material_dpd_days_max: dt.Int64 = d.days("Most days past due, small debts tolerated")
    credit_card__last_dpd_months_min: dt.Int64 = d.months(
        "Months since a card was last past due; NULL if none ever was"
    )
    credit_card__balance_amt_mean: dt.Float64 = d.amount("Mean balance; negative: overpaid", minimum=None)
    credit_card__balance_amt_mean_6m: dt.Float64 = d.amount("Mean balance of the last 6 months", minimum=None)
    credit_card__balance_amt_max: dt.Float64 = d.amount("Highest balance", minimum=None)
    credit_card__balance_amt_last: dt.Float64 = d.amount("Balance of the latest month, all cards", minimum=None)
    credit_card__limit_amt_last: dt.Float64 = d.amount("Limit in the latest month, all cards")
    credit_card__minimum_amt_last: dt.Float64 = d.amount("Minimal instalment of the latest month, all cards")
    credit_card__active_cards_count_last: dt.Int64 = d.count("Active cards in the latest month")
    credit_card__limit_amt_max: dt.Float64 = d.amount("Highest limit")
    credit_card__limit_amt_min: dt.Float64 = d.amount("Lowest limit above 0")
    credit_card__drawn_amt_mean: dt.Float64 = d.amount("Mean amount drawn in a month", minimum=None)
    credit_card__drawn_amt_sum_12m: dt.Float64 = d.amount("Amount drawn in the last 12 months", minimum=None)
    credit_card__cash_drawn_ratio: dt.Float64 = d.ratio(
        "Cash drawn per amount drawn in the months whose kinds are known", minimum=None
    )
    credit_card__cash_drawn_ratio_12m: dt.Float64 = d.ratio(
        "Cash drawn per amount drawn in the last 12 months", minimum=None
    )
    credit_card__cash_amt_max: dt.Float64 = d.amount("Most cash drawn in a month", minimum=None)
    credit_card__cash_limit_ratio_mean: dt.Float64 = d.ratio("Mean of cash drawn per limit", minimum=None)
    credit_card__cash_limit_ratio_max: dt.Float64 = d.ratio("Most cash drawn per limit in a month", minimum=None)
    credit_card__drawings_count_sum: dt.Int64 = d.count("Drawings")
    credit_card__drawings_count_sum_12m: dt.Int64 = d.count("Drawings in the last 12 months")
    credit_card__cash_drawings_count_mean: dt.Float64 = d.count("Mean cash drawings in a month")
    credit_card__cash_drawings_count_sum_6m: dt.Int64 = d.count("Cash drawings in the last 6 months")
    credit_card__last_drawn_months_min: dt.Int64 = d.months("Months since the latest drawing")
    credit_card__paid_amt_sum: dt.Float64 = d.amount("Amount paid")
    credit_card__paid_drawn_ratio: dt.Float64 = d.ratio("Amount paid per amount drawn", minimum=None)
    credit_card__matured_instalments_count_max: dt.Int64 = d.count("Instalments that matured")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="credit_card", layer="features", model=CreditCard)
