"""Whatever the seed and the number of applicants, a chunk's tables keep the relations that features rely on."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from creditrisk_assets.simulation.chunks import Chunk, Placed, generate
from creditrisk_assets.simulation.sampling import Category, Columns
from creditrisk_assets.simulation.scenarios import scenario_named

QUICK = settings(max_examples=25, deadline=None)


def chunk_of(seed: int, size: int, train_share: float) -> dict[str, Columns]:
    ids = 100_001 + 3 * np.arange(size)
    is_train = np.arange(size) < round(size * train_share)
    chunk = Chunk(0, np.random.SeedSequence(seed), ids, is_train, scenario_named("baseline"))
    applicants = chunk.applicants()
    numbers = [int(counts.sum()) for counts in (applicants.bureau_rows, applicants.previous_rows)]
    return generate(Placed(chunk, *(1 + np.arange(number) for number in numbers)))


def numbers(table: Columns, name: str) -> np.ndarray:
    column = table[name]
    assert not isinstance(column, Category)
    return column


chunks = st.builds(chunk_of, st.integers(0, 2**63), st.integers(1, 60), st.sampled_from([0.0, 0.5, 0.9, 1.0]))


@QUICK
@given(chunks)
def test_columns_of_a_table_have_one_length_and_no_infinity(tables: dict[str, Columns]) -> None:
    for table in tables.values():
        assert len({len(column.codes if isinstance(column, Category) else column) for column in table.values()}) == 1
        for column in table.values():
            if isinstance(column, Category):
                assert ((column.codes >= -1) & (column.codes < len(column.names))).all()
            else:
                assert not np.isinf(column).any()


@QUICK
@given(chunks)
def test_monthly_keys_are_unique_and_in_the_past(tables: dict[str, Columns]) -> None:
    keys = {"bureau_balance": "SK_ID_BUREAU", "POS_CASH_balance": "SK_ID_PREV", "credit_card_balance": "SK_ID_PREV"}
    for name, key in keys.items():
        months = numbers(tables[name], "MONTHS_BALANCE")
        assert ((months >= -96) & (months <= 0)).all()
        pairs = numbers(tables[name], key) * 200 - months
        assert len(np.unique(pairs)) == len(pairs)


@QUICK
@given(chunks)
def test_events_lie_before_the_application(tables: dict[str, Columns]) -> None:
    assert (numbers(tables["bureau"], "DAYS_CREDIT") <= 0).all()
    assert (numbers(tables["previous_application"], "DAYS_DECISION") <= -2).all()
    for name in ("DAYS_INSTALMENT", "DAYS_ENTRY_PAYMENT"):
        days = numbers(tables["installments_payments"], name)
        assert (days[~np.isnan(days)] <= -1).all()


@QUICK
@given(chunks)
def test_days_past_due_and_counts_are_never_negative(tables: dict[str, Columns]) -> None:
    for name in ("POS_CASH_balance", "credit_card_balance"):
        past_due, tolerated = numbers(tables[name], "SK_DPD"), numbers(tables[name], "SK_DPD_DEF")
        assert (past_due >= tolerated).all()
        assert (tolerated >= 0).all()
    left = numbers(tables["POS_CASH_balance"], "CNT_INSTALMENT_FUTURE")
    term = numbers(tables["POS_CASH_balance"], "CNT_INSTALMENT")
    known = ~np.isnan(left)
    assert ((left[known] >= 0) & (left[known] <= term[known])).all()


@QUICK
@given(chunks)
def test_card_drawings_add_up(tables: dict[str, Columns]) -> None:
    card = tables["credit_card_balance"]
    known = ~np.isnan(numbers(card, "AMT_DRAWINGS_ATM_CURRENT"))
    parts = sum(numbers(card, f"AMT_DRAWINGS_{kind}_CURRENT")[known] for kind in ("ATM", "OTHER", "POS"))
    np.testing.assert_allclose(parts, numbers(card, "AMT_DRAWINGS_CURRENT")[known], atol=0.1)
