"""Bringing the platform's own databases from one schema to another.

What belongs here: running revisions. What does not: the revisions (`creditrisk_serving.migrations`), which databases there are
(`databases`).
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, inspect

from creditrisk_serving import migrations
from creditrisk_serving.operations.databases import OwnDatabase

PLACE = Path(migrations.__file__).parent


class MigrationError(RuntimeError):
    """A database cannot be brought to a revision; the message says why."""


def migrate(database: OwnDatabase, to: str | None = None) -> tuple[str | None, str | None]:
    """Bring a database to a revision: the one this release reads, or another.

    Parameters
    ----------
    database
        One without a version is brought up to date first; one that is not there, or empty, is left alone.
    to
        Revision (`decision_log_0001`); None: the one this release reads.

    Returns
    -------
    tuple of str or None
        The revisions before and after; None: there is no database, or none was noted.

    Raises
    ------
    MigrationError
        The revision is not known here, as that of a later release, or a step refuses.
    """
    if database.file is not None and not database.file.exists():
        return None, None
    engine = _engine(database)
    try:
        with engine.connect() as connection:
            before = database.schema.version(connection)
            empty = not set(inspect(connection).get_table_names()) & set(database.tables.tables)
        if before is None and empty:
            return None, None
        if before is None:
            database.adopt()
        with engine.begin() as connection:
            run_revisions(connection, database, to or database.schema.head)
            return before, database.schema.version(connection)
    finally:
        engine.dispose()


def _engine(database: OwnDatabase) -> Engine:
    """Open a database; in SQLite too, steps are one transaction: the driver begins none before a table is changed."""
    engine = create_engine(database.url, hide_parameters=True)
    if database.file is not None:
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("begin immediate"))
    return engine


def run_revisions(connection: Connection, database: OwnDatabase, to: str) -> None:
    """Run the revisions between what a database has and another; one without a version is taken for empty.

    Raises
    ------
    MigrationError
        As `migrate`.
    """
    config = Config()
    config.set_main_option("script_location", str(PLACE))
    config.set_main_option("version_locations", str(PLACE / database.schema.name))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, version_table=database.schema.table.name)
    now = database.schema.version(connection)
    try:
        # From head to base: whichever stands first is the later one.
        order = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
        if strange := next((one for one in (to, now) if one not in (None, *order)), None):
            raise MigrationError(
                f"{database.schema.name}: this release has no revision {strange}; it knows {', '.join(reversed(order))}"
            )
        down = now is not None and order.index(to) > order.index(now)
        (command.downgrade if down else command.upgrade)(config, to)
    except CommandError as error:
        raise MigrationError(f"{database.schema.name}: {error}") from error
