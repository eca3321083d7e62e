"""The monthly page: everything is told, nothing is loaded from elsewhere, no text is markup."""

import pandas as pd
import pytest

from creditrisk_assets.monitoring.month_page import Page, render_page
from creditrisk_assets.monitoring.month_plots import draw_months

NAMES = ("approval", "bad_rate", "auc", "vintages", "fairness", "drift")
PICTURES = {name: name.encode() for name in NAMES}
INTERVAL = {"value": 0.08, "low": 0.06, "high": 0.1}
FIGURES = {"applicants": 900, "bad_rate": INTERVAL, "brier": INTERVAL, "auc": {"value": 0.7, "low": 0.66, "high": 0.74}}
MONTHS = [
    {"month": "2026-01", "state": "matured", "applicants": 1000, "known_share": 1.0, "expected": FIGURES, "realised": FIGURES,
     "breaches": [{"figure": "bad_rate", "words": "worse"}]},
    {"month": "2026-02", "state": "pending", "applicants": 50, "known_share": 0.0, "expected": None, "realised": None,
     "breaches": []},
]  # fmt: skip
DRIFT = [
    {
        "month": "2026-01",
        "status": "drifted",
        "score_psi": 0.3,
        "drifted_share": 0.4,
        "causes": [{"words": "<b>moved</b>"}],
    }
]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rows = [
        ("2026-01", figure, "all", "all", 0.1, 0.08, 0.12, 900, "matured")
        for figure in (
            "approval_rate",
            "mean_pd",
            "expected_bad_rate",
            "realised_bad_rate",
            "expected_auc",
            "realised_auc",
        )
    ]
    rows += [
        ("2026-01", "vintage_bad_rate", "months_on_book", str(n), 0.01 * n, 0.0, 0.2, 900, "matured") for n in (1, 2)
    ]
    rows += [("2026-01", "impact_ratio", "gender", "M", 0.9, 0.8, 1.0, 300, "matured")]
    columns = ["application_month", "figure", "segment", "part", "value", "low", "high", "applicants", "state"]
    return pd.DataFrame(rows, columns=columns)


def page(**other: object) -> Page:
    given = {
        "headline": "2 months", "months": MONTHS, "drift": DRIFT, "groups": [], "grades": [], "alerts": [], "retrains": [],
        "pictures": PICTURES, "origin": {"monitoring/performance": "abc"},
    }  # fmt: skip
    return Page(**{**given, **other})


def test_every_picture_is_drawn_and_that_of_drift_where_it_was_measured(table: pd.DataFrame) -> None:
    drawn = draw_months(table, DRIFT)
    assert drawn.keys() == set(NAMES)
    assert all(picture.startswith(b"\x89PNG") for picture in drawn.values())
    assert draw_months(table.head(0), []).keys() == {*NAMES} - {"drift"}


def test_a_month_with_and_one_without_figures_are_told() -> None:
    text = render_page(page())
    for words in (
        "2026-01",
        "2026-02",
        "8.0% (6.0% – 10.0%)",
        "0.700 (0.660 – 0.740)",
        "bad rate",
        "drifted",
        "No month has",
    ):
        assert words in text
    assert text.count("data:image/png;base64,") == 6


def test_no_text_is_markup_and_nothing_is_loaded() -> None:
    alert = {"since": "2026-02-01", "severity": "warning", "what": "<script>alert(1)</script>", "resolved": ""}
    text = render_page(page(alerts=[alert]))
    assert "&lt;b&gt;moved" in text
    assert "&lt;script&gt;" in text
    for sign in ("<script", "http://", "https://", "<link", "@import"):
        assert sign not in text


def test_a_page_without_drift_says_so() -> None:
    text = render_page(page(drift=[], pictures={name: PICTURES[name] for name in NAMES[:-1]}))
    assert "Drift of no month was measured" in text


def test_the_retrains_end_in_what_became_of_the_candidate() -> None:
    run = {
        "at": "2026-05-01 02:00",
        "cause": "12 inputs moved",
        "state": "success",
        "ended": "keep champion m1: m2 is no better",
    }
    text = render_page(page(retrains=[run]))
    assert "12 inputs moved" in text
    assert "keep champion m1: m2 is no better" in text
