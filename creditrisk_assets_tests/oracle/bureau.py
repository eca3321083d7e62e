"""The family bureau in pandas, written from the catalogue's descriptions.

What belongs here: the features as a data scientist would compute them from the CSV files. What does not: anything read from the
family's SQL or its contract, which this is compared to.

A series here has one value per credit (or month of one) and the applicant as its index. What the platform promises to round is rounded
before it is summed: ratios to ten-thousandths, weights to a 2**30th, sums of amounts to a thousandth.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from creditrisk_assets_tests.oracle.by_applicant import count, least, mean, most, share, total, weighted_mean
from creditrisk_assets_tests.oracle.statistics import quotient, whole

KINDS = {
    "Consumer credit": "consumer",
    "Credit card": "card",
    "Mortgage": "mortgage",
    "Real estate loan": "mortgage",
    "Car loan": "car",
    "Microloan": "microloan",
}
KIND_NAMES = ("consumer", "card", "mortgage", "car", "microloan", "other")
LEVELS = {"C": 0, "0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
HALF_CENTURY_DAYS = 18_263
TEN_THOUSAND = 10_000
WEIGHT = 2**30


def features(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute the family, one row per applicant with a credit."""
    reported = _credits(tables["bureau"])
    months = _months(tables["bureau_balance"], reported)
    applicants = pd.Index(reported.index.unique().sort_values(), name="sk_id_curr")
    found = {
        **_counts(reported),
        **_dates(reported),
        **_amounts(reported),
        **_arrears(reported),
        **_windows(reported),
        **_fading(reported),
        **_last_and_first(reported),
        **_monthly(months),
        **_per_credit(months),
    }
    return pd.DataFrame(found, index=applicants).add_prefix("bureau__")


def _credits(bureau: pd.DataFrame) -> pd.DataFrame:
    reported = bureau.sort_values(["SK_ID_CURR", "DAYS_CREDIT", "SK_ID_BUREAU"], ascending=[True, False, True])
    reported = reported.set_index("SK_ID_CURR")
    by_applicant = reported.groupby(level=0)
    reported["kind"] = reported["CREDIT_TYPE"].map(KINDS).fillna("other")
    reported["active"] = reported["CREDIT_ACTIVE"] == "Active"
    reported["closed"] = reported["CREDIT_ACTIVE"] == "Closed"
    reported["sold"] = reported["CREDIT_ACTIVE"].isin(["Sold", "Bad debt"])
    reported["running"] = reported["DAYS_ENDDATE_FACT"].isna()
    reported["opened"] = -reported["DAYS_CREDIT"]
    reported["gap"] = by_applicant["DAYS_CREDIT"].diff(-1)
    reported["place"] = by_applicant.cumcount() + 1
    reported["place_from_first"] = by_applicant.cumcount(ascending=False) + 1
    reported["open_ended"] = reported["DAYS_CREDIT_ENDDATE"] > HALF_CENTURY_DAYS
    agreed, actual = reported["DAYS_CREDIT_ENDDATE"], reported["DAYS_ENDDATE_FACT"]
    reported["remaining"] = agreed.where((agreed >= reported["DAYS_CREDIT"]) & ~reported["open_ended"])
    reported["term"] = reported["remaining"] - reported["DAYS_CREDIT"]
    reported["ended"] = -actual.where(actual >= reported["DAYS_CREDIT"])
    reported["length"] = reported["opened"] - reported["ended"]
    reported["early"] = reported["remaining"] + reported["ended"]
    reported["debt_ratio"] = _ratio(reported["AMT_CREDIT_SUM_DEBT"], reported["AMT_CREDIT_SUM"])
    reported["amount_of_debt"] = reported["AMT_CREDIT_SUM"].where(reported["AMT_CREDIT_SUM_DEBT"].notna())
    return reported


