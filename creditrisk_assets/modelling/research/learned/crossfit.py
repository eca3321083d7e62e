"""Cross-fitting by applicant: no applicant's training value is made with that applicant's own outcome.

What belongs here: who is left out when, the checks every fitted feature makes, numbers of a data frame. What does not: what is
learned (a module per kind beside this one).

`fit_transform` and `fit` then `transform` differ, as with scikit-learn's `TargetEncoder`: the first gives each training applicant a value
by a map learned from the applicants of the other folds, the second gives anybody else a value by the map learned from all of them. Folds
follow from a hash of the id alone. Folds with equal shares of each outcome, as `folds.make_folds` makes, would let an applicant's outcome
decide who is left out together with it, and so leak a little of it into its own value. What folds without equal shares cost, a default
rate that differs from fold to fold, is taken off again: values are differences from the rate of the rows they were learned from.
"""

# ruff: noqa: N803 - X is scikit-learn's name for the rows, and its tools pass it by name

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from creditrisk_assets.modelling.folds import assign_folds

Ids = NDArray[np.int64]
Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]


class LearnedError(ValueError):
    """A feature cannot be learned from these rows; the message says why and what to do."""


class Rows(Protocol):
    """What a feature is learned from, applicant by applicant: a data frame, or the rows they have in a table."""

    def __len__(self) -> int:
        """Return the number of applicants."""
        ...

    def take(self, rows: Any, /) -> Any:
        """Return some of the applicants, in the order given."""
        ...


class CrossFitted(TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """A transformer whose training values are made by maps that have not seen the applicant.

    A kind says what it learns (`_learn`), what it makes of it (`_apply`), how the columns are called (`get_feature_names_out`), and has the
    parameters `folds` and `seed`. Rows are put in the order of the ids before anything is learned, so the order given changes no value.

    Attributes
    ----------
    learned_
        The map learned from all rows.
    """

    learns_from_target: ClassVar[bool] = True

    folds: int
    seed: int

    def fit(self, X: Rows, y: Outcomes, *, ids: Ids) -> Self:
        """Learn from all rows.

        Parameters
        ----------
        X : (n, …)
            One row per applicant.
        y : (n,)
            1 for a default, 0 otherwise.
        ids : (n,)
            The applicants, each once.

        Raises
        ------
        LearnedError
            Lengths differ, an applicant occurs twice, there are fewer applicants than folds, an outcome is neither 0 nor 1 or the only one
            of its kind outside a fold, or a number is infinite.
        """
        y, ids = np.asarray(y), np.asarray(ids)
        self._check(X, y, ids)
        order = np.argsort(ids)
        self.learned_ = self._learn(X.take(order), y[order])
        return self

    def fit_transform(self, X: Rows, y: Outcomes, *, ids: Ids) -> Numbers:
        """Learn from all rows, and return values of the same rows out of fold; arguments and errors as of `fit`.

        Returns
        -------
        ndarray
            (n, columns), NaN where nothing can be said.
        """
        y, ids = np.asarray(y), np.asarray(ids)
        self.fit(X, y, ids=ids)
        order = np.argsort(ids)
        rows, target = X.take(order), y[order]
        fold = self._fold_of(ids[order])
        values = np.empty((len(ids), len(self.get_feature_names_out())))
        for number in range(self.folds):
            held_out, fitted = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            learned = self._learn(rows.take(fitted), target[fitted])
            values[order[held_out]] = self._apply(learned, rows.take(held_out))
        return values

    def transform(self, X: Rows) -> Numbers:
        """Return values of applicants that were not fitted on; one applicant's do not depend on the others given.

        Returns
        -------
        ndarray
            (n, columns), NaN where nothing can be said.
        """
        check_is_fitted(self, "learned_")
        return self._apply(self.learned_, X)

    @abstractmethod
    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns."""

    @abstractmethod
    def _learn(self, rows: Any, target: Outcomes) -> Any:
        """Learn a map; the rows are in the order of their ids."""

    @abstractmethod
    def _apply(self, learned: Any, rows: Any) -> Numbers:
        """Make the columns."""

    def _fold_of(self, ids: Ids) -> NDArray[np.int64]:
        """Find each applicant's fold, without a look at the outcomes."""
        return assign_folds(ids, np.zeros_like(ids), self.folds, f"learned/{self.seed}")

    def _check(self, rows: Rows, target: Outcomes, ids: Ids) -> None:
        if not len(rows) == len(target) == len(ids):
            raise LearnedError(f"{len(rows)} rows, {len(target)} outcomes and {len(ids)} ids do not match")
        if len(np.unique(ids)) < len(ids):
            raise LearnedError("an applicant has two rows; features are learned from one row per applicant")
        if len(ids) < self.folds:
            raise LearnedError(f"{len(ids)} applicants are too few for {self.folds} folds; give more, or fewer folds")
        if not self.learns_from_target:
            return
        if not np.isin(target, (0, 1)).all():
            raise LearnedError(
                "an outcome is neither 0 nor 1; features are learned from applicants with a known TARGET"
            )
        fold = self._fold_of(ids)
        for number in range(self.folds):
            rest = target[fold != number]
            if rest.min() == rest.max():
                raise LearnedError(
                    f"without fold {number}, all {len(rest)} applicants have TARGET {rest[0]}; a feature is learned from"
                    " defaults and others, so give more applicants"
                )


def numbers_of(frame: pd.DataFrame) -> Numbers:
    """Return columns of numbers as a matrix, NaN where a value is missing.

    Raises
    ------
    LearnedError
        A column holds infinity or something else than numbers.
    """
    columns = []
    for name in frame:
        try:
            column = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        except (ValueError, TypeError) as error:
            raise LearnedError(f"feature {name} takes numbers; it got another type") from error
        if infinite := int(np.isinf(column).sum()):
            raise LearnedError(f"feature {name} is infinite in {infinite} rows; mend its SQL (a division by zero?)")
        columns.append(column)
    return np.column_stack(columns)
