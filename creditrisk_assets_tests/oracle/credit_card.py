"""The family credit_card, in pandas.

What belongs here: what `docs/feature-catalogue.md` says of it. What does not: how the platform computes it (`features/sql`).
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from creditrisk_assets_tests.oracle.statistics import (
    ALL,
    Found,
    Value,
    Window,
    fading,
    per,
    scaled,
    slope,
    steps,
    weighted_mean,
    whole,
)


def features(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute the family's features, one row per applicant with a balance."""
    months = _months(tables["credit_card_balance"])
    found = Found(pd.Index(sorted(months["sk_id_curr"].unique()), name="sk_id_curr"))
    _monthly(found, months)
    _latest(found, months)
    _cards(found, months)
    return found.table("credit_card")


def _months(balances: pd.DataFrame) -> pd.DataFrame:
    """Take one row per card and month."""
    balances = balances.assign(
        **{name: (balances[name] * 1000).round() for name in balances if name.startswith("AMT_")}
    )
    limit, balance = balances["AMT_CREDIT_LIMIT_ACTUAL"], balances["AMT_BALANCE"]
    drawn, cash = balances["AMT_DRAWINGS_CURRENT"], balances["AMT_DRAWINGS_ATM_CURRENT"]
    goods, paid = balances["AMT_DRAWINGS_POS_CURRENT"], balances["AMT_PAYMENT_TOTAL_CURRENT"]
    minimum = balances["AMT_INST_MIN_REGULARITY"]
    age = -balances["MONTHS_BALANCE"].astype(float)
    months = pd.DataFrame(
        {
            "sk_id_curr": balances["SK_ID_CURR"],
            "sk_id_prev": balances["SK_ID_PREV"],
            "months_before": age,
            "is_active": balances["NAME_CONTRACT_STATUS"] == "Active",
            "balance": balance,
            "balance_units": whole(balance / 1000),
            "limit": limit,
            "limit_above_0": limit.where(limit > 0),
            "balance_of_limit": balance.where(limit > 0),
            "utilisation": steps(balance, limit.where(limit > 0)).clip(-100_000, 100_000),
            "is_over_limit": (balance > limit).astype(float).where(limit > 0),
            "receivable": balances["AMT_RECIVABLE"],
            "principal": balances["AMT_RECEIVABLE_PRINCIPAL"],
            "charges": balances["AMT_RECIVABLE"] - balances["AMT_RECEIVABLE_PRINCIPAL"],
            "minimum": minimum,
            "paid": paid,
            "coverage": steps(paid, minimum.where(minimum > 0)).clip(upper=100_000),
            "is_met": (paid >= minimum).astype(float).where(minimum > 0),
            "matured": balances["CNT_INSTALMENT_MATURE_CUM"],
            "dpd": balances["SK_DPD"],
            "material_dpd": balances["SK_DPD_DEF"],
            "drawn": drawn,
            "drawn_ratio": steps(drawn, limit.where(limit > 0)).clip(-100_000, 100_000),
            "cash": cash,
            "goods": goods,
            "cash_of": drawn.where(cash.notna()),
            "goods_of": drawn.where(goods.notna()),
            "cash_ratio": steps(cash, limit.where(limit > 0)).clip(-100_000, 100_000),
            "drawings": balances["CNT_DRAWINGS_CURRENT"],
            "cash_drawings": balances["CNT_DRAWINGS_ATM_CURRENT"],
            "goods_drawings": balances["CNT_DRAWINGS_POS_CURRENT"],
            "weight_3": fading(age, 3),
            "weight_12": fading(age, 12),
        }
    )
    months["is_dpd"], months["is_severe"] = months["dpd"] > 0, months["dpd"] > 30
    months["is_material"], months["is_drawn"] = months["material_dpd"] > 0, months["drawings"] > 0
    return months