def _counts(reported: pd.DataFrame) -> dict[str, pd.Series]:
    out = {}
    n = count(reported["opened"].notna())
    out["credits_count"] = n
    for state in ("active", "closed", "sold", "running"):
        out[f"{state}_credits_count"] = count(reported[state])
    out["active_card_credits_count"] = count(reported["active"] & (reported["kind"] == "card"))
    for kind in KIND_NAMES:
        out[f"{kind}_credits_count"] = count(reported["kind"] == kind)
    out["credit_types_count"] = reported["kind"].groupby(level=0).nunique()
    out["foreign_currency_credits_count"] = count(reported["CREDIT_CURRENCY"] != "currency 1")
    out["open_ended_credits_count"] = count(reported["open_ended"])
    out["active_share"] = out["active_credits_count"] / n
    for kind in ("consumer", "card", "microloan"):
        out[f"{kind}_share"] = out[f"{kind}_credits_count"] / n
    out["opened_share_365d"] = count(reported["opened"] <= 365) / n
    out["unknown_debt_share"] = count(reported["AMT_CREDIT_SUM_DEBT"].isna()) / n
    out["unknown_worst_overdue_share"] = count(reported["AMT_CREDIT_MAX_OVERDUE"].isna()) / n
    out["unknown_annuity_share"] = count(reported["AMT_ANNUITY"].isna()) / n
    out["unknown_agreed_end_share"] = count(reported["remaining"].isna()) / n
    return out


def _dates(reported: pd.DataFrame) -> dict[str, pd.Series]:
    running = reported[reported["running"]]
    out = {}
    for prefix, rows in {"": reported, "running_": running}.items():
        out[f"{prefix}opened_days_min"] = least(rows["opened"])
        out[f"{prefix}opened_days_max"] = most(rows["opened"])
        out[f"{prefix}opened_days_mean"] = mean(rows["opened"])
    out["card_opened_days_min"] = least(reported.loc[reported["kind"] == "card", "opened"])
    out["opening_gap_days_mean"] = mean(reported["gap"])
    out["opening_gap_days_max"] = most(reported["gap"])
    out["running_remaining_days_max"] = most(running["remaining"])
    out["running_remaining_days_mean"] = mean(running["remaining"])
    left = _ten_thousandths(running["remaining"], running["term"]).mask(running["remaining"] < 0, 0)
    out["term_left_share_mean"] = mean(left) / TEN_THOUSAND
    out["overrun_credits_count"] = count(reported["running"] & (reported["remaining"] < 0))
    out["term_days_mean"] = mean(reported["term"])
    out["ended_days_min"] = least(reported["ended"])
    out["ended_days_mean"] = mean(reported["ended"])
    out["length_days_mean"] = mean(reported["length"])
    out["early_end_days_mean"] = mean(reported["early"])
    out["late_end_share"] = share(reported["early"] < 0, reported["early"].notna())
    updated = -reported["DAYS_CREDIT_UPDATE"]
    out["updated_days_min"] = least(updated)
    out["updated_days_mean"] = mean(updated)
    out["active_updated_days_mean"] = mean(updated[reported["active"]])
    return out


