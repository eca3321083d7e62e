"""The served calibrator: one strictly increasing map from a model's margin to a PD.

What belongs here: the map, its JSON, the shift that undoes a rebalancing. What does not: fitting it
(`calibration_fitting`), whether PDs are true (`calibration_tests`). The scoring service imports this module, so it
depends on numpy alone, and one and many margins go through the same lines: the same bits.

A margin m is a log-odds, q = sigmoid(m) the PD the model would give by itself. Beta calibration is

    logit PD = a ln q − b ln(1 − q) + c = a min(m, 0) + b max(m, 0) + (b − a) ln(1 + exp(−|m|)) + c

and with a = b = s it is the sigmoid s m + c of Platt, so both are this one map with positive slopes a and b.

Notes
-----
What "strictly increasing" can mean in doubles: of four doubles only one lies between 0 and 1, so neighbours must share
PDs somewhere. What holds here, over every finite double:

- never decreasing, bit for bit. Margins are first rounded to a grid of 2^-38, whose steps move the log-odds by more than
  exp and log can err; beyond |m| = 40, where these are lost in rounding, and in the tails only operations are left that
  IEEE 754 rounds correctly, and those keep order;
- strictly increasing between margins that differ by `RESOLUTION`, as long as the log-odds lie within ±16 (one applicant
  in nine million); beyond, by `TAIL_RESOLUTION` of the larger one or of 1;
- never 0 or 1. Beyond ±16 the tails flatten (as the 4096th root) but do not end: the largest double still has a PD of
  its own, below 1.

References
----------
Platt (1999), Probabilistic outputs for support vector machines; Kull, Silva Filho, Flach (2017), Beyond sigmoids, EJS
11(2). The shift: King, Zeng (2001), Logistic regression in rare events data, Political Analysis 9(2), eq. 7; the same
on probabilities: Elkan (2001), The foundations of cost-sensitive learning, IJCAI, theorem 2.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["intercept", "sigmoid", "beta"]

SMALLEST_SLOPE, LARGEST_SLOPE = 2.0**-4, 2.0**4
LARGEST_SHIFT = 50.0  # of intercept and prior shift: odds of e^50
KNEE = 16.0  # log-odds where the tails begin
TAIL_ROOTS = 12  # square roots of square roots: the 4096th root
GRID = 2.0**38
GRID_ENDS = 2.0**14  # beyond, doubles are that far apart by themselves
RESOLUTION, TAIL_RESOLUTION = 1e-6, 1e-3


class CalibrationError(ValueError):
    """Margins cannot be calibrated, or a calibrator is not one; the message says why."""


@dataclass(frozen=True)
class Calibrator:
    """The map with its numbers. Immutable, safe to share between threads.

    Parameters
    ----------
    kind
        How it was fitted: `intercept` (slopes 1), `sigmoid` (equal slopes) or `beta`.
    low_slope, high_slope
        a and b: how fast the log-odds rise with margins far below and far above 0.
    intercept
        c.
    prior_shift
        Added to the margin first: undoes a rebalancing (`prior_shift`).

    Raises
    ------
    CalibrationError
        A number is NaN or out of range, or the slopes are not those of the kind.

    Examples
    --------
    >>> Calibrator("sigmoid", 1.0, 1.0, 0.0).pd(0.0)
    0.5
    """

    kind: Kind
    low_slope: float
    high_slope: float
    intercept: float
    prior_shift: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise CalibrationError(f"a calibrator is one of {', '.join(get_args(Kind))}, not {self.kind!r}")
        for name in ("low_slope", "high_slope"):
            if not SMALLEST_SLOPE <= getattr(self, name) <= LARGEST_SLOPE:
                raise CalibrationError(
                    f"{name} of a calibrator lies between {SMALLEST_SLOPE} and {LARGEST_SLOPE}, or PDs would not rise"
                    f" with margins; it is {getattr(self, name)}"
                )
        for name in ("intercept", "prior_shift"):
            if not abs(getattr(self, name)) <= LARGEST_SHIFT:
                raise CalibrationError(
                    f"{name} of a calibrator lies within ±{LARGEST_SHIFT}, not {getattr(self, name)}"
                )
        equal = self.low_slope == self.high_slope
        if (self.kind != "beta" and not equal) or (self.kind == "intercept" and self.low_slope != 1):
            raise CalibrationError(f"slopes {self.low_slope} and {self.high_slope} are not those of kind {self.kind}")

    def log_odds(self, margin: float) -> float:
        """Compute the calibrated log-odds of a default, what points are made of; within ±19.1.

        Raises
        ------
        CalibrationError
            The margin is NaN or infinite: the score is broken.
        """
        if not math.isfinite(margin):
            raise CalibrationError("a margin is NaN or infinite; the score is broken, so no PD was made of it")
        m = margin + self.prior_shift
        if -GRID_ENDS < m < GRID_ENDS:
            m = round(m * GRID) / GRID
        a, b = self.low_slope / KNEE, self.high_slope / KNEE  # at most 1: nothing overflows
        bend = (b - a) * math.log1p(math.exp(-abs(m)))
        knees = a * min(m, 0.0) + b * max(m, 0.0) + bend + self.intercept / KNEE
        if -1 <= knees <= 1:
            return KNEE * knees
        root = abs(knees)
        for _ in range(TAIL_ROOTS):
            root = math.sqrt(root)
        return math.copysign(KNEE * root, knees)

    def pd(self, margin: float) -> float:
        """Compute the PD of one margin, strictly between 0 and 1; raises as `log_odds`."""
        return probability(self.log_odds(margin))

    def pds(self, margins: Iterable[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the PD of each margin, (n,), bit for bit those of `pd`."""
        return np.array(
            [self.pd(margin) for margin in np.asarray(margins, dtype=np.float64).tolist()], dtype=np.float64
        )

    def to_json(self) -> str:
        """Render for the bundle; `from_json` gives an equal calibrator, to the last bit."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        CalibrationError
            It is not that.
        """
        try:
            content = json.loads(text)
            kind = content.pop("kind")
            return cls(kind, **{name: float(value) for name, value in content.items()})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CalibrationError(f"this is not a calibrator: {error}") from error


def uncalibrated(shift: float = 0.0) -> Calibrator:
    """Make the map that leaves margins as they are, or takes a rebalancing back and no more."""
    return Calibrator("intercept", 1.0, 1.0, 0.0, shift)


def probability(log_odds: float) -> float:
    """Turn log-odds into a probability without overflow."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1 + odds)


def prior_shift(population_rate: float, fitted_rate: float) -> float:
    """Compute what to add to margins of a model fitted on rebalanced applicants.

    Keeping all defaults and a part of the others (or copying, making up or weighting defaults) multiplies the odds of
    every applicant by one number, whatever the features: the case-control result. The shift takes it back; it is
    logit(population rate) − logit(fitted rate). SMOTE moves defaults too, so for it the shift is a first step and the
    calibration on out-of-fold margins the second.

    Parameters
    ----------
    population_rate
        Default rate of the applicants before rebalancing.
    fitted_rate
        Default rate, by weight, of what the model was fitted on.

    Raises
    ------
    CalibrationError
        A rate is not strictly between 0 and 1.

    Examples
    --------
    >>> round(prior_shift(0.08, 0.5), 3)
    -2.442
    """
    for words, rate in (("population", population_rate), ("fitted", fitted_rate)):
        if not 0 < rate < 1:
            raise CalibrationError(f"the {words} default rate must lie strictly between 0 and 1, not {rate}")
    return math.log(population_rate / (1 - population_rate)) - math.log(fitted_rate / (1 - fitted_rate))
