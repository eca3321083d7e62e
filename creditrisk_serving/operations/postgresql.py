"""Databases on PostgreSQL in a backup: by the server's own tools, where they are installed.

What belongs here: calling `pg_dump` and `pg_restore`. What does not: what is in a backup (`backup`).
"""

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL


class PostgresqlError(RuntimeError):
    """A tool of PostgreSQL failed; the message is its own last line, which holds no password."""


def can_dump() -> bool:
    """Tell whether the tools are installed."""
    return shutil.which("pg_dump") is not None and shutil.which("pg_restore") is not None


def dump(url: URL, path: Path) -> None:
    """Write one database as it is at one moment.

    Raises
    ------
    PostgresqlError
        It failed; the message says why.
    """
    _run(url, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")


def restore(url: URL, path: Path) -> None:
    """Write a dump into an empty database, all of it or nothing.

    Raises
    ------
    PostgresqlError
        The database is not empty, or it failed.
    """
    engine = create_engine(url, hide_parameters=True)
    try:
        if tables := inspect(engine).get_table_names():
            raise PostgresqlError(f"the database {url.database} is not empty ({len(tables)} tables); give an empty one")
    finally:
        engine.dispose()
    _run(url, "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", str(path))


def _run(url: URL, tool: str, *options: str) -> None:
    place = url.set(drivername="postgresql", password=None).render_as_string()
    secret = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    command = [tool, *options, f"--dbname={place}"]
    done = subprocess.run(command, env=os.environ | secret, capture_output=True, text=True, check=False)  # noqa: S603 -- no shell
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise PostgresqlError(f"{tool} failed with exit code {done.returncode}: {words}")
