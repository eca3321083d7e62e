"""Pictures of what cut-offs do, as PNG bytes.

What belongs here: drawing. What does not: computing (`economics`), pictures of an evaluation (`plots`, whose look these
share).
"""

from typing import Any

import numpy as np

from creditrisk_assets.modelling.economics import CutOffs, Simulation
from creditrisk_assets.modelling.plots import BLUE, GREEN, GREY, ORANGE, _figure, _percent, _percent_format, _png


def draw_single_cut_off(simulation: Simulation, best: CutOffs) -> bytes:
    """Draw profit, approvals and bad rate over one cut-off that approves below and declines from it, nobody referred.

    Parameters
    ----------
    simulation
        Pairs of equal cut-offs, ascending.
    best
        The two cut-offs chosen: shaded between them, where a person decides.

    Raises
    ------
    ValueError
        A pair is not one cut-off.
    """
    if (simulation.approve_below != simulation.decline_from).any():
        raise ValueError("this picture is of single cut-offs: simulate pairs whose two cut-offs are equal")
    cut_off, profit = simulation.approve_below, simulation.profit_per_applicant
    top = int(np.argmax(profit))
    figure, axes = _figure(
        f"One cut-off: {profit[top]:,.0f} per applicant at {cut_off[top]:.1%};"
        f" with referrals {best.profit_per_applicant:,.0f}"
    )
    axes.plot(cut_off, profit, color=BLUE, linewidth=2.2, label="profit")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axvspan(best.approve_below, best.decline_from, color=GREY, alpha=0.15, linewidth=0, label="referred")
    _percent(axes, "PD from which applicants are declined", "")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("profit per applicant", color=GREY)
    right = axes.twinx()
    right.plot(cut_off, simulation.approval_rate, color=GREEN, linewidth=1.8, label="approved")
    right.plot(cut_off, simulation.bad_rate, color=ORANGE, linewidth=1.8, label="bad rate among them")
    right.set_ylim(0, 1.02)
    right.yaxis.set_major_formatter(_percent_format())
    right.spines[:].set_visible(False)
    right.tick_params(colors=GREY, labelsize=9)
    # Past the PD below which nearly everybody lies, the curves are flat.
    reached = np.flatnonzero(simulation.approval_rate >= 0.98 * simulation.approval_rate.max())
    axes.set_xlim(0, max(float(cut_off[reached[0]]), best.decline_from) * 1.05)
    return _png(figure, axes, right, below=True)


def draw_cut_off_map(simulation: Simulation, best: CutOffs, capacity_share: float) -> bytes:
    """Draw the profit of every pair of cut-offs, with a star on the one chosen; pairs that refer more than the capacity are pale.

    Parameters
    ----------
    simulation
        All pairs of some cut-offs (`economics.pairs`).
    best
        The pair chosen.
    capacity_share
        Share of the applicants that can be referred.
    """
    cut_offs = np.unique(simulation.approve_below)
    across, up = (np.searchsorted(cut_offs, x) for x in (simulation.approve_below, simulation.decline_from))
    profit = np.full((len(cut_offs), len(cut_offs)), np.nan)
    profit[up, across] = simulation.profit_per_applicant
    feasible = np.zeros(profit.shape, dtype=bool)
    feasible[up, across] = simulation.referral_rate <= capacity_share
    figure, axes = _figure(
        f"Approve below {best.approve_below:.1%}, decline from {best.decline_from:.1%}:"
        f" {best.profit_per_applicant:,.0f} per applicant"
    )
    # Losses of approving everybody are a hundred times the gains; a shade for each of them would leave one for the gains.
    low, high = float(np.nanmin(profit)), float(np.nanmax(profit))
    shown: dict[str, Any] = {"shading": "nearest", "cmap": "viridis", "vmin": max(low, -abs(high)), "vmax": high}
    axes.pcolormesh(cut_offs, cut_offs, np.where(feasible, np.nan, profit), alpha=0.25, **shown)
    mesh = axes.pcolormesh(cut_offs, cut_offs, np.where(feasible, profit, np.nan), **shown)
    bar = figure.colorbar(mesh, ax=axes, format="{x:,.0f}")
    bar.set_label(f"profit per applicant (pale: more than {capacity_share:.0%} referred)", color=GREY)
    axes.plot(best.approve_below, best.decline_from, "*", color=ORANGE, markersize=16)
    _percent(axes, "approve below a PD of", "decline from a PD of")
    end = float(np.quantile(cut_offs, 0.97))
    axes.set_xlim(0, max(end, best.decline_from))
    axes.set_ylim(0, max(end, best.decline_from))
    return _png(figure, axes, legend=False)
