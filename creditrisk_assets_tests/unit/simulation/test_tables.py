"""The rows look like the reference portfolio's: formats, keys, sentinels, shares and relations."""

import re
from pathlib import Path

import pytest

from creditrisk_assets.simulation.portfolio import ROWS_AT_SCALE_1, TABLES, PortfolioSummary

from .conftest import Ask

TEXT_COLUMNS = re.compile(
    r"NAME_|CODE_|WEEKDAY|OCCUPATION|ORGANIZATION|CREDIT_ACTIVE|CREDIT_CURRENCY|CREDIT_TYPE|STATUS|PRODUCT|CHANNEL"
)


def lines(sample: PortfolioSummary, table: str) -> list[str]:
    return (sample.path / f"{table}.csv").read_text(encoding="ascii").splitlines()


@pytest.mark.parametrize(
    ("table", "header"),
    [
        ("bureau_balance", "SK_ID_BUREAU,MONTHS_BALANCE,STATUS"),
        (
            "POS_CASH_balance",
            "SK_ID_PREV,SK_ID_CURR,MONTHS_BALANCE,CNT_INSTALMENT,CNT_INSTALMENT_FUTURE,NAME_CONTRACT_STATUS,SK_DPD,SK_DPD_DEF",
        ),
        (
            "installments_payments",
            "SK_ID_PREV,SK_ID_CURR,NUM_INSTALMENT_VERSION,NUM_INSTALMENT_NUMBER,DAYS_INSTALMENT,DAYS_ENTRY_PAYMENT,"
            "AMT_INSTALMENT,AMT_PAYMENT",
        ),
        (
            "bureau",
            "SK_ID_CURR,SK_ID_BUREAU,CREDIT_ACTIVE,CREDIT_CURRENCY,DAYS_CREDIT,CREDIT_DAY_OVERDUE,DAYS_CREDIT_ENDDATE,"
            "DAYS_ENDDATE_FACT,AMT_CREDIT_MAX_OVERDUE,CNT_CREDIT_PROLONG,AMT_CREDIT_SUM,AMT_CREDIT_SUM_DEBT,AMT_CREDIT_SUM_LIMIT,"
            "AMT_CREDIT_SUM_OVERDUE,CREDIT_TYPE,DAYS_CREDIT_UPDATE,AMT_ANNUITY",
        ),
    ],
)
def test_header_is_the_sources(sample: PortfolioSummary, table: str, header: str) -> None:
    assert lines(sample, table)[0] == header


def test_wide_tables_have_the_sources_number_of_columns(sample: PortfolioSummary) -> None:
    widths = {table: lines(sample, table)[0].count(",") + 1 for table in TABLES}
    assert widths["application_train"] == 122
    assert widths["application_test"] == 121
    assert widths["previous_application"] == 37
    assert widths["credit_card_balance"] == 23


def test_test_table_is_the_train_table_without_target(sample: PortfolioSummary) -> None:
    train, test = (lines(sample, f"application_{name}")[0].split(",") for name in ("train", "test"))
    assert [name for name in train if name != "TARGET"] == test


def test_amounts_and_float_days_keep_their_point_and_integers_have_none(sample: PortfolioSummary) -> None:
    header, *rows = lines(sample, "installments_payments")
    for row in rows[:2000]:
        cells = dict(zip(header.split(","), row.split(","), strict=True))
        for name in ("SK_ID_PREV", "SK_ID_CURR", "NUM_INSTALMENT_NUMBER"):
            assert re.fullmatch(r"\d+", cells[name]), (name, row)
        for name in ("NUM_INSTALMENT_VERSION", "DAYS_INSTALMENT"):
            assert re.fullmatch(r"-?\d+\.0", cells[name]), (name, row)
        assert re.fullmatch(r"\d+\.\d{1,3}|", cells["AMT_PAYMENT"]), row


def test_no_table_has_a_negative_zero_or_an_exponent_where_the_source_has_none(sample: PortfolioSummary) -> None:
    for table in TABLES:
        text = (sample.path / f"{table}.csv").read_text(encoding="ascii")
        assert not re.search(r"(^|,)-0\.0(,|$)", text, flags=re.MULTILINE), table
        if table not in ("application_train", "application_test", "previous_application"):
            assert "e" not in "".join(set(re.findall(r"\d(e)[-+]?\d", text))), table


def test_text_with_a_comma_is_quoted_and_other_text_is_not(sample: PortfolioSummary) -> None:
    text = "\n".join(lines(sample, "application_train")[1:])
    assert '"Spouse, partner"' in text
    assert '"Stone, brick"' in text
    assert set(re.findall(r'"([^"]*)"', text)) == {"Spouse, partner", "Stone, brick"}
    assert "Secondary / secondary special" in text


