"""How production months perform: by the PDs alone until outcomes are known, by outcomes then.

What belongs here: estimates without labels, maturation, realised figures, vintages, backtests by grade, approval by group, and what of it
is a breach. What does not: drift (`drift`), whether to retrain (`retraining`), how figures are shown (`report`).

Before outcomes are known, a PD is taken for what it says: of a hundred applicants with 8 % eight default. Under that, outcomes are drawn,
and the AUC, Brier score and bad rate of the draws are what is to be expected, with an interval (confidence-based estimation). A change of
who applies moves these figures; a change of what defaults does not, which is the method's limit: a concept drift shows in outcomes only.
The error of the calibration, as measured out of fold, is drawn along, so the interval is wider where PDs are less certain.

A month is judged by outcomes only when almost all of them are known. Before that mostly defaults are: a loan's default is seen the day it
happens, and that it was repaid only in the end. Outcomes are of loans that were granted; of the refused nobody learns anything, so
expected figures that stand beside realised ones are of the granted too.

References
----------
Confidence-based performance estimation: Kuberski et al. (2024), arXiv 2407.08649.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from creditrisk_assets.contracts.performance import INSUFFICIENT, LATE, MATURED, MATURING, PENDING
from creditrisk_assets.modelling.auc import LEVEL, Interval, auc_interval
from creditrisk_assets.modelling.calibration_tests import (
    SMALLEST_PD,
    CalibrationFigures,
    calibration_report,
)
from creditrisk_assets.modelling.policy import MonitoringRules
from creditrisk_assets.simulation.months import month_number

ALL, GENDER, AGE, GRADE, ON_BOOK = "all", "gender", "age", "grade", "months_on_book"
AGE_BANDS = ("under 25", "25 to 39", "40 to 61", "62 and over")
AGE_EDGES = (25, 40, 62)
REFUSED, APPROVED = "decline", "approve"
EARLY_MONTHS = 1  # a default so soon tells of fraud or of a loan that should not have been granted
CONCEPT = "concept"
NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})
CELLS = 4_000_000  # of drawn outcomes at once

Numbers = NDArray[np.float64]
Outcomes = NDArray[np.int64]


@dataclass(frozen=True)
class CalibrationError:
    """How far PDs may be from the truth, on the logit scale."""

    intercept: float = 0.0
    slope: float = 0.0

    @classmethod
    def of(cls, figures: CalibrationFigures) -> "CalibrationError":
        """Take what was measured out of fold: the deviation from the ideal and its standard error together."""
        if figures.intercept is None or figures.slope is None:
            return cls()
        return cls(
            float(np.hypot(figures.intercept.value, figures.intercept.standard_error)),
            float(np.hypot(figures.slope.value - 1, figures.slope.standard_error)),
        )


CERTAIN = CalibrationError()


@dataclass(frozen=True)
class Figures:
    """Bad rate, Brier score and AUC with intervals; no AUC where one outcome is all there is."""

    applicants: int
    bad_rate: Interval
    brier: Interval
    auc: Interval | None


@dataclass(frozen=True)
class Breach:
    """A figure that is worse than tolerated, beyond its interval.

    Attributes
    ----------
    explained_by
        What the month's own drift report named, which was told and answered then; empty: nothing that applicants show moved, so what
        defaults is another thing than it was, concept drift.
    """

    month: str
    figure: str
    model_version: str
    words: str
    explained_by: str = ""

    @property
    def evidence(self) -> str:
        """What makes it the same breach at the next look."""
        return f"{self.figure}:{self.month}:{self.model_version}"


@dataclass(frozen=True)
class MonthPerformance:
    """What is known of one month."""

    month: str
    state: str
    applicants: int
    granted: int
    known_share: float
    expected: Figures | None  # of the granted; None: too few
    realised: Figures | None  # None: not known yet, or too few
    breaches: tuple[Breach, ...]

    @property
    def as_expected(self) -> bool | None:
        """Whether the realised AUC lies in the interval of the expected one; None: not known."""
        if self.realised is None or self.expected is None or not (self.realised.auc and self.expected.auc):
            return None
        return self.expected.auc.low <= self.realised.auc.value <= self.expected.auc.high

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return asdict(self) | {"breaches": [asdict(each) for each in self.breaches], "as_expected": self.as_expected}


@dataclass(frozen=True)
class PerformanceReport:
    """All months, in order, and their figures as a table of the contract `performance`."""

    months: tuple[MonthPerformance, ...]
    table: pd.DataFrame

    @property
    def breaches(self) -> tuple[Breach, ...]:
        """Every breach, the oldest month first."""
        return tuple(breach for month in self.months for breach in month.breaches)

    @property
    def late(self) -> tuple[MonthPerformance, ...]:
        """Months that are old enough, whose outcomes were not delivered."""
        return tuple(month for month in self.months if month.state == LATE)

    @property
    def words(self) -> str:
        """Say it in a line."""
        if not self.months:
            return "no month is known"
        matured = [month.month for month in self.months if month.state == MATURED]
        told = f"{len(self.months)} months, outcomes known of {len(matured)}"
        worse = [
            f"{month.month} ({', '.join(breach.figure.replace('_', ' ') for breach in month.breaches)})"
            for month in self.months
            if month.breaches
        ]
        return f"{told}; worse than tolerated: {', '.join(worse) or 'none'}"


def expect(pds: Numbers, rules: MonitoringRules, error: CalibrationError = CERTAIN) -> Figures:
    """Estimate how PDs will perform, before any outcome is known.

    Parameters
    ----------
    pds : (n,)
        Calibrated PDs in [0, 1].
    rules
        Number of draws and their seed.
    error
        How far the PDs may be from the truth.

    Examples
    --------
    >>> found = expect(np.full(1000, 0.1), MonitoringRules())
    >>> round(found.bad_rate.value, 6), round(found.brier.value, 6), round(found.auc.value, 6)
    (0.1, 0.09, 0.5)
    """
    rng = np.random.default_rng(rules.seed)
    ranks, log_odds = scipy.stats.rankdata(pds), scipy.special.logit(np.clip(pds, SMALLEST_PD, 1 - SMALLEST_PD))
    rows = max(1, min(rules.draws, CELLS // max(len(pds), 1)))
    drawn: list[Numbers] = []
    for start in range(0, rules.draws, rows):
        count = min(rows, rules.draws - start)
        slope = 1 + error.slope * rng.standard_normal((count, 1))
        true = scipy.special.expit(slope * log_odds + error.intercept * rng.standard_normal((count, 1)))
        bad = rng.random((count, len(pds))) < true
        squares = np.where(bad, (1 - pds) ** 2, pds**2)
        drawn.append(np.column_stack([bad.mean(axis=1), squares.mean(axis=1), _aucs(bad, ranks)]))
    draws = np.concatenate(drawn)
    auc = _expected_auc(pds, ranks)
    return Figures(
        len(pds),
        _around(float(pds.mean()), draws[:, 0]),
        _around(float(np.mean(pds * (1 - pds))), draws[:, 1]),
        None if auc is None else _around(auc, draws[:, 2]),
    )


def realise(target: Outcomes, pds: Numbers) -> Figures:
    """Measure how PDs performed.

    Parameters
    ----------
    target : (n,)
        1 for a default, 0 otherwise.
    pds : (n,)
        PDs in [0, 1].
    """
    squares = (target - pds) ** 2
    reach = float(scipy.stats.norm.ppf(0.5 + LEVEL / 2) * squares.std() / np.sqrt(len(squares)))
    brier, both = float(squares.mean()), len(np.unique(target)) > 1
    return Figures(
        len(target),
        share_interval(int(target.sum()), len(target)),
        Interval(brier, max(0.0, brier - reach), min(1.0, brier + reach)),
        auc_interval(target, pds) if both else None,
    )


def share_interval(count: int, of: int) -> Interval:
    """Return a share with its Jeffreys interval.

    Examples
    --------
    >>> share_interval(0, 10).low, round(share_interval(5, 10).high, 3)
    (0.0, 0.776)
    """
    low, high = scipy.special.betaincinv(count + 0.5, of - count + 0.5, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(count / of, float(low) if count else 0.0, float(high) if count < of else 1.0)


def maturation(age_months: int, known_share: float, rules: MonitoringRules) -> str:
    """Tell how far the outcomes of a month are known.

    Parameters
    ----------
    age_months
        Months from the applications to the newest delivery.
    known_share
        Of the granted loans, those with an outcome.
    rules
        When a loan is old enough to tell.

    Examples
    --------
    >>> maturation(3, 0.97, MonitoringRules()), maturation(3, 0.5, MonitoringRules()), maturation(1, 0.02, MonitoringRules())
    ('matured', 'late', 'maturing')
    """
    if age_months >= rules.maturity_months:
        return MATURED if known_share >= rules.complete_share else LATE
    return MATURING if known_share > 0 else PENDING


def newest_outcomes(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Keep what was seen last of each applicant: a late or corrected outcome stands in the place of an earlier one."""
    return outcomes.sort_values("OBSERVED_MONTH", kind="stable").drop_duplicates("SK_ID_CURR", keep="last")


