"""The scikit-learn pipeline: encoding, optional resampling, LightGBM.

What belongs here: estimators and how they are put together. What does not: which rows and how many trees (`training`),
values of hyper-parameters (`configuration`). Everything learned is learned here, from the rows given to `fit`.
"""

# ruff: noqa: N803 - X is scikit-learn's name for the matrix, and its tools pass it by name

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from creditrisk_assets.modelling.bundle import FLOAT32_LIMIT, EncodingError
from creditrisk_assets.modelling.configuration import ModelConfig

Matrix = NDArray[np.float32]
BALANCED = 0.5  # share of the defaults in the weight of all rows, where classes are weighted


class ApplicantEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Turn a table of features into a float32 matrix.

    Categories become the place of their name in the order of frequency in the training rows, most frequent first, ties
    by name: a numeric code, because exact attributions fail on native categorical splits, and one that never looks at
    the target. A category that no training row has, and NULL, become NaN, which LightGBM handles natively. Numbers are
    rounded to float32.

    Attributes
    ----------
    categories_ : dict
        Column -> its categories, in order of code.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of str
        Their names, if `fit` was given a data frame.

    Examples
    --------
    >>> table = pd.DataFrame({"income": [1.0, None, 3.0], "kind": ["b", "a", "b"]})
    >>> ApplicantEncoder().fit(table).transform(pd.DataFrame({"income": [2.0], "kind": ["a"]})).tolist()
    [[2.0, 1.0]]
    """

    def fit(self, X: pd.DataFrame | ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the categories.

        Parameters
        ----------
        X : (n, features)
            A data frame of numbers, booleans and text, or a numeric array.
        y
            Ignored.
        """
        columns = self._columns(X, reset=True)
        self.categories_: dict[Any, tuple[str, ...]] = {}
        if isinstance(columns, pd.DataFrame):
            for name in columns:
                if _is_text(columns[name]):
                    counts = columns[name].value_counts(sort=False)
                    seen = [(-int(count), str(value)) for value, count in counts.items() if count]
                    self.categories_[name] = tuple(value for _, value in sorted(seen))
        return self

    def transform(self, X: pd.DataFrame | ArrayLike) -> Matrix:
        """Encode rows.

        Returns
        -------
        ndarray
            (n, features) float32, one column after another in memory.

        Raises
        ------
        EncodingError
            A number is infinite, or a column of numbers holds something else.
        """
        check_is_fitted(self, "categories_")
        columns = self._columns(X, reset=False)
        if not isinstance(columns, pd.DataFrame):
            return _rounded(columns, "the matrix")
        out = np.empty(columns.shape, dtype=np.float32, order="F")
        for place, name in enumerate(columns):
            if name in self.categories_:
                out[:, place] = _codes(columns[name], self.categories_[name])
            else:
                out[:, place] = _numbers(columns[name])
        return out

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Return the names of the matrix's columns: those of the input."""
        check_is_fitted(self, "categories_")
        names = getattr(self, "feature_names_in_", None) if input_features is None else input_features
        return np.asarray([f"x{i}" for i in range(self.n_features_in_)] if names is None else names, dtype=object)

    def _columns(self, X: Any, *, reset: bool) -> Any:
        """Check names and number of columns; a data frame is not converted (a mixed one would become objects)."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if X.shape[0] == 0 or X.shape[1] == 0:
                shape = f"{X.shape[0]} sample(s) and {X.shape[1]} feature(s)"
                raise ValueError(f"Found array with {shape} while a minimum of 1 is required.")
            return X
        array = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", estimator=self, input_name="X")
        validate_data(self, X, reset=reset, skip_check_array=True)
        return array

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def build_pipeline(config: ModelConfig, *, trees: int, threads: int, monotone: Sequence[int] = ()) -> Any:
    """Put the steps together: `encode`, resampling if configured, `classify`.

    Parameters
    ----------
    config
        Hyper-parameters.
    trees, threads
        Number of trees; threads of the fit (the model does not depend on them).
    monotone
        Sign of each column's constraint; none: no column has one.
    """
    from imblearn.pipeline import Pipeline  # noqa: PLC0415 - seconds of imports, for training alone

    steps = [("encode", ApplicantEncoder()), *resampling_steps(config)]
    return Pipeline([*steps, ("classify", classifier(config, trees, threads, monotone))])


def classifier(config: ModelConfig, trees: int, threads: int, monotone: Sequence[int] = ()) -> Any:
    """Make LightGBM's classifier, fixed so that two fits give one model."""
    from lightgbm import LGBMClassifier  # noqa: PLC0415 - seconds of imports, for training alone

    return LGBMClassifier(
        objective="binary",
        n_estimators=trees,
        random_state=config.seed,
        n_jobs=threads,
        deterministic=True,
        force_col_wise=True,  # each tree looks at a part of the inputs: half the time of row-wise, the same model
        verbosity=-1,
        monotone_constraints=list(monotone) if any(monotone) else None,
        class_weight="balanced" if config.resampling.method == "weighted" else None,
        **config.lightgbm.model_dump(),
    )


