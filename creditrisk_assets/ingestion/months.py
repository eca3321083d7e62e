"""Files of production months: found through the connectors of all feeds, fetched, and outcomes typed.

What belongs here: which files a month has, looking at them, bringing them here, reading outcomes and decisions. What does not: connectors
(`connectors`), what the files must hold (`contracts.months`), the assets made of them (`defs.months`).

A month's files lie beside each other and begin with its name: 2026-05.scores.parquet, 2026-05.outcomes.csv.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from creditrisk_assets.contracts.months import APPLICATIONS, OUTCOMES
from creditrisk_assets.contracts.render.sql import parquet
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
SERVICE = ("decisions", "decisions.features")  # what the running service decided one by one
SENT = "decisions.inputs"  # what a sample of these was sent
BY_BATCH, BY_SERVICE = "batch", "service"
DAYS_A_YEAR = 365.25


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
        if (found := self.look_for(month, name, suffixes)) is None:
            names = ", ".join(f"{month}.{name}{suffix}" for suffix in suffixes)
            raise IngestionError(
                f"{month} has no {name}: none of {names} is there; wait for its delivery, or `creditrisk simulate {month}`"
            )
        return found

    def look_for(self, month: str, name: str, suffixes: Sequence[str] = LAYOUTS) -> MonthFile | None:
        """Look at one file of a month; None where it is not delivered.

        Raises
        ------
        IngestionError
            The source refuses or kept failing.
        """
        names = [f"{month}.{name}{suffix}" for suffix in suffixes]
        if (found := locate(self._connector, names)) is None:
            return None
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


@dataclass(frozen=True)
class Decided:
    """Who decided on a month's applicants.

    Attributes
    ----------
    by
        `batch`, `service` -> applicants whose decision counts.
    model_version
        The model that decided on most; features are of its applicants alone.
    other_models
        Applicants that others decided on.
    """

    by: Mapping[str, int]
    model_version: str
    other_models: int


def read_decisions(
    con: duckdb.DuckDBPyConnection, paths: Mapping[str, Path], month: str, finished_at: str, out: Path, features: Path
) -> Decided:
    """Write a month's decided applicants, once each: of those whom a batch and the service decided on, the later decision counts.

    Parameters
    ----------
    con
        Connection with the memory limit and threads to keep to.
    paths
        The files of a batch (`scores`, `scores.parquet.features`, `applications`), of the service (`SERVICE`), or both.
    month
        As 2026-05.
    finished_at
        When the batch was, ISO 8601 with its time zone; of two decisions in the same instant the service's counts.
    out, features
        Parquet files to write: decisions, and what they were made from with their `pd`.
    """
    sides, saw = [], []
    if "scores" in paths:
        sides.append(
            f"select s.*, nullif(a.CODE_GENDER, 'XNA')::varchar as gender, round(-a.DAYS_BIRTH / {DAYS_A_YEAR}, 2)::double as age_years,"  # noqa: S608 -- quoted paths
            f" $finished as decided_at, '{BY_BATCH}' as decided_by from {parquet(paths['scores'])} as s"
            f" left join {parquet(paths['applications'])} as a on a.SK_ID_CURR = s.sk_id_curr"
        )
        saw.append(f"select *, '{BY_BATCH}' as decided_by from {parquet(paths['scores.parquet.features'])}")  # noqa: S608
    if SERVICE[0] in paths:
        sides.append(f"select *, '{BY_SERVICE}' as decided_by from {parquet(paths[SERVICE[0]])}")  # noqa: S608
        saw.append(f"select *, '{BY_SERVICE}' as decided_by from {parquet(paths[SERVICE[1]])}")  # noqa: S608
    con.execute(
        f"create or replace temp table decided as select * from ({' union all by name '.join(sides)})"  # noqa: S608
        " qualify row_number() over (partition by sk_id_curr order by decided_at::timestamptz desc, decided_by desc) = 1",
        {"finished": finished_at} if "scores" in paths else {},
    )
    columns = ", ".join(
        "$month as application_month" if column.name == "application_month" else column.name
        for column in APPLICATIONS.columns
    )
    con.execute(
        f"copy (select {columns} from decided order by sk_id_curr) to '{out}' (format parquet, compression zstd)",  # noqa: S608
        {"month": month},
    )
    models = con.execute(
        "select model_version, count(*)::integer from decided group by all order by 2 desc, 1"
    ).fetchall()
    main = models[0][0] if models else ""
    con.execute(
        f"copy (select f.* exclude (decided_by), d.pd from ({' union all by name '.join(saw)}) as f"  # noqa: S608
        " join decided as d using (sk_id_curr, decided_by) where d.model_version = $main order by sk_id_curr)"
        f" to '{features}' (format parquet, compression zstd)",
        {"main": main},
    )
    by = con.execute("select decided_by, count(*)::integer from decided group by all order by all").fetchall()
    return Decided(dict(by), main, sum(count for _, count in models[1:]))