def measure_months(
    applications: pd.DataFrame,
    outcomes: pd.DataFrame,
    rules: MonitoringRules,
    *,
    model_auc: float,
    error: CalibrationError = CERTAIN,
    causes: Mapping[str, Sequence[str]] = NOTHING,
) -> PerformanceReport:
    """Measure every month.

    Parameters
    ----------
    applications
        Rows of `monitoring/applications`, of all months.
    outcomes
        Rows of `raw/outcomes`, of all months.
    rules
        What counts, and what is tolerated.
    model_auc
        The model's own on its test part, which months are held against.
    error
        How far PDs may be from the truth.
    causes
        Month -> the kinds of causes its drift report named.
    """
    known = newest_outcomes(outcomes).set_index("SK_ID_CURR")
    frame = applications.join(known[["OUTCOME", "OBSERVED_MONTH"]], on="sk_id_curr")
    delivered = [*applications["application_month"], *outcomes["OBSERVED_MONTH"]]
    now = max((month_number(month) for month in set(delivered)), default=0)
    months, rows = [], []
    for name, each in frame.groupby("application_month", sort=True):
        found = _measure_month(str(name), each, now, rules, model_auc, error, causes.get(str(name), ()))
        months.append(found)
        rows += list(_rows(found, each, now, rules))
    columns = ["application_month", "figure", "segment", "part", "value", "low", "high", "applicants", "state"]
    table = pd.DataFrame(rows, columns=columns)
    numbers = {"value": "float64", "low": "float64", "high": "float64", "applicants": "int64"}
    return PerformanceReport(tuple(months), table.astype(numbers))


