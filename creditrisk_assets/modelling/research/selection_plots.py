"""Pictures of a selection and a search, as PNG bytes.

What belongs here: drawing. What does not: computing (`selection`, `search`), pictures of an evaluation (`plots`, whose look these share).
"""

from collections.abc import Sequence

import numpy as np

from creditrisk_assets.modelling.plots import BLUE, GREY, ORANGE, TOP_FEATURES, _figure, _png
from creditrisk_assets.modelling.research.search import COMPLETE, Found
from creditrisk_assets.modelling.research.selection import KEPT, NULL_IMPORTANCE, Selection, Verdict


def draw_null_importance(selection: Selection) -> bytes:
    """Draw each feature's gain against the quantile of its shuffles: what lies above the line says something."""
    shown = [v for v in selection.verdicts if v.gain > 0 and v.null_gain > 0]
    beaten = sum(v.gain > v.null_gain for v in selection.verdicts)
    figure, axes = _figure(f"{beaten} of {len(selection.verdicts)} features gain more than by chance")

    def points(some: Sequence[Verdict], colour: str, label: str) -> None:
        axes.scatter([v.null_gain for v in some], [v.gain for v in some], s=14, color=colour, alpha=0.7, label=label)

    points([v for v in shown if v.reason == NULL_IMPORTANCE], GREY, "dropped: no more than by chance")
    points([v for v in shown if v.reason not in {KEPT, NULL_IMPORTANCE}], ORANGE, "dropped for another reason")
    points([v for v in shown if v.reason == KEPT], BLUE, "kept")
    ends = [v.null_gain for v in shown]
    if ends:
        axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=GREY, linestyle="--", linewidth=1.2)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("gain from shuffled outcomes (stated quantile)", color=GREY)
    axes.set_ylabel("gain from the outcomes", color=GREY)
    return _png(figure, axes)


def draw_kept(selection: Selection) -> bytes:
    """Draw the features kept that gain most, each with the quantile of its shuffles."""
    top = [v for v in selection.verdicts if v.reason == KEPT][:TOP_FEATURES][::-1]
    figure, axes = _figure(f"The first {len(top)} of {len(selection.features)} features kept")
    places = np.arange(len(top))
    axes.barh(places, [v.gain for v in top], color=BLUE, label="gain")
    axes.plot([v.null_gain for v in top], places, "|", color=ORANGE, markersize=9, markeredgewidth=2, label="by chance")
    axes.set_yticks(places, [v.feature for v in top], fontsize=7)
    axes.set_xlabel("gain", color=GREY)
    return _png(figure, axes)


def draw_history(found: Found) -> bytes:
    """Draw the log loss of every trial and the best so far."""
    best = found.best
    figure, axes = _figure(f"{found.ended}: best log loss {best.log_loss:.5f}")
    complete = [(place, trial.log_loss) for place, trial in enumerate(found.trials) if trial.outcome == COMPLETE]
    others = [(place, trial.log_loss) for place, trial in enumerate(found.trials) if trial.outcome != COMPLETE]
    if others:
        at, lost = zip(*others, strict=True)
        axes.scatter(at, lost, s=16, color=GREY, alpha=0.6, label="given up, by the folds it saw")
    places, losses = zip(*complete, strict=True)
    axes.scatter(places, losses, s=22, color=BLUE, label="complete")
    axes.step(places, np.minimum.accumulate(losses), where="post", color=ORANGE, linewidth=1.8, label="best so far")
    spread = max(losses) - min(losses) or 1e-4
    axes.set_ylim(min(losses) - 0.1 * spread, max(losses) + 0.5 * spread)
    axes.set_xlabel("trial", color=GREY)
    axes.set_ylabel("mean log loss out of fold", color=GREY)
    return _png(figure, axes)


def draw_parameters(found: Found) -> bytes:
    """Draw how much each parameter tells good trials from the others."""
    shares = sorted(found.importance.items(), key=lambda pair: (pair[1], pair[0]))
    figure, axes = _figure(
        "Which parameters matter" if shares else "Too few complete trials to tell which parameters matter"
    )
    places = np.arange(len(shares))
    axes.barh(places, [share for _, share in shares], color=BLUE)
    axes.set_yticks(places, [name for name, _ in shares], fontsize=9)
    axes.set_xlabel("share (PED-ANOVA)", color=GREY)
    return _png(figure, axes, legend=False)
