"""The family previous_application in pandas, written from the catalogue's descriptions.

What belongs here: the features as a data scientist would compute them from the CSV file. What does not: anything read from the family's
SQL or its contract, which this is compared to.

A series here has one value per application and the applicant as its index. What the platform promises to round is rounded before it is
summed: ratios and rates to millionths, weights to a 2**24th, sums of amounts to a thousandth.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from creditrisk_assets_tests.oracle.by_applicant import count, least, mean, most, share, total, weighted_mean
from creditrisk_assets_tests.oracle.interest import monthly_rate
from creditrisk_assets_tests.oracle.statistics import quotient, whole

NEVER = 365243
STATES = {"approved": "Approved", "refused": "Refused", "cancelled": "Canceled", "unused": "Unused offer"}
LOANS = {"cash": "Cash loans", "consumer": "Consumer loans", "revolving": "Revolving loans"}
SHARES = {
    "cash_share": ("NAME_CONTRACT_TYPE", ["Cash loans"]),
    "consumer_share": ("NAME_CONTRACT_TYPE", ["Consumer loans"]),
    "revolving_share": ("NAME_CONTRACT_TYPE", ["Revolving loans"]),
    "new_client_share": ("NAME_CLIENT_TYPE", ["New"]),
    "refreshed_client_share": ("NAME_CLIENT_TYPE", ["Refreshed"]),
    "walk_in_share": ("NAME_PRODUCT_TYPE", ["walk-in"]),
    "cross_sell_share": ("NAME_PRODUCT_TYPE", ["x-sell"]),
    "high_yield_share": ("NAME_YIELD_GROUP", ["high"]),
    "low_yield_share": ("NAME_YIELD_GROUP", ["low_action", "low_normal"]),
    "pos_portfolio_share": ("NAME_PORTFOLIO", ["POS"]),
    "office_channel_share": ("CHANNEL_TYPE", ["Credit and cash offices"]),
    "country_channel_share": ("CHANNEL_TYPE", ["Country-wide"]),
    "stone_channel_share": ("CHANNEL_TYPE", ["Stone"]),
    "card_street_share": ("PRODUCT_COMBINATION", ["Card Street"]),
}
PRODUCTS = {
    "pos_mobile_share": "^POS mobile",
    "pos_household_share": "^POS household",
    "cash_street_share": "^Cash Street",
    "cash_x_sell_share": "^Cash X-Sell",
    "interest_free_share": "without interest$",
}
LATEST = {
    "contract_type_category_last": "NAME_CONTRACT_TYPE",
    "status_category_last": "NAME_CONTRACT_STATUS",
    "yield_category_last": "NAME_YIELD_GROUP",
    "client_type_category_last": "NAME_CLIENT_TYPE",
    "goods_category_last": "NAME_GOODS_CATEGORY",
    "portfolio_category_last": "NAME_PORTFOLIO",
    "channel_category_last": "CHANNEL_TYPE",
    "product_category_last": "PRODUCT_COMBINATION",
    "seller_category_last": "NAME_SELLER_INDUSTRY",
    "purpose_category_last": "NAME_CASH_LOAN_PURPOSE",
    "asked_amt_last": "AMT_APPLICATION",
    "credit_amt_last": "credit",
    "annuity_amt_last": "AMT_ANNUITY",
    "term_months_last": "CNT_PAYMENT",
}
MILLION = 1_000_000
WEIGHT = 2**24
MONTH_DAYS = 30.4375


def features(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute the family, one row per applicant who applied before."""
    rows = _applications(tables["previous_application"])
    applicants = pd.Index(rows.index.unique().sort_values(), name="sk_id_curr")
    found = {
        **_latest(rows),
        **_counts(rows),
        **_kinds(rows),
        **_dates(rows),
        **_amounts(rows),
        **_ratios(rows),
        **_interest(rows),
        **_obligations(rows),
        **_windows(rows),
        **_last_and_first(rows),
        **_fading(rows, 90),
        **_fading(rows, 365),
        **_trends(rows),
    }
    return pd.DataFrame(found, index=applicants).add_prefix("previous_application__")


