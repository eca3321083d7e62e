"""Folds inside the training part: who is held out when, the same for every model and every run.

What belongs here: repeated stratified folds by applicant and the inner ones for early stopping. What does not: the
lockbox (`split`), what is fitted on a fold (`training`).

An applicant's fold follows from a seeded hash of the id, within its outcome: the applicants of one outcome in the order
of their hashes, cut into equal pieces. So the order of the rows changes nothing, every fold has its share of defaults to
rounding, and new applicants move only the borders and the few applicants next to them. Each repeat, and the inner folds
of each fold, hash with a seed of their own.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

FEWEST_PER_FOLD = 5  # of each outcome: with fewer, one applicant moves a fold's figures by a fifth

Ids = NDArray[np.int64]
Rows = NDArray[np.int64]


class FoldError(ValueError):
    """These applicants cannot be divided so; the message says how many it takes."""


class FoldPlan(BaseModel):
    """How the training part is divided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: Annotated[int, Field(ge=2, le=20)]
    repeats: Annotated[int, Field(ge=1, le=50)]
    inner_folds: Annotated[int, Field(ge=2, le=20)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]

    @property
    def fewest_per_outcome(self) -> int:
        """Applicants of each outcome it takes: `FEWEST_PER_FOLD` in every fold, inner ones too.

        Examples
        --------
        >>> FoldPlan(folds=5, repeats=1, inner_folds=5, seed=1).fewest_per_outcome
        32
        """
        inside = FEWEST_PER_FOLD * self.inner_folds  # of what is left when the largest fold is held out
        return max(FEWEST_PER_FOLD * self.folds, math.ceil(inside * self.folds / (self.folds - 1)))


@dataclass(frozen=True)
class Fold:
    """One division: rows to fit on and rows held out, as ascending places in the arrays given."""

    repeat: int
    number: int
    fitted: Rows
    held_out: Rows


def make_folds(ids: Ids, target: NDArray[np.int64], plan: FoldPlan) -> Iterator[Fold]:
    """Divide applicants, repeat after repeat; within one, each is held out once.

    Parameters
    ----------
    ids : (n,)
        One row per applicant.
    target : (n,)
        1 for a default, 0 otherwise.
    plan
        How often and into how many.

    Raises
    ------
    FoldError
        An applicant has two rows, an outcome is neither 0 nor 1, or an outcome has fewer applicants than
        `FoldPlan.fewest_per_outcome`.
    """
    _check(ids, target, plan)
    for repeat in range(plan.repeats):
        yield from _divide(ids, target, plan.folds, repeat, f"{plan.seed}/{repeat}")


def inner_folds(fold: Fold, ids: Ids, target: NDArray[np.int64], plan: FoldPlan) -> Iterator[Fold]:
    """Divide the fitted rows of a fold again: the held-out ones tell when to stop, and nobody of the outer held-out is among them.

    Parameters
    ----------
    fold
        One of `make_folds`.
    ids, target, plan
        As it was made of; the rows returned are places in these arrays too.
    """
    seed = f"{plan.seed}/{fold.repeat}/{fold.number}"
    for inner in _divide(ids[fold.fitted], target[fold.fitted], plan.inner_folds, fold.repeat, seed):
        yield Fold(fold.repeat, inner.number, fold.fitted[inner.fitted], fold.fitted[inner.held_out])


def assign_folds(ids: Ids, target: NDArray[np.int64], folds: int, seed: str) -> NDArray[np.int64]:
    """Give each applicant the number of the fold that holds it out.

    Parameters
    ----------
    ids : (n,)
        One row per applicant.
    target : (n,)
        The folds have equal shares of each value.
    folds
        How many.
    seed
        Another text gives other folds.

    Returns
    -------
    ndarray
        (n,) from 0 to `folds` − 1.

    Examples
    --------
    >>> assign_folds(np.arange(6), np.array([0, 0, 0, 0, 1, 1]), 2, "1").tolist()
    [0, 1, 1, 0, 1, 0]
    """
    draw = np.array([_hash(seed, applicant) for applicant in ids.tolist()], dtype=np.uint64)
    number = np.empty(len(ids), dtype=np.int64)
    for outcome in np.unique(target):
        rows = np.flatnonzero(target == outcome)
        rows = rows[np.lexsort((ids[rows], draw[rows]))]
        number[rows] = np.arange(len(rows)) * folds // len(rows)
    return number


def _divide(ids: Ids, target: NDArray[np.int64], folds: int, repeat: int, seed: str) -> Iterator[Fold]:
    number = assign_folds(ids, target, folds, seed)
    for fold in range(folds):
        yield Fold(repeat, fold, np.flatnonzero(number != fold), np.flatnonzero(number == fold))


def _hash(seed: str, applicant: int) -> int:
    digest = hashlib.blake2b(f"{seed}:{applicant}".encode(), digest_size=8, person=b"folds").digest()
    return int.from_bytes(digest, "big")


def _check(ids: Ids, target: NDArray[np.int64], plan: FoldPlan) -> None:
    if ids.shape != target.shape or ids.ndim != 1:
        raise FoldError(f"{len(ids)} ids and {len(target)} outcomes do not match")
    if twice := len(ids) - len(np.unique(ids)):
        raise FoldError(f"{twice} rows are a second row of their applicant; folds take one row per applicant")
    if not np.isin(target, (0, 1)).all():
        raise FoldError("an outcome is neither 0 nor 1; only applicants with a known TARGET are divided")
    defaults = int(target.sum())
    for words, count in (("defaults", defaults), ("applicants who repaid", len(target) - defaults)):
        if count < plan.fewest_per_outcome:
            raise FoldError(
                f"{count} {words} among {len(target)} applicants are too few for {plan.folds} folds with"
                f" {plan.inner_folds} inner ones: every fold needs {FEWEST_PER_FOLD}, so it takes"
                f" {plan.fewest_per_outcome}; give a larger source or fewer folds"
            )
