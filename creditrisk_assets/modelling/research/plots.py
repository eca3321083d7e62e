"""Pictures of what research found, as PNG bytes.

What belongs here: drawing. What does not: computing (`contest`, `rebalancing`), pictures of an evaluation (`plots`, whose
look these share).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import Interval
from creditrisk_assets.modelling.evaluation import calibration_table
from creditrisk_assets.modelling.plots import BLUE, GREEN, GREY, ORANGE, _figure, _percent, _png

COLOURS = (GREY, GREEN, BLUE, "#CC79A7", ORANGE)


def draw_differences(differences: Mapping[str, Interval], title: str, words: str) -> bytes:
    """Draw differences with their intervals beside no difference.

    Parameters
    ----------
    differences
        Name -> difference, from top to bottom.
    title, words
        Above the picture; below its axis.
    """
    figure, axes = _figure(title)
    names = list(differences)[::-1]
    for place, name in enumerate(names):
        one = differences[name]
        colour = GREY if one.low <= 0 <= one.high else (BLUE if one.value > 0 else ORANGE)
        reach = [[one.value - one.low], [one.high - one.value]]
        axes.errorbar(one.value, place, xerr=reach, fmt="o", color=colour, elinewidth=1.6, capsize=3, markersize=6)
        axes.annotate(
            f"{one.value:+.4f}", (one.value, place), (0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1.2)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_ylim(-0.6, len(names) - 0.3)
    axes.set_xlabel(words, color=GREY)
    axes.grid(axis="y", visible=False)
    return _png(figure, axes, legend=False)


def draw_reliability(target: NDArray[np.int64], pds: Mapping[str, Sequence[float] | NDArray[Any]], title: str) -> bytes:
    """Draw the default rate over the mean PD of groups of neighbouring PDs, a line for each set of PDs."""
    figure, axes = _figure(title)
    top = 0.0
    for (name, some), colour in zip(pds.items(), COLOURS * len(pds), strict=False):
        table = calibration_table(target, np.asarray(some, dtype=np.float64))
        axes.plot(table["mean_pd"], table["bad_rate"], color=colour, marker="o", markersize=4, label=name)
        top = max(top, float(table["mean_pd"].max()), float(table["bad_rate"].max()))
    axes.plot([0, top], [0, top], color=GREY, linestyle="--", linewidth=1.2, label="PD = bad rate")
    _percent(axes, "mean predicted PD", "bad rate")
    axes.set_xlim(0, top * 1.05)
    axes.set_ylim(0, None)
    return _png(figure, axes)
