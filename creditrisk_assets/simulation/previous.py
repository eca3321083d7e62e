"""previous_application: earlier applications at this lender, and the loans and cards that came of them.

What belongs here: the rows of the table and, for the approved ones, the terms that the repayment tables follow. What does not: months and
instalments (`pos_cash`, `installments`, `credit_card`).

The source lacks the application rows of some loans (4.5 % of the loans, 12 % of the cards with monthly rows): such an application is
drawn like any other and its row is then kept out of the file, so its months and instalments are orphans.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from creditrisk_assets.simulation import previous_marginals as m
from creditrisk_assets.simulation.latent import Applicants
from creditrisk_assets.simulation.loans import Cards, Loans
from creditrisk_assets.simulation.previous_products import describe_products
from creditrisk_assets.simulation.sampling import (
    MONTH_DAYS,
    BoolArray,
    Category,
    FloatArray,
    IntArray,
    Shares,
    Table,
    amount,
    chance,
    days,
    mix,
    ordered,
    take,
    whole,
    with_nulls,
)

INFINITE = 365243.0
LOAN_ORPHANS, CARD_ORPHANS = 0.0452, 0.1225
HAS_SCHEDULE = {
    m.CASH: 0.915,
    m.CONSUMER: 0.955,
    m.REVOLVING: 0.949,
}  # approved and really drawn; a first loan always is
NULL_ANNUITY = {m.APPROVED: 0.0, m.CANCELED: 0.969, m.REFUSED: 0.151, m.UNUSED: 0.98}
EARLY = {m.CASH: 0.52, m.CONSUMER: 0.24}  # share of loans repaid before their term


@dataclass(frozen=True)
class Previous:
    """The drawn table and what the repayment tables need of it."""

    table: Table
    loans: Loans
    cards: Cards


@dataclass(frozen=True)
class _Drawn:
    """Earlier applications, written or not; shape (rows,) each."""

    owner: IntArray
    ids: IntArray
    kind: IntArray
    status: IntArray
    age: IntArray
    term: IntArray
    asked: FloatArray
    credit: FloatArray
    down: FloatArray
    rate: FloatArray
    annuity: FloatArray
    scheduled: BoolArray
    cross_sell: BoolArray


def previous_applications(rng: np.random.Generator, applicants: Applicants, ids: IntArray) -> Previous:
    """Draw earlier applications for a chunk of applicants.

    Parameters
    ----------
    rng
        Source of randomness for this table of this chunk.
    applicants
        The chunk.
    ids
        SK_ID_PREV to use, one for each of the applicants' earlier applications, in order.
    """
    drawn = _draw(rng, applicants, ids)
    schedule = _schedule(rng, drawn)
    orphan = np.where(drawn.kind == m.REVOLVING, CARD_ORPHANS, LOAN_ORPHANS)
    written = ~(drawn.scheduled & chance(rng, orphan, len(ids)))
    table = _table(rng, applicants, drawn, schedule)
    loan = drawn.scheduled & (drawn.kind != m.REVOLVING)
    card = drawn.scheduled & (drawn.kind == m.REVOLVING)
    shuffled = rng.permutation(int(written.sum()))
    return Previous(take(take(table, written), shuffled), _loans(drawn, schedule, loan), _cards(drawn, card))


def _draw(rng: np.random.Generator, applicants: Applicants, ids: IntArray) -> _Drawn:
    owner = np.repeat(np.arange(len(applicants.ids)), applicants.previous_rows)
    size = len(owner)
    refusal = mix(rng, (0.65, applicants.conduct.refusal[owner]))
    card, first_loan = _apart(rng, applicants)
    loan_kind = np.where(chance(rng, m.FIRST_LOAN_CONSUMER, size), m.CONSUMER, m.CASH)
    kind = np.select([card, first_loan], [m.REVOLVING, loan_kind], m.TYPE.pick(rng, size).codes)
    status = np.where(card | first_loan, m.APPROVED, _statuses(rng, kind, refusal))
    score = mix(rng, (-0.35, applicants.conduct.recency[owner])) + np.array(m.AGE_SHIFT)[status]
    card_age = m.CARD_AGE_MONTHS.at_share(rng.random(size)) * MONTH_DAYS
    age = np.clip(days(np.where(card, card_age, m.AGE.at(score))), 2, 2922)
    income = np.log(applicants.offer.income[owner] / 150_000.0)
    size_score = mix(rng, (0.45, np.clip(income / 0.5, -3, 3)))
    term_share = scipy.special.ndtr(
        mix(rng, (0.70, size_score)) + np.where(status == m.REFUSED, m.REFUSED_TERM_SHIFT, 0.0)
    )
    terms = np.where(kind == m.CASH, _number(m.CASH_TERMS, term_share), _number(m.CONSUMER_TERMS, term_share))
    terms = np.where(kind >= m.REVOLVING, 0, terms).astype(np.int64)
    cross_sell = chance(rng, np.where(kind == m.CASH, 0.80, 0.43), size)
    asked = np.where(kind == m.CASH, m.CASH_AMOUNT.at(size_score), m.CONSUMER_AMOUNT.at(size_score))
    asked = np.where(
        kind == m.REVOLVING,
        _number(m.CARD_LIMITS, rng.random(size)),
        amount(asked, np.where(kind == m.CASH, 4500.0, 4.5)),
    )
    nothing = ((kind == m.CASH) & (status == m.CANCELED) & chance(rng, 0.985, size)) | (kind == m.UNNAMED)
    nothing |= (kind == m.REVOLVING) & chance(rng, 0.55, size)
    paid_down = (kind == m.CONSUMER) & chance(rng, 0.52, size)
    down = np.where(paid_down, amount(asked * np.minimum(rng.exponential(0.125, size), 0.8), 4.5), 0.0)
    insured = np.where((kind == m.CASH) | chance(rng, 0.35, size), rng.uniform(1.0, 1.2, size), 1.0)
    credit = np.where(kind == m.REVOLVING, asked, np.minimum(amount((asked - down) * insured, 4.5), 3_740_000.0))
    rate = _rates(rng, kind, cross_sell)
    annuity = np.where(kind == m.REVOLVING, credit * 0.05, _annuity(credit, rate, np.maximum(terms, 1)))
    scheduled = (status == m.APPROVED) & (chance(rng, np.array([*HAS_SCHEDULE.values(), 0.0])[kind], size) | first_loan)
    nothing &= ~((status == m.APPROVED) & (kind != m.REVOLVING))
    return _Drawn(
        owner=owner,
        ids=ids,
        kind=kind,
        status=status,
        age=age,
        term=terms,
        asked=np.where(nothing, 0.0, asked),
        credit=np.where(nothing & (kind != m.REVOLVING), 0.0, credit),
        down=down,
        rate=rate,
        annuity=annuity,
        scheduled=scheduled,
        cross_sell=cross_sell,
    )


def _apart(rng: np.random.Generator, applicants: Applicants) -> tuple[BoolArray, BoolArray]:
    """Mark one earlier application of each card holder as the card's, and another (of those who have one) as the first loan."""
    counts = applicants.previous_rows
    starts = np.cumsum(counts) - counts
    place = np.floor(rng.random(len(counts)) * counts).astype(np.int64)
    card, loan = np.zeros((2, int(counts.sum())), dtype=np.bool_)
    card[(starts + place)[applicants.has_card]] = True
    borrower = (counts > applicants.has_card) & chance(rng, m.FIRST_LOAN, len(counts))
    loan[(starts + (place + 1) % np.maximum(counts, 1))[borrower]] = True
    return card, loan


