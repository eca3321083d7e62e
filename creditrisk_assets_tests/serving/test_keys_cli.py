"""The commands that make, list, replace and revoke keys, and what they leave behind."""

import json
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from creditrisk_serving.access import Key, KeyChangeError, KeyFile, Scope, create_key, hash_key, read_keys, rotate_key
from creditrisk_serving.access.administration import audit_file
from creditrisk_serving.keys_cli import app

CHANGES = """
import sys
from pathlib import Path
from creditrisk_serving.access import Scope, create_key, rotate_key, revoke_key
from datetime import timedelta
path, name = Path(sys.argv[1]), sys.argv[2]
for i in range(15):
    create_key(path, f"{name}-{i}", scopes=[Scope.SCORE])
    (revoke_key(path, f"{name}-{i}") if i % 2 else rotate_key(path, f"{name}-{i}", grace=timedelta(hours=1)))
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path))
    return tmp_path / "keys" / "api_keys.json"


def run(*options: str) -> Result:
    return CliRunner().invoke(app, options)


def told(*options: str) -> Any:
    done = run(*options, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def notes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit_file(path).read_text().splitlines()]


def test_a_made_key_opens_what_it_was_made_for_and_is_shown_once(path: Path) -> None:
    made = told("create", "lender", "--scope", "explain", "--scope", "score", "--expires", "90d", "--rate", "100/s")
    caller = KeyFile(path).caller(made["key"])
    assert caller is not None
    assert (caller.key_id, caller.scopes, str(caller.rate)) == ("lender", {Scope.SCORE, Scope.EXPLAIN}, "100/s")
    (kept,) = read_keys(path)
    assert kept.created_at is not None
    assert kept.expires_at == kept.created_at + timedelta(days=90)
    (listed,) = told("list")
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert listed["state"] == "valid"
    for text in (path.read_text(), audit_file(path).read_text(), run("list").output):
        assert made["key"] not in text
    assert kept.sha256 not in run("list").output


def test_both_files_are_private(path: Path) -> None:
    run("create", "a", "--scope", "score")
    for each in (path, audit_file(path)):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600


def test_text_shows_the_key_and_what_it_is_for(path: Path) -> None:
    done = run("create", "a", "--scope", "monitor")
    assert "crk_" in done.output
    assert "monitor" in done.output
    done = run("rotate", "a")
    assert done.output.count("crk_") == 1
    assert "valid" in run("list").output


def test_a_rotated_key_takes_over_name_scopes_rate_and_lifetime(path: Path) -> None:
    first = told("create", "a", "--scope", "score", "--rate", "5/m", "--expires", "30d")
    second = told("rotate", "a", "--grace", "2h")
    names = ("name", "scopes", "rate", "state")
    assert [second[name] for name in names] == [first[name] for name in names]
    old, new = read_keys(path)
    assert new.created_at is not None
    assert new.expires_at == new.created_at + timedelta(days=30)
    assert old.expires_at == new.created_at + timedelta(hours=2)
    third = told("rotate", "a", "--grace", "0s", "--expires", "1d")
    (only,) = read_keys(path)
    assert only.created_at is not None
    assert only.expires_at == only.created_at + timedelta(days=1)
    keys = KeyFile(path)
    assert [keys.caller(one["key"]) is not None for one in (first, second, third)] == [False, False, True]


def test_a_grace_never_lengthens_what_a_key_was_made_for(path: Path) -> None:
    told("create", "a", "--scope", "score", "--expires", "1h")
    (before,) = read_keys(path)
    told("rotate", "a", "--grace", "9d")
    assert read_keys(path)[0].expires_at == before.expires_at


def test_a_revoked_key_stays_listed_and_its_name_taken(path: Path) -> None:
    key = told("create", "a", "--scope", "score")["key"]
    assert run("revoke", "a").exit_code == 0
    assert KeyFile(path).caller(key) is None
    assert told("list")[0]["state"] == "revoked"
    for again in (("create", "a", "--scope", "score"), ("rotate", "a"), ("revoke", "a")):
        assert isinstance(run(*again).exception, KeyChangeError)
    assert told("list")[0]["state"] == "revoked"


def test_a_key_from_before_there_were_scopes_is_listed_as_what_it_opens(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"keys": [{"id": "old", "sha256": hash_key("k")}]}))
    path.chmod(0o600)
    assert told("list")[0]["scopes"] == ["admin"]
    told("rotate", "old")
    assert [key["scopes"] for key in told("list")] == [["admin"], ["admin"]]


def test_an_expired_key_is_listed_as_such(path: Path) -> None:
    create_key(path, "a", scopes=[Scope.SCORE], lifetime=timedelta(seconds=-1))
    assert told("list")[0]["state"] == "expired"


@pytest.mark.parametrize(
    "options",
    [
        ["create", "a"],
        ["create", "a", "--scope", "all"],
        ["create", "a", "--scope", "score", "--rate", "0/s"],
        ["create", "a", "--scope", "score", "--expires", "soon"],
        ["create", "a", "--scope", "score", "--expires", "-1d"],
        ["create", "a b", "--scope", "score"],
        ["create", "", "--scope", "score"],
        ["create", "a" * 65, "--scope", "score"],
        ["rotate", "a"],
        ["revoke", "a"],
    ],
)
def test_what_cannot_be_done_changes_nothing(path: Path, options: list[str]) -> None:
    assert run(*options).exit_code != 0
    assert not path.exists()
    assert not audit_file(path).exists() or not notes(path)


def test_every_change_leaves_a_line_without_what_opens_anything(path: Path) -> None:
    key = told("create", "a", "--scope", "score", "--rate", "5/m")["key"]
    run("rotate", "a")
    run("revoke", "a")
    assert [(note["event"], note["key_id"]) for note in notes(path)] == [
        ("key_created", "a"),
        ("key_rotated", "a"),
        ("key_revoked", "a"),
    ]
    assert notes(path)[0]["scopes"] == ["score"]
    assert set(notes(path)[0]) == {"time", "event", "key_id", "scopes", "rate", "expires_at", "uid"}
    text = audit_file(path).read_text()
    assert not any(secret in text for secret in (key, hash_key(key), *(kept.sha256 for kept in read_keys(path))))


def test_a_file_that_cannot_be_read_is_not_overwritten(path: Path) -> None:
    run("create", "a", "--scope", "score")
    path.write_text("{")
    assert run("create", "b", "--scope", "score").exit_code != 0
    assert path.read_text() == "{"


def test_processes_that_change_the_keys_at_once_lose_nothing(path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", CHANGES, str(path), name], stderr=subprocess.PIPE) for name in "abc"
    ]
    for process in running:
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    kept: dict[str, list[Key]] = {}
    for key in read_keys(path):
        kept.setdefault(key.id, []).append(key)
    assert {name: len(keys) for name, keys in kept.items()} == {
        f"{n}-{i}": 1 + (i % 2 == 0) for n in "abc" for i in range(15)
    }
    assert all(keys[-1].revoked_at is not None for name, keys in kept.items() if int(name[2:]) % 2)
    assert len(notes(path)) == 90


def test_keys_that_are_over_are_forgotten_when_their_name_is_rotated(path: Path) -> None:
    create_key(path, "a", scopes=[Scope.SCORE])
    for _ in range(5):
        rotate_key(path, "a", grace=timedelta(0))
    (only,) = read_keys(path)
    assert only.created_at is not None
    assert only.created_at <= datetime.now(UTC)


def test_the_command_is_part_of_creditrisk(path: Path) -> None:
    code = "from creditrisk_assets.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "keys", "revoke", "nobody"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "no key is named nobody" in done.stderr
    assert "Traceback" not in done.stderr