def test_lines_end_like_the_sources_and_the_last_one_too(sample: PortfolioSummary) -> None:
    for table in TABLES:
        content = (sample.path / f"{table}.csv").read_bytes()
        assert content.endswith(b"\n")
        assert b"\r" not in content


def test_rows_per_table_follow_the_scale(sample: PortfolioSummary) -> None:
    for table, rows in sample.rows.items():
        tolerance = 0.07 if table == "credit_card_balance" else 0.05
        assert rows == pytest.approx(ROWS_AT_SCALE_1[table] * sample.scale, rel=tolerance), table


def test_described_rows_are_the_files_rows(sample: PortfolioSummary) -> None:
    assert {table: len(lines(sample, table)) - 1 for table in TABLES} == dict(sample.rows)


def test_train_and_test_ids_are_disjoint_ascending_and_interleaved(ask: Ask) -> None:
    for table in ("application_train", "application_test"):
        ids = [row[0] for row in ask(f"select SK_ID_CURR from {table}")]
        assert ids == sorted(set(ids))
        assert ids[0] < 101_500  # type: ignore[operator]  # integers
        assert 455_000 < ids[-1] <= 456_255  # type: ignore[operator]  # integers
    assert ask("select count(*) from application_train semi join application_test using (SK_ID_CURR)") == [(0,)]


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("bureau", "SK_ID_BUREAU"),
        ("previous_application", "SK_ID_PREV"),
        ("bureau_balance", "SK_ID_BUREAU, MONTHS_BALANCE"),
        ("POS_CASH_balance", "SK_ID_PREV, MONTHS_BALANCE"),
        ("credit_card_balance", "SK_ID_PREV, MONTHS_BALANCE"),
    ],
)
def test_keys_are_unique(ask: Ask, table: str, key: str) -> None:
    assert ask(f"select count(*) from (select {key} from {table} group by {key} having count(*) > 1)") == [(0,)]


@pytest.mark.parametrize(
    "table", ["bureau", "previous_application", "POS_CASH_balance", "installments_payments", "credit_card_balance"]
)
def test_every_row_belongs_to_an_applicant(ask: Ask, table: str) -> None:
    assert ask(f"select count(*) from {table} anti join applicant using (SK_ID_CURR)") == [(0,)]


@pytest.mark.parametrize(
    ("child", "parent", "key", "share"),
    [
        ("POS_CASH_balance", "previous_application", "SK_ID_PREV", 0.0452),
        ("credit_card_balance", "previous_application", "SK_ID_PREV", 0.1225),
        ("bureau_balance", "bureau", "SK_ID_BUREAU", 0.053),
    ],
)
def test_orphans_have_the_measured_share(ask: Ask, child: str, parent: str, key: str, share: float) -> None:
    ((found,),) = ask(
        f"select avg((p.{key} is null)::int) from (select distinct {key} from {child}) left join {parent} p using ({key})"
    )
    assert found == pytest.approx(share, rel=0.25)


@pytest.mark.parametrize(
    ("table", "train", "test"),
    [
        ("bureau", 0.1416, 0.1330),
        ("previous_application", 0.0470, 0.0190),
        ("POS_CASH_balance", 0.0478, 0.0200),
        ("credit_card_balance", 0.7224, 0.6522),
    ],
)
def test_applicants_without_history_have_the_measured_share(ask: Ask, table: str, train: float, test: float) -> None:
    found = dict(
        ask(
            f"""select is_train, avg((h.SK_ID_CURR is null)::int) from applicant
            left join (select distinct SK_ID_CURR from {table}) h using (SK_ID_CURR) group by 1"""
        )
    )
    assert found[True] == pytest.approx(train, abs=0.012 + 0.03 * train)
    assert found[False] == pytest.approx(test, abs=0.015 + 0.05 * test)


def test_no_job_shows_in_four_columns_at_once(ask: Ask) -> None:
    for table in ("application_train", "application_test"):
        ((differ,),) = ask(
            f"""select count(*) from {table} where (DAYS_EMPLOYED = 365243) <> (NAME_INCOME_TYPE in ('Pensioner', 'Unemployed'))
            or (DAYS_EMPLOYED = 365243) <> (FLAG_EMP_PHONE = 0) or (DAYS_EMPLOYED = 365243) <> (ORGANIZATION_TYPE = 'XNA')
            or (DAYS_EMPLOYED > 0 and DAYS_EMPLOYED <> 365243)"""
        )
        assert differ == 0
    ((share,),) = ask("select avg((DAYS_EMPLOYED = 365243)::int) from application_train")
    assert share == pytest.approx(0.18, abs=0.02)


