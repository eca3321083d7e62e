"""`creditrisk shell`: the lake in DuckDB's own shell, whole versions only, and nothing written."""

import csv
import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from creditrisk_assets.cli import app
from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_assets.settings import Settings
from creditrisk_assets.shell import ShellError, tables

COMMAND = Path(sys.executable).with_name("creditrisk")


def publish(lake: Lake, key: str, select_: str) -> Version:
    with lake.draft(key) as draft, duckdb.connect() as con:
        con.sql(select_).write_parquet(str(draft.data))
        rows = con.execute(f"select count(*) from ({select_})").fetchone()
        assert rows is not None
        return lake.publish(draft, code_version="1", inputs={}, metadata={"facts": {"rows": rows[0]}, "checks": []})


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Two tables below a home whose name has to be quoted, and an artefact that is no table."""
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path / 'an analyst\'s "home"'))
    lake = Lake(Settings().lake)
    publish(lake, "raw/bureau", "select range as id, 'Zürich' as city from range(3)")
    publish(lake, "features/applicant", "select 1.5::double as x, null::double as y")
    with lake.draft("model/pd") as draft:
        (draft.path / "model.txt").write_text("trees")
        lake.publish(draft, code_version="1", inputs={}, metadata={"facts": {}, "checks": []})
    return lake


def ask(sql: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["shell", "--sql", sql, *options])


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_query_is_answered_for_machines(lake: Lake, form: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert ask("select city, count(*) as n from raw.bureau, features.applicant group by city", form).exit_code == 0
    text = capfd.readouterr().out
    if form == "--json":
        assert json.loads(text) == [{"city": "Zürich", "n": 3}]
    else:
        assert list(csv.DictReader(io.StringIO(text))) == [{"city": "Zürich", "n": "3"}]


def test_a_query_is_answered_for_people_and_null_is_an_empty_cell_of_csv(
    lake: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    ask("from features.applicant")
    table = capfd.readouterr().out
    assert "│" in table
    assert "NULL" in table
    ask("from features.applicant", "--csv")
    assert capfd.readouterr().out.splitlines() == ["x,y", "1.5,"]


def test_every_table_of_a_materialized_graph_is_a_view_with_all_its_rows(
    in_graph: object, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings()
    found = tables(Lake(settings.lake))
    names = [version.manifest.key.replace("/", ".") for version in found]
    layers = {"raw", "quarantine", "features", "training", "model", "monitoring", "governance", "registry", "serving"}
    assert {name.split(".")[0] for name in names} == layers
    counts = " union all ".join(f"select '{name}' as \"table\", count(*) as n from {name}" for name in names)
    ask(f'select c.*, v.version, v.rows from ({counts}) c join lake.versions v using ("table")', "--json")
    rows = {row["table"]: row for row in json.loads(capfd.readouterr().out)}
    assert set(rows) == set(names)
    for name, version in zip(names, found, strict=True):
        assert rows[name]["version"] == version.version
        assert rows[name]["n"] == rows[name]["rows"] == version.manifest.metadata["facts"]["rows"]


def test_the_version_that_the_pointer_names_is_seen_and_nothing_unfinished(
    lake: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    first = lake.require("raw/bureau")
    publish(lake, "raw/bureau", "select range as id from range(100)")
    lake.restore("raw/bureau", first.version)
    with lake.draft("raw/bureau") as draft:
        draft.data.write_bytes(b"half a table")
        half = lake.root / "raw" / "unfinished" / "versions" / "1"
        half.mkdir(parents=True)
        (half / "data.parquet").write_bytes(b"half a table")
        ask("select (select count(*) from raw.bureau) as n, (select count(*) from lake.versions) as tables", "--json")
    assert json.loads(capfd.readouterr().out) == [{"n": 3, "tables": 2}]


def test_an_open_shell_goes_on_with_the_versions_it_was_opened_on(lake: Lake) -> None:
    with subprocess.Popen([COMMAND, "shell"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(".mode csv\nselect count(*) as n from raw.bureau;\n")
        shell.stdin.flush()
        assert [shell.stdout.readline().strip() for _ in range(2)] == ["n", "3"]
        publish(lake, "raw/bureau", "select range as id from range(100)")
        shell.stdin.write("select count(*) as n from raw.bureau;\n")
        shell.stdin.close()
        assert shell.stdout.read().split() == ["n", "3"]
    assert shell.returncode == 0


def test_limits_are_those_of_the_settings_and_cannot_be_changed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDITRISK_MEMORY_LIMIT", "100MiB")
    monkeypatch.setenv("CREDITRISK_THREADS", "1")
    names = ("memory_limit", "threads", "temp_directory")
    ask(f"select {', '.join(f'current_setting({name!r}) as {name}' for name in names)}", "--json")
    (found,) = json.loads(capfd.readouterr().out)
    assert found == {"memory_limit": "100.0 MiB", "threads": 1, "temp_directory": str(Settings().spill)}
    assert "the configuration has been locked" in str(ask("set threads = 2").exception)


def test_more_than_the_memory_is_spilled_below_the_home_directory(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDITRISK_MEMORY_LIMIT", "60MB")
    monkeypatch.setenv("CREDITRISK_THREADS", "1")
    sql = "create table t as select range as i, hash(range) as h from range(4000000); from duckdb_temporary_files()"
    assert ask(sql, "--json").exception is None
    spilled = json.loads(capfd.readouterr().out)
    assert spilled
    assert all(row["path"].startswith(str(Settings().spill)) for row in spilled)
    assert not list(Settings().spill.iterdir())


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to 'out.csv'",
        "copy (select 1 as id) to '{published}'",
        "export database 'out'",
        "attach 'out.duckdb'",
        ".output out.txt",
        ".once out.txt",
        ".log out.txt",
        ".open out.duckdb",
        ".shell touch out.txt",
        "set enable_external_access = true",
        "set allowed_directories = ['.']",
        "from read_csv('{secret}')",
        "from '{secret}'",
        "select getenv('HOME')",
        "install httpfs",
        "insert into raw.bureau values (4, 'Bern')",
    ],
)
def test_nothing_else_is_read_and_nothing_is_written(
    lake: Lake, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    secret = tmp_path / "secret.csv"
    secret.write_text("key\nhunter2\n")
    published = lake.require("raw/bureau").data
    before = published.read_bytes()
    names = {"published": str(published).replace("'", "''"), "secret": str(secret).replace("'", "''")}
    result = ask(sql.format_map(names))
    assert isinstance(result.exception, ShellError)
    assert "hunter2" not in capfd.readouterr().out
    assert not list(work.iterdir())
    assert published.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sql", "from raw.bureaux"], 'error: Catalog Error: Table with name bureaux does not exist! Did you mean "'),
        (["--sql", "selec 1"], 'error: Parser Error: syntax error at or near "selec"'),
        (["--json"], "error: --json and --csv are for one query; give it with --sql"),
        (["--sql", "select 1", "--json", "--csv"], "error: give --json or --csv, not both"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(lake: Lake, arguments: list[str], says: str) -> None:
    done = subprocess.run([COMMAND, "shell", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(says)
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_has_seen_enough_is_no_error(lake: Lake) -> None:
    many = f"{COMMAND} shell --csv --sql 'from range(1000000)' | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", many], capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == (["range", "0"], "")


def test_without_a_table_it_says_what_to_run() -> None:
    for arguments in ([], ["--sql", "select 1"]):
        result = CliRunner().invoke(app, ["shell", *arguments])
        assert isinstance(result.exception, ShellError)
        assert "run `creditrisk run` first" in str(result.exception)
    assert not Settings().root.exists()


def test_a_damaged_pointer_is_named(lake: Lake) -> None:
    (lake.root / "raw" / "bureau" / "CURRENT").write_text("{")
    result = ask("select 1")
    assert isinstance(result.exception, LakeError)
    assert "raw/bureau: the pointer" in str(result.exception)


def test_a_damaged_table_is_named_and_no_query_runs(lake: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    damaged = lake.require("raw/bureau").data
    damaged.write_bytes(b"no Parquet")
    result = ask("select 1 as one", "--json")
    assert isinstance(result.exception, ShellError)
    assert str(damaged) in str(result.exception)
    assert capfd.readouterr().out == ""


def test_a_shell_that_is_not_installed_is_said(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb_cli", None)
    result = ask("select 1")
    assert isinstance(result.exception, ShellError)
    assert "run `make setup`" in str(result.exception)


def test_at_a_terminal_it_is_duckdb_s_shell_and_its_history_stays_below_the_home_directory(
    lake: Lake, tmp_path: Path
) -> None:
    user = tmp_path / "user"
    user.mkdir()
    (user / ".duckdbrc").write_text("select 'read from the rc file';\n")
    terminal, end = pty.openpty()
    environment = os.environ | {"TERM": "dumb", "HOME": str(user)}
    with subprocess.Popen([COMMAND, "shell"], stdin=end, stdout=end, stderr=end, env=environment) as shell:
        os.close(end)
        seen = _type(terminal, "select 40 + count(*) as answer from features.applicant;\r.quit\r")
    os.close(terminal)
    assert shell.returncode == 0
    assert "2 tables of " in seen
    assert "41" in seen
    assert "read from the rc file" not in seen
    assert "select 40 + count(*)" in (Settings().root / "shell_history").read_text()
    assert [path.name for path in user.iterdir()] == [".duckdbrc"]


def _type(terminal: int, keys: str) -> str:
    """Type at a terminal once it asks for input, answering what the shell asks it, and return all it showed."""
    seen, typed, end = b"", False, time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            new = os.read(terminal, 65536)
        except OSError:  # the other end is gone
            break
        seen += new
        if b"\x1b]11;?" in new:  # which background colour?
            os.write(terminal, b"\x1b]11;rgb:0000/0000/0000\x07\x1b[?62;c")
        if not typed and b"D " in seen.rpartition(b"\n")[2]:
            typed = True
            os.write(terminal, keys.encode())
    return seen.decode(errors="replace")
