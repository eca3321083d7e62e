"""Pictures of an evaluation, as PNG bytes: shown in the Dagster UI, logged to MLflow.

What belongs here: drawing. What does not: computing (`evaluation`). matplotlib is imported inside the functions and
used through its Agg canvas alone, so nothing depends on a display and no global figure is left behind.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.calibration_tests import CalibrationReport
from creditrisk_assets.modelling.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by colour-blind readers.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#5A5A5A"
PALE = "#E6E6E6"
WIDTH, HEIGHT, DPI = 7.0, 4.6, 110  # 770 × 506 pixels: sharp in the UI's column
POINTS = 400  # a curve needs no more
TOP_FEATURES = 20


def draw_all(
    target: NDArray[np.int64],
    pds: NDArray[np.float64],
    evaluation: Evaluation,
    importance: Mapping[str, float],
) -> dict[str, bytes]:
    """Draw every picture of an evaluation.

    Parameters
    ----------
    target, pds : (n,)
        Outcomes and PDs of the test part.
    evaluation
        Their figures.
    importance
        Input -> share of gain, largest first.

    Returns
    -------
    dict
        Name without suffix -> PNG.
    """
    return {
        "roc": draw_roc(target, pds, evaluation),
        "precision_recall": draw_precision_recall(target, pds, evaluation),
        "calibration": draw_calibration(evaluation),
        "score_distribution": draw_score_distribution(evaluation),
        "gain": draw_gain(evaluation),
        "importance": draw_importance(importance),
    }


def draw_roc(target: NDArray[np.int64], pds: NDArray[np.float64], evaluation: Evaluation) -> bytes:
    """Draw the ROC curve with its AUC and interval."""
    auc = evaluation.auc
    figure, axes = _figure(f"ROC: AUC {auc.value:.3f} (95 % {auc.low:.3f}–{auc.high:.3f}), Gini {evaluation.gini:.3f}")
    order = np.argsort(-pds, kind="stable")
    found = np.concatenate([[0], np.cumsum(target[order]) / target.sum()])
    false = np.concatenate([[0], np.cumsum(1 - target[order]) / (1 - target).sum()])
    keep = _thinned(len(found))
    axes.plot(false[keep], found[keep], color=BLUE, linewidth=2.2, label="model")
    axes.fill_between(false[keep], found[keep], false[keep], color=BLUE, alpha=0.08, linewidth=0)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.2, label="no skill")
    _percent(axes, "repaid, taken for risky", "defaulted, found")
    return _png(figure, axes)


def draw_precision_recall(target: NDArray[np.int64], pds: NDArray[np.float64], evaluation: Evaluation) -> bytes:
    """Draw precision over recall, against the default rate."""
    rate = evaluation.default_rate
    figure, axes = _figure(f"Precision and recall: average precision {evaluation.pr_auc:.3f}, default rate {rate:.1%}")
    order = np.argsort(-pds, kind="stable")
    hits = np.cumsum(target[order])
    recall, precision = hits / target.sum(), hits / np.arange(1, len(order) + 1)
    start = min(len(order) - 1, max(20, len(order) // 500))  # the first few rows are noise that hides the curve
    keep = start + _thinned(len(order) - start)
    axes.plot(recall[keep], precision[keep], color=BLUE, linewidth=2.2, label="model")
    axes.axhline(rate, color=GREY, linestyle="--", linewidth=1.2, label=f"everybody declined: {rate:.1%}")
    _percent(axes, "defaulted, found (recall)", "defaults among those taken for risky (precision)")
    axes.set_ylim(0, min(1.0, float(precision[keep].max()) * 1.12))
    return _png(figure, axes)


def draw_calibration(evaluation: Evaluation) -> bytes:
    """Draw bad rates against mean PDs in groups, with their intervals."""
    slope, error = evaluation.calibration_slope, evaluation.expected_calibration_error
    figure, axes = _figure(f"Calibration: slope {slope:.2f}, expected error {error:.2%}, Brier {evaluation.brier:.4f}")
    table = evaluation.calibration
    middle = table["bad_rate"]
    reach = np.vstack([middle - table["bad_rate_low"], table["bad_rate_high"] - middle]).clip(min=0)
    top = float(max(table["mean_pd"].max(), table["bad_rate_high"].max())) * 1.05
    axes.plot([0, top], [0, top], color=GREY, linestyle="--", linewidth=1.2, label="PD = bad rate")
    style: dict[str, Any] = {"color": BLUE, "ecolor": BLUE, "elinewidth": 1.2, "capsize": 2.5, "markersize": 5}
    axes.errorbar(table["mean_pd"], middle, yerr=reach, fmt="o", label=f"{len(table)} groups, 95 % intervals", **style)
    _percent(axes, "mean predicted PD", "bad rate")
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    return _png(figure, axes)


def draw_grades(report: CalibrationReport) -> bytes:
    """Draw default rates of the grades against their mean PDs, with Jeffreys intervals; grades that do not agree stand out."""
    tests = [test for test in report.tests if test.segment is None]
    rejected = {test.grade for test in report.rejected() if test.segment is None}
    figure, axes = _figure(f"Grades: {len(rejected)} of {len(tests)} mean PDs disagree with what happened (Holm)")
    for words, colour, some in (
        ("agrees", BLUE, [t for t in tests if t.grade not in rejected]),
        ("disagrees", ORANGE, [t for t in tests if t.grade in rejected]),
    ):
        if some:
            rates = np.array([t.default_rate for t in some])
            ends = np.array([[t.default_rate_low for t in some], [t.default_rate_high for t in some]])
            reach = np.abs(ends - rates)
            style: dict[str, Any] = {"fmt": "o", "color": colour, "elinewidth": 1.2, "capsize": 3, "markersize": 5}
            axes.errorbar([str(t.grade) for t in some], rates, yerr=reach, label=f"default rate, {words}", **style)
    names = [str(test.grade) for test in tests]
    axes.plot(names, [t.mean_pd for t in tests], color=GREY, marker="_", markersize=18, linestyle="", label="mean PD")
    _percent(axes, "", "share")
    axes.xaxis.set_major_formatter(lambda place, _: names[round(place)] if 0 <= round(place) < len(names) else "")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("grade")
    return _png(figure, axes)


def draw_score_distribution(evaluation: Evaluation) -> bytes:
    """Draw the distribution of PDs of those who repaid and those who defaulted."""
    figure, axes = _figure(f"Score distribution: KS {evaluation.ks:.3f} at a PD of {evaluation.ks_at:.1%}")
    table = evaluation.score_distribution
    edges = np.append(table["pd_from"], table["pd_to"].iloc[-1])
    for column, colour, words in (("repaid", BLUE, "repaid"), ("defaulted", ORANGE, "defaulted")):
        heights = table[column] / max(1, table[column].sum())
        axes.stairs(heights, edges, color=colour, fill=True, alpha=0.25)
        axes.stairs(heights, edges, color=colour, linewidth=1.8, label=f"{words} ({table[column].sum():,})")
    axes.axvline(evaluation.ks_at, color=GREY, linestyle="--", linewidth=1.2, label="largest separation")
    _percent(axes, "predicted PD", "share of each group")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, float(edges[-1]))
    return _png(figure, axes)


def draw_gain(evaluation: Evaluation) -> bytes:
    """Draw the bad rate of each tenth and the share of defaults captured."""
    table = evaluation.deciles
    first = table.iloc[0]
    figure, axes = _figure(
        f"Gain: the riskiest tenth holds {first['captured_share']:.0%} of defaults, lift {first['lift']:.1f}"
    )
    axes.bar(table["decile"], table["bad_rate"], color=BLUE, alpha=0.85, width=0.72, label="bad rate of the tenth")
    axes.axhline(evaluation.default_rate, color=GREY, linestyle="--", linewidth=1.2, label="everybody")
    axes.set_xticks(table["decile"])
    _percent(axes, "tenth of the applicants, riskiest first", "bad rate")
    axes.xaxis.set_major_formatter("{x:.0f}")
    right = axes.twinx()
    right.plot(
        table["decile"], table["captured_share"], color=ORANGE, marker="o", linewidth=2, label="defaults captured"
    )
    right.set_ylim(0, 1.02)
    right.yaxis.set_major_formatter(_percent_format())
    right.set_ylabel("defaults captured so far", color=GREY)
    right.spines[:].set_visible(False)
    right.tick_params(colors=GREY, labelsize=9)
    axes.set_ylim(top=float(table["bad_rate"].max()) * 1.08)
    return _png(figure, axes, right, below=True)


def draw_importance(importance: Mapping[str, float], top: int = TOP_FEATURES) -> bytes:
    """Draw the inputs with the largest share of gain."""
    named = pd.Series(dict(importance), dtype=float).nlargest(top)[::-1]
    figure, axes = _figure(f"Top {len(named)} of {len(importance)} inputs: {named.sum():.0%} of the gain", height=6.4)
    axes.barh(named.index, named, color=BLUE, alpha=0.85, height=0.7)
    for place, value in enumerate(named):
        axes.text(value, place, f" {value:.1%}", va="center", ha="left", fontsize=8, color=GREY)
    axes.xaxis.set_major_formatter(_percent_format())
    axes.set_xlabel("share of the gain of all splits", color=GREY)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(right=max(float(named.max()) * 1.12, 1e-6))
    return _png(figure, axes, legend=False)


def draw_drift(table: pd.DataFrame, words: str, top: int = TOP_FEATURES) -> bytes:
    """Draw the strongest drifts beside the policy's limit.

    Parameters
    ----------
    table
        `monitoring.drift`'s table: `feature`, `statistic` (PSI), `threshold`, `drifted`.
    words
        The verdict's first word, for the title.
    top
        How many inputs to draw.
    """
    strongest = table.nlargest(top, "statistic")[::-1]
    figure, axes = _figure(f"Drift of the inputs and the score: {words}", height=6.4)
    colours = [ORANGE if drifted else BLUE for drifted in strongest["drifted"]]
    axes.barh(strongest["feature"], strongest["statistic"], color=colours, alpha=0.85, height=0.7)
    limit = float(strongest["threshold"].max())
    axes.axvline(limit, color=GREY, linestyle="--", linewidth=1.2, label=f"limit {limit:g}")
    axes.set_xlabel("population stability index against the training reference", color=GREY)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", visible=False)
    return _png(figure, axes)


def _figure(title: str, height: float = HEIGHT) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, for plots alone

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11.5, loc="left", fontweight="bold", color="#222222", pad=10)
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9A9A9A")
    axes.tick_params(colors=GREY, labelsize=9)
    return figure, axes


def _percent(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x, color=GREY)
    axes.set_ylabel(y, color=GREY)
    axes.xaxis.set_major_formatter(_percent_format())
    axes.yaxis.set_major_formatter(_percent_format())


def _percent_format() -> Any:
    from matplotlib.ticker import FuncFormatter  # noqa: PLC0415 - slow to import, for plots alone

    return FuncFormatter(lambda value, _: f"{100 * value:.3g} %")


def _thinned(length: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, length - 1, min(length, POINTS)).round().astype(np.int64))


def _png(figure: "Figure", *axes: "Axes", legend: bool = True, below: bool = False) -> bytes:
    if legend:
        pairs = [part.get_legend_handles_labels() for part in axes]
        handles = [handle for found, _ in pairs for handle in found]
        labels = [label for _, found in pairs for label in found]
        if below:
            figure.legend(
                handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=min(3, len(labels))
            )
        else:
            axes[-1].legend(handles, labels, frameon=False, fontsize=9, loc="best")
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
