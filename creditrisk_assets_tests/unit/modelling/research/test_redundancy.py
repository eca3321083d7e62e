"""Correlations of ranks: as scipy computes them, by blocks, and only where two features are known alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from creditrisk_assets.modelling.research import redundancy
from creditrisk_assets.modelling.research.redundancy import rank_correlations

VALUES = st.floats(-5, 5, width=32).map(lambda value: round(value, 1))  # ties are common


@settings(deadline=None, max_examples=25)
@given(arrays(np.float32, (30, 4), elements=VALUES))
def test_it_is_spearmans_with_ties(columns: np.ndarray) -> None:
    found = rank_correlations(columns)
    for i in range(4):
        for j in range(4):
            constant = min(len(np.unique(columns[:, i])), len(np.unique(columns[:, j]))) == 1
            expected = 0.0 if constant else spearmanr(columns[:, i], columns[:, j]).statistic
            assert found[i, j] == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(arrays(np.float32, (20, 5), elements=VALUES), st.integers(1, 4))
def test_the_size_of_a_block_changes_no_bit(columns: np.ndarray, size: int) -> None:
    whole = rank_correlations(columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redundancy, "COLUMNS_AT_ONCE", size)
        assert rank_correlations(columns).tobytes() == whole.tobytes()


def test_features_known_for_other_applicants_are_not_alike() -> None:
    x = np.arange(200, dtype=np.float32)
    rarer = np.where(np.arange(200) % 2 == 0, x, np.nan).astype(np.float32)
    found = rank_correlations(np.column_stack([x, rarer, -rarer, np.full(200, np.nan, np.float32)]))
    assert found[0, 1] == 0
    assert found[1, 2] == pytest.approx(-1)
    assert (found[3] == 0).all()


def test_of_many_applicants_some_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).normal(size=(5000, 2)).astype(np.float32)
    x[:, 1] += x[:, 0]
    whole = rank_correlations(x)[0, 1]
    monkeypatch.setattr(redundancy, "ROWS", 1000)
    assert rank_correlations(x)[0, 1] == pytest.approx(whole, abs=0.05)