def _rates(rng: np.random.Generator, kind: IntArray, cross_sell: BoolArray) -> FloatArray:
    share = rng.random(len(kind))
    cash = np.where(cross_sell, m.RATE["cross-sell"].at_share(share), m.RATE["street"].at_share(share))
    return np.where(kind == m.CASH, cash, m.RATE["consumer"].at_share(share))


def _statuses(rng: np.random.Generator, kind: IntArray, refusal: FloatArray) -> IntArray:
    """Draw outcomes: refusals follow the applicant's refusal factor, the rest the product's habits."""
    refuse_at = np.array(m.REFUSED_ABOVE)[kind]
    cancel = np.array(m.CANCELED_OTHERWISE)[kind]
    unused = np.array(m.UNUSED_OTHERWISE)[kind]
    uniform = rng.random(len(kind))
    kept = np.where(uniform < cancel, m.CANCELED, np.where(uniform < cancel + unused, m.UNUSED, m.APPROVED))
    return np.where(refusal > refuse_at, m.REFUSED, kept)


def _number(shares: Shares, uniform: FloatArray) -> FloatArray:
    drawn = shares.at(uniform)
    return np.array(drawn.names, dtype=np.float64)[drawn.codes]


def _annuity(credit: FloatArray, rate: FloatArray, term: IntArray) -> FloatArray:
    """Return the level instalment that repays a credit at a monthly rate."""
    return np.minimum(amount(credit * rate / (1.0 - (1.0 + rate) ** -term)), 215_000.0)