def _measure_month(
    month: str,
    frame: pd.DataFrame,
    now: int,
    rules: MonitoringRules,
    model_auc: float,
    error: CalibrationError,
    causes: Sequence[str],
) -> MonthPerformance:
    granted = frame[frame["decision"] != REFUSED]
    known = granted["OUTCOME"].notna()
    share = float(known.mean()) if len(granted) else 0.0
    state = maturation(now - month_number(month), share, rules)
    expected = realised = None
    if len(granted) >= rules.minimum_applicants:
        expected = expect(granted["pd"].to_numpy(), rules, error)
        if state == MATURED:
            realised = realise(
                granted.loc[known, "OUTCOME"].to_numpy(dtype=np.int64), granted.loc[known, "pd"].to_numpy()
            )
    version = str(frame["model_version"].iloc[0])
    explained = " and ".join(kind.replace("_", " ") for kind in causes if kind != CONCEPT)
    breaches = tuple(_breaches(month, version, expected, realised, rules, model_auc, explained))
    return MonthPerformance(month, state, len(frame), len(granted), share, expected, realised, breaches)


def _breaches(
    month: str,
    version: str,
    expected: Figures | None,
    realised: Figures | None,
    rules: MonitoringRules,
    model_auc: float,
    explained: str,
) -> Iterator[Breach]:
    """Name what is worse than tolerated even at the end of its interval that speaks for the model.

    The AUC among granted loans lies below that of all applicants, since the worst were refused: the estimate for the same applicants says
    by how much, so a realised AUC is held against it, and both against the model's own through their gap.
    """
    if realised is None or expected is None or realised.bad_rate.value * realised.applicants < rules.minimum_defaults:
        return
    named = f"{month}, as its {explained} said" if explained else f"{month}, concept drift"
    if realised.auc is not None and expected.auc is not None:
        floor = min(expected.auc.value, model_auc) - rules.tolerated_auc_drop
        if realised.auc.high < floor:
            yield Breach(
                month, "auc", version,
                f"{named}: AUC {realised.auc.value:.3f} (to {realised.auc.high:.3f}), expected {expected.auc.value:.3f}", explained,
            )  # fmt: skip
    ceiling = rules.tolerated_bad_rate_ratio * expected.bad_rate.value
    if realised.bad_rate.low > ceiling:
        yield Breach(
            month, "bad_rate", version,
            f"{named}: bad rate {realised.bad_rate.value:.1%} (from {realised.bad_rate.low:.1%}),"
            f" expected {expected.bad_rate.value:.1%}", explained,
        )  # fmt: skip


