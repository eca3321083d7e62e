"""The area under the ROC curve with its uncertainty, by DeLong's method.

What belongs here: AUCs, their covariance, the interval of one and of the difference of two on the same applicants. What
does not: other figures (`evaluation`), differences of other figures (`comparison`).

References
----------
DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44; the fast form by midranks: Sun, Xu (2014), IEEE Signal Processing
Letters 21.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedAucs:
    """The AUCs of two scores on the same applicants, and the standard error of the first minus the second."""

    first: float
    second: float
    standard_error: float

    def difference(self, level: float = LEVEL) -> Interval:
        """Return the first AUC minus the second, with its interval."""
        return _interval(self.first - self.second, self.standard_error**2, level, -1.0, 1.0)

    @property
    def p_value(self) -> float:
        """Of the two-sided test that both are equal; scores that rank alike differ in nothing and have 1."""
        if self.standard_error == 0:
            return float(self.first == self.second)
        return float(2 * scipy.stats.norm.sf(abs(self.first - self.second) / self.standard_error))


def auc_interval(target: NDArray[np.int64], score: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Estimate the AUC.

    Parameters
    ----------
    target : (n,)
        1 for a default, 0 otherwise; both must occur.
    score : (n,)
        Higher is riskier.

    Examples
    --------
    >>> auc_interval(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])).value
    0.75
    """
    (auc,), covariance = _delong(target, score[None, :])
    return _interval(float(auc), float(covariance[0, 0]), level, 0.0, 1.0)


def auc_difference(
    target: NDArray[np.int64], first: NDArray[np.float64], second: NDArray[np.float64], level: float = LEVEL
) -> Interval:
    """Estimate the AUC of the first score minus that of the second, both on the same applicants."""
    return paired_aucs(target, first, second).difference(level)


def paired_aucs(target: NDArray[np.int64], first: NDArray[np.float64], second: NDArray[np.float64]) -> PairedAucs:
    """Estimate the AUCs of two scores on the same applicants.

    Parameters
    ----------
    target : (n,)
        1 for a default, 0 otherwise; both must occur.
    first, second : (n,)
        Higher is riskier. Only the order of each counts, so a margin may be compared with a PD.

    Raises
    ------
    ValueError
        One class only, or a score is NaN.
    """
    (a, b), covariance = _delong(target, np.vstack([first, second]))
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return PairedAucs(float(a), float(b), max(variance, 0.0) ** 0.5)


def _interval(value: float, variance: float, level: float, floor: float, ceiling: float) -> Interval:
    reach = float(scipy.stats.norm.ppf(0.5 + level / 2)) * max(variance, 0.0) ** 0.5
    return Interval(value, max(floor, value - reach), min(ceiling, value + reach))


def _delong(target: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the AUC of each row of scores and their covariance matrix."""
    if np.isnan(scores).any():
        raise ValueError("a score is NaN, and ranks nowhere; the model is broken")
    bad, good = scores[:, target == 1], scores[:, target == 0]
    m, n = bad.shape[1], good.shape[1]
    if m == 0 or n == 0:
        raise ValueError("an AUC needs defaults and non-defaults; the part evaluated has one class")
    among_bad = np.vstack([scipy.stats.rankdata(row) for row in bad])
    among_good = np.vstack([scipy.stats.rankdata(row) for row in good])
    among_all = np.vstack([scipy.stats.rankdata(np.concatenate(pair)) for pair in zip(bad, good, strict=True)])
    over_good = (among_all[:, :m] - among_bad) / n  # of each default: the share of non-defaults it outranks
    under_bad = 1 - (among_all[:, m:] - among_good) / m
    covariance = _covariance(over_good) / m + _covariance(under_bad) / n
    return over_good.mean(axis=1), covariance


def _covariance(components: NDArray[np.float64]) -> NDArray[np.float64]:
    if components.shape[1] < 2:
        return np.zeros((len(components), len(components)))
    return np.atleast_2d(np.cov(components))