def _monthly(found: Found, rows: pd.DataFrame) -> None:
    """The last months, card by card."""
    marks = {
        "over": rows["is_over_limit"] == 1,
        "dpd": rows["is_dpd"],
        "severe": rows["is_severe"],
        "drawn": rows["is_drawn"],
        "cash": rows["cash_drawings"] > 0,
    }
    rows = rows.assign(**{f"{mark}_months": rows["months_before"].where(hit) for mark, hit in marks.items()})
    every = (ALL, 3, 6, 12, 24, 60)
    groups = {
        window: (rows if window is ALL else rows[rows["months_before"] <= window]).groupby("sk_id_curr")
        for window in every
    }

    def add(name: str, value: Value, windows: Sequence[Window] = (ALL,), **how: object) -> None:
        found.add(name, value, groups, "_{}m", windows, **how)

    yearly, half_year, quarter = (ALL, 12), ((6, 24),), ((3, 12),)
    add("history_months_count", lambda g: g.size(), yearly, is_count=True)
    add("latest_months_min", lambda g: g["months_before"].min())
    add("oldest_months_max", lambda g: g["months_before"].max())
    add("active_months_share", lambda g: g["is_active"].mean(), yearly)
    add("utilisation_ratio_mean", scaled(lambda g: g["utilisation"].mean()), every, ratios=(*quarter, *half_year))
    add("utilisation_ratio_max", scaled(lambda g: g["utilisation"].max()), (ALL, 3, 6, 12, 24))
    add("utilisation_ratio_std", scaled(lambda g: g["utilisation"].std()), yearly)
    add("utilisation_ratio_slope", scaled(slope("utilisation", "months_before", 12)), (6, 12, 24))
    add("utilisation_ratio_mean_half_3m", scaled(weighted_mean("utilisation", "weight_3")))
    add("utilisation_ratio_mean_half_12m", scaled(weighted_mean("utilisation", "weight_12")))
    add("over_limit_months_share", lambda g: g["is_over_limit"].mean(), yearly)
    add("last_over_limit_months_min", lambda g: g["over_months"].min())
    add("balance_amt_mean", scaled(lambda g: g["balance"].mean(), 1000), (ALL, 6, 12), ratios=half_year)
    add("balance_amt_max", scaled(lambda g: g["balance"].max(), 1000), yearly)
    add("balance_amt_slope", slope("balance_units", "months_before", 1), (6, 12, 24))
    add("limit_amt_max", scaled(lambda g: g["limit"].max(), 1000))
    add("limit_amt_min", scaled(lambda g: g["limit_above_0"].min(), 1000))
    add("limit_amt_mean", scaled(lambda g: g["limit"].mean(), 1000), (ALL, 6), ratios=half_year)
    add("receivable_balance_ratio", per("receivable", "balance"), yearly)
    add("charges_principal_ratio", per("charges", "principal"), yearly)
    add("paid_minimum_ratio_mean", scaled(lambda g: g["coverage"].mean()), (ALL, 6, 12), ratios=half_year)
    add("paid_minimum_ratio_min", scaled(lambda g: g["coverage"].min()), yearly)
    add("minimum_met_share", lambda g: g["is_met"].mean(), yearly)
    add("paid_amt_sum", scaled(lambda g: g["paid"].sum(min_count=1), 1000), yearly)
    add("paid_drawn_ratio", per("paid", "drawn"), yearly)
    add("paid_balance_ratio", per("paid", "balance"), yearly)
    add("matured_instalments_count_max", lambda g: g["matured"].max())
    add("dpd_months_share", lambda g: g["is_dpd"].mean(), every, ratios=half_year)
    add("severe_dpd_months_share", lambda g: g["is_severe"].mean(), yearly)
    add("material_dpd_months_share", lambda g: g["is_material"].mean(), yearly)
    add("dpd_days_max", lambda g: g["dpd"].max(), (ALL, 6, 12))
    add("material_dpd_days_max", lambda g: g["material_dpd"].max(), yearly)
    add("last_dpd_months_min", lambda g: g["dpd_months"].min())
    add("last_severe_dpd_months_min", lambda g: g["severe_months"].min())
    add("drawn_amt_mean", scaled(lambda g: g["drawn"].mean(), 1000), (ALL, 6), ratios=quarter)
    add("drawn_amt_sum", scaled(lambda g: g["drawn"].sum(min_count=1), 1000), (12,))
    add("drawn_limit_ratio_mean", scaled(lambda g: g["drawn_ratio"].mean()), (ALL, 6))
    add("cash_drawn_ratio", per("cash", "cash_of"), (ALL, 6, 12, 24))
    add("goods_drawn_ratio", per("goods", "goods_of"), yearly)
    add("cash_amt_max", scaled(lambda g: g["cash"].max(), 1000), yearly)
    add("cash_limit_ratio_mean", scaled(lambda g: g["cash_ratio"].mean()))
    add("cash_limit_ratio_max", scaled(lambda g: g["cash_ratio"].max()))
    add("drawings_count_sum", lambda g: g["drawings"].sum(min_count=1), yearly)
    add("drawing_months_share", lambda g: g["is_drawn"].mean(), yearly)
    add("cash_drawings_count_mean", lambda g: g["cash_drawings"].mean())
    add("cash_drawings_count_sum", lambda g: g["cash_drawings"].sum(min_count=1), (6,))
    add("goods_drawings_count_mean", lambda g: g["goods_drawings"].mean())
    add("last_drawn_months_min", lambda g: g["drawn_months"].min())
    add("last_cash_drawn_months_min", lambda g: g["cash_months"].min())


