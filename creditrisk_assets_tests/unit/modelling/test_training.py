"""Training: deterministic, blind to prohibited inputs, clear about what it cannot use."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from creditrisk_assets.modelling.bundle import EncodingError
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.encoder import ApplicantEncoder
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.pipeline import build_pipeline, oversample, undersample
from creditrisk_assets.modelling.tables import Part, read_part, sample_part
from creditrisk_assets.modelling.training import Training, TrainingError, fit_model
from creditrisk_assets_tests.unit.modelling.conftest import GENDER, INPUTS, draw_part, train_all


@parametrize_with_checks([ApplicantEncoder()])
def test_the_encoder_keeps_the_conventions_of_scikit_learn(estimator: ApplicantEncoder, check) -> None:  # type: ignore[no-untyped-def]  # scikit-learn's
    check(estimator)


def test_categories_are_coded_by_frequency_then_by_name() -> None:
    table = pd.DataFrame({"c": ["b", "a", "b", "c", None]})
    encoder = ApplicantEncoder().fit(table)
    assert encoder.categories_ == {"c": ("b", "a", "c")}
    seen = encoder.transform(pd.DataFrame({"c": ["c", "b", "never seen", None]}))
    assert np.array_equal(seen[:, 0], [2, 0, np.nan, np.nan], equal_nan=True)


def test_text_and_categoricals_with_other_levels_are_coded_alike() -> None:
    encoder = ApplicantEncoder().fit(pd.DataFrame({"c": ["b", "a", "b"]}))
    text = encoder.transform(pd.DataFrame({"c": ["a", None]}))
    levels = encoder.transform(pd.DataFrame({"c": pd.Categorical(["a", None], categories=["z", "a"])}))
    assert np.array_equal(text, levels, equal_nan=True)


def test_encoding_does_not_look_at_the_target(part: Part) -> None:
    assert ApplicantEncoder().fit(part.frame, part.labels).categories_ == ApplicantEncoder().fit(part.frame).categories_


def test_infinity_is_refused_by_the_name_of_its_column() -> None:
    with pytest.raises(EncodingError, match="feature x holds infinity in 1 places"):
        ApplicantEncoder().fit_transform(pd.DataFrame({"x": [1.0, np.inf]}))


def test_numbers_past_float32_stay_finite_and_in_order() -> None:
    matrix = ApplicantEncoder().fit_transform(pd.DataFrame({"x": [1e300, -1e300, 1.0]}))
    assert np.isfinite(matrix).all()
    assert matrix[1, 0] < matrix[2, 0] < matrix[0, 0]


def test_two_trainings_and_two_threads_give_one_model(
    training: Training, part: Part, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditrisk_assets.modelling.training.CELLS_WORTH_THREADS", 0)
    again = train_all(part, config, threads=2)
    assert again.model.model_hash == training.model.model_hash
    assert again.model.calibrator == training.model.calibrator
    assert again.comparison is not None
    assert training.comparison is not None
    assert again.comparison.model_hash == training.comparison.model_hash


def test_another_seed_is_another_model(training: Training, part: Part, config: ModelConfig) -> None:
    other = fit_model(part, INPUTS, config.model_copy(update={"seed": 1}), threads=1)
    assert other.model_hash != training.model.model_hash


def test_prohibited_inputs_are_in_the_comparison_alone(training: Training, part: Part) -> None:
    assert GENDER not in training.model.inputs
    assert GENDER.name not in training.model.model_text
    assert training.comparison is not None
    assert GENDER in training.comparison.inputs
    blind = part.frame.assign(**{GENDER.name: pd.Categorical(["F"] * len(part))})
    assert np.array_equal(training.model.predict(blind), training.model.predict(part.frame))


def test_inputs_that_say_nothing_are_dropped_with_the_reason(training: Training) -> None:
    assert training.model.dropped == {
        "application__constant": "one value in all training rows",
        "application__empty": "no value in any training row",
    }
    assert not {f.name for f in training.model.features} & set(training.model.dropped)


def test_importance_is_a_share_of_the_gain(training: Training) -> None:
    importance = training.model.importance
    assert sum(importance.values()) == pytest.approx(1)
    assert next(iter(importance)) == "application__score"


def test_the_number_of_trees_comes_from_rows_not_fitted(training: Training, config: ModelConfig) -> None:
    assert training.model.search.reason.startswith("early stopping in every fold")
    assert 1 <= training.model.search.trees <= config.trees.maximum
    assert training.comparison is not None
    assert training.comparison.search == training.model.search


def test_few_defaults_train_a_fixed_number_of_trees_and_say_so(config: ModelConfig) -> None:
    small = draw_part(50)
    model = fit_model(small, INPUTS, config, threads=1)
    assert model.search.trees == config.trees.fallback
    assert "too few to stop on" in model.search.reason


@pytest.mark.parametrize(
    ("rows", "target", "words"),
    [(0, None, "no rows"), (100, 0, "0 defaults among 100"), (100, 1, "100 defaults among 100")],
    ids=["empty", "no default", "all default"],
)
def test_a_part_without_two_classes_trains_nothing(
    config: ModelConfig, rows: int, target: int | None, words: str
) -> None:
    drawn = draw_part(rows)
    broken = replace(drawn, target=np.full(rows, target or 0, dtype=np.int64))
    with pytest.raises(TrainingError, match=words):
        fit_model(broken, INPUTS, config, threads=1)


def test_inputs_that_all_say_nothing_train_nothing(part: Part, config: ModelConfig) -> None:
    with pytest.raises(TrainingError, match="every input is constant or empty"):
        fit_model(part, [i for i in INPUTS if i.name.endswith(("constant", "empty"))], config, threads=1)


@pytest.mark.parametrize("method", ["weighted", "undersample", "smote", "smote_undersample"])
def test_resampling_changes_the_fit_and_not_the_encoding_of_a_request(
    part: Part, training: Training, config: ModelConfig, method: str
) -> None:
    shares = {"method": method, "smote_share": 0.4, "minority_share": 0.45}
    resampled = config.model_copy(update={"resampling": config.resampling.model_copy(update=shares)})
    model = fit_model(part, INPUTS, resampled, threads=1)
    assert model.model_hash != training.model.model_hash
    assert model.model_hash == fit_model(part, INPUTS, resampled, threads=1).model_hash
    assert np.isfinite(model.predict(part.frame)).all()


@pytest.mark.parametrize(
    ("step", "share"), [(oversample, 0.1), (undersample, 0.1), (oversample, 0.4), (undersample, 0.4)]
)
def test_resampling_reaches_its_share_and_never_goes_back(step: Any, share: float) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(200, 3)).astype(np.float32), np.array([1] * 40 + [0] * 160)
    x[::7, 0] = np.nan
    settings = {"neighbours": 5} if step is oversample else {}
    grown, labels = step(x, y, share=share, seed=1, **settings)
    assert labels.mean() == pytest.approx(max(share, 0.2), abs=0.01)
    assert np.isnan(grown[:, 0]).sum() <= np.isnan(x[:, 0]).sum()
    if step is oversample:
        assert np.array_equal(grown[:200], x, equal_nan=True)


def test_resampling_steps_are_those_configured(config: ModelConfig) -> None:
    both = config.model_copy(
        update={"resampling": config.resampling.model_copy(update={"method": "smote_undersample"})}
    )
    assert list(build_pipeline(config, trees=1, threads=1).named_steps) == ["encode", "classify"]
    steps = list(build_pipeline(both, trees=1, threads=1).named_steps)
    assert steps == ["encode", "oversample", "undersample", "classify"]


@pytest.fixture
def table(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> Path:
    path = tmp_path / "table.parquet"
    con.execute(
        "copy (select range as sk_id_curr, (range % 3 = 0)::int as target, range / 3.0 as f__x,"
        " case when range % 5 > 0 then 'k' || range % 2 end as f__c, range % 2 = 0 as f__is"
        f" from range(500)) to '{path}' (format parquet)"
    )
    return path


READ = (ModelInput("f__c", "f", "category"), ModelInput("f__x", "f", "numeric"), ModelInput("f__is", "f", "boolean"))


def test_a_part_is_read_in_the_order_and_types_of_training(table: Path) -> None:
    part = read_part(table, READ)
    assert [str(kind) for kind in part.frame.dtypes] == ["category", "float32", "float32"]
    assert list(part.frame) == ["f__c", "f__x", "f__is"]
    assert part.frame["f__c"].isna().sum() == 100
    assert part.labels.sum() == 167


def test_a_sample_is_the_same_every_time_and_holds_whole_rows(
    table: Path, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    among = tmp_path / "among.parquet"
    con.execute(f"copy (select range as SK_ID_CURR from range(100, 300)) to '{among}' (format parquet)")
    first = sample_part(con, table, READ, rows=50, seed=1, among=among)
    again = sample_part(con, table, READ, rows=50, seed=1, among=among)
    other = sample_part(con, table, READ, rows=50, seed=2, among=among)
    assert len(first) == 50
    assert set(first.ids) <= set(range(100, 300))
    assert first.ids.tolist() == again.ids.tolist() != other.ids.tolist()
    whole = read_part(table, READ)
    assert np.array_equal(first.frame["f__x"], whole.frame["f__x"].iloc[first.ids])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((ModelInput("f__missing", "f", "numeric"),), "f__missing"),
        ((ModelInput("f__x", "f", "category"),), "f__x is declared a category"),
        ((ModelInput("f__c", "f", "numeric"),), "f__c is declared numeric"),
    ],
)
def test_a_table_that_is_not_as_declared_is_refused_by_column(
    table: Path, inputs: tuple[ModelInput, ...], words: str
) -> None:
    with pytest.raises(EncodingError, match=words):
        read_part(table, inputs)
