"""The family pos_cash, in pandas.

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
)

STATES = {
    "active": "Active",
    "signed": "Signed",
    "demand": "Demand",
    "returned": "Returned to the store",
    "amortized": "Amortized debt",
}
CONTRACT = ["sk_id_curr", "sk_id_prev"]


def features(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute the family's features, one row per applicant with a balance."""
    months = _months(tables["pos_cash_balance"])
    found = Found(pd.Index(sorted(months["sk_id_curr"].unique()), name="sk_id_curr"))
    _monthly(found, months)
    _latest(found, months)
    _contracts(found, _contracts_of(months))
    return found.table("pos_cash")


def _months(balances: pd.DataFrame) -> pd.DataFrame:
    """Take one row per contract and month."""
    state = balances["NAME_CONTRACT_STATUS"]
    months = pd.DataFrame(
        {
            "sk_id_curr": balances["SK_ID_CURR"],
            "sk_id_prev": balances["SK_ID_PREV"],
            "months_before": -balances["MONTHS_BALANCE"],
            "term": balances["CNT_INSTALMENT"],
            "future": balances["CNT_INSTALMENT_FUTURE"],
            "left_ratio": steps(balances["CNT_INSTALMENT_FUTURE"], balances["CNT_INSTALMENT"]).clip(upper=100_000),
            "dpd": balances["SK_DPD"],
            "material_dpd": balances["SK_DPD_DEF"],
            "is_completed": state == "Completed",
        }
        | {f"is_{name}": state == status for name, status in STATES.items()}
    )
    months["is_dpd"], months["is_severe"] = months["dpd"] > 0, months["dpd"] > 30
    months["is_material"] = months["material_dpd"] > 0
    return months


def _monthly(found: Found, rows: pd.DataFrame) -> None:
    """The last months, contract by contract."""
    rows = rows.assign(
        active_months=rows["months_before"].where(rows["is_active"]),
        dpd_months=rows["months_before"].where(rows["is_dpd"]),
        material_months=rows["months_before"].where(rows["is_material"]),
        weight=fading(rows["months_before"], 12),
    )
    every = (ALL, 3, 6, 12, 24, 60)
    groups = {
        window: (rows if window is ALL else rows[rows["months_before"] <= window]).groupby("sk_id_curr")
        for window in every
    }

    def add(name: str, value: Value, windows: Sequence[Window] = (ALL,), **how: object) -> None:
        found.add(name, value, groups, "_{}m", windows, **how)

    half_year = ((6, 24),)
    add("history_months_count", lambda g: g.size(), (ALL, 12, 24), is_count=True)
    add("latest_months_min", lambda g: g["months_before"].min())
    add("oldest_months_max", lambda g: g["months_before"].max())
    add("active_months_share", lambda g: g["is_active"].mean(), (ALL, 12))
    add("last_active_months_min", lambda g: g["active_months"].min())
    for state in ("signed", "demand", "returned", "amortized"):
        add(f"{state}_months_share", lambda g, state=state: g[f"is_{state}"].mean())
    add("monthly_future_term_ratio_mean", scaled(lambda g: g["left_ratio"].mean()), (ALL, 12))
    add("monthly_future_term_ratio_min", scaled(lambda g: g["left_ratio"].min()), (12,))
    add("future_instalments_count_mean", lambda g: g["future"].mean(), (12,))
    add("dpd_months_share", lambda g: g["is_dpd"].mean(), every, ratios=half_year)
    add("material_dpd_months_share", lambda g: g["is_material"].mean(), every, ratios=half_year)
    add("severe_dpd_months_share", lambda g: g["is_severe"].mean(), (ALL, 12, 24))
    add("material_dpd_months_share_half_12m", weighted_mean("is_material", "weight"))
    add("dpd_days_max", lambda g: g["dpd"].max(), (ALL, 6, 12, 24))
    add("material_dpd_days_max", lambda g: g["material_dpd"].max(), (ALL, 12, 24))
    add("dpd_days_mean", lambda g: g["dpd"].mean(), (ALL, 6, 12, 24), ratios=half_year)
    add("material_dpd_days_mean", lambda g: g["material_dpd"].mean(), (ALL, 12))
    add("dpd_days_mean_half_12m", weighted_mean("dpd", "weight"))
    add("dpd_days_slope", slope("dpd", "months_before", 12), (6, 12, 24))
    add("material_dpd_days_slope", slope("material_dpd", "months_before", 12), (12,))
    add("last_dpd_months_min", lambda g: g["dpd_months"].min())
    add("last_material_dpd_months_min", lambda g: g["material_months"].min())


