"""Contract of the feature family bureau.

What belongs here: what each feature is (description, unit, bounds). What does not: how it is computed
(`features/sql/bureau.sql`).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class Bureau(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Credits at other lenders and their monthly statuses."""

    sk_id_curr: dt.Int64 = d.key()
    bureau__credits_count: dt.Int64 = d.count("Credits reported", nullable=False)
    bureau__active_credits_count: dt.Int64 = d.count("Active credits", nullable=False)
    bureau__closed_credits_count: dt.Int64 = d.count("Closed credits", nullable=False)
    bureau__sold_credits_count: dt.Int64 = d.count("Credits sold or written off as bad debt", nullable=False)
    bureau__card_credits_count: dt.Int64 = d.count("Credit cards", nullable=False)
    bureau__active_card_credits_count: dt.Int64 = d.count("Active credit cards", nullable=False)
    bureau__consumer_credits_count: dt.Int64 = d.count("Consumer credits", nullable=False)
    bureau__car_credits_count: dt.Int64 = d.count("Car loans", nullable=False)
    bureau__mortgage_credits_count: dt.Int64 = d.count("Mortgages", nullable=False)
    bureau__microloan_credits_count: dt.Int64 = d.count("Microloans", nullable=False)
    bureau__credit_types_count: dt.Int64 = d.count("Different types of credit", nullable=False)
    bureau__credits_count_90d: dt.Int64 = d.count("Credits opened in the last 90 days", nullable=False)
    bureau__credits_count_365d: dt.Int64 = d.count("Credits opened in the last 365 days", nullable=False)
    bureau__credits_count_730d: dt.Int64 = d.count("Credits opened in the last 730 days", nullable=False)
    bureau__active_share: dt.Float64 = d.share("Active credits per credit")
    bureau__consumer_share: dt.Float64 = d.share("Consumer credits per credit")
    bureau__card_share: dt.Float64 = d.share("Credit cards per credit")
    bureau__microloan_share: dt.Float64 = d.share("Microloans per credit")
    bureau__opened_share_365d: dt.Float64 = d.share("Credits opened in the last 365 days per credit")
    bureau__opened_days_min: dt.Int64 = d.days("Age of the newest credit")
    bureau__opened_days_max: dt.Int64 = d.days("Age of the oldest credit")
    bureau__opened_days_mean: dt.Float64 = d.days("Mean age of the credits")
    bureau__active_opened_days_min: dt.Int64 = d.days("Age of the newest active credit")
    bureau__active_opened_days_max: dt.Int64 = d.days("Age of the oldest active credit")
    bureau__active_opened_days_mean: dt.Float64 = d.days("Mean age of the active credits")
    bureau__card_opened_days_min: dt.Int64 = d.days("Age of the newest credit card")
    bureau__opening_gap_days_mean: dt.Float64 = d.days(
        "Mean time between the openings of two credits; NULL with one credit"
    )
    bureau__updated_days_min: dt.Int64 = d.days(
        "Days since the bureau's latest update; negative: dated after the application", minimum=None
    )
    bureau__updated_days_mean: dt.Float64 = d.days(
        "Mean days since the update of a credit; negative: dated after the application", minimum=None
    )
    bureau__active_remaining_days_max: dt.Int64 = d.days(
        "Longest time to the planned end of an active credit; negative: overrun", minimum=None
    )
    bureau__active_remaining_days_mean: dt.Float64 = d.days(
        "Mean time to the planned end of active credits; negative: overrun", minimum=None
    )
    bureau__ended_days_min: dt.Int64 = d.days("Days since a credit last ended")
    bureau__ended_days_mean: dt.Float64 = d.days("Mean days since credits ended")
    bureau__early_end_days_mean: dt.Float64 = d.days(
        "Mean days by which credits ended before their planned end; negative: after it", minimum=None
    )
    bureau__overdue_days_max: dt.Int64 = d.days("Most days past due of a credit at the application")
    bureau__overdue_credits_count: dt.Int64 = d.count("Credits past due at the application", nullable=False)
    bureau__prolongations_count: dt.Int64 = d.count("Times that credits were prolonged", nullable=False)
    bureau__credit_amt_sum: dt.Float64 = d.amount("Amount of all credits")
    bureau__credit_amt_max: dt.Float64 = d.amount("Largest credit")
    bureau__credit_amt_mean: dt.Float64 = d.amount("Mean credit")
    bureau__active_credit_amt_sum: dt.Float64 = d.amount("Amount of the active credits")
    bureau__debt_amt_sum: dt.Float64 = d.amount("Debt of all credits; negative: overpaid", minimum=None)
    bureau__debt_amt_max: dt.Float64 = d.amount("Largest debt of a credit; negative: overpaid", minimum=None)
    bureau__debt_amt_mean: dt.Float64 = d.amount("Mean debt of the credits whose debt is known", minimum=None)
    bureau__active_debt_amt_sum: dt.Float64 = d.amount("Debt of the active credits", minimum=None)
    bureau__card_debt_amt_sum: dt.Float64 = d.amount("Debt of the active credit cards", minimum=None)
    bureau__mortgage_debt_amt_sum: dt.Float64 = d.amount("Debt of the mortgages", minimum=None)
    bureau__limit_amt_sum: dt.Float64 = d.amount("Card limits still available, as reported", minimum=None)
    bureau__overdue_amt_sum: dt.Float64 = d.amount("Amount past due at the application")
    bureau__worst_overdue_amt_max: dt.Float64 = d.amount("Largest amount a credit was ever past due")
    bureau__worst_overdue_amt_sum: dt.Float64 = d.amount("Largest amounts past due, summed over credits")
    bureau__ever_overdue_credits_count: dt.Int64 = d.count(
        "Credits that were ever past due by an amount", nullable=False
    )
    bureau__active_annuity_amt_sum: dt.Float64 = d.amount("Annuities of the active credits")
    bureau__debt_credit_ratio: dt.Float64 = d.ratio(
        "Debt of all credits per amount of the credits whose debt is known", minimum=None
    )
    bureau__active_debt_credit_ratio: dt.Float64 = d.ratio(
        "Debt of the active credits per amount of those whose debt is known", minimum=None
    )
    bureau__card_debt_credit_ratio: dt.Float64 = d.ratio(
        "Debt of the active credit cards per amount of those whose debt is known", minimum=None
    )
    bureau__debt_credit_ratio_mean: dt.Float64 = d.ratio("Mean of debt per amount of a credit", minimum=None)
    bureau__debt_credit_ratio_max: dt.Float64 = d.ratio("Largest debt per amount of a credit", minimum=None)
    bureau__active_debt_credit_ratio_max: dt.Float64 = d.ratio(
        "Largest debt per amount of an active credit", minimum=None
    )
    bureau__overdue_debt_ratio: dt.Float64 = d.ratio("Amount past due per debt", minimum=None)
    bureau__monthly_credits_count: dt.Int64 = d.count("Credits with monthly statuses")
    bureau__history_months_sum: dt.Int64 = d.months("Monthly statuses of all credits")
    bureau__dpd_share_mean: dt.Float64 = d.share("Mean over credits of the share of their known months past due")
    bureau__dpd_share_max: dt.Float64 = d.share("Largest share of its known months that a credit was past due")
    bureau__dpd_months_share: dt.Float64 = d.share("Months past due per known month of all credits")
    bureau__severe_dpd_months_share: dt.Float64 = d.share(
        "Months more than 30 days past due per known month of all credits"
    )
    bureau__dpd_months_share_12m: dt.Float64 = d.share("Months past due per known month of the last 12")
    bureau__closed_months_share: dt.Float64 = d.share("Months with status closed per month")
    bureau__unknown_months_share: dt.Float64 = d.share("Months with unknown status per month")
    bureau__dpd_credits_share: dt.Float64 = d.share("Credits that were ever past due per credit with a known month")
    bureau__dpd_months_count: dt.Int64 = d.count("Months past due of all credits")
    bureau__worst_status_level: dt.Int64 = d.level(
        "Worst monthly status (0 none, 1 up to 30 days past due … 5 beyond 120 or written off)", minimum=0, maximum=5
    )
    bureau__worst_status_level_12m: dt.Int64 = d.level(
        "Worst monthly status of the last 12 months (0–5)", minimum=0, maximum=5
    )
    bureau__worst_status_level_24m: dt.Int64 = d.level(
        "Worst monthly status of the last 24 months (0–5)", minimum=0, maximum=5
    )
    bureau__last_dpd_months_min: dt.Int64 = d.months("Months since a credit was last past due; NULL if none ever was")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="bureau", layer="features", model=Bureau)
