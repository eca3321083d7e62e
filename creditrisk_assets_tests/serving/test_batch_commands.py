"""`creditrisk score` and `verify-batch` as a person meets them: what is printed, exit codes, one clear line for each way to fail."""

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from creditrisk_assets import cli
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import (
    FIRST_ID,
    Portfolio,
    draw_portfolio,
    publish,
    train_bundle,
    write_raw,
)
from creditrisk_assets_tests.serving.test_batches import read, write_csv
from creditrisk_serving.batches.commands import app


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Entry(NamedTuple):
    """An entry point."""

    name: str

    def load(self) -> typer.Typer:
        return app


Command = Callable[..., Ended]


@pytest.fixture
def run(published: Published, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Give a command as the shell does."""
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    monkeypatch.setenv("CREDITRISK_THREADS", "1")
    monkeypatch.setattr(cli, "entry_points", lambda **_: [Entry("batches")])

    def give(*arguments: Any) -> Ended:
        monkeypatch.setattr(cli, "app", typer.Typer(pretty_exceptions_enable=False))
        monkeypatch.setattr("sys.argv", ["creditrisk", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return give


@pytest.fixture
def source(portfolio: Portfolio, tmp_path: Path) -> Path:
    """Three applications as CSV."""
    return write_csv(tmp_path / "applications.csv", [portfolio.application(a) for a in portfolio.applicants[:3]])


def refused(ended: Ended, *words: str) -> None:
    """A command ended with one line that says what is wrong; the machine's words of progress go to the same place."""
    line = ended.err.strip().splitlines()[-1]
    assert ended.code == 1
    assert line.startswith("error: ")
    for word in words:
        assert word in line
    assert "Traceback" not in ended.err


def test_scores_are_written_counted_and_verified(run: Command, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    ended = run("score", source, "--out", out)
    assert ended.code == 0
    assert "3 of 3 applications scored" in ended.out
    assert len(read(out)) == 3
    assert "as recorded" in run("verify-batch", out).out
    out.write_text(out.read_text().replace("approve", "decline"))
    verified = run("verify-batch", out)
    assert verified.code == 1
    assert "is not what was recorded" in verified.out


def test_machines_get_the_manifest(run: Command, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    ended = run("score", source, "--out", out, "--json")
    told = json.loads(ended.out)
    manifest = json.loads((tmp_path / "scores.parquet.manifest.json").read_text())
    assert told == {**manifest, "resumed": False, "failed": False}
    assert ended.err == ""
    assert json.loads(run("verify-batch", out, "--json").out)["findings"] == []


def test_rejected_rows_are_told_and_too_many_of_them_fail_the_batch_but_keep_its_files(
    run: Command, portfolio: Portfolio, tmp_path: Path
) -> None:
    rows = [portfolio.application(a) for a in portfolio.applicants[:4]]
    source = write_csv(tmp_path / "some.csv", [*rows[:3], {**rows[3], "AMT_CREDIT": -1}])
    ended = run("score", source, "--out", tmp_path / "few.parquet", "--max-rejected", 0.25)
    assert ended.code == 0
    assert "1 rejected (25.00%)" in ended.out
    assert "application.AMT_CREDIT minimum" in ended.out
    refused(run("score", source, "--out", tmp_path / "many.parquet"), "25.0%", "--max-rejected 5.0%", "many.parquet")
    assert len(read(tmp_path / "many.parquet")) == 3
    assert [row["row"] for row in read(tmp_path / "many.parquet.rejected.parquet")] == [5]


def test_where_all_are_rejected_the_reasons_are_kept(run: Command, portfolio: Portfolio, tmp_path: Path) -> None:
    row = {**portfolio.application(FIRST_ID), "CODE_GENDER": "no such"}
    out = tmp_path / "scores.csv"
    refused(run("score", write_csv(tmp_path / "one.csv", [row]), "--out", out), "100.0%")
    assert read(out) == []
    assert [r["rule"] for r in read(tmp_path / "scores.csv.rejected.csv")] == ["category"]


def lines(source: Path) -> list[str]:
    return source.read_text().splitlines(keepends=True)


SPOIL: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "empty": (lambda path: path.write_text(""), ("is empty",)),
    "header alone": (lambda path: path.write_text(lines(path)[0]), ("has no row",)),
    "a column missing": (
        lambda path: path.write_text("".join(lines(path)).replace("AMT_CREDIT,", "", 1)),
        ("lacks the columns AMT_CREDIT",),
    ),
    "a column unknown": (
        lambda path: path.write_text(
            "".join(line.rstrip() + (",AGE\n" if n == 0 else ",1\n") for n, line in enumerate(lines(path)))
        ),
        ("unknown columns AGE",),
    ),
    "a column twice": (
        lambda path: path.write_text("".join(f"{line.split(',')[1]},{line}" for line in lines(path))),
        ("has columns twice NAME_CONTRACT_TYPE",),
    ),
    "a column in the place of another": (
        lambda path: path.write_text("".join(lines(path)).replace("CODE_GENDER", "NAME_CONTRACT_TYPE", 1)),
        ("lacks the columns CODE_GENDER",),
    ),
    "another encoding": (
        lambda path: path.write_bytes(path.read_text().replace("XNA", "Ü").encode("latin-1")),
        ("UTF-8",),
    ),
    "cut off": (lambda path: path.write_text("".join(lines(path))[:-200]), ("line 4", "truncated or damaged")),
}


@pytest.mark.parametrize("how", SPOIL)
def test_a_file_that_cannot_be_read_is_named_with_what_is_wrong(
    run: Command, source: Path, tmp_path: Path, how: str
) -> None:
    spoil, words = SPOIL[how]
    spoil(source)
    refused(run("score", source, "--out", tmp_path / "scores.parquet"), "applications.csv", *words)
    assert not list(tmp_path.glob("scores*"))


def test_a_parquet_file_cut_off_is_named(run: Command, portfolio: Portfolio, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    path = write_raw(portfolio, tmp_path / "raw")["application_test"]
    path.write_bytes(path.read_bytes()[:-1000])
    refused(run("score", path, "--out", tmp_path / "scores.parquet"), "application_test.parquet", "Parquet")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nothing.csv", "does not exist"),
        ("notes.txt", "neither .csv nor .parquet"),
        ("empty", "holds no application_"),
        ("doubled", "are of one table"),
    ],
)
def test_an_input_that_is_none_is_named(run: Command, tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "doubled").mkdir()
    for name in ("application_test.csv", "application_test.parquet"):
        (tmp_path / "doubled" / name).touch()
    refused(run("score", tmp_path / source, "--out", tmp_path / "scores.parquet"), source, words)


@pytest.mark.parametrize(
    ("out", "words"), [("nowhere/scores.parquet", "does not exist"), ("scores.xlsx", "neither in .parquet nor in .csv")]
)
def test_an_output_that_cannot_be_is_named(run: Command, source: Path, tmp_path: Path, out: str, words: str) -> None:
    refused(run("score", source, "--out", tmp_path / out), Path(out).parts[0], words)


def test_a_finished_output_is_not_replaced(run: Command, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    out.write_text("mine")
    refused(run("score", source, "--out", out), "was written before", "--overwrite")
    assert out.read_text() == "mine"
    assert run("score", source, "--out", out, "--overwrite").code == 0


def test_without_a_model_the_command_to_run_is_named(
    run: Command, published: Published, source: Path, tmp_path: Path
) -> None:
    shutil.rmtree(published.home / "bundles")
    refused(run("score", source, "--out", tmp_path / "scores.parquet"), "no champion is published", "creditrisk run")


def test_without_published_features_applicants_without_histories_are_not_scored(
    run: Command, published: Published, source: Path, tmp_path: Path
) -> None:
    shutil.rmtree(published.home / "lake" / "features")
    refused(run("score", source, "--out", tmp_path / "scores.parquet"), "features/bureau was never published")


def test_features_of_another_meaning_are_not_looked_up(
    run: Command, published: Published, source: Path, tmp_path: Path
) -> None:
    plan = render_plan()
    plan["families"]["bureau"]["definition"] = "other"
    train_bundle(published.joined, published.home, published.home / "made" / "other", seed=3, plan=plan)
    publish(published.home / "made" / "other", published.home)
    refused(
        run("score", source, "--out", tmp_path / "scores.parquet"), "features/bureau was built by another definition"
    )


def test_a_log_that_cannot_be_written_keeps_the_scores_from_being_delivered(
    run: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "scores.parquet"
    with monkeypatch.context() as broken:
        broken.setenv("CREDITRISK_SERVING_DECISIONS_URL", f"sqlite:///{tmp_path}")
        refused(run("score", source, "--out", out), "decision log", "goes on from there")
    assert not out.exists()
    assert "went on from the run before" in run("score", source, "--out", out).out


@contextmanager
def little_disk(size: int) -> Iterator[None]:
    """Refuse files past a size, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [2_000, 20_000])
def test_a_full_disk_is_told_and_the_next_run_goes_on(run: Command, tmp_path: Path, size: int) -> None:
    directory, out = tmp_path / "raw", tmp_path / "scores.parquet"
    directory.mkdir()
    write_raw(draw_portfolio(seed=8), directory)
    with little_disk(size):
        ended = run("score", directory, "--out", out)
    refused(ended, "disk", "full")
    assert not out.exists()
    assert run("score", directory, "--out", out).code == 0


CANARY = "CANARY"


def fussy(select: str) -> dict[str, Any]:
    plan = render_plan()
    family = plan["families"]["application"]
    family["sql"] = select.format(sql=family["sql"])
    return plan


@pytest.mark.parametrize(
    "select",
    [
        "select f.* from ({sql}) as f where"
        " (select count(error(ORGANIZATION_TYPE)) from application where ORGANIZATION_TYPE = 'CANARY') = 0",
        "select f.* replace (case when a.ORGANIZATION_TYPE = 'CANARY' then cast('inf' as double) else f.application__income_amt end"
        " as application__income_amt) from ({sql}) as f join application as a on a.SK_ID_CURR = f.sk_id_curr",
    ],
    ids=["refused by the SQL", "infinite"],
)
def test_values_without_features_reject_their_applicants_alone(
    run: Command, published: Published, portfolio: Portfolio, tmp_path: Path, select: str
) -> None:
    train_bundle(published.joined, published.home, published.home / "made" / "fussy", seed=3, plan=fussy(select))
    publish(published.home / "made" / "fussy", published.home)
    rows = [portfolio.application(a) for a in portfolio.applicants[:20]]
    for place in (0, 7, 8):
        rows[place] = {**rows[place], "ORGANIZATION_TYPE": CANARY}
    out = tmp_path / "scores.csv"
    ended = run("score", write_csv(tmp_path / "some.csv", rows), "--out", out, "--max-rejected", 1)
    assert ended.code == 0
    assert CANARY not in ended.out + ended.err
    found = read(tmp_path / "scores.csv.rejected.csv")
    assert [(int(r["row"]), int(r["sk_id_curr"]), r["rule"]) for r in found] == [
        (place + 2, rows[place]["SK_ID_CURR"], "not_computable") for place in (0, 7, 8)
    ]
    assert len(read(out)) == 17


@pytest.mark.parametrize("command", ["score", "verify-batch"])
def test_every_command_has_help(run: Command, command: str) -> None:
    assert run(command, "--help").code == 0