def _latest(found: Found, rows: pd.DataFrame) -> None:
    """The last months of the history, which ends with the latest balance of any contract."""
    back = rows["months_before"] - rows.groupby("sk_id_curr")["months_before"].transform("min")
    groups = {last: rows[back < last].groupby("sk_id_curr") for last in (1, 3, 6)}

    def add(name: str, value: Value, windows: Sequence[Window], **how: object) -> None:
        found.add(name, value, groups, "_last_{}", windows, **how)

    add("active_contracts_count", lambda g: g["is_active"].sum(), (1,), is_count=True)
    add("monthly_future_term_ratio_mean", scaled(lambda g: g["left_ratio"].mean()), (1, 3, 6))
    add("future_instalments_count_sum", lambda g: g["future"].sum(min_count=1), (1,))
    add("dpd_months_share", lambda g: g["is_dpd"].mean(), (3, 6))
    add("dpd_days_max", lambda g: g["dpd"].max(), (1, 3, 6))
    add("material_dpd_days_max", lambda g: g["material_dpd"].max(), (6,))


def _contracts_of(months: pd.DataFrame) -> pd.DataFrame:
    """Put the months of each contract together."""
    months = months.assign(
        completed=months["months_before"].where(months["is_completed"]),
    ).sort_values([*CONTRACT, "months_before"])
    contracts = months.groupby(CONTRACT).agg(
        months=("months_before", "size"),
        oldest=("months_before", "max"),
        completed=("completed", "min"),
        longest_term=("term", "max"),
        term=("term", "first"),  # of the latest month in which it is known, as the next two
        future=("future", "first"),
        left_ratio=("left_ratio", "first"),
        is_active=("is_active", "first"),
        dpd=("dpd", "max"),
        material_dpd=("material_dpd", "max"),
        is_demanded=("is_demand", "any"),
        is_returned=("is_returned", "any"),
        is_amortized=("is_amortized", "any"),
    )
    contracts["is_completed"] = contracts["completed"].notna()
    contracts["is_running"] = contracts["is_active"] & ~contracts["is_completed"]
    contracts["spared"] = contracts["future"].where(contracts["is_completed"])
    contracts["is_early"] = (contracts["spared"] > 0).astype(float).where(contracts["is_completed"])
    contracts["is_shortened"] = contracts["term"] < contracts["longest_term"]
    contracts["length"] = contracts["oldest"] - contracts["completed"]
    contracts["is_recent"], contracts["is_fresh"] = contracts["oldest"] <= 12, contracts["completed"] <= 12
    contracts["is_dpd"], contracts["is_material"] = contracts["dpd"] > 0, contracts["material_dpd"] > 0
    return contracts.reset_index()


def _contracts(found: Found, contracts: pd.DataFrame) -> None:
    """Contracts: all of them, those begun last, those still running."""
    contracts = contracts.sort_values(["sk_id_curr", "oldest", "sk_id_prev"])
    place = contracts.groupby("sk_id_curr").cumcount() + 1
    groups = {
        last: (contracts if last is ALL else contracts[place <= last]).groupby("sk_id_curr") for last in (ALL, 1, 3)
    }

    def add(name: str, value: Value, windows: Sequence[Window] = (ALL,), **how: object) -> None:
        found.add(name, value, groups, "_last_{}_contracts", windows, **how)

    add("contracts_count", lambda g: g.size(), is_count=True)
    for state in ("completed", "running", "demanded", "returned", "amortized"):
        add(f"{state}_contracts_count", lambda g, state=state: g[f"is_{state}"].sum(), is_count=True)
    add("recent_contracts_count", lambda g: g["is_recent"].sum(), is_count=True)
    add("recently_completed_contracts_count", lambda g: g["is_fresh"].sum(), is_count=True)
    add("completed_share", lambda g: g["is_completed"].mean())
    add("completed_early_share", lambda g: g["is_early"].mean(), (ALL, 3))
    add("spared_instalments_count_mean", lambda g: g["spared"].mean())
    add("shortened_share", lambda g: g["is_shortened"].mean())
    add("last_completed_months_min", lambda g: g["completed"].min())
    add("first_completed_months_max", lambda g: g["completed"].max())
    add("newest_contract_months_min", lambda g: g["oldest"].min())
    add("length_months_mean", lambda g: g["length"].mean())
    add("contract_months_count_mean", lambda g: g["months"].mean())
    add("term_months_mean", lambda g: g["term"].mean(), (ALL, 1, 3))
    add("term_months_max", lambda g: g["longest_term"].max())
    add("term_months_min", lambda g: g["term"].min())
    add("future_term_ratio_mean", scaled(lambda g: g["left_ratio"].mean()), (ALL, 1, 3))
    add("dpd_contracts_share", lambda g: g["is_dpd"].mean(), (ALL, 3))
    add("material_dpd_contracts_share", lambda g: g["is_material"].mean(), (ALL, 1, 3))
    add("contract_dpd_days_max_mean", lambda g: g["dpd"].mean(), (ALL, 1, 3))
    groups = {ALL: contracts[contracts["is_running"]].groupby("sk_id_curr")}
    add("running_future_instalments_count_sum", lambda g: g["future"].sum(min_count=1))
    add("running_future_instalments_count_max", lambda g: g["future"].max())
    add("running_future_instalments_count_min", lambda g: g["future"].min())
    add("running_future_term_ratio_mean", scaled(lambda g: g["left_ratio"].mean()))
    add("running_future_term_ratio_min", scaled(lambda g: g["left_ratio"].min()))
    add("running_total_future_term_ratio", per("future", "term"))
