"""Relaxations name a rule that exists, a reason and a last day, or are refused with what to change."""

import datetime
from pathlib import Path

import pytest

from creditrisk_assets.contracts.relaxations import NONE, RelaxationError, load
from creditrisk_assets.contracts.sources import SOURCES

GOOD = """
- {table: raw/bureau, rule: maximum, column: AMT_CREDIT_SUM, reason: confirmed by the bureau, owner: "team:data", expires: 2026-03-31}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "relaxations.yaml"
    path.write_text(text)
    return path


def test_an_entry_is_in_force_until_its_last_day(tmp_path: Path) -> None:
    relaxations = load(written(tmp_path, GOOD))
    assert relaxations.active(SOURCES["bureau"], datetime.date(2026, 3, 31)) == relaxations.entries
    assert relaxations.active(SOURCES["bureau"], datetime.date(2026, 4, 1)) == ()
    assert relaxations.expired(datetime.date(2026, 4, 1)) == relaxations.entries
    assert relaxations.active(SOURCES["bureau_balance"], datetime.date(2026, 3, 31)) == ()


def test_an_entry_in_force_goes_before_an_expired_one(tmp_path: Path) -> None:
    both = GOOD + GOOD.replace("2026-03-31", "2027-03-31").replace("confirmed by", "confirmed again by")
    found = load(written(tmp_path, both)).find(
        SOURCES["bureau"], "maximum", "AMT_CREDIT_SUM", datetime.date(2026, 6, 1)
    )
    assert found is not None
    assert found.expires.year == 2027


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]"])
def test_an_empty_file_relaxes_nothing(text: str, tmp_path: Path) -> None:
    assert load(written(tmp_path, text)) == NONE


def test_an_absent_file_relaxes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path / "none.yaml") == NONE


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("raw/bureau", "raw/bureaux", "there is no table raw/bureaux"),
        ("raw/bureau", "bureau", "bureau may be features/bureau or raw/bureau; name one"),
        ("rule: maximum", "rule: max", "there is no rule max; there are"),
        ("rule: maximum", "rule: unique_key", "unique_key cannot be relaxed"),
        ("rule: maximum", "rule: column_type", "column_type cannot be relaxed"),
        ("rule: maximum", "rule: quarantine_budget", "set per table in the sources file"),
        ("AMT_CREDIT_SUM", "AMT_CREDIT_SUMM", "raw/bureau has no column AMT_CREDIT_SUMM"),
        ("confirmed by the bureau", "because", "at least 10 characters"),
        ("2026-03-31", "never", "valid date"),
        (", expires: 2026-03-31", "", "Field required"),
        ("owner:", "until: 1, owner:", "Extra inputs are not permitted"),
        ("- {", "{", "valid tuple"),
        ("}", "", "not valid YAML"),
    ],
)
def test_a_wrong_entry_is_refused_with_what_to_change(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(RelaxationError, match=says):
        load(written(tmp_path, GOOD.replace(old, new)))


def test_the_file_that_is_shipped_is_valid_and_relaxes_nothing() -> None:
    assert load(Path(__file__).parents[2] / "deploy" / "relaxations.yaml") == NONE
