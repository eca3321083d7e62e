"""Writing is deterministic, all or nothing, reusable, and says clearly why it cannot be done."""

import errno
import fcntl
import hashlib
import json
import os
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from creditrisk_assets.simulation import latent, portfolio
from creditrisk_assets.simulation.portfolio import (
    DESCRIPTION,
    TABLES,
    PortfolioError,
    estimated_bytes,
    reusable,
    write_portfolio,
)
from creditrisk_assets.simulation.scenarios import SCENARIOS, Scenario, UnknownScenarioError, scenario_named

TINY = 0.0005


def hashes(directory: Path) -> dict[str, str]:
    return {table: hashlib.sha256((directory / f"{table}.csv").read_bytes()).hexdigest() for table in TABLES}


def test_same_bytes_from_one_process_and_from_two(tmp_path: Path) -> None:
    scale = 0.013  # three chunks
    one = write_portfolio(tmp_path / "one", scale=scale, processes=1)
    two = write_portfolio(tmp_path / "two", scale=scale, processes=2)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    assert one.rows == two.rows


def test_another_seed_gives_other_rows(tmp_path: Path) -> None:
    write_portfolio(tmp_path / "a", scale=TINY, seed=1)
    write_portfolio(tmp_path / "b", scale=TINY, seed=2)
    assert not set(hashes(tmp_path / "a").values()) & set(hashes(tmp_path / "b").values())


def test_smallest_portfolio_has_all_tables(tmp_path: Path) -> None:
    summary = write_portfolio(tmp_path, scale=1e-9)
    assert summary.rows["application_train"] == summary.rows["application_test"] == 1
    assert summary.latent_auc is None
    assert hashes(tmp_path)


def test_progress_ends_with_the_exact_rows(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def note(table: str, done: int, total: int) -> None:
        assert done <= total
        seen[table] = (done, total)

    summary = write_portfolio(tmp_path, scale=TINY, progress=note)
    assert seen == {table: (rows, rows) for table, rows in summary.rows.items()}


def test_second_call_reuses_the_directory(tmp_path: Path) -> None:
    first = write_portfolio(tmp_path, scale=TINY)
    written = (tmp_path / "bureau.csv").stat().st_mtime_ns
    second = write_portfolio(tmp_path, scale=TINY)
    assert (first.reused, second.reused) == (False, True)
    assert (tmp_path / "bureau.csv").stat().st_mtime_ns == written
    assert second.rows == first.rows


def test_description_says_what_was_written(tmp_path: Path) -> None:
    summary = write_portfolio(tmp_path, scale=TINY, seed=5)
    described = json.loads((tmp_path / DESCRIPTION).read_text())
    assert (described["seed"], described["scale"], described["scenario"]) == (5, TINY, "baseline")
    assert described["rows"] == dict(summary.rows)
    assert described["generator_version"] == portfolio.generator_version()


@pytest.mark.parametrize("change", [{"seed": 2}, {"scale": 0.0006}, {"scenario": "other"}])
def test_other_arguments_do_not_reuse(tmp_path: Path, change: dict[str, object]) -> None:
    write_portfolio(tmp_path, scale=TINY, seed=1)
    assert reusable(tmp_path, scale=TINY, seed=1, scenario="baseline")
    assert reusable(tmp_path, **({"scale": TINY, "seed": 1, "scenario": "baseline"} | change)) is None  # type: ignore[arg-type]  # by case


@pytest.mark.parametrize("damage", ["cut", "missing", "description"])
def test_damaged_portfolio_is_written_anew(tmp_path: Path, damage: str) -> None:
    write_portfolio(tmp_path, scale=TINY)
    whole = hashes(tmp_path)
    if damage == "cut":
        os.truncate(tmp_path / "bureau.csv", 100)
    elif damage == "missing":
        (tmp_path / "bureau.csv").unlink()
    else:
        (tmp_path / DESCRIPTION).write_text("{")
    assert not write_portfolio(tmp_path, scale=TINY).reused
    assert hashes(tmp_path) == whole


def test_interrupted_writing_leaves_no_table_and_the_next_call_recovers(tmp_path: Path) -> None:
    def interrupt(table: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_portfolio(tmp_path, scale=TINY, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    assert not write_portfolio(tmp_path, scale=TINY).reused


def test_interrupted_rewriting_keeps_the_last_portfolio(tmp_path: Path) -> None:
    write_portfolio(tmp_path, scale=TINY)
    before = hashes(tmp_path)

    def interrupt(table: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_portfolio(tmp_path, scale=TINY, seed=9, progress=interrupt)
    assert hashes(tmp_path) == before
    assert reusable(tmp_path, scale=TINY, seed=42, scenario="baseline")


def test_death_between_the_renames_never_looks_whole_and_is_recovered_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_portfolio(tmp_path, scale=TINY)
    rename = Path.rename

    def die_at_pos_cash(self: Path, target: Path) -> Path:
        if target.name == "POS_CASH_balance.csv":
            raise SystemExit
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die_at_pos_cash)
        with pytest.raises(SystemExit):
            write_portfolio(tmp_path, scale=TINY, seed=9)
    assert reusable(tmp_path, scale=TINY, seed=9, scenario="baseline") is None
    assert reusable(tmp_path, scale=TINY, seed=42, scenario="baseline") is None
    assert not (tmp_path / "POS_CASH_balance.csv").exists()
    assert not write_portfolio(tmp_path, scale=TINY, seed=9).reused


def test_leftovers_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".portfolio.partial").mkdir()
    (tmp_path / ".portfolio.partial" / "bureau.csv").write_text("SK_ID_CURR\n1\n")
    write_portfolio(tmp_path, scale=TINY)
    assert not (tmp_path / ".portfolio.partial").exists()


def test_tables_from_elsewhere_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "bureau.csv").write_text("somebody's own\n")
    with pytest.raises(PortfolioError, match=r"holds bureau\.csv but no portfolio\.json"):
        write_portfolio(tmp_path, scale=TINY)
    assert (tmp_path / "bureau.csv").read_text() == "somebody's own\n"


def test_two_writers_of_one_directory_do_not_mix(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(PortfolioError, match="another process"):
            write_portfolio(tmp_path, scale=TINY)
    finally:
        os.close(handle)


@pytest.mark.parametrize("scale", [0.0, -1.0, 5.1, float("nan"), float("inf")])
def test_scale_out_of_range_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(PortfolioError, match=r"scale is .* above 0 and at most 5"):
        write_portfolio(tmp_path / "out", scale=scale)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("argument", "value"), [("seed", -1), ("processes", 0)])
def test_other_arguments_out_of_range_are_refused(tmp_path: Path, argument: str, value: int) -> None:
    with pytest.raises(PortfolioError, match=f"{argument} is {value}; give"):
        write_portfolio(tmp_path / "out", scale=TINY, **{argument: value})


def test_unknown_scenario_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownScenarioError, match=r"'recession' is not known.*baseline"):
        write_portfolio(tmp_path / "out", scale=TINY, scenario="recession")
    assert not (tmp_path / "out").exists()


