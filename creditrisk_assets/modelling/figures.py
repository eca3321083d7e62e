"""Every figure of an evaluation as one tidy table: what the model card, the gates and a person's query read.

What belongs here: flattening results to rows of one shape. What does not: computing them (`evaluation`, `calibration_tests`,
`slices`, `robustness`), what the table is (`contracts.figures`).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import scipy

from creditrisk_assets.modelling.auc import LEVEL, Interval
from creditrisk_assets.modelling.calibration_tests import CalibrationReport, Estimate
from creditrisk_assets.modelling.evaluation import Evaluation
from creditrisk_assets.modelling.robustness import Drill
from creditrisk_assets.modelling.slices import SliceReport

EVERYBODY = "everybody"
OVERALL = (
    "gini", "ks", "ks_at", "pr_auc", "brier", "brier_constant", "brier_to_constant", "log_loss", "expected_calibration_error",
    "mean_pd", "default_rate",
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One figure of some applicants, with its 95 % interval where it has one."""

    name: str
    slice: str  # in words; `everybody` where nobody is left out
    value: float
    n: int  # applicants it was measured on
    low: float | None = None
    high: float | None = None


def figures_table(figures: Iterable[Figure], *, source: str, measured: str, version: str) -> pd.DataFrame:
    """Put figures into one table; those that are not finite are left out.

    Parameters
    ----------
    figures
        Each name and slice once.
    source
        Key of the asset that measured them.
    measured, version
        Key of the artefact they speak of, and its version.
    """
    rows = [asdict(figure) for figure in figures if math.isfinite(figure.value)]
    table = pd.DataFrame(rows, columns=["name", "slice", "value", "low", "high", "n"])
    kinds = {"value": "float64", "low": "float64", "high": "float64", "n": "int64"}
    return table.astype(kinds).assign(source=source, measured=measured, measured_version=version)


def evaluation_figures(
    measured: Evaluation, report: CalibrationReport, beside: Iterable[Mapping[str, Any]]
) -> Iterator[Figure]:
    """Flatten an evaluation, its calibration report, and its comparison with the champion (none: empty)."""
    everybody = measured.applicants
    yield _interval("auc", EVERYBODY, measured.auc, everybody)
    for name in OVERALL:
        yield Figure(name, EVERYBODY, getattr(measured, name), everybody)
    if measured.comparison is not None:
        for name, found in vars(measured.comparison).items():
            yield _interval(name, EVERYBODY, found, everybody)
    for comparison in beside:
        name = f"{comparison['metric']}_less_champion"
        yield _interval(name, EVERYBODY, Interval(**comparison["difference"]), everybody)
    for row in measured.deciles.to_dict("records"):
        for name in ("bad_rate", "mean_pd", "lift", "captured_share"):
            yield Figure(name, f"tenth {row['decile']}", row[name], row["applicants"])
    yield from _confusion_figures(measured.confusion)
    yield from _calibration_figures(report)


def _confusion_figures(table: pd.DataFrame) -> Iterator[Figure]:
    for row in table.to_dict("records"):
        for name in ("share", "bad_rate", "defaults_share", "repaid_share"):
            ends = {"low": row[f"{name}_low"], "high": row[f"{name}_high"]}
            yield Figure(name, f"decision {row['decision']}", row[name], row["applicants"], **ends)


def _calibration_figures(report: CalibrationReport) -> Iterator[Figure]:
    for found in report.figures:
        where = EVERYBODY if found.segment is None else f"{found.segment}: {found.value}"
        for name, estimate in (("calibration_slope", found.slope), ("calibration_intercept", found.intercept)):
            if estimate is not None:
                yield _estimate(name, where, estimate, found.applicants)
        if found.segment is not None:
            for name in ("brier", "expected_calibration_error", "mean_pd"):
                yield Figure(name, where, getattr(found, name), found.applicants)
    for test in report.tests:
        parts = [f"{test.segment}: {test.value}"] if test.segment else []
        where = " and ".join([*parts, *([f"grade {test.grade}"] if test.grade else [])])
        ends = {"low": test.default_rate_low, "high": test.default_rate_high}
        yield Figure("default_rate", where, test.default_rate, test.applicants, **ends)
        yield Figure("calibration_p_adjusted", where, test.binomial_adjusted, test.applicants)
        if test.grade is not None:
            yield Figure("mean_pd", where, test.mean_pd, test.applicants)


def _interval(name: str, where: str, found: Interval, n: int) -> Figure:
    return Figure(name, where, found.value, n, found.low, found.high)


def _estimate(name: str, where: str, found: Estimate, n: int) -> Figure:
    reach = float(scipy.stats.norm.ppf(0.5 + LEVEL / 2)) * found.standard_error
    return Figure(name, where, found.value, n, found.value - reach, found.value + reach)


def slice_figures(report: SliceReport) -> Iterator[Figure]:
    """Flatten the slices; everybody first."""
    yield Figure("auc", EVERYBODY, report.auc, report.applicants)
    for row in report.table.to_dict("records"):
        where, n = row["slice"], row["applicants"]
        yield Figure("auc", where, row["auc"], n, row["auc_low"], row["auc_high"])
        yield Figure("bad_rate", where, row["bad_rate"], n, row["bad_rate_low"], row["bad_rate_high"])
        for name in ("mean_pd", "brier", "auc_gap", "ranking_p_adjusted", "calibration_p_adjusted"):
            yield Figure(name, where, row[name], n)


def drill_figures(found: Drill) -> Iterator[Figure]:
    """Flatten the drill: what was done stands for the slice."""
    for row in found.table.to_dict("records"):
        where, n = row.pop("scenario"), row.pop("applicants")
        row.pop("kind")
        ends = {"low": row.pop("auc_change_low"), "high": row.pop("auc_change_high")}
        yield Figure("auc_change", where, row.pop("auc_change"), n, **ends)
        yield from (Figure(str(name), where, value, n) for name, value in row.items())
