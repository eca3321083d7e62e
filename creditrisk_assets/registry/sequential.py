"""Is a shadow as good as its champion, asked again after every decision: confidence sequences of their differences.

What belongs here: the sequences, the verdict, their picture; pure functions. What does not: which decisions are compared, and what follows
from a verdict (`creditrisk_serving.defs.shadow`).

An interval that holds 95 % of the time at one moment is missed sooner or later by whoever looks again and again. A confidence sequence
holds at all moments at once with that probability, so looking as often as one likes costs nothing.

References
----------
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal Statistical Society B 86 (2024),
theorem 2: the empirical Bernstein sequence with predictable plug-in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.plots import BLUE, GREY, ORANGE, _figure, _png
from creditrisk_assets.modelling.policy import ShadowLimits

Numbers = NDArray[np.float64]
Word = Literal["continue", "stop", "enough"]
APPROVAL, MEAN_PD, BRIER = "approval_rate", "mean_pd", "brier_loss"
FIGURES = (APPROVAL, MEAN_PD, BRIER)
LARGEST_BET = 0.5
DRAWN = 400  # points of a line


@dataclass(frozen=True)
class Pairs:
    """Decisions that champion and shadow both scored, in the order they were made; the last ones whose outcome is known, in theirs.

    Attributes
    ----------
    champion_pd, shadow_pd : (n,)
        PDs.
    champion_approves, shadow_approves : (n,)
        Whether each approves.
    outcomes : (m,)
        1 for a default, in the order they became known.
    decided : (m,)
        Place of the pair an outcome belongs to.
    """

    champion_pd: Numbers
    shadow_pd: Numbers
    champion_approves: NDArray[np.bool_]
    shadow_approves: NDArray[np.bool_]
    outcomes: Numbers
    decided: NDArray[np.intp]

    @property
    def differences(self) -> Mapping[str, Numbers]:
        """The shadow's less the champion's, by figure; each lies between -1 and 1."""
        mine, theirs = self.shadow_pd[self.decided], self.champion_pd[self.decided]
        return {
            APPROVAL: self.shadow_approves.astype(np.float64) - self.champion_approves.astype(np.float64),
            MEAN_PD: self.shadow_pd - self.champion_pd,
            BRIER: (mine - self.outcomes) ** 2 - (theirs - self.outcomes) ** 2,
        }


@dataclass(frozen=True)
class Line:
    """The mean difference of one figure after each pair, with its confidence sequence and what is tolerated."""

    figure: str
    mean: Numbers
    lower: Numbers
    upper: Numbers
    tolerated: tuple[float, float]

    @property
    def left_at(self) -> int | None:
        """After how many pairs the whole sequence first lay beyond what is tolerated; None: never."""
        beyond = np.flatnonzero((self.lower > self.tolerated[1]) | (self.upper < self.tolerated[0]))
        return int(beyond[0]) + 1 if beyond.size else None

    @property
    def holds(self) -> bool:
        """Whether it lies within what is tolerated now."""
        return bool(self.mean.size and self.lower[-1] >= self.tolerated[0] and self.upper[-1] <= self.tolerated[1])


@dataclass(frozen=True)
class Verdict:
    """What is to be done, and why."""

    word: Word
    why: str
    lines: Sequence[Line]


def confidence_sequence(differences: Numbers, error_rate: float) -> tuple[Numbers, Numbers, Numbers]:
    """Bound a mean after each of its values, so that all bounds hold at once.

    Parameters
    ----------
    differences : (..., n)
        Values between -1 and 1, oldest first. Each may depend on those before it; their mean given those before is what is bounded.
    error_rate
        How often any of the bounds may be wrong.

    Returns
    -------
    tuple
        Weighted mean, lower and upper bound after each value, (..., n).

    Examples
    --------
    >>> mean, lower, upper = confidence_sequence(np.full(1000, 0.1), 0.05)
    >>> bool(lower[-1] < 0.1 < upper[-1]), round(float(upper[-1] - lower[-1]), 3)
    (True, 0.034)
    """
    values = (np.asarray(differences, dtype=np.float64) + 1) / 2
    times = np.arange(1, values.shape[-1] + 1)
    means = (0.5 + np.cumsum(values, axis=-1)) / (times + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2, axis=-1)) / (times + 1)
    mean_before = np.concatenate([np.full((*values.shape[:-1], 1), 0.5), means[..., :-1]], axis=-1)
    variance_before = np.concatenate([np.full((*values.shape[:-1], 1), 0.25), variances[..., :-1]], axis=-1)
    odds = np.log(2 / error_rate)
    bets = np.minimum(np.sqrt(2 * odds / (variance_before * times * np.log(times + 1))), LARGEST_BET)
    spread = 4 * (values - mean_before) ** 2 * (-np.log1p(-bets) - bets) / 4
    weights = np.cumsum(bets, axis=-1)
    centre = np.cumsum(bets * values, axis=-1) / weights
    width = (odds + np.cumsum(spread, axis=-1)) / weights
    return 2 * centre - 1, np.maximum(2 * (centre - width) - 1, -1), np.minimum(2 * (centre + width) - 1, 1)


def judge(pairs: Pairs, limits: ShadowLimits) -> Verdict:
    """Say whether to go on with a shadow.

    The error rate is shared by all figures: a shadow that is as good as is tolerated is stopped no more often than that, however often
    this is asked. Outcomes come late and of some alone, so they may stop a shadow, and are not needed to have seen enough.

    Parameters
    ----------
    pairs
        What both scored.
    limits
        What is tolerated.
    """
    tolerated = {
        APPROVAL: (-limits.maximum_approval_rate_shift, limits.maximum_approval_rate_shift),
        MEAN_PD: (-limits.maximum_mean_pd_shift, limits.maximum_mean_pd_shift),
        BRIER: (-1.0, limits.maximum_brier_loss),
    }
    lines = [
        Line(name, *confidence_sequence(values, limits.error_rate / len(FIGURES)), tolerated[name])
        for name, values in pairs.differences.items()
    ]
    if left := [line for line in lines if line.left_at is not None]:
        why = "; ".join(f"{_told(line)} after {line.left_at:,} pairs" for line in left)
        return Verdict("stop", f"beyond what is tolerated: {why}", lines)
    shifts = [line for line in lines if line.figure != BRIER]
    count = len(pairs.shadow_pd)
    if count >= limits.minimum_pairs and all(line.holds for line in shifts):
        return Verdict("enough", f"{count:,} pairs: {', '.join(map(_told, shifts))}, within what is tolerated", lines)
    return Verdict("continue", f"{count:,} pairs decide nothing yet", lines)


def _told(line: Line) -> str:
    place = (line.left_at or len(line.mean)) - 1
    bounds = f"{line.lower[place]:+.4f} to {line.upper[place]:+.4f}"
    return f"{line.figure.replace('_', ' ')} {bounds} (tolerated {line.tolerated[0]:+g} to {line.tolerated[1]:+g})"


def rows_of(verdict: Verdict) -> list[dict[str, str | int | float]]:
    """Render the lines as rows, of each as many places as are drawn, the last among them."""
    return [
        {
            "figure": line.figure,
            "pairs": int(place) + 1,
            "mean": float(line.mean[place]),
            "lower": float(line.lower[place]),
            "upper": float(line.upper[place]),
            "tolerated_from": line.tolerated[0],
            "tolerated_to": line.tolerated[1],
        }
        for line in verdict.lines
        for place in _places(len(line.mean))
    ]


def draw(verdict: Verdict) -> bytes:
    """Draw the confidence sequences over the decisions, as PNG bytes."""
    figure, axes = _figure("", height=6.4)
    figure.clear()
    panels = figure.subplots(len(verdict.lines), 1)
    figure.suptitle(f"Shadow less champion: {verdict.word}", fontsize=11.5, x=0.02, ha="left", fontweight="bold")
    for axes, line in zip(panels, verdict.lines, strict=True):
        places = _places(len(line.mean))
        axes.fill_between(places + 1, line.lower[places], line.upper[places], color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(places + 1, line.mean[places], color=BLUE)
        for limit in line.tolerated:
            if abs(limit) < 1:
                axes.axhline(limit, color=ORANGE, linestyle="--", linewidth=1)
        reach = 4 * max(abs(limit) for limit in line.tolerated if abs(limit) < 1)
        axes.set_ylim(-reach, reach)
        axes.set_ylabel(line.figure.replace("_", " "), color=GREY, fontsize=9)
        axes.tick_params(colors=GREY, labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("pairs, of which outcomes are known for the last figure", color=GREY, fontsize=9)
    return _png(figure, legend=False)


def _places(count: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, count - 1, min(count, DRAWN)).astype(np.intp)) if count else np.empty(0, np.intp)
