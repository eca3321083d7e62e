"""The portfolio in chunks of applicants: planned once, generated anywhere.

What belongs here: which applicants exist, which ids each chunk may use, and the order in which a chunk's tables are drawn. What does not:
the tables' content (a module each), processes and files (`portfolio`, `writer`).

A chunk carries its own seed and its own ranges of ids, so it comes out the same in whichever process and order it is generated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from creditrisk_assets.simulation.application import application
from creditrisk_assets.simulation.bureau import bureau
from creditrisk_assets.simulation.credit_card import card_instalments, credit_card, draw_card_months
from creditrisk_assets.simulation.installments import draw_payments, installments
from creditrisk_assets.simulation.latent import Applicants, draw_applicants
from creditrisk_assets.simulation.pos_cash import pos_cash
from creditrisk_assets.simulation.previous import previous_applications
from creditrisk_assets.simulation.sampling import BoolArray, Columns, IntArray
from creditrisk_assets.simulation.scenarios import Scenario

TRAIN_APPLICANTS, TEST_APPLICANTS = 307_511, 48_744
FIRST_APPLICANT = 100_001
CHUNK_APPLICANTS = 2_048

_STREAMS = ("applicants", "application", "bureau", "previous", "payments", "pos_cash", "credit_card", "installments")


@dataclass(frozen=True)
class IdRange:
    """Ids scattered over a range: the n-th id is (n times a multiplier) modulo the range's size, a bijection."""

    first: int
    size: int

    def ids(self, start: int, count: int) -> IntArray:
        """Return the given count of ids, from the one numbered `start` on."""
        numbers = np.arange(start, start + count, dtype=np.int64)
        return self.first + numbers * _MULTIPLIER % self.size


_MULTIPLIER = 611_953  # prime, and no divisor of the ranges' sizes
BUREAU_IDS = IdRange(5_000_000, 1_843_459)
PREVIOUS_IDS = IdRange(1_000_001, 1_845_379)


@dataclass(frozen=True)
class Chunk:
    """One chunk of applicants, ready to be generated."""

    index: int
    seed: np.random.SeedSequence
    ids: IntArray
    is_train: BoolArray
    scenario: Scenario

    def stream(self, name: str) -> np.random.Generator:
        """Return the chunk's source of randomness for one purpose; the same at every call."""
        seed = np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, _STREAMS.index(name)))
        return np.random.Generator(np.random.SFC64(seed))

    def applicants(self) -> Applicants:
        """Draw the chunk's applicants."""
        return draw_applicants(self.stream("applicants"), self.ids, self.is_train, self.scenario)


@dataclass(frozen=True)
class Placed:
    """A chunk with the ids its credits and earlier applications take."""

    chunk: Chunk
    bureau_ids: IntArray
    previous_ids: IntArray


def plan_chunks(scale: float, seed: int, scenario: Scenario) -> list[Chunk]:
    """Choose the applicants of a portfolio and cut them into chunks, ascending by id.

    Below scale 1 the applicants are a random subset of the reference's ids; above it the ids go on past the reference's last.
    """
    train, test = max(round(TRAIN_APPLICANTS * scale), 1), max(round(TEST_APPLICANTS * scale), 1)
    root = np.random.SeedSequence(seed)
    layout, body = root.spawn(2)
    rng = np.random.Generator(np.random.SFC64(layout))
    pool = max(TRAIN_APPLICANTS + TEST_APPLICANTS, train + test)
    ids = FIRST_APPLICANT + np.sort(rng.permutation(pool)[: train + test])
    is_train = rng.permutation(np.arange(train + test) < train)
    starts = range(0, len(ids), CHUNK_APPLICANTS)
    seeds = body.spawn(len(starts))
    return [
        Chunk(i, seeds[i], ids[start : start + CHUNK_APPLICANTS], is_train[start : start + CHUNK_APPLICANTS], scenario)
        for i, start in enumerate(starts)
    ]


def place(chunks: list[Chunk], bureau_rows: list[int], previous_rows: list[int]) -> Iterator[Placed]:
    """Give each chunk its ids, from the numbers of rows that its applicants have."""
    bureau_ids = IdRange(BUREAU_IDS.first, _range_size(BUREAU_IDS.size, sum(bureau_rows)))
    previous_ids = IdRange(PREVIOUS_IDS.first, _range_size(PREVIOUS_IDS.size, sum(previous_rows)))
    bureau_start = previous_start = 0
    for chunk, loans, applications in zip(chunks, bureau_rows, previous_rows, strict=True):
        yield Placed(chunk, bureau_ids.ids(bureau_start, loans), previous_ids.ids(previous_start, applications))
        bureau_start += loans
        previous_start += applications


def _range_size(usual: int, needed: int) -> int:
    """Widen a range that is too small (above scale 1), keeping it coprime to the multiplier."""
    size = max(usual, needed)
    return size + 1 if size % _MULTIPLIER == 0 else size


def generate(placed: Placed) -> dict[str, Columns]:
    """Draw all tables of a chunk, by file stem, in the order in which one needs the other."""
    chunk = placed.chunk
    applicants = chunk.applicants()
    train, test = application(chunk.stream("application"), applicants)
    elsewhere, balances = bureau(chunk.stream("bureau"), applicants, placed.bureau_ids)
    previous = previous_applications(chunk.stream("previous"), applicants, placed.previous_ids)
    payments = draw_payments(chunk.stream("payments"), applicants, previous.loans)
    card_stream, rows_stream = chunk.stream("credit_card"), chunk.stream("installments")
    months = draw_card_months(card_stream, applicants, previous.cards)
    card_rows = card_instalments(card_stream, applicants, previous.cards, months)
    return {
        "application_train": train,
        "application_test": test,
        "bureau": elsewhere,
        "bureau_balance": balances,
        "previous_application": previous.table,
        "POS_CASH_balance": pos_cash(chunk.stream("pos_cash"), applicants, previous.loans, payments),
        "installments_payments": installments(rows_stream, applicants, previous.loans, payments, card_rows),
        "credit_card_balance": credit_card(card_stream, applicants, previous.cards, months),
    }
