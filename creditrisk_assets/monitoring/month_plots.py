"""Pictures of production months, as PNG bytes.

What belongs here: drawing. What does not: figures (`performance`), the page they stand on (`month_page`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from creditrisk_assets.modelling.plots import BLUE, GREEN, GREY, ORANGE, _figure, _percent_format, _png
from creditrisk_assets.monitoring.performance import ALL, ON_BOOK

LOW, TALL = 3.2, 3.8
WARN_PSI, ALERT_PSI = 0.10, 0.25  # where the usual reading of a PSI changes


def draw_months(table: pd.DataFrame, drift: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Draw every picture of the months.

    Parameters
    ----------
    table
        Rows of `monitoring/performance`.
    drift
        Of each month: month, score_psi, drifted_share.

    Returns
    -------
    dict
        Name -> PNG; without drift none of it.
    """
    drawn = {
        "approval": _draw(table, "Approved, and the PD answered", {"approval_rate": BLUE, "mean_pd": ORANGE}),
        "bad_rate": _draw(table, "Bad rate of granted loans", {"expected_bad_rate": BLUE, "realised_bad_rate": ORANGE}),
        "auc": _draw(table, "AUC among granted loans", {"expected_auc": BLUE, "realised_auc": ORANGE}, percent=False),
        "vintages": _draw_vintages(table),
        "fairness": _draw_groups(table),
    }
    return drawn | ({"drift": _draw_drift(drift)} if drift else {})


def _draw(table: pd.DataFrame, title: str, figures: Mapping[str, str], *, percent: bool = True) -> bytes:
    figure, axes = _figure(title, height=TALL)
    months = sorted(table["application_month"].unique())
    place = {month: number for number, month in enumerate(months)}
    for shift, (name, colour) in enumerate(figures.items()):
        rows = table[(table["figure"] == name) & (table["segment"] == ALL) & table["value"].notna()]
        at = rows["application_month"].map(place) + 0.12 * (shift - 0.5)
        reach = np.vstack([rows["value"] - rows["low"], rows["high"] - rows["value"]]).clip(min=0)
        axes.errorbar(at, rows["value"], yerr=reach, color=colour, marker="o", markersize=4, linewidth=1.4, capsize=2.5,
                      label=name.replace("_", " "))  # fmt: skip
    axes.set_xticks(range(len(months)), months, rotation=45, ha="right")
    if percent:
        axes.yaxis.set_major_formatter(_percent_format())
        axes.set_ylim(bottom=0)
    return _png(figure, axes, below=True)


def _draw_vintages(table: pd.DataFrame) -> bytes:
    from matplotlib import colormaps  # noqa: PLC0415 - slow to import, for plots alone

    figure, axes = _figure("Vintages: loans defaulted so many months after the application", height=TALL)
    rows = table[(table["figure"] == "vintage_bad_rate") & (table["segment"] == ON_BOOK)]
    months = sorted(rows["application_month"].unique())
    shades = colormaps["viridis"](np.linspace(0.05, 0.9, max(len(months), 1)))
    for month, shade in zip(months, shades, strict=False):
        own = rows[rows["application_month"] == month].assign(after=lambda each: each["part"].astype(int))
        own = own.sort_values("after")
        axes.plot([0, *own["after"]], [0, *own["value"]], color=shade, marker=".", linewidth=1.4, label=month)
    axes.yaxis.set_major_formatter(_percent_format())
    axes.set_xlabel("months since the application", color=GREY)
    if months:
        axes.legend(frameon=False, fontsize=7, ncols=2, loc="upper left")
    return _png(figure, axes, legend=False)


def _draw_groups(table: pd.DataFrame) -> bytes:
    figure, axes = _figure("Approval by group, ratio to the group approved most", height=TALL)
    rows = table[(table["figure"] == "impact_ratio") & table["value"].notna()]
    months = sorted(table["application_month"].unique())
    place = {month: number for number, month in enumerate(months)}
    for number, (part, own) in enumerate(rows.groupby("part", sort=True)):
        at = own["application_month"].map(place) + 0.08 * number - 0.2
        reach = np.vstack([own["value"] - own["low"], own["high"] - own["value"]])
        axes.errorbar(at, own["value"], yerr=reach, marker="o", markersize=3.5, linewidth=1, capsize=2, label=str(part))
    axes.axhline(0.8, color=GREY, linestyle="--", linewidth=1)
    axes.set_xticks(range(len(months)), months, rotation=45, ha="right")
    return _png(figure, axes, legend=not rows.empty, below=True)


def _draw_drift(drift: Sequence[Mapping[str, Any]]) -> bytes:
    figure, axes = _figure("Drift against the training applicants", height=LOW)
    at, psi = range(len(drift)), [each["score_psi"] for each in drift]
    colours = [
        ORANGE if each["status"] == "drifted" else BLUE if each["status"] == "stable" else GREEN for each in drift
    ]
    axes.bar(at, psi, color=colours, width=0.6)
    for limit in (WARN_PSI, ALERT_PSI):
        axes.axhline(limit, color=GREY, linestyle="--", linewidth=1)
    axes.set_xticks(at, [each["month"] for each in drift], rotation=45, ha="right")
    axes.set_ylabel("PSI of the score", color=GREY)
    return _png(figure, axes, legend=False)
