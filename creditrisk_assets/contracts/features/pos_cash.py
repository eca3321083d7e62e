"""Contract of the feature family pos_cash.

What belongs here: what each feature is (description, unit, bounds). What does not: how it is computed
(`features/sql/pos_cash.sql`).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class PosCash(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Monthly balances of consumer and cash loans at this lender."""

    sk_id_curr: dt.Int64 = d.key()
    pos_cash__contracts_count: dt.Int64 = d.count("Contracts", nullable=False)
    pos_cash__history_months_count: dt.Int64 = d.count("Monthly balances", nullable=False)
    pos_cash__history_months_count_12m: dt.Int64 = d.count("Monthly balances of the last 12 months")
    pos_cash__latest_months_min: dt.Int64 = d.months("Months since the latest balance")
    pos_cash__oldest_months_max: dt.Int64 = d.months("Months since the earliest balance")
    pos_cash__last_active_months_min: dt.Int64 = d.months("Months since a contract was last active")
    pos_cash__last_completed_months_min: dt.Int64 = d.months("Months since a contract was last completed")
    pos_cash__completed_contracts_count: dt.Int64 = d.count("Completed contracts", nullable=False)
    pos_cash__running_contracts_count: dt.Int64 = d.count("Contracts active in their latest month", nullable=False)
    pos_cash__demanded_contracts_count: dt.Int64 = d.count(
        "Contracts on which full repayment was demanded", nullable=False
    )
    pos_cash__returned_contracts_count: dt.Int64 = d.count(
        "Contracts whose goods were returned to the store", nullable=False
    )
    pos_cash__completed_share: dt.Float64 = d.share("Completed contracts per contract")
    pos_cash__completed_early_share: dt.Float64 = d.share(
        "Contracts completed with instalments left per completed contract"
    )
    pos_cash__shortened_share: dt.Float64 = d.share("Contracts whose term was shortened per contract")
    pos_cash__dpd_months_share: dt.Float64 = d.share("Months past due per month")
    pos_cash__dpd_months_share_6m: dt.Float64 = d.share("Months past due per month of the last 6")
    pos_cash__dpd_months_share_12m: dt.Float64 = d.share("Months past due per month of the last 12")
    pos_cash__material_dpd_months_share: dt.Float64 = d.share("Months past due, small debts tolerated, per month")
    pos_cash__material_dpd_months_share_12m: dt.Float64 = d.share(
        "Months past due, small debts tolerated, per month of the last 12"
    )
    pos_cash__material_dpd_months_share_24m: dt.Float64 = d.share(
        "Months past due, small debts tolerated, per month of the last 24"
    )
    pos_cash__material_dpd_contracts_share: dt.Float64 = d.share(
        "Contracts that were ever past due, small debts tolerated, per contract"
    )
    pos_cash__dpd_days_max: dt.Int64 = d.days("Most days past due")
    pos_cash__dpd_days_max_12m: dt.Int64 = d.days("Most days past due in the last 12 months")
    pos_cash__material_dpd_days_max: dt.Int64 = d.days("Most days past due, small debts tolerated")
    pos_cash__material_dpd_days_max_12m: dt.Int64 = d.days(
        "Most days past due in the last 12 months, small debts tolerated"
    )
    pos_cash__dpd_days_mean: dt.Float64 = d.days("Mean days past due of a month")
    pos_cash__last_dpd_months_min: dt.Int64 = d.months(
        "Months since a contract was last past due; NULL if none ever was"
    )
    pos_cash__last_material_dpd_months_min: dt.Int64 = d.months(
        "Months since a contract was last past due, small debts tolerated"
    )
    pos_cash__term_months_mean: dt.Float64 = d.months("Mean latest term")
    pos_cash__term_months_max: dt.Int64 = d.months("Longest term")
    pos_cash__running_future_instalments_count_sum: dt.Int64 = d.count("Instalments left on running contracts")
    pos_cash__running_future_instalments_count_max: dt.Int64 = d.count("Most instalments left on a running contract")
    pos_cash__future_term_ratio_mean: dt.Float64 = d.ratio("Mean of the instalments left per term at the latest month")
    pos_cash__running_future_term_ratio_mean: dt.Float64 = d.ratio(
        "Mean of the instalments left per term of the running contracts"
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="pos_cash", layer="features", model=PosCash)