Row = tuple[str, str, str, str, float | None, float | None, float | None, int, str]


def _rows(found: MonthPerformance, frame: pd.DataFrame, now: int, rules: MonitoringRules) -> Iterator[Row]:
    def row(figure: str, interval: Interval | None, applicants: int, segment: str = ALL, part: str = ALL) -> Row:
        if interval is None:
            return (found.month, figure, segment, part, None, None, None, applicants, INSUFFICIENT)
        return (
            found.month,
            figure,
            segment,
            part,
            interval.value,
            interval.low,
            interval.high,
            applicants,
            found.state,
        )

    approved = frame["decision"] == APPROVED
    yield row("approval_rate", share_interval(int(approved.sum()), len(frame)), len(frame))
    yield row("mean_pd", _mean(frame["pd"].to_numpy()), len(frame))
    if found.granted:
        yield row("known_share", share_interval(round(found.known_share * found.granted), found.granted), found.granted)
    for name, figures in (("expected", found.expected), ("realised", found.realised)):
        if figures is not None:
            yield row(f"{name}_bad_rate", figures.bad_rate, figures.applicants)
            yield row(f"{name}_brier", figures.brier, figures.applicants)
            yield row(f"{name}_auc", figures.auc, figures.applicants)
    for segment, parts in {GENDER: frame["gender"], AGE: _age_bands(frame["age_years"])}.items():
        for figure, part, interval, applicants in _approval(approved, parts, rules):
            yield row(figure, interval, applicants, segment, part)
    granted = frame[frame["decision"] != REFUSED]
    if found.realised is not None:
        for grade, expected, realised, applicants in _grades(granted[granted["OUTCOME"].notna()]):
            yield row("grade_expected", expected, applicants, GRADE, grade)
            yield row("grade_realised", realised, applicants, GRADE, grade)
    for months, interval in vintage(granted, found.month, now):
        yield row("vintage_bad_rate", interval, len(granted), ON_BOOK, str(months))
        if months == EARLY_MONTHS:
            yield row("early_default_rate", interval, len(granted))


def vintage(granted: pd.DataFrame, month: str, now: int) -> Iterator[tuple[int, Interval]]:
    """Yield the share of a month's loans that had defaulted so many months after the application, as far as months are delivered.

    Parameters
    ----------
    granted
        Loans with OUTCOME and OBSERVED_MONTH where known.
    month
        Of the applications.
    now
        Number of the newest month delivered.
    """
    if granted.empty:
        return
    bad = granted.loc[granted["OUTCOME"] == 1, "OBSERVED_MONTH"]
    first = month_number(month)
    after = np.array([month_number(seen) - first for seen in bad], dtype=np.int64)
    for months in range(1, now - first + 1):
        yield months, share_interval(int((after <= months).sum()), len(granted))


def _grades(granted: pd.DataFrame) -> Iterator[tuple[str, Interval, Interval, int]]:
    target, pds = granted["OUTCOME"].to_numpy(dtype=np.int64), granted["pd"].to_numpy()
    for test in calibration_report(target, pds, granted["band"].to_numpy()).tests:
        if test.grade is not None:
            realised = Interval(test.default_rate, test.default_rate_low, test.default_rate_high)
            yield test.grade, Interval(test.mean_pd, test.mean_pd, test.mean_pd), realised, test.applicants