def _amounts(reported: pd.DataFrame) -> dict[str, pd.Series]:
    parts = {"": reported, "active_": reported[reported["active"]], "closed_": reported[reported["closed"]]}
    parts["active_card_"] = parts["active_"][parts["active_"]["kind"] == "card"]
    for kind in KIND_NAMES:
        parts[f"{kind}_"] = reported[reported["kind"] == kind]
    active, active_card = parts["active_"], parts["active_card_"]
    out = {}
    for part in ("", "active_", "closed_", "consumer_", "card_", "mortgage_"):
        out[f"{part}credit_amt_sum"] = total(parts[part]["AMT_CREDIT_SUM"])
    for part in ("", "active_"):
        out[f"{part}credit_amt_max"] = most(parts[part]["AMT_CREDIT_SUM"])
        out[f"{part}debt_credit_ratio_max"] = most(parts[part]["debt_ratio"]) / TEN_THOUSAND
    out["credit_amt_mean"] = mean(reported["AMT_CREDIT_SUM"])
    for part in ("", "active_", "active_card_", "consumer_", "mortgage_", "car_", "microloan_"):
        out[f"{part}debt_amt_sum"] = total(parts[part]["AMT_CREDIT_SUM_DEBT"])
    out["debt_amt_max"] = most(reported["AMT_CREDIT_SUM_DEBT"])
    out["debt_amt_mean"] = mean(reported["AMT_CREDIT_SUM_DEBT"])
    for part in ("", "active_", "active_card_", "consumer_", "mortgage_"):
        out[f"{part}debt_credit_ratio"] = _debt_per_amount(parts[part])
    out["debt_credit_ratio_mean"] = mean(reported["debt_ratio"]) / TEN_THOUSAND
    out["limit_amt_sum"] = total(reported["AMT_CREDIT_SUM_LIMIT"])
    out["active_card_debt_limit_ratio"] = quotient(
        total(active_card["AMT_CREDIT_SUM_DEBT"]), total(active_card["AMT_CREDIT_SUM_LIMIT"])
    )
    out["active_annuity_amt_sum"] = total(active["AMT_ANNUITY"])
    out["active_obligation_amt_sum"] = total(active["AMT_ANNUITY"] * np.ceil(active["remaining"] / 30).clip(lower=0))
    out["active_burden_amt_sum"] = total(whole(30 * active["AMT_CREDIT_SUM_DEBT"] / active["remaining"].clip(lower=30)))
    out["active_year_debt_amt_sum"] = total(active.loc[active["remaining"] <= 365, "AMT_CREDIT_SUM_DEBT"])
    return out


def _arrears(reported: pd.DataFrame) -> dict[str, pd.Series]:
    worst = reported["AMT_CREDIT_MAX_OVERDUE"]
    out = {}
    out["overdue_days_max"] = most(reported["CREDIT_DAY_OVERDUE"])
    out["overdue_credits_count"] = count(reported["CREDIT_DAY_OVERDUE"] > 0)
    out["overdue_amt_sum"] = total(reported["AMT_CREDIT_SUM_OVERDUE"])
    out["overdue_debt_ratio"] = quotient(out["overdue_amt_sum"], total(reported["AMT_CREDIT_SUM_DEBT"]))
    out["worst_overdue_amt_max"] = most(worst)
    out["active_worst_overdue_amt_max"] = most(worst[reported["active"]])
    out["worst_overdue_amt_sum"] = total(worst)
    out["worst_overdue_credit_ratio_max"] = most(_ratio(worst, reported["AMT_CREDIT_SUM"])) / TEN_THOUSAND
    out["ever_overdue_credits_count"] = count(worst > 0)
    out["ever_overdue_share"] = share(worst > 0, worst.notna())
    out["prolongations_count"] = total(reported["CNT_CREDIT_PROLONG"])
    return out


def _windows(reported: pd.DataFrame) -> dict[str, pd.Series]:
    out = {}
    windows = {days: reported[reported["opened"] <= days] for days in (30, 90, 180, 365, 730, 1500)}
    for days in windows:
        out[f"credits_count_{days}d"] = count(reported["opened"] <= days)
    out["credits_count_ratio_90d_365d"] = quotient(out["credits_count_90d"], out["credits_count_365d"])
    for kind in ("consumer", "card", "microloan"):
        out[f"{kind}_credits_count_365d"] = count((reported["kind"] == kind) & (reported["opened"] <= 365))
    out["credit_types_count_730d"] = reported["kind"].where(reported["opened"] <= 730).groupby(level=0).nunique()
    for days in (365, 730):
        recent = windows[days]
        out[f"credit_amt_sum_{days}d"] = total(recent["AMT_CREDIT_SUM"])
        out[f"debt_amt_sum_{days}d"] = total(recent["AMT_CREDIT_SUM_DEBT"])
        out[f"debt_credit_ratio_{days}d"] = _debt_per_amount(recent)
    out["credit_amt_sum_ratio_365d_1500d"] = quotient(
        total(windows[365]["AMT_CREDIT_SUM"]), total(windows[1500]["AMT_CREDIT_SUM"])
    )
    out["credit_amt_mean_365d"] = mean(windows[365]["AMT_CREDIT_SUM"])
    out["active_share_365d"] = mean(windows[365]["active"])
    worst = windows[730]["AMT_CREDIT_MAX_OVERDUE"]
    out["ever_overdue_share_730d"] = share(worst > 0, worst.notna())
    return out


