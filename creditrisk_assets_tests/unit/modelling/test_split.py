"""The split: exact shares, a fixed order, no row in two parts, the same bytes every time."""

from pathlib import Path

import duckdb
import pytest

from creditrisk_assets.lake import sha256_file
from creditrisk_assets.modelling.split import (
    SplitCounts,
    SplitError,
    default_rates_equal,
    no_feature_missing,
    numbers_finite,
    one_row_per_applicant,
    split_applicants,
    train_test_disjoint,
)

ROWS = 1000


class Tables:
    """Files of one small portfolio: features for everybody, TARGET for all but the last hundred."""

    def __init__(self, directory: Path, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.applicant, self.raw = directory / "applicant.parquet", directory / "raw.parquet"
        self.train, self.test = directory / "train.parquet", directory / "test.parquet"

    def write(self, rows: int = ROWS, target: str = "(range % 12 = 0)::int", labelled: str = "range < 900") -> "Tables":
        self.copy(
            f"select 100000 + range as sk_id_curr, range / 7.0 as f__x, 'a' as f__c from range({rows})", self.applicant
        )
        self.copy(
            f"select 100000 + range as SK_ID_CURR, {target} as TARGET from range({rows}) where {labelled}", self.raw
        )
        return self

    def copy(self, query: str, path: Path) -> None:
        self.con.execute(f"copy ({query}) to '{path}' (format parquet)")

    def split(self, **options: float) -> SplitCounts:
        return split_applicants(self.con, self.applicant, self.raw, self.train, self.test, **options)  # type: ignore[arg-type]  # test

    def ids(self, path: Path) -> set[int]:
        return {row[0] for row in self.con.execute(f"select sk_id_curr from '{path}'").fetchall()}


@pytest.fixture
def tables(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> Tables:
    return Tables(tmp_path, con).write()


def test_a_fifth_of_each_class_is_tested(tables: Tables) -> None:
    assert tables.split() == SplitCounts(train_rows=720, train_defaults=60, test_rows=180, test_defaults=15)


def test_both_parts_hold_target_and_every_feature_in_order_of_the_key(tables: Tables) -> None:
    tables.split()
    for path in (tables.train, tables.test):
        rows = tables.con.execute(f"select * from '{path}'")
        assert [column[0] for column in rows.description] == ["sk_id_curr", "target", "f__x", "f__c"]
        ids = [row[0] for row in rows.fetchall()]
        assert ids == sorted(ids)


def test_applicants_without_a_label_are_in_neither_part(tables: Tables) -> None:
    tables.split()
    assert tables.ids(tables.train) | tables.ids(tables.test) == set(range(100_000, 100_900))


def test_one_thread_and_two_write_the_same_bytes(tables: Tables) -> None:
    tables.split()
    first = [sha256_file(path) for path in (tables.train, tables.test)]
    tables.con.execute("set threads = 2")
    tables.split()
    assert [sha256_file(path) for path in (tables.train, tables.test)] == first


def test_another_seed_is_another_split(tables: Tables) -> None:
    tables.split()
    first = tables.ids(tables.test)
    tables.split(seed=1)
    assert tables.ids(tables.test) != first


def test_new_applicants_move_only_the_few_at_the_border(tables: Tables) -> None:
    tables.split()
    before = tables.ids(tables.test)
    tables.write(rows=1100, labelled="range < 990")
    tables.split()
    known = set(range(100_000, 100_900))
    assert len(before ^ (tables.ids(tables.test) & known)) <= 15


def test_five_defaults_of_fifty_leave_one_to_test_on(tables: Tables) -> None:
    tables.write(rows=50, target="(range < 5)::int", labelled="true")
    assert tables.split() == SplitCounts(train_rows=40, train_defaults=4, test_rows=10, test_defaults=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labelled": "false"}, "no applicant has a TARGET"),
        ({"target": "0"}, "one class in all 900"),
        ({"target": "null::int"}, "no applicant has a TARGET"),
    ],
)
def test_a_portfolio_that_cannot_be_split_is_refused_with_the_reason(
    tables: Tables, options: dict[str, str], words: str
) -> None:
    tables.write(**options)  # type: ignore[arg-type]  # only texts are varied here
    with pytest.raises(SplitError, match=words):
        tables.split()


def test_a_label_without_features_is_refused(tables: Tables) -> None:
    tables.copy("select 100000 + range as sk_id_curr, 1.0 as f__x from range(899)", tables.applicant)
    with pytest.raises(SplitError, match="1 applicants with a TARGET have no row in features/applicant"):
        tables.split()


@pytest.mark.parametrize("order", ["sk_id_curr desc", "sk_id_curr // 2"], ids=["not in order", "twice"])
def test_features_out_of_order_or_twice_are_refused(tables: Tables, order: str) -> None:
    source = "select 100000 + range as sk_id_curr, 1.0 as f__x from range(1000)"
    query = (
        f"select * from ({source}) order by {order}" if "desc" in order else f"{source} union all {source} order by 1"
    )
    tables.copy(query, tables.applicant)
    with pytest.raises(SplitError, match="order of sk_id_curr, or has a row twice"):
        tables.split()


def test_checks_pass_on_a_sound_split(tables: Tables) -> None:
    counts = tables.split()
    results = [
        one_row_per_applicant(tables.con, tables.train),
        train_test_disjoint(tables.con, tables.train, tables.test),
        default_rates_equal(counts),
        numbers_finite(tables.con, tables.train),
        no_feature_missing(tables.con, tables.train, ["f__x", "f__c"]),
    ]
    assert [result.claim for result in results if not result.passed] == []


def test_each_check_fails_on_what_it_is_for(tables: Tables) -> None:
    tables.split()
    tables.copy(f"select * from '{tables.train}' union all select * from '{tables.train}' limit 721", tables.test)
    twice = one_row_per_applicant(tables.con, tables.test)
    assert (twice.passed, twice.measured) == (False, 1.0)
    assert train_test_disjoint(tables.con, tables.train, tables.test).measured > 0
    tables.copy("select 1 as sk_id_curr, 'nan'::double as f__x, 'inf'::double as f__y", tables.test)
    broken = numbers_finite(tables.con, tables.test)
    assert not broken.passed
    assert "f__x: 1 rows" in broken.words
    missing = no_feature_missing(tables.con, tables.test, ["f__x", "f__z"])
    assert (missing.passed, missing.words) == (False, "missing: f__z")


def test_an_empty_table_has_no_second_row_and_no_infinity(tables: Tables) -> None:
    tables.copy("select 1 as sk_id_curr, 1.0::double as f__x where false", tables.test)
    assert one_row_per_applicant(tables.con, tables.test).passed
    assert numbers_finite(tables.con, tables.test).passed


@pytest.mark.parametrize(
    ("counts", "passed"),
    [
        (SplitCounts(800, 64, 200, 16), True),
        (SplitCounts(800, 64, 200, 40), False),
        (SplitCounts(40, 4, 10, 1), True),
        (SplitCounts(10, 1, 0, 0), False),
    ],
)
def test_default_rates_may_differ_by_rounding_only(counts: SplitCounts, passed: bool) -> None:
    assert default_rates_equal(counts).passed is passed
