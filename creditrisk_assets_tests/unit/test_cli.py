"""What a person at a terminal sees of an error that no command foresaw."""

import sqlite3
from collections.abc import Callable

import duckdb
import pytest
import sqlalchemy.exc

from creditrisk_assets import cli


def failing(error: Exception) -> Callable[[], None]:
    def command() -> None:
        raise error

    command.registered_commands = []  # type: ignore[attr-defined]
    return command


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            sqlalchemy.exc.OperationalError(
                "insert :name", {"name": "Q-secret"}, sqlite3.OperationalError("disk full")
            ),
            "the database refused: disk full",
        ),
        (duckdb.IOException("IO Error: No space left\nsecond line"), "IO Error: No space left"),
        (ValueError("say what to do"), "say what to do"),
    ],
)
def test_an_error_of_a_database_is_one_line_without_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda **_: [])
    monkeypatch.setattr(cli, "app", failing(error))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert words in said
    assert said.count("\n") == 1
    assert "secret" not in said


def test_an_error_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversion error of DuckDB quotes the value it could not convert, so it is no line for a terminal either."""
    monkeypatch.setattr(cli, "entry_points", lambda **_: [])
    for error in (KeyError("a defect"), duckdb.ConversionException("Could not convert 'Q' to INT32")):
        monkeypatch.setattr(cli, "app", failing(error))
        with pytest.raises(type(error)):
            cli.main()
