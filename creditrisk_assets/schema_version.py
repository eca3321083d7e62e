"""Which schema a database has, in a table of its own, and whether this release reads it.

What belongs here: reading and noting the version; SQLAlchemy alone, so that the running service may use it. What does not: the steps from
one version to the next (`creditrisk_serving.migrations`), the tables themselves (beside what uses them).

A database without a version is one of a release that had none: whoever opens it for writing brings it up to date and notes the version.
"""

from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable


class SchemaError(RuntimeError):
    """A database is of another schema than this release reads; the message says what to do."""


@dataclass(frozen=True)
class Schema:
    """The schema of one database.

    Parameters
    ----------
    name
        Of the database, as revisions begin: `decision_log`.
    head
        The revision this release reads and writes.
    """

    name: str
    head: str

    @property
    def table(self) -> Table:
        """The table that holds the version, as Alembic keeps it; databases may share a server's database."""
        return Table(f"{self.name}_version", MetaData(), Column("version_num", String(32), primary_key=True))

    def version(self, connection: Connection) -> str | None:
        """Read the version; None: none was noted."""
        if not inspect(connection).has_table(self.table.name):
            return None
        return connection.execute(select(self.table.c.version_num)).scalar_one_or_none()

    def check(self, connection: Connection) -> str | None:
        """Refuse a database of another version; return its version, None where none was noted.

        Raises
        ------
        SchemaError
            It is newer or older than this release reads.
        """
        if (found := self.version(connection)) in (None, self.head):
            return found
        words = self.name.replace("_", " ")
        raise SchemaError(
            f"the database of the {words} is of schema {found}, this release reads {self.head}: stop what uses it and run"
            " `creditrisk migrate`, or run the release that wrote it"
        )

    def note(self, connection: Connection) -> None:
        """Note that a database has what this release reads; another process may be doing so."""
        connection.execute(CreateTable(self.table, if_not_exists=True))
        if self.version(connection) is None:
            with suppress(IntegrityError), connection.begin_nested():
                connection.execute(insert(self.table), [{"version_num": self.head}])