def _applications(raw: pd.DataFrame) -> pd.DataFrame:
    rows = raw.sort_values(["SK_ID_CURR", "DAYS_DECISION", "SK_ID_PREV"], ascending=[True, False, False])
    rows = rows.set_index("SK_ID_CURR")
    by_applicant = rows.groupby(level=0)
    for name, status in STATES.items():
        rows[name] = rows["NAME_CONTRACT_STATUS"] == status
    for name, kind in LOANS.items():
        rows[name] = rows["NAME_CONTRACT_TYPE"] == kind
    rows["decided"] = -rows["DAYS_DECISION"]
    rows["gap"] = by_applicant["DAYS_DECISION"].diff(-1)
    rows["place"] = by_applicant.cumcount() + 1
    rows["place_from_first"] = by_applicant.cumcount(ascending=False) + 1
    rows["approvals"] = rows["approved"].groupby(level=0).cumsum()
    rows["refusals"] = rows["refused"].groupby(level=0).cumsum()
    for name, column in {"first_due": "FIRST_DUE", "last_due": "LAST_DUE", "ended": "TERMINATION"}.items():
        rows[name] = _days_ago(rows[f"DAYS_{column}"])
    rows["planned"] = _days_ago(rows["DAYS_LAST_DUE_1ST_VERSION"])
    rows["early"] = rows["last_due"] - rows["planned"]
    rows["running"] = rows["approved"] & (rows["DAYS_TERMINATION"] == NEVER)

    rows["credit"] = rows["AMT_CREDIT"].where(rows["AMT_CREDIT"] != 0)
    credit, annuity, term = rows["credit"], rows["AMT_ANNUITY"], rows["CNT_PAYMENT"]
    interest = (annuity * term / credit - 1).where((annuity > 0) & (term > 0))
    rows["asked_ratio"] = _millionths((rows["AMT_APPLICATION"] / credit).clip(upper=10))
    rows["goods_ratio"] = _millionths(quotient(credit, rows["AMT_GOODS_PRICE"]).clip(upper=10))
    rows["down_payment_ratio"] = _millionths((rows["AMT_DOWN_PAYMENT"] / credit).clip(-10, 10))
    rows["down_payment_share"] = _millionths(rows["RATE_DOWN_PAYMENT"])
    rows["payment_rate"] = _millionths((annuity / credit).clip(upper=10))
    rows["interest_ratio"] = _millionths(interest.clip(upper=10))
    rows["simple_rate"] = _millionths((24 * interest / (term + 1)).clip(-10, 10))
    rows["monthly_rate"] = _millionths(
        monthly_rate(credit, annuity, term).where(interest > 0, 0).where(interest.notna())
    )

    months_left = np.ceil(-rows["planned"] / MONTH_DAYS).clip(lower=0)
    rows["months_left"] = np.fmin(months_left, term).where(months_left.notna() & rows["running"])
    return rows


def _latest(rows: pd.DataFrame) -> dict[str, pd.Series]:
    last = rows[rows["place"] == 1]
    out = {name: last[column] for name, column in LATEST.items()}
    out["interest_credit_ratio_last"] = last["interest_ratio"] / MILLION
    out["reject_reason_category_last"] = rows.loc[rows["refused"] & (rows["refusals"] == 1), "CODE_REJECT_REASON"]
    out["approved_product_category_last"] = rows.loc[rows["approved"] & (rows["approvals"] == 1), "PRODUCT_COMBINATION"]
    return out


def _counts(rows: pd.DataFrame) -> dict[str, pd.Series]:
    out = {}
    n = count(rows["decided"].notna())
    out["applications_count"] = n
    for part in (*STATES, *LOANS, "running"):
        out[f"{part}_count"] = count(rows[part])
    for state in STATES:
        out[f"{state}_share"] = out[f"{state}_count"] / n
    for kind in LOANS:
        out[f"{kind}_refused_share"] = mean(rows.loc[rows[kind], "refused"])
    out["refused_decided_share"] = share(rows["refused"], rows["refused"] | rows["approved"])
    out["without_amount_share"] = count(rows["AMT_APPLICATION"] == 0) / n
    return out


