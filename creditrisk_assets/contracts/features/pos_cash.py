"""Contract of the feature family pos_cash, and its grid.

What belongs here: what each feature is (description, unit, bounds, formula, windows). What does not: the rows it is summed over
(`features/rows/pos_cash.sql`), the statement that is run (`features/sql/pos_cash.sql`, rendered from both).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.features.formulas import (
    hits,
    known,
    least,
    mean,
    most,
    quotient,
    rows,
    scaled,
    share,
    slope,
    total,
    weighted_mean,
)
from creditrisk_assets.contracts.features.grid import ALL, Grid, Measure, Part, Span
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

MONTHLY = Span(
    "monthly",
    rows="months",
    by="months_before",
    windows=(ALL, 3, 6, 12, 24, 60),
    suffix="_{}m",
    phrase="of the last {} months",
    against="of the last {} months against the last {}",
    buckets=True,
)
LATEST = Span(
    "recent",
    rows="latest",
    by="place",
    windows=(1, 3, 6),
    suffix="_last_{}",
    phrase="of the last {} months up to the latest balance",
)
PER_CONTRACT = Span(
    "per_contract",
    rows="contracts",
    by="place",
    suffix="_last_{}_contracts",
    phrase="of the last {} contracts begun",
)
RUNNING = Part("running_", "is_running = 1", "of contracts active in their latest month and never completed")

HALF_YEAR = ((6, 24),)
NOW = (ALL,)
YEARLY = (ALL, 12)
TRENDS = (6, 12, 24)
FEW = (ALL, 1, 3)

NEVER_NULL = {"nullable": False}
EITHER_SIGN = {"minimum": None}
AT_MOST_10 = {"maximum": 10}

PAST_DUE = share("dpd_days > 0", of="dpd_days")
MATERIAL = share("material_dpd_days > 0", of="material_dpd_days")
LEFT = scaled(mean("left_ratio"), 10000)
COMPLETED = known("completed_months")

HISTORY = (
    Measure("history_months_count", rows(), d.count, "Monthly balances", MONTHLY, (ALL, 12, 24), bounds=NEVER_NULL),
    Measure("latest_months_min", least("months_before"), d.months, "Months since the latest balance", MONTHLY, NOW),
    Measure("oldest_months_max", most("months_before"), d.months, "Months since the earliest balance", MONTHLY, NOW),
    Measure("active_months_share", share("state = 1"), d.share, "Months of an active contract per month", MONTHLY, YEARLY),
    Measure("last_active_months_min", least("months_before").where("state = 1", "active_"), d.months,
            "Months since a contract was last active", MONTHLY, NOW),
    Measure("signed_months_share", share("state = 3"), d.share, "Months of a signed contract per month", MONTHLY, NOW),
    Measure("demand_months_share", share("state = 4"), d.share, "Months in which full repayment was demanded per month", MONTHLY, NOW),
    Measure("returned_months_share", share("state = 5"), d.share, "Months of goods returned to the store per month", MONTHLY, NOW),
    Measure("amortized_months_share", share("state = 6"), d.share, "Months of an amortized debt per month", MONTHLY, NOW),
    Measure("active_contracts_count", hits("state = 1"), d.count, "Active contracts", LATEST, (1,), bounds=NEVER_NULL),
)  # fmt: skip

CONTRACTS = (
    Measure("contracts_count", rows(), d.count, "Contracts", PER_CONTRACT, bounds=NEVER_NULL),
    Measure("completed_contracts_count", COMPLETED, d.count, "Completed contracts", PER_CONTRACT, bounds=NEVER_NULL),
    Measure("running_contracts_count", hits("is_running = 1"), d.count,
            "Contracts active in their latest month and never completed", PER_CONTRACT, bounds=NEVER_NULL),
    Measure("demanded_contracts_count", hits("is_demanded = 1"), d.count,
            "Contracts on which full repayment was demanded", PER_CONTRACT, bounds=NEVER_NULL),
    Measure("returned_contracts_count", hits("is_returned = 1"), d.count,
            "Contracts whose goods were returned to the store", PER_CONTRACT, bounds=NEVER_NULL),
    Measure("amortized_contracts_count", hits("is_amortized = 1"), d.count,
            "Contracts whose debt was amortized", PER_CONTRACT, bounds=NEVER_NULL),
    Measure("recent_contracts_count", hits("oldest_months <= 12"), d.count,
            "Contracts begun in the last 12 months", PER_CONTRACT, bounds=NEVER_NULL),
    Measure("recently_completed_contracts_count", hits("completed_months <= 12"), d.count,
            "Contracts completed in the last 12 months", PER_CONTRACT, bounds=NEVER_NULL),
    Measure("completed_share", quotient(COMPLETED, rows()), d.share, "Completed contracts per contract", PER_CONTRACT),
    Measure("completed_early_share", share("is_completed_early = 1", of="is_completed_early"), d.share,
            "Completed contracts with instalments left, as last known, per completed contract", PER_CONTRACT, (ALL, 3)),
    Measure("spared_instalments_count_mean", mean("spared"), d.count,
            "Mean number of instalments left of a completed contract, as last known", PER_CONTRACT),
    Measure("shortened_share", share("is_shortened = 1"), d.share,
            "Contracts whose last known term is below their longest per contract", PER_CONTRACT),
    Measure("last_completed_months_min", least("completed_months"), d.months, "Months since a contract was last completed", PER_CONTRACT),
    Measure("first_completed_months_max", most("completed_months"), d.months, "Months since a contract was first completed", PER_CONTRACT),
    Measure("newest_contract_months_min", least("oldest_months"), d.months,
            "Months since the first balance of the newest contract", PER_CONTRACT),
    Measure("length_months_mean", mean("length_months"), d.months,
            "Mean months from the first balance of a contract to its completion", PER_CONTRACT),
    Measure("contract_months_count_mean", mean("months"), d.count, "Mean number of a contract's balances", PER_CONTRACT),
    Measure("term_months_mean", mean("term"), d.months, "Mean term, as last known", PER_CONTRACT, FEW),
    Measure("term_months_max", most("longest_term"), d.months, "Longest term", PER_CONTRACT),
    Measure("term_months_min", least("term"), d.months, "Shortest term, as last known", PER_CONTRACT),
)  # fmt: skip

REMAINING = (
    Measure("future_instalments_count_sum", total("future"), d.count, "Instalments left, as last known", PER_CONTRACT, parts=(RUNNING,)),
    Measure("future_instalments_count_max", most("future"), d.count,
            "Most instalments left, as last known", PER_CONTRACT, parts=(RUNNING,)),
    Measure("future_instalments_count_min", least("future"), d.count,
            "Fewest instalments left, as last known", PER_CONTRACT, parts=(RUNNING,)),
    Measure("future_term_ratio_mean", LEFT, d.ratio,
            "Mean of the instalments left per term, as last known", PER_CONTRACT, FEW, bounds=AT_MOST_10),
    Measure("future_term_ratio_mean", LEFT, d.ratio,
            "Mean of the instalments left per term, as last known", PER_CONTRACT, parts=(RUNNING,), bounds=AT_MOST_10),
    Measure("future_term_ratio_min", scaled(least("left_ratio"), 10000), d.ratio,
            "Fewest instalments left per term, as last known", PER_CONTRACT, parts=(RUNNING,), bounds=AT_MOST_10),
    Measure("total_future_term_ratio", quotient(total("future"), total("term")), d.ratio,
            "Instalments left per term, each summed as last known", PER_CONTRACT, parts=(RUNNING,)),
    Measure("monthly_future_term_ratio_mean", LEFT, d.ratio,
            "Mean over all months of the instalments left per term", MONTHLY, YEARLY, bounds=AT_MOST_10),
    Measure("monthly_future_term_ratio_min", scaled(least("left_ratio"), 10000), d.ratio,
            "Fewest instalments left per term in a month", MONTHLY, (12,), bounds=AT_MOST_10),
    Measure("monthly_future_term_ratio_mean", LEFT, d.ratio,
            "Mean over the months of the instalments left per term", LATEST, bounds=AT_MOST_10),
    Measure("future_instalments_count_mean", mean("future"), d.count,
            "Mean number of instalments left of a contract in a month", MONTHLY, (12,)),
    Measure("future_instalments_count_sum", total("future"), d.count, "Instalments left of all contracts", LATEST, (1,)),
)  # fmt: skip

PAST_DUES = (
    Measure("dpd_months_share", PAST_DUE, d.share, "Months past due per month", MONTHLY, ratios=HALF_YEAR),
    Measure("material_dpd_months_share", MATERIAL, d.share, "Months past due, small debts tolerated, per month", MONTHLY, ratios=HALF_YEAR),
    Measure("severe_dpd_months_share", share("dpd_days > 30", of="dpd_days"), d.share,
            "Months more than 30 days past due per month", MONTHLY, (ALL, 12, 24)),
    Measure("material_dpd_months_share_half_12m", weighted_mean("is_material_dpd", "weight_12"), d.share,
            "Months past due, small debts tolerated, per month, weighing half for each 12 months back", MONTHLY, NOW),
    Measure("dpd_days_max", most("dpd_days"), d.days, "Most days past due", MONTHLY, (ALL, 6, 12, 24)),
    Measure("material_dpd_days_max", most("material_dpd_days"), d.days,
            "Most days past due, small debts tolerated", MONTHLY, (ALL, 12, 24)),
    Measure("dpd_days_mean", mean("dpd_days"), d.days, "Mean days past due of a month", MONTHLY, (ALL, 6, 12, 24), ratios=HALF_YEAR),
    Measure("material_dpd_days_mean", mean("material_dpd_days"), d.days,
            "Mean days past due of a month, small debts tolerated", MONTHLY, YEARLY),
    Measure("dpd_days_mean_half_12m", weighted_mean("dpd_days", "weight_12"), d.days,
            "Mean days past due of a month, weighing half for each 12 months back", MONTHLY, NOW),
    Measure("dpd_days_slope", slope("dpd_days", "months_before", per=12), d.days,
            "Trend of the days past due by least squares, as change per year", MONTHLY, TRENDS, bounds=EITHER_SIGN),
    Measure("material_dpd_days_slope", slope("material_dpd_days", "months_before", per=12), d.days,
            "Trend of the days past due by least squares, small debts tolerated, as change per year", MONTHLY, (12,), bounds=EITHER_SIGN),
    Measure("last_dpd_months_min", least("months_before").where("dpd_days > 0", "dpd_"), d.months,
            "Months since a contract was last past due; NULL if none ever was", MONTHLY, NOW),
    Measure("last_material_dpd_months_min", least("months_before").where("material_dpd_days > 0", "material_dpd_"), d.months,
            "Months since a contract was last past due, small debts tolerated", MONTHLY, NOW),
    Measure("dpd_months_share", PAST_DUE, d.share, "Months past due per month", LATEST, (3, 6)),
    Measure("dpd_days_max", most("dpd_days"), d.days, "Most days past due", LATEST),
    Measure("material_dpd_days_max", most("material_dpd_days"), d.days, "Most days past due, small debts tolerated", LATEST, (6,)),
    Measure("dpd_contracts_share", PAST_DUE, d.share, "Contracts that were ever past due per contract", PER_CONTRACT, (ALL, 3)),
    Measure("material_dpd_contracts_share", MATERIAL, d.share,
            "Contracts that were ever past due, small debts tolerated, per contract", PER_CONTRACT, FEW),
    Measure("contract_dpd_days_max_mean", mean("dpd_days"), d.days, "Mean of a contract's most days past due", PER_CONTRACT, FEW),
)  # fmt: skip

GRID = Grid("pos_cash", (*HISTORY, *CONTRACTS, *REMAINING, *PAST_DUES))


@GRID.columns
class PosCash(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Monthly balances of consumer and cash loans at this lender.

    A month is one of one contract, and none is where a contract has no balance. A contract begins with its first balance and is completed
    in the latest month that says so; of those begun in one month the lower identifier counts as the later. Instalments left per term are
    rounded to 0.0001 and at most 10 before they are put together; weights are rounded to 2^-19.
    """

    sk_id_curr: dt.Int64 = d.key()

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="pos_cash", layer="features", model=PosCash)
