"""previous_application: earlier applications at this lender, and the loans and cards that came of them.

What belongs here: the rows of the table and, for the approved ones, the terms that the repayment tables follow. What does not: months and
instalments (`pos_cash`, `installments`, `credit_card`).

The source lacks the application rows of some loans (4.5 % of the loans, 12 % of the cards with monthly rows): such an application is
drawn like any other and its row is then kept out of the file, so its months and instalments are orphans.
"""

from dataclasses import dataclass

import numpy as np

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
HAS_SCHEDULE = {m.CASH: 0.923, m.CONSUMER: 0.973, m.REVOLVING: 0.949}  # approved applications that were really drawn
NULL_ANNUITY = {m.APPROVED: 0.0, m.CANCELED: 0.969, m.REFUSED: 0.151, m.UNUSED: 0.98}
EARLY = {m.CASH: 0.42, m.CONSUMER: 0.20}  # share of loans repaid before their term


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
    refusal = mix(rng, (0.5, applicants.conduct.refusal[owner]))
    card = _one_each(rng, applicants)
    kind = np.where(card, m.REVOLVING, m.TYPE.pick(rng, size).codes)
    status = np.where(card, m.APPROVED, _statuses(rng, kind, refusal))
    score = mix(rng, (-0.30, applicants.conduct.recency[owner]))
    age = m.AGE.at(score) * np.where((status == m.CANCELED) | (status == m.UNUSED), m.CANCELED_AGE_FACTOR, 1.07)
    age = np.clip(days(age), 2, 2922)
    terms = np.where(kind == m.CASH, _number(rng, m.CASH_TERMS, size), _number(rng, m.CONSUMER_TERMS, size))
    terms = np.where(kind >= m.REVOLVING, 0, terms).astype(np.int64)
    income = np.log(applicants.offer.income[owner] / 150_000.0)
    size_score = mix(rng, (0.45, np.clip(income / 0.5, -3, 3)))
    asked = np.where(kind == m.CASH, m.CASH_AMOUNT.at(size_score), m.CONSUMER_AMOUNT.at(size_score))
    asked = np.where(kind == m.REVOLVING, _number(rng, m.CARD_LIMITS, size), amount(asked, np.where(kind == m.CASH, 4500.0, 4.5)))
    nothing = ((kind == m.CASH) & (status == m.CANCELED) & chance(rng, 0.985, size)) | (kind == m.UNNAMED)
    nothing |= (kind == m.REVOLVING) & chance(rng, 0.55, size)
    paid_down = (kind == m.CONSUMER) & chance(rng, 0.52, size)
    down = np.where(paid_down, amount(asked * np.minimum(rng.exponential(0.14, size), 0.8), 4.5), 0.0)
    insured = np.where((kind == m.CASH) | chance(rng, 0.35, size), rng.uniform(1.0, 1.2, size), 1.0)
    credit = np.where(kind == m.REVOLVING, asked, amount((asked - down) * insured, 4.5))
    rate = rng.uniform(m.SHORTEST_RATE, m.LONGEST_RATE, size) * np.where(kind == m.CASH, 0.85, 0.95)
    annuity = np.where(kind == m.REVOLVING, credit * 0.05, _annuity(credit, rate, np.maximum(terms, 1)))
    scheduled = (status == m.APPROVED) & chance(rng, np.array([*HAS_SCHEDULE.values(), 0.0])[kind], size)
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
    )


def _one_each(rng: np.random.Generator, applicants: Applicants) -> BoolArray:
    """Mark one earlier application of each card holder as the card's."""
    counts = applicants.previous_rows
    starts = np.cumsum(counts) - counts
    chosen = starts + np.floor(rng.random(len(counts)) * counts).astype(np.int64)
    card = np.zeros(int(counts.sum()), dtype=np.bool_)
    card[chosen[applicants.has_card]] = True
    return card


def _statuses(rng: np.random.Generator, kind: IntArray, refusal: FloatArray) -> IntArray:
    """Draw outcomes: refusals follow the applicant's refusal factor, the rest the product's habits."""
    refuse_at = np.array([0.82, 1.30, 0.70, 1.2])[kind]  # of the factor, by type: 21 %, 10 %, 24 %
    cancel = np.array([0.460, 0.003, 0.97, 0.98])[kind]
    unused = np.array([0.0, 0.041, 0.0, 0.0])[kind]
    uniform = rng.random(len(kind))
    kept = np.where(uniform < cancel, m.CANCELED, np.where(uniform < cancel + unused, m.UNUSED, m.APPROVED))
    return np.where(refusal > refuse_at, m.REFUSED, kept)


def _number(rng: np.random.Generator, shares: Shares, size: int) -> FloatArray:
    drawn = shares.pick(rng, size)
    return np.array(drawn.names, dtype=np.float64)[drawn.codes]


def _annuity(credit: FloatArray, rate: FloatArray, term: IntArray) -> FloatArray:
    """Return the level instalment that repays a credit at a monthly rate."""
    return amount(credit * rate / (1.0 - (1.0 + rate) ** -term))


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
    paid = np.where(early, np.ceil(drawn.term * rng.uniform(0.15, 0.95, size)), drawn.term).astype(np.int64)
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
        "RATE_INTEREST_PRIVILEGED": with_nulls(m.PRIVILEGED_RATE.at_share(np.rint(rng.random(size) * 20) / 20), rare_rate),
        "WEEKDAY_APPR_PROCESS_START": m.WEEKDAYS.pick(rng, size),
        "HOUR_APPR_PROCESS_START": days(np.clip(rng.normal(12.5, 3.3, size), 0, 23)),
        "FLAG_LAST_APPL_PER_CONTRACT": Category(("Y", "N"), chance(rng, 0.004, size).astype(np.int64)),
        "NFLAG_LAST_APPL_IN_DAY": 1 - chance(rng, 0.0034, size).astype(np.int64),
        "DAYS_DECISION": -drawn.age,
    }
    columns |= describe_products(rng, drawn.kind, drawn.status, drawn.rate, drawn.asked, unknown)
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
        "DAYS_FIRST_DUE": with_nulls(np.where(first_due > -1, INFINITE, first_due), nothing),
        "DAYS_LAST_DUE_1ST_VERSION": with_nulls(planned_end, nothing),
        "DAYS_LAST_DUE": with_nulls(last_due, nothing),
        "DAYS_TERMINATION": with_nulls(termination, nothing),
        "NFLAG_INSURED_ON_APPROVAL": with_nulls((rng.random(size) < insured).astype(np.float64), nothing),
    }


