"""PDs of applicants in a table or a part, by a bundle, as the service computes them.

What belongs here: from stored columns to the bundle's matrix and its PDs. What does not: reading a part (`tables`), the matrix and the
model (`bundle`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.features.statement import KEY
from creditrisk_assets.modelling.bundle import Bundle, BundleFeature
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.tables import Part, part_of

ROWS_AT_ONCE = 8192  # of a table: with a thousand inputs, 65 MB as doubles


def encode_part(model: Bundle, part: Part) -> NDArray[np.float64]:
    """Turn a part into the bundle's matrix, (n, features)."""
    return model.encode(columns_of(part, model.features))


def score_part(model: Bundle, part: Part) -> NDArray[np.float64]:
    """Compute the PDs of a part by the bundle, as the service does."""
    return model.score(encode_part(model, part))


def score_table(
    model: Bundle, table: Path, among: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Compute the PDs of a feature table, some thousand rows at a time.

    Parameters
    ----------
    model
        A bundle.
    table
        Parquet with `sk_id_curr` and the model's inputs.
    among
        Only these applicants; None: all.

    Returns
    -------
    tuple
        Ids and PDs, in the table's order.
    """
    inputs = inputs_of(model)
    columns = [KEY, *(item.name for item in inputs)]
    ids, pds = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for batch in pq.ParquetFile(table).iter_batches(ROWS_AT_ONCE, columns=columns):
        rows = pa.Table.from_batches([batch])
        if among is not None:
            rows = rows.filter(np.isin(rows.column(KEY).to_numpy(), among))
        if len(rows):
            part = part_of(rows, inputs)
            ids.append(part.ids)
            pds.append(score_part(model, part))
    return np.concatenate(ids), np.concatenate(pds)


def inputs_of(model: Bundle) -> list[ModelInput]:
    """Return a bundle's features as inputs to read."""
    return [ModelInput(feature.name, feature.family, feature.kind) for feature in model.features]


def columns_of(part: Part, features: Iterable[BundleFeature]) -> dict[str, Any]:
    """Return some columns of a part as an encoder takes them: numbers as arrays, categories as names and None."""
    columns: dict[str, Any] = {}
    for feature in features:
        column = part.frame[feature.name]
        if feature.kind == "category":
            columns[feature.name] = [
                None if missing else value for value, missing in zip(column, column.isna(), strict=True)
            ]
        else:
            columns[feature.name] = column.to_numpy()
    return columns
