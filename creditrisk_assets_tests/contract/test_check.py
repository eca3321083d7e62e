"""What a check reports: counts, keys and nothing else of a row; bands; relations; relaxations."""

import datetime
import json
from typing import Any

import duckdb
import pytest

from creditrisk_assets.contracts import ties
from creditrisk_assets.contracts.check import ContractReport, Profile, RuleResult, check
from creditrisk_assets.contracts.relaxations import Relaxation, Relaxations
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets_tests.contract.tables import put, valid_rows

BUREAU, TRAIN, TEST = SOURCES["bureau"], SOURCES["application_train"], SOURCES["application_test"]
INSTALMENTS = SOURCES["installments_payments"]
TODAY = datetime.date(2026, 1, 15)


def relaxation(rule: str, column: str | None = None, *, table: str = "bureau", days: int = 1) -> Relaxation:
    return Relaxation(
        table=table,
        rule=rule,
        column=column,
        reason="agreed with the bureau",
        owner="team:data",
        expires=TODAY + datetime.timedelta(days=days),
    )


def bureau(con: duckdb.DuckDBPyConnection, count: int = 100, **values: Any) -> str:
    rows = valid_rows(BUREAU, count)
    for row in rows:
        row.update(values)
    return put(con, BUREAU, rows)


def test_a_failure_names_rule_column_count_share_and_keys(con: duckdb.DuckDBPyConnection) -> None:
    rows = valid_rows(BUREAU, 100)
    for row in rows[:25]:
        row["AMT_CREDIT_SUM"] = -987.25
    put(con, BUREAU, rows)
    (failure,) = check(con, "subject", BUREAU).failures
    assert (failure.rule, failure.column, failure.failed, failure.share) == ("minimum", "AMT_CREDIT_SUM", 25, 0.25)
    assert failure.sample_keys == tuple(f"SK_ID_BUREAU={number + 1}" for number in range(20))
    assert "AMT_CREDIT_SUM is at least 0" in failure.message("bureau")


def test_a_report_holds_keys_but_no_other_value_of_a_row(con: duckdb.DuckDBPyConnection) -> None:
    bureau(con, 3, AMT_CREDIT_SUM=-987654.25, CREDIT_ACTIVE="secret state", DAYS_CREDIT=4711)
    text = json.dumps(check(con, "subject", BUREAU).to_dict())
    assert "SK_ID_BUREAU=1" in text
    assert not any(value in text for value in ("987654", "secret", "4711"))


def test_rows_without_a_key_of_the_table_are_located_by_their_identifiers(con: duckdb.DuckDBPyConnection) -> None:
    rows = valid_rows(INSTALMENTS, 3)
    rows[2]["AMT_PAYMENT"] = -1.0
    put(con, INSTALMENTS, [*rows, rows[0]])  # equal rows are no error here
    (failure,) = check(con, "subject", INSTALMENTS).failures
    assert failure.sample_keys == ("SK_ID_PREV=3, SK_ID_CURR=3, NUM_INSTALMENT_VERSION=3.0, NUM_INSTALMENT_NUMBER=3",)


def test_an_empty_table_fails_once_and_not_in_every_rule(con: duckdb.DuckDBPyConnection) -> None:
    put(con, TRAIN, [])
    assert [failure.rule for failure in check(con, "subject", TRAIN).failures] == ["not_empty"]


def test_one_class_only_fails(con: duckdb.DuckDBPyConnection) -> None:
    rows = [{**row, "TARGET": 0} for row in valid_rows(TRAIN)]
    put(con, TRAIN, rows)
    (failure,) = check(con, "subject", TRAIN).failures
    assert (failure.rule, failure.column) == ("all_values_present", "TARGET")


def test_rules_on_sound_columns_are_decided_beside_a_missing_one(con: duckdb.DuckDBPyConnection) -> None:
    bureau(con, 3, DAYS_CREDIT=1)
    con.execute("alter table subject drop column AMT_ANNUITY")
    con.execute("alter table subject alter column CREDIT_DAY_OVERDUE type varchar")
    failures = {(failure.rule, failure.column) for failure in check(con, "subject", BUREAU).failures}
    assert failures == {
        ("missing_column", "AMT_ANNUITY"),
        ("column_type", "CREDIT_DAY_OVERDUE"),
        ("maximum", "DAYS_CREDIT"),
    }


def test_of_columns_taken_over_only_name_and_type_are_read(con: duckdb.DuckDBPyConnection) -> None:
    bureau(con, 3, DAYS_CREDIT=1, CREDIT_DAY_OVERDUE=-1)
    con.execute("alter table subject drop column AMT_ANNUITY")
    report = check(con, "subject", BUREAU, values_of={"SK_ID_BUREAU", "SK_ID_CURR", "DAYS_CREDIT"})
    assert {(failure.rule, failure.column) for failure in report.failures} == {
        ("missing_column", "AMT_ANNUITY"),
        ("maximum", "DAYS_CREDIT"),
    }


