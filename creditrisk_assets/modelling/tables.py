"""Split tables in memory: the one place where training data becomes a data frame.

What belongs here: reading the wanted columns of a part, small, in the types training takes. What does not: encoding
(`pipeline`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import FLOAT32_LIMIT, EncodingError
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.split import KEY, TARGET


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
    file = pq.ParquetFile(path)
    present = set(file.schema_arrow.names)
    if missing := [i.name for i in inputs if i.name not in present]:
        raise EncodingError(f"{path} lacks {len(missing)} inputs of the model, among them {', '.join(missing[:5])}")
    text = [i.name for i in inputs if i.kind == "category"]
    labelled = [TARGET] if TARGET in present else []
    table = pq.read_table(path, columns=[KEY, *labelled, *(i.name for i in inputs)], read_dictionary=text)
    ids = table.column(KEY).to_numpy()
    target = table.column(TARGET).to_numpy().astype(np.int64) if labelled else None
    columns: dict[str, Any] = {}
    for item in inputs:  # each Arrow column is let go as soon as it is converted
        column = table.column(item.name)
        columns[item.name] = _category(item, column) if item.kind == "category" else _number(item, column)
        table = table.drop_columns([item.name])
    return Part(ids, target, pd.DataFrame(columns, index=pd.RangeIndex(len(ids))))


def _category(item: ModelInput, column: pa.ChunkedArray) -> pd.Categorical:
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
