"""Pictures of the fairness tests, as PNG bytes.

What belongs here: drawing. What does not: measuring (`measures`, `proxies`, `alternatives`), the style (`modelling.plots`).
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from creditrisk_assets.modelling.fairness.alternatives import LIKE_IT
from creditrisk_assets.modelling.plots import BLUE, GREEN, GREY, ORANGE, _figure, _percent_format, _png
from creditrisk_assets.modelling.policy import FairnessLimits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_PROXIES = 20
LONGEST_LABEL = 48
NEAR_RATIO, NEAR_AUC = 0.02, 0.004  # names of points so close would lie on each other


def draw_groups(table: pd.DataFrame, limits: FairnessLimits) -> bytes:
    """Draw approval rate and impact ratio of every measured group, with intervals, beside the limit."""
    some = table[(table["status"] == "measured")].iloc[::-1]
    figure, left = _wide("Who is approved, and how that compares", height=1.9 + 0.25 * len(some))
    places = np.arange(len(some))
    left.barh(
        places,
        some["approval_rate"],
        color=BLUE,
        alpha=0.8,
        height=0.7,
        xerr=_reach(some, "approval_rate"),
        ecolor=GREY,
    )
    left.set_yticks(places, [f"{a}: {g} ({n:,})" for a, g, n in _named(some)], fontsize=7.5)
    left.xaxis.set_major_formatter(_percent_format())
    left.set_xlim(0, 1.28)
    left.set_xticks([0, 0.25, 0.5, 0.75, 1])
    left.set_xlabel("approved, 95 % intervals; right: impact ratio", color=GREY)
    left.grid(axis="y", visible=False)
    for place, row in zip(places.tolist(), some.to_dict("records"), strict=True):
        if pd.isna(row["impact_ratio"]):
            continue
        missed = row["impact_ratio_high"] < limits.minimum_impact_ratio
        words = f"{row['impact_ratio']:.2f} ({row['impact_ratio_low']:.2f}–{row['impact_ratio_high']:.2f})"
        colour = ORANGE if missed and row["judged"] else "#222222" if row["judged"] else GREY
        left.text(1.02, place, words, va="center", fontsize=7, color=colour)
    return _png(figure, left, legend=False)


def draw_truth(table: pd.DataFrame, limits: FairnessLimits) -> bytes:
    """Draw defaults over expected defaults by group, with intervals, between the limits."""
    some = table[table["observed_expected"].notna()].iloc[::-1]
    figure, axes = _wide("Are PDs true in every group? Defaults over expected ones", height=1.9 + 0.25 * len(some))
    places = np.arange(len(some))
    axes.axvspan(
        limits.minimum_observed_expected, limits.maximum_observed_expected, color=GREEN, alpha=0.09, label="limits"
    )
    axes.axvline(1, color=GREY, linewidth=0.9)
    axes.errorbar(some["observed_expected"], places, xerr=_reach(some, "observed_expected"), fmt="o", color=BLUE, elinewidth=1.2,
                  markersize=4.5, label="observed / expected, 95 %")  # fmt: skip
    axes.set_yticks(places, [f"{a}: {g} ({n:,})" for a, g, n in _named(some)], fontsize=7.5)
    axes.grid(axis="y", visible=False)
    return _png(figure, axes, below=True)


def draw_proxies(table: pd.DataFrame, limits: FairnessLimits) -> bytes:
    """Draw the groups of inputs that tell an attribute best, with intervals."""
    some = table[table["kind"] == "group"].head(SHOWN_PROXIES)[::-1]
    figure, axes = _wide("What stands for an attribute: inputs that tell it best", height=1.9 + 0.25 * len(some))
    places = np.arange(len(some))
    colours = [ORANGE if strong else BLUE for strong in some["strong"]]
    axes.barh(
        places,
        some["auc"] - 0.5,
        left=0.5,
        color=colours,
        alpha=0.85,
        height=0.7,
        xerr=_reach(some, "auc"),
        ecolor=GREY,
    )
    axes.axvline(limits.maximum_proxy_auc, color=ORANGE, linestyle="--", linewidth=1.2)
    rows = zip(some["input_group"], some["attribute"], some["told"], strict=True)
    axes.set_yticks(places, [f"{group} → {attribute} ({told})" for group, attribute, told in rows], fontsize=7)
    axes.set_xlim(0.5, max(0.85, float(table["auc_high"].max()) if len(table) else 0.85))
    axes.set_xlabel("AUC out of fold; dashed: the limit", color=GREY)
    axes.grid(axis="y", visible=False)
    return _png(figure, axes, legend=False)


def draw_frontier(table: pd.DataFrame, limits: FairnessLimits) -> bytes:
    """Draw AUC against the impact ratio of every alternative; the model in use is shown as chosen."""
    figure, axes = _wide("Less discriminatory alternatives: what fairness would cost", height=5.2)
    some = table[table["impact_ratio"].notna()]
    inputs, freed, cuts, chosen = (
        some[some["kind"] == kind] for kind in ("inputs", "constraints", "cut-off", "in use")
    )
    front = some[some["on_frontier"]].sort_values("impact_ratio")
    axes.plot(front["impact_ratio"], front["auc"], color=GREEN, linewidth=1.4, label="frontier")
    axes.scatter(
        inputs["impact_ratio"], inputs["auc"], color=BLUE, s=42, zorder=3, label="other inputs, same approval rate"
    )
    axes.scatter(
        freed["impact_ratio"],
        freed["auc"],
        color=GREEN,
        s=42,
        marker="^",
        zorder=3,
        label="fewer constraints, same rate",
    )
    axes.scatter(cuts["impact_ratio"], cuts["auc"], color=GREY, s=26, zorder=3, marker="|", label="other cut-offs")
    axes.scatter(
        chosen["impact_ratio"],
        chosen["auc"],
        color=ORANGE,
        s=90,
        marker="D",
        zorder=4,
        label="the model in use (chosen)",
    )
    _label(axes, some)
    axes.axvline(limits.minimum_impact_ratio, color=ORANGE, linestyle="--", linewidth=1.1)
    axes.set_xlabel("impact ratio of the worst judged group; dashed: the limit", color=GREY)
    axes.set_ylabel("AUC", color=GREY)
    axes.margins(0.12)
    return _png(figure, axes, below=True)


def _label(axes: "Axes", table: pd.DataFrame) -> None:
    """Name what people look for, a line higher where the last name stands; the table names the others."""
    named = table[table["on_frontier"] | table["kind"].eq("cut-off") | table["alternative"].eq(LIKE_IT)]
    last, lines = (-1.0, -1.0), 0
    for row in named.sort_values("impact_ratio").to_dict("records"):
        name, place = str(row["alternative"]).removeprefix("cut-off "), (row["impact_ratio"], row["auc"])
        near = abs(place[0] - last[0]) < NEAR_RATIO and abs(place[1] - last[1]) < NEAR_AUC
        last, lines = place, lines + 1 if near else 0
        axes.annotate(
            name if len(name) < LONGEST_LABEL else f"{name[:LONGEST_LABEL]}…",
            place,
            xytext=(6, 5 + 9 * lines),
            textcoords="offset points",
            fontsize=6.5,
            color=GREY,
        )


def _wide(title: str, height: float) -> "tuple[Figure, Axes]":
    """Make a figure whose rows have long names: its title begins at the left edge."""
    figure, axes = _figure("", height=height)
    figure.set_size_inches(9.4, height)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color="#222222")
    return figure, axes


def _reach(table: pd.DataFrame, column: str) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    value, low, high = (table[f"{column}{end}"].to_numpy(dtype=np.float64) for end in ("", "_low", "_high"))
    return np.vstack([value - low, high - value]).clip(min=0)


def _named(table: pd.DataFrame) -> "zip[tuple[str, str, int]]":
    return zip(table["attribute"], table["group"], table["applicants"], strict=True)