def test_a_missing_key_column_is_reported_and_the_rest_still_checked(con: duckdb.DuckDBPyConnection) -> None:
    bureau(con, 3, DAYS_CREDIT=1)
    con.execute("alter table subject drop column SK_ID_BUREAU")
    failures = {failure.rule: failure for failure in check(con, "subject", BUREAU).failures}
    assert failures.keys() == {"missing_column", "maximum"}
    assert failures["maximum"].sample_keys == ()


def test_a_null_in_a_key_is_not_taken_for_a_repetition(con: duckdb.DuckDBPyConnection) -> None:
    rows = valid_rows(BUREAU, 5)
    rows[0]["SK_ID_BUREAU"] = rows[1]["SK_ID_BUREAU"] = None
    put(con, BUREAU, rows)
    assert [(failure.rule, failure.failed) for failure in check(con, "subject", BUREAU).failures] == [("not_null", 2)]


@pytest.mark.parametrize("bits", [0, 10**9])
def test_repeated_keys_are_counted_exactly_either_way(
    bits: int, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ties, "PACKED_BITS", bits)
    monkeypatch.setattr(ties, "ROWS_PER_SLICE", 37)
    rows = valid_rows(BUREAU, 100)
    put(con, BUREAU, [*rows, *rows[:30], rows[0]])
    (failure,) = check(con, "subject", BUREAU).failures
    assert (failure.rule, failure.failed, len(failure.sample_keys)) == ("unique_key", 31, 20)


@pytest.mark.parametrize(
    ("now", "held"), [(0, False), (10, False), (49, False), (50, True), (150, True), (151, False), (200, False)]
)
def test_a_table_cut_emptied_or_doubled_does_not_pass(now: int, held: bool, con: duckdb.DuckDBPyConnection) -> None:
    baseline = check(con, bureau(con, 100), BUREAU).profile
    bureau(con, now)
    broken = {failure.rule for failure in check(con, "subject", BUREAU, baseline=baseline).failures}
    assert ("volume_in_band" not in broken) is held


def test_a_column_that_lost_its_values_does_not_pass(con: duckdb.DuckDBPyConnection) -> None:
    baseline = check(con, bureau(con, 1000), BUREAU).profile
    bureau(con, 1000, AMT_ANNUITY=None)
    (failure,) = check(con, "subject", BUREAU, baseline=baseline).failures
    assert (failure.rule, failure.column, failure.share) == ("null_share_in_band", "AMT_ANNUITY", 1.0)


def test_few_rows_may_differ_by_chance(con: duckdb.DuckDBPyConnection) -> None:
    baseline = Profile(30, {"AMT_ANNUITY": 0.5})
    bureau(con, 30)
    con.execute("update subject set AMT_ANNUITY = null where SK_ID_BUREAU <= 21")  # 70 %
    assert check(con, "subject", BUREAU, baseline=baseline).passed


def test_without_an_earlier_version_or_parents_nothing_is_compared(con: duckdb.DuckDBPyConnection) -> None:
    report = check(con, bureau(con), BUREAU)
    assert report.passed
    assert {result.rule for result in report.not_applicable} == {"volume_in_band", "null_share_in_band", "orphans"}
    assert report.checked == len(report.results) - 3


def parents(con: duckdb.DuckDBPyConnection, train: range, test: range) -> dict[str, str]:
    con.execute(f"create or replace table train as select range as SK_ID_CURR from range({train.start}, {train.stop})")
    con.execute(f"create or replace table test as select range as SK_ID_CURR from range({test.start}, {test.stop})")
    return {"application_train": "train", "application_test": "test"}


def orphans(report: ContractReport) -> tuple[str, int, float]:
    (result,) = [result for result in report.results if result.rule == "orphans"]
    state = "not applicable" if not result.applicable else "passed" if not result.broken else result.severity
    return state, result.failed, result.share


def test_a_parent_in_either_file_is_a_parent(con: duckdb.DuckDBPyConnection) -> None:
    report = check(con, bureau(con), BUREAU, parents=parents(con, range(1, 61), range(61, 101)))
    assert orphans(report) == ("passed", 0, 0.0)
    assert report.profile.orphan_shares == {"SK_ID_CURR -> application_train or application_test": 0.0}


def test_a_subset_of_the_parents_warns(con: duckdb.DuckDBPyConnection) -> None:
    report = check(con, bureau(con), BUREAU, parents=parents(con, range(1, 11), range(11, 21)))
    assert orphans(report) == ("warn", 80, 0.8)
    assert report.passed
    assert report.warnings[0].sample_keys[0] == "SK_ID_CURR=21"


def test_children_of_which_none_has_a_parent_fail(con: duckdb.DuckDBPyConnection) -> None:
    report = check(con, bureau(con), BUREAU, parents=parents(con, range(1000, 1010), range(1)))
    assert orphans(report) == ("error", 100, 1.0)


def test_a_jump_of_the_orphans_fails(con: duckdb.DuckDBPyConnection) -> None:
    bureau(con)
    before = check(con, "subject", BUREAU, parents=parents(con, range(1, 61), range(61, 91)))
    kept = Profile.from_dict(json.loads(json.dumps(before.profile.to_dict())))
    after = check(con, "subject", BUREAU, baseline=kept, parents=parents(con, range(1, 61), range(61, 71)))
    assert orphans(before) == ("warn", 10, 0.1)
    assert orphans(after) == ("error", 30, 0.3)


