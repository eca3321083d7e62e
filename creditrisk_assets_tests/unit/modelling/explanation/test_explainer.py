"""Contributions: equal to the definition and to the `shap` package, adding up to the margin."""

import io
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditrisk_assets.modelling.explanation.compile import compile_explainer
from creditrisk_assets.modelling.explanation.explainer import (
    TOLERANCE,
    Explainer,
    ExplanationError,
    attribute,
    attribute_one,
)
from creditrisk_assets.modelling.explanation.trees import read_trees
from creditrisk_assets_tests.unit.modelling.explanation.models import Drawn, by_definition, draw_model

ALL_AT_THE_REQUEST, ALL_CONDITIONS, SHIPPED = (0, 1), (0, 17), (10, 15)
seeds = st.integers(0, 10_000)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw_model(5, features=8, trees=40, leaves=24)


def explainer_of(drawn: Drawn, references: int = 50, cut: tuple[int, int] = SHIPPED) -> Explainer:
    return compile_explainer(drawn.text, drawn.rows[:references], block_nodes=cut[0], deep=cut[1])


@settings(max_examples=10, deadline=None)
@given(seed=seeds, cut=st.sampled_from([ALL_AT_THE_REQUEST, ALL_CONDITIONS, (3, 3), SHIPPED]))
def test_contributions_are_those_of_the_definition(seed: int, cut: tuple[int, int]) -> None:
    drawn = draw_model(seed, features=5, trees=6, leaves=10, rows=150)
    references = drawn.rows[:9]
    explainer = compile_explainer(drawn.text, references, block_nodes=cut[0], deep=cut[1])
    for row in drawn.rows[60:63]:
        expected = by_definition(drawn.margins, row, references)
        assert np.abs(explainer.contributions(row) - expected).max() < TOLERANCE


