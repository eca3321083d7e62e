"""Fitting the served calibrator on out-of-fold margins.

What belongs here: the candidates, their cross-fitted Brier scores, the choice. What does not: the map itself
(`calibration`), tests of the PDs it gives (`calibration_tests`).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from creditrisk_assets.modelling.calibration import (
    LARGEST_SHIFT,
    LARGEST_SLOPE,
    SMALLEST_SLOPE,
    CalibrationError,
    Calibrator,
    Kind,
)

# Defaults (or others, whichever are fewer) it takes in every fitted fold: about ten for each number fitted, doubled
# because the tails, where a beta map differs from a sigmoid, hold few of them.
FEWEST = {"intercept": 2, "sigmoid": 20, "beta": 60}

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Map = Callable[[Numbers], Numbers]  # margins -> PDs
Fit = Callable[[Outcomes, Numbers], Map]


@dataclass(frozen=True)
class CalibrationFit:
    """The calibrator chosen, and what it was chosen by. Brier scores are out of fold twice: margins and maps."""

    calibrator: Calibrator
    reason: str
    applicants: int
    defaults: int
    brier: Mapping[str, float]  # of each kind tried
    brier_uncalibrated: float
    brier_isotonic: float  # a diagnostic: its plateaus would break ranking and explanations, so it is never served
    isotonic_levels: int  # distinct PDs it would give

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return {**asdict(self), "brier": dict(self.brier)}


def fit_calibrator(
    target: Outcomes, margins: Numbers, fold: NDArray[np.int64], *, prior_shift: float = 0.0
) -> CalibrationFit:
    """Fit every kind of map the applicants suffice for, and choose by Brier score out of fold.

    Each map is fitted on the applicants of the other folds and measured on those of one, then the chosen kind is fitted
    on all. Outcomes are smoothed as Platt proposed, so perfect separation still has a finite fit. Slopes are held
    between `SMALLEST_SLOPE` and `LARGEST_SLOPE`; a fit that ends there says so in its reason.

    Parameters
    ----------
    target : (n,)
        1 for a default, 0 otherwise.
    margins : (n,)
        Out-of-fold margins: of models that have not seen the applicant.
    fold : (n,)
        Which fold an applicant is in; at least two.
    prior_shift
        Of `calibration.prior_shift`, if the model was fitted on rebalanced applicants.

    Returns
    -------
    CalibrationFit
        Too few defaults for a sigmoid in some fold: the kind `intercept`, which moves all PDs to the default rate and
        leaves the margins' spread.

    Raises
    ------
    CalibrationError
        Lengths differ, a margin is not finite, all margins are equal, fewer than two folds, or without one of them
        fewer than two defaults or two others are left.
    """
    _check(target, margins, fold)
    scarcest = _scarcest(target, fold)
    tried: list[Kind] = [kind for kind in ("intercept", "sigmoid", "beta") if scarcest >= FEWEST[kind]]
    if len(tried) > 1:
        tried.remove("intercept")
    brier: dict[str, float] = {
        kind: _brier(target, cross_fitted_pds(kind, target, margins, fold, prior_shift=prior_shift)) for kind in tried
    }
    chosen = min(tried, key=lambda kind: (brier[kind], tried.index(kind)))
    calibrator = _fit(chosen, target, margins, prior_shift)
    return CalibrationFit(
        calibrator=calibrator,
        reason=_reason(chosen, tried, scarcest, calibrator),
        applicants=len(target),
        defaults=int(target.sum()),
        brier=brier,
        brier_uncalibrated=_brier(target, scipy.special.expit(margins + prior_shift)),
        brier_isotonic=_brier(target, _cross_fitted(target, margins, fold, _isotonic)),
        isotonic_levels=len(np.unique(_isotonic(target, margins)(margins))),
    )


def cross_fitted_pds(
    kind: Kind, target: Outcomes, margins: Numbers, fold: NDArray[np.int64], *, prior_shift: float = 0.0
) -> Numbers:
    """Compute the PD of each applicant by a map of one kind fitted on the other folds; parameters as in `fit_calibrator`."""
    return _cross_fitted(target, margins, fold, _fit_of(kind, prior_shift))


def _fit(kind: Kind, target: Outcomes, margins: Numbers, prior_shift: float) -> Calibrator:
    """Fit one kind by maximum likelihood on smoothed outcomes, within the bounds of a calibrator."""
    defaults = int(target.sum())
    others = len(target) - defaults
    smooth = np.where(target == 1, (defaults + 1) / (defaults + 2), 1 / (others + 2))
    shifted = margins + prior_shift
    low, high = -np.logaddexp(0, -shifted), np.logaddexp(0, shifted)  # ln q and −ln(1 − q)
    columns = {"intercept": [], "sigmoid": [shifted], "beta": [low, high]}[kind]
    offset = shifted if kind == "intercept" else np.zeros(len(shifted))

    def loss(weights: Numbers) -> tuple[float, Numbers]:
        # Sums, not matrix products: BLAS adds up in an order that depends on its threads.
        log_odds = offset + weights[-1]
        for weight, column in zip(weights[:-1], columns, strict=True):
            log_odds += weight * column
        gap = scipy.special.expit(log_odds) - smooth
        slope = np.array([*(np.mean(column * gap) for column in columns), np.mean(gap)])
        return float(np.mean(np.logaddexp(0, log_odds) - smooth * log_odds)), slope

    lowest = [*[SMALLEST_SLOPE] * len(columns), -LARGEST_SHIFT]
    highest = [*[LARGEST_SLOPE] * len(columns), LARGEST_SHIFT]
    start = [*np.ones(len(columns)), 0.0]
    options = {"maxiter": 1000, "ftol": 1e-16}
    bounds = list(zip(lowest, highest, strict=True))
    ended = scipy.optimize.minimize(loss, start, jac=True, method="SLSQP", bounds=bounds, options=options).x
    found = np.clip(ended, lowest, highest).tolist()  # it may end a rounding beyond
    first, last = (1.0, 1.0) if kind == "intercept" else (found[0], found[-2])
    return Calibrator(kind, first, last, found[-1], prior_shift)


def _fit_of(kind: Kind, prior_shift: float) -> Fit:
    return lambda target, margins: _fit(kind, target, margins, prior_shift).pds


def _isotonic(target: Outcomes, margins: Numbers) -> Map:
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - seconds of imports, for fitting alone

    fitted: Map = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(margins, target).predict
    return fitted


def _cross_fitted(target: Outcomes, margins: Numbers, fold: NDArray[np.int64], fit: Fit) -> Numbers:
    """Predict the applicants of each fold by what was fitted on the others."""
    pds = np.empty(len(target))
    for number in np.unique(fold):
        held_out = fold == number
        pds[held_out] = fit(target[~held_out], margins[~held_out])(margins[held_out])
    return pds


def _brier(target: Outcomes, pds: Numbers) -> float:
    return float(np.mean((pds - target) ** 2))


def _scarcest(target: Outcomes, fold: NDArray[np.int64]) -> int:
    """Count the rarer outcome among what is left without each fold; the smallest of these."""
    left = [target[fold != number] for number in np.unique(fold)]
    return min(min(int(part.sum()), int((1 - part).sum())) for part in left)


def _reason(chosen: Kind, tried: list[Kind], scarcest: int, calibrator: Calibrator) -> str:
    words = f"the better Brier score out of fold of {' and '.join(tried)}" if len(tried) > 1 else f"{chosen} alone"
    if "beta" not in tried:
        needed = FEWEST["sigmoid" if chosen == "intercept" else "beta"]
        words += (
            f": {scarcest} applicants of the rarer outcome in the smallest fitted part are too few for more ({needed})"
        )
    slopes = (calibrator.low_slope, calibrator.high_slope)
    if min(slopes) <= SMALLEST_SLOPE * 1.000001:
        words += f"; a slope is held at {SMALLEST_SLOPE}: there, higher margins do not mean more defaults"
    if max(slopes) >= LARGEST_SLOPE * 0.999999:
        words += f"; a slope is held at {LARGEST_SLOPE}: the margins separate the outcomes almost perfectly"
    return words


def _check(target: Outcomes, margins: Numbers, fold: NDArray[np.int64]) -> None:
    if not target.shape == margins.shape == fold.shape or target.ndim != 1:
        raise CalibrationError(f"{len(target)} outcomes, {len(margins)} margins and {len(fold)} folds do not match")
    if not np.isin(target, (0, 1)).all():
        raise CalibrationError("an outcome is neither 0 nor 1")
    if not np.isfinite(margins).all():
        raise CalibrationError("a margin is NaN or infinite; the model is broken")
    if len(np.unique(fold)) < 2:
        raise CalibrationError("maps are compared on folds that did not make them; it takes two folds at least")
    if (found := _scarcest(target, fold)) < FEWEST["intercept"]:
        raise CalibrationError(
            f"without one of the folds {found} applicants of the rarer outcome are left; a calibrator needs"
            f" {FEWEST['intercept']}, so give a larger source"
        )
    if np.ptp(margins) == 0:
        raise CalibrationError("all margins are equal: the model tells nobody apart, so there is nothing to calibrate")
