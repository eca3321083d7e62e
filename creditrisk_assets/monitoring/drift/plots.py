"""Pictures of drift, as PNG bytes.

What belongs here: drawing. What does not: measuring (the modules beside this one), pages that embed them (`defs`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from creditrisk_assets.modelling.plots import BLUE, GREEN, GREY, ORANGE, TOP_FEATURES, _figure, _png
from creditrisk_assets.monitoring.drift.report import OUTCOMES, Attribution

SHADES = "cividis"


def draw_months(months: Sequence[tuple[str, Mapping[str, Any]]], psi_alert: float) -> bytes:
    """Draw the score's PSI and the gain resting on drifted inputs month by month; months with a cause are marked with it.

    Parameters
    ----------
    months
        Name of the month and its report as `DriftReport.to_dict` gives it, in order.
    psi_alert
        The policy's limit.
    """
    figure, axes = _figure("Drift by month")
    names, places = [name for name, _ in months], range(len(months))
    psi = [facts["score_psi"] if facts["status"] != "unknown" else np.nan for _, facts in months]
    importance = [facts["drifted_importance"] if facts["status"] != "unknown" else np.nan for _, facts in months]
    axes.plot(places, psi, color=BLUE, marker="o", linewidth=2, label="score PSI")
    axes.plot(places, importance, color=GREEN, marker="s", linewidth=2, label="share of gain on drifted inputs")
    axes.axhline(psi_alert, color=GREY, linestyle="--", linewidth=1.2, label=f"PSI limit {psi_alert:g}")
    for place, (_, facts) in zip(places, months, strict=True):
        kinds = ", ".join(dict.fromkeys(cause["kind"].replace("_", " ") for cause in facts["causes"]))
        if kinds:
            axes.axvline(place, color=ORANGE, linewidth=1, alpha=0.6)
            axes.annotate(
                kinds, (place, axes.get_ylim()[1]), rotation=90, va="top", ha="right", fontsize=8, color=ORANGE
            )
    axes.set_xticks(places, names, rotation=45, ha="right")
    axes.set_ylim(bottom=0)
    return _png(figure, axes)


def draw_inputs_by_month(months: Sequence[tuple[str, pd.DataFrame]], top: int = TOP_FEATURES) -> bytes:
    """Draw the PSI of the inputs that moved most in any month, one column a month.

    Parameters
    ----------
    months
        Name of the month and its drift table, in order; one at least.
    top
        How many inputs to draw.
    """
    tables = {name: table[~table["feature"].isin(OUTCOMES)].set_index("feature")["statistic"] for name, table in months}
    psi = pd.DataFrame(tables)
    strongest = psi.loc[psi.max(axis=1).sort_values(ascending=False, kind="stable").index[:top]]
    figure, axes = _figure("PSI of the inputs that moved most, by month", height=6.4)
    image = axes.imshow(strongest.to_numpy(), aspect="auto", cmap=SHADES, vmin=0, vmax=0.5)
    axes.set_xticks(range(strongest.shape[1]), list(strongest.columns), rotation=45, ha="right")
    axes.set_yticks(range(len(strongest)), list(strongest.index), fontsize=8)
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="PSI (0.5 and more alike)")
    return _png(figure, axes, legend=False)


def draw_attribution(found: Attribution, top: int = TOP_FEATURES) -> bytes:
    """Draw the mean contributions of the features that contributed most in the reference, before and now."""
    strongest = found.table.nlargest(top, "mean_before")[::-1]
    places = np.arange(len(strongest))
    title = f"Mean contributions: their ranks agree to {found.rank_agreement:.2f}"
    figure, axes = _figure(title, height=6.4)
    axes.barh(places + 0.2, strongest["mean_before"], height=0.38, color=GREY, alpha=0.6, label="reference")
    axes.barh(places - 0.2, strongest["mean_now"], height=0.38, color=BLUE, alpha=0.85, label="now")
    axes.set_yticks(places, strongest["feature"], fontsize=8)
    axes.set_xlabel("mean of |contribution to the margin|", color=GREY)
    axes.grid(axis="y", visible=False)
    return _png(figure, axes)
