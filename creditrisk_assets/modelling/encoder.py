"""Turning a table of features into the model's matrix, as a scikit-learn estimator.

What belongs here: the encoder. What does not: what follows it (`pipeline`), encoding without scikit-learn when scoring (`bundle`).

Importing scikit-learn takes seconds, so this module is imported where something is fitted: not by what only names assets.
"""

# ruff: noqa: N803 - X is scikit-learn's name for the matrix, and its tools pass it by name

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from creditrisk_assets.modelling.bundle import FLOAT32_LIMIT, EncodingError
from creditrisk_assets.modelling.pipeline import Matrix


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
