"""bureau and bureau_balance: credits at other lenders and their monthly status.

What belongs here: credit rows that show an applicant's recency, appetite, burden and delinquency. What does not: the factors (`latent`).

Some credits appear in bureau_balance only (the source has about 5 % of them): such a credit is drawn like any other and its row is then
kept out of bureau.
"""

from dataclasses import dataclass

import numpy as np

from creditrisk_assets.simulation.latent import Applicants
from creditrisk_assets.simulation.sampling import (
    MONTH_DAYS,
    BoolArray,
    Category,
    FloatArray,
    IntArray,
    Marginal,
    Shares,
    Table,
    amount,
    blank,
    chance,
    days,
    mix,
    ordered,
    position_in_group,
    take,
    whole,
    with_nulls,
)

COLUMNS = (
    "SK_ID_CURR", "SK_ID_BUREAU", "CREDIT_ACTIVE", "CREDIT_CURRENCY", "DAYS_CREDIT", "CREDIT_DAY_OVERDUE", "DAYS_CREDIT_ENDDATE",
    "DAYS_ENDDATE_FACT", "AMT_CREDIT_MAX_OVERDUE", "CNT_CREDIT_PROLONG", "AMT_CREDIT_SUM", "AMT_CREDIT_SUM_DEBT",
    "AMT_CREDIT_SUM_LIMIT", "AMT_CREDIT_SUM_OVERDUE", "CREDIT_TYPE", "DAYS_CREDIT_UPDATE", "AMT_ANNUITY",
)  # fmt: skip

AGE = Marginal(  # days since the credit was opened
    {0: 0, 0.01: 37, 0.05: 130, 0.10: 225, 0.25: 480, 0.50: 984, 0.75: 1660, 0.90: 2360, 0.95: 2630, 0.99: 2868, 1: 2922}
)  # fmt: skip
TYPES = Shares(
    {"Consumer credit": 0.728, "Credit card": 0.2338, "Car loan": 0.0162, "Mortgage": 0.0107, "Microloan": 0.0085,
     "Loan for business development": 0.0012, "Another type of loan": 0.0006, "Loan for working capital replenishment": 0.0003,
     "Unknown type of loan": 0.0003, "Cash loan (non-earmarked)": 0.00004, "Loan for the purchase of equipment": 0.00002}
)  # fmt: skip
# By type, in the order above.
SUM_MEDIAN = np.array([118e3, 120e3, 760e3, 2.6e6, 11e3, 900e3, 130e3, 600e3, 50e3, 120e3, 400e3])
SUM_SIGMA = np.array([1.30, 1.30, 0.80, 0.95, 0.8, 1.2, 1.2, 1.2, 1.0, 1.0, 1.0])
TERM_MONTHS = np.array([15.0, 30.0, 48.0, 130.0, 2.5, 24.0, 12.0, 18.0, 24.0, 18.0, 30.0])
TERM_SIGMA = np.array([0.65, 0.55, 0.4, 0.5, 0.9, 0.7, 0.7, 0.6, 0.6, 0.6, 0.5])
CARD = TYPES.names.index("Credit card")
CURRENCY = Shares({"currency 1": 0.9992, "currency 2": 0.00077, "currency 3": 0.00003})

HAS_BALANCE = {True: 0.365, False: 0.999}  # applicants whose credits have monthly rows, train and test
ORPHANS = 0.053  # of the credits with monthly rows

STATUS = ("0", "1", "2", "3", "4", "5", "C", "X")
CLOSED, UNKNOWN = STATUS.index("C"), STATUS.index("X")
PAST_DUE_RATE = 0.0105  # of the months in which a credit runs and is reported
WRITTEN_OFF = 0.0022  # of the credits


@dataclass(frozen=True)
class _Drawn:
    """Drawn credits, written or not; shape (rows,) each."""

    owner: IntArray  # index of the applicant in the chunk
    ids: IntArray
    age: IntArray  # days since opening
    closed: BoolArray
    closed_days: IntArray  # days since closing, where closed
    delinquency: FloatArray
    kind: Category
    remaining: FloatArray  # days until the planned end; negative when past
    written: BoolArray  # whether bureau shows it
    balanced: BoolArray  # whether bureau_balance shows it


