# ruff: noqa: E501 - a measure is one line
"""Contract of the feature family previous_application, and its grid.

What belongs here: what each feature is (description, unit, bounds, formula, windows). What does not: the rows it is summed over
(`features/rows/previous_application.sql`), the statement that is run (`features/sql/previous_application.sql`, rendered from both).

A loan is *running* by its dates, approved and without an end; its remaining instalments are those of its first schedule. The monthly
rate is the one at which the instalments repay the amount.
"""

from typing import Any

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.features.formulas import (
    Formula,
    hits,
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
from creditrisk_assets.contracts.features.grid import EVERY_ROW, Grid, Measure, Part, Span
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

EVERY = Span("overall", rows="applications")
KINDS = Span("kinds", rows="labels")
DECIDED = Span(
    "decided",
    rows="applications",
    by="decided_days",
    windows=(365, 730),
    suffix="_{}d",
    phrase="decided in the last {} days",
    against="decided in the last {} days against the last {}",
)
LATEST = Span("last", rows="latest", by="place", windows=(3, 5), suffix="_last_{}", phrase="of the last {} decided")
APPROVALS = Span(
    "approvals",
    rows="approved",
    by="approvals_since",
    windows=(1, 3),
    suffix="_last_{}",
    phrase="of the last {} approved",
)
EARLIEST = Span("first", rows="earliest")

APPROVED = Part("approved_", "is_approved = 1", "approved ones only")
REFUSED = Part("refused_", "is_refused = 1", "refused ones only")
CANCELLED = Part("cancelled_", "is_cancelled = 1", "cancelled ones only")
UNUSED = Part("unused_", "is_unused = 1", "unused offers only")
CASH = Part("cash_", "is_cash = 1", "cash loans only")
CONSUMER = Part("consumer_", "is_consumer = 1", "consumer loans only")
REVOLVING = Part("revolving_", "is_revolving = 1", "revolving loans only")
RUNNING = Part("running_", "is_running = 1", "only approved ones without an end yet")
OUTCOMES = (APPROVED, REFUSED, CANCELLED, UNUSED)
LOANS = (CASH, CONSUMER, REVOLVING)
DECISIONS = (EVERY_ROW, APPROVED, REFUSED)

NEVER_NULL = {"nullable": False}
EITHER_SIGN = {"minimum": None}
AT_MOST_1 = {"maximum": 1}
AT_MOST_10 = {"maximum": 10}
TEN_EITHER_WAY = {"minimum": -10, "maximum": 10}
FROM_MINUS_1 = {"minimum": -1, "maximum": 10}
UNIT = 1000000  # a ratio of 1 in the rows


def _mean(of: str) -> Formula:
    return scaled(mean(of), UNIT)


def _least(of: str) -> Formula:
    return scaled(least(of), UNIT)


def _most(of: str) -> Formula:
    return scaled(most(of), UNIT)


def _approved(formula: Formula) -> Formula:
    return formula.where(APPROVED.condition, APPROVED.prefix)


IS_REFUSED = share("is_refused = 1")
IS_APPROVED = share("is_approved = 1")
CREDIT = "credit_amt"

COUNTS = (
    Measure("applications_count", rows(), d.count, "Earlier applications", EVERY, bounds=NEVER_NULL),
    Measure("count", rows(), d.count, "Earlier applications", EVERY, parts=(*OUTCOMES, *LOANS, RUNNING), bounds=NEVER_NULL),
    Measure("approved_share", IS_APPROVED, d.share, "Approved applications per application", EVERY),
    Measure("refused_share", IS_REFUSED, d.share, "Refused applications per application", EVERY, parts=(EVERY_ROW, *LOANS)),
    Measure("cancelled_share", share("is_cancelled = 1"), d.share, "Cancelled applications per application", EVERY),
    Measure("unused_share", share("is_unused = 1"), d.share, "Offers not used per application", EVERY),
    Measure("refused_decided_share", share("is_refused = 1", of="was_refused"), d.share, "Refused applications per application approved or refused", EVERY),
    Measure("without_amount_share", share("is_without_amount = 1"), d.share, "Applications in which no amount was asked for per application", EVERY),
)  # fmt: skip

CATEGORIES = (
    Measure("rejected_hc_count", hits("code_reject_reason = 'HC'"), d.count, "Applications rejected for reason HC", KINDS, bounds=NEVER_NULL),
    Measure("rejected_limit_count", hits("code_reject_reason = 'LIMIT'"), d.count, "Applications rejected for the limit", KINDS, bounds=NEVER_NULL),
    Measure("rejected_score_count", hits("is_rejected_by_score = 1"), d.count, "Applications rejected for the score (SCO, SCOFR)", KINDS, bounds=NEVER_NULL),
    Measure("cash_share", share("name_contract_type = 'Cash loans'"), d.share, "Cash loans per application", KINDS),
    Measure("consumer_share", share("name_contract_type = 'Consumer loans'"), d.share, "Consumer loans per application", KINDS),
    Measure("revolving_share", share("name_contract_type = 'Revolving loans'"), d.share, "Revolving loans per application", KINDS),
    Measure("new_client_share", share("name_client_type = 'New'"), d.share, "Applications as a new client per application", KINDS),
    Measure("refreshed_client_share", share("name_client_type = 'Refreshed'"), d.share, "Applications as a refreshed client per application", KINDS),
    Measure("walk_in_share", share("name_product_type = 'walk-in'"), d.share, "Walk-in applications per application", KINDS),
    Measure("cross_sell_share", share("name_product_type = 'x-sell'"), d.share, "Cross-sold applications per application", KINDS),
    Measure("high_yield_share", share("name_yield_group = 'high'"), d.share, "Applications of the high interest band per application", KINDS),
    Measure("low_yield_share", share("is_low_yield = 1"), d.share, "Applications of the low interest bands per application", KINDS),
    Measure("pos_portfolio_share", share("name_portfolio = 'POS'"), d.share, "Applications of the portfolio of loans at the point of sale per application", KINDS),
    Measure("office_channel_share", share("channel_type = 'Credit and cash offices'"), d.share, "Applications at credit and cash offices per application", KINDS),
    Measure("country_channel_share", share("channel_type = 'Country-wide'"), d.share, "Applications through country-wide sellers per application", KINDS),
    Measure("stone_channel_share", share("channel_type = 'Stone'"), d.share, "Applications through the channel Stone per application", KINDS),
    Measure("pos_mobile_share", share("is_pos_mobile = 1"), d.share, "Loans for mobile phones at the point of sale per application", KINDS),
    Measure("pos_household_share", share("is_pos_household = 1"), d.share, "Loans for the household at the point of sale per application", KINDS),
    Measure("cash_street_share", share("is_cash_street = 1"), d.share, "Cash loans off the street per application", KINDS),
    Measure("cash_x_sell_share", share("is_cash_x_sell = 1"), d.share, "Cross-sold cash loans per application", KINDS),
    Measure("card_street_share", share("product_combination = 'Card Street'"), d.share, "Cards off the street per application", KINDS),
    Measure("interest_free_share", share("is_free_of_interest = 1"), d.share, "Products without interest per application", KINDS),
    Measure("insured_share", share("nflag_insured_on_approval = 1", of="nflag_insured_on_approval"), d.share, "Insured loans per loan for which it is known", KINDS),
    Measure("unknown_annuity_share", share("amt_annuity is null"), d.share, "Applications without an instalment figure per application", KINDS),
    Measure("unknown_down_payment_share", share("amt_down_payment is null"), d.share, "Applications without a down payment figure per application", KINDS),
    Measure("approved_unknown_dates_share", share("days_termination is null").where("name_contract_status = 'Approved'", "approved_"), d.share, "Approved loans without any date per approved loan", KINDS),
    Measure("drawn_count", hits("days_first_drawing <= 0"), d.count, "Loans or cards with a first drawing", KINDS, bounds=NEVER_NULL),
)  # fmt: skip

DATES = (
    Measure("decided_days_min", least("decided_days"), d.days, "Days since the latest decision", EVERY),
    Measure("decided_days_max", most("decided_days"), d.days, "Days since the earliest decision", EVERY),
    Measure("decided_days_mean", mean("decided_days"), d.days, "Mean days since the decisions", EVERY),
    Measure("days_min", least("decided_days"), d.days, "Days since the latest decision", EVERY, parts=(APPROVED, REFUSED, CANCELLED, REVOLVING)),
    Measure("days_max", most("decided_days"), d.days, "Days since the earliest decision", EVERY, parts=(APPROVED, REFUSED)),
    Measure("days_mean", mean("decided_days"), d.days, "Mean days since the decisions", EVERY, parts=(APPROVED, REFUSED)),
    Measure("gap_days_mean", mean("gap_days"), d.days, "Mean days between one decision and the next; NULL with one application", EVERY),
    Measure("gap_days_max", most("gap_days"), d.days, "Most days between one decision and the next; NULL with one application", EVERY),
    Measure("first_due_days_min", least("first_due_days"), d.days, "Days since the newest loan's first instalment; negative: it lies ahead", EVERY, bounds=EITHER_SIGN),
    Measure("first_due_days_max", most("first_due_days"), d.days, "Days since the oldest loan's first instalment; negative: it lies ahead", EVERY, bounds=EITHER_SIGN),
    Measure("last_due_days_min", least("last_due_days"), d.days, "Days since the latest of the loans' last instalments; negative: it lies ahead", EVERY, bounds=EITHER_SIGN),
    Measure("ended_days_min", least("ended_days"), d.days, "Days since the latest termination; negative: it lies ahead", EVERY, bounds=EITHER_SIGN),
    Measure("early_end_days_mean", mean("early_days"), d.days, "Mean days by which the last instalment was due before that of the first schedule; negative: after it", EVERY, bounds=EITHER_SIGN),
    Measure("length_days_mean", mean("length_days"), d.days, "Mean days from a loan's first instalment to its termination; negative: terminated before", EVERY, bounds=EITHER_SIGN),
)  # fmt: skip

AMOUNTS = (
    Measure("asked_amt_mean", mean("asked_amt"), d.amount, "Mean amount asked for", EVERY, parts=(EVERY_ROW, REFUSED)),
    Measure("asked_amt_max", most("asked_amt"), d.amount, "Largest amount asked for", EVERY),
    Measure("asked_amt_sum", total("asked_amt"), d.amount, "Amount asked for", EVERY),
    Measure("credit_amt_sum", total(CREDIT), d.amount, "Amount of the loans", EVERY, parts=(APPROVED, RUNNING)),
    Measure("credit_amt_mean", mean(CREDIT), d.amount, "Mean loan", EVERY, parts=(*DECISIONS, CANCELLED)),
    Measure("credit_amt_max", most(CREDIT), d.amount, "Largest loan", EVERY, parts=(APPROVED, REFUSED, REVOLVING)),
    Measure("credit_amt_min", least(CREDIT), d.amount, "Smallest loan", EVERY, parts=(APPROVED,)),
    Measure("approved_credit_share", quotient(_approved(total(CREDIT)), total(CREDIT)), d.share, "Amount of the approved loans per amount of all", EVERY),
    Measure("annuity_amt_mean", mean("annuity_amt"), d.amount, "Mean instalment", EVERY, parts=DECISIONS),
    Measure("annuity_amt_max", most("annuity_amt"), d.amount, "Largest instalment", EVERY, parts=(APPROVED,)),
    Measure("annuity_amt_sum", total("annuity_amt"), d.amount, "Instalments", EVERY, parts=(RUNNING,)),
    Measure("goods_amt_mean", mean("goods_amt"), d.amount, "Mean price of the goods", EVERY),
    Measure("down_payment_amt_mean", mean("down_payment_amt"), d.amount, "Mean down payment", EVERY, bounds=EITHER_SIGN),
)  # fmt: skip

RATIOS = (
    Measure("asked_credit_ratio_mean", _mean("asked_ratio"), d.ratio, "Mean of the amount asked for per amount granted, each at most 10", EVERY, parts=DECISIONS, bounds=AT_MOST_10),
    Measure("asked_credit_ratio_max", _most("asked_ratio"), d.ratio, "Largest amount asked for per amount granted, at most 10", EVERY, bounds=AT_MOST_10),
    Measure("asked_credit_ratio_min", _least("asked_ratio"), d.ratio, "Smallest amount asked for per amount granted", EVERY, bounds=AT_MOST_10),
    Measure("credit_goods_ratio_mean", _mean("goods_ratio"), d.ratio, "Mean of the loan per price of the goods, each at most 10", EVERY, parts=(EVERY_ROW, APPROVED), bounds=AT_MOST_10),
    Measure("credit_goods_ratio_max", _most("goods_ratio"), d.ratio, "Largest loan per price of the goods, at most 10", EVERY, bounds=AT_MOST_10),
    Measure("down_payment_credit_ratio_mean", _mean("down_payment_ratio"), d.ratio, "Mean of the down payment per loan amount, each from -10 to 10", EVERY, bounds=TEN_EITHER_WAY),
    Measure("down_payment_share_mean", _mean("down_payment_share"), d.share, "Mean normalised rate of the down payment", EVERY, parts=(EVERY_ROW, APPROVED), bounds=EITHER_SIGN),
    Measure("down_payment_share_max", _most("down_payment_share"), d.share, "Largest normalised rate of a down payment", EVERY, bounds=EITHER_SIGN),
    Measure("annuity_credit_ratio_mean", _approved(_mean("payment_rate")), d.ratio, "Mean instalment per loan amount of the approved loans (payment rate), each at most 10", EVERY, bounds=AT_MOST_10),
    Measure("refused_annuity_credit_ratio_mean", _mean("payment_rate").where(REFUSED.condition, REFUSED.prefix), d.ratio, "Mean instalment per loan amount of the refused loans, each at most 10", EVERY, bounds=AT_MOST_10),
    Measure("term_months_mean", mean("term_months"), d.months, "Mean term", EVERY, parts=DECISIONS),
    Measure("term_months_max", most("term_months"), d.months, "Longest term", EVERY),
)  # fmt: skip

MONTHLY = _mean("monthly_rate")
INTEREST = (
    Measure("interest_credit_ratio_mean", _approved(_mean("interest_ratio")), d.ratio, "Mean cost of the approved loans beyond their amount, per amount (instalment × term / amount − 1), each at most 10", EVERY, bounds=FROM_MINUS_1),
    Measure("interest_credit_ratio_max", _approved(_most("interest_ratio")), d.ratio, "Largest cost of an approved loan beyond its amount, per amount, at most 10", EVERY, bounds=FROM_MINUS_1),
    Measure("simple_rate_ratio_mean", _mean("simple_rate"), d.ratio, "Mean yearly rate by the rule 24 × cost / (amount × (term + 1)), each from -10 to 10", EVERY, parts=(APPROVED,), bounds=TEN_EITHER_WAY),
    Measure("monthly_rate_ratio_mean", MONTHLY, d.ratio, "Mean monthly rate at which the instalments repay the loan, 0 if they do not exceed it, each at most 1", EVERY, parts=(*DECISIONS, CASH, CONSUMER), bounds=AT_MOST_1),
    Measure("monthly_rate_ratio_min", _least("monthly_rate"), d.ratio, "Lowest monthly rate at which the instalments repay a loan", EVERY, parts=(APPROVED,), bounds=AT_MOST_1),
    Measure("monthly_rate_ratio_max", _most("monthly_rate"), d.ratio, "Highest monthly rate at which the instalments repay a loan, at most 1", EVERY, parts=(APPROVED,), bounds=AT_MOST_1),
)  # fmt: skip

OBLIGATIONS = (
    Measure("obligation_amt_sum", total("obligation_amt"), d.amount, "Instalments of running loans still to come by their first schedules, one for every 30.4375 days and for what is left of them, as many as the term at most", EVERY),
    Measure("obligation_credit_ratio", quotient(total("obligation_amt"), total(CREDIT)).where("is_running = 1", "running_"), d.ratio, "Instalments of running loans still to come per amount of the running loans", EVERY),
    Measure("due_annuity_amt_sum", total("due_annuity_amt"), d.amount, "Monthly instalments of running loans with any still to come by their first schedules", EVERY),
    Measure("remaining_months_max", most("months_left"), d.months, "Most instalments of a running loan still to come, months", EVERY),
    Measure("remaining_term_share", quotient(total("months_left"), total("term_months").where("months_left >= 0", "scheduled_")), d.share, "Instalments of running loans still to come per instalment of their terms", EVERY),
    Measure("overrun_count", hits("is_overrun = 1"), d.count, "Running loans whose first schedule ends on the application day or did before", EVERY, bounds=NEVER_NULL),
)  # fmt: skip

RECENT = (
    Measure("applications_count", rows(), d.count, "Applications", DECIDED, (30, 90, 180, 365, 730), bounds=NEVER_NULL, ratios=((90, 365), (365, 1500))),
    Measure("approved_count", hits("is_approved = 1"), d.count, "Approved applications", DECIDED, (365,), bounds=NEVER_NULL),
    Measure("refused_count", hits("is_refused = 1"), d.count, "Refused applications", DECIDED, (90, 365), bounds=NEVER_NULL),
    Measure("refused_share", IS_REFUSED, d.share, "Refused applications per application", DECIDED, (180, 365, 730), ratios=((365, 1500),)),
    Measure("asked_amt_sum", total("asked_amt"), d.amount, "Amount asked for", DECIDED, (365,)),
    Measure("credit_amt_mean", mean(CREDIT), d.amount, "Mean loan", DECIDED, (365,), ratios=((365, 1500),)),
    Measure("asked_credit_ratio_mean", _mean("asked_ratio"), d.ratio, "Mean of the amount asked for per amount granted, each at most 10", DECIDED, (365,), bounds=AT_MOST_10),
    Measure("monthly_rate_ratio_mean", MONTHLY, d.ratio, "Mean monthly rate at which the instalments repay the loan", DECIDED, ratios=((365, 1500),), bounds=AT_MOST_1),
)  # fmt: skip

LAST = (
    Measure("refused_share", IS_REFUSED, d.share, "Refused applications per application", LATEST),
    Measure("decided_days_max", most("decided_days"), d.days, "Days since the earliest decision", LATEST, (5,)),
    Measure("gap_days_mean", mean("gap_days"), d.days, "Mean days since the decision before", LATEST, (1, 3)),
    Measure("asked_amt_mean", mean("asked_amt"), d.amount, "Mean amount asked for", LATEST, (3,)),
    Measure("credit_amt_mean", mean(CREDIT), d.amount, "Mean loan", LATEST, (3,)),
    Measure("asked_credit_ratio_mean", _mean("asked_ratio"), d.ratio, "Mean of the amount asked for per amount granted, each at most 10", LATEST, (1, 3, 5), bounds=AT_MOST_10),
    Measure("monthly_rate_ratio_mean", MONTHLY, d.ratio, "Mean monthly rate at which the instalments repay the loan", LATEST, (1, 3), bounds=AT_MOST_1),
    Measure("approved_credit_amt_mean", mean(CREDIT), d.amount, "Mean loan", APPROVALS, (1,)),
    Measure("approved_annuity_amt_mean", mean("annuity_amt"), d.amount, "Mean instalment", APPROVALS, (1,)),
    Measure("approved_asked_credit_ratio_mean", _mean("asked_ratio"), d.ratio, "Mean of the amount asked for per amount granted, each at most 10", APPROVALS, (1,), bounds=AT_MOST_10),
    Measure("approved_monthly_rate_ratio_mean", MONTHLY, d.ratio, "Mean monthly rate at which the instalments repay the loan", APPROVALS, bounds=AT_MOST_1),
    Measure("approved_early_end_days_mean", mean("early_days"), d.days, "Mean days by which the last instalment was due before that of the first schedule; negative: after it", APPROVALS, (1,), bounds=EITHER_SIGN),
)  # fmt: skip

FIRST = (
    Measure("refused_share_first_2", IS_REFUSED, d.share, "Refused applications per application, of the first two", EARLIEST),
    Measure("asked_amt_mean_first_2", mean("asked_amt"), d.amount, "Mean amount asked for, of the first two", EARLIEST),
    Measure("credit_amt_mean_first_2", mean(CREDIT), d.amount, "Mean loan, of the first two", EARLIEST),
    Measure("asked_credit_ratio_mean_first_2", _mean("asked_ratio"), d.ratio, "Mean of the amount asked for per amount granted, each at most 10, of the first two", EARLIEST, bounds=AT_MOST_10),
    Measure("monthly_rate_ratio_mean_first_2", MONTHLY, d.ratio, "Mean monthly rate at which the instalments repay the loan, of the first two", EARLIEST, bounds=AT_MOST_1),
)  # fmt: skip


def _fading(half_life: int) -> tuple[Measure, ...]:
    """Declare means in which an application weighs half as much for each `half_life` days since its decision."""
    weight, end = f"weight_{half_life}", f"half_{half_life}d"
    said = f"weighing half for each {half_life} days since the decision"
    refused = quotient(total(f"is_refused * {weight}"), total(weight))
    rate = scaled(weighted_mean("monthly_rate", weight), UNIT)
    asked = scaled(weighted_mean("asked_ratio", weight), UNIT)
    return (
        Measure(f"refused_share_{end}", refused, d.share, f"Refused applications per application, {said}", EVERY),
        Measure(f"credit_amt_mean_{end}", weighted_mean("credit_whole", weight), d.amount, f"Mean loan, {said}", EVERY),
        Measure(f"asked_credit_ratio_mean_{end}", asked, d.ratio, f"Mean of the amount asked for per amount granted, each at most 10, {said}", EVERY, bounds=AT_MOST_10),
        Measure(f"monthly_rate_ratio_mean_{end}", rate, d.ratio, f"Mean monthly rate at which the instalments repay the loan, {said}", EVERY, bounds=AT_MOST_1),
    )  # fmt: skip


def _trend(name: str, of: str, unit: Any, description: str, scale: int = 1) -> Measure:
    change = slope(of, "decided_days", per=365)
    formula = change if scale == 1 else scaled(change, scale)
    return Measure(
        name, formula, unit, f"{description} by least squares, as change per year", EVERY, bounds=EITHER_SIGN
    )


RECENCY = (*_fading(90), *_fading(365))

TRENDS = (
    _trend("credit_amt_slope", "credit_whole", d.amount, "Trend of the loans"),
    _trend(
        "asked_credit_ratio_slope", "asked_ratio", d.ratio, "Trend of the amount asked for per amount granted", UNIT
    ),
    _trend("monthly_rate_ratio_slope", "monthly_rate", d.ratio, "Trend of the monthly rates", UNIT),
)

GRID = Grid(
    "previous_application",
    (
        *COUNTS,
        *CATEGORIES,
        *DATES,
        *AMOUNTS,
        *RATIOS,
        *INTEREST,
        *OBLIGATIONS,
        *RECENT,
        *LAST,
        *FIRST,
        *RECENCY,
        *TRENDS,
    ),
    base="newest",
)


@GRID.columns
class PreviousApplication(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Earlier applications at this lender.

    Of applications decided on one day the one with the higher SK_ID_PREV is the later one. An amount of 0 was never granted and is unknown;
    so are the cost and the rates of a loan with an instalment or a term of 0. A loan is running if it was approved and its termination has
    not come (365243); what has no date of one is not. Ratios and rates of a single application are rounded to 1/1000000 before they are put
    together, amounts to whole units where they are weighted or a trend is taken; weights are whole 1/2^24 and one more, never nothing.
    """

    sk_id_curr: dt.Int64 = d.key()
    previous_application__contract_type_category_last: dt.String = d.category("Kind of the latest application")
    previous_application__status_category_last: dt.String = d.category("Decision on the latest application")
    previous_application__yield_category_last: dt.String = d.category("Interest band of the latest application")
    previous_application__client_type_category_last: dt.String = d.category("Client type at the latest application")
    previous_application__goods_category_last: dt.String = d.category("Goods of the latest application")
    previous_application__portfolio_category_last: dt.String = d.category("Portfolio of the latest application")
    previous_application__channel_category_last: dt.String = d.category("Channel of the latest application")
    previous_application__product_category_last: dt.String = d.category("Product of the latest application")
    previous_application__seller_category_last: dt.String = d.category("Seller's industry of the latest application")
    previous_application__purpose_category_last: dt.String = d.category("Purpose of the latest application")
    previous_application__reject_reason_category_last: dt.String = d.category("Reason of the latest refusal")
    previous_application__approved_product_category_last: dt.String = d.category("Product of the latest approved loan")
    previous_application__asked_amt_last: dt.Float64 = d.amount("Amount asked for in the latest application")
    previous_application__credit_amt_last: dt.Float64 = d.amount("Amount of the latest application")
    previous_application__annuity_amt_last: dt.Float64 = d.amount("Instalment of the latest application")
    previous_application__term_months_last: dt.Int64 = d.months("Term of the latest application")
    previous_application__interest_credit_ratio_last: dt.Float64 = d.ratio(
        "Cost of the latest loan beyond its amount, per amount, at most 10", minimum=-1, maximum=10
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="previous_application", layer="features", model=PreviousApplication)
