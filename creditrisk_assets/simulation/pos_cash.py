"""POS_CASH_balance: monthly snapshots of consumer and cash loans.

What belongs here: months of a loan's life, instalments left, and days past due that follow from the payments. What does not: the payments
themselves (`installments`).
"""

import numpy as np

from creditrisk_assets.simulation.installments import Payments
from creditrisk_assets.simulation.latent import Applicants
from creditrisk_assets.simulation.loans import Loans
from creditrisk_assets.simulation.sampling import (
    MONTH_DAYS,
    BoolArray,
    Category,
    FloatArray,
    IntArray,
    Table,
    chance,
    mix,
    position_in_group,
    take,
    with_nulls,
)

COLUMNS = (
    "SK_ID_PREV", "SK_ID_CURR", "MONTHS_BALANCE", "CNT_INSTALMENT", "CNT_INSTALMENT_FUTURE", "NAME_CONTRACT_STATUS", "SK_DPD",
    "SK_DPD_DEF",
)  # fmt: skip

STATUSES = (
    "Active",
    "Completed",
    "Signed",
    "Demand",
    "Returned to the store",
    "Approved",
    "Amortized debt",
    "Canceled",
)
ACTIVE, COMPLETED, SIGNED, DEMAND, RETURNED, APPROVED, AMORTIZED = range(7)
FIRST_SNAPSHOT = 0.55  # loans with a snapshot before their first instalment
SIGNED_FIRST = 0.17  # of these first snapshots
RESIDUE = 0.0075  # loans on which a trifle stays unpaid for months after the last instalment
LOOK_BACK = 3  # months that an unpaid instalment is carried along


def pos_cash(rng: np.random.Generator, applicants: Applicants, loans: Loans, payments: Payments) -> Table:
    """Draw the monthly rows of a chunk's loans, shuffled: the source's file has no order."""
    size = len(loans.ids)
    due_months = np.clip(np.minimum(loans.paid_terms, -loans.first_month), 0, None)
    ahead = ((due_months == 0) | chance(rng, FIRST_SNAPSHOT, size)) & (loans.first_month > -96)
    residue = _residues(rng, applicants, loans)
    counts = due_months + ahead + residue
    loan = np.repeat(np.arange(size), counts)
    number = (
        position_in_group(counts) + np.where(ahead, 0, 1)[loan]
    )  # the instalment due in that month; 0 before the first
    month = np.minimum(loans.first_month[loan] + number - 1, -1)
    after_end = number > due_months[loan]
    past_due, tolerated = _past_due(rng, loans, payments, loan, number, after_end)
    left = np.maximum(loans.term[loan] - number, 0)
    completed = loans.ended[loan] & (number == due_months[loan]) & (residue == 0)[loan] & chance(rng, 0.94, size)[loan]
    left = np.where(completed | after_end, 0, left)
    signed = (number == 0) & chance(rng, SIGNED_FIRST, len(loan))
    status = np.select([completed, signed], [COMPLETED, SIGNED], ACTIVE)
    odd = chance(rng, 0.0016, len(loan)) & (status == ACTIVE)
    status = np.where(
        odd, rng.choice([DEMAND, RETURNED, APPROVED, AMORTIZED], len(loan), p=[0.42, 0.40, 0.15, 0.03]), status
    )
    unknown = chance(rng, 0.0028, len(loan))
    rows: Table = {
        "SK_ID_PREV": loans.ids[loan],
        "SK_ID_CURR": applicants.ids[loans.owner[loan]],
        "MONTHS_BALANCE": month,
        "CNT_INSTALMENT": with_nulls(np.where(completed, loans.paid_terms[loan], loans.term[loan]), unknown),
        "CNT_INSTALMENT_FUTURE": with_nulls(left, unknown),
        "NAME_CONTRACT_STATUS": Category(STATUSES, status),
        "SK_DPD": past_due,
        "SK_DPD_DEF": np.where(tolerated, 0, past_due),
    }
    return take(rows, rng.permutation(len(loan)))


def _residues(rng: np.random.Generator, applicants: Applicants, loans: Loans) -> IntArray:
    """Draw how many months a loan lingers after its last instalment because a trifle was left unpaid."""
    lateness = mix(rng, (0.5, applicants.conduct.lateness[loans.owner]))
    lingers = loans.ended & chance(rng, RESIDUE * np.exp(0.8 * lateness - 0.32), len(lateness))
    possible = -(loans.first_month + loans.paid_terms)  # months between the end and the application
    return np.where(lingers, np.minimum(possible, rng.integers(3, 75, len(lateness))), 0)


def _past_due(
    rng: np.random.Generator, loans: Loans, payments: Payments, loan: IntArray, number: IntArray, after_end: BoolArray
) -> tuple[IntArray, BoolArray]:
    """Compute days past due at each month's end and whether the debt is small enough to be tolerated.

    An instalment counts from its due day until it is paid, and is looked for in the month it falls due and the months after.
    """
    counts = np.bincount(payments.loan, minlength=len(loans.ids))
    offsets = np.cumsum(counts) - counts
    month_end = np.minimum((loans.first_month[loan] + number) * MONTH_DAYS, 0.0)
    due, paid = np.append(payments.due, 0.0), np.append(payments.paid, 0.0)  # an entry to point at where there is none
    oldest: FloatArray = np.zeros(len(loan))
    for back in range(LOOK_BACK + 1):
        wanted = number - back
        exists = (wanted >= 1) & (wanted <= counts[loan])
        entry = np.where(exists, offsets[loan] + wanted - 1, -1)
        unpaid = exists & (paid[entry] > month_end)
        open_days = np.where(unpaid, month_end - due[entry], 0.0)
        oldest = np.maximum(oldest, open_days)
    lingering = np.where(after_end, (number - counts[loan]) * MONTH_DAYS, 0.0)
    tolerated = np.where(after_end, chance(rng, 0.93, len(loans.ids))[loan], chance(rng, 0.50, len(loans.ids))[loan])
    return np.floor(np.maximum(oldest, lingering)).astype(np.int64), tolerated
