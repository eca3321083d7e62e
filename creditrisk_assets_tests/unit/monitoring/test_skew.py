"""Features computed again from raw rows: what the service saw otherwise is named, by feature and never by a value."""

from typing import Any

import duckdb
import pandas as pd
import pytest

from creditrisk_assets.modelling.bundle import BundleFeature, to_float32
from creditrisk_assets.monitoring.skew import SkewedFeature, SkewError, SkewReport, compare, families_sent, recompute


def column(name: str, kind: str, sql: str) -> dict[str, str]:
    return {"name": name, "type": kind, "sql_type": sql}


PLAN: dict[str, Any] = {
    "families": {
        "application": {
            "inputs": ["application"],
            "columns": [["application__credit_amt", "DOUBLE"], ["application__kind", "VARCHAR"]],
            "sql": "select sk_id_curr, amt_credit / 3 as application__credit_amt, kind as application__kind from application",
        },
        "balance": {
            "inputs": ["bureau", "bureau_balance"],
            "columns": [["balance__rows_count", "BIGINT"]],
            "sql": "select sk_id_curr, count(*) as balance__rows_count from bureau join bureau_balance using (sk_id_bureau)"
            " group by sk_id_curr",
        },
    },
    "presence": {"applicant__has_balance": "balance"},
    "tables": {
        "application": {
            "columns": [column("SK_ID_CURR", "int", "BIGINT"), column("AMT_CREDIT", "float", "DOUBLE"),
                        column("KIND", "str", "VARCHAR")]
        },
        "bureau": {"columns": [column("SK_ID_CURR", "int", "BIGINT"), column("SK_ID_BUREAU", "int", "BIGINT")]},
        "bureau_balance": {"columns": [column("SK_ID_BUREAU", "int", "BIGINT")]},
    },
}  # fmt: skip
FEATURES = (
    BundleFeature("application__credit_amt", "application", "numeric", None),
    BundleFeature("application__kind", "application", "category", ("cash", "revolving")),
    BundleFeature("applicant__has_balance", "applicant", "boolean", None),
    BundleFeature("balance__rows_count", "balance", "numeric", None),
)
HISTORIES = {
    "bureau": [{"SK_ID_CURR": 2, "SK_ID_BUREAU": 7}],
    "bureau_balance": [{"SK_ID_BUREAU": 7}, {"SK_ID_BUREAU": 7}],
}
SENT: dict[int, dict[str, Any]] = {
    1: {"application": {"AMT_CREDIT": 1e6, "KIND": "cash"}, "histories": {}},
    2: {"application": {"AMT_CREDIT": 10, "KIND": "never seen"}, "histories": HISTORIES},
    3: {"application": None, "histories": {"bureau": []}},
    # another caller's applicant with a credit of the same id: its rows are not applicant 2's
    4: {"application": {"KIND": "revolving"}, "histories": {**HISTORIES, "bureau": [{"SK_ID_CURR": 4, "SK_ID_BUREAU": 7}]}},
}  # fmt: skip
LOOKED_UP = {"applicant__has_balance": True, "balance__rows_count": 99.0}


def logged() -> pd.DataFrame:
    """What the service saw: float32 numbers, categories by name, what was looked up as the store had it."""
    third = [float(to_float32(pd.Series([each / 3]).to_numpy())[0]) for each in (1e6, 10.0)]
    return pd.DataFrame(
        {
            "application__credit_amt": [third[0], third[1], 5.0, None],
            "application__kind": ["cash", None, "cash", "revolving"],
            "applicant__has_balance": [True, True, False, True],
            "balance__rows_count": [99.0, 2.0, None, 2.0],
        },
        index=pd.Index(SENT, name="sk_id_curr"),
    )


@pytest.fixture(scope="module")
def again() -> dict[str, pd.DataFrame]:
    with duckdb.connect() as con:
        return dict(recompute(con, PLAN, SENT))


def test_what_was_sent_gives_what_was_seen(again: dict[str, pd.DataFrame]) -> None:
    """Looked-up families are left out; an unseen category, an absent history and a credit sent twice are no skew."""
    assert compare(FEATURES, PLAN, SENT, logged(), again) == SkewReport(4, 12, ())
    assert [families_sent(one, PLAN) for one in SENT.values()] == [
        ["application"], ["application", "balance"], ["balance"], ["application", "balance"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("feature", "applicant", "value", "largest"),
    [
        ("application__credit_amt", 1, float(to_float32(pd.Series([1e6 / 3 + 0.04]).to_numpy())[0]), 0.03125),
        ("application__credit_amt", 4, 0.0, None),  # unknown offline
        ("application__kind", 2, "cash", None),
        ("applicant__has_balance", 3, True, 1.0),
        ("balance__rows_count", 2, 3.0, 1.0 - 2e-9),
        ("balance__rows_count", 2, None, None),
    ],
)
def test_a_planted_difference_is_named(
    again: dict[str, pd.DataFrame], feature: str, applicant: int, value: object, largest: float | None
) -> None:
    seen = logged().astype({feature: object})
    seen.loc[applicant, feature] = value
    (found,) = compare(FEATURES, PLAN, SENT, seen, again).skewed
    assert (found.feature, found.decisions) == (feature, 1)
    assert found.largest_difference == (None if largest is None else pytest.approx(largest, rel=1e-6))


def test_words_name_features_and_their_number() -> None:
    many = tuple(SkewedFeature(f"f{place}", 3, 0.5) for place in range(7))
    words = SkewReport(10, 70, many).words
    assert "7 differ" in words
    assert "f0 in 3 decisions, by up to 0.5" in words
    assert "f6" not in words
    assert "and 2 more" in words
    assert SkewReport(0, 0, ()).words == "no decision carried raw rows"


def test_rows_the_sql_cannot_take_are_refused_without_their_values() -> None:
    family = {"inputs": ["application"], "columns": [["bad__x", "DOUBLE"]],
              "sql": "select sk_id_curr, kind::double as bad__x from application"}  # fmt: skip
    with duckdb.connect() as con, pytest.raises(SkewError, match="features/bad") as refused:
        recompute(con, {**PLAN, "families": {"bad": family}}, SENT)
    assert "cash" not in str(refused.value)
