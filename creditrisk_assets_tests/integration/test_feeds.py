"""Feeds in the graph: what changes is taken in, what does not is not touched, and how old the data are is told on the asset."""

import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from creditrisk_assets import diagnosis, running
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.definitions import build_defs
from creditrisk_assets.defs import feeds
from creditrisk_assets.defs.feeds import FeedState, changed_feeds, look_at_all, on_feed_change
from creditrisk_assets.ingestion import reader
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.resources.platform import open_feeds
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer, Served, serving

APPLICATIONS = ("application_train", "application_test")
BUREAU = "raw/application_train,raw/application_test,raw/bureau"


@pytest.fixture
def directory(tmp_path: Path, portfolio: Path) -> Path:
    """A source directory with the applications and the bureau."""
    place = tmp_path / "source"
    place.mkdir()
    for name in (*APPLICATIONS, "bureau"):
        shutil.copy(portfolio / f"{name}.csv", place)
    return place


def sources_file(directory: Path, **settings: Any) -> Path:
    content = {"name": "lender", "connection": {"kind": "local", "directory": str(directory)}, **settings}
    path = directory.with_name("sources.yaml")
    path.write_text(yaml.safe_dump(content))
    remember_source(Settings(), path)
    return path


def run(select: str = BUREAU) -> running.RunResult:
    return running.materialize(Settings(), select)


def facts(table: str = "bureau") -> Mapping[str, Any]:
    return Lake(Settings().lake).require(f"raw/{table}").manifest.metadata["facts"]


def split_off(directory: Path, name: str, rows: slice) -> str:
    """Move rows of the bureau into a file of their own, and return its text."""
    path = directory / "bureau.csv"
    lines = path.read_text().splitlines(keepends=True)
    text = "".join([lines[0], *lines[rows]])
    (directory / name).write_text(text)
    del lines[rows]
    path.write_text("".join(lines))
    return text


def announce(directory: Path, **batches: str) -> None:
    listed = [
        {"batch_id": batch, "as_at": f"2026-{batch[-2:]}-28T00:00:00Z", "tables": {"bureau": {"location": location}}}
        for batch, location in batches.items()
    ]
    (directory / "batches.json").write_text(json.dumps({"batches": listed}))


def test_a_batch_is_appended_and_the_table_says_what_it_is_made_of(directory: Path) -> None:
    whole = len((directory / "bureau.csv").read_text().splitlines()) - 1
    split_off(directory, "may.csv", slice(-100, None))
    (directory / "batches.json").write_text('{"batches": []}')
    sources_file(directory, batches="batches.json")
    assert run().failures == []
    assert facts()["rows"] == whole - 100
    announce(directory, b05="may.csv")
    again = run()
    assert again.failures == []
    assert {asset.key: asset.outcome for asset in again.assets} == {
        "raw/application_train": "reused",
        "raw/application_test": "reused",
        "raw/bureau": "built",
    }
    assert facts()["rows"] == whole
    assert [(batch["batch_id"], batch["rows_read"]) for batch in facts()["batches"]] == [
        ("base", whole - 100),
        ("b05", 100),
    ]
    assert facts()["as_at"] == "2026-05-28T00:00:00+00:00" or facts()["as_at"] > "2026-05-28"


def test_a_late_batch_gives_the_same_table_as_one_in_time_and_is_told(directory: Path) -> None:
    os.utime(directory / "bureau.csv", (0, 0))
    split_off(directory, "may.csv", slice(-100, None))
    split_off(directory, "june.csv", slice(-50, None))
    os.utime(directory / "bureau.csv", (0, 0))
    announce(directory, b06="june.csv")
    sources_file(directory, batches="batches.json")
    assert run().failures == []
    announce(directory, b06="june.csv", b05="may.csv")
    assert run().failures == []
    assert {batch["batch_id"]: batch["late"] for batch in facts()["batches"]} == {
        "base": False,
        "b05": True,
        "b06": False,
    }
    late = Lake(Settings().lake).require("raw/bureau").version
    shutil.rmtree(Settings().root / "lake")
    assert run().failures == []
    assert Lake(Settings().lake).require("raw/bureau").version == late


def test_a_column_nobody_declared_is_left_out_told_and_recorded(directory: Path) -> None:
    sources_file(directory)
    assert run().failures == []
    before = Lake(Settings().lake).require("raw/bureau").version
    path = directory / "bureau.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},BRANCH", *(f"{line},7" for line in lines[1:])]) + "\n")
    added = run()
    assert added.failures == []
    assert "unknown column BRANCH" in " ".join(added.warnings["raw/bureau"])
    assert Lake(Settings().lake).require("raw/bureau").version == before, "what is read has not changed"
    assert ["BRANCH", None] in facts()["schemas"]["base"]
    path.touch()
    assert not run().warnings, "a schema that was accepted is not told again"


