"""Feature files: Parquet ordered by key whose bytes follow from the rows alone, and the join of several to one row per application.

What belongs here: order, file format, the merge of files that are sorted already. What does not: the statements whose rows are written
(`engine`, `spark`), what a feature means (`sql/`), where versions are kept (`lake`).
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.contracts.features import APPLICANT
from creditrisk_assets.features.families import APPLICATION_VIEW, PRESENCE
from creditrisk_assets.features.statement import KEY

# Fixed, so that bytes do not depend on a release's defaults. Arrow's encoder: DuckDB's takes three times the processor for wide tables.
ROWS = 32_768  # of a row group: a thousand columns of them are 250 MB
FORMAT = {"compression": "zstd", "compression_level": 1, "version": "2.6"}


class FeatureError(ValueError):
    """Features cannot be built from what was given; the message names the family, the table and what to do."""


def write(cursor: duckdb.DuckDBPyConnection, select: str, out: Path) -> int:
    """Write the rows of a statement, ordered by key.

    Parameters
    ----------
    cursor
        A DuckDB connection on which the statement runs.
    select
        The statement; one of its columns is the key.
    out
        File to write. Equal rows give equal bytes, whatever the threads.

    Returns
    -------
    int
        Rows written.
    """
    reader = cursor.execute(f"{select}\norder by {KEY}").to_arrow_reader(ROWS)
    return _write(reader.schema, _in_groups(reader), out)


def join_applicant(families: Mapping[str, Path], out: Path) -> int:
    """Join the families to one row per application by merging their files, in memory that does not grow with the rows.

    Every application stays; an applicant without rows in a history has NULL in its features and false in its `applicant__has_…`.

    Parameters
    ----------
    families
        Family name to its file, as `write` made it.
    out
        File to write: the columns of the applicant contract, ordered by key.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    FeatureError
        A family was not built, or its file is not in the order of the key.
    """
    if missing := sorted({APPLICATION_VIEW, *PRESENCE.values()} - set(families)):
        raise FeatureError(f"features/applicant: family {', '.join(missing)} was not built; build it first")
    applications = pq.ParquetFile(families[APPLICATION_VIEW])
    histories = {name: _Sorted(name, families[name]) for name in PRESENCE.values()}
    present = {pa.field(column, pa.bool_()): family for column, family in PRESENCE.items()}
    fields = [*applications.schema_arrow, *present, *(f for each in histories.values() for f in each.fields)]
    by_name = {field.name: field for field in fields}
    schema = pa.schema([by_name[column.name] for column in APPLICANT.columns])
    groups = _joined(applications, histories, schema)
    return _write(schema, groups, out)


def _joined(applications: pq.ParquetFile, histories: Mapping[str, "_Sorted"], schema: pa.Schema) -> Iterator[pa.Table]:
    for group in _in_groups(applications.iter_batches(ROWS)):
        keys = group[KEY].to_numpy()
        columns = dict(zip(group.column_names, group.columns, strict=True))
        for column, family in PRESENCE.items():
            found, rows = histories[family].at(keys)
            columns[column] = pa.array(found)
            columns |= zip(rows.column_names, rows.columns, strict=True)
        yield pa.table([columns[name] for name in schema.names], schema=schema)


class _Sorted:
    """A family's file, read once from its first key to its last."""

    def __init__(self, family: str, path: Path) -> None:
        file = pq.ParquetFile(path)
        self.fields = [field for field in file.schema_arrow if field.name != KEY]
        self._family = family
        self._rows = file.schema_arrow.empty_table()
        self._batches = file.iter_batches(ROWS)

    def at(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.bool_], pa.Table]:
        """Return whether each of the keys, which rise from call to call, has a row, and the rows, NULL for those that have none."""
        rows = self._up_to(keys[-1])
        known = rows[KEY].to_numpy()
        places = np.searchsorted(known, keys)
        found = np.zeros(len(keys), bool) if not len(known) else known[np.minimum(places, len(known) - 1)] == keys
        return found, rows.drop_columns([KEY]).take(pa.array(places, mask=~found))

    def _up_to(self, last: int) -> pa.Table:
        while not self._rows.num_rows or self._rows[KEY][-1].as_py() <= last:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._rows = pa.concat_tables([self._rows, pa.Table.from_batches([batch])]).combine_chunks()
        keys = self._rows[KEY].to_numpy()
        if np.any(keys[1:] <= keys[:-1]):
            raise FeatureError(
                f"features/{self._family}: its file is not in the order of {KEY}, or an applicant has two rows; build it anew"
            )
        end = int(np.searchsorted(keys, last, side="right"))
        rows, self._rows = self._rows.slice(0, end), self._rows.slice(end)
        return rows.combine_chunks()


def _in_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Cut batches of any size into tables of the size of a row group."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= ROWS:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, ROWS)
            waiting = table.slice(ROWS).to_batches()
            rows -= ROWS
    if rows:
        yield pa.Table.from_batches(waiting)


def _write(schema: pa.Schema, groups: Iterable[pa.Table], out: Path) -> int:
    """Write row groups while the next is made, and return how many rows there were."""
    rows, writing = 0, Future[None]()
    writing.set_result(None)
    # Amounts and ratios hardly repeat, and nobody looks for one: dictionaries and statistics of theirs are a third of the work.
    repeating = [field.name for field in schema if field.type != pa.float64()]
    choices = {"use_dictionary": repeating, "write_statistics": repeating}
    with pq.ParquetWriter(out, schema, **FORMAT, **choices) as writer, ThreadPoolExecutor(1) as thread:
        for group in groups:
            writing.result()
            writing = thread.submit(writer.write_table, group, ROWS)
            rows += group.num_rows
        writing.result()
    return rows