def _approval(
    approved: "pd.Series[bool]", parts: "pd.Series[Any]", rules: MonitoringRules
) -> Iterator[tuple[str, str, Interval | None, int]]:
    """Yield the approval rate of each part, and its ratio to that of the part approved most; small parts are insufficient."""
    counts = {str(part): (int(rows.sum()), len(rows)) for part, rows in approved.groupby(parts, observed=True)}
    enough = {part: count for part, count in counts.items() if count[1] >= rules.smallest_cell}
    best = max(enough, key=lambda part: enough[part][0] / enough[part][1], default=None)
    for part, (count, size) in counts.items():
        yield "approval_rate", part, share_interval(count, size) if part in enough else None, size
        if part != best:
            ratio = _ratio(enough[part], enough[best]) if best is not None and part in enough else None
            yield "impact_ratio", part, ratio, size


def _ratio(one: tuple[int, int], other: tuple[int, int]) -> Interval | None:
    """Return the ratio of two shares with its interval, by the normal approximation of its logarithm."""
    if not one[0] or not other[0]:
        return None
    value = (one[0] / one[1]) / (other[0] / other[1])
    spread = float(np.sqrt(1 / one[0] - 1 / one[1] + 1 / other[0] - 1 / other[1]))
    reach = float(scipy.stats.norm.ppf(0.5 + LEVEL / 2)) * spread
    return Interval(value, value * float(np.exp(-reach)), value * float(np.exp(reach)))


def _age_bands(years: "pd.Series[float]") -> "pd.Series[Any]":
    edges = [-np.inf, *AGE_EDGES, np.inf]
    return pd.Series(pd.cut(years, edges, right=False, labels=list(AGE_BANDS)), index=years.index)


def _mean(values: Numbers) -> Interval:
    mean = float(values.mean())
    reach = float(scipy.stats.norm.ppf(0.5 + LEVEL / 2) * values.std() / np.sqrt(len(values)))
    return Interval(mean, mean - reach, mean + reach)


def _aucs(bad: NDArray[np.bool_], ranks: Numbers) -> Numbers:
    """Compute the AUC of each row of outcomes; 0.5 where a row has one outcome only."""
    positives = bad.sum(axis=1)
    pairs = positives * (bad.shape[1] - positives)
    above = bad @ ranks - positives * (positives + 1) / 2
    return np.where(pairs > 0, above / np.maximum(pairs, 1), 0.5)


def _expected_auc(pds: Numbers, ranks: Numbers) -> float | None:
    """Compute the AUC when each applicant defaults with its own PD: pairs weighted by p of the one and 1 - p of the other."""
    bad, good = float(pds.sum()), float((1 - pds).sum())
    if not bad or not good:
        return None
    order = np.argsort(ranks, kind="stable")
    sorted_pds, sorted_ranks = pds[order], ranks[order]
    _, first, counts = np.unique(sorted_ranks, return_index=True, return_counts=True)
    repaid = np.add.reduceat(1 - sorted_pds, first)
    below = np.repeat(np.cumsum(repaid) - repaid / 2, counts)
    own = (1 - sorted_pds) * 0.5  # nobody is a pair with itself
    return float(np.sum(sorted_pds * (below - own)) / (bad * good - float(np.sum(pds * (1 - pds)))))


def _around(value: float, draws: Numbers) -> Interval:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, min(float(low), value), max(float(high), value))


def summary(report: PerformanceReport) -> Sequence[Mapping[str, Any]]:
    """Return a row per month, as shown in the UI."""
    return [
        {
            "month": month.month,
            "state": month.state,
            "applicants": month.applicants,
            "known_share": round(month.known_share, 4),
            **_shown("expected", month.expected),
            **_shown("realised", month.realised),
            "breaches": "; ".join(breach.words for breach in month.breaches),
        }
        for month in report.months
    ]


def _shown(name: str, figures: Figures | None) -> dict[str, str]:
    def words(interval: Interval | None) -> str:
        return "" if interval is None else f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"

    if figures is None:
        return {f"{name}_auc": "", f"{name}_bad_rate": ""}
    return {f"{name}_auc": words(figures.auc), f"{name}_bad_rate": words(figures.bad_rate)}