def test_a_missing_column_blocks_with_a_diff_and_the_last_good_version_stays(directory: Path) -> None:
    sources_file(directory)
    assert run().failures == []
    good = Lake(Settings().lake).require("raw/bureau").version
    path = directory / "bureau.csv"
    path.write_text(path.read_text().replace("CREDIT_TYPE", "CREDIT_KIND", 1))
    broken = run()
    assert "missing column CREDIT_TYPE; unknown column CREDIT_KIND" in " ".join(broken.failures)
    assert Lake(Settings().lake).require("raw/bureau").version == good


def test_row_accounting_is_kept_and_the_quarantine_shows_where(directory: Path) -> None:
    path = directory / "bureau.csv"
    lines = path.read_text().splitlines(keepends=True)
    cells = lines[7].split(",")
    cells[lines[0].split(",").index("DAYS_CREDIT")] = "12"
    lines[7] = ",".join(cells)
    path.write_text("".join(lines))
    sources_file(directory)
    result = run()
    assert result.failures == []
    assert facts()["accounting"]["read"] == len(lines) - 1
    assert facts()["accounting"]["published"] == facts()["rows"] == len(lines) - 2
    assert facts()["accounting"]["rules"] == {"maximum:DAYS_CREDIT": 1}
    quarantined = Lake(Settings().lake).require("quarantine/bureau").data
    with duckdb.connect() as con:
        found = con.execute(f"select batch_id, position, rule from '{quarantined}'").fetchall()
    assert found == [("base", 8, "maximum:DAYS_CREDIT")]


def test_a_refused_delivery_leaves_its_quarantine_until_the_good_file_is_back(directory: Path) -> None:
    path = directory / "bureau.csv"
    good, stamp = path.read_text(), path.stat().st_mtime_ns
    sources_file(directory)
    assert run().failures == []
    path.write_text(good.replace("Active", "Lively"))
    assert "quarantine_budget" in " ".join(run().failures)
    lake = Lake(Settings().lake)
    assert lake.require("quarantine/bureau").manifest.metadata["facts"]["quarantined"] > 0
    path.write_text(good)
    os.utime(path, ns=(stamp, stamp))
    (bureau,) = [asset for asset in run().assets if asset.key == "raw/bureau"]
    assert (bureau.outcome, bureau.reason) == ("reused", "unchanged")
    assert lake.require("quarantine/bureau").manifest.metadata["facts"]["quarantined"] == 0


def test_a_wrong_checksum_publishes_nothing_and_names_both_whenever_it_is_declared(directory: Path) -> None:
    wrong = f"md5:{'0' * 32}"
    sources_file(directory, tables={"bureau": {"content_checksum": wrong}})
    failures = " ".join(run().failures)
    assert "the content of" in failures
    assert "expected " + "0" * 32 in failures
    assert Lake(Settings().lake).current("raw/bureau") is None
    sources_file(directory)
    assert run("raw/bureau").failures == []
    good = Lake(Settings().lake).require("raw/bureau").version
    sources_file(directory, tables={"bureau": {"checksum": wrong}})
    assert "expected " + "0" * 32 in " ".join(run("raw/bureau").failures)
    assert Lake(Settings().lake).require("raw/bureau").version == good


def test_a_budget_that_was_lowered_is_felt_without_a_new_delivery(directory: Path) -> None:
    path = directory / "bureau.csv"
    path.write_text(path.read_text().replace("Closed", "Shut", 1))
    sources_file(directory, quarantine_budget=0.01)
    assert run().failures == []
    assert facts()["accounting"]["quarantined"] == 1
    sources_file(directory, quarantine_budget=0.0)
    assert "more than the budget of 0%" in " ".join(run("raw/bureau").failures)