def _fading(reported: pd.DataFrame) -> dict[str, pd.Series]:
    quarter, year = (_weight(reported["opened"], half_life) for half_life in (90, 365))
    worst = reported["AMT_CREDIT_MAX_OVERDUE"]
    ever_overdue = (worst > 0).astype(float).where(worst.notna())
    out = {}
    out["credits_count_half_90d"] = total(quarter) / WEIGHT
    out["credits_count_half_365d"] = total(year) / WEIGHT
    out["debt_credit_ratio_mean_half_365d"] = weighted_mean(reported["debt_ratio"], year) / TEN_THOUSAND
    out["card_share_half_365d"] = weighted_mean((reported["kind"] == "card").astype(float), year)
    out["running_share_half_365d"] = weighted_mean(reported["running"].astype(float), year)
    out["ever_overdue_share_half_365d"] = weighted_mean(ever_overdue, year)
    return out


def _last_and_first(reported: pd.DataFrame) -> dict[str, pd.Series]:
    last = {k: reported[reported["place"] <= k] for k in (1, 3, 5)}
    first = reported[reported["place_from_first"] <= 2]
    out = {}
    out["type_category_last_1"] = last[1]["CREDIT_TYPE"]
    for k, rows in last.items():
        out[f"credit_amt_mean_last_{k}"] = mean(rows["AMT_CREDIT_SUM"])
    out["credit_amt_mean_ratio_last_1_last_5"] = quotient(out["credit_amt_mean_last_1"], out["credit_amt_mean_last_5"])
    for k in (1, 3):
        out[f"debt_credit_ratio_last_{k}"] = _debt_per_amount(last[k])
        out[f"running_share_last_{k}"] = mean(last[k]["running"])
        out[f"opening_gap_days_mean_last_{k}"] = mean(last[k]["gap"])
    out["card_share_last_3"] = mean(last[3]["kind"] == "card")
    out["term_days_mean_last_1"] = mean(last[1]["term"])
    out["opened_days_max_last_3"] = most(last[3]["opened"])
    out["credit_amt_mean_first_2"] = mean(first["AMT_CREDIT_SUM"])
    out["card_share_first_2"] = mean(first["kind"] == "card")
    out["length_days_mean_first_2"] = mean(first["length"])
    return out


def _months(balances: pd.DataFrame, reported: pd.DataFrame) -> pd.DataFrame:
    owners = reported.reset_index()[["SK_ID_CURR", "SK_ID_BUREAU", "running"]]
    months = balances.merge(owners, on="SK_ID_BUREAU").set_index("SK_ID_CURR")
    months["age"] = -months["MONTHS_BALANCE"]
    months["level"] = months["STATUS"].map(LEVELS)
    months["known"] = months["level"].notna()
    return months


def _monthly(months: pd.DataFrame) -> dict[str, pd.Series]:
    out = {}
    out["history_months_sum"] = count(months["known"] | True)
    out["history_months_max"] = most(months["age"])
    out["history_months_min"] = least(months["age"])
    for suffix, rows in _by_window(months, (None, 3, 6, 12, 24, 60)).items():
        out[f"dpd_months_share{suffix}"] = share(rows["level"] > 0, rows["known"])
        out[f"worst_status_level{suffix}"] = most(rows["level"])
    out["dpd_months_share_ratio_12m_60m"] = quotient(out["dpd_months_share_12m"], out["dpd_months_share_60m"])
    for suffix, rows in _by_window(months[months["running"]], (None, 12)).items():
        out[f"running_dpd_months_share{suffix}"] = share(rows["level"] > 0, rows["known"])
        out[f"running_worst_status_level{suffix}"] = most(rows["level"])
    for suffix, rows in _by_window(months, (None, 12, 24)).items():
        out[f"severe_dpd_months_share{suffix}"] = share(rows["level"] > 1, rows["known"])
    for suffix, rows in _by_window(months, (None, 12)).items():
        out[f"dpd_months_count{suffix}"] = count(rows["level"] > 0)
        out[f"closed_months_share{suffix}"] = mean(rows["STATUS"] == "C")
        out[f"unknown_months_share{suffix}"] = mean(rows["STATUS"] == "X")
    out["default_months_share"] = share(months["level"] == 5, months["known"])
    out["severe_dpd_months_count"] = count(months["level"] > 1)
    out["dpd_months_count_half_12m"] = total(_weight(months["age"], 12)[months["level"] > 0]) / WEIGHT
    out["current_months_share"] = mean(months["STATUS"] == "0")
    out["status_level_mean"] = mean(months["level"])
    out["last_dpd_months_min"] = least(months.loc[months["level"] > 0, "age"])
    out["running_last_dpd_months_min"] = least(months.loc[months["running"] & (months["level"] > 0), "age"])
    out["last_severe_dpd_months_min"] = least(months.loc[months["level"] > 1, "age"])
    out["last_default_months_min"] = least(months.loc[months["level"] == 5, "age"])
    return out


