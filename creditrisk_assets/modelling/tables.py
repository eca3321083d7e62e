"""Split tables in memory: the one place where training data becomes a data frame.

What belongs here: reading the wanted columns of a part, small, in the types training takes. What does not: encoding
(`pipeline`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.statement import KEY, quoted
from creditrisk_assets.modelling.bundle import FLOAT32_LIMIT, EncodingError
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.split import TARGET

COLUMNS_AT_ONCE = 64


@dataclass(frozen=True)
class Part:
    """Some applicants: their ids, features and, where known, TARGET, row by row."""

    ids: NDArray[np.int64]
    target: NDArray[np.int64] | None
    frame: pd.DataFrame  # numbers and booleans as float32, categories as pandas categoricals

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> NDArray[np.int64]:
        """TARGET of every applicant.

        Raises
        ------
        ValueError
            The table has none.
        """
        if self.target is None:
            raise ValueError("these applicants have no TARGET")
        return self.target

    def of(self, names: Sequence[str]) -> "Part":
        """Return the part with some of its columns, in the order given; nothing is copied."""
        return Part(self.ids, self.target, _frame({name: self.frame[name].array for name in names}, len(self)))

    def take(self, rows: NDArray[np.int64]) -> "Part":
        """Return some of the rows, in the order given."""
        target = None if self.target is None else self.target[rows]
        columns = {str(name): self.frame[name].array.take(rows) for name in self.frame}
        return Part(self.ids[rows], target, _frame(columns, len(rows)))


def read_part(path: Path, inputs: Sequence[ModelInput]) -> Part:
    """Read a split or feature table.

    Parameters
    ----------
    path
        Parquet with `sk_id_curr`, maybe `target`, and the inputs.
    inputs
        Columns wanted, in the order wanted.

    Raises
    ------
    EncodingError
        A column is missing, of another kind than declared, or holds infinity.
    """
    keys = pq.read_table(path, columns=[KEY, *_labelled(path, inputs)])
    columns: dict[str, Any] = {}
    for start in range(
        0, len(inputs), COLUMNS_AT_ONCE
    ):  # all of a wide table at once take twice the memory of the part
        some = inputs[start : start + COLUMNS_AT_ONCE]
        text = [i.name for i in some if i.kind == "category"]
        columns |= _columns(pq.read_table(path, columns=[i.name for i in some], read_dictionary=text), some)
    return _part(keys, columns)


def sample_part(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    inputs: Sequence[ModelInput],
    *,
    rows: int,
    seed: int,
    among: Path | None = None,
) -> Part:
    """Read a random sample of a split or feature table, the same one every time.

    Parameters
    ----------
    con
        A DuckDB connection.
    path, inputs
        As in `read_part`.
    rows
        Size of the sample; a smaller table is read whole.
    seed
        Another seed draws others.
    among
        Parquet with a column SK_ID_CURR: only these applicants are drawn.
    """
    labelled = _labelled(path, inputs)
    table, condition = parquet(path), ""
    if among is not None:
        condition = f"where {KEY} in (select SK_ID_CURR from {parquet(among)})"  # noqa: S608 - quoted
    drawn = f"select {KEY} from {table} {condition} order by md5('{int(seed)}:' || {KEY}), {KEY} limit {int(rows)}"  # noqa: S608
    columns = ", ".join(quoted(name) for name in (KEY, *labelled, *(i.name for i in inputs)))
    query = f"select {columns} from {table} where {KEY} in ({drawn}) order by {KEY}"  # noqa: S608 - quoted names and paths
    return part_of(con.execute(query).to_arrow_table(), inputs)


def part_of(table: pa.Table, inputs: Sequence[ModelInput]) -> Part:
    """Make a part of rows already read: the key, maybe TARGET, and the inputs."""
    return _part(table, _columns(table, inputs))


def _labelled(path: Path, inputs: Sequence[ModelInput]) -> list[str]:
    """Check that the inputs are there; return the name of TARGET if it is."""
    present = set(pq.ParquetFile(path).schema_arrow.names)
    if missing := [i.name for i in inputs if i.name not in present]:
        raise EncodingError(f"{path} lacks {len(missing)} inputs of the model, among them {', '.join(missing[:5])}")
    return [TARGET] if TARGET in present else []


def _part(keys: pa.Table, columns: dict[str, Any]) -> Part:
    ids = keys.column(KEY).to_numpy()
    target = keys.column(TARGET).to_numpy().astype(np.int64) if TARGET in keys.column_names else None
    return Part(ids, target, _frame(columns, len(ids)))


def _frame(columns: Mapping[str, Any], rows: int) -> pd.DataFrame:
    """Put columns together as they are: copying them into one block takes three times their memory for a moment."""
    return pd.DataFrame(columns, index=pd.RangeIndex(rows), copy=False)


def _columns(table: pa.Table, inputs: Sequence[ModelInput]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for item in inputs:
        column = table.column(item.name)
        columns[item.name] = _category(item, column) if item.kind == "category" else _number(item, column)
    return columns


def _category(item: ModelInput, column: pa.ChunkedArray) -> pd.Categorical:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.dictionary_encode()
    if not pa.types.is_dictionary(column.type):
        raise EncodingError(f"feature {item.name} is declared a category; its column is {column.type}")
    values: pd.Categorical = column.combine_chunks().to_pandas().array
    return values


def _number(item: ModelInput, column: pa.ChunkedArray) -> NDArray[np.float32]:
    try:
        values = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise EncodingError(f"feature {item.name} is declared {item.kind}; its column is {column.type}") from error
    if infinite := int(np.isinf(values).sum()):
        raise EncodingError(f"feature {item.name} is infinite in {infinite} rows; mend its SQL (a division by zero?)")
    rounded: NDArray[np.float32] = np.clip(values, -FLOAT32_LIMIT, FLOAT32_LIMIT).astype(np.float32)
    return rounded
