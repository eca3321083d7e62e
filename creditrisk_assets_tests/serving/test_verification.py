"""The hash chain and its checkpoints: whatever is done to a stored record is found and named."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from creditrisk_assets.modelling.signing import public_bytes
from creditrisk_assets_tests.serving.records import record
from creditrisk_serving.cli import app
from creditrisk_serving.decisions import database as stored
from creditrisk_serving.decisions.chain import genesis, link
from creditrisk_serving.decisions.checkpoints import CheckpointError, read_checkpoints
from creditrisk_serving.decisions.database import Database, reading
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.verification import Verification, checkpoint_log, verify_log

KEY = Ed25519PrivateKey.generate()
PUBLIC = public_bytes(KEY)
COPY = "insert into decisions select 'x' || substr(decision_id, 2), {columns}, writer, {sequence}, hash from decisions where sequence = 5"
OTHERS = ", ".join(
    column.name
    for column in stored.DECISIONS.columns
    if column.name not in {"decision_id", "writer", "sequence", "hash"}
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'decisions.db'}"
    return request.getfixturevalue("empty_postgresql")


def write(url: str, root: Path, count: int = 8) -> list[str]:
    log = DecisionLog(url, root / "journal")
    log.start()
    ids = [f"{number:032d}" for number in range(1, count + 1)]
    for one in ids:
        log.store([record(decision_id=one)])
    assert log.flush()
    log.close()
    return ids


def verify(url: str, checkpoints: Path) -> Verification:
    database = Database(url)
    try:
        return verify_log(database, read_checkpoints(checkpoints, PUBLIC))
    finally:
        database.close()


def sign(url: str, checkpoints: Path) -> None:
    database = Database(url)
    try:
        checkpoint_log(database, checkpoints, KEY, PUBLIC)
    finally:
        database.close()


def change(url: str, *statements: str) -> None:
    database = Database(url)
    with database.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    database.close()


def test_a_log_left_alone_is_as_written(url: str, tmp_path: Path) -> None:
    write(url, tmp_path)
    found = verify(url, tmp_path / "none.jsonl")
    assert (found.records, found.chains, found.unchained, found.findings) == (8, 1, 0, [])
    sign(url, tmp_path / "c.jsonl")
    found = verify(url, tmp_path / "c.jsonl")
    assert (found.checkpoints, found.findings) == (1, [])


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["update decisions set pd = 0.3 where sequence = 5"], [("changed", 5)]),
        (["update decisions set input = '{\"application\":null}' where sequence = 5"], [("changed", 5)]),
        (["update decisions set decision = 'approve', band = 'A' where sequence = 1"], [("changed", 1)]),
        (["update decisions set applicant_id = 1 where sequence = 8"], [("changed", 8)]),
        (["delete from decisions where sequence = 5"], [("removed", 5)]),
        (["delete from decisions where sequence in (3, 4)"], [("removed", 3)]),
        (["delete from decisions where sequence = 8"], [("removed", 8)]),
        (["delete from decisions"], [("removed", 1)]),
        (
            [
                "update decisions set sequence = 0 where sequence = 4",
                "update decisions set sequence = 4 where sequence = 5",
                "update decisions set sequence = 5 where sequence = 0",
            ],
            [("moved", 4), ("moved", 5), ("moved", 6)],
        ),
        ([COPY.format(columns=OTHERS, sequence=5)], [("inserted", 5)]),
        ([COPY.format(columns=OTHERS, sequence=9)], [("changed", 9), ("inserted", 9)]),
    ],
)
def test_what_was_done_to_a_record_is_named(
    url: str, tmp_path: Path, statements: list[str], expected: list[tuple[str, int]]
) -> None:
    write(url, tmp_path)
    change(url, *statements)
    found = verify(url, tmp_path / "none.jsonl").findings
    assert sorted((finding.kind, finding.sequence) for finding in found) == sorted(expected)


def test_every_byte_of_a_record_counts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    write(url, tmp_path, 1)
    for column in stored.DECISIONS.columns:
        value = "writer" if column.name in {"writer", "sequence"} else f"'1' || {column.name}"
        if column.name in {"writer", "sequence"}:
            continue
        change(url, "create table if not exists kept as select * from decisions")
        change(url, f"update decisions set {column.name} = coalesce({value}, 'x')")
        assert verify(url, tmp_path / "none.jsonl").findings, column.name
        change(url, "delete from decisions", "insert into decisions select * from kept")
        assert verify(url, tmp_path / "none.jsonl").findings == []


def remake(database: Path, after: int) -> None:
    """Do what a holder of the database alone can: change a record and make the rest of the chain anew."""
    opened = Database(f"sqlite:///{database}")
    (writer,) = opened.writers()
    links = list(opened.links(writer, 0))
    opened.close()
    digest = genesis(writer)
    with sqlite3.connect(database) as connection:
        for one in links:
            entry = one.entry.replace(b'"refer"', b'"decline"') if one.sequence == after else one.entry
            digest = link(digest, entry)
            connection.execute("update decisions set hash = ? where sequence = ?", (digest, one.sequence))
        connection.execute("update decisions set decision = 'decline' where sequence = ?", (after,))
        connection.execute("update writers set hash = ?", (digest,))
    connection.close()


def forget_the_last(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("delete from decisions where sequence = 8")
        connection.execute("update writers set sequence = 7, hash = (select hash from decisions where sequence = 7)")
    connection.close()


def forget_everything(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("delete from decisions")
        connection.execute("delete from writers")
    connection.close()


@pytest.mark.parametrize(
    ("forgery", "kind"),
    [
        (lambda path: remake(path, 3), "rewritten"),
        (forget_the_last, "removed"),
        (forget_everything, "removed"),
    ],
)
def test_what_the_chain_alone_cannot_show_the_checkpoint_does(
    tmp_path: Path, forgery: Callable[[Path], None], kind: str
) -> None:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    write(url, tmp_path)
    sign(url, tmp_path / "c.jsonl")
    forgery(tmp_path / "decisions.db")
    assert verify(url, tmp_path / "none.jsonl").findings == []
    assert [finding.kind for finding in verify(url, tmp_path / "c.jsonl").findings] == [kind]


def test_a_record_outside_every_chain_is_found_by_the_checkpoint(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    write(url, tmp_path)
    sign(url, tmp_path / "c.jsonl")
    change(url, COPY.format(columns=OTHERS, sequence="null"))
    assert [finding.kind for finding in verify(url, tmp_path / "c.jsonl").findings] == ["unchained"]


def test_a_checkpoint_signs_no_log_that_is_not_as_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    write(url, tmp_path)
    sign(url, tmp_path / "c.jsonl")
    write(url, tmp_path / "later", 0)
    log = DecisionLog(url, tmp_path / "journal")
    log.start()
    log.store([record()])
    log.close()
    change(url, "update decisions set pd = 0.5 where sequence = 1 and decision_id not like '0000%'")
    with pytest.raises(CheckpointError, match="nothing was signed"):
        sign(url, tmp_path / "c.jsonl")


def test_checkpoints_are_chained_and_signed(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path / 'decisions.db'}", tmp_path / "c.jsonl"
    write(url, tmp_path, 2)
    sign(url, path)
    sign(url, path)
    sign(url, path)
    assert [len(one.changed) for one in read_checkpoints(path, PUBLIC).signed] == [1, 0, 0]
    lines = path.read_bytes().splitlines(keepends=True)
    for content in (lines[1:], lines[:1] + lines[2:], [lines[1], lines[0], lines[2]], [lines[0].replace(b"2", b"3")]):
        (tmp_path / "forged.jsonl").write_bytes(b"".join(content))
        with pytest.raises(CheckpointError, match="line"):
            read_checkpoints(tmp_path / "forged.jsonl", PUBLIC)
    with pytest.raises(CheckpointError, match="trusted key"):
        read_checkpoints(path, public_bytes(Ed25519PrivateKey.generate()))


def test_checkpoints_go_on_with_another_key_and_not_back(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path / 'decisions.db'}", tmp_path / "c.jsonl"
    new = Ed25519PrivateKey.generate()
    both = public_bytes(new) + PUBLIC
    write(url, tmp_path, 2)
    sign(url, path)
    with reading(url) as database:
        checkpoint_log(database, path, new, both)
        assert len(read_checkpoints(path, both).signed) == 2
        checkpoint_log(database, path, KEY, both)
    with pytest.raises(CheckpointError, match="line 3: signed by a key that had been replaced"):
        read_checkpoints(path, both)


def test_a_page_boundary_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    write(url, tmp_path)
    change(url, COPY.format(columns=OTHERS, sequence=5))
    for page in (1, 2, 5):
        monkeypatch.setattr(stored, "PAGE", page)
        assert [finding.kind for finding in verify(url, tmp_path / "none.jsonl").findings] == ["inserted"]


def test_the_commands_sign_and_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    write(url, tmp_path)
    runner = CliRunner()
    signed = runner.invoke(app, ["checkpoint-log"])
    assert signed.exit_code == 0, signed.output
    assert (tmp_path / "checkpoints" / "decision_log.jsonl").exists()
    whole = runner.invoke(app, ["verify-log"])
    assert whole.exit_code == 0
    assert "8 records in 1 chains, 1 checkpoints, 0 records without a chain: as written" in whole.output
    change(url, "update decisions set pd = 0.3 where sequence = 5")
    found = runner.invoke(app, ["verify-log"])
    assert found.exit_code == 1
    assert f"decision {5:032d}" in found.output
    assert '"changed"' in runner.invoke(app, ["verify-log", "--json"]).output
