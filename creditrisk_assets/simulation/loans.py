"""Loans and cards that came of earlier applications: what the repayment tables are drawn from.

What belongs here: the terms of a loan and of a card. What does not: drawing them (`previous`), their rows (`pos_cash`, `installments`,
`credit_card`).
"""

from dataclasses import dataclass

from creditrisk_assets.simulation.sampling import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Loans:
    """Loans with a repayment schedule; shape (loans,) each."""

    owner: IntArray  # index of the applicant in the chunk
    ids: IntArray  # SK_ID_PREV
    first_month: IntArray  # month of the first instalment, relative to the application (may be ahead: 0)
    due_day: FloatArray  # day within the month, 0 to 30
    term: IntArray  # instalments planned
    paid_terms: IntArray  # instalments until the loan ended, early or at its term
    ended: BoolArray  # before the application
    annuity: FloatArray
    rate: FloatArray  # interest per month


@dataclass(frozen=True)
class Cards:
    """Credit cards; shape (cards,) each."""

    owner: IntArray
    ids: IntArray
    age: IntArray  # days since the decision
    limit: FloatArray
