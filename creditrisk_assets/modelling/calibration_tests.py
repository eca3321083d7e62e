"""Whether PDs are true: calibration figures with standard errors, and tests of default rates by grade and segment.

What belongs here: figures and tests of PDs against outcomes, each test adjusted for how many there are. What does not:
making PDs true (`calibration_fitting`), separation (`auc`, `evaluation`), how much is tolerated (the policy).

Three families of tests are adjusted by Holm's method, each on its own: grades; segments; grades within segments.

References
----------
Cox (1958), Two further applications of a model for binary regression (slope and intercept). Jeffreys test: ECB (2019),
Instructions for reporting the validation results of internal models, 2.5.3.1. Holm (1979), Scandinavian Journal of
Statistics 6.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from creditrisk_assets.modelling.auc import LEVEL

CALIBRATION_GROUPS = 20
SMALLEST_PD = 1e-9  # keeps logits finite
UNKNOWN = "unknown"  # the segment of applicants whose value is missing

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A fitted number with its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class CalibrationFigures:
    """Calibration of all applicants (segment None) or of one segment."""

    segment: str | None
    value: str | None
    applicants: int
    defaults: int
    mean_pd: float
    default_rate: float
    brier: float
    expected_calibration_error: float
    slope: Estimate | None  # 1 is right; None: one outcome, equal PDs, or PDs that separate the outcomes
    intercept: (
        Estimate | None
    )  # at slope 1, on the logit scale: 0 is right, above it PDs are too low; None: one outcome
    recalibration_p: float | None  # of slope 1 and intercept 0 together (likelihood ratio, 2 degrees of freedom)


@dataclass(frozen=True)
class RateTest:
    """Default rate of a group against its mean PD. `segment` None: all applicants; `grade` None: all grades.

    The binomial test is exact and two-sided. The Jeffreys test is the supervisors': small when PDs are too low, and large,
    up to 1, when they are prudent. Both take every PD of the group for its mean, which errs on the side of no finding.
    """

    segment: str | None
    value: str | None
    grade: str | None
    applicants: int
    defaults: int
    mean_pd: float
    default_rate: float
    default_rate_low: float  # Jeffreys interval
    default_rate_high: float
    binomial_p: float
    jeffreys_p: float
    binomial_adjusted: float = 1.0  # by Holm, within the family
    jeffreys_adjusted: float = 1.0


@dataclass(frozen=True)
class CalibrationReport:
    """Everything measured: figures of all applicants first, then of each segment; tests in the same order."""

    figures: tuple[CalibrationFigures, ...]
    tests: tuple[RateTest, ...]

    def rejected(self, significance: float = 1 - LEVEL) -> tuple[RateTest, ...]:
        """Return the groups whose mean PD and default rate do not agree, after adjustment."""
        return tuple(test for test in self.tests if test.binomial_adjusted < significance)

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return asdict(self)


def calibration_report(
    target: Outcomes,
    pds: Numbers,
    grades: Sequence[str] | NDArray[Any],
    segments: Mapping[str, Sequence[Any] | NDArray[Any]] | None = None,
) -> CalibrationReport:
    """Measure and test PDs against outcomes.

    Parameters
    ----------
    target : (n,)
        1 for a default, 0 otherwise.
    pds : (n,)
        PDs in [0, 1].
    grades : (n,)
        The grade of each applicant.
    segments
        Name of a segmentation -> (n,) the value of each applicant; None or NaN where unknown.

    Returns
    -------
    CalibrationReport
        Groups that hold nobody are not in it.

    Raises
    ------
    ValueError
        Lengths differ, nobody is there, an outcome is neither 0 nor 1, or a PD is none.
    """
    _check(target, pds, {"grades": grades, **(segments or {})})
    names = np.asarray(grades, dtype=str)
    parts = [(name, value, rows) for name, column in (segments or {}).items() for value, rows in _values(column)]
    everybody = np.arange(len(target))
    figures = [
        calibration_figures(target[rows], pds[rows], segment=name, value=value)
        for name, value, rows in [(None, None, everybody), *parts]
    ]
    families = [
        list(_grade_tests(target, pds, names, None, None, everybody)),
        [rate_test(target[rows], pds[rows], segment=name, value=value) for name, value, rows in parts],
        [test for part in parts for test in _grade_tests(target, pds, names, *part)],
    ]
    return CalibrationReport(tuple(figures), tuple(test for family in families for test in _adjusted(family)))


def calibration_figures(
    target: Outcomes, pds: Numbers, *, segment: str | None = None, value: str | None = None
) -> CalibrationFigures:
    """Measure the calibration of some applicants; PDs below 1e-9 from 0 or 1 count as that for the logits."""
    log_odds = scipy.special.logit(np.clip(pds, SMALLEST_PD, 1 - SMALLEST_PD))
    slope, p_value = _recalibrate(target, log_odds)
    return CalibrationFigures(
        segment=segment,
        value=value,
        applicants=len(target),
        defaults=int(target.sum()),
        mean_pd=float(pds.mean()),
        default_rate=float(target.mean()),
        brier=float(np.mean((pds - target) ** 2)),
        expected_calibration_error=expected_calibration_error(target, pds),
        slope=slope,
        intercept=_intercept(target, log_odds),
        recalibration_p=p_value,
    )


def expected_calibration_error(target: Outcomes, pds: Numbers, groups: int = CALIBRATION_GROUPS) -> float:
    """Average the gap between mean PD and default rate over groups of neighbouring PDs of equal size.

    Applicants with equal PDs share their outcomes, so the order of the rows does not matter.
    """
    _, place = np.unique(pds, return_inverse=True)
    shared = (np.bincount(place, target) / np.bincount(place))[place]
    order = np.argsort(pds, kind="stable")
    parts = np.array_split(order, min(groups, len(order)))
    return float(sum(abs(np.sum(pds[part] - shared[part])) for part in parts) / len(order))


def rate_test(
    target: Outcomes, pds: Numbers, *, segment: str | None = None, value: str | None = None, grade: str | None = None
) -> RateTest:
    """Test the default rate of one group against its mean PD; not adjusted."""
    applicants, defaults, pd = len(target), int(target.sum()), min(1.0, float(pds.mean()))
    posterior = (defaults + 0.5, applicants - defaults + 0.5)  # the Beta distribution of the true rate
    low, high = scipy.special.betaincinv(*posterior, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return RateTest(
        segment=segment,
        value=value,
        grade=grade,
        applicants=applicants,
        defaults=defaults,
        mean_pd=pd,
        default_rate=defaults / applicants,
        default_rate_low=float(low) if defaults else 0.0,
        default_rate_high=float(high) if defaults < applicants else 1.0,
        binomial_p=float(scipy.stats.binomtest(defaults, applicants, pd).pvalue),
        jeffreys_p=float(scipy.special.betainc(*posterior, pd)),
    )


def holm(p_values: ArrayLike) -> Numbers:
    """Adjust p-values for their number: none of a family is rejected by chance oftener than its level says.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return adjusted


