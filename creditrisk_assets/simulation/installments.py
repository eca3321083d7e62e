"""installments_payments: when the instalments of loans and cards were due, when they were paid, and how much.

What belongs here: payment behaviour (late where the applicant's lateness factor says so) and its rows. What does not: the monthly
snapshots of the same loans (`pos_cash` derives days past due from the payments drawn here).
"""

from dataclasses import dataclass

import numpy as np

from creditrisk_assets.simulation.latent import Applicants
from creditrisk_assets.simulation.loans import Loans
from creditrisk_assets.simulation.sampling import (
    MONTH_DAYS,
    BoolArray,
    FloatArray,
    IntArray,
    Numbers,
    amount,
    chance,
    logistic,
    mix,
    position_in_group,
    with_nulls,
)

COLUMNS = (
    "SK_ID_PREV", "SK_ID_CURR", "NUM_INSTALMENT_VERSION", "NUM_INSTALMENT_NUMBER", "DAYS_INSTALMENT", "DAYS_ENTRY_PAYMENT",
    "AMT_INSTALMENT", "AMT_PAYMENT",
)  # fmt: skip

LATE_LOG_ODDS, LATE_SLOPE = -2.84, 1.1  # of one instalment being late, by the loan's lateness score
SPLIT = 0.058  # instalments paid in two parts
OVERPAID = 0.016
NO_ROWS = 0.012  # loans whose instalments were not delivered
VERSION_CHANGED = 0.12
LARGEST_PAYMENT = 2_200_000.0
EARLIEST_PAYMENT = -2941.0
UNPAID_DELIVERED = 0.2  # of the instalments that are due but unpaid on the application day
TINY_LAST = 0.28  # last instalments that only settle cents


@dataclass(frozen=True)
class Payments:
    """One entry per due instalment of the loans, consecutive per loan; shape (instalments,) each."""

    loan: IntArray  # index into the loans
    number: IntArray  # from 1
    due: FloatArray  # day relative to the application
    paid: FloatArray  # day of the last payment; above -1 where not paid by the application


def draw_payments(rng: np.random.Generator, applicants: Applicants, loans: Loans) -> Payments:
    """Draw due and payment days of every instalment due before the application."""
    counts = np.clip(np.minimum(loans.paid_terms, -loans.first_month), 0, None)
    loan = np.repeat(np.arange(len(counts)), counts)
    number = position_in_group(counts) + 1
    due = np.minimum(np.floor((loans.first_month[loan] + number - 1) * MONTH_DAYS + loans.due_day[loan]), -1.0)
    lateness = mix(rng, (0.85, applicants.conduct.lateness[loans.owner]))
    delay = draw_delays(rng, lateness[loan])
    return Payments(loan, number, due, due + delay)


def draw_delays(rng: np.random.Generator, lateness: FloatArray) -> FloatArray:
    """Draw days between due and payment: negative when early, positive when late.

    Parameters
    ----------
    lateness
        Standard normal scores, shape (instalments,); higher scores pay late more often and, when late, longer.
    """
    size = len(lateness)
    late = chance(rng, logistic(LATE_LOG_ODDS + LATE_SLOPE * lateness), size)
    long = chance(rng, logistic(-4.0 + 0.8 * lateness), size)
    days_late = np.ceil(rng.exponential(1.0, size) * np.where(long, 45.0, 6.5) * np.exp(0.15 * lateness))
    days_early = np.where(chance(rng, 0.17, size), 0.0, np.floor(rng.gamma(1.35, 9.4, size)))
    return np.where(late, np.minimum(days_late, 2884.0), -np.minimum(days_early, 90.0))


def installments(
    rng: np.random.Generator, applicants: Applicants, loans: Loans, payments: Payments, card_rows: Numbers
) -> Numbers:
    """Turn payments into rows, add the cards' rows, and shuffle: the source's file has no order.

    Parameters
    ----------
    rng
        Source of randomness for this table of this chunk.
    applicants, loans, payments
        The chunk, its loans and when their instalments were paid.
    card_rows
        Instalments of credit cards (`credit_card.card_instalments`) in this table's columns.
    """
    delivered = ~chance(rng, NO_ROWS, len(loans.ids))
    known = (payments.paid <= -1.0) | chance(rng, UNPAID_DELIVERED, len(payments.loan))
    kept = delivered[payments.loan] & known
    due = Payments(payments.loan[kept], payments.number[kept], payments.due[kept], payments.paid[kept])
    together = _joined(_loan_rows(rng, applicants, loans, due), card_rows)
    return _taken(together, rng.permutation(len(together["SK_ID_PREV"])))


def _loan_rows(rng: np.random.Generator, applicants: Applicants, loans: Loans, payments: Payments) -> Numbers:
    """Write one row per payment: one for most instalments, two for those paid in parts."""
    size = len(payments.loan)
    prescribed, version = _prescribed(rng, loans, payments)
    split = chance(rng, SPLIT, size)
    first_part = np.where(split, amount(prescribed * rng.beta(0.6, 0.6, size)), prescribed)
    over = ~split & chance(rng, OVERPAID, size)
    more = amount(np.minimum(prescribed * rng.uniform(1.01, 2.0, size), LARGEST_PAYMENT))
    unpaid = payments.paid > -1.0
    first_day = payments.paid - np.where(split, np.floor(rng.exponential(6.0, size)), 0.0)
    rows: Numbers = {
        "SK_ID_PREV": loans.ids[payments.loan],
        "SK_ID_CURR": applicants.ids[loans.owner[payments.loan]],
        "NUM_INSTALMENT_VERSION": version,
        "NUM_INSTALMENT_NUMBER": payments.number,
        "DAYS_INSTALMENT": payments.due,
        "DAYS_ENTRY_PAYMENT": with_nulls(np.maximum(first_day, EARLIEST_PAYMENT), unpaid),
        "AMT_INSTALMENT": prescribed,
        "AMT_PAYMENT": with_nulls(np.where(over, more, first_part), unpaid),
    }
    in_parts = split & ~unpaid
    second = _taken(rows, in_parts)
    second["DAYS_ENTRY_PAYMENT"] = np.maximum(payments.paid[in_parts], EARLIEST_PAYMENT)
    second["AMT_PAYMENT"] = amount((prescribed - first_part)[in_parts])
    return _joined(rows, second)


def _prescribed(rng: np.random.Generator, loans: Loans, payments: Payments) -> tuple[FloatArray, FloatArray]:
    """Return each instalment's amount and the version of its calendar: the last one settles what is left of the loan."""
    loan, number = payments.loan, payments.number
    size = len(loan)
    annuity, rate = loans.annuity[loan], loans.rate[loan]
    last = (number == loans.paid_terms[loan]) & loans.ended[loan]
    early_end = last & (loans.paid_terms < loans.term)[loan]
    left = np.maximum(loans.term[loan] - number, 0)
    balance = annuity * (1.0 - (1.0 + rate) ** -left) / rate
    remainder = np.where(chance(rng, TINY_LAST, size), rng.exponential(9.0, size) + 0.5, annuity * 0.985)
    due = np.select([early_end, last], [annuity + balance, remainder], annuity)
    changed = chance(rng, VERSION_CHANGED, len(loans.ids))[loan] & (number > loans.term[loan] // 2)
    version = 1.0 + changed + early_end
    return amount(np.minimum(due, LARGEST_PAYMENT)), version


def _joined(first: Numbers, second: Numbers) -> Numbers:
    return {name: np.concatenate([first[name], second[name]]) for name in COLUMNS}


def _taken(table: Numbers, rows: IntArray | BoolArray) -> Numbers:
    return {name: column[rows] for name, column in table.items()}
