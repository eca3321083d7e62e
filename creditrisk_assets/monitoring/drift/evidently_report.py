"""Evidently's report on samples, for those who know it.

What belongs here: which columns it draws, writing it. What does not: the verdict, which rests on all applicants and all inputs (`report`).
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import DriftLimits
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.monitoring.drift.report import OUTCOMES, SCORE, DriftReport

MISSING = " is missing"
SHOWN_GAP = 0.02  # difference of the shares missing


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
    verdict rests on `measure_month`, which looks at all.

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


def _missing(side: "pd.Series[Any]") -> float:
    return float(side.isna().mean()) if len(side) else 0.0


def _reported(inputs: Sequence[ModelInput], report: DriftReport, count: int) -> list[ModelInput]:
    table = report.table[~report.table["feature"].isin(OUTCOMES)]
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
