"""Finished parts survive; what they depend on decides whether they may be used."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditrisk_assets.modelling.research.results import Results


@pytest.fixture
def calls() -> list[int]:
    return []


def once(results: Results, calls: list[int], *, part: str = "a", depends_on: dict | None = None) -> tuple[dict, bool]:
    def make() -> dict:
        calls.append(1)
        return {"made": len(calls)}

    found, made = results.once(part, depends_on or {}, make)
    return dict(found), made


def test_a_part_is_made_once_and_found_by_another_process(tmp_path: Path, calls: list[int]) -> None:
    assert once(Results(tmp_path, {"table": "1"}), calls) == ({"made": 1}, True)
    assert once(Results(tmp_path, {"table": "1"}), calls) == ({"made": 1}, False)


@pytest.mark.parametrize(
    ("made_from", "part", "depends_on"),
    [({"table": "2"}, "a", {}), ({"table": "1"}, "b", {}), ({"table": "1"}, "a", {"seed": 1})],
    ids=["another table", "another part", "another setting"],
)
def test_what_it_depends_on_makes_it_anew(
    tmp_path: Path, calls: list[int], made_from: dict, part: str, depends_on: dict
) -> None:
    once(Results(tmp_path, {"table": "1"}), calls)
    assert once(Results(tmp_path, made_from), calls, part=part, depends_on=depends_on) == ({"made": 2}, True)


def test_a_part_that_fails_leaves_nothing(tmp_path: Path, calls: list[int]) -> None:
    def fail() -> dict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Results(tmp_path, {}).once("a", {}, fail)
    assert not list(tmp_path.iterdir())
    assert once(Results(tmp_path, {}), calls) == ({"made": 1}, True)


@pytest.mark.parametrize("damage", ["", '{"made": ', "[1]"])
def test_a_damaged_part_is_made_anew(tmp_path: Path, calls: list[int], damage: str) -> None:
    once(Results(tmp_path, {}), calls)
    (path,) = tmp_path.iterdir()
    path.write_text(damage)
    assert once(Results(tmp_path, {}), calls) == ({"made": 2}, True)


def test_sweeping_keeps_what_was_used(tmp_path: Path, calls: list[int]) -> None:
    once(Results(tmp_path, {"table": "1"}), calls)
    later = Results(tmp_path, {"table": "2"})
    once(later, calls)
    later.sweep()
    assert [json.loads(path.read_text()) for path in tmp_path.iterdir()] == [{"made": 2}]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_floats_come_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    directory = tmp_path_factory.mktemp("results")
    Results(directory, {}).once("a", {}, lambda: {"values": values})
    found, made = Results(directory, {}).once("a", {}, lambda: {"values": []})
    assert not made
    assert [value.hex() for value in found["values"]] == [value.hex() for value in values]