@dataclass(frozen=True)
class _Schedule:
    """When a loan's instalments fall due and when it ended; days relative to the application, shape (rows,) each."""

    first_month: IntArray  # month (negative) of the first instalment
    due_day: FloatArray  # day within the month on which instalments fall due
    paid_terms: IntArray  # instalments until the loan ended, early or at its term
    ended: BoolArray

    def due(self, number: IntArray | int) -> FloatArray:
        """Return the due day of the given instalment (from 1)."""
        return whole(np.floor((self.first_month + number - 1) * MONTH_DAYS + self.due_day))


def _schedule(rng: np.random.Generator, drawn: _Drawn) -> _Schedule:
    size = len(drawn.ids)
    decided = -drawn.age / MONTH_DAYS
    first = np.floor(decided).astype(np.int64) + 1
    within = (decided - np.floor(decided)) * MONTH_DAYS
    due_day = np.clip(within + rng.uniform(-1.0, 4.0, size), 0.5, 29.5)
    early = chance(rng, np.array([EARLY[m.CASH], EARLY[m.CONSUMER], 0.0, 0.0])[drawn.kind], size)
    paid = np.where(early, np.ceil(drawn.term * rng.uniform(0.12, 0.92, size)), drawn.term).astype(np.int64)
    paid = np.maximum(paid, 1)
    return _Schedule(first, due_day, paid, (first + paid - 1 <= -1) & (drawn.kind != m.REVOLVING))


def _loans(drawn: _Drawn, schedule: _Schedule, rows: BoolArray) -> Loans:
    return Loans(
        owner=drawn.owner[rows],
        ids=drawn.ids[rows],
        first_month=schedule.first_month[rows],
        due_day=schedule.due_day[rows],
        term=drawn.term[rows],
        paid_terms=schedule.paid_terms[rows],
        ended=schedule.ended[rows],
        annuity=drawn.annuity[rows],
        rate=drawn.rate[rows],
    )


def _cards(drawn: _Drawn, rows: BoolArray) -> Cards:
    return Cards(owner=drawn.owner[rows], ids=drawn.ids[rows], age=drawn.age[rows], limit=drawn.credit[rows])


