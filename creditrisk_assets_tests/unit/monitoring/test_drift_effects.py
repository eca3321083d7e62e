"""Counting and effects: by blocks and by definition alike, whatever the threads; chance alone is told from drift."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from creditrisk_assets.modelling.bundle import EncodingError
from creditrisk_assets.modelling.reference import (
    CategoryReference,
    category_reference,
    count_between,
    input_reference,
    number_reference,
)
from creditrisk_assets.monitoring.drift import counting
from creditrisk_assets.monitoring.drift.counting import (
    CategoryCounts,
    NumberCounts,
    count_flags,
    count_numbers,
    count_table,
    knots,
)
from creditrisk_assets.monitoring.drift.effects import bins, compare, stability_index, wasserstein

NUMBERS = st.lists(
    st.one_of(st.floats(-5, 5, width=32), st.integers(-2, 2).map(float), st.just(float("nan"))), max_size=80
)
SHARES = st.lists(st.integers(0, 500), min_size=1, max_size=8)


def float32(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def counted(reference: object, values: object) -> NumberCounts:
    return count_numbers(number_reference(float32(reference)), float32(values))


@settings(deadline=None, max_examples=50)
@given(NUMBERS, NUMBERS)
def test_numbers_are_counted_as_the_reference_counts_its_own(before: list[float], now: list[float]) -> None:
    reference = number_reference(float32(before))
    found = count_numbers(reference, float32(now))
    known = float32(now)[~np.isnan(float32(now))].astype(np.float64)
    assert found.missing == len(now) - len(known)
    assert found.below.tolist() == [int((known < knot).sum()) for knot in knots(reference)]
    assert found.upto.tolist() == [int((known <= knot).sum()) for knot in knots(reference)]
    places = np.searchsorted(knots(reference), reference.edges)
    cumulative = np.stack([found.below[places], found.upto[places]], axis=1).ravel()
    between = np.diff(np.concatenate([[0], cumulative, [len(known)]]))
    assert between.tolist() == count_between(np.array(reference.edges), known).tolist()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    before, now = random.normal(size=1000), np.where(random.random(1000) < 0.1, np.nan, random.normal(3, 2, 1000))
    whole = counted(before, now)
    monkeypatch.setattr(counting, "BLOCK", 7)
    parts = counted(before, now)
    assert (parts.missing, parts.below.tolist(), parts.upto.tolist()) == (
        whole.missing, whole.below.tolist(), whole.upto.tolist(),
    )  # fmt: skip
    assert parts.beyond == pytest.approx(whole.beyond)


def test_an_edge_between_two_float32_numbers_parts_them() -> None:
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    reference = number_reference(np.repeat([low, high], 50).astype(np.float64))
    found = count_numbers(reference, np.array([low, high], dtype=np.float32))
    assert found.upto.tolist()[0] == 1
    assert found.below.tolist()[-1] == 1


@pytest.fixture
def table(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    rows = 1000
    frame = pa.table(
        {
            "sk_id_curr": np.arange(rows),
            "number": pa.array(random.normal(size=rows), mask=random.random(rows) < 0.2),
            "whole": pa.array(random.integers(0, 4, rows)),
            "flag": pa.array(random.random(rows) < 0.3, mask=random.random(rows) < 0.1),
            "name": pa.array(random.choice(["a", "b", "c"], rows), mask=random.random(rows) < 0.1),
        }
    )
    pq.write_table(frame, tmp_path / "t.parquet", row_group_size=170)
    return tmp_path / "t.parquet"


def references(table: Path) -> dict[str, object]:
    frame = pq.read_table(table).to_pandas()
    kinds = {"number": "numeric", "whole": "numeric", "flag": "boolean", "name": "category"}
    return {
        name: input_reference(kind, frame[name].astype(float).astype(np.float32) if kind != "category" else frame[name])
        for name, kind in kinds.items()
    }


@pytest.mark.parametrize("threads", [1, 3])
def test_a_table_that_made_the_reference_has_no_drift(
    table: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "CELLS_AT_ONCE", 340)  # two columns of a row group
    known = references(table)
    found = count_table(table, known, threads=threads)  # type: ignore[arg-type]
    for name, reference in known.items():
        effect = compare(reference, found[name])  # type: ignore[arg-type]
        assert (effect.psi, effect.jensen_shannon, effect.p_value) == (0, 0, 1), name
        assert effect.missing_reference == effect.missing_current
        assert np.isnan(effect.wasserstein) or effect.wasserstein < 0.01


def test_only_the_applicants_asked_for_are_counted(table: Path) -> None:
    frame = pq.read_table(table).to_pandas()
    ids = np.array([3, 170, 171, 999])
    found = count_table(table, references(table), among=ids)  # type: ignore[arg-type]
    name = found["name"]
    assert isinstance(name, CategoryCounts)
    chosen = frame.set_index("sk_id_curr").loc[ids, "name"]
    assert dict(name.counts) == chosen.value_counts().to_dict()
    assert {counts.rows for counts in found.values()} == {4}


def test_a_column_that_is_gone_or_of_another_kind_is_named(table: Path) -> None:
    with pytest.raises(EncodingError, match="lacks 1 columns, among them gone"):
        count_table(table, {"gone": category_reference(["a"])})
    with pytest.raises(EncodingError, match="feature name is declared a number"):
        count_table(table, {"name": number_reference([1.0])})


@settings(deadline=None, max_examples=50)
@given(
    SHARES.flatmap(
        lambda one: st.tuples(st.just(one), st.lists(st.integers(0, 500), min_size=len(one), max_size=len(one)))
    )
)
def test_psi_is_never_negative_and_nothing_between_equal_counts(sides: tuple[list[int], list[int]]) -> None:
    before, now = (np.array(side, dtype=np.float64) for side in sides)
    assert stability_index(before, now) >= -1e-12
    assert stability_index(before, before) == 0


def test_psi_is_the_one_of_the_definition() -> None:
    reference, now = category_reference(["a"] * 800 + ["b"] * 200), CategoryCounts(1000, 0, {"a": 500, "b": 500})
    expected = (0.5 - 0.8) * np.log(0.5 / 0.8) + (0.5 - 0.2) * np.log(0.5 / 0.2)
    assert compare(reference, now).psi == pytest.approx(expected, rel=0.01)
    numbers = counted([0.0] * 800 + [1.0] * 200, [0.0] * 500 + [1.0] * 500)
    assert compare(number_reference([0.0] * 800 + [1.0] * 200), numbers).psi == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (0.3, 1), (2, 1), (20, 1), (0, 2), (-4, 0.5)])
def test_wasserstein_is_close_to_the_one_of_the_values(shift: float, scale: float) -> None:
    random = np.random.default_rng(3)
    before, now = random.normal(size=20_000), random.normal(size=20_000) * scale + shift
    found = wasserstein(number_reference(float32(before)), counted(before, now))
    exact = wasserstein_distance(before, now) / before.std()
    assert 0.85 * exact - 0.05 < found < 1.05 * exact + 0.05  # the spread, read off the knots, is a little too wide


def test_wasserstein_sees_what_moves_within_the_last_tenth_and_psi_does_not() -> None:
    random = np.random.default_rng(4)
    before = random.lognormal(size=20_000)
    now = np.where(before > np.quantile(before, 0.91), before * 30, before)
    effect = compare(number_reference(float32(before)), counted(before, now))
    assert effect.psi < 0.01
    assert effect.wasserstein > 1


def test_constants_and_columns_without_values_have_no_distance() -> None:
    for values in ([1.0] * 50, [np.nan] * 50):
        effect = compare(number_reference(values), counted(values, values))
        assert effect.psi == 0
        assert np.isnan(effect.wasserstein)


def test_missing_values_and_new_categories_are_bins_of_their_own() -> None:
    numbers = number_reference(float32(np.random.default_rng(5).normal(size=1000)))
    gone = compare(numbers, count_numbers(numbers, np.full(1000, np.nan, np.float32)))
    assert gone.psi > 5
    assert (gone.missing_reference, gone.missing_current) == (0, 1)
    names = category_reference(["a", "b"] * 500)
    assert compare(names, CategoryCounts(1000, 0, {"a": 400, "b": 400, "new": 200})).psi > 1


def test_rare_categories_share_a_bin_and_one_applicant_of_a_new_one_is_no_evidence() -> None:
    reference = CategoryReference(0, {"common": 100_000, **{f"rare {number}": 10 for number in range(50)}})
    now = CategoryCounts(1006, 0, {"common": 1000, "rare 7": 5, "new": 1})
    before, after = bins(reference, now)
    assert (before.tolist(), after.tolist()) == ([100_000, 500, 0], [1000, 5, 1])
    assert compare(reference, now).p_value > 0.1


def test_flags_are_counted_by_state() -> None:
    assert count_flags(float32([0, 1, 1, np.nan])) == CategoryCounts(4, 1, {"false": 1, "true": 2})


def test_what_chance_makes_is_what_is_expected_and_the_evidence_is_level() -> None:
    random = np.random.default_rng(6)
    reference = number_reference(float32(random.normal(size=50_000)))
    effects = [compare(reference, count_numbers(reference, float32(random.normal(size=500)))) for _ in range(400)]
    assert np.mean([effect.psi for effect in effects]) == pytest.approx(effects[0].expected_psi, rel=0.1)
    assert 0.02 < np.mean([effect.p_value < 0.05 for effect in effects]) < 0.09


def test_a_number_is_not_compared_with_a_category() -> None:
    with pytest.raises(TypeError, match="the other way round"):
        compare(category_reference(["a"]), counted([1.0], [1.0]))


def test_the_reference_of_pandas_columns_is_counted_alike() -> None:
    column = pd.Series([1.0, np.nan, 2.0, 2.0], dtype="float32")
    assert compare(number_reference(column), counted(column, column)).psi == 0
