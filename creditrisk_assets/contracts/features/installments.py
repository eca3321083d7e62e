"""Contract of the feature family installments, and its grid.

What belongs here: what each feature is (description, unit, bounds, formula, windows). What does not: the rows it is summed over
(`features/rows/installments.sql`), the statement that is run (`features/sql/installments.sql`, rendered from both).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.features.formulas import (
    difference,
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
from creditrisk_assets.contracts.features.grid import ALL, Grid, Measure, Part, Span
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

DUE = Span(
    "due",
    rows="behaviour",
    by="due_days",
    windows=(ALL, 30, 60, 90, 180, 365, 720, 1500),
    suffix="_{}d",
    phrase="due in the last {} days",
    against="due in the last {} days against the last {}",
)
LATEST = Span(
    "last", rows="latest", by="place", windows=(1, 3, 5, 10), suffix="_last_{}", phrase="of the latest {} due"
)
OPENING = Span(
    "first",
    rows="opening",
    by="number",
    windows=(1, 2, 4),
    suffix="_first_{}",
    phrase="numbers up to {} of each loan",
)
PER_LOAN = Span(
    "per_loan",
    rows="loans",
    by="place",
    windows=(ALL, 1, 3),
    suffix="_last_{}_loans",
    phrase="of the last {} loans or cards begun",
)

SHORT_LONG = ((90, 365), (180, 720))
HALF_YEAR = ((180, 720),)
YEARLY = (ALL, 365)
LONG = (ALL, 365, 720)
MIDDLE = (ALL, 90, 180, 365, 720)
EACH_KIND = (Part("loan_", "version > 0", "of loans"), Part("card_", "version = 0", "of credit cards"))

NEVER_NULL = {"nullable": False}
EITHER_SIGN = {"minimum": None}
AT_MOST_1 = {"maximum": 1}
AT_MOST_10 = {"maximum": 10}

LATE = share("late_days > 0", of="late_days")
SEVERE = share("late_days > 30", of="late_days")
SHORT_DUE = quotient(total("short_amt"), total("settled_due_amt"))
PAID_DUE = scaled(mean("paid_ratio"), 10000)

SCHEDULE = (
    Measure("instalments_count", rows(), d.count,
            "Scheduled instalments, partial payments of one counted once", DUE, (ALL, 30, 90, 180, 365, 720), bounds=NEVER_NULL),
    Measure("unsettled_count", difference(rows(), known("late_days")), d.count,
            "Instalments without a payment", DUE, (ALL,), bounds=NEVER_NULL),
    Measure("split_payment_share", share("payments > 1"), d.share,
            "Instalments with several payments per instalment", DUE, (ALL,)),
)  # fmt: skip

LATENESS = (
    Measure("late_share", LATE, d.share, "Late instalments per settled one", DUE, ratios=SHORT_LONG),
    Measure("week_late_share", share("late_days > 7", of="late_days"), d.share,
            "Instalments more than 7 days late per settled one", DUE, LONG),
    Measure("severe_late_share", SEVERE, d.share, "Instalments more than 30 days late per settled one", DUE, LONG),
    Measure("late_days_sum", total("late_days"), d.days, "Days late, summed", DUE, (ALL,)),
    Measure("late_days_mean", mean("late_days"), d.days,
            "Mean days late, instalments on time counting 0", DUE, ratios=SHORT_LONG),
    Measure("late_days_max", most("late_days"), d.days, "Most days late", DUE, (ALL, 90, 180, 365, 720)),
    Measure("late_days_std", std("late_days"), d.days, "Standard deviation of the days late", DUE, YEARLY),
    Measure("late_only_days_mean", quotient(total("late_days"), hits("late_days > 0")), d.days,
            "Mean days late of the late instalments", DUE, YEARLY),
    Measure("early_days_mean", mean("early_days"), d.days,
            "Mean days before the due day, late instalments counting 0", DUE, MIDDLE, ratios=HALF_YEAR),
    Measure("last_late_days_min", least("due_days").where("late_days > 0", "late_"), d.days,
            "Days since the due day of the latest late instalment; NULL if none was late", DUE, (ALL,)),
    Measure("last_severe_late_days_min", least("due_days").where("late_days > 30", "severe_late_"), d.days,
            "Days since the due day of the latest instalment more than 30 days late", DUE, (ALL,)),
)  # fmt: skip

PAYMENT = (
    Measure("short_share", share("short_amt > 0", of="short_amt"), d.share,
            "Instalments paid short per paid one", DUE, YEARLY),
    Measure("short_amt_sum", total("short_amt"), d.amount, "Amount paid short", DUE, YEARLY),
    Measure("short_amt_max", most("short_amt"), d.amount, "Largest amount paid short of an instalment", DUE, YEARLY),
    Measure("short_due_ratio", SHORT_DUE, d.ratio,
            "Amount paid short per amount due", DUE, ratios=SHORT_LONG, bounds=AT_MOST_1),
    Measure("last_short_days_min", least("due_days").where("short_amt > 0", "short_"), d.days,
            "Days since the due day of the latest instalment paid short; NULL if none was", DUE, (ALL,)),
    Measure("over_due_ratio", quotient(total("over_amt"), total("settled_due_amt")), d.ratio,
            "Amount paid over per amount due", DUE, YEARLY),
    Measure("paid_due_ratio_mean", PAID_DUE, d.ratio,
            "Mean of the amount paid per amount due of an instalment, each at most 10", DUE, (ALL, 180, 365, 720),
            ratios=HALF_YEAR, bounds=AT_MOST_10),
    Measure("paid_due_ratio_min", scaled(least("paid_ratio"), 10000), d.ratio,
            "Lowest amount paid per amount due of an instalment", DUE, YEARLY, bounds=AT_MOST_10),
    Measure("paid_due_ratio_std", scaled(std("paid_ratio"), 10000), d.ratio,
            "Standard deviation of the amount paid per amount due, each at most 10", DUE, YEARLY),
    Measure("due_amt_mean", mean("due_amt"), d.amount, "Mean amount due", DUE, (ALL, 180, 365, 720), ratios=HALF_YEAR),
    Measure("due_amt_max", most("due_amt"), d.amount, "Largest amount due", DUE, YEARLY),
    Measure("due_amt_sum", total("due_amt"), d.amount, "Amount due", DUE, (365,)),
    Measure("paid_amt_sum", total("paid_amt"), d.amount, "Amount paid", DUE, YEARLY),
    Measure("paid_amt_mean", mean("paid_amt"), d.amount, "Mean amount paid of a paid instalment", DUE, YEARLY),
)  # fmt: skip


def _fading(half_life: int) -> tuple[Measure, ...]:
    """Declare means in which an instalment weighs half as much for each `half_life` days since it was due, nothing after ten of them."""
    weight, end = f"weight_{half_life}", f"half_{half_life}d"
    said = f"weighing half for each {half_life} days since the due day, none after {10 * half_life}"
    late = weighted_mean("is_late", weight, known="late_days")
    short = quotient(total(f"short_amt * {weight}"), total(f"settled_due_amt * {weight}"))
    now = (ALL,)
    return (
        Measure(f"late_share_{end}", late, d.share, f"Late instalments per settled one, {said}", DUE, now),
        Measure(f"late_days_mean_{end}", weighted_mean("late_days", weight), d.days,
                f"Mean days late, {said}", DUE, now),
        Measure(f"short_due_ratio_{end}", short, d.ratio,
                f"Amount paid short per amount due, {said}", DUE, now, bounds=AT_MOST_1),
    )  # fmt: skip


RECENCY = (*_fading(90), *_fading(365))

LATE_SLOPE = slope("late_days", "due_days", per=365)
PAID_SLOPE = scaled(slope("paid_ratio", "due_days", per=365), 10000)
TRENDS = (
    Measure("late_days_slope", LATE_SLOPE, d.days,
            "Trend of the days late by least squares, as change per year", DUE, YEARLY, bounds=EITHER_SIGN),
    Measure("paid_due_ratio_slope", PAID_SLOPE, d.ratio,
            "Trend of the amount paid per amount due by least squares, as change per year", DUE, YEARLY, bounds=EITHER_SIGN),
)  # fmt: skip

RECENT = (
    Measure("late_share", LATE, d.share, "Late instalments per settled one", LATEST, (3, 5, 10)),
    Measure("late_days_mean", mean("late_days"), d.days, "Mean days late", LATEST),
    Measure("late_days_max", most("late_days"), d.days, "Most days late", LATEST, (5, 10)),
    Measure("early_days_mean", mean("early_days"), d.days, "Mean days before the due day", LATEST, (1, 3, 10)),
    Measure("short_due_ratio", SHORT_DUE, d.ratio, "Amount paid short per amount due", LATEST, bounds=AT_MOST_1),
    Measure("paid_due_ratio_mean", PAID_DUE, d.ratio,
            "Mean of the amount paid per amount due", LATEST, bounds=AT_MOST_10),
    Measure("due_amt_mean", mean("due_amt"), d.amount, "Mean amount due", LATEST, (1, 10)),
)  # fmt: skip

FIRST = (
    Measure("late_share", LATE, d.share, "Late ones per settled one", OPENING),
    Measure("severe_late_share", SEVERE, d.share, "Ones more than 30 days late per settled one", OPENING, (4,)),
    Measure("late_days_mean", mean("late_days"), d.days, "Mean days late", OPENING),
    Measure("late_days_max", most("late_days"), d.days, "Most days late", OPENING, (4,)),
    Measure("early_days_mean", mean("early_days"), d.days, "Mean days before the due day", OPENING, (4,)),
    Measure("short_due_ratio", SHORT_DUE, d.ratio,
            "Amount paid short per amount due", OPENING, (1, 4), bounds=AT_MOST_1),
    Measure("paid_due_ratio_mean", PAID_DUE, d.ratio,
            "Mean of the amount paid per amount due", OPENING, (4,), bounds=AT_MOST_10),
)  # fmt: skip

LOANS = (
    Measure("loans_count", rows(), d.count, "Loans and cards with instalments", PER_LOAN, (ALL,), bounds=NEVER_NULL),
    Measure("payments_count", total("payments"), d.count, "Payments", PER_LOAN, (ALL,), bounds=NEVER_NULL),
    Measure("running_loans_count", hits("last_due_days <= 60"), d.count,
            "Loans and cards with an instalment due in the last 60 days", PER_LOAN, (ALL,), bounds=NEVER_NULL),
    Measure("ever_late_loans_share", share("late_days > 0", of="late_days"), d.share,
            "Loans and cards that were ever late per settled one", PER_LOAN, (ALL,)),
    Measure("ever_severe_late_loans_share", share("late_days > 30", of="late_days"), d.share,
            "Loans and cards that were ever more than 30 days late per settled one", PER_LOAN, (ALL,)),
    Measure("rescheduled_loans_share", share("version > 1"), d.share,
            "Loans whose schedule was changed per loan or card", PER_LOAN, (ALL,)),
    Measure("schedule_version_count_max", most("version"), d.count,
            "Highest version of a repayment schedule (0 for cards)", PER_LOAN, (ALL,)),
    Measure("due_days_min", least("last_due_days"), d.days, "Days since the latest due day", PER_LOAN, (ALL,)),
    Measure("due_days_max", most("first_due_days"), d.days, "Days since the earliest due day", PER_LOAN, (ALL,)),
    Measure("early_days_max", most("early_days"), d.days, "Most days before the due day", PER_LOAN, (ALL,)),
    Measure("card_share", quotient(total("card_instalments"), total("instalments")), d.share,
            "Instalments of credit cards (all their instalments have version 0) per instalment", PER_LOAN, (ALL,)),
    Measure("late_share", quotient(total("late"), total("settled")), d.share,
            "Late instalments per settled one", PER_LOAN, (ALL,), EACH_KIND),
    Measure("short_due_ratio", SHORT_DUE, d.ratio,
            "Amount paid short per amount due", PER_LOAN, (ALL,), EACH_KIND, bounds=AT_MOST_1),
    Measure("loan_late_share_mean", scaled(mean("late_share"), 10000), d.share,
            "Mean of a loan's share of late instalments", PER_LOAN),
    Measure("loan_late_share_max", scaled(most("late_share"), 10000), d.share,
            "Share of late instalments of the worst loan", PER_LOAN, (ALL,)),
    Measure("loan_late_days_mean_max", scaled(most("late_days_mean"), 100), d.days,
            "Mean days late of the worst loan", PER_LOAN, (ALL,)),
    Measure("loan_late_days_max_mean", mean("late_days"), d.days, "Mean of a loan's most days late", PER_LOAN),
    Measure("loan_short_due_ratio_max", scaled(most("short_ratio"), 10000), d.ratio,
            "Amount paid short per amount due of the worst loan", PER_LOAN, (ALL, 1), bounds=AT_MOST_1),
    Measure("loan_instalments_count_mean", mean("instalments"), d.count,
            "Mean number of a loan's instalments due so far", PER_LOAN, (ALL, 1)),
    Measure("loan_instalments_count_max", most("instalments"), d.count,
            "Most instalments of a loan due so far", PER_LOAN, (ALL,)),
    Measure("loan_due_amt_mean", mean("due_amt"), d.amount, "Mean amount of a loan due so far", PER_LOAN, (ALL, 1)),
    Measure("loan_due_amt_max", most("due_amt"), d.amount, "Largest amount of a loan due so far", PER_LOAN, (ALL,)),
    Measure("loan_length_days_mean", mean("length_days"), d.days,
            "Mean days from a loan's first due day to its last", PER_LOAN, (ALL,)),
    Measure("newest_loan_days_min", least("first_due_days"), d.days,
            "Days since the first due day of the newest loan", PER_LOAN, (ALL,)),
)  # fmt: skip

GRID = Grid("installments", (*SCHEDULE, *LATENESS, *PAYMENT, *RECENCY, *TRENDS, *RECENT, *FIRST, *LOANS))


@GRID.columns
class Installments(DataFrameModel):
    """Grain: one row per SK_ID_CURR. Payment behaviour on the instalments of earlier loans and cards at this lender.

    An instalment is a number of a version of a credit's calendar: the latest due day and the largest amount due of its rows, the day of its
    last payment, the sum of its payments. A credit is a card if version 0 is all it has. It is late, early, short and over by what is
    known of it, else NULL. Of instalments due on one day, and of credits begun on one, the lower identifiers count as the later. Ratios and
    shares of one instalment or credit are rounded to 0.0001 and days of one credit to 0.01 before they are put together; weights to 2^-19.
    """

    sk_id_curr: dt.Int64 = d.key()

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="installments", layer="features", model=Installments)