def _kinds(rows: pd.DataFrame) -> dict[str, pd.Series]:
    out = {}
    reason = rows["CODE_REJECT_REASON"]
    out["rejected_hc_count"] = count(reason == "HC")
    out["rejected_limit_count"] = count(reason == "LIMIT")
    out["rejected_score_count"] = count(reason.isin(["SCO", "SCOFR"]))
    for name, (column, values) in SHARES.items():
        out[name] = mean(rows[column].isin(values))
    for name, pattern in PRODUCTS.items():
        out[name] = mean(rows["PRODUCT_COMBINATION"].str.contains(pattern, na=False))
    insured = rows["NFLAG_INSURED_ON_APPROVAL"]
    out["insured_share"] = share(insured == 1, insured.notna())
    out["unknown_annuity_share"] = mean(rows["AMT_ANNUITY"].isna())
    out["unknown_down_payment_share"] = mean(rows["AMT_DOWN_PAYMENT"].isna())
    out["approved_unknown_dates_share"] = mean(rows.loc[rows["approved"], "DAYS_TERMINATION"].isna())
    out["drawn_count"] = count(rows["DAYS_FIRST_DRAWING"] <= 0)
    return out


def _dates(rows: pd.DataFrame) -> dict[str, pd.Series]:
    out = {}
    out["decided_days_min"] = least(rows["decided"])
    out["decided_days_max"] = most(rows["decided"])
    out["decided_days_mean"] = mean(rows["decided"])
    for part in ("approved", "refused", "cancelled", "revolving"):
        out[f"{part}_days_min"] = least(rows.loc[rows[part], "decided"])
    for part in ("approved", "refused"):
        out[f"{part}_days_max"] = most(rows.loc[rows[part], "decided"])
        out[f"{part}_days_mean"] = mean(rows.loc[rows[part], "decided"])
    out["gap_days_mean"] = mean(rows["gap"])
    out["gap_days_max"] = most(rows["gap"])
    out["first_due_days_min"] = least(rows["first_due"])
    out["first_due_days_max"] = most(rows["first_due"])
    out["last_due_days_min"] = least(rows["last_due"])
    out["ended_days_min"] = least(rows["ended"])
    out["early_end_days_mean"] = mean(rows["early"])
    out["length_days_mean"] = mean(rows["first_due"] - rows["ended"])
    return out


def _amounts(rows: pd.DataFrame) -> dict[str, pd.Series]:
    parts = {f"{part}_": rows[rows[part]] for part in (*STATES, *LOANS, "running")}
    parts[""] = rows
    out = {}
    for part in ("", "refused_"):
        out[f"{part}asked_amt_mean"] = mean(parts[part]["AMT_APPLICATION"])
    out["asked_amt_max"] = most(rows["AMT_APPLICATION"])
    out["asked_amt_sum"] = total(rows["AMT_APPLICATION"])
    for part in ("approved_", "running_"):
        out[f"{part}credit_amt_sum"] = total(parts[part]["credit"])
    for part in ("", "approved_", "refused_", "cancelled_"):
        out[f"{part}credit_amt_mean"] = mean(parts[part]["credit"])
    for part in ("approved_", "refused_", "revolving_"):
        out[f"{part}credit_amt_max"] = most(parts[part]["credit"])
    out["approved_credit_amt_min"] = least(parts["approved_"]["credit"])
    out["approved_credit_share"] = quotient(out["approved_credit_amt_sum"], total(rows["credit"]))
    for part in ("", "approved_", "refused_"):
        out[f"{part}annuity_amt_mean"] = mean(parts[part]["AMT_ANNUITY"])
    out["approved_annuity_amt_max"] = most(parts["approved_"]["AMT_ANNUITY"])
    out["running_annuity_amt_sum"] = total(parts["running_"]["AMT_ANNUITY"])
    out["goods_amt_mean"] = mean(rows["AMT_GOODS_PRICE"])
    out["down_payment_amt_mean"] = mean(rows["AMT_DOWN_PAYMENT"])
    return out


