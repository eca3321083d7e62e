"""Whether applicants still look like those the model was trained on.

What belongs here: the drift of each input and of the score, the verdict, the Evidently report. What does not: what
follows from the verdict (`retraining`), the limits (the policy).

The reference is the training part and the current side the applications to be scored; a random test part comes from the
same applicants and can never show drift. The verdict rests on effect sizes: at portfolio size every p-value is
significant.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import DriftLimits
from creditrisk_assets.modelling.reference import count_between, tenths
from creditrisk_assets.modelling.tables import Part

Status = Literal["stable", "moving", "drifted", "unknown"]

SCORE = "score"
MISSING = " is missing"
SHOWN_GAP = 0.02  # difference of the shares missing
NAMED_IN_WORDS = 5


@dataclass(frozen=True)
class DriftReport:
    """What was found, feature by feature and in all."""

    status: Status
    words: str
    reference_rows: int
    current_rows: int
    drifted_share: float  # of the inputs
    score_psi: float
    table: pd.DataFrame = field(repr=False, compare=False)

    @property
    def retrain(self) -> bool:
        """Whether the drift calls for a retrain: what is unknown does not."""
        return self.status == "drifted"

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values, without the table."""
        found = {name: value for name, value in vars(self).items() if not isinstance(value, pd.DataFrame)}
        return {**found, "retrain": self.retrain}


def measure_drift(
    reference: Part,
    current: Part,
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    inputs: Sequence[ModelInput],
    importance: Mapping[str, float],
    limits: DriftLimits,
) -> DriftReport:
    """Compare current applicants with the training reference.

    Parameters
    ----------
    reference, current
        Samples with every input (`modelling.tables.sample_part`).
    scores
        PDs of both, in the same order.
    inputs
        The model's inputs.
    importance
        Input -> share of gain.
    limits
        The policy's.

    Returns
    -------
    DriftReport
        `unknown` where a side has fewer rows than the policy wants; `drifted` where the score's PSI or the share of
        drifted inputs passes its limit; `moving` where a single input drifted or the score passed the warning limit.
    """
    rows = [
        _row(
            i.name,
            i.family,
            i.kind,
            reference.frame[i.name],
            current.frame[i.name],
            importance.get(i.name, 0.0),
            limits,
        )
        for i in inputs
    ]
    before, after = (pd.Series(side) for side in scores)
    score = _row(SCORE, "model", "numeric", before, after, 1.0, limits)
    table = pd.DataFrame([score, *rows]).sort_values(
        ["statistic", "feature"], ascending=[False, True], ignore_index=True
    )
    share = float(np.mean([row["drifted"] for row in rows])) if rows else 0.0
    status = _status(len(reference), len(current), score["statistic"], share, bool(table["drifted"].any()), limits)
    words = _words(status, table, share, len(reference), len(current), limits)
    return DriftReport(status, words, len(reference), len(current), share, score["statistic"], table)


def population_stability_index(reference: "pd.Series[Any]", current: "pd.Series[Any]", kind: str) -> float:
    """Compute the PSI: sum of (share now − share before) × log(share now / share before).

    Parameters
    ----------
    reference, current
        Values of one feature; NULL is a bin of its own.
    kind
        `category`: one bin per category. Otherwise: tenths of the reference (fewer where values repeat).

    Notes
    -----
    Half an applicant is added to every bin, so that an empty one stays finite.
    """
    before, after = _counts(reference, current, kind)
    p = (before + 0.5) / (before + 0.5).sum()
    q = (after + 0.5) / (after + 0.5).sum()
    return float(np.sum((q - p) * np.log(q / p)))


def write_evidently_report(
    reference: Part,
    current: Part,
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    inputs: Sequence[ModelInput],
    report: DriftReport,
    limits: DriftLimits,
    *,
    json_path: Path,
    html_path: Path,
) -> tuple[str, ...]:
    """Write Evidently's drift report for the score, the most important inputs and those that drifted most.

    Evidently needs about a fifth of a second per column, so of hundreds of inputs the policy's number is drawn; the
    verdict rests on `measure_drift`, which looks at all.

    Returns
    -------
    tuple of str
        The columns drawn; empty when a side has no rows, and nothing is written.
    """
    if not (len(reference) and len(current)):
        return ()
    chosen = _reported(inputs, report, limits.reported_inputs)
    gaps = [
        i.name for i in chosen if abs(_missing(reference.frame[i.name]) - _missing(current.frame[i.name])) > SHOWN_GAP
    ]
    categories = [*(i.name for i in chosen if i.kind != "numeric"), *(f"{name}{MISSING}" for name in gaps)]
    numbers = [SCORE, *(i.name for i in chosen if i.kind == "numeric")]
    sides = [_evidently_frame(p, s, chosen, gaps) for p, s in ((current, scores[1]), (reference, scores[0]))]
    usable = tuple(name for name in (*numbers, *categories) if all(side[name].notna().any() for side in sides))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own: names numpy deprecated, divisions in its plots
        as_json, as_html = _run_evidently(sides, numbers, categories, usable, limits)
    json_path.write_text(as_json, "utf-8")
    html_path.write_text(as_html, "utf-8")
    return usable


