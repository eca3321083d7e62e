"""credit_card_balance: monthly snapshots of credit cards, and the instalments that cards add to installments_payments.

What belongs here: a card's limit, balance, drawings and payments month by month, kept consistent: a balance is last month's balance plus
drawings and interest less payments. What does not: loans (`pos_cash`).
"""

from dataclasses import dataclass

import numpy as np

from creditrisk_assets.simulation.installments import draw_delays
from creditrisk_assets.simulation.latent import Applicants
from creditrisk_assets.simulation.loans import Cards
from creditrisk_assets.simulation.sampling import (
    MONTH_DAYS,
    BoolArray,
    Category,
    FloatArray,
    IntArray,
    Numbers,
    Table,
    amount,
    chance,
    logistic,
    mix,
    ordered,
    position_in_group,
    take,
    with_nulls,
)

COLUMNS = (
    "SK_ID_PREV", "SK_ID_CURR", "MONTHS_BALANCE", "AMT_BALANCE", "AMT_CREDIT_LIMIT_ACTUAL", "AMT_DRAWINGS_ATM_CURRENT",
    "AMT_DRAWINGS_CURRENT", "AMT_DRAWINGS_OTHER_CURRENT", "AMT_DRAWINGS_POS_CURRENT", "AMT_INST_MIN_REGULARITY",
    "AMT_PAYMENT_CURRENT", "AMT_PAYMENT_TOTAL_CURRENT", "AMT_RECEIVABLE_PRINCIPAL", "AMT_RECIVABLE", "AMT_TOTAL_RECEIVABLE",
    "CNT_DRAWINGS_ATM_CURRENT", "CNT_DRAWINGS_CURRENT", "CNT_DRAWINGS_OTHER_CURRENT", "CNT_DRAWINGS_POS_CURRENT",
    "CNT_INSTALMENT_MATURE_CUM", "NAME_CONTRACT_STATUS", "SK_DPD", "SK_DPD_DEF",
)  # fmt: skip

STATUSES = ("Active", "Completed", "Signed", "Sent proposal", "Refused")
# Utilisation scores below which a card is never drawn on, so that its drawings are null.
IDLE_BELOW_YOUNG, IDLE_BELOW_OLD = -0.05, -1.25
INTEREST = 0.021  # per month
DRAWING_MONTHS = 0.40  # months with a drawing that matters
PAID_DOWN = 0.965  # balance left from one month to the next
MINIMUM_PAYMENT = 0.05  # of the balance
SMALLEST_DRAWING = 450.0
CASH_SHARE = 0.56  # drawings at machines, by amount
EXTRA_PAYMENTS = 1.30  # further payments in a month, on average


@dataclass(frozen=True)
class CardMonths:
    """Months of the chunk's cards, oldest first and consecutive per card; shape (months,) each."""

    card: IntArray  # index into the cards
    age: IntArray  # months before the application, from 1
    first: BoolArray  # a card's first month
    idle: BoolArray  # the card is never drawn on
    limit: FloatArray
    balance: FloatArray
    drawn: FloatArray
    paid: FloatArray
    due: FloatArray  # minimum payment
    matured: IntArray  # instalments so far


def draw_card_months(rng: np.random.Generator, applicants: Applicants, cards: Cards) -> CardMonths:
    """Draw the cards' balances and what moved them."""
    size = len(cards.ids)
    utilisation = mix(rng, (0.93, applicants.conduct.utilisation[cards.owner]))
    counts = np.clip(np.floor(cards.age / MONTH_DAYS), 1, 96).astype(np.int64)
    idle = utilisation + 0.8 * rng.standard_normal(size) < np.where(counts < 15, IDLE_BELOW_YOUNG, IDLE_BELOW_OLD)
    card = np.repeat(np.arange(size), counts)
    place = position_in_group(counts)
    age = counts[card] - place
    limit = np.where(cards.limit > 0, cards.limit, 90_000.0)
    raised = np.floor(rng.random(size) * counts * 1.6)[card] <= place
    actual = np.where(raised, limit[card], np.rint(limit[card] * 0.6 / 4500) * 4500)
    actual = np.where(chance(rng, 0.10, size)[card] & (age <= 6), 0.0, actual)
    share = np.where(idle[card], 0.0, _utilised(rng, utilisation, counts, card, place))
    balance = amount(share * limit[card])
    drawn, paid, due = _movements(rng, balance, place)
    running = np.cumsum(due > 0)
    started = running[np.cumsum(counts) - counts][card] if len(card) else running
    return CardMonths(
        card=card,
        age=age,
        first=place == 0,
        idle=idle[card],
        limit=actual,
        balance=balance,
        drawn=drawn,
        paid=paid,
        due=due,
        matured=np.minimum(running - started, 119),
    )


