"""Where the model is weak: ranking and calibration within slices of the applicants, against everybody else.

What belongs here: cutting features into slices, measuring and testing each. What does not: which PDs are looked at (the asset: those
out of fold), pictures (`evaluation_plots`), the policy's own segments (`calibration_tests`).

A slice is a bin of one feature (between quantiles, a category, missing) or of two together. Its AUC is compared with that of everybody
outside: other applicants, so the test is unpaired, with DeLong's variances, one-sided. Its default rate is compared with its mean PD by
the exact binomial test, two-sided. Each of the two families of tests is adjusted by Holm's method over all slices looked at, single and
paired, which holds however much the slices overlap.

A slice of the model's own strongest input ranks worse than everybody for an honest reason: its applicants are alike. What to look for is
a slice that ranks worse than its neighbours, or whose PDs are not true.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import LEVEL, auc_interval
from creditrisk_assets.modelling.calibration_tests import holm, rate_test
from creditrisk_assets.modelling.inputs import ModelInput

MISSING, OTHER = "missing", "other categories"
COLUMNS = (
    "slice", "first_feature", "first_value", "second_feature", "second_value", "applicants", "defaults", "share", "mean_pd",
    "bad_rate", "bad_rate_low", "bad_rate_high", "brier", "auc", "auc_low", "auc_high", "auc_elsewhere", "auc_gap",
    "ranking_p", "ranking_p_adjusted", "calibration_p", "calibration_p_adjusted", "ranks_worse", "pd_untrue",
)  # fmt: skip

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class SliceRules:
    """What is looked at, and from when it counts."""

    features: int = 200  # most important inputs, looked at one by one
    paired: int = 8  # most important inputs that are not alike, looked at two by two
    alike: float = 0.7  # rank correlation from which two inputs say the same
    bins: int = 5  # between quantiles of a number
    paired_bins: int = 3
    categories: int = 8  # most frequent ones of a category; the others are one slice
    minimum_applicants: int = 200
    minimum_share: float = 0.005  # of all applicants
    minimum_outcomes: int = 20  # defaults, and others, from which an AUC is measured
    significance: float = 1 - LEVEL


@dataclass(frozen=True)
class Binned:
    """One feature cut into bins: `labels[codes[i]]` is applicant i's."""

    name: str
    codes: NDArray[np.int64]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class SliceReport:
    """Every slice measured, those with the strongest evidence of weakness first."""

    applicants: int
    auc: float
    table: pd.DataFrame = field(repr=False, compare=False)

    @property
    def ranks_worse(self) -> int:
        """Slices that rank worse than everybody outside them, after adjustment."""
        return int(self.table["ranks_worse"].sum())

    @property
    def pd_untrue(self) -> int:
        """Slices whose mean PD and default rate disagree, after adjustment."""
        return int(self.table["pd_untrue"].sum())


def cut(feature: ModelInput, column: "pd.Series[Any]", bins: int, categories: int) -> Binned:
    """Cut a feature into bins; missing values are one of their own.

    Parameters
    ----------
    feature
        Its kind says how: numbers between quantiles (fewer where values repeat), flags and categories by value.
    column : (n,)
        Its values, as `modelling.tables` reads them.
    bins, categories
        Most bins of a number; most categories that stand alone.
    """
    if feature.kind == "category":
        codes, labels = _cut_category(column, categories)
    else:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        known = ~np.isnan(values)
        edges = np.array([0.5]) if feature.kind == "boolean" else _quantiles(values[known], bins)
        names = ("no", "yes") if feature.kind == "boolean" else _between(edges)
        codes, labels = np.where(known, np.searchsorted(edges, values, "right"), len(edges) + 1), (*names, MISSING)
    return Binned(feature.name, codes.astype(np.int64), labels)


def find_slices(
    target: Outcomes,
    pds: Numbers,
    frame: pd.DataFrame,
    inputs: Sequence[ModelInput],
    importance: Mapping[str, float],
    rules: SliceRules,
) -> SliceReport:
    """Measure and test every slice of a minimum size.

    Parameters
    ----------
    target : (n,)
        1 for a default, 0 otherwise; both must occur.
    pds : (n,)
        PDs in [0, 1] by models that have not seen the applicants.
    frame
        Their features, row by row.
    inputs
        What to cut one by one; those with an importance may be cut two by two as well.
    importance
        Input -> share of gain.
    rules
        Sizes and limits.

    Raises
    ------
    ValueError
        Lengths differ, one class only, or a PD is none.
    """
    if not len(target) == len(pds) == len(frame):
        raise ValueError(f"{len(target)} outcomes, {len(pds)} PDs and {len(frame)} rows of features do not match")
    if not ((pds >= 0) & (pds <= 1)).all():
        raise ValueError("a PD is NaN or outside [0, 1]; the model is broken")
    auc = auc_interval(target, pds).value
    ranking = _Ranking(target, pds)
    least = max(rules.minimum_applicants, int(np.ceil(rules.minimum_share * len(target))))
    rows = [
        {**names, **_measure(target, pds, inside, ranking, rules.minimum_outcomes)}
        for names, inside in _slices(frame, inputs, importance, rules)
        if least <= np.count_nonzero(inside) < len(target)
    ]
    return SliceReport(len(target), auc, _tested(rows, rules.significance))


