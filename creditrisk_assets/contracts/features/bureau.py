"""Contract of the feature family bureau, and its grid.

What belongs here: what each feature is (description, unit, bounds, formula, windows). What does not: the rows it is summed over
(`features/rows/bureau.sql`), the statement that is run (`features/sql/bureau.sql`, rendered from both).

A credit is *active* or *closed* by its state, which is known on the application day alone; it is *running* by its dates, without an
actual end. Features of running credits can be had as of an earlier point, as can those of openings, ends and monthly states.
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.features.formulas import (
    Formula,
    Moment,
    hits,
    least,
    mean,
    most,
    quotient,
    rows,
    scaled,
    share,
    total,
    weighted_mean,
)
from creditrisk_assets.contracts.features.grid import ALL, EVERY_ROW, Grid, Measure, Part, Span
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

CREDITS = Span("overall", rows="credits")
OPENED = Span(
    "opened",
    rows="openings",
    by="opened_days",
    windows=(365, 730),
    suffix="_{}d",
    phrase="opened in the last {} days",
    against="opened in the last {} days against the last {}",
)
LATEST = Span(
    "last",
    rows="latest",
    by="place",
    windows=(1, 3, 5),
    suffix="_last_{}",
    phrase="of the last {} opened",
    against="of the last {} opened against the last {}",
)
EARLIEST = Span("first", rows="earliest")
MONTHLY = Span(
    "statuses",
    rows="monthly",
    by="within_months",
    windows=(ALL, 12),
    suffix="_{}m",
    phrase="in the last {} months",
    against="in the last {} months against the last {}",
    buckets=True,
)
PER_CREDIT = Span("per_credit", rows="histories")

ACTIVE = Part("active_", "state = 1", "active ones only")
CLOSED = Part("closed_", "state = 2", "closed ones only")
SOLD = Part("sold_", "state = 3", "only those sold or written off as bad debt")
RUNNING = Part("running_", "is_running = 1", "only those without an actual end")
CONSUMER = Part("consumer_", "kind = 1", "consumer credits only")
CARD = Part("card_", "kind = 2", "credit cards only")
ACTIVE_CARD = Part("active_card_", "is_active_card = 1", "active credit cards only")
MORTGAGE = Part("mortgage_", "kind = 3", "mortgages and real estate loans only")
CAR = Part("car_", "kind = 4", "car loans only")
MICROLOAN = Part("microloan_", "kind = 5", "microloans only")
OTHER = Part("other_", "kind = 6", "other kinds only")
KINDS = (CONSUMER, CARD, MORTGAGE, CAR, MICROLOAN, OTHER)

NEVER_NULL = {"nullable": False}
EITHER_SIGN = {"minimum": None}
TEN_EITHER_WAY = {"minimum": -10, "maximum": 10}
LEVELS = {"minimum": 0, "maximum": 5}
LEVEL_TREND = {"minimum": -5, "maximum": 5}
WEIGHT = (
    2**30
)  # of a credit opened, or a month ended, on the application day; too much for an amount, which is summed as a decimal(18, 3)


def _of(part: Part) -> Formula:
    return rows().where(part.condition, part.prefix)


def _kinds() -> Formula:
    """Count the kinds of which there is a credit."""
    counts = [_of(kind) for kind in KINDS]
    there = " + ".join(f"case when {count.text} > 0 then 1 else 0 end" for count in counts)
    return Formula(there, tuple(moment for count in counts for moment in count.moments), whole=True)


DEBT_CREDIT = quotient(total("debt_amt"), total("credit_amt_of_debt"))
DEBT_CREDIT_MEAN = scaled(mean("debt_ratio"), 10000)
EVER_OVERDUE = share("worst_overdue_amt > 0", of="worst_overdue_amt")

COUNTS = (
    Measure("credits_count", rows(), d.count,
            "Credits reported", CREDITS, parts=(EVERY_ROW, ACTIVE, CLOSED, SOLD, RUNNING, ACTIVE_CARD, *KINDS), bounds=NEVER_NULL),
    Measure("credit_types_count", _kinds(), d.count,
            "Kinds of credit among consumer credit, card, mortgage, car loan, microloan and other", CREDITS, bounds=NEVER_NULL),
    Measure("foreign_currency_credits_count", hits("is_foreign = 1"), d.count,
            "Credits in another currency than currency 1", CREDITS, bounds=NEVER_NULL),
    Measure("open_ended_credits_count", hits("is_open_ended = 1"), d.count,
            "Credits whose agreed end is more than 50 years (18,263 days) ahead", CREDITS, bounds=NEVER_NULL),
    Measure("active_share", quotient(_of(ACTIVE), rows()), d.share, "Active credits per credit", CREDITS),
    Measure("consumer_share", quotient(_of(CONSUMER), rows()), d.share, "Consumer credits per credit", CREDITS),
    Measure("card_share", quotient(_of(CARD), rows()), d.share, "Credit cards per credit", CREDITS),
    Measure("microloan_share", quotient(_of(MICROLOAN), rows()), d.share, "Microloans per credit", CREDITS),
    Measure("opened_share_365d", share("opened_days <= 365"), d.share, "Credits opened in the last 365 days per credit", CREDITS),
)  # fmt: skip

DATES = (
    Measure("opened_days_min", least("opened_days"), d.days, "Age of the newest credit", CREDITS, parts=(EVERY_ROW, RUNNING, CARD)),
    Measure("opened_days_max", most("opened_days"), d.days, "Age of the oldest credit", CREDITS, parts=(EVERY_ROW, RUNNING)),
    Measure("opened_days_mean", mean("opened_days"), d.days, "Mean age of the credits", CREDITS, parts=(EVERY_ROW, RUNNING)),
    Measure("opening_gap_days_mean", mean("gap_days"), d.days,
            "Mean time between one opening and the next; NULL with one credit", CREDITS),
    Measure("opening_gap_days_max", most("gap_days"), d.days,
            "Longest time between one opening and the next; NULL with one credit", CREDITS),
    Measure("remaining_days_max", most("remaining_days"), d.days,
            "Longest time to the agreed end; negative: overrun", CREDITS, parts=(RUNNING,), bounds=EITHER_SIGN),
    Measure("remaining_days_mean", mean("remaining_days"), d.days,
            "Mean time to the agreed end; negative: overrun", CREDITS, parts=(RUNNING,), bounds=EITHER_SIGN),
    Measure("term_left_share_mean", scaled(mean("term_left_share"), 10000), d.share,
            "Mean share of the agreed term that lies ahead, 0 if it is past, of credits that have not ended", CREDITS),
    Measure("overrun_credits_count", hits("overrun_days > 0"), d.count,
            "Credits that have not ended though the agreed end is past", CREDITS, bounds=NEVER_NULL),
    Measure("term_days_mean", mean("term_days"), d.days, "Mean agreed term", CREDITS),
    Measure("ended_days_min", least("ended_days"), d.days, "Days since a credit last ended", CREDITS),
    Measure("ended_days_mean", mean("ended_days"), d.days, "Mean days since credits ended", CREDITS),
    Measure("length_days_mean", mean("length_days"), d.days, "Mean days from opening to actual end", CREDITS),
    Measure("early_end_days_mean", mean("early_days"), d.days,
            "Mean days by which credits ended before their agreed end; negative: after it", CREDITS, bounds=EITHER_SIGN),
    Measure("late_end_share", share("early_days < 0", of="early_days"), d.share,
            "Credits that ended after their agreed end per ended one", CREDITS),
    Measure("updated_days_min", least("updated_days"), d.days,
            "Days since the bureau's latest update; negative: dated after the application", CREDITS, bounds=EITHER_SIGN),
    Measure("updated_days_mean", mean("updated_days"), d.days,
            "Mean days since the update of a credit; negative: dated after the application",
            CREDITS, parts=(EVERY_ROW, ACTIVE), bounds=EITHER_SIGN),
)  # fmt: skip

AMOUNTS = (
    Measure("credit_amt_sum", total("credit_amt"), d.amount,
            "Amount of the credits", CREDITS, parts=(EVERY_ROW, ACTIVE, CLOSED, CONSUMER, CARD, MORTGAGE)),
    Measure("credit_amt_max", most("credit_amt"), d.amount, "Largest credit", CREDITS, parts=(EVERY_ROW, ACTIVE)),
    Measure("credit_amt_mean", mean("credit_amt"), d.amount, "Mean credit", CREDITS),
    Measure("debt_amt_sum", total("debt_amt"), d.amount,
            "Debt; negative: overpaid",
            CREDITS, parts=(EVERY_ROW, ACTIVE, ACTIVE_CARD, CONSUMER, MORTGAGE, CAR, MICROLOAN), bounds=EITHER_SIGN),
    Measure("debt_amt_max", most("debt_amt"), d.amount, "Largest debt of a credit; negative: overpaid", CREDITS, bounds=EITHER_SIGN),
    Measure("debt_amt_mean", mean("debt_amt"), d.amount, "Mean debt of the credits whose debt is known", CREDITS, bounds=EITHER_SIGN),
    Measure("debt_credit_ratio", DEBT_CREDIT, d.ratio,
            "Debt per amount of the credits whose debt is known",
            CREDITS, parts=(EVERY_ROW, ACTIVE, ACTIVE_CARD, CONSUMER, MORTGAGE), bounds=EITHER_SIGN),
    Measure("debt_credit_ratio_mean", DEBT_CREDIT_MEAN, d.ratio,
            "Mean of debt per amount of a credit, each from -10 to 10", CREDITS, bounds=TEN_EITHER_WAY),
    Measure("debt_credit_ratio_max", scaled(most("debt_ratio"), 10000), d.ratio,
            "Largest debt per amount of a credit, each from -10 to 10", CREDITS, parts=(EVERY_ROW, ACTIVE), bounds=TEN_EITHER_WAY),
    Measure("limit_amt_sum", total("limit_amt"), d.amount, "Card limits still available, as reported", CREDITS, bounds=EITHER_SIGN),
    Measure("debt_limit_ratio", quotient(total("debt_amt"), total("limit_amt")), d.ratio,
            "Debt per limit still available", CREDITS, parts=(ACTIVE_CARD,), bounds=EITHER_SIGN),
    Measure("annuity_amt_sum", total("annuity_amt"), d.amount, "Annuities", CREDITS, parts=(ACTIVE,)),
    Measure("obligation_amt_sum", total("obligation_amt"), d.amount,
            "Annuities still to be paid until the agreed ends, one for every 30 days and for what is left of them",
            CREDITS, parts=(ACTIVE,)),
    Measure("burden_amt_sum", total("burden_amt"), d.amount,
            "Debt per month of 30 days left until the agreed end, at least one, in whole units, of credits with an agreed end",
            CREDITS, parts=(ACTIVE,), bounds=EITHER_SIGN),
    Measure("year_debt_amt_sum", total("year_debt_amt"), d.amount,
            "Debt of credits whose agreed end is within 365 days or past", CREDITS, parts=(ACTIVE,), bounds=EITHER_SIGN),
)  # fmt: skip

ARREARS = (
    Measure("overdue_days_max", most("overdue_days"), d.days, "Most days past due of a credit at the application", CREDITS),
    Measure("overdue_credits_count", hits("overdue_days > 0"), d.count, "Credits past due at the application", CREDITS, bounds=NEVER_NULL),
    Measure("overdue_amt_sum", total("overdue_amt"), d.amount, "Amount past due at the application", CREDITS),
    Measure("overdue_debt_ratio", quotient(total("overdue_amt"), total("debt_amt")), d.ratio,
            "Amount past due per debt", CREDITS, bounds=EITHER_SIGN),
    Measure("worst_overdue_amt_max", most("worst_overdue_amt"), d.amount,
            "Largest amount a credit was ever past due", CREDITS, parts=(EVERY_ROW, ACTIVE)),
    Measure("worst_overdue_amt_sum", total("worst_overdue_amt"), d.amount, "Largest amounts past due, summed over credits", CREDITS),
    Measure("worst_overdue_credit_ratio_max", scaled(most("worst_overdue_ratio"), 10000), d.ratio,
            "Largest amount past due per amount of a credit, each at most 10", CREDITS, bounds={"maximum": 10}),
    Measure("ever_overdue_credits_count", hits("worst_overdue_amt > 0"), d.count,
            "Credits that were ever past due by an amount", CREDITS, bounds=NEVER_NULL),
    Measure("ever_overdue_share", EVER_OVERDUE, d.share,
            "Credits that were ever past due by an amount per one of which it is known", CREDITS),
    Measure("prolongations_count", total("prolongations"), d.count, "Times that credits were prolonged", CREDITS, bounds=NEVER_NULL),
)  # fmt: skip

UNKNOWN = (
    Measure("unknown_debt_share", share("debt_amt is null"), d.share, "Credits without a debt figure per credit", CREDITS),
    Measure("unknown_worst_overdue_share", share("worst_overdue_amt is null"), d.share,
            "Credits without a figure of the worst amount past due per credit", CREDITS),
    Measure("unknown_annuity_share", share("annuity_amt is null"), d.share, "Credits without an annuity figure per credit", CREDITS),
    Measure("unknown_agreed_end_share", share("remaining_days is null"), d.share,
            "Credits without an agreed end, or with one that is no date, per credit", CREDITS),
)  # fmt: skip

RECENT = (
    Measure("credits_count", rows(), d.count, "Credits", OPENED, (30, 90, 180, 365, 730, 1500), bounds=NEVER_NULL, ratios=((90, 365),)),
    Measure("credits_count", rows(), d.count, "Credits", OPENED, (365,), (CONSUMER, CARD, MICROLOAN), bounds=NEVER_NULL),
    Measure("credit_types_count", _kinds(), d.count, "Kinds of credit", OPENED, (730,), bounds=NEVER_NULL),
    Measure("credit_amt_sum", total("credit_amt"), d.amount, "Amount of the credits", OPENED, ratios=((365, 1500),)),
    Measure("credit_amt_mean", mean("credit_amt"), d.amount, "Mean credit", OPENED, (365,)),
    Measure("debt_amt_sum", total("debt_amt"), d.amount, "Debt; negative: overpaid", OPENED, bounds=EITHER_SIGN),
    Measure("debt_credit_ratio", DEBT_CREDIT, d.ratio,
            "Debt per amount of the credits whose debt is known", OPENED, bounds=EITHER_SIGN),
    Measure("active_share", quotient(_of(ACTIVE), rows()), d.share, "Active credits per credit", OPENED, (365,)),
    Measure("ever_overdue_share", EVER_OVERDUE, d.share,
            "Credits that were ever past due by an amount per one of which it is known", OPENED, (730,)),
)  # fmt: skip


HALF_90, HALF_365 = (f"weighing half for each {half_life} days since the opening" for half_life in (90, 365))
FADING = (
    Measure("credits_count_half_90d", scaled(total("weight_90"), WEIGHT), d.count, f"Credits, {HALF_90}", CREDITS),
    Measure("credits_count_half_365d", scaled(total("weight_365"), WEIGHT), d.count, f"Credits, {HALF_365}", CREDITS),
    Measure("debt_credit_ratio_mean_half_365d", scaled(weighted_mean("debt_ratio", "weight_365"), 10000), d.ratio,
            f"Mean of debt per amount of a credit, each from -10 to 10, {HALF_365}", CREDITS, bounds=TEN_EITHER_WAY),
    Measure("card_share_half_365d", weighted_mean("is_card", "weight_365"), d.share, f"Credit cards per credit, {HALF_365}", CREDITS),
    Measure("running_share_half_365d", weighted_mean("is_running", "weight_365"), d.share,
            f"Credits that have not ended per credit, {HALF_365}", CREDITS),
    Measure("ever_overdue_share_half_365d", weighted_mean("was_overdue", "weight_365"), d.share,
            f"Credits that were ever past due by an amount per one of which it is known, {HALF_365}", CREDITS),
)  # fmt: skip

ORDERED = (
    Measure("type_category", most("latest_type"), d.category, "Kind of the credit", LATEST, (1,)),
    Measure("credit_amt_mean", mean("credit_amt"), d.amount, "Mean credit", LATEST, ratios=((1, 5),)),
    Measure("debt_credit_ratio", DEBT_CREDIT, d.ratio,
            "Debt per amount of the credits whose debt is known", LATEST, (1, 3), bounds=EITHER_SIGN),
    Measure("running_share", share("is_running = 1"), d.share, "Credits that have not ended per credit", LATEST, (1, 3)),
    Measure("card_share", share("kind = 2"), d.share, "Credit cards per credit", LATEST, (3,)),
    Measure("term_days_mean", mean("term_days"), d.days, "Mean agreed term", LATEST, (1,)),
    Measure("opening_gap_days_mean", mean("gap_days"), d.days, "Mean time to the opening before", LATEST, (1, 3)),
    Measure("opened_days_max", most("opened_days"), d.days, "Age of the oldest credit", LATEST, (3,)),
    Measure("credit_amt_mean_first_2", mean("credit_amt"), d.amount, "Mean of the first two credits", EARLIEST),
    Measure("card_share_first_2", share("kind = 2"), d.share, "Credit cards among the first two credits", EARLIEST),
    Measure("length_days_mean_first_2", mean("length_days"), d.days,
            "Mean days from opening to actual end of the first two credits", EARLIEST),
)  # fmt: skip


def _months(condition: str, name: str) -> Formula:
    """Count the months in a state; 0 when there are months, but none in it."""
    moment = Moment("sum", f"case when {condition} then months else 0 end", f"{name}_months_sum")
    return Formula(f"{{{moment.name}}}", (moment,), whole=True)


KNOWN, DPD, SEVERE = _months("level >= 0", "known"), _months("level > 0", "dpd"), _months("level > 1", "severe")
LEVEL_MEAN = quotient(total("level * months"), KNOWN)
WORST_LEVEL = "Worst monthly status (0 none, 1 up to 30 days past due … 5 beyond 120 or written off)"

MONTHS = (
    Measure("history_months_sum", total("months"), d.months, "Monthly statuses of all credits", MONTHLY, (ALL,)),
    Measure("history_months_max", most("oldest"), d.months, "Months since the oldest monthly status", MONTHLY, (ALL,)),
    Measure("history_months_min", least("newest"), d.months, "Months since the newest monthly status", MONTHLY, (ALL,)),
    Measure("dpd_months_share", quotient(DPD, KNOWN), d.share,
            "Months past due per known month", MONTHLY, (ALL, 3, 6, 12, 24, 60), ratios=((12, 60),)),
    Measure("dpd_months_share", quotient(DPD, KNOWN), d.share, "Months past due per known month", MONTHLY, parts=(RUNNING,)),
    Measure("severe_dpd_months_share", quotient(SEVERE, KNOWN), d.share,
            "Months more than 30 days past due per known month", MONTHLY, (ALL, 12, 24)),
    Measure("default_months_share", quotient(_months("level = 5", "default"), KNOWN), d.share,
            "Months beyond 120 days past due, or written off, per known month", MONTHLY, (ALL,)),
    Measure("dpd_months_count", DPD, d.count, "Months past due of all credits", MONTHLY),
    Measure("severe_dpd_months_count", SEVERE, d.count, "Months more than 30 days past due of all credits", MONTHLY, (ALL,)),
    Measure("dpd_months_count_half_12m", scaled(total("dpd_weight"), WEIGHT), d.count,
            "Months past due, weighing half for each 12 months that have gone by; NULL if none ever was", MONTHLY, (ALL,)),
    Measure("current_months_share", quotient(_months("state = 0", "current"), total("months")), d.share,
            "Months with a running credit not past due per month", MONTHLY, (ALL,)),
    Measure("closed_months_share", quotient(_months("state = 6", "closed"), total("months")), d.share,
            "Months with status closed per month", MONTHLY),
    Measure("unknown_months_share", quotient(_months("state is null", "unknown"), total("months")), d.share,
            "Months with unknown status per month", MONTHLY),
    Measure("worst_status_level", most("level"), d.level, WORST_LEVEL, MONTHLY, (ALL, 3, 6, 12, 24, 60), bounds=LEVELS),
    Measure("worst_status_level", most("level"), d.level, WORST_LEVEL, MONTHLY, parts=(RUNNING,), bounds=LEVELS),
    Measure("status_level_mean", LEVEL_MEAN, d.level, "Mean monthly status (0–5)", MONTHLY, (ALL,), bounds=LEVELS),
    Measure("last_dpd_months_min", least("newest").where("level > 0", "dpd_"), d.months,
            "Months since a credit was last past due; NULL if none ever was", MONTHLY, (ALL,), (EVERY_ROW, RUNNING)),
    Measure("last_severe_dpd_months_min", least("newest").where("level > 1", "severe_"), d.months,
            "Months since a credit was last more than 30 days past due; NULL if none ever was", MONTHLY, (ALL,)),
    Measure("last_default_months_min", least("newest").where("level = 5", "default_"), d.months,
            "Months since a credit was last beyond 120 days past due or written off; NULL if none ever was", MONTHLY, (ALL,)),
)  # fmt: skip

HISTORIES = (
    Measure("monthly_credits_count", rows(), d.count, "Credits with monthly statuses", PER_CREDIT),
    Measure("credit_history_months_mean", mean("months"), d.months, "Mean number of a credit's monthly statuses", PER_CREDIT),
    Measure("dpd_credits_share", quotient(hits("dpd_months > 0"), hits("is_known = 1")), d.share,
            "Credits that were ever past due per credit with a known month", PER_CREDIT),
    Measure("dpd_share_mean", scaled(mean("dpd_share"), 10000), d.share,
            "Mean over credits of the share of their known months past due", PER_CREDIT),
    Measure("dpd_share_max", scaled(most("dpd_share"), 10000), d.share,
            "Largest share of its known months that a credit was past due", PER_CREDIT, parts=(EVERY_ROW, RUNNING)),
    Measure("dpd_months_count_max", most("dpd_months"), d.count, "Months past due of the worst credit", PER_CREDIT),
    *(
        Measure(f"status_level_slope_{name}_{months}m", scaled(of(f"level_slope_{months}"), 10000), d.level,
                f"{said} trend of a credit's monthly status in the last {months} months by least squares, as change per month",
                PER_CREDIT, bounds=LEVEL_TREND)
        for months in (12, 24)
        for name, of, said in (("mean", mean, "Mean"), ("max", most, "Worst"))
    ),
)  # fmt: skip

GRID = Grid("bureau", (*COUNTS, *DATES, *AMOUNTS, *ARREARS, *UNKNOWN, *RECENT, *FADING, *ORDERED, *MONTHS, *HISTORIES))


@GRID.columns
class Bureau(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Credits at other lenders and their monthly statuses.

    Of credits opened on one day the one with the lower SK_ID_BUREAU is the later one. An end before the opening is no date and is unknown,
    and so is an agreed end more than 50 years ahead. A month with status C is known and not past due, one with status X is unknown. Ratios,
    shares and trends of a single credit are rounded to 1/10000 before they are put together, weights to 1/2^30.
    """

    sk_id_curr: dt.Int64 = d.key()

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="bureau", layer="features", model=Bureau)