def _adjusted(family: Sequence[RateTest]) -> Iterator[RateTest]:
    binomial, jeffreys = holm([test.binomial_p for test in family]), holm([test.jeffreys_p for test in family])
    for test, two_sided, one_sided in zip(family, binomial.tolist(), jeffreys.tolist(), strict=True):
        yield RateTest(**{**vars(test), "binomial_adjusted": two_sided, "jeffreys_adjusted": one_sided})


def _grade_tests(
    target: Outcomes,
    pds: Numbers,
    grades: NDArray[np.str_],
    segment: str | None,
    value: str | None,
    rows: NDArray[np.int64],
) -> Iterator[RateTest]:
    """Test each grade among some applicants, lowest mean PD first."""
    inside = grades[rows]
    parts = {str(grade): rows[inside == grade] for grade in np.unique(inside)}
    for grade in sorted(parts, key=lambda name: (float(pds[parts[name]].mean()), name)):
        yield rate_test(target[parts[grade]], pds[parts[grade]], segment=segment, value=value, grade=grade)


def _values(column: Sequence[Any] | NDArray[Any]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    known = np.array([UNKNOWN if v is None or v != v else str(v) for v in column])  # noqa: PLR0124 - NaN is unequal to itself
    for value in np.unique(known):
        yield str(value), np.flatnonzero(known == value)


def _intercept(target: Outcomes, log_odds: Numbers) -> Estimate | None:
    """Solve for the shift that makes the mean PD the default rate."""
    if len(np.unique(target)) < 2:
        return None
    shift = float(
        scipy.optimize.brentq(lambda a: float(np.sum(scipy.special.expit(log_odds + a) - target)), -60, 60, xtol=1e-12)
    )
    p = scipy.special.expit(log_odds + shift)
    return Estimate(shift, float(np.sum(p * (1 - p)) ** -0.5))


def _recalibrate(target: Outcomes, log_odds: Numbers) -> tuple[Estimate | None, float | None]:
    """Fit outcome ~ logit PD; return the slope, and the p-value of the PDs being right as they are."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - seconds of imports, for fitting alone

    bad, good = log_odds[target == 1], log_odds[target == 0]
    if not len(bad) or not len(good) or np.ptp(log_odds) < SMALLEST_PD:
        return None, None
    if bad.min() >= good.max() or good.min() >= bad.max():
        return None, None
    centred = (log_odds - log_odds.mean())[:, None]
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=200).fit(centred, target)
    slope, base = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    found = slope * centred[:, 0] + base
    weight = scipy.special.expit(found) * scipy.special.expit(-found)
    spread = float(np.sum(weight * (centred[:, 0] - np.average(centred[:, 0], weights=weight)) ** 2))
    gain = 2 * (_log_likelihood(target, found) - _log_likelihood(target, log_odds))
    return Estimate(slope, spread**-0.5), float(scipy.stats.chi2.sf(max(gain, 0.0), 2))


def _log_likelihood(target: Outcomes, log_odds: Numbers) -> float:
    return float(np.sum(target * log_odds - np.logaddexp(0, log_odds)))


def _check(target: Outcomes, pds: Numbers, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
    if not len(target):
        raise ValueError("there are no applicants to measure PDs on")
    for name, column in {"PDs": pds, **columns}.items():
        if len(column) != len(target):
            raise ValueError(f"{len(target)} outcomes and {len(column)} {name} do not match")
    if not np.isin(target, (0, 1)).all():
        raise ValueError("an outcome is neither 0 nor 1")
    if not ((pds >= 0) & (pds <= 1)).all():
        raise ValueError("a PD is NaN or outside [0, 1]; the model is broken")
