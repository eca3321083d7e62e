"""The family installments, in pandas.

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

INSTALMENT = ["sk_id_curr", "sk_id_prev", "version", "number"]
LOAN = ["sk_id_curr", "sk_id_prev"]


def features(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute the family's features, one row per applicant with an instalment."""
    instalments = _instalments(tables["installments_payments"])
    found = Found(pd.Index(sorted(instalments["sk_id_curr"].unique()), name="sk_id_curr"))
    _due(found, instalments)
    _latest(found, instalments)
    _opening(found, instalments)
    _loans(found, _loans_of(instalments))
    return found.table("installments")


def _instalments(payments: pd.DataFrame) -> pd.DataFrame:
    """Put the payments of each instalment together."""
    rows = payments.rename(
        columns={
            "SK_ID_CURR": "sk_id_curr",
            "SK_ID_PREV": "sk_id_prev",
            "NUM_INSTALMENT_VERSION": "version",
            "NUM_INSTALMENT_NUMBER": "number",
        }
    )
    parts = rows.groupby(INSTALMENT, as_index=False)
    found = parts.agg(
        due_day=("DAYS_INSTALMENT", "max"),
        paid_day=("DAYS_ENTRY_PAYMENT", "max"),
        due_amt=("AMT_INSTALMENT", "max"),
        payments=("DAYS_ENTRY_PAYMENT", "count"),
    )
    found["paid_amt"] = parts["AMT_PAYMENT"].sum(min_count=1)["AMT_PAYMENT"].round(3)
    found["due_days"] = -found["due_day"]
    delay = found["paid_day"] - found["due_day"]
    found["late_days"], found["early_days"] = delay.clip(lower=0), (-delay).clip(lower=0)
    for days in (0, 7, 30):
        found[f"late_{days}"] = (delay > days).astype(float).where(delay.notna())
    missing = (found["due_amt"] - found["paid_amt"]).round(3)
    found["short_amt"], found["over_amt"] = missing.clip(lower=0), (-missing).clip(lower=0)
    found["is_short"] = (missing > 0).astype(float).where(missing.notna())
    found["settled_due_amt"] = found["due_amt"].where(found["paid_amt"].notna())
    found["paid_ratio"] = steps(found["paid_amt"], found["due_amt"]).clip(upper=100_000)
    found["is_open"], found["is_split"] = delay.isna(), found["payments"] > 1
    return found