def _ratios(rows: pd.DataFrame) -> dict[str, pd.Series]:
    parts = {"": rows, "approved_": rows[rows["approved"]], "refused_": rows[rows["refused"]]}
    out = {}
    for part, of in parts.items():
        out[f"{part}asked_credit_ratio_mean"] = mean(of["asked_ratio"]) / MILLION
        out[f"{part}term_months_mean"] = mean(of["CNT_PAYMENT"])
    out["term_months_max"] = most(rows["CNT_PAYMENT"])
    out["asked_credit_ratio_max"] = most(rows["asked_ratio"]) / MILLION
    out["asked_credit_ratio_min"] = least(rows["asked_ratio"]) / MILLION
    for part in ("", "approved_"):
        out[f"{part}credit_goods_ratio_mean"] = mean(parts[part]["goods_ratio"]) / MILLION
        out[f"{part}down_payment_share_mean"] = mean(parts[part]["down_payment_share"]) / MILLION
    out["credit_goods_ratio_max"] = most(rows["goods_ratio"]) / MILLION
    out["down_payment_credit_ratio_mean"] = mean(rows["down_payment_ratio"]) / MILLION
    out["down_payment_share_max"] = most(rows["down_payment_share"]) / MILLION
    out["annuity_credit_ratio_mean"] = mean(parts["approved_"]["payment_rate"]) / MILLION
    out["refused_annuity_credit_ratio_mean"] = mean(parts["refused_"]["payment_rate"]) / MILLION
    return out


def _interest(rows: pd.DataFrame) -> dict[str, pd.Series]:
    approved = rows[rows["approved"]]
    out = {}
    out["interest_credit_ratio_mean"] = mean(approved["interest_ratio"]) / MILLION
    out["interest_credit_ratio_max"] = most(approved["interest_ratio"]) / MILLION
    out["approved_simple_rate_ratio_mean"] = mean(approved["simple_rate"]) / MILLION
    out["monthly_rate_ratio_mean"] = mean(rows["monthly_rate"]) / MILLION
    for part in ("approved", "refused", "cash", "consumer"):
        out[f"{part}_monthly_rate_ratio_mean"] = mean(rows.loc[rows[part], "monthly_rate"]) / MILLION
    out["approved_monthly_rate_ratio_min"] = least(approved["monthly_rate"]) / MILLION
    out["approved_monthly_rate_ratio_max"] = most(approved["monthly_rate"]) / MILLION
    return out


def _obligations(rows: pd.DataFrame) -> dict[str, pd.Series]:
    left, scheduled = rows["months_left"], rows[rows["months_left"].notna()]
    out = {}
    out["obligation_amt_sum"] = total(left * rows["AMT_ANNUITY"])
    out["obligation_credit_ratio"] = quotient(out["obligation_amt_sum"], total(rows.loc[rows["running"], "credit"]))
    out["due_annuity_amt_sum"] = total(rows.loc[left > 0, "AMT_ANNUITY"])
    out["remaining_months_max"] = most(left)
    out["remaining_term_share"] = quotient(total(left), total(scheduled["CNT_PAYMENT"]))
    out["overrun_count"] = count(rows["running"] & (rows["planned"] >= 0))
    return out


def _windows(rows: pd.DataFrame) -> dict[str, pd.Series]:
    recent = {days: rows[rows["decided"] <= days] for days in (90, 180, 365, 730, 1500)}
    out = {}
    for days in (30, 90, 180, 365, 730, 1500):
        out[f"applications_count_{days}d"] = count(rows["decided"] <= days)
    out["applications_count_ratio_90d_365d"] = quotient(out["applications_count_90d"], out["applications_count_365d"])
    out["applications_count_ratio_365d_1500d"] = quotient(
        out["applications_count_365d"], out.pop("applications_count_1500d")
    )
    out["approved_count_365d"] = count(rows["approved"] & (rows["decided"] <= 365))
    for days in (90, 365):
        out[f"refused_count_{days}d"] = count(rows["refused"] & (rows["decided"] <= days))
    for days in (180, 365, 730):
        out[f"refused_share_{days}d"] = mean(recent[days]["refused"])
    for days in (365, 730):
        out[f"monthly_rate_ratio_mean_{days}d"] = mean(recent[days]["monthly_rate"]) / MILLION
    out["asked_amt_sum_365d"] = total(recent[365]["AMT_APPLICATION"])
    out["credit_amt_mean_365d"] = mean(recent[365]["credit"])
    out["asked_credit_ratio_mean_365d"] = mean(recent[365]["asked_ratio"]) / MILLION
    for name, column in {
        "refused_share": "refused",
        "credit_amt_mean": "credit",
        "monthly_rate_ratio_mean": "monthly_rate",
    }.items():
        out[f"{name}_ratio_365d_1500d"] = quotient(mean(recent[365][column]), mean(recent[1500][column]))
    return out