@pytest.mark.parametrize("cut", [(3, 3), SHIPPED])
@pytest.mark.parametrize(("seed", "leaves"), [(0, 2), (1, 7), (2, 16), (3, 31)])
def test_contributions_are_those_of_the_shap_package(seed: int, leaves: int, cut: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    # Not asked about edges: the package rounds thresholds, and takes NaN where training knew none for a missing value, not for 0.
    drawn = draw_model(seed, features=9, trees=15, leaves=leaves, edges=False)
    rows = drawn.rows.astype(np.float64)
    references = shap.maskers.Independent(rows[:200], max_samples=200)
    oracle = shap.TreeExplainer(drawn.model, references, feature_perturbation="interventional", model_output="raw")
    found = explainer_of(drawn, 200, cut).all_contributions(rows[200:230])
    assert np.abs(found - oracle.shap_values(rows[200:230])).max() < TOLERANCE


@settings(max_examples=8, deadline=None)
@given(seed=seeds)
def test_contributions_add_up_to_the_margin(seed: int) -> None:
    drawn = draw_model(seed, trees=30)
    explainer = explainer_of(drawn)
    assert explainer.base == pytest.approx(drawn.margins(drawn.rows[:50]).mean(), abs=1e-12)
    rows = drawn.rows[::3]
    for row, margin in zip(rows, drawn.margins(rows), strict=True):
        explainer.check(explainer.contributions(row), margin)


@pytest.mark.parametrize("cut", [ALL_AT_THE_REQUEST, ALL_CONDITIONS, (1, 1), (4, 2), (6, 17)])
def test_how_trees_are_cut_changes_nothing(drawn: Drawn, cut: tuple[int, int]) -> None:
    rows = drawn.rows[100:120].astype(np.float64)
    shipped, other = explainer_of(drawn), explainer_of(drawn, cut=cut)
    assert np.abs(shipped.all_contributions(rows) - other.all_contributions(rows)).max() < TOLERANCE


def test_leaves_with_and_without_a_table_are_both_tried(drawn: Drawn) -> None:
    assert not explainer_of(drawn).deep
    assert not len(explainer_of(drawn, cut=ALL_AT_THE_REQUEST).table)
    mixed = explainer_of(drawn, cut=(4, 5))
    assert all(map(len, (mixed.deep, mixed.condition_starts, mixed.table)))


def test_a_feature_no_tree_looks_at_and_a_value_all_have_contribute_nothing() -> None:
    drawn = draw_model(3)
    used = {int(feature) for tree in read_trees(drawn.text) for feature in tree.features}
    wide = np.hstack([drawn.rows, drawn.rows[:, :1]])
    text = drawn.text.replace("max_feature_idx=5", "max_feature_idx=6")
    text = text.replace("feature_names=", "feature_names=unused ", 1).replace(
        "feature_infos=", "feature_infos=none ", 1
    )
    found = compile_explainer(text, wide[:50]).contributions(wide[70])
    assert found[6] == 0
    assert used == set(range(6))
    same = np.repeat(drawn.rows[3:4], 10, axis=0)
    assert not compile_explainer(drawn.text, same).contributions(drawn.rows[3]).any()


def test_a_model_without_a_split_has_a_margin_and_no_contribution() -> None:
    drawn = draw_model(2, trees=3, min_data_in_leaf=10_000)
    explainer = explainer_of(drawn)
    found = explainer.contributions(drawn.rows[0])
    assert found.shape == (6,)
    assert not found.any()
    explainer.check(found, drawn.margins(drawn.rows[:1])[0])


def test_what_does_not_add_up_is_no_explanation(drawn: Drawn) -> None:
    explainer, row = explainer_of(drawn), drawn.rows[70]
    found, margin = explainer.contributions(row), drawn.margins(row[None])[0]
    explainer.check(found, margin)
    for wrong in (margin + 2 * TOLERANCE, float("nan")):
        with pytest.raises(ExplanationError, match="add up to") as raised:
            explainer.check(found, wrong)
        assert str(margin)[:6] not in str(raised.value)


def test_a_layout_is_read_back_and_equal_models_have_equal_bytes(drawn: Drawn) -> None:
    cut = (4, 5)
    first, second = explainer_of(drawn, cut=cut), explainer_of(drawn, cut=cut)
    assert first.layout() == second.layout()
    assert first.table.tobytes() == second.table.tobytes()
    back = Explainer.read(first.layout(), first.table)
    assert back.layout() == first.layout()
    assert np.array_equal(back.contributions(drawn.rows[70]), first.contributions(drawn.rows[70]))
    with zipfile.ZipFile(io.BytesIO(first.layout())) as file:
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a layout at all"])
def test_a_damaged_layout_is_refused(drawn: Drawn, content: bytes) -> None:
    with pytest.raises(ExplanationError, match="not an explanation's layout"):
        Explainer.read(content, explainer_of(drawn).table)


def test_a_layout_that_lacks_something_is_refused(drawn: Drawn) -> None:
    out = io.BytesIO()
    np.savez(out, rows=np.zeros(3))
    with pytest.raises(ExplanationError, match="slots"):
        Explainer.read(out.getvalue(), explainer_of(drawn).table)


def test_a_row_of_another_length_is_refused(drawn: Drawn) -> None:
    with pytest.raises(ExplanationError, match=r"takes 8 columns; the row has shape \(3,\)"):
        explainer_of(drawn).contributions(np.zeros(3, np.float32))


def test_nobody_to_compare_with_is_refused(drawn: Drawn) -> None:
    with pytest.raises(ExplanationError, match="no reference applicant"):
        compile_explainer(drawn.text, drawn.rows[:0])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "sum of its trees"),
        ({"zero_as_missing": True}, "takes zeros for missing"),
        ({"linear_tree": True}, "linear leaves"),
    ],
)
def test_a_model_of_another_kind_is_refused(parameters: dict[str, object], words: str) -> None:
    with pytest.raises(ExplanationError, match=words):
        read_trees(draw_model(1, **parameters).text)


def test_native_categories_are_refused() -> None:
    import lightgbm

    random = np.random.default_rng(0)
    table = np.column_stack([random.integers(0, 5, 300), random.normal(size=300)]).astype(np.float64)
    data = lightgbm.Dataset(table, table[:, 0] % 2, categorical_feature=[0], params={"verbosity": -1})
    model = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, num_boost_round=3)
    with pytest.raises(ExplanationError, match="splits on categories natively"):
        read_trees(model.model_to_string())


@given(st.data())
def test_one_applicant_is_attributed_as_many_are(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 7))
    patterns = st.lists(st.lists(st.booleans(), min_size=size, max_size=size), min_size=1, max_size=8)
    met, references = np.array(data.draw(patterns)), np.array(data.draw(patterns))
    weights = np.array(data.draw(st.lists(st.integers(1, 9), min_size=len(references), max_size=len(references))))
    many = attribute(met, references, weights)
    one_by_one = [attribute_one(row, references, weights.astype(np.float64)) for row in met]
    assert np.allclose(many, one_by_one, rtol=0, atol=1e-12)
