"""The built-in synthetic portfolio, made when it is first asked for.

What belongs here: naming, describing and making it. What does not: what it holds (`simulation`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from creditrisk_assets.ingestion.configuration import SampleConnection
from creditrisk_assets.ingestion.connector import ChangedError, FileStat, MissingFileError, RemoteFile, SourceError
from creditrisk_assets.ingestion.connectors.local import LocalConnector
from creditrisk_assets.ingestion.disk import only_writer
from creditrisk_assets.simulation.portfolio import TABLES, PortfolioError, generator_version, reusable, write_portfolio
from creditrisk_assets.simulation.scenarios import UnknownScenarioError, scenario_named

_FILES = tuple(f"{table}.csv" for table in TABLES)


class SampleConnector:
    """Reads the portfolio that a generator, a seed, a scale and a scenario determine to the byte.

    Parameters
    ----------
    connection
        How it is drawn.
    root
        Directory that portfolios are kept below, one directory each.

    Raises
    ------
    SourceError
        The scenario is not known.
    """

    kind = "sample"

    def __init__(self, connection: SampleConnection, root: Path) -> None:
        try:
            scenario_named(connection.scenario)
        except UnknownScenarioError as error:
            raise SourceError(f"the sample portfolio: {error}") from error
        self.connection = connection
        self.directory = root / _name(connection)

    @property
    def drawn(self) -> str:
        """How the portfolio is drawn: what determines it to the byte."""
        drawn = self.connection
        return f"{generator_version()}-{drawn.seed}-{drawn.scale:g}-{drawn.scenario}"

    def address(self, file: RemoteFile) -> str:
        """Name a file for people and logs."""
        return f"sample:{self.directory.name}/{file.path}"

    def find(self, names: Sequence[str]) -> str | None:
        """Return the first of these names that a portfolio holds, whatever its case; nothing is made."""
        present = {name.lower(): name for name in _FILES}
        return next((present[name.lower()] for name in names if name.lower() in present), None)

    def stat(self, file: RemoteFile) -> FileStat:
        """Describe a file without making it: its size is known once it was made, its version always.

        Raises
        ------
        MissingFileError
            A portfolio holds no such file.
        """
        file.require_unpinned(self.address(file))
        if file.path not in _FILES:
            raise MissingFileError(f"{self.address(file)}: a sample portfolio holds {', '.join(_FILES)}")
        drawn = self.connection
        made = reusable(self.directory, scale=drawn.scale, seed=drawn.seed, scenario=drawn.scenario)
        return FileStat(
            version=self.drawn,
            size=made.bytes[Path(file.path).stem] if made else None,
            modified_at=None,
        )

    def read(self, file: RemoteFile, stat: FileStat, offset: int) -> Iterator[bytes]:
        """Stream a file from a position, making the portfolio when it is not there.

        Raises
        ------
        ChangedError
            Another generator, seed, scale or scenario would draw it than the one `stat` describes.
        MissingFileError, SourceError, TransientError
        """
        if stat.version != self.stat(file).version:
            raise ChangedError(f"{self.address(file)} is drawn by another generator than the one it was looked at with")
        self.in_place(file)
        local = LocalConnector(self.directory)
        return local.read(file, local.stat(file), offset)

    def in_place(self, file: RemoteFile) -> Path:
        """Return the path of a file, making the portfolio when it is not there; others who ask meanwhile wait.

        Raises
        ------
        MissingFileError, SourceError
            A portfolio holds no such file, or the disk is too small.
        """
        self.stat(file)
        drawn = self.connection
        with only_writer(self.directory):
            try:
                write_portfolio(self.directory, scale=drawn.scale, seed=drawn.seed, scenario=drawn.scenario)
            except PortfolioError as error:
                raise SourceError(f"{self.address(file)}: {error}") from error
        return self.directory / file.path


def _name(connection: SampleConnection) -> str:
    """Name a portfolio's directory; that of the default seed and scenario is what `creditrisk run --scale` makes."""
    defaults = SampleConnection(kind="sample")
    drawn = {"seed": connection.seed, "scenario": connection.scenario}
    others = [f"{name}-{value}" for name, value in drawn.items() if value != getattr(defaults, name)]
    return "-".join([f"scale-{connection.scale:g}", *others])