def resampling_steps(config: ModelConfig) -> list[tuple[str, Any]]:
    """Make the resampling steps; imbalanced-learn applies them in `fit` alone."""
    chosen = config.resampling
    if chosen.method in {"none", "weighted"}:
        return []
    from imblearn import FunctionSampler  # noqa: PLC0415 - only where configured

    steps: list[tuple[str, Any]] = []
    if chosen.method in {"smote", "smote_undersample"}:
        settings = {"share": chosen.smote_share, "neighbours": chosen.neighbours, "seed": config.seed}
        steps.append(("oversample", FunctionSampler(func=oversample, kw_args=settings, validate=False)))
    if chosen.method in {"undersample", "smote_undersample"}:
        settings = {"share": chosen.minority_share, "seed": config.seed}
        steps.append(("undersample", FunctionSampler(func=undersample, kw_args=settings, validate=False)))
    return steps


def resampled_rate(rate: float, config: ModelConfig) -> float:
    """Compute the default rate, by weight, of the rows the classifier is fitted on, given that of the rows before resampling."""
    chosen = config.resampling
    if chosen.method == "weighted":
        return BALANCED
    if chosen.method in {"smote", "smote_undersample"}:
        rate = max(rate, chosen.smote_share)
    if chosen.method in {"undersample", "smote_undersample"}:
        rate = max(rate, chosen.minority_share)
    return rate


def oversample(
    X: Matrix, y: NDArray[np.int64], *, share: float, neighbours: int, seed: int
) -> tuple[Matrix, NDArray[np.int64]]:
    """Add synthetic defaults by SMOTE until they are a share of the rows; if they are already, add none.

    SMOTE needs complete rows, so medians stand in while neighbours are sought. The real rows keep their missing values:
    the model still learns from them natively, and needs no imputation to score.
    """
    from imblearn.over_sampling import SMOTE  # noqa: PLC0415 - only where configured
    from sklearn.impute import SimpleImputer  # noqa: PLC0415

    if y.mean() >= share:
        return X, y
    complete = SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(X)
    near = min(neighbours, int(y.sum()) - 1)
    sampler = SMOTE(sampling_strategy=share / (1 - share), k_neighbors=near, random_state=seed)
    grown, labels = sampler.fit_resample(complete, y)
    return np.vstack([X, grown[len(X) :].astype(np.float32)]), labels


def undersample(X: Matrix, y: NDArray[np.int64], *, share: float, seed: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Drop non-defaults at random until defaults are a share of the rows; if they are already, drop none."""
    from imblearn.under_sampling import RandomUnderSampler  # noqa: PLC0415 - only where configured

    if y.mean() >= share:
        return X, y
    sampler = RandomUnderSampler(sampling_strategy=share / (1 - share), random_state=seed)
    kept, labels = sampler.fit_resample(X, y)
    return kept, labels


def _is_text(column: "pd.Series[Any]") -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    return not pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def _codes(column: "pd.Series[Any]", categories: tuple[str, ...]) -> Matrix:
    codes = {name: np.float32(code) for code, name in enumerate(categories)}
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    table = np.array([*(codes.get(str(name), np.nan) for name in column.cat.categories), np.nan], dtype=np.float32)
    return np.asarray(table[column.cat.codes.to_numpy()], dtype=np.float32)  # NULL has code -1: the last entry


def _numbers(column: "pd.Series[Any]") -> Matrix:
    if column.dtype == np.float32:
        values: NDArray[Any] = column.to_numpy()
    else:
        try:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        except (ValueError, TypeError) as error:
            raise EncodingError(f"feature {column.name} takes numbers; it got another type") from error
    return _rounded(values, f"feature {column.name}")


def _rounded(values: NDArray[Any], what: str) -> Matrix:
    if infinite := int(np.isinf(values).sum()):
        raise EncodingError(f"{what} holds infinity in {infinite} places; mend its SQL (a division by zero?)")
    if values.dtype == np.float32:
        return values
    rounded: Matrix = np.clip(values, -FLOAT32_LIMIT, FLOAT32_LIMIT).astype(np.float32)
    return rounded
