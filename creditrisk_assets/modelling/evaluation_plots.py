"""Pictures of weak slices and of the robustness drill, as PNG bytes.

What belongs here: drawing. What does not: computing (`slices`, `robustness`), pictures of one evaluation (`plots`, whose look these
share).
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from creditrisk_assets.modelling.plots import BLUE, GREY, ORANGE, _figure, _percent_format, _png
from creditrisk_assets.modelling.slices import SliceReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 20
LONGEST = 62  # characters of a line beside an axis


def draw_ranking_by_slice(report: SliceReport) -> bytes:
    """Draw the AUCs of the slices that rank worst by their gap, with intervals, beside that of everybody outside each."""
    ranked = report.table[report.table["auc"].notna()]
    table = ranked.sort_values(["ranks_worse", "auc_gap", "slice"], ascending=[False, True, True]).head(SHOWN)[::-1]
    figure, axes = _figure(
        f"{report.ranks_worse:,} of {len(ranked):,} slices rank worse (Holm)", height=2.2 + 0.27 * len(table)
    )
    places = np.arange(len(table))
    for worse, colour, words in ((True, ORANGE, "worse than outside"), (False, BLUE, "not told apart")):
        rows = table["ranks_worse"].to_numpy() == worse
        if rows.any():
            some = table[rows]
            reach = np.vstack([some["auc"] - some["auc_low"], some["auc_high"] - some["auc"]])
            axes.errorbar(
                some["auc"], places[rows], xerr=reach, fmt="o", color=colour, elinewidth=1.2, markersize=4, label=words
            )
    axes.plot(table["auc_elsewhere"], places, "|", color=GREY, markersize=9, label="everybody outside it")
    _name_rows(axes, table)
    axes.set_xlabel("AUC, with 95 % intervals", color=GREY)
    return _png(figure, axes, below=True)


def draw_calibration_by_slice(report: SliceReport) -> bytes:
    """Draw default rates of the slices whose mean PD is the least true, with intervals, beside that mean PD."""
    table = report.table.sort_values(["calibration_p", "slice"]).head(SHOWN)[::-1]
    figure, axes = _figure(
        f"PDs untrue in {report.pd_untrue:,} of {len(report.table):,} slices (Holm)", height=2.2 + 0.27 * len(table)
    )
    places = np.arange(len(table))
    for untrue, colour, words in ((True, ORANGE, "disagrees"), (False, BLUE, "not told apart")):
        rows = table["pd_untrue"].to_numpy() == untrue
        if rows.any():
            some = table[rows]
            reach = np.vstack([some["bad_rate"] - some["bad_rate_low"], some["bad_rate_high"] - some["bad_rate"]])
            label = f"default rate, {words}"
            axes.errorbar(
                some["bad_rate"], places[rows], xerr=reach.clip(min=0), fmt="o", color=colour, elinewidth=1.2,
                markersize=4, label=label,
            )  # fmt: skip
    axes.plot(table["mean_pd"], places, "|", color=GREY, markersize=9, label="mean PD")
    _name_rows(axes, table)
    axes.xaxis.set_major_formatter(_percent_format())
    axes.set_xlabel("share of the applicants, with 95 % intervals", color=GREY)
    return _png(figure, axes, below=True)


def draw_tornado(table: pd.DataFrame, column: str, words: str, *, percent: bool) -> bytes:
    """Draw what every scenario does to one figure, largest change on top.

    Parameters
    ----------
    table
        `robustness.Drill.table`.
    column
        The change to draw; where the table has its interval (`…_low`, `…_high`), that too.
    words
        What the figure is.
    percent
        Whether it is a share.
    """
    some = table[table["kind"] != "baseline"]
    some = some.iloc[np.argsort(some[column].abs().to_numpy(), kind="stable")]
    figure, axes = _figure(f"What missing and shocked data do to the {words}", height=1.6 + 0.26 * len(some))
    colours = [ORANGE if value < 0 else BLUE for value in some[column]]
    ends = [f"{column}_low", f"{column}_high"]
    reach = None
    if set(ends) <= set(some):
        reach = np.vstack([some[column] - some[ends[0]], some[ends[1]] - some[column]])
    axes.barh(some["scenario"], some[column], xerr=reach, color=colours, alpha=0.85, height=0.7, ecolor=GREY)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", visible=False)
    if percent:
        axes.xaxis.set_major_formatter(_percent_format())
    axes.set_xlabel(f"change of the {words}", color=GREY)
    return _png(figure, axes, legend=False)


def _name_rows(axes: "Axes", table: pd.DataFrame) -> None:
    """Write the name and size of each slice beside its row, two features below each other."""
    names = []
    for row in table.to_dict("records"):
        lines = [f"{row['first_feature']}: {row['first_value']}"]
        if not pd.isna(row["second_feature"]):
            lines.append(f"{row['second_feature']}: {row['second_value']}")
        lines[-1] += f" ({row['applicants']:,})"
        names.append("\n".join(line if len(line) <= LONGEST else f"…{line[-LONGEST:]}" for line in lines))
    axes.set_yticks(range(len(names)), names, fontsize=6.5)
    axes.grid(axis="y", visible=False)
