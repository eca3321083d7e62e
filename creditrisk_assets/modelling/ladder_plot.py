"""The picture of the ablation ladder, as PNG bytes.

What belongs here: drawing. What does not: computing (`ladder`), pictures of an evaluation (`plots`, whose look this shares).
"""

import numpy as np
import pandas as pd

from creditrisk_assets.modelling.plots import BLUE, GREEN, GREY, ORANGE, _figure, _png

COLOURS = {"better": GREEN, "worse": ORANGE, "undecided": GREY}


def draw_ladder(table: pd.DataFrame) -> bytes:
    """Draw each rung's AUC, and beside it what it gains over the rung it is compared with, both with their intervals.

    Parameters
    ----------
    table
        Of `ladder.tabulate`.
    """
    figure, left = _figure(f"Ladder: AUC out of fold from {table['auc'].iloc[0]:.3f} to {table['auc'].max():.3f}", 6.0)
    left.remove()
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1))
    figure.suptitle(f"AUC out of fold, {table['auc'].iloc[0]:.3f} to {table['auc'].max():.3f}", fontweight="bold")
    places = -np.arange(len(table))
    style = {"fmt": "o", "elinewidth": 1.4, "capsize": 3, "markersize": 5}
    reach = np.vstack([table["auc"] - table["auc_low"], table["auc_high"] - table["auc"]])
    left.errorbar(table["auc"], places, xerr=reach, color=BLUE, ecolor=BLUE, **style)
    left.set_yticks(places, [name.replace("_", " ") for name in table["rung"]])
    left.set_xlabel("AUC, 95 %", color=GREY)
    for verdict, colour in COLOURS.items():
        some = (table["verdict"] == verdict).to_numpy()
        if some.any():
            rows = table[some]
            reach = np.vstack([rows["gain"] - rows["gain_low"], rows["gain_high"] - rows["gain"]]).astype(np.float64)
            right.errorbar(rows["gain"], places[some], xerr=reach, color=colour, ecolor=colour, label=verdict, **style)
    right.axvline(0, color=GREY, linewidth=0.8)
    right.set_xlabel("gain over the rung it stands on, paired 95 %", color=GREY)
    return _png(figure, right, below=True)
