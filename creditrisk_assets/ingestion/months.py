"""Files of production months: found through the connectors of all feeds, fetched, and outcomes typed.

What belongs here: which files a month has, looking at them, bringing them here, reading outcomes. What does not: connectors
(`connectors`), what the files must hold (`contracts.months`), the assets made of them (`defs.months`).

A month's files lie beside each other and begin with its name: 2026-05.scores.parquet, 2026-05.outcomes.csv.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from creditrisk_assets.contracts.months import OUTCOMES
from creditrisk_assets.ingestion.archives import sniff_layout
from creditrisk_assets.ingestion.connector import ChangedError, Connector, FileStat, IngestionError, RemoteFile
from creditrisk_assets.ingestion.connectors import Credentials, connect
from creditrisk_assets.ingestion.fetch import fetch, locate, look
from creditrisk_assets.ingestion.reader import read_table
from creditrisk_assets.ingestion.sources import parse_source
from creditrisk_assets.ingestion.table_file import TableFile, delivered_schema
from creditrisk_assets.settings import Settings

LANDED = "months"
LAYOUTS = (".parquet", ".csv")
SHOWN = 5


@dataclass(frozen=True)
class MonthFile:
    """A file of a month that was found."""

    file: RemoteFile
    stat: FileStat
    address: str


class MonthFiles:
    """Where the months' files come from.

    Parameters
    ----------
    connector
        Where they are.
    landing
        Directory that fetched files are kept below.
    """

    def __init__(self, connector: Connector, landing: Path) -> None:
        self._connector, self._landing = connector, landing

    def find(self, month: str, name: str, suffixes: Sequence[str] = LAYOUTS) -> MonthFile:
        """Look at one file of a month.

        Parameters
        ----------
        month
            As 2026-05.
        name
            What the file is: `outcomes`, `scores`.
        suffixes
            How its name may end.

        Raises
        ------
        IngestionError
            The month has no such file, or the source refuses or kept failing.
        """
        names = [f"{month}.{name}{suffix}" for suffix in suffixes]
        if (found := locate(self._connector, names)) is None:
            raise IngestionError(
                f"{month} has no {name}: none of {', '.join(names)} is there; wait for its delivery, or `creditrisk simulate {month}`"
            )
        file = RemoteFile(found)
        return MonthFile(file, look(self._connector, file), self._connector.address(file))

    def bring(self, found: MonthFile) -> Path:
        """Bring a file to this machine, where it is not here already.

        Raises
        ------
        IngestionError
            It cannot be fetched.
        """
        here = self._connector.in_place(found.file)
        return here or fetch(self._connector, found.file, found.stat, self._landing / LANDED / found.file.path).path

    def require_unchanged(self, found: Mapping[str, MonthFile]) -> None:
        """Refuse what was read of files where they are, if they were written to meanwhile.

        Raises
        ------
        ChangedError
            A file is not the one that was looked at.
        """
        for each in found.values():
            if look(self._connector, each.file).version != each.stat.version:
                raise ChangedError(f"{each.address} was changed while it was read; nothing was published. Run again")


def month_files(settings: Settings, credentials: Credentials) -> MonthFiles:
    """Return where this deployment's months come from.

    Raises
    ------
    SourceError
        The configured place is none.
    """
    settings.month_files.mkdir(parents=True, exist_ok=True)
    place = settings.months or str(settings.month_files)
    return MonthFiles(connect(parse_source(place).connection, credentials), settings.landing)


def read_outcomes(con: duckdb.DuckDBPyConnection, path: Path, address: str, out: Path) -> int:
    """Type a file of outcomes.

    Parameters
    ----------
    con
        Connection with the memory limit and threads to keep to.
    path, address
        The file, and its name for people.
    out
        Parquet file to write.

    Returns
    -------
    int
        Its rows.

    Raises
    ------
    IngestionError
        A column is missing or unknown, a value is not of its type, or the file is damaged.
    """
    file = TableFile(OUTCOMES.table, address, path, sniff_layout(path))
    schema = delivered_schema(con, file)
    wanted = [column.name for column in OUTCOMES.columns]
    if sorted(schema.names) != sorted(wanted):
        strange = sorted(set(schema.names) ^ set(wanted)) or sorted(schema.names)
        raise IngestionError(f"{address} must hold {', '.join(wanted)}; look at {', '.join(strange[:SHOWN])}")
    rejects = out.with_name("rejects.parquet")
    read = read_table(con, file, schema, OUTCOMES, out=out, rejects=rejects)
    if read.rejected:
        rejects.unlink()
        raise IngestionError(
            f"{address}: {read.rejected} rows hold a value of another type; correct them and deliver again"
        )
    return read.rows
