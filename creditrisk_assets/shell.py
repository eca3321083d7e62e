"""The lake in DuckDB's own shell: every published table a view, named as it is in the lake, and nothing that can be written.

What belongs here: starting the shell on views of the versions that are current now. What does not: the commands (`cli`), what a feature
means (`exploring`), queries of assets (`resources.duckdb`).

The shell is the `duckdb` program of the package duckdb-cli. Its database is in memory and holds views alone; before the first query it is
put into safe mode, which cannot be left: no file can be read but those of the views, none written but below the spill directory (and the
history of what was typed, in the home directory), no setting changed, no program run, nothing downloaded. What safe mode does not know is
a file that may be read but not written: COPY over a published file, by its full path and told to use no temporary file, is left to the
rights on that file, and the next run would find it damaged and make it anew. A version directory is complete before a pointer names it
and never changes after, so a query sees whole tables, however long the shell stays open.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape

from creditrisk_assets.contracts.render.sql import identifier, literal, parquet
from creditrisk_assets.lake import DATA, POINTER, Lake, Version
from creditrisk_assets.resources.limits import limits
from creditrisk_assets.settings import Settings

Form = Literal["table", "json", "csv"]

HISTORY = "shell_history"
_FORMS: dict[Form, tuple[str, ...]] = {"table": (), "json": ("-json",), "csv": ("-csv", "-nullvalue", "")}


class ShellError(RuntimeError):
    """The shell cannot be opened, or a query failed; the message says why."""


def open_shell(settings: Settings) -> None:
    """Become DuckDB's shell on the lake; what is piped in is run, at a terminal it is typed.

    Raises
    ------
    ShellError
        Nothing is published yet, or the shell is not installed.
    LakeError
        A pointer or a manifest of the lake is damaged.
    """
    found = tables(Lake(settings.lake))
    command = _command(settings, found)
    if sys.stdin.isatty():
        Console(highlight=False, soft_wrap=True).print(
            f"{len(found)} tables of {escape(str(settings.lake))}, read only; `FROM lake.versions;` lists them, "
            "`FROM features.applicant LIMIT 5;` looks into one, `.quit` ends"
        )
    sys.stdout.flush()
    os.execve(command[0], command, _environment(settings))  # noqa: S606 -- a fixed program; it must have the terminal for itself


def query(settings: Settings, sql: str, form: Form) -> None:
    """Run SQL on the lake and print what it gives.

    Raises
    ------
    ShellError
        Nothing is published yet, the shell is not installed, or the SQL failed.
    LakeError
        A pointer or a manifest of the lake is damaged.
    """
    command = [*_command(settings, tables(Lake(settings.lake))), *_FORMS[form], "-c", sql]
    sys.stdout.flush()
    done = subprocess.run(  # noqa: S603 -- a fixed program
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=_environment(settings), check=False
    )
    if done.returncode not in (0, -signal.SIGPIPE):  # the reader of a pipe has seen enough: no error
        said, _, _ = done.stderr.partition("\n\nLINE ")  # what follows repeats the query
        raise ShellError(" ".join(said.split()) or f"the DuckDB shell ended with code {done.returncode}")


def tables(lake: Lake) -> list[Version]:
    """Find the last good version of every table, by key.

    Raises
    ------
    ShellError
        There is none.
    LakeError
        A pointer or a manifest is damaged.
    """
    keys = ("/".join(pointer.parts[-3:-1]) for pointer in sorted(lake.root.glob(f"*/*/{POINTER}")))
    found = [version for version in map(lake.require, keys) if DATA in version.manifest.files]
    if not found:
        raise ShellError(f"no table is published in {lake.root}; run `creditrisk run` first")
    return found


def _command(settings: Settings, found: list[Version]) -> list[str]:
    settings.spill.mkdir(parents=True, exist_ok=True)
    return [str(_program()), "-no-init", "-cmd", ";\n".join(_statements(settings, found)), "-cmd", ".safe_mode"]


def _program() -> Path:
    spec = find_spec("duckdb_cli")
    program = Path(spec.origin).with_name("duckdb") if spec and spec.origin else None
    if program is None or not program.is_file():
        raise ShellError("the DuckDB shell (the package duckdb-cli) is not installed; run `make setup`")
    return program


def _statements(settings: Settings, found: list[Version]) -> Iterator[str]:
    for name, value in limits(settings).items():
        yield f"SET {name} = {literal(value)}"
    yield f"SET allowed_paths = [{', '.join(literal(str(version.data)) for version in found)}]"
    for schema in ("lake", *dict.fromkeys(_name(version)[0] for version in found)):
        yield f"CREATE SCHEMA {identifier(schema)}"
    for version in found:
        name = ".".join(identifier(part) for part in _name(version))
        yield f"CREATE VIEW {name} AS SELECT * FROM {parquet(version.data)}"  # noqa: S608 -- quoted names and paths
    rows = ", ".join(_about(version) for version in found)
    yield f'CREATE VIEW lake.versions AS SELECT * FROM (VALUES {rows}) AS v("table", version, published_at, "rows")'  # noqa: S608


def _name(version: Version) -> tuple[str, str]:
    layer, _, table = version.manifest.key.partition("/")
    return layer, table


def _about(version: Version) -> str:
    """Write a row of `lake.versions`."""
    manifest = version.manifest
    rows = manifest.metadata["facts"].get("rows")
    cells = (
        literal(".".join(_name(version))),
        literal(manifest.version),
        f"{literal(manifest.created_at)}::timestamptz",
    )
    return f"({', '.join(cells)}, {'NULL' if rows is None else literal(rows)})"


def _environment(settings: Settings) -> dict[str, str]:
    """Keep the shell's history with everything else, below the home directory."""
    return os.environ | {"DUCKDB_HISTORY": str(settings.root / HISTORY)}