def _due(found: Found, rows: pd.DataFrame) -> None:
    """What was due in the last days."""
    rows = rows.assign(
        late_only=rows["late_days"].where(rows["late_days"] > 0),
        due_late=rows["due_days"].where(rows["late_days"] > 0),
        due_severe=rows["due_days"].where(rows["late_days"] > 30),
        due_short=rows["due_days"].where(rows["short_amt"] > 0),
    )
    every = (ALL, 30, 60, 90, 180, 365, 720, 1500)
    groups = {
        window: (rows if window is ALL else rows[rows["due_days"] <= window]).groupby("sk_id_curr") for window in every
    }

    def add(name: str, value: Value, windows: Sequence[Window] = every, **how: object) -> None:
        found.add(name, value, groups, "_{}d", windows, **how)

    now, yearly, long = (ALL,), (ALL, 365), (ALL, 365, 720)
    both, half_year = ((90, 365), (180, 720)), ((180, 720),)
    add("instalments_count", lambda g: g.size(), (ALL, 30, 90, 180, 365, 720), is_count=True)
    add("unsettled_count", lambda g: g["is_open"].sum(), now, is_count=True)
    add("split_payment_share", lambda g: g["is_split"].mean(), now)
    add("late_share", lambda g: g["late_0"].mean(), ratios=both)
    add("week_late_share", lambda g: g["late_7"].mean(), long)
    add("severe_late_share", lambda g: g["late_30"].mean(), long)
    add("late_days_sum", lambda g: g["late_days"].sum(min_count=1), now)
    add("late_days_mean", lambda g: g["late_days"].mean(), ratios=both)
    add("late_days_max", lambda g: g["late_days"].max(), (ALL, 90, 180, 365, 720))
    add("late_days_std", lambda g: g["late_days"].std(), yearly)
    add("late_only_days_mean", lambda g: g["late_only"].mean(), yearly)
    add("early_days_mean", lambda g: g["early_days"].mean(), (ALL, 90, 180, 365, 720), ratios=half_year)
    add("last_late_days_min", lambda g: g["due_late"].min(), now)
    add("last_severe_late_days_min", lambda g: g["due_severe"].min(), now)
    add("short_share", lambda g: g["is_short"].mean(), yearly)
    add("short_amt_sum", lambda g: g["short_amt"].sum(min_count=1), yearly)
    add("short_amt_max", lambda g: g["short_amt"].max(), yearly)
    add("short_due_ratio", per("short_amt", "settled_due_amt"), ratios=both)
    add("last_short_days_min", lambda g: g["due_short"].min(), now)
    add("over_due_ratio", per("over_amt", "settled_due_amt"), yearly)
    add("paid_due_ratio_mean", scaled(lambda g: g["paid_ratio"].mean()), (ALL, 180, 365, 720), ratios=half_year)
    add("paid_due_ratio_min", scaled(lambda g: g["paid_ratio"].min()), yearly)
    add("paid_due_ratio_std", scaled(lambda g: g["paid_ratio"].std()), yearly)
    add("due_amt_mean", lambda g: g["due_amt"].mean(), (ALL, 180, 365, 720), ratios=half_year)
    add("due_amt_max", lambda g: g["due_amt"].max(), yearly)
    add("due_amt_sum", lambda g: g["due_amt"].sum(min_count=1), (365,))
    add("paid_amt_sum", lambda g: g["paid_amt"].sum(min_count=1), yearly)
    add("paid_amt_mean", lambda g: g["paid_amt"].mean(), yearly)
    add("late_days_slope", slope("late_days", "due_days", 365), yearly)
    add("paid_due_ratio_slope", scaled(slope("paid_ratio", "due_days", 365)), yearly)
    for half_life in (90, 365):
        weight = fading(rows["due_days"], half_life, last=10 * half_life)
        weighted = rows.assign(
            weight=weight, short=rows["short_amt"] * weight, settled_due=rows["settled_due_amt"] * weight
        )
        groups = {ALL: weighted.groupby("sk_id_curr")}
        add(f"late_share_half_{half_life}d", weighted_mean("late_0", "weight"), now)
        add(f"late_days_mean_half_{half_life}d", weighted_mean("late_days", "weight"), now)
        add(f"short_due_ratio_half_{half_life}d", per("short", "settled_due"), now)


def _latest(found: Found, rows: pd.DataFrame) -> None:
    """The latest few due."""
    order = ["sk_id_curr", "due_days", "sk_id_prev", "version", "number"]
    rows = rows.sort_values(order)
    place = rows.groupby("sk_id_curr").cumcount() + 1
    groups = {last: rows[place <= last].groupby("sk_id_curr") for last in (1, 3, 5, 10)}

    def add(name: str, value: Value, windows: Sequence[Window]) -> None:
        found.add(name, value, groups, "_last_{}", windows)

    add("late_share", lambda g: g["late_0"].mean(), (3, 5, 10))
    add("late_days_mean", lambda g: g["late_days"].mean(), (1, 3, 5, 10))
    add("late_days_max", lambda g: g["late_days"].max(), (5, 10))
    add("early_days_mean", lambda g: g["early_days"].mean(), (1, 3, 10))
    add("short_due_ratio", per("short_amt", "settled_due_amt"), (1, 3, 5, 10))
    add("paid_due_ratio_mean", scaled(lambda g: g["paid_ratio"].mean()), (1, 3, 5, 10))
    add("due_amt_mean", lambda g: g["due_amt"].mean(), (1, 10))


def _opening(found: Found, rows: pd.DataFrame) -> None:
    """The first few of each loan."""
    rows = rows[rows["version"] > 0]
    groups = {first: rows[rows["number"] <= first].groupby("sk_id_curr") for first in (1, 2, 4)}

    def add(name: str, value: Value, windows: Sequence[Window] = (4,)) -> None:
        found.add(name, value, groups, "_first_{}", windows)

    add("late_share", lambda g: g["late_0"].mean(), (1, 2, 4))
    add("severe_late_share", lambda g: g["late_30"].mean())
    add("late_days_mean", lambda g: g["late_days"].mean(), (1, 2, 4))
    add("late_days_max", lambda g: g["late_days"].max())
    add("early_days_mean", lambda g: g["early_days"].mean())
    add("short_due_ratio", per("short_amt", "settled_due_amt"), (1, 4))
    add("paid_due_ratio_mean", scaled(lambda g: g["paid_ratio"].mean()))