def _table(rng: np.random.Generator, applicants: Applicants, drawn: _Drawn, schedule: _Schedule) -> Table:
    size = len(drawn.ids)
    unknown = chance(rng, np.array(list(NULL_ANNUITY.values()))[drawn.status], size)
    approved = drawn.status == m.APPROVED
    consumer = drawn.kind == m.CONSUMER
    no_down = ~(consumer & (approved | (drawn.status == m.REFUSED)) | chance(rng, 0.075, size))
    total = drawn.asked + 1e-9
    rare_rate = ~(consumer & approved & chance(rng, 0.0115, size))
    columns: Table = {
        "SK_ID_PREV": drawn.ids,
        "SK_ID_CURR": applicants.ids[drawn.owner],
        "NAME_CONTRACT_TYPE": Category(m.CONTRACT_TYPES, drawn.kind),
        "NAME_CONTRACT_STATUS": Category(m.STATUSES, drawn.status),
        "AMT_ANNUITY": with_nulls(drawn.annuity, unknown),
        "CNT_PAYMENT": with_nulls(drawn.term, unknown),
        "AMT_APPLICATION": drawn.asked,
        "AMT_CREDIT": drawn.credit,
        "AMT_DOWN_PAYMENT": with_nulls(drawn.down, no_down),
        "AMT_GOODS_PRICE": with_nulls(drawn.asked, drawn.asked == 0.0),
        "RATE_DOWN_PAYMENT": with_nulls(np.minimum(drawn.down / total * 1.09, 0.84157), no_down),
        "RATE_INTEREST_PRIMARY": with_nulls(m.PRIMARY_RATE.at_share(np.rint(rng.random(size) * 40) / 40), rare_rate),
        "RATE_INTEREST_PRIVILEGED": with_nulls(
            m.PRIVILEGED_RATE.at_share(np.rint(rng.random(size) * 20) / 20), rare_rate
        ),
        "WEEKDAY_APPR_PROCESS_START": m.WEEKDAYS.pick(rng, size),
        "HOUR_APPR_PROCESS_START": days(np.clip(rng.normal(12.5, 3.3, size), 0, 23)),
        "FLAG_LAST_APPL_PER_CONTRACT": Category(("Y", "N"), chance(rng, 0.004, size).astype(np.int64)),
        "NFLAG_LAST_APPL_IN_DAY": 1 - chance(rng, 0.0034, size).astype(np.int64),
        "DAYS_DECISION": -drawn.age,
    }
    columns |= describe_products(rng, drawn.kind, drawn.status, drawn.rate, drawn.cross_sell, drawn.asked, unknown)
    columns |= _dates(rng, drawn, schedule)
    return ordered(columns, m.COLUMNS)


def _dates(rng: np.random.Generator, drawn: _Drawn, schedule: _Schedule) -> Table:
    """Write the life of the drawn loans: first drawing and due dates, 365243 for "not in sight", null where nothing was drawn."""
    size = len(drawn.ids)
    nothing = ~drawn.scheduled
    card = drawn.kind == m.REVOLVING
    used = card & chance(rng, 0.62, size)
    drawing = np.where(used, -np.maximum(drawn.age - rng.integers(1, 120, size), 1), INFINITE)
    first_due = np.where(card & ~(used & chance(rng, 0.75, size)), INFINITE, schedule.due(1))
    planned_end = np.where(card, INFINITE, schedule.due(np.maximum(drawn.term, 1)))
    ended = schedule.ended & ~chance(rng, 0.02, size)
    last_due = np.where(ended, schedule.due(schedule.paid_terms), INFINITE)
    terminated = ended & chance(rng, 0.985, size)
    termination = np.where(terminated, np.minimum(last_due + rng.integers(2, 12, size), -1), INFINITE)
    insured = np.where(drawn.kind == m.CASH, 0.62, 0.22)
    return {
        "DAYS_FIRST_DRAWING": with_nulls(drawing, nothing),
        "DAYS_FIRST_DUE": with_nulls(np.where(first_due > -1, INFINITE, np.maximum(first_due, -2891)), nothing),
        "DAYS_LAST_DUE_1ST_VERSION": with_nulls(np.maximum(planned_end, -2799), nothing),
        "DAYS_LAST_DUE": with_nulls(np.maximum(last_due, -2854), nothing),
        "DAYS_TERMINATION": with_nulls(np.maximum(termination, -2825), nothing),
        "NFLAG_INSURED_ON_APPROVAL": with_nulls((rng.random(size) < insured).astype(np.float64), nothing),
    }