def strongest(inputs: Iterable[ModelInput], importance: Mapping[str, float], count: int) -> tuple[ModelInput, ...]:
    """Choose the inputs of largest gain; those without any are left out."""
    used = [i for i in inputs if importance.get(i.name, 0.0) > 0]
    return tuple(sorted(used, key=lambda i: (-importance[i.name], i.name))[:count])


class _Ranking:
    """The applicants in order of their PDs, sorted once: a slice and the others take running sums alone."""

    def __init__(self, target: Outcomes, pds: Numbers) -> None:
        order = np.argsort(pds, kind="stable")
        self._bad, self._good = order[target[order] == 1], order[target[order] == 0]
        bad, good = pds[self._bad], pds[self._good]
        # How many of the other outcome lie below each applicant, and how many with those whose PD is the same.
        self._goods = np.searchsorted(good, bad, "left"), np.searchsorted(good, bad, "right")
        self._bads = np.searchsorted(bad, good, "left"), np.searchsorted(bad, good, "right")
        everybody = np.ones(len(pds), dtype=np.bool_)
        self._all = self._below(everybody[self._good], self._goods), self._below(everybody[self._bad], self._bads)

    def split(self, inside: Rows) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return AUC and DeLong's variance of it among some applicants, and among the others; each needs both outcomes twice."""
        bad, good = inside[self._bad], inside[self._good]
        over_good, over_bad = self._below(good, self._goods), self._below(bad, self._bads)
        among = _auc(over_good[bad], over_bad[good])
        return among, _auc((self._all[0] - over_good)[~bad], (self._all[1] - over_bad)[~good])

    @staticmethod
    def _below(inside: Rows, bounds: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Numbers:
        """Count those inside below each applicant of the other outcome, ties half."""
        sums = np.concatenate([[0], np.cumsum(inside)])
        return np.asarray((sums[bounds[0]] + sums[bounds[1]]) / 2)


def _auc(over_good: Numbers, over_bad: Numbers) -> tuple[float, float]:
    """Compute AUC and variance: of each default, the others it outranks; of each other, the defaults it outranks."""
    m, n = len(over_good), len(over_bad)
    variance = np.var(over_good, ddof=1) / (m * n * n) + np.var(over_bad, ddof=1) / (n * m * m)
    return float(over_good.mean() / n), float(variance)


def _slices(
    frame: pd.DataFrame, inputs: Sequence[ModelInput], importance: Mapping[str, float], rules: SliceRules
) -> Iterator[tuple[dict[str, Any], Rows]]:
    for feature in inputs:
        one = cut(feature, frame[feature.name], rules.bins, rules.categories)
        for code, label in enumerate(one.labels):
            yield _names(one.name, label), one.codes == code
    chosen = _unlike(frame, strongest(inputs, importance, rules.features), rules)
    cuts = [cut(feature, frame[feature.name], rules.paired_bins, rules.paired_bins) for feature in chosen]
    for one, other in combinations([one for one in cuts if len(np.unique(one.codes)) > 1], 2):
        both = one.codes * len(other.labels) + other.codes
        for code in np.unique(both).tolist():
            first, second = divmod(code, len(other.labels))
            yield _names(one.name, one.labels[first], other.name, other.labels[second]), both == code


def _unlike(frame: pd.DataFrame, ranked: Sequence[ModelInput], rules: SliceRules) -> list[ModelInput]:
    """Choose the strongest inputs, leaving out numbers that rank applicants as one chosen already does."""
    chosen: list[ModelInput] = []
    ranks: list[Numbers] = []
    for feature in ranked:
        if len(chosen) == rules.paired:
            break
        if feature.kind == "numeric":
            mine = np.asarray(frame[feature.name].rank(), dtype=np.float64)
            if any(_correlation(mine, other) >= rules.alike for other in ranks):
                continue
            ranks.append(mine)
        chosen.append(feature)
    return chosen


def _correlation(one: Numbers, other: Numbers) -> float:
    """Correlate two columns where both are known, without the sign; 0 where one does not vary."""
    known = ~(np.isnan(one) | np.isnan(other))
    a, b = one[known], other[known]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return abs(float(np.corrcoef(a, b)[0, 1]))


def _names(feature: str, value: str, other: str | None = None, other_value: str | None = None) -> dict[str, Any]:
    words = f"{feature}: {value}" + (f" and {other}: {other_value}" if other else "")
    names = ("first_feature", "first_value", "second_feature", "second_value")
    return {"slice": words, **dict(zip(names, (feature, value, other, other_value), strict=True))}


def _measure(target: Outcomes, pds: Numbers, inside: Rows, ranking: _Ranking, minimum: int) -> dict[str, Any]:
    some, theirs = target[inside], pds[inside]
    rate = rate_test(some, theirs)
    found: dict[str, Any] = {
        "applicants": rate.applicants,
        "defaults": rate.defaults,
        "share": rate.applicants / len(target),
        "mean_pd": rate.mean_pd,
        "bad_rate": rate.default_rate,
        "bad_rate_low": rate.default_rate_low,
        "bad_rate_high": rate.default_rate_high,
        "brier": float(np.mean((theirs - some) ** 2)),
        "calibration_p": rate.binomial_p,
    }
    bad, good = rate.defaults, rate.applicants - rate.defaults
    outside = int(target.sum()) - bad, len(target) - int(target.sum()) - good
    if min(bad, good, *outside) < minimum:
        return found
    (auc, variance), (elsewhere, other) = ranking.split(inside)
    reach, spread = float(scipy.stats.norm.ppf(0.5 + LEVEL / 2)) * variance**0.5, (variance + other) ** 0.5
    return found | {
        "auc": auc,
        "auc_low": max(0.0, auc - reach),
        "auc_high": min(1.0, auc + reach),
        "auc_elsewhere": elsewhere,
        "auc_gap": auc - elsewhere,
        "ranking_p": float(scipy.stats.norm.sf((elsewhere - auc) / spread)) if spread > 0 else float(auc >= elsewhere),
    }


def _tested(rows: list[dict[str, Any]], significance: float) -> pd.DataFrame:
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    table["calibration_p_adjusted"] = holm(table["calibration_p"])
    ranked = table["ranking_p"].notna()
    table.loc[ranked, "ranking_p_adjusted"] = holm(table.loc[ranked, "ranking_p"])
    table["ranks_worse"] = table["ranking_p_adjusted"].lt(significance)
    table["pd_untrue"] = table["calibration_p_adjusted"].lt(significance)
    table["evidence"] = table[["ranking_p_adjusted", "calibration_p_adjusted"]].min(axis=1)
    by = ["evidence", "auc_gap", "slice"]
    floats = [name for name in COLUMNS if name not in _TEXT | _COUNTS | _FLAGS]
    kinds = dict.fromkeys(floats, "float64") | dict.fromkeys(_COUNTS, "int64") | dict.fromkeys(_FLAGS, "bool")
    kinds |= dict.fromkeys(_TEXT, "string")  # text even where there is no row
    return table.sort_values(by, kind="stable", ignore_index=True)[list(COLUMNS)].astype(kinds)


_TEXT = {"slice", "first_feature", "first_value", "second_feature", "second_value"}
_COUNTS = {"applicants", "defaults"}
_FLAGS = {"ranks_worse", "pd_untrue"}


def _quantiles(known: Numbers, bins: int) -> Numbers:
    if not len(known):
        return np.empty(0)
    return np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))


def _between(edges: Numbers) -> tuple[str, ...]:
    """Name the bins, in the fewest digits (three or more) that tell the edges apart."""
    if not len(edges):
        return (OTHER,)  # of a column without values: nobody lies here
    digits = next((d for d in range(3, 17) if len({f"{edge:.{d}g}" for edge in edges}) == len(edges)), 17)
    words = [f"{float(f'{edge:.{digits}g}'):,.12g}" for edge in edges]
    inner = [f"{low} to below {high}" for low, high in pairwise(words)]
    return (f"below {words[0]}", *inner, f"{words[-1]} and above")


def _cut_category(column: "pd.Series[Any]", most: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    counts = column.value_counts(sort=False)
    seen = sorted((-int(count), str(value)) for value, count in counts.items() if count)
    names = tuple(value for _, value in seen[:most])
    place = {name: code for code, name in enumerate(names)}
    coded = column.astype(object).map(lambda value: place.get(str(value), len(names)), na_action="ignore")
    labels = [f"{name} (a category)" if name in {OTHER, MISSING} else name for name in names]
    return coded.fillna(len(names) + 1).to_numpy(dtype=np.int64), (*labels, OTHER, MISSING)
