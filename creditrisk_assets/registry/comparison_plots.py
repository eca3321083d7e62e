"""Pictures of a comparison, as PNG bytes: shown in the Dagster UI.

What belongs here: drawing. What does not: computing (`comparison`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from creditrisk_assets.modelling.plots import BLUE, GREEN, GREY, ORANGE, _figure, _png
from creditrisk_assets.modelling.policy import CanaryLimits
from creditrisk_assets.registry.comparison import EVERYBODY, Canary

SHOWN_VALUES = 24


def draw_swap_set(canary: Canary) -> bytes:
    """Draw who is approved by one version alone, by segment, with the bad rates of both ways."""
    table = canary.swap_set
    inward, outward = (
        table[(table[one] == "approve") & (table[other] != "approve")]
        .groupby(["segment", "value"])[["share", "applicants", "defaults"]]
        .sum()
        for one, other in (("candidate", "champion"), ("champion", "candidate"))
    )
    places = [*dict.fromkeys(zip(table["segment"], table["value"], strict=True))][:SHOWN_VALUES]
    share = f"{canary.figures['swapped_share']:.1%}"
    figure, axes = _figure(f"Swap set: {share} are approved by one version alone", height=6.4)
    names = [value if segment == EVERYBODY else f"{segment.split('__')[-1]}: {value}" for segment, value in places]
    for rows, sign, colour, words in (
        (inward, 1, BLUE, "approved by the candidate alone"),
        (outward, -1, ORANGE, "by the champion alone"),
    ):
        shares = np.array([sign * rows["share"].get(place, 0.0) for place in places])
        axes.barh(names, shares, color=colour, alpha=0.85, height=0.7, label=words)
        for row, place in enumerate(places):
            if applicants := rows["applicants"].get(place, 0):
                rate = rows["defaults"][place] / applicants
                style: dict[str, Any] = {
                    "ha": "left" if sign > 0 else "right",
                    "va": "center",
                    "fontsize": 7.5,
                    "color": GREY,
                }
                axes.text(shares[row], row, f" {rate:.0%} ", **style)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.1%}")
    axes.set_xlabel("share of the applicants of the segment; at the bars their bad rates", color=GREY)
    axes.tick_params(axis="y", labelsize=7.5)
    return _png(figure, axes, below=True)


def draw_grade_migration(canary: Canary) -> bytes:
    """Draw the applicants by the champion's grade and the candidate's, as a heat map of shares of each row."""
    migration = canary.figures["grade_migration"]
    counts = np.array(migration["applicants"], dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _figure(f"Grade migration: {canary.figures['grade_jump_share']:.1%} move two grades or more")
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.6 else "#222222"
        axes.text(column, row, f"{count:,.0f}", ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(range(len(migration["candidate"])), migration["candidate"])
    axes.set_yticks(range(len(migration["champion"])), migration["champion"])
    axes.set_xlabel("grade by the candidate", color=GREY)
    axes.set_ylabel("grade by the champion", color=GREY)
    return _png(figure, axes, legend=False)


def draw_months(rows: Sequence[Mapping[str, Any]], limits: CanaryLimits) -> bytes:
    """Draw the candidate's differences by production month, each in units of what the policy tolerates: 1 is the margin or the limit.

    Parameters
    ----------
    rows
        Of the months, as `ComparedMonth.to_row` gives them, in order; one at least.
    limits
        Of the policy.
    """
    drawn = (
        ("auc", "AUC lost", BLUE, -limits.auc_margin),
        ("brier", "Brier score gained", ORANGE, limits.brier_margin),
        ("approval_rate", "approval rate", GREEN, limits.maximum_approval_rate_shift),
        ("mean_pd", "mean PD", GREY, limits.maximum_mean_pd_shift),
    )
    figure, axes = _figure("Candidate minus champion by production month, 95 % intervals", height=4.6)
    for shift, (name, words, colour, unit) in enumerate(drawn):
        some = [(place, row) for place, row in enumerate(rows) if row[f"{name}_difference"] is not None]
        if not some or not unit:
            continue
        values = np.array([row[f"{name}_difference"] / unit for _, row in some])
        ends = np.array([[row[f"{name}_{end}"] / unit for _, row in some] for end in ("low", "high")])
        reach = np.abs(ends - values)
        at = [place + 0.14 * (shift - 1.5) for place, _ in some]
        axes.errorbar(at, values, yerr=reach, fmt="o", color=colour, markersize=4.5, capsize=2.5, label=words)
    axes.axhline(1, color=GREY, linestyle="--", linewidth=1.2, label="what the policy tolerates")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xticks(range(len(rows)), [row["month"] for row in rows], rotation=45, ha="right")
    axes.set_ylabel("share of what is tolerated", color=GREY)
    return _png(figure, axes, below=True)
