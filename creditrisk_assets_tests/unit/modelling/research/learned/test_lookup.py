"""Tables of learned numbers: what they hold, and that they are enough without scikit-learn."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditrisk_assets.modelling.research.learned.crossfit import LearnedError
from creditrisk_assets.modelling.research.learned.encoding import ExcessRate
from creditrisk_assets.modelling.research.learned.groups import GroupRelative
from creditrisk_assets.modelling.research.learned.lookup import TableError, apply_table

TEXT = st.none() | st.sampled_from(["a", "b", "c", ""])
NUMBER = st.none() | st.floats(-1e6, 1e6)
ROWS = st.lists(st.tuples(TEXT, TEXT, NUMBER), min_size=6, max_size=40)


def frame_of(rows: list[tuple[Any, Any, Any]]) -> pd.DataFrame:
    kind, town, income = zip(*rows, strict=True)
    frame = pd.DataFrame({"kind": pd.Categorical(kind), "town": pd.Categorical(town)})
    return frame.assign(income=pd.Series(income, dtype=np.float64))


def plain(rows: list[tuple[Any, Any, Any]]) -> dict[str, list[Any]]:
    return dict(zip(("kind", "town", "income"), map(list, zip(*rows, strict=True)), strict=True))


def through_json(table: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(table, allow_nan=False))  # type: ignore[no-any-return]


@settings(max_examples=20, deadline=None)
@given(ROWS, ROWS)
def test_the_table_of_medians_gives_what_the_transformer_gives(fitted: list[Any], new: list[Any]) -> None:
    transformer = GroupRelative(["income"], [("kind", "town"), ("town",)], smallest=2).fit(frame_of(fitted))
    found = apply_table(through_json(transformer.to_table()), plain(new))
    assert list(found) == list(transformer.get_feature_names_out())
    assert np.array_equal(np.column_stack(list(found.values())), transformer.transform(frame_of(new)), equal_nan=True)


@settings(max_examples=20, deadline=None)
@given(ROWS, ROWS)
def test_the_table_of_rates_gives_what_the_transformer_gives(fitted: list[Any], new: list[Any]) -> None:
    target = np.arange(len(fitted)) % 2
    transformer = ExcessRate([("kind", "town"), ("town",)], smoothing=3, folds=2)
    transformer.fit(frame_of(fitted), target, ids=np.arange(len(fitted)))
    found = apply_table(through_json(transformer.to_table()), plain(new))
    assert list(found) == list(transformer.get_feature_names_out())
    assert np.array_equal(np.column_stack(list(found.values())), transformer.transform(frame_of(new)))


def test_a_table_is_applied_without_scikit_learn_pandas_and_lightgbm() -> None:
    script = (
        "import sys; from creditrisk_assets.modelling.research.learned.lookup import apply_table\n"
        "table = {'format': 1, 'columns': [{'name': 'x', 'form': 'number', 'value': None,"
        " 'levels': [{'by': [], 'numbers': [[[], 2.5]]}]}]}\n"
        "assert apply_table(table, {'kind': ['a', None]})['x'].tolist() == [2.5, 2.5]\n"
        "assert not {'sklearn', 'pandas', 'lightgbm', 'scipy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_small_group_has_its_parents_median_and_an_unseen_one_everybodys() -> None:
    frame = pd.DataFrame({"kind": ["a"] * 5 + ["b"] * 3, "town": ["t", "t", "t", "t", "u", "t", "t", "t"]})
    frame = frame.assign(income=[1.0, 2.0, 3.0, 4.0, 100.0, 10.0, 20.0, 40.0])
    fitted = GroupRelative(["income"], [("kind", "town")], smallest=3).fit(frame)
    new = pd.DataFrame({"kind": ["a", "a", "new", "b"], "town": ["t", "u", "t", None], "income": [10.0] * 4})
    difference, ratio = fitted.transform(new).T
    medians = np.array([2.5, 3.0, 7.0, 20.0])  # of (a, t); of a; of all; of b
    assert np.array_equal(difference, 10 - medians)
    assert ratio == pytest.approx(10 / medians)


def test_the_ratio_to_a_median_of_zero_and_to_none_at_all_is_unknown() -> None:
    frame = pd.DataFrame({"kind": ["a", "b"], "zero": [0.0, 0.0], "empty": [np.nan, np.nan]})
    values = GroupRelative(["zero", "empty"], [("kind",)], smallest=1).fit(frame).transform(frame)
    assert values[0].tolist()[0] == 0
    assert np.isnan(values[:, 1:]).all()


def test_medians_of_no_rows_are_refused() -> None:
    with pytest.raises(LearnedError, match="no rows"):
        GroupRelative(["x"], [("kind",)]).fit(pd.DataFrame({"kind": [], "x": []}))


def test_rates_are_smoothed_towards_the_wider_group() -> None:
    frame = pd.DataFrame({"kind": ["a"] * 4 + ["b"] * 4, "town": ["t", "t", "u", "u", "t", "t", "t", "t"]})
    target = np.array([1, 1, 1, 0, 0, 0, 0, 1])
    fitted = ExcessRate([("kind", "town")], smoothing=2, folds=2).fit(frame, target, ids=np.arange(8))
    new = pd.DataFrame({"kind": ["a", "a", "a", "new"], "town": ["t", "u", "unseen", "t"]})
    a = (4 * 0.25 + 2 * 0) / (4 + 2)  # a's rate is 3/4 and everybody's 1/2
    assert fitted.transform(new)[:, 0] == pytest.approx([(2 * 0.5 + 2 * a) / 4, (0 + 2 * a) / 4, a, 0])


def test_null_is_a_category_of_its_own() -> None:
    frame = pd.DataFrame({"kind": ["a", None] * 10})
    fitted = ExcessRate([("kind",)], smoothing=1, folds=2).fit(frame, np.array([0, 1] * 10), ids=np.arange(20))
    known, unknown = fitted.transform(pd.DataFrame({"kind": ["a", None]}))[:, 0]
    assert known == -unknown < 0


def test_a_table_of_another_format_and_a_missing_feature_are_named() -> None:
    with pytest.raises(TableError, match="format 9"):
        apply_table({"format": 9, "columns": []}, {})
    fitted = GroupRelative(["income"], [("kind",)], smallest=1).fit(pd.DataFrame({"kind": ["a"], "income": [1.0]}))
    with pytest.raises(TableError, match="income, kind"):
        apply_table(fitted.to_table(), {"town": ["t"]})