def bureau(rng: np.random.Generator, applicants: Applicants, ids: IntArray) -> tuple[Table, Table]:
    """Draw the rows of bureau and of bureau_balance for a chunk of applicants.

    Parameters
    ----------
    rng
        Source of randomness for these two tables of this chunk.
    applicants
        The chunk.
    ids
        SK_ID_BUREAU to use, one for each of the applicants' credits, in order.
    """
    conduct = applicants.conduct
    owner = np.repeat(np.arange(len(applicants.ids)), applicants.bureau_rows)
    size = len(owner)
    kind = TYPES.pick(rng, size)
    age = days(AGE.at(mix(rng, (-0.60, conduct.recency[owner]))))
    term = TERM_MONTHS[kind.codes] * np.exp(TERM_SIGMA[kind.codes] * rng.standard_normal(size)) * MONTH_DAYS
    remaining = term - age
    appetite = mix(rng, (0.6, conduct.appetite[owner]))
    closed = np.where(remaining < 0, appetite < 1.55, appetite < -0.85) & ~((kind.codes == CARD) & (appetite > -0.10))
    closed_days = np.clip(days(age - term * rng.uniform(0.35, 1.02, size)), 1, np.maximum(age, 1))
    delinquency = mix(rng, (0.7, conduct.delinquency[owner]))
    reported = np.where(applicants.is_train, HAS_BALANCE[True], HAS_BALANCE[False])
    balanced = chance(rng, reported, len(reported))[owner]
    drawn = _Drawn(
        owner=owner,
        ids=ids,
        age=age,
        closed=closed,
        closed_days=closed_days,
        delinquency=delinquency,
        kind=kind,
        remaining=remaining,
        written=~(balanced & chance(rng, ORPHANS, size)),
        balanced=balanced,
    )
    rows = _rows(rng, applicants, drawn)
    return take(rows, drawn.written), _balance(rng, applicants, drawn)


def _rows(rng: np.random.Generator, applicants: Applicants, drawn: _Drawn) -> Table:
    size = len(drawn.owner)
    active, card = ~drawn.closed, drawn.kind.codes == CARD
    sold = active & chance(rng, 0.011, size)
    bad = active & ~sold & chance(rng, 0.00003, size)
    open_end = card & active & chance(rng, 0.24, size)
    end = np.where(open_end, rng.integers(27_000, 31_199, size), whole(drawn.remaining))
    updated = np.where(drawn.closed, drawn.closed_days * rng.uniform(0.90, 1.0, size), rng.exponential(28.0, size) + 3)
    columns: Table = {
        "SK_ID_CURR": applicants.ids[drawn.owner],
        "SK_ID_BUREAU": drawn.ids,
        "CREDIT_ACTIVE": Category(
            ("Active", "Closed", "Sold", "Bad debt"), np.select([sold, bad, drawn.closed], [2, 3, 1], 0)
        ),
        "CREDIT_CURRENCY": CURRENCY.pick(rng, size),
        "DAYS_CREDIT": -drawn.age,
        "DAYS_CREDIT_ENDDATE": with_nulls(end + 0.0, chance(rng, np.where(card, 0.17, 0.03), size)),
        "DAYS_ENDDATE_FACT": with_nulls(-drawn.closed_days, active),
        "CNT_CREDIT_PROLONG": np.where(chance(rng, 0.0032, size), 1 + rng.binomial(4, 0.09, size), 0),
        "CREDIT_TYPE": drawn.kind,
        "DAYS_CREDIT_UPDATE": -np.clip(days(updated), 0, drawn.age),
    }
    return ordered(columns | _debts(rng, applicants, drawn, active, card) | _arrears(rng, drawn, active), COLUMNS)


def _debts(
    rng: np.random.Generator, applicants: Applicants, drawn: _Drawn, active: BoolArray, card: BoolArray
) -> Table:
    """Draw what was lent, what is still owed of it (by the burden factor and the time left), limits and annuities."""
    size = len(drawn.owner)
    kind = drawn.kind.codes
    standing = 0.15 * applicants.people.wealth[drawn.owner] + np.where(active, 0.5, -0.16)
    total = amount(SUM_MEDIAN[kind] * np.exp(SUM_SIGMA[kind] * rng.standard_normal(size) + standing))
    total = np.where(card & chance(rng, 0.16, size), 0.0, np.minimum(total, 5.1e7))
    left = np.clip(drawn.remaining / np.maximum(drawn.remaining + drawn.age, 1.0), 0.02, 1.0)
    burden = mix(rng, (0.6, applicants.conduct.burden[drawn.owner]))
    share_owed = np.clip(np.where(card, 0.40, left) * np.exp(0.35 * burden + 0.1), 0.0, 1.0)
    debt = np.where(active & (burden > -1.4), amount(total * share_owed), 0.0)
    overpaid = active & card & chance(rng, 0.004, size)
    debt = np.where(overpaid, -amount(rng.exponential(900.0, size)), debt) + 0.0
    has_limit = card & active & chance(rng, 0.45, size)
    limit = np.where(has_limit, amount(np.minimum(total, 2.6e6) * rng.uniform(0, 0.55, size)), 0.0)
    has_annuity = chance(rng, np.where(active, 0.45, 0.22), size)
    annuity = amount(np.minimum(np.maximum(total, 9e3) / 15 * rng.lognormal(0, 0.55, size), 5.4e6))
    return {
        "AMT_CREDIT_SUM": blank(rng, total, 0.00001),
        "AMT_CREDIT_SUM_DEBT": blank(rng, debt, 0.1447),
        "AMT_CREDIT_SUM_LIMIT": blank(rng, limit, 0.3718),
        "AMT_ANNUITY": blank(rng, np.where(has_annuity, annuity, 0.0), 0.5682),
    }