def _run_evidently(
    sides: Sequence[pd.DataFrame],
    numbers: Sequence[str],
    categories: Sequence[str],
    usable: Sequence[str],
    limits: DriftLimits,
) -> tuple[str, str]:
    """Return the report on the current side and the reference as JSON and HTML."""
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415 - seconds of imports, for this report alone
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    definition = DataDefinition(numerical_columns=list(numbers), categorical_columns=list(categories))
    preset = DataDriftPreset(
        columns=list(usable),
        drift_share=limits.maximum_drifted_share,
        num_method="psi",
        cat_method="psi",
        num_threshold=limits.psi_alert,
        cat_threshold=limits.psi_alert,
    )
    snapshot = Report([preset]).run(*(Dataset.from_pandas(side, definition) for side in sides))
    return json.dumps(json.loads(snapshot.json()), indent=1), str(snapshot.get_html_str(as_iframe=False))


def _row(
    name: str,
    family: str,
    kind: str,
    reference: "pd.Series[Any]",
    current: "pd.Series[Any]",
    importance: float,
    limits: DriftLimits,
) -> dict[str, Any]:
    statistic = population_stability_index(reference, current, kind)
    return {
        "feature": name,
        "family": family,
        "method": "psi",
        "statistic": statistic,
        "threshold": limits.psi_alert,
        "drifted": statistic >= limits.psi_alert and min(len(reference), len(current)) >= limits.minimum_rows,
        "wasserstein": _wasserstein(reference, current) if kind == "numeric" else np.nan,
        "missing_reference": _missing(reference),
        "missing_current": _missing(current),
        "importance": importance,
    }


def _counts(
    reference: "pd.Series[Any]", current: "pd.Series[Any]", kind: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if kind == "category":
        sides = [side.astype(object).value_counts(dropna=False) for side in (reference, current)]
        names = sides[0].index.union(sides[1].index, sort=False)
        first, second = (np.asarray(side.reindex(names, fill_value=0), dtype=np.float64) for side in sides)
        return first, second
    values = [side.to_numpy(dtype=np.float64, na_value=np.nan) for side in (reference, current)]
    known = [side[~np.isnan(side)] for side in values]
    edges = tenths(known[0])
    counts = [np.append(count_between(edges, k), len(v) - len(k)) for v, k in zip(values, known, strict=True)]
    used = (counts[0] + counts[1]) > 0
    return np.asarray(counts[0][used], dtype=np.float64), np.asarray(counts[1][used], dtype=np.float64)


def _wasserstein(reference: "pd.Series[Any]", current: "pd.Series[Any]") -> float:
    """Compute the Wasserstein distance in standard deviations of the reference; NaN where there is no spread."""
    from scipy.stats import wasserstein_distance  # noqa: PLC0415 - slow to import, for drift alone

    before, after = (side.dropna().to_numpy(dtype=np.float64) for side in (reference, current))
    spread = float(before.std()) if len(before) else 0.0
    if not (spread > 0 and len(after)):
        return float("nan")
    return float(wasserstein_distance(before, after)) / spread


def _missing(side: "pd.Series[Any]") -> float:
    return float(side.isna().mean()) if len(side) else 0.0


def _status(before: int, after: int, score_psi: float, share: float, any_drifted: bool, limits: DriftLimits) -> Status:
    if min(before, after) < limits.minimum_rows:
        return "unknown"
    if score_psi >= limits.psi_alert or share > limits.maximum_drifted_share:
        return "drifted"
    return "moving" if any_drifted or score_psi >= limits.psi_warn else "stable"


def _words(status: Status, table: pd.DataFrame, share: float, before: int, after: int, limits: DriftLimits) -> str:
    if status == "unknown":
        return f"no verdict: {before} reference and {after} current applicants, where the policy wants {limits.minimum_rows}"
    score = float(table.loc[table["feature"] == SCORE, "statistic"].iloc[0])
    words = f"{status}: score PSI {score:.3f}, {share:.1%} of inputs at a PSI of {limits.psi_alert} or more"
    named = table.loc[table["drifted"] & (table["feature"] != SCORE), "feature"].head(NAMED_IN_WORDS).tolist()
    return f"{words} ({', '.join(named)}{', …' if len(named) == NAMED_IN_WORDS else ''})" if named else words


def _reported(inputs: Sequence[ModelInput], report: DriftReport, count: int) -> list[ModelInput]:
    table = report.table[report.table["feature"] != SCORE]
    drifted = table.loc[table["drifted"], "feature"].head(count // 2).tolist()
    important = table.sort_values(["importance", "feature"], ascending=[False, True])["feature"].tolist()
    names = set(list(dict.fromkeys([*drifted, *important]))[:count])
    return [i for i in inputs if i.name in names]


def _evidently_frame(
    part: Part, scores: NDArray[np.float64], chosen: Sequence[ModelInput], gaps: Sequence[str]
) -> pd.DataFrame:
    """Make Evidently's table; it leaves NULLs out, so where their share moved they become a column of their own."""
    columns: dict[str, Any] = {SCORE: scores}
    for item in chosen:
        column = part.frame[item.name]
        if item.kind == "boolean":
            column = column.map({0.0: "no", 1.0: "yes"})
        columns[item.name] = column.astype(object if item.kind != "numeric" else np.float64).to_numpy()
    for name in gaps:
        columns[f"{name}{MISSING}"] = np.where(part.frame[name].isna(), "yes", "no")
    return pd.DataFrame(columns)