def test_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PortfolioError, match="is not a directory"):
        write_portfolio(tmp_path / "file", scale=TINY)


def test_disk_too_small_is_refused_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10, 5, 1_000)
    monkeypatch.setattr(portfolio.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(PortfolioError, match=r"scale 1 takes about 2\.\d+ GB, 0\.00 GB are free"):
        write_portfolio(tmp_path, scale=1.0)
    assert list(tmp_path.iterdir()) == []


def test_disk_full_while_writing_is_one_clear_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(part: object, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(portfolio, "append_part", full)
    with pytest.raises(PortfolioError, match="is full"):
        write_portfolio(tmp_path, scale=TINY)
    assert list(tmp_path.iterdir()) == []


def test_estimated_bytes_cover_what_is_written(tmp_path: Path) -> None:
    summary = write_portfolio(tmp_path, scale=0.004)
    assert sum(summary.bytes.values()) < estimated_bytes(0.004)
    assert 2.5e9 < estimated_bytes(1.0) < 3.5e9


def test_scenario_may_shift_the_default_rate() -> None:
    ids = np.arange(20_000)
    train = np.ones(len(ids), dtype=bool)
    rates = [
        latent.draw_applicants(np.random.default_rng(1), ids, train, scenario).target.mean()
        for scenario in (scenario_named("baseline"), Scenario("worse", "", default_log_odds=0.7))
    ]
    assert rates[1] > 1.5 * rates[0]


def test_standard_risk_is_standard_and_the_intercept_gives_the_reference_rate() -> None:
    ids = np.arange(60_000)
    drawn = latent.draw_applicants(np.random.default_rng(2), ids, ids % 7 < 6, scenario_named("baseline"))
    assert drawn.standard_risk.mean() == pytest.approx(0.0, abs=0.03)
    assert drawn.standard_risk.std() == pytest.approx(1.0, abs=0.02)
    assert (1 / (1 + np.exp(-drawn.risk))).mean() == pytest.approx(0.0807, abs=0.003)


def test_scenarios_are_registered_under_their_names() -> None:
    assert all(name == scenario.name and scenario.description for name, scenario in SCENARIOS.items())
