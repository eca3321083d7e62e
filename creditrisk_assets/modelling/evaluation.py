"""How well the PDs separate and how true they are, measured on the test part.

What belongs here: figures and tables of one set of PDs against what happened. What does not: the AUC's interval
(`auc`), pictures (`plots`), whether the figures are good enough (`policy.gates`, `registry.promotion`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import LEVEL, Interval, auc_difference, auc_interval
from creditrisk_assets.modelling.calibration_tests import CALIBRATION_GROUPS, SMALLEST_PD, calibration_figures
from creditrisk_assets.modelling.policy import Decisions, Outcome, Policy

TENTHS = 10
SCORE_BINS = 40


@dataclass(frozen=True)
class ProhibitedComparison:
    """What leaving the prohibited inputs out costs: the AUC with them, and the difference, paired on the same applicants."""

    auc_with_prohibited: Interval
    auc_gain_with_prohibited: Interval


@dataclass(frozen=True)
class Evaluation:
    """Every figure of one model on one part. PDs are shares; higher is riskier."""

    applicants: int
    defaults: int
    default_rate: float
    mean_pd: float
    auc: Interval
    gini: float
    ks: float
    ks_at: float  # the PD where the distributions lie furthest apart
    pr_auc: float
    brier: float
    brier_constant: float  # of predicting the default rate for everybody
    calibration_slope: float  # 1: PDs neither too extreme (below 1) nor too timid (above); 0 where none can be fitted
    calibration_intercept: float  # 0: on the logit scale, at slope 1, the mean PD is the default rate
    expected_calibration_error: float
    log_loss: float
    comparison: ProhibitedComparison | None
    deciles: pd.DataFrame = field(repr=False, compare=False)
    calibration: pd.DataFrame = field(repr=False, compare=False)
    score_distribution: pd.DataFrame = field(repr=False, compare=False)
    bands: pd.DataFrame = field(repr=False, compare=False)
    confusion: pd.DataFrame = field(repr=False, compare=False)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, as `contracts.evaluation` declares them."""
        return {name: value for name, value in vars(self).items() if isinstance(value, pd.DataFrame)}

    @property
    def brier_to_constant(self) -> float:
        """Brier score over that of the constant: below 1 the PDs say something."""
        return self.brier / self.brier_constant

    def figures(self) -> dict[str, float]:
        """Flatten the figures, without the tables: MLflow's metrics."""
        flat: dict[str, float] = {"brier_to_constant": self.brier_to_constant}
        for name, value in vars(self).items():
            if isinstance(value, pd.DataFrame) or value is None:
                continue
            flat |= _flatten(name, value)
        return dict(sorted(flat.items()))

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values: `metrics.json` of the bundle and `reports/evaluation`."""
        figures = {name: _plain(value) for name, value in vars(self).items() if not isinstance(value, pd.DataFrame)}
        rows = {name: _rows(table) for name, table in self.tables.items()}
        return {**figures, "brier_to_constant": self.brier_to_constant, "tables": rows}


def evaluate(
    target: NDArray[np.int64],
    pds: NDArray[np.float64],
    policy: Policy,
    *,
    with_prohibited: NDArray[np.float64] | None = None,
) -> Evaluation:
    """Measure PDs against what happened.

    Parameters
    ----------
    target : (n,)
        1 for a default, 0 otherwise; both must occur.
    pds : (n,)
        The model's PDs, in [0, 1].
    policy
        Grades for the table of bands.
    with_prohibited : (n,), optional
        PDs of the comparison model, on the same applicants.

    Raises
    ------
    ValueError
        Lengths differ, one class only, or a PD that is none.
    """
    target = np.asarray(target, dtype=np.int64)
    pds = np.asarray(pds, dtype=np.float64)
    if target.shape != pds.shape or target.ndim != 1:
        raise ValueError(f"{len(target)} outcomes and {len(pds)} PDs do not match")
    if not ((pds >= 0) & (pds <= 1)).all():
        raise ValueError("a PD is NaN or outside [0, 1]; the model is broken")
    auc = auc_interval(target, pds)
    rate = float(target.mean())
    ks, ks_at = _ks(target, pds)
    calibration = calibration_figures(target, pds)
    safe = np.clip(pds, SMALLEST_PD, 1 - SMALLEST_PD)
    return Evaluation(
        applicants=len(target),
        defaults=int(target.sum()),
        default_rate=rate,
        mean_pd=float(pds.mean()),
        auc=auc,
        gini=2 * auc.value - 1,
        ks=ks,
        ks_at=ks_at,
        pr_auc=_average_precision(target, pds),
        brier=calibration.brier,
        brier_constant=rate * (1 - rate),
        calibration_slope=calibration.slope.value if calibration.slope else 0.0,
        calibration_intercept=calibration.intercept.value if calibration.intercept else 0.0,
        expected_calibration_error=calibration.expected_calibration_error,
        log_loss=float(-np.mean(np.where(target == 1, np.log(safe), np.log1p(-safe)))),
        comparison=_compare(target, pds, with_prohibited),
        deciles=decile_table(target, pds),
        calibration=calibration_table(target, pds),
        score_distribution=distribution_table(target, pds),
        bands=band_table(target, pds, policy),
        confusion=confusion_table(target, pds, policy.decisions),
    )


def decile_table(target: NDArray[np.int64], pds: NDArray[np.float64]) -> pd.DataFrame:
    """Compute bad rate, lift and captured defaults by tenth of the applicants, riskiest first (fewer than ten: one row each)."""
    order = np.lexsort((np.arange(len(pds)), -pds))
    rows, captured, rate = [], 0, float(target.mean())
    for number, part in enumerate(np.array_split(order, min(TENTHS, len(order))), start=1):
        defaults = int(target[part].sum())
        captured += defaults
        bad_rate = defaults / len(part)
        rows.append(
            {
                "decile": number,
                "applicants": len(part),
                "defaults": defaults,
                "bad_rate": bad_rate,
                "mean_pd": float(pds[part].mean()),
                "lowest_pd": float(pds[part].min()),
                "highest_pd": float(pds[part].max()),
                "lift": bad_rate / rate,
                "captured_share": captured / int(target.sum()),
            }
        )
    return pd.DataFrame(rows)


def calibration_table(target: NDArray[np.int64], pds: NDArray[np.float64]) -> pd.DataFrame:
    """Compare mean PD and bad rate in groups of neighbouring PDs of equal size, lowest first."""
    order = np.argsort(pds, kind="stable")
    rows = []
    for number, part in enumerate(np.array_split(order, min(CALIBRATION_GROUPS, len(order))), start=1):
        low, high = wilson(int(target[part].sum()), len(part))
        rows.append(
            {
                "group_number": number,
                "applicants": len(part),
                "mean_pd": float(pds[part].mean()),
                "bad_rate": float(target[part].mean()),
                "bad_rate_low": low,
                "bad_rate_high": high,
            }
        )
    return pd.DataFrame(rows)


def distribution_table(target: NDArray[np.int64], pds: NDArray[np.float64]) -> pd.DataFrame:
    """Count applicants by PD, up to the highest PD, those who repaid apart from those who defaulted."""
    edges = np.linspace(0.0, max(float(pds.max()), SMALLEST_PD), SCORE_BINS + 1)
    return pd.DataFrame(
        {
            "pd_from": edges[:-1],
            "pd_to": edges[1:],
            "repaid": np.histogram(pds[target == 0], edges)[0],
            "defaulted": np.histogram(pds[target == 1], edges)[0],
        }
    )


def band_table(target: NDArray[np.int64], pds: NDArray[np.float64], policy: Policy) -> pd.DataFrame:
    """Compute size, mean PD and bad rate of each grade of the policy."""
    limits = np.array([band.below for band in policy.bands if band.below is not None], dtype=np.float64)
    place = np.searchsorted(limits, pds, side="right")
    rows = []
    for number, band in enumerate(policy.bands):
        if (inside := place == number).any():
            rows.append(
                {
                    "band": band.name,
                    "applicants": int(inside.sum()),
                    "share": float(inside.mean()),
                    "mean_pd": float(pds[inside].mean()),
                    "bad_rate": float(target[inside].mean()),
                }
            )
    return pd.DataFrame(rows)


def confusion_table(target: NDArray[np.int64], pds: NDArray[np.float64], decisions: Decisions) -> pd.DataFrame:
    """Count outcomes by decision at the policy's cut-offs, with Wilson intervals; every decision has a row.

    Returns
    -------
    DataFrame
        Of those declined, `bad_rate` is the precision (who would have defaulted among them) and `defaults_share` the recall (how many
        of all defaults were declined). A rate among nobody is NaN.
    """
    places = np.array([decisions.approve_below, decisions.decline_from])
    taken = np.searchsorted(places, pds, side="right")
    everybody, bad = len(target), int(target.sum())
    rows = []
    for number, name in enumerate(get_args(Outcome)):
        inside = taken == number
        applicants, defaults = int(inside.sum()), int(target[inside].sum())
        repaid = applicants - defaults
        rows.append(
            {
                "decision": name,
                "applicants": applicants,
                "defaults": defaults,
                "repaid": repaid,
                **_rate("share", applicants, everybody),
                **_rate("bad_rate", defaults, applicants),
                **_rate("defaults_share", defaults, bad),
                **_rate("repaid_share", repaid, everybody - bad),
            }
        )
    return pd.DataFrame(rows)


def _rate(name: str, hits: int, n: int) -> dict[str, float]:
    low, high = wilson(hits, n) if n else (np.nan, np.nan)
    return {name: hits / n if n else np.nan, f"{name}_low": low, f"{name}_high": high}


def _compare(
    target: NDArray[np.int64], pds: NDArray[np.float64], with_prohibited: NDArray[np.float64] | None
) -> ProhibitedComparison | None:
    if with_prohibited is None:
        return None
    return ProhibitedComparison(auc_interval(target, with_prohibited), auc_difference(target, with_prohibited, pds))


def _ks(target: NDArray[np.int64], pds: NDArray[np.float64]) -> tuple[float, float]:
    """Return the largest gap between the distributions of defaults and non-defaults, and the PD where it is."""
    order = np.argsort(pds, kind="stable")
    ranked, scores = target[order], pds[order]
    last_of_tie = np.append(scores[1:] != scores[:-1], True)
    gap = np.abs(np.cumsum(1 - ranked) / (1 - ranked).sum() - np.cumsum(ranked) / ranked.sum()) * last_of_tie
    best = int(np.argmax(gap))
    return float(gap[best]), float(scores[best])


def _average_precision(target: NDArray[np.int64], pds: NDArray[np.float64]) -> float:
    """Sum precision over the steps of recall; equal PDs are one step."""
    order = np.argsort(-pds, kind="stable")
    scores, hits = pds[order], np.cumsum(target[order])
    last_of_tie = np.append(scores[1:] != scores[:-1], True)
    found, taken = hits[last_of_tie], (np.arange(len(pds)) + 1)[last_of_tie]
    return float(np.sum(np.diff(found, prepend=0) / target.sum() * found / taken))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the ends of the 95 % Wilson interval of a share, hits out of n."""
    z = float(scipy.stats.norm.ppf(0.5 + LEVEL / 2))
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Render a table as JSON values: NaN, which JSON does not know, is null."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Interval | ProhibitedComparison):
        return asdict(value)
    return value


def _flatten(name: str, value: Any) -> Mapping[str, float]:
    if isinstance(value, Interval):
        return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    if isinstance(value, ProhibitedComparison):
        pairs = vars(value).items()
        return {key: figure for inner, interval in pairs for key, figure in _flatten(inner, interval).items()}
    return {name: float(value)}
