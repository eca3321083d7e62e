"""Lineage finds every raw column a feature is made of, however it gets there."""

import pytest

from creditrisk_assets.features.families import FAMILIES, applicant_features
from creditrisk_assets.features.lineage import LineageError, applicant_lineage, lineage, trace

PROTECTED = {"CODE_GENDER", "NAME_FAMILY_STATUS", "DAYS_BIRTH"}


def columns(sql: str, *views: str) -> dict[str, set[str]]:
    return {name: {column for _, column in origins} for name, origins in trace(sql, views).items()}


@pytest.mark.parametrize(
    ("sql", "reached"),
    [
        ("select sk_id_curr, days_birth as x from application", {"DAYS_BIRTH"}),
        ("select sk_id_curr, days_employed / nullif(days_birth, 0) as x from application", {"DAYS_EMPLOYED", "DAYS_BIRTH"}),
        ("select sk_id_curr, case when code_gender = 'F' then 1 end as x from application", {"CODE_GENDER"}),
        ("select sk_id_curr, amt_credit as x from application where code_gender = 'F'", {"AMT_CREDIT", "CODE_GENDER"}),
        (
            "with a as (select sk_id_curr, days_birth as y from application), b as (select sk_id_curr, y + 1 "
            "as z from a) select sk_id_curr, z as x from b",
            {"DAYS_BIRTH"},
        ),
        (
            "with a as (select sk_id_curr, amt_credit from application where days_birth < -9000) select "
            "sk_id_curr, count(*) as x from a group by sk_id_curr",
            {"DAYS_BIRTH"},
        ),
        (
            "select sk_id_curr, sum(amt_credit) as x from application group by sk_id_curr, "
            "name_family_status",
            {"AMT_CREDIT", "NAME_FAMILY_STATUS"},
        ),
        (
            "select sk_id_curr, sum(amt_credit) as x from application group by sk_id_curr having "
            "max(days_birth) < 0",
            {"AMT_CREDIT", "DAYS_BIRTH"},
        ),
        (
            "select a.sk_id_curr, a.amt_credit as x from application as a join application as b on "
            "a.sk_id_curr = b.sk_id_curr and b.code_gender = 'M'",
            {"AMT_CREDIT", "CODE_GENDER"},
        ),
        ("select sk_id_curr, row_number() over (partition by sk_id_curr order by days_birth) as x from application", {"DAYS_BIRTH"}),
        (
            "select sk_id_curr, amt_credit as x from (select sk_id_curr, amt_credit from application where "
            "code_gender = 'F') as s",
            {"AMT_CREDIT", "CODE_GENDER"},
        ),
        (
            "select sk_id_curr, amt_credit as x from application where sk_id_curr in (select sk_id_curr from "
            "application where days_birth < 0)",
            {"AMT_CREDIT", "DAYS_BIRTH", "SK_ID_CURR"},
        ),
        (
            "select sk_id_curr, amt_credit as x from application union all select sk_id_curr, days_birth "
            "from application",
            {"AMT_CREDIT", "DAYS_BIRTH"},
        ),
        ("select sk_id_curr, count(*) as x from application group by sk_id_curr", {"SK_ID_CURR"}),
    ],
)  # fmt: skip
def test_every_way_to_a_column_is_followed(sql: str, reached: set[str]) -> None:
    assert columns(sql, "application")["x"] == reached


def test_identifiers_that_say_whose_row_it_is_are_left_out() -> None:
    sql = """
        with m as (select sk_id_bureau, max(status) as worst from bureau_balance group by sk_id_bureau)
        select bureau.sk_id_curr, max(m.worst) as x from m inner join bureau on m.sk_id_bureau = bureau.sk_id_bureau
        group by bureau.sk_id_curr
    """
    assert trace(sql, ("bureau", "bureau_balance"))["x"] == {("bureau_balance", "STATUS")}


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select sk_id_curr, nowhere as x from application", "is in no input"),
        ("select sk_id_curr, 1 as x from elsewhere", "elsewhere is neither"),
        ("select a.sk_id_curr, amt_credit as x from application a join application b on a.sk_id_curr = b.sk_id_curr", "qualify it"),
        ("select * from application", "hides columns"),
        ("select sk_id_curr, target as x from application", "is in no input"),
    ],
)  # fmt: skip
def test_what_cannot_be_traced_is_refused(sql: str, said: str) -> None:
    with pytest.raises(LineageError, match=said):
        trace(sql, ("application",))


def test_features_that_reach_protected_columns_are_known() -> None:
    reached = {name for name, origins in applicant_lineage().items() if PROTECTED & {column for _, column in origins}}
    assert reached == {
        "application__age_days",
        "application__gender_category",
        "application__family_status_category",
        "application__employed_age_ratio",
        "application__registration_age_ratio",
        "application__id_publish_age_ratio",
        "application__phone_change_age_ratio",
        "application__car_age_age_ratio",
        "application__ext_1_age_days",
        "application__ext_2_age_days",
        "application__ext_3_age_days",
        "application__ext_mean_age_days",
        "application__age_per_ext_3_days",
        "application__age_less_employed_days",
        "application__credit_age_ratio",
        "application__income_age_ratio",
    }


def test_both_application_files_are_the_origin() -> None:
    assert lineage(FAMILIES["application"])["application__credit_amt"] == {
        ("application_train", "AMT_CREDIT"),
        ("application_test", "AMT_CREDIT"),
    }


def test_every_joined_feature_has_an_origin() -> None:
    found = applicant_lineage()
    assert set(found) == {feature.name for feature in applicant_features()}
    assert all(found.values())
