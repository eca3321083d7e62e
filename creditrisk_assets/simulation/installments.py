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
    FloatArray,
    IntArray,
    Table,
    amount,
    chance,
    logistic,
    mix,
    position_in_group,
    take,
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
    rng: np.random.Generator, applicants: Applicants, loans: Loans, payments: Payments, card_rows: Table
) -> Table:
    """Turn payments into rows, add the cards' rows, and shuffle: the source's file has no order.

    Parameters
    ----------
    card_rows
        Instalments of credit cards (`credit_card.card_instalments`) in this table's columns.
    """
    rows = _loan_rows(rng, applicants, loans, payments)
    together: Table = {name: np.concatenate([rows[name], card_rows[name]]) for name in COLUMNS}  # type: ignore[list-item]  # numbers only
    return take(together, rng.permutation(len(together["SK_ID_PREV"])))  # type: ignore[arg-type]  # an array, not a category


def _loan_rows(rng: np.random.Generator, applicants: Applicants, loans: Loans, payments: Payments) -> Table:
    delivered = ~chance(rng, NO_ROWS, len(loans.ids))
    unpaid_rows = (payments.paid <= -1.0) | chance(rng, UNPAID_DELIVERED, len(payments.loan))
    kept = delivered[payments.loan] & unpaid_rows
    loan, number, due, paid = payments.loan[kept], payments.number[kept], payments.due[kept], payments.paid[kept]
    last = (number == loans.paid_terms[loan]) & loans.ended[loan]
    early_end = last & (loans.paid_terms < loans.term)[loan]
    left = np.maximum(loans.term[loan] - number, 0)
    size = len(loan)
    tiny = chance(rng, TINY_LAST, size)
    annuity = loans.annuity[loan]
    balance = annuity * (1.0 - (1.0 + loans.rate[loan]) ** -left) / loans.rate[loan]
    prescribed = np.where(early_end, amount(annuity + balance), np.where(last, amount(np.where(tiny, rng.exponential(9.0, size) + 0.5, annuity * 0.985)), annuity))
    prescribed = np.minimum(prescribed, 2_200_000.0)
    version = np.where(chance(rng, VERSION_CHANGED, len(loans.ids))[loan] & (number > loans.term[loan] // 2), 2.0, 1.0)
    version = np.where(early_end, version + 1.0, version)
    split = chance(rng, SPLIT, size)
    first_part = np.where(split, amount(prescribed * rng.beta(0.6, 0.6, size)), prescribed)
    over = ~split & chance(rng, OVERPAID, size)
    unpaid = paid > -1.0
    rows: Table = {
        "SK_ID_PREV": loans.ids[loan],
        "SK_ID_CURR": applicants.ids[loans.owner[loan]],
        "NUM_INSTALMENT_VERSION": version,
        "NUM_INSTALMENT_NUMBER": number,
        "DAYS_INSTALMENT": due,
        "DAYS_ENTRY_PAYMENT": np.where(unpaid, np.nan, np.maximum(paid, -2941.0)),
        "AMT_INSTALMENT": prescribed,
        "AMT_PAYMENT": np.where(unpaid, np.nan, np.where(over, amount(np.minimum(prescribed * rng.uniform(1.01, 2.0, size), 2_200_000.0)), first_part)),
    }
    second = take(rows, split & ~unpaid)
    second["AMT_PAYMENT"] = amount((prescribed - first_part)[split & ~unpaid])
    earlier = np.asarray(rows["DAYS_ENTRY_PAYMENT"]) - np.where(split, np.floor(rng.exponential(6.0, size)), 0.0)
    rows["DAYS_ENTRY_PAYMENT"] = np.maximum(earlier, -2941.0)
    return {name: np.concatenate([rows[name], second[name]]) for name in COLUMNS}  # type: ignore[list-item]  # numbers only