def test_empty_parents_are_not_compared(con: duckdb.DuckDBPyConnection) -> None:
    report = check(con, bureau(con), BUREAU, parents=parents(con, range(0), range(0)))
    assert orphans(report)[0] == "not applicable"


def test_an_application_in_both_files_fails(con: duckdb.DuckDBPyConnection) -> None:
    put(con, TEST, valid_rows(TEST, 10))
    con.execute("create table train as select 7::bigint as SK_ID_CURR")
    (failure,) = check(con, "subject", TEST, parents={"application_train": "train"}).failures
    assert (failure.rule, failure.failed, failure.sample_keys) == ("exclusion", 1, ("SK_ID_CURR=7",))


def test_a_relaxed_rule_warns_with_its_reason(con: duckdb.DuckDBPyConnection) -> None:
    bureau(con, 3, DAYS_CREDIT=1)
    relaxed = Relaxations(entries=(relaxation("maximum", "DAYS_CREDIT"),))
    report = check(con, "subject", BUREAU, relaxations=relaxed, today=TODAY)
    assert report.passed
    (warning,) = report.warnings
    assert (warning.severity, warning.relaxation) == ("warn", relaxed.entries[0])
    assert "relaxed until 2026-01-16 by team:data: agreed with the bureau" in report.summary()


def test_an_expired_relaxation_is_shown_and_does_not_count(con: duckdb.DuckDBPyConnection) -> None:
    bureau(con, 3, DAYS_CREDIT=1)
    relaxed = Relaxations(entries=(relaxation("maximum", days=-1),))
    report = check(con, "subject", BUREAU, relaxations=relaxed, today=TODAY)
    assert not report.passed
    assert "its relaxation by team:data expired on 2026-01-14" in report.summary()


@pytest.mark.parametrize(
    "other",
    [relaxation("minimum"), relaxation("maximum", "AMT_ANNUITY"), relaxation("maximum", table="features/bureau")],
)
def test_a_relaxation_of_another_rule_column_or_table_does_not_count(
    other: Relaxation, con: duckdb.DuckDBPyConnection
) -> None:
    bureau(con, 3, DAYS_CREDIT=1)
    assert not check(con, "subject", BUREAU, relaxations=Relaxations(entries=(other,)), today=TODAY).passed


def test_failures_of_rows_are_told_from_those_of_the_table(con: duckdb.DuckDBPyConnection) -> None:
    rows = valid_rows(BUREAU, 40)
    rows[3]["AMT_CREDIT_SUM"], rows[4]["SK_ID_BUREAU"], rows[5]["CREDIT_ACTIVE"] = -1.0, None, "?"
    for row in rows[:20]:
        row["CREDIT_TYPE"] = "?"  # an open list: the list is outdated, not half of the rows wrong
    put(con, BUREAU, [*rows, rows[10]])
    report = check(con, "subject", BUREAU)
    assert {result.label for result in report.row_failures} == {
        "minimum:AMT_CREDIT_SUM",
        "not_null:SK_ID_BUREAU",
        "category:CREDIT_ACTIVE",
    }
    assert {result.label for result in set(report.failures) - set(report.row_failures)} == {
        "unique_key",
        "vocabulary:CREDIT_TYPE",
    }


def test_a_relaxed_rule_is_no_failure_of_rows(con: duckdb.DuckDBPyConnection) -> None:
    bureau(con, 3, DAYS_CREDIT=1)
    relaxed = Relaxations(entries=(relaxation("maximum"),))
    assert check(con, "subject", BUREAU, relaxations=relaxed, today=TODAY).row_failures == ()
    assert len(check(con, "subject", BUREAU, today=TODAY).row_failures) == 1


def test_results_are_told_first_and_in_place_of_those_on_the_same_rule(con: duckdb.DuckDBPyConnection) -> None:
    report = check(con, bureau(con, 3), BUREAU)
    own = RuleResult("minimum", "AMT_CREDIT_SUM", "warn", failed=2, observed="set aside")
    told = report.told([RuleResult("quarantine_budget", None, "error"), own])
    assert [result.rule for result in told.results[:2]] == ["quarantine_budget", "minimum"]
    assert [result for result in told.results if result.label == own.label] == [own]
    assert (len(told.results), told.checked) == (len(report.results) + 1, report.checked + 1)


def test_a_report_survives_json(con: duckdb.DuckDBPyConnection) -> None:
    bureau(con, 30, DAYS_CREDIT=1, CREDIT_ACTIVE="?")
    relaxed = Relaxations(entries=(relaxation("maximum"),))
    report = check(con, "subject", BUREAU, relaxations=relaxed, today=TODAY)
    again = ContractReport.from_dict(json.loads(json.dumps(report.to_dict())))
    assert (again.failures, again.warnings, again.not_applicable) == (
        report.failures,
        report.warnings,
        report.not_applicable,
    )
    assert (again.passed, again.profile, again.checked) == (report.passed, report.profile, report.checked)
