"""The linter passes the committed SQL and catches one planted fault of each kind."""

import pytest

from creditrisk_assets.features.families import FAMILIES, Family
from creditrisk_assets.features.lint import lint, main

HEADER = """-- family: bureau | grain: one row per sk_id_curr | owner: team:credit-features
-- inputs: bureau, bureau_balance | known at: application day
"""
SOUND = HEADER + "select sk_id_curr, count(*) as bureau__credits_count from bureau group by sk_id_curr"


def planted(sql: str) -> Family:
    family = FAMILIES["bureau"]
    made = Family(family.name, family.inputs, family.contract)
    made.__dict__["sql"] = sql
    return made


def test_committed_families_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert capsys.readouterr().out == ""


def test_smallest_sound_family_passes() -> None:
    assert lint(planted(SOUND)) == []


@pytest.mark.parametrize(
    "sound",
    [
        "max(round(amt_credit_sum))",
        "max(cast(round(amt_credit_sum * 12) as bigint))",
        "max(cast(round(1000000 * (amt_credit_sum / 3)) / 1000000 as decimal(18, 6)))",
        "max(cast(case when amt_credit_sum > 10 then 100000 else round(amt_credit_sum) end as integer))",
        "cast(sum(round(amt_credit_sum)) as bigint)",
        "max(cast(-days_credit as bigint))",
        "cast(sum(days_credit * days_credit) as bigint)",
        "max(ln(amt_credit_sum))",
    ],
)
def test_what_both_engines_compute_alike_passes(sound: str) -> None:
    assert lint(planted(SOUND.replace("count(*) as bureau__credits_count", f"{sound} as bureau__any_amt"))) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (SOUND.replace(HEADER, ""), "must start with"),
        (SOUND.replace("family: bureau ", "family: buro "), "header says family"),
        (SOUND.replace("team:credit-features", "team:others"), "header says owner"),
        (SOUND.replace("bureau, bureau_balance", "bureau"), "header says inputs"),
        (SOUND.replace("count(*) as", "count(* as"), "does not parse"),
        (SOUND + "; select 1", "one SELECT"),
        (SOUND.replace("select sk_id_curr, count", "select count"), "first column must be sk_id_curr"),
        (SOUND.replace("bureau__credits_count", "credits_count"), "must start with bureau__"),
        (SOUND.replace("bureau__credits_count", "bureau__credits"), "name its unit"),
        (SOUND.replace("bureau__credits_count", "bureau__Credits_count"), "lower case"),
        (SOUND.replace("from bureau", ", count(*) as bureau__credits_count from bureau"), "there twice"),
        (SOUND + " order by sk_id_curr", "drop the final ORDER BY"),
        (
            HEADER + "with a as (select * from bureau) select sk_id_curr, max(days_credit) as bureau__opened_days_max "
            "from a group by 1",
            "hides columns",
        ),
        (SOUND.replace("count(*)", "sum(amt_credit_sum_debt) / sum(amt_credit_sum)"), "may divide by zero"),
        (SOUND.replace("count(*)", "sum(amt_credit_sum_debt) / 0"), "may divide by zero"),
        (SOUND.replace("from bureau", "from bureau where days_credit > ?"), "parameter"),
        (SOUND.replace("from bureau", "from bureau where days_credit > $as_of"), "parameter"),
        (SOUND.replace("count(*)", "sum(amt_credit_sum * 0.5)"), "decimal literal"),
        (SOUND.replace("count(*)", "avg(amt_credit_sum)"), "depends on row order"),
        (SOUND.replace("count(*)", "max_by(amt_credit_sum, days_credit)"), "depends on row order"),
        (
            HEADER
            + "with a as (select sk_id_curr, row_number() over (partition by sk_id_curr order by days_credit) as place from bureau) "
            "select sk_id_curr, max(place) as bureau__credits_count from a group by sk_id_curr",
            "total order",
        ),
        (SOUND.replace("count(*)", "sum(nowhere)"), "lineage cannot be told"),
        (SOUND.replace("count(*)", "max(round(amt_credit_sum, 2))"), "breaks ties differently"),
        (SOUND.replace("count(*)", "max(cast(amt_credit_sum / 3 as decimal(18, 6)))"), "AMT_CREDIT_SUM becomes"),
        (SOUND.replace("count(*)", "max(cast(amt_credit_sum * 12 as bigint))"), "AMT_CREDIT_SUM becomes BIGINT"),
        (SOUND.replace("count(*)", "max(cast(-days_enddate_fact as integer))"), "DAYS_ENDDATE_FACT becomes INTEGER"),
        (SOUND.replace("count(*)", "max(cast(amt_annuity as decimal(18, 3)))"), "AMT_ANNUITY becomes DECIMAL(18,3)"),
        (
            SOUND.replace("count(*)", "cast(max(cast(round(1000 * amt_annuity) / 1000 as decimal(18, 3))) as bigint)"),
            "AMT_ANNUITY becomes BIGINT",
        ),
        (SOUND.replace("count(*)", "max(days_enddate_fact)"), "DAYS_ENDDATE_FACT becomes BIGINT"),
        (
            HEADER + "with a as (select sk_id_curr, amt_annuity as x, row_number() over (partition by sk_id_curr order by "
            "days_credit, sk_id_bureau) as place from bureau) select sk_id_curr, max(cast(case place when 1 then x end as "
            "integer)) as bureau__credits_count from a group by sk_id_curr",
            "AMT_ANNUITY becomes INTEGER",
        ),
        (SOUND.replace("count(*)", "max(log(amt_credit_sum))"), "another thing in each engine"),
        (SOUND.replace("count(*)", "max(concat(credit_type, 'x'))"), "another thing in each engine"),
        (SOUND.replace("from bureau", "from bureau where credit_type = 'it''s'"), "read differently"),
    ],
)  # fmt: skip
def test_planted_fault_is_named(sql: str, said: str) -> None:
    problems = lint(planted(sql))
    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith("bureau.sql: ") for problem in problems)
