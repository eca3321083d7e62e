"""What external scores are predicted from, and where they are not."""

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.modelling.research.learned.scores import PredictedScores

SMALL = {"trees": 30, "rows_per_leaf": 20}


def draw(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    income = random.normal(size=rows)
    score = np.where(random.random(rows) < 0.3, np.nan, 0.5 + 0.1 * income + 0.01 * random.normal(size=rows))
    return pd.DataFrame({"a__score": score, "a__income": income, "a__empty": np.full(rows, np.nan)})


def test_the_residual_is_the_score_less_its_prediction_and_unknown_with_it() -> None:
    frame = draw(1500)
    transformer = PredictedScores({"a__score": ("a__income", "a__empty")}, **SMALL)
    predicted, residual = transformer.fit_transform(frame, np.zeros(1500, np.int64), ids=np.arange(1500)).T
    assert list(transformer.get_feature_names_out()) == ["score_predicted", "score_residual"]
    known = frame["a__score"].notna().to_numpy()
    assert np.isfinite(predicted).all()
    assert np.isnan(residual[~known]).all()
    assert residual[known] == pytest.approx((frame["a__score"] - predicted)[known])
    assert np.corrcoef(predicted, frame["a__income"])[0, 1] > 0.9


def test_residuals_out_of_fold_are_as_large_as_those_of_new_rows() -> None:
    """Residuals of fitted rows would be smaller, and a model that learned from them would be surprised by new ones."""
    frame = draw(1500).assign(a__noise=np.random.default_rng(1).normal(size=1500))
    frame["a__score"] = np.random.default_rng(2).normal(size=1500)
    transformer = PredictedScores({"a__score": ("a__income", "a__noise")}, trees=60, rows_per_leaf=5)
    out_of_fold = transformer.fit_transform(frame, np.zeros(1500, np.int64), ids=np.arange(1500))[:, 1]
    assert out_of_fold.std() > 1.05 * transformer.transform(frame)[:, 1].std()


def test_a_score_known_for_too_few_is_not_predicted() -> None:
    frame = draw(200)
    frame.loc[30:, "a__score"] = np.nan
    values = PredictedScores({"a__score": ("a__income",)}, **SMALL).fit_transform(
        frame, np.zeros(200, np.int64), ids=np.arange(200)
    )
    assert np.isnan(values).all()