def _latest(found: Found, rows: pd.DataFrame) -> None:
    """The last months of the history, which ends with the latest balance of any card."""
    back = rows["months_before"] - rows.groupby("sk_id_curr")["months_before"].transform("min")
    groups = {last: rows[back < last].groupby("sk_id_curr") for last in (1, 3, 6)}

    def add(name: str, value: Value, windows: Sequence[Window]) -> None:
        found.add(name, value, groups, "_last_{}", windows)

    add("utilisation_ratio_mean", scaled(lambda g: g["utilisation"].mean()), (3, 6))
    add("paid_minimum_ratio_mean", scaled(lambda g: g["coverage"].mean()), (1, 3))
    add("dpd_days_max", lambda g: g["dpd"].max(), (1, 6))
    add("drawn_amt_mean", scaled(lambda g: g["drawn"].mean(), 1000), (1, 3))
    add("cash_drawn_ratio", per("cash", "cash_of"), (6,))

    def add_last(name: str, value: Value, **how: object) -> None:
        found.add(name, value, {ALL: groups[1]}, "", (ALL,), **how)

    add_last("active_cards_count_last", lambda g: g["is_active"].sum())
    add_last("utilisation_ratio_last", per("balance_of_limit", "limit_above_0"))
    add_last("balance_amt_last", scaled(lambda g: g["balance"].sum(min_count=1), 1000))
    add_last("limit_amt_last", scaled(lambda g: g["limit"].sum(min_count=1), 1000))
    add_last("receivable_balance_ratio_last", per("receivable", "balance"))
    add_last("minimum_amt_last", scaled(lambda g: g["minimum"].sum(min_count=1), 1000))


def _cards(found: Found, months: pd.DataFrame) -> None:
    cards = months.groupby(["sk_id_curr", "sk_id_prev"], as_index=False).agg(
        months=("months_before", "size"),
        first_months=("months_before", "max"),
        is_used=("is_drawn", "any"),
        is_dpd=("is_dpd", "any"),
    )
    groups = {ALL: cards.groupby("sk_id_curr")}

    def add(name: str, value: Value, **how: object) -> None:
        found.add(name, value, groups, "", (ALL,), **how)

    add("cards_count", lambda g: g.size(), is_count=True)
    add("used_cards_share", lambda g: g["is_used"].mean())
    add("card_months_count_max", lambda g: g["months"].max())
    add("newest_card_months_min", lambda g: g["first_months"].min())
    add("dpd_cards_share", lambda g: g["is_dpd"].mean())
