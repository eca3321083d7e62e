"""Batches of files: the decisions of requests, whatever the format; rejected rows, resuming, and the record in the log."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features import spark
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, HISTORIES, Portfolio, draw_portfolio, publish, write_raw
from creditrisk_serving.batches import features, inputs, job, record
from creditrisk_serving.batches.champion import load_champion
from creditrisk_serving.batches.inputs import BatchInputError
from creditrisk_serving.batches.job import Batch, BatchError, Outcome, score_batch
from creditrisk_serving.decisions.checkpoints import read_checkpoints
from creditrisk_serving.decisions.database import Database
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.verification import verify_log
from creditrisk_serving.settings import ServingSettings

FIELDS = ("pd", "decision", "band", "rule", "points", "model_version", "policy_version")
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def other() -> Portfolio:
    """The applicants of the published features with other applications and other histories."""
    return draw_portfolio(seed=8)


@pytest.fixture(scope="module")
def raw(other: Portfolio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of Parquet files by table name."""
    directory = tmp_path_factory.mktemp("parquet")
    write_raw(other, directory)
    return directory


@pytest.fixture(scope="module")
def kaggle(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as CSV files, named as Kaggle names them."""
    directory = tmp_path_factory.mktemp("kaggle")
    with duckdb.connect() as connection:
        for table, contract in SOURCES.items():
            if (raw / f"{table}.parquet").exists():
                connection.execute(
                    f"copy (from '{raw / f'{table}.parquet'}') to '{directory / f'{contract.stem}.csv'}' (header)"
                )
    (directory / "HomeCredit_columns_description.csv").write_text("not a table")
    return directory


def settings_of(home: Path) -> ServingSettings:
    return ServingSettings(platform=Settings(home=home, threads=1))


def score(home: Path, source: Path, out: Path, **options: Any) -> Outcome:
    settings = settings_of(home)
    log = DecisionLog(settings.decision_log_url, settings.journal_directory, stored="database")
    progress = options.pop("progress", lambda *_: None)
    try:
        return score_batch(
            Batch(source, out, **options), settings.platform, lambda: load_champion(settings.platform), log, progress
        )
    finally:
        log.close()


def read(path: Path) -> Rows:
    if path.suffix == ".csv":
        with path.open(newline="") as stream:
            return [{name: value or None for name, value in row.items()} for row in csv.DictReader(stream)]
    with duckdb.connect() as connection:
        found = connection.execute(f"from read_parquet('{path}')")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def predicted(client: Client, applications: Rows, histories: Mapping[str, Rows] = {}) -> dict[int, dict[str, Any]]:
    reply = client.post("/predict", {"applications": applications, "histories": histories})
    assert reply.status == 200, reply.body
    return {one["applicant_id"]: {name: one[name] for name in FIELDS} for one in reply.json()["decisions"]}


def scores_of(path: Path) -> dict[int, dict[str, Any]]:
    return {int(row["sk_id_curr"]): {name: row[name] for name in FIELDS} for row in read(path)}


def write_csv(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(out: Path, query: str) -> Path:
    with duckdb.connect() as connection:
        connection.execute(f"copy ({query}) to '{out}' (format parquet)")
    return out


def other_sums(raw: Path, source: Path) -> None:
    """Replace a history of a batch by another."""
    write_parquet(
        source / "bureau.parquet", f"select * replace (0::double as AMT_CREDIT_SUM) from '{raw / 'bureau.parquet'}'"
    )


@pytest.mark.parametrize("layout", ["raw", "kaggle"])
def test_a_directory_scores_as_requests_with_histories_do(
    shared: Client, published: Published, other: Portfolio, tmp_path: Path, request: pytest.FixtureRequest, layout: str
) -> None:
    source = request.getfixturevalue(layout)
    made = score(published.home, source, tmp_path / "scores.parquet").manifest
    expected = predicted(shared, other.tables["application"], {table: other.tables[table] for table in HISTORIES})
    assert scores_of(tmp_path / "scores.parquet") == expected
    with_histories = {row["SK_ID_CURR"] for row in other.tables["bureau"]}
    assert made["features_from_input"] == len(with_histories)
    assert made["features_looked_up"] == len(expected) - len(with_histories) > 0
    assert set(made["feature_versions"]) == set(
        load_champion(Settings(home=published.home)).bundle.plan["families"]
    ) - {"application"}


def test_a_file_alone_scores_as_requests_without_histories_do(
    shared: Client, published: Published, other: Portfolio, raw: Path, kaggle: Path, tmp_path: Path
) -> None:
    expected = predicted(shared, other.tables["application"])
    assert expected != predicted(
        shared, other.tables["application"], {table: other.tables[table] for table in HISTORIES}
    )
    for source in (raw / "application_test.parquet", kaggle / "application_test.csv"):
        out = tmp_path / f"{source.suffix[1:]}.parquet"
        score(published.home, source, out)
        assert scores_of(out) == expected


def test_histories_of_a_portfolio_are_cut_to_the_applicants_of_the_file(
    shared: Client, published: Published, other: Portfolio, raw: Path, tmp_path: Path
) -> None:
    some = write_parquet(tmp_path / "some.parquet", f"from '{raw / 'application_test.parquet'}' limit 10")
    made = score(published.home, some, tmp_path / "scores.parquet", histories=raw).manifest
    wanted = other.applicants[:10]
    mine = {table: [row for a in wanted for row in other.histories(a)[table]] for table in HISTORIES}
    expected = predicted(shared, [other.application(a) for a in wanted], mine)
    assert scores_of(tmp_path / "scores.parquet") == expected
    assert made["history_rows_of_others"] == {t: len(other.tables[t]) - len(mine[t]) for t in HISTORIES}


def test_scores_as_csv_are_the_same_to_the_last_bit(published: Published, raw: Path, tmp_path: Path) -> None:
    score(published.home, raw, tmp_path / "scores.parquet")
    score(published.home, raw, tmp_path / "scores.csv")
    text = {
        key: {**row, "pd": float(row["pd"]), "points": int(row["points"])}
        for key, row in scores_of(tmp_path / "scores.csv").items()
    }
    assert text == scores_of(tmp_path / "scores.parquet")
    assert [row["sk_id_curr"] for row in read(tmp_path / "scores.parquet")] == sorted(text)


def broken_applications(plan: Mapping[str, Any], other: Portfolio) -> Rows:
    """One application for every way a column can break a rule."""
    rows: Rows = []
    for column in plan["tables"]["application"]["columns"]:
        wrong: list[Any] = [] if column["nullable"] else [None]
        if column["categories"]:
            wrong.append("no such" if column["type"] == "str" else 77)
        elif column["type"] == "str":
            wrong.append("x" * 257)
        else:
            step = 1 if column["type"] == "int" else 0.5
            wrong += [] if column["minimum"] is None else [column["minimum"] - step]
            wrong += [] if column["maximum"] is None else [column["maximum"] + step]
        for value in wrong:
            row = dict(other.application(FIRST_ID + len(rows) % len(other.applicants)))
            row["SK_ID_CURR"] = 900_000 + len(rows)
            rows.append({**row, column["name"]: value})
    return rows


def test_every_rule_of_a_column_rejects_what_requests_reject(
    shared: Client, published: Published, other: Portfolio, raw: Path, tmp_path: Path
) -> None:
    champion = load_champion(Settings(home=published.home))
    broken = broken_applications(champion.bundle.plan, other)
    assert len(broken) > 150
    source = write_csv(tmp_path / "broken.csv", [*broken, other.application(FIRST_ID)])
    made = score(published.home, source, tmp_path / "scores.parquet").manifest
    answer = shared.post("/predict", {"applications": [*broken, other.application(FIRST_ID)]}).json()
    told = {(error["row"] + 2, error.get("column"), error["rule"]) for error in answer["errors"]}
    rejected = {(r["row"], r["column"], r["rule"]) for r in read(tmp_path / "scores.parquet.rejected.parquet")}
    assert rejected == told
    assert scores_of(tmp_path / "scores.parquet").keys() == {one["applicant_id"] for one in answer["decisions"]}
    assert (made["applications"], made["scored"], made["rejected"]) == (
        len(broken) + 1,
        answer["scored"],
        answer["failed"],
    )
    assert sum(made["rejected_rows"].values()) == len(told)


def test_values_that_are_no_numbers_are_rejected_with_their_line(
    published: Published, other: Portfolio, tmp_path: Path
) -> None:
    good = [other.application(a) for a in other.applicants[:6]]
    wrong = {"AMT_CREDIT": "much", "CNT_CHILDREN": "1.5", "SK_ID_CURR": "nan", "AMT_ANNUITY": "inf"}
    rows = [{**good[place], column: value} for place, (column, value) in enumerate(wrong.items())]
    source = write_csv(tmp_path / "wrong.csv", [good[4], *rows, good[5]])
    made = score(published.home, source, tmp_path / "scores.csv").manifest
    found = [(int(r["row"]), r["column"], r["rule"]) for r in read(tmp_path / "scores.csv.rejected.csv")]
    assert found == [
        (3, "AMT_CREDIT", "type"),
        (4, "CNT_CHILDREN", "type"),
        (5, "SK_ID_CURR", "required"),
        (6, "AMT_ANNUITY", "finite"),
    ]
    assert (made["scored"], made["rejected"]) == (2, 4)


def test_an_applicant_named_twice_is_rejected_in_both_places(
    published: Published, other: Portfolio, tmp_path: Path
) -> None:
    first, second = (other.application(a) for a in other.applicants[:2])
    source = write_csv(tmp_path / "doubled.csv", [first, second, {**first, "AMT_CREDIT": "much"}])
    made = score(published.home, source, tmp_path / "scores.parquet").manifest
    found = {(r["row"], r["sk_id_curr"], r["rule"]) for r in read(tmp_path / "scores.parquet.rejected.parquet")}
    assert found == {
        (2, FIRST_ID, "duplicate_applicant"),
        (4, FIRST_ID, "duplicate_applicant"),
        (4, FIRST_ID, "type"),
    }
    assert (made["applications"], made["scored"], made["rejected"]) == (3, 1, 2)


HARM = {
    "bureau": ("DAYS_CREDIT", 5),
    "bureau_balance": ("STATUS", "Q"),
    "installments_payments": ("AMT_INSTALMENT", -1.0),
}


@pytest.mark.parametrize("table", HARM)
def test_a_broken_history_row_rejects_its_applicant_as_requests_do(
    shared: Client, published: Published, other: Portfolio, raw: Path, tmp_path: Path, table: str
) -> None:
    column, value = HARM[table]
    harmed = {name: [dict(row) for row in rows] for name, rows in other.tables.items()}
    harmed[table][4][column] = value
    directory = tmp_path / "harmed"
    directory.mkdir()
    write_raw(Portfolio(harmed), directory)
    score(published.home, directory, tmp_path / "scores.parquet")
    answer = shared.post(
        "/predict", {"applications": harmed["application"], "histories": {t: harmed[t] for t in HISTORIES}}
    ).json()
    told = {
        (e["table"].replace("applications", "application"), e["row"] + 1, e.get("column"), e["rule"])
        for e in answer["errors"]
    }
    rejected = {
        (r["table"], r["row"], r["column"], r["rule"]) for r in read(tmp_path / "scores.parquet.rejected.parquet")
    }
    assert rejected == told
    assert len(rejected) == 2
    assert scores_of(tmp_path / "scores.parquet").keys() == {one["applicant_id"] for one in answer["decisions"]}


def test_two_history_rows_of_one_key_reject_their_applicant(
    published: Published, raw: Path, tmp_path: Path, other: Portfolio
) -> None:
    directory = tmp_path / "doubled"
    shutil.copytree(raw, directory)
    file = raw / "bureau.parquet"
    write_parquet(directory / "bureau.parquet", f"from '{file}' union all (from '{file}' limit 1)")
    made = score(published.home, directory, tmp_path / "scores.parquet").manifest
    assert made["rejected_rows"] == {"application history_invalid": 1, "bureau.SK_ID_BUREAU duplicate_key": 2}
    (rejected,) = {r["sk_id_curr"] for r in read(tmp_path / "scores.parquet.rejected.parquet")}
    assert rejected == other.tables["bureau"][0]["SK_ID_CURR"]


def test_a_history_row_without_an_owner_refuses_the_batch(published: Published, raw: Path, tmp_path: Path) -> None:
    directory = tmp_path / "ownerless"
    shutil.copytree(raw, directory)
    file = raw / "bureau.parquet"
    ownerless = "case when DAYS_CREDIT < -2500 then null else SK_ID_CURR end as SK_ID_CURR"
    write_parquet(directory / "bureau.parquet", f"select * replace ({ownerless}) from '{file}'")
    with pytest.raises(BatchInputError, match=r"bureau.parquet: SK_ID_CURR of \d+ rows is empty .* nobody was scored"):
        score(published.home, directory, tmp_path / "scores.parquet")
    assert not (tmp_path / "scores.parquet").exists()


@pytest.fixture(scope="module")
def whole_sha256(template: Published, raw: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the scores of a run that nothing stopped."""
    directory = tmp_path_factory.mktemp("whole")
    shutil.copytree(template.home, directory / "home")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(job, "CHUNK", 20)
        return str(score(directory / "home", raw, directory / "scores.parquet").manifest["output"]["sha256"])


KILLED = """
import os, signal, sys
from pathlib import Path
from creditrisk_assets_tests.serving import test_batches as tests
from creditrisk_serving.batches import job

step, at = sys.argv[4], int(sys.argv[5])
job.CHUNK = 20

def die(name, done, total):
    if name == step and done == at:
        os.kill(os.getpid(), signal.SIGKILL)

tests.score(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), progress=die)
"""


@pytest.mark.parametrize(("step", "at"), [("checking", 0), ("features", 3), ("scoring", 2)])
def test_a_killed_batch_goes_on_and_gives_the_same_bytes(
    published: Published,
    raw: Path,
    whole_sha256: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    at: int,
) -> None:
    out = tmp_path / "scores.parquet"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(published.home), str(raw), str(out), step, str(at)], check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    asked: dict[str, int] = {"read": 0, "family": 0, "chunk": 0}

    def counting(name: str, function: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            asked[name] += 1
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(job, "CHUNK", 20)
    monkeypatch.setattr(inputs, "read_file", counting("read", inputs.read_file))
    monkeypatch.setattr(features, "compute_family", counting("family", features.compute_family))
    monkeypatch.setattr(job.batch, "score_features", counting("chunk", job.batch.score_features))
    resumed = score(published.home, raw, out)
    assert resumed.resumed
    assert resumed.anew_because is None
    assert (
        asked
        == {
            "checking": {"read": 0, "family": 6, "chunk": 4},
            "features": {"read": 0, "family": 3, "chunk": 4},
            "scoring": {"read": 0, "family": 0, "chunk": 2},
        }[step]
    )
    assert resumed.manifest["output"]["sha256"] == whole_sha256
    assert not list(tmp_path.glob(".*"))


def test_another_input_or_model_starts_anew_and_says_why(published: Published, raw: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "scores.parquet"
    shutil.copytree(raw, source)

    def die(step: str, done: int, total: int) -> None:
        if step == "features":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(published.home, source, out, progress=die)
    other_sums(raw, source)
    publish(published.challenger_bundle, published.home)
    outcome = score(published.home, source, out)
    assert not outcome.resumed
    assert outcome.anew_because == f"changed since: {source / 'bureau.parquet'}, model"
    assert outcome.manifest["model_version"] == published.challenger
    fresh = score(published.home, source, tmp_path / "fresh.parquet")
    assert fresh.manifest["output"]["sha256"] == outcome.manifest["output"]["sha256"]


def test_a_finished_output_is_replaced_only_when_asked(
    published: Published, other: Portfolio, raw: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.parquet"
    doubled = write_csv(tmp_path / "doubled.csv", [other.application(FIRST_ID)] * 2 + [other.application(FIRST_ID + 1)])
    score(published.home, doubled, out)
    assert (tmp_path / "scores.parquet.rejected.parquet").exists()
    before = out.read_bytes()
    with pytest.raises(BatchError, match="--overwrite"):
        score(published.home, raw, out)
    assert out.read_bytes() == before
    score(published.home, raw, out, overwrite=True)
    assert len(read(out)) == len(other.applicants)
    assert not (tmp_path / "scores.parquet.rejected.parquet").exists()


def test_two_runs_do_not_make_one_output(published: Published, raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"

    def meet(step: str, done: int, total: int) -> None:
        if step == "scoring":
            with pytest.raises(RuntimeError, match="another run is at work"):
                score(published.home, raw, out)

    score(published.home, raw, out, progress=meet)
    assert out.exists()


def logged(home: Path, **wanted: str) -> list[Any]:
    database = Database(settings_of(home).decision_log_url)
    try:
        return [one for one, _ in database.batches(**wanted)]
    finally:
        database.close()


def test_a_batch_is_one_record_of_the_log_with_the_hashes_of_its_files(
    published: Published, raw: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.parquet"
    made = score(published.home, raw, out).manifest
    (found,) = logged(published.home)
    assert found.batch_id == made["batch_id"]
    assert found.scores_sha256 == job.sha256_file(out)
    assert found.manifest_sha256 == job.sha256_file(tmp_path / "scores.parquet.manifest.json")
    assert json.loads((tmp_path / "scores.parquet.manifest.json").read_text()) == made
    assert (found.scored, found.rejected, found.model_version) == (80, 0, published.champion)
    assert found.source.startswith("creditrisk score by ")
    assert len(record.decision_id(found.batch_id, FIRST_ID)) <= 32
    database = Database(settings_of(published.home).decision_log_url)
    verified = verify_log(database, read_checkpoints(published.home / "none", b""))
    database.close()
    assert (verified.records, verified.chains, verified.findings) == (1, 1, [])


@pytest.mark.parametrize("column", ["scored", "scores_sha256", "manifest_sha256", "source", "decided_at"])
def test_a_record_of_a_batch_that_was_changed_is_named(
    published: Published, raw: Path, tmp_path: Path, column: str
) -> None:
    out = tmp_path / "scores.parquet"
    made = score(published.home, raw, out).manifest
    database = Database(settings_of(published.home).decision_log_url)
    with database.begin() as connection:
        connection.exec_driver_sql(f"update batches set {column} = '1' || {column}")
    verified = verify_log(database, read_checkpoints(published.home / "none", b""))
    (found,) = verified.findings
    assert (found.kind, found.record) == ("changed", f"batch {made['batch_id']}")
    assert record.verify_batch(database, read_checkpoints(published.home / "none", b""), out).findings
    database.close()


@pytest.mark.parametrize("moved", [(), ("scores.parquet",)])
def test_a_batch_recorded_before_it_was_delivered_is_recorded_once(
    published: Published, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: tuple[str, ...]
) -> None:
    out = tmp_path / "scores.parquet"
    replace = Path.replace

    def die(made: Path, place: Path) -> Path:
        if place.parent == tmp_path and place.name not in moved:
            raise KeyboardInterrupt
        return replace(made, place)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            score(published.home, raw, out)
    assert out.exists() == bool(moved)
    assert score(published.home, raw, out).resumed
    (found,) = logged(published.home)
    assert found.scores_sha256 == job.sha256_file(out)


def change_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def test_files_that_are_not_what_was_recorded_are_named(published: Published, other: Portfolio, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    rows = [other.application(FIRST_ID)] * 2 + [other.application(FIRST_ID + 1)]
    score(published.home, write_csv(tmp_path / "doubled.csv", rows), out)
    database = Database(settings_of(published.home).decision_log_url)
    checkpoints = read_checkpoints(published.home / "none", b"")
    assert record.verify_batch(database, checkpoints, out).findings == ()
    for name in ("scores.parquet", "scores.parquet.manifest.json", "scores.parquet.rejected.parquet"):
        copy = tmp_path / f"changed {name}"
        shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("changed*", "home"))
        change_bytes(copy / name)
        (finding,) = record.verify_batch(database, checkpoints, copy / "scores.parquet").findings
        assert name in finding
    stranger = tmp_path / "stranger.parquet"
    stranger.write_bytes(b"scores")
    assert record.verify_batch(database, checkpoints, stranger).findings == (
        "the decision log holds no batch with these scores",
    )
    shutil.copy(out, tmp_path / "alone.parquet")
    (finding,) = record.verify_batch(database, checkpoints, tmp_path / "alone.parquet").findings
    assert finding.endswith("has no manifest beside it")
    database.close()


def test_no_more_than_a_chunk_is_held_at_once(
    published: Published, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "CHUNK", 10)
    score(published.home, raw, tmp_path / "scores.parquet")
    file = pq.ParquetFile(tmp_path / "scores.parquet")
    assert [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)] == [10] * 8


def test_the_chosen_engine_computes_is_named_and_another_one_starts_anew(
    published: Published, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, computed = [], []

    @contextmanager
    def session(master: str, **_: Any) -> Iterator[str]:
        opened.append(master)
        yield "a session"

    def compute(*args: Any) -> list[int]:
        computed.append(args[-1])
        return by_duckdb(*args[:-1])

    by_duckdb = features.compute_family
    monkeypatch.setattr(spark, "session", session)
    monkeypatch.setattr(features, "compute_family", compute)

    def die(step: str, done: int, total: int) -> None:
        if step == "scoring":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(published.home, raw, tmp_path / "scores.parquet", progress=die)
    assert (opened, set(computed)) == ([], {None})

    computed.clear()
    monkeypatch.setenv("CREDITRISK_ENGINE", "spark")
    monkeypatch.setenv("CREDITRISK_SPARK_MASTER", "spark://master:7077")
    with pytest.raises(KeyboardInterrupt):
        score(published.home, raw, tmp_path / "scores.parquet", progress=die)
    assert (opened, computed) == (["spark://master:7077"], ["a session"] * 6)
    outcome = score(published.home, raw, tmp_path / "scores.parquet")
    assert outcome.resumed
    assert len(opened) == 1  # nothing was left for it
    assert outcome.manifest["engine"] == "spark"

    monkeypatch.setenv("CREDITRISK_ENGINE", "duckdb")
    with pytest.raises(KeyboardInterrupt):
        score(published.home, raw, tmp_path / "other.parquet", progress=die)
    monkeypatch.setenv("CREDITRISK_ENGINE", "spark")
    assert score(published.home, raw, tmp_path / "other.parquet").anew_because == "changed since: engine"