def _last_and_first(rows: pd.DataFrame) -> dict[str, pd.Series]:
    last = {k: rows[rows["place"] <= k] for k in (1, 3, 5)}
    approved = {k: rows[rows["approved"] & (rows["approvals"] <= k)] for k in (1, 3)}
    first = rows[rows["place_from_first"] <= 2]
    out = {}
    for k in (3, 5):
        out[f"refused_share_last_{k}"] = mean(last[k]["refused"])
    out["decided_days_max_last_5"] = most(last[5]["decided"])
    for k in (1, 3):
        out[f"gap_days_mean_last_{k}"] = mean(last[k]["gap"])
        out[f"monthly_rate_ratio_mean_last_{k}"] = mean(last[k]["monthly_rate"]) / MILLION
        out[f"approved_monthly_rate_ratio_mean_last_{k}"] = mean(approved[k]["monthly_rate"]) / MILLION
    out["asked_amt_mean_last_3"] = mean(last[3]["AMT_APPLICATION"])
    out["credit_amt_mean_last_3"] = mean(last[3]["credit"])
    for k in (1, 3, 5):
        out[f"asked_credit_ratio_mean_last_{k}"] = mean(last[k]["asked_ratio"]) / MILLION
    out["approved_credit_amt_mean_last_1"] = mean(approved[1]["credit"])
    out["approved_annuity_amt_mean_last_1"] = mean(approved[1]["AMT_ANNUITY"])
    out["approved_asked_credit_ratio_mean_last_1"] = mean(approved[1]["asked_ratio"]) / MILLION
    out["approved_early_end_days_mean_last_1"] = mean(approved[1]["early"])
    out["refused_share_first_2"] = mean(first["refused"])
    out["asked_amt_mean_first_2"] = mean(first["AMT_APPLICATION"])
    out["credit_amt_mean_first_2"] = mean(first["credit"])
    out["asked_credit_ratio_mean_first_2"] = mean(first["asked_ratio"]) / MILLION
    out["monthly_rate_ratio_mean_first_2"] = mean(first["monthly_rate"]) / MILLION
    return out


def _fading(rows: pd.DataFrame, half_life: int) -> dict[str, pd.Series]:
    weights = whole(WEIGHT * 0.5 ** (rows["decided"] / half_life)) + 1
    out = {}
    out[f"refused_share_half_{half_life}d"] = weighted_mean(rows["refused"].astype(float), weights)
    out[f"credit_amt_mean_half_{half_life}d"] = weighted_mean(whole(rows["credit"]), weights)
    out[f"asked_credit_ratio_mean_half_{half_life}d"] = weighted_mean(rows["asked_ratio"], weights) / MILLION
    out[f"monthly_rate_ratio_mean_half_{half_life}d"] = weighted_mean(rows["monthly_rate"], weights) / MILLION
    return out


def _trends(rows: pd.DataFrame) -> dict[str, pd.Series]:
    out = {}
    out["credit_amt_slope"] = _yearly_slope(whole(rows["credit"]), rows["decided"])
    out["asked_credit_ratio_slope"] = _yearly_slope(rows["asked_ratio"], rows["decided"]) / MILLION
    out["monthly_rate_ratio_slope"] = _yearly_slope(rows["monthly_rate"], rows["decided"]) / MILLION
    return out


def _yearly_slope(values: pd.Series, age: pd.Series) -> pd.Series:
    """Fit an applicant's values over time, by least squares; in whole numbers, so that no trend is exactly 0."""
    known = values.notna()
    x, t = values[known].astype("int64"), -age[known].astype("int64")
    sums = pd.DataFrame({"t": t, "x": x, "tx": t * x, "tt": t * t}).groupby(level=0).sum()
    n = x.groupby(level=0).size()
    return 365 * quotient(n * sums["tx"] - sums["t"] * sums["x"], n * sums["tt"] - sums["t"] ** 2)


def _days_ago(days: pd.Series) -> pd.Series:
    return -days.where(days != NEVER)


def _millionths(ratio: pd.Series) -> pd.Series:
    return whole(ratio * MILLION)
