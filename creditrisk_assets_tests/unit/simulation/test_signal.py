"""Risk is planted in the rows: each quantity that predicts default in the reference portfolio does so here, with the same sign."""

import pytest

from creditrisk_assets.simulation.portfolio import PortfolioSummary

from .conftest import Ask, Auc


def test_default_rate_is_the_reference_portfolios(sample: PortfolioSummary, ask: Ask) -> None:
    assert sample.default_rate == pytest.approx(0.0807, abs=0.009)
    assert ask("select avg(TARGET) from application_train") == [(pytest.approx(sample.default_rate),)]


def test_latent_risk_bounds_what_a_model_can_reach(sample: PortfolioSummary) -> None:
    assert 0.82 < sample.latent_auc < 0.87


@pytest.mark.parametrize(
    ("column", "measured"),
    [("EXT_SOURCE_1", 0.332), ("EXT_SOURCE_2", 0.345), ("EXT_SOURCE_3", 0.313), ("DAYS_BIRTH", 0.587), ("DAYS_LAST_PHONE_CHANGE", 0.562),
     ("DAYS_ID_PUBLISH", 0.557), ("REGION_RATING_CLIENT", 0.552), ("AMT_GOODS_PRICE", 0.459), ("REG_CITY_NOT_WORK_CITY", 0.540)],
)  # fmt: skip
def test_application_columns_separate_as_measured(auc: Auc, column: str, measured: float) -> None:
    found = auc(f"select SK_ID_CURR, {column} as x from application_train")
    assert (found - 0.5) * (measured - 0.5) > 0
    assert found == pytest.approx(measured, abs=0.045)


@pytest.mark.parametrize(
    ("x", "table", "measured"),
    [
        ("avg(DAYS_CREDIT)", "bureau", 0.62),
        ("avg((CREDIT_ACTIVE = 'Active')::int)", "bureau", 0.61),
        ("sum(AMT_CREDIT_SUM_DEBT)", "bureau", 0.57),
        ("avg((NAME_CONTRACT_STATUS = 'Refused')::int)", "previous_application", 0.57),
        ("min(DAYS_DECISION)", "previous_application", 0.555),
        ("avg((SK_DPD_DEF > 0)::int)", "POS_CASH_balance", 0.525),
        ("avg((DAYS_ENTRY_PAYMENT > DAYS_INSTALMENT)::int)", "installments_payments", 0.57),
        ("avg(AMT_BALANCE / nullif(AMT_CREDIT_LIMIT_ACTUAL, 0))", "credit_card_balance", 0.64),
        ("avg(CNT_DRAWINGS_ATM_CURRENT)", "credit_card_balance", 0.57),
    ],
)
def test_histories_separate_as_measured(auc: Auc, x: str, table: str, measured: float) -> None:
    found = auc(f"select SK_ID_CURR, {x} as x from {table} group by 1")
    assert found > 0.505
    assert found == pytest.approx(measured, abs=0.05)


@pytest.mark.parametrize(
    ("column", "riskier", "safer"),
    [("CODE_GENDER", "M", "F"), ("NAME_INCOME_TYPE", "Working", "Pensioner"),
     ("NAME_EDUCATION_TYPE", "Secondary / secondary special", "Higher education"),
     ("NAME_HOUSING_TYPE", "With parents", "House / apartment"),
     ("OCCUPATION_TYPE", "Laborers", "Core staff"), ("NAME_CONTRACT_TYPE", "Cash loans", "Revolving loans")],
)  # fmt: skip
def test_default_rates_rank_the_categories_as_measured(ask: Ask, column: str, riskier: str, safer: str) -> None:
    rates = dict(ask(f"select {column}, avg(TARGET) from application_train group by 1"))
    assert rates[riskier] > rates[safer]  # type: ignore[operator]  # numbers


def test_applicants_without_bureau_history_default_more_often(ask: Ask) -> None:
    ((without, with_history),) = ask(
        """select avg(TARGET) filter (b.SK_ID_CURR is null), avg(TARGET) filter (b.SK_ID_CURR is not null) from application_train
        left join (select distinct SK_ID_CURR from bureau) b using (SK_ID_CURR)"""
    )
    assert without > with_history  # type: ignore[operator]  # numbers