def _by_window(months: pd.DataFrame, windows: tuple[int | None, ...]) -> dict[str, pd.DataFrame]:
    return {f"_{window}m" if window else "": months[months["age"] <= (window or np.inf)] for window in windows}


def _per_credit(months: pd.DataFrame) -> dict[str, pd.Series]:
    months = months.assign(dpd=months["level"] > 0).reset_index()
    histories = months.groupby("SK_ID_BUREAU").agg(
        SK_ID_CURR=("SK_ID_CURR", "first"),
        running=("running", "first"),
        months=("age", "size"),
        known=("known", "sum"),
        dpd=("dpd", "sum"),
    )
    histories["dpd_share"] = _ten_thousandths(histories["dpd"], histories["known"])
    for window in (12, 24):
        histories[f"slope_{window}"] = _slope(months[months["known"] & (months["age"] <= window)])
    histories = histories.set_index("SK_ID_CURR")
    out = {}
    out["monthly_credits_count"] = count(histories["months"] > 0)
    out["credit_history_months_mean"] = mean(histories["months"])
    out["dpd_credits_share"] = share(histories["dpd"] > 0, histories["known"] > 0)
    out["dpd_share_mean"] = mean(histories["dpd_share"]) / TEN_THOUSAND
    out["dpd_share_max"] = most(histories["dpd_share"]) / TEN_THOUSAND
    out["running_dpd_share_max"] = most(histories.loc[histories["running"], "dpd_share"]) / TEN_THOUSAND
    out["dpd_months_count_max"] = most(histories["dpd"])
    for window in (12, 24):
        out[f"status_level_slope_mean_{window}m"] = mean(histories[f"slope_{window}"]) / TEN_THOUSAND
        out[f"status_level_slope_max_{window}m"] = most(histories[f"slope_{window}"]) / TEN_THOUSAND
    return out


def _slope(months: pd.DataFrame) -> pd.Series:
    """Fit each credit's levels over time, by least squares, in whole ten-thousandths."""
    time, level = -months["age"], months["level"]
    products = pd.DataFrame({"t": time, "x": level, "tx": time * level, "tt": time * time})
    sums = products.groupby(months["SK_ID_BUREAU"]).sum()
    n = months.groupby("SK_ID_BUREAU").size()
    return _ten_thousandths(n * sums["tx"] - sums["t"] * sums["x"], n * sums["tt"] - sums["t"] ** 2)


def _debt_per_amount(reported: pd.DataFrame) -> pd.Series:
    return quotient(total(reported["AMT_CREDIT_SUM_DEBT"]), total(reported["amount_of_debt"]))


def _ratio(over: pd.Series, under: pd.Series) -> pd.Series:
    return _ten_thousandths(over, under).clip(-10 * TEN_THOUSAND, 10 * TEN_THOUSAND)


def _ten_thousandths(over: pd.Series, under: pd.Series) -> pd.Series:
    """Divide; multiplied first, so that what is a half is a half."""
    return whole(quotient(TEN_THOUSAND * over, under))


def _weight(age: pd.Series, half_life: int) -> pd.Series:
    return whole(WEIGHT * 0.5 ** (age / half_life))
