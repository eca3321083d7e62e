"""A distribution is told as it is, and never so that an applicant can be told from it."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from creditrisk_assets.features.families import FeatureSpec, Kind
from creditrisk_assets.features.profile import BINS, FEWEST, MOST_VALUES, Profile, profile, shown

TYPES = {"numeric": "DOUBLE", "boolean": "BOOLEAN", "category": "VARCHAR"}


def of(tmp_path: Path, values: Sequence[object], kind: Kind = "numeric", sql_type: str | None = None) -> Profile:
    sql_type = sql_type or TYPES[kind]
    feature = FeatureSpec("a__b", "a", "unit", kind, sql_type, True, "words", None, None, "application day")
    table = tmp_path / "it's a table.parquet"
    with duckdb.connect() as con:
        con.execute(f"create table t (a__b {sql_type})")
        con.execute("insert into t select unnest(?)", [list(values)])
        con.execute(f"copy t to '{str(table).replace(chr(39), chr(39) * 2)}'")
        return profile(con, table, feature)


def test_figures_of_a_number_are_those_of_its_known_values(tmp_path: Path) -> None:
    found = of(tmp_path, [*map(float, range(1001)), *[None] * 999])
    assert (found.rows, found.known, found.null_share) == (2000, 1001, pytest.approx(999 / 2000))
    assert (found.minimum, found.maximum, found.mean) == (0, 1000, 500)
    assert found.quantiles == tuple((q, pytest.approx(1000 * q)) for q in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99))
    assert sum(bar.share for bar in found.bars) == pytest.approx(1)
    assert found.unnamed_share == 0
    assert [(bar.label, bar.share) for bar in found.bars[:2]] == [
        ("up to 100", pytest.approx(101 / 1001)),
        ("100 … 200", pytest.approx(100 / 1001)),
    ]


def test_far_values_do_not_squeeze_all_others_into_one_bin(tmp_path: Path) -> None:
    found = of(tmp_path, [*[float(i) for i in range(3000)], *[1e12] * FEWEST])
    assert found.maximum == 1e12
    assert len(found.bars) >= BINS
    assert max(bar.share for bar in found.bars) < 0.2
    assert found.bars[-1].label.startswith("above ")


def test_whole_numbers_have_whole_bounds(tmp_path: Path) -> None:
    found = of(tmp_path, [i % 15 for i in range(1500)], sql_type="BIGINT")
    assert [bar.label for bar in found.bars][:3] == ["up to 1", "1 … 2", "2 … 3"]
    assert found.bars[1].share == pytest.approx(1 / 15)


def test_few_different_numbers_are_bars_of_their_own_in_their_order(tmp_path: Path) -> None:
    found = of(tmp_path, [*[2.0] * 60, *[-1.5] * 30, *[0.0] * 10])
    assert [(bar.label, bar.share) for bar in found.bars] == [("-1.5", 0.3), ("0", 0.1), ("2", 0.6)]


def test_a_value_of_fewer_applicants_than_the_limit_is_never_named(tmp_path: Path) -> None:
    values = [*["common"] * 80, *["just enough"] * FEWEST, *["rare"] * (FEWEST - 1), "one applicant", None]
    found = of(tmp_path, values, "category")
    assert [bar.label for bar in found.bars] == ["common", "just enough"]
    assert found.unnamed_share == pytest.approx(FEWEST / (90 + FEWEST))
    assert "rare" not in repr(found)
    assert "one applicant" not in repr(found)


def test_a_bin_of_fewer_applicants_than_the_limit_is_not_counted_out(tmp_path: Path) -> None:
    found = of(tmp_path, [*[float(i) for i in range(1000)], 5000.0])
    assert not any(0 < bar.share * found.known < FEWEST - 0.5 for bar in found.bars)


@pytest.mark.parametrize(
    ("known", "told"), [(FEWEST - 1, 0), (FEWEST, 0), (2 * FEWEST, 1), (40, 3), (200, 5), (1000, 7)]
)
def test_a_quantile_is_told_only_when_enough_applicants_lie_beyond_it(tmp_path: Path, known: int, told: int) -> None:
    found = of(tmp_path, [*map(float, range(known)), *[None] * 5])
    assert len(found.quantiles) == told
    assert (found.mean is not None) == (known >= FEWEST)


def test_nothing_is_told_of_fewer_known_values_than_the_limit(tmp_path: Path) -> None:
    assert of(tmp_path, [*[3.25] * (FEWEST - 1), None]) == Profile(FEWEST, FEWEST - 1)
    assert of(tmp_path, ["a"] * (FEWEST - 1), "category") == Profile(FEWEST - 1, FEWEST - 1)


def test_an_empty_table_has_no_share_of_nulls(tmp_path: Path) -> None:
    assert (of(tmp_path, []).rows, of(tmp_path, []).null_share) == (0, 0.0)


def test_a_flag_is_two_bars(tmp_path: Path) -> None:
    found = of(tmp_path, [*[True] * 75, *[False] * 25], "boolean")
    assert [(bar.label, bar.share) for bar in found.bars] == [("yes", 0.75), ("no", 0.25)]
    assert found.mean is None


def test_of_many_categories_the_most_frequent_are_named(tmp_path: Path) -> None:
    found = of(tmp_path, [f"c{i}" for i in range(MOST_VALUES + 5) for _ in range(FEWEST + i)], "category")
    assert len(found.bars) == MOST_VALUES
    assert found.bars[0].label == f"c{MOST_VALUES + 4}"
    assert found.unnamed_share > 0


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "yes"), (0.0, "0"), (-0.0, "0"), (0.123456, "0.1235"), (9999, "9999"), (12345.6, "12,346"), ("x", "x")],
)
def test_values_are_written_for_people(value: object, text: str) -> None:
    assert shown(value) == text