def test_a_file_that_is_written_to_while_it_is_read_publishes_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources_file(directory)
    assert run().failures == []
    good = Lake(Settings().lake).require("raw/bureau").version
    text = (directory / "bureau.csv").read_text()
    half = text[: text.index("\n", len(text) * 9 // 10) + 1]
    (directory / "bureau.csv").write_text(half)
    read = reader.read_table

    def read_while_the_rest_arrives(con: Any, file: Any, *given: Any, **named: Any) -> Any:
        result = read(con, file, *given, **named)
        with (directory / "bureau.csv").open("a") as stream:
            stream.write(text[len(half) :])
        return result

    monkeypatch.setattr(reader, "read_table", read_while_the_rest_arrives)
    assert "bureau.csv was changed while it was read" in " ".join(run("raw/bureau").failures)
    assert Lake(Settings().lake).require("raw/bureau").version == good
    monkeypatch.undo()
    assert run("raw/bureau").failures == []
    assert Lake(Settings().lake).require("raw/bureau").version == good, "the whole file is the one of before"


def test_data_age_warns_and_fails_on_the_asset_without_blocking(directory: Path) -> None:
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    os.utime(directory / "bureau.csv", (two_days_ago, two_days_ago))
    sources_file(directory, tables={"bureau": {"cadence": "24h"}})
    result = run()
    assert result.failures == []
    assert "old, expected every" in " ".join(result.broken_checks["raw/bureau"])
    report = diagnosis.feed_freshness(Settings())
    assert report["feeds"]["bureau"]["state"] == "stale"
    assert report["feeds"]["application_train"]["state"] == "fresh"
    assert report["feeds"]["pos_cash_balance"]["state"] == "missing"
    assert json.loads((Settings().reports / "data_freshness.json").read_text()) == report


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=build_defs().get_repository_def(), sensor_name="on_feed_change"
    )
    result = on_feed_change(context)
    assert isinstance(result, dg.SensorResult)
    return result


def unhurried(cursor: str | None) -> str:
    """Forget when the sensor looked last."""
    return json.dumps({**json.loads(cursor or "{}"), "looked_at": ""})


def test_the_sensor_takes_a_changed_feed_in_once_with_what_depends_on_it(
    directory: Path, instance: dg.DagsterInstance
) -> None:
    sources_file(directory)
    fresh = tick(instance)
    assert not fresh.run_requests, "what was never taken in has not changed"
    assert run().failures == []
    quiet = tick(instance, unhurried(fresh.cursor))
    assert not quiet.run_requests
    split_off(directory, "rest.csv", slice(-10, None))
    changed = tick(instance, unhurried(quiet.cursor))
    (request,) = changed.run_requests or []
    assert {key.to_user_string() for key in request.asset_selection or []} == {"raw/bureau"}, "the rest was never made"
    assert request.tags["creditrisk/cause"] == "changed feeds: bureau"
    observed = [event for event in changed.asset_events if isinstance(event, dg.AssetObservation)]
    assert [event.asset_key.to_user_string() for event in observed] == ["feed/bureau"]
    assert not tick(instance, unhurried(changed.cursor)).run_requests, "one version is asked for once"


def test_a_feed_that_goes_back_and_forth_is_taken_in_each_time(directory: Path, instance: dg.DagsterInstance) -> None:
    sources_file(directory)
    assert run().failures == []
    path, other = directory / "bureau.csv", directory / "other.csv"
    other.write_text("".join(path.read_text().splitlines(keepends=True)[:-10]))
    keys, cursor = [], None
    for last in (False, False, True):
        other.rename(directory / "between.csv")
        path.rename(other)
        (directory / "between.csv").rename(path)
        ticked = tick(instance, unhurried(cursor))
        cursor = ticked.cursor
        keys += [request.run_key for request in ticked.run_requests or []]
        assert last or run("raw/bureau").failures == []
    assert len(set(keys)) == 3, "Dagster starts no second run for a key"


def test_a_changed_feed_takes_the_features_made_from_it_along_and_no_model(
    directory: Path, instance: dg.DagsterInstance
) -> None:
    sources_file(directory)
    assert run().failures == []
    lake = Lake(Settings().lake)
    for key in ("features/bureau", "features/applicant", "features/application", "model/pd"):
        with lake.draft(key) as draft:
            draft.data.write_text(key)
            lake.publish(draft, code_version="c", inputs={})
    split_off(directory, "rest.csv", slice(-10, None))
    (request,) = tick(instance).run_requests or []
    chosen = {key.to_user_string() for key in request.asset_selection or []}
    assert chosen == {"raw/bureau", "features/bureau", "features/applicant"}


def test_the_sensor_records_an_age_when_it_changes_and_each_hour(directory: Path, instance: dg.DagsterInstance) -> None:
    sources_file(directory, tables={"bureau": {"cadence": "24h"}})
    assert run().failures == []
    first = tick(instance)
    assert {e.asset_key.to_user_string() for e in first.asset_events if isinstance(e, dg.AssetCheckEvaluation)} >= {
        "raw/bureau"
    }
    second = tick(instance, unhurried(first.cursor))
    assert not [e for e in second.asset_events if isinstance(e, dg.AssetCheckEvaluation)]
    old = (datetime.now(UTC) - timedelta(days=3)).timestamp()
    os.utime(directory / "bureau.csv", (old, old))
    third = tick(instance, unhurried(second.cursor))
    (evaluation,) = [e for e in third.asset_events if isinstance(e, dg.AssetCheckEvaluation)]
    assert (evaluation.check_name, evaluation.passed, evaluation.severity) == (
        "data_age",
        False,
        dg.AssetCheckSeverity.ERROR,
    )


def test_the_sensor_does_not_look_more_often_than_it_was_told(
    directory: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources_file(directory)
    first = tick(instance)
    context = dg.build_sensor_context(
        instance=instance, cursor=first.cursor, repository_def=build_defs().get_repository_def()
    )
    assert isinstance(on_feed_change(context), dg.SkipReason)
    monkeypatch.setenv("CREDITRISK_FEED_LOOK_SECONDS", "1")
    assert FeedState(**json.loads(first.cursor or "{}")).looked_at


def test_the_sensor_looks_though_a_wrong_clock_noted_when_it_looked_last(
    directory: Path, instance: dg.DagsterInstance
) -> None:
    sources_file(directory)
    ahead = (datetime.now(UTC) + timedelta(days=365)).isoformat()
    looked = json.loads(tick(instance, json.dumps({"looked_at": ahead, "aged_at": ahead})).cursor or "{}")
    assert looked["looked_at"] < ahead
    assert looked["aged_at"] < ahead


def test_a_feed_that_cannot_be_looked_at_is_missing_and_hides_no_other(directory: Path) -> None:
    sources_file(directory)
    (directory / "bureau.csv").unlink()
    seen, ages = look_at_all(open_feeds(Settings()), datetime.now(UTC))
    assert set(seen) == set(APPLICATIONS)
    assert ages["bureau"].state == "missing"
    assert "no file in" in ages["bureau"].words
    assert not changed_feeds(Lake(Settings().lake), seen, {})


def test_a_source_that_hangs_is_missing_in_time_and_hides_no_other(directory: Path) -> None:
    others = [table for table in SOURCES if table not in APPLICATIONS]
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        hanging = {"connection": {"kind": "http", "base_url": f"http://127.0.0.1:{hangs.getsockname()[1]}"}}
        sources_file(directory, tables=dict.fromkeys(others, hanging))
        begun = time.monotonic()
        seen, ages = look_at_all(open_feeds(Settings()), datetime.now(UTC), seconds=2)
        assert time.monotonic() - begun < 10
    assert set(seen) == set(APPLICATIONS)
    assert {ages[table].state for table in others} == {"missing"}
    assert ages["bureau"].words == "no answer within 2 s; check that its source can be reached from here"


def test_a_source_that_is_gone_is_given_up_once_not_for_each_table(directory: Path, short_pauses: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    sources_file(directory, connection={"kind": "http", "base_url": url})
    seen, ages = look_at_all(open_feeds(Settings()), datetime.now(UTC))
    assert not seen
    attempts = [re.findall(r"refused\); given up after (\d) attempts?,", age.words) for age in ages.values()]
    assert attempts == [["6"], *[["1"]] * 7]


def test_a_source_that_fails_for_a_moment_is_not_missing(directory: Path, short_pauses: None) -> None:
    with serving() as server:
        for contract in SOURCES.values():
            server.files[f"/{contract.stem}.csv"] = Served(b"x")
        sources_file(directory, connection={"kind": "http", "base_url": server.url})
        server.instead += [Answer(503)] * 3
        seen, _ = look_at_all(open_feeds(Settings()), datetime.now(UTC))
    assert set(seen) == set(SOURCES)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "CALM", replace(feeds.CALM, first_seconds=0.01))


def test_observing_records_the_version_of_every_feed_in_the_graph(
    directory: Path, instance: dg.DagsterInstance
) -> None:
    sources_file(directory)
    from dagster._core.definitions.observe import observe

    from creditrisk_assets.defs.feeds import FEEDS
    from creditrisk_assets.resources.platform import Platform

    chosen = [feed for feed in FEEDS if feed.key.path[-1] in APPLICATIONS]
    assert observe(chosen, instance=instance, resources={"platform": Platform()}).success
    record = instance.get_latest_data_version_record(dg.AssetKey(["feed", "application_train"]))
    assert record is not None
    metadata = record.event_log_entry.asset_observation.metadata
    assert metadata["address"].value == str(directory / "application_train.csv")


def test_a_table_names_the_feed_it_was_made_from_the_first_time_too(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster notes what a table depends on before the table looks; a table made a moment ago would be shown as out of date."""
    sources_file(directory)
    monkeypatch.setenv("DAGSTER_HOME", str(Settings().dagster_home))
    for _ in range(2):
        assert run().failures == []
        with dg.DagsterInstance.get() as instance:
            (made,) = instance.fetch_materializations(dg.AssetKey(["raw", "bureau"]), limit=1).records
        taken = Lake(Settings().lake).require("raw/bureau").manifest.inputs["feed/bureau"]
        assert made.asset_materialization.tags["dagster/input_data_version/feed/bureau"] == taken
        lines = (directory / "bureau.csv").read_text().splitlines(keepends=True)
        (directory / "bureau.csv").write_text("".join(lines[:-1]))
