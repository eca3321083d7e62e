"""The monthly monitoring page: one HTML file a risk committee can read, with nothing outside it.

What belongs here: what stands on the page, in which order and words. What does not: figures (`performance`, `drift`), pictures
(`month_plots`), gathering what is shown (`defs.month_report`).
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

TEMPLATE = "month_page.html"
CAVEATS = (
    "Expected figures take a PD for what it says. A change of who applies moves them; a change of what defaults does not, and shows in"
    " outcomes only.",
    "Intervals of expected figures hold the chance of outcomes and the error of the calibration out of fold, not its drift since.",
    "Outcomes are of granted loans; of the refused nobody learns anything. Figures compared are of the same applicants.",
    "A month is judged by outcomes when almost all are known: earlier, mostly defaults are.",
    "Groups too small to be judged are marked insufficient.",
)
GLOSSARY = {
    "PD": "probability of default the model answered",
    "AUC": "chance that a loan that defaults was given the higher PD of two; 0.5 is no skill",
    "PSI": "population stability index: below 0.10 little moved, from 0.25 on much did",
    "Interval": "95 %: where the true figure would lie in 19 of 20 such months",
    "Vintage": "loans of one application month, followed from month to month",
}


@dataclass(frozen=True)
class Page:
    """Everything that is shown.

    Attributes
    ----------
    headline
        The state of all months in a line.
    months
        A row per month: what `MonthPerformance.to_dict` says.
    drift
        A row per month: month, status, headline, score_psi, drifted_share, causes.
    groups
        Rows of approval by group of the newest month: segment, part, applicants, value, low, high, state.
    grades
        Rows of the newest month with outcomes: part, applicants, expected, value, low, high.
    alerts
        what, severity, since, resolved.
    retrains
        at, cause, state, outcome.
    pictures
        Name -> PNG.
    origin
        What the page was made from: name -> version.
    """

    headline: str
    months: Sequence[Mapping[str, Any]]
    drift: Sequence[Mapping[str, Any]]
    groups: Sequence[Mapping[str, Any]]
    grades: Sequence[Mapping[str, Any]]
    alerts: Sequence[Mapping[str, Any]]
    retrains: Sequence[Mapping[str, Any]]
    pictures: Mapping[str, bytes]
    origin: Mapping[str, str]


def render_page(page: Page) -> str:
    """Render the page; every text is escaped, and nothing is loaded from elsewhere.

    Parameters
    ----------
    page
        What is shown.
    """
    environment = Environment(
        loader=PackageLoader("creditrisk_assets.monitoring", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"percent": _percent, "figure": _figure, "interval": _interval, "picture": _picture}
    drift = {each["month"]: each for each in page.drift}
    return environment.get_template(TEMPLATE).render(page=page, drift=drift, caveats=CAVEATS, glossary=GLOSSARY)


def _percent(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.1%}"  # noqa: PLR0124 - NaN is unequal to itself


def _figure(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.3f}"  # noqa: PLR0124


def _interval(figure: Mapping[str, float] | None, kind: str = "figure") -> str:
    if figure is None or figure["value"] != figure["value"]:
        return "–"
    shown = _percent if kind == "percent" else _figure
    return f"{shown(figure['value'])} ({shown(figure['low'])} – {shown(figure['high'])})"


def _picture(png: bytes, words: str) -> Markup:
    source = base64.b64encode(png).decode()
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(words, source)