def _utilised(
    rng: np.random.Generator, utilisation: FloatArray, counts: IntArray, card: IntArray, place: IntArray
) -> FloatArray:
    """Draw the share of the limit in use: from some months after opening until the holder, if ever, stops using the card."""
    size = len(counts)
    level = np.clip(0.42 + 0.30 * utilisation, 0.02, 1.02)
    start = np.floor(rng.random(size) * np.minimum(counts, 9))
    stops = chance(rng, logistic(1.3 - 1.6 * utilisation), size)
    unused_months = np.where(stops, np.floor(rng.random(size) * counts), -1.0)
    drawn_to = np.clip(level[card] + 0.22 * rng.standard_normal(len(card)), 0.0, 1.06)
    share = _between_drawings(rng, drawn_to, place)
    unused = (place < start[card]) | (counts[card] - place <= unused_months[card])
    return np.where(unused, 0.0, share)


def _between_drawings(rng: np.random.Generator, share: FloatArray, place: IntArray) -> FloatArray:
    """Let utilisation jump in the months of a drawing and be paid down slowly in between."""
    month = np.arange(len(place))
    drawing = (place == 0) | chance(rng, DRAWING_MONTHS, len(place))
    last = np.maximum.accumulate(np.where(drawing, month, 0)) if len(place) else month
    return share[last] * PAID_DOWN ** (month - last)


