"""The picture of the ablation ladder, as PNG bytes.

What belongs here: drawing. What does not: computing (`ladder`), pictures of an evaluation (`plots`, whose look this shares).
"""

from typing import Any

import numpy as np
import pandas as pd

from creditrisk_assets.modelling.plots import GREEN, GREY, ORANGE, _figure, _png

COLOURS = {"better": GREEN, "worse": ORANGE, "undecided": GREY}


def draw_ladder(table: pd.DataFrame) -> bytes:
    """Draw what each rung gains over the one it stands on, with the paired interval; the rung's own AUC stands at its name.

    Parameters
    ----------
    table
        Of `ladder.tabulate`.
    """
    first, best = float(table["auc"].iloc[0]), float(table["auc"].max())
    figure, axes = _figure(f"Ladder: AUC out of fold from {first:.3f} to {best:.3f}", height=0.9 + 0.36 * len(table))
    places = np.arange(len(table))
    for verdict, colour in COLOURS.items():
        some = (table["verdict"] == verdict).to_numpy()
        if some.any():
            rows = table[some]
            gain, low, high = (rows[name].to_numpy(dtype=np.float64) for name in ("gain", "gain_low", "gain_high"))
            style: dict[str, Any] = {"fmt": "o", "color": colour, "elinewidth": 1.6, "capsize": 3, "markersize": 5}
            axes.errorbar(gain, places[some], xerr=np.vstack([gain - low, high - gain]), label=verdict, **style)
    axes.axvline(0, color=GREY, linewidth=0.8)
    names = [f"{name.replace('_', ' ')}  {auc:.4f}" for name, auc in zip(table["rung"], table["auc"], strict=True)]
    axes.set_yticks(places, names)
    axes.set_ylim(len(table) - 0.5, -0.5)  # the lowest rung is read first
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("gain in AUC over the rung it stands on, paired 95 % interval", color=GREY)
    return _png(figure, axes)