def _arrears(rng: np.random.Generator, drawn: _Drawn, active: BoolArray) -> Table:
    """Draw what is overdue now and the worst that ever was, by the credit's delinquency."""
    size = len(drawn.owner)
    late = active & (drawn.delinquency > 2.05) & chance(rng, 0.45, size)
    overdue_days = np.minimum(np.ceil(rng.lognormal(3.5, 1.75, size)), 2571).astype(np.int64)
    overdue = amount(np.minimum(rng.lognormal(7.2, 1.9, size), 5.4e5))
    ever_late = drawn.delinquency + 0.6 * rng.standard_normal(size) > 0.95
    worst = np.where(ever_late, np.minimum(amount(rng.lognormal(8.45, 1.42, size)), 4.2e6), 0.0)
    return {
        "CREDIT_DAY_OVERDUE": np.where(late, overdue_days, 0),
        "AMT_CREDIT_SUM_OVERDUE": np.where(late, overdue, 0.0),
        "AMT_CREDIT_MAX_OVERDUE": blank(rng, worst, 0.6736),
    }


def _balance(rng: np.random.Generator, applicants: Applicants, drawn: _Drawn) -> Table:
    """Draw the monthly rows: contiguous months from the first reported to the last, newest first."""
    depth = np.where(applicants.is_train, rng.integers(10, 150, len(applicants.ids)), 97)[drawn.owner]
    opened = np.minimum(drawn.age // MONTH_DAYS, 96).astype(np.int64)
    stale = np.where(chance(rng, 0.115, len(opened)), rng.integers(1, 24, len(opened)), 0)
    newest = np.minimum(stale, opened)
    oldest = np.maximum(np.minimum(opened, depth), newest)
    rows = np.flatnonzero(drawn.balanced)
    months = (oldest - newest + 1)[rows]
    credit = np.repeat(rows, months)
    month = np.repeat(newest[rows], months) + position_in_group(months)
    return {
        "SK_ID_BUREAU": drawn.ids[credit],
        "MONTHS_BALANCE": -month,
        "STATUS": Category(STATUS, _status(rng, drawn, credit, month)),
    }


def _status(rng: np.random.Generator, drawn: _Drawn, credit: IntArray, month: IntArray) -> IntArray:
    """Draw each month's status: closed after closing, else reported without arrears, unknown, or days past due in five bands."""
    size = len(drawn.owner)
    silent = np.clip(rng.beta(0.28, 0.42, size), 0.0, 1.0)
    silent_closed = np.where(chance(rng, 0.10, size), 1.0, 0.0)
    rate = PAST_DUE_RATE * np.exp(1.15 * drawn.delinquency - 0.66)
    closed_month = np.where(drawn.closed, drawn.closed_days / MONTH_DAYS, -1.0)
    written_off = np.where(
        chance(rng, WRITTEN_OFF * np.exp(drawn.delinquency - 0.5), size),
        rng.random(size) * drawn.age / MONTH_DAYS,
        -1.0,
    )
    uniform = rng.random(len(credit), dtype=np.float32)
    status = np.where(uniform < silent[credit], np.int8(UNKNOWN), np.int8(0))
    due = rng.random(len(credit), dtype=np.float32) < 1.9 * rate[credit]
    status[due] = 1 + np.searchsorted([0.91, 0.965, 0.985, 0.995], rng.random(int(due.sum())), side="right")
    fallen = written_off[credit] - month
    status = np.where(fallen >= 0, np.minimum(1 + fallen.astype(np.int64), 5), status)
    is_closed = month < closed_month[credit]
    return np.where(is_closed, np.where(uniform < silent_closed[credit], UNKNOWN, CLOSED), status)