def _movements(
    rng: np.random.Generator, balance: FloatArray, place: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the drawings and payments that, with interest, lead from each month's balance to the next, and the minimum payments."""
    before = np.where(place == 0, 0.0, np.roll(balance, 1))
    moved = balance - before - INTEREST * before
    due = amount(MINIMUM_PAYMENT * before)
    paid = amount(np.maximum(-moved, due * np.where(chance(rng, 0.04, len(balance)), 0.6, 1.0)))
    drawn = amount(np.maximum(moved + paid, 0.0))
    return np.where(drawn < SMALLEST_DRAWING, 0.0, drawn), paid, due


def credit_card(rng: np.random.Generator, applicants: Applicants, cards: Cards, months: CardMonths) -> Table:
    """Turn card months into rows, shuffled: the source's file has no order."""
    size = len(months.card)
    at_machine = chance(
        rng, np.clip(CASH_SHARE + 0.21 * applicants.conduct.utilisation[cards.owner], 0.05, 0.95)[months.card], size
    )
    cash = np.where(at_machine, np.minimum(amount(months.drawn, 4500.0), months.drawn), 0.0)
    other = np.where(chance(rng, 0.008, size) & ~at_machine, months.drawn, 0.0)
    goods = amount(np.maximum(months.drawn - cash - other, 0.0))
    cash_count = np.where(cash > 0, 1 + rng.poisson(0.6 + months.drawn / 90_000.0, size), 0).clip(0, 31)
    goods_count = np.where(goods > 0, 1 + rng.poisson(rng.gamma(0.9, 4.2, size), size), 0).clip(0, 140)
    other_count = (other > 0).astype(np.int64)
    idle = months.idle | chance(rng, 0.02, size)
    young = months.first | months.idle & chance(rng, 0.22, size)
    past_due, defaulted = _past_due(rng, applicants, cards, months)
    settled = amount(np.where(chance(rng, 0.07, size), months.paid * 0.6, months.paid))
    credit_in_hand = (months.balance == 0) & ~months.idle & chance(rng, 0.03, size)
    balance = np.where(credit_in_hand, -amount(rng.exponential(900.0, size)), months.balance) + 0.0
    completed = (months.age <= 3) & chance(rng, 0.16, len(cards.ids))[months.card] | chance(rng, 0.02, size)
    signed = months.first & chance(rng, 0.10, size)
    rare = chance(rng, 0.0001, size)
    status = np.select([signed, rare & (months.card % 2 == 0), rare, completed], [2, 3, 4, 1], 0)
    principal = amount(balance * np.where(balance > 0, 0.962, 1.0))
    rows: Table = {
        "SK_ID_PREV": cards.ids[months.card],
        "SK_ID_CURR": applicants.ids[cards.owner[months.card]],
        "MONTHS_BALANCE": -months.age,
        "AMT_BALANCE": balance,
        "AMT_CREDIT_LIMIT_ACTUAL": np.rint(months.limit).astype(np.int64),
        "AMT_DRAWINGS_ATM_CURRENT": with_nulls(cash, idle),
        "AMT_DRAWINGS_CURRENT": amount(cash + other + goods),
        "AMT_DRAWINGS_OTHER_CURRENT": with_nulls(other, idle),
        "AMT_DRAWINGS_POS_CURRENT": with_nulls(goods, idle),
        "AMT_INST_MIN_REGULARITY": with_nulls(months.due, young),
        "AMT_PAYMENT_CURRENT": with_nulls(months.paid, idle | chance(rng, 0.012, size)),
        "AMT_PAYMENT_TOTAL_CURRENT": settled,
        "AMT_RECEIVABLE_PRINCIPAL": principal,
        "AMT_RECIVABLE": amount(balance * 0.996),
        "AMT_TOTAL_RECEIVABLE": amount(balance * 0.996),
        "CNT_DRAWINGS_ATM_CURRENT": with_nulls(cash_count, idle),
        "CNT_DRAWINGS_CURRENT": cash_count + goods_count + other_count,
        "CNT_DRAWINGS_OTHER_CURRENT": with_nulls(other_count, idle),
        "CNT_DRAWINGS_POS_CURRENT": with_nulls(goods_count, idle),
        "CNT_INSTALMENT_MATURE_CUM": with_nulls(months.matured, young),
        "NAME_CONTRACT_STATUS": Category(STATUSES, status),
        "SK_DPD": past_due,
        "SK_DPD_DEF": defaulted,
    }
    return take(ordered(rows, COLUMNS), rng.permutation(size))


def _past_due(
    rng: np.random.Generator, applicants: Applicants, cards: Cards, months: CardMonths
) -> tuple[IntArray, IntArray]:
    """Draw days past due: short spells of late payers, and cards on which a trifle has stayed unpaid for years."""
    size = len(months.card)
    lateness = mix(rng, (0.6, applicants.conduct.lateness[cards.owner]))
    spell = (months.due > 0) & chance(rng, logistic(-3.75 + 0.9 * lateness)[months.card], size)
    short = np.where(spell, 1 + np.floor(rng.exponential(4.0, size)), 0).astype(np.int64)
    stuck = chance(rng, 0.024 * np.exp(0.7 * lateness - 0.25), len(cards.ids))
    since = np.floor(rng.random(len(cards.ids)) * 80)[months.card]
    lingering = np.where(stuck[months.card] & (months.age < since), (since - months.age) * MONTH_DAYS, 0.0)
    defaulted = np.where(chance(rng, 0.6, size), short, 0)
    return np.maximum(short, np.floor(lingering).astype(np.int64)), defaulted


def card_instalments(rng: np.random.Generator, applicants: Applicants, cards: Cards, months: CardMonths) -> Numbers:
    """Return the cards' rows of installments_payments: version 0, numbered through, one or more payments a month."""
    owing = np.flatnonzero(months.due > 0)
    month = np.repeat(owing, 1 + rng.poisson(EXTRA_PAYMENTS, len(owing)))
    repeated = np.concatenate([[False], month[1:] == month[:-1]]) if len(month) else np.zeros(0, dtype=np.bool_)
    card = months.card[month]
    number = position_in_group(np.bincount(card, minlength=len(cards.ids))[np.unique(card)]) + 1
    due = np.minimum(np.floor((0.5 - months.age[month]) * MONTH_DAYS), -1.0)
    lateness = mix(rng, (0.8, applicants.conduct.lateness[cards.owner]))
    paid = due + draw_delays(rng, lateness[card] + 0.1)
    amounts = np.where(repeated, amount(months.due[month] * rng.uniform(0.1, 0.9, len(month))), months.due[month])
    payment = np.where(repeated, amounts, np.maximum(amounts, months.paid[month]))
    unpaid = paid > -1.0
    return {
        "SK_ID_PREV": cards.ids[card],
        "SK_ID_CURR": applicants.ids[cards.owner[card]],
        "NUM_INSTALMENT_VERSION": np.zeros(len(month)),
        "NUM_INSTALMENT_NUMBER": number,
        "DAYS_INSTALMENT": due,
        "DAYS_ENTRY_PAYMENT": with_nulls(np.maximum(paid, -2941.0), unpaid),
        "AMT_INSTALMENT": np.where(chance(rng, 0.12, len(month)), amounts, payment),
        "AMT_PAYMENT": with_nulls(payment, unpaid),
    }
