"""Contract of the feature family credit_card, and its grid.

What belongs here: what each feature is (description, unit, bounds, formula, windows). What does not: the rows it is summed over
(`features/rows/credit_card.sql`), the statement that is run (`features/sql/credit_card.sql`, rendered from both).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.features.formulas import (
    Formula,
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
    std,
    total,
    weighted_mean,
)
from creditrisk_assets.contracts.features.grid import ALL, Grid, Measure, Span
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
PER_CARD = Span("per_card", rows="cards")

SHORT_LONG = ((3, 12), (6, 24))
HALF_YEAR = ((6, 24),)
QUARTER = ((3, 12),)
NOW = (ALL,)
YEARLY = (ALL, 12)
TRENDS = (6, 12, 24)

NEVER_NULL = {"nullable": False}
EITHER_SIGN = {"minimum": None}
TEN_EITHER_WAY = {"minimum": -10, "maximum": 10}
AT_MOST_10 = {"maximum": 10}

USED = scaled(mean("utilisation"), 10000)
COVERED = scaled(mean("coverage"), 10000)
PAST_DUE = share("dpd_days > 0", of="dpd_days")
CASH = quotient(total("cash_amt"), total("cash_of_amt"))
DRAWN = quotient(total("drawn_amt"), known("drawn_amt"))
CHARGES = quotient(total("charges_amt"), total("principal_amt"))
RECEIVABLE = quotient(total("receivable_amt"), total("balance_amt"))


def _at_latest(formula: Formula) -> Formula:
    """Take a formula over the latest month alone."""
    return formula.where("place = 1", "now_")


HISTORY = (
    Measure("history_months_count", rows(), d.count, "Monthly balances", MONTHLY, YEARLY, bounds=NEVER_NULL),
    Measure("latest_months_min", least("months_before"), d.months, "Months since the latest balance", MONTHLY, NOW),
    Measure("oldest_months_max", most("months_before"), d.months, "Months since the earliest balance", MONTHLY, NOW),
    Measure("active_months_share", share("is_active = 1"), d.share, "Months with an active card per month", MONTHLY, YEARLY),
    Measure("cards_count", rows(), d.count, "Cards", PER_CARD, bounds=NEVER_NULL),
    Measure("used_cards_share", share("drawings > 0"), d.share, "Cards ever drawn on per card", PER_CARD),
    Measure("card_months_count_max", most("months"), d.count, "Monthly balances of the longest held card", PER_CARD),
    Measure("newest_card_months_min", least("first_months"), d.months, "Months since the first balance of the newest card", PER_CARD),
    Measure("active_cards_count_last", _at_latest(hits("is_active = 1")), d.count, "Active cards in the latest month", LATEST, NOW),
)  # fmt: skip

UTILISATION = (
    Measure("utilisation_ratio_mean", USED, d.ratio,
            "Mean balance per limit, between -10 and 10; negative: overpaid", MONTHLY, ratios=SHORT_LONG, bounds=EITHER_SIGN),
    Measure("utilisation_ratio_max", scaled(most("utilisation"), 10000), d.ratio,
            "Highest balance per limit, between -10 and 10", MONTHLY, (ALL, 3, 6, 12, 24), bounds=TEN_EITHER_WAY),
    Measure("utilisation_ratio_last", _at_latest(quotient(total("limited_balance_amt"), total("limit_amt"))), d.ratio,
            "Balance per limit of the latest month, all cards with a limit", LATEST, NOW, bounds=EITHER_SIGN),
    Measure("utilisation_ratio_mean", USED, d.ratio, "Mean balance per limit, between -10 and 10", LATEST, (3, 6), bounds=TEN_EITHER_WAY),
    Measure("utilisation_ratio_std", scaled(std("utilisation"), 10000), d.ratio,
            "Standard deviation of the balance per limit", MONTHLY, YEARLY),
    Measure("utilisation_ratio_slope", scaled(slope("utilisation", "months_before", per=12), 10000), d.ratio,
            "Trend of the balance per limit by least squares, as change per year", MONTHLY, TRENDS, bounds=EITHER_SIGN),
    Measure("utilisation_ratio_mean_half_3m", scaled(weighted_mean("utilisation", "weight_3"), 10000), d.ratio,
            "Mean balance per limit, weighing half for each 3 months back", MONTHLY, NOW, bounds=TEN_EITHER_WAY),
    Measure("utilisation_ratio_mean_half_12m", scaled(weighted_mean("utilisation", "weight_12"), 10000), d.ratio,
            "Mean balance per limit, weighing half for each 12 months back", MONTHLY, NOW, bounds=TEN_EITHER_WAY),
    Measure("over_limit_months_share", share("limited_balance_amt > limit_amt", of="limited_balance_amt"), d.share,
            "Months with the balance above the limit per month with a limit", MONTHLY, YEARLY),
    Measure("last_over_limit_months_min", least("months_before").where("limited_balance_amt > limit_amt", "over_"), d.months,
            "Months since a balance was last above the limit; NULL if none ever was", MONTHLY, NOW),
)  # fmt: skip

BALANCE = (
    Measure("balance_amt_mean", quotient(total("balance_amt"), known("balance_amt")), d.amount,
            "Mean balance; negative: overpaid", MONTHLY, (ALL, 6, 12), ratios=HALF_YEAR, bounds=EITHER_SIGN),
    Measure("balance_amt_max", most("balance_amt"), d.amount, "Highest balance", MONTHLY, YEARLY, bounds=EITHER_SIGN),
    Measure("balance_amt_last", _at_latest(total("balance_amt")), d.amount,
            "Balance of the latest month, all cards", LATEST, NOW, bounds=EITHER_SIGN),
    Measure("balance_amt_slope", slope("balance_units", "months_before", per=1), d.amount,
            "Trend of the balance by least squares, as change per month", MONTHLY, TRENDS, bounds=EITHER_SIGN),
    Measure("limit_amt_last", _at_latest(total("limit_amt")), d.amount, "Limit in the latest month, all cards", LATEST, NOW),
    Measure("limit_amt_max", most("limit_amt"), d.amount, "Highest limit", MONTHLY, NOW),
    Measure("limit_amt_min", least("limit_amt").where("limit_amt > 0", "limited_"), d.amount, "Lowest limit above 0", MONTHLY, NOW),
    Measure("limit_amt_mean", mean("limit_amt"), d.amount, "Mean limit", MONTHLY, (ALL, 6), ratios=HALF_YEAR),
    Measure("receivable_balance_ratio", RECEIVABLE, d.ratio, "Amount receivable per balance", MONTHLY, YEARLY, bounds=EITHER_SIGN),
    Measure("receivable_balance_ratio_last", _at_latest(RECEIVABLE), d.ratio,
            "Amount receivable per balance of the latest month", LATEST, NOW, bounds=EITHER_SIGN),
    Measure("charges_principal_ratio", CHARGES, d.ratio,
            "Amount receivable beyond the principal per principal", MONTHLY, YEARLY, bounds=EITHER_SIGN),
)  # fmt: skip

PAYMENT = (
    Measure("minimum_amt_last", _at_latest(total("minimum_amt")), d.amount,
            "Minimal instalment of the latest month, all cards", LATEST, NOW),
    Measure("paid_minimum_ratio_mean", COVERED, d.ratio,
            "Mean amount paid per minimal instalment, at most 10, where one was due",
            MONTHLY, (ALL, 6, 12), ratios=HALF_YEAR, bounds=AT_MOST_10),
    Measure("paid_minimum_ratio_min", scaled(least("coverage"), 10000), d.ratio,
            "Lowest amount paid per minimal instalment", MONTHLY, YEARLY, bounds=AT_MOST_10),
    Measure("paid_minimum_ratio_mean", COVERED, d.ratio,
            "Mean amount paid per minimal instalment, at most 10, where one was due", LATEST, (1, 3), bounds=AT_MOST_10),
    Measure("minimum_met_share", share("paid_amt >= due_amt", of="due_amt"), d.share,
            "Months in which the minimal instalment was paid per month in which one was due", MONTHLY, YEARLY),
    Measure("paid_amt_sum", total("paid_amt"), d.amount, "Amount paid", MONTHLY, YEARLY),
    Measure("paid_drawn_ratio", quotient(total("paid_amt"), total("drawn_amt")), d.ratio,
            "Amount paid per amount drawn", MONTHLY, YEARLY, bounds=EITHER_SIGN),
    Measure("paid_balance_ratio", quotient(total("paid_amt"), total("balance_amt")), d.ratio,
            "Amount paid per balance", MONTHLY, YEARLY, bounds=EITHER_SIGN),
    Measure("matured_instalments_count_max", most("matured"), d.count, "Instalments that matured", MONTHLY, NOW),
)  # fmt: skip

PAST_DUES = (
    Measure("dpd_months_share", PAST_DUE, d.share, "Months past due per month", MONTHLY, ratios=HALF_YEAR),
    Measure("severe_dpd_months_share", share("dpd_days > 30", of="dpd_days"), d.share,
            "Months more than 30 days past due per month", MONTHLY, YEARLY),
    Measure("material_dpd_months_share", share("material_dpd_days > 0", of="material_dpd_days"), d.share,
            "Months past due, small debts tolerated, per month", MONTHLY, YEARLY),
    Measure("dpd_days_max", most("dpd_days"), d.days, "Most days past due", MONTHLY, (ALL, 6, 12)),
    Measure("dpd_days_max", most("dpd_days"), d.days, "Most days past due", LATEST, (1, 6)),
    Measure("material_dpd_days_max", most("material_dpd_days"), d.days, "Most days past due, small debts tolerated", MONTHLY, YEARLY),
    Measure("dpd_cards_share", share("dpd_days > 0", of="dpd_days"), d.share, "Cards that were ever past due per card", PER_CARD),
    Measure("last_dpd_months_min", least("months_before").where("dpd_days > 0", "dpd_"), d.months,
            "Months since a card was last past due; NULL if none ever was", MONTHLY, NOW),
    Measure("last_severe_dpd_months_min", least("months_before").where("dpd_days > 30", "severe_dpd_"), d.months,
            "Months since a card was last more than 30 days past due", MONTHLY, NOW),
)  # fmt: skip

DRAWINGS = (
    Measure("drawn_amt_mean", DRAWN, d.amount, "Mean amount drawn in a month", MONTHLY, (ALL, 6), ratios=QUARTER, bounds=EITHER_SIGN),
    Measure("drawn_amt_sum", total("drawn_amt"), d.amount, "Amount drawn", MONTHLY, (12,), bounds=EITHER_SIGN),
    Measure("drawn_amt_mean", DRAWN, d.amount, "Mean amount drawn in a month", LATEST, (1, 3), bounds=EITHER_SIGN),
    Measure("drawn_limit_ratio_mean", scaled(mean("drawn_limit_ratio"), 10000), d.ratio,
            "Mean of the amount drawn per limit, between -10 and 10", MONTHLY, (ALL, 6), bounds=TEN_EITHER_WAY),
    Measure("cash_drawn_ratio", CASH, d.ratio,
            "Cash drawn per amount drawn in the months whose cash is known", MONTHLY, (ALL, 6, 12, 24), bounds=EITHER_SIGN),
    Measure("cash_drawn_ratio", CASH, d.ratio,
            "Cash drawn per amount drawn in the months whose cash is known", LATEST, (6,), bounds=EITHER_SIGN),
    Measure("goods_drawn_ratio", quotient(total("goods_amt"), total("goods_of_amt")), d.ratio,
            "Spent on goods per amount drawn in the months whose purchases are known", MONTHLY, (ALL, 12), bounds=EITHER_SIGN),
    Measure("cash_amt_max", most("cash_amt"), d.amount, "Most cash drawn in a month", MONTHLY, YEARLY, bounds=EITHER_SIGN),
    Measure("cash_limit_ratio_mean", scaled(mean("cash_limit_ratio"), 10000), d.ratio,
            "Mean of cash drawn per limit, between -10 and 10", MONTHLY, NOW, bounds=TEN_EITHER_WAY),
    Measure("cash_limit_ratio_max", scaled(most("cash_limit_ratio"), 10000), d.ratio,
            "Most cash drawn per limit in a month, between -10 and 10", MONTHLY, NOW, bounds=TEN_EITHER_WAY),
    Measure("drawings_count_sum", total("drawings"), d.count, "Drawings", MONTHLY, YEARLY),
    Measure("drawing_months_share", share("drawings > 0", of="drawings"), d.share, "Months with a drawing per month", MONTHLY, YEARLY),
    Measure("cash_drawings_count_mean", mean("cash_drawings"), d.count, "Mean cash drawings in a month", MONTHLY, NOW),
    Measure("cash_drawings_count_sum", total("cash_drawings"), d.count, "Cash drawings", MONTHLY, (6,)),
    Measure("goods_drawings_count_mean", mean("goods_drawings"), d.count, "Mean purchases in a month", MONTHLY, NOW),
    Measure("last_drawn_months_min", least("months_before").where("drawings > 0", "drawn_"), d.months,
            "Months since the latest drawing", MONTHLY, NOW),
    Measure("last_cash_drawn_months_min", least("months_before").where("cash_drawings > 0", "cash_drawn_"), d.months,
            "Months since the latest cash drawing", MONTHLY, NOW),
)  # fmt: skip

GRID = Grid("credit_card", (*HISTORY, *UTILISATION, *BALANCE, *PAYMENT, *PAST_DUES, *DRAWINGS))


@GRID.columns
class CreditCard(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Monthly balances of credit cards at this lender.

    A month is one of one card, and none is where a card has no balance; the latest month is that of the latest balance of any card.
    A balance, what is drawn and what is paid per limit or minimal instalment is rounded to 0.0001 and cut at 10 before it is put together,
    and known where the limit or the instalment is above 0. Balances are rounded to whole units for their trend, weights to 2^-19.
    """

    sk_id_curr: dt.Int64 = d.key()

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="credit_card", layer="features", model=CreditCard)