def test_car_age_is_null_exactly_without_a_car(ask: Ask) -> None:
    assert ask("select count(*) from application_train where (OWN_CAR_AGE is null) <> (FLAG_OWN_CAR = 'N')") == [(0,)]


def test_building_descriptions_are_null_together_in_their_three_forms(ask: Ask) -> None:
    assert ask(
        """select count(*) from application_train where (APARTMENTS_AVG is null) <> (APARTMENTS_MEDI is null)
        or (FLOORSMAX_AVG is null) <> (FLOORSMAX_MODE is null)"""
    ) == [(0,)]


@pytest.mark.parametrize(
    ("column", "train", "test"),
    [
        ("EXT_SOURCE_1", 0.5639, 0.4212), ("EXT_SOURCE_3", 0.1979, 0.1778), ("OCCUPATION_TYPE", 0.313, 0.320),
        ("APARTMENTS_AVG", 0.5088, 0.4901), ("COMMONAREA_AVG", 0.7003, 0.6872), ("AMT_REQ_CREDIT_BUREAU_YEAR", 0.1352, 0.1241),
        ("EMERGENCYSTATE_MODE", 0.4765, 0.4556), ("OWN_CAR_AGE", 0.659, 0.663),
    ],
)  # fmt: skip
def test_application_nulls_have_the_measured_shares(ask: Ask, column: str, train: float, test: float) -> None:
    for table, share in (("application_train", train), ("application_test", test)):
        ((found,),) = ask(f"select avg(({column} is null)::int) from {table}")
        assert found == pytest.approx(share, abs=0.02 if table == "application_train" else 0.04)


@pytest.mark.parametrize(
    ("table", "column", "share"),
    [
        ("bureau", "AMT_CREDIT_MAX_OVERDUE", 0.6736), ("bureau", "AMT_ANNUITY", 0.5682), ("bureau", "AMT_CREDIT_SUM_LIMIT", 0.3718),
        ("bureau", "DAYS_ENDDATE_FACT", 0.3656), ("previous_application", "AMT_ANNUITY", 0.2425),
        ("previous_application", "DAYS_FIRST_DUE", 0.4203), ("previous_application", "RATE_INTEREST_PRIMARY", 0.9959),
        ("previous_application", "AMT_DOWN_PAYMENT", 0.5539), ("credit_card_balance", "AMT_DRAWINGS_ATM_CURRENT", 0.2144),
    ],
)  # fmt: skip
def test_history_nulls_have_the_measured_shares(ask: Ask, table: str, column: str, share: float) -> None:
    ((found,),) = ask(f"select avg(({column} is null)::int) from {table}")
    assert found == pytest.approx(share, abs=0.04)


def test_test_applicants_ask_for_revolving_loans_far_less_often(ask: Ask) -> None:
    shares = [
        ask(f"select avg((NAME_CONTRACT_TYPE = 'Revolving loans')::int) from application_{t}")[0][0]
        for t in ("train", "test")
    ]
    assert shares[0] == pytest.approx(0.096, abs=0.02)
    assert shares[1] == pytest.approx(0.009, abs=0.008)


def test_annuities_are_missing_where_nothing_was_priced(ask: Ask) -> None:
    found = dict(
        ask("select NAME_CONTRACT_STATUS, avg((AMT_ANNUITY is null)::int) from previous_application group by 1")
    )
    assert found["Approved"] == 0
    assert found["Canceled"] == pytest.approx(0.969, abs=0.02)
    assert found["Refused"] == pytest.approx(0.151, abs=0.02)
    assert found["Unused offer"] == pytest.approx(0.98, abs=0.03)


def test_only_approved_loans_have_months_and_most_of_them_do(ask: Ask) -> None:
    found = dict(
        ask(
            """select NAME_CONTRACT_STATUS || ' ' || NAME_CONTRACT_TYPE, avg((m.SK_ID_PREV is not null)::int) from previous_application
            left join (select SK_ID_PREV from POS_CASH_balance union select SK_ID_PREV from credit_card_balance) m
            using (SK_ID_PREV) group by 1"""
        )
    )
    assert all(share == 0 for name, share in found.items() if not str(name).startswith("Approved"))
    assert found["Approved Consumer loans"] == pytest.approx(0.973, abs=0.012)
    assert found["Approved Cash loans"] == pytest.approx(0.923, abs=0.02)
    assert found["Approved Revolving loans"] == pytest.approx(0.949, abs=0.02)