def _loans_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Put the instalments of each loan or card together."""
    loans = rows.groupby(LOAN, as_index=False).agg(
        version=("version", "max"),
        instalments=("due_days", "size"),
        payments=("payments", "sum"),
        last_due=("due_days", "min"),
        first_due=("due_days", "max"),
        due_amt=("due_amt", "sum"),
        settled=("late_0", "count"),
        late=("late_0", "sum"),
        late_days_max=("late_days", "max"),
        late_days_sum=("late_days", "sum"),
        early_days_max=("early_days", "max"),
    )
    sums = rows.groupby(LOAN, as_index=False)[["short_amt", "settled_due_amt"]].sum(min_count=1)
    loans[["short_amt", "settled_due_amt"]] = sums[["short_amt", "settled_due_amt"]]
    loans["late_share"] = steps(loans["late"], loans["settled"])
    loans["late_days_mean"] = steps(loans["late_days_sum"], loans["settled"], 100)
    loans["short_ratio"] = steps(loans["short_amt"], loans["settled_due_amt"])
    loans["card_instalments"] = loans["instalments"].where(loans["version"] == 0, 0)
    loans["length"] = loans["first_due"] - loans["last_due"]
    for days in (0, 30):
        ever = loans["late_days_max"] > days
        loans[f"ever_{days}"] = ever.astype(float).where(loans["late_days_max"].notna())
    loans["is_running"], loans["is_rescheduled"] = loans["last_due"] <= 60, loans["version"] > 1
    return loans


def _loans(found: Found, loans: pd.DataFrame) -> None:
    """Loans and cards, all of them and the latest."""
    loans = loans.sort_values(["sk_id_curr", "first_due", "sk_id_prev"])
    place = loans.groupby("sk_id_curr").cumcount() + 1
    groups = {last: (loans if last is ALL else loans[place <= last]).groupby("sk_id_curr") for last in (ALL, 1, 3)}

    def add(name: str, value: Value, windows: Sequence[Window] = (ALL,), **how: object) -> None:
        found.add(name, value, groups, "_last_{}_loans", windows, **how)

    add("loans_count", lambda g: g.size(), is_count=True)
    add("payments_count", lambda g: g["payments"].sum(), is_count=True)
    add("running_loans_count", lambda g: g["is_running"].sum(), is_count=True)
    add("ever_late_loans_share", lambda g: g["ever_0"].mean())
    add("ever_severe_late_loans_share", lambda g: g["ever_30"].mean())
    add("rescheduled_loans_share", lambda g: g["is_rescheduled"].mean())
    add("schedule_version_count_max", lambda g: g["version"].max())
    add("due_days_min", lambda g: g["last_due"].min())
    add("due_days_max", lambda g: g["first_due"].max())
    add("early_days_max", lambda g: g["early_days_max"].max())
    add("card_share", per("card_instalments", "instalments"))
    add("loan_late_share_mean", scaled(lambda g: g["late_share"].mean()), (ALL, 1, 3))
    add("loan_late_share_max", scaled(lambda g: g["late_share"].max()))
    add("loan_late_days_mean_max", scaled(lambda g: g["late_days_mean"].max(), 100))
    add("loan_late_days_max_mean", lambda g: g["late_days_max"].mean(), (ALL, 1, 3))
    add("loan_short_due_ratio_max", scaled(lambda g: g["short_ratio"].max()), (ALL, 1))
    add("loan_instalments_count_mean", lambda g: g["instalments"].mean(), (ALL, 1))
    add("loan_instalments_count_max", lambda g: g["instalments"].max())
    add("loan_due_amt_mean", lambda g: g["due_amt"].mean(), (ALL, 1))
    add("loan_due_amt_max", lambda g: g["due_amt"].max())
    add("loan_length_days_mean", lambda g: g["length"].mean())
    add("newest_loan_days_min", lambda g: g["first_due"].min())
    for kind, is_kind in (("loan", loans["version"] > 0), ("card", loans["version"] == 0)):
        groups = {ALL: loans[is_kind].groupby("sk_id_curr")}
        add(f"{kind}_late_share", per("late", "settled"))
        add(f"{kind}_short_due_ratio", per("short_amt", "settled_due_amt"))
