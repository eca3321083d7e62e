"""Schemas: what a release makes is what its revisions make; older and newer ones are refused in words, and brought up and down."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, text
from typer.testing import CliRunner

from creditrisk_assets.monitoring.alerts.store import AlertStore, AlertStoreError
from creditrisk_assets.schema_version import SchemaError
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_serving.cli import app as serving_commands
from creditrisk_serving.decisions import database as decisions
from creditrisk_serving.online.store import OnlineStore, OnlineStoreError
from creditrisk_serving.operations.commands import app
from creditrisk_serving.operations.databases import OwnDatabase, own_databases
from creditrisk_serving.operations.migration import MigrationError, migrate, run_revisions
from creditrisk_serving.settings import ServingSettings

FIRST = {
    "decision_log": "decision_log_0001",
    "online_store": "online_store_0001",
    "alerts": "alerts_0001",
    "ledger": "ledger_0001",
}
EVERY = tuple(FIRST)


@pytest.fixture(params=["sqlite", "postgresql"])
def own(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], OwnDatabase]:
    """Name one of the platform's databases, empty, on SQLite or a real PostgreSQL."""
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path / "home"))
    if request.param == "postgresql":
        url = request.getfixturevalue("empty_postgresql")
        for name in ("ONLINE_STORE", "ALERTS_DATABASE", "REGISTRY_DATABASE", "SERVING_DECISIONS_URL"):
            monkeypatch.setenv(f"CREDITRISK_{name}", url)
    found = {one.schema.name: one for one in own_databases(ServingSettings())}
    return found.__getitem__


def run(database: OwnDatabase, statement: str) -> None:
    engine = create_engine(database.url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def differences(database: OwnDatabase) -> list:
    """Compare a database with what the release declares, the tables of others left out."""
    engine = create_engine(database.url)
    try:
        with engine.connect() as connection:
            options = {"include_object": lambda _o, name, kind, *_: kind != "table" or name in database.tables.tables}
            return compare_metadata(MigrationContext.configure(connection, opts=options), database.tables)
    finally:
        engine.dispose()


def made_by_first_revision(database: OwnDatabase) -> None:
    """Make an empty database as the first revision does."""
    database.adopt()
    for table in reversed(database.tables.sorted_tables):
        run(database, f"drop table {table.name}")
    run(database, f"drop table {database.schema.table.name}")
    engine = create_engine(database.url)
    with engine.begin() as connection:
        run_revisions(connection, database, FIRST[database.schema.name])
    engine.dispose()


@pytest.mark.parametrize("name", EVERY)
def test_the_revisions_make_what_a_release_makes_and_what_it_makes_has_the_last_revision(own, name: str) -> None:
    database = own(name)
    database.adopt()
    assert differences(database) == []
    assert migrate(database) == (database.schema.head, database.schema.head)
    made_by_first_revision(database)
    assert migrate(database) == (FIRST[name], database.schema.head)
    assert differences(database) == []


@pytest.mark.parametrize("name", ["decision_log", "alerts"])
def test_down_and_up_again(own, name: str) -> None:
    database = own(name)
    database.adopt()
    assert migrate(database, FIRST[name]) == (database.schema.head, FIRST[name])
    assert len(differences(database)) == {"decision_log": 7, "alerts": 1}[name]
    assert migrate(database) == (FIRST[name], database.schema.head)
    assert differences(database) == []


@pytest.mark.parametrize("name", EVERY)
def test_a_database_of_a_release_without_versions_is_recognised(own, name: str) -> None:
    database = own(name)
    assert migrate(database) == (None, None), "what is not there is not made"
    database.adopt()
    run(database, f"drop table {database.schema.table.name}")
    assert migrate(database) == (None, database.schema.head)
    assert differences(database) == []


def test_a_downgrade_that_would_break_chains_is_refused_and_changes_nothing(own) -> None:
    database = own("decision_log")
    database.adopt()
    engine = create_engine(database.url)
    row = {c.name: 1 if c.type.python_type is not str else "x" for c in decisions.DECISIONS.columns} | dict.fromkeys(
        ("reasons", "shadow")
    )
    with engine.begin() as connection:
        connection.execute(insert(decisions.DECISIONS), [row])
    engine.dispose()
    with pytest.raises(RuntimeError, match=r"1 decisions hold a rule or a latency.*restore the backup"):
        migrate(database, "decision_log_0001")  # after the steps from 0005, 0004 and 0003, which would have gone well
    assert differences(database) == []
    assert migrate(database) == (database.schema.head, database.schema.head)


@pytest.mark.parametrize("version", ["0000", "9999"])
def test_nobody_opens_a_database_of_another_schema(own, version: str) -> None:
    for name in EVERY:
        database = own(name)
        database.adopt()
        run(database, f"update {database.schema.table.name} set version_num = '{name}_{version}'")
    settings = ServingSettings()
    words = f"_{version}, this release reads .*`creditrisk migrate`"
    with pytest.raises(SchemaError, match=words):
        decisions.Database(settings.decision_log_url).check_schema()
    assert f"decision_log_{version}" in str(decisions.Database(settings.decision_log_url).problem())
    with pytest.raises(OnlineStoreError, match=words):
        OnlineStore(settings.platform.online, settings.platform.online_store_url).current()
    with pytest.raises(AlertStoreError, match=words):
        AlertStore(settings.platform.alerts_url).waiting()
    with pytest.raises(MigrationError, match=f"no revision alerts_{version}; it knows alerts_0001, alerts_0002"):
        migrate(own("alerts"))


def test_the_service_and_its_command_refuse_to_start_on_another_schema_in_one_line(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    decisions.Database(ServingSettings().decision_log_url).opened()
    with sqlite3.connect(published.home / "decisions.db") as connection:
        connection.execute("update decision_log_version set version_num = 'decision_log_0099'")
    connection.close()
    client = Client(published.home)
    with pytest.raises(SchemaError, match="decision_log_0099"):
        client.__enter__()
    client._runner.close()
    reply = CliRunner().invoke(serving_commands, ["serve", "--port", "18999"])
    assert str(reply.exception) == (
        "the database of the decision log is of schema decision_log_0099, this release reads decision_log_0005: stop what uses it "
        "and run `creditrisk migrate`, or run the release that wrote it"
    )


def test_the_command_says_what_became_of_each_and_refuses_what_no_database_has(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    reply = CliRunner().invoke(app, ["migrate"])
    assert [line.split(None, 1) for line in reply.stdout.splitlines()] == [
        ["decision_log", "not there yet"],
        ["online_store", "online_store_0001"],
        ["alerts", "not there yet"],
        ["ledger", "not there yet"],
    ]
    reply = CliRunner().invoke(app, ["migrate", "--to", "nothing_0001"])
    assert "no database has a revision nothing_0001" in str(reply.exception)