def test_bureau_months_are_contiguous_and_mostly_end_at_the_application(ask: Ask) -> None:
    ((contiguous, fresh, oldest),) = ask(
        """select avg((hi - lo + 1 = n)::int), avg((hi = 0)::int), min(lo) from
        (select max(MONTHS_BALANCE) hi, min(MONTHS_BALANCE) lo, count(*) n from bureau_balance group by SK_ID_BUREAU)"""
    )
    assert contiguous == 1
    assert fresh == pytest.approx(0.892, abs=0.02)
    assert oldest == -96


def test_bureau_months_status_shares(ask: Ask) -> None:
    found = dict(ask("select STATUS::varchar, count(*) / sum(count(*)) over () from bureau_balance group by 1"))
    assert found["C"] == pytest.approx(0.474, abs=0.05)
    assert found["0"] == pytest.approx(0.281, abs=0.05)
    assert found["X"] == pytest.approx(0.234, abs=0.05)
    assert found["1"] == pytest.approx(0.0083, abs=0.003)
    assert 0 < found["5"] < 0.004


def test_payment_day_is_null_exactly_with_the_payment(ask: Ask) -> None:
    ((differ, nulls),) = ask(
        """select count(*) filter ((DAYS_ENTRY_PAYMENT is null) <> (AMT_PAYMENT is null)), avg((AMT_PAYMENT is null)::int)
        from installments_payments"""
    )
    assert differ == 0
    assert nulls == pytest.approx(0.0002, abs=0.0003)


def test_instalments_are_paid_late_short_and_exactly_as_often_as_measured(ask: Ask) -> None:
    ((late, less, equal),) = ask(
        """select avg((DAYS_ENTRY_PAYMENT > DAYS_INSTALMENT)::int), avg((AMT_PAYMENT < AMT_INSTALMENT)::int),
        avg((AMT_PAYMENT = AMT_INSTALMENT)::int) from installments_payments"""
    )
    assert late == pytest.approx(0.0826, abs=0.015)
    assert less == pytest.approx(0.0959, abs=0.03)
    assert equal == pytest.approx(0.8884, abs=0.04)


def test_instalments_of_a_loan_follow_its_annuity(ask: Ask) -> None:
    ((share,),) = ask(
        """select avg((abs(i.AMT_INSTALMENT - p.AMT_ANNUITY) < 0.01)::int)
        from installments_payments i join previous_application p using (SK_ID_PREV) where i.NUM_INSTALMENT_VERSION >= 1"""
    )
    assert share > 0.85


def test_months_past_due_follow_from_late_instalments(ask: Ask) -> None:
    """Contracts that never paid late show no days past due while they run."""
    ((punctual, unpunctual),) = ask(
        """with paid as (select SK_ID_PREV, max(DAYS_ENTRY_PAYMENT - DAYS_INSTALMENT) late, bool_or(DAYS_ENTRY_PAYMENT is null) open
                        from installments_payments group by 1),
        months as (select SK_ID_PREV, max(SK_DPD) dpd from POS_CASH_balance where CNT_INSTALMENT_FUTURE > 0 group by 1)
        select avg((dpd > 0)::int) filter (late <= 0 and not open), avg((dpd > 0)::int) filter (late > 31)
        from paid join months using (SK_ID_PREV)"""
    )
    assert punctual < 0.01
    assert unpunctual > 0.7


def test_card_balances_are_last_months_plus_drawings_and_interest_less_payments(ask: Ask) -> None:
    ((share,),) = ask(
        """with m as (select *, lag(AMT_BALANCE) over (partition by SK_ID_PREV order by MONTHS_BALANCE) as before from credit_card_balance)
        select avg((abs(before * 1.021 + AMT_DRAWINGS_CURRENT - AMT_PAYMENT_CURRENT - AMT_BALANCE) < 500)::int)
        from m where before >= 0 and AMT_BALANCE >= 0 and AMT_PAYMENT_CURRENT is not null"""
    )
    assert share > 0.98


def test_most_card_months_have_no_balance(ask: Ask) -> None:
    assert ask("select median(AMT_BALANCE) from credit_card_balance") == [(0.0,)]


def test_files_are_where_the_summary_says(sample: PortfolioSummary) -> None:
    assert isinstance(sample.path, Path)
    assert {path.name for path in sample.path.iterdir()} == {*(f"{table}.csv" for table in TABLES), "portfolio.json"}
