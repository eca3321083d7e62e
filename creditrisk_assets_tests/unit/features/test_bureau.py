"""The bureau family against the same features counted by hand, credit by credit and month by month, on drawn histories."""

import random
import statistics
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from creditrisk_assets.features.as_of import known_before
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.lineage import lineage
from creditrisk_assets_tests.features.tables import in_batch

BUREAU = FAMILIES["bureau"]
KINDS = (
    "Consumer credit",
    "Credit card",
    "Mortgage",
    "Real estate loan",
    "Car loan",
    "Microloan",
    "Another type of loan",
)
MONTHS = (None, 3, 6, 12, 24, 60)
Row = dict[str, Any]


def drawn(source: random.Random) -> tuple[list[Row], list[Row]]:
    """Credits of sixty applicants, often opened on the same day, and their months: contiguous, or with gaps, or none."""
    loans: list[Row] = []
    months: list[Row] = []
    for number in range(300):
        opened = source.choice((0, 30, 31, 90, 200, 365, 366, 700, 1500, 2900))
        ended = source.choice((None, None, opened // 2, opened + 40000))
        debt = source.choice((None, 0.0, -12.5, 99.99, 3e6))
        loans.append({
            "SK_ID_CURR": source.randint(1, 60), "SK_ID_BUREAU": number, "DAYS_CREDIT": -opened,
            "CREDIT_ACTIVE": source.choice(("Active", "Closed", "Sold")), "CREDIT_TYPE": source.choice(KINDS),
            "DAYS_CREDIT_ENDDATE": source.choice((None, 31199.0, -40000.0, float(-opened), 365.0, 366.0)),
            "DAYS_ENDDATE_FACT": None if ended is None else float(-ended),
            "AMT_CREDIT_SUM": source.choice((None, 0.0, 1.0, 500.25, 1e6)), "AMT_CREDIT_SUM_DEBT": debt,
        })  # fmt: skip
        newest = source.choice((None, 0, 0, 2, 11, 26))
        for month in range(newest or 0, 0 if newest is None else source.choice((1, 5, 30, 96))):
            if source.random() < 0.95:
                status = source.choice("CCX000000123455")
                months.append({"SK_ID_BUREAU": number, "MONTHS_BALANCE": -month, "STATUS": status})
    return loans, [*months, {"SK_ID_BUREAU": 999, "MONTHS_BALANCE": 0, "STATUS": "5"}]


def quotient(over: float | None, under: float | None) -> float | None:
    return None if over is None or not under else over / under


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def at_most(choose: Callable[..., Any], values: Iterable[Any]) -> Any:
    return choose(values, default=None)


def level(status: str) -> int | None:
    return None if status == "X" else 0 if status == "C" else int(status)


def of_credits(loans: list[Row]) -> Row:
    """What the credits of one applicant come to."""
    rows = sorted(loans, key=lambda row: (-row["DAYS_CREDIT"], row["SK_ID_BUREAU"]))
    ages = [-row["DAYS_CREDIT"] for row in rows]
    running = [row for row in rows if row["DAYS_ENDDATE_FACT"] is None]
    agreed = {
        row["SK_ID_BUREAU"]: row["DAYS_CREDIT_ENDDATE"]
        for row in rows
        if row["DAYS_CREDIT_ENDDATE"] is not None and row["DAYS_CREDIT"] <= row["DAYS_CREDIT_ENDDATE"] <= 18263
    }
    ended = [
        -row["DAYS_ENDDATE_FACT"]
        for row in rows
        if row["DAYS_ENDDATE_FACT"] is not None and row["DAYS_ENDDATE_FACT"] >= row["DAYS_CREDIT"]
    ]
    gaps = [older - newer for newer, older in pairwise(ages)]
    debts = [row for row in rows if row["AMT_CREDIT_SUM_DEBT"] is not None]
    found: Row = {
        "credits_count": len(rows),
        "running_credits_count": len(running),
        "active_credits_count": sum(row["CREDIT_ACTIVE"] == "Active" for row in rows),
        "credit_types_count": len({"Mortgage" if row["CREDIT_TYPE"] == "Real estate loan" else row["CREDIT_TYPE"] for row in rows}),
        "opened_days_min": min(ages),
        "running_opened_days_mean": mean(-row["DAYS_CREDIT"] for row in running),
        "opening_gap_days_mean": mean(gaps),
        "opening_gap_days_max": at_most(max, gaps),
        "term_days_mean": mean(agreed[r["SK_ID_BUREAU"]] - r["DAYS_CREDIT"] for r in rows if r["SK_ID_BUREAU"] in agreed),
        "running_remaining_days_max": at_most(max, [agreed[r["SK_ID_BUREAU"]] for r in running if r["SK_ID_BUREAU"] in agreed]),
        "ended_days_min": at_most(min, ended),
        "unknown_agreed_end_share": 1 - len(agreed) / len(rows),
        "credit_amt_mean_last_3": mean(row["AMT_CREDIT_SUM"] for row in rows[:3]),
        "credit_amt_mean_first_2": mean(row["AMT_CREDIT_SUM"] for row in rows[-2:]),
        "credits_count_half_365d": sum(0.5 ** (age / 365) for age in ages),
        "debt_amt_sum": sum(row["AMT_CREDIT_SUM_DEBT"] for row in debts) if debts else None,
        "debt_credit_ratio": quotient(
            sum(row["AMT_CREDIT_SUM_DEBT"] for row in debts), sum(row["AMT_CREDIT_SUM"] or 0 for row in debts)
        ),
    }  # fmt: skip
    for days in (30, 90, 365, 1500):
        found[f"credits_count_{days}d"] = sum(age <= days for age in ages)
    return found


def of_months(histories: dict[int, list[tuple[int, int | None]]]) -> Row:
    """What the months of one applicant come to, given as (months before, level) by credit."""
    every = [month for history in histories.values() for month in history]
    found: Row = {"history_months_sum": len(every), "monthly_credits_count": len(histories)}
    for window in MONTHS:
        known = [level for before, level in every if level is not None and (window is None or before <= window)]
        end = "" if window is None else f"_{window}m"
        found[f"dpd_months_share{end}"] = quotient(sum(level > 0 for level in known), len(known))
        found[f"worst_status_level{end}"] = at_most(max, known)
    found["last_severe_dpd_months_min"] = at_most(min, [before for before, level in every if (level or 0) > 1])
    found["dpd_months_count_half_12m"] = sum(0.5 ** (before / 12) for before, level in every if level) or None
    shares = [mean(level > 0 for _, level in history if level is not None) for history in histories.values()]
    found["dpd_share_mean"] = mean(shares)
    found["dpd_share_max"] = at_most(max, [share for share in shares if share is not None])
    for window in (12, 24):
        trends = [trend(history, window) for history in histories.values()]
        found[f"status_level_slope_mean_{window}m"] = mean(trends)
        found[f"status_level_slope_max_{window}m"] = at_most(max, [each for each in trends if each is not None])
    return found


def trend(history: list[tuple[int, int | None]], window: int) -> float | None:
    known = [(-before, level) for before, level in history if level is not None and before <= window]
    if len(known) < 2:
        return None
    return statistics.linear_regression(*zip(*known, strict=True)).slope


@pytest.mark.parametrize("seed", range(4))
def test_features_are_those_counted_by_hand(seed: int, con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    loans, months = drawn(random.Random(seed))
    found = in_batch(con, BUREAU, {"bureau": loans, "bureau_balance": months}, tmp_path)
    assert [row["sk_id_curr"] for row in found] == sorted({row["SK_ID_CURR"] for row in loans})
    for row in found:
        own = [credit for credit in loans if credit["SK_ID_CURR"] == row["sk_id_curr"]]
        histories: dict[int, list[tuple[int, int | None]]] = {}
        for month in months:
            if month["SK_ID_BUREAU"] in {credit["SK_ID_BUREAU"] for credit in own}:
                histories.setdefault(month["SK_ID_BUREAU"], []).append(
                    (-month["MONTHS_BALANCE"], level(month["STATUS"]))
                )
        expected = of_credits(own) | (of_months(histories) if histories else dict.fromkeys(of_months({1: [(0, 0)]})))
        latest = max(own, key=lambda credit: (credit["DAYS_CREDIT"], -credit["SK_ID_BUREAU"]))
        assert row["bureau__type_category_last_1"] == latest["CREDIT_TYPE"]
        for name, value in expected.items():  # shares and trends of one credit are ten-thousandths
            wanted = value if value is None else pytest.approx(value, rel=1e-6, abs=6e-5)
            assert row[f"bureau__{name}"] == wanted, name


def test_what_is_made_of_dates_and_months_is_known_before_the_application() -> None:
    """Active and closed are states of the application day; running is told by dates, so that the past can be computed."""
    known = {name.removeprefix("bureau__") for name in known_before(lineage(BUREAU))}
    assert {
        "credits_count_365d", "running_credits_count", "running_remaining_days_mean", "card_share", "term_left_share_mean",
        "opening_gap_days_mean_last_3", "type_category_last_1", "running_dpd_months_share_12m", "status_level_slope_max_24m",
    } <= known  # fmt: skip
    assert not known & {
        "active_credits_count",
        "credit_amt_sum",
        "debt_credit_ratio_365d",
        "updated_days_min",
        "overdue_days_max",
    }
